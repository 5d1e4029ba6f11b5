//! Puts the service together, runs it, and takes it apart in order. The one file that knows everyone.
//!
//! Start: store, senders' channels, HTTP socket, then threads, so that nothing is read before everything that needs to
//! hear of it is there. Stop: workers flush and commit what becomes durable, shards end behind them, the keeper writes
//! what they reported, senders finish the message they are at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use beaconfire_api::{Desk, Server};
use beaconfire_config::Config;
use beaconfire_detect::{Census, Learned, Plan, PlanSpec, Shard, ShardKnobs, Watch};
use beaconfire_ingest::{DeadLetters, KafkaKnobs, KafkaLog};
use beaconfire_model::{Names, Wall};
use beaconfire_notify::{Channel, Heartbeat};
use beaconfire_outbox::{DigestKnobs, Fallback, orphaned};
use beaconfire_pipeline::{
    Keeper, Policy, Registry as Spans, Tides, Worker, WorkerFault, WorkerId, WorkerKnobs,
};
use beaconfire_store::{Baseline, SaveError, Store, Write};
use beaconfire_throttle::Throttle;
use beaconfire_view::Privacy;
use prometheus::Registry;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};

use crate::bells::{Bells, Place};
use crate::desk::{Counts, Office, Seen, Touches};
use crate::health::Health;
use crate::heartbeat::{Pulse, Vitals};
use crate::keep::{self, Keep};
use crate::letters::Letters;
use crate::metrics::Metrics;
use crate::outage;
use crate::reached::{Past, Reached};
use crate::refresh::Refresher;
use crate::round::Round;
use crate::rounds::{self, Rounds};
use crate::sender::{Condition, House, Paces, Sender, StandIn};
use crate::senses::Sentry;
use crate::threads::{self, Accepted, Accepts, Crew, News, STOP_WITHIN, Threads, now};

/// SIGTERM promises an end within 10 s.
const END_WITHIN: Duration = Duration::from_millis(9_500);

/// What differs between `run`, `demo` and the tests.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// The workers' times, where the defaults do not do.
    pub worker: WorkerKnobs,
    /// Where to ask for the configuration to be read anew; without it that is refused.
    pub reload: Option<mpsc::Sender<Ask>>,
}

/// Somebody asks for a reload, and hears whether the configuration is good.
pub type Ask = oneshot::Sender<Result<(), String>>;

/// The running service.
pub struct App {
    server: Server,
    address: SocketAddr,
    threads: Threads,
    keeper: JoinHandle<()>,
    senders: JoinSet<()>,
    stop_senders: watch::Sender<bool>,
    /// Tasks that end with the process.
    watchers: JoinSet<()>,
    letters: DeadLetters,
    store: Store,
    metrics: Metrics,
    fault: watch::Receiver<Option<String>>,
}

