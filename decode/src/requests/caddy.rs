//! Caddy's access logs, which nest what was asked in `request`. Times and durations are seconds; headers are lists.

use super::slot::*;
use crate::json::Value;
use crate::path::alone;
use crate::pick::{Offers, offer_all};

/// What Caddy calls the loggers of sites that have no name of their own.
const LOGGER: &str = "http.log.access";

/// Offers the values of a record's fields.
pub(crate) fn offer<'t>(object: Value<'t>, to: &mut impl Offers<'t>) {
    let outer = |key: &str| {
        Some(match key {
            "ts" => (TIME, 0),
            "time" | "timestamp" => (TIME, 1),
            "status" => (STATUS, 0),
            "size" => (BYTES, 0),
            "duration" => (DURATION, 0),
            "logger" => (SERVICE, 0),
            _ => return None,
        })
    };
    offer_all(object.entries(), outer, to);
    let Some(request) = object.get("request") else { return };
    for (key, value) in request.entries() {
        let (slot, rank, key) = match key {
            "client_ip" => (PEER, 0, "request.client_ip"),
            "remote_ip" => (PEER, 1, "request.remote_ip"),
            "remote_addr" => (PEER, 2, "request.remote_addr"),
            "method" => (METHOD, 0, "request.method"),
            "host" => (HOST, 0, "request.host"),
            "uri" => (PATH, 0, "request.uri"),
            "proto" => (VERSION, 0, "request.proto"),
            _ => continue,
        };
        to.offer(slot, rank, key, value);
    }
    for (key, value) in request.get("headers").into_iter().flat_map(Value::entries) {
        let (slot, key) = match key {
            "User-Agent" => (AGENT, "request.headers.User-Agent"),
            "X-Forwarded-For" => (FORWARDED, "request.headers.X-Forwarded-For"),
            "X-Request-Id" => (ID, "request.headers.X-Request-Id"),
            _ => continue,
        };
        to.offer(slot, 0, key, alone(value));
    }
}

/// Whether an object under `request` is Caddy's.
pub(crate) fn is_request(request: Value<'_>) -> bool {
    let has = |key| request.get(key).is_some_and(|value| value.text().is_some());
    has("uri") && (has("remote_ip") || has("remote_addr"))
}

/// The site that a logger is named for; nothing where it is Caddy's own name for it (`http.log.access.log0`).
pub(crate) fn service(logger: &str) -> &str {
    let name = logger.strip_prefix(LOGGER).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    let is_numbered = |end: &str| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit());
    if name == "default" || name.strip_prefix("log").is_some_and(is_numbered) { "" } else { name }
}

#[cfg(test)]
mod tests {
    #[test]
    fn loggers_name_services() {
        for (logger, meant) in [
            ("http.log.access", ""),
            ("http.log.access.log0", ""),
            ("http.log.access.default", ""),
            ("http.log.access.shop", "shop"),
            ("http.log.access.logs", "logs"),
            ("admin.api", ""),
        ] {
            assert_eq!(super::service(logger), meant, "{logger}");
        }
    }
}
