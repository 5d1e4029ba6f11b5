//! What a worker counted since it was last asked. Pure crates count; the binary feeds its metrics from this.

use beaconfire_decode::{Format, Reject};
use beaconfire_model::{Source, TopicId};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counted {
    /// It held an event of this format.
    Decoded(Format),
    /// It did not.
    Rejected(Reject),
    /// Its event was older than its source's watermark.
    Late,
    /// Its time ran ahead of the log's stamp, which stands for it.
    Skewed,
    /// It was a part of a line whose rest is still to come.
    Partial,
}

/// Counts since the last take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    counts: Vec<(TopicId, Counted, u64)>,
    last: usize,
    /// Records read.
    pub records: u64,
    /// Records that held at least one event.
    pub decoded: u64,
    /// Events that came too late for their windows.
    pub late: u64,
    /// Requests that another log had told of, where the entry asks for it.
    pub copies: u64,
}

impl Tally {
    /// Counts one. The same thing counted twice in a row costs one comparison.
    pub fn count(&mut self, topic: TopicId, what: Counted) {
        if let Some((held, kind, n)) = self.counts.get_mut(self.last)
            && (*held, *kind) == (topic, what)
        {
            *n += 1;
            return;
        }
        self.last = match self.counts.iter().position(|(held, kind, _)| (*held, *kind) == (topic, what)) {
            Some(at) => at,
            None => {
                self.counts.push((topic, what, 0));
                self.counts.len() - 1
            }
        };
        self.counts[self.last].2 += 1;
    }

    /// What was counted, by topic and kind.
    pub fn counts(&self) -> impl Iterator<Item = (TopicId, Counted, u64)> + '_ {
        self.counts.iter().copied()
    }

    /// Hands over what was counted and begins anew.
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        for &(topic, what, n) in &other.counts {
            self.count(topic, what);
            self.counts[self.last].2 += n - 1;
        }
        self.records += other.records;
        self.decoded += other.decoded;
        self.late += other.late;
        self.copies += other.copies;
    }
}

/// How the records of one source arrive.
#[derive(Debug, Clone)]
pub struct SourceTally {
    /// The source.
    pub source: Source,
    /// Events by how far they lay behind the largest event time before them: slot n counts below 2^n milliseconds.
    behind: [u64; 48],
}

impl SourceTally {
    /// Nothing counted yet.
    pub fn new(source: Source) -> Self {
        Self { source, behind: [0; 48] }
    }

    /// Counts an event that lies so far behind.
    pub fn behind(&mut self, millis: u64) {
        let slot = (u64::BITS - millis.leading_zeros()) as usize;
        self.behind[slot.min(47)] += 1;
    }

    /// The lateness, in milliseconds, that would have covered 99.9 % of the records; a power of two.
    pub fn disorder_millis(&self) -> u64 {
        let total: u64 = self.behind.iter().sum();
        let allowed = total / 1000;
        let mut beyond = 0;
        for (slot, count) in self.behind.iter().enumerate().rev() {
            beyond += count;
            if beyond > allowed {
                return if slot == 0 { 0 } else { 1 << slot };
            }
        }
        0
    }
}
