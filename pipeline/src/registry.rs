//! What the shards of this process already hold of each source, so that a partition that moves between two workers,
//! or away and back, is never counted twice. Touched only when sources come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use beaconfire_decode::Fragments;
use beaconfire_model::{EventTime, Offset, Source};

use crate::{Rewind, WorkerId};

/// Spans remembered of one source. More come about only where it goes back and forth between processes all the time;
/// then the oldest are the first to be behind every window.
const SPANS_MAX: usize = 64;

/// Offsets, the first and the last.
pub(crate) type Span = (Offset, Offset);

/// How a source was read last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last {
    /// From where to where.
    pub(crate) span: Span,
    /// The index of unfinished windows that belongs to that.
    pub(crate) rewind: Rewind,
    /// How far its newest event lay behind when it came: silence says nothing of what is nearer than that.
    pub(crate) delay: Duration,
    /// Where the oldest line begins that came in parts and is not whole yet, and the largest event time before.
    pub(crate) parts: Option<(Offset, Option<EventTime>)>,
    /// Those lines.
    pub(crate) fragments: Fragments,
}

/// What the shards hold of a source, and what is needed to go on behind it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Merged {
    /// What was merged, in ascending order, apart from each other.
    spans: Vec<Span>,
    last: Option<Last>,
    /// The shards were told that the source has left: what it fed alone is forgotten.
    forgotten: bool,
}

impl Merged {
    /// Adds a span, and joins what touches.
    pub(crate) fn add(&mut self, span: Span) {
        self.spans.push(span);
        self.spans.sort_unstable();
        self.spans.dedup_by(|next, held| {
            let touches = next.0.0 <= held.1.0 + 1;
            if touches {
                held.1 = held.1.max(next.1);
            }
            touches
        });
        if self.spans.len() > SPANS_MAX {
            self.spans.remove(0);
        }
    }

    /// Notes how it was read last.
    pub(crate) fn read(&mut self, last: Last) {
        self.last = Some(last);
        self.forgotten = false;
    }

    /// Nobody goes on behind this; whether the shards are to be told.
    pub(crate) fn forget(&mut self) -> bool {
        let news = !self.forgotten && !self.spans.is_empty();
        self.forgotten = true;
        self.last = None;
        news
    }

    /// Whether offsets were merged that a log which ends at `high` cannot have.
    pub(crate) fn reaches_beyond(&self, high: Offset) -> bool {
        self.spans.last().is_some_and(|held| held.1 >= high)
    }

    /// Where reading can go on behind everything that was merged, because reading from `at` would bring nothing else, and
    /// the index of what was read last reaches back so far: what was read, and that index.
    pub(crate) fn resume(&mut self, at: Offset) -> Option<Last> {
        let (from, through) = self.last.as_ref()?.span;
        let whole = self.spans.last().is_some_and(|held| held.0 <= from && held.1 == through);
        if whole && !self.forgotten && (from..=Offset(through.0 + 1)).contains(&at) {
            return self.last.take();
        }
        None
    }

    /// Whether this offset was merged.
    pub(crate) fn holds(&self, offset: Offset) -> bool {
        let behind = self.spans.partition_point(|(from, _)| *from <= offset);
        behind.checked_sub(1).is_some_and(|at| offset <= self.spans[at].1)
    }
}

/// Another worker of this process has not given the source up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StillHeld;

/// The spans of all sources that this process has read.
#[derive(Debug, Default)]
pub struct Registry(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    merged: BTreeMap<Source, Merged>,
    /// Who reads what.
    with: BTreeMap<Source, WorkerId>,
    /// Sources that somebody gave up and nobody has taken over yet, with who gave them up: one of our workers may,
    /// and until it is too late for that their entry waits for them.
    between: BTreeMap<Source, WorkerId>,
    /// Sources of which the worker that gave them up still has freight that found its queue full.
    owed: BTreeSet<Source>,
}

impl Registry {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        // Every write leaves the map whole, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A worker gives a source up, and says what the shards hold of it.
    pub(crate) fn leave(&self, source: Source, merged: Merged, worker: WorkerId) {
        let mut held = self.held();
        held.with.remove(&source);
        held.merged.insert(source, merged);
        held.owed.insert(source);
        held.between.insert(source, worker);
    }

    /// Everything of this source is in the shards' queues: who has it now may send.
    pub(crate) fn delivered(&self, source: Source) {
        self.held().owed.remove(&source);
    }

    /// Whether somebody still has freight of this source that must go first.
    pub(crate) fn is_owed(&self, source: Source) -> bool {
        self.held().owed.contains(&source)
    }

    /// A worker takes a source over, unless another still has it.
    pub(crate) fn take(&self, source: Source, worker: WorkerId) -> Result<Merged, StillHeld> {
        let mut held = self.held();
        if held.with.get(&source).is_some_and(|other| *other != worker) {
            return Err(StillHeld);
        }
        held.with.insert(source, worker);
        held.between.remove(&source);
        Ok(held.merged.remove(&source).unwrap_or_default())
    }

    /// Whether nobody has taken over what this worker gave up; then whoever does so from now on waits until the shards
    /// have heard that it left.
    pub(crate) fn owe(&self, source: Source, worker: WorkerId) -> bool {
        let mut held = self.held();
        let is_between = held.between.get(&source) == Some(&worker);
        if is_between {
            held.owed.insert(source);
            held.merged.entry(source).or_default().forget();
        }
        is_between
    }

    /// Waits no longer for a source that this worker gave up. Where nobody has taken it over, `gone` is called before
    /// anybody can.
    pub(crate) fn part(&self, source: Source, worker: WorkerId, gone: impl FnOnce()) {
        let mut held = self.held();
        if held.between.get(&source) == Some(&worker) {
            held.between.remove(&source);
            gone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(of: &[(i64, i64)]) -> Merged {
        let mut merged = Merged::default();
        for (from, through) in of {
            merged.add((Offset(*from), Offset(*through)));
        }
        merged
    }

    #[test]
    fn spans_that_touch_are_one() {
        let merged = spans(&[(150, 200), (0, 100), (101, 120), (130, 140), (90, 110)]);
        assert_eq!(
            merged.spans.iter().map(|(a, b)| (a.0, b.0)).collect::<Vec<_>>(),
            [(0, 120), (130, 140), (150, 200)]
        );
        for (offset, held) in [
            (0, true),
            (120, true),
            (121, false),
            (129, false),
            (130, true),
            (149, false),
            (200, true),
            (201, false),
        ] {
            assert_eq!(merged.holds(Offset(offset)), held, "{offset}");
        }
    }

    #[test]
    fn reading_goes_on_behind_what_is_held_only_where_its_index_covers_that() {
        let resumed = |last: (i64, i64), at: i64| {
            let mut merged = spans(&[(0, 100), (150, 200)]);
            let span = (Offset(last.0), Offset(last.1));
            merged.read(Last { span, ..Last::default() });
            merged.resume(Offset(at)).map(|last| last.span.1.0 + 1)
        };
        assert_eq!(resumed((150, 200), 160), Some(201));
        assert_eq!(resumed((150, 200), 201), Some(201));
        // There is a hole behind, the index does not reach back so far, or there are records in between.
        assert_eq!(resumed((0, 100), 50), None);
        assert_eq!(resumed((150, 200), 90), None);
        assert_eq!(resumed((150, 200), 202), None);
    }
}
