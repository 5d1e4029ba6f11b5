//! What is looked after by the clock: gauges that come from the store, decisions that other processes made, retention.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use beaconfire_detect::Census;
use beaconfire_model::Wall;
use beaconfire_pipeline::Tides;
use beaconfire_store::{Store, StoreError};
use beaconfire_throttle::Board;
use tokio::time::{MissedTickBehavior, interval};

use crate::bells::Place;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::threads::now;

/// How often gauges and the board are renewed: enforcers elsewhere hear of a decision within 2 s.
const EVERY: Duration = Duration::from_secs(1);

/// How far back decisions are read again: another process's clock and its commit may lag.
const OVERLAP: Duration = Duration::from_secs(10);

/// After so many rounds the board is compared with the store as a whole.
const WHOLE_EVERY: u64 = 300;

/// After so many rounds what is older than the retention is deleted; the first time a minute after the start.
const SWEEP_EVERY: u64 = 600;

/// How long a source may be without an owner before it is forgotten: far longer than a group takes to hand it on, or a
/// broker to come back.
const ABANDONED: Duration = Duration::from_secs(60 * 60);
/// Rounds that lie further apart than this were not watched in between.
const BLINK: Duration = Duration::from_secs(30);

/// For how long we have watched the store without a gap. After a stop of all processes, a suspend of the machine, or an
/// outage of the store every source looks abandoned at first: nobody could write that it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Watched {
    since: Wall,
    last: Wall,
}

impl Watched {
    /// Nothing was watched before `at`.
    fn from(at: Wall) -> Self {
        Self { since: at, last: at }
    }

    /// A round at `at`; whether the store answered it, and whether it takes writes: one that only reads shows sources
    /// that were read all along but could not say so. Where either does not hold, where the round before is too long ago,
    /// or where the clock was set back, watching begins anew.
    fn round(&mut self, at: Wall, answered: bool, takes_writes: bool) {
        if !answered || !takes_writes || at < self.last || at.since(self.last) > BLINK {
            self.since = at;
        }
        self.last = at;
    }

    /// Whether what nobody has written for [`ABANDONED`] was abandoned: had it been written, we would have seen it.
    fn knows_abandoned(&self) -> bool {
        self.last.since(self.since) >= ABANDONED
    }
}

/// The board as the store has it at the start: what is active, and what ended within the time that a board remembers,
/// so that a bouncer that last asked the process before us hears what was taken back meanwhile.
pub async fn board(store: &Store, started: Wall) -> Result<Board, StoreError> {
    let board = Board::default();
    for decision in store.decisions_changed_since(started.minus(Board::REMEMBERED)).await? {
        board.put(decision, started);
    }
    board.replace_all(store.decisions_active(started).await?, started, started);
    Ok(board)
}

/// The task.
pub struct Rounds {
    store: Store,
    metrics: Metrics,
    board: Arc<Board>,
    tides: Arc<Tides>,
    census: Arc<Mutex<BTreeMap<usize, Census>>>,
    health: Health,
    /// Label values that were set once: those that are gone show 0, not their last value.
    open: BTreeSet<(&'static str, &'static str)>,
    waiting: BTreeSet<(Arc<str>, Arc<str>, &'static str)>,
}

impl Rounds {
    /// The task over these parts.
    pub fn new(
        store: Store,
        metrics: Metrics,
        board: Arc<Board>,
        tides: Arc<Tides>,
        census: Arc<Mutex<BTreeMap<usize, Census>>>,
        health: Health,
    ) -> Self {
        Self { store, metrics, board, tides, census, health, open: BTreeSet::new(), waiting: BTreeSet::new() }
    }

