//! One part of one copy: the values that wait for their slice to close, and what is known from the slices before.

use std::time::Duration;

use beaconfire_model::{EventTime, Metric};

use super::counter::{Counter, Step};
use super::flaw::{Flaw, Flaws, rate_max};
use super::usage::Bounds;

/// Values that wait at most: five metrics every ten seconds, for the hours that another topic may be behind.
const POINTS_MAX: usize = 8_192;
/// Values that there is room for at first.
const POINTS_MIN: usize = 8;
/// Periods for which a value holds where none came: a scrape may fail once.
const HELD_PERIODS: f64 = 2.5;

/// What comes less often than this holds for no longer than its slice.
const PERIOD_MAX: Duration = Duration::from_mins(10);

/// One value, waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) at: EventTime,
    pub(super) metric: Metric,
    /// Not a number where the series ends.
    pub(super) value: f64,
}

/// What is known of one metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series {
    pub(super) metric: Metric,
    /// Of a counter, where it stands.
    pub(super) counter: Option<Counter>,
    /// The newest value of a slice: a rate, or a gauge's mean.
    pub(super) held: f64,
    /// When that was told; `None` where nothing holds.
    pub(super) held_at: Option<EventTime>,
    /// Whether the slice that closes has one.
    pub(super) fresh: bool,
    /// How often a gauge comes.
    pub(super) period: Duration,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Part {
    waiting: Vec<Point>,
    pub(super) series: Vec<Series>,
    /// The newest value that came.
    pub(super) last: EventTime,
    /// The newest value that was taken.
    pub(super) taken: EventTime,
}

impl Part {
    /// One that has taken values up to a time, and none wait.
    pub(super) fn of(series: Vec<Series>, taken: EventTime) -> Self {
        Self { waiting: Vec::new(), series, last: taken, taken }
    }

    /// What it takes, without its name.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.waiting.capacity() * size_of::<Point>()
            + self.series.capacity() * size_of::<Series>()
    }

    /// Lets a value wait for its slice, where it may take `room` more bytes.
    pub(super) fn wait(&mut self, point: Point, room: usize) -> Result<(), Flaw> {
        if self.waiting.len() >= POINTS_MAX {
            return Err(Flaw::Crowded);
        }
        let capacity = self.waiting.capacity();
        if self.waiting.len() == capacity {
            let more = if capacity == 0 { POINTS_MIN } else { capacity };
            if more * size_of::<Point>() > room {
                return Err(Flaw::Full);
            }
            self.waiting.reserve_exact(more);
        }
        self.last = self.last.max(point.at);
        self.waiting.push(point);
        Ok(())
    }

    /// The first moment that something waits of.
    pub(super) fn earliest(&self) -> Option<EventTime> {
        self.waiting.iter().map(|point| point.at).min()
    }

    /// Whether a value may still hold at this time.
    pub(super) fn holds(&self, at: EventTime) -> bool {
        self.series.iter().any(|series| series.still_held(at))
    }

    /// Closes the slice that ends at `end`, for one that is not `silent` since: its values, in order of their time, whatever order they came in.
    pub(super) fn close(
        &mut self,
        end: EventTime,
        silent: EventTime,
        bounds: &mut Bounds,
        flaws: &mut Flaws,
        mut each: impl FnMut(Metric, f64),
    ) {
        let mut due: Vec<Point> = self.waiting.extract_if(.., |point| point.at < end).collect();
        if self.taken < silent {
            self.series.clear();
        }
        self.taken = due.iter().map(|point| point.at).fold(self.taken, EventTime::max);
        for series in &mut self.series {
            series.fresh = false;
        }
        due.sort_by(|a, b| (a.metric, a.at).cmp(&(b.metric, b.at)).then(a.value.total_cmp(&b.value)));
        for points in due.chunk_by(|a, b| a.metric == b.metric) {
            let Some(Point { metric, .. }) = points.first() else { continue };
            if metric.is_bound() {
                for point in points {
                    bounds.learn(point.metric, point.at, point.value);
                }
                continue;
            }
            let at = match self.series.iter().position(|series| series.metric == *metric) {
                Some(at) => at,
                None => {
                    self.series.push(Series {
                        metric: *metric,
                        counter: None,
                        held: 0.0,
                        held_at: None,
                        fresh: false,
                        period: Duration::ZERO,
                    });
                    self.series.len() - 1
                }
            };
            let series = &mut self.series[at];
            if metric.is_counter() { series.count(points, flaws) } else { series.gauge(points, flaws) }
        }
        for series in &self.series {
            // What was counted in one slice is not counted again in the next.
            if series.fresh || !is_tally(series.metric) && series.still_held(end) {
                each(series.metric, series.held);
            }
        }
    }
}

impl Series {
    fn still_held(&self, end: EventTime) -> bool {
        let period = self.counter.and_then(|counter| counter.period()).unwrap_or(self.period);
        self.held_at.is_some_and(|at| end.since(at) <= period.mul_f64(HELD_PERIODS))
    }

    /// The rate of a slice: all it went up by, by all the time that took. Restarts and the like: all it went up by.
    fn count(&mut self, points: &[Point], flaws: &mut Flaws) {
        let (mut amount, mut seconds) = (0.0, 0.0);
        for point in points {
            if point.value.is_nan() {
                (self.counter, self.held_at) = (None, None);
                continue;
            }
            let Some(counter) = &mut self.counter else {
                self.counter = Some(Counter::new(point.at, point.value));
                continue;
            };
            let (more, took) = match counter.step(point.at, point.value, rate_max(self.metric)) {
                Step::Up { amount, seconds } => (amount, seconds),
                Step::UpAfterReset { amount, seconds } => {
                    flaws.note(Flaw::Reset);
                    (amount, seconds)
                }
                Step::UpAfterError { amount, seconds } => {
                    flaws.note(Flaw::Backwards);
                    (amount, seconds)
                }
                // Either of the two, told by the next one.
                Step::Backwards => continue,
                Step::Duplicate => {
                    flaws.note(Flaw::Duplicate);
                    continue;
                }
                Step::Gap => {
                    flaws.note(Flaw::Gap);
                    continue;
                }
                Step::Absurd => {
                    flaws.note(Flaw::Absurd);
                    continue;
                }
            };
            amount += more;
            seconds += took;
            self.held_at = Some(point.at);
        }
        if seconds > 0.0 && self.held_at.is_some() {
            self.held = if is_tally(self.metric) { amount } else { amount / seconds };
            self.fresh = true;
        }
    }

    /// The mean of a slice.
    fn gauge(&mut self, points: &[Point], flaws: &mut Flaws) {
        let (mut sum, mut count, mut last) = (0.0, 0u32, None);
        for point in points {
            if last == Some(point.at) {
                flaws.note(Flaw::Duplicate);
                continue;
            }
            last = Some(point.at);
            if point.value.is_nan() {
                (self.held_at, count, sum) = (None, 0, 0.0);
                continue;
            }
            if let Some(before) = self.held_at {
                // After a long gap it is as new.
                let since = point.at.since(before);
                self.period = if since > PERIOD_MAX { Duration::ZERO } else { since };
            }
            self.held_at = Some(point.at);
            sum += point.value;
            count += 1;
        }
        if count > 0 {
            self.held = sum / f64::from(count);
            self.fresh = true;
        }
    }
}

/// Whether a slice tells how many there were, not how many a second.
fn is_tally(metric: Metric) -> bool {
    matches!(metric, Metric::Restarts | Metric::OomKills | Metric::CpuPeriods | Metric::CpuThrottledPeriods)
}
