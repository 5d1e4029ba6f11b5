//! Slack's blocks. Texts of strangers stand in mrkdwn only escaped (`&`, `<`, `>`, backticks), so that no mention, link
//! or code span can be built; sections are `verbatim`, so that Slack builds none either.
//!
//! Slack refuses a message beyond about 13,200 characters and an update whose text is beyond 4,000 bytes (measured by
//! others, not documented), so we stay beneath both.

use beaconfire_model::{Severity, escape_slack as escape};
use serde_json::{Value, json};

use super::{Facts, words};
use crate::templates::Own;

/// Most bytes of `text`.
const TEXT_MAX: usize = 3_800;

/// Most bytes of the blocks' JSON.
const BLOCKS_MAX: usize = 12_000;

/// Most characters of a section's text (Slack: 3,000) and of a header's (150).
const SECTION_MAX: usize = 2_900;
const HEADER_MAX: usize = 150;

/// Ids that fit into a section; the console has all.
const IDS: usize = 60;

/// A message for Slack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rendered {
    /// What notifications show, and what stands alone where blocks are refused.
    pub(crate) text: String,
    /// The blocks.
    pub(crate) blocks: Value,
    /// A line for the thread, where a new state is worth disturbing those who follow it.
    pub(crate) reply: String,
}

/// A message for Slack; with buttons where it is about an incident that clicks may change.
pub(crate) fn message(facts: &Facts, own: &Own, incident: Option<&str>) -> Rendered {
    let text = match &own.title {
        Some(title) => words_of(&format!("[{}] {title}", facts.standing), TEXT_MAX),
        None => words_of(&facts.line(), TEXT_MAX),
    };
    let buttons = incident.and_then(|id| buttons(facts, id));
    let mut blocks = blocks(facts, own, facts.samples.len(), buttons.as_ref());
    if blocks.to_string().len() > BLOCKS_MAX {
        // Samples are the longest and the least needed: they are one click away.
        blocks = self::blocks(
            &Facts { samples: Vec::new(), incidents: Vec::new(), decisions: Vec::new(), ..facts.clone() },
            own,
            0,
            buttons.as_ref(),
        );
    }
    if blocks.to_string().len() > BLOCKS_MAX {
        let line = section(&words_of(&facts.line(), SECTION_MAX));
        blocks = Some(line).into_iter().chain(buttons).collect();
    }
    let reply = match &facts.news {
        Some(news) => format!("{} *{}* {}", emoji(facts), escape(&facts.standing), escape(news)),
        None => format!("{} *{}* {}", emoji(facts), escape(&facts.standing), escape(&facts.course)),
    };
    Rendered { text, blocks, reply: whole(&reply, TEXT_MAX) }
}

/// What may be done about an incident, `/hooks/slack` knows each by its `action_id`; nothing once it is over.
fn buttons(facts: &Facts, incident: &str) -> Option<Value> {
    let button = |action: &str, text: &str| {
        json!({"type": "button", "action_id": action, "value": incident,
            "text": {"type": "plain_text", "text": text}})
    };
    let acknowledge = (!facts.taken).then(|| button("acknowledge", "Acknowledge"));
    let silence = (!facts.silenced).then(|| button("silence", "Silence 1h"));
    let elements: Vec<Value> =
        acknowledge.into_iter().chain([button("resolve", "Resolve")]).chain(silence).collect();
    (!facts.over).then(|| json!({"type": "actions", "elements": elements}))
}

fn blocks(facts: &Facts, own: &Own, samples: usize, buttons: Option<&Value>) -> Value {
    let headline = plain(&format!("{} {}", emoji(facts), own.title.as_ref().unwrap_or(&facts.stem)));
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": words::cut(&headline, HEADER_MAX),
            "emoji": true}}),
    ];
    match &own.text {
        Some(text) => blocks.push(section(text)),
        None => blocks.extend(account(facts, samples)),
    }
    blocks.extend(buttons.cloned());
    let mut foot: Vec<String> = [(&facts.console, "Open in Beaconfire"), (&facts.runbook, "Runbook")]
        .into_iter()
        .filter_map(|(href, text)| {
            href.as_ref().map(|href| format!("<{}|{text}>", href.replace('&', "&amp;")))
        })
        .collect();
    foot.push(escape(&facts.colophon));
    blocks.push(json!({"type": "context", "elements": [mrkdwn(&foot.join(" · "))]}));
    json!(blocks)
}

