//! The text of nginx and Apache: `combined`, `common`, with a vhost before or further fields behind.
//!
//! Senders write half of such a line. Servers escape quotes in what senders wrote, but not brackets, so the time is
//! found by what a sender cannot write: the bracket that closes it, a blank and a quote. Escapes are left as the log
//! has them. Where a server does not escape at all, a quote ends its field only before a blank or the line's end,
//! and the request only before a status and a size.

use std::net::IpAddr;

use beaconfire_model::EventTime;
use memchr::{memchr, memchr_iter, memchr2};

use crate::client;
use crate::time::Clock;

/// A line, taken apart. Text that the line does not have, or has as `-`, is empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scanned<'b> {
    pub(crate) time: EventTime,
    /// Apache's `%v` or nginx's `$host` before the client, with its port.
    pub(crate) vhost: &'b str,
    /// The first field, or the second behind a vhost; an address unless the server looks up names.
    pub(crate) peer: &'b str,
    /// The request line.
    pub(crate) request: &'b str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) referer: &'b str,
    pub(crate) user_agent: &'b str,
    /// The one quoted field behind the user agent, when it ends the line: nginx's stock format `main` has
    /// X-Forwarded-For there.
    pub(crate) forwarded: &'b str,
}

/// Takes a line apart; `None` where it is not of this format.
pub(crate) fn scan<'b>(line: &'b str, clock: &mut Clock) -> Option<Scanned<'b>> {
    let bytes = line.as_bytes();
    let (open, close, time) = find_time(bytes, clock)?;
    let (vhost, peer) = who(&line[..open - 1])?;
    let start = close + 3;
    let (end, status, size, mut at) = find_request(bytes, start)?;
    let request = &line[start..end];
    let mut quoted = [""; 3];
    for (place, field) in quoted.iter_mut().enumerate() {
        if !bytes[at..].starts_with(b" \"") {
            break;
        }
        let (text, next) = quote(line, at + 2);
        // The third counts only where it is the last: further fields are not ours to know.
        if place < 2 || next >= bytes.len() {
            *field = if text == "-" { "" } else { text };
        }
        at = next;
    }
    let [referer, user_agent, forwarded] = quoted;
    Some(Scanned { time, vhost, peer, request, status, bytes: size, referer, user_agent, forwarded })
}

/// Whether text looks like an access-log line from afar: for telling a broken line from other text.
pub(crate) fn resembles(line: &str) -> bool {
    line.contains("] \"")
}

/// The brackets around the time, and the time.
fn find_time(bytes: &[u8], clock: &mut Clock) -> Option<(usize, usize, EventTime)> {
    for open in memchr_iter(b'[', bytes) {
        if open < 2 || bytes[open - 1] != b' ' {
            continue;
        }
        if bytes.get(open + 27..open + 30) == Some(b"] \"")
            && let Some(time) = clock.clf(&bytes[open + 1..open + 27])
        {
            return Some((open, open + 27, time));
        }
        // Some write ISO 8601 there, which is at most 35 bytes long.
        let near = &bytes[open + 1..bytes.len().min(open + 40)];
        if let Some(length) = memchr(b']', near)
            && bytes[open + 1 + length..].starts_with(b"] \"")
            && let Some(time) = std::str::from_utf8(&near[..length]).ok().and_then(|text| clock.text(text))
        {
            return Some((open, open + 1 + length, time));
        }
    }
    None
}

/// The vhost and the client of `[vhost ]client ident user`.
///
/// A sender may choose the vhost, where the server logs the Host header, and could write an address into it. So where
/// the first two fields are both addresses, the second is the client: ident, which would stand there else, is `-`.
/// Where neither says that it is a client's place, something else stands before the line, and its client is not known.
fn who(head: &str) -> Option<(&str, &str)> {
    let (first, rest) = head.split_at(memchr(b' ', head.as_bytes())?);
    let rest = &rest[1..];
    let second = &rest[..memchr(b' ', rest.as_bytes()).unwrap_or(rest.len())];
    if first.is_empty() || second.is_empty() {
        return None;
    }
    if is_address(second) {
        return Some((first, second));
    }
    (second == "-" || first == "-" || is_address(first)).then_some(("", first))
}

fn is_address(text: &str) -> bool {
    // Nearly always this is `-`, and parsing costs more than the look.
    text.len() > 1 && (text.parse::<IpAddr>().is_ok() || client::address(text).is_some())
}

/// The request's end, the status, the size, and the place behind them.
fn find_request(bytes: &[u8], start: usize) -> Option<(usize, u16, u64, usize)> {
    let mut at = start;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'\\' {
            at += 2;
            continue;
        }
        if let Some((status, size, next)) = status_and_size(bytes, at + 1) {
            return Some((at, status, size, next));
        }
        at += 1;
    }
}

/// ` 200 612` before a blank or the line's end.
fn status_and_size(bytes: &[u8], at: usize) -> Option<(u16, u64, usize)> {
    let (status, at) = match bytes.get(at..)? {
        [b' ', b'-', b' ', ..] => (0, at + 3),
        [b' ', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            (u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'), at + 5)
        }
        _ => return None,
    };
    let mut end = at;
    let mut size: u64 = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        size = size.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        end += 1;
    }
    if end == at && bytes.get(at) == Some(&b'-') {
        end += 1;
    }
    (end > at && matches!(bytes.get(end), None | Some(b' '))).then_some((status, size, end))
}

/// The field that begins at `start`, behind its quote, and the place behind its end. Without an end it is the rest.
fn quote(line: &str, start: usize) -> (&str, usize) {
    let bytes = line.as_bytes();
    let mut at = start;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' && matches!(bytes.get(at + 1), None | Some(b' ')) {
            return (&line[start..at], at + 1);
        }
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    (&line[start..], bytes.len())
}