impl App {
    /// Opens the store, takes the socket, starts threads and tasks. Brokers and receivers that are away are no error.
    pub async fn start(config: Config, extras: Extras) -> anyhow::Result<Self> {
        let Some(kafka) = config.kafka.clone() else {
            bail!(
                "kafka.brokers is not configured: running on HTTP inputs alone is not in this version; \
                 name your brokers and at least one topic"
            );
        };
        let started = now();
        let registry = Registry::new();
        let metrics = Metrics::register(&registry)?;
        let ingest = beaconfire_ingest::Metrics::register(&registry).context("registering metrics")?;
        let store = Store::open(&config.store).await.context("opening the store")?;
        let names = Names::default();
        let entries: Vec<String> = config.plan.entries.iter().map(|entry| entry.name.clone()).collect();
        let reached = Reached::new(names.clone(), entries.clone());
        let board = Arc::new(rounds::board(&store, started).await.context("reading the decisions")?);

        let house = Arc::new(House {
            installation: store.installation().to_owned(),
            external_url: config.http.base_url().to_owned(),
            privacy: if config.privacy.redact_query { Privacy::Redact } else { Privacy::Keep },
            templates: config.templates.clone(),
            context: config.context.clone(),
        });
        let health = Health::default();
        let bells = Bells::of(&config.receivers);
        let plan = PlanSpec { seed: store.seed(), ..config.plan.clone() };
        let plan = Arc::new(Plan::compile(plan).context("compiling the rules")?);
        let tides = Arc::<Tides>::default();
        let seen = Seen::default();
        let outgoing = channels(&config)?;
        let conditions: BTreeMap<_, _> =
            outgoing.keys().map(|place| (place.clone(), Condition::default())).collect();

        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let auto = (cores / 2).clamp(1, 8);
        let workers = config.pipeline.workers.unwrap_or(auto);
        let shards = config.pipeline.shards.unwrap_or(auto);
        let letters =
            DeadLetters::open(&kafka, ingest.clone()).map_err(|fault| anyhow::anyhow!("{fault}"))?;
        let (orders, heard) = mpsc::channel(keep::ORDERS);
        let (facts, brought) = mpsc::channel(keep::FACTS);
        let (accepts, accepted) = Accepts::channel();
        let census = Arc::<Mutex<BTreeMap<usize, Census>>>::default();
        let policy = Arc::new(Policy {
            context: config.context.clone(),
            knobs: config.knobs.clone(),
            route: config.route.clone(),
            receivers: config.receivers.clone(),
            quiet: config.quiet.clone(),
            escalations: config.escalations.clone(),
            plan: Some(plan.clone()),
        });
        let desk: Arc<dyn Desk> = Arc::new(Office {
            store: store.clone(),
            orders,
            facts: facts.clone(),
            board: board.clone(),
            guard: config.guard.clone(),
            throttle_mode: config.throttle_mode,
            context: config.context.clone(),
            conditions: conditions.clone(),
            bells: bells.clone(),
            tides: tides.clone(),
            latenesses: config.plan.entries.iter().map(|entry| entry.lateness).collect(),
            seen: seen.clone(),
            names: names.clone(),
            letters: letters.clone(),
            ingest: ingest.clone(),
            workers,
            health: health.clone(),
            privacy: house.privacy,
            started,
            registry: registry.clone(),
            metrics: metrics.clone(),
            rules: config.plan.rules.iter().map(Counts::of).collect(),
            touches: Touches::default(),
            reload: extras.reload.clone(),
            census: census.clone(),
            policy: policy.clone(),
            plan: plan.clone(),
            accepts,
        });
        let server = Server::bind(config.http.clone(), desk)?;
        let address = server.local_addr().context("asking for the address that was taken")?;

        let (watched, watched_names, watched_ingest) = (seen.clone(), names.clone(), ingest.clone());
        let (report, reports) = mpsc::channel(keep::REPORTS);
        let (failed, fault) = watch::channel(None);
        let machine = Machine {
            config: &config,
            kafka: &kafka,
            plan,
            tides: tides.clone(),
            names: names.clone(),
            ingest,
            letters: letters.clone(),
            privacy: house.privacy,
            workers,
            shards,
            knobs: WorkerKnobs { event_skew: config.limits.event_skew, ..extras.worker },
            health: health.clone(),
            learned: learned(&store).await?,
        };
        let news = listener(metrics.clone(), seen, names.clone(), census.clone(), failed);
        // Last of what may fail: what a configuration no longer has is settled for good, and one that cannot run must
        // leave everything to the one before.
        prepare(&store, &config, &entries, &reached).await?;
        let threads = machine.start(accepted, report, &Past::new(&reached), news)?;
        let keeper = Keep {
            round: Round {
                keeper: Keeper::new(
                    shards,
                    policy,
                    Throttle::new(config.throttle_rules.clone(), config.guard.clone()),
                ),
                store: store.clone(),
                entries,
                names,
            },
            metrics: metrics.clone(),
            health: health.clone(),
            bells: bells.clone(),
            board: board.clone(),
            reached,
            answers: threads.answers(),
            promised: Vec::new(),
        };
        let keeper = tokio::spawn(keeper.run(reports, heard, brought));

        let mut watchers = JoinSet::new();
        let critical = outage::receivers_of_critical(&config.route, &config.context);
        let (stop_senders, stop) = watch::channel(false);
        let (mut senders, paces) = (JoinSet::new(), Paces::default());
        for (place, channel) in outgoing {
            let (receiver, integration) = place.clone();
            if critical.contains(&receiver) {
                let watch = outage::Watch {
                    channel: channel.clone(),
                    receiver: receiver.clone(),
                    house: house.clone(),
                    health: health.clone(),
                    times: outage::Times::default(),
                };
                watchers.spawn(watch.run());
            }
            if let Some(every) = channel.refresh() {
                let refresher = Refresher {
                    receiver: receiver.clone(),
                    integration: integration.clone(),
                    channel: channel.clone(),
                    store: store.clone(),
                    house: house.clone(),
                };
                senders.spawn(refresher.run(every, stop.clone()));
            }
            let knobs = config.paces.get(&receiver).copied().unwrap_or_default();
            let (rate, digest) = knobs.of(channel.kind());
            let fallback = config.fallbacks.get(&receiver).map(|name| {
                let integrations = config.receivers.get(name).cloned().unwrap_or_default();
                let bells = integrations.iter().map(|held| bells.bell(name, &held.name)).collect();
                StandIn { fallback: Fallback { receiver: name.clone(), integrations }, bells }
            });
            let sends_resolved = config.receivers.get(&receiver).into_iter().flatten();
            let sends_resolved =
                sends_resolved.filter(|held| held.name == integration).all(|held| held.send_resolved);
            let digest = DigestKnobs { resolves: sends_resolved, ..digest };
            let sender = Sender {
                rate,
                digest,
                fallback,
                owner: owner(started, &receiver, &integration),
                bell: bells.bell(&receiver, &integration),
                condition: conditions.get(&place).cloned().unwrap_or_default(),
                receiver,
                integration,
                channel,
                store: store.clone(),
                house: house.clone(),
                metrics: metrics.clone(),
            };
            senders.spawn(sender.run(paces.clone(), stop.clone()));
        }
        let kafka = watched_ingest.clone();
        let vitals = Vitals {
            health: health.clone(),
            kafka_up: Arc::new(move || kafka.kafka_up()),
            conditions: conditions.clone(),
            critical,
        };
        for beat in &config.heartbeats {
            let heartbeat =
                Heartbeat::build(&beat.url).map_err(|said| anyhow::anyhow!("heartbeats: {said}"))?;
            let pulse = Pulse { heartbeat, every: beat.every, vitals: vitals.clone(), house: house.clone() };
            watchers.spawn(pulse.run());
        }
        let sentry = Sentry {
            facts,
            seen: watched,
            tides: tides.clone(),
            names: watched_names,
            ingest: watched_ingest,
            store: store.clone(),
            conditions,
        };
        watchers.spawn(sentry.run());
        let rounds = Rounds::new(store.clone(), metrics.clone(), board, tides, census, health);
        watchers.spawn(rounds.run());
        Ok(Self {
            server,
            address,
            threads,
            keeper,
            senders,
            stop_senders,
            watchers,
            letters,
            store,
            metrics,
            fault,
        })
    }

