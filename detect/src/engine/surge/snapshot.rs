//! A service as bytes, and back, bit for bit: what is found after a restart is what would have been found without it.
//!
//! About 1.2 KB, and four bytes for each network that is remembered: at most 67 KB. One walk serves both ways, so that
//! writing and reading cannot disagree. Bytes of another version, or damaged ones, are refused: a service is then learned
//! anew, and never from half a state. What the operator sets is not in them.

use std::fmt;
use std::ops::Bound;

use beaconfire_model::EventTime;

use super::Surge;
use super::capacity::Meter;
use super::networks::{MOST, Networks};
use super::service::{Ramp, Regulars, Service};
use super::verdict::Views;
use super::view::View;

/// Changes with the layout, and with what a number means.
const VERSION: u8 = 1;

/// Why bytes are no service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSurge {
    /// Another version wrote them.
    Version(u8),
    /// They are cut off, too long, or not what was written.
    Damaged,
}

impl fmt::Display for BadSurge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "a service of version {version}, and this is {VERSION}"),
            Self::Damaged => f.write_str("a damaged service"),
        }
    }
}

impl std::error::Error for BadSurge {}

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
    pub fn restore(&mut self, name: &str, bytes: &[u8]) -> Result<bool, BadSurge> {
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
        let mut out = Out(Vec::with_capacity(Self::BYTES + self.networks.bytes()));
        out.0.push(VERSION);
        service(&mut self.clone(), &mut out);
        let sum = checksum(&out.0);
        out.0.extend(sum);
        out.0
    }

    fn read(bytes: &[u8]) -> Result<Self, BadSurge> {
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or(BadSurge::Damaged)?;
        let (version, state) = body.split_first().ok_or(BadSurge::Damaged)?;
        if checksum(body) != *sum {
            return Err(BadSurge::Damaged);
        }
        if *version != VERSION {
            return Err(BadSurge::Version(*version));
        }
        let mut read = Self::new(None, None, None);
        let mut input = In { left: state, is_sound: true };
        service(&mut read, &mut input);
        let whole = input.left.is_empty() && input.is_sound && read.networks.is_sound();
        if whole { Ok(read) } else { Err(BadSurge::Damaged) }
    }
}

/// FNV-1a: finds damage, not intent.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    sum.to_le_bytes()
}

/// One end of the walk: takes bytes out of values, or puts them in.
trait End {
    fn bytes<const N: usize>(&mut self, value: [u8; N]) -> [u8; N];

    /// What was read cannot have been written.
    fn refuse(&mut self) {}

    fn f64(&mut self, value: &mut f64) {
        *value = f64::from_le_bytes(self.bytes(value.to_le_bytes()));
        if !value.is_finite() {
            self.refuse();
            *value = 0.0;
        }
    }

    fn u32(&mut self, value: &mut u32) {
        *value = u32::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn i64(&mut self, value: &mut i64) {
        *value = i64::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn bool(&mut self, value: &mut bool) {
        let [byte] = self.bytes([u8::from(*value)]);
        if byte > 1 {
            self.refuse();
        }
        *value = byte == 1;
    }

    /// How many there are of what follows.
    fn count(&mut self, held: usize, most: usize) -> usize {
        let mut count = u32::try_from(held).unwrap_or(u32::MAX);
        self.u32(&mut count);
        if count as usize > most {
            self.refuse();
            return 0;
        }
        count as usize
    }

    fn minutes(&mut self, value: &mut Option<u32>) {
        let mut is_some = value.is_some();
        self.bool(&mut is_some);
        let mut minutes = value.unwrap_or(0);
        self.u32(&mut minutes);
        *value = is_some.then_some(minutes);
    }

    fn time(&mut self, value: &mut Option<EventTime>) {
        let mut is_some = value.is_some();
        self.bool(&mut is_some);
        let mut millis = value.map_or(0, EventTime::millis);
        self.i64(&mut millis);
        *value = is_some.then_some(EventTime::from_millis(millis));
    }
}

struct Out(Vec<u8>);

impl End for Out {
    fn bytes<const N: usize>(&mut self, value: [u8; N]) -> [u8; N] {
        self.0.extend(value);
        value
    }
}

struct In<'b> {
    left: &'b [u8],
    is_sound: bool,
}

impl End for In<'_> {
    fn bytes<const N: usize>(&mut self, _: [u8; N]) -> [u8; N] {
        let Some((value, left)) = self.left.split_first_chunk::<N>() else {
            self.refuse();
            return [0; N];
        };
        self.left = left;
        *value
    }

    fn refuse(&mut self) {
        self.is_sound = false;
    }
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
    let mut millis = asked.millis();
    end.i64(&mut millis);
    *asked = EventTime::from_millis(millis);
    for count in [surge_minutes, attack_minutes, outage_minutes] {
        end.u32(count);
    }
    for flag in [above, surging, attacked] {
        end.bool(flag);
    }
    for requests in [outage_expected, outage_came, recent] {
        end.f64(requests);
    }
    for minutes in [since_outage, since_rollout] {
        end.minutes(minutes);
    }
    meter(m, end);
    views(v, end);
    for each in [level, latency] {
        view(each, end);
    }
    ramp(r, end);
    networks(n, end);
    let none = (0, EventTime::MIN, EventTime::MIN);
    regulars.0.resize(end.count(regulars.0.len(), Regulars::MOST), none);
    for (client, first, last) in &mut regulars.0 {
        end.u32(client);
        for time in [first, last] {
            let mut millis = time.millis();
            end.i64(&mut millis);
            *time = EventTime::from_millis(millis);
        }
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
        end.f64(each);
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
        end.f64(each);
    }
    if *seen < 0.0 || *variance < 0.0 {
        end.refuse();
    }
}

fn ramp(value: &mut Ramp, end: &mut impl End) {
    let Ramp { slices, peak, seconds } = value;
    end.f64(peak);
    end.f64(seconds);
    slices.resize(end.count(slices.len(), Ramp::KEPT), 0.0);
    for slice in slices {
        *slice = f32::from_le_bytes(end.bytes(slice.to_le_bytes()));
        if !slice.is_finite() {
            end.refuse();
        }
    }
}

fn networks(value: &mut Networks, end: &mut impl End) {
    let Networks { held, fresh, level, stretch, since } = value;
    [*level] = end.bytes([*level]);
    end.i64(stretch);
    end.time(since);
    for some in [held, fresh] {
        some.resize(end.count(some.len(), MOST), 0);
        some.iter_mut().for_each(|entry| end.u32(entry));
    }
}
