//! Reading what is warm, and forgetting what no open window needs.

use beaconfire_model::{EntryId, EventTime, Signal};

use super::{CLOSE_EVERY, POINTS_MAX, SWEEP_EVERY, Shard};
use crate::ask::Ask;
use crate::cell::{Cell, Horizon, Statement, Tell};
use crate::keys::CellKey;

impl Shard {
    /// The entries of which so much has closed that hot keys are to be looked over.
    pub(super) fn closing(&mut self) -> Vec<EntryId> {
        let mut closing = Vec::new();
        for (entry, cleared) in &self.cleared {
            let closed = self.closed.entry(*entry).or_insert(EventTime::MIN);
            // A source that came back takes the clearance back with it.
            *closed = (*closed).min(*cleared);
            if *cleared >= closed.plus(CLOSE_EVERY) && cleared != closed {
                *closed = *cleared;
                closing.push(*entry);
            }
        }
        closing
    }

    pub(super) fn hot(&self, which: impl Fn(&CellKey) -> bool) -> Vec<(u8, CellKey)> {
        let parts = self.parts.iter().enumerate();
        let hot = parts.flat_map(|(shard, part)| {
            // There are 64.
            part.iter().flat_map(|part| &part.hot).map(move |key| (shard as u8, key))
        });
        hot.filter(|(_, key)| which(key)).map(|(shard, key)| (shard, key.clone())).collect()
    }

    /// Reads those of these cells that `which` picks.
    pub(super) fn read(
        &mut self,
        keys: Vec<(u8, CellKey)>,
        which: impl Fn(&Cell, &Ask, &Horizon) -> bool,
        tell: Tell,
        signals: &mut Vec<Signal>,
    ) {
        let mut points = POINTS_MAX;
        let mut said: Vec<Statement> = Vec::new();
        for (shard, key) in keys {
            let ask = self.ask(&key);
            let horizon = self.horizon(key.entry, &ask, points > 0);
            let Some(Some(part)) = self.parts.get_mut(usize::from(shard)) else { continue };
            let (survey, plan) = (&mut self.survey, &self.plan);
            part.update(&key, |cell| {
                if let Some(survey) = survey {
                    // Whenever it was read it was looked at first.
                    survey.look(plan, &key, cell, &ask, (cell.read_through(&ask), horizon.closed));
                }
                if which(cell, &ask, &horizon) {
                    cell.read(&ask, &horizon, tell, &mut said);
                }
            });
            for statement in said.drain(..) {
                points = points.saturating_sub(statement.series.len());
                signals.push(self.specimens.signal(&self.plan, &self.watch, &key, &ask, statement));
            }
        }
    }

    /// Forgets counts that no open window needs, and keys of which nothing is left.
    pub(super) fn sweep(&mut self) {
        let entries: Vec<(EntryId, EventTime)> =
            self.cleared.iter().map(|(entry, at)| (*entry, *at)).collect();
        for (entry, cleared) in &entries {
            let swept = self.swept.entry(*entry).or_insert(EventTime::MIN);
            if *cleared < swept.plus(SWEEP_EVERY) {
                // A source that came back takes the clearance back with it.
                *swept = (*swept).min(*cleared);
                continue;
            }
            let before = std::mem::replace(swept, *cleared);
            let (asks, plan, early) = (&self.asks, &self.plan, self.early);
            let survey = &mut self.survey;
            let closed = |ask: &Ask| ask.cut.closed(*cleared);
            let fresh = |ask: &Ask| (ask.cut.closed(before), closed(ask));
            let lane = asks.lane(*entry);
            let settles = lane.cut.closed(*cleared).saturating_sub(lane.slack);
            for part in self.parts.iter_mut().flatten() {
                let hot = &mut part.hot;
                let mut sweep = |key: &dyn Fn() -> CellKey, ask: &Ask, cell: &mut Cell| {
                    let was_warm = cell.is_warm();
                    let empty = cell.sweep(ask, closed(ask), early);
                    if was_warm && !cell.is_warm() {
                        hot.remove(&key());
                    }
                    empty
                };
                part.clients.sweep(|key, family| {
                    if key.entry != *entry {
                        return true;
                    }
                    if let Some(survey) = survey {
                        let ask = |rule| asks.of(key.entry, rule, key.service);
                        survey.look_at_client(plan, family, |rule| key.of(rule), ask, fresh);
                    }
                    !family.sweep(&plan.lane, settles, |rule, cell| {
                        sweep(&|| key.of(rule), asks.of(key.entry, rule, key.service), cell)
                    })
                });
                for table in &mut part.tables {
                    table.sweep(|key, cell| {
                        if key.entry != *entry {
                            return true;
                        }
                        let ask = asks.of(key.entry, key.rule, key.service);
                        if let Some(survey) = survey {
                            survey.look(plan, key, cell, ask, fresh(ask));
                        }
                        !sweep(&|| key.clone(), ask, cell)
                    });
                }
            }
            self.specimens.forget_before(*cleared);
        }
    }
}
