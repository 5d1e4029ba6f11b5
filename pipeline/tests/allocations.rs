//! The steady state allocates nothing for a record: decoding, combining, handing parcels over and merging them, with keys
//! and shapes that were met before. Counted by an allocator of this test binary's own, in the test's own thread.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe to implement; this one hands everything on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_decode::{DecodeKnobs, Decoder, Format};
use beaconfire_detect::{
    Combiner, Count, EntrySpec, Field, Plan, PlanSpec, RuleSpec, Shard, ShardKnobs, Watch,
};
use beaconfire_model::{
    EntryId, EventTime, Kind, Matcher, Matchers, Offset, Op, Record, Severity, Signal, Source, TopicId,
};

/// Counts what the thread asks for.
struct Counting;

thread_local! {
    /// Made without an allocation, and without a destructor that would need one.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator as it came; counting touches a plain number of this thread's,
// which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, held: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(held, layout) }
    }

    unsafe fn realloc(&self, held: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(held, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SOURCE: Source = Source { entry: EntryId(0), topic: TopicId(0), partition: 0 };
/// The start of a minute.
const T0: i64 = 1_767_323_040_000;
/// Records between two parcels: what 250 ms bring at 100,000 a second.
const PARCEL: usize = 25_000;
/// Records a second of event time.
const RATE: usize = 2_000;
/// Runs until rings have their size: longer than a window, a lateness, a drift and the time between two sweeps.
const WARM: usize = 4;
const RECORDS: usize = 100_000;
const CLIENTS: usize = 500;

fn rule(name: &str, by: Field, count: Count, matchers: Matchers) -> RuleSpec {
    RuleSpec {
        name: name.into(),
        kind: Kind::Flood,
        matchers,
        except: Matchers::default(),
        by: vec![by],
        count,
        window: Duration::from_secs(60),
        // Nobody comes near: an alert is no steady state.
        threshold: 1e9,
        severity: Severity::Warning,
        critical_above: None,
        min_clients: None,
    }
}

/// One rule of every sort that records of a busy site are counted by: client, prefix, service, bytes, shares, a pattern.
fn plan() -> Arc<Plan> {
    let all = Matchers::default;
    let errors = || Matchers(vec![Matcher::new("status", Op::Matches, "5..").expect("a matcher")]);
    let probes = Matchers(vec![Matcher::new("path", Op::Matches, ".*\\.env").expect("a matcher")]);
    let share = Count::Share { matchers: errors(), min_requests: 50 };
    let spec = PlanSpec {
        rules: vec![
            rule("requests-per-client", Field::Client, Count::Requests, all()),
            rule("bytes-per-client", Field::Client, Count::BytesSent, all()),
            rule("requests-per-prefix", Field::Prefix, Count::Requests, all()),
            rule("sensitive-files", Field::Client, Count::Requests, probes),
            RuleSpec { threshold: 0.9, ..rule("server-errors", Field::Service, share, all()) },
        ],
        lists: BTreeMap::new(),
        services: BTreeMap::new(),
        entries: vec![EntrySpec {
            name: "edge".into(),
            service: Some("shop".into()),
            lateness: Duration::from_secs(30),
            ..EntrySpec::default()
        }],
        finding_window: Duration::from_secs(60),
        seed: 7,
        ..PlanSpec::default()
    };
    Arc::new(Plan::compile(spec).expect("the rules compile"))
}

/// The path of a record through one worker and one shard.
struct Path {
    decoder: Decoder,
    combiner: Combiner,
    shard: Shard,
    signals: Vec<Signal>,
    seen: usize,
}

/// Allocations of each step.
#[derive(Debug, Default, PartialEq, Eq)]
struct Allocated {
    decoding: u64,
    combining: u64,
    taking: u64,
    merging: u64,
}

impl Path {
    fn new(format: Format) -> Self {
        let (plan, watch) = (plan(), Arc::new(Watch::default()));
        let knobs = ShardKnobs { memory: 256 << 20, early: true, drift: Duration::from_secs(60) };
        let mut combiner = Combiner::new(plan.clone(), watch.clone(), 16_384);
        combiner.begin(SOURCE, Offset(0), None);
        Self {
            decoder: Decoder::new(DecodeKnobs { format, ..DecodeKnobs::default() }),
            combiner,
            shard: Shard::new(plan, 0, 1, knobs, watch),
            signals: Vec::new(),
            seen: 0,
        }
    }

    /// `RECORDS` more records, of the same clients, pages and sizes in each second.
    fn run(&mut self, format: Format) -> Allocated {
        let mut allocated = Allocated::default();
        let last = self.seen + RECORDS;
        while self.seen < last {
            let text = line(format, self.seen);
            let record = Record {
                source: SOURCE,
                offset: Offset(self.seen as i64),
                stamped: Some(EventTime::from_millis(T0)),
                payload: Some(text.as_bytes()),
            };
            let (combiner, offset) = (&mut self.combiner, record.offset);
            let mut combining = 0;
            let spent = count(|| {
                let decoded = self.decoder.decode(&record, |decoded| {
                    combining += count(|| _ = combiner.observe(SOURCE, offset, &decoded.event, false));
                });
                decoded.expect("the line is understood");
            });
            allocated.combining += combining;
            allocated.decoding += spent - combining;
            self.seen += 1;
            if self.seen.is_multiple_of(PARCEL) {
                let mut parcels = Vec::new();
                allocated.taking += count(|| parcels = self.combiner.take(1));
                allocated.merging += count(|| {
                    for parcel in parcels.drain(..) {
                        self.shard.merge(parcel, &mut self.signals);
                    }
                });
            }
        }
        assert!(self.signals.is_empty(), "nobody comes near a limit");
        let tables = self.shard.census().tables;
        assert!(tables.iter().all(|table| table.evictions == 0), "nor near the bound: {tables:?}");
        allocated
    }
}

/// How often it allocates.
fn count(what: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    what();
    COUNT.with(Cell::get) - before
}

/// The record at this place, by clients in turn.
fn line(format: Format, number: usize) -> String {
    let (client, seconds) = (number % CLIENTS, number / RATE);
    // All over the address space, two in each prefix: one virtual shard alone would be full.
    let pair = client / 2;
    let address = match pair % 10 {
        9 => format!("2001:db8:{pair:x}:{}::7", client % 2),
        _ => format!("{}.{pair}.7.{}", 11 + pair % 97, client % 2 + 1),
    };
    let (path, agent) = (format!("/shop/item-{}?page={}", number % 977, number % 7), "Mozilla/5.0 (X11)");
    let status = if number.is_multiple_of(300) { 502 } else { 200 };
    let (minute, second) = (4 + seconds / 60, seconds % 60);
    match format {
        Format::NginxJson => format!(
            r#"{{"time_iso8601":"2026-01-02T03:{minute:02}:{second:02}+00:00","remote_addr":"{address}","request_method":"GET","host":"www.example.com","request_uri":"{path}","server_protocol":"HTTP/1.1","status":"{status}","body_bytes_sent":"5120","request_time":"0.012","http_user_agent":"{agent}"}}"#
        ),
        _ => format!(
            r#"{address} - - [02/Jan/2026:03:{minute:02}:{second:02} +0000] "GET {path} HTTP/1.1" {status} 5120 "-" "{agent}""#
        ),
    }
}

#[test]
fn decoding_records_like_those_before_is_free_of_allocation() {
    for format in [Format::Combined, Format::NginxJson] {
        let mut path = Path::new(format);
        path.run(format);
        let Allocated { decoding, combining, .. } = path.run(format);
        assert_eq!((decoding, combining), (0, 0), "{format:?}: decoding, combining");
    }
}

#[test]
fn windows_of_keys_like_those_before_are_free_of_allocation() {
    let format = Format::Combined;
    let mut path = Path::new(format);
    for _ in 0..WARM {
        path.run(format);
    }
    let allocated = path.run(format);
    println!("{RECORDS} records: {allocated:?}");
    let Allocated { decoding, combining, taking, merging } = allocated;
    // Parcels are handed to another thread, so each is made anew: a few allocations for each, none for a record.
    let all = decoding + combining + taking + merging;
    assert!(all * 1_000 < RECORDS as u64, "{allocated:?}");
}
