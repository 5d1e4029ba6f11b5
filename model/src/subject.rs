//! Whom or what a signal is about, and the address arithmetic that decides who counts as one client.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// One client for counting: an IPv4 address, or the /64 of an IPv6 address, whose owner has all of it.
///
/// Kept as the 128 bits of the (IPv4-mapped) address, so that it is a small `Copy` key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(u128);

const V4_MAPPED: u128 = 0xffff_0000_0000;

impl Client {
    /// The client that `address` belongs to. IPv4-mapped IPv6 addresses are IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(V4_MAPPED | u128::from(u32::from(v4))),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => Self(V4_MAPPED | u128::from(u32::from(v4))),
                None => Self(u128::from(v6) & !u128::from(u64::MAX)),
            },
        }
    }

    /// The raw bits: a key for tables.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The client with these [`bits`](Self::bits).
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    fn v4(self) -> Option<Ipv4Addr> {
        (self.0 >> 32 == 0xffff).then(|| Ipv4Addr::from(self.0 as u32))
    }

    /// The network this client is: a /32 for IPv4, the /64 for IPv6.
    pub fn network(self) -> IpNet {
        match self.v4() {
            Some(v4) => IpNet::V4(Ipv4Net::from(v4)),
            None => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(self.0), 64)),
        }
    }

    /// The prefix the client is grouped under: /24 for IPv4, /48 for IPv6.
    pub fn prefix(self) -> Prefix {
        match self.v4() {
            Some(_) => Prefix(self.0 & !0xff),
            None => Prefix(self.0 & !((1u128 << 80) - 1)),
        }
    }

    /// The part of the address that decides the shard: the /16 (IPv4) or /48 (IPv6), so that one shard sees a
    /// client together with every prefix above it.
    pub fn shard_key(self) -> u64 {
        match self.v4() {
            Some(v4) => u64::from(u32::from(v4) >> 16),
            None => (self.0 >> 80) as u64 | 1 << 63,
        }
    }
}

/// `203.0.113.7` for IPv4, `2001:db8:1:2::/64` for IPv6.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.v4() {
            Some(v4) => v4.fmt(f),
            None => self.network().fmt(f),
        }
    }
}

/// A network of clients: a /24 (IPv4) or a /48 (IPv6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(u128);

impl Prefix {
    /// The raw bits of the network's first address: a key for tables.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// As a network.
    pub fn network(self) -> IpNet {
        match Client(self.0).v4() {
            Some(v4) => IpNet::V4(Ipv4Net::new_assert(v4, 24)),
            None => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(self.0), 48)),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network().fmt(f)
    }
}

/// What sort of thing a [`Subject`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// An address (IPv4) or /64 (IPv6) that sends requests.
    Client,
    /// A /24 or /48 of clients.
    Prefix,
    /// A service that receives requests.
    Service,
    /// A workload: namespace/owner in Kubernetes, else image@host.
    Workload,
    /// A container image.
    Image,
    /// The Host header of requests.
    Host,
    /// The path of requests.
    Path,
    /// The method of requests.
    Method,
    /// The user agent of requests.
    UserAgent,
    /// The status of responses.
    Status,
    /// A topic or sensor that feeds us.
    Input,
    /// A receiver of ours, whom we tell.
    Receiver,
    /// An alert from elsewhere, by the hash of its labels.
    Alert,
}

impl SubjectKind {
    /// All kinds, for parsing and for tests.
    pub const ALL: [Self; 13] = [
        Self::Client,
        Self::Prefix,
        Self::Service,
        Self::Workload,
        Self::Image,
        Self::Host,
        Self::Path,
        Self::Method,
        Self::UserAgent,
        Self::Status,
        Self::Input,
        Self::Receiver,
        Self::Alert,
    ];

    /// The name in JSON, SQL and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Prefix => "prefix",
            Self::Service => "service",
            Self::Workload => "workload",
            Self::Image => "image",
            Self::Host => "host",
            Self::Path => "path",
            Self::Method => "method",
            Self::UserAgent => "user_agent",
            Self::Status => "status",
            Self::Input => "input",
            Self::Receiver => "receiver",
            Self::Alert => "alert",
        }
    }

    /// The kind with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whom or what a signal is about, or what an incident is aimed at. `value` may hold an attacker's text: show it
/// through [`Untrusted`](crate::Untrusted).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// What sort of thing it is.
    pub kind: SubjectKind,
    /// Its name, at most 512 bytes. Where a rule counts by two keys, both, separated by one space.
    pub value: Box<str>,
}

impl Subject {
    /// A subject of this kind and name; the name is cut at 512 bytes, on a character boundary.
    pub fn new(kind: SubjectKind, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        let mut end = value.len().min(512);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        Self { kind, value: value[..end].into() }
    }

    /// The service of this name.
    pub fn service(name: &str) -> Self {
        Self::new(SubjectKind::Service, name)
    }

    /// The client as a subject.
    pub fn client(client: Client) -> Self {
        Self::new(SubjectKind::Client, client.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
        Client::of(text.parse().unwrap())
    }

    #[test]
    fn an_ipv6_client_is_its_64_and_a_mapped_one_is_ipv4() {
        assert_eq!(client("2001:db8:1:2:3:4:5:6"), client("2001:db8:1:2::9"));
        assert_eq!(client("2001:db8:1:2::9").to_string(), "2001:db8:1:2::/64");
        assert_eq!(client("::ffff:203.0.113.7"), client("203.0.113.7"));
        assert_eq!(client("203.0.113.7").to_string(), "203.0.113.7");
    }

    #[test]
    fn prefixes_share_the_shard_of_their_clients() {
        assert_eq!(client("203.0.113.7").prefix().to_string(), "203.0.113.0/24");
        assert_eq!(client("2001:db8:1:2::9").prefix().to_string(), "2001:db8:1::/48");
        assert_eq!(client("203.0.113.7").shard_key(), client("203.0.7.1").shard_key());
        assert_ne!(client("203.0.113.7").shard_key(), client("203.1.113.7").shard_key());
    }

    #[test]
    fn long_names_are_cut_on_a_character_boundary() {
        let subject = Subject::new(SubjectKind::Path, "é".repeat(400));
        assert_eq!(subject.value.len(), 512);
    }
}
