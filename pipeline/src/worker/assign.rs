//! Sources that come and go: where reading begins, what the shards hold already, and what a source leaves behind.

use std::time::Duration;

use beaconfire_model::{
    Assignment, Committed, Earliest, Evidence, Kind, Latest, Log, LogFault, Offset, Peak, Severity, Signal,
    Source, Start, Subject, SubjectKind, Wall,
};

use super::freight::Owed;
use super::{Held, Host, Worker, WorkerFault};
use crate::registry::{Last, Merged, StillHeld};
use crate::{Exchange, Freight, Metadata, Rewind, SourceTally, Tide};

impl Worker {
    /// Sources were given to us: decide where each begins.
    pub(super) fn begin<L: Log, X: Exchange, H: Host>(
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
            // Where we have it still, it is a new assignment all the same: what was merged stays known.
            self.leave(given.source, now);
            let merged = self.claim(given.source, host)?;
            if self.registry.is_owed(given.source) {
                self.awaited.push((given.source, self.pieces));
            }
            let held = self.decide(&given, merged, now, host, exchange.threads());
            let at = held.next;
            self.combiner.begin(given.source, at, held.rewind.largest());
            starts.push(Start { source: given.source, at });
            if given.committed.is_none() {
                let rewind = at.min(held.committed);
                let metadata = Metadata { rewind, seed: held.rewind.largest(), epoch: held.epoch };
                let (source, next) = (given.source, held.committed);
                fresh.push(Committed { source, next, metadata: metadata.text() });
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
        // Where reading begins is settled at once: `latest` asked for again a minute later would skip that minute.
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

    /// Makes a source ours; what the shards hold of it. After a suspend we can be given what another worker of this
    /// process has lost and does not know yet: with both reading it, its records would count twice.
    fn claim<H: Host>(&self, source: Source, host: &mut H) -> Result<Merged, WorkerFault> {
        let deadline = host.now().plus(self.knobs.revoke_within * 2);
        loop {
            match self.registry.take(source, self.id) {
                Ok(merged) => return Ok(merged),
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

    /// Where reading begins, behind what the shards hold where they hold all of it and reading would begin within.
    fn decide<H: Host>(
        &mut self,
        given: &Assignment,
        merged: Merged,
        now: Wall,
        host: &H,
        threads: usize,
    ) -> Held {
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
        let (mut at, seed) = match (committed, metadata) {
            (Some(next), Some(metadata)) if self.knobs.rewind => (metadata.rewind.min(next), metadata.seed),
            (Some(next), Some(metadata)) => (next, metadata.seed),
            (Some(next), None) => (next, None),
            (None, _) if host.read_before(given.source.entry) => (given.low, None),
            (None, _) => {
                self.combiner.begin_new(given.source.entry);
                (given.fresh, None)
            }
        };
        let wanted = at;
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
        let was_read = committed.is_some_and(|next| next >= given.low);
        let committed = committed.unwrap_or(at).clamp(given.low, given.high.max(given.low));
        let mut held = Held {
            epoch,
            // What came before a place that was not chosen is not known: windows count from the first event on.
            rewind: Rewind::seeded(seed.filter(|_| at == wanted)),
            next: at,
            from: at,
            committed,
            said: None,
            merged,
            caught_up: false,
            live: false,
            stalled: false,
            moved: now,
            answered: now,
            unanswered: Wall::default(),
            delay: Duration::ZERO,
            parts: None,
            tally: SourceTally::new(given.source),
        };
        // A log that ends before what was read of it is another log, made anew.
        if held.merged.reaches_beyond(given.high) {
            held.merged = Merged::default();
            self.say_left(given.source, threads);
        } else if let Some(last) = held.merged.resume(wanted) {
            let (from, through) = last.span;
            let next = Offset(through.0 + 1).max(given.low);
            (held.next, held.from, held.rewind, held.delay) = (next, from, last.rewind, last.delay);
            held.parts = last.parts;
            if let Some(decoder) = self.decoders.get_mut(usize::from(given.source.entry.0)) {
                decoder.take_over(given.source, last.fragments);
            }
            return held;
        } else if held.merged.forget() {
            // What it fed alone is counted anew; the rest of what it is read again for is not.
            self.say_left(given.source, threads);
        }
        if wanted < given.low && was_read {
            self.lost(
                given,
                format!(
                    "offsets {} to {} had left the log before windows that were open at the restart could be rebuilt \
                     from them",
                    wanted.0,
                    given.low.0 - 1
                ),
                now,
            );
        }
        held
    }

    /// Tells the shards that nobody here goes on behind what they hold of a source.
    fn say_left(&mut self, source: Source, threads: usize) {
        for thread in 0..threads {
            self.put(thread, Freight::Left(source));
        }
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
                crowd: None,
                series: Vec::new(),
            },
            participants: Vec::new(),
            samples: Vec::new(),
            entry: given.source.entry,
        });
    }

    /// Sources are to be given up. Lost ones have gone already: nothing to wait for, nothing to commit.
    pub(super) fn give_up<L: Log, X: Exchange, H: Host>(
        &mut self,
        log: &mut L,
        exchange: &mut X,
        host: &mut H,
        sources: &[Source],
        lost: bool,
    ) -> Result<(), WorkerFault> {
        if !lost && sources.iter().any(|source| self.held.contains_key(source)) {
            self.settle(log, exchange, host, self.knobs.revoke_within)?;
        }
        self.flush(log, exchange, host.now());
        for source in sources {
            self.leave(*source, host.now());
        }
        self.hand_on(exchange);
        log.release(sources).map_err(WorkerFault::Log)
    }

    /// Flushes, sends an urgent barrier and waits a bounded time for it to become durable and committed.
    pub(super) fn settle<L: Log, X: Exchange, H: Host>(
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
    pub(super) fn leave(&mut self, source: Source, now: Wall) {
        let Some(mut held) = self.held.remove(&source) else { return };
        let decoder = self.decoders.get_mut(usize::from(source.entry.0));
        let fragments = decoder.map(|decoder| decoder.give_up(source)).unwrap_or_default();
        if held.next > held.from {
            let Held { rewind, delay, parts, .. } = held;
            let span = (held.from, Offset(held.next.0 - 1));
            held.merged.add(span);
            held.merged.read(Last { span, rewind, delay, parts, fragments });
        }
        self.registry.leave(source, held.merged, self.id);
        self.owed.push(Owed { source, before: self.pieces, parts: false });
        self.left.insert(source, now.plus(self.knobs.return_within));
        self.combiner.end(source);
        self.tides.leave(source);
    }

    /// Entries wait no longer for sources that nobody of us has taken over in time.
    pub(super) fn part(&mut self, threads: usize, now: Wall) {
        let due: Vec<Source> =
            self.left.iter().filter(|(_, until)| **until <= now).map(|(source, _)| *source).collect();
        for source in due {
            self.left.remove(&source);
            if self.registry.owe(source, self.id) {
                self.say_left(source, threads);
                self.owed.push(Owed { source, before: self.pieces, parts: true });
            }
        }
    }
}
