//! Requests: what the JSON formats share. Each names the keys of its fields; [`read`] makes a request of them.

pub(crate) mod alb;
pub(crate) mod beaconfire;
pub(crate) mod caddy;
pub(crate) mod cloudflare;
pub(crate) mod cloudfront;
pub(crate) mod combined;
pub(crate) mod envoy;
pub(crate) mod envoy_text;
pub(crate) mod haproxy;
pub(crate) mod log_format;
pub(crate) mod nginx_json;
pub(crate) mod paths;
pub(crate) mod semantic;
mod target;
pub(crate) mod text;
pub(crate) mod traefik;

pub(crate) use target::{Line, Target, form};

use beaconfire_model::{EventTime, Request, TargetForm};

use crate::client::{self, Found};
use crate::envelope::otel;
use crate::json::Value;
use crate::notes::Notes;
use crate::pick::{Entries, Picked};
use crate::{DecodeKnobs, Format, Reject, number};

/// The fields that the formats look for, as slots of [`Picked`].
pub(crate) mod slot {
    pub(crate) const TIME: usize = 0;
    pub(crate) const PEER: usize = 1;
    pub(crate) const FORWARDED: usize = 2;
    pub(crate) const METHOD: usize = 3;
    pub(crate) const HOST: usize = 4;
    pub(crate) const PATH: usize = 5;
    pub(crate) const QUERY: usize = 6;
    /// A whole request line.
    pub(crate) const LINE: usize = 7;
    pub(crate) const VERSION: usize = 8;
    pub(crate) const STATUS: usize = 9;
    pub(crate) const BYTES: usize = 10;
    pub(crate) const DURATION: usize = 11;
    pub(crate) const AGENT: usize = 12;
    pub(crate) const ID: usize = 13;
    pub(crate) const SERVICE: usize = 14;
    pub(crate) const NAMESPACE: usize = 15;
    /// Metadata of Kubernetes, among the record's own keys.
    pub(crate) const KUBERNETES: usize = 16;
    pub(crate) const COUNT: usize = 17;
}

/// The keys under which JSON records hold a query string apart from its path: what may not be shown must be found in
/// records that nobody could read, too.
pub const QUERY_KEYS: [&str; 6] =
    ["args", "query_string", "request_query", "query", "url.query", "ClientRequestQuery"];

/// JSON formats whose keys mean the same fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Beaconfire,
    Nginx,
    Envoy,
    /// Envoy, where it has already found the client.
    EnvoyResolved,
    Traefik,
    Cloudflare,
}

impl Family {
    pub(crate) const COUNT: usize = 6;
    /// All, in the order of their numbers.
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Beaconfire, Self::Nginx, Self::Envoy, Self::EnvoyResolved, Self::Traefik, Self::Cloudflare];

    /// The family of a format; `resolved` says that Envoy has already found the client.
    pub(crate) fn of(format: Format, resolved: bool) -> Self {
        match format {
            Format::Envoy if resolved => Self::EnvoyResolved,
            Format::Envoy => Self::Envoy,
            Format::Beaconfire => Self::Beaconfire,
            Format::Traefik => Self::Traefik,
            Format::Cloudflare => Self::Cloudflare,
            _ => Self::Nginx,
        }
    }
}

/// The field that a key stands for in a family, and which of several is taken (the lowest).
pub(crate) fn slot_of(family: Family, key: &str) -> Option<(usize, u8)> {
    let slot = match family {
        Family::Beaconfire => return beaconfire::key(key),
        Family::Cloudflare => return cloudflare::key(key),
        Family::Nginx => nginx_json::key(key),
        Family::Envoy => envoy::key(key, false),
        Family::EnvoyResolved => envoy::key(key, true),
        Family::Traefik => traefik::key(key),
    };
    slot.or_else(|| (key == "kubernetes").then_some((slot::KUBERNETES, 0)))
}

/// The values of a request's fields.
pub(crate) type Fields<'t> = Picked<'t, { slot::COUNT }>;

/// The fields of a record whose keys stand side by side, but in no object.
pub(crate) fn flat<'t>(family: Family, pairs: impl Iterator<Item = (&'t str, Value<'t>)>) -> Fields<'t> {
    Fields::from(pairs.filter(|(_, value)| !value.is_object()), |key| slot_of(family, key))
}

