//! A worker: one log, its decoders and its combiner, stepped by the thread that owns them.
//!
//! It never waits for a shard. Where a queue is full it goes on combining, and at the combiner's bound it pauses
//! reading while still polling, so that Kafka keeps it in the group. It commits only what a durable barrier covers,
//! and only for sources whose assignment is still the one the barrier knew.

mod assign;
mod freight;
mod standing;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_decode::{DecodeKnobs, Decoder, Reject};
use beaconfire_detect::{Combiner, Plan, Seen, Watch};
use beaconfire_model::{
    Committed, EntryId, Event, EventTime, Log, LogFault, Names, Offset, Record, Signal, Source, Turn, Wall,
};

use crate::offsets::unfinished;
use crate::registry::Merged;
use crate::{
    Barrier, Counted, Durable, Exchange, Freight, Mark, Metadata, Registry, Rewind, SourceTally, Tally,
    Tides, WorkerId,
};
use freight::{Owed, Waiting};

/// Resource samples whose clock is off by more, either way, against the log's, are counted and left out.
const SAMPLES_OFF: Duration = Duration::from_hours(1);

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
    /// How far sources of one entry may drift apart in event time.
    pub drift: Duration,
    /// How much further back than open windows the rewind point may lie for a run that goes on between nine tenths of
    /// its threshold and the threshold: its last violation has left every open window, and without it a restart would
    /// find nothing that goes on. A run that hovers for longer ends, after a restart, where it was last recorded.
    pub hold_back: Duration,
    /// After so long without progress, short of its end or with a last record from long ago, a source no longer holds
    /// the others back.
    pub stall_after: Duration,
    /// How long an entry waits for a source that was given up: another worker of the process may take it over, and
    /// windows that close meanwhile would lack its records.
    pub return_within: Duration,
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
            hold_back: Duration::from_secs(600),
            stall_after: Duration::from_secs(30),
            return_within: Duration::from_secs(10),
            combiner_capacity: 16_384,
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
    /// The first offset that was read here.
    from: Offset,
    /// Committed before; commits never go back, and until `next` reaches it the source is being rewound.
    committed: Offset,
    /// Whether that has been said to Kafka since the assignment.
    said: Option<(Offset, Offset)>,
    /// What the shards held from earlier assignments: what of it is read again counts only where that is forgotten.
    merged: Merged,
    caught_up: bool,
    /// It has been read to its end since we began or went on reading: what comes from then on comes now.
    live: bool,
    stalled: bool,
    moved: Wall,
    /// When the log last answered for it, and said what there is.
    answered: Wall,
    /// When the log last did not answer for it.
    unanswered: Wall,
    /// How far the newest event lay behind our clock, or, of a backlog, behind the log's stamp, when it came.
    delay: Duration,
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
    /// Sources that were given up, and until when their entry waits for them.
    left: BTreeMap<Source, Wall>,
    tides: Arc<Tides>,
    registry: Arc<Registry>,
    names: Names,
    tally: Tally,
    /// Freight that found its queue full, in order.
    waiting: VecDeque<Waiting>,
    /// Pieces of freight so far.
    pieces: u64,
    /// Sources that were given up, each with the piece before which all of it is.
    owed: Vec<Owed>,
    /// Sources that were taken over from a worker that has freight of them left. Ours from this piece on waits for
    /// that, or the shards would close windows over what is still to come.
    awaited: Vec<(Source, u64)>,
    /// When the log last said what there is: sources read to their end were at their end then.
    polled_at: Wall,
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
            left: BTreeMap::new(),
            tides,
            registry,
            names,
            tally: Tally::default(),
            waiting: VecDeque::new(),
            pieces: 0,
            owed: Vec::new(),
            awaited: Vec::new(),
            polled_at: Wall::default(),
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
        let turn = log.poll(wait);
        let polled_at = host.now();
        // A change of assignment says nothing of what there is to read.
        if matches!(turn, Ok(Turn::Idle | Turn::Records | Turn::CaughtUp { .. })) && log.answers() {
            self.polled_at = polled_at;
        }
        match turn {
            Ok(Turn::Idle) => {}
            Ok(Turn::Records) => self.absorb(log, polled_at, dead),
            Ok(Turn::Assigned(assignments)) => self.begin(log, exchange, host, assignments)?,
            Ok(Turn::Revoked { sources, lost }) => self.give_up(log, exchange, host, &sources, lost)?,
            Ok(Turn::CaughtUp { source }) => self.caught_up(source, polled_at),
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
            held.caught_up = false;
            let live = held.live;
            let again = held.merged.holds(record.offset);
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
                if let (Event::Resource(_), Some(stamped)) = (&event, record.stamped)
                    && time.since(stamped).max(stamped.since(time)) > SAMPLES_OFF
                {
                    // What a workload used is learned by its time, and that is not known.
                    tally.count(topic, Counted::Skewed);
                    combiner.pass(record.source, record.offset);
                    events += 1;
                    return;
                }
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
                // Whatever its sender stamped it with.
                let reference = record.stamped.filter(|_| !live).unwrap_or(now.as_event_time());
                held.delay = reference.since(time);
                match combiner.observe(record.source, record.offset, &event, again) {
                    Seen::Late => {
                        tally.late += 1;
                        tally.count(topic, Counted::Late);
                    }
                    Seen::Copy => tally.copies += 1,
                    Seen::Counted | Seen::Ignored => {}
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

    /// Sends what was combined, and tells the shards how far each source reaches.
    fn flush<L: Log, X: Exchange>(&mut self, log: &mut L, exchange: &mut X, now: Wall) {
        self.flushed_at = now;
        self.part(exchange.threads(), now);
        self.note_tides(log, now);
        let (combiner, tides, facts) = (&mut self.combiner, &self.tides, &mut self.facts);
        combiner.first_minutes(|entry| tides.common(entry).unwrap_or(EventTime::MIN), facts);
        for fact in std::mem::take(&mut self.facts) {
            self.put(0, Freight::Fact(Box::new(fact)));
        }
        let parcels = self.combiner.take(exchange.threads());
        for (thread, parcel) in parcels.into_iter().enumerate() {
            self.put(thread, Freight::Parcel(Box::new(parcel)));
        }
        self.hand_on(exchange);
    }

    /// Sends a barrier behind what was flushed, where anything has changed since the last.
    fn barrier<X: Exchange>(&mut self, exchange: &mut X, now: Wall) {
        self.barrier_at = now;
        if self.held.is_empty() {
            return;
        }
        let sources = self.marks();
        self.barriers += 1;
        let barrier = Barrier { worker: self.id, number: self.barriers, sources, floors: BTreeMap::new() };
        self.in_flight = Some(self.barriers);
        for thread in 0..exchange.threads() {
            self.put(thread, Freight::Barrier(barrier.clone()));
        }
        self.hand_on(exchange);
    }

    fn marks(&mut self) -> Vec<Mark> {
        let sources: Vec<Source> = self.held.keys().copied().collect();
        let mut marks = Vec::with_capacity(sources.len());
        for source in sources {
            let pending =
                self.decoders.get(usize::from(source.entry.0)).and_then(|decoder| decoder.pending(source));
            let common = self.tides.common(source.entry).unwrap_or(EventTime::MIN);
            let floor = self.unfinished(source.entry);
            let Some(held) = self.held.get(&source) else { continue };
            // What the shards have not closed, because another source of the entry is behind, is not known yet: its own
            // row says how far that one is, but not where it has just gone to another process.
            let clearance = self.clearance(source, held).min(common);
            let clearance = (held.next >= held.committed).then_some(clearance);
            let Some(held) = self.held.get_mut(&source) else { continue };
            let next = pending.map_or(held.next, |pending| pending.min(held.next));
            let point = match floor {
                Some(floor) if self.knobs.rewind => {
                    held.rewind.forget_before(floor.minus(self.knobs.hold_back));
                    held.rewind.point(floor, held.next)
                }
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
            let floors = barrier.floors;
            for mut mark in barrier.sources {
                let Some(held) = self.held.get_mut(&mark.source).filter(|held| held.epoch == mark.epoch)
                else {
                    continue;
                };
                if let Some(floor) = floors.get(&mark.source.entry).filter(|_| self.knobs.rewind) {
                    let (rewind, seed) = held.rewind.point(*floor, mark.next);
                    if rewind < mark.rewind {
                        (mark.rewind, mark.seed) = (rewind, seed);
                    }
                }
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
}
