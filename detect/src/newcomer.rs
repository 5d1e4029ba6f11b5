//! The first ten minutes of a topic that nobody has read before: whether one client sends over half of them. Then the
//! log most likely has the address of a proxy that `clients.trusted_proxies` lacks, all of whose users count as one. A
//! proxy does so steadily, in eight of the ten minutes at least; a flood of a minute is no proxy.
//!
//! Workers count for themselves, by minute, with the Space-Saving of Metwally and others: 16 clients, of each how much it
//! surely sent. A few times a second they put that together with the others' and begin anew. Who sends a large part is
//! among the 16 from its first requests on, so what it surely sent lacks a few of them only; and nobody is told of who
//! did not send over half.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use beaconfire_model::{
    Client, Earliest, EntryId, EventTime, Evidence, Kind, Latest, Peak, Severity, Signal, Subject,
    SubjectKind,
};

/// So long a topic is new.
const NEW: i64 = 10;
const MINUTE: i64 = 60_000;
/// So many minutes may be too quiet to be the first ten; after that nobody is told of.
const QUIET: i64 = 60;
/// In so many of them it has to send over half.
const STEADY: usize = 8;
/// Fewer requests in ten minutes say nothing: those ten minutes are not the first yet.
const LEAST: u64 = 1_000;
/// Clients that a worker tells apart in a minute.
const CLIENTS: usize = 16;
/// And all of them together.
const KNOWN: usize = 128;
/// Minutes kept: lateness and drift reach further than ten.
const MINUTES: usize = 128;
/// The rule of the configuration that switches this on, and says how bad it is.
pub(crate) const SWITCH: &str = "likely-proxy";
/// What the signal is called.
const RULE: &str = "likely-proxy-of-new-topic";

/// What one worker counted of a minute.
#[derive(Debug, Clone, Default)]
struct Count {
    clients: Vec<Client>,
    /// By the place in `clients`: how much was counted, and how much of it may have been others'.
    counts: Vec<(u64, u64)>,
    total: u64,
}

impl Count {
    fn add(&mut self, client: Option<Client>) {
        self.total += 1;
        let Some(client) = client else { return };
        if let Some(at) = self.clients.iter().position(|held| *held == client) {
            self.counts[at].0 += 1;
        } else if self.clients.len() < CLIENTS {
            self.clients.push(client);
            self.counts.push((1, 0));
        } else if let Some(at) = (0..CLIENTS).min_by_key(|at| self.counts[*at].0) {
            self.clients[at] = client;
            let others = self.counts[at].0;
            self.counts[at] = (others + 1, others);
        }
    }

    /// What each client surely sent.
    fn sure(&self) -> impl Iterator<Item = (Client, u64)> {
        self.clients.iter().zip(&self.counts).map(|(client, (n, others))| (*client, n - others))
    }
}

/// What all workers counted of a minute.
#[derive(Debug, Clone, Default)]
struct Minute {
    /// What each client surely sent; of too many the smallest go.
    sure: Vec<(Client, u64)>,
    total: u64,
}

impl Minute {
    fn is_mostly(&self, client: Client) -> bool {
        self.sure.iter().any(|(held, n)| *held == client && n * 2 > self.total)
    }

    fn join(&mut self, total: u64, sure: impl IntoIterator<Item = (Client, u64)>) {
        self.total += total;
        for (client, n) in sure {
            match self.sure.iter_mut().find(|(held, _)| *held == client) {
                Some((_, held)) => *held += n,
                None => self.sure.push((client, n)),
            }
        }
        if self.sure.len() > KNOWN {
            self.sure.sort_unstable_by_key(|(client, n)| (std::cmp::Reverse(*n), *client));
            self.sure.truncate(KNOWN);
        }
    }
}

/// The minutes of one entry.
#[derive(Debug, Clone, Default)]
struct Minutes {
    minutes: BTreeMap<i64, Minute>,
    /// The first minute of those that follow one another and were too quiet.
    begun: Option<i64>,
}

impl Minutes {
    fn bound(&mut self) {
        // Only the earliest ten are asked for.
        while self.minutes.len() > MINUTES {
            self.minutes.pop_last();
        }
    }

