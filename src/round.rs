//! One round of the keeper over the store: what waits is folded into the rows as they stand and written in one
//! transaction. The service's task ([`crate::keep`]) decides when, and tells the rest of the process; the tests'
//! simulation takes the same steps one by one, so that it can come between any two of them.

use std::collections::BTreeSet;

use beaconfire_detect::Learned;
use beaconfire_incident::{Incident, IncidentId};
use beaconfire_model::{EntryId, Names, Wall};
use beaconfire_pipeline::{Barrier, Changes, Durable, Keeper, Mark, Shelf};
use beaconfire_store::{Baseline, Progress, SaveError, Store, StoreError, Write};
use beaconfire_throttle::Decision;

/// The keeper and its store.
pub struct Round {
    /// The pure part.
    pub keeper: Keeper,
    /// Where everything is written.
    pub store: Store,
    /// The names of the entries of `kafka.topics`.
    pub entries: Vec<String>,
    /// The topics' names.
    pub names: Names,
}

/// What came of a transaction.
#[derive(Debug, Default)]
pub struct Written {
    /// The decisions as they are stored, in the order in which they were wanted.
    pub decided: Vec<Decision>,
    /// How far sources have come.
    pub progress: Vec<Progress>,
}

/// Why a round was not written.
#[derive(Debug)]
pub enum Unsaved {
    /// Another process was faster: read and fold again.
    Conflict,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Unsaved {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SaveError> for Unsaved {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Conflict => Self::Conflict,
            SaveError::Store(error) => Self::Store(error),
        }
    }
}

impl Round {
    /// Folds what waits into the rows as they stand. Give the changes to [`write`](Self::write), then to
    /// [`saved`](Self::saved), or back with [`Keeper::undo`].
    pub async fn fold(&mut self, now: Wall) -> Result<Changes, StoreError> {
        let fingerprints = self.keeper.fingerprints();
        let mut shelf = Shelf { clearances: self.store.clearances().await?, ..Shelf::default() };
        if !fingerprints.is_empty() {
            shelf.episodes = self.store.episodes(&fingerprints).await?;
            shelf.rows = self.store.rows(&shelf.ids()).await?;
            shelf.decisions = self.store.decisions_active(now).await?;
            shelf.allows = self.store.allows(now).await?;
            self.surround(&mut shelf, self.keeper.asks_for_unresolved(), now).await?;
        }
        Ok(self.keeper.fold(&shelf, now))
    }

    /// Reads what may keep receivers from being told: silences, and what is unresolved where that has a say.
    pub async fn surround(&self, shelf: &mut Shelf, unresolved: bool, now: Wall) -> Result<(), StoreError> {
        shelf.silences = self.store.silences(now).await?;
        if unresolved {
            shelf.unresolved = self.store.unresolved().await?;
        }
        Ok(())
    }

    /// Folds the passing of time: incidents resolve, acknowledgements run out, steps are taken, and what was kept back
    /// is told when what kept it ends. `None` where nothing changes.
    pub async fn fold_time(&mut self, now: Wall) -> Result<Option<Changes>, StoreError> {
        let mut shelf = Shelf { unresolved: self.store.unresolved().await?, ..Shelf::default() };
        if shelf.unresolved.is_empty() {
            return Ok(None);
        }
        shelf.clearances = self.store.clearances().await?;
        self.surround(&mut shelf, false, now).await?;
        let stirred = self.keeper.stirred(&shelf, now);
        // Most seconds change nothing: the rows are read only where one does.
        let moved = self.keeper.fold_time(&shelf.unresolved, &shelf, now).folded;
        if moved.is_empty() && stirred.is_empty() {
            return Ok(None);
        }
        let moved: BTreeSet<IncidentId> = moved.into_iter().map(|folded| folded.incident.id).collect();
        let ids: Vec<IncidentId> = moved.union(&stirred).cloned().collect();
        shelf.rows = self.store.rows(&ids).await?;
        let moving: Vec<Incident> =
            shelf.unresolved.iter().filter(|incident| moved.contains(&incident.id)).cloned().collect();
        let mut changes = self.keeper.fold_time(&moving, &shelf, now);
        self.keeper.review(&stirred, &shelf, now, &mut changes);
        Ok(Some(changes))
    }

    /// Writes changes in one transaction; none where there is nothing to write.
    pub async fn write(&self, changes: &Changes, now: Wall) -> Result<Option<Written>, Unsaved> {
        let progress = self.progress(&changes.progress, now);
        let learned = changes.learned.iter().map(baseline).collect::<Vec<_>>();
        let write = Write {
            folded: &changes.folded,
            rows: &changes.rows,
            decisions: &changes.decisions,
            progress: &progress,
            learned: &learned,
        };
        if write.folded.is_empty()
            && write.rows.is_empty()
            && write.decisions.is_empty()
            && write.progress.is_empty()
            && write.learned.is_empty()
        {
            return Ok(None);
        }
        let decided = self.store.save(write).await?;
        Ok(Some(Written { decided, progress }))
    }

    /// The changes are written: hands out the barriers to answer. The one place where a barrier becomes durable.
    pub fn saved(&mut self, changes: Changes) -> Vec<Durable<Barrier>> {
        self.keeper.saved(changes).into_iter().map(Durable::vouch).collect()
    }

    fn progress(&self, marks: &[Mark], written: Wall) -> Vec<Progress> {
        let of = |mark: &Mark| Progress {
            entry: self.entry(mark.source.entry).to_owned(),
            topic: self.names.name(mark.source.topic).to_string(),
            partition: mark.source.partition,
            epoch: mark.epoch,
            clearance: mark.clearance,
            next: mark.next,
            written,
        };
        marks.iter().map(of).collect()
    }

    fn entry(&self, entry: EntryId) -> &str {
        self.entries.get(usize::from(entry.0)).map_or("unknown", String::as_str)
    }
}

fn baseline(learned: &Learned) -> Baseline {
    let Learned { series, closed_through, state } = learned;
    Baseline { series: series.clone(), closed_through: *closed_through, state: state.clone() }
}
