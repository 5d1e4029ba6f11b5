//! All that is kept of one client of one service: what it did while it is quiet, windows by rule when it is not.

use crate::ask::Ask;
use crate::cell::{Added, Cell};
use crate::counts::Amount;
use crate::departed::{Bringing, Fed, Provenance};
use crate::lane::{Lane, LaneRule, Limits, Takes};
use crate::plan::{BUCKETS, ServiceFacts};
use crate::table::{Heap, Weight};
use crate::visits::{Lump, Noted, Visits};

/// One client of one service.
#[derive(Debug, Default)]
pub(crate) struct Family {
    visits: Visits,
    /// Most clients have none, and the table holds millions of them.
    windows: Option<Box<Windows>>,
}

/// Its windows.
#[derive(Debug, Default)]
struct Windows {
    /// Bytes on the heap: adding them up each time would cost more than adding a request.
    heap: u32,
    /// Whether the lane's rules have windows, and the visits are in them.
    busy: bool,
    /// By rule, in order.
    cells: Vec<(u16, Cell)>,
}

/// What adding to a family needs to know.
pub(crate) struct Lines<'a, A: Fn(u16) -> &'a Ask> {
    pub(crate) lane: &'a Lane,
    pub(crate) facts: &'a ServiceFacts,
    /// What a rule asks.
    pub(crate) ask: A,
}

/// What adding did, over all rules.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    /// Rules whose windows were added to for the first time since they were read, where they have to be.
    pub(crate) hot: Vec<u16>,
    pub(crate) crowded: bool,
    pub(crate) stale: bool,
}

impl Sum {
    /// Forgets what the last adding did.
    pub(crate) fn clear(&mut self) {
        self.hot.clear();
        (self.crowded, self.stale) = (false, false);
    }

    pub(crate) fn take(&mut self, rule: u16, added: Added) {
        if added.hot {
            self.hot.push(rule);
        }
        self.crowded |= added.crowded;
        self.stale |= added.stale;
    }
}

/// What a rule takes of requests that were counted together.
fn amount(rule: &LaneRule, count: u64, bytes: u64, values: &[u32]) -> Amount {
    match rule.takes {
        Takes::Requests => Amount { count, mark: 0, value: 0 },
        Takes::Bytes => Amount { count: bytes, mark: 0, value: 0 },
        Takes::Value(slot) => Amount { count: 1, mark: 0, value: values[slot] },
    }
}

impl Family {
    /// Adds what was counted for the rules of the lane.
    pub(crate) fn add_lump<'a, A: Fn(u16) -> &'a Ask>(
        &mut self,
        lines: &Lines<'a, A>,
        lump: &Lump,
        bringing: Bringing,
        sum: &mut Sum,
    ) {
        let lump = &Lump { rules: lump.rules & !lines.lane.prefixes, ..*lump };
        if lump.rules == 0 {
            return;
        }
        if !self.is_busy() {
            if !self.visits.from.takes(bringing) {
                return;
            }
            if let Noted::Quiet { stale } = self.visits.note(lines.lane, lines.facts, lump) {
                sum.stale |= stale;
                return;
            }
            self.keep_windows(lines, sum);
        }
        let windows = self.windows.get_or_insert_default();
        for (_, rule) in lines.lane.of(lump.rules) {
            let amount = amount(rule, lump.count, lump.bytes, &lump.values);
            let bucket = lump.bucket.div_euclid(rule.ratio);
            let added = windows.add(rule.rule, (lines.ask)(rule.rule), bucket, amount, bringing);
            sum.take(rule.rule, added);
        }
    }

