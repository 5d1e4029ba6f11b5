//! The formats of this version, by the names that people type.

/// How the records of an entry of `kafka.topics` are written, once their envelopes are off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Format {
    /// Decided for each record by its own shape.
    #[default]
    Auto,
    /// The text of nginx and Apache: `combined` and `common`.
    Combined,
    /// Access logs of nginx written as JSON.
    NginxJson,
    /// Access logs of Envoy, Istio and Envoy Gateway, as JSON.
    Envoy,
    /// Alerts of Falco, also as Falcosidekick forwards them.
    Falco,
    /// Our own records, for those who write their producers.
    Beaconfire,
}

impl Format {
    /// All formats of this version, [`Auto`](Self::Auto) first.
    pub const ALL: [Self; 6] =
        [Self::Auto, Self::Combined, Self::NginxJson, Self::Envoy, Self::Falco, Self::Beaconfire];

    /// The name in configuration, labels and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Combined => "combined",
            Self::NginxJson => "nginx-json",
            Self::Envoy => "envoy",
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
            "access logs of nginx and Apache as text: combined or common, with or without a leading vhost; further fields are passed over"
        }
        Format::NginxJson => {
            "access logs of nginx and ingress-nginx as JSON, under the usual names of their variables"
        }
        Format::Envoy => {
            "access logs of Envoy, Istio and Envoy Gateway as JSON (their text form is not in this version)"
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
        assert_eq!(Format::parse("haproxy"), None);
    }
}
