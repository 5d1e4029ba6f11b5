//! Lines of text: what their formats share. A line's first bytes tell which of them may have written it.

use beaconfire_model::EventTime;
use memchr::memchr;

use super::{Line, alb, cloudfront, combined, envoy_text, haproxy};
use crate::Format;
use crate::scan::{self, Everywhere, Look};
use crate::time::Clock;

/// A line, taken apart. Text that the line does not have, or has as `-`, is empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Access<'b> {
    pub(crate) format: Format,
    pub(crate) time: EventTime,
    /// The socket's other end.
    pub(crate) peer: &'b str,
    /// X-Forwarded-For.
    pub(crate) forwarded: &'b str,
    /// The line has no peer, but its last X-Forwarded-For is one if the operator says so.
    pub(crate) peer_appended: bool,
    pub(crate) request: Line<'b>,
    /// Counts where the request line has no host.
    pub(crate) host: &'b str,
    /// Counts where the request line has no query.
    pub(crate) query: &'b str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) duration_micros: Option<u64>,
    pub(crate) user_agent: &'b str,
    pub(crate) request_id: &'b str,
    pub(crate) namespace: &'b str,
    pub(crate) service: &'b str,
    /// Where all this stood, for `explain`.
    pub(crate) places: &'static Places,
}

/// Where a format has its fields, in words; empty where it has none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) time: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) forwarded: &'static str,
    pub(crate) request: &'static str,
    pub(crate) host: &'static str,
    pub(crate) query: &'static str,
    pub(crate) status: &'static str,
    pub(crate) bytes: &'static str,
    pub(crate) duration: &'static str,
    pub(crate) user_agent: &'static str,
    pub(crate) request_id: &'static str,
    pub(crate) service: &'static str,
}

/// Which format's first bytes a line has, of those that have some of their own.
fn family(line: &str) -> Option<Format> {
    match line.as_bytes().first()? {
        b'[' => envoy_text::begins(line).then_some(Format::Envoy),
        b'h' | b'g' | b'w' => alb::begins(line).then_some(Format::Alb),
        b'0'..=b'9' => cloudfront::begins(line).then_some(Format::Cloudfront),
        _ => None,
    }
}

/// Takes a line apart that is `wanted`, or anything under [`Format::Auto`]; `None` where it is not.
///
/// What most lines are is asked last, and its answer handed on as it is: moving it to and fro costs more than the
/// questions.
#[inline(always)]
pub(crate) fn read<'b>(line: &'b str, wanted: Format, clock: &mut Clock) -> Option<Access<'b>> {
    if matches!(wanted, Format::Auto | Format::Envoy | Format::Alb | Format::Cloudfront)
        && let Some(format) = family(line)
        && (wanted == Format::Auto || wanted == format)
        && let Some(access) = special(line, format, clock)
    {
        return Some(access);
    }
    // Raw text of a sender's in one of HAProxy's lines may be all of another's.
    if wanted == Format::Auto
        && haproxy::begins(line)
        && let Some(access) = haproxy::scan(line, true, clock)
    {
        return Some(access);
    }
    // A vhost may begin like any of them: whoever asked wrote it.
    if matches!(wanted, Format::Auto | Format::Combined | Format::IngressNginx | Format::Traefik) {
        match combined::scan(line, wanted, clock) {
            None if wanted == Format::Auto => haproxy::scan(line, false, clock),
            access => access,
        }
    } else if wanted == Format::Haproxy {
        haproxy::scan(line, false, clock)
    } else {
        None
    }
}

#[inline(never)]
fn special<'b>(line: &'b str, format: Format, clock: &mut Clock) -> Option<Access<'b>> {
    match format {
        Format::Envoy => envoy_text::scan(line, clock),
        Format::Alb => alb::scan(line, clock),
        _ => cloudfront::scan(line, clock),
    }
}

/// Whether a line looks like one of these formats from afar: for telling a broken line from other text.
pub(crate) fn resembles(line: &str) -> bool {
    family(line).is_some() || haproxy::begins(line) || combined::resembles(line)
}

/// Whether text that begins with a bracket or brace is a line all the same: Envoy's time stands in brackets, and a vhost
/// is whatever a sender called it, who is not to hide a request behind that.
pub(crate) fn only_begins_like_json(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('[') else { return ends_like_a_line(text) };
    let end = inside.find(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.').unwrap_or(inside.len());
    let (first, rest) = inside.split_at(end);
    match rest.bytes().next() {
        None | Some(b',') => false,
        Some(b']') if first.contains(':') => true,
        Some(_) => ends_like_a_line(text),
    }
}

/// Whether no value of JSON ends where this does, and there is an access log's time in it.
fn ends_like_a_line(text: &str) -> bool {
    !text.ends_with(['}', ']']) && combined::resembles(text)
}

/// The fields of a line, one after the other: words between blanks, and text in quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words<'b> {
    line: &'b str,
    at: usize,
}

