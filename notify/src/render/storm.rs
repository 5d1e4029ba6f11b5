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
    let group = digest.group.as_ref().map(|group| shown(&group.name));
    let counts = format!("{} open, {} resolved", number(tally.open), number(resolved));
    let worst = tally.worst.map_or("GROUP".to_owned(), |worst| worst.name().to_ascii_uppercase());
    Facts {
        standing: match &group {
            _ if over => "RESOLVED".into(),
            None => "STORM".into(),
            Some(_) => worst,
        },
        severity: tally.worst,
        over,
        stem: match &group {
            None => "Many incidents at once".into(),
            Some(group) => words::cut(&format!("More incidents of {group}"), 200),
        },
        title: match &group {
            None => format!("{} incidents in one message: {counts}", number(tally.members)),
            Some(group) => format!("{} more incidents of {group}: {counts}", number(tally.members)),
        },
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
        "group": digest.group.as_ref().map(|group| shown(&group.name)),
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use beaconfire_incident::IncidentId;
    use beaconfire_model::Severity;
    use beaconfire_outbox::{Digest, DigestId, Group, Handle, Summary, Tally};

    use super::*;
    use crate::message::Matter;
    use crate::render::{email, pagerduty, slack, webhook};
    use crate::templates::Own;
    use crate::tests::fixture::{SITE, at, wall};

    const HOSTILE: &str = "<!channel> \r\nBcc: x@y <script>alert(1)</script> `*_";

    fn summary(ids: usize, name: &str) -> Summary {
        Summary {
            rules: vec![("requests-per-client".into(), Severity::Warning, 280)],
            targets: vec![(name.into(), 300)],
            participants: vec![("203.0.113.7".into(), 12), (name.into(), 3)],
            first_seen: at(0),
            last_seen: at(120),
            held_since: Some(wall(60)),
            incidents: (0..ids).map(|n| IncidentId::from_text(&format!("{n:032x}"))).collect(),
        }
    }

    fn told(action: Action, name: &str, check: impl Fn(&Message<'_>)) {
        let mut digest = Digest::begin(DigestId(7), "chat".into(), "slack-0".into(), false, wall(60));
        let summary = summary(500, name);
        let tally = Tally {
            members: 1_234,
            open: 1_000,
            cleared: 9,
            held: 285,
            held_pages: 0,
            worst: Some(Severity::Critical),
        };
        let handle = Handle("<eu-1.storm-7.0@example.com>".into());
        digest.messages = 3;
        check(&Message {
            matter: Matter::Storm(Storm { digest: &digest, tally, summary: &summary }),
            action,
            notification_id: "storm-7-4",
            handle: Some(&handle),
            now: wall(130),
            site: SITE,
        });
    }

    #[test]
    fn a_digest_says_how_many_how_bad_who_and_where() {
        told(Action::Update, "shop", |message| {
            let facts = Facts::of(message);
            assert_eq!(facts.line(), "[STORM] 1,234 incidents in one message: 1,000 open, 234 resolved");
            assert_eq!(facts.rules, ["requests-per-client (warning): 280", "on shop: 300"]);
            assert_eq!(facts.participants[0], ("203.0.113.7".to_owned(), "12".to_owned()));
            assert!(facts.remarks[0].starts_with("285 held back since 2026-01-02 03:05:05"), "{facts:?}");
            assert_eq!(facts.remarks[1], "9 opened and cleared before notification.");
            assert_eq!(facts.remarks[2], "500 of 1,234 ids are listed here.");
            let body: Value = serde_json::from_str(&webhook::body(message)).unwrap();
            assert_eq!(body["type"], "storm.digest");
            assert_eq!(body["data"]["incidents"].as_array().map(Vec::len), Some(500));
            assert_eq!(body["data"]["incidents_total"], 1_234);
            let event = pagerduty::event(message, &Own::default());
            assert_eq!(
                (&event["event_action"], &event["payload"]["severity"]),
                (&json!("trigger"), &json!("critical"))
            );
            assert_eq!(event["dedup_key"].as_str().map(|key| key.ends_with(".storm-7")), Some(true));
        });
        told(Action::Resolve, "shop", |message| {
            assert_eq!(pagerduty::event(message, &Own::default())["event_action"], "resolve");
            assert!(webhook::body(message).contains("\"storm.over\""));
        });
    }

    #[test]
    fn a_group_is_called_by_its_name() {
        let (wait, interval) = (Duration::from_secs(10), Duration::from_secs(300));
        let group = Group { name: r#"{service="shop"}"#.into(), wait, interval };
        let storm = Digest::begin(DigestId(7), "chat".into(), "slack-0".into(), false, wall(60));
        let digest = Digest { group: Some(group), ..storm };
        let tally =
            Tally { members: 3, open: 2, cleared: 0, held: 1, held_pages: 0, worst: Some(Severity::Error) };
        let summary = summary(3, "shop");
        let facts = Facts::of(&Message {
            matter: Matter::Storm(Storm { digest: &digest, tally, summary: &summary }),
            action: Action::Open,
            notification_id: "storm-7-1",
            handle: None,
            now: wall(130),
            site: SITE,
        });
        assert_eq!(facts.line(), r#"[ERROR] 3 more incidents of {service="shop"}: 2 open, 1 resolved"#);
    }

    #[test]
    fn it_fits_and_no_name_gets_out_of_its_place() {
        told(Action::Update, &HOSTILE.repeat(20), |message| {
            let rendered = slack::message(&Facts::of(message), &Own::default(), None);
            assert!(rendered.text.len() <= 3_800 && rendered.blocks.to_string().len() <= 12_000);
            for block in rendered.blocks.as_array().unwrap() {
                assert!(block["text"]["text"].as_str().unwrap_or_default().chars().count() <= 3_000);
            }
            assert!(rendered.blocks.to_string().contains("and 440 more"), "ids beyond the room are counted");
            assert!(!rendered.blocks.to_string().contains("<!"), "{}", rendered.blocks);
            let from = "beaconfire@example.com".parse().unwrap();
            let to = ["oncall@example.com".parse().unwrap()];
            let mail = String::from_utf8(email::mail(message, &Own::default(), &from, &to).unwrap()).unwrap();
            let (headers, body) = mail.split_once("\r\n\r\n").unwrap();
            assert!(!headers.contains("Bcc:"), "{headers}");
            // As plain text it is only text; lines end where they end in a mail, so their breaks are taken out.
            let (_, page) = body.split_once("text/html").unwrap();
            assert!(!page.replace("=\r\n", "").contains("<script"), "{page}");
            assert!(mail.contains("In-Reply-To: <eu-1.storm-7.0@example.com>"), "{mail}");
        });
    }
}
