//! The hosts of one prefix: a distributed flood is many hosts, none of which is flagged for itself.

use std::collections::BTreeMap;

use beaconfire_model::{Client, Earliest, Latest, Participant, Peak, Subject};

use crate::cut::Cut;
use crate::ring::{Ring, Shape};

/// Fewer hosts of a prefix than this are no distributed flood.
const HOSTS_MIN: usize = 8;
/// Hosts told apart in one prefix, and participants of one fact.
const HOSTS_MAX: usize = 10_000;
/// What a host's place in the map costs, besides its ring's buckets.
const HOST_BYTES: usize = 96;

/// So many hosts stand in a list: most prefixes have one or two, and a tree's first leaf has room for eleven.
const FEW: usize = 8;

/// Rings by host.
#[derive(Debug)]
enum Rings {
    /// In order.
    Few(Vec<(Client, Ring)>),
    Many(BTreeMap<Client, Ring>),
}

impl Default for Rings {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Rings {
    fn len(&self) -> usize {
        match self {
            Self::Few(rings) => rings.len(),
            Self::Many(rings) => rings.len(),
        }
    }

    fn contains(&self, host: Client) -> bool {
        match self {
            Self::Few(rings) => rings.iter().any(|(known, _)| *known == host),
            Self::Many(rings) => rings.contains_key(&host),
        }
    }

    /// The ring of a host, which is made where it is new.
    fn of(&mut self, host: Client) -> &mut Ring {
        if let Self::Few(rings) = self
            && rings.len() == FEW
            && rings.iter().all(|(known, _)| *known != host)
        {
            *self = Self::Many(std::mem::take(rings).into_iter().collect());
        }
        match self {
            Self::Few(rings) => {
                let at = rings.partition_point(|(known, _)| *known < host);
                if rings.get(at).is_none_or(|(known, _)| *known != host) {
                    if rings.len() == rings.capacity() {
                        rings.reserve_exact(rings.len().max(1));
                    }
                    rings.insert(at, (host, Ring::default()));
                }
                &mut rings[at].1
            }
            Self::Many(rings) => rings.entry(host).or_default(),
        }
    }

    /// All of them, in order.
    fn iter(&self) -> impl Iterator<Item = (&Client, &Ring)> {
        let (few, many) = match self {
            Self::Few(rings) => (Some(rings), None),
            Self::Many(rings) => (None, Some(rings)),
        };
        let few = few.into_iter().flatten().map(|(host, ring)| (host, ring));
        few.chain(many.into_iter().flatten())
    }

    fn retain(&mut self, mut keep: impl FnMut(&mut Ring) -> bool) {
        match self {
            Self::Few(rings) => rings.retain_mut(|(_, ring)| keep(ring)),
            Self::Many(rings) => rings.retain(|_, ring| keep(ring)),
        }
    }
}

/// The hosts' own rings, and what the hosts did while the run at hand held.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    rings: Rings,
    bytes: usize,
    seen: BTreeMap<Client, Host>,
}

/// One host, while a run held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Host {
    /// The highest count in any one window.
    peak: u128,
    first: i64,
    last: i64,
}

impl Hosts {
    /// One host, with what it did so far.
    pub(crate) fn of(host: Client, ring: Ring) -> Self {
        let bytes = ring.bytes() + HOST_BYTES;
        Self { rings: Rings::Few(vec![(host, ring)]), bytes, seen: BTreeMap::new() }
    }

    /// Reads a little of what adding will change, where that is quickly found.
    pub(crate) fn glance(&self) -> i64 {
        match &self.rings {
            Rings::Few(rings) => rings.first().and_then(|(_, ring)| ring.newest()).unwrap_or(0),
            Rings::Many(_) => 0,
        }
    }

    /// Adds what a host did; `false` where that did not fit.
    pub(crate) fn add(&mut self, host: Client, bucket: i64, count: u64, most: usize) -> bool {
        let known = self.rings.len();
        if known >= HOSTS_MAX && !self.rings.contains(host) {
            return false;
        }
        let ring = self.rings.of(host);
        let before = ring.bytes();
        let fits = ring.add(Shape::Plain, bucket, count, 0, most);
        self.bytes = self.bytes + ring.bytes() - before;
        self.bytes += (self.rings.len() - known) * HOST_BYTES;
        fits
    }

    /// The sum of the window that ends with `bucket` over hosts that stay within their own limit; 0 where they are too
    /// few.
    pub(crate) fn discounted(&self, bucket: i64, limit: f64) -> f64 {
        let (mut sum, mut hosts) = (0u128, 0);
        let windows = self.rings.iter().filter_map(|(_, ring)| ring.window(Shape::Plain, bucket));
        for (count, _, _) in windows {
            if count > 0 && count as f64 <= limit {
                sum += count;
                hosts += 1;
            }
        }
        if hosts < HOSTS_MIN { 0.0 } else { sum as f64 }
    }

