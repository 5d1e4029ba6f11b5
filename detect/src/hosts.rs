//! Those who take part in what a crowd does: a distributed flood is many clients, none of which is flagged for itself.
//!
//! The hosts of a prefix are told apart up to 10,000. Of a whole service there may be millions, so beyond 1,024 of them
//! every second network (by a seeded hash) is left out, again and again, and those that are left stand for all. Where
//! nearly every request counts, one in eight stands for all besides.

use std::collections::BTreeMap;

use beaconfire_model::{Client, Earliest, Latest, Participant, Peak, Subject};

use crate::ask::{Ask, Value};
use crate::cut::Cut;
use crate::plan::Lines;
use crate::ring::{Ring, Shape};

/// Hosts told apart in one prefix, and participants of one fact.
const HOSTS_MAX: usize = 10_000;
/// Clients told apart of a service, or whatever else is no prefix.
const CLIENTS_MAX: usize = 1_024;
/// One network in 2^16 is the least that is ever kept.
const LEVEL_MAX: u32 = 16;
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

    fn retain(&mut self, mut keep: impl FnMut(Client, &mut Ring) -> bool) {
        match self {
            Self::Few(rings) => rings.retain_mut(|(client, ring)| keep(*client, ring)),
            Self::Many(rings) => rings.retain(|client, ring| keep(*client, ring)),
        }
    }
}

/// The hosts' own rings, and what the hosts did while the run at hand held.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    rings: Rings,
    bytes: usize,
    seen: BTreeMap<Client, Host>,
    /// The largest crowd while the run at hand held.
    most: Option<Crowding>,
    /// One network in 2^level is kept.
    level: u32,
}

/// Who takes part in one window, without those who are flagged for themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Crowding {
    /// What they did together, how many they are at least, and of how many networks: estimates, where they are a sample.
    pub(crate) sum: f64,
    pub(crate) clients: u64,
    pub(crate) networks: u64,
    /// At least so much, and at least so many, but for one case in a thousand: three standard errors below the
    /// estimates. Exactly these, where all were looked at.
    pub(crate) least: f64,
    pub(crate) least_clients: f64,
    pub(crate) sampled: bool,
}

