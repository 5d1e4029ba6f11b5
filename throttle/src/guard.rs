//! What may never be throttled, and how much may be at once.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

/// Never throttled anywhere: whoever has such an address is ourselves, a neighbour, or a crowd behind one address.
const EVERYWHERE: [([u8; 4], u8); 9] = [
    ([0, 0, 0, 0], 8),          // "this network", unspecified
    ([10, 0, 0, 0], 8),         // private
    ([100, 64, 0, 0], 10),      // carrier-grade NAT
    ([127, 0, 0, 0], 8),        // loopback
    ([169, 254, 0, 0], 16),     // link-local
    ([172, 16, 0, 0], 12),      // private
    ([192, 168, 0, 0], 16),     // private
    ([224, 0, 0, 0], 4),        // multicast
    ([255, 255, 255, 255], 32), // broadcast
];

/// The same for IPv6, by the first two groups of the address.
const EVERYWHERE_V6: [([u16; 2], u8); 5] = [
    ([0, 0], 64),         // unspecified, loopback, IPv4 in IPv6
    ([0x64, 0xff9b], 96), // all of IPv4 behind NAT64
    ([0xfc00, 0], 7),     // unique local
    ([0xfe80, 0], 10),    // link-local
    ([0xff00, 0], 8),     // multicast
];

/// Networks that are never throttled: those that are nowhere (loopback, private, link-local, carrier-grade NAT,
/// multicast), trusted proxies, and the operator's own list. Documentation networks are throttled like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    networks: Vec<IpNet>,
}

impl Never {
    /// The operator's networks and trusted proxies, on top of those that are never throttled anywhere.
    pub fn new(listed: impl IntoIterator<Item = IpNet>) -> Self {
        let v4 = EVERYWHERE.into_iter().filter_map(|(address, len)| IpNet::new(address.into(), len).ok());
        let v6 = EVERYWHERE_V6.into_iter().filter_map(|([first, second], len)| {
            IpNet::new(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0).into(), len).ok()
        });
        let mut networks: Vec<IpNet> = v4.chain(v6).chain(listed.into_iter().map(canonical)).collect();
        networks.sort();
        networks.dedup();
        Self { networks }
    }

    /// Whether any address of `network` is protected.
    pub fn covers(&self, network: IpNet) -> bool {
        let network = canonical(network);
        self.networks.iter().any(|held| held.contains(&network) || network.contains(held))
    }

    /// Whether `address` is protected.
    pub fn covers_address(&self, address: IpAddr) -> bool {
        self.covers(IpNet::from(address))
    }
}

/// Those that are never throttled anywhere.
impl Default for Never {
    fn default() -> Self {
        Self::new([])
    }
}

/// The network without host bits, and as IPv4 where it is IPv4 written as IPv6 (`::ffff:192.0.2.1/128`).
pub(crate) fn canonical(network: IpNet) -> IpNet {
    let mapped = match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => {
            v6.network().to_ipv4_mapped().and_then(|v4| Ipv4Net::new(v4, v6.prefix_len() - 96).ok())
        }
        _ => None,
    };
    mapped.map_or(network, IpNet::V4).trunc()
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
    /// Somebody took a decision on the network back a short while ago.
    Allowed,
    /// A sensor says that many people are behind the address: it would hit all of them.
    Shared,
}

impl Refusal {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Never, Self::TooWide, Self::MinuteBudget, Self::ActiveBudget, Self::Allowed, Self::Shared];

    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::TooWide => "too_wide",
            Self::MinuteBudget => "minute_budget",
            Self::ActiveBudget => "active_budget",
            Self::Allowed => "allowed",
            Self::Shared => "shared",
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
    /// Whether `network` may be throttled, where `active` decisions are active and `made` were made this minute.
    /// Every decision passes here, a person's too.
    pub fn check(&self, network: IpNet, active: usize, made: usize) -> Result<(), Refusal> {
        let network = canonical(network);
        let widest = match network {
            IpNet::V4(_) => self.max_prefix_v4,
            IpNet::V6(_) => self.max_prefix_v6,
        };
        if self.never.covers(network) {
            Err(Refusal::Never)
        } else if network.prefix_len() < widest {
            Err(Refusal::TooWide)
        } else if made >= self.per_minute as usize {
            Err(Refusal::MinuteBudget)
        } else if active >= self.active as usize {
            Err(Refusal::ActiveBudget)
        } else {
            Ok(())
        }
    }
}
