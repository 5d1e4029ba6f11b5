//! Decisions as CrowdSec's clients read them.

use beaconfire_model::Wall;
use beaconfire_throttle::Decision;
use serde::Serialize;

/// Who decided, in the one short word that becomes part of names of nftables sets.
pub(super) const ORIGIN: &str = "beaconfire";

/// All fields always: the firewall bouncer panics over a missing one.
#[derive(Serialize)]
struct Wire {
    duration: String,
    id: i64,
    origin: &'static str,
    scenario: String,
    scope: &'static str,
    #[serde(rename = "type")]
    action: &'static str,
    value: String,
}

#[derive(Serialize)]
struct Stream {
    deleted: Option<Vec<Wire>>,
    new: Option<Vec<Wire>>,
}

/// Whole seconds until it ends, rounded down.
pub(super) fn seconds_left(decision: &Decision, now: Wall) -> i64 {
    decision.expires.millis().saturating_sub(now.millis()).div_euclid(1000)
}

/// A list; never called with none (see `null` in the parent).
pub(super) fn array(decisions: &[Decision], now: Wall) -> String {
    text(&decisions.iter().map(|decision| active(decision, now)).collect::<Vec<_>>())
}

/// What was taken back and what is new; `null` for none, as LAPI has it.
pub(super) fn stream(deleted: &[Decision], new: &[Decision], now: Wall) -> String {
    let some = |list: Vec<Wire>| (!list.is_empty()).then_some(list);
    text(&Stream {
        deleted: some(deleted.iter().map(|decision| over(decision, now)).collect()),
        new: some(new.iter().map(|decision| active(decision, now)).collect()),
    })
}

fn text(value: &impl Serialize) -> String {
    // Strings and numbers always serialise; should that ever change, `null` is what every bouncer reads as nothing.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

fn active(decision: &Decision, now: Wall) -> Wire {
    wire(decision, go_duration(seconds_left(decision, now)))
}

/// Over: a negative duration, at least one second ago.
fn over(decision: &Decision, now: Wall) -> Wire {
    let end = decision.deleted.map_or(decision.expires, |deleted| deleted.min(decision.expires));
    wire(decision, go_duration(-(now.since(end).as_secs().max(1) as i64)))
}

fn wire(decision: &Decision, duration: String) -> Wire {
    Wire {
        duration,
        id: decision.id,
        origin: ORIGIN,
        scenario: decision.scenario.to_string(),
        scope: decision.scope().name(),
        action: decision.key.action.name(),
        value: decision.value(),
    }
}

/// Go's notation, whole seconds, no days: `3h59m49s`. The Lua bouncers read integers only.
fn go_duration(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let all = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (seconds, text) in [
            (1, "1s"),
            (60, "1m0s"),
            (3599, "59m59s"),
            (14_389, "3h59m49s"),
            (172_800, "48h0m0s"),
            (-1, "-1s"),
            (-61, "-1m1s"),
        ] {
            assert_eq!(go_duration(seconds), text);
        }
    }
}
