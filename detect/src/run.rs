//! Runs of violations: when a rule begins to hold and when it stops.
//!
//! A run begins with a bucket whose window is above the threshold and lasts while windows are above nine tenths of it.
//! That is read bucket by bucket from the counts alone, so reading is a function of the counts, and it is *monotone*
//! where counts only grow: take away some records, or stop reading earlier, and every run that is found lies within a
//! run of the full reading, with a peak no higher, a severity no worse and a `began` no earlier.
//!
//! Proof. Let a partial reading find the run `[first, last]`. Its first window is above the threshold; the same window
//! holds no less in the full reading, so `first` is in a run of that. All windows up to `last` are above nine tenths, and
//! hold no less in the full reading, so that run does not end before `last`. Its windows hold no less, so its peak and
//! severity are no lower. Its own first bucket is at or before `first`, so its first window begins no later, and the
//! first bucket with anything in it from there on, among no fewer buckets with anything in them, is no later either.
//!
//! So whatever is stated early is a part of what closed buckets will state, and joining all statements that overlap, by
//! minimum and maximum, gives exactly what closed buckets alone give. Two runs never touch (a bucket at or below nine
//! tenths lies between), so joining never makes one of two.

/// A rule goes on holding while a window is above this share of its threshold.
const HOLD: f64 = 0.9;

/// A run of violations. Buckets name the windows that end with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Run {
    /// The first bucket above the threshold.
    pub(crate) first: i64,
    /// The first bucket with anything in it of that window.
    pub(crate) began: i64,
    /// The last bucket above the hold line, as far as was read.
    pub(crate) last: i64,
    /// The last bucket above the threshold.
    pub(crate) violated: i64,
    /// The highest value.
    pub(crate) peak: f64,
    /// The worst grade (findings).
    pub(crate) grade: u64,
}

impl Run {
    /// Whether stating `self` says all that stating `other` would.
    pub(crate) fn says(&self, other: &Self) -> bool {
        self.first <= other.first
            && self.last >= other.last
            && self.began <= other.began
            && self.peak >= other.peak
            && self.grade >= other.grade
    }

    /// Whether the two are parts of one run.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Windows of one value, as a run sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) value: f64,
    pub(crate) grade: u64,
    pub(crate) began: Option<i64>,
}

/// Takes a run on by the next stretch; gives it back where it ended before that.
pub(crate) fn step(run: &mut Option<Run>, threshold: f64, stretch: &Stretch) -> Option<Run> {
    let Stretch { from, to, value, grade, began } = *stretch;
    if value > threshold {
        let held = run.get_or_insert(Run {
            first: from,
            began: began.unwrap_or(from),
            last: to,
            violated: to,
            peak: value,
            grade,
        });
        held.last = to;
        held.violated = to;
        held.peak = held.peak.max(value);
        held.grade = held.grade.max(grade);
        return None;
    }
    match run {
        Some(held) if value > hold_line(threshold) => {
            held.last = to;
            held.grade = held.grade.max(grade);
            None
        }
        _ => run.take(),
    }
}

/// At or below this a run ends.
pub(crate) fn hold_line(threshold: f64) -> f64 {
    threshold * HOLD
}
