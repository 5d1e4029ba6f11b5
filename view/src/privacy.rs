//! `privacy.query`: query strings hold tokens, addresses and searches of people, and need not leave the process for
//! an incident to be understood.

use std::borrow::Cow;

use beaconfire_incident::{Dossier, TimelineEntry};
use beaconfire_model::{Subject, Untrusted};

/// What of a request may leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privacy {
    /// Query strings are cut out.
    #[default]
    Redact,
    /// Everything is shown.
    Keep,
}

impl Privacy {
    /// The text as it may be shown.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Redact => redact_query(text),
            Self::Keep => Cow::Borrowed(text),
        }
    }

    /// Everything that senders wrote of an incident, as it may be shown: raw records, names, the timeline but for notes,
    /// which are people's own words.
    pub fn apply_to_dossier(self, dossier: &mut Dossier) {
        if self == Self::Keep {
            return;
        }
        for sample in &mut dossier.samples {
            sample.text = Untrusted::new(&self.apply(sample.text.clean()), 512);
            sample.by = Untrusted::new(&self.apply(sample.by.clean()), 256);
        }
        let participants = dossier.participants.iter_mut().map(|row| &mut row.subject);
        let signals = dossier.signals.iter_mut().map(|row| &mut row.subject);
        for subject in participants.chain(signals).chain([&mut dossier.incident.target]) {
            if let Cow::Owned(shown) = self.apply(&subject.value) {
                *subject = Subject::new(subject.kind, shown);
            }
        }
        self.apply_to_timeline(&mut dossier.timeline);
    }

    /// A timeline as it may be shown.
    pub fn apply_to_timeline(self, timeline: &mut [TimelineEntry]) {
        for line in timeline.iter_mut().filter(|line| line.what != "noted") {
            line.text = self.apply(&line.text).into_owned();
        }
    }

    /// A whole record as it came, which may be broken, as it may be shown. `keys` are those under which JSON records
    /// hold a query string alone.
    pub fn apply_to_record<'t>(self, text: &'t str, keys: &[&str]) -> Cow<'t, str> {
        match self {
            Self::Redact => redact_record(text, keys),
            Self::Keep => Cow::Borrowed(text),
        }
    }
}

/// Cuts query strings (and what follows them within a word): `GET /path?a=b 404` becomes `GET /path?… 404`. A
/// question mark that ends a word is a question mark. Quotes and brackets that close around an address stay.
pub fn redact_query(text: &str) -> Cow<'_, str> {
    if !text.contains('?') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end_matches(char::is_whitespace);
        let closed = bare.trim_end_matches(['"', '\'', ')', ']', '>', '`']);
        match closed.split_once('?') {
            Some((before, query)) if !query.is_empty() && query != "…" => {
                out.push_str(before);
                out.push_str("?…");
                out.push_str(&word[closed.len()..]);
            }
            _ => out.push_str(word),
        }
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Cuts what stands behind a question mark, up to the end of its string or line but for an HTTP version, and the
/// strings under `keys`. A raw record is not split at blanks: senders may write those into a query. As the record may
/// be broken it is read as text, and what is in doubt is cut.
fn redact_record<'t>(text: &'t str, keys: &[&str]) -> Cow<'t, str> {
    match redact_columns(text) {
        Cow::Borrowed(text) => redact_marked(text, keys),
        Cow::Owned(text) => Cow::Owned(redact_marked(&text, keys).into_owned()),
    }
}

/// Tabs in a line from which on it is a row of columns, as CloudFront writes them.
const COLUMNS: usize = 11;

/// Cuts the columns that may be a query or cookies: those with an equals sign. They have no question mark before them.
fn redact_columns(text: &str) -> Cow<'_, str> {
    let is_row = |line: &str| line.bytes().filter(|byte| *byte == b'\t').count() >= COLUMNS;
    if !text.contains('\t') || !text.lines().any(is_row) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let is_row = is_row(line);
        for column in line.split_inclusive(['\t', '\n']) {
            let bare = column.trim_end_matches(['\t', '\n']);
            out.push_str(if is_row && bare.contains('=') { "…" } else { bare });
            out.push_str(&column[bare.len()..]);
        }
    }
    Cow::Owned(out)
}

