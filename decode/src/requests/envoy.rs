//! Access logs of Envoy as JSON: Istio's names, Envoy Gateway's names (those of the headers), and numbers as numbers
//! or as strings. Durations are milliseconds.

use super::slot::*;

/// The field that a key stands for, and which of several is taken (the lowest). `resolved` says that Envoy has
/// already found the client, which it then logs as the downstream address, not as the direct one.
pub(crate) fn key(key: &str, resolved: bool) -> Option<(usize, u8)> {
    Some(match key {
        "start_time" => (TIME, 0),
        "timestamp" => (TIME, 1),
        "time" => (TIME, 2),
        "@timestamp" => (TIME, 3),
        "date" => (TIME, 4),
        "downstream_direct_remote_address" => (PEER, if resolved { 2 } else { 0 }),
        "downstream_remote_address" => (PEER, 1),
        "x_forwarded_for" => (FORWARDED, 0),
        "x-forwarded-for" => (FORWARDED, 1),
        "method" => (METHOD, 0),
        ":method" => (METHOD, 1),
        "authority" => (HOST, 0),
        ":authority" => (HOST, 1),
        "x-envoy-original-path" | "x_envoy_original_path" => (PATH, 0),
        "x-envoy-origin-path" => (PATH, 1),
        "path" => (PATH, 2),
        ":path" => (PATH, 3),
        "protocol" => (VERSION, 0),
        "response_code" => (STATUS, 0),
        "bytes_sent" => (BYTES, 0),
        "duration" => (DURATION, 0),
        "user_agent" => (AGENT, 0),
        "user-agent" => (AGENT, 1),
        "request_id" => (ID, 0),
        "x-request-id" | "x_request_id" => (ID, 1),
        "upstream_cluster" => (SERVICE, 0),
        "route_name" => (SERVICE, 1),
        _ => return None,
    })
}

/// The service behind an upstream cluster or a route, as (namespace, name); nothing where it names none. The server
/// name of the TLS handshake would tell more at times, but whoever connects makes it up.
pub(crate) fn service(name: &str) -> (&str, &str) {
    if let Some(rest) = name.strip_prefix("outbound|").or_else(|| name.strip_prefix("inbound-vip|")) {
        // outbound|8000|subset|httpbin.foo.svc.cluster.local, and of a waypoint inbound-vip|8000|http|httpbin.…
        let host = rest.rsplit('|').next().unwrap_or_default();
        let mut labels = host.split('.');
        return match (labels.next(), labels.next(), labels.next()) {
            (Some(service), Some(namespace), Some("svc")) => (namespace, service),
            _ => ("", host),
        };
    }
    for kind in ["httproute/", "grpcroute/", "tlsroute/", "tcproute/"] {
        if let Some(rest) = name.strip_prefix(kind) {
            let mut parts = rest.split('/');
            return (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        }
    }
    let nameless =
        ["inbound|", "inbound/", "PassthroughCluster", "BlackHoleCluster", "InboundPassthroughCluster"];
    if nameless.iter().any(|prefix| name.starts_with(prefix)) || name == "default" {
        ("", "")
    } else {
        ("", name)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn upstreams_name_services() {
        for (name, meant) in [
            ("outbound|8000||httpbin.foo.svc.cluster.local", ("foo", "httpbin")),
            ("outbound|80|v2|web.shop.svc.cluster.local", ("shop", "web")),
            ("inbound-vip|8000|http|httpbin.foo.svc.cluster.local", ("foo", "httpbin")),
            ("outbound|443||api.example.com", ("", "api.example.com")),
            ("inbound|80||", ("", "")),
            ("PassthroughCluster", ("", "")),
            ("default", ("", "")),
            ("httproute/shop/web/rule/0/match/0/www_example_com", ("shop", "web")),
            ("locations", ("", "locations")),
        ] {
            assert_eq!(super::service(name), meant, "{name}");
        }
    }
}
