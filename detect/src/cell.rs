//! The window of one key, and what was stated of it.
//!
//! A cell is *settled* up to some bucket: there nothing changes any more, and the run that was in hand is kept. What
//! lies behind is read anew from the counts whenever that is asked for, so facts are a function of the counts and not of
//! the order in which they came. How far a cell settles depends on its rule:
//!
//! - Counts only grow, so they are read as soon as they come, up to the newest bucket with anything in it, and settle a
//!   lateness and a drift behind the clearance: what a source delivers that came back late is still counted (`run.rs`
//!   has the proof that early statements are parts of the final ones).
//! - Shares and crowds can fall as records arrive. They are read once a bucket has closed, and settle there.

use beaconfire_model::{Client, EventTime, Participant};

use crate::ask::{Ask, Value};
use crate::counts::{Amount, Counts};
use crate::departed::Provenance;
use crate::hosts::{Crowding, Hosts};
use crate::plan::BUCKETS;
use crate::ring::{Ring, Segment};
use crate::run::{Run, Stretch, hold_line, step};
use crate::table::{Heap, Weight};

/// A cell remembers how reading stood so many buckets before its end: records come almost in order, so the next reading
/// mostly goes on from there.
const LAG: i64 = 8;
/// Cells settle in steps of this many buckets.
const SETTLE_EVERY: i64 = BUCKETS / 2;
/// Chart points stated at once; the incident joins them by time.
const POINTS_MAX: i64 = 120;

/// How far a cell may be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Horizon {
    /// The last bucket that has closed, if any has.
    pub(crate) closed: i64,
    /// The first bucket whose window lacks no records.
    pub(crate) whole_from: i64,
    /// Live: counts are read before their buckets close.
    pub(crate) early: bool,
    /// Whether statements carry chart points.
    pub(crate) charts: bool,
}

/// What is to be stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tell {
    /// What is new, worse, or over.
    News,
    /// Everything that is known and was not stated.
    All,
}

/// One statement.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) run: Run,
    pub(crate) participants: Vec<Participant>,
    pub(crate) crowd: Option<Crowding>,
    pub(crate) series: Vec<(EventTime, f64)>,
}

/// The window of one key.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Whose records these are.
    pub(crate) from: Provenance,
    counts: Counts,
    /// No bucket before this one has anything in it: sweeping need not look at the counts to know.
    oldest: i64,
    settled: Option<i64>,
    hosts: Told,
    /// Of keys that have raised, or may.
    hot: Option<Box<Hot>>,
}

/// Those who take part, of rules that ask for a crowd.
#[derive(Debug, Default)]
enum Told {
    #[default]
    Nobody,
    /// One alone, as in most prefixes: what the prefix did, it did.
    One(Client),
    Apart(Box<Hosts>),
}

#[derive(Debug)]
struct Hot {
    /// The run in hand where the cell is settled.
    run: Option<Run>,
    /// What was stated of runs that go on behind that, in parts.
    stated: Vec<Run>,
    /// Up to here it was read as closed.
    read: i64,
    /// The first bucket that was added to since it was read.
    touched: Option<i64>,
    /// How reading stood at some bucket behind the settled ones: the run in hand there. All runs before are over and
    /// stated.
    mark: Option<(i64, Option<Run>)>,
    /// More is known than was stated.
    dirty: bool,
    /// The last violation of the first run that may still go on.
    open: Option<i64>,
    /// Chart points were stated up to here.
    pointed: i64,
}

impl Hot {
    /// Whether nothing that was found goes on or was left unsaid.
    fn is_quiet(&self) -> bool {
        self.run.is_none() && self.stated.is_empty() && !self.dirty
    }
}

/// What adding did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    /// The first addition since it was read, of a cell that has to be.
    pub(crate) hot: bool,
    /// A bound was hit.
    pub(crate) crowded: bool,
    /// It changed a window that was settled.
    pub(crate) stale: bool,
}

