//! How many different values a key had in a window.
//!
//! A value that occurs in bucket `b` is in the windows that end with `b` to `b + 59`, so of each value only the stretches
//! of windows it is in are kept, and a window's number is the number of stretches over it. That is exact while no more
//! than 8,192 stretches are kept (of a window, and of what may still change); beyond, every second value (by its hash) is
//! left out, again and again, and those that are left stand for all. Then a window's number is what it surely is: three
//! standard errors below the estimate, which is 10 % where 1,000 of its values are left and 30 % where there are 100.
//! Values are told apart by 32 bits of a seeded hash: of 1,024 values two are taken for one in one window of some 8,000.

use crate::plan::BUCKETS;
use crate::ring::Segment;

/// Stretches of one key; beyond, values are sampled.
const SPANS_MAX: usize = 8_192;

/// Distances beyond this are counted anew when something is forgotten.
const ORIGIN_MAX: i32 = 1 << 29;

/// Windows that one value is in, without a gap, as distances from the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    value: u32,
    from: i32,
    /// The first window without it.
    to: i32,
}

/// The values of one key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Distinct {
    origin: i64,
    /// By value, then by time.
    spans: Vec<Span>,
    /// By how much the number changes from one window to the next, where it does.
    steps: Vec<(i32, i32)>,
    newest: i32,
    /// Only values whose hash begins with so many zeros are kept.
    level: u8,
}

/// Makes room for one more. Vectors grow by half: the heap is counted to the byte.
fn grow<T>(held: &mut Vec<T>) {
    if held.len() == held.capacity() {
        held.reserve_exact(held.len() / 2 + 2);
    }
}

impl Distinct {
    /// Adds a value to a bucket. `false` where that cost something: values were left out, or it lay too far away.
    pub(crate) fn add(&mut self, bucket: i64, value: u32) -> bool {
        if self.spans.is_empty() {
            *self = Self { origin: bucket, newest: i32::MIN, level: self.level, ..Self::default() };
        }
        // Windows are counted forward from here for a while, too.
        let distance = bucket.checked_sub(self.origin).filter(|far| far.unsigned_abs() < i32::MAX as u64 / 2);
        let Some(at) = distance.and_then(|far| i32::try_from(far).ok()) else { return false };
        if !self.is_kept(value) {
            return true;
        }
        self.newest = self.newest.max(at);
        self.join(Span { value, from: at, to: at + BUCKETS as i32 });
        if self.spans.len() <= SPANS_MAX {
            return true;
        }
        while self.spans.len() > SPANS_MAX && self.level < 31 {
            self.thin();
        }
        false
    }

    fn is_kept(&self, value: u32) -> bool {
        value.leading_zeros() >= u32::from(self.level)
    }

    /// Adds a stretch, or lengthens those of the same value that it touches.
    fn join(&mut self, new: Span) {
        let value = new.value;
        let mut at = self.spans.partition_point(|span| (span.value, span.to) < (value, new.from));
        let mut joined = new;
        let mut touched = 0;
        while let Some(span) =
            self.spans.get(at + touched).filter(|span| span.value == value && span.from <= new.to)
        {
            joined.from = joined.from.min(span.from);
            joined.to = joined.to.max(span.to);
            touched += 1;
        }
        if touched == 1 && self.spans[at] == joined {
            return;
        }
        for gone in at..at + touched {
            let Span { from, to, .. } = self.spans[gone];
            if from != joined.from {
                self.step(from, -1);
            }
            if to != joined.to {
                self.step(to, 1);
            }
        }
        let kept = |edge: fn(&Span) -> i32| {
            self.spans[at..at + touched].iter().any(|span| edge(span) == edge(&joined))
        };
        let (from_known, to_known) = (kept(|span| span.from), kept(|span| span.to));
        if !from_known {
            self.step(joined.from, 1);
        }
        if !to_known {
            self.step(joined.to, -1);
        }
        if touched == 0 {
            grow(&mut self.spans);
            self.spans.insert(at, joined);
        } else {
            self.spans[at] = joined;
            at += 1;
            self.spans.drain(at..at + touched - 1);
        }
    }

    fn step(&mut self, at: i32, by: i32) {
        let place = match self.steps.last() {
            Some(last) if last.0 < at => self.steps.len(),
            _ => self.steps.partition_point(|step| step.0 < at),
        };
        match self.steps.get_mut(place).filter(|step| step.0 == at) {
            Some(step) => {
                step.1 += by;
                if step.1 == 0 {
                    self.steps.remove(place);
                }
            }
            None => {
                grow(&mut self.steps);
                self.steps.insert(place, (at, by));
            }
        }
    }

