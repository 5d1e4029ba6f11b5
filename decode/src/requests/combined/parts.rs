//! The parts of a line that all of these formats have: who, when, what, how it ended, and with which agent.

use beaconfire_model::EventTime;
use memchr::memchr;

use super::super::Line;
use super::super::text::{quote, quote_by};
use crate::scan::{self, Everywhere, Look, Task};
use crate::time::Clock;
use crate::{client, number};

/// What all these formats have, up to the user agent.
#[derive(Default)]
pub(super) struct Parts<'b> {
    pub(super) time: EventTime,
    pub(super) vhost: &'b str,
    pub(super) peer: &'b str,
    pub(super) request: Line<'b>,
    pub(super) status: u16,
    pub(super) size: u64,
    pub(super) agent: &'b str,
    /// The place behind them.
    pub(super) end: usize,
}

/// A line that is taken apart.
pub(super) struct Taking<'p, 'b> {
    pub(super) line: &'b str,
    pub(super) clock: &'p mut Clock,
    pub(super) parts: &'p mut Parts<'b>,
}

impl Task for Taking<'_, '_> {
    /// Whether it could be.
    type Out = bool;

    #[inline(always)]
    fn run(self, look: impl Look) -> bool {
        let Self { line, clock, parts } = self;
        let bytes = line.as_bytes();
        let Some((open, close, time)) = find_time(look, bytes, clock) else { return false };
        let Some(Who { vhost, peer, has_rival }) = who(look, line, open - 1) else { return false };
        let start = close + 3;
        let Some((end, status, size, mut at)) = find_request(look, bytes, start) else { return false };
        let mut quoted = [""; 2];
        for field in &mut quoted {
            if bytes[at..].starts_with(b" \"") {
                (*field, at) = quote_by(look, line, at + 2);
            }
        }
        *parts = Parts {
            time,
            vhost,
            peer: if has_rival && matches!(status, 0 | 400) { "" } else { peer },
            request: Line::of(&line[start..end]),
            status,
            size,
            agent: quoted[1],
            end: at,
        };
        true
    }
}

/// Whether a whole line may end where this text does: it has all up to the size, and every quoted field behind that is
/// closed. Who asked may be told by nothing in it.
pub(crate) fn is_whole_line(text: &str, clock: &mut Clock) -> bool {
    let bytes = text.as_bytes();
    let found = find_time(Everywhere, bytes, clock)
        .and_then(|(_, close, _)| find_request(Everywhere, bytes, close + 3));
    let Some((.., mut at)) = found else { return false };
    while at < bytes.len() {
        at = match bytes[at..].strip_prefix(b" \"") {
            None => memchr(b' ', &bytes[at + 1..]).map_or(bytes.len(), |next| at + 1 + next),
            Some(_) => match quote(text, at + 2) {
                // Without an end it is the rest, and that ends in no quote of the server's.
                (field, end) if at + 2 + field.len() < end => end,
                _ => return false,
            },
        };
    }
    true
}

/// The brackets around the time, and the time.
#[inline(always)]
fn find_time(look: impl Look, bytes: &[u8], clock: &mut Clock) -> Option<(usize, usize, EventTime)> {
    let mut from = 0;
    while let Some(open) = scan::far_byte(look, bytes, from, b'[') {
        from = open + 1;
        if open < 2 || bytes[open - 1] != b' ' {
            continue;
        }
        if bytes.get(open + 27..open + 30) == Some(b"] \"")
            && let Some(time) = clock.clf(&bytes[open + 1..open + 27])
        {
            return Some((open, open + 27, time));
        }
        // Some write ISO 8601 there, which is at most 35 bytes long. A number is no time here: no server we know writes
        // seconds in brackets, and where nothing is escaped a user's name may be all of a line behind one.
        let near = &bytes[open + 1..bytes.len().min(open + 40)];
        if let Some(length) = memchr(b']', near)
            && is_date(&near[..length])
            && bytes[open + 1 + length..].starts_with(b"] \"")
            && let Some(time) = std::str::from_utf8(&near[..length]).ok().and_then(|text| clock.text(text))
        {
            return Some((open, open + 1 + length, time));
        }
    }
    None
}

