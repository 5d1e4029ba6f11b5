//! What is counted of one key: a number by bucket, or which values there were.

use crate::distinct::Distinct;
use crate::ring::{Ring, Segment, Shape};

/// What a partial brings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) count: u64,
    /// Of shares how many matched, of findings the grade.
    pub(crate) mark: u64,
    /// Of distinct counts, by what the value is told from others.
    pub(crate) value: u32,
}

/// Numbers or values, by bucket.
#[derive(Debug, Clone)]
pub(crate) enum Counts {
    Ring(Ring),
    Distinct(Distinct),
}

impl Counts {
    pub(crate) fn new(shape: Shape) -> Self {
        if shape == Shape::Distinct {
            Self::Distinct(Distinct::default())
        } else {
            Self::Ring(Ring::default())
        }
    }

    /// Adds to a bucket. `false` where a bound was hit: of buckets there are never more than `most`.
    pub(crate) fn add(&mut self, shape: Shape, bucket: i64, amount: Amount, most: usize) -> bool {
        match self {
            Self::Ring(ring) => ring.add(shape, bucket, amount.count, amount.mark, most),
            Self::Distinct(distinct) => distinct.add(bucket, amount.value),
        }
    }

    /// Hands on the windows that end in `settled + 1 ..= through`, in stretches of one value. Where nothing was
    /// `settled` yet, from the first bucket with anything in it. `line` is what a violation exceeds.
    pub(crate) fn walk(
        &self,
        shape: Shape,
        settled: Option<i64>,
        through: i64,
        line: f64,
        each: impl FnMut(Segment),
    ) {
        match self {
            Self::Ring(ring) => ring.walk(shape, settled, through, each),
            Self::Distinct(distinct) => distinct.walk(settled, through, line, each),
        }
    }

    /// The newest bucket with anything in it.
    pub(crate) fn newest(&self) -> Option<i64> {
        match self {
            Self::Ring(ring) => ring.newest(),
            Self::Distinct(distinct) => distinct.newest(),
        }
    }

    /// No window has more.
    pub(crate) fn total(&self) -> u64 {
        match self {
            Self::Ring(ring) => ring.total(),
            Self::Distinct(distinct) => distinct.total(),
        }
    }

    /// Forgets buckets before this one.
    pub(crate) fn forget_before(&mut self, shape: Shape, bucket: i64) {
        match self {
            Self::Ring(ring) => ring.forget_before(shape, bucket),
            Self::Distinct(distinct) => distinct.forget_before(bucket),
        }
    }

    /// The same, only where that is at least half of it: a busy key is not moved about for every bucket that closes.
    pub(crate) fn trim_before(&mut self, shape: Shape, bucket: i64) {
        match self {
            Self::Ring(ring) => ring.trim_before(shape, bucket),
            Self::Distinct(distinct) if distinct.is_half_before(bucket) => distinct.forget_before(bucket),
            Self::Distinct(_) => {}
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.is_empty(),
            Self::Distinct(distinct) => distinct.is_empty(),
        }
    }

    /// The ring, where there is one: of keys whose members are told apart.
    pub(crate) fn ring(&self) -> Ring {
        if let Self::Ring(ring) = self { ring.clone() } else { Ring::default() }
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Ring(ring) => ring.bytes(),
            Self::Distinct(distinct) => distinct.bytes(),
        }
    }
}
