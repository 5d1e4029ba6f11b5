//! All evidence against one workload, fused into one score that fades.
//!
//! Each class counts once, with its heaviest weight, halved every six hours since it was last seen. The score ranks and
//! explains; what happens follows from three sentences. Shape alone is a ticket at most. A strong indicator alone is a
//! page. Shape and any indicator together are a page.

use std::time::Duration;

use beaconfire_model::{EventTime, Severity};

use super::class::{Class, EVIDENCE_BYTES, Indicator};
use super::slice::MINUTE_MILLIS;
use crate::sealed::End;

const HALF_LIFE: f64 = 6.0 * 3600.0;
/// An indicator of this weight is enough for a page.
const STRONG: f64 = 8.0;
/// A strong indicator pages for so long after it was last seen; it stays in the score for longer.
const STRONG_HOLDS: Duration = Duration::from_secs(3600);
/// Together they page from here, where one of them names mining.
pub(crate) const PAGE: f64 = 10.0;
const TICKET: f64 = 6.0;
/// An indicator that has faded to this share no longer makes a shape a page: twelve hours.
const FADED: f64 = 0.25;
/// An indicator that any software may show is a habit after so many days without a plateau.
const HABIT_DAYS: u8 = 3;

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    indicator: Indicator,
    first: EventTime,
    last: EventTime,
    /// Days on which it was seen while the CPU was as usual.
    days: u8,
    day: i64,
}

/// What counted, with what it weighs now.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// What kind of evidence.
    pub class: Class,
    /// Points in the score, faded.
    pub weight: f64,
    /// What was seen, with numbers; it may hold an attacker's text.
    pub evidence: String,
    /// Since when.
    pub since: EventTime,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Suspicion {
    entries: Vec<Entry>,
}

/// What the shape says at this moment, for fusing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ShapeNow {
    pub(crate) points: f64,
    /// There is more CPU than is explained: enough beside evidence that names mining.
    pub(crate) excess: bool,
    /// It is a plateau that is not explained, nothing is learned from it, and it is told.
    pub(crate) plateau: bool,
    /// It is a miner's plateau, with its dataset, if only for minutes: enough beside any evidence.
    pub(crate) holds: bool,
    /// It is worth a ticket by itself.
    pub(crate) ticket: bool,
    /// It held within the last hour: still enough beside any evidence.
    pub(crate) recent: bool,
    /// It was there before we were, and is beyond doubt: enough beside evidence that was seen from this minute on, since what
    /// software shows as it starts is no reason to wake anybody.
    pub(crate) sighted: Option<i64>,
}

impl ShapeNow {
    pub(crate) const NONE: Self = Self {
        points: 0.0,
        excess: false,
        plateau: false,
        holds: false,
        ticket: false,
        recent: false,
        sighted: None,
    };
}

