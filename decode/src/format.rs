//! The formats of this version, by the names that people type.

/// How the records of an entry of `kafka.topics` are written, once their envelopes are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Format {
    /// Decided for each record by its own shape.
    #[default]
    Auto,
    /// The text of nginx and Apache: `combined`, `common`, and nginx's `main`.
    Combined,
    /// The text of ingress-nginx.
    IngressNginx,
    /// Access logs of nginx written as JSON.
    NginxJson,
    /// Access logs of Envoy, Istio and Envoy Gateway, as JSON and text.
    Envoy,
    /// Access logs of Traefik, as text and JSON.
    Traefik,
    /// Access logs of Caddy.
    Caddy,
    /// The HTTP log of HAProxy.
    Haproxy,
    /// Access logs of AWS's application load balancers.
    Alb,
    /// Standard access logs of CloudFront.
    Cloudfront,
    /// Cloudflare's Logpush of HTTP requests.
    Cloudflare,
    /// Requests in the Elastic Common Schema.
    Ecs,
    /// OpenTelemetry's logs, as JSON and protobuf.
    Otel,
    /// Alerts of Falco, also as Falcosidekick forwards them.
    Falco,
    /// Our own records, for those who write their producers.
    Beaconfire,
}

impl Format {
    /// All formats of this version, [`Auto`](Self::Auto) first.
    pub const ALL: [Self; 15] = [
        Self::Auto,
        Self::Combined,
        Self::IngressNginx,
        Self::NginxJson,
        Self::Envoy,
        Self::Traefik,
        Self::Caddy,
        Self::Haproxy,
        Self::Alb,
        Self::Cloudfront,
        Self::Cloudflare,
        Self::Ecs,
        Self::Otel,
        Self::Falco,
        Self::Beaconfire,
    ];

    /// The name in configuration, labels and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Combined => "combined",
            Self::IngressNginx => "ingress-nginx",
            Self::NginxJson => "nginx-json",
            Self::Envoy => "envoy",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::Alb => "alb",
            Self::Cloudfront => "cloudfront",
            Self::Cloudflare => "cloudflare",
            Self::Ecs => "ecs",
            Self::Otel => "otel",
            Self::Falco => "falco",
            Self::Beaconfire => "beaconfire",
        }
    }

    /// The format with this [`name`](Self::name); `None` for one that is not in this version.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// One line on what a format is, for people who choose one.
pub const fn describe(format: Format) -> &'static str {
    match format {
        Format::Auto => "decided for each record by its own shape: any of the formats below",
        Format::Combined => {
            "access logs of nginx and Apache as text: combined, common, or nginx's main with its timings; a vhost may lead, unknown fields behind are passed over"
        }
        Format::IngressNginx => "access logs of ingress-nginx as text (upstreaminfo)",
        Format::NginxJson => {
            "access logs of nginx and ingress-nginx as JSON, under the usual names of their variables"
        }
        Format::Envoy => {
            "access logs of Envoy, Istio and Envoy Gateway, as JSON under their usual names or as text"
        }
        Format::Traefik => "access logs of Traefik as JSON or in its common log format",
        Format::Caddy => "access logs of Caddy, as JSON",
        Format::Haproxy => "HTTP logs of HAProxy (httplog, httpslog)",
        Format::Alb => "access logs of AWS application load balancers",
        Format::Cloudfront => "standard access logs of AWS CloudFront, tab separated",
        Format::Cloudflare => "HTTP requests from Cloudflare's Logpush, as JSON",
        Format::Ecs => "requests in the Elastic Common Schema, nested or with dotted keys",
        Format::Otel => {
            "OpenTelemetry logs as JSON or protobuf: HTTP attributes, or a body in any other format (metrics are not in this version)"
        }
        Format::Falco => "alerts of Falco (json_output) and of Falcosidekick",
        Format::Beaconfire => "our own records: {\"kind\":\"request\"|\"resource\"|\"runtime\", …}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_every_format_is_described_in_one_line() {
        for format in Format::ALL {
            assert_eq!(Format::parse(format.name()), Some(format));
            assert!(!describe(format).is_empty() && !describe(format).contains('\n'));
        }
        assert_eq!(Format::parse("apache"), None);
    }
}
