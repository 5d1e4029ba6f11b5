//! What the mining engine promises besides its rates: what freezes and thaws, what is allowed, what a rollout and a spread
//! change, and what it does with numbers that cannot be. `mining.rs` has the rates.

use std::time::Duration;

use beaconfire_detect::engine::mining::{BadSlice, Class, Deed, Finding, Knobs, Lists, Mining, Slice};
use beaconfire_model::{EventTime, Kind, Severity};

/// A service of two cores on a quiet day: what it uses follows its requests.
fn slice(workload: &str, t: i64) -> Slice<'_> {
    let minute = t as f64;
    let requests = 50.0 + 20.0 * (minute / 1440.0 * std::f64::consts::TAU).sin() + 4.0 * (minute * 1.7).sin();
    Slice {
        workload,
        at: EventTime::from_millis(t * 60_000),
        span: Duration::from_secs(60),
        cpu_cores: 0.1 + 0.008 * requests + 0.01 * (minute * 2.3).sin(),
        cpu_limit_cores: Some(2.0),
        requests_per_second: Some(requests),
        memory_bytes: Some(500e6 + 1e6 * (minute * 0.9).sin()),
        network_bytes_per_second: Some(requests * 8000.0),
        replicas: 1,
        restarts: 0,
        image_changed: false,
    }
}

fn mined(workload: &str, t: i64, cores: f64) -> Slice<'_> {
    let slice = slice(workload, t);
    Slice {
        cpu_cores: (slice.cpu_cores + cores).min(2.0),
        memory_bytes: slice.memory_bytes.map(|memory| memory + 2.4e9),
        ..slice
    }
}

fn engine(allow: &[&str]) -> Mining {
    let allow = allow.iter().map(|pattern| Box::from(*pattern)).collect();
    Mining::new(Knobs { allow, lists: Lists::default(), workloads_max: 0 })
}

const START: i64 = 3 * 1440;

/// An engine that knows the workload, and what it says while a miner runs in it.
fn run(engine: &mut Mining, workload: &str, minutes: i64, each: impl Fn(i64) -> f64) -> Vec<Finding> {
    let mut findings = Vec::new();
    for t in 0..START + minutes {
        let cores = if t < START { 0.0 } else { each(t - START) };
        let slice = if cores > 0.0 { mined(workload, t, cores) } else { slice(workload, t) };
        engine.slice(&slice, &mut findings).unwrap();
    }
    findings
}

fn port(engine: &mut Mining, workload: &str, t: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let deed = Deed::Connect { process: "x", remote: "203.0.113.9:4444", domain: "" };
    engine.deed(workload, EventTime::from_millis(t * 60_000), &deed, &mut findings);
    findings
}

fn tickets(findings: &[Finding]) -> usize {
    findings.iter().filter(|f| f.kind == Kind::Mining && f.severity >= Severity::Warning).count()
}

#[test]
fn shape_alone_is_a_ticket_with_its_evidence() {
    let findings = run(&mut engine(&[]), "shop/web", 60, |_| 1.0);
    assert!(findings.iter().all(|finding| finding.severity < Severity::Critical), "never a page");
    let ticket = findings.iter().find(|finding| finding.severity >= Severity::Warning).expect("a ticket");
    let delay = ticket.at.since(EventTime::from_millis(START * 60_000)).as_secs() / 60;
    assert!((20..=45).contains(&delay), "{delay} min");
    let began = ticket.began.millis() / 60_000 - START;
    assert!((-1..=3).contains(&began), "the onset is {began} minutes off");
    let [shape] = &ticket.contributions[..] else { panic!("{ticket:?}") };
    assert_eq!(shape.class, Class::Shape);
    for part in ["1.00 more than requests explain", "flat", "memory up by 2"] {
        assert!(shape.evidence.contains(part), "{part}: {}", shape.evidence);
    }
    assert_eq!(ticket.techniques, ["T1496"]);
}

