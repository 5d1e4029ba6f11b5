//! What the shards of this process already hold of each source, so that a partition that moves between two workers,
//! or away and back, is never counted twice. Touched only when sources come and go.
//!
//! A source that was given up mostly comes back within seconds, to another worker of this process. Until it does, or
//! has been away for so long that somebody else must have it, it goes on holding its entry back: its windows stay as
//! they are, and whoever takes it goes on behind them. After that the shards forget what they can of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use beaconfire_model::{Offset, Source, Wall};

use crate::{Rewind, WorkerId};

/// A span of offsets that the shards hold, and what is needed to go on behind it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// The first offset merged.
    pub(crate) covers_from: Offset,
    /// The offset behind the last one merged.
    pub(crate) next: Offset,
    /// The index of the span's unfinished windows.
    pub(crate) rewind: Rewind,
    /// How far its newest event lay behind when it came: as far as that, silence is no end.
    pub(crate) delay: Duration,
    /// How often the shards have been told that the source left.
    pub(crate) departures: u32,
    /// Since when nobody here reads it.
    pub(crate) since: Wall,
    /// Whether the shards still hold all of it.
    pub(crate) whole: bool,
}

/// What became of a source that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Another worker of this process has it.
    Here,
    /// It may come back.
    Expected,
    /// It is gone: the shards are to be told, with this count.
    Gone(u32),
}

/// Another worker of this process has not given the source up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StillHeld;

#[derive(Debug)]
enum Place {
    /// This worker reads it.
    With(WorkerId),
    /// It was given up.
    Left(Span),
}

/// The sources that this process reads, and the spans of those that it has read.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<Source, Place>>);

impl Registry {
    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<Source, Place>> {
        // Every write leaves the map whole, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn leave(&self, source: Source, span: Span) {
        self.held().insert(source, Place::Left(span));
    }

    /// The source is this worker's from now on; what the shards hold of it. After a suspend a worker can be given what
    /// another has lost and does not know yet: both reading it would count twice.
    pub(crate) fn take(&self, source: Source, worker: WorkerId) -> Result<Option<Span>, StillHeld> {
        let mut held = self.held();
        if let Some(Place::With(other)) = held.get(&source)
            && *other != worker
        {
            return Err(StillHeld);
        }
        match held.insert(source, Place::With(worker)) {
            Some(Place::Left(span)) => Ok(Some(span)),
            Some(Place::With(_)) | None => Ok(None),
        }
    }

    /// Where a source is that was given up here, `patience` being how long it may take to come back.
    pub(crate) fn whereabouts(&self, source: Source, now: Wall, patience: Duration) -> Whereabouts {
        let mut held = self.held();
        let Some(Place::Left(span)) = held.get_mut(&source) else { return Whereabouts::Here };
        if !span.whole {
            // Somebody has seen to it.
            return Whereabouts::Here;
        }
        if now.since(span.since) < patience {
            return Whereabouts::Expected;
        }
        span.whole = false;
        span.departures += 1;
        Whereabouts::Gone(span.departures)
    }
}
