//! Which networks a service was asked from within the last seven days.
//!
//! Each is 28 bits of its hash with the day it was last seen, sorted: exact, so nothing known is called new for want of
//! room. What is too much halves what is remembered: from then on only networks whose hashes begin with another zero are
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

/// The networks of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    /// Sorted.
    pub(super) held: Vec<u32>,
    /// Only hashes that begin with so many zeros.
    pub(super) level: u8,
    /// The last day that something was learned.
    pub(super) day: i64,
    /// When the first was learned.
    pub(super) since: Option<EventTime>,
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
            new += if self.knows(network, day_of(at)) { 0.0 } else { f64::from(requests) };
        }
        (all >= JUDGED).then(|| new / all)
    }

    /// Remembers that these were seen; at most `room` are kept.
    pub(super) fn learn(&mut self, mut seen: Vec<u32>, at: EventTime, room: usize) {
        let room = room.clamp(LEAST, MOST);
        self.turn(day_of(at));
        seen.retain(|network| self.is_judged(*network));
        seen.iter_mut().for_each(|network| *network &= !STAMP);
        seen.sort_unstable();
        seen.dedup();
        if seen.is_empty() {
            return;
        }
        self.since.get_or_insert(at);
        let stamp = self.stamp();
        seen.retain(|network| match self.find(*network) {
            Ok(at) => {
                self.held[at] = network | stamp;
                false
            }
            Err(_) => true,
        });
        while self.held.len() + seen.len() > room && self.level < 28 {
            self.level += 1;
            let level = u32::from(self.level);
            self.held.retain(|entry| entry.leading_zeros() >= level);
            seen.retain(|network| network.leading_zeros() >= level);
        }
        if self.held.capacity() < self.held.len() + seen.len() {
            let wanted = (self.held.len() + seen.len()) * 5 / 4;
            self.held.reserve_exact(wanted.min(room) - self.held.len());
        }
        self.held.extend(seen.iter().map(|network| network | stamp));
        // Two sorted runs, which a stable sort merges.
        self.held.sort();
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.held.capacity() * size_of::<u32>()
    }

    /// Whether this is what learning leaves behind.
    pub(super) fn is_sound(&self) -> bool {
        let level = u32::from(self.level);
        let sorted = self.held.windows(2).all(|pair| pair[0] & !STAMP < pair[1] & !STAMP);
        sorted && self.held.len() <= MOST && self.held.iter().all(|entry| entry.leading_zeros() >= level)
    }

    fn is_judged(&self, network: u32) -> bool {
        network != 0 && (network & !STAMP).leading_zeros() >= u32::from(self.level)
    }

    fn knows(&self, network: u32, day: i64) -> bool {
        let Ok(at) = self.find(network & !STAMP) else { return false };
        // Since it was last learned, days may have passed.
        let age = i64::from(self.stamp().wrapping_sub(self.held[at]) & STAMP);
        day.saturating_sub(self.day).saturating_add(age) <= DAYS
    }

    fn find(&self, network: u32) -> Result<usize, usize> {
        self.held.binary_search_by_key(&network, |entry| entry & !STAMP)
    }

    fn stamp(&self) -> u32 {
        self.day as u32 & STAMP
    }

    /// Another day: forgets what is too old, before the stamps begin anew.
    fn turn(&mut self, day: i64) {
        if day <= self.day {
            return;
        }
        let passed = day.saturating_sub(self.day);
        let stamp = self.stamp();
        let age = |entry: u32| i64::from(stamp.wrapping_sub(entry) & STAMP);
        self.held.retain(|entry| age(*entry).saturating_add(passed) <= DAYS);
        self.day = day;
        if self.held.is_empty() {
            // Who comes after a week of silence is no more known than on the first day.
            (self.since, self.level) = (None, 0);
        }
    }
}

fn day_of(at: EventTime) -> i64 {
    at.millis().div_euclid(DAY)
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
    fn too_many_are_known_in_part_and_the_part_stands_for_all() {
        let mut known = Networks::default();
        for part in 0..300u32 {
            known.learn(networks(part * 1_000..(part + 1) * 1_000), at(9, i64::from(part)), MOST);
            assert!(known.bytes() <= MOST * 4 && known.is_sound());
        }
        assert_eq!(known.level, 5);
        let share = new_share(&known, 290_000..310_000, at(10, 300)).unwrap();
        assert!((share - 0.5).abs() < 0.05, "{share}");
        // Where room is short it says less, and at last nothing.
        known.learn(networks(0..1_000), at(10, 301), 0);
        assert!(known.held.len() <= LEAST);
        assert_eq!(new_share(&known, 0..500, at(10, 302)), None);
    }
}
