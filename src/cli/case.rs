//! One incident for people: what happens, how far over which limit, who takes part, what was told.

use std::io::Write;

use serde_json::Value;

use super::output::{cell, table};

/// Participants shown; `--output json` has all.
const PARTICIPANTS: usize = 20;
/// Attempts to tell that are shown, the latest.
const DELIVERIES: usize = 10;

/// Prints `GET /api/v1/incidents/{id}`.
pub(super) fn print(incident: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let of = |name: &str| text(&incident[name]);
    writeln!(out, "{}  {}  {}\n", of("severity").to_uppercase(), of("status"), of("title"))?;
    let target = format!("{} {}", text(&incident["target"]["kind"]), text(&incident["target"]["name"]));
    let held = &incident["acknowledged"];
    let held = match held.is_null() {
        true => String::new(),
        false => format!("{}, until {}", text(&held["by"]), second(&text(&held["until"]))),
    };
    let labels = pairs(&incident["labels"]);
    for (name, value) in [
        ("id", format!("{} (episode {})", of("id"), of("episode"))),
        ("what", format!("{} on {target}", of("kind"))),
        ("began", second(&of("started_at"))),
        ("detected", second(&of("detected_at"))),
        ("last seen", second(&of("last_seen_at"))),
        ("resolved", second(&of("resolved_at"))),
        ("resolved by", of("resolved_by")),
        ("acknowledged by", held),
        ("given to", of("assignee")),
        ("labels", labels),
        ("runbook", of("runbook_url")),
        (
            "note",
            if incident["stale"] == true {
                "found too late to tell anybody".to_owned()
            } else {
                String::new()
            },
        ),
    ] {
        if !value.is_empty() {
            writeln!(out, "{name:<16} {value}")?;
        }
    }

    let signals = rows(&incident["signals"], |signal| {
        let over = format!(
            "{} > {} in {} s",
            text(&signal["observed"]),
            text(&signal["threshold"]),
            text(&signal["window_seconds"])
        );
        [text(&signal["rule"]), text(&signal["subject"]), over, second(&text(&signal["first_at"]))]
    });
    section("Signals", ["rule", "subject", "observed", "first"], &signals, out)?;

    let links = rows(&incident["links"], |one| {
        [text(&one["relation"]), text(&one["id"]), text(&one["title"]), text(&one["reason"])]
    });
    section("Linked", ["how", "incident", "what", "why"], &links, out)?;

    let participants = rows(&incident["participants"], |one| {
        [
            text(&one["value"]),
            text(&one["events"]),
            second(&text(&one["first_seen"])),
            second(&text(&one["last_seen"])),
        ]
    });
    let shown = &participants[..participants.len().min(PARTICIPANTS)];
    let about = if incident["participants_estimated"] == true { "about " } else { "" };
    let title = format!("Participants ({about}{})", of("participants_total"));
    section(&title, ["who", "events", "first", "last"], shown, out)?;
    if participants.len() > shown.len() {
        writeln!(out, "… `--output json` has {} of them", participants.len())?;
    }

    let timeline = rows(&incident["timeline"], |entry| {
        [second(&text(&entry["at"])), text(&entry["actor"]), text(&entry["what"]), text(&entry["text"])]
    });
    section("Timeline", ["at", "who", "what", "in words"], &timeline, out)?;

    let samples = rows(&incident["samples"], |sample| {
        [second(&text(&sample["at"])), text(&sample["client"]), text(&sample["text"]), text(&sample["by"])]
    });
    section("Samples", ["at", "client", "record", "by"], &samples, out)?;

    let told = rows(&incident["notifications"], |row| {
        let next = match row["next_at"].as_str() {
            Some(at) => format!("{} from {}", text(&row["still_to_tell"]), second(&cell(at))),
            None => String::new(),
        };
        let why = [&row["because"], &row["reason"]].into_iter().find(|why| why.is_string());
        let fate = match why {
            Some(why) => format!("{}: {}", text(&row["fate"]), text(why)),
            None => text(&row["fate"]),
        };
        [
            text(&row["receiver"]),
            text(&row["integration"]),
            fate,
            text(&row["messages"]),
            next,
            text(&row["last_error"]),
        ]
    });
    section("Told", ["receiver", "integration", "fate", "messages", "next", "last error"], &told, out)?;

    let deliveries = rows(&incident["deliveries"], |one| {
        [
            second(&text(&one["at"])),
            text(&one["receiver"]),
            text(&one["action"]),
            text(&one["outcome"]),
            text(&one["said"]),
        ]
    });
    let latest = &deliveries[deliveries.len().saturating_sub(DELIVERIES)..];
    section("Attempts to tell", ["at", "receiver", "action", "outcome", "it said"], latest, out)?;

    let decisions = rows(&incident["decisions"], |one| {
        [
            text(&one["value"]),
            text(&one["action"]),
            text(&one["mode"]),
            second(&text(&one["expires_at"])),
            second(&text(&one["deleted_at"])),
        ]
    });
    section("Throttled", ["who", "action", "mode", "until", "taken back"], &decisions, out)
}

/// A time of the API to the second: people compare it with their logs.
pub(super) fn second(at: &str) -> String {
    match at.split_once('.') {
        Some((whole, rest)) if rest.ends_with('Z') => format!("{whole}Z"),
        _ => at.to_owned(),
    }
}

fn section<const N: usize>(
    title: &str,
    header: [&str; N],
    rows: &[[String; N]],
    out: &mut impl Write,
) -> std::io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    table(header, rows, out)
}

fn rows<const N: usize>(items: &Value, row: impl Fn(&Value) -> [String; N]) -> Vec<[String; N]> {
    items.as_array().map_or_else(Vec::new, |items| items.iter().map(row).collect())
}

/// A value as a person reads it; nothing where there is none.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        // Whole numbers come as 412.0.
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        other => cell(&other.to_string()),
    }
}

fn pairs(labels: &Value) -> String {
    let Some(labels) = labels.as_object() else { return String::new() };
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{}={}", cell(name), text(value))).collect();
    pairs.join(" ")
}
