//! A worker: one log, its decoders and its combiner, stepped by the thread that owns them.
//!
//! It never waits for a shard. Where a queue is full it goes on combining, and at the combiner's bound it pauses
//! reading while still polling, so that Kafka keeps it in the group. It commits only what a durable barrier covers,
//! and only for sources whose assignment is still the one the barrier knew.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_decode::{DecodeKnobs, Decoder, Reject};
use beaconfire_detect::{Combiner, Plan, Seen, Watch};
use beaconfire_model::{
    Assignment, Committed, Earliest, EntryId, EventTime, Evidence, Kind, Latest, Log, LogFault, Names,
    Offset, Peak, Record, Severity, Signal, Source, Start, Subject, SubjectKind, TopicId, Turn, Wall,
};

use crate::offsets::unfinished;
use crate::registry::Span;
use crate::{
    Barrier, Counted, Durable, Exchange, Freight, Mark, Metadata, Registry, Rewind, SourceTally, Tally, Tide,
    Tides, WorkerId,
};

/// Where records go that do not decode.
pub trait DeadLetterSink {
    /// Takes note of a record that did not decode. Never waits.
    fn reject(&mut self, record: &Record<'_>, reason: Reject);
}

/// What a worker asks of the world: the time, a nap, and what the store knows of a source's progress.
pub trait Host {
    /// The wall clock.
    fn now(&self) -> Wall;
    /// Waits a little, in the one place where a worker must (giving up a source).
    fn nap(&mut self, within: Duration);
    /// The next offset of a source as the store has it, for a group whose offsets Kafka has forgotten.
    fn progress(&self, source: Source) -> Option<Offset>;
    /// Barriers that have become durable since the last call.
    fn durable(&mut self) -> Vec<Durable<Barrier>>;
}

/// The times and bounds of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerKnobs {
    /// How often partials go to the shards.
    pub flush_every: Duration,
    /// How often a barrier follows them.
    pub barrier_every: Duration,
    /// How long giving up a source may wait for its barrier.
    pub revoke_within: Duration,
    /// How far ahead of the log's stamp (or, without one, of our clock) a record's time may be.
    pub event_skew: Duration,
    /// How far sources of one entry may drift apart in event time.
    pub drift: Duration,
    /// After so long without progress, short of its end, a source no longer holds the others back.
    pub stall_after: Duration,
    /// Partial aggregates held at most before reading pauses.
    pub combiner_capacity: usize,
    /// Whether commits carry a rewind point. Off only in the tests' negative control.
    pub rewind: bool,
    /// Whether the input goes on for ever. A replay's does not: what is read to its end is complete.
    pub live: bool,
}

impl Default for WorkerKnobs {
    fn default() -> Self {
        Self {
            flush_every: Duration::from_millis(250),
            barrier_every: Duration::from_secs(2),
            revoke_within: Duration::from_secs(5),
            event_skew: Duration::from_secs(5),
            drift: Duration::from_secs(60),
            stall_after: Duration::from_secs(30),
            combiner_capacity: 65_536,
            rewind: true,
            live: true,
        }
    }
}

/// Why a worker stops.
#[derive(Debug)]
pub enum WorkerFault {
    /// The log failed for good.
    Log(LogFault),
}

impl fmt::Display for WorkerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for WorkerFault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Log(fault) => Some(fault),
        }
    }
}

/// One source that this worker reads.
#[derive(Debug)]
struct Held {
    epoch: i64,
    rewind: Rewind,
    /// The next offset to process.
    next: Offset,
    /// The first offset that was merged here.
    covers_from: Offset,
    /// Committed before; commits never go back, and until `next` reaches it the source is being rewound.
    committed: Offset,
    /// Whether that has been said to Kafka since the assignment.
    said: Option<(Offset, Offset)>,
    /// A span that the shards already hold from an earlier assignment, ahead of `next`.
    skip: Option<(Offset, Offset)>,
    caught_up: bool,
    stalled: bool,
    moved: Wall,
    /// How far the newest event lay behind our clock, or behind the log's stamp, when it came.
    delay: Duration,
    tally: SourceTally,
}