    /// Runs for as long as the process does.
    pub async fn run(mut self) {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut decisions_since = now();
        let mut watched = Watched::from(now());
        for round in 0_u64.. {
            tick.tick().await;
            let at = now();
            self.of_memory(at);
            let answered = self.of_store(decisions_since, round, at).await;
            watched.round(at, answered.is_ok(), self.health.outage().is_none());
            match answered {
                Ok(()) => decisions_since = at.minus(OVERLAP),
                // The keeper says when the store is away.
                Err(error) => tracing::debug!(%error, "gauges that come from the store stay as they are"),
            }
            if round % SWEEP_EVERY == 60 && watched.knows_abandoned() {
                self.forget_abandoned(at).await;
            }
        }
    }

    fn of_memory(&self, at: Wall) {
        let least = self.tides.snapshot().into_values().map(|tide| tide.clearance).min();
        self.metrics.delay(least.filter(|least| *least > beaconfire_model::EventTime::MIN), at);
        self.metrics.census(&self.census.lock().unwrap_or_else(PoisonError::into_inner));
        for (action, mode, active) in self.board.census(at) {
            let gauge = self.metrics.decisions_active.with_label_values(&[action.name(), mode.name()]);
            gauge.set(i64::try_from(active).unwrap_or(i64::MAX));
        }
    }

    async fn of_store(&mut self, decisions_since: Wall, round: u64, at: Wall) -> Result<(), StoreError> {
        let open = self.store.counts().await?.open;
        let open: BTreeMap<_, _> = open
            .into_iter()
            .map(|((kind, severity), found)| ((kind.name(), severity.name()), found))
            .collect();
        self.open.extend(open.keys().copied());
        for labels in &self.open {
            let found = open.get(labels).copied().unwrap_or(0);
            let gauge = self.metrics.incidents_open.with_label_values(&[labels.0, labels.1]);
            gauge.set(i64::try_from(found).unwrap_or(i64::MAX));
        }
        self.backlog(at).await?;
        if round.is_multiple_of(WHOLE_EVERY) {
            let asked = now();
            let active = self.store.decisions_active(asked).await?;
            self.board.replace_all(active, asked, now());
        } else {
            let changed = self.store.decisions_changed_since(decisions_since).await?;
            let learned = now();
            for decision in changed {
                self.board.put(decision, learned);
            }
        }
        if round % SWEEP_EVERY == 60 {
            let swept = self.store.sweep(at).await?;
            if swept.incidents + swept.decisions > 0 {
                tracing::info!(
                    incidents = swept.incidents,
                    decisions = swept.decisions,
                    "deleted what is older than store.retention"
                );
            }
        }
        Ok(())
    }

    async fn forget_abandoned(&self, at: Wall) {
        match self.store.forget_abandoned(at, ABANDONED).await {
            Ok(gone) => {
                for (topic, partition) in gone {
                    tracing::warn!(
                        topic,
                        partition,
                        "nobody has read this partition for an hour: no longer waiting for it"
                    );
                }
            }
            Err(error) => tracing::debug!(%error, "partitions without a reader are looked for again later"),
        }
    }

