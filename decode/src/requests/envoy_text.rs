//! The text of Envoy's and Istio's access logs:
//! `[time] "request" 200 - … bytes_in bytes_out took upstream "forwarded" "agent" "id" "authority" "upstream"`, behind
//! which Istio has the cluster and the addresses.
//!
//! Envoy does not escape quotes in what senders wrote. So those five fields count only where there are five of them;
//! where a sender wrote a quote and a blank, X-Forwarded-For could be anyone's words and is not looked at. Istio's
//! address of the peer stands behind the last quote, where senders do not write.

use memchr::{memchr, memchr_iter, memrchr};

use super::text::{Access, Places, Words, count, some, status};
use super::{Line, envoy};
use crate::Format;
use crate::time::Clock;

/// Fields between the response's flags and the numbers: Istio has details, their end and a failure's reason.
const DETAILS_MAX: usize = 5;

const ENVOY: Places = Places {
    time: "the brackets",
    peer: "the last address of the first quoted field behind the numbers (the log has no other of the peer)",
    forwarded: "the first quoted field behind the numbers",
    request: "the request line",
    host: "the fourth quoted field behind the numbers",
    query: "",
    status: "behind the request line",
    bytes: "the second number behind the flags",
    duration: "the third number behind the flags",
    user_agent: "the second quoted field behind the numbers",
    request_id: "the third quoted field behind the numbers",
    service: "",
};

const ISTIO: Places =
    Places { peer: "the third field from the end", service: "the cluster behind the quoted fields", ..ENVOY };

/// Takes a line apart; `None` where it is not of this format.
pub(crate) fn scan<'b>(line: &'b str, clock: &mut Clock) -> Option<Access<'b>> {
    let close = memchr(b']', line.as_bytes().get(..line.len().min(48))?)?;
    let time = clock.text(line.get(1..close)?)?;
    let begin = close + 3;
    line.get(close..).filter(|rest| rest.starts_with("] \""))?;
    let end = request_end(line.as_bytes(), begin)?;
    let mut words = Words::at(line, end + 2);
    let code = status(words.word()?)?;
    words.word()?;
    let (bytes, took) = numbers(&mut words)?;
    let inside = words.rest().strip_prefix('"')?;
    let last = memrchr(b'"', inside.as_bytes())?;
    let quoted = Quoted::of(&inside[..last])?;
    let tail = inside[last + 1..].trim_ascii_start();
    let request = &line[begin..end];
    let access = Access {
        format: Format::Envoy,
        time,
        peer: "",
        forwarded: "",
        // A connection without requests, as Istio logs it, has three dashes.
        request: Line::of(if request == "- - -" { "-" } else { request }),
        host: some(quoted.authority),
        query: "",
        status: code,
        bytes,
        duration_micros: took.checked_mul(1000),
        user_agent: some(quoted.user_agent),
        request_id: some(quoted.request_id),
        namespace: "",
        service: "",
        places: &ENVOY,
    };
    if tail.is_empty() {
        // An Envoy at the edge adds its peer to X-Forwarded-For before it logs it.
        let (forwarded, peer) = quoted.forwarded.rsplit_once(',').unwrap_or(("", quoted.forwarded));
        return Some(Access { peer: some(peer.trim_ascii()), forwarded, ..access });
    }
    let mut tail = tail.split(' ');
    let fields: [&str; 6] = std::array::from_fn(|_| tail.next().unwrap_or_default());
    let [cluster, _, _, peer, _, route] = fields;
    let (namespace, service) = envoy::service(some(cluster.trim_end_matches(';')));
    // More or fewer than six fields: one of them is not what it seems.
    let peer = if route.is_empty() || tail.next().is_some() { "" } else { peer };
    Some(Access {
        peer: some(peer),
        forwarded: some(quoted.forwarded),
        namespace,
        service,
        places: &ISTIO,
        ..access
    })
}

/// `[2026-`: how both begin.
pub(crate) fn begins(line: &str) -> bool {
    line.starts_with("[20") && line.as_bytes().get(5) == Some(&b'-')
}

/// The quote behind the request: the first with a status behind it.
fn request_end(bytes: &[u8], begin: usize) -> Option<usize> {
    let rest = bytes.get(begin..)?;
    memchr_iter(b'"', rest)
        .find(|at| {
            let behind = &rest[at + 1..];
            let digits = behind.iter().skip(1).take(4).take_while(|byte| byte.is_ascii_digit()).count();
            behind.first() == Some(&b' ') && matches!(digits, 1..=3) && behind.get(digits + 1) == Some(&b' ')
        })
        .map(|at| begin + at)
}

/// The bytes that were sent and the milliseconds it took: of four numbers in a row, before the first quoted field.
fn numbers(words: &mut Words<'_>) -> Option<(u64, u64)> {
    for _ in 0..=DETAILS_MAX {
        let mut ahead = *words;
        let row: [Option<u64>; 4] = std::array::from_fn(|_| ahead.word().and_then(count));
        if let [Some(_), Some(sent), Some(took), Some(_)] = row
            && ahead.rest().starts_with('"')
        {
            *words = ahead;
            return Some((sent, took));
        }
        words.next()?;
    }
    None
}

/// The five fields that senders write.
struct Quoted<'b> {
    forwarded: &'b str,
    user_agent: &'b str,
    request_id: &'b str,
    authority: &'b str,
}

impl<'b> Quoted<'b> {
    fn of(inside: &'b str) -> Option<Self> {
        let mut from_end = inside.rsplitn(4, "\" \"");
        let (_upstream, authority, request_id) = (from_end.next()?, from_end.next()?, from_end.next()?);
        let (forwarded, user_agent) = from_end.next()?.split_once("\" \"")?;
        let forwarded = if user_agent.contains("\" \"") { "" } else { forwarded };
        Some(Self { forwarded, user_agent, request_id, authority })
    }
}
