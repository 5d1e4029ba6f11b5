//! A digest: how many, how bad, of what kind, who and where, and each by its id as far as there is room.

use beaconfire_outbox::Action;
use serde_json::{Value, json};

use super::facts::LINE_MAX;
use super::{Facts, words};
use crate::message::{Message, Storm};

/// What a digest has to tell.
pub(super) fn facts(message: &Message<'_>, storm: &Storm<'_>) -> Facts {
    let Storm { tally, summary, digest } = storm;
    let shown = |text: &str| words::clean(&message.site.privacy.apply(text), LINE_MAX);
    let number = |count: u64| words::count(count as f64);
    let over = message.action == Action::Resolve;
    let resolved = tally.members.saturating_sub(tally.open);
    let mut remarks = Vec::new();
    if let Some(since) = summary.held_since {
        remarks.push(format!("{} held back since {}.", number(tally.held), words::moment(since.millis())));
    }
    if tally.cleared > 0 {
        remarks.push(format!("{} opened and cleared before notification.", number(tally.cleared)));
    }
    let listed = summary.incidents.len() as u64;
    if tally.members > listed {
        remarks.push(format!("{listed} of {} ids are listed here.", number(tally.members)));
    }
    Facts {
        standing: if over { "RESOLVED".into() } else { "STORM".into() },
        severity: tally.worst,
        over,
        stem: "Many incidents at once".into(),
        title: format!(
            "{} incidents in one message: {} open, {} resolved",
            number(tally.members),
            number(tally.open),
            number(resolved)
        ),
        course: format!(
            "First seen {}, last seen {}; told together since {}.",
            words::moment(summary.first_seen.millis()),
            words::moment(summary.last_seen.millis()),
            words::moment(digest.started_at.millis())
        ),
        remarks,
        rules: summary
            .rules
            .iter()
            .map(|(rule, severity, count)| {
                format!("{} ({}): {}", shown(rule), severity.name(), number(*count))
            })
            .chain(
                summary.targets.iter().map(|(target, count)| {
                    format!("on {}: {}", words::cut(&shown(target), 100), number(*count))
                }),
            )
            .collect(),
        crowd: if summary.participants.is_empty() { String::new() } else { "the most frequent".into() },
        participants: summary
            .participants
            .iter()
            .map(|(name, count)| (words::cut(&shown(name), 100), number(*count)))
            .collect(),
        incidents: summary.incidents.iter().map(ToString::to_string).collect(),
        console: words::link(message.site.external_url),
        ..Facts::default()
    }
}

/// The same for machines.
pub(super) fn json(message: &Message<'_>, storm: &Storm<'_>) -> Value {
    let Storm { tally, summary, digest } = storm;
    let shown = |text: &str| words::clean(&message.site.privacy.apply(text), LINE_MAX);
    let named = |of: &[(String, u64)]| -> Vec<Value> {
        of.iter().map(|(name, count)| json!({"name": shown(name), "incidents": count})).collect()
    };
    let rules = summary.rules.iter().map(|(rule, severity, count)| {
        json!({"rule": shown(rule), "severity": severity.name(), "incidents": count})
    });
    json!({
        "id": digest.id.0.to_string(),
        "installation": message.site.installation,
        "incidents_total": tally.members,
        "open": tally.open,
        "cleared_before_notification": tally.cleared,
        "severity": tally.worst.map(|worst| worst.name()),
        "started_at": digest.started_at.to_string(),
        "first_seen": summary.first_seen.to_string(),
        "last_seen": summary.last_seen.to_string(),
        "held_since": summary.held_since.map(|since| since.to_string()),
        "rules": rules.collect::<Vec<_>>(),
        "targets": named(&summary.targets),
        "participants": named(&summary.participants),
        "incidents": summary.incidents.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
