//! The rules and entries of one configuration, made ready.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{EntryId, Kind, Matcher, Matchers, Op, Request, Severity};
use regex::RegexSet;

use crate::cut::Cut;
use crate::filter::{Around, Filter, Tests, Verdicts, anchored};
use crate::services::{OTHER, ServiceId, Services, UNKNOWN};
use crate::{Count, Field, RuleError, RuleSpec};

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
    /// The exact paths where people log in; empty for the list `logins`.
    pub logins: Vec<String>,
    /// What it changes of rules, by the rule's name.
    pub overrides: BTreeMap<String, crate::Override>,
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

/// The rule number of findings.
pub(crate) const FINDING: u16 = u16::MAX;

/// Where a rule draws its lines for one service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lines {
    pub(crate) enabled: bool,
    pub(crate) threshold: f64,
    pub(crate) critical_above: Option<f64>,
    /// For rules by prefix: what one host may do by itself.
    pub(crate) host_limit: f64,
}

/// What a rule counts by, made ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keying {
    Client,
    Prefix,
    Service,
    /// One field's text or two; `pair` where a client is one of the two.
    Text {
        pair: bool,
    },
}

/// What is counted, made ready.
#[derive(Debug)]
pub(crate) enum Counting {
    Requests,
    Bytes,
    Share { filter: Filter, min_requests: u64 },
}

/// A rule whose counts come with another's: the same requests of the same clients, over a window that is so many times
/// as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rider {
    /// The rule, by its place in the plan.
    pub(crate) rule: u16,
    /// One of its buckets is so many of the other's.
    pub(crate) ratio: i64,
}

/// A rule made ready.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) severity: Severity,
    pub(crate) by: Vec<Field>,
    pub(crate) keying: Keying,
    pub(crate) count: Counting,
    pub(crate) window: Duration,
    pub(crate) cut: Cut,
    /// What workers count for this rule serves these, itself the first. Empty where another rule's counts serve it: a
    /// worker counts a request once for all rules that differ in their windows only, and the shards tell them apart.
    pub(crate) riders: Vec<Rider>,
    filter: Filter,
    except: Filter,
}

impl Rule {
    /// Whether the rule wants a request: all of its matchers match, and none of its exceptions.
    pub(crate) fn wants(
        &self,
        tests: &Tests,
        request: &Request<'_>,
        around: &Around<'_>,
        seen: &mut Verdicts,
    ) -> bool {
        self.filter.all(tests, request, around, seen) && !self.except.any(tests, request, around, seen)
    }
}

/// What the configuration says of a service, made ready.
#[derive(Debug, Clone)]
pub(crate) struct ServiceFacts {
    /// By the rule's place in the plan.
    pub(crate) lines: Vec<Lines>,
    logins: BTreeSet<String>,
}

/// The rules and entries of one configuration, made ready. Shared by workers and shards.
#[derive(Debug)]
pub struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) tests: Tests,
    pub(crate) services: Services,
    pub(crate) seed: u64,
    pub(crate) finding_window: Duration,
    pub(crate) finding_cut: Cut,
    entries: Vec<EntrySpec>,
    entry_services: Vec<Option<ServiceId>>,
    /// Of the services that the configuration names, by id; they were given the first ids.
    facts: Vec<ServiceFacts>,
    /// Of all others.
    plain: ServiceFacts,
    logins: RegexSet,
    longest: Duration,
}

