//! Numbers, times and names as people on call read them.

use std::time::Duration;

pub(crate) use beaconfire_incident::words::{count, window};

use beaconfire_incident::words::bytes;
use beaconfire_model::Untrusted;
use reqwest::Url;

/// What a rule counted: a share in per cent, bytes with a unit, else a number. A rule says by its threshold and name
/// which it is.
pub(crate) fn measure(rule: &str, threshold: f64, value: f64) -> String {
    if threshold > 0.0 && threshold < 1.0 {
        format!("{:.1} %", value * 100.0).replace(".0 %", " %")
    } else if rule.contains("bytes") {
        bytes(value)
    } else {
        count(value)
    }
}

/// A stretch of time, to two units: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn stretch(stretch: Duration) -> String {
    let seconds = stretch.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => join(hours, "h", minutes % 60, "min"),
        _ => join(days, "d", hours % 24, "h"),
    }
}

fn join(large: u64, unit: &str, small: u64, sub: &str) -> String {
    if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {sub}") }
}

/// A moment: `2026-01-02 03:04:05 UTC`.
pub(crate) fn moment(millis: i64) -> String {
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        // Outside years -9999 to 9999; the number still tells.
        Err(_) => format!("{millis} ms"),
    }
}

/// A stranger's text, harmless and at most about `max` bytes.
pub(crate) fn clean(text: &str, max: usize) -> String {
    Untrusted::new(text, max).clean().to_owned()
}

/// Text cut to at most `max` characters, saying so where it is cut.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Text in which no client finds a link or a name to mention: `://` and what follows an `@` are parted by a space of no
/// width.
pub(crate) fn unlinked(text: &str) -> String {
    text.replace("://", ":\u{200b}//").replace('@', "@\u{200b}")
}

/// An address that people may follow: http or https, without anything that ends a link early in any channel. Only
/// the operator's own addresses come here, never a stranger's.
pub(crate) fn link(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let mut out = String::with_capacity(url.as_str().len());
    for c in url.as_str().chars() {
        match c {
            '|' => out.push_str("%7C"),
            '<' => out.push_str("%3C"),
            '>' => out.push_str("%3E"),
            '"' => out.push_str("%22"),
            '\'' => out.push_str("%27"),
            other => out.push(other),
        }
    }
    (out.len() <= 2_000).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (11_100, "3 h 5 min"),
            (187_200, "2 d 4 h"),
        ] {
            assert_eq!(stretch(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn measures_say_what_they_are() {
        for (rule, threshold, value, text) in [
            ("requests-per-client", 600.0, 4_120.0, "4,120"),
            ("server-errors", 0.1, 0.375, "37.5 %"),
            ("server-errors", 0.1, 0.1, "10 %"),
            ("bytes-per-client", 2_147_483_648.0, 3_221_225_472.0, "3.0 GiB"),
            ("own", 0.0, 1.0, "1"),
        ] {
            assert_eq!(measure(rule, threshold, value), text);
        }
    }

    #[test]
    fn only_web_addresses_are_links() {
        for (text, held) in [
            ("https://wiki.example.com/a b|c", Some("https://wiki.example.com/a%20b%7Cc")),
            ("https://wiki.example.com/?q=<x>", Some("https://wiki.example.com/?q=%3Cx%3E")),
            ("javascript:alert(1)", None),
            ("wiki/shop", None),
            ("", None),
        ] {
            assert_eq!(link(text).as_deref(), held, "{text}");
        }
    }

    #[test]
    fn cutting_counts_characters_and_says_so() {
        assert_eq!(cut("ééé", 3), "ééé");
        assert_eq!(cut("éééé", 3), "éé…");
    }
}
