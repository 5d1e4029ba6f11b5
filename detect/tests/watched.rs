//! Workloads from end to end of the engine: samples, requests and what sensors saw go in at the combiner, and signals
//! come out of the first shard, the same for any number of threads and any order within the lateness.

mod support;

use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{Learned, Learning, MiningKnobs, Plan, PlanSpec, ServiceSpec};
use beaconfire_model::{
    EntryId, Event, EventTime, Kind, Measured, Metric, ResourceSample, RuntimeDetails, RuntimeEvent,
    RuntimeKind, Severity, Signal, Source, TopicId,
};
use support::{LATENESS, Rig, T0, request, source, spec};

const MINUTE: i64 = 60_000;
/// Workloads' samples and sensors are read in an entry of their own.
const METRICS: Source = Source { entry: EntryId(1), topic: TopicId(1), partition: 0 };

fn plan(tied: &str) -> Arc<Plan> {
    let mut spec = PlanSpec { mining: Some(MiningKnobs::default()), ..spec(Vec::new()) };
    let shop = ServiceSpec { workloads: vec![tied.to_owned()], ..ServiceSpec::default() };
    spec.services.insert("shop".to_owned(), shop);
    Arc::new(Plan::compile(spec).unwrap())
}

/// A rig that reads both entries.
fn rig(plan: &Arc<Plan>, threads: usize) -> Rig {
    let mut rig = Rig::new(plan, threads, true, 64 << 20, Duration::from_secs(60));
    rig.begin(source(0), 0, None);
    rig.begin(METRICS, 0, None);
    rig
}

/// A rig that reads the metrics' entry only.
fn metrics(plan: &Arc<Plan>, threads: usize) -> Rig {
    let mut rig = Rig::new(plan, threads, true, 64 << 20, Duration::from_secs(60));
    rig.begin(METRICS, 0, None);
    rig
}

fn sample(rig: &mut Rig, minute: i64, cores: f64, memory: f64) {
    let measured = [
        Measured { metric: Metric::CpuCores, value: cores },
        Measured { metric: Metric::CpuLimitCores, value: 2.0 },
        Measured { metric: Metric::MemoryBytes, value: memory },
    ];
    let sample = ResourceSample {
        time: EventTime::from_millis(T0 + minute * MINUTE + 5_000),
        workload: "shop/web",
        pod: "web-5d8f7c9b6-x2x4z",
        container: "app",
        image: "registry.example.com/web:1",
        measured: &measured,
        ..ResourceSample::default()
    };
    rig.see(METRICS, Event::Resource(sample));
}

fn exec<'a>(minute: i64, workload: &'a str, process: &'a str, cmdline: &'a str) -> RuntimeEvent<'a> {
    RuntimeEvent {
        kind: RuntimeKind::Exec,
        time: EventTime::from_millis(T0 + minute * MINUTE),
        process,
        cmdline,
        details: RuntimeDetails::NONE,
        ..support::finding(0, workload, "", Severity::Info)
    }
}

/// How many requests come in a minute of a day, and what they cost.
fn load(minute: i64) -> (usize, f64) {
    let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
    let requests = (25.0 + 20.0 * day) as usize + (minute * 7_919 % 23) as usize;
    (requests, 0.1 + 0.02 * requests as f64 + 0.002 * (minute * 13 % 11) as f64)
}

/// Four days of which the last three hours have `more` cores than requests explain, and what a miner keeps in memory.
fn days(rig: &mut Rig, requests_grow: bool, more: f64, order: impl Fn(&mut Vec<usize>)) {
    let end = 4 * 1_440;
    for minute in 0..end {
        let late = minute >= end - 180;
        let (mut requests, cores) = load(minute);
        if late && requests_grow {
            requests += (more / 0.02) as usize;
        }
        let cores = if late { cores + more } else { cores };
        let mut steps: Vec<usize> = (0..=requests).collect();
        order(&mut steps);
        for step in steps {
            match step {
                0 => sample(rig, minute, cores, if late && !requests_grow { 2.7e9 } else { 3e8 }),
                1 if minute == end - 100 && !requests_grow => {
                    rig.see(METRICS, Event::Runtime(exec(minute, "shop/api", "xmrig", "xmrig")));
                }
                n => {
                    let at = T0 + minute * MINUTE + (n as i64 * 399) % (LATENESS - 2_000);
                    rig.see(source(0), Event::Request(request(at, "198.51.100.7")));
                }
            }
        }
        if minute % 5 == 4 {
            rig.merge();
        }
    }
}