    /// From here on there are windows for the lane's rules.
    fn keep_windows<'a, A: Fn(u16) -> &'a Ask>(&mut self, lines: &Lines<'a, A>, sum: &mut Sum) {
        let visits = std::mem::take(&mut self.visits);
        let windows = self.windows.get_or_insert_default();
        windows.busy = true;
        for (bucket, visit) in visits.all() {
            for (_, rule) in lines.lane.of(visit.look.rules) {
                let amount = amount(rule, u64::from(visit.count), u64::from(visit.bytes), &visit.look.values);
                let at = windows.place(rule.rule);
                let bucket = bucket.div_euclid(rule.ratio);
                let added = windows.change(at, |cell| cell.add((lines.ask)(rule.rule), bucket, amount, None));
                windows.cells[at].1.from = visits.from;
                sum.take(rule.rule, Added { stale: false, ..added });
            }
        }
        let Some(settled) = visits.settled() else { return };
        for (number, cell) in &mut windows.cells {
            let Some((at, rule)) = lines.lane.rules.iter().enumerate().find(|(_, rule)| rule.rule == *number)
            else {
                continue;
            };
            // The last bucket of the rule's that is settled as a whole. Where none of what was held lies within its
            // window behind that, the rule would have forgotten the client and begun anew.
            let settled = (settled + 1).div_euclid(rule.ratio) - 1;
            let in_window =
                |bucket: i64| (settled - BUCKETS + 1..=settled).contains(&bucket.div_euclid(rule.ratio));
            if visits.all().any(|(bucket, visit)| visit.look.rules & 1 << at != 0 && in_window(bucket)) {
                cell.settle_idle(settled);
            }
        }
    }

    /// Adds what was counted for one rule.
    pub(crate) fn add(
        &mut self,
        rule: u16,
        ask: &Ask,
        bucket: i64,
        amount: Amount,
        bringing: Bringing,
    ) -> Added {
        self.windows.get_or_insert_default().add(rule, ask, bucket, amount, bringing)
    }

    /// Takes out the windows that one source alone has fed, and forgets what it alone has brought.
    pub(crate) fn take_fed_by(&mut self, fed: Fed) -> Vec<(u16, Cell)> {
        if self.visits.from.fed == fed {
            self.visits = Visits::default();
        }
        let Some(windows) = &mut self.windows else { return Vec::new() };
        let gone = windows.cells.extract_if(.., |(_, cell)| cell.from.fed == fed).collect();
        windows.recount();
        gone
    }

    fn is_busy(&self) -> bool {
        self.windows.as_ref().is_some_and(|windows| windows.busy)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells().next().is_none() && self.visits.is_empty()
    }

    /// The window of a rule.
    pub(crate) fn cell(&self, rule: u16) -> Option<&Cell> {
        let windows = self.windows.as_ref()?;
        Some(&windows.cells[windows.find(rule).ok()?].1)
    }

    /// Changes the window of a rule.
    pub(crate) fn update<R>(&mut self, rule: u16, change: impl FnOnce(&mut Cell) -> R) -> Option<R> {
        let windows = self.windows.as_mut()?;
        let at = windows.find(rule).ok()?;
        Some(windows.change(at, change))
    }

