//! A workload as bytes, and back: what is learned of it, what it is suspected of, and what was last said. `sealed.rs` has
//! how one walk serves both ways.
//!
//! The minute that is still being folded is not in it: its slices are behind what is committed and are read again.

use beaconfire_model::{EventTime, Kind, Severity};

use super::super::Said;
use super::super::first_sight::FirstSight;
use super::super::shape::Shape;
use super::super::slice::MINUTE_MILLIS;
use super::super::window::KEPT;
use super::{Before, Held, NEVER, Slow, Workload};
use crate::sealed::{self, End, SnapshotError};

/// Changes with the layout, and with any number that old state would not fit.
const VERSION: u8 = 2;
/// Minutes that an [`EventTime`] can tell.
const MINUTES_MAX: i64 = i64::MAX / MINUTE_MILLIS;

impl Workload {
    /// All that it holds but for the minute that is open, as bytes: at most 6 KB. Deeds before `judged` are in it.
    pub(crate) fn snapshot(&self, judged: EventTime) -> Vec<u8> {
        let mut copy = Self { judged, ..self.clone() };
        sealed::seal(VERSION, |out| copy.walk(out))
    }

    /// The workload that these bytes were taken of.
    pub(crate) fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut read = Self::new();
        sealed::open(VERSION, bytes, |input| read.walk(input))?;
        Ok(read)
    }

    fn walk(&mut self, end: &mut impl End) {
        let Self {
            folding: _,
            last_minute,
            born,
            dawn,
            model,
            profile,
            window,
            sum,
            onset,
            rolled_out,
            resting,
            memory_steps,
            step,
            network,
            peak,
            before,
            plateau,
            exceeded,
            held,
            thawed,
            accepted,
            limit,
            tied,
            replicas,
            shape,
            first_sight,
            resident,
            creep,
            now,
            suspicion,
            said,
            answers,
            spread_with,
            noted,
            judged,
            unsaved: _,
        } = self;
        for minute in [last_minute, rolled_out, accepted, exceeded] {
            end.i64(minute);
            let is_sound = *minute == NEVER || is_minute(*minute);
            end.check(is_sound);
        }
        for each in [born, onset] {
            minute(each, end);
        }
        figure(dawn, end);
        model.walk(end);
        profile.walk(end);
        window.walk(end);
        end.amount(sum);
        end.u32(resting);
        for Slow { seen, mean } in memory_steps {
            end.amount(seen);
            end.amount(mean);
        }
        end.option(step, (0, 0.0, 0.0), |end, (at, change, from)| {
            minute(at, end);
            end.real(change);
            end.real(from);
        });
        end.option(network, [0.0; 2], |end, both| both.iter_mut().for_each(|each| end.amount(each)));
        for each in [peak, limit, resident] {
            end.option(each, 0.0, |end, value| end.amount(value));
        }
        end.option(
            before,
            Before::default(),
            |end, Before { memory_minute, peak, roughness, scale, spread, worked }| {
                for each in [memory_minute, peak] {
                    end.option(each, 0.0, |end, value| end.amount(value));
                }
                [roughness, scale, spread].into_iter().for_each(|each| end.amount(each));
                end.bool(worked);
            },
        );
        end.option(plateau, (0, 0, 0.0), |end, (since, last, level)| {
            minute(since, end);
            minute(last, end);
            end.real(level);
        });
        end.option(held, Held::default(), |end, Held { since, last, points, shape }| {
            minute(since, end);
            minute(last, end);
            end.amount(points);
            look(shape, end);
        });
        end.bool(thawed);
        end.bool(tied);
        end.amount(replicas);
        end.option(shape, Shape::default(), |end, value| look(value, end));
        end.option(first_sight, FirstSight::default(), |end, value| sight(value, end));
        creep.walk(end);
        now.walk(end);
        suspicion.walk(end);
        end.option(said, Said::default(), |end, value| told(value, end));
        answers.walk(end);
        end.size(spread_with, usize::from(u16::MAX));
        end.time(noted);
        let mut through = Some(*judged);
        end.time(&mut through);
        *judged = through.unwrap_or(EventTime::MIN);
    }
}

fn is_minute(minute: i64) -> bool {
    (-MINUTES_MAX - 1..=MINUTES_MAX).contains(&minute)
}

fn minute(value: &mut i64, end: &mut impl End) {
    end.i64(value);
    end.check(is_minute(*value));
}

/// A figure for people: the variation of what stands at nothing is infinite.
fn figure(value: &mut f64, end: &mut impl End) {
    end.f64(value);
    end.check(!value.is_nan());
}

