//! How near keys came to each rule's line, also those that stayed below it: what a replay reports, so that people can
//! set thresholds, and why a client did not raise anything.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{Client, EventTime, Subject, SubjectKind};

use crate::Key;
use crate::ask::Ask;
use crate::cell::Cell;
use crate::family::Family;
use crate::keys::CellKey;
use crate::plan::{FINDING, Plan};

/// Keys that are kept of each rule: enough for reports of a year.
const KEPT: usize = 64;

/// How near one key came to one rule's line.
#[derive(Debug, Clone, PartialEq)]
pub struct Closest {
    /// The rule.
    pub rule: Arc<str>,
    /// The service.
    pub service: Arc<str>,
    /// The key.
    pub subject: Subject,
    /// The highest value in any one window, as the rule values it.
    pub peak: f64,
    /// The end of the first such window.
    pub at: EventTime,
    /// What it would have had to exceed.
    pub threshold: f64,
    /// The window's length.
    pub window: Duration,
    /// What it was counted under: decides among those that came equally high.
    pub key: Key,
}

impl Closest {
    /// Puts together what several shards found: by rule, the nearest first, the same whatever the number of shards.
    pub fn join(mut found: Vec<Self>) -> Vec<Self> {
        found.sort_by(|a, b| {
            let peaks = a.rule.cmp(&b.rule).then(b.peak.total_cmp(&a.peak));
            peaks.then_with(|| a.key.cmp(&b.key)).then_with(|| a.service.cmp(&b.service))
        });
        let mut last: (Option<Arc<str>>, usize) = (None, 0);
        found.retain(|found| {
            last = match &last.0 {
                Some(rule) if *rule == found.rule => (Some(rule.clone()), last.1 + 1),
                _ => (Some(found.rule.clone()), 1),
            };
            last.1 <= KEPT
        });
        found
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Found {
    /// Its name: ids depend on which service came first.
    service: Arc<str>,
    key: CellKey,
    peak: f64,
    at: EventTime,
}

/// The keys that came nearest.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Whom alone to look at.
    only: Option<Client>,
    /// By the rule's place in the plan.
    rules: Vec<Vec<Found>>,
}

impl Survey {
    pub(crate) fn new(plan: &Plan, only: Option<Client>) -> Self {
        Self { only, rules: vec![Vec::new(); plan.rules.len()] }
    }

    fn is_asked(&self, key: &Key) -> bool {
        let Some(client) = self.only else { return true };
        match key {
            Key::Client(held) => *held == client,
            Key::Prefix(prefix) => *prefix == client.prefix(),
            Key::Pair(pair) => pair.client == client,
            Key::Service | Key::Text(_) | Key::Finding(_) => false,
        }
    }

    /// Whether a key that has at most so much in any window would be among those that are kept. Of those that came
    /// equally high, the first in order are.
    fn could_rank(&self, key: &CellKey, most: f64) -> bool {
        let Some(kept) = self.rules.get(usize::from(key.rule)) else { return false };
        let lowest = kept.last().filter(|_| kept.len() == KEPT);
        most > 0.0
            && lowest
                .is_none_or(|lowest| lowest.peak < most || lowest.peak == most && key.key <= lowest.key.key)
    }

    /// Whether so much is too little for a rule, whatever the key.
    fn is_too_little(&self, rule: u16, most: f64) -> bool {
        let kept = self.rules.get(usize::from(rule)).filter(|kept| kept.len() == KEPT);
        most <= 0.0 || kept.and_then(|kept| kept.last()).is_some_and(|lowest| most < lowest.peak)
    }

    /// Looks at the windows of a key: those behind the ones that were seen before, up to the bucket that closed last.
    pub(crate) fn look(
        &mut self,
        plan: &Plan,
        key: &CellKey,
        cell: &Cell,
        ask: &Ask,
        (seen, closed): (i64, i64),
    ) {
        if key.rule == FINDING || !self.is_asked(&key.key) || !self.could_rank(key, cell.most(ask)) {
            return;
        }
        if let Some((peak, bucket)) = cell.peak(ask, seen, closed) {
            let service = plan.services.name(key.service);
            self.keep(Found { service, key: key.clone(), peak, at: ask.cut.end(bucket) });
        }
    }

    /// Looks at all windows of a client, also at those that are not kept while it is quiet.
    pub(crate) fn look_at_client<'a>(
        &mut self,
        plan: &Plan,
        family: &Family,
        key: impl Fn(u16) -> CellKey,
        ask: impl Fn(u16) -> &'a Ask,
        closed: impl Fn(&Ask) -> (i64, i64),
    ) {
        for (rule, cell) in family.cells() {
            let ask = ask(rule);
            if self.is_too_little(rule, cell.most(ask)) {
                continue;
            }
            self.look(plan, &key(rule), cell, ask, closed(ask));
        }
        let Some(visits) = family.visits() else { return };
        for rule in plan.lane.rules.iter().filter(|rule| !rule.by_prefix) {
            let most = visits.most(rule.takes);
            if self.is_too_little(rule.rule, most) {
                continue;
            }
            let asked = key(rule.rule);
            if !self.is_asked(&asked.key) || !self.could_rank(&asked, most) {
                continue;
            }
            let ask = ask(rule.rule);
            if let Some(cell) = family.window(&plan.lane, rule, ask) {
                self.look(plan, &asked, &cell, ask, closed(ask));
            }
        }
    }

    fn keep(&mut self, new: Found) {
        let kept = &mut self.rules[usize::from(new.key.rule)];
        match kept.iter_mut().find(|found| found.key == new.key) {
            Some(found) if found.peak > new.peak || found.peak == new.peak && found.at <= new.at => return,
            Some(found) => *found = new,
            None => kept.push(new),
        }
        kept.sort_unstable_by(|a, b| {
            let keys = a.key.key.cmp(&b.key.key).then_with(|| a.service.cmp(&b.service));
            b.peak.total_cmp(&a.peak).then(keys).then_with(|| a.key.entry.cmp(&b.key.entry))
        });
        kept.truncate(KEPT);
    }

    /// What was found, by rule, the nearest first.
    pub(crate) fn closest(&self, plan: &Plan, ask: impl Fn(&CellKey) -> Ask) -> Vec<Closest> {
        let mut all = Vec::new();
        for (rule, kept) in plan.rules.iter().zip(&self.rules) {
            for Found { service, key, peak, at } in kept {
                let service = service.clone();
                let kind = rule.by.first().and_then(|field| field.subject()).unwrap_or(SubjectKind::Service);
                let subject = match &key.key {
                    Key::Client(client) => Subject::client(*client),
                    Key::Prefix(prefix) => Subject::new(kind, prefix.to_string()),
                    Key::Service => Subject::service(&service),
                    Key::Text(text) | Key::Finding(text) => Subject::new(kind, text),
                    Key::Pair(pair) => Subject::new(kind, &pair.text),
                };
                let threshold = ask(key).lines.threshold;
                let (rule, window) = (rule.name.clone(), rule.window);
                all.push(Closest {
                    rule,
                    service,
                    subject,
                    peak: *peak,
                    at: *at,
                    threshold,
                    window,
                    key: key.key.clone(),
                });
            }
        }
        all
    }
}
