//! Counts by sub-bucket of one key, kept only where there are any.
//!
//! A quiet key costs a few words and nothing on the heap, a busy one 8 bytes for each bucket that is still needed (16
//! where counts are large or carry a mark). A window's value changes only where a count enters it or leaves it, so
//! reading a stretch of buckets is one pass over the counts.

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
    /// Values, of which only the different ones count: not kept in rings.
    Distinct,
}

impl Shape {
    fn pack(self, count: u64, mark: u64) -> u64 {
        match self {
            Self::Plain | Self::Distinct => count,
            Self::Paired | Self::Graded => low(count) | low(mark) << 32,
        }
    }

    fn unpack(self, packed: u64) -> (u64, u64) {
        match self {
            Self::Plain | Self::Distinct => (packed, 0),
            Self::Paired | Self::Graded => (packed & u64::from(u32::MAX), packed >> 32),
        }
    }

    fn join(self, packed: u64, count: u64, mark: u64) -> u64 {
        let (held_count, held_mark) = self.unpack(packed);
        let mark = match self {
            Self::Plain | Self::Distinct => 0,
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

/// A bucket as its distance from the first one, and its count.
type Near = (i32, u32);

/// So many buckets stand in the cell itself: most keys never have more, and reading them waits for memory once less.
const FEW: usize = 4;

/// Entries by bucket, in half the room while they fit: buckets as distances from the first one, counts in 32 bits.
#[derive(Debug, Clone)]
enum Entries {
    Few { origin: i64, len: u8, held: [Near; FEW] },
    Narrow { origin: i64, held: Vec<Near> },
    Wide(Vec<Entry>),
}

impl Default for Entries {
    fn default() -> Self {
        Self::Few { origin: 0, len: 0, held: [(0, 0); FEW] }
    }
}

/// Vectors grow by doubling, and from what they hold: the heap is counted to the byte.
fn insert<T>(held: &mut Vec<T>, at: usize, value: T) {
    if held.len() == held.capacity() {
        held.reserve_exact(held.len().max(1));
    }
    held.insert(at, value);
}

/// Forgets the first so many.
fn forget<T>(held: &mut Vec<T>, gone: usize) {
    held.drain(..gone);
    if held.capacity() > 4 * held.len() {
        held.shrink_to(2 * held.len());
    }
}

/// Those that are in use.
fn used(held: &[Near; FEW], len: u8) -> &[Near] {
    &held[..usize::from(len).min(FEW)]
}

impl Entries {
    /// These, in as little room as they fit into.
    fn of(origin: i64, from: &[Near]) -> Self {
        let mut held = [(0, 0); FEW];
        match held.get_mut(..from.len()) {
            Some(room) => {
                room.copy_from_slice(from);
                // At most `FEW`.
                Self::Few { origin, len: from.len() as u8, held }
            }
            None => Self::Narrow { origin, held: from.to_vec() },
        }
    }

    /// The narrow form, where they have it.
    fn near(&self) -> Option<(i64, &[Near])> {
        match self {
            Self::Few { origin, len, held } => Some((*origin, used(held, *len))),
            Self::Narrow { origin, held } => Some((*origin, held)),
            Self::Wide(_) => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few { len, .. } => usize::from(*len),
            Self::Narrow { held, .. } => held.len(),
            Self::Wide(held) => held.len(),
        }
    }

    fn get(&self, at: usize) -> Option<Entry> {
        let entry = |origin: i64, near: &Near| Entry {
            bucket: origin + i64::from(near.0),
            packed: u64::from(near.1),
        };
        match self {
            Self::Few { origin, len, held } => used(held, *len).get(at).map(|near| entry(*origin, near)),
            Self::Narrow { origin, held } => held.get(at).map(|near| entry(*origin, near)),
            Self::Wide(held) => held.get(at).copied(),
        }
    }

    fn last(&self) -> Option<Entry> {
        self.get(self.len().wrapping_sub(1))
    }

    /// The first entry at or after a bucket.
    fn from(&self, bucket: i64) -> usize {
        match self {
            Self::Wide(held) => held.partition_point(|entry| entry.bucket < bucket),
            Self::Few { .. } | Self::Narrow { .. } => self.near().map_or(0, |(origin, held)| {
                held.partition_point(|(distance, _)| origin + i64::from(*distance) < bucket)
            }),
        }
    }

    /// Puts an entry in place of the one at `at`, or before it.
    fn put(&mut self, at: usize, entry: Entry, replaces: bool) {
        if !self.put_near(at, entry, replaces) {
            let held = self.widen();
            match held.get_mut(at).filter(|_| replaces) {
                Some(held) => *held = entry,
                None => insert(held, at, entry),
            }
        }
    }

    /// The same in the narrow form; `false` where that cannot hold it.
    fn put_near(&mut self, at: usize, entry: Entry, replaces: bool) -> bool {
        let Some((origin, held)) = self.near() else { return false };
        let origin = if held.is_empty() { entry.bucket } else { origin };
        let distance = entry.bucket.checked_sub(origin).and_then(|far| i32::try_from(far).ok());
        let (Some(distance), Ok(count)) = (distance, u32::try_from(entry.packed)) else { return false };
        match self {
            Self::Few { origin: first, len, held } => {
                *first = origin;
                if replaces {
                    held[at].1 = count;
                    return true;
                }
                if usize::from(*len) < FEW {
                    held.copy_within(at..usize::from(*len), at + 1);
                    held[at] = (distance, count);
                    *len += 1;
                    return true;
                }
                let mut held = held.to_vec();
                insert(&mut held, at, (distance, count));
                *self = Self::Narrow { origin, held };
            }
            Self::Narrow { held, .. } => match held.get_mut(at).filter(|_| replaces) {
                Some(held) => held.1 = count,
                None => insert(held, at, (distance, count)),
            },
            Self::Wide(_) => return false,
        }
        true
    }

    fn widen(&mut self) -> &mut Vec<Entry> {
        loop {
            match self {
                Self::Wide(held) => return held,
                Self::Few { .. } | Self::Narrow { .. } => {
                    *self = Self::Wide((0..self.len()).filter_map(|at| self.get(at)).collect())
                }
            }
        }
    }

    fn pop(&mut self) {
        match self {
            Self::Few { len, .. } => *len = len.saturating_sub(1),
            Self::Narrow { held, .. } => drop(held.pop()),
            Self::Wide(held) => drop(held.pop()),
        }
    }

    fn forget(&mut self, gone: usize) {
        match self {
            Self::Few { .. } => {}
            Self::Narrow { held, .. } if held.len() - gone > FEW => return forget(held, gone),
            Self::Narrow { .. } => {}
            Self::Wide(held) => return forget(held, gone),
        }
        if let Some((origin, held)) = self.near() {
            *self = Self::of(origin, &held[gone..]);
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Few { .. } => 0,
            Self::Narrow { held, .. } => held.capacity() * size_of::<Near>(),
            Self::Wide(held) => held.capacity() * size_of::<Entry>(),
        }
    }
}

/// The counts of one key, by bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ring {
    entries: Entries,
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
            Some(last) if last.bucket > bucket => self.entries.from(bucket),
            _ => self.entries.len(),
        };
        match self.entries.get(at).filter(|entry| entry.bucket == bucket) {
            Some(entry) => {
                self.entries.put(at, Entry { bucket, packed: shape.join(entry.packed, count, mark) }, true);
            }
            None => self.entries.put(at, Entry { bucket, packed: shape.pack(count, mark) }, false),
        }
        let fits = self.entries.len() <= most;
        if !fits {
            self.entries.pop();
        }
        fits
    }