/// What there is to tell, in sections.
fn account(facts: &Facts, samples: usize) -> Vec<Value> {
    let (standing, title, course) = (escape(&facts.standing), escape(&facts.title), escape(&facts.course));
    let mut blocks = vec![section(&format!("*{standing}*\n{title}\n{course}"))];
    if let Some(news) = &facts.news {
        blocks.push(section(&format!("*Now:* {}", escape(news))));
    }
    if !facts.remarks.is_empty() {
        blocks.push(section(&facts.remarks.iter().map(|line| escape(line)).collect::<Vec<_>>().join("\n")));
    }
    if !facts.rules.is_empty() {
        blocks.push(section(&list("Numbers", &facts.rules)));
    }
    if !facts.participants.is_empty() {
        let lines: Vec<String> =
            facts.participants.iter().map(|(who, events)| format!("{who}: {events}")).collect();
        blocks.push(section(&list(&format!("Who: {}", facts.crowd), &lines)));
    }
    if !facts.incidents.is_empty() {
        let lines = facts.incidents.iter().take(IDS).map(|id| escape(id)).collect::<Vec<_>>().join(" ");
        let beyond = facts.incidents.len().saturating_sub(IDS);
        let more = if beyond > 0 { format!(" and {beyond} more") } else { String::new() };
        blocks.push(section(&format!("*Incidents*\n{lines}{more}")));
    }
    if !facts.decisions.is_empty() {
        blocks.push(section(&list("Done about it", &facts.decisions)));
    }
    if samples > 0 {
        let lines: Vec<String> = facts.samples.iter().take(samples).map(|line| escape(line)).collect();
        blocks.push(section(&format!("*Samples*\n```{}```", whole(&lines.join("\n"), SECTION_MAX - 20))));
    }
    blocks
}

fn emoji(facts: &Facts) -> &'static str {
    match facts.severity {
        _ if facts.over => "✅",
        _ if facts.taken => "👀",
        Some(Severity::Critical) => "🔴",
        Some(Severity::Error) => "🟠",
        Some(Severity::Warning) => "🟡",
        Some(Severity::Info) | None => "🔵",
    }
}

fn list(title: &str, lines: &[String]) -> String {
    let mut out = format!("*{}*", escape(title));
    for line in lines {
        out.push_str("\n• ");
        out.push_str(&escape(line));
    }
    out
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(&whole(text, SECTION_MAX))})
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// For plain text, where entities may or may not be read: the two that build mentions are replaced.
fn plain(text: &str) -> String {
    text.replace('<', "‹").replace('>', "›")
}

/// Escaped and at most `max` bytes.
fn words_of(text: &str, max: usize) -> String {
    whole(&escape(text), max)
}

/// Escaped text cut to `max` bytes, never within an entity.
fn whole(escaped: &str, max: usize) -> String {
    if escaped.len() <= max {
        return escaped.to_owned();
    }
    let mut end = max.saturating_sub('…'.len_utf8());
    while !escaped.is_char_boundary(end) {
        end -= 1;
    }
    let kept = &escaped[..end];
    let kept = match kept.rfind('&') {
        Some(at) if !kept[at..].contains(';') => &kept[..at],
        _ => kept,
    };
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_leaves_no_half_entity() {
        for max in 4..24 {
            let cut = whole("ab&amp;cd&lt;ef&gt;", max);
            assert!(cut.len() <= max, "{cut}");
            let bare = cut.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            assert!(!bare.contains('&'), "{cut}");
        }
    }
}
