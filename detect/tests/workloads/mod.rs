//! A seeded generator of labelled workloads: what they use each minute, and what a sensor sees them do.
//!
//! `benign.rs` has the ordinary ones with everything about them that looks like mining, `miner.rs` lays a miner over one
//! of them. Nothing here is measured from a real system; the shapes and ranges are those that the reference names as
//! twins of mining, and each is drawn anew for each seed.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod benign;
pub(crate) mod miner;
pub(crate) mod noise;

use std::time::Duration;

use beaconfire_detect::engine::mining::Slice;
use beaconfire_model::EventTime;

/// One minute of a workload. `None` from a generator means that nothing runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) cores: f64,
    pub(crate) limit: f64,
    pub(crate) requests: Option<f64>,
    pub(crate) memory_mib: f64,
    pub(crate) network: f64,
    pub(crate) replicas: u32,
    pub(crate) restarts: u32,
    pub(crate) image_changed: bool,
    pub(crate) seen: Option<Seen>,
}

impl Sample {
    /// As the engine is given it.
    pub(crate) fn slice<'w>(&self, workload: &'w str, at: EventTime) -> Slice<'w> {
        Slice {
            workload,
            at,
            span: Duration::from_secs(60),
            cpu_cores: self.cores,
            cpu_limit_cores: Some(self.limit),
            requests_per_second: self.requests,
            memory_bytes: Some(self.memory_mib * 1024.0 * 1024.0),
            network_bytes_per_second: Some(self.network),
            replicas: self.replicas,
            restarts: self.restarts,
            image_changed: self.image_changed,
        }
    }
}

/// What a sensor reports beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Strong ones.
    Stratum,
    Name,
    PoolConnect,
    /// Those that name mining.
    Lookup,
    Options,
    /// Those that ordinary software shows, too.
    Port,
    Dropped,
    Cron,
    Pages,
    Flow,
}
