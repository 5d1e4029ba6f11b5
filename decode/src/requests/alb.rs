//! Access logs of AWS's application load balancers:
//! `h2 end elb client:port target:port 0.000 0.002 0.000 200 200 in out "request" "agent" cipher protocol group_arn
//! "trace" "domain" …`, with further fields added over the years.

use super::Line;
use super::text::{Access, Places, Words, count, seconds, some, status};
use crate::time::Clock;
use crate::{Format, client};

const PLACES: Places = Places {
    time: "the second field",
    peer: "the fourth field",
    forwarded: "",
    request: "the request line",
    host: "the domain name",
    query: "",
    status: "the ninth field",
    bytes: "the twelfth field",
    duration: "the sum of the three times",
    user_agent: "the second quoted field",
    request_id: "the third quoted field",
    service: "the target group, else the load balancer",
};

/// Takes a line apart; `None` where it is not of this format.
pub(crate) fn scan<'b>(line: &'b str, clock: &mut Clock) -> Option<Access<'b>> {
    let mut words = Words::at(line, 0);
    words.word()?;
    let time = clock.text(words.word()?)?;
    let balancer = words.word()?;
    let peer = client::without_port(words.word()?);
    words.word()?;
    let mut took = Some(0);
    for _ in 0..3 {
        // -1 where that part never came to be: then there is no whole.
        took = match (took, seconds(words.word()?)) {
            (Some(sum), Some(part)) => Some(u64::saturating_add(sum, part)),
            _ => None,
        };
    }
    let code = status(words.word()?)?;
    status(words.word()?)?;
    count(words.word()?)?;
    let bytes = count(words.word()?)?;
    let request = words.quoted()?;
    let user_agent = words.quoted()?;
    let (_cipher, _protocol) = (words.word(), words.word());
    let group = words.word().unwrap_or_default();
    let trace = words.quoted().unwrap_or_default();
    let domain = words.quoted().unwrap_or_default();
    Some(Access {
        format: Format::Alb,
        time,
        peer,
        forwarded: "",
        peer_appended: false,
        // What was no request in HTTP has dashes for its method and version.
        request: Line::of(
            request.strip_prefix("- ").and_then(|rest| rest.strip_suffix("- -")).unwrap_or(request),
        ),
        host: some(domain),
        query: "",
        status: code,
        bytes,
        duration_micros: took,
        user_agent: some(user_agent),
        request_id: some(trace),
        namespace: "",
        service: name(group).or_else(|| name(balancer)).unwrap_or_default(),
        places: &PLACES,
    })
}

/// What a line begins with: how the client spoke.
pub(crate) fn begins(line: &str) -> bool {
    ["http ", "https ", "h2 ", "grpcs ", "ws ", "wss "].iter().any(|start| line.starts_with(start))
}

/// The name in `arn:aws:…:targetgroup/name/id` and `app/name/id`.
fn name(text: &str) -> Option<&str> {
    text.split('/').nth(1).filter(|name| !name.is_empty())
}
