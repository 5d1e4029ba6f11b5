//! A history, read by processes to which things happen, and what the store holds in the end.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use beaconfire_config::{Config, Sources};
use beaconfire_detect::{Count, Field, RuleSpec};
use beaconfire_incident::{Dossier, IncidentId, Status};
use beaconfire_model::{Kind, Matchers, Severity, parse_matchers};
use beaconfire_outbox::{LedgerLine, Row, Silence};
use beaconfire_pipeline::{Policy, WorkerKnobs};
use beaconfire_store::{Query, Store, StoreKnobs};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::broker::Broker;
use super::history::{History, PARTITIONS, T0};
use super::process::Process;
use super::sky::Sky;

pub const TOPIC: &str = "edge";

/// The receivers that are told; each has one integration.
pub const RECEIVERS: usize = 2;

const CONFIG: &str = r#"
kafka:
  brokers: ["localhost:9092"]
  group: simulated
  topics: [{name: edge, start: earliest, format: combined, service: shop, lateness: 5s}]
clients: {trusted_proxies: [10.0.0.0/8]}
incidents: {resolve_after: 20s, flap_window: 20s}
route: {receiver: hook, routes: [{receiver: pager, continue: true}, {receiver: hook}]}
receivers:
  - name: pager
    pagerduty_configs: [{routing_key: "0123456789abcdef0123456789abcdef"}]
  - name: hook
    webhook_configs: [{url: "http://127.0.0.1:9/"}]
"#;

/// What is the same for all runs: configuration, and an empty store to copy.
struct Common {
    config: Config,
    empty: PathBuf,
    _home: TempDir,
}

/// A folder in memory where there is one: what is tested here is not the disk.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn open(runtime: &Runtime, path: &std::path::Path) -> Store {
    let url = format!("sqlite:{}", path.display());
    let knobs = StoreKnobs { url, retention: Duration::from_secs(86_400 * 365 * 100) };
    runtime.block_on(Store::open(&knobs)).expect("a store")
}

fn common() -> &'static Common {
    static COMMON: OnceLock<Common> = OnceLock::new();
    COMMON.get_or_init(|| {
        let home = folder();
        let file = home.path().join("beaconfire.yaml");
        std::fs::write(&file, CONFIG).expect("a file");
        let mut config = Config::load(&Sources { file: Some(file), ..Sources::default() })
            .unwrap_or_else(|complaints| panic!("{complaints:?}"));
        config.plan.rules = rules();
        let empty = home.path().join("empty.db");
        let runtime = runtime();
        runtime.block_on(open(&runtime, &empty).close());
        Common { config, empty, _home: home }
    })
}

