//! A seeded generator of labelled workloads: what they use each minute, and what a sensor sees them do.
//!
//! `benign.rs` has the ordinary ones with everything about them that looks like mining, `miner.rs` lays a miner over one
//! of them. Nothing here is measured from a real system; the shapes and ranges are those that the reference names as
//! twins of mining, and each is drawn anew for each seed.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod benign;
pub(crate) mod miner;
pub(crate) mod noise;

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
