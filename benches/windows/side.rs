//! A combiner and a shard that know a number of keys.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use beaconfire_detect::{Combiner, Count, Field, RuleSpec, Shard, ShardKnobs, Watch};
use beaconfire_model::{Client, Event, EventTime, Kind, Matchers, Offset, Request, Severity, TargetForm};

use crate::shared::{cpu, rules};

/// Records a millisecond of event time: so many that all keys stay live while everything is measured.
const RATE: u64 = 2_000;
/// Milliseconds, where event time begins.
const BEGIN: u64 = 1_767_323_040_000;
/// Far more than is needed: nothing is to be evicted here.
const MEMORY: usize = 64 << 30;
/// The service's bound for one parcel.
const CAPACITY: usize = 16_384;

/// When the combiner hands over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parcels {
    /// After so many records.
    records: u64,
}

/// So few that hardly two records share a partial.
pub(crate) const SMALL: Parcels = Parcels { records: 1_024 };
/// As the service does: every 250 ms, or when the combiner is full.
pub(crate) const FULL: Parcels = Parcels { records: 250 * RATE };

/// One side.
pub(crate) struct Side {
    pub(crate) keys: u32,
    combiner: Combiner,
    shard: Shard,
    seen: u64,
    /// Milliseconds by which event time was moved on.
    moved: u64,
}

impl Side {
    /// A side that has seen each of its keys once.
    pub(crate) fn knowing(keys: u32) -> Self {
        let plan = rules::alone(RuleSpec {
            name: "requests-per-client".into(),
            kind: Kind::Flood,
            matchers: Matchers::default(),
            except: Matchers::default(),
            by: vec![Field::Client],
            count: Count::Requests,
            window: Duration::from_secs(60),
            // Nobody comes near.
            threshold: 1e9,
            severity: Severity::Warning,
            critical_above: None,
            min_clients: None,
        });
        let watch = std::sync::Arc::new(Watch::default());
        let knobs = ShardKnobs { memory: MEMORY, early: true, drift: Duration::from_secs(60) };
        let mut combiner = Combiner::new(plan.clone(), watch.clone(), CAPACITY);
        combiner.begin(rules::SOURCE, Offset(0), None);
        let shard = Shard::new(plan, 0, 1, knobs, watch);
        let mut side = Self { keys, combiner, shard, seen: 0, moved: 0 };
        let all: Vec<u32> = (0..keys).collect();
        side.see(&all, FULL);
        side
    }

    /// Sees a record of each of these keys. The CPU time in seconds, and how many partials were made.
    pub(crate) fn see(&mut self, numbers: &[u32], parcels: Parcels) -> (f64, usize) {
        let spent = cpu::spent();
        let mut partials = 0;
        for number in numbers {
            let at = EventTime::from_millis((BEGIN + self.moved + self.seen / RATE) as i64);
            let event = Event::Request(request(at, client(*number)));
            self.combiner.observe(rules::SOURCE, Offset(self.seen as i64), &event, false);
            self.seen += 1;
            if self.seen.is_multiple_of(parcels.records) || self.combiner.is_full() {
                partials += self.merge();
            }
        }
        partials += self.merge();
        ((cpu::spent() - spent).as_secs_f64(), partials)
    }

    fn merge(&mut self) -> usize {
        let (mut partials, mut signals) = (0, Vec::new());
        for parcel in self.combiner.take(1) {
            partials += parcel.partials.len();
            self.shard.merge(parcel, &mut signals);
        }
        assert!(signals.is_empty(), "nobody comes near the threshold");
        partials
    }

    /// The keys of the table of clients, and its bytes as the shard counts them.
    pub(crate) fn held(&self) -> (u64, u64) {
        let census = self.shard.census();
        assert!(census.tables.iter().all(|table| table.evictions == 0), "nothing is evicted: {census:?}");
        (census.tables[0].keys, census.tables[0].bytes)
    }

    /// Moves event time on by half a minute: the shard looks at all keys. The CPU time in seconds.
    pub(crate) fn sweep(&mut self) -> f64 {
        self.moved += 31_000;
        self.see(&[0], SMALL).0
    }
}

/// Each number another address, all over the address space.
fn client(number: u32) -> Client {
    Client::of(IpAddr::V4(Ipv4Addr::from(number.wrapping_mul(0x9e37_79b1))))
}

fn request(time: EventTime, client: Client) -> Request<'static> {
    Request {
        time,
        client: Some(client),
        service: "",
        method: "GET",
        host: "",
        path: "/",
        query: "",
        http_version: "1.1",
        status: 200,
        bytes_sent: 512,
        duration_micros: None,
        user_agent: "",
        request_id: "",
        target: TargetForm::Path,
    }
}
