//! What travels from workers through shards to the keeper, and back.

use std::collections::BTreeMap;

use beaconfire_detect::{Learned, Parcel};
use beaconfire_model::{EntryId, EventTime, Offset, Signal, Source};

/// A worker, by its place in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub usize);

/// "Everything before this is on its way": sent behind a worker's parcels into every shard's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// Whose it is.
    pub worker: WorkerId,
    /// Which of that worker's barriers; one is in flight for each worker.
    pub number: u64,
    /// How far each of the worker's sources had come.
    pub sources: Vec<Mark>,
    /// For each entry with a run in hand that could be lost: from when on records are needed to find it again. Shards
    /// fill it in as the barrier passes; what they say is joined by minimum.
    pub floors: BTreeMap<EntryId, EventTime>,
}

impl Barrier {
    /// Takes over what a shard needs for its runs to be found again.
    pub(crate) fn hold_back(&mut self, floors: BTreeMap<EntryId, EventTime>) {
        for (entry, floor) in floors {
            self.floors.entry(entry).and_modify(|held| *held = floor.min(*held)).or_insert(floor);
        }
    }
}

/// How far one source had come when the barrier was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The source.
    pub source: Source,
    /// Which assignment of it: a commit asks that it still be the same.
    pub epoch: i64,
    /// The next offset to process.
    pub next: Offset,
    /// The offset from which every unfinished window can be rebuilt.
    pub rewind: Offset,
    /// The largest event time before `rewind`: seeds the watermark when reading begins there.
    pub seed: Option<EventTime>,
    /// Nothing older than this will come from the source; `None` while it is still being rewound, when what it knows
    /// is less than what is recorded.
    pub clearance: Option<EventTime>,
}

/// A barrier whose signals are durable. The keeper's caller makes it, in one place, after the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// States that everything behind `inner` is durable. To be called where the store's transaction returned, and
    /// nowhere else.
    pub fn vouch(inner: T) -> Self {
        Self(inner)
    }

    /// What is durable, to look at.
    pub fn inner(&self) -> &T {
        &self.0
    }

    /// What is durable.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What a worker sends to a shard's thread. First in, first out.
#[derive(Debug)]
pub enum Freight {
    /// Partial aggregates.
    Parcel(Box<Parcel>),
    /// A source is no longer read by this process, or not from where it was left.
    Left(Source),
    /// A fact that the worker states itself: records were lost to retention.
    Fact(Box<Signal>),
    /// Pass it on behind your signals.
    Barrier(Barrier),
}

/// The way from workers to shards.
pub trait Exchange {
    /// How many shard threads there are.
    fn threads(&self) -> usize;
    /// Puts freight into a thread's queue, or gives it back where the queue is full. Never waits.
    fn send(&mut self, thread: usize, freight: Freight) -> Result<(), Box<Freight>>;
}

/// What a shard's thread hands to the keeper.
#[derive(Debug)]
pub struct Report {
    /// Which thread.
    pub thread: usize,
    /// What it found.
    pub signals: Vec<Signal>,
    /// What it learned of series.
    pub learned: Vec<Learned>,
    /// A barrier that it passes on, behind those signals.
    pub barrier: Option<Barrier>,
}
