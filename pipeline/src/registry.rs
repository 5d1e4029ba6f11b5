//! What the shards of this process already hold of each source, so that a partition that moves between two workers,
//! or away and back, is never counted twice. Touched only when sources come and go.

use std::collections::BTreeMap;
use std::sync::Mutex;

use beaconfire_model::{Offset, Source};

use crate::Rewind;

/// A span of offsets that the shards hold, and what is needed to go on behind it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    /// The first offset merged.
    pub(crate) covers_from: Offset,
    /// The last offset merged.
    pub(crate) merged_through: Offset,
    /// The index of the span's unfinished windows.
    pub(crate) rewind: Rewind,
}

/// The spans of all sources that this process has read.
#[derive(Debug, Default)]
pub struct Registry(Mutex<BTreeMap<Source, Span>>);

impl Registry {
    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<Source, Span>> {
        // Every write leaves the map whole, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn leave(&self, source: Source, span: Span) {
        self.held().insert(source, span);
    }

    pub(crate) fn take(&self, source: Source) -> Option<Span> {
        self.held().remove(&source)
    }
}
