//! What a quiet client did, as it came: no windows are kept of it while it is too little to matter to any rule.

mod held;

use crate::departed::Provenance;
use crate::lane::{Lane, Limits, SLOTS, Takes};
use crate::plan::{BUCKETS, ServiceFacts};

use held::{Held, Look};

pub(crate) use held::Visit;

/// Beyond so many, windows are kept instead.
const VISITS_MAX: usize = 64;

/// What comes in for all rules of the lane together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lump {
    pub(crate) bucket: i64,
    pub(crate) count: u64,
    pub(crate) bytes: u64,
    pub(crate) rules: u32,
    pub(crate) values: [u32; SLOTS],
}

/// The visits of one client.
#[derive(Debug)]
pub(crate) struct Visits {
    /// Whose records these are.
    pub(crate) from: Provenance,
    origin: i64,
    held: Held,
    /// Saturates: then there are windows.
    requests: u32,
    bytes: u64,
    /// No window has more different values than this, by slot.
    values: [u8; SLOTS],
    /// Up to here windows were settled; `None` is written as the least number, since every word counts.
    settled: i64,
}

/// Values are looked for among so many of the last visits: that tells page views apart from one another, and whoever is
/// not found there only makes the bound rise.
const LOOKED_AT: usize = 3;

impl Default for Visits {
    fn default() -> Self {
        Self {
            from: Provenance::default(),
            origin: 0,
            held: Held::default(),
            requests: 0,
            bytes: 0,
            values: [0; SLOTS],
            settled: i64::MIN,
        }
    }
}

/// Whether a client is still quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It is.
    Quiet {
        /// It came behind what was settled.
        stale: bool,
    },
    /// It has done so much that it could matter to a rule: windows are to be kept of it, and of this too, which was not
    /// taken in.
    Busy,
}

impl Visits {
    /// Takes note of requests.
    pub(crate) fn note(&mut self, lane: &Lane, facts: &ServiceFacts, lump: &Lump) -> Noted {
        let Lump { bucket, count, bytes, rules, values } = *lump;
        let stale = bucket <= self.settled;
        if bucket <= self.settled.saturating_sub(lane.longest) {
            return Noted::Quiet { stale };
        }
        if self.is_empty() {
            self.origin = bucket;
        }
        let distance = bucket.checked_sub(self.origin).and_then(|far| i32::try_from(far).ok());
        let (Some(distance), Ok(small), Ok(few)) = (distance, u32::try_from(bytes), u32::try_from(count))
        else {
            return Noted::Busy;
        };
        let look = Look { rules, values };
        let alike = |visit: &Visit| (visit.distance, visit.look) == (distance, look);
        let joined = self.held.last().filter(alike).map(|visit| {
            let sums = visit.count.checked_add(few).zip(visit.bytes.checked_add(small));
            if let Some((count, bytes)) = sums {
                self.held.set_last(count, bytes);
            }
            sums.is_some()
        });
        let known = self.held.len();
        let fresh: [bool; SLOTS] = std::array::from_fn(|slot| {
            let mut last = (known.saturating_sub(LOOKED_AT)..known).filter_map(|at| self.held.get(at));
            joined.is_none() && last.all(|visit| visit.look.values[slot] != values[slot])
        });
        let requests = self.requests.saturating_add(few);
        let sent = self.bytes.saturating_add(bytes);
        let limits = &facts.limits;
        let little = f64::from(requests) <= limits.requests
            && sent as f64 <= limits.bytes
            && (0..SLOTS).all(|slot| {
                f64::from(self.values[slot]) + f64::from(u8::from(fresh[slot])) <= limits.values[slot]
            });
        let busy = joined == Some(false)
            || joined.is_none() && known == VISITS_MAX
            || !little && self.matters(lane, facts, lump, joined.is_none());
        if busy {
            if joined == Some(true) {
                self.take_back(few, small);
            }
            return Noted::Busy;
        }
        if joined.is_none() {
            self.held.push(Visit { distance, count: few, bytes: small, look });
        }
        (self.requests, self.bytes) = (requests, sent);
        for (held, fresh) in self.values.iter_mut().zip(fresh) {
            *held += u8::from(fresh);
        }
        Noted::Quiet { stale }
    }

