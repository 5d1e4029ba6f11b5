//! Counts by sub-bucket of one key, kept only where there are any.
//!
//! A quiet key costs a few words, a busy one 16 bytes for each bucket that is still needed. A window's value changes
//! only where a count enters it or leaves it, so reading a stretch of buckets is one pass over the counts.

use crate::plan::BUCKETS;

/// What a count carries besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing: requests, bytes.
    Plain,
    /// How many of them matched: shares. Both saturate at 2^32 - 1 a bucket.
    Paired,
    /// The worst grade among them: findings.
    Graded,
}

impl Shape {
    fn pack(self, count: u64, mark: u64) -> u64 {
        match self {
            Self::Plain => count,
            Self::Paired | Self::Graded => low(count) | low(mark) << 32,
        }
    }

    fn unpack(self, packed: u64) -> (u64, u64) {
        match self {
            Self::Plain => (packed, 0),
            Self::Paired | Self::Graded => (packed & u64::from(u32::MAX), packed >> 32),
        }
    }

    fn join(self, packed: u64, count: u64, mark: u64) -> u64 {
        let (held_count, held_mark) = self.unpack(packed);
        let mark = match self {
            Self::Plain => 0,
            Self::Paired => held_mark.saturating_add(mark),
            Self::Graded => held_mark.max(mark),
        };
        self.pack(held_count.saturating_add(count), mark)
    }
}

fn low(value: u64) -> u64 {
    value.min(u64::from(u32::MAX))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    bucket: i64,
    packed: u64,
}

/// The counts of one key, by bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ring {
    entries: Vec<Entry>,
    /// At least the sum of all counts.
    total: u64,
}

/// Buckets whose windows have one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) count: u128,
    /// Of shares: how many matched.
    pub(crate) marks: u128,
    /// The worst grade among what enters at `from`.
    pub(crate) grade: u64,
    /// The first bucket with anything in it of the window that ends with `from`.
    pub(crate) began: Option<i64>,
}

impl Ring {
    /// Adds to a bucket. `false` where that cost the newest bucket: there are never more than `most`, so that whoever
    /// chooses the times of records cannot choose our memory. The newest goes, because older buckets close first.
    pub(crate) fn add(&mut self, shape: Shape, bucket: i64, count: u64, mark: u64, most: usize) -> bool {
        self.total = self.total.saturating_add(count);
        // Records come almost in order: look at the end first.
        let at = match self.entries.last() {
            Some(last) if last.bucket == bucket => self.entries.len() - 1,
            Some(last) if last.bucket > bucket => self.from(bucket),
            _ => self.entries.len(),
        };
        match self.entries.get_mut(at).filter(|entry| entry.bucket == bucket) {
            Some(entry) => entry.packed = shape.join(entry.packed, count, mark),
            None => {
                if self.entries.len() == self.entries.capacity() {
                    // Most keys have one bucket or two: grow from one.
                    self.entries.reserve_exact(self.entries.len().max(1));
                }
                self.entries.insert(at, Entry { bucket, packed: shape.pack(count, mark) });
            }
        }
        let fits = self.entries.len() <= most;
        if !fits {
            self.entries.pop();
        }
        fits
    }

    /// The first entry at or after a bucket.
    fn from(&self, bucket: i64) -> usize {
        self.entries.partition_point(|entry| entry.bucket < bucket)
    }

    /// Hands on the windows that end in `settled + 1 ..= through`, in stretches of one value. Where nothing was
    /// `settled` yet, from the first bucket with anything in it.
    pub(crate) fn walk(
        &self,
        shape: Shape,
        settled: Option<i64>,
        through: i64,
        mut each: impl FnMut(Segment),
    ) {
        let Some(first) = self.entries.first() else {
            // Nothing but empty windows.
            if let Some(settled) = settled.filter(|settled| *settled < through) {
                let (from, to) = (settled + 1, through);
                each(Segment { from, to, count: 0, marks: 0, grade: 0, began: None });
            }
            return;
        };
        let settled = settled.unwrap_or(first.bucket - 1);
        let mut next_in = self.from(settled + 1);
        let mut next_out = self.from(settled - BUCKETS + 1);
        let (mut count, mut marks) = (0u128, 0u128);
        let sums = |entry: &Entry| {
            let (count, mark) = shape.unpack(entry.packed);
            (u128::from(count), u128::from(mark))
        };
        for entry in &self.entries[next_out..next_in] {
            let (added, marked) = sums(entry);
            count += added;
            marks += marked;
        }
        let mut from = settled + 1;
        while from <= through {
            let mut grade = 0;
            while let Some(entry) = self.entries.get(next_in).filter(|entry| entry.bucket <= from) {
                let (added, marked) = sums(entry);
                count += added;
                marks += marked;
                grade = grade.max(shape.unpack(entry.packed).1);
                next_in += 1;
            }
            while next_out < next_in && self.entries[next_out].bucket + BUCKETS <= from {
                let (gone, unmarked) = sums(&self.entries[next_out]);
                count -= gone;
                marks -= unmarked;
                next_out += 1;
            }
            let mut to = through;
            if let Some(entry) = self.entries.get(next_in) {
                to = to.min(entry.bucket - 1);
            }
            let mut began = None;
            if next_out < next_in {
                to = to.min(self.entries[next_out].bucket + BUCKETS - 1);
                began = Some(self.entries[next_out].bucket);
            }
            each(Segment { from, to, count, marks, grade, began });
            from = to + 1;
        }
    }

