//! Facts against an exact recount of the whole log: whatever the order of arrival within the lateness, the cut into
//! parcels, the number of shard threads, and whether violations are raised early.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{
    Combiner, Count, EntrySpec, Field, Plan, PlanSpec, RuleSpec, Seen, Shard, ShardKnobs, Watch,
};
use beaconfire_model::{
    Client, EntryId, Event, EventTime, Kind, Matchers, Offset, Request, Severity, Signal, Source, TopicId,
    parse_matchers,
};
use proptest::prelude::*;

const WINDOW: i64 = 60_000;

fn rule(name: &str, by: Field, count: Count, threshold: f64) -> RuleSpec {
    RuleSpec {
        name: name.into(),
        kind: Kind::Flood,
        matchers: Matchers::default(),
        except: Matchers::default(),
        by: vec![by],
        count,
        window: Duration::from_millis(WINDOW as u64),
        threshold,
        severity: Severity::Warning,
        critical_above: Some(threshold * 4.0),
    }
}

fn plan(rules: Vec<RuleSpec>) -> Arc<Plan> {
    let spec = PlanSpec {
        rules,
        lists: BTreeMap::new(),
        services: BTreeMap::new(),
        entries: vec![EntrySpec {
            name: "edge".into(),
            service: Some("shop".into()),
            lateness: Duration::from_secs(30),
        }],
        finding_window: Duration::from_secs(60),
        seed: 7,
    };
    Arc::new(Plan::compile(spec).unwrap())
}

fn source(partition: i32) -> Source {
    Source { entry: EntryId(0), topic: TopicId(0), partition }
}

fn request(time: i64, client: &str, status: u16) -> Request<'_> {
    Request {
        time: EventTime::from_millis(time),
        client: Some(Client::of(client.parse().unwrap())),
        service: "",
        method: "GET",
        host: "",
        path: "/",
        query: "",
        http_version: "1.1",
        status,
        bytes_sent: 10,
        duration_micros: None,
        user_agent: "",
        request_id: "",
    }
}

/// One record: when, who, from which partition, with which status.
type Log = Vec<(i64, String, i32, u16)>;

/// Runs a log through one combiner and so many shard threads, taking after every `batch` records.
fn run(plan: &Arc<Plan>, log: &Log, threads: usize, batch: usize, early: bool) -> Vec<Signal> {
    let watch = Arc::new(Watch::default());
    let mut combiner = Combiner::new(plan.clone(), watch.clone(), 1 << 16);
    let knobs = ShardKnobs { memory: 64 << 20, early, drift: Duration::from_secs(60) };
    let mut shards: Vec<_> = (0..threads)
        .map(|thread| Shard::new(plan.clone(), thread, threads, knobs.clone(), watch.clone()))
        .collect();
    let mut signals = Vec::new();
    let mut offsets = BTreeMap::new();
    for (_, _, partition, _) in log {
        if offsets.insert(*partition, 0).is_none() {
            combiner.begin(source(*partition), Offset(0), None);
        }
    }
    for (at, (time, client, partition, status)) in log.iter().enumerate() {
        let offset = offsets.get_mut(partition).unwrap();
        let seen = combiner.observe(
            source(*partition),
            Offset(*offset),
            &Event::Request(request(*time, client, *status)),
        );
        assert_ne!(seen, Seen::Ignored);
        *offset += 1;
        if at % batch == batch - 1 {
            for (shard, parcel) in shards.iter_mut().zip(combiner.take(threads)) {
                shard.merge(parcel, &mut signals);
                if at % 3 == 0 {
                    shard.flush(&mut signals);
                }
            }
        }
    }
    for (shard, parcel) in shards.iter_mut().zip(combiner.take(threads)) {
        shard.merge(parcel, &mut signals);
        shard.finish(&mut signals);
        shard.flush(&mut signals);
        assert_eq!(shard.census().tables[0].evictions, 0);
    }
    signals
}