    /// Where the console is, with the port that was taken where port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is counted and shown of it.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves until `stop` is done or something fails for good, then ends in order within 10 s; whether all of its
    /// threads have ended, without which another must not begin in this process.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> anyhow::Result<bool> {
        let Self {
            server,
            threads,
            mut keeper,
            mut senders,
            stop_senders,
            mut watchers,
            letters,
            store,
            mut fault,
            ..
        } = self;
        let (end_server, server_ends) = tokio::sync::oneshot::channel::<()>();
        let mut serving = tokio::spawn(server.serve(async move {
            // Told to end, or whoever would tell has gone: both mean the end.
            let _ = server_ends.await;
        }));
        let mut result = Ok(());
        tokio::select! {
            () = stop => tracing::info!("stopping: flushing, writing and committing what was read"),
            failed = fault.wait_for(Option::is_some) => {
                let said = failed.ok().and_then(|said| said.clone()).unwrap_or_default();
                result = Err(anyhow::anyhow!("reading from Kafka ended: {said}"));
            }
            served = &mut serving => {
                result = Err(match served {
                    Ok(Err(error)) => anyhow::Error::new(error).context("serving HTTP"),
                    Ok(Ok(())) => anyhow::anyhow!("the HTTP server ended"),
                    Err(error) => anyhow::Error::new(error).context("the HTTP server's task"),
                });
            }
            failed = ended(&mut senders, &mut watchers) => result = Err(failed),
            ended = &mut keeper => {
                result = Err(match ended {
                    Ok(()) => anyhow::anyhow!("all shards have ended"),
                    Err(error) => anyhow::Error::new(error).context("the keeper's task"),
                });
            }
        }
        let deadline = Instant::now() + END_WITHIN;
        // Who asked has gone where the server has.
        let _ = end_server.send(());
        stop_senders.send_replace(true);
        threads.stop();
        let joined = tokio::task::spawn_blocking(move || threads.join(STOP_WITHIN)).await;
        let all_ended = matches!(joined, Ok(true));
        if !all_ended {
            tracing::warn!(
                "threads did not end in time; what they had not committed will be read again at the next start"
            );
        }
        if !keeper.is_finished() && timeout_at(deadline, &mut keeper).await.is_err() {
            tracing::warn!("the keeper did not end in time; what it had not written will be read again");
            keeper.abort();
        }
        let all_sent = async { while senders.join_next().await.is_some() {} };
        if timeout_at(deadline, all_sent).await.is_err() {
            tracing::warn!("a message was under way at the end; it will be sent again, with the same id");
        }
        senders.abort_all();
        watchers.abort_all();
        letters.close(Duration::from_millis(200));
        if !serving.is_finished() {
            serving.abort();
        }
        if timeout(Duration::from_secs(1), store.close()).await.is_err() {
            tracing::warn!("the store did not close in time");
        }
        result.map(|()| all_ended)
    }
}

