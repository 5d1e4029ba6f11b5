//! The text of nginx and Apache: `combined`, `common`, with a vhost before or further fields behind. Further fields
//! that some formats always have are understood by their shape: nginx's `main` with its usual timings, ingress-nginx's
//! upstreams, Traefik's router.
//!
//! Senders write half of such a line. Servers escape quotes in what senders wrote, but not brackets, so the time is
//! found by what a sender cannot write: the bracket that closes it, a blank and a quote. Escapes are left as the log
//! has them. Where a server does not escape at all, a quote ends its field only before a blank or the line's end,
//! and the request only before a status and a size.

mod parts;

pub(crate) use parts::is_whole_line;

use super::text::{Access, Places, Words, seconds, some};
use crate::time::Clock;
use crate::{Format, scan};
use parts::{Parts, Taking};

/// Fields behind the user agent that are looked at.
const FURTHER_MAX: usize = 24;

const PLACES: Places = Places {
    time: "the brackets",
    peer: "the first field",
    forwarded: "the last quoted field",
    request: "the request line",
    host: "the field before the client",
    query: "",
    status: "behind the request line",
    bytes: "behind the status",
    duration: "the timings at the end",
    user_agent: "the second quoted field",
    request_id: "",
    service: "",
};

const INGRESS: Places = Places {
    duration: "behind the request's length",
    request_id: "the last field",
    service: "the first brackets behind the user agent",
    forwarded: "",
    ..PLACES
};

const TRAEFIK: Places =
    Places { duration: "the last field", service: "the quoted router", forwarded: "", ..PLACES };

/// Takes a line apart that is `wanted`, or any of these under [`Format::Auto`]; `None` where it is not.
#[inline(always)]
pub(crate) fn scan<'b>(line: &'b str, wanted: Format, clock: &mut Clock) -> Option<Access<'b>> {
    let mut parts = Parts::default();
    if !scan::with_best(Taking { line, clock, parts: &mut parts }) {
        return None;
    }
    let access = Access {
        format: Format::Combined,
        time: parts.time,
        peer: parts.peer,
        forwarded: "",
        peer_appended: false,
        request: parts.request,
        host: some(parts.vhost),
        query: "",
        status: parts.status,
        bytes: parts.size,
        duration_micros: None,
        user_agent: some(parts.agent),
        request_id: "",
        namespace: "",
        service: "",
        places: &PLACES,
    };
    if parts.end + 1 >= line.len() {
        return matches!(wanted, Format::Auto | Format::Combined).then_some(access);
    }
    further(access, Words::at(line, parts.end + 1), wanted)
}

/// What the fields behind the user agent say.
#[inline(never)]
fn further<'b>(access: Access<'b>, further: Words<'b>, wanted: Format) -> Option<Access<'b>> {
    let by_shape = match wanted {
        Format::Auto => ingress(access, further).or_else(|| traefik(access, further)),
        Format::IngressNginx => return ingress(access, further),
        Format::Traefik => return traefik(access, further),
        _ => None,
    };
    Some(by_shape.unwrap_or_else(|| main(access, further)))
}

/// nginx's stock format `main` has X-Forwarded-For behind the user agent, and people add timings behind that or instead
/// of it: `"198.51.100.7" 0.012 0.011`, `rt=0.012 uct="0.000" urt="0.011"`. Where anything else follows, the fields
/// are not ours to know.
fn main<'b>(access: Access<'b>, mut further: Words<'b>) -> Access<'b> {
    let forwarded = further.quoted().unwrap_or_default();
    match timings(further) {
        Some(duration_micros) => Access { forwarded: some(forwarded), duration_micros, ..access },
        None => access,
    }
}

/// The time a request took, where all these fields are numbers, named or not; `None` where they are not. A quoted field
/// without a name is no number, nor is an address: it might be X-Forwarded-For, and the field before it a cookie.
fn timings(mut further: Words<'_>) -> Option<Option<u64>> {
    let mut took = None;
    let mut is_quoted = false;
    for _ in 0..FURTHER_MAX {
        let field = match further.word() {
            Some(field) => field,
            None => return further.rest().is_empty().then_some(took),
        };
        let (name, value) = field.split_once('=').unwrap_or(("", field));
        // What several upstreams said has blanks within its quotes.
        let value = match value.strip_prefix('"') {
            Some(value) if !name.is_empty() => {
                is_quoted = true;
                value
            }
            _ => value,
        };
        let value = match value.strip_suffix('"') {
            Some(value) if std::mem::take(&mut is_quoted) => value,
            _ => value,
        };
        let value = value.strip_suffix(',').unwrap_or(value);
        if !is_number(value) || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return None;
        }
        if took.is_none() && (matches!(name, "rt" | "request_time") || name.is_empty() && is_time(value)) {
            took = seconds(value);
        }
    }
    None
}

/// Digits with at most one point among them; or a mark that stands for none, or between two of several upstreams.
fn is_number(text: &str) -> bool {
    let mut points = 0;
    matches!(text, "-" | "-1" | ":")
        || text.bytes().all(|byte| {
            points += usize::from(byte == b'.');
            byte.is_ascii_digit() || byte == b'.'
        }) && points < 2
}

/// `0.012`, as nginx writes `$request_time`; whole numbers are sizes, ports and the like.
fn is_time(text: &str) -> bool {
    text.split_once('.').is_some_and(|(whole, parts)| {
        parts.len() == 3 && whole.bytes().chain(parts.bytes()).all(|byte| byte.is_ascii_digit())
    })
}

/// ingress-nginx: `89 0.001 [default-web-8080] [] 172.17.0.5:8080 59 0.000 200 529a…`, where several upstreams may have
/// answered, with commas between them.
fn ingress<'b>(access: Access<'b>, mut further: Words<'b>) -> Option<Access<'b>> {
    let length = further.word()?;
    let took = further.word()?;
    let upstream = further.word()?.strip_prefix('[')?.strip_suffix(']')?;
    if !is_whole(length) || !is_time(took) {
        return None;
    }
    let last = further.rest().rsplit(' ').next().unwrap_or_default();
    // Old versions have no id there, but the upstream's status.
    let request_id = if last.len() > 3 { last } else { "" };
    let service = super::nginx_json::upstream(some(upstream));
    Some(Access {
        format: Format::IngressNginx,
        duration_micros: seconds(took),
        service,
        request_id,
        places: &INGRESS,
        ..access
    })
}

/// Traefik's common log format: `262 "web@docker" "http://172.19.0.3:5601" 2ms`.
fn traefik<'b>(access: Access<'b>, mut further: Words<'b>) -> Option<Access<'b>> {
    let number = further.word()?;
    let router = further.quoted()?;
    further.quoted()?;
    let millis = further.word()?.strip_suffix("ms")?;
    if !is_whole(number) || !is_whole(millis) || !further.rest().is_empty() {
        return None;
    }
    Some(Access {
        format: Format::Traefik,
        duration_micros: millis.parse::<u64>().ok().and_then(|millis| millis.checked_mul(1000)),
        service: super::traefik::service(some(router)),
        places: &TRAEFIK,
        ..access
    })
}

fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether text looks like an access-log line from afar: for telling a broken line from other text.
pub(crate) fn resembles(line: &str) -> bool {
    line.contains("] \"")
}
