//! Access logs of nginx and ingress-nginx as JSON. The keys are the operator's choice; these are the usual ones,
//! most often the names of nginx's variables.

use super::slot::*;

/// The field that a key stands for, and which of several is taken (the lowest).
pub(crate) fn key(key: &str) -> Option<(usize, u8)> {
    Some(match key {
        "msec" => (TIME, 0),
        "time_iso8601" => (TIME, 1),
        "time_local" => (TIME, 2),
        "time" => (TIME, 3),
        "timestamp" => (TIME, 4),
        "ts" => (TIME, 5),
        "@timestamp" => (TIME, 6),
        "date" => (TIME, 7),
        "remote_addr" => (PEER, 0),
        "remote_address" => (PEER, 1),
        "remote_ip" => (PEER, 2),
        "client_ip" => (PEER, 3),
        "clientip" => (PEER, 4),
        "client" => (PEER, 5),
        "http_x_forwarded_for" => (FORWARDED, 0),
        "x_forwarded_for" => (FORWARDED, 1),
        "x-forwarded-for" => (FORWARDED, 2),
        "x-forward-for" | "x_forward_for" => (FORWARDED, 3),
        "xff" => (FORWARDED, 4),
        "request_method" => (METHOD, 0),
        "method" => (METHOD, 1),
        "verb" => (METHOD, 2),
        "host" => (HOST, 0),
        "http_host" => (HOST, 1),
        "vhost" => (HOST, 2),
        "server_name" => (HOST, 3),
        "domain" => (HOST, 4),
        "request_uri" => (PATH, 0),
        "path" => (PATH, 1),
        "uri" => (PATH, 2),
        "url" => (PATH, 3),
        "args" => (QUERY, 0),
        "query_string" => (QUERY, 1),
        "request_query" => (QUERY, 2),
        "query" => (QUERY, 3),
        "request" => (LINE, 0),
        "server_protocol" => (VERSION, 0),
        "http_version" => (VERSION, 1),
        "protocol" | "request_proto" => (VERSION, 2),
        "status" => (STATUS, 0),
        "response_status" => (STATUS, 1),
        "status_code" => (STATUS, 2),
        "bytes_sent" => (BYTES, 0),
        "body_bytes_sent" => (BYTES, 1),
        "bytes" => (BYTES, 2),
        "size" => (BYTES, 3),
        "request_time" => (DURATION, 0),
        "duration" => (DURATION, 1),
        "responsetime" => (DURATION, 2),
        "http_user_agent" => (AGENT, 0),
        "user_agent" => (AGENT, 1),
        "agent" | "useragent" => (AGENT, 2),
        "request_id" => (ID, 0),
        "req_id" => (ID, 1),
        "http_x_request_id" | "x_request_id" => (ID, 2),
        "service_name" => (SERVICE, 0),
        "service.name" => (SERVICE, 1),
        "service" => (SERVICE, 2),
        "proxy_upstream_name" => (SERVICE, 3),
        "ingress_name" => (SERVICE, 4),
        "namespace" => (NAMESPACE, 0),
        _ => return None,
    })
}

/// `default-web-8080`, as ingress-nginx names an upstream, without the port. The namespace cannot be told from the
/// name: both may have dashes.
pub(crate) fn upstream(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((service, port)) if port.parse::<u16>().is_ok() => service,
        _ => name,
    }
}