/// Waits for a task that should live as long as the process and does not; for ever where all live on.
async fn ended(senders: &mut JoinSet<()>, watchers: &mut JoinSet<()>) -> anyhow::Error {
    let (what, ended) = tokio::select! {
        Some(ended) = senders.join_next() => ("a sender's task", ended),
        Some(ended) = watchers.join_next() => ("a task that looks after store and gauges", ended),
        else => std::future::pending().await,
    };
    match ended {
        Ok(()) => anyhow::anyhow!("{what} has ended"),
        Err(error) => anyhow::Error::new(error).context(what),
    }
}

/// What the store has of series.
async fn learned(store: &Store) -> anyhow::Result<Vec<Learned>> {
    let read = store.baselines().await.context("reading what was learned")?;
    let of = |Baseline { series, closed_through, state }| Learned { series, closed_through, state };
    Ok(read.into_iter().map(of).collect())
}

/// Brings the store in line with the configuration: entries and receivers that are gone.
async fn prepare(
    store: &Store,
    config: &Config,
    entries: &[String],
    reached: &Reached,
) -> anyhow::Result<()> {
    store.forget_entries_except(entries).await.context("preparing the store")?;
    for _ in 0..5 {
        let gone = orphaned(store.waiting_rows().await?, &config.receivers);
        if gone.is_empty() {
            break;
        }
        match store.save(Write { rows: &gone, ..Write::default() }).await {
            Ok(_) => {
                tracing::info!(rows = gone.len(), "receivers that are no longer configured will not be told");
                break;
            }
            // Another process moved one of them meanwhile.
            Err(SaveError::Conflict) => {}
            Err(SaveError::Store(error)) => return Err(error).context("preparing the store"),
        }
    }
    reached.note(&store.progress().await.context("reading the store")?);
    Ok(())
}

type Outgoing = BTreeMap<Place, Arc<Channel>>;

/// The channel of each integration.
pub(crate) fn channels(config: &Config) -> anyhow::Result<Outgoing> {
    let mut outgoing = Outgoing::new();
    for (receiver, integrations) in &config.receivers {
        let knobs = config.channels.get(receiver).map_or(&[][..], Vec::as_slice);
        for (integration, knobs) in integrations.iter().zip(knobs) {
            let channel = Channel::build(knobs)
                .map_err(|said| anyhow::anyhow!("receiver {receiver}, {}: {said}", integration.name))?;
            outgoing.insert((receiver.clone(), integration.name.clone()), Arc::new(channel));
        }
    }
    Ok(outgoing)
}

/// A name for a sender that no other task of any process on any host has.
fn owner(started: Wall, receiver: &str, integration: &str) -> String {
    let (process, salt) = (std::process::id(), rand::random::<u32>());
    format!("{process}-{}-{salt:08x}-{receiver}-{integration}", started.millis())
}

/// What the hot path is built from.
struct Machine<'a> {
    config: &'a Config,
    kafka: &'a KafkaKnobs,
    plan: Arc<Plan>,
    tides: Arc<Tides>,
    names: Names,
    ingest: beaconfire_ingest::Metrics,
    letters: DeadLetters,
    privacy: Privacy,
    workers: usize,
    shards: usize,
    knobs: WorkerKnobs,
    health: Health,
    /// What the store has of series.
    learned: Vec<Learned>,
}

