//! One process: its workers, shards and keeper, the real ones, stepped by hand through bounded queues.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use beaconfire::round::{Round, Unsaved};
use beaconfire_decode::Reject;
use beaconfire_detect::{Learned, Plan, Shard, ShardKnobs, Watch};
use beaconfire_incident::{Actor, Command};
use beaconfire_model::{Names, Record, Source, Wall};
use beaconfire_pipeline::{
    Barrier, DeadLetterSink, Durable, Exchange, Freight, Host, Keeper, Known, Registry, Report, Shelf, Tides,
    Worker, WorkerId, serve,
};
use beaconfire_store::Baseline;
use beaconfire_throttle::Throttle;
use tokio::runtime::Runtime;

use super::broker::{Broker, SimLog};
use super::sky::Sky;
use super::world::{Setting, TOPIC};

/// Freight that may wait for one shard: few, so that queues are full now and then.
const QUEUE: usize = 6;
/// Reports that may wait for the keeper.
const REPORTS: usize = 8;

/// What the process is made of besides its workers: they reach it through their exchange and their host.
pub struct Engine {
    sky: Rc<Sky>,
    runtime: Rc<Runtime>,
    shards: Vec<(Shard, VecDeque<Freight>)>,
    reports: VecDeque<Report>,
    round: Round,
    answers: BTreeMap<WorkerId, VecDeque<Durable<Barrier>>>,
    progress: BTreeMap<i32, Known>,
    /// Nothing is served before this: an operating system that has other things to do.
    asleep_until: i64,
    /// The store fails until then.
    away_until: i64,
    time_at: i64,
    /// It was killed between a transaction and its answer.
    pub killed: bool,
    /// What the keeper could not write at once.
    pub conflicts: u64,
    pub failures: u64,
    /// Facts that did not wait for the end of the episode before them any longer.
    pub impatient: u64,
}

pub struct Process {
    pub engine: Rc<RefCell<Engine>>,
    pub workers: Vec<(Worker, SimLog)>,
}

/// Nothing that a history holds fails to decode.
struct NoDead;

impl DeadLetterSink for NoDead {
    fn reject(&mut self, record: &Record<'_>, reason: Reject) {
        panic!("{record:?} did not decode: {reason:?}");
    }
}

/// A worker's queues and its view of the world.
#[derive(Clone)]
struct Ends {
    engine: Rc<RefCell<Engine>>,
    worker: WorkerId,
    /// While it waits to give a partition up, nothing else moves.
    deaf: bool,
}

impl Exchange for Ends {
    fn threads(&self) -> usize {
        self.engine.borrow().shards.len()
    }

    fn send(&mut self, thread: usize, freight: Freight) -> Result<(), Box<Freight>> {
        let queue = &mut self.engine.borrow_mut().shards[thread].1;
        if queue.len() >= QUEUE {
            return Err(Box::new(freight));
        }
        queue.push_back(freight);
        Ok(())
    }
}

impl Host for Ends {
    fn now(&self) -> Wall {
        self.engine.borrow().sky.now()
    }

    fn nap(&mut self, within: Duration) {
        let mut engine = self.engine.borrow_mut();
        if self.deaf {
            engine.sky.pass(250);
        } else {
            engine.sky.pass(within.as_millis() as i64);
            engine.step();
        }
    }

    fn progress(&self, source: Source) -> Option<Known> {
        self.engine.borrow().progress.get(&source.partition).copied()
    }

    fn durable(&mut self) -> Vec<Durable<Barrier>> {
        let mut engine = self.engine.borrow_mut();
        engine.answers.get_mut(&self.worker).map(std::mem::take).unwrap_or_default().into()
    }
}

