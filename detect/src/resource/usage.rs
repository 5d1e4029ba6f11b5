//! What a workload used in one slice, put together from its copies.

use beaconfire_model::{EventTime, Metric};

/// What one container of a workload used in one slice, all copies together. What nobody told is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage<'a> {
    /// When the slice begins.
    pub slice: EventTime,
    /// Namespace/owner, or what stands for it.
    pub workload: &'a str,
    /// The container; empty for what is told of a pod as a whole, and outside Kubernetes.
    pub container: &'a str,
    /// The numbers.
    pub figures: Figures,
}

/// The numbers of a [`Usage`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Copies that told something in the slice, or shortly before it.
    pub copies: u32,
    /// CPU in cores, all copies together.
    pub cpu_cores: Option<f64>,
    /// CPU as a share of the node's, all copies together.
    pub cpu_of_node: Option<f64>,
    /// The CPU limit of one copy.
    pub cpu_limit_cores: Option<f64>,
    /// The CPU request of one copy.
    pub cpu_request_cores: Option<f64>,
    /// Of the periods in which a copy wanted to run, the share in which it was held back.
    pub throttled: Option<f64>,
    /// Memory in bytes, all copies together.
    pub memory_bytes: Option<f64>,
    /// The memory limit of one copy.
    pub memory_limit_bytes: Option<f64>,
    /// The memory request of one copy.
    pub memory_request_bytes: Option<f64>,
    /// The fullest copy's memory as a share of its limit.
    pub memory_of_limit: Option<f64>,
    /// Received bytes a second, all copies together.
    pub net_rx_bytes_per_second: Option<f64>,
    /// Sent bytes a second, all copies together.
    pub net_tx_bytes_per_second: Option<f64>,
    /// Share of its GPUs in use, the mean of all.
    pub gpu_share: Option<f64>,
    /// Restarts in the slice; those that nobody told are none.
    pub restarts: f64,
    /// Times in the slice that it was ended for want of memory.
    pub oom_kills: f64,
}

/// What is known of a workload's limits: each from the newest sample that carried it, whoever sent it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Bounds(pub(super) [Option<(EventTime, f64)>; 7]);

/// The place of a limit that was worked out from a share of it: used where no other is told.
const WORKED_OUT: usize = 6;

/// A quota of more cores than this is none.
const CORES_MAX: f64 = 1e5;

impl Bounds {
    fn place(metric: Metric) -> Option<usize> {
        Some(match metric {
            Metric::CpuLimitCores => 0,
            Metric::CpuRequestCores => 1,
            Metric::CpuQuotaMicros => 2,
            Metric::CpuPeriodMicros => 3,
            Metric::MemoryLimitBytes => 4,
            Metric::MemoryRequestBytes => 5,
            _ => return None,
        })
    }

    /// Takes a limit; an older one than is known changes nothing.
    pub(super) fn learn(&mut self, metric: Metric, at: EventTime, value: f64) {
        if let Some(place) = Self::place(metric) {
            self.put(place, at, value);
        }
    }

    /// Takes a CPU limit that follows from a share of it.
    pub(super) fn work_out(&mut self, at: EventTime, cores: f64, share: f64) {
        // Of a small share little follows: it was rounded.
        if share >= 0.05 {
            self.put(WORKED_OUT, at, cores / share);
        }
    }

    fn put(&mut self, place: usize, at: EventTime, value: f64) {
        let held = &mut self.0[place];
        if held.is_none_or(|(since, _)| since <= at) {
            *held = Some((at, value));
        }
    }

    /// Forgets what was told before this.
    pub(super) fn forget(&mut self, silent: EventTime) {
        for bound in &mut self.0 {
            *bound = bound.filter(|(at, _)| *at >= silent);
        }
    }

    pub(super) fn get(&self, metric: Metric) -> Option<f64> {
        self.0[Self::place(metric)?].map(|(_, value)| value)
    }

