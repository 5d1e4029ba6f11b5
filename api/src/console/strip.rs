//! The status strip on every page: an alerting tool must show that it is itself alive.

use std::time::Duration;

use beaconfire_model::Wall;
use maud::{Markup, html};

use super::words::{ago, clean, count, span};
use crate::{DeskError, ReceiverFacts, StatusFacts};

/// Input without a record for this long is shown as doubtful.
pub(super) const QUIET_INPUT: Duration = Duration::from_secs(300);
/// A receiver with something waiting for this long is shown as doubtful.
const SLOW_RECEIVER: Duration = Duration::from_secs(60);

pub(super) fn strip(status: &Result<StatusFacts, DeskError>, now: Wall) -> Markup {
    let Ok(status) = status else {
        return html! { div.strip { (light("bad", "status unknown", "our own status does not answer")) } };
    };
    html! {
        div.strip {
            (input(status, now))
            @if status.store_up { (light("good", "store", "up")) } @else { (light("bad", "store", "down: nothing is lost, reading waits")) }
            (receivers(&status.receivers, now))
            (light("none", "throttle", if status.throttle_mode == beaconfire_throttle::Mode::Enforce { "enforcing" } else { "dry run" }))
            span.version { "v" (clean(&status.version, 40)) " · up " (span(now.since(status.started))) }
        }
    }
}

fn input(status: &StatusFacts, now: Wall) -> Markup {
    let last = match status.last_record {
        Some(at) => format!("last record {}", ago(at.millis(), now)),
        None => "no record yet".to_owned(),
    };
    let lag = status.lag_records.map(|lag| format!(", lag {}", count(lag))).unwrap_or_default();
    let quiet = status.last_record.is_none_or(|at| now.since(at) > QUIET_INPUT);
    match status.kafka_up {
        Some(false) => light("bad", "input", &format!("Kafka does not answer; {last}{lag}")),
        _ if quiet => light("warn", "input", &format!("{last}{lag}")),
        _ => light("good", "input", &format!("{last}{lag}")),
    }
}

fn receivers(receivers: &[ReceiverFacts], now: Wall) -> Markup {
    if receivers.is_empty() {
        return light("warn", "receivers", "none configured");
    }
    let troubled: Vec<&ReceiverFacts> = receivers.iter().filter(|facts| is_troubled(facts, now)).collect();
    if troubled.is_empty() {
        return light("good", "receivers", &format!("{} fine", receivers.len()));
    }
    let names: Vec<String> = troubled
        .iter()
        .take(3)
        .map(|facts| format!("{}/{} ({} waiting)", facts.receiver, facts.integration, count(facts.pending)))
        .collect();
    let more = troubled.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    light("bad", "receivers", &format!("trouble: {}{more}", names.join(", ")))
}

fn is_troubled(facts: &ReceiverFacts, now: Wall) -> bool {
    facts.last_error.is_some() || facts.oldest_pending.is_some_and(|since| now.since(since) > SLOW_RECEIVER)
}

/// A dot of a colour, what it is about, and the same in words: colour alone says nothing to some.
fn light(class: &str, what: &str, says: &str) -> Markup {
    html! { span.light { span class={ "dot " (class) } aria-hidden="true" {} b { (what) } " " (clean(says, 300)) } }
}
