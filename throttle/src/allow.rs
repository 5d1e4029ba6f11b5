//! Networks that rules leave alone for a while, because somebody took a decision on them back.

use std::collections::BTreeMap;

use beaconfire_model::Wall;
use ipnet::IpNet;

use crate::guard::canonical;

/// What is allowed, and until when. Without it a rule that still fires would decide again in the next second what a
/// person has just taken back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allows(BTreeMap<IpNet, Wall>);

impl Allows {
    /// Networks, each with the time at which it is no longer allowed; of several for one, the latest counts.
    pub fn new(allowed: impl IntoIterator<Item = (IpNet, Wall)>) -> Self {
        let mut held = BTreeMap::new();
        for (network, until) in allowed {
            let latest = held.entry(canonical(network)).or_insert(until);
            *latest = until.max(*latest);
        }
        Self(held)
    }

    /// Whether any address of `network` is allowed at `now`. Costs a look-up for each prefix length, however many
    /// are allowed.
    pub fn covers(&self, network: IpNet, now: Wall) -> bool {
        let network = canonical(network);
        // What lies within a network sorts between its first address, at the widest, and its last, at the narrowest.
        let bound = |address, length| IpNet::new(address, length).unwrap_or(network);
        let (first, last) = (network.network(), network.broadcast());
        let mut within = self.0.range(bound(first, 0)..=bound(last, network.max_prefix_len()));
        let around = |length| self.0.get(&IpNet::new(first, length).ok()?.trunc());
        within.any(|(_, until)| *until > now)
            || (0..network.prefix_len()).filter_map(around).any(|until| *until > now)
    }
}
