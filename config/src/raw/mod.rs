//! The serde twins of the knobs, one file a section. A twin says which keys there are and what they look like as
//! text; what they mean, and whether they make sense together, is decided where they are converted.
//!
//! Every twin denies unknown keys, and every one can be written back: that is `check --print`, where a [`Sealed`]
//! shows nothing of itself.

mod baselines;
mod clients;
mod global;
mod heartbeats;
mod http;
mod incidents;
mod interactions;
mod kafka;
mod limits;
mod mining;
mod pipeline;
mod privacy;
mod quiet;
mod receivers;
mod route;
mod rules;
mod sealed;
mod services;
mod store;
mod templates;
mod throttle;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use baselines::Baselines;
pub(crate) use clients::Clients;
pub(crate) use global::Global;
pub(crate) use heartbeats::Heartbeat;
pub(crate) use http::{Http, Token};
pub(crate) use incidents::Incidents;
pub(crate) use interactions::Interactions;
pub(crate) use kafka::{Kafka, Topic};
pub(crate) use limits::Limits;
pub(crate) use mining::Mining;
pub(crate) use pipeline::Pipeline;
pub(crate) use privacy::{Privacy, Query};
pub(crate) use quiet::{Escalation, InhibitRule, Stretch, TimeInterval};
pub(crate) use receivers::{
    Alertmanager, Email, Hooked, HttpConfig, PagerDuty, Receiver, Slack, Telegram, Tls, Webhook,
};
pub(crate) use route::Route;
pub(crate) use rules::{List, Rule};
pub(crate) use sealed::Sealed;
pub(crate) use services::{Capacity, Service};
pub(crate) use store::Store;
pub(crate) use templates::Templates;
pub(crate) use throttle::{Mode, Throttle};

use crate::complain::Complaint;
use crate::complain::Origins;
use crate::de::{self, At, Why};
use crate::node::{Node, Place, Value};

/// The whole configuration as text has it.
#[derive(Serialize)]
pub(crate) struct Raw {
    pub(crate) kafka: Kafka,
    pub(crate) clients: Clients,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) external_labels: BTreeMap<String, String>,
    pub(crate) rules: Vec<At<Rule>>,
    pub(crate) lists: BTreeMap<String, At<List>>,
    pub(crate) baselines: Baselines,
    pub(crate) mining: Mining,
    pub(crate) incidents: Incidents,
    pub(crate) global: Global,
    pub(crate) route: Route,
    pub(crate) receivers: Vec<At<Receiver>>,
    pub(crate) inhibit_rules: Vec<At<InhibitRule>>,
    pub(crate) time_intervals: Vec<At<TimeInterval>>,
    /// What Alertmanager called `time_intervals` before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mute_time_intervals: Option<Vec<At<TimeInterval>>>,
    pub(crate) escalations: Vec<At<Escalation>>,
    pub(crate) heartbeats: Vec<At<Heartbeat>>,
    pub(crate) interactions: Interactions,
    pub(crate) templates: Templates,
    pub(crate) throttle: Throttle,
    pub(crate) store: Store,
    pub(crate) privacy: Privacy,
    pub(crate) http: Http,
    pub(crate) limits: Limits,
    pub(crate) pipeline: Pipeline,
}

/// The sections, in the order in which they are documented.
const SECTIONS: [&str; 25] = [
    "kafka",
    "clients",
    "services",
    "external_labels",
    "rules",
    "lists",
    "baselines",
    "mining",
    "incidents",
    "global",
    "route",
    "receivers",
    "inhibit_rules",
    "time_intervals",
    "mute_time_intervals",
    "escalations",
    "heartbeats",
    "interactions",
    "templates",
    "throttle",
    "store",
    "privacy",
    "http",
    "limits",
    "pipeline",
];