#[test]
fn shape_and_a_weak_indicator_are_a_page_and_neither_alone() {
    let mut quiet = engine(&[]);
    run(&mut quiet, "shop/web", 0, |_| 0.0);
    let alone = port(&mut quiet, "shop/web", START);
    assert!(alone.iter().all(|finding| finding.severity == Severity::Info), "{alone:?}");

    let mut mining = engine(&[]);
    run(&mut mining, "shop/web", 12, |_| 1.0);
    let page = port(&mut mining, "shop/web", START + 12).pop().expect("a finding");
    assert_eq!(page.severity, Severity::Critical);
    let classes: Vec<_> = page.contributions.iter().map(|part| part.class).collect();
    assert_eq!(classes, [Class::Shape, Class::PoolPort]);
    assert!(page.contributions.iter().all(|part| part.weight > 0.0 && !part.evidence.is_empty()));
    let sum: f64 = page.contributions.iter().map(|part| part.weight).sum();
    assert!((sum - page.score).abs() < 1e-9, "the score is what its parts add up to");
}

#[test]
fn a_miner_never_becomes_normal_until_it_is_accepted() {
    let mut mining = engine(&[]);
    let week = run(&mut mining, "shop/web", 7 * 1440, |_| 1.0);
    let last = week.last().expect("findings").at.millis() / 60_000;
    assert!(START + 7 * 1440 - last <= 10, "still told after a week");

    let at = START + 7 * 1440;
    mining.accept("shop/web", EventTime::from_millis(at * 60_000));
    let mut findings = Vec::new();
    for t in at..at + 3 * 1440 {
        mining.slice(&mined("shop/web", t, 1.0), &mut findings).unwrap();
    }
    assert_eq!(tickets(&findings), 0, "{:?}", findings.first());

    // What comes on top is told again.
    for t in at + 3 * 1440..at + 3 * 1440 + 60 {
        let slice = mined("shop/web", t, 1.0);
        let more = Slice { cpu_cores: (slice.cpu_cores + 0.45).min(2.0), ..slice };
        let memory = slice.memory_bytes.map(|memory| memory + 2.4e9);
        mining.slice(&Slice { memory_bytes: memory, ..more }, &mut findings).unwrap();
    }
    assert!(tickets(&findings) > 0, "accepting one thing is not accepting all");
}

#[test]
fn an_allowed_workload_needs_evidence_that_names_mining() {
    let mut mining = engine(&["ci/*"]);
    assert_eq!(tickets(&run(&mut mining, "ci/runner", 60, |_| 1.0)), 0);
    assert_eq!(tickets(&port(&mut mining, "ci/runner", START + 60)), 0);
    let mut findings = Vec::new();
    let lookup = Deed::Lookup { process: "x", name: "xmr.2miners.com", answers: &[] };
    mining.deed("ci/runner", EventTime::from_millis((START + 60) * 60_000), &lookup, &mut findings);
    assert_eq!(findings.last().map(|finding| finding.severity), Some(Severity::Critical));
}

#[test]
fn a_rollout_lowers_and_does_not_cancel() {
    let score = |rollout: bool| {
        let mut mining = engine(&[]);
        let mut findings = Vec::new();
        for t in 0..START + 45 {
            let slice = if t < START { slice("shop/web", t) } else { mined("shop/web", t, 1.2) };
            let slice = Slice { image_changed: rollout && t == START - 2, ..slice };
            mining.slice(&slice, &mut findings).unwrap();
        }
        let ticket = findings
            .iter()
            .find(|finding| finding.kind == Kind::Mining && finding.severity >= Severity::Warning);
        ticket.map(|finding| (finding.at, finding.score)).expect("a ticket within 45 minutes")
    };
    let ((plain_at, plain), (rolled_at, rolled)) = (score(false), score(true));
    assert!(rolled < plain && rolled_at > plain_at, "{plain} {rolled}");
}

#[test]
fn one_hand_in_three_workloads_is_worse() {
    let mut mining = engine(&[]);
    let mut findings = Vec::new();
    for t in 0..START + 45 {
        for workload in ["shop/a", "shop/b", "shop/c"] {
            let slice = if t < START { slice(workload, t) } else { mined(workload, t, 1.0) };
            mining.slice(&slice, &mut findings).unwrap();
        }
    }
    let worst = findings.iter().max_by(|a, b| a.score.total_cmp(&b.score)).unwrap();
    assert_eq!(worst.severity, Severity::Error, "three times shape is still no page");
    assert!(worst.contributions[0].evidence.contains("at once in 3 workloads"), "{worst:?}");
}

