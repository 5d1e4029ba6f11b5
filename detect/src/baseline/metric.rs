//! What is watched: of a workload its resources, of a service its requests.

use std::fmt;

use super::verdict::BadSample;

/// What a series measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// CPU in cores.
    Cpu,
    /// Memory in bytes.
    Memory,
    /// Bytes received a second.
    Received,
    /// Bytes sent a second.
    Sent,
    /// Share of a GPU in use.
    Gpu,
    /// Requests a second.
    Requests,
    /// Share of requests that the server failed.
    Errors,
    /// Seconds that a request took, in the mean.
    Latency,
    /// Different clients in a slice.
    Clients,
}

/// What a slice makes of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gather {
    /// Counts, divided by the length of the slice; a slice without any is 0.
    PerSecond,
    /// The mean of values; a slice without any is missing.
    Mean,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 9] = [
        Self::Cpu,
        Self::Memory,
        Self::Received,
        Self::Sent,
        Self::Gpu,
        Self::Requests,
        Self::Errors,
        Self::Latency,
        Self::Clients,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Received => "received",
            Self::Sent => "sent",
            Self::Gpu => "gpu",
            Self::Requests => "requests",
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Clients => "clients",
        }
    }

    /// The metric with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// What a slice makes of its samples.
    pub fn gather(self) -> Gather {
        if self == Self::Requests { Gather::PerSecond } else { Gather::Mean }
    }

    /// The least difference that means something, in its unit: a hundred of these is what an idle series must change
    /// by to be as far out as a busy one that doubles.
    pub fn grain(self) -> f64 {
        match self {
            Self::Cpu | Self::Gpu => 0.002,
            Self::Memory => 1_048_576.0,
            Self::Received | Self::Sent => 1_024.0,
            Self::Requests => 0.05,
            Self::Errors => 0.001,
            Self::Latency => 0.001,
            Self::Clients => 0.2,
        }
    }

    /// Why this value cannot have been measured, if it cannot: nothing here is ever below zero.
    pub fn refuses(self, value: f64) -> Option<BadSample> {
        BadSample::of(value).or_else(|| (value < 0.0).then_some(BadSample::Negative))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