impl Suspicion {
    /// Takes one piece of evidence; `plateau` says whether the CPU looks like mining at this moment.
    pub(crate) fn add(&mut self, indicator: Indicator, at: EventTime, plateau: bool) {
        let day = at.millis().div_euclid(86_400_000);
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.indicator.class == indicator.class)
        else {
            let days = u8::from(!plateau);
            self.entries.push(Entry { indicator, first: at, last: at, days, day });
            self.entries.sort_by_key(|entry| entry.indicator.class);
            return;
        };
        if day > entry.day && !plateau {
            entry.days = entry.days.saturating_add(1);
        }
        entry.day = entry.day.max(day);
        // What has faded below the new sighting gives way to it.
        if indicator.weight >= entry.now(at) {
            if entry.fresh(at) <= FADED {
                entry.first = at;
            }
            if indicator.weight >= entry.indicator.weight || entry.fresh(at) < 0.5 {
                entry.indicator = indicator;
            }
            entry.last = entry.last.max(at);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn walk(&mut self, end: &mut impl End) {
        let mut count = self.entries.len();
        end.size(&mut count, Class::ALL.len());
        self.entries.resize_with(count, Entry::blank);
        for entry in &mut self.entries {
            entry.walk(end);
        }
        let in_order = self.entries.is_sorted_by(|a, b| a.indicator.class < b.indicator.class);
        end.check(in_order);
    }

    /// How bad it is, and the score; `None` where there is nothing to say. `allowed` workloads need evidence that names
    /// mining.
    pub(crate) fn judge(&self, shape: ShapeNow, allowed: bool, at: EventTime) -> Option<(Severity, f64)> {
        let counted = || self.entries.iter().filter(|entry| entry.counts(at));
        let indicators: f64 = counted().map(|entry| entry.now(at)).sum();
        let names = counted().any(|entry| entry.indicator.class.names_mining());
        if allowed && !names {
            return None;
        }
        let score = indicators + shape.points;
        let strong =
            counted().any(|entry| entry.indicator.weight >= STRONG && at.since(entry.last) <= STRONG_HOLDS);
        let any = counted().next().is_some();
        let later =
            |from: i64| counted().any(|entry| entry.last.millis() >= from.saturating_mul(MINUTE_MILLIS));
        let page = strong
            || (indicators >= PAGE && names)
            || ((shape.holds || shape.recent) && any)
            || (shape.excess && names)
            || shape.sighted.is_some_and(later);
        let severity = if page {
            Severity::Critical
        } else if shape.ticket {
            if score >= 8.5 { Severity::Error } else { Severity::Warning }
        } else if indicators >= TICKET * 0.9 && names {
            Severity::Warning
        } else if any || shape.plateau {
            Severity::Info
        } else {
            return None;
        };
        Some((severity, score))
    }

    /// What counts now, heaviest first.
    pub(crate) fn contributions(&self, at: EventTime) -> Vec<Contribution> {
        let mut all: Vec<Contribution> = self
            .entries
            .iter()
            .filter(|entry| entry.fresh(at) > FADED)
            .map(|entry| Contribution {
                class: entry.indicator.class,
                weight: if entry.is_habit() { 0.0 } else { entry.now(at) },
                evidence: entry.indicator.evidence.clone(),
                since: entry.first,
            })
            .collect();
        all.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        all
    }

    /// The earliest sighting that still counts.
    pub(crate) fn since(&self, at: EventTime) -> Option<EventTime> {
        self.entries.iter().filter(|entry| entry.counts(at)).map(|entry| entry.first).min()
    }

    /// Which classes count, as bits: for noticing that something was added.
    pub(crate) fn classes(&self, at: EventTime) -> u32 {
        self.entries
            .iter()
            .filter(|entry| entry.counts(at))
            .fold(0, |bits, entry| bits | 1 << entry.indicator.class.number())
    }

    pub(crate) fn bytes(&self) -> usize {
        let text: usize = self.entries.iter().map(|entry| entry.indicator.evidence.capacity()).sum();
        self.entries.capacity() * size_of::<Entry>() + text
    }
}

impl ShapeNow {
    pub(crate) fn walk(&mut self, end: &mut impl End) {
        let Self { points, excess, plateau, holds, ticket, recent, sighted } = self;
        end.amount(points);
        [excess, plateau, holds, ticket, recent].into_iter().for_each(|each| end.bool(each));
        end.option(sighted, 0, |end, from| end.i64(from));
    }
}

impl Entry {
    /// What reading fills.
    fn blank() -> Self {
        let indicator = Indicator { class: Class::Shape, weight: 0.0, evidence: String::new() };
        let never = EventTime::MIN;
        Self { indicator, first: never, last: never, days: 0, day: 0 }
    }

    fn walk(&mut self, end: &mut impl End) {
        let Self { indicator: Indicator { class, weight, evidence }, first, last, days, day } = self;
        let mut number = class.number();
        end.u8(&mut number);
        let found = Class::ALL.into_iter().find(|class| class.number() == number);
        end.check(found.is_some());
        *class = found.unwrap_or(*class);
        end.amount(weight);
        end.text(evidence, EVIDENCE_BYTES);
        end.check(!evidence.chars().any(char::is_control));
        for time in [first, last] {
            let mut millis = time.millis();
            end.i64(&mut millis);
            *time = EventTime::from_millis(millis);
        }
        end.u8(days);
        end.i64(day);
    }

    fn fresh(&self, at: EventTime) -> f64 {
        (-at.since(self.last).as_secs_f64() / HALF_LIFE).exp2()
    }

    fn now(&self, at: EventTime) -> f64 {
        self.indicator.weight * self.fresh(at)
    }

    /// Names of mining never become a habit. Droppers try whatever can be reached, day after day.
    fn is_habit(&self) -> bool {
        let class = self.indicator.class;
        let names_miner =
            class == Class::MinerImage || class == Class::MinerAgent && self.indicator.weight > 1.0;
        let ambient = !class.names_mining() && !names_miner;
        ambient && self.days > HABIT_DAYS
    }