impl Added {
    /// Nothing was added.
    pub(crate) const NOTHING: Self = Self { hot: false, crowded: false, stale: false };
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            from: Provenance::default(),
            counts: Counts::Ring(Ring::default()),
            oldest: i64::MAX,
            settled: None,
            hosts: Told::Nobody,
            hot: None,
        }
    }
}

impl Cell {
    /// Reads a little of everything that adding to it will change, and of each of the cell's cache lines.
    pub(crate) fn glance(&self) -> i64 {
        let hosts = self.apart().map_or(0, Hosts::glance);
        let own = self.oldest ^ i64::from(self.hot.is_some());
        self.counts.newest().unwrap_or(0) ^ hosts ^ own ^ self.settled.unwrap_or(0)
    }

    /// Adds a partial; for crowds, under the client it came from.
    pub(crate) fn add(&mut self, ask: &Ask, bucket: i64, amount: Amount, host: Option<Client>) -> Added {
        let stale = self.settled.is_some_and(|settled| bucket <= settled);
        if self.settled.is_some_and(|settled| bucket <= settled - BUCKETS) {
            return Added { stale, ..Added::NOTHING };
        }
        match (&self.hosts, host) {
            (Told::Nobody, Some(host)) => self.hosts = Told::One(host),
            (Told::One(known), Some(host)) if *known != host => {
                self.tell_apart();
            }
            _ => {}
        }
        if self.counts.is_empty() {
            self.counts = Counts::new(ask.value.shape());
        }
        let mut fits = self.counts.add(ask.value.shape(), bucket, amount, ask.most);
        self.oldest = self.oldest.min(bucket);
        if let (Told::Apart(hosts), Some(host)) = (&mut self.hosts, host) {
            fits &= hosts.add(host, bucket, amount.count, ask);
        }
        let mut first = false;
        if self.is_hot(ask) {
            let touched = &mut self.heat().touched;
            first = touched.is_none();
            *touched = Some(touched.map_or(bucket, |held| held.min(bucket)));
        }
        Added { hot: first, crowded: !fits, stale }
    }

    /// Settles as a cell that was never near a violation does when it is swept: counts that waited elsewhere come in.
    pub(crate) fn settle_idle(&mut self, through: i64) {
        self.settled = Some(self.settled.map_or(through, |settled| settled.max(through)));
    }

    /// The hosts, where there are several.
    fn apart(&self) -> Option<&Hosts> {
        if let Told::Apart(hosts) = &self.hosts { Some(hosts) } else { None }
    }

    /// From here on each host has a ring of its own; one that was alone has done all there is.
    fn tell_apart(&mut self) -> &mut Hosts {
        loop {
            match self.hosts {
                Told::Apart(ref mut hosts) => return hosts,
                Told::One(host) => self.hosts = Told::Apart(Box::new(Hosts::of(host, self.counts.ring()))),
                Told::Nobody => self.hosts = Told::Apart(Box::default()),
            }
        }
    }

    fn heat(&mut self) -> &mut Hot {
        self.hot.get_or_insert_with(|| {
            Box::new(Hot {
                run: None,
                stated: Vec::new(),
                read: i64::MIN,
                touched: None,
                mark: None,
                dirty: false,
                open: None,
                pointed: i64::MIN,
            })
        })
    }

    /// Whether there may be anything to find here: all counts together exceed the threshold.
    fn is_hot(&self, ask: &Ask) -> bool {
        let total = self.counts.total();
        self.hot.is_some()
            || match ask.value {
                Value::Count | Value::Finding | Value::Distinct => total as f64 > ask.lines.threshold,
                Value::Crowd { scale, .. } => (total as f64) * (scale as f64) > ask.lines.threshold,
                Value::Share { min_requests } => total >= min_requests,
            }
    }

    /// Whether reading it up to this horizon could bring anything new.
    pub(crate) fn is_due(&self, ask: &Ask, horizon: &Horizon) -> bool {
        self.hot.as_ref().is_some_and(|hot| {
            let closes = hot.read < horizon.closed;
            let early = ask.value.only_grows() && horizon.early;
            if early { hot.touched.is_some() || closes && !hot.is_quiet() } else { closes }
        })
    }