/// Cuts what a question mark or one of the keys goes before.
fn redact_marked<'t>(text: &'t str, keys: &[&str]) -> Cow<'t, str> {
    let mut out = String::new();
    let (mut copied, mut at, mut level) = (0, 0, 0);
    while let Some(found) = text[at..].find(['?', '"']) {
        let mark = at + found;
        at = mark + 1;
        let hidden = if text.as_bytes()[mark] == b'?' {
            let end = string_end(text, at, level);
            let query = &text[at..end];
            let version = query
                .rmatch_indices(" HTTP/")
                .find(|(at, _)| query.as_bytes().get(at + 6).is_some_and(u8::is_ascii_digit));
            at..version.map_or(end, |(before, _)| at + before)
        } else {
            let slashes = backslashes(text, mark);
            // Inside a string, a quote that opens one of a record within the record stands behind its punctuation.
            if matches!(text[..mark - slashes].bytes().last(), None | Some(b' ' | b'{' | b'[' | b',' | b':'))
            {
                level = slashes;
            }
            match value_of_key(text, mark, slashes, keys) {
                Some(start) => start..string_end(text, start, slashes),
                None => continue,
            }
        };
        at = hidden.end;
        if !hidden.is_empty() && text[hidden.clone()] != *"…" {
            out.push_str(&text[copied..hidden.start]);
            out.push('…');
            copied = hidden.end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// How many backslashes stand before this place.
fn backslashes(text: &str, at: usize) -> usize {
    text[..at].bytes().rev().take_while(|byte| *byte == b'\\').count()
}

/// Where the string value begins, if a key whose value is a query string is quoted here, behind so many backslashes: none
/// in plain JSON, one in JSON within a string of JSON, and so on.
fn value_of_key<'t>(text: &'t str, quote: usize, slashes: usize, keys: &[&str]) -> Option<usize> {
    let quoted = |rest: &'_ str| -> Option<usize> {
        let behind = rest.trim_start_matches('\\');
        (rest.len() - behind.len() == slashes && behind.starts_with('"')).then_some(slashes + 1)
    };
    let rest = &text[quote + 1..];
    let key = keys.iter().find(|key| rest.starts_with(**key) && quoted(&rest[key.len()..]).is_some())?;
    let rest = rest[key.len() + slashes + 1..].trim_start();
    let rest = match rest.strip_prefix(':') {
        Some(rest) => rest.trim_start(),
        // OpenTelemetry's attributes name the key in one pair and have the value in the next.
        None => {
            let word = |rest: &'t str, mark: char, word: &str| {
                let rest = rest.trim_start().strip_prefix(mark)?.trim_start();
                let rest = rest.get(quoted(rest)?..)?.strip_prefix(word)?;
                rest.get(quoted(rest)?..)
            };
            let rest = word(word(rest, ',', "value")?.trim_start().strip_prefix(':')?, '{', "stringValue")?;
            rest.trim_start().strip_prefix(':')?.trim_start()
        }
    };
    Some(text.len() - rest.len() + quoted(rest)?)
}

