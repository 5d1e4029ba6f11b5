//! Traefik's access logs as JSON. Durations are nanoseconds; headers are there where the operator keeps them.

use super::slot::*;

/// The field that a key stands for, and which of several is taken (the lowest).
pub(crate) fn key(key: &str) -> Option<(usize, u8)> {
    Some(match key {
        "StartUTC" => (TIME, 0),
        "StartLocal" => (TIME, 1),
        "time" => (TIME, 2),
        "ClientAddr" => (PEER, 0),
        "ClientHost" => (PEER, 1),
        "request_X-Forwarded-For" => (FORWARDED, 0),
        "RequestMethod" => (METHOD, 0),
        "RequestHost" => (HOST, 0),
        "RequestAddr" => (HOST, 1),
        "RequestPath" => (PATH, 0),
        "RequestProtocol" => (VERSION, 0),
        "DownstreamStatus" => (STATUS, 0),
        "OriginStatus" => (STATUS, 1),
        "DownstreamContentSize" => (BYTES, 0),
        "Duration" => (DURATION, 0),
        "request_User-Agent" => (AGENT, 0),
        "request_X-Request-Id" => (ID, 0),
        "ServiceName" => (SERVICE, 0),
        "RouterName" => (SERVICE, 1),
        _ => return None,
    })
}

/// `web@docker` without its provider; the first of routers that call each other (`a -> b`).
pub(crate) fn service(name: &str) -> &str {
    let first = name.split_once(" -> ").map_or(name, |(first, _)| first);
    first.split_once('@').map_or(first, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn services_lose_their_provider() {
        for (name, meant) in [
            ("shop-web-80@kubernetescrd", "shop-web-80"),
            ("web@docker", "web"),
            ("outer@file -> inner@file", "outer"),
            ("Host-shop-1", "Host-shop-1"),
            ("", ""),
        ] {
            assert_eq!(super::service(name), meant, "{name}");
        }
    }
}
