//! Which networks a service was asked from within the last seven days.
//!
//! Each is 28 bits of its hash with the day it was last seen, sorted: exact, so nothing known is called new for want of
//! room. Who comes is new for half an hour, and forgotten where a surge begins in it: an attack that grows slowly would
//! else be known before it is one. What is too much halves what is remembered: from then on only networks whose hashes begin with another zero are
//! learned and judged, and they stand for all. Of so many that too few requests are left to judge, nothing is said.

use beaconfire_model::EventTime;

const DAY: i64 = 86_400_000;
/// Days that a network is remembered.
const DAYS: i64 = 7;
/// The lowest bits of an entry, which have the day.
const STAMP: u32 = 0xf;
/// Networks of one service: 64 KB.
pub(super) const MOST: usize = 16_384;
/// What each service may have, however many there are: 1 KB.
pub(super) const LEAST: usize = 256;
/// Requests below which a share says nothing.
const JUDGED: f64 = 10.0;

/// How long a network is new, in stretches of five minutes.
const STRETCH: i64 = 300_000;
const NEW: i64 = 6;

/// The networks of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    /// Those that are known, each with the day it was last seen. Sorted, as are the fresh.
    pub(super) held: Vec<u32>,
    /// Those that are new, each with the stretch it was first seen in.
    pub(super) fresh: Vec<u32>,
    /// Only hashes that begin with so many zeros.
    pub(super) level: u8,
    /// The last stretch, and the day of it, that something was learned in.
    pub(super) stretch: i64,
    /// When the first was learned.
    pub(super) since: Option<EventTime>,
}

/// Whether a sorted list has a network, and where.
fn find(among: &[u32], network: u32) -> Result<usize, usize> {
    among.binary_search_by_key(&network, |entry| entry & !STAMP)
}

/// Adds to a sorted list what is not in it.
fn add(to: &mut Vec<u32>, new: &[u32], room: usize) {
    if to.capacity() < to.len() + new.len() {
        let wanted = (to.len() + new.len()) * 5 / 4;
        to.reserve_exact(wanted.min(room).max(to.len() + new.len()) - to.len());
    }
    to.extend(new);
    // Two sorted runs, which a stable sort merges.
    to.sort();
}

/// Days or stretches since an entry's stamp.
fn age(entry: u32, now: i64) -> i64 {
    i64::from((now as u32).wrapping_sub(entry) & STAMP)
}

impl Networks {
    /// The share of requests from networks that were not seen for a week, of requests by network; `None` where it cannot
    /// be known: on the first day, or of too few requests.
    pub(super) fn new_share(&self, requests: impl Iterator<Item = (u32, u32)>, at: EventTime) -> Option<f64> {
        let since = self.since?;
        if at.millis().saturating_sub(since.millis()) < DAY {
            return None;
        }
        let (mut all, mut new) = (0.0, 0.0);
        for (network, requests) in requests.filter(|(network, _)| self.is_judged(*network)) {
            all += f64::from(requests);
            new += if self.knows(network, at) { 0.0 } else { f64::from(requests) };
        }
        (all >= JUDGED).then(|| new / all)
    }

    /// A surge began: who was new may belong to it.
    pub(super) fn doubt(&mut self) {
        self.fresh.clear();
    }

    /// Remembers that these were seen; at most `room` are kept.
    pub(super) fn learn(&mut self, mut seen: Vec<u32>, at: EventTime, room: usize) {
        let room = room.clamp(LEAST, MOST);
        self.turn(at.millis().div_euclid(STRETCH), room);
        seen.retain(|network| self.is_judged(*network));
        seen.iter_mut().for_each(|network| *network &= !STAMP);
        seen.sort_unstable();
        seen.dedup();
        if seen.is_empty() {
            return;
        }
        self.since.get_or_insert(at);
        let today = self.day() as u32 & STAMP;
        seen.retain(|network| match find(&self.held, *network) {
            Ok(at) => {
                self.held[at] = network | today;
                false
            }
            Err(_) => find(&self.fresh, *network).is_err(),
        });
        while self.len() + seen.len() > room && self.level < 28 {
            self.level += 1;
            let level = u32::from(self.level);
            for some in [&mut self.held, &mut self.fresh, &mut seen] {
                some.retain(|entry| entry.leading_zeros() >= level);
            }
        }
        let now = self.stretch as u32 & STAMP;
        seen.iter_mut().for_each(|network| *network |= now);
        add(&mut self.fresh, &seen, room);
    }

    pub(super) fn len(&self) -> usize {
        self.held.len() + self.fresh.len()
    }

    /// What they take; there may be room for a quarter more, which a restart must not make a difference.
    pub(super) fn bytes(&self) -> usize {
        self.len() * size_of::<u32>()
    }

    /// Whether this is what learning leaves behind.
    pub(super) fn is_sound(&self) -> bool {
        let level = u32::from(self.level);
        let sorted = |some: &[u32]| some.windows(2).all(|pair| pair[0] & !STAMP < pair[1] & !STAMP);
        let mut all = self.held.iter().chain(&self.fresh);
        sorted(&self.held)
            && sorted(&self.fresh)
            && self.len() <= MOST
            && all.all(|entry| entry & !STAMP != 0 && entry.leading_zeros() >= level)
    }