    /// The sum of the window that ends with `bucket`, and its first and last bucket with anything in it.
    pub(crate) fn window(&self, shape: Shape, bucket: i64) -> Option<(u128, i64, i64)> {
        let window = &self.entries[self.from(bucket - BUCKETS + 1)..self.from(bucket + 1)];
        let (first, last) = (window.first()?.bucket, window.last()?.bucket);
        Some((window.iter().map(|entry| u128::from(shape.unpack(entry.packed).0)).sum(), first, last))
    }

    /// The newest bucket with anything in it.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.entries.last().map(|entry| entry.bucket)
    }

    /// At least everything counted and not forgotten.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Forgets buckets before this one.
    pub(crate) fn forget_before(&mut self, shape: Shape, bucket: i64) {
        let gone = self.from(bucket);
        if gone > 0 {
            self.entries.drain(..gone);
            self.total = self
                .entries
                .iter()
                .fold(0, |sum: u64, entry| sum.saturating_add(shape.unpack(entry.packed).0));
            if self.entries.capacity() > 4 * self.entries.len() {
                self.entries.shrink_to(2 * self.entries.len());
            }
        }
    }

    /// The same, only where that is at least half of it: a busy key is not moved about for every bucket that closes.
    pub(crate) fn trim_before(&mut self, shape: Shape, bucket: i64) {
        if 2 * self.from(bucket) >= self.entries.len() {
            self.forget_before(shape, bucket);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filled(adds: &[(i64, u64)]) -> Ring {
        let mut ring = Ring::default();
        for (bucket, count) in adds {
            assert!(ring.add(Shape::Plain, *bucket, *count, 0, 1_000));
        }
        ring
    }

    proptest! {
        #[test]
        fn stretches_are_those_of_a_naive_recount(
            adds in prop::collection::vec((-50i64..200, 1u64..5), 0..100),
            settled in prop::option::of(-60i64..200),
            through in -60i64..300,
        ) {
            let ring = filled(&adds);
            let mut walked = Vec::new();
            ring.walk(Shape::Plain, settled, through, |segment| {
                assert!(segment.from <= segment.to);
                walked.extend((segment.from..=segment.to).map(|bucket| (bucket, segment.count)));
            });
            let start = settled.map(|settled| settled + 1).or(adds.iter().map(|add| add.0).min());
            let naive: Vec<(i64, u128)> = (start.unwrap_or(through + 1)..=through)
                .map(|end| {
                    let within = |add: &&(i64, u64)| (end - BUCKETS + 1..=end).contains(&add.0);
                    (end, adds.iter().filter(within).map(|add| u128::from(add.1)).sum())
                })
                .collect();
            for (end, sum) in &naive {
                prop_assert_eq!(ring.window(Shape::Plain, *end).map_or(0, |window| window.0), *sum);
            }
            prop_assert_eq!(walked, naive);
        }

        /// What is forgotten is missed by no window that is still read.
        #[test]
        fn forgetting_leaves_later_windows_alone(adds in prop::collection::vec((0i64..200, 1u64..5), 1..100), settled in 0i64..200) {
            let whole = filled(&adds);
            let mut cut = whole.clone();
            cut.forget_before(Shape::Plain, settled - BUCKETS + 2);
            let read = |ring: &Ring| {
                let mut counts = Vec::new();
                ring.walk(Shape::Plain, Some(settled), 300, |at| counts.push((at.from, at.to, at.count)));
                counts.retain(|at| at.0 > settled);
                counts
            };
            prop_assert_eq!(read(&whole), read(&cut));
        }
    }

    #[test]
    fn the_newest_bucket_goes_where_there_are_too_many() {
        let mut ring = Ring::default();
        for bucket in 0..10 {
            assert_eq!(ring.add(Shape::Plain, bucket, 1, 0, 5), bucket < 5);
        }
        assert!(!ring.add(Shape::Plain, -1, 1, 0, 5));
        assert_eq!(ring.newest(), Some(3));
    }

    #[test]
    fn absurd_counts_saturate() {
        let mut ring = Ring::default();
        for bucket in [1, 1, 2] {
            ring.add(Shape::Plain, bucket, u64::MAX, 0, 10);
            ring.add(Shape::Plain, bucket, 7, 0, 10);
        }
        assert_eq!(ring.window(Shape::Plain, 2), Some((2 * u128::from(u64::MAX), 1, 2)));
        assert_eq!(ring.total(), u64::MAX);
    }
}