    /// Windows up to here were read, and have not changed since. Estimates change when room is made, too.
    pub(crate) fn read_through(&self, ask: &Ask) -> i64 {
        let exact = matches!(ask.value, Value::Count | Value::Finding | Value::Share { .. });
        self.hot.as_ref().filter(|_| exact).map_or(i64::MIN, |hot| {
            hot.touched.map_or(hot.read, |touched| hot.read.min(touched.saturating_sub(1)))
        })
    }

    /// Whether there is, or may be, anything to state.
    pub(crate) fn is_warm(&self) -> bool {
        self.hot.is_some()
    }

    /// Whether more is known than was stated.
    pub(crate) fn is_dirty(&self) -> bool {
        self.hot.as_ref().is_some_and(|hot| hot.dirty)
    }

    /// Reads the cell up to the horizon, states what there is to state, and settles.
    pub(crate) fn read(&mut self, ask: &Ask, horizon: &Horizon, tell: Tell, out: &mut Vec<Statement>) {
        if ask.value.only_grows() {
            self.read_counts(ask, horizon, tell, out);
        } else {
            self.read_closed(ask, horizon, tell, out);
        }
        self.prune();
        let hot = self.heat();
        hot.touched = None;
        hot.read = hot.read.max(horizon.closed);
    }

    fn read_counts(&mut self, ask: &Ask, horizon: &Horizon, tell: Tell, out: &mut Vec<Statement>) {
        let closed = horizon.closed;
        let through = match self.counts.newest().filter(|_| horizon.early) {
            Some(newest) => newest.max(closed),
            None => closed,
        };
        let settled = self.settled;
        let hot = self.heat();
        let (touched, base) = (hot.touched.unwrap_or(i64::MAX), hot.run);
        let usable = |mark: &(i64, Option<Run>)| {
            mark.0 < touched && mark.0 <= through && settled.is_none_or(|settled| settled <= mark.0)
        };
        let mark = hot.mark.take().filter(usable);
        let (from, mut run) = mark.map_or((settled, base), |(bucket, run)| (Some(bucket), run));
        let mut runs = Vec::new();
        let ahead = through - LAG;
        let passes = from.is_none_or(|from| from.saturating_add(LAG) <= ahead) && !self.counts.is_empty();
        // How it stands at `ahead`, and how many runs were over by then.
        let (mut next, mut before) = (mark.filter(|_| !passes), 0);
        let mut take = |segment: Segment, run: &mut Option<Run>| {
            for stretch in self.stretches(ask, &segment, horizon, Some(run.is_some())).into_iter().flatten() {
                runs.extend(step(run, ask.lines.threshold, &stretch));
            }
            runs.len()
        };
        self.counts.walk(ask.value.shape(), from, through, ask.lines.threshold, |mut segment| {
            if passes && next.is_none() && segment.to > ahead {
                if segment.from <= ahead {
                    before = take(Segment { to: ahead, ..segment }, &mut run);
                    // Nothing enters where it was cut.
                    segment = Segment { from: ahead + 1, grade: 0, ..segment };
                }
                next = Some((ahead, run));
            }
            let over = take(segment, &mut run);
            if passes && next.is_none() {
                before = over;
            }
        });
        runs.extend(run);
        self.state(ask, horizon, tell, &runs, out);
        let hot = self.heat();
        // What is not over and stated has to be read again.
        let done = |run: &Run| run.last < closed && hot.stated.iter().any(|stated| stated.says(run));
        hot.mark = next.filter(|_| runs[..before].iter().all(done));
        let settles = closed.saturating_sub(ask.slack);
        if self.settled.is_none_or(|settled| settled + SETTLE_EVERY <= settles) {
            let run = self.walk(ask, self.settled, base, settles, horizon, |_| {});
            self.settle_at(settles, run);
            self.counts.trim_before(ask.value.shape(), settles - BUCKETS + 2);
        }
    }

