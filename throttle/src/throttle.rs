//! From a transition to decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{Folded, Incident, SignalRow, Status, Transition};
use beaconfire_model::{Kind, Severity, Subject, SubjectKind, Untrusted, Wall};
use ipnet::IpNet;

use crate::guard::canonical;
use crate::{Action, Allows, Decision, DecisionKey, Guard, Mode, Origin, Refusal};

/// The minute of `throttle.budget.per_minute`: a sliding one.
const MINUTE: Duration = Duration::from_secs(60);

/// An address that was told to be shared is left alone for so long.
const SHARED_FOR: Duration = Duration::from_secs(3_600);
/// At most so many; what comes then is throttled as any other.
const SHARED_MAX: usize = 10_000;

/// A rule's `throttle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleThrottle {
    /// What is to be done.
    pub action: Action,
    /// For how long.
    pub duration: Duration,
    /// Dry run or in earnest.
    pub mode: Mode,
}

/// What stands at the moment of a fold.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// The moment.
    pub now: Wall,
    /// What is active, including what earlier folds of the same transaction decided.
    pub active: &'a [Decision],
    /// What rules leave alone for a while.
    pub allows: &'a Allows,
    /// `incidents.max_age`: what is older throttles nobody.
    pub max_age: Duration,
}

/// What came of considering one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Decide so.
    Decide(Decision),
    /// Leave this subject alone, because.
    Refuse(Subject, Refusal),
}

/// Considers what each fold asks for, within the guard's bounds.
#[derive(Debug)]
pub struct Throttle {
    rules: BTreeMap<Arc<str>, RuleThrottle>,
    guard: Guard,
    /// What was decided within the last minute, and when: at most `per_minute` for each mode. By key, so that a fold
    /// that is repeated after a conflict in the store does not pay twice.
    made: BTreeMap<DecisionKey, Wall>,
    /// Addresses that a sensor told are shared by many, until when. After a restart those that hold are told again.
    shared: BTreeMap<IpNet, Wall>,
}

impl Throttle {
    /// A throttle with these rules' actions.
    pub fn new(rules: BTreeMap<Arc<str>, RuleThrottle>, guard: Guard) -> Self {
        Self { rules, guard, made: BTreeMap::new(), shared: BTreeMap::new() }
    }

    /// The decisions that a fold's signals ask for.
    ///
    /// Every (rule, subject) that the fold brings is considered, where the rule has a `throttle` and the subject is a
    /// client or a prefix. Nothing is decided for an incident or a fact that was found too late, nor for an incident that is resolved, unless it
    /// was found and resolved by this same fold (a backlog was read): what a replay states again bans nobody anew. Who
    /// goes on gets the next decision once no more than half of the time is left; what somebody took back is left alone
    /// for as long as it is allowed. Dry runs and decisions in earnest have
    /// budgets of their own: trying a rule out takes nothing from those at work.
    pub fn consider(&mut self, folded: &Folded, standing: Standing<'_>) -> Vec<Verdict> {
        let (incident, now) = (&folded.incident, standing.now);
        self.learn_shared(folded, now);
        let is_news = folded.transitions.iter().any(|transition| {
            matches!(transition, Transition::Opened | Transition::Reopened | Transition::Joined { .. })
        });
        if incident.stale || (incident.status == Status::Resolved && !is_news) {
            return Vec::new();
        }
        self.made.retain(|_, at| now.since(*at) < MINUTE);
        let mut verdicts = Vec::new();
        let mut refused: BTreeSet<(&Subject, Refusal)> = BTreeSet::new();
        let mut decided: Vec<Decision> = Vec::new();
        let mut rows: Vec<&SignalRow> = folded.signals.iter().collect();
        rows.sort_by(|a, b| (a.first, &a.rule, &a.subject).cmp(&(b.first, &b.rule, &b.subject)));
        for row in rows {
            let Some(throttle) = self.rules.get(&row.rule) else { continue };
            match self.consider_row(incident, row, throttle, standing, &decided) {
                Ok(Some(decision)) => {
                    self.made.insert(decision.key.clone(), now);
                    decided.push(decision.clone());
                    verdicts.push(Verdict::Decide(decision));
                }
                Ok(None) => {}
                Err(refusal) => {
                    if refused.insert((&row.subject, refusal)) {
                        verdicts.push(Verdict::Refuse(row.subject.clone(), refusal));
                    }
                }
            }
        }
        verdicts
    }