/// What one did in a window.
#[derive(Debug, Clone, Copy)]
struct Taken {
    client: Client,
    count: u128,
    first: i64,
    last: i64,
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
        Self { rings: Rings::Few(vec![(host, ring)]), bytes, ..Self::default() }
    }

    /// Reads a little of what adding will change, where that is quickly found.
    pub(crate) fn glance(&self) -> i64 {
        match &self.rings {
            Rings::Few(rings) => rings.first().and_then(|(_, ring)| ring.newest()).unwrap_or(0),
            Rings::Many(_) => 0,
        }
    }

    /// Adds what a host did; `false` where that did not fit.
    pub(crate) fn add(&mut self, host: Client, bucket: i64, count: u64, ask: &Ask) -> bool {
        let of_prefix = matches!(ask.value, Value::Crowd { of_prefix: true, .. });
        let is_kept = |client: Client, level: u32| ask.seeded.draw(client).leading_zeros() >= level;
        if !of_prefix && !is_kept(host, self.level) {
            return true;
        }
        let known = self.rings.len();
        let full = known >= HOSTS_MAX || self.bytes >= ask.crowd_bytes;
        if of_prefix && full && !self.rings.contains(host) {
            return false;
        }
        let ring = self.rings.of(host);
        let before = ring.bytes();
        let fits = ring.add(Shape::Plain, bucket, count, 0, ask.most);
        self.bytes = self.bytes + ring.bytes() - before;
        self.bytes += (self.rings.len() - known) * HOST_BYTES;
        let crowded = |hosts: &Self| hosts.rings.len() > CLIENTS_MAX || hosts.bytes > ask.crowd_bytes;
        if of_prefix || !crowded(self) {
            return fits;
        }
        while crowded(self) && self.level < LEVEL_MAX {
            self.level += 1;
            let level = self.level;
            self.rings.retain(|client, _| is_kept(client, level));
            self.bytes = self.rings.iter().map(|(_, ring)| ring.bytes() + HOST_BYTES).sum();
        }
        false
    }

    /// How many are told apart.
    pub(crate) fn len(&self) -> u64 {
        self.rings.len() as u64
    }

    /// Each network that is kept stands for 2 to the power of this.
    pub(crate) fn level(&self) -> u32 {
        self.level
    }

    /// Hands on, network by network, those who take part in the window that ends with `bucket`: clients that stay within
    /// their own limit, of networks that do. Those of one network stand together, as they are in order. Each request
    /// that was looked at stands for `scale`.
    fn each_network(&self, bucket: i64, lines: &Lines, scale: u64, mut each: impl FnMut(&[Taken])) {
        let scale = scale as f64;
        let mut network: Vec<Taken> = Vec::new();
        let mut hand_on = |network: &mut Vec<Taken>| {
            let count = network.iter().map(|taken| taken.count).sum::<u128>() as f64 * scale;
            let flagged = count > lines.prefix_limit && network.len() as u64 >= lines.prefix_hosts;
            if !network.is_empty() && !flagged {
                each(network);
            }
            network.clear();
        };
        for (client, ring) in self.rings.iter() {
            let Some((count, first, last)) = ring.window(Shape::Plain, bucket) else { continue };
            if count == 0 || count as f64 * scale > lines.host_limit {
                continue;
            }
            if network.last().is_some_and(|taken| taken.client.prefix() != client.prefix()) {
                hand_on(&mut network);
            }
            network.push(Taken { client: *client, count, first, last });
        }
        hand_on(&mut network);
    }

    /// Who takes part in the window that ends with `bucket`.
    pub(crate) fn crowding(&self, bucket: i64, lines: &Lines, scale: u64) -> Crowding {
        let (mut sum, mut clients, mut networks) = (0u128, 0u64, 0u64);
        let (mut squares, mut client_squares) = (0.0, 0.0);
        self.each_network(bucket, lines, scale, |network| {
            let count: u128 = network.iter().map(|taken| taken.count).sum();
            (sum, clients, networks) = (sum + count, clients + network.len() as u64, networks + 1);
            squares += (count as f64).powi(2);
            client_squares += (network.len() as f64).powi(2);
        });
        // Two samples, one within the other: of requests, and of networks where there are too many. Variances as of
        // Horvitz and Thompson (1952).
        let (requests, thinned) = (scale as f64, (1u64 << self.level) as f64);
        let of_networks = thinned * (thinned - 1.0);
        let variance = requests.powi(2) * of_networks * squares
            + thinned.powi(2) * requests * (requests - 1.0) * sum as f64;
        let (sum, all) = (sum as f64 * requests * thinned, clients as f64 * thinned);
        Crowding {
            sum,
            clients: all as u64,
            networks: (networks as f64 * thinned) as u64,
            // Requests are whole.
            least: (sum - 3.0 * variance.sqrt()).max(0.0).floor(),
            least_clients: (all - 3.0 * (of_networks * client_squares).sqrt()).max(0.0),
            sampled: requests * thinned > 1.0,
        }
    }

    /// Takes note of who took part in windows of a run.
    pub(crate) fn took_part(&mut self, bucket: i64, lines: &Lines, scale: u64, crowding: Option<Crowding>) {
        self.most = match (self.most, crowding) {
            (Some(most), Some(now)) if now.sum <= most.sum => Some(most),
            (most, now) => now.or(most),
        };
        let mut seen = std::mem::take(&mut self.seen);
        self.each_network(bucket, lines, scale, |network| {
            for Taken { client, count, first, last } in network {
                let count = count * u128::from(scale);
                let host = seen.entry(*client).or_insert(Host { peak: count, first: *first, last: *last });
                host.peak = host.peak.max(count);
                host.first = host.first.min(*first);
                host.last = host.last.max(*last);
            }
        });
        self.seen = seen;
        if self.seen.len() > HOSTS_MAX {
            self.keep_heaviest();
        }
    }

    /// The largest crowd of the run at hand.
    pub(crate) fn most(&self) -> Option<Crowding> {
        self.most
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
        self.most = None;
    }

    /// Forgets buckets before this one, and hosts of which nothing is left.
    pub(crate) fn forget_before(&mut self, bucket: i64) {
        let mut bytes = 0;
        self.rings.retain(|_, ring| {
            ring.forget_before(Shape::Plain, bucket);
            bytes += ring.bytes() + HOST_BYTES;
            !ring.is_empty()
        });
        self.bytes = self.rings.iter().map(|(_, ring)| ring.bytes() + HOST_BYTES).sum();
        debug_assert!(self.bytes <= bytes);
        // A crowd that was large is not estimated for ever: those who come again are looked at again. For a window or so
        // that says too little, never too much.
        if self.level > 0 && self.rings.len() < CLIENTS_MAX / 8 {
            self.level -= 1;
        }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.seen.len() * HOST_BYTES
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::ask::Asks;
    use crate::services::UNKNOWN;
    use crate::{Count, EntrySpec, Field, Plan, PlanSpec, RuleSpec};
    use beaconfire_model::{EntryId, Kind, Matchers, Severity};

    fn ask(by: Field) -> Ask {
        let rule = RuleSpec {
            name: "crowd".into(),
            kind: Kind::Flood,
            matchers: Matchers::default(),
            except: Matchers::default(),
            by: vec![by],
            count: Count::Requests,
            window: Duration::from_secs(60),
            threshold: 1.0,
            severity: Severity::Warning,
            critical_above: None,
            min_clients: Some(1),
        };
        let entry = EntrySpec { name: "edge".into(), ..EntrySpec::default() };
        let plan = Plan::compile(PlanSpec {
            rules: vec![rule],
            entries: vec![entry],
            finding_window: Duration::from_secs(60),
            seed: 3,
            ..PlanSpec::default()
        });
        *Asks::new(&plan.unwrap(), Duration::ZERO, |_| 64 << 20).of(EntryId(0), 0, UNKNOWN.1)
    }

    fn lines(host_limit: f64, prefix_limit: f64) -> Lines {
        Lines { host_limit, prefix_limit, ..ask(Field::Service).lines }
    }

    fn host(number: u8) -> Client {
        Client::of([203, 0, 113, number].into())
    }

    #[test]
    fn loud_hosts_are_left_out_of_sum_and_number() {
        let ask = ask(Field::Prefix);
        let mut hosts = Hosts::default();
        let is = |hosts: &Hosts, bucket, limit, sum, clients| {
            let at = hosts.crowding(bucket, &lines(limit, f64::INFINITY), 1);
            assert_eq!((at.sum, at.clients, at.networks), (sum, clients, u64::from(clients > 0)));
        };
        for number in 0..8 {
            hosts.add(host(number), 100, 10, &ask);
        }
        is(&hosts, 100, 10.0, 80.0, 8);
        is(&hosts, 159, 10.0, 80.0, 8);
        is(&hosts, 160, 10.0, 0.0, 0);
        hosts.add(host(0), 101, 1, &ask);
        is(&hosts, 101, 10.0, 70.0, 7);
        hosts.add(host(8), 101, 3, &ask);
        is(&hosts, 101, 10.0, 73.0, 8);
    }

    #[test]
    fn loud_networks_are_left_out_too() {
        let ask = ask(Field::Service);
        let mut hosts = Hosts::default();
        for number in 0..8 {
            hosts.add(host(number), 100, 10, &ask);
            hosts.add(Client::of([198, 51, number, 1].into()), 100, 10, &ask);
        }
        let at = hosts.crowding(100, &lines(20.0, 159.0), 2);
        assert_eq!((at.sum, at.clients, at.networks, at.sampled), (160.0, 8, 8, true));
        // 80 requests, each of which stands for two: a standard error of 12.6.
        assert_eq!((at.least.round(), at.least_clients), (122.0, 8.0));
        let at = hosts.crowding(100, &lines(10.0, 80.0), 1);
        assert_eq!((at.sum, at.clients, at.networks, at.sampled), (160.0, 16, 9, false));
        assert_eq!((at.least, at.least_clients), (160.0, 16.0));
        // A rule by prefix that asks for more hosts flags none of these.
        let at = hosts.crowding(100, &Lines { prefix_hosts: 9, ..lines(10.0, 79.0) }, 1);
        assert_eq!(at.networks, 9);
    }

    proptest! {
        /// However many there are, and whoever came first with a ring of its own.
        #[test]
        fn hosts_are_those_of_a_naive_count(adds in prop::collection::vec((0u8..30, 100i64..120, 1u64..5), 1..120)) {
            let ask = ask(Field::Prefix);
            let (first, bucket, count) = adds[0];
            let mut ring = Ring::default();
            ring.add(Shape::Plain, bucket, count, 0, 500);
            let mut hosts = Hosts::of(host(first), ring);
            for (number, bucket, count) in &adds[1..] {
                prop_assert!(hosts.add(host(*number), *bucket, *count, &ask));
            }
            let mut naive = BTreeMap::<u8, u64>::new();
            for (number, _, count) in &adds {
                *naive.entry(*number).or_default() += count;
            }
            let quiet: Vec<u64> = naive.values().copied().filter(|count| *count <= 9).collect();
            let crowding = hosts.crowding(119, &lines(9.0, f64::INFINITY), 1);
            prop_assert_eq!((crowding.sum, crowding.clients), (quiet.iter().sum::<u64>() as f64, quiet.len() as u64));
            hosts.took_part(119, &lines(f64::INFINITY, f64::INFINITY), 1, Some(crowding));
            prop_assert_eq!(hosts.most(), Some(crowding));
            let told: Vec<Subject> =
                hosts.seen(Cut::new(Duration::from_secs(60))).into_iter().map(|seen| seen.subject).collect();
            let known: Vec<Subject> = naive.keys().map(|number| Subject::client(host(*number))).collect();
            prop_assert_eq!(told, known);
        }
    }

    fn clients(count: u32) -> impl Iterator<Item = Client> {
        (0..count).map(|number| Client::of(std::net::Ipv4Addr::from(0x0a00_0000 + number * 256).into()))
    }

    #[test]
    fn hosts_of_a_prefix_have_a_bound() {
        let ask = ask(Field::Prefix);
        let mut hosts = Hosts::default();
        for (number, client) in clients(HOSTS_MAX as u32 + 10).enumerate() {
            assert_eq!(hosts.add(client, 1, 1, &ask), number < HOSTS_MAX);
        }
        let bytes = hosts.bytes();
        hosts.forget_before(2);
        assert!(bytes > 0 && hosts.bytes() == 0);
    }

    #[test]
    fn a_larger_crowd_is_estimated() {
        let ask = ask(Field::Service);
        for count in [500, 20_000, 60_000] {
            let mut hosts = Hosts::default();
            let whole = clients(count).filter(|client| hosts.add(*client, 1, 3, &ask)).count();
            let at = hosts.crowding(1, &lines(3.0, f64::INFINITY), 1);
            let error = at.sum / (3.0 * f64::from(count)) - 1.0;
            assert!(error.abs() < 0.14, "{count}: {at:?}");
            assert_eq!(whole == count as usize, count < 1_024);
            assert_eq!((at.clients, at.sum), (at.networks, 3.0 * at.clients as f64));
            assert!(at.least <= 3.0 * f64::from(count), "{at:?}");
            assert!(hosts.bytes() < 256 << 10);
            // When it is gone, those who are left are looked at one by one again.
            for bucket in 100..120 {
                hosts.forget_before(bucket);
            }
            assert_eq!(hosts.level(), 0);
        }
    }

    #[test]
    fn a_crowd_has_a_bound_in_bytes() {
        let ask = Ask { crowd_bytes: 16 << 10, ..ask(Field::Service) };
        let mut hosts = Hosts::default();
        for client in clients(2_000) {
            for bucket in 0..30 {
                hosts.add(client, bucket, 1, &ask);
            }
            assert!(hosts.bytes() <= (16 << 10) + 1_024, "{}", hosts.bytes());
        }
        assert!(hosts.level() > 3);
    }
}
