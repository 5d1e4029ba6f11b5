//! Raw records as they may be shown: those that nobody could read, so that nobody knows where their queries are. They
//! are read as text, and what is in doubt is cut.

mod columns;

use std::borrow::Cow;
use std::ops::Range;

/// Where a topic's records have query strings, beside question marks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queries {
    /// The keys under which JSON holds a query string alone.
    pub keys: Vec<String>,
    /// Lines are put together as the operator says: quotes and blanks in them tell nothing.
    pub own_lines: bool,
    /// Some lines hold a query string that no question mark goes before.
    pub bare: bool,
}

/// What may be shown of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown<'t> {
    /// This.
    Record(Cow<'t, [u8]>),
    /// Nothing, for this reason: its queries cannot be told from the rest.
    Withheld(&'static str),
}

/// What may be shown of a record without its query strings.
pub(super) fn redact<'t>(record: &'t [u8], queries: &Queries) -> Shown<'t> {
    if queries.bare {
        return Shown::Withheld("lines of this topic's log_format hold query strings without a mark");
    }
    // Protobuf and the like: no text has these. Zeros at the end are a producer's.
    let text = record.trim_ascii_end();
    let text = &text[..text.len() - text.iter().rev().take_while(|byte| **byte == 0).count()];
    if text.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()) {
        return Shown::Withheld("it is binary");
    }
    match redact_text(&String::from_utf8_lossy(record), queries) {
        Cow::Owned(redacted) => Shown::Record(Cow::Owned(redacted.into_bytes())),
        // Nothing to hide: the bytes stay as they came, broken ones too.
        Cow::Borrowed(_) => Shown::Record(Cow::Borrowed(record)),
    }
}

/// Cuts what stands behind a question mark (also where JSON escapes it, as some write it), up to the end of its string or line but for an HTTP version, the values
/// under `keys`, and columns. A raw record is not split at blanks: senders may write those into a query.
fn redact_text<'t>(text: &'t str, queries: &Queries) -> Cow<'t, str> {
    match columns::redact(text) {
        Cow::Borrowed(text) => redact_marked(text, queries),
        Cow::Owned(text) => Cow::Owned(redact_marked(&text, queries).into_owned()),
    }
}