    /// Walks on from a bucket, handing on runs that end, and gives back the one in hand at the end.
    fn walk(
        &self,
        ask: &Ask,
        from: Option<i64>,
        mut run: Option<Run>,
        through: i64,
        horizon: &Horizon,
        mut ended: impl FnMut(&Run),
    ) -> Option<Run> {
        self.counts.walk(ask.value.shape(), from, through, ask.lines.threshold, |segment| {
            for stretch in self.stretches(ask, &segment, horizon, Some(run.is_some())).into_iter().flatten() {
                if let Some(over) = step(&mut run, ask.lines.threshold, &stretch) {
                    ended(&over);
                }
            }
        });
        run
    }

    /// A segment's value; where windows lack records, that says nothing of shares and crowds. `runs`: whether a run is in
    /// hand, since a crowd is only looked at where that could matter; `None` to know in any case.
    fn stretches(
        &self,
        ask: &Ask,
        segment: &Segment,
        horizon: &Horizon,
        runs: Option<bool>,
    ) -> [Option<Stretch>; 2] {
        let Segment { from, to, count, marks, grade, began } = *segment;
        let stretch = |from, to, value| Some(Stretch { from, to, value, grade, began });
        if ask.value.only_grows() {
            return [stretch(from, to, float(count)), None];
        }
        if to < horizon.whole_from {
            return [stretch(from, to, 0.0), None];
        }
        let value = match ask.value {
            Value::Count | Value::Finding | Value::Distinct => float(count),
            Value::Share { min_requests } => share(count, marks, min_requests),
            Value::Crowd { min_clients, scale, .. } => {
                // All of them together are at least those that count.
                let line = ask.lines.threshold;
                let needed = runs.map_or(0.0, |runs| if runs { hold_line(line) } else { line });
                let thinned = self.apart().map_or(scale, |hosts| scale << hosts.level());
                let likely = count as f64 * thinned as f64 > needed;
                let crowding = likely.then(|| self.crowding(ask, from)).flatten();
                crowding.filter(|at| at.least_clients >= min_clients as f64).map_or(0.0, |at| at.least)
            }
        };
        if from >= horizon.whole_from {
            return [stretch(from, to, value), None];
        }
        [stretch(from, horizon.whole_from - 1, 0.0), stretch(horizon.whole_from, to, value)]
    }

    /// Who takes part in the window that ends with a bucket, without those who are flagged for themselves.
    fn crowding(&self, ask: &Ask, bucket: i64) -> Option<Crowding> {
        let Value::Crowd { scale, .. } = ask.value else { return None };
        if let Told::One(_) = self.hosts {
            // What one does alone is within its limit, or not counted.
            let (sum, _, _) = self.counts.ring().window(ask.value.shape(), bucket)?;
            let within = sum as f64 <= ask.lines.host_limit;
            // Of a sample, one alone says nothing.
            let one = Crowding {
                sum: sum as f64,
                clients: 1,
                networks: 1,
                least: sum as f64,
                least_clients: 1.0,
                sampled: scale > 1,
            };
            return (within && scale == 1).then_some(one);
        }
        let lines = ask.lines;
        Some(self.apart()?.crowding(bucket, &lines, scale))
    }

    /// Reads closed buckets once, and settles them.
    fn read_closed(&mut self, ask: &Ask, horizon: &Horizon, tell: Tell, out: &mut Vec<Statement>) {
        let closed = horizon.closed;
        let mut run = self.heat().run;
        if !matches!(ask.value, Value::Crowd { .. }) {
            let mut runs = Vec::new();
            run = self.walk(ask, self.settled, run, closed, horizon, |run| runs.push(*run));
            self.settle_at(closed, run);
            runs.extend(run);
            self.state(ask, horizon, tell, &runs, out);
            return;
        }
        // Who took part is noted as the run goes on, so every run is stated before the next begins.
        let mut segments = Vec::new();
        let line = ask.lines.threshold;
        self.counts.walk(ask.value.shape(), self.settled, closed, line, |segment| segments.push(segment));
        for segment in segments {
            for stretch in self.stretches(ask, &segment, horizon, Some(run.is_some())).into_iter().flatten() {
                if let Some(over) = step(&mut run, ask.lines.threshold, &stretch) {
                    self.settle_at(stretch.from - 1, None);
                    self.state(ask, horizon, tell, &[over], out);
                    self.tell_apart().forget_seen();
                }
                if run.is_some() {
                    let crowding = self.crowding(ask, stretch.from);
                    let scale = if let Value::Crowd { scale, .. } = ask.value { scale } else { 1 };
                    self.tell_apart().took_part(stretch.from, &ask.lines, scale, crowding);
                }
            }
        }
        self.settle_at(closed, run);
        self.state(ask, horizon, tell, run.as_slice(), out);
    }

