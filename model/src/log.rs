//! The one trait with a stranger behind it: where records come from. Kafka, files and the simulated log of the
//! tests implement it.

use std::fmt;
use std::time::Duration;

use crate::{EntryId, EventTime, TopicId};

/// An offset in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub i64);

/// One partition of one entry of `kafka.topics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The entry.
    pub entry: EntryId,
    /// The topic (a pattern's entry has several).
    pub topic: TopicId,
    /// The partition.
    pub partition: i32,
}

/// One record, borrowed from the batch it came in.
#[derive(Debug, Clone, Copy)]
pub struct Record<'b> {
    /// Where it stands.
    pub source: Source,
    /// At which offset.
    pub offset: Offset,
    /// The log's own timestamp of it (Kafka's CreateTime or LogAppendTime); `None` where the log has none.
    pub stamped: Option<EventTime>,
    /// The value; `None` is a tombstone.
    pub payload: Option<&'b [u8]>,
}

/// A source that was given to us, with all that is needed to decide where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The source.
    pub source: Source,
    /// The group's committed offset and the metadata committed with it.
    pub committed: Option<(Offset, String)>,
    /// The log's first offset that can still be read.
    pub low: Offset,
    /// The offset after the log's last record.
    pub high: Offset,
    /// Where the configuration says to begin while nothing is committed (`start: latest | earliest | TIME`).
    pub fresh: Offset,
}

/// Where to begin reading a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The source.
    pub source: Source,
    /// The first offset to read.
    pub at: Offset,
}

/// What to commit for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The source.
    pub source: Source,
    /// The next offset to process.
    pub next: Offset,
    /// The rewind offset and the watermark's seed, as text (`v1;r=…;m=…;e=…`), at most 4,096 bytes.
    pub metadata: String,
}

/// What a poll brought.
#[derive(Debug)]
pub enum Turn {
    /// Nothing.
    Idle,
    /// Records: read them with [`Log::records`] before the next poll.
    Records,
    /// Sources were given to us. Nothing of them arrives before [`Log::start`].
    Assigned(Vec<Assignment>),
    /// Sources are to be given up: answer with [`Log::release`]. `lost` ones have already gone to another.
    Revoked {
        /// Which.
        sources: Vec<Source>,
        /// Whether they have already gone: then neither wait nor commit.
        lost: bool,
    },
    /// A source was read to its end.
    CaughtUp {
        /// Which.
        source: Source,
    },
    /// The log has ended and will bring nothing more (files; never Kafka).
    Ended,
}

/// What can go wrong with a log.
#[derive(Debug)]
pub enum LogFault {
    /// It will pass: try again.
    Retriable(String),
    /// Another member has our place: stop and say so.
    Fenced(String),
    /// Nothing but a restart helps.
    Fatal(String),
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retriable(said) => write!(f, "the log did not answer: {said}"),
            Self::Fenced(said) => write!(f, "another member of the group has this instance's name: {said}"),
            Self::Fatal(said) => write!(f, "the log failed for good: {said}"),
        }
    }
}

impl std::error::Error for LogFault {}

/// Where records come from. One thread owns it and keeps polling it, also while paused.
pub trait Log {
    /// Ends the previous batch and waits up to `wait` for something new.
    fn poll(&mut self, wait: Duration) -> Result<Turn, LogFault>;
    /// The records of the last [`Turn::Records`]. Apart from `Turn`, because a turn that carried the batch would keep
    /// the log borrowed while the loop answers it.
    fn records(&self) -> impl Iterator<Item = Record<'_>>;
    /// Answers [`Turn::Assigned`]: where to begin.
    fn start(&mut self, at: &[Start]) -> Result<(), LogFault>;
    /// Answers [`Turn::Revoked`].
    fn release(&mut self, sources: &[Source]) -> Result<(), LogFault>;
    /// Commits without waiting for the answer.
    fn commit(&mut self, offsets: &[Committed]) -> Result<(), LogFault>;
    /// Stops or goes on delivering records; polling continues either way. Once it goes on, a source that can grow and is
    /// at its end is told again as [`Turn::CaughtUp`]: what arrived meanwhile was not seen.
    fn pause(&mut self, held: bool) -> Result<(), LogFault>;
    /// Holds back single sources that have run too far ahead of the others of their entry: their records stay where
    /// they are until the source is no longer named. A log that cannot may ignore it.
    fn hold(&mut self, _ahead: &[Source]) {}
    /// Whether whoever keeps the log answers, as far as is known: while it does not, silence says nothing.
    fn answers(&self) -> bool {
        true
    }
    /// The same for one source, where the log has several keepers: asked only while the log as a whole answers.
    fn answers_for(&self, _source: Source) -> bool {
        true
    }
    /// Stops for good: whatever can be said to the broker in `within` is said.
    fn close(&mut self, _within: Duration) {}
}
