//! The threads of the hot path: workers, each with one consumer, and shards. Bounded queues between them; only
//! workers hear of stopping, the shards end when the last worker has gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use beaconfire_detect::{Census, Shard};
use beaconfire_model::{EntryId, Log, Source, Subject, Wall};
use beaconfire_pipeline::{
    Barrier, DeadLetterSink, Durable, Exchange, Freight, Host, Known, Report, Tally, Worker, WorkerFault,
    WorkerId, serve,
};

use tokio::sync::oneshot;

use crate::health::Health;
use crate::reached::Past;

/// Freight that may wait in front of one shard thread. Full queues make workers combine further, then pause.
const QUEUE: usize = 256;

/// Accepted targets that may wait: people give them one by one.
const ACCEPTS: usize = 64;

/// How long stopping may take before the process gives up on it; SIGTERM promises 10 s in all.
pub const STOP_WITHIN: Duration = Duration::from_secs(7);

/// The wall clock, read in this one place.
pub fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What the threads tell as they go.
#[derive(Debug)]
pub enum News {
    /// A worker's counts since it last told.
    Tally(Tally),
    /// A shard's tables, by thread.
    Census(usize, Census),
    /// A worker has paused or gone on.
    Paused(WorkerId, bool),
    /// A worker has ended, well or not.
    Ended(WorkerId, Result<(), WorkerFault>),
    /// A thread has panicked: what it held is lost, and the others wait for it in vain.
    Panicked(String),
}

/// Tells where the thread that holds it panics.
struct Alarm<N: Fn(News)>(String, N);

impl<N: Fn(News)> Drop for Alarm<N> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            (self.1)(News::Panicked(std::mem::take(&mut self.0)));
        }
    }
}

/// The queues into the shards, as one worker holds them.
#[derive(Clone)]
pub struct Queues(Vec<SyncSender<Freight>>);

impl Exchange for Queues {
    fn threads(&self) -> usize {
        self.0.len()
    }

    fn send(&mut self, thread: usize, freight: Freight) -> Result<(), Box<Freight>> {
        match self.0[thread].try_send(freight) {
            Ok(()) => Ok(()),
            // A shard that has gone takes the process down with it; until then its freight waits.
            Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => Err(Box::new(back)),
        }
    }
}

/// A worker's view of the world outside.
pub struct World {
    durable: Receiver<Durable<Barrier>>,
    past: Past,
    health: Health,
}

impl Host for World {
    fn now(&self) -> Wall {
        now()
    }

    fn nap(&mut self, within: Duration) {
        std::thread::sleep(within);
    }

    fn progress(&self, source: Source) -> Option<Known> {
        self.past.of(source)
    }

    fn read_before(&self, entry: EntryId) -> bool {
        self.past.has(entry)
    }

    fn durable(&mut self) -> Vec<Durable<Barrier>> {
        self.durable.try_iter().collect()
    }

    fn store_is_away(&self) -> bool {
        self.health.outage().is_some()
    }
}

/// The running threads.
pub struct Threads {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    shards: Vec<JoinHandle<()>>,
    answers: Answers,
}

/// The way back to the workers: barriers that became durable.
#[derive(Clone)]
pub struct Answers(Arc<BTreeMap<WorkerId, Sender<Durable<Barrier>>>>);

impl Answers {
    /// Tells the worker that its barrier is durable.
    pub fn give(&self, durable: Durable<Barrier>) {
        if let Some(answer) = self.0.get(&durable.inner().worker) {
            // A worker that has ended needs no answer.
            let _ = answer.send(durable);
        }
    }
}

/// One worker and its log, before they run.
pub struct Crew<L, D> {
    /// The worker.
    pub worker: Worker,
    /// Opens its log, on the thread that will own it.
    pub open: Box<dyn FnOnce() -> Result<L, WorkerFault> + Send>,
    /// Where its undecodable records go.
    pub dead: D,
}

/// The way from people to the first shard, which owns all workloads: targets whose use was accepted as usual.
#[derive(Debug, Clone)]
pub struct Accepts(SyncSender<Accepted>);

/// A target whose use is accepted, and where the shard answers whether anything was known of it.
pub type Accepted = (Subject, oneshot::Sender<bool>);

impl Accepts {
    /// Both ends.
    pub fn channel() -> (Self, Receiver<Accepted>) {
        let (send, receive) = sync_channel(ACCEPTS);
        (Self(send), receive)
    }

    /// Hands a target on; the answer, unless there is no room.
    pub fn give(&self, target: Subject) -> Option<oneshot::Receiver<bool>> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((target, answer)).ok().map(|()| answered)
    }
}