/// Where a string ends whose quotes stand behind so many backslashes, seen from inside it: at such a quote (a quote of
/// its own text has more of them), at one of a string around it, at the line's end, or at the end of it all. A quote
/// that nobody escaped ends nothing where the text goes on behind it.
fn string_end(text: &str, from: usize, level: usize) -> usize {
    let unit = level + 1;
    let mut at = from;
    while let Some(found) = text[at..].find(['"', '\n']) {
        let end = at + found;
        if text.as_bytes()[end] == b'\n' {
            return end;
        }
        let slashes = backslashes(&text[from..], end - from);
        let closes = slashes <= level || (slashes - level).is_multiple_of(2 * unit);
        // What follows a field in JSON and in access logs.
        let next = text[end + 1..].trim_start().bytes().next();
        if closes && next.is_none_or(|next| next.is_ascii_digit() || b",:}]\\\"-".contains(&next)) {
            return end - slashes.min(level);
        }
        at = end + 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_cut_and_the_rest_stays() {
        for (text, redacted) in [
            ("GET /path?a=b 404", "GET /path?… 404"),
            ("GET /path?a=b?c=d&e HTTP/1.1", "GET /path?… HTTP/1.1"),
            ("\"GET /a?token=x\" 200", "\"GET /a?…\" 200"),
            ("curl 'http://h/p?k=v#f' -o x", "curl 'http://h/p?…' -o x"),
            ("login?user=a\tnext?b=c", "login?…\tnext?…"),
            ("(+http://bot.example/?id=1)", "(+http://bot.example/?…)"),
            ("who was it? nobody", "who was it? nobody"),
            ("/path?", "/path?"),
            ("/path?…", "/path?…"),
            ("no question", "no question"),
        ] {
            assert_eq!(redact_query(text), redacted, "{text}");
            assert_eq!(redact_query(redacted), redacted, "again: {redacted}");
            assert_eq!(Privacy::Keep.apply(text), text);
        }
    }

    const KEYS: [&str; 2] = ["args", "query"];

    #[track_caller]
    fn record(text: &str, redacted: &str) {
        assert_eq!(redact_record(text, &KEYS), redacted, "{text}");
        assert_eq!(redact_record(redacted, &KEYS), redacted, "again: {redacted}");
        assert_eq!(Privacy::Keep.apply_to_record(text, &KEYS), text);
    }

    #[test]
    fn records_lose_their_queries_up_to_the_strings_end() {
        record(
            r#"192.0.2.1 - - [x] "GET /s?q=jane doe HTTP/1.1" 200 5 "http://h/?a=b c" "curl""#,
            r#"192.0.2.1 - - [x] "GET /s?… HTTP/1.1" 200 5 "http://h/?…" "curl""#,
        );
        record(r#""GET /s?q= HTTP/9 jane HTTP/1.1" 200"#, r#""GET /s?… HTTP/1.1" 200"#);
        record(r#""GET /s?q=jane HTTP/doe" 200"#, r#""GET /s?…" 200"#);
        record(r#""GET /s?q="jane" doe x HTTP/1.1" 200"#, r#""GET /s?… HTTP/1.1" 200"#);
        record("GET /s?q=jane doe 200\nGET / 200", "GET /s?…\nGET / 200");
        record(r#""GET /s? HTTP/1.1" 200"#, r#""GET /s? HTTP/1.1" 200"#);
        record(r#"{"path":"/s?q=jane \"doe\" x","status":2"#, r#"{"path":"/s?…","status":2"#);
        record(r#"{"path":"/s?q=jane \\","status":2"#, r#"{"path":"/s?…","status":2"#);
        record(r#"{"path":"/a\"b?q=\"jane doe"#, r#"{"path":"/a\"b?…"#);
        record(
            r#"{"log":"x \"GET /s?q=jane doe HTTP/1.1\" 200","a":1}"#,
            r#"{"log":"x \"GET /s?… HTTP/1.1\" 200","a":1}"#,
        );
        record(
            r#"{"log":"{\"uri\":\"/s?q=jane \\\"doe\\\"\",\"status\":\"200\"}\n","a":1}"#,
            r#"{"log":"{\"uri\":\"/s?…\",\"status\":\"200\"}\n","a":1}"#,
        );
    }

    #[test]
    fn records_lose_the_strings_under_the_keys_of_queries() {
        record(r#"{"uri":"/s","args":"q=jane doe","status":2"#, r#"{"uri":"/s","args":"…","status":2"#);
        record(r#"{"args" : "q=\"jane\" doe\\", "a":"b"}"#, r#"{"args" : "…", "a":"b"}"#);
        record(r#"{"query":"q=ja"#, r#"{"query":"…"#);
        record(r#"{"query":"","args":"-","query":"?q"}"#, r#"{"query":"","args":"…","query":"…"}"#);
        record(
            r#"{"log":"{\"args\":\"q=\\\"jane\\\" doe\",\"status\":2}\n"}"#,
            r#"{"log":"{\"args\":\"…\",\"status\":2}\n"}"#,
        );
        record(
            r#"{"a":"{\"b\":\"{\\\"args\\\":\\\"q=jane\\\"}\"}"}"#,
            r#"{"a":"{\"b\":\"{\\\"args\\\":\\\"…\\\"}\"}"}"#,
        );
        record(
            r#"{"args":7,"arg":"x","kind":"query","my_args":"x"}"#,
            r#"{"args":7,"arg":"x","kind":"query","my_args":"x"}"#,
        );
        record("\"args\":\"\u{fffd}…\"", "\"args\":\"…\"");
        record(
            r#"{"key":"query","value":{"stringValue":"q=jane doe"}},{"key":"x","value":{"stringValue":"y"}}"#,
            r#"{"key":"query","value":{"stringValue":"…"}},{"key":"x","value":{"stringValue":"y"}}"#,
        );
        record(
            r#"{"a":"{\"key\": \"query\", \"value\": {\"stringValue\": \"q=jane\"}}"}"#,
            r#"{"a":"{\"key\": \"query\", \"value\": {\"stringValue\": \"…\"}}"}"#,
        );
        record(r#"{"key":"query","value":{"intValue":"7"}}"#, r#"{"key":"query","value":{"intValue":"7"}}"#);
    }

    #[test]
    fn records_in_columns_lose_those_that_may_be_queries() {
        let row = |query: &str, cookie: &str| {
            format!(
                "2026-01-02\t03:04:05\tX1\t5\t192.0.2.1\tGET\th\t/s\t200\t-\tcurl\t{query}\t{cookie}\tHit"
            )
        };
        record(&row("q=jane", "id=7"), &row("…", "…"));
        record(
            &format!("{}\n{}", row("-", "-"), row("q=jane doe", "-")),
            &format!("{}\n{}", row("-", "-"), row("…", "-")),
        );
        record("a\tb=c", "a\tb=c");
    }
    /// Senders write what is in records, and this runs where records are read.
    #[test]
    fn no_record_makes_it_panic() {
        let pieces = ["?", "\"", "\\", " ", "\n", "é", "…", "args", "query", ":", ",", "{", " HTTP/1.1", "x"];
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            let redacted = redact_record(&text, &KEYS);
            assert!(redacted.matches('"').count() <= text.matches('"').count(), "{text}");
        }
    }
}