    /// Hands on the windows that end in `settled + 1 ..= through`, in stretches of one value. Where nothing was
    /// `settled` yet, from the first bucket with anything in it.
    pub(crate) fn walk(&self, shape: Shape, settled: Option<i64>, through: i64, each: impl FnMut(Segment)) {
        // Which form they have is asked once, not for each of them.
        match &self.entries {
            Entries::Wide(held) => {
                self.walk_over(shape, (held.len(), |at: usize| held[at]), (settled, through), each);
            }
            Entries::Few { .. } | Entries::Narrow { .. } => {
                let (origin, held) = self.entries.near().unwrap_or_default();
                let entry = |at: usize| {
                    let (distance, count) = held[at];
                    Entry { bucket: origin + i64::from(distance), packed: u64::from(count) }
                };
                self.walk_over(shape, (held.len(), entry), (settled, through), each);
            }
        }
    }

    fn walk_over(
        &self,
        shape: Shape,
        (len, entry): (usize, impl Fn(usize) -> Entry),
        (settled, through): (Option<i64>, i64),
        mut each: impl FnMut(Segment),
    ) {
        let get = |at: usize| (at < len).then(|| entry(at));
        let Some(first) = get(0) else {
            // Nothing but empty windows.
            if let Some(settled) = settled.filter(|settled| *settled < through) {
                let (from, to) = (settled + 1, through);
                each(Segment { from, to, count: 0, marks: 0, grade: 0, began: None });
            }
            return;
        };
        let settled = settled.unwrap_or(first.bucket - 1);
        let mut next_in = self.entries.from(settled + 1);
        let mut next_out = self.entries.from(settled - BUCKETS + 1);
        let (mut count, mut marks) = (0u128, 0u128);
        let sums = |entry: Entry| {
            let (count, mark) = shape.unpack(entry.packed);
            (u128::from(count), u128::from(mark))
        };
        for entry in (next_out..next_in).filter_map(get) {
            let (added, marked) = sums(entry);
            count += added;
            marks += marked;
        }
        let mut from = settled + 1;
        while from <= through {
            let mut grade = 0;
            while let Some(entry) = get(next_in).filter(|entry| entry.bucket <= from) {
                let (added, marked) = sums(entry);
                count += added;
                marks += marked;
                grade = grade.max(shape.unpack(entry.packed).1);
                next_in += 1;
            }
            let oldest = loop {
                let oldest = get(next_out).filter(|_| next_out < next_in);
                let Some(leaving) = oldest.filter(|entry| entry.bucket + BUCKETS <= from) else {
                    break oldest;
                };
                let (gone, unmarked) = sums(leaving);
                count -= gone;
                marks -= unmarked;
                next_out += 1;
            };
            let mut to = through;
            if let Some(entry) = get(next_in) {
                to = to.min(entry.bucket - 1);
            }
            if let Some(oldest) = oldest {
                to = to.min(oldest.bucket + BUCKETS - 1);
            }
            let began = oldest.map(|oldest| oldest.bucket);
            each(Segment { from, to, count, marks, grade, began });
            from = to + 1;
        }
    }