/// Starts the shards and workers. `report` takes what shards find (it may block: that is the back-pressure); `news`
/// what they count; `accepted` is the other end of [`Accepts`].
pub fn start<L, D>(
    shards: Vec<Shard>,
    accepted: Receiver<Accepted>,
    crews: Vec<Crew<L, D>>,
    past: &Past,
    health: &Health,
    report: impl Fn(Report) + Clone + Send + 'static,
    news: impl Fn(News) + Clone + Send + 'static,
) -> anyhow::Result<Threads>
where
    L: Log + 'static,
    D: DeadLetterSink + Send + 'static,
{
    let stop = Arc::new(AtomicBool::new(false));
    let mut queues = Vec::new();
    let mut shard_threads = Vec::new();
    let mut accepted = Some(accepted);
    for (thread, shard) in shards.into_iter().enumerate() {
        let (send, receive) = sync_channel(QUEUE);
        queues.push(send);
        let (report, news, accepted) = (report.clone(), news.clone(), accepted.take());
        let spawned = std::thread::Builder::new()
            .name(format!("shard-{thread}"))
            .spawn(move || {
                let _alarm = Alarm(format!("shard-{thread}"), news.clone());
                tend(thread, shard, &receive, accepted.as_ref(), &report, &news);
            })
            .context("starting a shard's thread")?;
        shard_threads.push(spawned);
    }
    let mut answers = BTreeMap::new();
    let mut workers = Vec::new();
    for (index, crew) in crews.into_iter().enumerate() {
        let id = WorkerId(index);
        let (answer, durable) = channel();
        answers.insert(id, answer);
        let world = World { durable, past: past.clone(), health: health.clone() };
        let (queues, stop, news) = (Queues(queues.clone()), stop.clone(), news.clone());
        let spawned = std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                let _alarm = Alarm(format!("worker-{index}"), news.clone());
                let ended = read(id, crew, queues, world, &stop, &news);
                news(News::Ended(id, ended));
            })
            .context("starting a worker's thread")?;
        workers.push(spawned);
    }
    Ok(Threads { stop, workers, shards: shard_threads, answers: Answers(Arc::new(answers)) })
}

impl Threads {
    /// The way back to the workers.
    pub fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Asks the workers to stop: flush, make durable, commit, leave.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until all have ended, at most for `within`; whether they have.
    pub fn join(self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let Self { workers, shards, .. } = self;
        let all: Vec<_> = workers.into_iter().chain(shards).collect();
        while all.iter().any(|thread| !thread.is_finished()) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        all.into_iter().all(|thread| thread.join().is_ok())
    }
}

/// A shard's thread.
fn tend(
    thread: usize,
    mut shard: Shard,
    queue: &Receiver<Freight>,
    accepted: Option<&Receiver<Accepted>>,
    report: &impl Fn(Report),
    news: &impl Fn(News),
) {
    // Said at once, so that every series is there from the first scrape on.
    news(News::Census(thread, shard.census()));
    let mut told = Instant::now();
    loop {
        match queue.recv_timeout(Duration::from_secs(1)) {
            Ok(freight) => {
                if let Some(said) = serve(thread, &mut shard, freight) {
                    report(said);
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for (target, answer) in accepted.into_iter().flat_map(Receiver::try_iter) {
            let known = shard.accept(&target);
            tracing::info!(target = %target.value.escape_debug(), known, "accepted as usual: it is learned anew");
            // Who asked may have gone.
            let _ = answer.send(known);
        }
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            news(News::Census(thread, shard.census()));
        }
    }
}

/// A worker's thread.
fn read<L: Log, D: DeadLetterSink>(
    id: WorkerId,
    crew: Crew<L, D>,
    mut queues: Queues,
    mut world: World,
    stop: &AtomicBool,
    news: &impl Fn(News),
) -> Result<(), WorkerFault> {
    let Crew { mut worker, open, mut dead } = crew;
    let mut log = open()?;
    let (mut told, mut paused) = (Instant::now(), false);
    let result = loop {
        if stop.load(Ordering::Relaxed) {
            break worker.stop(&mut log, &mut queues, &mut world, Duration::from_secs(5));
        }
        if let Err(fault) =
            worker.step(&mut log, &mut queues, &mut world, &mut dead, Duration::from_millis(20))
        {
            break Err(fault);
        }
        if told.elapsed() >= Duration::from_millis(250) {
            told = Instant::now();
            news(News::Tally(worker.take_tally()));
        }
        if worker.paused() != paused {
            paused = worker.paused();
            news(News::Paused(id, paused));
        }
    };
    news(News::Tally(worker.take_tally()));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_heard_of_and_one_that_ends_is_not() {
        let (tell, told) = channel();
        let run = |panics: bool, tell: Sender<News>| {
            let thread = std::thread::spawn(move || {
                let _alarm = Alarm("shard-0".to_owned(), move |news| {
                    tell.send(news).expect("somebody listens");
                });
                assert!(!panics, "as asked");
            });
            thread.join().is_err()
        };
        assert!(!run(false, tell.clone()) && told.try_recv().is_err());
        assert!(run(true, tell));
        assert!(matches!(told.try_recv(), Ok(News::Panicked(thread)) if thread == "shard-0"));
    }
}