    /// Leaves out every second value.
    fn thin(&mut self) {
        self.level += 1;
        let level = u32::from(self.level);
        self.spans.retain(|span| span.value.leading_zeros() >= level);
        self.recount();
    }

    /// The steps, anew from the stretches.
    fn recount(&mut self) {
        let mut edges: Vec<(i32, i32)> =
            self.spans.iter().flat_map(|span| [(span.from, 1), (span.to, -1)]).collect();
        edges.sort_unstable();
        self.steps = Vec::new();
        for (at, by) in edges {
            match self.steps.last_mut().filter(|step| step.0 == at) {
                Some(step) => step.1 += by,
                None => self.steps.push((at, by)),
            }
        }
        self.steps.retain(|step| step.1 != 0);
        self.steps.shrink_to_fit();
    }

    /// As [`Ring::walk`](crate::ring::Ring::walk). Where a window's number first exceeds `line`, it is said when the
    /// earliest of its values came into it.
    pub(crate) fn walk(&self, settled: Option<i64>, through: i64, line: f64, mut each: impl FnMut(Segment)) {
        if self.spans.is_empty() {
            if let Some(settled) = settled.filter(|settled| *settled < through) {
                let (from, to) = (settled + 1, through);
                each(Segment { from, to, count: 0, marks: 0, grade: 0, began: None });
            }
            return;
        }
        let earliest = self.spans.iter().map(|span| span.from).min().unwrap_or_default();
        let mut from = settled.map_or(self.origin + i64::from(earliest), |settled| settled + 1);
        let (mut next, mut held) = (0, 0i64);
        let mut above = false;
        while from <= through {
            let step = |at: usize| self.steps.get(at).map(|(at, by)| (self.origin + i64::from(*at), *by));
            while let Some((_, by)) = step(next).filter(|(at, _)| *at <= from) {
                held += i64::from(by);
                next += 1;
            }
            let to = step(next).map_or(through, |(at, _)| through.min(at - 1));
            let count = self.least(held);
            let exceeds = count as f64 > line;
            let began = (exceeds && !above).then(|| self.began(from)).flatten();
            above = exceeds;
            each(Segment { from, to, count, marks: 0, grade: 0, began });
            from = to + 1;
        }
    }

    /// How many values there surely are where so many are left: all, or three standard errors below the estimate.
    fn least(&self, held: i64) -> u128 {
        let held = held.max(0) as f64;
        let share = 0.5f64.powi(i32::from(self.level));
        let error = 3.0 * (held * (1.0 - share)).sqrt();
        ((held - error).max(0.0) / share) as u128
    }

    /// When the earliest of a window's values came into it.
    fn began(&self, bucket: i64) -> Option<i64> {
        let at = i32::try_from(bucket - self.origin).ok()?;
        let within = self.spans.iter().filter(|span| span.from <= at && at < span.to);
        within
            .map(|span| span.from.max(at - BUCKETS as i32 + 1))
            .min()
            .map(|from| self.origin + i64::from(from))
    }

    /// The newest bucket with anything in it.
    pub(crate) fn newest(&self) -> Option<i64> {
        (!self.spans.is_empty()).then(|| self.origin + i64::from(self.newest))
    }

    /// At least the number of any window.
    pub(crate) fn total(&self) -> u64 {
        (self.spans.len() as u64) << self.level
    }

    /// Whether forgetting what happened before a bucket would free half of it.
    pub(crate) fn is_half_before(&self, bucket: i64) -> bool {
        let before = |span: &&Span| self.origin + i64::from(span.to) - BUCKETS < bucket;
        2 * self.spans.iter().filter(before).count() >= self.spans.len()
    }

    /// Forgets what happened before a bucket: windows that end 59 buckets behind it and later miss nothing.
    pub(crate) fn forget_before(&mut self, bucket: i64) {
        let known = self.spans.len();
        self.spans.retain(|span| self.origin + i64::from(span.to) - BUCKETS >= bucket);
        // Values that were left out come in again: for a window or so that says too little, never too much.
        if self.level > 0 && self.spans.len() < SPANS_MAX / 8 {
            self.level -= 1;
        }
        if self.spans.is_empty() {
            *self = Self { level: self.level, ..Self::default() };
            return;
        }
        if self.spans.len() == known && bucket - self.origin <= i64::from(ORIGIN_MAX) {
            return;
        }
        if self.spans.capacity() > 4 * self.spans.len() {
            self.spans.shrink_to(2 * self.spans.len());
        }
        self.move_origin(bucket);
        self.recount();
    }