    /// The CPU limit in cores: as told, as the kernel's quota, or as worked out.
    pub(super) fn cpu(&self) -> Option<f64> {
        let quota = || {
            Some(self.get(Metric::CpuQuotaMicros)? / self.get(Metric::CpuPeriodMicros).unwrap_or(100_000.0))
        };
        let found = self.get(Metric::CpuLimitCores).or_else(quota);
        found.or(self.0[WORKED_OUT].map(|(_, value)| value)).filter(|cores| *cores <= CORES_MAX)
    }
}

/// The values of one copy in a slice, its parts added up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Values {
    values: [Option<f64>; Metric::ALL.len()],
    gpus: u32,
}

impl Values {
    pub(super) fn get(&self, metric: Metric) -> Option<f64> {
        self.values[metric as usize]
    }

    /// Adds one part's value.
    pub(super) fn add(&mut self, metric: Metric, value: f64) {
        let held = &mut self.values[metric as usize];
        *held = Some(held.unwrap_or(0.0) + value);
        self.gpus += u32::from(metric == Metric::GpuShare);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }

    /// CPU in cores: better from the counter than from whatever window a gauge has; else from a share of the limit.
    pub(super) fn cores(&self, bounds: &Bounds) -> Option<f64> {
        let share = || Some(self.get(Metric::CpuOfLimit)? * bounds.cpu()?);
        self.get(Metric::CpuSeconds).or(self.get(Metric::CpuCores)).or_else(share)
    }

    fn memory_share(&self, bounds: &Bounds) -> Option<f64> {
        let share = || Some(self.get(Metric::MemoryBytes)? / bounds.get(Metric::MemoryLimitBytes)?);
        self.get(Metric::MemoryOfLimit).or_else(share)
    }
}

/// Puts the copies' values together.
pub(super) fn figures(copies: &[Values], bounds: &Bounds) -> Figures {
    let sum = |of: &dyn Fn(&Values) -> Option<f64>| {
        copies.iter().filter_map(of).fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    };
    let total = |metric: Metric| sum(&|copy| copy.get(metric));
    let either = |counted: Metric, told: Metric| sum(&|copy| copy.get(counted).or(copy.get(told)));
    let fullest = copies.iter().filter_map(|copy| copy.memory_share(bounds));
    let gpus: u32 = copies.iter().map(|copy| copy.gpus).sum();
    let periods = total(Metric::CpuPeriods).filter(|periods| *periods > 0.0);
    let killed = |copy: &Values| {
        let told = || match copy.get(Metric::OomKilled) {
            Some(killed) if killed > 0.0 => copy.get(Metric::Restarts),
            _ => None,
        };
        copy.get(Metric::OomKills).or_else(told)
    };
    Figures {
        copies: u32::try_from(copies.len()).unwrap_or(u32::MAX),
        cpu_cores: sum(&|copy| copy.cores(bounds)),
        cpu_of_node: total(Metric::CpuOfNode),
        cpu_limit_cores: bounds.cpu(),
        cpu_request_cores: bounds.get(Metric::CpuRequestCores),
        throttled: periods.and_then(|periods| Some((total(Metric::CpuThrottledPeriods)? / periods).min(1.0))),
        memory_bytes: total(Metric::MemoryBytes),
        memory_limit_bytes: bounds.get(Metric::MemoryLimitBytes),
        memory_request_bytes: bounds.get(Metric::MemoryRequestBytes),
        memory_of_limit: fullest.reduce(f64::max),
        net_rx_bytes_per_second: either(Metric::NetRxBytes, Metric::NetRxBytesPerSecond),
        net_tx_bytes_per_second: either(Metric::NetTxBytes, Metric::NetTxBytesPerSecond),
        gpu_share: total(Metric::GpuShare).map(|sum| sum / f64::from(gpus.max(1))),
        restarts: total(Metric::Restarts).unwrap_or(0.0),
        oom_kills: sum(&killed).unwrap_or(0.0),
    }
}
