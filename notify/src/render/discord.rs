//! Messages for Discord: one embed, within its limits (title 256, description 4,096, 25 fields of 1,024, 6,000 in all).
//! Strangers' text is escaped as Markdown, builds no link and mentions nobody (`allowed_mentions` is empty as well).

use beaconfire_model::Severity;
use serde_json::{Value, json};

use super::{Facts, words};
use crate::templates::Own;

/// Most characters of the parts of an embed, each below what Discord takes: together they stay below its 6,000.
const TITLE_MAX: usize = 250;
const DESCRIPTION_MAX: usize = 1_500;
const FIELD_MAX: usize = 700;
const OWN_MAX: usize = 3_000;
const CONTENT_MAX: usize = 1_900;

/// The body of a message.
pub(crate) fn message(facts: &Facts, own: &Own) -> Value {
    let mut description = match &own.text {
        Some(text) => whole(text, OWN_MAX),
        None => whole(&opening(facts), DESCRIPTION_MAX),
    };
    let links = [(&facts.console, "Open in Beaconfire"), (&facts.runbook, "Runbook")];
    let links: Vec<String> = links
        .into_iter()
        // The operator's own addresses; a parenthesis would end the link.
        .filter_map(|(href, text)| Some((href.as_ref()?.replace('(', "%28").replace(')', "%29"), text)))
        .filter(|(href, _)| href.len() <= 500)
        .map(|(href, text)| format!("[{text}]({href})"))
        .collect();
    if !links.is_empty() {
        description.push_str(&format!("\n\n{}", links.join(" · ")));
    }
    let participants: Vec<String> =
        facts.participants.iter().map(|(who, events)| format!("{who}: {events}")).collect();
    let who = format!("Who: {}", facts.crowd);
    let lists = [
        ("Numbers", &facts.rules, false),
        (who.as_str(), &participants, false),
        ("Done about it", &facts.decisions, false),
        ("Samples", &facts.samples, true),
    ];
    let fields: Vec<Value> = lists
        .into_iter()
        .filter(|(_, lines, _)| own.text.is_none() && !lines.is_empty())
        .map(|(name, lines, code)| {
            let text = lines.join("\n");
            let value = match code {
                true => format!("```\n{}\n```", words::cut(&text.replace('`', "ʼ"), FIELD_MAX)),
                false => whole(&escape(&text), FIELD_MAX),
            };
            json!({"name": words::cut(name, 250), "value": value})
        })
        .collect();
    let usual = || escape(&format!("{}: {}", facts.standing, facts.stem));
    let title = own.title.clone().unwrap_or_else(usual);
    let mut body = plain(facts);
    body["embeds"] = json!([{
        "title": whole(&title, TITLE_MAX),
        "description": description,
        "color": colour(facts),
        "fields": fields,
        "footer": {"text": words::cut(&facts.colophon, 200)},
    }]);
    body
}

fn opening(facts: &Facts) -> String {
    let mut opening = escape(&facts.title);
    for line in [Some(&facts.course), facts.news.as_ref()].into_iter().flatten().chain(&facts.remarks) {
        opening.push('\n');
        opening.push_str(&escape(line));
    }
    opening
}

/// The body without an embed, for where that is refused, and for a line that disturbs.
pub(crate) fn plain(facts: &Facts) -> Value {
    json!({
        "content": whole(&escape(&facts.line()), CONTENT_MAX),
        "embeds": [],
        "allowed_mentions": {"parse": []},
    })
}

fn colour(facts: &Facts) -> u32 {
    match facts.severity {
        _ if facts.over => 0x1a_7f37,
        Some(Severity::Critical) => 0xb4_2318,
        Some(Severity::Error) => 0xc4_501b,
        Some(Severity::Warning) => 0x94_6200,
        Some(Severity::Info) | None => 0x0b_5cad,
    }
}

/// Text that stays text: what Markdown reads is escaped, and neither an address nor a name becomes a link.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in words::unlinked(text).chars() {
        if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '<' | '[' | ']' | '(' | ')' | '#' | '-') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Escaped text cut to `max` characters, never between a backslash and what it escapes.
fn whole(escaped: &str, max: usize) -> String {
    let cut = words::cut(escaped, max);
    if cut.len() == escaped.len() {
        return cut;
    }
    let kept = cut.trim_end_matches('…');
    let slashes = kept.len() - kept.trim_end_matches('\\').len();
    format!("{}…", if slashes % 2 == 1 { &kept[..kept.len() - 1] } else { kept })
}