/// The service that a record names, as (namespace, name).
#[inline]
pub(crate) fn service<'t>(format: Format, fields: &impl Entries<'t>) -> (&'t str, &'t str) {
    let text = fields.text(slot::SERVICE);
    if text.is_empty() {
        return ("", "");
    }
    match format {
        Format::Envoy => envoy::service(text),
        Format::Traefik => ("", traefik::service(text)),
        Format::Caddy => ("", caddy::service(text)),
        Format::NginxJson if fields.key(slot::SERVICE) == "proxy_upstream_name" => {
            ("", nginx_json::upstream(text))
        }
        _ => (fields.text(slot::NAMESPACE), text),
    }
}

/// How many microseconds the unit of the record's duration has.
#[inline]
pub(crate) fn unit_micros<'t>(format: Format, fields: &impl Entries<'t>) -> f64 {
    match format {
        Format::Envoy => 1e3,
        Format::Traefik => 1e-3,
        Format::Cloudflare => cloudflare::unit_micros(fields.key(slot::DURATION)),
        Format::Ecs | Format::Otel => semantic::unit_micros(fields.key(slot::DURATION)),
        _ => 1e6,
    }
}

/// Whether the record's address is already the client's.
pub(crate) fn is_resolved<'t>(format: Format, fields: &impl Entries<'t>) -> bool {
    format == Format::Caddy && fields.key(slot::PEER) == "request.client_ip"
}

/// X-Forwarded-For; several of them are joined in `buffer`, in order.
pub(crate) fn forwarded<'a>(fields: &Fields<'a>, buffer: &'a mut String) -> &'a str {
    let Some(pick) = fields.get(slot::FORWARDED) else { return "" };
    if !pick.value.is_array() {
        return fields.text(slot::FORWARDED);
    }
    for item in pick.value.items() {
        if !buffer.is_empty() {
            buffer.push_str(", ");
        }
        buffer.push_str(item.scalar().or_else(|| otel::bare(item).scalar()).unwrap_or("unknown"));
    }
    buffer
}

/// What a request is made of besides its fields.
pub(crate) struct Made<'a> {
    /// When it happened.
    pub(crate) time: EventTime,
    /// The service, where the record or its envelope names one.
    pub(crate) service: &'a str,
    /// X-Forwarded-For, joined where it came in several pieces.
    pub(crate) forwarded: &'a str,
    /// How many microseconds the unit of the duration has.
    pub(crate) unit_micros: f64,
    /// Whether the peer's address is already the client's, as the record says.
    pub(crate) resolved: bool,
}

