//! Rows of columns, as CloudFront writes them: a query there has no mark before it, and need not have an equals sign.

use std::borrow::Cow;

/// Tabs in a line from which on it is a row of columns, whatever it begins with.
const TABS: usize = 11;
/// The columns of the path and the status.
const PATH: usize = 7;
const STATUS: usize = 8;
/// The columns of the query and the cookies.
const HIDDEN: [usize; 2] = [11, 12];

/// Cuts the columns of a row that may be a query or cookies: where path and status are in their places those two and
/// all with an equals sign, else all that are not plainly something else, as its columns may be anywhere. Tabs may be
/// written as JSON has them, also within a string within a string.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    if !text.contains('\t') && !text.contains("\\t") && !text.contains("u0009") {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let tabs = tabs(line);
        let is_row =
            tabs.len() >= TABS || tabs.first().is_some_and(|(from, _)| ends_with_date(&line[..*from]));
        // The first begins with the line, with whatever stands before it.
        let column = |number: usize| {
            let (_, start) = *tabs.get(number.checked_sub(1)?)?;
            let end = tabs.get(number).map_or(line.len(), |(from, _)| *from);
            let column = &line[start..end];
            // The last may have the end of its line, or of the string around it, behind it.
            Some((start, &column[..column.find(['"', '\\', '\r', '\n']).unwrap_or(column.len())]))
        };
        let is_in_place = tabs.len() >= TABS
            && column(PATH).is_some_and(|(_, path)| path.starts_with('/'))
            && column(STATUS).is_some_and(|(_, status)| status.len() == 3 && status.parse::<u16>().is_ok());
        let mut copied = 0;
        for number in (1..=tabs.len()).filter(|_| is_row) {
            let Some((start, column)) = column(number) else { continue };
            let may_be_query = match is_in_place {
                true => column.contains('=') || HIDDEN.contains(&number) && !matches!(column, "-" | ""),
                false => !is_plain(column),
            };
            if may_be_query && column != "…" {
                out.push_str(&line[copied..start]);
                out.push('…');
                copied = start + column.len();
            }
        }
        out.push_str(&line[copied..]);
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Where the tabs begin and end.
fn tabs(line: &str) -> Vec<(usize, usize)> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(step) = line[at..].find(['\t', '\\']) {
        let from = at + step;
        at = from + 1;
        if bytes[from] == b'\\' {
            at += bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
            at += match &bytes[at..] {
                [b't', ..] => 1,
                [b'u', b'0', b'0', b'0', b'9', ..] => 5,
                _ => continue,
            };
        }
        found.push((from, at));
    }
    found
}

/// `2026-01-02`
fn ends_with_date(text: &str) -> bool {
    text.as_bytes().last_chunk::<10>().is_some_and(|date| {
        date.iter().enumerate().all(|(place, byte)| match place {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    })
}

/// Whether this is plainly no query: nothing, a number or time, an address, a method, or a result.
fn is_plain(column: &str) -> bool {
    let only = |marks: &[u8]| column.bytes().all(|byte| byte.is_ascii_digit() || marks.contains(&byte));
    matches!(column, "" | "-" | "Hit" | "Miss" | "Error" | "RefreshHit" | "http" | "https" | "ws" | "wss")
        || only(b".:-")
        || column.parse::<std::net::IpAddr>().is_ok()
        || matches!(column, "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH")
        || column.strip_prefix("HTTP/").is_some_and(|version| version.len() <= 3)
}