#[test]
fn a_connection_is_paired_with_the_lookup_before_it() {
    let at = EventTime::from_millis(0);
    let connect = Deed::Connect { process: "x", remote: "198.51.100.9:9000", domain: "" };
    let mut findings = Vec::new();
    let mut unpaired = engine(&[]);
    unpaired.deed("shop/web", at, &connect, &mut findings);
    assert!(findings.is_empty());

    let answers = ["198.51.100.9".parse().unwrap()];
    let lookup = Deed::Lookup { process: "x", name: "pool.supportxmr.com", answers: &answers };
    unpaired.deed("shop/web", at, &lookup, &mut findings);
    assert_eq!(findings.last().map(|finding| finding.severity), Some(Severity::Warning));
    unpaired.deed("shop/other", at, &connect, &mut findings);
    assert_eq!(findings.len(), 1, "another workload's lookups say nothing of this one");
    unpaired.deed("shop/web", at, &connect, &mut findings);
    assert_eq!(findings.last().map(|finding| finding.severity), Some(Severity::Critical));
}

#[test]
fn slices_of_ten_seconds_say_what_minutes_say() {
    let findings = |tenths: bool| {
        let mut mining = engine(&[]);
        let mut findings = Vec::new();
        for t in 0..START + 45 {
            let minute = if t < START { slice("shop/web", t) } else { mined("shop/web", t, 1.0) };
            if !tenths {
                mining.slice(&minute, &mut findings).unwrap();
                continue;
            }
            for i in 0..6 {
                let at = minute.at.plus(Duration::from_secs(10 * i));
                let fine = Slice { at, span: Duration::from_secs(10), ..minute };
                mining.slice(&fine, &mut findings).unwrap();
            }
        }
        findings.iter().map(|finding| (finding.severity, finding.began)).collect::<Vec<_>>()
    };
    let (minutes, tenths) = (findings(false), findings(true));
    assert_eq!(minutes[..tenths.len().min(minutes.len())], tenths[..tenths.len().min(minutes.len())]);
    assert!(minutes.len() >= 3);
}

#[test]
fn numbers_that_cannot_be_are_counted_and_change_nothing() {
    let mut plain = engine(&[]);
    let mut bothered = engine(&[]);
    let (mut said, mut said_too) = (Vec::new(), Vec::new());
    for t in 0..START + 45 {
        let good = if t < START { slice("shop/web", t) } else { mined("shop/web", t, 1.0) };
        plain.slice(&good, &mut said).unwrap();
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e308] {
            let bad = Slice { cpu_cores: bad, ..good };
            assert_eq!(bothered.slice(&bad, &mut said_too), Err(BadSlice::Value));
        }
        bothered.slice(&good, &mut said_too).unwrap();
        let yesterday = Slice { at: good.at.minus(Duration::from_secs(86_400)), ..good };
        assert_eq!(bothered.slice(&yesterday, &mut said_too), Err(BadSlice::Late));
    }
    assert_eq!(said, said_too);
    assert!(!said.is_empty());
    let census = bothered.census();
    assert_eq!((census.bad, census.late), (4 * (START as u64 + 45), START as u64 + 45));
}

#[test]
fn a_full_table_refuses_and_counts_and_forgets_the_silent() {
    let mut mining = Mining::new(Knobs { workloads_max: 2, ..Knobs::default() });
    let mut findings = Vec::new();
    mining.slice(&slice("a", 0), &mut findings).unwrap();
    mining.slice(&slice("b", 0), &mut findings).unwrap();
    assert_eq!(mining.slice(&slice("c", 1), &mut findings), Err(BadSlice::Full));
    assert_eq!(mining.census().full, 1);
    mining.slice(&slice("b", 8 * 1440), &mut findings).unwrap();
    mining.slice(&slice("c", 8 * 1440), &mut findings).unwrap();
    assert_eq!(mining.census().workloads, 2);
}
