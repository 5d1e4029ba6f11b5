//! Times, durations, numbers and strangers' text, as a person reads them at night.

use std::time::Duration;

use beaconfire_model::{EventTime, Untrusted, Wall};
use maud::{Markup, html};

/// A stranger's text: control, bidi and invisible characters made visible, cut at `max` bytes. Markup is escaped by
/// maud, where it is put in.
pub(super) fn clean(text: &str, max: usize) -> String {
    Untrusted::new(text, max).clean().to_owned()
}

/// A moment: `2026-01-02 03:04:05 UTC`.
pub(super) fn moment(millis: i64) -> Markup {
    let stamp = Wall::from_millis(millis.div_euclid(1000) * 1000).to_string();
    let shown = format!("{} UTC", stamp.replacen('T', " ", 1).trim_end_matches('Z'));
    html! { time datetime=(stamp) { (shown) } }
}

/// A moment and how long ago that was.
pub(super) fn moment_ago(millis: i64, now: Wall) -> Markup {
    html! { (moment(millis)) " " span.dim { "(" (ago(millis, now)) ")" } }
}

/// The time of day, for charts: `03:04:05`.
pub(super) fn time_of_day(at: EventTime) -> String {
    let seconds = at.millis().div_euclid(1000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `12 s ago`, `just now`, `in 3 min`.
pub(super) fn ago(millis: i64, now: Wall) -> String {
    let at = Wall::from_millis(millis);
    if now < at.minus(Duration::from_secs(1)) {
        format!("in {}", span(at.since(now)))
    } else if now.since(at) < Duration::from_secs(1) {
        "just now".to_owned()
    } else {
        format!("{} ago", span(now.since(at)))
    }
}

/// The two largest units: `12 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (large, small) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3600 => ((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => ((seconds / 3600, "h"), (seconds / 60 % 60, "min")),
        _ => ((seconds / 86_400, "d"), (seconds / 3600 % 24, "h")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
    }
}

/// A count with commas; with a threshold below one it is a share, and shown in per cent.
pub(super) fn amount(value: f64, threshold: f64) -> String {
    if threshold > 0.0 && threshold < 1.0 {
        return format!("{:.1} %", value * 100.0);
    }
    if value.fract() != 0.0 && value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    count(value.round().clamp(0.0, 9e15) as u64)
}

/// `1,234,567`.
pub(super) fn count(value: u64) -> String {
    beaconfire_incident::words::count(value as f64)
}

/// `1 client`, `2 clients`.
pub(super) fn plural(value: u64, one: &str) -> String {
    let s = if value == 1 { "" } else { "s" };
    format!("{} {one}{s}", count(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_read_well() {
        assert_eq!(span(Duration::from_secs(59)), "59 s");
        assert_eq!(span(Duration::from_secs(200)), "3 min 20 s");
        assert_eq!(span(Duration::from_secs(7200)), "2 h");
        assert_eq!(span(Duration::from_secs(4 * 86_400 + 3 * 3600)), "4 d 3 h");
        let now = Wall::from_millis(1_767_323_045_000);
        assert_eq!(ago(1_767_323_033_000, now), "12 s ago");
        assert_eq!(ago(1_767_323_225_000, now), "in 3 min");
        assert_eq!(ago(1_767_323_045_400, now), "just now");
        assert_eq!(
            moment(1_767_323_045_120).into_string(),
            "<time datetime=\"2026-01-02T03:04:05Z\">2026-01-02 03:04:05 UTC</time>"
        );
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(amount(0.123, 0.1), "12.3 %");
        assert_eq!(amount(12_000.0, 600.0), "12,000");
        assert_eq!(amount(f64::INFINITY, 600.0), "9,000,000,000,000,000");
        assert_eq!(plural(1, "client"), "1 client");
    }
}