    /// States what there is to state of `runs`, all that reading found.
    fn state(&mut self, ask: &Ask, horizon: &Horizon, tell: Tell, runs: &[Run], out: &mut Vec<Statement>) {
        let closed = horizon.closed;
        let is_over = |run: &Run| run.last < closed;
        let mut told = Vec::new();
        let hot = self.heat();
        hot.dirty = false;
        hot.open = runs.iter().find(|run| !is_over(run)).map(|run| run.violated);
        for run in runs {
            if hot.stated.iter().any(|stated| stated.says(run)) {
                continue;
            }
            let worse = |stated: &Run| ask.severity(stated) < ask.severity(run);
            let mut known = hot.stated.iter().filter(|stated| stated.overlaps(run)).peekable();
            // In a replay what goes on is stated when it is over.
            let news = horizon.early && (known.peek().is_none() || known.all(worse));
            if tell == Tell::All || is_over(run) || news {
                hot.stated.retain(|stated| !run.says(stated));
                hot.stated.push(*run);
                told.push(*run);
            } else {
                hot.dirty = true;
            }
        }
        for run in told {
            let participants = self.apart().map(|hosts| hosts.seen(ask.cut)).unwrap_or_default();
            let crowd = self.apart().and_then(Hosts::most);
            let series = if horizon.charts { self.series(ask, &run) } else { Vec::new() };
            out.push(Statement { run, participants, crowd, series });
        }
    }

    /// Up to here nothing changes any more.
    fn settle_at(&mut self, through: i64, run: Option<Run>) {
        if self.settled.is_none_or(|settled| settled < through) {
            self.settled = Some(through);
            self.heat().run = run;
        }
    }

    /// Forgets statements that no run to come can be a part of.
    fn prune(&mut self) {
        let settled = self.settled.unwrap_or(i64::MIN);
        let hot = self.heat();
        let run = hot.run;
        hot.stated.retain(|stated| stated.last > settled || run.is_some_and(|run| run.overlaps(stated)));
    }

    /// Chart points of a run that were not stated yet.
    fn series(&mut self, ask: &Ask, run: &Run) -> Vec<(EventTime, f64)> {
        let shape = ask.value.shape();
        let hot = self.heat();
        let from = (run.last - POINTS_MAX + 1).max(run.first - BUCKETS).max(hot.pointed.saturating_add(1));
        hot.pointed = hot.pointed.max(run.last);
        let mut points = Vec::new();
        self.counts.walk(shape, Some(from - 1), run.last, f64::INFINITY, |segment| {
            let Segment { from, to, count, marks, .. } = segment;
            let value = match ask.value {
                Value::Share { min_requests } => share(count, marks, min_requests),
                Value::Crowd { scale, .. } => count as f64 * scale as f64,
                Value::Count | Value::Finding | Value::Distinct => count as f64,
            };
            points.extend((from..=to).map(|bucket| (ask.cut.end(bucket), value)));
        });
        points
    }

    /// No window is worth more.
    pub(crate) fn most(&self, ask: &Ask) -> f64 {
        match ask.value {
            Value::Share { min_requests } => f64::from(u8::from(self.counts.total() >= min_requests)),
            Value::Crowd { scale, min_clients, .. } => {
                let scale = self.apart().map_or(scale, |hosts| scale << hosts.level());
                let clients = self.apart().map_or(1, Hosts::len).saturating_mul(scale);
                if clients < min_clients { 0.0 } else { self.counts.total() as f64 * scale as f64 }
            }
            Value::Count | Value::Finding | Value::Distinct => self.counts.total() as f64,
        }
    }

