//! HAProxy's HTTP log (`option httplog`, and httpslog with its further fields):
//! `ip:port [time] frontend~ backend/server TR/Tw/Tc/Tr/Ta status bytes … {captured} "request"`.
//!
//! Of what senders wrote, HAProxy leaves blanks as they are. Quotes, braces and bars in requests and captured headers
//! become `#22` and the like, but not those in a captured cookie. So the request begins at the last quote that has the
//! queues or captured headers before it, and ends at the next. Captured headers have no names there, so they are passed
//! over.
//!
//! Operators put fields of their own between the server and the timers, often the Host header. Whatever that says, the
//! timers are found from the request backwards; where something unknown stands between, they are the last near the server
//! that have a status and a size behind them.

use memchr::{memchr, memchr_iter};

use super::Line;
use super::text::{Access, Places, Words, count, some, status};
use crate::time::Clock;
use crate::{Format, client};

/// Fields of the operator's own between the server and the timers.
const OWN_MAX: usize = 4;

const PLACES: Places = Places {
    time: "the brackets",
    peer: "the first field",
    forwarded: "",
    request: "the quoted field at the end",
    host: "",
    query: "",
    status: "behind the timers",
    bytes: "behind the status",
    duration: "the last timer",
    user_agent: "",
    request_id: "",
    service: "the backend's name",
};

/// Takes a line apart; `None` where it is not of this format, or where `surely` and it might be another's.
#[inline(never)]
pub(crate) fn scan<'b>(line: &'b str, surely: bool, clock: &mut Clock) -> Option<Access<'b>> {
    let mut words = Words::at(line, 0);
    let peer = client::without_port(words.word()?);
    let time = clock.text(words.word()?.strip_prefix('[')?.strip_suffix(']')?)?;
    words.word()?;
    let (backend, _) = words.word()?.split_once('/')?;
    let rest = words.rest();
    let open = request_start(rest, surely)?;
    let (total, code, bytes) = outcome(&rest[..open - 1])?;
    let inside = &rest[open..];
    // Without its end the request was too long for the log.
    let request = inside.split_once('"').map_or(inside, |(request, _)| request);
    Some(Access {
        format: Format::Haproxy,
        time,
        peer,
        forwarded: "",
        peer_appended: false,
        request: Line::of(if request == "<BADREQ>" { "-" } else { request }),
        host: "",
        query: "",
        status: code,
        bytes,
        duration_micros: total
            .strip_prefix('+')
            .unwrap_or(total)
            .parse::<u64>()
            .ok()
            .and_then(|millis| millis.checked_mul(1000)),
        user_agent: "",
        request_id: "",
        namespace: "",
        service: some(backend),
        places: &PLACES,
    })
}

/// The total time, the status and the size, of what stands between the server and the request.
fn outcome(between: &str) -> Option<(&str, u16, u64)> {
    let mut counters = between.trim_end_matches(' ');
    // Captured headers, of the request and of the answer, have no braces within.
    for _ in 0..2 {
        counters = match counters.strip_suffix('}').and_then(|open| open.rsplit_once('{')) {
            Some((before, _)) => before.trim_end_matches(' '),
            None => counters,
        };
    }
    // Timers, status, size, two cookies, how it ended, connections and queues.
    let mut from_end = counters.rsplit(' ').skip(5);
    if let (Some(bytes), Some(status), Some(timers)) = (from_end.next(), from_end.next(), from_end.next())
        && let Some(found) = outcome_of(timers, status, bytes)
    {
        return Some(found);
    }
    // No words of `Words`: whoever begins the Host header with a quote would hide behind it.
    let words = |from: usize| between.split(' ').skip(from);
    let mut found = (0..=OWN_MAX).filter_map(|own| {
        let mut words = words(own);
        outcome_of(words.next()?, words.next()?, words.next()?)
    });
    found.next_back()
}

fn outcome_of<'b>(timers: &'b str, code: &str, bytes: &str) -> Option<(&'b str, u16, u64)> {
    let total = timers.rsplit('/').next().filter(|_| is_timers(timers))?;
    Some((total, status(code)?, count(bytes.strip_prefix('+').unwrap_or(bytes))?))
}

/// Where the request begins, behind its quote. Where no quote has queues or captured headers before it, the operator put
/// something else there, and the first one counts, unless it has to be for sure.
fn request_start(rest: &str, surely: bool) -> Option<usize> {
    let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_queues = |word: &str| word.split_once('/').is_some_and(|(a, b)| is_count(a) && is_count(b));
    let quotes = || memchr_iter(b'"', rest.as_bytes());
    let begins = |quote: &usize| {
        let before = rest[..*quote].strip_suffix(' ').unwrap_or_default();
        let is_end = rest[quote + 1..].is_empty() || rest[quote + 1..].starts_with(' ');
        !is_end && (before.ends_with('}') || before.rsplit(' ').next().is_some_and(is_queues))
    };
    let first = || if surely { None } else { quotes().next() };
    quotes().rfind(begins).or_else(first).map(|quote| quote + 1)
}

/// `ip:port [`: what no other format begins with.
pub(crate) fn begins(line: &str) -> bool {
    memchr(b' ', line.as_bytes()).is_some_and(|at| {
        line.as_bytes().get(at + 1) == Some(&b'[') && line[..at].contains(':') && !line.starts_with('[')
    })
}

/// `0/0/1/0/2`; a timer that never ended is -1, a sum that was still running has a plus.
fn is_timers(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'/').count() == 4
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"/-+".contains(&byte))
}
