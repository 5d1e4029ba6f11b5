//! The names that fields have in each format.

use beaconfire_decode::Format;

/// Fields, and the keys they stand under: the first that has a value counts. Keys of the same rank have a `|` between
/// them, and of those the last in the record counts.
pub(crate) type Table = &'static [(&'static str, &'static [&'static str])];

pub(crate) const NGINX: Table = &[
    ("time", &["msec", "time_iso8601", "time_local", "time", "timestamp", "ts", "@timestamp", "date"]),
    ("client", &["remote_addr", "remote_address", "remote_ip", "client_ip", "clientip", "client"]),
    (
        "forwarded",
        &["http_x_forwarded_for", "x_forwarded_for", "x-forwarded-for", "x-forward-for|x_forward_for", "xff"],
    ),
    ("method", &["request_method", "method", "verb"]),
    ("host", &["host", "http_host", "vhost", "server_name", "domain"]),
    ("path", &["request_uri", "path", "uri", "url"]),
    ("query", &["args", "query_string", "request_query", "query"]),
    ("line", &["request"]),
    ("version", &["server_protocol", "http_version", "protocol|request_proto"]),
    ("status", &["status", "response_status", "status_code"]),
    ("bytes", &["bytes_sent", "body_bytes_sent", "bytes", "size"]),
    ("duration", &["request_time", "duration", "responsetime"]),
    ("agent", &["http_user_agent", "user_agent", "agent|useragent"]),
    ("id", &["request_id", "req_id", "http_x_request_id|x_request_id"]),
    ("service", &["service_name", "service.name", "service", "proxy_upstream_name", "ingress_name"]),
    ("namespace", &["namespace"]),
];

pub(crate) const ENVOY: Table = &[
    ("time", &["start_time", "timestamp", "time", "@timestamp", "date"]),
    ("client", &["downstream_direct_remote_address", "downstream_remote_address"]),
    ("forwarded", &["x_forwarded_for", "x-forwarded-for"]),
    ("method", &["method", ":method"]),
    ("host", &["authority", ":authority"]),
    ("path", &["x-envoy-original-path|x_envoy_original_path", "x-envoy-origin-path", "path", ":path"]),
    ("version", &["protocol"]),
    ("status", &["response_code"]),
    ("bytes", &["bytes_sent"]),
    ("duration", &["duration"]),
    ("agent", &["user_agent", "user-agent"]),
    ("id", &["request_id", "x-request-id|x_request_id"]),
    ("service", &["upstream_cluster", "route_name"]),
];

pub(crate) const TRAEFIK: Table = &[
    ("time", &["StartUTC", "StartLocal", "time"]),
    ("client", &["ClientAddr", "ClientHost"]),
    ("forwarded", &["request_X-Forwarded-For"]),
    ("method", &["RequestMethod"]),
    ("host", &["RequestHost", "RequestAddr"]),
    ("path", &["RequestPath"]),
    ("version", &["RequestProtocol"]),
    ("status", &["DownstreamStatus", "OriginStatus"]),
    ("bytes", &["DownstreamContentSize"]),
    ("duration", &["Duration"]),
    ("agent", &["request_User-Agent"]),
    ("id", &["request_X-Request-Id"]),
    ("service", &["ServiceName", "RouterName"]),
];

pub(crate) const CLOUDFLARE: Table = &[
    ("time", &["EdgeStartTimestamp", "EdgeEndTimestamp", "Datetime"]),
    ("client", &["ClientIP"]),
    ("method", &["ClientRequestMethod"]),
    ("host", &["ClientRequestHost"]),
    ("path", &["ClientRequestURI", "ClientRequestPath"]),
    ("query", &["ClientRequestQuery"]),
    ("version", &["ClientRequestProtocol"]),
    ("status", &["EdgeResponseStatus"]),
    ("bytes", &["EdgeResponseBytes"]),
    ("duration", &["EdgeTimeToFirstByteMs", "OriginResponseDurationMs", "OriginResponseTime"]),
    ("agent", &["ClientRequestUserAgent"]),
    ("id", &["RayID"]),
    ("service", &["ZoneName"]),
];

pub(crate) const BEACONFIRE: Table = &[
    ("time", &["time"]),
    ("client", &["client"]),
    ("forwarded", &["forwarded_for"]),
    ("service", &["service"]),
    ("method", &["method"]),
    ("host", &["host"]),
    ("path", &["path"]),
    ("query", &["query"]),
    ("version", &["http_version"]),
    ("status", &["status"]),
    ("bytes", &["bytes_sent"]),
    ("duration", &["duration_seconds"]),
    ("agent", &["user_agent"]),
    ("id", &["request_id"]),
];

/// By their paths.
pub(crate) const CADDY: Table = &[
    ("time", &["ts", "time|timestamp"]),
    ("client", &["request.client_ip", "request.remote_ip", "request.remote_addr"]),
    ("forwarded", &["request.headers.X-Forwarded-For"]),
    ("method", &["request.method"]),
    ("host", &["request.host"]),
    ("path", &["request.uri"]),
    ("version", &["request.proto"]),
    ("status", &["status"]),
    ("bytes", &["size"]),
    ("duration", &["duration"]),
    ("agent", &["request.headers.User-Agent"]),
    ("id", &["request.headers.X-Request-Id"]),
    ("service", &["logger"]),
];

/// By their paths, of which keys may have several parts in one.
pub(crate) const ECS: Table = &[
    ("time", &["@timestamp"]),
    (
        "client",
        &[
            "network.peer.address",
            "net.sock.peer.addr",
            "net.peer.ip",
            "source.ip",
            "source.address",
            "client.ip",
            "client.address",
            "http.client_ip",
        ],
    ),
    (
        "forwarded",
        &[
            "http.request.header.x-forwarded-for",
            "http.request.header.x_forwarded_for",
            "http.request.headers.x-forwarded-for",
            "http.request.headers.X-Forwarded-For",
        ],
    ),
    ("method", &["http.request.method", "http.method"]),
    ("host", &["url.domain", "http.host", "server.address", "destination.domain"]),
    ("path", &["url.original", "http.target", "url.path", "url.full", "http.url"]),
    ("query", &["url.query"]),
    ("version", &["http.version", "network.protocol.version", "http.flavor"]),
    ("status", &["http.response.status_code", "http.status_code"]),
    (
        "bytes",
        &[
            "http.response.body.bytes",
            "http.response.bytes",
            "http.response.body.size",
            "http.response.size",
            "http.response_content_length",
        ],
    ),
    ("duration", &["event.duration", "http.server.request.duration"]),
    ("agent", &["user_agent.original", "http.user_agent", "http.request.header.user-agent"]),
    ("id", &["http.request.id", "http.request.header.x-request-id"]),
    ("service", &["service.name"]),
];

/// The keys of a format's fields.
pub(crate) fn table(format: Format) -> Table {
    match format {
        Format::NginxJson => NGINX,
        Format::Envoy => ENVOY,
        Format::Traefik => TRAEFIK,
        Format::Caddy => CADDY,
        Format::Cloudflare => CLOUDFLARE,
        Format::Ecs => ECS,
        Format::Beaconfire => BEACONFIRE,
        _ => &[],
    }
}
