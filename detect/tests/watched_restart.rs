//! What outlives a restart of the process, from end to end: rows go from the first shard to the store and come back, the
//! log is read again from the floor, and what is told, frozen and accepted is what it would have been.

mod support;

use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::baseline::Series;
use beaconfire_detect::{Learned, MiningKnobs, Plan, PlanSpec, ServiceSpec};
use beaconfire_model::{
    EntryId, Event, EventTime, Kind, Measured, Metric, ResourceSample, RuntimeDetails, RuntimeEvent,
    RuntimeKind, Severity, Signal, Source, Subject, SubjectKind, TopicId,
};
use support::{Rig, T0, request, source, spec};

const MINUTE: i64 = 60_000;
const METRICS: Source = Source { entry: EntryId(1), topic: TopicId(1), partition: 0 };
/// When the miner starts, in minutes.
const START: i64 = 1_800;

fn plan() -> Arc<Plan> {
    let mut spec =
        PlanSpec { mining: Some(MiningKnobs::default()), baselines: Some(64 << 20), ..spec(Vec::new()) };
    let shop = ServiceSpec { workloads: vec!["shop/*".to_owned()], ..ServiceSpec::default() };
    spec.services.insert("shop".to_owned(), shop);
    Arc::new(Plan::compile(spec).unwrap())
}

fn rig(plan: &Arc<Plan>) -> Rig {
    let mut rig = Rig::new(plan, 2, true, 64 << 20, Duration::from_secs(60));
    rig.begin(source(0), 0, None);
    rig.begin(METRICS, 0, None);
    rig
}

/// The other process: what the store has, and the log from the floor on.
fn restarted(plan: &Arc<Plan>, rig: &mut Rig, cut: i64) -> (Rig, i64) {
    let learned: Vec<Learned> = rig.shards[0].learned();
    assert!(learned.iter().any(|row| row.series == "workload/shop/web/mining"), "{learned:?}");
    let floor = (rig.shards[0].hold_floors()[&EntryId(1)].millis() - T0) / MINUTE;
    assert!((cut - 15..cut).contains(&floor), "{floor} of {cut}");
    let mut second = self::rig(plan);
    assert_eq!(second.shards[0].remember(&learned), 0);
    (second, floor)
}

fn runtime<'a>(minute: i64, kind: RuntimeKind) -> RuntimeEvent<'a> {
    RuntimeEvent {
        kind,
        time: EventTime::from_millis(T0 + minute * MINUTE + 20_000),
        process: "x",
        cmdline: "",
        details: RuntimeDetails::NONE,
        ..support::finding(0, "shop/web", "", Severity::Info)
    }
}

/// What happens: a service with a day, whose CPU is told by a counter, and a miner in some minutes.
struct Log {
    mined: std::ops::Range<i64>,
    /// Seconds of CPU before each minute.
    used: Vec<f64>,
}

impl Log {
    fn new(mined: std::ops::Range<i64>, end: i64) -> Self {
        let mut log = Self { mined, used: vec![0.0] };
        for minute in 0..end {
            let cores = 0.1 + 0.02 * requests(minute) as f64 + if log.mines(minute) { 0.9 } else { 0.0 };
            log.used.push(log.used[minute as usize] + cores * 60.0);
        }
        log
    }

    fn mines(&self, minute: i64) -> bool {
        self.mined.contains(&minute)
    }

    fn read(&self, rig: &mut Rig, minutes: std::ops::Range<i64>) {
        for minute in minutes {
            let mines = self.mines(minute);
            let measured = [
                Measured { metric: Metric::CpuSeconds, value: self.used[minute as usize + 1] },
                Measured { metric: Metric::CpuLimitCores, value: 2.0 },
                Measured { metric: Metric::MemoryBytes, value: if mines { 2.7e9 } else { 3e8 } },
            ];
            rig.see(METRICS, Event::Resource(sample(minute, &measured)));
            for n in 0..requests(minute) {
                let at = T0 + minute * MINUTE + (n * 399) % 28_000;
                rig.see(source(0), Event::Request(request(at, "198.51.100.7")));
            }
            if mines && minute == START + 100 {
                let lookup =
                    RuntimeEvent { domain: "pool.supportxmr.com", ..runtime(minute, RuntimeKind::Dns) };
                rig.see(METRICS, Event::Runtime(lookup));
            }
            rig.merge();
        }
    }
}

fn requests(minute: i64) -> i64 {
    let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
    (25.0 + 20.0 * day) as i64 + minute * 7_919 % 23
}

fn sample(minute: i64, measured: &[Measured]) -> ResourceSample<'_> {
    ResourceSample {
        time: EventTime::from_millis(T0 + minute * MINUTE + 5_000),
        workload: "shop/web",
        pod: "web-5d8f7c9b6-x2x4z",
        container: "app",
        image: "registry.example.com/web:1",
        measured,
        ..ResourceSample::default()
    }
}

fn of(kind: Kind, signals: &[Signal]) -> Vec<Signal> {
    signals.iter().filter(|signal| signal.kind == kind).cloned().collect()
}

fn worst(signals: &[Signal]) -> Option<Severity> {
    of(Kind::Mining, signals).iter().map(|signal| signal.severity).max()
}

