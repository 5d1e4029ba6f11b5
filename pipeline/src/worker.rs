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
    Offset, Peak, Record, Severity, Signal, Source, Start, Subject, SubjectKind, Turn, Wall,
};

use crate::offsets::unfinished;
use crate::registry::{Span, StillHeld, Whereabouts};
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
    /// How far a source has come as the store has it, for a group whose offsets Kafka has forgotten.
    fn progress(&self, source: Source) -> Option<Known>;
    /// Whether an entry was read before this process began: then a partition of it that nobody has read was added.
    fn read_before(&self, _entry: EntryId) -> bool {
        false
    }
    /// Barriers that have become durable since the last call.
    fn durable(&mut self) -> Vec<Durable<Barrier>>;
    /// Whether the store is away: then nothing more is read until it is back.
    fn store_is_away(&self) -> bool {
        false
    }
}

/// What the store has of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The next offset to process.
    pub next: Offset,
    /// The assignment that wrote it.
    pub epoch: i64,
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
    /// For so long a source that was given up may come back to this process before its entry goes on without it.
    pub return_within: Duration,
    /// How far sources of one entry may drift apart in event time.
    pub drift: Duration,
    /// After so long without progress, short of its end or with a last record from long ago, a source no longer holds
    /// the others back.
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
            return_within: Duration::from_secs(10),
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
    /// How often the shards have been told that it left.
    departures: u32,
    caught_up: bool,
    stalled: bool,
    moved: Wall,
    /// How far the newest event lay behind our clock, or, of a backlog, behind the log's stamp, when it came.
    delay: Duration,
    /// While it is read to its end: when the log was last known to answer, so that silence means that nothing came.
    heard: Wall,
    /// Where the oldest line begins that came in parts and may not be whole yet, and the largest event time before.
    parts: Option<(Offset, Option<EventTime>)>,
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
    /// Sources that were given up and may come back to this process.
    departing: Vec<Source>,
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
            departing: Vec::new(),
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
        let held = self.combiner.is_full() || host.store_is_away();
        if held != self.paused {
            log.pause(held).map_err(WorkerFault::Log)?;
            self.paused = held;
            self.doubt(host.now());
        }
        match log.poll(wait) {
            Ok(Turn::Idle) => {}
            Ok(Turn::Records) => self.absorb(log, host.now(), dead),
            Ok(Turn::Assigned(assignments)) => self.begin(log, exchange, host, assignments)?,
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
            self.leave(*source, host.now());
        }
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
            let live = std::mem::take(&mut held.caught_up);
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
            let (before, begun) = (held.rewind.largest(), held.parts);
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
                match begun {
                    // It may have begun there: then it has to be read again from there.
                    Some((offset, before)) => held.rewind.note_from(offset, before, time),
                    None => held.rewind.note(record.offset, time),
                }
                // What comes to a source that was read to its end comes now, whatever its sender stamped it with.
                let reference = record.stamped.filter(|_| !live).unwrap_or(now.as_event_time());
                held.delay = reference.since(time);
                if combiner.observe(record.source, record.offset, &event) == Seen::Late {
                    tally.late += 1;
                    tally.count(topic, Counted::Late);
                }
            });
            held.parts = match decoder.pending(record.source) {
                Some(_) => held.parts.or(Some((record.offset, before))),
                None => None,
            };
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

    /// Reading stops or goes on: what arrives meanwhile is not seen, so nobody is taken to be read to its end until the
    /// log says so anew; and nobody has stalled who was not read.
    fn doubt(&mut self, now: Wall) {
        for held in self.held.values_mut() {
            // What ends does not grow while it is not read.
            held.caught_up &= !self.knobs.live;
            held.moved = now;
        }
    }

    fn caught_up(&mut self, source: Source, now: Wall) {
        if let Some(held) = self.held.get_mut(&source) {
            held.caught_up = true;
            (held.moved, held.heard) = (now, now);
        }
    }

    /// Nothing older than this will come from the source.
    fn clearance(&self, source: Source, held: &Held) -> EventTime {
        let own = self.combiner.watermark(source);
        let Some(silent) = self.silence(source, held) else { return own };
        // Not waited for any more: it has come as far as the others.
        let common = held.stalled.then(|| self.tides.common(source.entry)).flatten();
        own.max(silent).max(common.unwrap_or(EventTime::MIN))
    }

    /// Of a source that is read to its end: up to when its silence says that nothing will come.
    fn silence(&self, source: Source, held: &Held) -> Option<EventTime> {
        match (held.caught_up, self.knobs.live) {
            (false, _) => None,
            (true, false) => Some(EventTime::MAX),
            (true, true) => {
                let lateness = self.plan.entry(source.entry).lateness;
                Some(held.heard.as_event_time().minus(held.delay).minus(lateness))
            }
        }
    }

    /// Sends what was combined, and tells the shards how far each source reaches.
    fn flush<L: Log, X: Exchange>(&mut self, log: &mut L, exchange: &mut X, now: Wall) {
        self.flushed_at = now;
        self.note_tides(log, now);
        self.see_off(exchange, now);
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
        let answers = log.answers();
        for (source, held) in &mut self.held {
            if answers {
                held.heard = now;
            }
            // A source stands still by our own will, or with all others: neither says anything of it.
            if self.paused || !answers {
                held.moved = now;
            }
            let stands = self.knobs.live && now.since(held.moved) >= self.knobs.stall_after;
            // At its end it only waits for the clock, as far back as its last record lay: after one of yesterday all
            // others would wait with it until tomorrow, and nobody would be told.
            let lateness = self.plan.entry(source.entry).lateness;
            let lags = held.delay > lateness.saturating_add(self.knobs.drift);
            held.stalled = stands && (!held.caught_up || lags);
        }
        for (source, held) in &self.held {
            let clearance = self.clearance(*source, held);
            let tide = Tide {
                watermark: self.combiner.watermark(*source),
                clearance,
                caught_up: held.caught_up,
                stalled: held.stalled,
                departed: false,
                moved: held.moved,
                disorder_millis: held.tally.disorder_millis(),
            };
            self.tides.set(*source, tide);
        }
        for (source, held) in &self.held {
            let Some(common) = self.tides.common(source.entry) else { continue };
            if held.stalled {
                // It leaves the common minimum: the others' windows close without it.
                self.combiner.clear(*source, common);
            } else if let Some(silent) = self.silence(*source, held) {
                self.combiner.clear(*source, silent);
            } else if self.combiner.watermark(*source) > common.plus(self.knobs.drift) {
                ahead.push(*source);
            }
        }
        for source in &ahead {
            if let Some(held) = self.held.get_mut(source) {
                // A held source stands still by our own will.
                held.moved = now;
            }
        }
        log.hold(&ahead);
    }

    /// Tells the shards of sources that have not come back.
    fn see_off<X: Exchange>(&mut self, exchange: &X, now: Wall) {
        for source in std::mem::take(&mut self.departing) {
            match self.registry.whereabouts(source, now, self.knobs.return_within) {
                Whereabouts::Here => {}
                Whereabouts::Expected => self.departing.push(source),
                Whereabouts::Gone(departures) => {
                    self.tides.remove(source);
                    self.say_left(source, departures, exchange);
                }
            }
        }
    }

    fn say_left<X: Exchange>(&mut self, source: Source, departures: u32, exchange: &X) {
        let left = |thread| (thread, Freight::Left(source, departures));
        self.waiting.extend((0..exchange.threads()).map(left));
    }

    /// Sends a barrier behind what was flushed, where anything has changed since the last.
    fn barrier<X: Exchange>(&mut self, exchange: &mut X, now: Wall) {
        self.barrier_at = now;
        if self.held.is_empty() {
            return;
        }
        let sources = self.marks();
        self.barriers += 1;
        let barrier = Barrier { worker: self.id, number: self.barriers, sources };
        self.in_flight = Some(self.barriers);
        for thread in 0..exchange.threads() {
            self.waiting.push_back((thread, Freight::Barrier(barrier.clone())));
        }
        self.hand_on(exchange);
    }

    fn marks(&mut self) -> Vec<Mark> {
        let sources: Vec<Source> = self.held.keys().copied().collect();
        let mut marks = Vec::with_capacity(sources.len());
        for source in sources {
            let pending =
                self.decoders.get(usize::from(source.entry.0)).and_then(|decoder| decoder.pending(source));
            let floor = self.unfinished(source.entry);
            // What the shards have stated of this source's records reaches as far as its whole entry has come here.
            let common = self.tides.common(source.entry).unwrap_or(EventTime::MIN);
            let Some(held) = self.held.get(&source) else { continue };
            let clearance = (held.next >= held.committed).then(|| self.clearance(source, held).min(common));
            let Some(held) = self.held.get_mut(&source) else { continue };
            let next = pending.map_or(held.next, |pending| pending.min(held.next));
            let point = match floor {
                Some(floor) if self.knobs.rewind => held.rewind.point(floor, held.next),
                _ => (held.next, held.rewind.largest()),
            };
            // A line that came in parts is read again from its first part.
            let (rewind, seed) = match held.parts {
                Some(parts) if parts.0 < point.0 => parts,
                _ => point,
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
    fn begin<L: Log, X: Exchange, H: Host>(
        &mut self,
        log: &mut L,
        exchange: &mut X,
        host: &mut H,
        assignments: Vec<Assignment>,
    ) -> Result<(), WorkerFault> {
        let now = host.now();
        let mut starts = Vec::with_capacity(assignments.len());
        let mut fresh = Vec::new();
        for given in assignments {
            let span = self.claim(given.source, host)?;
            let (at, mut held) = self.decide(&given, now, host);
            let again = span.and_then(|span| self.resume(&given, at, span, &mut held, exchange));
            let at = held.next;
            self.combiner.begin(given.source, at, held.rewind.largest(), again);
            starts.push(Start { source: given.source, at });
            if given.committed.is_none() {
                fresh.push(Committed {
                    source: given.source,
                    next: held.committed,
                    metadata: Metadata {
                        rewind: at.min(held.committed),
                        seed: held.rewind.largest(),
                        epoch: held.epoch,
                    }
                    .text(),
                });
            }
            self.held.insert(given.source, held);
            let tide = Tide {
                watermark: self.combiner.watermark(given.source),
                clearance: self.combiner.watermark(given.source),
                caught_up: false,
                stalled: false,
                departed: false,
                moved: now,
                disorder_millis: 0,
            };
            self.tides.set(given.source, tide);
        }
        log.start(&starts).map_err(WorkerFault::Log)?;
        log.pause(self.paused).map_err(WorkerFault::Log)?;
        // Where reading begins is settled at once: `latest` said again a minute later would skip that minute.
        if !fresh.is_empty() {
            match log.commit(&fresh) {
                // Said again with the first barrier.
                Ok(()) | Err(LogFault::Retriable(_)) => {}
                Err(fault) => return Err(WorkerFault::Log(fault)),
            }
        }
        // The shards hear of them before anything else of their entries closes.
        self.flush(log, exchange, now);
        self.barrier_at = Wall::default();
        Ok(())
    }

    fn decide<H: Host>(&mut self, given: &Assignment, now: Wall, host: &H) -> (Offset, Held) {
        let metadata = given.committed.as_ref().and_then(|(_, text)| Metadata::parse(text));
        let stored = host.progress(given.source);
        // Clocks differ; the assignment that comes later must still be the later one.
        let before = metadata.map(|metadata| metadata.epoch).max(stored.map(|stored| stored.epoch));
        let epoch = now.millis().max(before.map_or(0, |before| before + 1));
        let committed = match &given.committed {
            Some((offset, _)) => Some(*offset),
            None => stored.map(|stored| stored.next),
        };
        // A partition that appears in an entry that is being read begins at its first record: nobody has read it.
        let (mut at, mut seed) = match (committed, metadata) {
            (Some(next), Some(metadata)) if self.knobs.rewind => (metadata.rewind.min(next), metadata.seed),
            (Some(next), Some(metadata)) => (next, metadata.seed),
            (Some(next), None) => (next, None),
            (None, _) if host.read_before(given.source.entry) => (given.low, None),
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
                (at, seed) = (given.high, None);
            }
        }
        if at < given.low {
            // What lies between is gone: the seed says nothing of windows that lack it.
            (at, seed) = (given.low, None);
        }
        let committed = committed.unwrap_or(at).clamp(given.low, given.high.max(given.low));
        let held = Held {
            epoch,
            rewind: Rewind::seeded(seed),
            next: at,
            covers_from: at,
            committed,
            said: None,
            departures: 0,
            caught_up: false,
            stalled: false,
            moved: now,
            delay: Duration::ZERO,
            heard: now,
            parts: None,
            tally: SourceTally::new(given.source),
        };
        (at, held)
    }

    /// Makes a source ours; what the shards hold of it.
    fn claim<H: Host>(&self, source: Source, host: &mut H) -> Result<Option<Span>, WorkerFault> {
        let deadline = host.now().plus(self.knobs.revoke_within * 2);
        loop {
            match self.registry.take(source, self.id) {
                Ok(span) => return Ok(span),
                Err(StillHeld) if host.now() < deadline => host.nap(Duration::from_millis(5)),
                Err(StillHeld) => {
                    let said = format!(
                        "another worker of this process has not given up partition {}, which the group gave to us",
                        source.partition
                    );
                    return Err(WorkerFault::Log(LogFault::Fatal(said)));
                }
            }
        }
    }

    /// Goes on behind what the shards of this process hold of a source, where they hold all of it and reading would
    /// begin within. Otherwise they forget it, as far as they can; hands out the offsets, first and last, of what they
    /// may hold all the same.
    fn resume<X: Exchange>(
        &mut self,
        given: &Assignment,
        at: Offset,
        span: Span,
        held: &mut Held,
        exchange: &X,
    ) -> Option<(Offset, Offset)> {
        held.departures = span.departures;
        // A log that ends before what was read of it is another log, made anew.
        let same = span.next <= given.high;
        if same && span.whole && (span.covers_from..=span.next).contains(&at) && given.low <= span.next {
            held.rewind = span.rewind;
            held.delay = span.delay;
            held.covers_from = span.covers_from;
            held.next = span.next;
            return None;
        }
        if span.whole {
            held.departures += 1;
        }
        // Where another worker says so too, the shards heed the first.
        self.say_left(given.source, held.departures, exchange);
        (same && at < span.next).then_some((span.covers_from, Offset(span.next.0 - 1)))
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
        let now = host.now();
        for source in sources {
            self.leave(*source, now);
        }
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
    fn leave(&mut self, source: Source, now: Wall) {
        let Some(held) = self.held.remove(&source) else { return };
        let span = Span {
            covers_from: held.covers_from,
            next: held.next,
            rewind: held.rewind,
            delay: held.delay,
            departures: held.departures,
            since: now,
            whole: true,
        };
        self.registry.leave(source, span);
        self.departing.push(source);
        self.combiner.end(source);
        if let Some(decoder) = self.decoders.get_mut(usize::from(source.entry.0)) {
            decoder.forget(source);
        }
        self.tides.leave(source);
    }
}