/// Mining signals: rule, severity, minutes since the extra CPU began.
fn mining(signals: &[Signal]) -> Vec<(String, Severity, i64)> {
    let began = T0 + (4 * 1_440 - 180) * MINUTE;
    let of = |signal: &&Signal| signal.kind == Kind::Mining && &*signal.target.value == "shop/web";
    let told = |signal: &Signal| {
        (signal.rule.to_string(), signal.severity, (signal.first.0.millis() - began) / MINUTE)
    };
    signals.iter().filter(of).map(told).collect()
}

#[test]
fn a_miner_that_is_started_is_a_page_with_its_evidence() {
    let mut rig = metrics(&plan("shop/*"), 2);
    let started = exec(3, "shop/cart", "xmrig", "xmrig -o stratum+tcp://pool.supportxmr.com:3333 -u wallet");
    rig.see(METRICS, Event::Runtime(started));
    rig.see(METRICS, Event::Runtime(exec(3, "shop/docs", "grep", "grep xmrig index.html")));
    rig.merge();
    assert!(rig.signals.is_empty(), "something older may come");
    rig.see(METRICS, Event::Runtime(exec(4 + LATENESS / MINUTE, "shop/docs", "ls", "ls")));
    rig.merge();
    let told: Vec<(&str, &str, Severity)> =
        rig.signals.iter().map(|signal| (&*signal.rule, &*signal.target.value, signal.severity)).collect();
    for rule in ["mining", "mining:miner-name", "mining:stratum-uri"] {
        assert!(told.contains(&(rule, "shop/cart", Severity::Critical)), "{rule}: {told:?}");
    }
    assert!(told.iter().all(|(_, workload, _)| *workload == "shop/cart"), "{told:?}");
    let named = rig.signals.iter().find(|signal| &*signal.rule == "mining:miner-name").unwrap();
    assert!(named.samples[0].by.clean().contains("T1496.001"), "{named:?}");
}

#[test]
fn cpu_that_requests_do_not_explain_is_a_ticket_and_cpu_that_they_explain_is_none() {
    let told = |tied: &str, grow: bool| {
        let mut rig = rig(&plan(tied), 1);
        days(&mut rig, grow, 1.0, |_| {});
        rig.finish();
        mining(&rig.signals)
    };
    let ticket = told("shop/*", false);
    let first = ticket.iter().find(|(rule, severity, _)| rule == "mining" && *severity >= Severity::Warning);
    assert!(first.is_some_and(|(_, _, minutes)| (0..=45).contains(minutes)), "{ticket:?}");
    assert!(ticket.iter().all(|(_, severity, minutes)| *severity < Severity::Critical && *minutes >= 0));
    let explained = told("shop/*", true);
    assert!(explained.iter().all(|(_, severity, _)| *severity < Severity::Warning), "{explained:?}");
}

#[test]
fn the_same_is_stated_for_any_threads_and_any_order_within_the_lateness() {
    let told = |threads: usize, order: fn(&mut Vec<usize>)| {
        let mut rig = rig(&plan("shop/web"), threads);
        days(&mut rig, false, 1.0, order);
        rig.finish();
        let mut signals = rig.signals;
        signals.iter_mut().for_each(|signal| signal.evidence.series.clear());
        signals
    };
    let plain = told(1, |_| {});
    for name in ["shop/api", "shop/web"] {
        assert!(plain.iter().any(|signal| &*signal.target.value == name), "{name}");
    }
    for threads in [2, 3, 4, 8] {
        assert_eq!(plain, told(threads, |_| {}), "{threads} threads");
    }
    assert_eq!(plain, told(2, |steps| steps.reverse()));
}

/// A plan that holds against what is usual, and does not look for miners.
fn usual() -> Arc<Plan> {
    Arc::new(
        Plan::compile(PlanSpec { baselines: Some(64 << 20), tell_services: true, ..spec(Vec::new()) })
            .unwrap(),
    )
}