    /// Its windows by rule.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (u16, &Cell)> {
        self.windows.iter().flat_map(|windows| &windows.cells).map(|(rule, cell)| (*rule, cell))
    }

    /// All its windows, taken out.
    pub(crate) fn into_cells(self) -> impl Iterator<Item = (u16, Cell)> {
        self.windows.into_iter().flat_map(|windows| windows.cells)
    }

    /// What it did while it is quiet.
    pub(crate) fn visits(&self) -> Option<&Visits> {
        (!self.is_busy()).then_some(&self.visits)
    }

    /// The window that a rule of the lane would have, while none is kept.
    pub(crate) fn window(&self, lane: &Lane, rule: &LaneRule, ask: &Ask) -> Option<Cell> {
        let mut cell = Cell::default();
        let mut any = false;
        for (bucket, visit) in self.visits()?.all() {
            if lane.of(visit.look.rules).any(|(_, of)| of.rule == rule.rule) {
                let amount = amount(rule, u64::from(visit.count), u64::from(visit.bytes), &visit.look.values);
                cell.add(ask, bucket.div_euclid(rule.ratio), amount, None);
                any = true;
            }
        }
        any.then_some(cell)
    }

    /// Forgets what no window needs any more; whether nothing is left. `settles` is how far the lane's buckets settle;
    /// `sweep` sweeps a rule's window, and says whether nothing of that is left.
    pub(crate) fn sweep(
        &mut self,
        lane: &Lane,
        settles: i64,
        mut sweep: impl FnMut(u16, &mut Cell) -> bool,
    ) -> bool {
        if let Some(windows) = &mut self.windows {
            windows.cells.retain_mut(|(rule, cell)| !sweep(*rule, cell));
            if windows.cells.is_empty() {
                self.windows = None;
            } else {
                let of_lane = |(number, _): &(u16, Cell)| lane.rules.iter().any(|rule| rule.rule == *number);
                windows.busy &= windows.cells.iter().any(of_lane);
                windows.recount();
            }
        }
        if !self.is_busy() {
            self.visits.settle(lane, settles);
            if self.visits.is_empty() {
                self.visits.from = Provenance::default();
            }
        }
        self.is_empty()
    }

    /// What the client is worth at the bound.
    pub(crate) fn weight<'a>(&self, limits: &Limits, ask: impl Fn(u16) -> &'a Ask) -> Weight {
        let quiet = Weight { holds: false, load: self.visits.load(limits) };
        self.cells().fold(quiet, |heaviest, (rule, cell)| {
            let weight = cell.weight(ask(rule));
            Weight { holds: heaviest.holds || weight.holds, load: heaviest.load.max(weight.load) }
        })
    }

    /// Reads a little of everything that adding to it will change.
    pub(crate) fn glance(&self) -> i64 {
        self.visits.glance() ^ self.cells().next().map_or(0, |(_, cell)| cell.glance())
    }
}

impl Windows {
    fn add(&mut self, rule: u16, ask: &Ask, bucket: i64, amount: Amount, bringing: Bringing) -> Added {
        let at = self.place(rule);
        self.change(at, |cell| match cell.from.takes(bringing) {
            true => cell.add(ask, bucket, amount, None),
            false => Added::NOTHING,
        })
    }

    fn find(&self, rule: u16) -> Result<usize, usize> {
        self.cells.binary_search_by_key(&rule, |(number, _)| *number)
    }

    /// Where the window of a rule stands, which is made where there is none.
    fn place(&mut self, rule: u16) -> usize {
        match self.find(rule) {
            Ok(at) => at,
            Err(at) => {
                let before = self.cells.capacity();
                if self.cells.len() == before {
                    self.cells.reserve_exact((before / 2).max(1));
                    self.weigh(
                        before * size_of::<(u16, Cell)>(),
                        self.cells.capacity() * size_of::<(u16, Cell)>(),
                    );
                }
                self.cells.insert(at, (rule, Cell::default()));
                at
            }
        }
    }

    fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Cell) -> R) -> R {
        let cell = &mut self.cells[at].1;
        let before = cell.heap();
        let result = change(cell);
        let after = cell.heap();
        self.weigh(before, after);
        result
    }

    /// A part of it took `before`, and takes `after` now.
    fn weigh(&mut self, before: usize, after: usize) {
        let small = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        self.heap = self.heap.saturating_add(small(after)).saturating_sub(small(before));
    }

    fn recount(&mut self) {
        let cells = self.cells.iter().map(|(_, cell)| cell.heap()).sum::<usize>();
        self.heap = 0;
        self.weigh(0, self.cells.capacity() * size_of::<(u16, Cell)>() + cells);
    }
}

impl Heap for Family {
    #[inline]
    fn heap(&self) -> usize {
        let windows = self.windows.as_ref().map_or(0, |windows| size_of::<Windows>() + windows.heap as usize);
        self.visits.bytes() + windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ClientKey;

    #[test]
    fn a_client_is_two_cache_lines() {
        assert_eq!(size_of::<(ClientKey, Family)>(), 128);
    }
}