    /// Whether a window that holds this lump could be above a rule's line. Whatever is in such a window lies less than a
    /// window before or behind; windows that do not hold it were looked at before.
    fn matters(&self, lane: &Lane, facts: &ServiceFacts, lump: &Lump, is_new: bool) -> bool {
        lane.of(lump.rules & !lane.prefixes).any(|(at, rule)| {
            // A bucket more than that, so that nothing needs to be divided.
            let reach = (BUCKETS + 1) * rule.ratio;
            let near = |bucket: i64| (bucket - lump.bucket).abs() < reach;
            let held = self.all().filter(|(bucket, visit)| visit.look.rules & 1 << at != 0 && near(*bucket));
            let (own, sum) = match rule.takes {
                Takes::Requests => (lump.count, held.map(|(_, visit)| u64::from(visit.count)).sum()),
                Takes::Bytes => (lump.bytes, held.map(|(_, visit)| u64::from(visit.bytes)).sum()),
                Takes::Value(_) => (1, held.count() as u64),
            };
            // One that was joined is counted already.
            let own = if is_new { own } else { 0 };
            sum.saturating_add(own) as f64 > facts.lines[usize::from(rule.rule)].threshold
        })
    }

    fn take_back(&mut self, count: u32, bytes: u32) {
        if let Some(visit) = self.held.last() {
            self.held.set_last(visit.count - count, visit.bytes - bytes);
        }
    }

    /// All there are, with their buckets.
    pub(crate) fn all(&self) -> impl Iterator<Item = (i64, Visit)> {
        self.held.all().map(|visit| (self.origin + i64::from(visit.distance), visit))
    }

    pub(crate) fn settled(&self) -> Option<i64> {
        (self.settled > i64::MIN).then_some(self.settled)
    }

    /// Windows up to here are settled: forgets what none needs any more.
    pub(crate) fn settle(&mut self, lane: &Lane, through: i64) {
        self.settled = self.settled.max(through);
        let settled = self.settled;
        let (origin, needed) = (self.origin, settled.saturating_sub(lane.longest) + 2);
        let keep = |visit: &Visit| origin + i64::from(visit.distance) >= needed;
        if self.held.all().all(|visit| keep(&visit)) {
            return;
        }
        self.held.retain(keep);
        self.requests = self.held.all().fold(0, |sum, visit| visit.count.saturating_add(sum));
        self.bytes = self.held.all().map(|visit| u64::from(visit.bytes)).sum();
        let held = &self.held;
        self.values = std::array::from_fn(|slot| {
            let fresh = |(at, visit): &(usize, Visit)| {
                held.all().take(*at).all(|before| before.look.values[slot] != visit.look.values[slot])
            };
            // There are at most `VISITS_MAX`.
            held.all().enumerate().filter(fresh).count() as u8
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.len() == 0
    }

    /// As a multiple of what it may be.
    pub(crate) fn load(&self, limits: &Limits) -> f64 {
        let requests = f64::from(self.requests) / limits.requests.max(1.0);
        requests.max(self.bytes as f64 / limits.bytes.max(1.0))
    }

    /// No window of a rule that takes this has more.
    pub(crate) fn most(&self, takes: Takes) -> f64 {
        match takes {
            Takes::Requests => f64::from(self.requests),
            Takes::Bytes => self.bytes as f64,
            Takes::Value(slot) => f64::from(self.values[slot]),
        }
    }

    /// Something of it, so that it is read.
    pub(crate) fn glance(&self) -> i64 {
        self.origin ^ self.requests as i64 ^ self.held.last().map_or(0, |visit| i64::from(visit.distance))
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.held.bytes()
    }
}