impl<'b> Words<'b> {
    /// From this place on, at a field's first byte.
    pub(crate) fn at(line: &'b str, at: usize) -> Self {
        Self { line, at }
    }

    /// What is left of the line.
    pub(crate) fn rest(self) -> &'b str {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// The next field if it is a word, without quotes.
    pub(crate) fn word(&mut self) -> Option<&'b str> {
        if self.rest().starts_with('"') { None } else { self.next() }
    }

    /// The next field if it is quoted.
    pub(crate) fn quoted(&mut self) -> Option<&'b str> {
        if self.rest().starts_with('"') { self.next() } else { None }
    }
}

impl<'b> Iterator for Words<'b> {
    type Item = &'b str;

    fn next(&mut self) -> Option<&'b str> {
        let rest = self.rest();
        if rest.is_empty() {
            return None;
        }
        let (text, end) = if rest.starts_with('"') {
            quote(self.line, self.at + 1)
        } else {
            let end = memchr(b' ', rest.as_bytes()).map_or(self.line.len(), |found| self.at + found);
            (&self.line[self.at..end], end)
        };
        self.at = end + 1;
        Some(text)
    }
}

/// The field that begins at `start`, behind its quote, and the place behind its end. Without an end it is the rest.
///
/// A quote ends it only before a blank or the line's end: not every server escapes those of its senders.
pub(crate) fn quote(line: &str, start: usize) -> (&str, usize) {
    quote_by(Everywhere, line, start)
}

/// The same, by whatever way to look.
#[inline(always)]
pub(crate) fn quote_by(look: impl Look, line: &str, start: usize) -> (&str, usize) {
    let bytes = line.as_bytes();
    let mut at = start;
    while let Some(found) = scan::far_quote_or_backslash(look, bytes, at) {
        at = found;
        if bytes[at] == b'"' && matches!(bytes.get(at + 1), None | Some(b' ')) {
            return (&line[start..at], at + 1);
        }
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    (line.get(start..).unwrap_or_default(), bytes.len())
}

/// `-` is how lines say "none".
#[inline]
pub(crate) fn some(text: &str) -> &str {
    if text == "-" { "" } else { text }
}

/// Digits alone, or `-`, which is none.
pub(crate) fn count(text: &str) -> Option<u64> {
    if text == "-" {
        return Some(0);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A status: up to three digits, `-` or `-1` where nothing was answered.
pub(crate) fn status(text: &str) -> Option<u16> {
    match text {
        "-" | "-1" => Some(0),
        _ if text.len() > 3 || !text.bytes().all(|byte| byte.is_ascii_digit()) => None,
        _ => text.parse().ok(),
    }
}

/// `0.012`: seconds in microseconds. Below zero is none.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    super::duration(text.parse().ok().filter(|seconds: &f64| seconds.is_finite()), 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_one_after_the_other() {
        let all = |line| Words::at(line, 0).collect::<Vec<_>>();
        assert_eq!(all(r#"a "b c" - "d"e f" g"#), ["a", "b c", "-", r#"d"e f"#, "g"]);
        assert_eq!(all(r#""a \" b" "c"#), [r#"a \" b"#, "c"]);
        assert_eq!(all("a  b"), ["a", "", "b"]);
        assert_eq!(all(""), Vec::<&str>::new());
        assert_eq!(Words::at("é\"", 0).word(), Some("é\""));
    }

    #[test]
    fn lines_that_begin_like_json_are_told_from_it() {
        for (text, meant) in [
            (r#"[2026-01-02T03:04:05Z] "GET / HTTP/2" 200"#, true),
            ("[2001:db8::1]:443 203.0.113.7 - -", true),
            ("[::1] 203.0.113.7 - -", true),
            (r#"[20 203.0.113.7 - - [x] "GET /""#, true),
            (r#"[1767323045.5,{"log":"a] "}]"#, false),
            (r#"{ 203.0.113.7 - - [x] "GET / HTTP/1.1" 200 5"#, true),
            (r#"{} 203.0.113.7 - - [x] "GET / HTTP/1.1" 200 5"#, true),
            (r#"[ 203.0.113.7 - - [x] "GET / HTTP/1.1" 200 5"#, true),
            (r#"{"log":"a] "}"#, false),
            (r#"{"log":"[x] \"GET /"#, false),
            (r#"[2033323045, {}]"#, false),
            (r#"[{"log":"a] "}]"#, false),
            (r#"["a] ","b"]"#, false),
            ("[]", false),
            ("[1]", false),
            ("[false]", false),
            ("[-1]", false),
            ("[ 1]", false),
            ("[", false),
            ("x", false),
        ] {
            assert_eq!(only_begins_like_json(text), meant, "{text}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!((count("-"), count("12"), count("+1"), count("")), (Some(0), Some(12), None, None));
        assert_eq!(
            (status("-1"), status("200"), status("0200"), status("x")),
            (Some(0), Some(200), None, None)
        );
        assert_eq!(
            (seconds("0.012"), seconds("-1"), seconds("-"), seconds("inf")),
            (Some(12_000), None, None, None)
        );
    }
}