/// Samples of these minutes: memory goes up and down with the day, and is eight times as much from minute 6,000 on.
fn week(rig: &mut Rig, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
        let noise = (minute * 7_919 % 101) as f64 / 101.0;
        let memory = 4e8 + 1e8 * day + 2e7 * noise;
        sample(
            rig,
            minute,
            0.5 + 0.2 * day + 0.05 * noise,
            if minute >= 6_000 { memory * 8.0 } else { memory },
        );
        rig.merge();
    }
}

fn texts(signals: &[Signal]) -> Vec<String> {
    let text = |signal: &Signal| {
        format!(
            "{} {:?} {}: {}",
            signal.rule,
            signal.severity,
            signal.target.value,
            signal.samples[0].text.clean()
        )
    };
    signals.iter().map(text).collect()
}

#[test]
fn what_is_beyond_all_that_was_seen_is_told_in_words() {
    let mut rig = metrics(&usual(), 2);
    week(&mut rig, 0..6_000);
    let before = texts(&rig.signals);
    assert!(before.iter().all(|text| text.contains(" Info ")), "an ordinary week: {before:?}");
    rig.signals.clear();
    week(&mut rig, 6_000..6_060);
    let told = texts(&rig.signals);
    let memory =
        told.iter().find(|text| text.starts_with("unusual-memory ")).expect("eight times the memory");
    assert!(!memory.contains(" Info ") && memory.contains("shop/web: memory: "), "{memory}");
    assert!(memory.contains("% beyond anything in the last 1,200 samples (observed 1.11 GiB"), "{memory}");
}

#[test]
fn what_learns_silently_is_shown_with_the_time_left() {
    let mut rig = metrics(&usual(), 1);
    week(&mut rig, 0..720);
    let learning = rig.shards[0].census().learning;
    let hours = learning.left.as_secs_f64() / 3_600.0;
    assert!(learning.series >= 2 && (11.5..13.0).contains(&hours), "{learning:?}");
    week(&mut rig, 720..1_500);
    assert_eq!(rig.shards[0].census().learning, Learning::default());
    let mut broken = ResourceSample { workload: "shop/web", ..ResourceSample::default() };
    let measured = [Measured { metric: Metric::CpuCores, value: -3.0 }];
    (broken.time, broken.measured) = (EventTime::from_millis(T0 + 1_500 * MINUTE), &measured);
    rig.see(METRICS, Event::Resource(broken));
    rig.merge();
    let flaws = rig.shards[0].census().flaws;
    assert!(flaws.contains(&("negative", 1)), "{flaws:?}");
}

#[test]
fn a_restart_in_mid_series_changes_no_score() {
    let plan = usual();
    let (cut, end) = (5_987, 6_100);
    let mut whole = metrics(&plan, 1);
    week(&mut whole, 0..cut);
    whole.signals.clear();
    week(&mut whole, cut..end);
    assert!(!whole.signals.is_empty());

    let mut first = metrics(&plan, 1);
    week(&mut first, 0..cut);
    let learned: Vec<Learned> = first.shards[0].learned();
    assert!(learned.len() >= 2, "CPU and memory");
    let floors = first.shards[0].hold_floors();
    let floor = (floors[&EntryId(1)].millis() - T0) / MINUTE;
    assert!((cut - 15..cut).contains(&floor), "{floor}");
    let mut second = metrics(&plan, 2);
    assert_eq!(second.shards[0].remember(&learned), 0);
    week(&mut second, floor..end);
    assert_eq!(second.signals, whole.signals);

    let broken = Learned { state: vec![0xff; 40], ..learned[0].clone() };
    let other = Learned { series: "workload/shop".into(), ..learned[0].clone() };
    assert_eq!(second.shards[0].remember(&[broken, other]), 2, "they learn anew");
}

/// Steady visitors of the first entry, minute by minute, as many as `share` of them; the metrics come along.
fn visitors(rig: &mut Rig, minutes: std::ops::Range<i64>, share: usize) {
    for minute in minutes {
        let requests = (120 + minute as usize * 7_919 % 23) / share;
        for n in 0..requests as i64 {
            let at = T0 + minute * MINUTE + n * (MINUTE - 1_000) / requests as i64;
            rig.see(source(0), Event::Request(request(at, "198.51.100.7")));
        }
        sample(rig, minute, 0.5, 3e8);
        rig.merge();
    }
}

