//! The rules and entries of one configuration, made ready.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{EntryId, EventTime, Kind, Severity};
use regex::RegexSet;

use crate::rule::{Filter, anchored};
use crate::services::{ServiceId, Services, UNKNOWN};
use crate::{Count, Field, Override, RuleError, RuleSpec};

/// One item of `kafka.topics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySpec {
    /// Its name: the topic's, or the pattern.
    pub name: String,
    /// The service of all its requests, where the configuration says so.
    pub service: Option<String>,
    /// How far out of order its records may be.
    pub lateness: Duration,
}

/// One item of `services`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceSpec {
    /// The paths where people log in; empty for the list `logins`.
    pub logins: Vec<String>,
    /// What it changes of rules, by the rule's name.
    pub overrides: BTreeMap<String, Override>,
}

/// What a plan is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanSpec {
    /// The rules that are switched on.
    pub rules: Vec<RuleSpec>,
    /// Named lists of patterns; `logins` holds the login paths of services that name none.
    pub lists: BTreeMap<String, Vec<String>>,
    /// Services by name.
    pub services: BTreeMap<String, ServiceSpec>,
    /// Entries, by [`EntryId`].
    pub entries: Vec<EntrySpec>,
    /// The window in which findings of one sensor rule on one workload are one fact.
    pub finding_window: Duration,
    /// The seed of the tables' hashes: the store's, or 0 in a replay.
    pub seed: u64,
}

/// Sub-buckets in a window.
pub(crate) const BUCKETS: i64 = 60;

/// How windows of one length are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    millis: i64,
}

impl Cut {
    fn new(window: Duration) -> Self {
        Self { millis: i64::try_from(window.as_millis()).unwrap_or(i64::MAX).max(1) }
    }

    /// The bucket of a time: 60 of them are exactly the window, also where a 60th is no whole number of milliseconds.
    pub(crate) fn bucket(self, at: EventTime) -> i64 {
        (i128::from(at.millis()) * i128::from(BUCKETS)).div_euclid(i128::from(self.millis)) as i64
    }

    /// The first millisecond of a bucket.
    pub(crate) fn start(self, bucket: i64) -> EventTime {
        let numerator = i128::from(bucket) * i128::from(self.millis);
        let up = -(-numerator).div_euclid(i128::from(BUCKETS));
        EventTime::from_millis(i64::try_from(up).unwrap_or(i64::MAX))
    }

    /// The first millisecond after a bucket.
    pub(crate) fn end(self, bucket: i64) -> EventTime {
        self.start(bucket.saturating_add(1))
    }

    /// The last bucket that ends at or before `at`.
    pub(crate) fn closed(self, at: EventTime) -> i64 {
        if at == EventTime::MAX { i64::MAX / 4 } else { self.bucket(at).saturating_sub(1) }
    }
}

/// Where a rule draws its lines for one service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lines {
    pub(crate) enabled: bool,
    pub(crate) threshold: f64,
    pub(crate) critical_above: Option<f64>,
    /// For rules by prefix: what one host may do by itself.
    pub(crate) host_limit: f64,
}

/// A rule made ready.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) severity: Severity,
    pub(crate) by: Vec<Field>,
    pub(crate) count: Counting,
    pub(crate) window: Duration,
    pub(crate) cut: Cut,
    pub(crate) filter: Filter,
    pub(crate) except: Filter,
    lines: Lines,
    by_service: BTreeMap<String, Lines>,
}

/// What is counted, made ready.
#[derive(Debug)]
pub(crate) enum Counting {
    Requests,
    Bytes,
    Share { filter: Filter, min_requests: u64 },
}

impl Rule {
    /// The lines for a service.
    pub(crate) fn lines(&self, service: &str) -> Lines {
        self.by_service.get(service).copied().unwrap_or(self.lines)
    }

    pub(crate) fn is_by_prefix(&self) -> bool {
        self.by == [Field::Prefix]
    }

    /// Whether its value only grows as records arrive, so that it may be raised before buckets close.
    pub(crate) fn only_grows(&self) -> bool {
        !matches!(self.count, Counting::Share { .. }) && !self.is_by_prefix()
    }
}

/// The rules and entries of one configuration, made ready. Shared by workers and shards.
#[derive(Debug)]
pub struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) services: Services,
    pub(crate) seed: u64,
    pub(crate) finding_window: Duration,
    pub(crate) finding_cut: Cut,
    entries: Vec<EntrySpec>,
    entry_services: Vec<Option<ServiceId>>,
    configured: BTreeMap<String, ServiceSpec>,
    logins: RegexSet,
    longest: Duration,
}