    /// Takes note of clients that a sensor rule says are many.
    fn learn_shared(&mut self, folded: &Folded, now: Wall) {
        if folded.incident.kind != Kind::Sensor {
            return;
        }
        self.shared.retain(|_, until| *until > now);
        for network in folded.signals.iter().filter_map(|row| network(&row.subject)) {
            if self.shared.len() < SHARED_MAX || self.shared.contains_key(&network) {
                self.shared.insert(network, now.plus(SHARED_FOR));
            }
        }
    }

    /// The guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What one row asks for; nothing, where the subject is no address or has stopped, or a decision that lasts long
    /// enough is there already.
    fn consider_row(
        &self,
        incident: &Incident,
        row: &SignalRow,
        throttle: &RuleThrottle,
        standing: Standing<'_>,
        decided: &[Decision],
    ) -> Result<Option<Decision>, Refusal> {
        let Standing { now, active, allows, max_age } = standing;
        let Some(network) = network(&row.subject) else { return Ok(None) };
        // A fact of a lagging input or a backfill, in an incident that goes on without it.
        if now.as_event_time().since(row.holds_until) > max_age {
            return Ok(None);
        }
        // A rewind states again what ended long ago: who has stopped for as long as it would last is left alone.
        if incident.holds_until.since(row.holds_until) > throttle.duration {
            return Ok(None);
        }
        let key = DecisionKey { network, action: throttle.action, mode: throttle.mode };
        let held = || active.iter().chain(decided).filter(|decision| decision.active(now));
        let lasts = |decision: &Decision| decision.expires.since(now) > throttle.duration / 2;
        if held().any(|decision| decision.key == key && lasts(decision)) {
            return Ok(None);
        }
        if allows.covers(network, now) {
            return Err(Refusal::Allowed);
        }
        // What would page is throttled all the same: made-up user agents buy nobody the right to flood.
        let mild = row.severity < Severity::Critical;
        if mild && self.shared.get(&network).is_some_and(|until| *until > now) {
            return Err(Refusal::Shared);
        }
        // What replaces an active decision of the same key adds none, and what was made this minute was counted.
        let others = held().filter(|decision| decision.key.mode == key.mode && decision.key != key);
        let others: BTreeSet<&DecisionKey> = others.map(|decision| &decision.key).collect();
        let made = self.made.keys().filter(|made| made.mode == key.mode && **made != key).count();
        self.guard.check(network, others.len(), made)?;
        Ok(Some(Decision {
            id: 0,
            key,
            scenario: row.rule.clone(),
            origin: Origin::Rule,
            incident: Some(incident.id.clone()),
            reason: reason(incident, row),
            created: now,
            expires: now.plus(throttle.duration),
            deleted: None,
            changed: now,
        }))
    }
}

/// The network that a client or prefix is; where a rule counts by two keys, that of the first.
fn network(subject: &Subject) -> Option<IpNet> {
    if !matches!(subject.kind, SubjectKind::Client | SubjectKind::Prefix) {
        return None;
    }
    let word = subject.value.split(' ').next()?;
    let address = || word.parse::<IpAddr>().ok().map(IpNet::from);
    word.parse::<IpNet>().ok().or_else(address).map(canonical)
}

/// In words, from recorded numbers only.
fn reason(incident: &Incident, row: &SignalRow) -> String {
    let (rule, target) = (Untrusted::new(&row.rule, 120), Untrusted::new(&incident.target.value, 120));
    let seconds = row.window.as_secs_f64();
    let number =
        |value: f64| if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    format!(
        "{} on {}: {} in {seconds} s (limit {})",
        rule.clean(),
        target.clean(),
        number(row.observed),
        number(row.threshold),
    )
}
