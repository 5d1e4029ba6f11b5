//! What a workload may use, and how near it is: memory that climbs to its limit is told ahead of time, a loop of
//! out-of-memory kills and CPU that is held back at its limit are told when they last.
//!
//! The climb is Theil and Sen's: the median of the slopes between pairs of minutes, which a garbage collector's saw
//! teeth and single peaks do not move. It has to hold for both halves of the hour, or it is a step and no climb; and what
//! is never given back has to grow from third to third, or it is one long tooth.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{
    Earliest, EntryId, EventTime, Evidence, Kind, Latest, Peak, Severity, Signal, Specimen, Subject,
    SubjectKind, Untrusted,
};

use super::gather::{SLICE, begin_of};

/// Minutes that a climb is measured over, and the fewest that say something.
const HOUR: usize = 60;
const LEAST: usize = 40;
/// It is told when the limit is so near.
const AHEAD: Duration = Duration::from_hours(6);
/// And paged when it is so near.
const SOON: Duration = Duration::from_mins(30);
/// Below this share of the limit nothing is urgent.
const FULL_ENOUGH: f64 = 0.5;
/// Kills within [`LOOP`] that make a loop.
const KILLS: f64 = 3.0;
const LOOP: usize = 30;
/// Share of periods held back, in this many of the last minutes.
const HELD_BACK: f64 = 0.25;
const HELD_BACK_MINUTES: usize = 10;
/// A fact holds for so long after the minute it was stated for.
const HOLDS: Duration = Duration::from_mins(10);
/// Workloads that are watched.
const WORKLOADS_MAX: usize = 20_000;

/// What of a workload's minute is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Minute {
    pub(super) slice: i64,
    /// The fullest copy's memory as a share of its limit.
    pub(super) memory_of_limit: Option<f64>,
    pub(super) oom_kills: f64,
    /// Share of the scheduler's periods in which it was held back.
    pub(super) throttled: Option<f64>,
}

/// The last hour of each workload.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    workloads: BTreeMap<Box<str>, VecDeque<Minute>>,
    /// Workloads for which there was no room.
    pub(super) full: u64,
}

impl Bounds {
    /// Takes a minute, and states what holds of it.
    pub(super) fn take(&mut self, workload: &str, minute: Minute, entry: EntryId, signals: &mut Vec<Signal>) {
        if !self.workloads.contains_key(workload) {
            if self.workloads.len() >= WORKLOADS_MAX {
                self.full += 1;
                return;
            }
            self.workloads.insert(workload.into(), VecDeque::new());
        }
        let Some(hour) = self.workloads.get_mut(workload) else { return };
        hour.push_back(minute);
        // Minutes of which nothing is known take no place.
        while hour.front().is_some_and(|oldest| oldest.slice <= minute.slice - HOUR as i64) {
            hour.pop_front();
        }
        let at = begin_of(minute.slice).plus(SLICE);
        for found in [climb(hour), kills(hour), held_back(hour)].into_iter().flatten() {
            signals.push(found.signal(workload, at, entry));
        }
    }

    /// Forgets workloads that were silent for an hour.
    pub(super) fn forget_before(&mut self, slice: i64) {
        let silent = slice.saturating_sub(HOUR as i64);
        self.workloads.retain(|_, hour| hour.back().is_some_and(|last| last.slice >= silent));
    }
}

/// A fact, before it has a workload.
struct Found {
    rule: &'static str,
    severity: Severity,
    observed: f64,
    threshold: f64,
    since: i64,
    said: String,
}

impl Found {
    fn signal(self, workload: &str, at: EventTime, entry: EntryId) -> Signal {
        let subject = Subject::new(SubjectKind::Workload, workload);
        let since = begin_of(self.since);
        Signal {
            rule: Arc::from(self.rule),
            kind: Kind::Resource,
            severity: self.severity,
            target: subject.clone(),
            subject,
            first: Earliest(at),
            began: Earliest(since.min(at)),
            holds_until: Latest(at.plus(HOLDS)),
            evidence: Evidence {
                observed: Peak(self.observed),
                threshold: self.threshold,
                window: Duration::from_hours(1),
                crowd: None,
                series: Vec::new(),
            },
            participants: Vec::new(),
            samples: vec![Specimen {
                time: at,
                client: None,
                text: Untrusted::new(&self.said, 512),
                by: Untrusted::new("", 256),
            }],
            entry,
        }
    }
}