    async fn backlog(&mut self, at: Wall) -> Result<(), StoreError> {
        let backlog = self.store.backlog().await?;
        let mut oldest: BTreeMap<Place, Wall> = BTreeMap::new();
        let mut rows: BTreeMap<(Arc<str>, Arc<str>, &'static str), u64> = BTreeMap::new();
        for line in backlog {
            let place = (line.receiver.clone(), line.integration.clone());
            oldest.entry(place).and_modify(|held| *held = line.oldest.min(*held)).or_insert(line.oldest);
            rows.insert((line.receiver, line.integration, line.lane.name()), line.rows);
        }
        self.waiting.extend(rows.keys().cloned());
        for place in &self.waiting {
            let (receiver, integration, lane) = place;
            let found = rows.get(place).copied().unwrap_or(0);
            let gauge = self.metrics.pending.with_label_values(&[&**receiver, &**integration, lane]);
            gauge.set(i64::try_from(found).unwrap_or(i64::MAX));
            let since = oldest.get(&(receiver.clone(), integration.clone()));
            let age = since.map_or(0.0, |since| at.since(*since).as_secs_f64());
            self.metrics.oldest_pending.with_label_values(&[&**receiver, &**integration]).set(age);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use beaconfire_store::{Pick, StoreKnobs};
    use beaconfire_throttle::{Action, Decision, DecisionKey, Mode, Origin};

    use super::*;

    /// Rounds from one second to another, a second apart.
    fn watch(watched: &mut Watched, seconds: std::ops::RangeInclusive<i64>, answered: bool) {
        for second in seconds {
            watched.round(Wall::from_millis(second * 1_000), answered, true);
        }
    }

    /// The second in which abandoned sources may first be forgotten, after what `before` has done to the watch, where
    /// nothing more goes wrong from second `from` on.
    fn forgets_at(from: i64, before: impl FnOnce(&mut Watched)) -> i64 {
        let mut watched = Watched::from(Wall::from_millis(0));
        before(&mut watched);
        let mut second = from;
        while !watched.knows_abandoned() {
            watch(&mut watched, second..=second, true);
            second += 1;
        }
        second - 1
    }

    #[test]
    fn a_source_is_abandoned_only_where_nobody_wrote_for_an_hour_that_we_watched() {
        assert_eq!(forgets_at(1, |_| {}), 3_600, "an hour from the start");
        let answered = |watched: &mut Watched| watch(watched, 1..=3_000, true);
        assert_eq!(forgets_at(3_030, answered), 3_600, "a slow round is no gap");
        assert_eq!(forgets_at(3_031, answered), 3_031 + 3_600, "half a minute is: nothing of before counts");
        assert_eq!(forgets_at(90_000, answered), 90_000 + 3_600, "however long the machine was suspended");
        assert_eq!(forgets_at(2_000, answered), 2_000 + 3_600, "a clock that was set back tells no hour");
        let outage = |watched: &mut Watched| {
            answered(watched);
            watch(watched, 3_001..=3_010, false);
        };
        assert_eq!(forgets_at(3_011, outage), 3_010 + 3_600, "while the store is away nobody can write");
        let read_only = |watched: &mut Watched| {
            answered(watched);
            (3_001..=9_000).for_each(|second| watched.round(Wall::from_millis(second * 1_000), true, false));
        };
        assert_eq!(forgets_at(9_001, read_only), 9_000 + 3_600, "nor while it can only be read");
        // An hour of rounds is not enough where one of them saw nothing.
        let mut watched = Watched::from(Wall::from_millis(0));
        watch(&mut watched, 1..=3_599, true);
        watch(&mut watched, 3_600..=3_600, false);
        assert!(!watched.knows_abandoned());
    }

    #[tokio::test]
    async fn what_was_taken_back_before_a_restart_is_still_told_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/store.db", directory.path().display());
        let knobs = StoreKnobs { url, retention: Duration::from_secs(86_400) };
        let store = Store::open(&knobs).await.unwrap();
        let (made, hour) = (now(), Duration::from_secs(3_600));
        for network in ["203.0.113.7/32", "203.0.113.8/32"] {
            let decision = Decision {
                id: 0,
                key: DecisionKey {
                    network: network.parse().unwrap(),
                    action: Action::Ban,
                    mode: Mode::Enforce,
                },
                scenario: "requests-per-client".into(),
                origin: Origin::Rule,
                incident: None,
                reason: String::new(),
                created: made,
                expires: made.plus(hour),
                deleted: None,
                changed: made,
            };
            store.add_decision(&decision).await.unwrap();
        }
        store.delete_decision(&Pick::Id(1), None, made.plus(Duration::from_secs(1))).await.unwrap();

        let started = made.plus(Duration::from_secs(60));
        let change = board(&store, started).await.unwrap().changes(Wall::from_millis(i64::MIN), started);
        let ids = |decisions: &[Decision]| decisions.iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!((ids(&change.new), ids(&change.deleted)), (vec![2], vec![1]));
    }
}
