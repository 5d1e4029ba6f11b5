//! What may never be throttled, and how much may be at once.

use std::net::IpAddr;

use ipnet::IpNet;

/// Never throttled anywhere: this host, private networks, link-local, shared address space, multicast.
const BUILT_IN: [&str; 13] = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/3", "::/128", "::1/128", "fc00::/7", "fe80::/10", "ff00::/8",
];

/// Networks that are never throttled: loopback, private, link-local, trusted proxies, the operator's own list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    networks: Vec<IpNet>,
}

impl Default for Never {
    fn default() -> Self {
        Self::new([])
    }
}

impl Never {
    /// The operator's networks and trusted proxies, on top of those that are never throttled anywhere.
    pub fn new(listed: impl IntoIterator<Item = IpNet>) -> Self {
        let built_in = BUILT_IN.iter().filter_map(|text| text.parse().ok());
        Self { networks: built_in.chain(listed).collect() }
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
}

impl Refusal {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::TooWide => "too_wide",
            Self::MinuteBudget => "minute_budget",
            Self::ActiveBudget => "active_budget",
        }
    }
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

impl Default for Guard {
    fn default() -> Self {
        Self { never: Never::default(), max_prefix_v4: 24, max_prefix_v6: 48, per_minute: 60, active: 10_000 }
    }
}

impl Guard {
    /// Whether `network` may be throttled, with so many decisions active and so many made within the last minute.
    pub fn check(&self, network: IpNet, active: usize, this_minute: usize) -> Result<(), Refusal> {
        let widest = match network {
            IpNet::V4(_) => self.max_prefix_v4,
            IpNet::V6(_) => self.max_prefix_v6,
        };
        if self.never.covers(network) {
            Err(Refusal::Never)
        } else if network.prefix_len() < widest {
            Err(Refusal::TooWide)
        } else if active >= self.active as usize {
            Err(Refusal::ActiveBudget)
        } else if this_minute >= self.per_minute as usize {
            Err(Refusal::MinuteBudget)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, active: usize, minute: usize, expect: Result<(), Refusal>) {
        let guard = Guard { never: Never::new(["198.51.100.7/32".parse().unwrap()]), ..Guard::default() };
        assert_eq!(guard.check(network.parse().unwrap(), active, minute), expect, "{network}");
    }

    #[test]
    fn the_wrong_ones_are_left_alone() {
        check("203.0.113.7/32", 0, 0, Ok(()));
        check("2001:db8:1:2::/64", 0, 0, Ok(()));
        for network in ["127.0.0.1/32", "10.1.2.3/32", "192.168.7.0/24", "::1/128", "fe80::1/128", "fd00::/64", "0.0.0.0/32"] {
            check(network, 0, 0, Err(Refusal::Never));
        }
        check("0.0.0.0/0", 0, 0, Err(Refusal::Never));
        check("::/0", 0, 0, Err(Refusal::Never));
        check("198.51.100.7/32", 0, 0, Err(Refusal::Never));
        check("198.51.100.0/24", 0, 0, Err(Refusal::Never));
        check("203.0.112.0/23", 0, 0, Err(Refusal::TooWide));
        check("2001:db8::/32", 0, 0, Err(Refusal::TooWide));
        check("203.0.113.7/32", 10_000, 0, Err(Refusal::ActiveBudget));
        check("203.0.113.7/32", 0, 60, Err(Refusal::MinuteBudget));
    }
}
