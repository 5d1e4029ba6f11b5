//! How far sources have come: what a worker tells the others of its own, and whom it holds back or no longer waits for.

use std::time::Duration;

use beaconfire_model::{EventTime, Log, Source, Wall};

use super::{Held, Worker};
use crate::Tide;

/// A log that answers again has not brought yet what came meanwhile.
const FETCHED_WITHIN: Duration = Duration::from_secs(3);

impl Worker {
    /// Reading stops or goes on: what arrives meanwhile is not seen, so nobody is taken to be read to its end until the
    /// log says so anew; and nobody has stalled who was not read.
    pub(super) fn doubt(&mut self, now: Wall) {
        for held in self.held.values_mut() {
            // What ends does not grow while it is not read.
            held.caught_up &= !self.knobs.live;
            held.live = false;
            held.moved = now;
        }
    }

    pub(super) fn caught_up(&mut self, source: Source, now: Wall) {
        if let Some(held) = self.held.get_mut(&source) {
            held.caught_up = true;
            held.live = true;
            held.moved = now;
        }
    }

    /// Nothing older than this will come from the source.
    pub(super) fn clearance(&self, source: Source, held: &Held) -> EventTime {
        let own = self.combiner.watermark(source);
        if !held.caught_up {
            return own;
        }
        // Not waited for any more: it has come as far as the others.
        let common = held.stalled.then(|| self.tides.common(source.entry)).flatten();
        own.max(self.clear_at_end(source, held)).max(common.unwrap_or(EventTime::MIN))
    }

    /// The same for one that is read to its end: as of when the log last answered for it, not of now. What came while we
    /// were waiting for something else, or while the log was away, has not been seen.
    fn clear_at_end(&self, source: Source, held: &Held) -> EventTime {
        let lateness = self.plan.entry(source.entry).lateness;
        match self.knobs.live {
            false => EventTime::MAX,
            true => held.answered.as_event_time().minus(held.delay).minus(lateness),
        }
    }

    /// Tells the other workers how far our sources are, and holds back those too far ahead of their entry.
    pub(super) fn note_tides<L: Log>(&mut self, log: &mut L, now: Wall) {
        let answers = log.answers();
        for (source, held) in &mut self.held {
            if !answers || !log.answers_for(*source) {
                held.unanswered = now;
            } else if now.since(held.unanswered) >= FETCHED_WITHIN {
                held.answered = self.polled_at;
            }
            // A source that stands still by our own will, or together with its log, says nothing of itself.
            if self.paused || !answers {
                held.moved = now;
            }
            // Whoever keeps it is away, and the log as a whole is not: others do not wait for that either.
            let unheard = answers && self.polled_at.since(held.answered) >= self.knobs.stall_after;
            let stands = self.knobs.live && now.since(held.moved) >= self.knobs.stall_after;
            // At its end it only waits for the clock, as far back as its last record lay: after one of yesterday all
            // others would wait with it until tomorrow, and nobody would be told.
            let lateness = self.plan.entry(source.entry).lateness;
            let lags = held.delay > lateness.saturating_add(self.knobs.drift);
            held.stalled = stands && (!held.caught_up || lags || unheard);
        }
        for (source, held) in &self.held {
            let tide = Tide {
                watermark: self.combiner.watermark(*source),
                clearance: self.clearance(*source, held),
                caught_up: held.caught_up,
                stalled: held.stalled,
                departed: false,
                moved: held.moved,
                disorder_millis: held.tally.disorder_millis(),
            };
            self.tides.set(*source, tide);
        }
        let mut ahead = Vec::new();
        for (source, held) in &self.held {
            let Some(common) = self.tides.common(source.entry) else { continue };
            if held.stalled {
                // It leaves the common minimum: the others' windows close without it.
                self.combiner.clear(*source, common);
            } else if held.caught_up {
                let clearance = self.clear_at_end(*source, held);
                self.combiner.clear(*source, clearance);
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
}