#[test]
fn a_restart_in_mid_series_finds_what_an_undisturbed_run_finds() {
    let (plan, end) = (plan(), START + 200);
    for mined in [START..START, START..end] {
        let log = Log::new(mined.clone(), end);
        let mut whole = rig(&plan);
        log.read(&mut whole, 0..end);
        let wanted = if mined.is_empty() { None } else { Some(Severity::Critical) };
        assert_eq!(worst(&whole.signals), wanted);
        // Before it, while it is only suspected, between ticket and page, and behind both.
        for cut in [START - 600, START + 12, START + 33, START + 101, START + 150] {
            let mut first = rig(&plan);
            log.read(&mut first, 0..cut);
            let (mut second, floor) = restarted(&plan, &mut first, cut);
            log.read(&mut second, floor..end);
            let told: Vec<Signal> = first.signals.iter().chain(&second.signals).cloned().collect();
            for kind in [Kind::Mining, Kind::Resource] {
                assert_eq!(of(kind, &told), of(kind, &whole.signals), "cut at {cut}");
            }
        }
    }
}

/// The rows of one workload: what its CPU usually does, and what is known of its mining.
fn rows(rig: &mut Rig) -> [Learned; 2] {
    let learned = rig.shards[0].learned();
    ["workload/shop/web/cpu", "workload/shop/web/mining"]
        .map(|name| learned.iter().find(|row| row.series == name).expect(name).clone())
}

fn is_frozen(row: &Learned) -> bool {
    Series::restore(&row.state).unwrap().is_frozen()
}

#[test]
fn a_frozen_series_stays_frozen_and_thaws_after_a_restart() {
    let (plan, end) = (plan(), START + 3 * 1_440);
    let log = Log::new(START..START + 1_440, end);
    let (cut, still) = (START + 700, START + 1_200);
    let mut whole = rig(&plan);
    log.read(&mut whole, 0..cut);
    let mut first = rig(&plan);
    log.read(&mut first, 0..cut);
    let (mut second, floor) = restarted(&plan, &mut first, cut);
    log.read(&mut whole, cut..still);
    log.read(&mut second, floor..still);
    let [cpu, mining] = rows(&mut second);
    assert!(is_frozen(&cpu), "half a day into it");
    assert_eq!([cpu, mining], rows(&mut whole), "to the last bit");
    log.read(&mut whole, still..end);
    log.read(&mut second, still..end);
    let [cpu, mining] = rows(&mut second);
    assert!(!is_frozen(&cpu), "the miner has ended");
    assert_eq!([cpu, mining], rows(&mut whole));
    // The control: where only the baselines come back, the engine does not know for half a day what it froze.
    let mut first = rig(&plan);
    log.read(&mut first, 0..START + 1_430);
    let learned = first.shards[0].learned();
    let mut third = rig(&plan);
    let (mining, rest): (Vec<Learned>, Vec<Learned>) =
        learned.into_iter().partition(|row| row.series.ends_with("/mining"));
    assert_eq!((mining.len(), third.shards[0].remember(&rest)), (1, 0));
    log.read(&mut third, START + 1_425..START + 1_800);
    let cpu = third.shards[0].learned().into_iter().find(|row| row.series == "workload/shop/web/cpu");
    assert!(is_frozen(&cpu.expect("a row")), "and the series stays frozen as it was");
}

/// The numbers of the workload's signals that people are bothered with.
fn bothers(signals: &[Signal]) -> usize {
    let of = |signal: &&Signal| signal.severity >= Severity::Warning && &*signal.target.value == "shop/web";
    signals.iter().filter(of).count()
}

#[test]
fn what_is_accepted_is_learned_and_stays_so_after_a_restart() {
    let (plan, end) = (plan(), START + 1_440);
    let log = Log::new(START..end, end);
    let cut = START + 300;
    let mut first = rig(&plan);
    log.read(&mut first, 0..cut);
    assert!(bothers(&first.signals) > 0);
    let web = Subject::new(SubjectKind::Workload, "shop/web");
    assert!(first.shards[0].accept(&web));
    assert!(
        !first.shards[0].accept(&Subject::new(SubjectKind::Workload, "shop/other")),
        "nothing is known of it"
    );
    assert!(!first.shards[1].accept(&web), "the first thread's shard knows workloads");
    let [cpu, _] = rows(&mut first);
    assert!(!is_frozen(&cpu));
    // Also where the process ends right behind it.
    let mut again = rig(&plan);
    log.read(&mut again, 0..cut);
    assert!(again.shards[0].accept(&web));
    let (mut second, floor) = restarted(&plan, &mut again, cut);
    for (rig, from) in [(&mut first, cut), (&mut second, floor)] {
        rig.signals.clear();
        log.read(rig, from..cut + 180);
        assert_eq!(bothers(&rig.signals), 0, "{:?}", rig.signals.first());
        log.read(rig, cut + 180..end);
        // A baseline this young may be surprised by the next day's peak; of mining nothing is said any more.
        assert_eq!(worst(&rig.signals), None);
    }
    assert_eq!(rows(&mut first), rows(&mut second));
}

#[test]
fn rows_that_are_damaged_or_of_no_engine_are_counted() {
    let plan = plan();
    let mut first = rig(&plan);
    Log::new(0..0, 30).read(&mut first, 0..30);
    let [_, mining] = rows(&mut first);
    let mut second = rig(&plan);
    let broken = Learned { state: vec![0xff; 40], ..mining.clone() };
    let service = Learned { series: "service/shop/mining".into(), ..mining.clone() };
    assert_eq!(second.shards[0].remember(&[broken, service, mining]), 2);
}