/// Short windows, so that a short history holds many; three that only grow, one of prefixes and one share that do not.
fn rules() -> Vec<RuleSpec> {
    let rule = |name: &str, kind, by, seconds, threshold| RuleSpec {
        name: name.into(),
        kind,
        matchers: Matchers::default(),
        except: Matchers::default(),
        by: vec![by],
        count: Count::Requests,
        window: Duration::from_secs(seconds),
        threshold,
        severity: Severity::Warning,
        critical_above: None,
        min_clients: None,
    };
    let matching = |text: &str| parse_matchers([text]).expect("a matcher");
    let share = Count::Share { matchers: matching(r#"status=~"5..""#), min_requests: 20 };
    vec![
        RuleSpec {
            critical_above: Some(90.0),
            ..rule("requests-per-client", Kind::Flood, Field::Client, 20, 40.0)
        },
        rule("requests-per-prefix", Kind::Flood, Field::Prefix, 20, 60.0),
        RuleSpec {
            matchers: matching(r#"status="401""#),
            ..rule("failed-logins", Kind::Login, Field::Client, 10, 5.0)
        },
        RuleSpec { count: share, ..rule("server-errors", Kind::Errors, Field::Service, 20, 0.5) },
    ]
}

/// What a run has.
pub struct Setting {
    pub config: &'static Config,
    pub policy: Arc<Policy>,
    pub store: Store,
    pub runtime: Rc<Runtime>,
    pub worker: WorkerKnobs,
    _home: TempDir,
}

impl Setting {
    fn new(fate: &Fate) -> Self {
        let Common { config, empty, .. } = common();
        let home = folder();
        let path = home.path().join("store.db");
        std::fs::copy(empty, &path).expect("a copy");
        let runtime = runtime();
        let store = open(&runtime, &path);
        let policy = Arc::new(Policy {
            context: config.context.clone(),
            knobs: config.knobs.clone(),
            route: config.route.clone(),
            receivers: config.receivers.clone(),
            quiet: config.quiet.clone(),
            escalations: config.escalations.clone(),
            plan: None,
        });
        let worker = WorkerKnobs {
            barrier_every: Duration::from_secs(4),
            drift: Duration::from_secs(60),
            rewind: fate.rewind,
            hold_back: fate.hold_back,
            ..WorkerKnobs::default()
        };
        Self { config, policy, store, runtime: Rc::new(runtime), worker, _home: home }
    }
}

/// What may happen to the processes of a run.
#[derive(Debug, Clone)]
pub struct Fate {
    /// Of all chance in it.
    pub seed: u64,
    pub processes: usize,
    pub workers: usize,
    /// A process is killed once in so many turns.
    pub kill_once_in: usize,
    /// Nothing at all goes wrong.
    pub calm: bool,
    /// The commits say from where to rewind.
    pub rewind: bool,
    /// How much further a rewind may go for a run that hovers.
    pub hold_back: Duration,
    /// While a process is down for the first time, retention deletes what it still needs.
    pub expire: bool,
    /// The process is killed at these times, in milliseconds from the beginning, and at no other.
    pub kill_at: Vec<i64>,
}

impl Fate {
    /// One process with one worker, and nothing happens.
    pub fn calm() -> Self {
        Self {
            seed: 0,
            processes: 1,
            workers: 1,
            kill_once_in: 0,
            calm: true,
            rewind: true,
            hold_back: WorkerKnobs::default().hold_back,
            expire: false,
            kill_at: Vec::new(),
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub dossiers: Vec<Dossier>,
    pub rows: Vec<Row>,
    /// Kills while there was more to read or to commit.
    pub kills: usize,
    /// Those within five minutes after something had resolved.
    pub after_resolve: usize,
    /// What retention took although it was needed: first and last event time, at most.
    pub holes: Vec<(i64, i64)>,
    pub conflicts: u64,
    pub failures: u64,
    /// Records that came when what they belong to had been settled. Only a partition that was with another process for
    /// so long can bring them.
    pub stale: u64,
    /// Series of which the store has what was learned.
    pub learned: usize,
    /// Facts that would have begun an episode, and waited in vain for ten seconds for the end of the one before.
    pub impatient: u64,
    /// Times that something was kept back by a silence, and was told when that ended.
    pub silenced: usize,
    pub released: usize,
}

impl Outcome {
    fn count(&mut self, process: &Process) {
        let engine = process.engine.borrow();
        self.conflicts += engine.conflicts;
        self.failures += engine.failures;
        self.stale += engine.stale();
        self.impatient += engine.impatient;
    }
}

struct World<'a> {
    setting: Setting,
    sky: Rc<Sky>,
    /// Chance of its own, so that silences change nothing else.
    hush: Sky,
    broker: Rc<RefCell<Broker>>,
    fate: &'a Fate,
    /// A process, or when it comes (back).
    places: Vec<Result<Process, i64>>,
    outcome: Outcome,
}

/// Reads a history to its end under a fate.
pub fn run(history: &History, fate: &Fate) -> Outcome {
    let setting = Setting::new(fate);
    let sky = Rc::new(Sky::new(T0, fate.seed, fate.calm));
    let broker = Rc::new(RefCell::new(Broker::new(sky.clone(), PARTITIONS)));
    let places = (0..fate.processes).map(|place| Err(T0 + 20_000 * place as i64)).collect();
    let hush = Sky::new(T0, fate.seed, fate.calm);
    let mut world = World { setting, sky, hush, broker, fate, places, outcome: Outcome::default() };
    world.run(history);
    world.outcome
}

impl World<'_> {
    fn run(&mut self, history: &History) {
        let mut coming = history.sent.iter().peekable();
        let mut kills = self.fate.kill_at.iter().map(|at| T0 + at).peekable();
        loop {
            self.sky.pass(300 + self.sky.below(700) as i64);
            let now = self.sky.millis();
            while let Some(sent) = coming.next_if(|sent| sent.at <= now) {
                self.broker.borrow_mut().append(sent);
            }
            self.broker.borrow_mut().tick();
            if now > history.end + 40_000 {
                self.sky.calm_down();
            }
            let more = coming.peek().is_some();
            if kills.next_if(|at| *at <= now).is_some() {
                self.kill(0, more);
            }
            self.happen(more);
            for at in 0..self.places.len() {
                self.turn(at, more);
            }
            if !more && now > history.end + 60_000 && self.is_over() {
                break;
            }
            assert!(now < history.end + 1_200_000, "it comes to an end: {:?}", self.broker.borrow());
        }
        self.look();
    }

    fn turn(&mut self, at: usize, more: bool) {
        match &mut self.places[at] {
            Ok(process) => {
                process.step();
                if process.engine.borrow().killed {
                    self.kill(at, more);
                }
            }
            Err(comes) if *comes <= self.sky.millis() || (self.sky.is_calm() && at == 0) => {
                let workers = self.fate.workers;
                let process = Process::start(&self.setting, &self.sky, &self.broker, at, workers);
                self.places[at] = Ok(process);
            }
            Err(_) => {}
        }
    }

    /// What happens to the group and its processes.
    fn happen(&mut self, more: bool) {
        if self.fate.calm {
            return;
        }
        if self.sky.once_in(15) {
            let lost = self.sky.once_in(3);
            self.broker.borrow_mut().move_one(lost);
        }
        if self.fate.kill_once_in > 0 && self.sky.once_in(self.fate.kill_once_in) {
            let at = self.sky.below(self.places.len());
            self.kill(at, more);
        }
        if self.places.len() > 1 && self.sky.once_in(40) {
            self.leave(1);
        }
        if !self.sky.is_calm() && self.hush.once_in(20) {
            self.silence();
        }
    }

    /// Somebody silences something for a while, or ends a silence before its time.
    fn silence(&mut self) {
        let (runtime, store, now) = (&self.setting.runtime, &self.setting.store, self.sky.now());
        let held = runtime.block_on(store.silences(now)).expect("the store answers");
        if let Some(silence) = held.first().filter(|_| self.hush.once_in(2)) {
            runtime.block_on(store.expire_silence(&silence.id, now)).expect("the store answers");
            return;
        }
        let matcher = ["kind=flood", "severity=warning", "service=shop"][self.hush.below(3)];
        let ends_at = now.plus(Duration::from_millis(1_000 + self.hush.below(40_000) as u64));
        let silence = Silence {
            id: "".into(),
            matchers: parse_matchers([matcher]).expect("a matcher"),
            author: "ann".to_owned(),
            comment: String::new(),
            starts_at: now,
            ends_at,
            updated_at: now,
        };
        runtime.block_on(store.add_silence(&silence, now)).expect("the store answers");
    }

    /// All that is in memory is gone.
    fn kill(&mut self, at: usize, more: bool) {
        let Ok(process) = &self.places[at] else { return };
        for (_, log) in &process.workers {
            self.broker.borrow_mut().die(log.me());
        }
        self.outcome.count(process);
        if more || !self.broker.borrow().is_read() {
            self.outcome.kills += 1;
        }
        let now = self.sky.now();
        let recent = self.incidents().into_iter().any(|id| {
            let held = self.setting.runtime.block_on(self.setting.store.incident(&id));
            let resolved_at = held.expect("the store answers").and_then(|incident| incident.resolved_at);
            resolved_at.is_some_and(|at| now.since(at) <= Duration::from_secs(300))
        });
        self.outcome.after_resolve += usize::from(recent);
        self.places[at] = Err(self.sky.millis() + self.sky.below(12_000) as i64);
        if self.fate.expire && self.outcome.holes.is_empty() {
            self.expire();
        }
    }

    /// A process stops in order, and comes again.
    fn leave(&mut self, at: usize) {
        let Ok(process) = &mut self.places[at] else { return };
        process.stop();
        self.outcome.count(process);
        for (_, log) in &process.workers {
            self.broker.borrow_mut().die(log.me());
        }
        self.places[at] = Err(self.sky.millis() + self.sky.below(20_000) as i64);
    }

    /// Retention takes records of one partition that a rewind would need, or that were never read.
    fn expire(&mut self) {
        let mut broker = self.broker.borrow_mut();
        let partition = self.sky.below(broker.partitions());
        let Some((_, rewind)) = broker.committed(partition) else { return };
        let end = broker.len(partition);
        let low = (rewind + 1 + self.sky.below(end.saturating_sub(rewind))).min(end);
        if low <= rewind {
            return;
        }
        let times = broker.records(partition, rewind, low).iter().map(|(at, _)| *at);
        let (first, last) = (times.clone().min(), times.max());
        if let (Some(first), Some(last)) = (first, last) {
            self.outcome.holes.push((first, last));
            broker.expire(partition, low);
        }
    }

    fn incidents(&self) -> Vec<IncidentId> {
        let query = Query { limit: 500, ..Query::default() };
        let page = self.setting.runtime.block_on(self.setting.store.incidents(&query));
        page.expect("the store answers").items.into_iter().map(|incident| incident.id).collect()
    }

    /// Whether everything is read, committed and resolved.
    fn is_over(&self) -> bool {
        let unresolved = self.setting.runtime.block_on(self.setting.store.unresolved());
        self.places.iter().all(Result::is_ok)
            && self.broker.borrow().is_read()
            && unresolved.expect("the store answers").is_empty()
    }

    fn look(&mut self) {
        for process in self.places.iter().flatten() {
            self.outcome.count(process);
        }
        let ids = self.incidents();
        let (runtime, store) = (&self.setting.runtime, &self.setting.store);
        for id in &ids {
            let dossier = runtime.block_on(store.dossier(id)).expect("the store answers");
            self.outcome.dossiers.push(dossier.expect("it is there"));
        }
        self.outcome.learned = runtime.block_on(store.baselines()).expect("the store answers").len();
        self.outcome.rows = runtime.block_on(store.rows(&ids)).expect("the store answers");
        let ledger = runtime.block_on(store.ledger()).expect("the store answers");
        assert!(ledger.iter().all(LedgerLine::adds_up), "{ledger:?}");
        let said = |what: &str| {
            let lines = self.outcome.dossiers.iter().flat_map(|dossier| &dossier.timeline);
            lines.filter(|line| line.what == what).count()
        };
        (self.outcome.silenced, self.outcome.released) = (said("silenced"), said("released"));
        assert!(self.outcome.dossiers.iter().all(|dossier| dossier.incident.status == Status::Resolved));
        runtime.block_on(store.close());
    }
}