    /// Who sent over half of the first ten minutes, when all of them has come; `None` while that is not so.
    fn first(&mut self, cleared: EventTime) -> Option<Option<First>> {
        loop {
            let from = *self.minutes.first_key_value()?.0;
            let until = from.saturating_add(NEW);
            // A log that ends within them says nothing of ten minutes.
            let seen = self.minutes.last_key_value()?.0;
            if *seen < until || cleared.millis() < until.saturating_mul(MINUTE) {
                return None;
            }
            let mut all = Minute::default();
            for (_, minute) in self.minutes.range(from..until) {
                all.join(minute.total, minute.sure.iter().copied());
            }
            if all.total < LEAST {
                // A stray record of long ago is not the beginning; what is quiet for an hour is not new any more.
                let begun = *self.begun.get_or_insert(from);
                self.minutes.pop_first();
                let next = self.minutes.first_key_value().map(|(next, _)| *next);
                if next.is_none_or(|next| next - from > QUIET) {
                    self.begun = None;
                } else if from - begun >= QUIET {
                    return Some(None);
                }
                continue;
            }
            let most = all.sure.iter().max_by_key(|(client, n)| (*n, *client));
            let most = most.filter(|(client, n)| {
                let minutes = self.minutes.range(from..until).filter(|(_, minute)| minute.is_mostly(*client));
                n * 2 > all.total && minutes.count() >= STEADY
            });
            return Some(most.map(|(client, n)| First {
                client: *client,
                share: *n as f64 / all.total as f64,
                from: EventTime::from_millis(from * MINUTE),
                until: EventTime::from_millis(until * MINUTE),
            }));
        }
    }
}

/// Who sent over half of the first ten minutes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct First {
    client: Client,
    share: f64,
    from: EventTime,
    until: EventTime,
}

/// What the workers of a process know of the first minutes of its entries: `None` once that is over.
#[derive(Debug, Default)]
pub(crate) struct Newcomers(Mutex<BTreeMap<EntryId, Option<Minutes>>>);

/// What one worker counted since it last put that together with the others'.
#[derive(Debug, Default)]
pub(crate) struct Firsts(Vec<(EntryId, Counts)>);

/// The minutes of one entry that a worker counts, the last one that was added to first.
#[derive(Debug, Default)]
struct Counts(Vec<(i64, Count)>);

impl Counts {
    fn add(&mut self, time: EventTime, client: Option<Client>) {
        let minute = time.millis().div_euclid(MINUTE);
        let at = match self.0.iter().position(|(held, _)| *held == minute) {
            Some(at) => at,
            // Whoever spreads times so far says nothing of first minutes.
            None if self.0.len() >= MINUTES => return,
            None => {
                self.0.push((minute, Count::default()));
                self.0.len() - 1
            }
        };
        self.0.swap(0, at);
        self.0[0].1.add(client);
    }
}

