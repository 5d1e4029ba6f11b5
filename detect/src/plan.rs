//! The rules and entries of one configuration, made ready.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{Client, EntryId, Kind, Matcher, Matchers, Offset, Op, Request, Severity, Source};
use regex::RegexSet;

use crate::copies::Copies;
use crate::cut::Cut;
use crate::engine::{mining, surge};
use crate::hash::Seeded;
use crate::lane::{Lane, Limits};
use crate::newcomer::Newcomers;
use crate::services::{OTHER, ServiceId, Services, UNKNOWN};
use crate::sieve::{Bits, Sieve, anchored};
use crate::{Count, Field, RuleError, RuleSpec};

/// One item of `kafka.topics`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntrySpec {
    /// Its name: the topic's, or the pattern.
    pub name: String,
    /// The service of all its requests, where the configuration says so.
    pub service: Option<String>,
    /// How far out of order its records may be.
    pub lateness: Duration,
    /// Whether requests with one request id are one request, logged several times.
    pub once: bool,
}

/// One item of `services`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceSpec {
    /// The exact paths where people log in; empty for the list `logins`.
    pub logins: Vec<String>,
    /// What it changes of rules, by the rule's name.
    pub overrides: BTreeMap<String, crate::Override>,
    /// Patterns of the workloads whose CPU its requests explain; empty for those of its name.
    pub workloads: Vec<String>,
    /// What it was sized for.
    pub capacity: CapacitySpec,
}

/// What an operator says that a service can bear.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CapacitySpec {
    /// Requests a second; learned where it is not said.
    pub requests_per_second: Option<f64>,
    /// Within what 95 % of its answers should come, from which its capacity is learned; twice the usual where it is not
    /// said.
    pub latency: Option<Duration>,
}

/// What a plan is made from.
#[derive(Debug, Clone, Default, PartialEq)]
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
    /// How workloads are watched for cryptomining; `None` where they are not.
    pub mining: Option<mining::Knobs>,
    /// The bytes for what is usual of workloads and services; `None` where nothing is held against it.
    pub baselines: Option<usize>,
    /// Whether the baselines of services are told of, too, or only learned.
    pub tell_services: bool,
    /// Whether services are held against what is usual for them and what they can bear.
    pub surge: bool,
    /// The seed of the tables' hashes: the store's, or 0 in a replay.
    pub seed: u64,
}

/// Sub-buckets in a window.
pub(crate) const BUCKETS: i64 = 60;

/// The rule number of findings.
pub(crate) const FINDING: u16 = u16::MAX;
/// The rule number of what is counted for all rules of the lane.
pub(crate) const LANE: u16 = u16::MAX - 1;

/// Where a rule draws its lines for one service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lines {
    pub(crate) enabled: bool,
    pub(crate) threshold: f64,
    pub(crate) critical_above: Option<f64>,
    /// For crowds: what one client may do by itself.
    pub(crate) host_limit: f64,
    /// For crowds of whole services: what one network may, and from how many hosts on it is flagged for more.
    pub(crate) prefix_limit: f64,
    pub(crate) prefix_hosts: u64,
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
    /// Those that meet a further condition of the sieve.
    Share {
        condition: usize,
        min_requests: u64,
    },
    Distinct {
        field: Field,
    },
}

/// What a rule asks of those who take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowd {
    /// So many clients at least, each within its own limit.
    pub(crate) min_clients: u64,
    /// Only one request in [`SAMPLE`] is looked at, and stands for all: nearly every one is counted here.
    pub(crate) sampled: bool,
}

/// Of requests that stand for all, one in so many is looked at.
pub(crate) const SAMPLE: u64 = 8;
/// A sample says too little of smaller crowds than this, and of fewer requests.
const SAMPLED_CLIENTS: u64 = 300;
const SAMPLED_LINE: f64 = 20_000.0;
/// Fewer hosts of a prefix than this are no distributed flood, where a rule does not say it.
const HOSTS_MIN: u64 = 8;

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
    /// Whether its clients are told apart.
    pub(crate) crowd: Option<Crowd>,
}

/// What the configuration says of a service, made ready.
#[derive(Debug, Clone)]
pub(crate) struct ServiceFacts {
    /// By the rule's place in the plan.
    pub(crate) lines: Vec<Lines>,
    /// The conditions of rules that are switched on, and of all shares.
    pub(crate) enabled: Bits,
    /// Within what a client's requests are not looked at rule by rule.
    pub(crate) limits: Limits,
    logins: BTreeSet<String>,
}

