//! The text of Envoy's and Istio's access logs:
//! `[time] "request" 200 - … bytes_in bytes_out took upstream "forwarded" "agent" "id" "authority" "upstream"`, behind
//! which Istio has the cluster and the addresses.
//!
//! Envoy does not escape quotes in what senders wrote. Istio's address of the peer stands behind the quoted fields, and
//! behind it the server's name of a TLS handshake, which is a sender's word. Envoys that are not kept up to date log
//! quotes in it. So where an address stands in the peer's place behind more than one quote, a sender made one of them:
//! neither is the peer, nor is the cluster known, unless the last quoted field is what Envoy writes there, the
//! upstream's address. (Else a user agent would do to be nobody. What is left: whoever gets a whole end of a line past
//! an old Envoy in a TLS handshake is believed.) Of the quoted fields X-Forwarded-For is the first. Where there are
//! more than five, its end is where an address stands before a quote, as whoever is to be believed adds one; where
//! there are two such places, a sender made one of them.
//!
//! Envoy's own format has no address of the peer. With `use_remote_address` Envoy adds it to X-Forwarded-For before it
//! logs that; without, that is whatever the sender wrote. No log tells which, so the operator has to:
//! `client_resolved`.

use memchr::{memchr, memchr_iter, memrchr};

use super::text::{Access, Places, Words, count, some, status};
use super::{Line, envoy};
use crate::time::Clock;
use crate::{Format, client};

/// Fields between the response's flags and the numbers: Istio has details, their end and a failure's reason.
const DETAILS_MAX: usize = 5;

const ENVOY: Places = Places {
    time: "the brackets",
    peer: "",
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

const ISTIO: Places = Places {
    peer: "the fourth field behind the quoted ones",
    service: "the cluster behind the quoted fields",
    ..ENVOY
};

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
        peer_appended: false,
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
        return Some(Access { forwarded: some(quoted.forwarded), peer_appended: true, ..access });
    }
    let (cluster, peer) = match cluster_and_peer(tail) {
        Some(found) if is_upstream(&inside[..last]) || is_only_peer(inside, found.1) => found,
        _ => ("", ""),
    };
    let (namespace, service) = envoy::service(some(cluster.trim_end_matches(';')));
    Some(Access {
        peer: some(peer),
        forwarded: some(quoted.forwarded),
        namespace,
        service,
        places: &ISTIO,
        ..access
    })
}

/// Istio's cluster and peer, the first and the fourth of these words. The server's name stands behind them: without it,
/// one of the others is not what it seems. So does the route's, which may be empty and then went with the line's end.
fn cluster_and_peer(tail: &str) -> Option<(&str, &str)> {
    let mut words = tail.split(' ');
    let (cluster, peer) = (words.next()?, words.nth(2)?);
    words.next().map(|_| (cluster, peer))
}

/// Whether the last field is an upstream's address, or says that there was none. Istio's waypoints reach theirs through
/// a listener within Envoy (`envoy://connect_originate/10.1.1.27:80`).
fn is_upstream(quoted: &str) -> bool {
    let field = &quoted[memrchr(b'"', quoted.as_bytes()).map_or(0, |quote| quote + 1)..];
    let is_internal = field.starts_with("envoy://") && !field.contains(' ');
    field == "-" || is_internal || field.contains(':') && client::address(field).is_some()
}

/// Whether no other address than this stands in the peer's place behind a quote that may end the quoted fields.
fn is_only_peer(inside: &str, peer: &str) -> bool {
    let peer = client::address(peer);
    let mut before = 1;
    for (quote, _) in inside.match_indices("\" ") {
        let tail = &inside[quote + 2..];
        if tail.starts_with('"') {
            before += 1;
        } else if before >= FIELDS
            && let Some((_, other)) = cluster_and_peer(tail).filter(|(_, other)| !other.contains('"'))
            && let Some(other) = client::address(other)
            && Some(other) != peer
        {
            return false;
        }
    }
    true
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

/// How many fields are quoted.
const FIELDS: usize = 5;

/// The five fields that senders write.
struct Quoted<'b> {
    forwarded: &'b str,
    user_agent: &'b str,
    request_id: &'b str,
    authority: &'b str,
}

/// Between two quoted fields.
const BETWEEN: &str = "\" \"";
/// Places that are looked at for the end of X-Forwarded-For.
const ENDS_MAX: usize = 32;

impl<'b> Quoted<'b> {
    fn of(inside: &'b str) -> Option<Self> {
        let mut from_end = inside.rsplitn(4, BETWEEN);
        let (_upstream, authority, request_id) = (from_end.next()?, from_end.next()?, from_end.next()?);
        let rest = from_end.next()?;
        let (forwarded, user_agent) = rest.split_once(BETWEEN)?;
        if !user_agent.contains(BETWEEN) {
            return Some(Self { forwarded, user_agent, request_id, authority });
        }
        let mut found = None;
        let mut is_alone = true;
        for (count, (end, _)) in rest.match_indices(BETWEEN).enumerate() {
            let last = rest[..end].rsplit([',', '"']).next().unwrap_or_default();
            if client::address(last).is_some() {
                is_alone &= found.is_none();
                found.get_or_insert(end);
            }
            is_alone &= count < ENDS_MAX;
        }
        let (forwarded, user_agent) = match found {
            Some(end) if is_alone => (&rest[..end], &rest[end + BETWEEN.len()..]),
            _ => ("", user_agent),
        };
        Some(Self { forwarded, user_agent, request_id, authority })
    }
}