/// What is said of requests that became much fewer; noise may have a shape of its own.
fn of_requests(signals: &[Signal]) -> Vec<(Severity, EntryId, String)> {
    let of = |signal: &&Signal| &*signal.rule == "unusual-requests" && signal.evidence.observed.0 < 1.5;
    let told = |signal: &Signal| (signal.severity, signal.entry, signal.samples[0].text.clean().to_owned());
    signals.iter().filter(of).map(told).collect()
}

#[test]
fn a_log_that_ends_is_no_service_that_is_not_asked_any_more() {
    let mut rig = rig(&usual(), 1);
    visitors(&mut rig, 0..3_003, 1);
    rig.finish();
    assert_eq!(of_requests(&rig.signals), []);
}

#[test]
fn a_service_that_is_asked_less_is_told_in_the_entry_it_was_read_in() {
    let mut rig = rig(&usual(), 1);
    visitors(&mut rig, 0..3_000, 1);
    visitors(&mut rig, 3_000..3_030, 4);
    let told = of_requests(&rig.signals);
    assert!(!told.is_empty() && told.iter().all(|(_, entry, _)| *entry == EntryId(0)), "{told:?}");
}

/// The metrics are read at once, the request log is far behind: its requests are waited for, not taken for none.
#[test]
fn a_log_that_is_behind_is_waited_for() {
    let plan = usual();
    let mut first = rig(&plan, 1);
    visitors(&mut first, 0..3_000, 1);
    let learned = first.shards[0].learned();
    let mut second = rig(&plan, 1);
    assert_eq!(second.shards[0].remember(&learned), 0);
    for minute in 2_990..3_060 {
        sample(&mut second, minute, 0.5, 3e8);
    }
    second.merge();
    visitors(&mut second, 2_990..3_000, 1);
    for minute in 3_000..3_060 {
        for n in 0..120 {
            let at = T0 + minute * MINUTE + n * 490;
            second.see(source(0), Event::Request(request(at, "198.51.100.7")));
        }
        second.merge();
    }
    assert_eq!(of_requests(&second.signals), []);
}

/// Half of a topic goes to another process: what is left is no fall in demand, it is learned anew.
#[test]
fn a_part_of_a_topic_that_leaves_is_no_fall_in_demand() {
    let mut rig = rig(&usual(), 1);
    rig.begin(source(1), 0, None);
    for minute in 0..3_060 {
        for n in 0..120i64 {
            let at = T0 + minute * MINUTE + n * 490;
            let partition = i32::from(n % 2 == 0 && minute < 3_000);
            if minute < 3_000 || n % 2 == 1 {
                rig.see(source(partition), Event::Request(request(at, "198.51.100.7")));
            }
        }
        sample(&mut rig, minute, 0.5, 3e8);
        rig.merge();
        if minute == 3_000 {
            rig.give_up(source(1));
            rig.left(source(1), 0);
        }
    }
    assert_eq!(of_requests(&rig.signals), []);
}

/// Memory that climbs by a tenth of its limit an hour is told before it is full, and what is held shows in the census.
#[test]
fn memory_that_will_be_full_is_told_ahead() {
    let mut rig = metrics(&plan("shop/*"), 1);
    for minute in 0..300 {
        let measured = [
            Measured { metric: Metric::MemoryBytes, value: 5e8 + minute as f64 * 1.7e6 },
            Measured { metric: Metric::MemoryLimitBytes, value: 1e9 },
        ];
        let sample = ResourceSample {
            time: EventTime::from_millis(T0 + minute * MINUTE + 5_000),
            workload: "shop/cache",
            pod: "cache-0",
            container: "app",
            measured: &measured,
            ..ResourceSample::default()
        };
        rig.see(METRICS, Event::Resource(sample));
        rig.merge();
    }
    let told: Vec<&Signal> = rig.signals.iter().filter(|signal| &*signal.rule == "memory-climbing").collect();
    let first = told.first().expect("it is told");
    let minute = (first.first.0.millis() - T0) / MINUTE;
    assert!((40..60).contains(&minute) && &*first.target.value == "shop/cache", "{minute}: {first:?}");
    assert!(first.entry == EntryId(1) && first.severity == Severity::Warning, "{first:?}");
    assert!(told.iter().any(|signal| signal.severity == Severity::Error), "half an hour before it is full");
    let census = rig.shards[0].census();
    let workloads =
        census.tables.iter().find(|table| table.name == "workloads").expect("a table of workloads");
    assert!(workloads.bytes > 0 && workloads.evictions == 0, "{workloads:?}");
}
