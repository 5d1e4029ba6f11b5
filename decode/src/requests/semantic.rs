//! Requests under the names of the Elastic Common Schema and of OpenTelemetry's semantic conventions, which share most
//! of them; of the latter also the names before 1.23. The first have them as paths, the second as attributes.

use super::Fields;
use super::slot::*;
use crate::json::Value;
use crate::path::{alone, find};
use crate::pick::Offers;

/// Names, the fields they stand for, and which of several is taken (the lowest).
const NAMES: [(&str, usize, u8); 43] = [
    ("@timestamp", TIME, 0),
    ("network.peer.address", PEER, 0),
    ("net.sock.peer.addr", PEER, 1),
    ("net.peer.ip", PEER, 2),
    ("source.ip", PEER, 3),
    ("source.address", PEER, 4),
    ("client.ip", PEER, 5),
    ("client.address", PEER, 6),
    ("http.client_ip", PEER, 7),
    ("http.request.header.x-forwarded-for", FORWARDED, 0),
    ("http.request.header.x_forwarded_for", FORWARDED, 1),
    ("http.request.headers.x-forwarded-for", FORWARDED, 2),
    ("http.request.headers.X-Forwarded-For", FORWARDED, 3),
    ("http.request.method", METHOD, 0),
    ("http.method", METHOD, 1),
    ("url.domain", HOST, 0),
    ("http.host", HOST, 1),
    ("server.address", HOST, 2),
    ("destination.domain", HOST, 3),
    ("url.original", PATH, 0),
    ("http.target", PATH, 1),
    ("url.path", PATH, 2),
    ("url.full", PATH, 3),
    ("http.url", PATH, 4),
    ("url.query", QUERY, 0),
    ("http.version", VERSION, 0),
    ("network.protocol.version", VERSION, 1),
    ("http.flavor", VERSION, 2),
    ("http.response.status_code", STATUS, 0),
    ("http.status_code", STATUS, 1),
    ("http.response.body.bytes", BYTES, 0),
    ("http.response.bytes", BYTES, 1),
    ("http.response.body.size", BYTES, 2),
    ("http.response.size", BYTES, 3),
    ("http.response_content_length", BYTES, 4),
    ("event.duration", DURATION, 0),
    ("http.server.request.duration", DURATION, 1),
    ("user_agent.original", AGENT, 0),
    ("http.user_agent", AGENT, 1),
    ("http.request.header.user-agent", AGENT, 2),
    ("http.request.id", ID, 0),
    ("http.request.header.x-request-id", ID, 1),
    ("service.name", SERVICE, 0),
];

/// Offers the values at the paths of an object.
pub(crate) fn offer<'t>(object: Value<'t>, resolved: bool, to: &mut impl Offers<'t>) {
    for (path, slot, rank) in NAMES {
        if let Some(value) = find(object, path) {
            offer_one(to, (slot, rank), path, value, resolved);
        }
    }
}

/// The values of attributes.
pub(crate) fn of_pairs<'t>(pairs: impl Iterator<Item = (&'t str, Value<'t>)>, resolved: bool) -> Fields<'t> {
    let mut fields = Fields::none();
    for (key, value) in pairs {
        for (_, slot, rank) in NAMES.iter().filter(|(name, ..)| *name == key) {
            offer_one(&mut fields, (*slot, *rank), key, alone(value), resolved);
        }
    }
    fields
}

/// What a library took for the client is the leftmost of X-Forwarded-For, which is the sender's own word: it counts only
/// where the operator says that the client was found already, and then before the peer.
fn offer_one<'t>(
    to: &mut impl Offers<'t>,
    (slot, rank): (usize, u8),
    key: &'t str,
    value: Value<'t>,
    resolved: bool,
) {
    let is_word_of_sender = matches!(key, "client.address" | "http.client_ip");
    if resolved || !is_word_of_sender {
        let rank = if slot == PEER && resolved { 7 - rank } else { rank };
        to.offer(slot, rank, key, value);
    }
}

/// Whether these say enough to be a request: something only HTTP has.
pub(crate) fn is_request(fields: &Fields<'_>) -> bool {
    let has = |slot| fields.get(slot).is_some();
    (has(METHOD) || has(STATUS)) && (has(PATH) || has(STATUS))
}

/// How many microseconds the unit has that a duration's key counts in.
pub(crate) fn unit_micros(key: &str) -> f64 {
    if key == "event.duration" { 1e-3 } else { 1e6 }
}