/// Memory that climbs steadily and will be at its limit before long.
fn climb(hour: &VecDeque<Minute>) -> Option<Found> {
    let points: Vec<(f64, f64)> =
        hour.iter().filter_map(|minute| Some((minute.slice as f64, minute.memory_of_limit?))).collect();
    let &(_, now) = points.last()?;
    if points.len() < LEAST || !(FULL_ENOUGH..1.0).contains(&now) {
        return None;
    }
    let (early, late) = points.split_at(points.len() / 2);
    let slope = slope(&points);
    // A step is steep in one half, and flat in both; what levels off is flat in the second.
    let steady = [early, late].iter().all(|half| self::slope(half) > slope * 0.6);
    let third = points.len().div_ceil(3);
    let floors = points.chunks(third).map(|third| third.iter().map(|point| point.1).fold(f64::MAX, f64::min));
    let grows = floors.is_sorted_by(|a, b| b - a > slope * third as f64 / 3.0);
    let minutes = (1.0 - now) / slope;
    if slope <= 0.0 || !steady || !grows || minutes > AHEAD.as_secs_f64() / 60.0 {
        return None;
    }
    let severity = if minutes <= SOON.as_secs_f64() / 60.0 { Severity::Error } else { Severity::Warning };
    Some(Found {
        rule: "memory-climbing",
        severity,
        observed: now,
        threshold: 1.0,
        since: hour.front()?.slice,
        said: format!(
            "memory at {:.0} % of its limit and climbing by {:.1} % an hour: full in {}",
            now * 100.0,
            slope * 6_000.0,
            words(minutes)
        ),
    })
}

/// The median slope over all pairs of points.
fn slope(points: &[(f64, f64)]) -> f64 {
    let pairs = points.iter().enumerate().flat_map(|(at, a)| points[at + 1..].iter().map(move |b| (a, b)));
    let mut slopes: Vec<f64> = pairs.map(|(a, b)| (b.1 - a.1) / (b.0 - a.0).max(1.0)).collect();
    slopes.sort_unstable_by(f64::total_cmp);
    slopes.get(slopes.len() / 2).copied().unwrap_or(0.0)
}

/// It is ended for want of memory again and again.
fn kills(hour: &VecDeque<Minute>) -> Option<Found> {
    let last = hour.back()?.slice;
    let recent = || hour.iter().filter(|minute| minute.slice > last - LOOP as i64 && minute.oom_kills > 0.0);
    let kills: f64 = recent().map(|minute| minute.oom_kills).sum();
    if kills < KILLS || hour.back()?.oom_kills <= 0.0 {
        return None;
    }
    Some(Found {
        rule: "out-of-memory-loop",
        severity: Severity::Error,
        observed: kills,
        threshold: KILLS,
        since: recent().next()?.slice,
        said: format!("ended {kills:.0} times for want of memory in {LOOP} minutes"),
    })
}

/// It wants more CPU than its limit, and has for a while.
fn held_back(hour: &VecDeque<Minute>) -> Option<Found> {
    let last = hour.back()?.slice;
    let recent: Vec<f64> = hour
        .iter()
        .filter(|minute| minute.slice > last - HELD_BACK_MINUTES as i64)
        .filter_map(|minute| minute.throttled)
        .collect();
    if recent.len() < HELD_BACK_MINUTES || recent.iter().any(|share| *share < HELD_BACK) {
        return None;
    }
    let mean = recent.iter().sum::<f64>() / recent.len() as f64;
    Some(Found {
        rule: "cpu-held-back",
        severity: Severity::Warning,
        observed: mean,
        threshold: HELD_BACK,
        since: last - HELD_BACK_MINUTES as i64 + 1,
        said: format!(
            "held back at its CPU limit in {:.0} % of the scheduler's periods for {HELD_BACK_MINUTES} minutes",
            mean * 100.0
        ),
    })
}