    /// The sum of the window that ends with `bucket`, and its first and last bucket with anything in it.
    pub(crate) fn window(&self, shape: Shape, bucket: i64) -> Option<(u128, i64, i64)> {
        let (from, to) = (self.entries.from(bucket - BUCKETS + 1), self.entries.from(bucket + 1));
        let window = || (from..to).filter_map(|at| self.entries.get(at));
        let last = self.entries.get(to.wrapping_sub(1)).filter(|_| from < to)?;
        let sum = window().map(|entry| u128::from(shape.unpack(entry.packed).0)).sum();
        Some((sum, self.entries.get(from)?.bucket, last.bucket))
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
        let gone = self.entries.from(bucket);
        if gone > 0 {
            self.entries.forget(gone);
            let left = (0..self.entries.len()).filter_map(|at| self.entries.get(at));
            self.total = left.fold(0, |sum: u64, entry| sum.saturating_add(shape.unpack(entry.packed).0));
        }
    }

    /// The same, only where that is at least half of it: a busy key is not moved about for every bucket that closes.
    pub(crate) fn trim_before(&mut self, shape: Shape, bucket: i64) {
        if 2 * self.entries.from(bucket) >= self.entries.len() {
            self.forget_before(shape, bucket);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Counts of 5 and more are made too large for the narrow form.
    fn filled(adds: &[(i64, u64)]) -> Ring {
        let mut ring = Ring::default();
        for (bucket, count) in adds {
            assert!(ring.add(Shape::Plain, *bucket, large(*count), 0, 1_000));
        }
        ring
    }

    fn large(count: u64) -> u64 {
        if count < 5 { count } else { count << 32 }
    }

    proptest! {
        #[test]
        fn stretches_are_those_of_a_naive_recount(
            adds in prop::collection::vec((prop_oneof![99 => -50i64..200, 1 => -(1i64 << 40)..(1 << 40)], prop_oneof![99 => 1u64..5, 1 => 5u64..7]), 0..100),
            settled in prop::option::of(-60i64..200),
            through in -60i64..300,
        ) {
            let ring = filled(&adds);
            // Distances may be vast: the last buckets tell.
            let shown = through - 400;
            let mut walked = Vec::new();
            ring.walk(Shape::Plain, settled, through, |segment| {
                assert!(segment.from <= segment.to);
                walked.extend((segment.from.max(shown)..=segment.to).map(|bucket| (bucket, segment.count)));
            });
            let start = settled.map(|settled| settled + 1).or(adds.iter().map(|add| add.0).min());
            let naive: Vec<(i64, u128)> = (start.unwrap_or(through + 1).max(shown)..=through)
                .map(|end| {
                    let within = |add: &&(i64, u64)| (end - BUCKETS + 1..=end).contains(&add.0);
                    (end, adds.iter().filter(within).map(|add| u128::from(large(add.1))).sum())
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
    fn a_quiet_key_has_nothing_on_the_heap_also_where_it_was_busy() {
        let few = FEW as i64;
        let mut ring = Ring::default();
        for bucket in 0..few {
            ring.add(Shape::Plain, bucket, 1, 0, 10);
        }
        assert_eq!(ring.bytes(), 0);
        ring.add(Shape::Plain, few, 1, 0, 10);
        assert!(ring.bytes() >= (FEW + 1) * size_of::<Near>());
        ring.forget_before(Shape::Plain, 1);
        assert_eq!((ring.bytes(), ring.total(), ring.newest()), (0, FEW as u64, Some(few)));
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
