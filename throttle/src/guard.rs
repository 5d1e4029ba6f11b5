//! What may never be throttled, and how much may be at once.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks that are never throttled: loopback, private, link-local, trusted proxies, the operator's own list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Never {
    networks: Vec<IpNet>,
}

impl Never {
    /// The operator's networks and trusted proxies, on top of those that are never throttled anywhere.
    pub fn new(listed: impl IntoIterator<Item = IpNet>) -> Self {
        Self { networks: listed.into_iter().collect() }
    }

    /// Whether any address of `network` is protected.
    pub fn covers(&self, network: IpNet) -> bool {
        self.networks.iter().any(|held| held.contains(&network) || network.contains(held))
    }

    /// Whether `address` is protected.
    pub fn covers_address(&self, address: IpAddr) -> bool {
        self.covers(IpNet::from(address))
    }
}

/// Why a decision is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The network, or part of it, is never throttled.
    Never,
    /// The network is wider than `throttle.max_prefix`.
    TooWide,
    /// More decisions this minute than `throttle.budget.per_minute`.
    MinuteBudget,
    /// More active decisions than `throttle.budget.active`.
    ActiveBudget,
    /// The subject is no address.
    NoAddress,
    /// The incident was too old when it was found.
    Stale,
}

/// The never-list, the widest prefixes, and the budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// What is never throttled.
    pub never: Never,
    /// The widest IPv4 network, as a prefix length (24).
    pub max_prefix_v4: u8,
    /// The widest IPv6 network, as a prefix length (48).
    pub max_prefix_v6: u8,
    /// New decisions a minute at most.
    pub per_minute: u32,
    /// Active decisions at most.
    pub active: u32,
}
