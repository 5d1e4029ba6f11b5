//! Inhibition: what is not told because an incident that explains it is known.

use std::collections::BTreeMap;

use beaconfire_incident::{Incident, IncidentId, Relation, Status, link};
use beaconfire_model::{Kind, Labels, Matchers};

/// One of `inhibit_rules`, with Alertmanager's meaning.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InhibitRule {
    /// What explains.
    pub source: Matchers,
    /// What is not told meanwhile.
    pub target: Matchers,
    /// Labels in which both must be alike; a label that neither has is alike.
    pub equal: Vec<String>,
}

/// The unresolved incidents that inhibit others, ready to be asked.
pub struct Inhibitors<'a> {
    rules: Vec<(&'a InhibitRule, Index<'a>)>,
    /// Floods and surges: they explain what workloads use.
    causes: Vec<&'a Incident>,
    ties: &'a dyn Fn(&str, &str) -> bool,
}

/// By the values of `equal`, the first source that is no target itself, and the first that is.
type Index<'a> = BTreeMap<Vec<&'a str>, (Option<&'a IncidentId>, Option<&'a IncidentId>)>;

impl<'a> Inhibitors<'a> {
    /// Takes in what is unresolved. What was found too late to tell explains nothing to anybody. `ties` knows which
    /// services' requests explain a workload.
    pub fn new(
        rules: &'a [InhibitRule],
        unresolved: &[&'a Incident],
        ties: &'a dyn Fn(&str, &str) -> bool,
    ) -> Self {
        let holds = |incident: &&&'a Incident| incident.status != Status::Resolved && !incident.stale;
        let indexed = |rule: &'a InhibitRule| {
            let mut index = Index::new();
            for source in unresolved.iter().filter(holds) {
                if !matches(&rule.source, &source.labels) {
                    continue;
                }
                let entry = index.entry(values(rule, &source.labels)).or_default();
                let two_sided = matches(&rule.target, &source.labels);
                let first = if two_sided { &mut entry.1 } else { &mut entry.0 };
                *first = Some(first.map_or(&source.id, |held| held.min(&source.id)));
            }
            (rule, index)
        };
        let is_cause = |incident: &&&'a Incident| matches!(incident.kind, Kind::Flood | Kind::Surge);
        Self {
            rules: rules.iter().map(indexed).collect(),
            causes: unresolved.iter().filter(holds).filter(is_cause).copied().collect(),
            ties,
        }
    }

    /// The incident that keeps this one from being told.
    ///
    /// Built in: use of resources whose cause is known. Mining is never explained so, only by a rule that says it. As in
    /// Alertmanager, what matches both sides of a rule is not inhibited by what does so too, and so never by itself.
    pub fn of(&self, target: &Incident) -> Option<&'a IncidentId> {
        let by_rule = self.rules.iter().find_map(|(rule, index)| {
            if !matches(&rule.target, &target.labels) {
                return None;
            }
            let (one_sided, two_sided) = index.get(&values(rule, &target.labels))?;
            let is_source = matches(&rule.source, &target.labels);
            one_sided.or(two_sided.filter(|_| !is_source))
        });
        by_rule.or_else(|| {
            let explains = |cause: &&&'a Incident| {
                link(target, cause, self.ties).is_some_and(|(relation, _)| relation == Relation::Cause)
            };
            let causes = self.causes.iter().filter(|_| target.kind == Kind::Resource);
            causes.filter(explains).map(|cause| &cause.id).min()
        })
    }
}

fn matches(matchers: &Matchers, labels: &Labels) -> bool {
    matchers.matches(|name| labels.get(name))
}

fn values<'l>(rule: &InhibitRule, labels: &'l Labels) -> Vec<&'l str> {
    rule.equal.iter().map(|name| labels.get(name)).collect()
}
