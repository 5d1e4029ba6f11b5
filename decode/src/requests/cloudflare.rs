//! Cloudflare's Logpush of HTTP requests. Its client is the one that Cloudflare saw.

use super::slot::*;

/// The field that a key stands for, and which of several is taken (the lowest).
pub(crate) fn key(key: &str) -> Option<(usize, u8)> {
    Some(match key {
        "EdgeStartTimestamp" => (TIME, 0),
        "EdgeEndTimestamp" => (TIME, 1),
        // Of requests that its firewall answered, in a log of their own.
        "Datetime" => (TIME, 2),
        "ClientIP" => (PEER, 0),
        "ClientRequestMethod" => (METHOD, 0),
        "ClientRequestHost" => (HOST, 0),
        "ClientRequestURI" => (PATH, 0),
        "ClientRequestPath" => (PATH, 1),
        "ClientRequestQuery" => (QUERY, 0),
        "ClientRequestProtocol" => (VERSION, 0),
        "EdgeResponseStatus" => (STATUS, 0),
        "EdgeResponseBytes" => (BYTES, 0),
        "EdgeTimeToFirstByteMs" => (DURATION, 0),
        "OriginResponseDurationMs" => (DURATION, 1),
        "OriginResponseTime" => (DURATION, 2),
        "ClientRequestUserAgent" => (AGENT, 0),
        "RayID" => (ID, 0),
        "ZoneName" => (SERVICE, 0),
        _ => return None,
    })
}

/// How many microseconds the unit has that a duration's key counts in.
pub(crate) fn unit_micros(key: &str) -> f64 {
    if key == "OriginResponseTime" { 1e-3 } else { 1e3 }
}