/// Cuts what a question mark or one of the keys goes before.
fn redact_marked<'t>(text: &'t str, queries: &Queries) -> Cow<'t, str> {
    let mut out = String::new();
    let (mut copied, mut at, mut level) = (0, 0, 0);
    while let Some(found) = text[at..].find(['?', '"', '\\']) {
        let mark = at + found;
        at = mark + 1;
        let hidden = if text.as_bytes()[mark] == b'?' {
            at..query_end(text, at, level, queries)
        } else if text.as_bytes()[mark] == b'\\' {
            // However many stand here: in JSON within JSON there are more.
            let behind = text[at..].trim_start_matches('\\');
            at = text.len() - behind.len();
            if !behind.starts_with("u003f") && !behind.starts_with("u003F") {
                continue;
            }
            at += "u003f".len();
            at..query_end(text, at, level, queries)
        } else {
            let slashes = backslashes(text, mark);
            // Inside a string, a quote that opens one of a record within the record stands behind its punctuation.
            if matches!(text[..mark - slashes].bytes().last(), None | Some(b' ' | b'{' | b'[' | b',' | b':'))
            {
                level = slashes;
            }
            let value = value_of_key(text, mark, slashes, &queries.keys);
            match value.or_else(|| value_before_key(text, mark, slashes, &queries.keys)) {
                Some(value) => value,
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

/// Where a query ends that begins here: at its string's end, or before an HTTP version in it.
///
/// In a line of text a sender's quote may stand within it that no server escaped, so the last version before a quote
/// ends it; and where the operator says how lines are put together, quotes say nothing.
fn query_end(text: &str, from: usize, level: usize, queries: &Queries) -> usize {
    let line = text[from..].split('\n').next().unwrap_or_default();
    let versions = |query: &'_ str| -> Vec<usize> {
        let is_version = |at: &usize| query.as_bytes().get(at + 6).is_some_and(u8::is_ascii_digit);
        query.match_indices(" HTTP/").map(|(at, _)| at).filter(is_version).collect()
    };
    let is_quoted = |at: &usize| {
        line[at + 6..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').starts_with(['"', '\\'])
    };
    let is_json = text.trim_start().starts_with('{') || text.trim_start().starts_with("[{");
    if queries.own_lines {
        return from + versions(line).last().copied().unwrap_or(line.len());
    }
    if !is_json && let Some(last) = versions(line).into_iter().rfind(is_quoted) {
        return from + last;
    }
    let end = string_end(text, from, level);
    from + versions(&text[from..end]).last().copied().unwrap_or(end - from)
}

/// Where the value is, if a key whose value is a query string is quoted here, behind so many backslashes: none in plain
/// JSON, one in JSON within a string of JSON, and so on.
fn value_of_key(text: &str, quote: usize, slashes: usize, keys: &[String]) -> Option<Range<usize>> {
    let rest = &text[quote + 1..];
    let is_here =
        |key: &&String| rest.strip_prefix(key.as_str()).is_some_and(|rest| opened(rest, slashes).is_some());
    let key = keys.iter().find(is_here)?;
    let rest = rest[key.len() + slashes + 1..].trim_start();
    let rest = match rest.strip_prefix(':') {
        Some(rest) => rest.trim_start(),
        // OpenTelemetry's attributes name the key in one pair and have the value, behind its type, in the next.
        None => {
            let rest = opened(rest.strip_prefix(',')?.trim_start(), slashes)?;
            let rest = opened(rest.strip_prefix("value")?, slashes)?.trim_start();
            let rest = rest.strip_prefix(':')?.trim_start().strip_prefix('{')?.trim_start();
            let rest = opened(rest, slashes)?;
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
            opened(rest, slashes)?.trim_start().strip_prefix(':')?.trim_start()
        }
    };
    value(text, text.len() - rest.len(), slashes)
}

/// Where the value of an attribute of OpenTelemetry's is whose key comes after it: what `value` that is quoted here holds,
/// if the key is one of those, or if it was cut off, as it might have been.
fn value_before_key(text: &str, quote: usize, slashes: usize, keys: &[String]) -> Option<Range<usize>> {
    if !text[..quote - slashes].trim_end().ends_with('{') {
        return None;
    }
    let rest = opened(text[quote + 1..].strip_prefix("value")?, slashes)?.trim_start();
    let object = rest.strip_prefix(':')?.trim_start();
    let kind = opened(object.strip_prefix('{')?.trim_start(), slashes)?;
    let inside = opened(kind.trim_start_matches(|c: char| c.is_ascii_alphabetic()), slashes)?;
    if !kind[..kind.len() - inside.len()].trim_end_matches(['\\', '"']).ends_with("Value") {
        return None;
    }
    let inside = inside.trim_start().strip_prefix(':')?.trim_start();
    let whole = value(text, text.len() - object.len(), slashes)?;
    let key = text.get(whole.end + 1..).and_then(|rest| {
        let rest = opened(rest.trim_start().strip_prefix(',')?.trim_start(), slashes)?;
        let rest = opened(rest.strip_prefix("key")?, slashes)?.trim_start().strip_prefix(':')?;
        let key = opened(rest.trim_start(), slashes)?;
        Some(&key[..key.find(['"', '\\'])?])
    });
    if key.is_some_and(|key| !keys.iter().any(|query| query == key)) {
        return None;
    }
    value(text, text.len() - inside.len(), slashes)
}

/// What stands behind a quote, behind so many backslashes.
fn opened(text: &str, slashes: usize) -> Option<&str> {
    let behind = text.trim_start_matches('\\');
    (text.len() - behind.len() == slashes).then(|| behind.strip_prefix('"'))?
}

/// The content of the value that begins here: of a string, a list, an object, or a number.
fn value(text: &str, from: usize, slashes: usize) -> Option<Range<usize>> {
    let rest = &text[from..];
    if opened(rest, slashes).is_some() {
        let start = from + slashes + 1;
        return Some(start..string_end(text, start, slashes));
    }
    if !rest.starts_with(['{', '[']) {
        let end = rest.find([',', '}', ']', '"', '\\', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        return (!matches!(&rest[..end], "null" | "true" | "false")).then_some(from..from + end);
    }
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(found) = text[at..].find(['{', '[', '}', ']', '"']) {
        let mark = at + found;
        at = mark + 1;
        match text.as_bytes()[mark] {
            b'{' | b'[' => depth += 1,
            b'"' => at = (string_end(text, at, slashes) + slashes + 1).clamp(at, text.len()),
            _ => depth -= 1,
        }
        while !text.is_char_boundary(at) {
            at += 1;
        }
        if depth == 0 {
            return Some(from + 1..mark);
        }
    }
    Some(from + 1..text.len())
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
mod tests;
