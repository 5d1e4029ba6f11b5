//! Our own requests: `{"kind":"request","time":…,"client":…,"service":…,"method":…,"host":…,"path":…,"status":…,
//! "bytes_sent":…,"duration_seconds":…,"user_agent":…}`.

use super::slot::*;

/// The field that a key stands for.
pub(crate) fn key(key: &str) -> Option<(usize, u8)> {
    let field = match key {
        "time" => TIME,
        "client" => PEER,
        "forwarded_for" => FORWARDED,
        "service" => SERVICE,
        "method" => METHOD,
        "host" => HOST,
        "path" => PATH,
        "query" => QUERY,
        "http_version" => VERSION,
        "status" => STATUS,
        "bytes_sent" => BYTES,
        "duration_seconds" => DURATION,
        "user_agent" => AGENT,
        "request_id" => ID,
        _ => return None,
    };
    Some((field, 0))
}
