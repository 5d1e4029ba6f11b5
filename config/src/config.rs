//! The effective configuration: every knob of every crate, from one load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_api::HttpKnobs;
use beaconfire_decode::DecodeKnobs;
use beaconfire_detect::PlanSpec;
use beaconfire_incident::{Context, Knobs};
use beaconfire_ingest::KafkaKnobs;
use beaconfire_model::Secret;
use beaconfire_notify::Templates;
use beaconfire_outbox::{Escalation, QuietRules, Receivers, Route};
use beaconfire_store::StoreKnobs;
use beaconfire_throttle::{Guard, Mode, RuleThrottle};

use crate::complain::{Complaint, Origins};
use crate::judge::Judge;
use crate::layers::{DEFAULT, Sources, gather};
use crate::meaning::{self, PaceKnobs, Streams, Tell};
use crate::raw::{self, Query, Raw};
use crate::{checks, later};

/// What the operator wants, checked, in the words of the crates that do it.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to reach Kafka and what to read; `None` where no brokers are configured.
    pub kafka: Option<KafkaKnobs>,
    /// How to understand the records of each entry of `kafka.topics`, by its place there.
    pub decode: Vec<DecodeKnobs>,
    /// How to understand records that come from no topic (`replay`, `explain`): format auto, the same trusted proxies.
    pub decode_elsewhere: DecodeKnobs,
    /// Rules, lists, services and entries. The seed is 0: whoever runs puts the store's in.
    pub plan: PlanSpec,
    /// What labels are made of.
    pub context: Context,
    /// When incidents end, reopen and go stale.
    pub knobs: Knobs,
    /// Whom to tell.
    pub route: Route,
    /// The receivers' integrations as the outbox knows them.
    pub receivers: Receivers,
    /// When receivers are not told.
    pub quiet: QuietRules,
    /// Who is told next while nobody has taken an incident.
    pub escalations: Vec<Escalation>,
    /// How to reach each integration: `channels[receiver][n]` belongs to `receivers[receiver][n]`.
    pub channels: BTreeMap<Arc<str>, Vec<beaconfire_notify::Knobs>>,
    /// Whom to tell that all is well.
    pub heartbeats: Vec<Heartbeat>,
    /// How fast each receiver is told, and when its incidents fold into digests.
    pub paces: BTreeMap<Arc<str>, PaceKnobs>,
    /// Who is told of what is critical in a receiver's place.
    pub fallbacks: BTreeMap<Arc<str>, Arc<str>>,
    /// What rules ask to be throttled, by the rule's name.
    pub throttle_rules: BTreeMap<Arc<str>, RuleThrottle>,
    /// `throttle.mode`: of decisions that people make.
    pub throttle_mode: Mode,
    /// What is never throttled, and how much may be at once.
    pub guard: Guard,
    /// Where incidents are kept, and for how long.
    pub store: StoreKnobs,
    /// Where to listen, and whom to let in.
    pub http: HttpKnobs,
    /// What of a request may leave the process.
    pub privacy: Privacy,
    /// Bounds of memory and time.
    pub limits: Limits,
    /// Threads.
    pub pipeline: Pipeline,
    /// The operator's own words.
    pub templates: Arc<Templates>,
    /// How many of them fail on an example; each is among the warnings.
    pub templates_broken: usize,
    /// What is probably not meant, though it is accepted.
    pub warnings: Vec<Complaint>,
    /// The whole of it as YAML, without secrets.
    redacted: String,
}

/// A watcher elsewhere that is told that all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Where, which may be a secret.
    pub url: Secret,
    /// How often.
    pub every: Duration,
}

/// What of a request may leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privacy {
    /// Whether query strings are taken out of samples, messages and dead letters.
    pub redact_query: bool,
}

/// Bounds of memory and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes for the tables of all shards together.
    pub detect_memory: usize,
    /// How far a record's time may be ahead of Kafka's.
    pub event_skew: Duration,
    /// How far out of order records of an entry may be that does not say so itself.
    pub lateness: Duration,
}

/// Threads; `None` is `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pipeline {
    /// Consumers, from 1 to 64.
    pub workers: Option<usize>,
    /// Threads that hold windows, from 1 to 64.
    pub shards: Option<usize>,
}

impl Config {
    /// Reads all layers and judges what they say. Errors and warnings come together where it is refused; else the
    /// warnings are in the configuration. Reads files, and nothing else of the machine.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Complaint>> {
        let (mut origins, mut complaints) = (Origins::default(), Vec::new());
        let mut tree = gather(sources, &mut origins, &mut complaints);
        later::refuse(&mut tree, &origins, &mut complaints);
        let raw = raw::read(tree, &origins, &mut complaints);
        let Some(raw) = raw.filter(|_| !complaints.iter().any(Complaint::is_error)) else {
            return Err(in_order(complaints));
        };
        let mut judge = Judge { origins: &origins, complaints };
        let mut config = Self::judged(&mut judge, &raw);
        let complaints = in_order(judge.complaints);
        if complaints.iter().any(Complaint::is_error) {
            return Err(complaints);
        }
        config.warnings = complaints;
        Ok(config)
    }

    fn judged(judge: &mut Judge<'_>, raw: &Raw) -> Self {
        let Streams { kafka, decode, entries, proxies } = meaning::streams(judge, raw);
        let names = entries.iter().map(|entry| entry.name.clone()).collect();
        let decode_elsewhere = DecodeKnobs { trusted_proxies: proxies.clone(), ..DecodeKnobs::default() };
        let plan = meaning::plan(judge, raw, entries);
        let Tell { route, receivers, channels, paces, fallbacks } = meaning::tell(judge, raw);
        let (templates, templates_broken) = meaning::templates(judge, raw);
        let config = Self {
            kafka,
            decode,
            decode_elsewhere,
            plan,
            context: meaning::context(judge, raw, names),
            knobs: meaning::incidents(judge, raw),
            route,
            receivers,
            quiet: meaning::quiet(judge, raw),
            escalations: meaning::escalations(judge, raw),
            channels,
            heartbeats: meaning::heartbeats(judge, raw),
            paces,
            fallbacks,
            throttle_rules: meaning::throttle_rules(judge, raw),
            throttle_mode: meaning::mode_of(raw.throttle.mode.value),
            guard: meaning::guard(judge, raw, &proxies),
            store: meaning::store(judge, raw),
            http: meaning::http(judge, raw),
            privacy: Privacy { redact_query: matches!(raw.privacy.query, Query::Redact) },
            limits: meaning::limits(judge, raw),
            pipeline: meaning::pipeline(judge, raw),
            templates,
            templates_broken,
            warnings: Vec::new(),
            redacted: written(raw),
        };
        checks::across(judge, raw, &config);
        config
    }

    /// The compiled-in defaults, as commented YAML: `config default`.
    pub const fn default_yaml() -> &'static str {
        DEFAULT
    }

    /// The effective configuration as YAML, secrets redacted: `check --print`.
    pub fn redacted(&self) -> &str {
        &self.redacted
    }
}

/// Errors first, each sort from the top of the file down.
fn in_order(mut complaints: Vec<Complaint>) -> Vec<Complaint> {
    complaints
        .sort_by_key(|complaint| (complaint.level, complaint.spot.as_ref().map_or(0, |spot| spot.line)));
    complaints
}

/// What the twins hold, written back. They show nothing of a secret.
fn written(raw: &Raw) -> String {
    serde_saphyr::to_string(raw).unwrap_or_else(|error| format!("# cannot be written as YAML: {error}\n"))
}