/// Reads all sections; every section that does not read adds what is wrong with it to `out`.
pub(crate) fn read(mut tree: Node, origins: &Origins, out: &mut Vec<Complaint>) -> Option<Raw> {
    if let Value::Map(entries) = &tree.value {
        for entry in entries.iter().filter(|entry| !SECTIONS.contains(&entry.key.as_str())) {
            out.push(
                Complaint::error(format!("unknown section `{}`", entry.key))
                    .near(&entry.key, SECTIONS)
                    .mend(format!("sections are {}", SECTIONS.join(", ")))
                    .at(origins, entry.place),
            );
        }
    }
    let mut reader = Sections { tree: &mut tree, origins, out };
    // All are read before any is asked for, so that one run shows what is wrong everywhere.
    let kafka = reader.section("kafka");
    let clients = reader.section("clients");
    let services = reader.section("services");
    let external_labels = reader.section("external_labels");
    let rules = reader.section("rules");
    let lists = reader.section("lists");
    let baselines = reader.section("baselines");
    let mining = reader.section("mining");
    let incidents = reader.section("incidents");
    let global = reader.section("global");
    let route = reader.section("route");
    let receivers = reader.section("receivers");
    let inhibit_rules = reader.section("inhibit_rules");
    let time_intervals = reader.section("time_intervals");
    let mute_time_intervals = reader.section("mute_time_intervals");
    let escalations = reader.section("escalations");
    let heartbeats = reader.section("heartbeats");
    let interactions = reader.section("interactions");
    // An Alertmanager's list of files has been taken out, and nothing is left then.
    let templates = reader.section::<Option<Templates>>("templates").map(Option::unwrap_or_default);
    let throttle = reader.section("throttle");
    let store = reader.section("store");
    let privacy = reader.section("privacy");
    let http = reader.section("http");
    let limits = reader.section("limits");
    let pipeline = reader.section("pipeline");
    Some(Raw {
        kafka: kafka?,
        clients: clients?,
        services: services?,
        external_labels: external_labels?,
        rules: rules?,
        lists: lists?,
        baselines: baselines?,
        mining: mining?,
        incidents: incidents?,
        global: global?,
        route: route?,
        receivers: receivers?,
        inhibit_rules: inhibit_rules?,
        time_intervals: time_intervals?,
        mute_time_intervals: mute_time_intervals?,
        escalations: escalations?,
        heartbeats: heartbeats?,
        interactions: interactions?,
        templates: templates?,
        throttle: throttle?,
        store: store?,
        privacy: privacy?,
        http: http?,
        limits: limits?,
        pipeline: pipeline?,
    })
}

struct Sections<'a> {
    tree: &'a mut Node,
    origins: &'a Origins,
    out: &'a mut Vec<Complaint>,
}

/// Complaints that one section may raise.
const COMPLAINTS_MAX: usize = 50;

impl Sections<'_> {
    /// Reads one section. What is refused is cut out and the rest read again, so that every slip is found at once.
    fn section<T: for<'de> serde::Deserialize<'de>>(&mut self, name: &str) -> Option<T> {
        let mut node = match self.tree.take(name) {
            Some(entry) => entry.node,
            None => Node { place: Place::default(), value: Value::Null },
        };
        let mut clean = true;
        let mut cut_value = false;
        for _ in 0..COMPLAINTS_MAX {
            let fault = match de::read::<T>(&node) {
                Ok(value) => return clean.then_some(value),
                Err(fault) => fault,
            };
            clean = false;
            let place = fault.place.unwrap_or(node.place);
            let complaint = match fault.why {
                // A value that was cut out above may have been this one.
                Why::Missing(_) if cut_value => return None,
                Why::Missing(key) => {
                    cut_value = true;
                    Complaint::error(format!("`{key}` is missing here"))
                }
                Why::Unknown { name, known } => Complaint::error(format!("unknown key `{name}`"))
                    .near(&name, known.iter().copied())
                    .mend(format!("known here: {}", known.join(", "))),
                Why::Variant { name, known } => {
                    cut_value = true;
                    Complaint::error(format!("`{name}` is not known here"))
                        .near(&name, known.iter().copied())
                        .mend(format!("write one of {}", known.join(", ")))
                }
                Why::Said(said) => {
                    cut_value = true;
                    Complaint::error(said)
                }
            };
            self.out.push(complaint.at(self.origins, place));
            if !node.cut(place) {
                return None;
            }
        }
        None
    }
}
