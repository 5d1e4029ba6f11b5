//! Standard access logs of CloudFront: fields between tabs, in the order that AWS gives. What senders wrote is
//! percent-encoded, so a tab is a tab.

use std::borrow::Cow;

use super::Line;
use super::text::{Access, Places, count, seconds, some, status};
use crate::Format;
use crate::time::Clock;

/// Fields that are looked at. The lines had fewer before some were added at the end; the first twelve were always there.
const FIELDS: usize = 24;

const DATE: usize = 0;
const TIME: usize = 1;
const BYTES: usize = 3;
const CLIENT: usize = 4;
const METHOD: usize = 5;
const DOMAIN: usize = 6;
const PATH: usize = 7;
const STATUS: usize = 8;
const AGENT: usize = 10;
const QUERY: usize = 11;
const ID: usize = 14;
const HOST: usize = 15;
const TOOK: usize = 18;
const FORWARDED: usize = 19;
const VERSION: usize = 23;

const PLACES: Places = Places {
    time: "date and time",
    peer: "c-ip",
    forwarded: "x-forwarded-for",
    request: "cs-method, cs-uri-stem and cs-protocol-version",
    host: "x-host-header, else cs(Host)",
    query: "cs-uri-query",
    status: "sc-status",
    bytes: "sc-bytes",
    duration: "time-taken",
    user_agent: "cs(User-Agent)",
    request_id: "x-edge-request-id",
    service: "cs(Host), the distribution's own name",
};

/// Takes a line apart; `None` where it is not of this format.
pub(crate) fn scan<'b>(line: &'b str, clock: &mut Clock) -> Option<Access<'b>> {
    let mut fields = [""; FIELDS];
    let mut found = 0;
    for (place, field) in fields.iter_mut().zip(line.split('\t')) {
        *place = some(field);
        found += 1;
    }
    if found <= QUERY || !fields[PATH].starts_with(['/', '*']) && !fields[PATH].is_empty() {
        return None;
    }
    let time = clock.date_and_time(fields[DATE], fields[TIME])?;
    let version = fields[VERSION];
    Some(Access {
        format: Format::Cloudfront,
        time,
        peer: fields[CLIENT],
        forwarded: fields[FORWARDED],
        peer_appended: false,
        request: Line {
            method: fields[METHOD],
            target: fields[PATH],
            version: version.strip_prefix("HTTP/").unwrap_or(version),
        },
        host: if fields[HOST].is_empty() { fields[DOMAIN] } else { fields[HOST] },
        query: fields[QUERY],
        // 000 where the viewer left before there was an answer.
        status: if fields[STATUS].is_empty() { 0 } else { status(fields[STATUS])? },
        bytes: if fields[BYTES].is_empty() { 0 } else { count(fields[BYTES])? },
        duration_micros: seconds(fields[TOOK]),
        user_agent: fields[AGENT],
        request_id: fields[ID],
        namespace: "",
        service: fields[DOMAIN],
        places: &PLACES,
    })
}

/// A header as it was sent, before CloudFront wrote `%20` for its blanks. What is no escape stands for itself.
pub(crate) fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, hex(bytes.get(at + 1)), hex(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    match String::from_utf8(out) {
        Ok(text) => Cow::Owned(text),
        Err(broken) => Cow::Owned(String::from_utf8_lossy(broken.as_bytes()).into_owned()),
    }
}

/// `2026-01-02`, a tab.
pub(crate) fn begins(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.get(10) == Some(&b'\t') && bytes.get(4) == Some(&b'-') && bytes[0].is_ascii_digit()
}

/// The two lines at the top of each file: exactly these, as a vhost may begin like them.
pub(crate) fn is_heading(line: &str) -> bool {
    let is_name = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-()".contains(&byte))
    };
    line == "#Version: 1.0"
        || line.strip_prefix("#Fields: date time x-edge-location").is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix(' ').is_some_and(|names| names.split(' ').all(is_name))
        })
}

#[cfg(test)]
mod tests {
    #[test]
    fn headers_lose_their_escapes() {
        for (text, meant) in [
            ("Mozilla/5.0%20(X11)", "Mozilla/5.0 (X11)"),
            ("a%2", "a%2"),
            ("%zz%41", "%zzA"),
            ("%ff%C3%A9", "\u{fffd}é"),
            ("curl", "curl"),
        ] {
            assert_eq!(super::decoded(text), meant, "{text}");
        }
    }
}
