//! What is learned of a minute, and when nothing is: what is suspected must not become normal.

use super::super::regression::Expected;
use super::super::slice::Folded;
use super::super::window::unsteadiness;
use super::{ACCEPTING, ALARM, MIB, Workload};

/// What has lasted so long and is no plateau may be learned.
const RAGGED: i64 = 120;

impl Workload {
    pub(super) fn learn(&mut self, at: &Folded, input: f64, usual: f64, expected: &Expected) {
        let limit = at.limit.unwrap_or(1.0);
        // At the limit more would have been used: that says nothing of what a request costs.
        let censored = at.limit.is_some_and(|limit| at.cores >= 0.93 * limit && expected.cores > at.cores);
        if !censored {
            self.model.learn(input, at.cores, limit);
        }
        // The day's profile learns robustly as well: one wild hour is not tomorrow's expectation.
        let known = self.model.seen() > 1440;
        let most = 3.0 * expected.spread;
        let cores = if known { at.cores.clamp(usual - most, usual + most) } else { at.cores };
        self.profile.learn(at.minute, cores);
        if let Some(network) = at.network {
            let [low, high] = self.network.get_or_insert([network; 2]);
            for (held, down, up) in [(low, -0.021, 0.009), (high, -0.003, 0.027)] {
                let step: f64 = if network < *held { down } else { up };
                *held = (*held * step.exp()).max(1.0);
            }
        }
        if let Some(memory) = at.memory {
            let memory = memory / MIB;
            // A workload's most is forgotten in a week.
            let peak = self.peak.unwrap_or(memory);
            self.peak = Some(memory.max(peak - (peak - memory) / 10_080.0));
            let past = |apart: usize| self.window.last(apart + 1).map(|minute| f64::from(minute.memory));
            let minute = unsteadiness(self.window.last(3).map(|minute| minute.memory)).next();
            let three = past(3).last().zip(past(3).next()).map(|(last, first)| (last - first).abs());
            let [within, apart] = &mut self.memory_steps;
            if let Some(change) = minute {
                within.learn_median(f64::from(change), 400.0);
            }
            if let Some(change) = three {
                // A collection is not what usually happens within a few minutes.
                let most = apart.known().map_or(f64::INFINITY, |usual| 4.0 * usual + 1.0);
                apart.learn(change.min(most), 60.0);
            }
        }
    }

    /// Whether nothing may be learned at this minute.
    pub(super) fn frozen(&mut self, minute: i64) -> bool {
        if minute - self.accepted < ACCEPTING {
            return false;
        }
        if self.now.plateau || self.now.holds || self.creep.is_found() {
            self.thawed = false;
            return true;
        }
        if self.sum <= ALARM / 2.0 {
            return false;
        }
        if minute - self.onset > RAGGED && !self.thawed {
            self.thawed = true;
            self.model.doubt(3.0);
        }
        !self.thawed
    }
}