impl Firsts {
    /// Nobody has read the entry before.
    pub(crate) fn begin(&mut self, entry: EntryId) {
        if !self.0.iter().any(|(held, _)| *held == entry) {
            self.0.push((entry, Counts::default()));
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, entry: EntryId, time: EventTime, client: Option<Client>) {
        if let Some((_, counts)) = self.0.iter_mut().find(|(held, _)| *held == entry) {
            counts.add(time, client);
        }
    }

    /// Puts what was counted together with the others', and tells of whose first minutes are over: to one worker, once.
    pub(crate) fn settle(
        &mut self,
        all: &Newcomers,
        cleared: impl Fn(EntryId) -> EventTime,
        mut tell: impl FnMut(EntryId, Evidence, Subject, (EventTime, EventTime)),
    ) {
        if self.0.is_empty() {
            return;
        }
        // Every write leaves the map whole, so a panic elsewhere spoils nothing.
        let mut all = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.retain_mut(|(entry, counted)| {
            let held = all.entry(*entry).or_insert_with(|| Some(Minutes::default()));
            let Some(minutes) = held else { return false };
            for (at, count) in counted.0.drain(..) {
                minutes.minutes.entry(at).or_default().join(count.total, count.sure());
            }
            minutes.bound();
            let Some(first) = minutes.first(cleared(*entry)) else { return true };
            *held = None;
            if let Some(First { client, share, from, until }) = first {
                let evidence = Evidence {
                    observed: Peak(share),
                    threshold: 0.5,
                    window: Duration::from_millis((NEW * MINUTE) as u64),
                    crowd: None,
                    series: Vec::new(),
                };
                tell(*entry, evidence, Subject::new(SubjectKind::Client, client.to_string()), (from, until));
            }
            false
        });
    }
}

/// The fact that one client sent over half of what `target` was asked in its first ten minutes.
pub(crate) fn signal(
    severity: Severity,
    target: Subject,
    entry: EntryId,
    evidence: Evidence,
    subject: Subject,
    (from, until): (EventTime, EventTime),
) -> Signal {
    Signal {
        rule: RULE.into(),
        kind: Kind::Sensor,
        severity,
        target,
        subject,
        first: Earliest(until),
        began: Earliest(from),
        holds_until: Latest(until),
        evidence,
        participants: Vec::new(),
        samples: Vec::new(),
        entry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: EntryId = EntryId(0);

    fn client(n: u32) -> Client {
        Client::of(std::net::Ipv4Addr::from(n).into())
    }

    /// What is told when all is cleared, of these requests: (second, client).
    fn told(requests: impl IntoIterator<Item = (i64, u32)>, workers: usize) -> Vec<(String, f64)> {
        let all = Newcomers::default();
        let mut firsts: Vec<Firsts> = (0..workers).map(|_| Firsts::default()).collect();
        firsts.iter_mut().for_each(|firsts| firsts.begin(E));
        let mut out = Vec::new();
        let mut settle = |firsts: &mut Firsts, cleared: EventTime| {
            firsts.settle(
                &all,
                |_| cleared,
                |_, evidence, who, _| out.push((who.value.to_string(), evidence.observed.0)),
            );
        };
        for (at, (second, who)) in requests.into_iter().enumerate() {
            let firsts = &mut firsts[at % workers];
            firsts.add(E, EventTime::from_millis(1_700_000_000_000 + second * 1_000), Some(client(who)));
            if at % 100 == 99 {
                settle(firsts, EventTime::MIN);
            }
        }
        firsts.iter_mut().for_each(|firsts| settle(firsts, EventTime::MIN));
        firsts.iter_mut().for_each(|firsts| settle(firsts, EventTime::MAX));
        out
    }

    /// Eleven minutes of ten requests a second, of which `percent` are one client's and the others all different.
    fn log(percent: u32) -> impl Iterator<Item = (i64, u32)> {
        (0..6_600u32).map(move |n| (i64::from(n / 10), if n % 100 < percent { 7 } else { 1_000 + n }))
    }

    #[test]
    fn one_that_sends_over_half_is_told_once_however_many_workers_count() {
        for workers in [1, 2, 3] {
            let told = told(log(60), workers);
            assert_eq!(told.len(), 1, "{told:?}");
            assert_eq!(told[0].0, "0.0.0.7");
            assert!((0.58..=0.601).contains(&told[0].1), "{told:?}");
            assert_eq!(self::told(log(52), workers).len(), 1);
            assert!(self::told(log(50), workers).is_empty(), "half is not over half");
        }
    }

    #[test]
    fn a_log_that_ends_before_ten_minutes_or_has_few_requests_tells_nothing() {
        assert!(told(log(90).take_while(|(second, _)| *second < 500), 1).is_empty());
        assert!(told(log(90).filter(|(second, _)| second % 7 == 0), 1).is_empty());
    }

    #[test]
    fn minutes_with_next_to_nothing_before_the_rest_are_not_the_first() {
        let long_ago = (0..5).map(|n| (-86_400 + n, 9));
        assert_eq!(told(long_ago.chain(log(60)), 1).len(), 1);
    }

    #[test]
    fn a_flood_of_some_minutes_is_no_proxy() {
        let flood = |second: i64| (100..400).contains(&second);
        let loud = log(10).flat_map(|(second, who)| {
            let n = if flood(second) { 10 } else { 0 };
            std::iter::repeat_n((second, 7), n).chain([(second, who)])
        });
        assert!(told(loud, 1).is_empty());
    }

    #[test]
    fn what_is_quiet_for_an_hour_is_not_new_any_more() {
        let quiet = (0..90 * 60).step_by(20).map(|second| (second, 1_000 + second as u32));
        let later = log(90).map(|(second, who)| (90 * 60 + second, who));
        assert!(told(quiet.chain(later), 1).is_empty());
    }

    #[test]
    fn only_the_first_ten_minutes_are_looked_at() {
        let later = (0..60_000u32).map(|n| (700 + i64::from(n / 100), 7));
        assert!(told(log(30).chain(later), 1).is_empty());
    }
}