    /// The highest value of the windows behind `seen` that are not settled, up to `through`, and the first that has it.
    pub(crate) fn peak(&self, ask: &Ask, seen: i64, through: i64) -> Option<(f64, i64)> {
        let newest = self.counts.newest()?;
        let mut peak: Option<(f64, i64)> = None;
        let horizon = Horizon { closed: through, whole_from: i64::MIN, early: false, charts: false };
        let through = through.min(newest.saturating_add(BUCKETS));
        let from = self.settled.map(|settled| settled.max(seen)).or((seen > i64::MIN).then_some(seen));
        self.counts.walk(ask.value.shape(), from, through, f64::INFINITY, |segment| {
            // As within a run: a crowd below its line is counted, too.
            for stretch in self.stretches(ask, &segment, &horizon, None).into_iter().flatten() {
                if stretch.value > peak.map_or(0.0, |peak| peak.0) {
                    peak = Some((stretch.value, stretch.from));
                }
            }
        });
        peak
    }

    /// Forgets what no window needs any more; whether nothing is left. `closed` is the last closed bucket.
    pub(crate) fn sweep(&mut self, ask: &Ask, closed: i64, early: bool) -> bool {
        let ahead = ask.value.only_grows() && early;
        let newest = || self.counts.newest().unwrap_or(i64::MIN);
        let idle = |hot: &Hot| {
            let all_read = ahead || hot.read >= newest().saturating_add(BUCKETS);
            hot.is_quiet() && hot.touched.is_none() && all_read
        };
        if self.hot.as_deref().is_none_or(idle) {
            // There is no run to carry along: it never came near a violation, or all of it was read.
            self.hot = None;
            let through = closed.saturating_sub(ask.slack);
            self.settled = Some(self.settled.map_or(through, |settled| settled.max(through)));
        }
        let needed = self.settled.map(|settled| settled - BUCKETS + 2);
        if let Some(needed) = needed.filter(|needed| self.oldest < *needed) {
            self.counts.forget_before(ask.value.shape(), needed);
            self.oldest = needed;
            if let Told::Apart(hosts) = &mut self.hosts {
                hosts.forget_before(needed);
            }
        }
        self.counts.is_empty() && self.hot.is_none()
    }

    /// What the key is worth at the bound.
    pub(crate) fn weight(&self, ask: &Ask) -> Weight {
        let scale = match ask.value {
            Value::Share { min_requests } => min_requests as f64,
            Value::Crowd { scale, .. } => (ask.lines.threshold / scale as f64).max(1.0),
            Value::Count | Value::Finding | Value::Distinct => ask.lines.threshold.max(1.0),
        };
        let holds = self.hot.as_ref().is_some_and(|hot| hot.run.is_some() || !hot.stated.is_empty());
        Weight { holds, load: self.counts.total() as f64 / scale }
    }

    /// The event time from which records must be read again for the run in hand to be found again.
    pub(crate) fn hold_floor(&self, ask: &Ask) -> Option<EventTime> {
        let open = self.hot.as_ref()?.open?;
        Some(ask.cut.start(open - BUCKETS + 1))
    }
}

impl Heap for Cell {
    #[inline]
    fn heap(&self) -> usize {
        let hosts = self.apart().map_or(0, |hosts| size_of::<Hosts>() + hosts.bytes());
        // A hot key stands in the list of those, too.
        let hot = self
            .hot
            .as_ref()
            .map_or(0, |hot| size_of::<Hot>() + hot.stated.capacity() * size_of::<Run>() + 128);
        self.counts.bytes() + hosts + hot
    }
}

/// Converting 128 bits costs much, and few counts need them.
fn float(count: u128) -> f64 {
    u64::try_from(count).map_or_else(|_| count as f64, |count| count as f64)
}

fn share(count: u128, matched: u128, min_requests: u64) -> f64 {
    if count < u128::from(min_requests) { 0.0 } else { float(matched) / float(count) }
}
