//! The figures that only the HTTP surface knows.

use prometheus::{GaugeVec, Opts, Registry};

/// Our handles.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// When a bouncer asked for decisions last. Its label is a name that the operator gave.
    pub(crate) last_pull: GaugeVec,
}

impl Metrics {
    /// Registers them; fails where the registry has them already (two servers on one registry).
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let last_pull = GaugeVec::new(
            Opts::new(
                "beaconfire_throttle_bouncer_last_pull_timestamp_seconds",
                "When a bouncer asked for decisions last, in seconds since 1970.",
            ),
            &["bouncer"],
        )?;
        registry.register(Box::new(last_pull.clone()))?;
        Ok(Self { last_pull })
    }
}
