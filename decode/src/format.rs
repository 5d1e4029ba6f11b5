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
    /// OpenTelemetry's logs and metrics, as JSON and protobuf.
    Otel,
    /// Metrics of Telegraf, as JSON and as InfluxDB's lines.
    Telegraf,
    /// Events of Metricbeat.
    Metricbeat,
    /// Messages of cAdvisor.
    Cadvisor,
    /// Samples of Prometheus, as prometheus-kafka-adapter writes them.
    Prometheus,
    /// Events and findings of Tracee.
    Tracee,
    /// Alerts of Falco, also as Falcosidekick forwards them.
    Falco,
    /// Findings of GuardDuty.
    Guardduty,
    /// Query logs of a VPC's resolver.
    VpcDns,
    /// Our own records, for those who write their producers.
    Beaconfire,
}

impl Format {
    /// All formats of this version, [`Auto`](Self::Auto) first.
    pub const ALL: [Self; 22] = [
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
        Self::Telegraf,
        Self::Metricbeat,
        Self::Cadvisor,
        Self::Prometheus,
        Self::Tracee,
        Self::Falco,
        Self::Guardduty,
        Self::VpcDns,
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
            Self::Telegraf => "telegraf",
            Self::Metricbeat => "metricbeat",
            Self::Cadvisor => "cadvisor",
            Self::Prometheus => "prometheus",
            Self::Tracee => "tracee",
            Self::Falco => "falco",
            Self::Guardduty => "guardduty",
            Self::VpcDns => "vpc-dns",
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
            "OpenTelemetry logs and metrics as JSON or protobuf: HTTP attributes, or a body in any other format; CPU, memory, network and limits of containers, pods and functions"
        }
        Format::Telegraf => {
            "metrics of Telegraf as JSON (single or batch) or InfluxDB lines: kubernetes, kube_inventory, docker, cpu, mem, procstat, nvidia_smi"
        }
        Format::Metricbeat => "events of Metricbeat: modules kubernetes, docker and system",
        Format::Cadvisor => "messages of cAdvisor (-storage_driver=kafka)",
        Format::Prometheus => {
            "samples of Prometheus from prometheus-kafka-adapter: cAdvisor's, kube-state-metrics' and DCGM's names"
        }
        Format::Tracee => "events and findings of Tracee: releases to 0.24, v1beta1 after them, tracee-rules",
        Format::Falco => "alerts of Falco (json_output) and of Falcosidekick",
        Format::Guardduty => "findings of AWS GuardDuty: exported, from EventBridge or its API",
        Format::VpcDns => "query logs of a VPC's Route 53 resolver",
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