/// One log's reader.
pub struct Worker {
    id: WorkerId,
    knobs: WorkerKnobs,
    plan: Arc<Plan>,
    decoders: Vec<Decoder>,
    combiner: Combiner,
    held: BTreeMap<Source, Held>,
    tides: Arc<Tides>,
    registry: Arc<Registry>,
    names: Names,
    tally: Tally,
    /// Freight that found its queue full, in order.
    waiting: VecDeque<(usize, Freight)>,
    flushed_at: Wall,
    barrier_at: Wall,
    barriers: u64,
    /// The number of the barrier that is in flight.
    in_flight: Option<u64>,
    paused: bool,
    /// Facts of our own (records lost to retention), to go out with the next flush.
    facts: Vec<Signal>,
    /// The earliest and latest event time.
    span: Option<(EventTime, EventTime)>,
    ended: bool,
}

impl Worker {
    /// A worker with one decoder for each entry of `kafka.topics`.
    #[allow(clippy::too_many_arguments, reason = "the parts it is put together from, named once in app.rs")]
    pub fn new(
        id: WorkerId,
        knobs: WorkerKnobs,
        plan: Arc<Plan>,
        decode: &[DecodeKnobs],
        watch: Arc<Watch>,
        tides: Arc<Tides>,
        registry: Arc<Registry>,
        names: Names,
    ) -> Self {
        let combiner = Combiner::new(plan.clone(), watch, knobs.combiner_capacity);
        Self {
            id,
            plan,
            decoders: decode.iter().cloned().map(Decoder::new).collect(),
            combiner,
            held: BTreeMap::new(),
            tides,
            registry,
            names,
            tally: Tally::default(),
            waiting: VecDeque::new(),
            flushed_at: Wall::default(),
            barrier_at: Wall::default(),
            barriers: 0,
            in_flight: None,
            paused: false,
            facts: Vec::new(),
            span: None,
            ended: false,
            knobs,
        }
    }

    /// What was counted since the last call.
    pub fn take_tally(&mut self) -> Tally {
        self.tally.take()
    }

    /// The earliest and latest event time so far.
    pub fn span(&self) -> Option<(EventTime, EventTime)> {
        self.span
    }

    /// Whether the log has ended (files; never Kafka).
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether reading is paused, because the shards or the store are behind.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// One turn: hand on what waits, poll once, decode and combine what came, flush and send a barrier when due.
    pub fn step<L: Log, X: Exchange, H: Host, D: DeadLetterSink>(
        &mut self,
        log: &mut L,
        exchange: &mut X,
        host: &mut H,
        dead: &mut D,
        wait: Duration,
    ) -> Result<(), WorkerFault> {
        self.hand_on(exchange);
        self.commit_durable(log, host)?;
        let full = self.combiner.is_full();
        if full != self.paused {
            log.pause(full).map_err(WorkerFault::Log)?;
            self.paused = full;
        }
        match log.poll(wait) {
            Ok(Turn::Idle) => {}
            Ok(Turn::Records) => self.absorb(log, host.now(), dead),
            Ok(Turn::Assigned(assignments)) => self.begin(log, host, assignments)?,
            Ok(Turn::Revoked { sources, lost }) => self.give_up(log, exchange, host, &sources, lost)?,
            Ok(Turn::CaughtUp { source }) => self.caught_up(source, host.now()),
            Ok(Turn::Ended) => self.ended = true,
            // It passes; the log's own metric shows it meanwhile, and polling goes on.
            Err(LogFault::Retriable(_)) => host.nap(Duration::from_millis(50)),
            Err(fault) => return Err(WorkerFault::Log(fault)),
        }
        let now = host.now();
        if self.waiting.is_empty()
            && (self.combiner.is_full()
                || now.since(self.flushed_at) >= self.knobs.flush_every
                || now < self.flushed_at)
        {
            self.flush(log, exchange, now);
            if self.in_flight.is_none()
                && (now.since(self.barrier_at) >= self.knobs.barrier_every || now < self.barrier_at)
            {
                self.barrier(exchange, now);
            }
        }
        Ok(())
    }

    /// Stops in order: everything read is flushed, made durable if that happens in time, and committed.
    pub fn stop<L: Log, X: Exchange, H: Host>(
        &mut self,
        log: &mut L,
        exchange: &mut X,
        host: &mut H,
        within: Duration,
    ) -> Result<(), WorkerFault> {
        let sources: Vec<Source> = self.held.keys().copied().collect();
        self.settle(log, exchange, host, within)?;
        for source in &sources {
            self.leave(*source, exchange);
        }
        self.hand_on(exchange);
        log.close(within);
        Ok(())
    }