/// Whether text begins like a date, of CLF or of ISO 8601.
fn is_date(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_digit) && (text.get(2) == Some(&b'/') || text.get(4) == Some(&b'-'))
}

/// What stands before the time.
struct Who<'b> {
    vhost: &'b str,
    peer: &'b str,
    /// Another address stands where it could be the client's.
    has_rival: bool,
}

/// The vhost and the client of `[vhost ]client ident user`, which is the line up to `end`.
///
/// A sender may choose the vhost, where the server logs the Host header, and could write an address into it. So where
/// the first two fields are both addresses, the second is the client: ident, which would stand there else, is `-`.
/// Where neither says that it is a client's place, something else stands before the line, and its client is not known.
///
/// A vhost with blanks in it may be all of a head, as may a user's name: where more fields follow than ident and user,
/// and one of them is another address, the head alone does not tell which of the two the server wrote. But servers
/// answer a Host with blanks with 400, and whatever user name somebody sends is no reason to: so only then none is the
/// client, or everybody could send a name with which their requests are nobody's. (nginx answers so since 1.21.1. What is
/// left: with such a name, requests that are refused with 400 for whatever reason are nobody's. To believe the first
/// address there would let a Host header accuse anybody. `log_format` knows whether a line has a vhost, and leaves
/// neither.)
/// A head that begins with a quote is the rest of a line that was cut within what a sender wrote.
#[inline(always)]
fn who(look: impl Look, line: &str, end: usize) -> Option<Who<'_>> {
    // The bytes behind the head are searched with it: many at a time are as fast as few.
    let blank = scan::far_byte(look, line.as_bytes(), 0, b' ').filter(|blank| *blank < end)?;
    let next = scan::far_byte(look, line.as_bytes(), blank + 1, b' ').map_or(end, |next| next.min(end));
    let (first, rest, second) = (&line[..blank], &line[blank + 1..end], &line[blank + 1..next]);
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (vhost, peer, behind) = if is_address(second) {
        (first, second, &rest[second.len()..])
    } else if second == "-" || first == "-" || is_address(first) {
        ("", first, rest)
    } else {
        return None;
    };
    let has_rival = behind.len() > " - -".len() && has_rival(behind, peer);
    Some(Who { vhost, peer: if first.starts_with('"') { "" } else { peer }, has_rival })
}

/// Whether more than ident and user stand here, and among them another address than this.
#[cold]
fn has_rival(behind: &str, peer: &str) -> bool {
    let words = || behind.split(' ').filter(|word| !word.is_empty());
    words().count() > 2
        && words().any(|word| is_address(word) && client::address(word) != client::address(peer))
}

fn is_address(text: &str) -> bool {
    // Nearly always this is `-`, and parsing costs more than the look.
    text.len() > 1 && client::address(text).is_some()
}

/// The request's end, the status, the size, and the place behind them.
#[inline(always)]
fn find_request(look: impl Look, bytes: &[u8], start: usize) -> Option<(usize, u16, u64, usize)> {
    let mut at = start;
    loop {
        at = scan::far_quote_or_backslash(look, bytes, at)?;
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
#[inline(always)]
fn status_and_size(bytes: &[u8], at: usize) -> Option<(u16, u64, usize)> {
    let (status, at) = match bytes.get(at..)? {
        [b' ', b'-', b' ', ..] => (0, at + 3),
        [b' ', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ', ..] => {
            (u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'), at + 5)
        }
        _ => return None,
    };
    let (mut size, mut end) = match bytes[at..].first_chunk().map(number::leading) {
        Some((size, digits)) => (size, at + digits),
        None => (0, at),
    };
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        size = size.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
        end += 1;
    }
    if end == at && bytes.get(at) == Some(&b'-') {
        end += 1;
    }
    (end > at && matches!(bytes.get(end), None | Some(b' '))).then_some((status, size, end))
}