/// A request of these fields. It is large: inlined, it is made where it is to be.
#[inline(always)]
pub(crate) fn read<'a, 't: 'a, N: Notes>(
    fields: &impl Entries<'t>,
    knobs: &DecodeKnobs,
    made: &Made<'a>,
    notes: &mut N,
) -> Result<Request<'a>, Reject> {
    let line = match fields.text(slot::LINE) {
        "" => Line::default(),
        line => Line::of(line),
    };
    // What was asked for, not what a rewrite made of it: `request_uri` and the request line come before `path`.
    let (target, from) =
        if !line.target.is_empty() && fields.entry(slot::PATH).is_none_or(|entry| is_rewritten(entry.key)) {
            (line.target, "the target in")
        } else {
            (fields.text(slot::PATH), "")
        };
    if target.is_empty() && fields.entry(slot::STATUS).is_none() {
        notes.fault(|| "neither a path nor a status".to_owned());
        return Err(Reject::MissingField);
    }
    let target = Target::of(target);
    let pick = |own: &'a str, other: &'a str| if own.is_empty() { other } else { own };
    let (client, found) = client::client(knobs, made.resolved, fields.text(slot::PEER), made.forwarded);
    let version = fields.text(slot::VERSION);
    let request = Request {
        time: made.time,
        client,
        service: made.service,
        method: pick(fields.text(slot::METHOD), line.method),
        host: pick(fields.text(slot::HOST), target.host),
        path: target.path,
        query: pick(target.query, fields.text(slot::QUERY).trim_start_matches('?')),
        http_version: pick(version.strip_prefix("HTTP/").unwrap_or(version), line.version),
        status: fields.integer(slot::STATUS).and_then(|status| u16::try_from(status).ok()).unwrap_or(0),
        bytes_sent: fields.integer(slot::BYTES).unwrap_or(0),
        duration_micros: match number::millis(fields.text(slot::DURATION)) {
            // What the long way comes to: it is off by far less than half.
            Some(millis) if made.unit_micros == 1e6 => Some(millis * 1000),
            _ => duration(fields.float(slot::DURATION), made.unit_micros),
        },
        user_agent: fields.text(slot::AGENT),
        request_id: fields.text(slot::ID),
        // Only request lines show what was sent: other keys hold whole URLs that a server has put together.
        target: match (target.host, from) {
            ("", _) | (_, "") => TargetForm::Path,
            (named, _) => form(line.version, named, fields.text(slot::HOST)),
        },
    };
    let key = |slot: usize| fields.key(slot);
    notes.origin("client", || trust(found, key(slot::PEER), key(slot::FORWARDED)));
    let path =
        || if from.is_empty() { key(slot::PATH).to_owned() } else { format!("{from} {}", key(slot::LINE)) };
    notes.origin("path", path);
    notes.origin("query", || if target.query.is_empty() { key(slot::QUERY).to_owned() } else { path() });
    for (name, slot) in [
        ("method", slot::METHOD),
        ("host", slot::HOST),
        ("http_version", slot::VERSION),
        ("status", slot::STATUS),
        ("bytes_sent", slot::BYTES),
        ("duration", slot::DURATION),
        ("user_agent", slot::AGENT),
        ("request_id", slot::ID),
    ] {
        notes.origin(name, || match (key(slot), name) {
            ("", "method" | "http_version") if !line.target.is_empty() => key(slot::LINE).to_owned(),
            ("", "host") if !target.host.is_empty() => path(),
            (key, _) => key.to_owned(),
        });
    }
    Ok(request)
}

/// How the client was found, in words.
pub(crate) fn trust(found: Found, peer: &str, forwarded: &str) -> String {
    match found {
        Found::Resolved => format!("{peer}, taken as it is: the client was found already"),
        Found::Peer => format!("{peer}, which is no trusted proxy"),
        Found::Proxy => format!("{peer}; a trusted proxy, and no address in X-Forwarded-For to believe"),
        Found::Hop(1) => format!("{forwarded}, rightmost address (the peer is a trusted proxy)"),
        Found::Hop(hop) => format!("{forwarded}, address {hop} from the right (behind trusted proxies)"),
        Found::Nobody if peer.is_empty() => String::new(),
        Found::Nobody => format!("{peer}, which holds no address"),
    }
}

/// Keys whose path may be another than the one that was asked for.
fn is_rewritten(key: &str) -> bool {
    matches!(key, "path" | "uri" | "url")
}

fn duration(value: Option<f64>, unit_micros: f64) -> Option<u64> {
    let micros = value? * unit_micros;
    if micros.is_nan() || micros < 0.0 {
        return None;
    }
    // As `f64::round` does, which is a call on most processors. Larger ones have no fraction.
    let whole = micros as u64; // saturates
    Some(if micros < 9e15 { whole + u64::from(micros - whole as f64 >= 0.5) } else { whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever teaches a format another key for queries is led to the list above.
    #[test]
    fn the_keys_of_queries_are_listed() {
        let formats = [
            include_str!("beaconfire.rs"),
            include_str!("caddy.rs"),
            include_str!("cloudflare.rs"),
            include_str!("envoy.rs"),
            include_str!("nginx_json.rs"),
            include_str!("semantic.rs"),
            include_str!("traefik.rs"),
        ];
        let parted = |line: &'static str| line.split_once("=>").or_else(|| line.split_once(", QUERY"));
        let mut found: Vec<&str> = formats
            .iter()
            .flat_map(|source| source.lines())
            .filter(|line| line.contains("QUERY"))
            .filter_map(parted)
            .flat_map(|(keys, _)| keys.split('"').skip(1).step_by(2))
            .collect();
        found.sort_unstable();
        found.dedup();
        let mut listed = QUERY_KEYS;
        listed.sort_unstable();
        assert_eq!(found, listed);
    }
}
