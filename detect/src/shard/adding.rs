//! Partials into cells, and what goes where the memory is full.

use beaconfire_model::{Client, Signal};

use super::{Hashes, Shard};
use crate::cell::{Added, Cell, Horizon, Tell};
use crate::counts::Amount;
use crate::departed::Bringing;
use crate::family::Lines;
use crate::keys::{CellKey, ClientKey};
use crate::lane::Takes;
use crate::plan::{FINDING, LANE};
use crate::visits::Lump;
use crate::{Key, Partial};

impl Shard {
    pub(super) fn add(&mut self, partial: &Partial, hashes: Hashes, signals: &mut Vec<Signal>) {
        let bringing = self.departed.of(partial);
        // What another thread owns was sent wrongly; nobody here could answer for it.
        if self.parts.get(usize::from(partial.shard)).is_none_or(Option::is_none) {
            return;
        }
        let Partial { shard, entry, rule, service, bucket, count, matched, severity, lane, values, .. } =
            *partial;
        if rule == LANE {
            let Key::Client(client) = partial.key else { return };
            let lump = Lump { bucket, count, bytes: matched, rules: lane, values };
            self.add_lump((shard, hashes), ClientKey::new(entry, client, service), bringing, &lump, signals);
            return;
        }
        let mark = if rule == FINDING { severity as u64 } else { matched };
        let amount = Amount { count, mark, value: values[0] };
        let (key, host) = self.cell_key((rule, entry, service), &partial.key);
        match key.client() {
            Some(client) => {
                let ask = self.asks.of(entry, rule, service);
                self.sum.clear();
                if let Some(Some(part)) = self.parts.get_mut(usize::from(shard)) {
                    let sum = &mut self.sum;
                    part.clients.upsert(hashes.client, &client, |family| {
                        sum.take(rule, family.add(rule, ask, bucket, amount, bringing));
                    });
                }
                self.after_client(shard, client, signals);
            }
            None => self.add_cell((shard, None), &key, bringing, (bucket, amount), host, signals),
        }
    }

    /// Adds what was counted of a client for the rules of the lane.
    pub(super) fn add_lump(
        &mut self,
        (shard, hashes): (u8, Hashes),
        key: ClientKey,
        bringing: Bringing,
        lump: &Lump,
        signals: &mut Vec<Signal>,
    ) {
        self.sum.clear();
        let (plan, asks) = (&*self.plan, &self.asks);
        if let Some(Some(part)) = self.parts.get_mut(usize::from(shard)) {
            let lines = Lines {
                lane: &plan.lane,
                facts: plan.facts(key.service),
                ask: |rule| asks.of(key.entry, rule, key.service),
            };
            let sum = &mut self.sum;
            part.clients.upsert(hashes.client, &key, |family| family.add_lump(&lines, lump, bringing, sum));
        }
        self.after_client(shard, key, signals);
        let mut prefixes = lump.rules & self.plan.lane.prefixes;
        // The first one's was made beforehand.
        let mut hash = Some(hashes.prefix);
        while prefixes != 0 {
            let rule = self.plan.lane.rules[prefixes.trailing_zeros() as usize];
            prefixes &= prefixes - 1;
            let cell = CellKey {
                rule: rule.rule,
                entry: key.entry,
                key: Key::Prefix(key.client().prefix()),
                service: key.service,
            };
            let count = if rule.takes == Takes::Bytes { lump.bytes } else { lump.count };
            let amount = Amount { count, mark: 0, value: 0 };
            let bucket = lump.bucket.div_euclid(rule.ratio);
            self.add_cell(
                (shard, hash.take()),
                &cell,
                bringing,
                (bucket, amount),
                Some(key.client()),
                signals,
            );
        }
    }

    /// Takes note of what adding to a client did, and keeps the bound.
    pub(super) fn after_client(&mut self, shard: u8, key: ClientKey, signals: &mut Vec<Signal>) {
        let Some(Some(part)) = self.parts.get_mut(usize::from(shard)) else { return };
        let sum = &mut self.sum;
        self.stale += u64::from(sum.stale);
        if sum.crowded {
            part.clients.lost();
        }
        for rule in sum.hot.drain(..) {
            part.hot.insert(key.of(rule));
            self.touched.push((shard, key.of(rule)));
        }
        if !part.clients.is_over() {
            return;
        }
        let (plan, asks) = (&self.plan, &self.asks);
        let gone = part.clients.evict(|key, family| {
            family.weight(&plan.facts(key.service).limits, |rule| asks.of(key.entry, rule, key.service))
        });
        let mut cells = Vec::new();
        for (key, family) in gone {
            cells.extend(family.into_cells().map(|(rule, cell)| (key.of(rule), cell)));
        }
        for (key, _) in &cells {
            part.hot.remove(key);
        }
        for (key, cell) in cells {
            self.state_last(&key, cell, signals);
        }
    }

    /// Adds what was counted under a key that is no client.
    pub(super) fn add_cell(
        &mut self,
        (shard, hash): (u8, Option<u64>),
        key: &CellKey,
        bringing: Bringing,
        (bucket, amount): (i64, Amount),
        host: Option<Client>,
        signals: &mut Vec<Signal>,
    ) {
        let ask = self.asks.of(key.entry, key.rule, key.service);
        let Some(Some(part)) = self.parts.get_mut(usize::from(shard)) else { return };
        let table = &mut part.tables[key.table()];
        let hash = hash.unwrap_or_else(|| table.hash(key));
        let added = table.upsert(hash, key, |cell| {
            if !cell.from.takes(bringing) {
                return Added::NOTHING;
            }
            cell.add(ask, bucket, amount, host)
        });
        self.stale += u64::from(added.stale);
        if added.crowded {
            table.lost();
        }
        if added.hot {
            part.hot.insert(key.clone());
            self.touched.push((shard, key.clone()));
        }
        if table.is_over() {
            let gone = table.evict(|key, cell| cell.weight(self.asks.of(key.entry, key.rule, key.service)));
            for (key, _) in &gone {
                part.hot.remove(key);
            }
            for (key, cell) in gone {
                self.state_last(&key, cell, signals);
            }
        }
    }

    /// A key goes at the bound: what is known of it is stated, also of counts whose buckets are still open.
    pub(super) fn state_last(&mut self, key: &CellKey, mut cell: Cell, signals: &mut Vec<Signal>) {
        if !cell.is_warm() {
            return;
        }
        let ask = self.ask(key);
        let horizon = Horizon { early: true, ..self.horizon(key.entry, &ask, false) };
        let mut said = Vec::new();
        cell.read(&ask, &horizon, Tell::All, &mut said);
        for statement in said {
            signals.push(self.specimens.signal(&self.plan, &self.watch, key, &ask, statement));
        }
    }
}
