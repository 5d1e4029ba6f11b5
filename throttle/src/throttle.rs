//! From a fold to decisions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{Folded, SignalRow, Status};
use beaconfire_model::{Subject, SubjectKind, Wall};
use ipnet::IpNet;

use crate::{Action, Decision, DecisionKey, Guard, Mode, Origin, Refusal};

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
    /// When the decisions of the last minute were made.
    made: VecDeque<Wall>,
}

impl Throttle {
    /// A throttle with these rules' actions.
    pub fn new(rules: BTreeMap<Arc<str>, RuleThrottle>, guard: Guard) -> Self {
        Self { rules, guard, made: VecDeque::new() }
    }

    /// The guard.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The decisions that a fold's signals ask for. `active` is what is active now. Nothing is decided for an incident
    /// that is over or was found too late, nor again while an equal decision has half of its time left.
    pub fn consider(&mut self, folded: &Folded, active: &[Decision], now: Wall) -> Vec<Verdict> {
        let incident = &folded.incident;
        if incident.stale || incident.status == Status::Resolved {
            return Vec::new();
        }
        while self.made.front().is_some_and(|made| now.since(*made) >= Duration::from_secs(60)) {
            self.made.pop_front();
        }
        let mut held: BTreeMap<DecisionKey, Wall> =
            active.iter().filter(|decision| decision.active(now)).map(|decision| (decision.key.clone(), decision.expires)).collect();
        let mut verdicts = Vec::new();
        for signal in &folded.signals {
            let Some(rule) = self.rules.get(&signal.rule).cloned() else { continue };
            if let Some(network) = network(signal) {
                let key = DecisionKey { network, action: rule.action, mode: rule.mode };
                let expires = now.plus(rule.duration);
                if held.get(&key).is_some_and(|until| *until >= now.plus(rule.duration / 2)) {
                    continue;
                }
                match self.guard.check(network, held.len(), self.made.len()) {
                    Ok(()) => {
                        self.made.push_back(now);
                        held.insert(key.clone(), expires);
                        verdicts.push(Verdict::Decide(Decision {
                            id: 0,
                            key,
                            scenario: signal.rule.clone(),
                            origin: Origin::Rule,
                            incident: Some(incident.id.clone()),
                            reason: format!(
                                "{} in {} s, limit {}", signal.observed, signal.window.as_secs(), signal.threshold
                            ),
                            created: now,
                            expires,
                            deleted: None,
                            changed: now,
                        }));
                    }
                    Err(refusal) => verdicts.push(Verdict::Refuse(signal.subject.clone(), refusal)),
                }
            }
        }
        verdicts
    }
}

/// The network that a signal's subject stands for; none where it is no address (a rule by two keys names the address
/// first).
fn network(signal: &SignalRow) -> Option<IpNet> {
    let text = signal.subject.value.split(' ').next().unwrap_or_default();
    match signal.subject.kind {
        SubjectKind::Client | SubjectKind::Prefix => {
            text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
        }
        _ => None,
    }
}
