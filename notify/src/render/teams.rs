//! Messages for Microsoft Teams: one Adaptive Card. Text stands in runs of a `RichTextBlock`, which reads no Markdown,
//! so strangers' text stays text. A workflow takes a card of about 28 KB.

use beaconfire_model::Severity;
use serde_json::{Value, json};

use super::{Facts, words};
use crate::templates::Own;

/// Most bytes of the whole body.
const BODY_MAX: usize = 24 * 1024;

/// The body of a message.
pub(crate) fn message(facts: &Facts, own: &Own) -> Value {
    let body = wrapped(blocks(facts, own, true), facts);
    if body.to_string().len() <= BODY_MAX {
        return body;
    }
    // Samples and decisions are the longest and the least needed: they are one click away.
    let body = wrapped(blocks(facts, own, false), facts);
    if body.to_string().len() <= BODY_MAX { body } else { plain(facts) }
}

/// One line, for where the full card is refused.
pub(crate) fn plain(facts: &Facts) -> Value {
    wrapped(vec![block(vec![run(&facts.line(), false)])], facts)
}

fn wrapped(blocks: Vec<Value>, facts: &Facts) -> Value {
    let actions = [(&facts.console, "Open in Beaconfire"), (&facts.runbook, "Runbook")];
    let actions: Vec<Value> = actions
        .into_iter()
        .filter_map(|(href, title)| {
            Some(json!({"type": "Action.OpenUrl", "title": title, "url": href.as_ref()?}))
        })
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "fallbackText": words::cut(&facts.line(), 500),
                "msteams": {"width": "full"},
                "body": blocks,
                "actions": actions,
            },
        }],
    })
}

fn blocks(facts: &Facts, own: &Own, whole: bool) -> Vec<Value> {
    let mut standing = run(own.title.as_ref().unwrap_or(&facts.standing), true);
    standing["color"] = json!(colour(facts));
    standing["size"] = json!("Medium");
    let mut blocks = vec![block(vec![standing])];
    if own.title.is_none() {
        blocks.push(block(vec![run(&facts.title, true)]));
    }
    match &own.text {
        // A paragraph a line, as below; where they are too many, the whole does not fit.
        Some(text) => blocks.extend(lines(text).map(|line| block(vec![run(line, false)]))),
        None => blocks.extend(account(facts, whole)),
    }
    let mut colophon = run(&facts.colophon, false);
    colophon["isSubtle"] = json!(true);
    colophon["size"] = json!("Small");
    blocks.push(block(vec![colophon]));
    blocks
}

/// The lines that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty())
}

/// What there is to tell, a block a line.
fn account(facts: &Facts, whole: bool) -> Vec<Value> {
    let mut blocks = Vec::new();
    for line in [Some(&facts.course), facts.news.as_ref()].into_iter().flatten().chain(&facts.remarks) {
        blocks.push(block(vec![run(line, false)]));
    }
    let participants: Vec<String> =
        facts.participants.iter().map(|(who, events)| format!("{who}: {events}")).collect();
    let who = format!("Who: {}", facts.crowd);
    let lists = [
        ("Numbers", &facts.rules, true),
        (who.as_str(), &participants, true),
        ("Done about it", &facts.decisions, whole),
        ("Samples", &facts.samples, whole),
    ];
    for (title, lines, _) in lists.into_iter().filter(|(_, lines, shown)| *shown && !lines.is_empty()) {
        blocks.push(block(vec![run(title, true)]));
        // A paragraph a line: how a line end within a run is shown differs between clients.
        blocks.extend(lines.iter().map(|line| block(vec![run(&format!("• {line}"), false)])));
    }
    blocks
}

fn block(runs: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": runs})
}

fn run(text: &str, bold: bool) -> Value {
    let mut run = json!({"type": "TextRun", "text": words::cut(text, 1_000)});
    if bold {
        run["weight"] = json!("Bolder");
    }
    run
}

fn colour(facts: &Facts) -> &'static str {
    match facts.severity {
        _ if facts.over => "Good",
        Some(Severity::Critical | Severity::Error) => "Attention",
        Some(Severity::Warning) => "Warning",
        Some(Severity::Info) | None => "Accent",
    }
}