impl Machine<'_> {
    fn start(
        &self,
        accepted: std::sync::mpsc::Receiver<Accepted>,
        report: mpsc::Sender<beaconfire_pipeline::Report>,
        past: &Past,
        news: impl Fn(News) + Clone + Send + 'static,
    ) -> anyhow::Result<Threads> {
        let heavy = Arc::<Watch>::default();
        let shards = (0..self.shards).map(|thread| {
            let knobs = ShardKnobs {
                memory: self.config.limits.detect_memory / self.shards,
                early: true,
                drift: self.knobs.drift,
            };
            Shard::new(self.plan.clone(), thread, self.shards, knobs, heavy.clone())
        });
        let mut shards: Vec<Shard> = shards.collect();
        let lost = shards.first_mut().map_or(0, |first| first.remember(&self.learned));
        if lost > 0 {
            tracing::warn!(
                series = lost,
                "what was learned of these series is of another version, or found no room: they learn anew"
            );
        }
        let spans = Arc::<Spans>::default();
        let letters =
            Letters::new(self.letters.clone(), self.names.clone(), self.privacy, &self.config.decode);
        let crews = (0..self.workers).map(|worker| {
            let (kafka, names, ingest) = (self.kafka.clone(), self.names.clone(), self.ingest.clone());
            Crew {
                worker: Worker::new(
                    WorkerId(worker),
                    self.knobs.clone(),
                    self.plan.clone(),
                    &self.config.decode,
                    heavy.clone(),
                    self.tides.clone(),
                    spans.clone(),
                    self.names.clone(),
                ),
                open: Box::new(move || {
                    KafkaLog::open(&kafka, worker, names, ingest).map_err(WorkerFault::Log)
                }),
                dead: letters.clone(),
            }
        });
        let crews = crews.collect();
        // A shard waits here while the keeper has as much as it can hold: that is the back-pressure.
        let report = move |said| {
            if report.blocking_send(said).is_err() {
                tracing::debug!("the keeper has ended; a report is dropped and will be made again");
            }
        };
        threads::start(shards, accepted, crews, past, &self.health, report, news)
    }
}

/// Takes note of what the threads tell.
fn listener(
    metrics: Metrics,
    seen: Seen,
    names: Names,
    census: Arc<Mutex<BTreeMap<usize, Census>>>,
    failed: watch::Sender<Option<String>>,
) -> impl Fn(News) + Clone + Send + 'static {
    let failed = Arc::new(failed);
    move |news| match news {
        News::Tally(tally) => {
            metrics.tally(&tally, &names);
            seen.add(&tally, now());
        }
        News::Census(thread, counted) => {
            census.lock().unwrap_or_else(PoisonError::into_inner).insert(thread, counted);
        }
        News::Paused(worker, paused) => {
            let label = worker.0.to_string();
            metrics.reading_paused.with_label_values(&[label.as_str()]).set(i64::from(paused));
            if paused {
                tracing::warn!(worker = worker.0, "reading is paused: shards or the store are behind");
            } else {
                tracing::info!(worker = worker.0, "reading goes on");
            }
        }
        News::Ended(worker, Ok(())) => tracing::info!(worker = worker.0, "a worker has ended"),
        News::Ended(worker, Err(fault)) => {
            tracing::error!(worker = worker.0, %fault, "a worker has failed");
            failed.send_replace(Some(fault.to_string()));
        }
        News::Panicked(thread) => {
            tracing::error!(
                thread,
                "a thread has panicked: the process ends, and begins again where it committed"
            );
            failed.send_replace(Some(format!("the thread {thread} has panicked")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_ends_is_noticed() {
        let living = || {
            let mut tasks = JoinSet::new();
            tasks.spawn(std::future::pending());
            tasks
        };
        let said = |error: anyhow::Error| format!("{error:#}");
        let mut broken = living();
        broken.spawn(async { panic!("no such row") });
        assert!(said(ended(&mut broken, &mut living()).await).starts_with("a sender's task: "));
        let mut broken = living();
        broken.spawn(async { panic!("no such gauge") });
        let failed = said(ended(&mut JoinSet::new(), &mut broken).await);
        assert!(failed.contains("store and gauges: ") && failed.contains("no such gauge"), "{failed}");
        let mut broken = living();
        broken.spawn(async {});
        assert_eq!(said(ended(&mut broken, &mut living()).await), "a sender's task has ended");
        let nothing =
            tokio::time::timeout(Duration::from_millis(50), ended(&mut living(), &mut living())).await;
        assert!(nothing.is_err(), "all live");
    }
}
