//! Counts by sub-bucket of one key, kept only where there are any.
//!
//! A quiet key costs a few words; a busy one at most one entry for each bucket that is still open. Sums are over a
//! handful of entries that lie side by side.

/// The counts of one key, by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ring {
    /// `(bucket, count, matched)`, by bucket.
    entries: Vec<(i64, u64, u64)>,
}

/// The sums over one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) count: u64,
    pub(crate) matched: u64,
}

impl Ring {
    /// Adds to a bucket.
    pub(crate) fn add(&mut self, bucket: i64, count: u64, matched: u64) {
        // Records come almost in order: look at the end first.
        match self.entries.last_mut() {
            Some(last) if last.0 == bucket => {
                last.1 += count;
                last.2 += matched;
            }
            Some(last) if last.0 > bucket => {
                match self.entries.binary_search_by_key(&bucket, |entry| entry.0) {
                    Ok(at) => {
                        self.entries[at].1 += count;
                        self.entries[at].2 += matched;
                    }
                    Err(at) => self.entries.insert(at, (bucket, count, matched)),
                }
            }
            _ => self.entries.push((bucket, count, matched)),
        }
    }

    fn from(&self, bucket: i64) -> usize {
        self.entries.partition_point(|entry| entry.0 < bucket)
    }

    fn within(&self, first: i64, last: i64) -> &[(i64, u64, u64)] {
        let from = self.from(first);
        let to = self.from(last.saturating_add(1));
        &self.entries[from..to.max(from)]
    }

    /// The sums over the window that ends with `bucket`.
    pub(crate) fn window(&self, bucket: i64) -> Sums {
        let mut sums = Sums::default();
        for (_, count, matched) in self.within(bucket - crate::plan::BUCKETS + 1, bucket) {
            sums.count += count;
            sums.matched += matched;
        }
        sums
    }

    /// The first bucket with anything in it of the window that ends with `bucket`.
    pub(crate) fn first_in_window(&self, bucket: i64) -> Option<i64> {
        self.within(bucket - crate::plan::BUCKETS + 1, bucket).first().map(|entry| entry.0)
    }

    /// The last bucket with anything in it of the window that ends with `bucket`.
    pub(crate) fn last_in_window(&self, bucket: i64) -> Option<i64> {
        self.within(bucket - crate::plan::BUCKETS + 1, bucket).last().map(|entry| entry.0)
    }

    /// The buckets with anything in them among `first..=last`.
    pub(crate) fn buckets(&self, first: i64, last: i64) -> impl Iterator<Item = i64> + '_ {
        self.within(first, last).iter().map(|entry| entry.0)
    }

    /// The first and last bucket with anything in them.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        Some((self.entries.first()?.0, self.entries.last()?.0))
    }

    /// Everything counted.
    pub(crate) fn total(&self) -> u64 {
        self.entries.iter().map(|entry| entry.1).sum()
    }

    /// Forgets buckets before this one.
    pub(crate) fn forget_before(&mut self, bucket: i64) {
        let gone = self.from(bucket);
        if gone > 0 {
            self.entries.drain(..gone);
            if self.entries.capacity() > 4 * self.entries.len().max(4) {
                self.entries.shrink_to_fit();
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<(i64, u64, u64)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_a_naive_recount(adds in prop::collection::vec((0i64..200, 1u64..5), 0..200), bucket in 0i64..260) {
            let mut ring = Ring::default();
            for (at, count) in &adds {
                ring.add(*at, *count, 0);
            }
            let naive: u64 = adds.iter().filter(|(at, _)| (bucket - 59..=bucket).contains(at)).map(|(_, count)| count).sum();
            prop_assert_eq!(ring.window(bucket).count, naive);
        }
    }
}
