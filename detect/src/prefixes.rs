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

/// The hosts' own rings, and what the hosts did while the run at hand held.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    rings: BTreeMap<Client, Ring>,
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
    /// Adds what a host did; `false` where that did not fit.
    pub(crate) fn add(&mut self, host: Client, bucket: i64, count: u64, most: usize) -> bool {
        let known = self.rings.len();
        if known >= HOSTS_MAX && !self.rings.contains_key(&host) {
            return false;
        }
        let ring = self.rings.entry(host).or_default();
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
        for (count, _, _) in self.rings.values().filter_map(|ring| ring.window(Shape::Plain, bucket)) {
            if count > 0 && count as f64 <= limit {
                sum += count;
                hosts += 1;
            }
        }
        if hosts < HOSTS_MIN { 0.0 } else { sum as f64 }
    }

    /// Takes note of who took part in windows of a run.
    pub(crate) fn took_part(&mut self, bucket: i64, limit: f64) {
        for (client, ring) in &self.rings {
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
        self.rings.retain(|_, ring| {
            ring.forget_before(Shape::Plain, bucket);
            bytes += ring.bytes() + HOST_BYTES;
            !ring.is_empty()
        });
        self.bytes = self.rings.values().map(|ring| ring.bytes() + HOST_BYTES).sum();
        debug_assert!(self.bytes <= bytes);
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.seen.len() * HOST_BYTES
    }
}

#[cfg(test)]
mod tests {
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