    /// Takes note of who took part in windows of a run.
    pub(crate) fn took_part(&mut self, bucket: i64, limit: f64) {
        for (client, ring) in self.rings.iter() {
            let Some((count, first, last)) = ring.window(Shape::Plain, bucket) else { continue };
            if count == 0 || count as f64 > limit {
                continue;
            }
            let host = self.seen.entry(*client).or_insert(Host { peak: count, first, last });
            host.peak = host.peak.max(count);
            host.first = host.first.min(first);
            host.last = host.last.max(last);
        }
        if self.seen.len() > HOSTS_MAX {
            self.keep_heaviest();
        }
    }

    fn keep_heaviest(&mut self) {
        let mut order: Vec<(u128, Client)> =
            self.seen.iter().map(|(client, host)| (host.peak, *client)).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        for (_, client) in order.drain(HOSTS_MAX..) {
            self.seen.remove(&client);
        }
    }

    /// Who took part in the run at hand.
    pub(crate) fn seen(&self, cut: Cut) -> Vec<Participant> {
        let participant = |(client, host): (&Client, &Host)| Participant {
            subject: Subject::client(*client),
            events: Peak(host.peak as f64),
            first_seen: Earliest(cut.start(host.first)),
            last_seen: Latest(cut.end(host.last)),
        };
        self.seen.iter().map(participant).collect()
    }

    /// The run at hand is over.
    pub(crate) fn forget_seen(&mut self) {
        self.seen.clear();
    }

    /// Forgets buckets before this one, and hosts of which nothing is left.
    pub(crate) fn forget_before(&mut self, bucket: i64) {
        let mut bytes = 0;
        self.rings.retain(|ring| {
            ring.forget_before(Shape::Plain, bucket);
            bytes += ring.bytes() + HOST_BYTES;
            !ring.is_empty()
        });
        self.bytes = self.rings.iter().map(|(_, ring)| ring.bytes() + HOST_BYTES).sum();
        debug_assert!(self.bytes <= bytes);
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.seen.len() * HOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(number: u8) -> Client {
        Client::of([203, 0, 113, number].into())
    }

    #[test]
    fn loud_hosts_are_left_out_of_sum_and_number() {
        let mut hosts = Hosts::default();
        for number in 0..8 {
            hosts.add(host(number), 100, 10, 500);
        }
        assert_eq!(hosts.discounted(100, 10.0), 80.0);
        assert_eq!(hosts.discounted(159, 10.0), 80.0);
        assert_eq!(hosts.discounted(160, 10.0), 0.0);
        // One goes over its limit: seven are left, and seven are too few.
        hosts.add(host(0), 101, 1, 500);
        assert_eq!(hosts.discounted(101, 10.0), 0.0);
        hosts.add(host(8), 101, 3, 500);
        assert_eq!(hosts.discounted(101, 10.0), 73.0);
    }

    proptest! {
        /// However many there are, and whoever came first with a ring of its own.
        #[test]
        fn hosts_are_those_of_a_naive_count(adds in prop::collection::vec((0u8..30, 100i64..120, 1u64..5), 1..120)) {
            let (first, bucket, count) = adds[0];
            let mut ring = Ring::default();
            ring.add(Shape::Plain, bucket, count, 0, 500);
            let mut hosts = Hosts::of(host(first), ring);
            for (number, bucket, count) in &adds[1..] {
                prop_assert!(hosts.add(host(*number), *bucket, *count, 500));
            }
            let mut naive = BTreeMap::<u8, u64>::new();
            for (number, _, count) in &adds {
                *naive.entry(*number).or_default() += count;
            }
            let quiet: Vec<u64> = naive.values().copied().filter(|count| *count <= 9).collect();
            let sum: u64 = if quiet.len() < HOSTS_MIN { 0 } else { quiet.iter().sum() };
            prop_assert_eq!(hosts.discounted(119, 9.0), sum as f64);
            hosts.took_part(119, f64::INFINITY);
            let told: Vec<Subject> =
                hosts.seen(Cut::new(std::time::Duration::from_secs(60))).into_iter().map(|seen| seen.subject).collect();
            let known: Vec<Subject> = naive.keys().map(|number| Subject::client(host(*number))).collect();
            prop_assert_eq!(told, known);
        }
    }

    #[test]
    fn the_heaviest_are_told_apart() {
        let mut hosts = Hosts::default();
        for number in 0..HOSTS_MAX as u32 + 10 {
            let client = Client::of(std::net::Ipv4Addr::from(0x0a00_0000 + number).into());
            assert_eq!(hosts.add(client, 1, 1, 500), number < HOSTS_MAX as u32);
        }
        let bytes = hosts.bytes();
        hosts.forget_before(2);
        assert!(bytes > 0 && hosts.bytes() == 0);
    }
}
