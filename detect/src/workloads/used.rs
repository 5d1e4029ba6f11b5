//! What a workload used in a minute, put together from its containers.

use crate::resource::Figures;

/// What a workload used in a slice, its containers together.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) slice: i64,
    pub(super) workload: Box<str>,
    pub(super) copies: u32,
    pub(super) cpu_cores: Option<f64>,
    pub(super) cpu_limit_cores: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) received: Option<f64>,
    pub(super) sent: Option<f64>,
    pub(super) gpu_share: Option<f64>,
    pub(super) restarts: u32,
    pub(super) memory_of_limit: Option<f64>,
    pub(super) oom_kills: f64,
    pub(super) throttled: Option<f64>,
}

impl Used {
    pub(super) fn of(slice: i64, workload: &str, figures: &Figures) -> Self {
        let none = Self {
            slice,
            workload: workload.into(),
            copies: 0,
            cpu_cores: None,
            cpu_limit_cores: None,
            memory_bytes: None,
            received: None,
            sent: None,
            gpu_share: None,
            restarts: 0,
            memory_of_limit: None,
            oom_kills: 0.0,
            throttled: None,
        };
        let mut used = none;
        used.add(figures);
        used
    }

    /// Adds a container's figures. Limits are by copy there, and here of all copies; where a container has none, there is
    /// none for the whole.
    pub(super) fn add(&mut self, figures: &Figures) {
        let limit = figures.cpu_limit_cores.map(|limit| limit * f64::from(figures.copies.max(1)));
        self.cpu_limit_cores = match (self.cpu_cores.is_some(), figures.cpu_cores.is_some()) {
            (true, true) => self.cpu_limit_cores.zip(limit).map(|(a, b)| a + b),
            (_, false) => self.cpu_limit_cores,
            (false, true) => limit,
        };
        self.cpu_cores = sum(self.cpu_cores, figures.cpu_cores);
        self.memory_bytes = sum(self.memory_bytes, figures.memory_bytes);
        self.received = sum(self.received, figures.net_rx_bytes_per_second);
        self.sent = sum(self.sent, figures.net_tx_bytes_per_second);
        self.gpu_share = self.gpu_share.or(figures.gpu_share);
        self.copies = self.copies.max(figures.copies);
        // The fullest, or the most held back, of all containers.
        let most = |a: Option<f64>, b: Option<f64>| if b > a { b } else { a };
        self.memory_of_limit = most(self.memory_of_limit, figures.memory_of_limit);
        self.throttled = most(self.throttled, figures.throttled);
        self.oom_kills += figures.oom_kills;
        // Restarts are whole and few.
        self.restarts = self.restarts.saturating_add(figures.restarts as u32);
    }
}

/// The sum of what is known.
pub(super) fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}
