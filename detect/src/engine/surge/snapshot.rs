//! A service as bytes, and back, bit for bit: what is found after a restart is what would have been found without it.
//!
//! About 1.2 KB, and four bytes for each network that is remembered: at most 67 KB. One walk serves both ways, so that
//! writing and reading cannot disagree. Bytes of another version, or damaged ones, are refused: a service is then learned
//! anew, and never from half a state. What the operator sets is not in them.

use std::ops::Bound;

use beaconfire_model::EventTime;

use super::Surge;
use super::capacity::Meter;
use super::networks::{MOST, Networks};
use super::service::{Ramp, Regulars, Service};
use super::verdict::Views;
use super::view::View;
use crate::sealed::{self, End, SnapshotError};

/// Changes with the layout, and with what a number means.
const VERSION: u8 = 2;

impl Surge {
    /// At most so many services that took a minute since they were last handed out: each with the last minute in it, and
    /// its state. Who comes late in the alphabet comes the next time.
    pub fn learned(&mut self, most: usize) -> Vec<(Box<str>, EventTime, Vec<u8>)> {
        let after = match self.handed.take() {
            Some(last) => Bound::Excluded(last),
            None => Bound::Unbounded,
        };
        let mut learned: Vec<(Box<str>, EventTime, Vec<u8>)> = Vec::new();
        let all = self.services.len();
        // Once around at most: a borrowed cycle of a map cannot be changed on the way.
        let names: Vec<Box<str>> = self
            .services
            .range((after.clone(), Bound::Unbounded))
            .chain(&self.services)
            .take(all)
            .filter(|(_, service)| service.unsaved_from.is_some())
            .map(|(name, _)| name.clone())
            .take(most)
            .collect();
        for name in names {
            let Some(service) = self.services.get_mut(&name) else { continue };
            service.unsaved_from = None;
            let Some(through) = service.closed_through else { continue };
            learned.push((name, through, service.snapshot()));
        }
        self.handed = learned.last().map(|(name, _, _)| name.clone());
        learned
    }

    /// The first minute that was taken and not handed out: from there on records are read again after a restart.
    pub fn unsaved_from(&self) -> Option<EventTime> {
        self.services.values().filter_map(|service| service.unsaved_from).min()
    }

    /// Goes on from what was handed out of a service; false where there is no room for it.
    ///
    /// # Errors
    ///
    /// Where the bytes are not what was written, or another version wrote them.
    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<bool, SnapshotError> {
        let mut read = Service::read(bytes)?;
        if !self.make_room(name, read.closed_through.unwrap_or(EventTime::MIN)) {
            return Ok(false);
        }
        let Some(held) = self.services.get_mut(name) else { return Ok(false) };
        read.configure(held);
        self.network_bytes = self.network_bytes + read.networks.bytes() - held.networks.bytes();
        *held = read;
        Ok(true)
    }
}

impl Service {
    fn snapshot(&self) -> Vec<u8> {
        sealed::seal(VERSION, |out| service(&mut self.clone(), out))
    }

    fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut read = Self::new(None, None, None);
        sealed::open(VERSION, bytes, |input| {
            service(&mut read, input);
            input.check(read.networks.is_sound());
        })?;
        Ok(read)
    }
}

/// How many there are of what follows.
fn count(held: usize, most: usize, end: &mut impl End) -> usize {
    let mut count = held;
    end.size(&mut count, most);
    count
}

fn minutes(value: &mut Option<u32>, end: &mut impl End) {
    end.option(value, 0, |end, minutes| end.u32(minutes));
}

fn time(value: &mut EventTime, end: &mut impl End) {
    let mut millis = value.millis();
    end.i64(&mut millis);
    *value = EventTime::from_millis(millis);
}

fn service(value: &mut Service, end: &mut impl End) {
    let Service {
        meter: m,
        latency_max: _,
        attack: _,
        views: v,
        level,
        recent,
        latency,
        networks: n,
        regulars,
        above,
        surging,
        surge_minutes,
        attack_minutes,
        attacked,
        ramp: r,
        outage_minutes,
        outage_expected,
        outage_came,
        since_outage,
        since_rollout,
        closed_through,
        asked,
        // What is handed out is saved, and so is what comes back.
        unsaved_from: _,
    } = value;
    end.time(closed_through);
    time(asked, end);
    for count in [surge_minutes, attack_minutes, outage_minutes] {
        end.u32(count);
    }
    for flag in [above, surging, attacked] {
        end.bool(flag);
    }
    for requests in [outage_expected, outage_came, recent] {
        end.real(requests);
    }
    for since in [since_outage, since_rollout] {
        minutes(since, end);
    }
    meter(m, end);
    views(v, end);
    for each in [level, latency] {
        view(each, end);
    }
    ramp(r, end);
    networks(n, end);
    let none = (0, EventTime::MIN, EventTime::MIN);
    regulars.0.resize(count(regulars.0.len(), Regulars::MOST, end), none);
    for (client, first, last) in &mut regulars.0 {
        end.u32(client);
        time(first, end);
        time(last, end);
    }
}

fn meter(value: &mut Meter, end: &mut impl End) {
    let Meter {
        configured: _,
        in_time,
        slow,
        backlog,
        high_for,
        over_for,
        high,
        over,
        level,
        trend,
        wobble,
        seen,
    } = value;
    for each in [in_time, backlog, level, trend, wobble] {
        end.real(each);
    }
    for each in [slow, high_for, over_for, seen] {
        end.u32(each);
    }
    for each in [high, over] {
        end.bool(each);
    }
}

fn views(value: &mut Views, end: &mut impl End) {
    let Views {
        clients,
        new_networks,
        client_p95,
        client_max,
        variation,
        per_client,
        paths,
        assets,
        queries,
        errors,
        agents,
    } = value;
    let who = [clients, new_networks, client_p95, client_max, variation, per_client];
    for each in who.into_iter().chain([paths, assets, queries, errors, agents]) {
        view(each, end);
    }
}

fn view(value: &mut View, end: &mut impl End) {
    let View { seen, mean, variance } = value;
    for each in [&mut *seen, mean, &mut *variance] {
        end.real(each);
    }
    end.check(*seen >= 0.0 && *variance >= 0.0);
}

fn ramp(value: &mut Ramp, end: &mut impl End) {
    let Ramp { slices, peak, seconds } = value;
    end.real(peak);
    end.real(seconds);
    slices.resize(count(slices.len(), Ramp::KEPT, end), 0.0);
    for slice in slices {
        end.f32(slice);
        end.check(slice.is_finite());
    }
}

fn networks(value: &mut Networks, end: &mut impl End) {
    let Networks { held, fresh, level, stretch, since } = value;
    end.u8(level);
    end.i64(stretch);
    end.time(since);
    for some in [held, fresh] {
        some.resize(count(some.len(), MOST, end), 0);
        some.iter_mut().for_each(|entry| end.u32(entry));
    }
}
