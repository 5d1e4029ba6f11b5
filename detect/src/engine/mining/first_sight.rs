//! What can be said before a workload's ways are known.

use super::window::{Level, Minute, Slope};

/// Before a workload's ways are known: whether requests explain the CPU within the window itself.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct FirstSight {
    pub(crate) minutes: usize,
    pub(crate) cores: f64,
    pub(crate) variation: f64,
    /// Near the limit, or half a core and more.
    pub(crate) busy: bool,
    /// Cores that the line through (requests, CPU) leaves at no requests, less four standard errors: it is looked at
    /// every minute.
    pub(crate) rest: Option<f64>,
    /// The least that was used in any minute.
    pub(crate) least: f64,
    /// Requests do not explain the network either: a backup, not a miner.
    pub(crate) moves_data: bool,
    /// Not what was there before us, but what came so slowly that it was learned: by how many cores it has grown.
    pub(crate) grown: Option<f64>,
}

impl FirstSight {
    pub(crate) fn of(minutes: impl Iterator<Item = Minute> + Clone, limit: Option<f64>) -> Self {
        let cores = Level::of(minutes.clone().map(|minute| minute.cores));
        let busy = limit.map_or(cores.mean >= 0.5, |limit| cores.mean >= 0.4 * limit) && cores.mean >= 0.3;
        let line = Slope::of(minutes.clone().map(|minute| (minute.requests, minute.cores)));
        let rest = (line.mean_x > 0.0 && line.error.is_finite())
            .then(|| cores.mean - line.mean_x * (line.slope.max(0.0) + 4.0 * line.error));
        let least = minutes.clone().map(|minute| f64::from(minute.cores)).fold(f64::INFINITY, f64::min);
        let sent = Slope::of(minutes.clone().map(|minute| (minute.requests, minute.network)));
        let network = Level::of(minutes.clone().map(|minute| minute.network)).mean;
        let moves_data = network > 100_000.0 && sent.slope * sent.mean_x < 0.5 * network;
        Self {
            minutes: minutes.count(),
            cores: cores.mean,
            variation: cores.variation(),
            busy,
            rest,
            least,
            moves_data,
            grown: None,
        }
    }
}