fn words(minutes: f64) -> String {
    match minutes {
        ..90.0 => format!("{minutes:.0} minutes"),
        _ => format!("{:.1} hours", minutes / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules that are stated of a workload's minutes, each with its first minute, severity and words.
    fn stated(minutes: impl IntoIterator<Item = Minute>) -> Vec<(String, i64, Severity, String)> {
        let (mut bounds, mut out) = (Bounds::default(), Vec::<(String, i64, Severity, String)>::new());
        for minute in minutes {
            let mut signals = Vec::new();
            bounds.take("shop/web", minute, EntryId(0), &mut signals);
            for signal in signals {
                let known = |held: &&(String, i64, Severity, String)| {
                    (&*held.0, held.2) == (&*signal.rule, signal.severity)
                };
                if out.iter().find(known).is_none() {
                    let said = signal.samples[0].text.clean().to_owned();
                    out.push((signal.rule.to_string(), minute.slice, signal.severity, said));
                }
            }
        }
        out
    }

    fn memory(share: impl Fn(i64) -> f64) -> Vec<(String, i64, Severity, String)> {
        stated((0..600).map(|slice| Minute {
            slice,
            memory_of_limit: Some(share(slice)),
            ..Minute::default()
        }))
    }

    #[test]
    fn memory_that_climbs_is_told_hours_ahead_and_again_when_it_is_near() {
        // From 30 % by 12 % an hour, in the saw teeth of a collector: full after 350 minutes.
        let told = memory(|minute| (0.3 + minute as f64 * 0.002 + (minute % 7) as f64 * 0.003).min(1.0));
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!((&*told[0].0, told[0].2), ("memory-climbing", Severity::Warning));
        assert!((90..=110).contains(&told[0].1), "half full: {told:?}");
        assert!(told[0].3.contains("climbing by 12.0 % an hour: full in 4."), "{told:?}");
        assert_eq!(told[1].2, Severity::Error);
        assert!((310..=340).contains(&told[1].1), "{told:?}");
    }

    #[test]
    fn steps_plateaus_teeth_and_caches_that_fill_are_no_climb() {
        assert_eq!(memory(|minute| if minute < 100 { 0.4 } else { 0.9 }), []);
        assert_eq!(memory(|_| 0.95), []);
        assert_eq!(memory(|minute| 0.6 + (minute % 30) as f64 * 0.01), []);
        assert_eq!(memory(|minute| 0.7 * (1.0 - (-minute as f64 / 20.0).exp())), []);
        assert_eq!(memory(|minute| 0.9 - minute as f64 * 0.001), []);
    }

    #[test]
    fn kills_in_a_row_are_a_loop_and_one_or_two_are_none() {
        let told = |every: i64, most: i64| {
            stated((0..120).map(|slice| Minute {
                slice,
                oom_kills: if slice % every == 0 && slice / every < most { 1.0 } else { 0.0 },
                ..Minute::default()
            }))
        };
        assert_eq!(told(5, 2), []);
        assert_eq!(told(20, 6), []);
        let told = told(5, 100);
        assert_eq!((&*told[0].0, told[0].1, told[0].2), ("out-of-memory-loop", 10, Severity::Error));
    }

    #[test]
    fn cpu_that_is_held_back_for_ten_minutes_is_told_and_a_burst_is_not() {
        let told = |share: fn(i64) -> f64| {
            stated((0..60).map(|slice| Minute { slice, throttled: Some(share(slice)), ..Minute::default() }))
        };
        assert_eq!(told(|minute| if minute % 10 == 0 { 0.1 } else { 0.9 }), []);
        let told = told(|minute| if minute >= 20 { 0.4 } else { 0.0 });
        assert_eq!((&*told[0].0, told[0].1), ("cpu-held-back", 29));
        assert!(told[0].3.contains("in 40 % of"), "{told:?}");
    }
}