    /// Where distances have become large (a value that has gone on for months), they are counted from this bucket on.
    fn move_origin(&mut self, bucket: i64) {
        let Some(by) = i32::try_from(bucket - self.origin).ok().filter(|by| *by > ORIGIN_MAX) else { return };
        self.origin += i64::from(by);
        self.newest -= by;
        for span in &mut self.spans {
            // All that is kept reaches up to the bucket at least.
            (span.from, span.to) = ((span.from - by).max(0), span.to - by);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>() + self.steps.capacity() * size_of::<(i32, i32)>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Few of them are left out when values are sampled: hashes begin with zeros by chance.
    fn hash(value: u32) -> u32 {
        let a = (value ^ value >> 16).wrapping_mul(0x85eb_ca6b);
        let b = (a ^ a >> 13).wrapping_mul(0xc2b2_ae35);
        b ^ b >> 16
    }

    fn counts(distinct: &Distinct, settled: Option<i64>, through: i64) -> Vec<(i64, u128)> {
        let mut counts = Vec::new();
        distinct
            .walk(settled, through, 1.0, |at| counts.extend((at.from..=at.to).map(|end| (end, at.count))));
        counts
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_a_naive_recount(
            adds in prop::collection::vec((-50i64..250, 0u32..12), 1..150),
            settled in prop::option::of(-60i64..200),
            through in -60i64..320,
            forgotten in -60i64..250,
        ) {
            let mut distinct = Distinct::default();
            for (bucket, value) in &adds {
                prop_assert!(distinct.add(*bucket, hash(*value)));
            }
            let start = settled.map(|settled| settled + 1).or(adds.iter().map(|add| add.0).min());
            let naive = |end: i64| {
                let within = adds.iter().filter(|add| (end - BUCKETS + 1..=end).contains(&add.0));
                within.map(|add| add.1).collect::<BTreeSet<u32>>().len() as u128
            };
            let expected: Vec<_> = (start.unwrap_or(through + 1)..=through).map(|end| (end, naive(end))).collect();
            prop_assert_eq!(counts(&distinct, settled, through), expected.clone());
            distinct.walk(settled, through, 2.0, |at| {
                if let Some(began) = at.began {
                    // By then one of the values was there, and it came no later than any that came into the window.
                    assert!(at.count > 2 && (at.from - BUCKETS + 1..=at.from).contains(&began));
                    let first = adds.iter().map(|add| add.0).filter(|bucket| (at.from - BUCKETS + 1..=at.from).contains(bucket)).min();
                    assert!(first.is_some_and(|first| began <= first));
                }
            });
            prop_assert_eq!(distinct.newest(), adds.iter().map(|add| add.0).max());
            // What is forgotten is missed by no window behind it, and adding goes on.
            distinct.forget_before(forgotten);
            let left = |counts: Vec<(i64, u128)>| -> Vec<_> { counts.into_iter().filter(|at| at.0 >= forgotten + BUCKETS - 1).collect() };
            prop_assert_eq!(left(counts(&distinct, Some(-100), through)), left((-99..=through).map(|end| (end, naive(end))).collect()));
            for (bucket, value) in &adds {
                distinct.add(*bucket, hash(*value));
            }
            prop_assert_eq!(left(counts(&distinct, Some(-100), through)), left((-99..=through).map(|end| (end, naive(end))).collect()));
        }
    }

    #[test]
    fn of_many_values_it_is_said_how_many_there_surely_are() {
        for values in [8_000u32, 20_000, 50_000, 400_000] {
            let mut distinct = Distinct::default();
            let mut costs = 0;
            for value in 0..values {
                costs += u32::from(!distinct.add(i64::from(value % 50), hash(value)));
            }
            let (_, count) = counts(&distinct, Some(54), 55)[0];
            assert!(
                count <= u128::from(values) && count as f64 > 0.85 * f64::from(values),
                "{values}: {count}"
            );
            assert_eq!((costs > 0, count < u128::from(values)), (values > 8_192, values > 8_192));
            assert!(distinct.bytes() < 256 << 10, "{}", distinct.bytes());
            // Afterwards few values are counted one by one again.
            for _ in 0..20 {
                distinct.forget_before(1_000);
            }
            (0..30).for_each(|value| assert!(distinct.add(2_000, hash(value))));
            assert_eq!(counts(&distinct, Some(2_000), 2_001), [(2_001, 30)]);
        }
    }

    #[test]
    fn what_lies_too_far_away_is_left_out() {
        let mut distinct = Distinct::default();
        assert!(distinct.add(0, 1));
        assert!(!distinct.add(1 << 40, 2) && !distinct.add(i64::MIN, 3));
        assert_eq!(counts(&distinct, Some(4), 5), [(5, 1)]);
        distinct.forget_before(1);
        assert!(distinct.is_empty() && distinct.bytes() == 0);
        assert!(distinct.add(1 << 40, 2));
    }
}