impl Plan {
    /// Makes a configuration's rules ready, or says which rule cannot be.
    pub fn compile(spec: PlanSpec) -> Result<Self, RuleError> {
        if spec.rules.len() >= usize::from(FINDING) {
            return Err(RuleError {
                rule: "rules".to_owned(),
                said: "there are more than 65,534".to_owned(),
            });
        }
        let mut tests = Tests::default();
        let mut rules = Vec::with_capacity(spec.rules.len());
        for rule in &spec.rules {
            let ready = ready(rule, &spec, &mut tests);
            rules.push(ready.map_err(|said| RuleError { rule: rule.name.to_string(), said })?);
        }
        for (rule, riders) in rides(&spec.rules).into_iter().enumerate() {
            rules[rule].riders = riders;
        }
        let logins = anchored(spec.lists.get("logins").map_or(&[][..], Vec::as_slice))
            .map_err(|said| RuleError { rule: "lists.logins".to_owned(), said })?;
        let services = Services::default();
        let plain = facts(&spec, None);
        let mut by_id = vec![plain.clone(); services.len()];
        for (name, service) in &spec.services {
            let ServiceId(id) = services.id(name);
            if ServiceId(id) == OTHER.1 && name != OTHER.0 {
                let said = "there are more than 10,000 services".to_owned();
                return Err(RuleError { rule: "services".to_owned(), said });
            }
            by_id.resize(by_id.len().max(id as usize + 1), plain.clone());
            by_id[id as usize] = facts(&spec, Some(service));
        }
        let windows = spec.rules.iter().map(|rule| rule.window);
        Ok(Self {
            longest: windows.max().unwrap_or_default().max(spec.finding_window),
            rules,
            tests,
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
            facts: by_id,
            plain,
            logins,
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

    /// How often a record's service was beyond the 10,000 that are told apart.
    pub fn services_beyond(&self) -> u64 {
        self.services.beyond()
    }

    /// The service that the configuration gives to all requests of an entry.
    pub(crate) fn entry_service(&self, entry: EntryId) -> Option<ServiceId> {
        self.entry_services.get(usize::from(entry.0)).copied().flatten()
    }

    /// What the configuration says of a service.
    pub(crate) fn facts(&self, service: ServiceId) -> &ServiceFacts {
        self.facts.get(service.0 as usize).unwrap_or(&self.plain)
    }

    /// What holds for services that the configuration does not name.
    pub(crate) fn plain(&self) -> &ServiceFacts {
        &self.plain
    }

    /// Whether people log in to a service at `path`.
    pub(crate) fn is_login(&self, service: ServiceId, path: &str) -> bool {
        let logins = &self.facts(service).logins;
        if logins.is_empty() { self.logins.is_match(path) } else { logins.contains(path) }
    }

    /// The service of a finding: none.
    pub(crate) fn no_service() -> ServiceId {
        UNKNOWN.1
    }
}

fn ready(rule: &RuleSpec, spec: &PlanSpec, tests: &mut Tests) -> Result<Rule, String> {
    let refuse = |said: &str| Err(said.to_owned());
    let list = |name: &str| spec.lists.get(name).map(Vec::as_slice);
    let keying = match *rule.by.as_slice() {
        [Field::Client] => Keying::Client,
        [Field::Prefix] => Keying::Prefix,
        [Field::Service] => Keying::Service,
        [_] => Keying::Text { pair: false },
        [a, b] if a == b => return refuse("`by` names one field twice"),
        [Field::Prefix, _] | [_, Field::Prefix] => return refuse("`prefix` stands alone in `by`"),
        [a, b] => Keying::Text { pair: a == Field::Client || b == Field::Client },
        _ => return refuse("`by` takes one or two fields"),
    };
    if let Some(field) = rule.by.iter().find(|field| field.subject().is_none()) {
        return Err(format!("requests cannot be counted by `{}`", field.name()));
    }
    if rule.window < Duration::from_secs(1) || rule.window > Duration::from_secs(86_400) {
        return refuse("`window` must be between 1s and 24h");
    }
    let overrides = spec.services.values().filter_map(|service| service.overrides.get(&*rule.name));
    let lines = overrides.flat_map(|change| [change.threshold, change.critical_above]);
    if lines.chain([Some(rule.threshold), rule.critical_above]).flatten().any(|line| !is_line(line)) {
        return refuse("`threshold` and `critical_above` must be numbers of at least 0");
    }
    let count = match &rule.count {
        Count::Requests => Counting::Requests,
        Count::BytesSent => Counting::Bytes,
        Count::Share { .. } if keying == Keying::Prefix => {
            return refuse("shares by `prefix` are not in this version");
        }
        Count::Share { .. } if rule.threshold >= 1.0 => {
            return refuse("a share lies between 0 and 1: it can never be above this `threshold`");
        }
        Count::Distinct { .. } => return refuse("`distinct` is not in this version"),
        Count::Share { matchers, min_requests } => {
            Counting::Share { filter: tests.filter(matchers, list)?, min_requests: (*min_requests).max(1) }
        }
    };
    Ok(Rule {
        name: rule.name.clone(),
        kind: rule.kind,
        severity: rule.severity,
        by: rule.by.clone(),
        keying,
        count,
        window: rule.window,
        cut: Cut::new(rule.window),
        riders: Vec::new(),
        filter: tests.filter(&rule.matchers, list)?,
        except: tests.filter(&rule.except, list)?,
    })
}

/// Which rules count for which, by place: each rule counts for itself, or one of a shorter window counts for it too.
fn rides(rules: &[RuleSpec]) -> Vec<Vec<Rider>> {
    let mut riders: Vec<Vec<Rider>> = vec![Vec::new(); rules.len()];
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|place| (rules[*place].window, *place));
    for place in order {
        let rule = &rules[place];
        let carrier = (0..rules.len()).filter(|other| !riders[*other].is_empty());
        let carrier = carrier.filter(|other| carries(&rules[*other], rule)).min();
        // A plan has fewer than 65,535 rules, and windows of at most a day.
        let ratio = |of: &RuleSpec| (rule.window.as_millis() / of.window.as_millis().max(1)) as i64;
        let rider = |ratio| Rider { rule: place as u16, ratio };
        match carrier {
            Some(other) => riders[other].push(rider(ratio(&rules[other]))),
            None => riders[place].push(rider(1)),
        }
    }
    riders
}

/// Whether what is counted for `carrier` is, bucket by bucket, what `rule` counts.
fn carries(carrier: &RuleSpec, rule: &RuleSpec) -> bool {
    let of_clients = |rule: &RuleSpec| matches!(rule.by.as_slice(), [Field::Client] | [Field::Prefix]);
    let plain = |rule: &RuleSpec| matches!(rule.count, Count::Requests | Count::BytesSent);
    of_clients(carrier)
        && of_clients(rule)
        && plain(rule)
        && carrier.count == rule.count
        && carrier.matchers == rule.matchers
        && carrier.except == rule.except
        && rule.window.as_millis().is_multiple_of(carrier.window.as_millis().max(1))
}

fn is_line(line: f64) -> bool {
    line.is_finite() && line >= 0.0
}

fn facts(spec: &PlanSpec, service: Option<&ServiceSpec>) -> ServiceFacts {
    let changed = |rule: &RuleSpec| {
        service.and_then(|service| service.overrides.get(&*rule.name)).copied().unwrap_or_default()
    };
    let threshold = |rule: &RuleSpec| changed(rule).threshold.unwrap_or(rule.threshold);
    let enabled = |rule: &RuleSpec| changed(rule).enabled.unwrap_or(true);
    let lines = spec.rules.iter().map(|rule| {
        let own = spec.rules.iter().filter(|own| enabled(own) && flags_hosts_of(own, rule)).map(threshold);
        Lines {
            enabled: enabled(rule),
            threshold: threshold(rule),
            critical_above: changed(rule).critical_above.or(rule.critical_above),
            host_limit: own.min_by(f64::total_cmp).unwrap_or(threshold(rule) / 5.0),
        }
    });
    let logins = service.map(|service| service.logins.iter().cloned().collect()).unwrap_or_default();
    ServiceFacts { lines: lines.collect(), logins }
}

/// Whether `own` flags a host for what it contributes to the prefix rule `rule`: it counts requests by client over the
/// same window, and the same requests, or all but some. A rule that picks out a few (failed logins) does not: a host
/// may make far more requests than that.
fn flags_hosts_of(own: &RuleSpec, rule: &RuleSpec) -> bool {
    let excludes = |matcher: &Matcher| matches!(matcher.op, Op::NotEqual | Op::NotMatches);
    let all_but_some = |matchers: &Matchers| matchers.0.iter().all(excludes);
    own.by == [Field::Client]
        && own.count == Count::Requests
        && own.window == rule.window
        && (own.matchers == rule.matchers || all_but_some(&own.matchers))
}