fn look(value: &mut Shape, end: &mut impl End) {
    let Shape {
        minutes,
        since,
        cores,
        excess,
        variation,
        flat,
        bursts,
        lasting,
        unexplained,
        dearer,
        rose,
        quiet,
        dataset,
        memory_known,
        threads,
        decoupled,
    } = value;
    end.size(minutes, KEPT);
    end.size(since, KEPT);
    [cores, excess, variation].into_iter().for_each(|each| figure(each, end));
    for each in [dearer, dataset] {
        end.option(each, 0.0, |end, value| figure(value, end));
    }
    end.option(threads, 0, |end, value| end.u32(value));
    for each in [flat, bursts, lasting, unexplained, rose, quiet, memory_known, decoupled] {
        end.bool(each);
    }
}

fn sight(value: &mut FirstSight, end: &mut impl End) {
    let FirstSight { minutes, cores, variation, busy, rest, least, moves_data, grown } = value;
    end.size(minutes, KEPT);
    [cores, variation, least].into_iter().for_each(|each| figure(each, end));
    for each in [rest, grown] {
        end.option(each, 0.0, |end, value| figure(value, end));
    }
    end.bool(busy);
    end.bool(moves_data);
}

fn told(value: &mut Said, end: &mut impl End) {
    let Said { kind, severity, classes, at } = value;
    let mut is_mining = *kind == Kind::Mining;
    end.bool(&mut is_mining);
    *kind = if is_mining { Kind::Mining } else { Kind::Resource };
    let mut place = *severity as u8;
    end.u8(&mut place);
    let found = Severity::ALL.get(usize::from(place));
    end.check(found.is_some());
    *severity = found.copied().unwrap_or(*severity);
    end.u32(classes);
    let mut time = Some(*at);
    end.time(&mut time);
    *at = time.unwrap_or(*at);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::class::{Class, Indicator};
    use super::super::super::slice::{Folded, Slice};
    use super::*;

    fn slice(minute: i64, cores: f64) -> Folded {
        let slice = Slice {
            workload: "",
            at: EventTime::from_millis(minute * MINUTE_MILLIS),
            span: Duration::from_secs(60),
            cpu_cores: cores,
            cpu_limit_cores: Some(2.0),
            requests_per_second: Some(10.0),
            memory_bytes: Some(if cores > 1.0 { 3e9 } else { 3e8 }),
            network_bytes_per_second: Some(1e4),
            replicas: 1,
            restarts: 0,
            image_changed: false,
        };
        Folded::of(&slice).unwrap()
    }

    /// One that is suspected, with all there can be.
    fn suspected() -> Workload {
        let mut workload = Workload::new();
        for minute in 0..1_000 {
            workload.take(slice(minute, if minute < 970 { 0.3 } else { 1.5 }), true);
        }
        for class in Class::ALL {
            let indicator = Indicator::new(class, 5.0, "seen", &"é".repeat(300));
            workload.suspicion.add(indicator, EventTime::from_millis(1_000 * MINUTE_MILLIS), true);
        }
        workload
    }

    #[test]
    fn a_workload_comes_back_and_takes_at_most_six_kilobytes() {
        for (workload, most) in [(Workload::new(), 600), (suspected(), 6 << 10)] {
            let bytes = workload.snapshot(EventTime::MIN);
            assert!(bytes.len() <= most, "{}", bytes.len());
            let again = Workload::restore(&bytes).unwrap().snapshot(EventTime::MIN);
            assert_eq!(again, bytes);
        }
        assert!(suspected().now.plateau, "it is one");
    }

    /// A checksum finds no intent: whatever is let in is lived with, without a panic.
    #[test]
    fn bytes_of_somebody_who_knows_the_checksum_do_no_harm() {
        let bytes = suspected().snapshot(EventTime::MIN);
        let body = &bytes[1..bytes.len() - 8];
        let mut refused = 0;
        for at in (0..body.len()).step_by(5) {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut forged = body.to_vec();
                // An exponent, a length or a flag: all are within these.
                forged[at..(at + 2).min(body.len())].fill(value);
                let sealed = sealed::seal(VERSION, |out| forged.iter_mut().for_each(|byte| out.u8(byte)));
                let Ok(mut workload) = Workload::restore(&sealed) else {
                    refused += 1;
                    continue;
                };
                for minute in 1_000..1_003 {
                    if !workload.is_late(minute) {
                        workload.take(slice(minute, 1.5), true);
                    }
                    let now = EventTime::from_millis(minute * MINUTE_MILLIS);
                    let _judged = workload.suspicion.judge(workload.now, false, now);
                    let _shown = workload.suspicion.contributions(now);
                    let _onset = (workload.onset(), workload.rollout_near());
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }
}
