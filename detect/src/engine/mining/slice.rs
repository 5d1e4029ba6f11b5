//! What the mining engine is told of a workload's resources, and the folding of finer slices into minutes.

use std::time::Duration;

use beaconfire_model::EventTime;

/// A closed slice of one workload, summed over its replicas. Rates and levels are means over the slice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slice<'a> {
    /// Namespace/owner, or what stands for it: it outlives rollouts.
    pub workload: &'a str,
    /// When it began.
    pub at: EventTime,
    /// How long it is: 10 s or 60 s.
    pub span: Duration,
    /// CPU in cores.
    pub cpu_cores: f64,
    /// The CPU limit in cores.
    pub cpu_limit_cores: Option<f64>,
    /// Requests a second of the service it serves; `None` where none is tied to it.
    pub requests_per_second: Option<f64>,
    /// Memory (working set).
    pub memory_bytes: Option<f64>,
    /// Network, both ways together.
    pub network_bytes_per_second: Option<f64>,
    /// How many replicas were seen.
    pub replicas: u32,
    /// Containers that restarted.
    pub restarts: u32,
    /// Another image runs than before.
    pub image_changed: bool,
}

/// Why a slice is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSlice {
    /// CPU, or another number, is negative, not finite, or more than any machine has.
    Value,
    /// It is older than what was already closed.
    Late,
    /// There is no room for another workload.
    Full,
}

pub(crate) const MINUTE_MILLIS: i64 = 60_000;
const CORES_MAX: f64 = 100_000.0;

/// One minute of a workload, for each of its replicas on average: scaling out changes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Folded {
    /// Minutes since the epoch.
    pub(crate) minute: i64,
    pub(crate) cores: f64,
    pub(crate) limit: Option<f64>,
    pub(crate) requests: Option<f64>,
    pub(crate) memory: Option<f64>,
    pub(crate) network: Option<f64>,
    pub(crate) replicas: f64,
    pub(crate) rolled_out: bool,
    pub(crate) slices: u32,
}

impl Folded {
    /// The slice, where its numbers can be believed. A limit of zero means none.
    pub(crate) fn of(slice: &Slice<'_>) -> Result<Self, BadSlice> {
        let good = |value: f64, max: f64| value.is_finite() && (0.0..=max).contains(&value);
        let numbers = [
            slice.requests_per_second.map(|value| good(value, 1e9)),
            slice.memory_bytes.map(|value| good(value, 1e15)),
            slice.network_bytes_per_second.map(|value| good(value, 1e13)),
            slice.cpu_limit_cores.map(|value| good(value, CORES_MAX)),
        ];
        if !good(slice.cpu_cores, CORES_MAX) || numbers.contains(&Some(false)) {
            return Err(BadSlice::Value);
        }
        let replicas = f64::from(slice.replicas.max(1));
        Ok(Self {
            minute: slice.at.millis().div_euclid(MINUTE_MILLIS),
            cores: slice.cpu_cores / replicas,
            limit: slice.cpu_limit_cores.filter(|limit| *limit > 0.0).map(|limit| limit / replicas),
            requests: slice.requests_per_second.map(|value| value / replicas),
            memory: slice.memory_bytes.map(|value| value / replicas),
            network: slice.network_bytes_per_second.map(|value| value / replicas),
            replicas,
            rolled_out: slice.image_changed || slice.restarts * 2 > slice.replicas.max(1),
            slices: 1,
        })
    }

    /// Adds another slice of the same minute: means of the levels.
    pub(crate) fn join(&mut self, other: &Self) {
        let n = f64::from(self.slices);
        let mean = |a: f64, b: f64| (a * n + b) / (n + 1.0);
        let either = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(mean(a, b)),
            (a, b) => a.or(b),
        };
        self.cores = mean(self.cores, other.cores);
        self.requests = either(self.requests, other.requests);
        self.memory = either(self.memory, other.memory);
        self.network = either(self.network, other.network);
        self.limit = other.limit.or(self.limit);
        self.replicas = mean(self.replicas, other.replicas);
        self.rolled_out |= other.rolled_out;
        self.slices += 1;
    }
}
