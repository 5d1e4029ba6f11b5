//! HAProxy's HTTP log (`option httplog`, and httpslog with its further fields):
//! `ip:port [time] frontend~ backend/server TR/Tw/Tc/Tr/Ta status bytes … {captured} "request"`.
//!
//! HAProxy writes quotes and brackets of senders as `#22` and the like, so the first quote behind the counters begins
//! the request. Captured headers have no names there, so they are passed over.

use memchr::memchr;

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

/// Takes a line apart; `None` where it is not of this format.
#[inline(never)]
pub(crate) fn scan<'b>(line: &'b str, clock: &mut Clock) -> Option<Access<'b>> {
    let mut words = Words::at(line, 0);
    let peer = client::without_port(words.word()?);
    let time = clock.text(words.word()?.strip_prefix('[')?.strip_suffix(']')?)?;
    words.word()?;
    let (backend, _) = words.word()?.split_once('/')?;
    let mut timers = words.word()?;
    for _ in 0..OWN_MAX {
        if is_timers(timers) {
            break;
        }
        timers = words.word()?;
    }
    let total = is_timers(timers).then(|| timers.rsplit('/').next())??;
    let code = status(words.word()?)?;
    let bytes = words.word()?;
    let rest = words.rest();
    let open = memchr(b'"', rest.as_bytes())?;
    let inside = &rest[open + 1..];
    // Without its end the request was too long for the log.
    let request = inside.rsplit_once('"').map_or(inside, |(request, _)| request);
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
        bytes: count(bytes.strip_prefix('+').unwrap_or(bytes))?,
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