/// The rules and entries of one configuration, made ready. Shared by workers and shards.
#[derive(Debug)]
pub struct Plan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) sieve: Sieve,
    pub(crate) lane: Lane,
    pub(crate) services: Services,
    /// The ids of requests that may be logged several times.
    pub(crate) copies: Copies,
    pub(crate) newcomers: Newcomers,
    pub(crate) seed: u64,
    pub(crate) seeded: Seeded,
    pub(crate) finding_window: Duration,
    pub(crate) finding_cut: Cut,
    pub(crate) mining: Option<mining::Knobs>,
    pub(crate) baselines: Option<usize>,
    pub(crate) tell_services: bool,
    pub(crate) surge: Option<SurgePlan>,
    /// Services with the patterns of their workloads.
    ties: Vec<(String, Vec<String>)>,
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
    pub fn compile(mut spec: PlanSpec) -> Result<Self, RuleError> {
        let surge = spec.surge.then(|| SurgePlan::of(&mut spec));
        if spec.rules.len() >= usize::from(LANE) {
            return Err(RuleError {
                rule: "rules".to_owned(),
                said: "there are more than 65,533".to_owned(),
            });
        }
        let list = |name: &str| spec.lists.get(name).map(Vec::as_slice);
        let mut sieve = Sieve::default();
        // A rule's condition has the rule's number; those of shares come behind.
        for rule in &spec.rules {
            let added = sieve.condition(&rule.matchers, &rule.except, list);
            added.map_err(|said| RuleError { rule: rule.name.to_string(), said })?;
        }
        let mut rules = Vec::with_capacity(spec.rules.len());
        for rule in &spec.rules {
            let ready = ready(rule, &spec, &mut sieve);
            rules.push(ready.map_err(|said| RuleError { rule: rule.name.to_string(), said })?);
        }
        sieve.seal(list);
        let lane = Lane::new(&spec.rules, &sieve);
        let logins = anchored(spec.lists.get("logins").map_or(&[][..], Vec::as_slice))
            .map_err(|said| RuleError { rule: "lists.logins".to_owned(), said })?;
        let services = Services::default();
        let facts = |service| facts(&spec, service, &sieve, &lane);
        let plain = facts(None);
        let mut by_id = vec![plain.clone(); services.len()];
        for (name, service) in &spec.services {
            let ServiceId(id) = services.id(name);
            if ServiceId(id) == OTHER.1 && name != OTHER.0 {
                let said = "there are more than 10,000 services".to_owned();
                return Err(RuleError { rule: "services".to_owned(), said });
            }
            by_id.resize(by_id.len().max(id as usize + 1), plain.clone());
            by_id[id as usize] = facts(Some(service));
        }
        let ties = spec.services.iter().filter(|(_, service)| !service.workloads.is_empty());
        let ties = ties.map(|(name, service)| (name.clone(), service.workloads.clone())).collect();
        let windows = spec.rules.iter().map(|rule| rule.window);
        Ok(Self {
            longest: windows.max().unwrap_or_default().max(spec.finding_window),
            rules,
            sieve,
            lane,
            seed: spec.seed,
            copies: Copies::new(Seeded::new(spec.seed)),
            newcomers: Newcomers::default(),
            seeded: Seeded::new(spec.seed),
            finding_window: spec.finding_window,
            finding_cut: Cut::new(spec.finding_window),
            mining: spec.mining,
            baselines: spec.baselines,
            tell_services: spec.tell_services,
            surge,
            ties,
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

    /// Whether samples, and requests by service and minute, are asked for.
    pub(crate) fn watches_workloads(&self) -> bool {
        self.mining.is_some() || self.baselines.is_some() || self.surge.is_some()
    }

    /// Whether a service's requests explain the CPU of a workload: the configuration says so, or, where it ties nothing to
    /// that service, their names are the same.
    pub fn ties(&self, service: &str, workload: &str) -> bool {
        match self.ties.iter().find(|(name, _)| name == service) {
            Some((_, patterns)) => patterns.iter().any(|pattern| mining::glob(pattern, workload)),
            None => {
                service == workload || workload.rsplit_once('/').is_some_and(|(_, owner)| owner == service)
            }
        }
    }

    /// Whether any entry asks that copies count once.
    pub(crate) fn knows_copies(&self) -> bool {
        self.entries.iter().any(|entry| entry.once)
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

    /// What the configuration says of the services it names, by id.
    pub(crate) fn named(&self) -> &[ServiceFacts] {
        &self.facts
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

    /// Whether a request is one of those that stand for all: by a hash of what it says, which senders cannot foresee and
    /// which is the same in whatever order requests are read.
    pub(crate) fn is_drawn(&self, client: Client, request: &Request<'_>) -> bool {
        let mut state = self.seeded.build_hasher();
        state.write_u128(client.bits());
        state.write_u64(request.time.millis() as u64 ^ request.bytes_sent.rotate_left(44));
        state.write_u64(
            u64::from(request.duration_micros.unwrap_or(0) as u32) << 32 | request.path.len() as u64,
        );
        state.finish().is_multiple_of(SAMPLE)
    }

    /// The service of a finding: none.
    pub(crate) fn no_service() -> ServiceId {
        UNKNOWN.1
    }
}

/// How services are held against what is usual for them.
#[derive(Debug)]
pub(crate) struct SurgePlan {
    pub(crate) knobs: surge::Knobs,
    pub(crate) seed: surge::Seed,
}

impl SurgePlan {
    /// Takes the rule of attacks by many over: while nothing usual is known its numbers hold, and then the verdict.
    fn of(spec: &mut PlanSpec) -> Self {
        let at = spec.rules.iter().position(|rule| &*rule.name == surge::ATTACK);
        // One that picks requests out, or tells of two lines, stays a rule beside the verdict: no key does nothing.
        let is_plain = |rule: &RuleSpec| {
            rule.by == [Field::Service]
                && rule.count == Count::Requests
                && rule.matchers.0.is_empty()
                && rule.except.0.is_empty()
                && rule.critical_above.is_none()
        };
        let rule = match at {
            Some(at) if is_plain(&spec.rules[at]) => Some(spec.rules.remove(at)),
            Some(at) => Some(RuleSpec { threshold: f64::INFINITY, ..spec.rules[at].clone() }),
            None => None,
        };
        let attack = |rule: &RuleSpec, change: crate::Override| {
            let minutes = rule.window.as_secs_f64() / 60.0;
            // Where the line is drawn for the service itself, it holds whatever is usual.
            let always = change.threshold.is_some() && rule.threshold.is_finite();
            let threshold = change.threshold.filter(|_| always).unwrap_or(rule.threshold);
            let requests = threshold / minutes.max(1.0 / 60.0);
            let clients = rule.min_clients.unwrap_or(0) as f64;
            let is_on = change.enabled.unwrap_or(true);
            is_on.then_some(surge::AttackRule { severity: rule.severity, requests, clients, always })
        };
        let mut knobs = surge::Knobs {
            attack: rule.as_ref().and_then(|rule| attack(rule, crate::Override::default())),
            ..surge::Knobs::default()
        };
        for (name, service) in &spec.services {
            let name: Box<str> = name.as_str().into();
            if let Some(rate) = service.capacity.requests_per_second {
                knobs.capacities.insert(name.clone(), rate);
            }
            if let Some(latency) = service.capacity.latency {
                knobs.latencies.insert(name.clone(), latency.as_secs_f64());
            }
            if let (Some(rule), Some(change)) = (&rule, service.overrides.get(surge::ATTACK)) {
                knobs.attacks.insert(name, attack(rule, *change));
            }
        }
        Self { knobs, seed: surge::Seed::new(spec.seed) }
    }

    /// The same for a record whenever it is read, and another for each request in it.
    #[inline]
    pub(crate) fn draw(&self, source: Source, offset: Offset, request: &Request<'_>) -> u64 {
        // Not of the partition: files are replayed in any order. Records of one entry at one offset are told apart by what
        // they say, and where they say the same they are drawn together, which does no harm.
        let place = u64::from(source.entry.0);
        let client = request.client.map_or(0, |client| client.bits() as u64);
        let own = (request.time.millis() as u64) << 20 ^ client ^ request.path.len() as u64;
        self.seed.draw(place, offset.0 as u64 ^ own)
    }
}

fn ready(rule: &RuleSpec, spec: &PlanSpec, sieve: &mut Sieve) -> Result<Rule, String> {
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
        Count::Distinct { .. } | Count::Share { .. } if rule.min_clients.is_some() => {
            return refuse("`min_clients` goes with `count: requests` and `count: bytes_sent` only");
        }
        Count::Distinct { .. } if keying == Keying::Prefix => {
            return refuse("distinct values by `prefix` are not in this version");
        }
        Count::Distinct { field } => Counting::Distinct { field: *field },
        Count::Share { matchers, min_requests } => Counting::Share {
            condition: sieve.condition(matchers, &Matchers::default(), list)?,
            min_requests: (*min_requests).max(1),
        },
    };
    let by_client = matches!(keying, Keying::Client | Keying::Text { pair: true });
    let crowd = match (rule.min_clients, keying) {
        (Some(_), _) if by_client => return refuse("`min_clients` does not go with `by: [client]`"),
        (least, Keying::Prefix) => Some(Crowd { min_clients: least.unwrap_or(HOSTS_MIN), sampled: false }),
        (Some(least), _) => {
            let overrides = spec.services.values().filter_map(|service| service.overrides.get(&*rule.name));
            let mut lines = overrides.filter_map(|change| change.threshold).chain([rule.threshold]);
            let large = least >= SAMPLED_CLIENTS && lines.all(|line| line >= SAMPLED_LINE);
            Some(Crowd { min_clients: least, sampled: large && Sieve::is_broad(&rule.matchers) })
        }
        (None, _) => None,
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
        crowd,
    })
}

fn is_line(line: f64) -> bool {
    line.is_finite() && line >= 0.0
}

fn facts(spec: &PlanSpec, service: Option<&ServiceSpec>, sieve: &Sieve, lane: &Lane) -> ServiceFacts {
    let changed = |rule: &RuleSpec| {
        service.and_then(|service| service.overrides.get(&*rule.name)).copied().unwrap_or_default()
    };
    let threshold = |rule: &RuleSpec| changed(rule).threshold.unwrap_or(rule.threshold);
    let is_on = |rule: &RuleSpec| changed(rule).enabled.unwrap_or(true);
    let lines = spec.rules.iter().map(|rule| {
        let flags = |of: Field| {
            let own = spec.rules.iter().filter(move |own| is_on(own) && flags_parts_of(own, of, rule));
            own.map(|own| (threshold(own), own.min_clients.unwrap_or(HOSTS_MIN)))
        };
        let prefix = flags(Field::Prefix).filter(|_| rule.by != [Field::Prefix]);
        let prefix = prefix.min_by(|a, b| a.0.total_cmp(&b.0));
        let host = flags(Field::Client).map(|flag| flag.0).min_by(f64::total_cmp);
        Lines {
            enabled: is_on(rule),
            threshold: threshold(rule),
            critical_above: changed(rule).critical_above.or(rule.critical_above),
            host_limit: host.unwrap_or(threshold(rule) / 5.0),
            prefix_limit: prefix.map_or(f64::INFINITY, |prefix| prefix.0),
            prefix_hosts: prefix.map_or(HOSTS_MIN, |prefix| prefix.1),
        }
    });
    let lines: Vec<Lines> = lines.collect();
    let mut enabled = vec![u64::MAX; sieve.words()];
    for (number, _) in lines.iter().enumerate().filter(|(_, lines)| !lines.enabled) {
        enabled[number / 64] &= !(1 << (number % 64));
    }
    let logins = service.map(|service| service.logins.iter().cloned().collect()).unwrap_or_default();
    ServiceFacts { limits: lane.limits(&lines), lines, enabled, logins }
}

/// Whether `own` flags a client or prefix (`of`) for what it contributes to the crowd of `rule`: it counts by it over the
/// same window, and the same requests, or all but some. A rule that picks out a few (failed logins) does not: a host
/// may make far more requests than that.
fn flags_parts_of(own: &RuleSpec, of: Field, rule: &RuleSpec) -> bool {
    let excludes = |matcher: &Matcher| matches!(matcher.op, Op::NotEqual | Op::NotMatches);
    let all_but_some = |matchers: &Matchers| matchers.0.iter().all(excludes);
    own.by == [of]
        && own.count == rule.count
        && own.window == rule.window
        // What it excepts it does not flag.
        && own.except.0.iter().all(|except| rule.except.0.contains(except))
        && (own.matchers == rule.matchers || all_but_some(&own.matchers))
}
