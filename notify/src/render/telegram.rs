//! Messages for Telegram: HTML as its Bot API reads it (`&`, `<` and `>` escaped), at most 4,096 characters. What is
//! long stands in `<pre>`, where no client makes links or mentions; elsewhere strangers' names and addresses are broken
//! up so that none becomes one.

use beaconfire_model::Severity;

use super::{Facts, words};
use crate::templates::Own;

/// Most characters, tags and all: Telegram takes 4,096 without them.
const TEXT_MAX: usize = 4_000;

/// Most characters of the lines above the lists, each before it is escaped.
const LINE_MAX: usize = 400;

/// The text of a message.
pub(crate) fn text(facts: &Facts, own: &Own) -> String {
    let mut out = match &own.title {
        Some(title) => format!("{} {title}", mark(facts)),
        None => format!("{} <b>{}</b>\n{}", mark(facts), line(&facts.standing), line(&facts.title)),
    };
    match &own.text {
        Some(text) => out.push_str(&format!("\n{text}")),
        None => {
            out.push_str(&format!("\n{}", line(&facts.course)));
            if let Some(news) = &facts.news {
                out.push_str(&format!("\n<b>Now:</b> {}", line(news)));
            }
        }
    }
    let mut foot = String::new();
    for (href, text) in [(&facts.console, "Open in Beaconfire"), (&facts.runbook, "Runbook")] {
        if let Some(href) = href.as_ref().filter(|href| href.len() <= 300) {
            foot.push_str(&format!("\n<a href=\"{}\">{text}</a>", escape(href)));
        }
    }
    foot.push_str(&format!("\n<i>{}</i>", line(&facts.colophon)));
    let participants: Vec<String> =
        facts.participants.iter().map(|(who, events)| format!("{who}: {events}")).collect();
    let who = format!("Who: {}", facts.crowd);
    let lists = [
        ("Remarks", &facts.remarks),
        ("Numbers", &facts.rules),
        (who.as_str(), &participants),
        ("Done about it", &facts.decisions),
        ("Samples", &facts.samples),
    ];
    for (title, lines) in lists.into_iter().filter(|(_, lines)| own.text.is_none() && !lines.is_empty()) {
        let list = format!("\n\n<b>{}</b>\n<pre>{}</pre>", line(title), escape(&lines.join("\n")));
        // The last lists are the longest and the least needed: they are one click away.
        if count(&out) + count(&list) + count(&foot) <= TEXT_MAX {
            out.push_str(&list);
        }
    }
    out.push('\n');
    out.push_str(&foot);
    out
}

/// One line of a stranger's, in which nothing is a link, a mention or an element.
fn line(text: &str) -> String {
    escape(&words::cut(&words::unlinked(text), LINE_MAX))
}

/// One line, for where the full form is refused; no HTML.
pub(crate) fn plain(facts: &Facts) -> String {
    words::cut(&format!("{} {}", mark(facts), words::unlinked(&facts.line())), 1_000)
}

/// A line that answers the message, where people should look again.
pub(crate) fn reply(facts: &Facts) -> String {
    let news = facts.news.as_ref().unwrap_or(&facts.course);
    let text = words::cut(&words::unlinked(news), LINE_MAX);
    format!("{} <b>{}</b> {}", mark(facts), escape(&words::unlinked(&facts.standing)), escape(&text))
}

fn count(text: &str) -> usize {
    text.chars().count()
}

fn mark(facts: &Facts) -> &'static str {
    match facts.severity {
        _ if facts.over => "✅",
        _ if facts.taken => "👀",
        Some(Severity::Critical) => "🔴",
        Some(Severity::Error) => "🟠",
        Some(Severity::Warning) => "🟡",
        Some(Severity::Info) | None => "🔵",
    }
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
