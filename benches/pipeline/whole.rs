//! The whole path: consumers, decoders, combiners, the exchange and shards, with the service's own threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use beaconfire::health::Health;
use beaconfire::letters::Letters;
use beaconfire::reached::{Past, Reached};
use beaconfire::threads::{self, Answers, Crew, News};
use beaconfire_detect::{Plan, Shard, ShardKnobs, Watch};
use beaconfire_ingest::{DeadLetters, Metrics};
use beaconfire_model::Names;
use beaconfire_pipeline::{
    Durable, Registry, Report, Tally, Tides, Worker, WorkerFault, WorkerId, WorkerKnobs,
};
use beaconfire_view::Privacy;

use crate::load::{Load, PATIENCE};
use crate::shared::rules::Rules;
use crate::sides::open;

/// After so long without a record, several workers have read them all.
const SETTLE: Duration = Duration::from_secs(1);

/// Everything up to the facts, with the service's own threads: only the keeper is missing, so barriers are answered as
/// soon as all shards have passed them on.
/// The instant when the last record was read.
pub(crate) fn read(load: &Load, threads: usize, rules: Rules) -> Instant {
    let config = rules.of(load.config());
    let plan = Arc::new(Plan::compile(config.plan.clone()).expect("the shipped rules compile"));
    let (names, watch) = (Names::default(), Arc::<Watch>::default());
    let worker = WorkerKnobs { event_skew: config.limits.event_skew, ..WorkerKnobs::default() };
    // Without Kafka's topic, as most run it: dead letters are counted, sampled and redacted.
    let dead = DeadLetters::kept(Metrics::register(&prometheus::Registry::new()).expect("a fresh registry"));
    let dead = Letters::new(dead, names.clone(), Privacy::Redact, &config.decode);
    let shards = (0..threads).map(|thread| {
        let knobs =
            ShardKnobs { memory: config.limits.detect_memory / threads, early: true, drift: worker.drift };
        Shard::new(plan.clone(), thread, threads, knobs, watch.clone())
    });
    let (tides, spans) = (Arc::<Tides>::default(), Arc::<Registry>::default());
    let crews = (0..threads).map(|id| {
        let (config, log_names) = (config.clone(), names.clone());
        Crew {
            worker: Worker::new(
                WorkerId(id),
                worker.clone(),
                plan.clone(),
                &config.decode,
                watch.clone(),
                tides.clone(),
                spans.clone(),
                names.clone(),
            ),
            open: Box::new(move || Ok::<_, WorkerFault>(open(&config, &log_names))),
            dead: dead.clone(),
        }
    });
    let found = Found::default();
    let (report, news) = (found.clone(), found.clone());
    let running = threads::start(
        shards.collect(),
        threads::Accepts::channel().1,
        crews.collect(),
        &Past::new(&Reached::default()),
        &Health::default(),
        move |said| report.report(&said, threads),
        move |said| news.news(said),
    )
    .expect("threads start");
    assert!(found.answers.set(running.answers()).is_ok(), "answers are set once");
    let end = found.wait(load, threads);
    running.stop();
    assert!(running.join(PATIENCE), "the threads end");
    found.check(load, threads);
    end
}

/// What the threads have told so far.
#[derive(Clone, Default)]
struct Found {
    tally: Arc<Mutex<Tally>>,
    /// Rules that have raised.
    raised: Arc<Mutex<BTreeMap<String, u64>>>,
    /// By worker and barrier, how many shards have passed it on.
    passed: Arc<Mutex<BTreeMap<(WorkerId, u64), usize>>>,
    answers: Arc<OnceLock<Answers>>,
}

impl Found {
    fn report(&self, report: &Report, shards: usize) {
        for signal in &report.signals {
            *self.raised.lock().expect("not poisoned").entry(signal.rule.to_string()).or_default() += 1;
        }
        let Some(barrier) = &report.barrier else { return };
        let mut passed = self.passed.lock().expect("not poisoned");
        let count = passed.entry((barrier.worker, barrier.number)).or_default();
        *count += 1;
        if *count == shards {
            // Nothing is kept here, so nothing can be lost.
            let durable = Durable::vouch(barrier.clone());
            self.answers.wait().give(durable);
        }
    }

    fn news(&self, news: News) {
        match news {
            News::Tally(tally) => self.tally.lock().expect("not poisoned").add(&tally),
            News::Panicked(thread) => panic!("{thread} has panicked"),
            News::Ended(_, Err(fault)) => panic!("a worker has failed: {fault}"),
            News::Census(..) | News::Paused(..) | News::Ended(_, Ok(())) => {}
        }
    }

    fn records(&self) -> u64 {
        self.tally.lock().expect("not poisoned").records
    }

    /// Waits for the last record. Where several workers join, partitions change hands, and what a window still needs is
    /// read again by whoever takes one over: then the end is when nothing more comes.
    fn wait(&self, load: &Load, threads: usize) -> Instant {
        let until = Instant::now() + PATIENCE;
        let (mut seen, mut grown) = (0, Instant::now());
        while seen < load.records || threads > 1 && grown.elapsed() < SETTLE {
            assert!(Instant::now() < until, "only {seen} records came");
            std::thread::sleep(Duration::from_millis(5));
            let records = self.records();
            if records > seen {
                (seen, grown) = (records, Instant::now());
            }
        }
        grown
    }

    /// What was measured is what was meant: every record read and counted in time, all but the faulty ones understood,
    /// and the flood found.
    fn check(&self, load: &Load, threads: usize) {
        let tally = self.tally.lock().expect("not poisoned");
        assert_eq!(tally.late, 0, "{tally:?}");
        if threads == 1 {
            let decoded = load.records - load.faults;
            assert_eq!((tally.records, tally.decoded), (load.records, decoded), "{tally:?}");
        }
        let raised = self.raised.lock().expect("not poisoned");
        assert!(raised.contains_key("request-burst"), "the flood is found: {raised:?}");
    }
}