impl Process {
    pub fn start(
        setting: &Setting,
        sky: &Rc<Sky>,
        broker: &Rc<RefCell<Broker>>,
        process: usize,
        workers: usize,
    ) -> Self {
        let names = Names::default();
        names.topic(TOPIC).expect("a topic");
        let mut spec = setting.config.plan.clone();
        spec.seed = setting.store.seed();
        let plan = Arc::new(Plan::compile(spec).expect("good rules"));
        let heavy = Arc::<Watch>::default();
        let (tides, spans) = (Arc::<Tides>::default(), Arc::<Registry>::default());
        let threads = 2;
        let knobs = ShardKnobs { memory: 32 << 20, early: true, drift: setting.worker.drift };
        let learned = setting.runtime.block_on(setting.store.baselines()).expect("the store answers");
        let of = |Baseline { series, closed_through, state }| Learned { series, closed_through, state };
        let learned: Vec<Learned> = learned.into_iter().map(of).collect();
        let shard = |thread| {
            let mut shard = Shard::new(plan.clone(), thread, threads, knobs.clone(), heavy.clone());
            assert_eq!(shard.remember(&learned), 0, "what was stored can be read again");
            shard
        };
        let throttle = Throttle::new(setting.config.throttle_rules.clone(), setting.config.guard.clone());
        let progress = setting.runtime.block_on(setting.store.progress()).expect("the store answers");
        let engine = Engine {
            sky: sky.clone(),
            runtime: setting.runtime.clone(),
            shards: (0..threads).map(|thread| (shard(thread), VecDeque::new())).collect(),
            reports: VecDeque::new(),
            round: Round {
                keeper: Keeper::new(threads, setting.policy.clone(), throttle),
                store: setting.store.clone(),
                entries: setting.policy.context.entries.clone(),
                names: names.clone(),
            },
            answers: (0..workers).map(|worker| (WorkerId(worker), VecDeque::new())).collect(),
            progress: progress
                .into_iter()
                .map(|source| (source.partition, Known { next: source.next, epoch: source.epoch }))
                .collect(),
            asleep_until: 0,
            away_until: 0,
            time_at: 0,
            killed: false,
            conflicts: 0,
            failures: 0,
            impatient: 0,
        };
        let worker = |worker| {
            Worker::new(
                WorkerId(worker),
                setting.worker.clone(),
                plan.clone(),
                &setting.config.decode,
                heavy.clone(),
                tides.clone(),
                spans.clone(),
                names.clone(),
            )
        };
        let workers = (0..workers).map(|n| (worker(n), SimLog::join(broker, sky, process))).collect();
        Self { engine: Rc::new(RefCell::new(engine)), workers }
    }

    /// Everybody gets a turn, in any order.
    pub fn step(&mut self) {
        let sky = self.engine.borrow().sky.clone();
        let first = sky.below(self.workers.len());
        for n in 0..self.workers.len() {
            let at = (first + n) % self.workers.len();
            if sky.once_in(4) {
                self.engine.borrow_mut().step();
            }
            let mut ends = Ends { engine: self.engine.clone(), worker: WorkerId(at), deaf: sky.once_in(3) };
            let mut queues = ends.clone();
            let (worker, log) = &mut self.workers[at];
            for _ in 0..1 + sky.below(3) {
                worker
                    .step(log, &mut queues, &mut ends, &mut NoDead, Duration::ZERO)
                    .expect("no fault is for good");
            }
        }
        self.engine.borrow_mut().step();
    }

    /// Stops in order.
    pub fn stop(&mut self) {
        for (at, (worker, log)) in self.workers.iter_mut().enumerate() {
            let mut ends = Ends { engine: self.engine.clone(), worker: WorkerId(at), deaf: false };
            let mut queues = ends.clone();
            worker.stop(log, &mut queues, &mut ends, Duration::from_secs(5)).expect("no fault is for good");
        }
    }
}

impl Engine {
    /// Records that came too late for what they belong to.
    pub fn stale(&self) -> u64 {
        self.shards.iter().map(|(shard, _)| shard.census().stale).sum()
    }