    fn is_judged(&self, network: u32) -> bool {
        let network = network & !STAMP;
        network != 0 && network.leading_zeros() >= u32::from(self.level)
    }

    fn knows(&self, network: u32, at: EventTime) -> bool {
        let Ok(found) = find(&self.held, network & !STAMP) else { return false };
        // Since something was last learned, days may have passed.
        let passed = at.millis().div_euclid(DAY).saturating_sub(self.day());
        passed.saturating_add(age(self.held[found], self.day())) <= DAYS
    }

    fn day(&self) -> i64 {
        self.stretch.div_euclid(DAY / STRETCH)
    }

    /// Time goes on: what is new no longer becomes known, and what is too old is forgotten, before stamps begin anew.
    fn turn(&mut self, stretch: i64, room: usize) {
        if stretch <= self.stretch {
            return;
        }
        let (passed, before) = (stretch.saturating_sub(self.stretch), self.stretch);
        let (day, mut known) = (self.day(), Vec::new());
        self.fresh.retain(|entry| {
            let is_new = age(*entry, before).saturating_add(passed) < NEW;
            if !is_new {
                known.push(entry & !STAMP | day as u32 & STAMP);
            }
            is_new
        });
        add(&mut self.held, &known, room);
        self.stretch = stretch;
        let days = self.day().saturating_sub(day);
        if days > 0 {
            self.held.retain(|entry| age(*entry, day).saturating_add(days) <= DAYS);
        }
        if self.len() == 0 {
            // Who comes after a week of silence is no more known than on the first day.
            (self.since, self.level) = (None, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    use crate::hash::Seeded;

    const MINUTE: i64 = 60_000;

    fn network(n: u32) -> u32 {
        (Seeded::new(7).hash_one(n) >> 32) as u32
    }

    fn networks(range: std::ops::Range<u32>) -> Vec<u32> {
        range.map(network).collect()
    }

    fn at(day: i64, minute: i64) -> EventTime {
        EventTime::from_millis(day * DAY + minute * MINUTE)
    }

    fn new_share(known: &Networks, range: std::ops::Range<u32>, at: EventTime) -> Option<f64> {
        known.new_share(range.map(|n| (network(n), 1)), at)
    }

    #[test]
    fn nothing_is_said_on_the_first_day_and_what_was_seen_is_known_for_seven() {
        let mut known = Networks::default();
        assert_eq!(new_share(&known, 0..100, at(20_000, 5)), None);
        known.learn(networks(0..100), at(20_000, 5), MOST);
        known.learn(networks(100..120), at(20_000, 900), MOST);
        known.learn(networks(0..1), at(20_000, 930), MOST);
        assert_eq!(new_share(&known, 0..100, at(20_001, 4)), None);
        assert_eq!(new_share(&known, 0..200, at(20_001, 5)), Some(0.4));
        for day in 1..=7 {
            known.learn(networks(0..50), at(20_000 + day, 0), MOST);
            assert_eq!(new_share(&known, 0..200, at(20_000 + day, 9)), Some(0.4), "{day}");
        }
        known.learn(networks(0..50), at(20_008, 0), MOST);
        assert_eq!(new_share(&known, 0..200, at(20_008, 1)), Some(0.75));
        assert!(known.is_sound());
        // Of too few it says nothing, and a week of silence is a beginning.
        assert_eq!(new_share(&known, 0..9, at(20_008, 1)), None);
        assert_eq!(new_share(&known, 0..50, at(20_016, 0)), Some(1.0));
        known.learn(networks(0..50), at(20_016, 0), MOST);
        assert_eq!(new_share(&known, 0..50, at(20_016, 9)), None);
    }

    #[test]
    fn who_comes_is_new_for_half_an_hour_and_forgotten_where_a_surge_begins() {
        let mut known = Networks::default();
        (0..1_500).for_each(|minute| known.learn(networks(0..50), at(9, minute), MOST));
        let now = |minute: i64| at(10, 60 + minute);
        let mut shares = Vec::new();
        for minute in 0i64..40 {
            known.learn(networks(0..100), now(minute), MOST);
            shares.push(new_share(&known, 0..100, now(minute)).unwrap());
        }
        assert_eq!((shares[0], shares[29], shares[30]), (0.5, 0.5, 0.0));
        known.learn(networks(0..200), now(40), MOST);
        known.doubt();
        (41..60).for_each(|minute| known.learn(networks(0..100), now(minute), MOST));
        assert_eq!(new_share(&known, 0..200, now(90)), Some(0.5));
    }

    #[test]
    fn too_many_are_known_in_part_and_the_part_stands_for_all() {
        let mut known = Networks::default();
        for part in 0..300u32 {
            known.learn(networks(part * 1_000..(part + 1) * 1_000), at(9, i64::from(part)), MOST);
            assert!(known.bytes() <= MOST * 4 && known.is_sound());
        }
        // Time enough to become known.
        known.learn(networks(0..1), at(9, 400), MOST);
        assert_eq!(known.level, 5);
        let share = new_share(&known, 290_000..310_000, at(10, 300)).unwrap();
        assert!((share - 0.5).abs() < 0.05, "{share}");
        // Where room is short it says less, and at last nothing.
        known.learn(networks(0..1_000), at(10, 301), 0);
        assert!(known.len() <= LEAST);
        assert_eq!(new_share(&known, 0..500, at(10, 302)), None);
    }
}
