//! What a container or host used at one moment, in base units (cores, bytes, seconds), whoever measured it.
//!
//! Producers differ in what they send: some a gauge of cores, some a counter of nanoseconds, some only the limit, each in
//! a record of its own. So a sample is an identity and a list of measured values; rates and limits are put together
//! behind the decoder, where more than one sample is known.

use crate::EventTime;

/// What a container or host used at one moment. Text that the record does not have is empty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ResourceSample<'b> {
    /// When it was sampled.
    pub time: EventTime,
    /// Namespace/owner, or what stands for it (`image@host`, `lambda/function`): outlives rollouts.
    pub workload: &'b str,
    /// The pod.
    pub pod: &'b str,
    /// The container.
    pub container: &'b str,
    /// The image it runs.
    pub image: &'b str,
    /// The node or host.
    pub node: &'b str,
    /// What tells copies of a workload apart where there are no pods: a container's id, a process's number.
    pub instance: &'b str,
    /// Which part of the whole was measured (a processor, an interface, a GPU); the parts add up.
    pub part: &'b str,
    /// What was measured. Values are as they came, also those that cannot be (NaN, infinite, below zero): who makes rates
    /// of them counts the bad ones by reason.
    pub measured: &'b [Measured],
}

impl ResourceSample<'_> {
    /// The value of a metric, where it was measured.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.measured.iter().find(|measured| measured.metric == metric).map(|measured| measured.value)
    }
}

/// One value of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// What it is.
    pub metric: Metric,
    /// How much, in the metric's unit.
    pub value: f64,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What can be measured. The names end in `_total` where they count since the start of whatever is measured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $($(#[$doc])* $name,)*
        }

        impl Metric {
            /// All of them.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            /// The name, in our own records and in explanations.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

metrics! {
    /// CPU in cores.
    CpuCores = "cpu_cores",
    /// CPU time used so far, in seconds of one core.
    CpuSeconds = "cpu_seconds_total",
    /// The CPU limit in cores.
    CpuLimitCores = "cpu_limit_cores",
    /// The CPU request in cores.
    CpuRequestCores = "cpu_request_cores",
    /// The CPU limit as the kernel has it: so many microseconds in each period. None is 0 or below.
    CpuQuotaMicros = "cpu_quota_micros",
    /// The period of that quota.
    CpuPeriodMicros = "cpu_period_micros",
    /// CPU as a share of its limit: tells the limit together with the cores.
    CpuOfLimit = "cpu_of_limit",
    /// CPU as a share of the whole node's.
    CpuOfNode = "cpu_of_node",
    /// Periods of the scheduler in which it wanted to run.
    CpuPeriods = "cpu_periods_total",
    /// Those of them in which it was held back at its limit.
    CpuThrottledPeriods = "cpu_throttled_periods_total",
    /// Memory in bytes (working set: what cannot be taken back).
    MemoryBytes = "memory_bytes",
    /// The memory limit in bytes.
    MemoryLimitBytes = "memory_limit_bytes",
    /// The memory request in bytes.
    MemoryRequestBytes = "memory_request_bytes",
    /// Memory as a share of its limit.
    MemoryOfLimit = "memory_of_limit",
    /// Received bytes a second.
    NetRxBytesPerSecond = "net_rx_bytes_per_second",
    /// Sent bytes a second.
    NetTxBytesPerSecond = "net_tx_bytes_per_second",
    /// Bytes received so far.
    NetRxBytes = "net_rx_bytes_total",
    /// Bytes sent so far.
    NetTxBytes = "net_tx_bytes_total",
    /// Share of a GPU in use, 0 to 1.
    GpuShare = "gpu_share",
    /// Restarts so far.
    Restarts = "restarts_total",
    /// Times that the kernel ended it for want of memory.
    OomKills = "oom_kills_total",
    /// 1 where its last end was for want of memory.
    OomKilled = "oom_killed",
}

impl Metric {
    /// Whether it counts since the start of what is measured, so that only differences say something.
    pub const fn is_counter(self) -> bool {
        matches!(
            self,
            Self::CpuSeconds
                | Self::CpuPeriods
                | Self::CpuThrottledPeriods
                | Self::NetRxBytes
                | Self::NetTxBytes
                | Self::Restarts
                | Self::OomKills
        )
    }

    /// Whether it says what may be used, not what is.
    pub const fn is_bound(self) -> bool {
        matches!(
            self,
            Self::CpuLimitCores
                | Self::CpuRequestCores
                | Self::CpuQuotaMicros
                | Self::CpuPeriodMicros
                | Self::MemoryLimitBytes
                | Self::MemoryRequestBytes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_those_that_are_called_so() {
        for metric in Metric::ALL {
            assert_eq!(metric.is_counter(), metric.name().ends_with("_total"), "{metric:?}");
            assert!(!(metric.is_counter() && metric.is_bound()), "{metric:?}");
        }
    }
}