    fn counts(&self, at: EventTime) -> bool {
        self.fresh(at) > FADED && !self.is_habit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const SHAPE: ShapeNow =
        ShapeNow { points: 7.0, excess: true, plateau: true, holds: true, ticket: true, ..ShapeNow::NONE };

    fn at(hours: i64) -> EventTime {
        EventTime::from_millis(hours * HOUR)
    }

    fn with(found: &[(Class, f64)]) -> Suspicion {
        let mut suspicion = Suspicion::default();
        for (class, weight) in found {
            suspicion.add(Indicator::new(*class, *weight, "seen", "x"), at(0), false);
        }
        suspicion
    }

    fn severity(found: &[(Class, f64)], shape: ShapeNow, hours: i64) -> Option<Severity> {
        with(found).judge(shape, false, at(hours)).map(|(severity, _)| severity)
    }

    #[test]
    fn shape_alone_is_never_a_page_and_strong_indicators_alone_are() {
        use Severity::{Critical, Info, Warning};
        let much = ShapeNow { points: 13.0, ..SHAPE };
        for (found, shape, hours, wanted) in [
            (&[][..], SHAPE, 0, Some(Warning)),
            (&[], much, 0, Some(Severity::Error)),
            (&[], ShapeNow::NONE, 0, None),
            (&[(Class::StratumUri, 10.0)], ShapeNow::NONE, 0, Some(Critical)),
            (&[(Class::PoolConnect, 8.0)], ShapeNow::NONE, 0, Some(Critical)),
            (&[(Class::PoolLookup, 6.0)], ShapeNow::NONE, 0, Some(Warning)),
            (&[(Class::PoolPort, 1.0)], ShapeNow::NONE, 0, Some(Info)),
            (&[(Class::PoolPort, 1.0)], SHAPE, 0, Some(Critical)),
            (&[(Class::PoolPort, 1.0)], SHAPE, 13, Some(Warning)),
            (&[(Class::PoolLookup, 6.0), (Class::PoolConnect, 4.0)], ShapeNow::NONE, 0, Some(Critical)),
            // Software that is being built and kept shows all of these.
            (
                &[(Class::HostTuning, 7.0), (Class::DroppedProgram, 4.0), (Class::Persistence, 3.0)],
                ShapeNow::NONE,
                0,
                Some(Info),
            ),
        ] {
            assert_eq!(severity(found, shape, hours), wanted, "{found:?} after {hours} h");
        }
    }

    #[test]
    fn the_score_halves_in_six_hours() {
        let score =
            |hours| with(&[(Class::PoolLookup, 6.0)]).judge(ShapeNow::NONE, false, at(hours)).unwrap().1;
        assert!((score(0) - 6.0).abs() < 1e-9 && (score(6) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn an_allowed_workload_needs_evidence_that_names_mining() {
        assert_eq!(with(&[(Class::DroppedProgram, 4.0)]).judge(SHAPE, true, at(0)), None);
        let named = with(&[(Class::PoolLookup, 6.0)]).judge(SHAPE, true, at(0)).unwrap();
        assert_eq!(named.0, Severity::Critical);
    }

    #[test]
    fn what_happens_every_day_is_a_habit_unless_it_names_mining() {
        let mut suspicion = Suspicion::default();
        for day in 0..5 {
            suspicion.add(Indicator::new(Class::DroppedProgram, 4.0, "seen", "x"), at(day * 24), false);
        }
        let dropped = suspicion.judge(SHAPE, false, at(97)).unwrap();
        assert_eq!(dropped.0, Severity::Warning, "the shape alone");
        for (weight, wanted) in [(1.0, Severity::Warning), (8.0, Severity::Critical)] {
            let mut tried = Suspicion::default();
            for day in 0..5 {
                tried.add(Indicator::new(Class::MinerAgent, weight, "seen", "x"), at(day * 24), false);
            }
            assert_eq!(tried.judge(SHAPE, false, at(98)).unwrap().0, wanted, "{weight}");
        }
        for day in 0..5 {
            suspicion.add(Indicator::new(Class::PoolLookup, 6.0, "seen", "x"), at(day * 24), false);
        }
        assert_eq!(suspicion.judge(SHAPE, false, at(97)).unwrap().0, Severity::Critical);
    }
}