    /// Shards serve what waits, the keeper writes.
    fn step(&mut self) {
        let now = self.sky.millis();
        if self.asleep_until > now {
            return;
        }
        if self.sky.once_in(150) {
            self.asleep_until = now + self.sky.below(8_000) as i64;
            return;
        }
        for (thread, (shard, queue)) in self.shards.iter_mut().enumerate() {
            if self.sky.once_in(8) {
                continue;
            }
            while self.reports.len() < REPORTS
                && let Some(freight) = queue.pop_front()
            {
                self.reports.extend(serve(thread, shard, freight));
            }
        }
        if self.away_until > now {
            return;
        }
        if self.sky.once_in(200) {
            self.away_until = now + self.sky.below(15_000) as i64;
            self.failures += 1;
            return;
        }
        while !self.round.keeper.is_full()
            && let Some(report) = self.reports.pop_front()
        {
            self.round.keeper.receive(report, self.sky.now());
        }
        if self.round.keeper.has_work() {
            self.write();
        }
        if now >= self.time_at + 3_000 && !self.killed {
            self.time_at = now;
            self.time();
        }
    }

    fn write(&mut self) {
        let (runtime, now) = (self.runtime.clone(), self.sky.now());
        for _ in 0..8 {
            let changes = runtime.block_on(self.round.fold(now)).expect("the store answers");
            if !changes.folded.is_empty() && self.sky.once_in(6) {
                self.come_between();
            }
            if self.sky.once_in(25) {
                // The store fails before anything is written.
                self.failures += 1;
                self.round.keeper.undo(changes);
                return;
            }
            let written = runtime.block_on(self.round.write(&changes, now));
            self.impatient += if written.is_ok() { changes.impatient } else { 0 };
            match written {
                Ok(_) if self.sky.once_in(25) => {
                    // It is written, and the answer is lost on its way.
                    self.failures += 1;
                    self.round.keeper.undo(changes);
                    return;
                }
                Ok(_) if self.sky.once_in(250) => {
                    self.killed = true;
                    return;
                }
                Ok(written) => {
                    for progress in written.map(|written| written.progress).into_iter().flatten() {
                        let known = Known { next: progress.next, epoch: progress.epoch };
                        self.progress.insert(progress.partition, known);
                    }
                    for durable in self.round.saved(changes) {
                        let worker = durable.inner().worker;
                        self.answers.entry(worker).or_default().push_back(durable);
                    }
                    return;
                }
                Err(Unsaved::Conflict) => {
                    self.conflicts += 1;
                    self.round.keeper.undo(changes);
                }
                Err(Unsaved::Store(error)) => panic!("the store failed: {error}"),
            }
        }
        panic!("eight conflicts in a row: nobody else writes so often");
    }

    fn time(&mut self) {
        let (runtime, now) = (self.runtime.clone(), self.sky.now());
        let Some(changes) = runtime.block_on(self.round.fold_time(now)).expect("the store answers") else {
            return;
        };
        if self.sky.once_in(4) {
            self.come_between();
        }
        match runtime.block_on(self.round.write(&changes, now)) {
            Ok(_) => drop(self.round.saved(changes)),
            Err(Unsaved::Conflict) => self.conflicts += 1,
            Err(Unsaved::Store(error)) => panic!("the store failed: {error}"),
        }
    }

    /// A person, through another process, writes into every incident that is open.
    fn come_between(&mut self) {
        let (runtime, now) = (self.runtime.clone(), self.sky.now());
        for incident in runtime.block_on(self.round.store.unresolved()).expect("the store answers") {
            let note = Command::Note("looking".to_owned());
            let by = Actor("ann".to_owned());
            let noted = self.round.keeper.fold_command(&incident, &by, note, &Shelf::default(), now);
            let changes = noted.expect("anybody may write a note");
            runtime.block_on(self.round.write(&changes, now)).expect("nobody came between");
        }
    }
}