/// What a rule said of a subject, joined: first violation, end, peak.
type Joined = BTreeMap<(String, String), (i64, i64, f64)>;

fn joined(signals: &[Signal]) -> Joined {
    let mut all = Joined::new();
    for signal in signals {
        let (first, until) = (signal.first.0.millis(), signal.holds_until.0.millis());
        let peak = signal.evidence.observed.0;
        let held = all
            .entry((signal.rule.to_string(), signal.subject.value.to_string()))
            .or_insert((first, until, peak));
        *held = (held.0.min(first), held.1.max(until), held.2.max(peak));
    }
    all
}

/// The same by counting the whole log anew for every bucket: no rings, no order, no closing.
fn naive(log: &Log, threshold: f64) -> Joined {
    let width = WINDOW / 60;
    let mut largest: BTreeMap<i32, i64> = BTreeMap::new();
    let mut counts: BTreeMap<&str, BTreeMap<i64, u64>> = BTreeMap::new();
    for (time, client, partition, _) in log {
        let seen = largest.entry(*partition).or_insert(*time);
        if *time >= *seen - 30_000 {
            *counts.entry(client).or_default().entry(time.div_euclid(width)).or_default() += 1;
        }
        *seen = (*seen).max(*time);
    }
    let mut all = Joined::new();
    for (client, buckets) in counts {
        let (first, last) = (*buckets.keys().next().unwrap(), *buckets.keys().last().unwrap());
        let mut holds = false;
        for bucket in first..=last + 60 {
            let count: u64 = buckets.range(bucket - 59..=bucket).map(|(_, n)| n).sum();
            let count = count as f64;
            holds = count > threshold || (holds && count > threshold * 0.9);
            if holds {
                let end = (bucket + 1) * width;
                let held = all.entry(("flood".into(), client.to_owned())).or_insert((end, end, count));
                *held = (held.0.min(end), held.1.max(end), held.2.max(count));
            }
        }
    }
    all
}