impl Plan {
    /// Makes a configuration's rules ready.
    pub fn compile(spec: PlanSpec) -> Result<Self, RuleError> {
        let services = Services::default();
        for name in spec.services.keys() {
            services.id(name);
        }
        let list = |name: &str| spec.lists.get(name).cloned();
        let mut rules = Vec::new();
        for rule in &spec.rules {
            let refuse = |said: String| RuleError { rule: rule.name.to_string(), said };
            if rule.by.is_empty() || rule.by.len() > 2 {
                return Err(refuse("`by` takes one or two fields".to_owned()));
            }
            if let Some(field) = rule.by.iter().find(|field| field.subject().is_none()) {
                return Err(refuse(format!("requests cannot be counted by `{}`", field.name())));
            }
            if rule.by.len() == 2 && rule.by.contains(&Field::Prefix) {
                return Err(refuse("`prefix` stands alone in `by`".to_owned()));
            }
            if rule.window < Duration::from_secs(1) || rule.window > Duration::from_secs(86_400) {
                return Err(refuse("`window` must be between 1s and 24h".to_owned()));
            }
            if !(rule.threshold >= 0.0 && rule.threshold.is_finite()) {
                return Err(refuse("`threshold` must be a number of at least 0".to_owned()));
            }
            let count = match &rule.count {
                Count::Requests => Counting::Requests,
                Count::BytesSent => Counting::Bytes,
                Count::Share { matchers, min_requests } => {
                    if rule.threshold >= 1.0 {
                        return Err(refuse(
                            "a share lies between 0 and 1: it can never be above this `threshold`".to_owned(),
                        ));
                    }
                    if rule.by == [Field::Prefix] {
                        return Err(refuse("shares by `prefix` are not in this version".to_owned()));
                    }
                    Counting::Share {
                        filter: Filter::compile(matchers, list).map_err(refuse)?,
                        min_requests: *min_requests,
                    }
                }
            };
            let lines_for = |service: Option<(&String, &ServiceSpec)>| {
                let change = service
                    .and_then(|(_, service)| service.overrides.get(&*rule.name))
                    .copied()
                    .unwrap_or_default();
                let threshold = change.threshold.unwrap_or(rule.threshold);
                Lines {
                    enabled: change.enabled.unwrap_or(true),
                    threshold,
                    critical_above: change.critical_above.or(rule.critical_above),
                    host_limit: host_limit(&spec, rule.window, service.map(|(name, _)| name.as_str()))
                        .unwrap_or(threshold / 5.0),
                }
            };
            rules.push(Rule {
                name: rule.name.clone(),
                kind: rule.kind,
                severity: rule.severity,
                by: rule.by.clone(),
                count,
                window: rule.window,
                cut: Cut::new(rule.window),
                filter: Filter::compile(&rule.matchers, list).map_err(refuse)?,
                except: Filter::compile(&rule.except, list).map_err(refuse)?,
                lines: lines_for(None),
                by_service: spec
                    .services
                    .iter()
                    .map(|service| (service.0.clone(), lines_for(Some(service))))
                    .collect(),
            });
        }
        let logins = anchored(spec.lists.get("logins").map_or(&[][..], Vec::as_slice))
            .map_err(|said| RuleError { rule: "lists.logins".to_owned(), said })?;
        let longest =
            spec.rules.iter().map(|rule| rule.window).max().unwrap_or_default().max(spec.finding_window);
        Ok(Self {
            rules,
            seed: spec.seed,
            finding_window: spec.finding_window,
            finding_cut: Cut::new(spec.finding_window),
            entry_services: spec
                .entries
                .iter()
                .map(|entry| entry.service.as_deref().map(|name| services.id(name)))
                .collect(),
            entries: spec.entries,
            services,
            configured: spec.services,
            logins,
            longest,
        })
    }

    /// The longest window of any rule.
    pub fn longest_window(&self) -> Duration {
        self.longest
    }

    /// An entry of `kafka.topics`. Ids come from the configuration that this plan was made from.
    pub fn entry(&self, entry: EntryId) -> &EntrySpec {
        &self.entries[usize::from(entry.0)]
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// How often a request's service was beyond the 10,000 that are told apart.
    pub fn services_beyond(&self) -> u64 {
        self.services.beyond()
    }

    /// The service of a request: the entry's, else the record's own, else unknown. Never the Host header, which a sender
    /// makes up.
    pub(crate) fn service(&self, entry: EntryId, named: &str) -> ServiceId {
        if let Some(Some(service)) = self.entry_services.get(usize::from(entry.0)) {
            return *service;
        }
        self.services.id(if named.is_empty() { UNKNOWN } else { named })
    }

    /// Whether people log in to `service` at `path`.
    pub(crate) fn is_login(&self, service: &str, path: &str) -> bool {
        match self.configured.get(service) {
            Some(spec) if !spec.logins.is_empty() => spec.logins.iter().any(|login| login == path),
            _ => self.logins.is_match(path),
        }
    }
}

/// What one host may do by itself before it is flagged for that: the smallest threshold among rules that count all
/// requests by client over the same window.
fn host_limit(spec: &PlanSpec, window: Duration, service: Option<&str>) -> Option<f64> {
    spec.rules
        .iter()
        .filter(|rule| rule.by == [Field::Client] && rule.count == Count::Requests && rule.window == window)
        .filter(|rule| rule.matchers.0.is_empty())
        .map(|rule| {
            let change = service
                .and_then(|name| spec.services.get(name))
                .and_then(|service| service.overrides.get(&*rule.name));
            change.and_then(|change| change.threshold).unwrap_or(rule.threshold)
        })
        .min_by(f64::total_cmp)
}