    /// Flushes and sends everything, also past full queues (the caller's exchange takes all): for a log that ended.
    pub(crate) fn drain<L: Log, X: Exchange>(&mut self, log: &mut L, exchange: &mut X, now: Wall) {
        while !self.waiting.is_empty() {
            self.hand_on(exchange);
        }
        self.flush(log, exchange, now);
    }

    fn absorb<L: Log, D: DeadLetterSink>(&mut self, log: &L, now: Wall, dead: &mut D) {
        let limit = now.plus(self.knobs.event_skew).as_event_time();
        for record in log.records() {
            let Some(held) = self.held.get_mut(&record.source) else {
                // Not ours any more: whoever has it reads it.
                continue;
            };
            if record.offset < held.next {
                continue;
            }
            held.next = Offset(record.offset.0 + 1);
            held.moved = now;
            if held.caught_up {
                held.caught_up = false;
            }
            let skipped = held.skip.is_some_and(|(from, through)| (from..=through).contains(&record.offset));
            if held.skip.is_some_and(|(_, through)| record.offset > through) {
                // Behind what the shards hold already, lateness is judged by all that came before.
                held.skip = None;
                self.combiner.begin(record.source, record.offset, held.rewind.largest());
            }
            if record.stamped.is_some_and(|stamped| stamped > limit) {
                self.refuse(&record, Reject::Timestamp, dead);
                continue;
            }
            self.tally.records += 1;
            let Some(decoder) = self.decoders.get_mut(usize::from(record.source.entry.0)) else {
                continue;
            };
            let (combiner, tally, span) = (&mut self.combiner, &mut self.tally, &mut self.span);
            let skew = self.knobs.event_skew;
            let topic = record.source.topic;
            let (mut events, mut beyond) = (0u32, false);
            let decoded = decoder.decode(&record, |decoded| {
                let mut event = decoded.event;
                let time = event.time();
                match record.stamped {
                    Some(stamped) if time > stamped.plus(skew) => {
                        tally.count(topic, Counted::Skewed);
                        event = event.at(stamped);
                    }
                    None if time > limit => {
                        beyond = true;
                        return;
                    }
                    _ => {}
                }
                events += 1;
                tally.count(topic, Counted::Decoded(decoded.format));
                let time = event.time();
                *span = Some(span.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
                if let Some(largest) = held.rewind.largest() {
                    held.tally.behind(u64::try_from(largest.millis() - time.millis()).unwrap_or(0));
                }
                held.rewind.note(record.offset, time);
                let reference = record.stamped.unwrap_or(now.as_event_time());
                held.delay = reference.since(time);
                if !skipped && combiner.observe(record.source, record.offset, &event) == Seen::Late {
                    tally.late += 1;
                    tally.count(topic, Counted::Late);
                }
            });
            if events == 0 {
                self.combiner.pass(record.source, record.offset);
            }
            match decoded {
                Ok(()) if beyond => self.refuse(&record, Reject::Timestamp, dead),
                Ok(()) if events == 0 => self.tally.count(topic, Counted::Partial),
                Ok(()) => self.tally.decoded += 1,
                Err(reason) => self.refuse(&record, reason, dead),
            }
        }
    }

    fn refuse<D: DeadLetterSink>(&mut self, record: &Record<'_>, reason: Reject, dead: &mut D) {
        self.combiner.pass(record.source, record.offset);
        self.tally.count(record.source.topic, Counted::Rejected(reason));
        dead.reject(record, reason);
    }

    fn caught_up(&mut self, source: Source, now: Wall) {
        if let Some(held) = self.held.get_mut(&source) {
            held.caught_up = true;
            held.moved = now;
        }
    }

    /// Nothing older than this will come from the source.
    fn clearance(&self, source: Source, held: &Held, now: Wall) -> EventTime {
        let watermark = self.combiner.watermark(source);
        match (held.caught_up, self.knobs.live) {
            (false, _) => watermark,
            (true, false) => EventTime::MAX,
            (true, true) => {
                let lateness = self.plan.entry(source.entry).lateness;
                watermark.max(now.as_event_time().minus(held.delay).minus(lateness))
            }
        }
    }

    /// Sends what was combined, and tells the shards how far each source reaches.
    fn flush<L: Log, X: Exchange>(&mut self, log: &mut L, exchange: &mut X, now: Wall) {
        self.flushed_at = now;
        self.note_tides(log, now);
        for fact in std::mem::take(&mut self.facts) {
            self.waiting.push_back((0, Freight::Fact(Box::new(fact))));
        }
        let parcels = self.combiner.take(exchange.threads());
        self.waiting.extend(
            parcels
                .into_iter()
                .enumerate()
                .map(|(thread, parcel)| (thread, Freight::Parcel(Box::new(parcel)))),
        );
        self.hand_on(exchange);
    }

    /// Tells the other workers how far our sources are, and holds back those too far ahead of their entry.
    fn note_tides<L: Log>(&mut self, log: &mut L, now: Wall) {
        let mut ahead = Vec::new();
        let stall_after = self.knobs.stall_after;
        for held in self.held.values_mut() {
            held.stalled =
                self.knobs.live && !held.caught_up && !self.paused && now.since(held.moved) >= stall_after;
        }
        for (source, held) in &self.held {
            let clearance = self.clearance(*source, held, now);
            let tide = Tide {
                watermark: self.combiner.watermark(*source),
                clearance,
                caught_up: held.caught_up,
                stalled: held.stalled,
                moved: held.moved,
                disorder_millis: held.tally.disorder_millis(),
            };
            self.tides.set(*source, tide);
        }
        for (source, held) in &mut self.held {
            let Some(common) = self.tides.common(source.entry) else { continue };
            if held.stalled {
                // It leaves the common minimum: the others' windows close without it.
                self.combiner.clear(*source, common);
                continue;
            }
            if held.caught_up {
                let clearance = match self.knobs.live {
                    false => EventTime::MAX,
                    true => {
                        now.as_event_time().minus(held.delay).minus(self.plan.entry(source.entry).lateness)
                    }
                };
                self.combiner.clear(*source, clearance);
            } else if self.combiner.watermark(*source) > common.plus(self.knobs.drift) {
                // A held source stands still by our own will.
                held.moved = now;
                ahead.push(*source);
            }
        }
        log.hold(&ahead);
    }

    /// Sends a barrier behind what was flushed, where anything has changed since the last.
    fn barrier<X: Exchange>(&mut self, exchange: &mut X, now: Wall) {
        self.barrier_at = now;
        if self.held.is_empty() {
            return;
        }
        let sources = self.marks(now);
        self.barriers += 1;
        let barrier = Barrier { worker: self.id, number: self.barriers, sources };
        self.in_flight = Some(self.barriers);
        for thread in 0..exchange.threads() {
            self.waiting.push_back((thread, Freight::Barrier(barrier.clone())));
        }
        self.hand_on(exchange);
    }

    fn marks(&mut self, now: Wall) -> Vec<Mark> {
        let sources: Vec<Source> = self.held.keys().copied().collect();
        let mut marks = Vec::with_capacity(sources.len());
        for source in sources {
            let pending =
                self.decoders.get(usize::from(source.entry.0)).and_then(|decoder| decoder.pending(source));
            let floor = self.unfinished(source.entry);
            let Some(held) = self.held.get(&source) else { continue };
            let clearance = (held.next >= held.committed).then(|| self.clearance(source, held, now));
            let Some(held) = self.held.get_mut(&source) else { continue };
            let next = pending.map_or(held.next, |pending| pending.min(held.next));
            let (rewind, seed) = match floor {
                Some(floor) if self.knobs.rewind => held.rewind.point(floor, next),
                _ => (next, held.rewind.largest()),
            };
            marks.push(Mark { source, epoch: held.epoch, next, rewind: rewind.min(next), seed, clearance });
        }
        marks
    }

    fn unfinished(&self, entry: EntryId) -> Option<EventTime> {
        let common = self.tides.common(entry)?;
        let lateness = self.plan.entry(entry).lateness;
        Some(unfinished(common, self.plan.longest_window(), lateness, self.knobs.drift))
    }

    /// Commits what has become durable, for sources whose assignment is still the one the barrier knew.
    fn commit_durable<L: Log, H: Host>(&mut self, log: &mut L, host: &mut H) -> Result<(), WorkerFault> {
        for durable in host.durable() {
            let barrier = durable.into_inner();
            if self.in_flight == Some(barrier.number) {
                self.in_flight = None;
            }
            let mut commits = Vec::new();
            for mark in barrier.sources {
                let Some(held) = self.held.get_mut(&mark.source).filter(|held| held.epoch == mark.epoch)
                else {
                    continue;
                };
                held.committed = held.committed.max(mark.next);
                if held.said == Some((held.committed, mark.rewind)) {
                    continue;
                }
                held.said = Some((held.committed, mark.rewind));
                let metadata = Metadata { rewind: mark.rewind, seed: mark.seed, epoch: mark.epoch };
                commits.push(Committed {
                    source: mark.source,
                    next: held.committed,
                    metadata: metadata.text(),
                });
            }
            if !commits.is_empty() {
                match log.commit(&commits) {
                    Ok(()) => {}
                    Err(LogFault::Retriable(_)) => {
                        // Said again with the next barrier.
                        for commit in &commits {
                            if let Some(held) = self.held.get_mut(&commit.source) {
                                held.said = None;
                            }
                        }
                    }
                    Err(fault) => return Err(WorkerFault::Log(fault)),
                }
            }
        }
        Ok(())
    }

    /// Puts freight that waits into its queues, each thread's in order.
    fn hand_on<X: Exchange>(&mut self, exchange: &mut X) {
        let mut stuck: Vec<usize> = Vec::new();
        let mut left = VecDeque::new();
        while let Some((thread, freight)) = self.waiting.pop_front() {
            if stuck.contains(&thread) {
                left.push_back((thread, freight));
            } else if let Err(back) = exchange.send(thread, freight) {
                stuck.push(thread);
                left.push_back((thread, *back));
            }
        }
        self.waiting = left;
    }

    /// Sources were given to us: decide where each begins.
    fn begin<L: Log, H: Host>(
        &mut self,
        log: &mut L,
        host: &mut H,
        assignments: Vec<Assignment>,
    ) -> Result<(), WorkerFault> {
        let now = host.now();
        // A partition that appears later in a topic we know begins at its first record: nobody has read it.
        let known: Vec<TopicId> = assignments
            .iter()
            .filter(|given| given.committed.is_some() || host.progress(given.source).is_some())
            .map(|given| given.source.topic)
            .collect();
        let mut starts = Vec::with_capacity(assignments.len());
        for given in assignments {
            let (at, held) = self.decide(&given, known.contains(&given.source.topic), now, host);
            self.combiner.begin(given.source, at, held.rewind.largest());
            starts.push(Start { source: given.source, at });
            self.held.insert(given.source, held);
            let tide = Tide {
                watermark: self.combiner.watermark(given.source),
                clearance: self.combiner.watermark(given.source),
                caught_up: false,
                stalled: false,
                moved: now,
                disorder_millis: 0,
            };
            self.tides.set(given.source, tide);
        }
        log.start(&starts).map_err(WorkerFault::Log)?;
        log.pause(self.paused).map_err(WorkerFault::Log)?;
        // `start: latest` is settled by committing it at once with the next barrier.
        self.barrier_at = Wall::default();
        Ok(())
    }

    fn decide<H: Host>(&mut self, given: &Assignment, known: bool, now: Wall, host: &H) -> (Offset, Held) {
        let metadata = given.committed.as_ref().and_then(|(_, text)| Metadata::parse(text));
        let epoch = now.millis().max(metadata.map_or(0, |metadata| metadata.epoch + 1));
        let committed = match &given.committed {
            Some((offset, _)) => Some(*offset),
            None => host.progress(given.source),
        };
        let (mut at, seed) = match (committed, metadata) {
            (Some(next), Some(metadata)) if self.knobs.rewind => (metadata.rewind.min(next), metadata.seed),
            (Some(next), Some(metadata)) => (next, metadata.seed),
            (Some(next), None) => (next, None),
            (None, _) if known => (given.low, None),
            (None, _) => (given.fresh, None),
        };
        if let Some(next) = committed {
            if next < given.low {
                self.lost(
                    given,
                    format!(
                        "offsets {} to {} had left the log before they were read",
                        next.0,
                        given.low.0 - 1
                    ),
                    now,
                );
            } else if next > given.high {
                self.lost(
                    given,
                    format!(
                        "the log ends at {}, before the committed offset {}: it was truncated or made anew",
                        given.high.0, next.0
                    ),
                    now,
                );
                at = given.high;
            }
        }
        at = at.max(given.low);
        let committed = committed.unwrap_or(at).clamp(given.low, given.high.max(given.low));
        let mut held = Held {
            epoch,
            rewind: Rewind::seeded(seed),
            next: at,
            covers_from: at,
            committed,
            said: None,
            skip: None,
            caught_up: false,
            stalled: false,
            moved: now,
            delay: Duration::ZERO,
            tally: SourceTally::new(given.source),
        };
        if let Some(span) = self.registry.take(given.source) {
            let behind = Offset(span.merged_through.0 + 1);
            if (span.covers_from..=behind).contains(&at) {
                // The shards hold everything up to there: go on behind it.
                at = behind.max(given.low);
                held.rewind = span.rewind;
                held.covers_from = span.covers_from;
            } else if at < span.covers_from {
                held.skip = Some((span.covers_from, span.merged_through));
            }
            held.next = at;
        }
        (at, held)
    }

    /// States that records were lost before they could be read.
    fn lost(&mut self, given: &Assignment, said: String, now: Wall) {
        let topic = self.names.name(given.source.topic);
        let at = now.as_event_time();
        self.facts.push(Signal {
            rule: "records-lost".into(),
            kind: Kind::Sensor,
            severity: Severity::Error,
            target: Subject::new(SubjectKind::Input, &*topic),
            subject: Subject::new(SubjectKind::Input, format!("{topic}/{}: {said}", given.source.partition)),
            first: Earliest(at),
            began: Earliest(at),
            holds_until: Latest(at),
            evidence: Evidence {
                observed: Peak(1.0),
                threshold: 0.0,
                window: Duration::from_secs(1),
                series: Vec::new(),
            },
            participants: Vec::new(),
            samples: Vec::new(),
            entry: given.source.entry,
        });
    }

    /// Sources are to be given up. Lost ones have gone already: nothing to wait for, nothing to commit.
    fn give_up<L: Log, X: Exchange, H: Host>(
        &mut self,
        log: &mut L,
        exchange: &mut X,
        host: &mut H,
        sources: &[Source],
        lost: bool,
    ) -> Result<(), WorkerFault> {
        if !lost && sources.iter().any(|source| self.held.contains_key(source)) {
            self.settle(log, exchange, host, self.knobs.revoke_within)?;
        } else {
            let now = host.now();
            self.flush(log, exchange, now);
        }
        for source in sources {
            self.leave(*source, exchange);
        }
        self.hand_on(exchange);
        log.release(sources).map_err(WorkerFault::Log)
    }

    /// Flushes, sends an urgent barrier and waits a bounded time for it to become durable and committed.
    fn settle<L: Log, X: Exchange, H: Host>(
        &mut self,
        log: &mut L,
        exchange: &mut X,
        host: &mut H,
        within: Duration,
    ) -> Result<(), WorkerFault> {
        let deadline = host.now().plus(within);
        let mut sent = false;
        loop {
            self.hand_on(exchange);
            self.commit_durable(log, host)?;
            let now = host.now();
            if !sent && self.waiting.is_empty() && self.in_flight.is_none() {
                self.flush(log, exchange, now);
                self.barrier(exchange, now);
                sent = true;
            }
            if (sent && self.in_flight.is_none() && self.waiting.is_empty()) || now >= deadline {
                return Ok(());
            }
            host.nap(Duration::from_millis(2));
        }
    }

    /// Forgets a source, and notes what the shards hold of it.
    fn leave<X: Exchange>(&mut self, source: Source, exchange: &X) {
        let Some(held) = self.held.remove(&source) else { return };
        if held.next > held.covers_from {
            let merged_through = Offset(held.next.0 - 1);
            self.registry
                .leave(source, Span { covers_from: held.covers_from, merged_through, rewind: held.rewind });
        }
        self.combiner.end(source);
        if let Some(decoder) = self.decoders.get_mut(usize::from(source.entry.0)) {
            decoder.forget(source);
        }
        self.tides.remove(source);
        for thread in 0..exchange.threads() {
            self.waiting.push_back((thread, Freight::Left(source)));
        }
    }
}