fn logs() -> impl Strategy<Value = Log> {
    // Bursts and trickles of a few clients over ten minutes, out of order by up to 40 s, so that some are late.
    let record = (0i64..600, 0i64..40, 0u8..4, 0i32..3, 1usize..12);
    prop::collection::vec(record, 1..60).prop_map(|bursts| {
        let mut log: Vec<(i64, Log)> = Vec::new();
        for (second, early, client, partition, n) in bursts {
            let time = 1_700_000_000_000 + second * 1000;
            let burst = (0..n as i64)
                .map(|i| (time - early * 1000 + i * 137, format!("198.51.{client}.{client}"), partition, 200))
                .collect();
            log.push((time, burst));
        }
        log.sort_by_key(|(arrives, _)| *arrives);
        log.into_iter().flat_map(|(_, burst)| burst).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn facts_are_those_of_an_exact_recount(log in logs(), threads in 1usize..5, batch in 1usize..40, early: bool, threshold in 3u8..20) {
        let threshold = f64::from(threshold);
        let plan = plan(vec![rule("flood", Field::Client, Count::Requests, threshold)]);
        let expected = naive(&log, threshold);
        prop_assert_eq!(joined(&run(&plan, &log, threads, batch, early)), expected);
    }

    #[test]
    fn shares_do_not_depend_on_threads_or_batches(log in logs(), threads in 1usize..5, batch in 1usize..40) {
        let mut log = log;
        for (at, record) in log.iter_mut().enumerate() {
            record.3 = if at % 3 == 0 { 503 } else { 200 };
        }
        let share = Count::Share { matchers: parse_matchers([r#"status=~"5..""#]).unwrap(), min_requests: 10 };
        let plan = plan(vec![rule("errors", Field::Service, share, 0.3)]);
        let alone = joined(&run(&plan, &log, 1, 1, false));
        prop_assert_eq!(joined(&run(&plan, &log, threads, batch, true)), alone);
    }
}

fn flood(prefix: &str, hosts: u32, each: i64) -> Log {
    let mut log = Log::new();
    for i in 0..each {
        for host in 1..=hosts {
            log.push((1_700_000_000_000 + i * 50_000 / each, format!("{prefix}.{host}"), 0, 200));
        }
    }
    log
}

fn prefix_rules() -> Arc<Plan> {
    plan(vec![
        rule("requests-per-client", Field::Client, Count::Requests, 600.0),
        rule("requests-per-prefix", Field::Prefix, Count::Requests, 3_000.0),
    ])
}

fn fired(signals: &[Signal]) -> Vec<(String, String)> {
    joined(signals).into_keys().collect()
}

#[test]
fn one_loud_host_flags_the_host_only() {
    let found = fired(&run(&prefix_rules(), &flood("203.0.113", 1, 5_000), 2, 500, true));
    assert_eq!(found, [("requests-per-client".to_owned(), "203.0.113.1".to_owned())]);
}

#[test]
fn forty_quiet_hosts_flag_their_prefix_and_are_its_participants() {
    let signals = run(&prefix_rules(), &flood("203.0.113", 40, 200), 2, 500, true);
    assert_eq!(fired(&signals), [("requests-per-prefix".to_owned(), "203.0.113.0/24".to_owned())]);
    let last = signals.last().unwrap();
    assert_eq!(last.participants.len(), 40);
    assert!(last.participants.iter().all(|participant| participant.events.0 == 200.0));
}

#[test]
fn few_hosts_are_no_distributed_flood() {
    assert!(fired(&run(&prefix_rules(), &flood("203.0.113", 6, 590), 1, 500, true)).is_empty());
}

#[test]
fn a_source_from_the_future_disturbs_nobody_else() {
    let plan = plan(vec![rule("flood", Field::Client, Count::Requests, 5.0)]);
    let mut log: Log =
        (0..20).map(|i| (1_700_000_000_000 + i * 1_000, "198.51.100.1".to_owned(), 0, 200)).collect();
    log.insert(3, (4_102_444_800_000, "198.51.100.9".to_owned(), 1, 200));
    assert_eq!(fired(&run(&plan, &log, 1, 2, false)), [("flood".to_owned(), "198.51.100.1".to_owned())]);
}

#[test]
fn the_memory_bound_is_counted_and_never_raises() {
    let plan = plan(vec![rule("flood", Field::Client, Count::Requests, 50.0)]);
    let watch = Arc::new(Watch::default());
    let mut combiner = Combiner::new(plan.clone(), watch.clone(), 1 << 20);
    let mut shard = Shard::new(
        plan,
        0,
        1,
        ShardKnobs { memory: 1 << 20, early: true, drift: Duration::from_secs(60) },
        watch,
    );
    combiner.begin(source(0), Offset(0), None);
    let mut signals = Vec::new();
    let mut offset = 0;
    for round in 0..40u32 {
        for n in 0..2_000u32 {
            let spoofed = std::net::Ipv4Addr::from(0x2000_0000 + (round * 2_000 + n) * 7_919).to_string();
            for client in [spoofed.as_str(), "203.0.113.66"] {
                if client == "203.0.113.66" && n % 100 != 0 {
                    continue;
                }
                let time = 1_700_000_000_000 + i64::from(round) * 500;
                combiner.observe(source(0), Offset(offset), &Event::Request(request(time, client, 200)));
                offset += 1;
            }
        }
        for parcel in combiner.take(1) {
            shard.merge(parcel, &mut signals);
        }
    }
    let census = shard.census();
    assert!(census.tables[0].evictions > 0);
    assert!(census.tables[0].bytes <= 1 << 20, "{census:?}");
    assert!(signals.iter().all(|signal| &*signal.subject.value == "203.0.113.66"), "a light key raised");
    assert!(!signals.is_empty(), "the heavy key was lost");
}
