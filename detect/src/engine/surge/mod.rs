//! The surge engine: more requests than usual, or than the service was built for, and whether people or machines send
//! them.
//!
//! Workers gather a [`Sketch`] of each minute of a service; the engine is given it with the value its baseline expects,
//! makes a [`Minute`] of it, and answers with [`Finding`]s. `service.rs` has what it does with a minute, `capacity.rs` the
//! load against what the service can bear, `verdict.rs` the table that tells a crowd from an attack, `view.rs` what is
//! usual in each of its rows. Nothing usual is learned while a surge lasts.

mod capacity;
mod clients;
mod figures;
mod loglog;
mod networks;
mod sample;
mod service;
mod sketch;
mod snapshot;
mod verdict;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_model::{EventTime, Kind, Severity};

pub use crate::sealed::SnapshotError;
pub use capacity::{Capacity, Load};
pub use clients::KEPT as CLIENTS_KEPT;
pub use networks::Networks;
pub use service::BACKLOG_PAGE;
pub use sketch::{Seed, Sketch};
pub use verdict::{Row, Verdict};

use service::Service;

/// What the minute's requests do not say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Around {
    /// Requests a second that its baseline expects; `None` while there is none, then its own level stands in.
    pub expected: Option<f64>,
    /// Its CPU is at the limit.
    pub saturated: bool,
    /// A version was rolled out in this minute.
    pub rolled_out: bool,
}

/// A closed minute of one service. `None` is what cannot be known: the log does not have it, or too few asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minute<'a> {
    /// The service.
    pub service: &'a str,
    /// When the minute began.
    pub at: EventTime,
    /// Requests in each of its ten-second slices.
    pub tens: [f64; 6],
    /// What they do not say.
    pub around: Around,
    /// Clients.
    pub clients: Option<f64>,
    /// Networks of clients.
    pub networks: Option<f64>,
    /// Share of requests from networks that were not seen for a week.
    pub new_networks: Option<f64>,
    /// Requests of a client: the 95th percentile over clients.
    pub client_p95: Option<f64>,
    /// Requests of the busiest client.
    pub client_max: Option<f64>,
    /// Who that is: a number that is the same whenever it comes, and nearly always another for another client.
    pub busiest: Option<u32>,
    /// Coefficient of variation over the hundred busiest clients.
    pub top_variation: Option<f64>,
    /// Sum of the squared shares of the paths: the chance that two requests are for one.
    pub path_concentration: Option<f64>,
    /// Requests for assets for each request for a page.
    pub assets_per_page: Option<f64>,
    /// Distinct queries for each of so many pages.
    pub query_ratio: Option<f64>,
    /// Share of 4xx.
    pub client_errors: Option<f64>,
    /// Share of 5xx.
    pub server_errors: Option<f64>,
    /// Distinct user agents of so many clients.
    pub agents: Option<f64>,
    /// Seconds within which 95 % of the answers came.
    pub latency_p95: Option<f64>,
}

impl<'a> Minute<'a> {
    /// A minute without requests.
    pub fn empty(service: &'a str, at: EventTime, around: Around) -> Self {
        Self {
            service,
            at,
            tens: [0.0; 6],
            around,
            clients: None,
            networks: None,
            new_networks: None,
            client_p95: None,
            client_max: None,
            busiest: None,
            top_variation: None,
            path_concentration: None,
            assets_per_page: None,
            query_ratio: None,
            client_errors: None,
            server_errors: None,
            agents: None,
            latency_p95: None,
        }
    }

    /// All requests.
    pub fn requests(&self) -> f64 {
        self.tens.iter().sum()
    }

    fn is_good(&self) -> bool {
        let known = [
            self.clients,
            self.networks,
            self.new_networks,
            self.client_p95,
            self.client_max,
            self.top_variation,
            self.path_concentration,
            self.assets_per_page,
            self.query_ratio,
            self.client_errors,
            self.server_errors,
            self.agents,
            self.latency_p95,
            self.around.expected,
        ];
        let numbers = known.into_iter().flatten().chain(self.tens);
        numbers.into_iter().all(|value| value.is_finite() && (0.0..=1e12).contains(&value))
    }
}

/// A fact about one service; stated anew each minute while it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// `distributed-flood` for an attack, else `surge` or `overload`.
    pub rule: &'static str,
    /// [`Kind::Flood`] for an attack, else [`Kind::Surge`].
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// The service.
    pub service: String,
    /// The minute it is stated for.
    pub at: EventTime,
    /// Requests a second.
    pub observed: f64,
    /// Requests a second that were expected.
    pub expected: f64,
    /// What the surge is; `None` where the service gets what it usually gets, but cannot bear it.
    pub verdict: Option<Verdict>,
    /// Points of all rows.
    pub points: i32,
    /// The table.
    pub rows: Vec<Row>,
    /// It was not told before, or not so.
    pub is_new: bool,
    /// Against the capacity, where it is known.
    pub load: Option<Load>,
    /// Clients that asked in this minute.
    pub clients: Option<f64>,
    /// Networks that they are in.
    pub networks: Option<f64>,
    /// Requests in a minute beyond which it was told without a table, where nothing usual was known yet.
    pub line: Option<f64>,
}

/// The rule of attacks by many.
pub const ATTACK: &str = "distributed-flood";

/// How attacks by many are told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttackRule {
    /// How bad they are.
    pub severity: Severity,
    /// While nothing usual is known of a service: more requests in a minute than this are an attack,
    pub requests: f64,
    /// where so many clients send them at least, and none of them three in ten.
    pub clients: f64,
    /// So it is also where the usual is known.
    pub always: bool,
}

impl Default for AttackRule {
    fn default() -> Self {
        Self { severity: Severity::Critical, requests: 120_000.0, clients: 500.0, always: false }
    }
}

/// What an operator sets.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// `services.*.capacity.requests_per_second`.
    pub capacities: BTreeMap<Box<str>, f64>,
    /// `services.*.capacity.latency`, in seconds: 95 % of the answers come within it.
    pub latencies: BTreeMap<Box<str>, f64>,
    /// The rule `distributed-flood`; `None` where it is switched off: then an attack is told as a suspected one.
    pub attack: Option<AttackRule>,
    /// The same for services that have it otherwise.
    pub attacks: BTreeMap<Box<str>, Option<AttackRule>>,
    /// At most so many services; 0 stands for 10,000.
    pub services_max: usize,
    /// Bytes for the networks of all services; 0 stands for 64 MiB. Beyond, they are known in part, and each service may
    /// still have 1 KB.
    pub networks_bytes_max: usize,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            capacities: BTreeMap::new(),
            latencies: BTreeMap::new(),
            attack: Some(AttackRule::default()),
            attacks: BTreeMap::new(),
            services_max: 0,
            networks_bytes_max: 0,
        }
    }
}

/// What the engine holds, and what found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Services.
    pub services: usize,
    /// What they take, about.
    pub bytes: usize,
    /// Minutes of services for which there was no room, and services that gave way.
    pub full: u64,
}

/// A service that had no requests for so long gives way to another.
const GONE: Duration = Duration::from_hours(24);
/// Where none gives way, it is looked again so much later.
const LOOK: Duration = Duration::from_mins(10);

/// Judges services. One owner, event time, no clock. Minutes of a service come in order; also empty ones, or nobody sees
/// that it is silent.
#[derive(Debug)]
pub struct Surge {
    knobs: Knobs,
    services: BTreeMap<Box<str>, Service>,
    network_bytes: usize,
    full: u64,
    /// Before then no service gives way.
    look_at: EventTime,
    /// The last service that was handed out for the store.
    handed: Option<Box<str>>,
}

impl Surge {
    /// An engine that knows no service yet.
    pub fn new(mut knobs: Knobs) -> Self {
        let default = |knob: &mut usize, value| *knob = if *knob == 0 { value } else { *knob };
        default(&mut knobs.services_max, 10_000);
        default(&mut knobs.networks_bytes_max, 64 << 20);
        Self {
            knobs,
            services: BTreeMap::new(),
            network_bytes: 0,
            full: 0,
            look_at: EventTime::MIN,
            handed: None,
        }
    }

    /// Takes what was gathered of a closed minute; false where there is no room for another service. What was taken
    /// before, as after a restart, changes nothing.
    pub fn take(
        &mut self,
        service: &str,
        at: EventTime,
        sketch: &Sketch,
        around: Around,
        findings: &mut Vec<Finding>,
    ) -> bool {
        if !self.make_room(service, at) {
            return false;
        }
        let Some(held) = self.services.get_mut(service) else { return false };
        let settled = sketch.settled();
        let minute = settled.figures(service, at, around, &held.networks);
        if !minute.is_good() || !held.is_next(at) {
            return minute.is_good();
        }
        findings.extend(held.take(&minute));
        let before = held.networks.bytes();
        if held.is_usual() {
            let free = self.knobs.networks_bytes_max.saturating_sub(self.network_bytes) / size_of::<u32>();
            held.networks.learn(settled.networks(), at, held.networks.len() + free);
        } else if held.surging {
            held.networks.doubt();
        }
        self.network_bytes = self.network_bytes + held.networks.bytes() - before;
        true
    }

    /// Takes a closed minute whose numbers are known; false where it cannot be: a number that is none, or no room for
    /// another service.
    pub fn minute(&mut self, minute: &Minute<'_>, findings: &mut Vec<Finding>) -> bool {
        if !minute.is_good() || !self.make_room(minute.service, minute.at) {
            return false;
        }
        if let Some(service) = self.services.get_mut(minute.service).filter(|held| held.is_next(minute.at)) {
            findings.extend(service.take(minute));
        }
        true
    }

    /// Whether this service is attacked, as of its last minute.
    pub fn is_attacked(&self, service: &str) -> bool {
        self.services.get(service).is_some_and(|held| held.attacked)
    }

    /// The services that are.
    pub fn attacked(&self) -> impl Iterator<Item = &str> {
        self.services.iter().filter(|(_, held)| held.attacked).map(|(name, _)| &**name)
    }

    /// An operator says that what a service gets is as it should be: what is usual is learned anew, but for who is known and
    /// what it can bear. Whether the service was known.
    pub fn accept(&mut self, service: &str) -> bool {
        self.services.get_mut(service).map(Service::accept).is_some()
    }

    /// What it holds.
    pub fn census(&self) -> Census {
        let names: usize = self.services.keys().map(|name| name.len()).sum();
        let services = self.services.len();
        let bytes = services * Service::BYTES + names + self.network_bytes;
        Census { services, bytes, full: self.full }
    }

    /// A place for a service, also where another must give way; whether there is one.
    fn make_room(&mut self, name: &str, at: EventTime) -> bool {
        if self.services.contains_key(name) {
            return true;
        }
        if self.services.len() >= self.knobs.services_max && !self.give_way(at) {
            self.full += 1;
            return false;
        }
        let knob = |of: &BTreeMap<Box<str>, f64>| of.get(name).copied();
        let attack = self.knobs.attacks.get(name).copied().unwrap_or(self.knobs.attack);
        let service = Service::new(knob(&self.knobs.capacities), knob(&self.knobs.latencies), attack);
        self.services.insert(name.into(), service);
        true
    }

    /// Forgets the service that has been silent for longest, if that is long enough.
    fn give_way(&mut self, at: EventTime) -> bool {
        if at < self.look_at {
            return false;
        }
        let silent = self.services.iter().min_by_key(|(_, service)| service.asked);
        let gone = silent.filter(|(_, service)| service.asked.plus(GONE) < at).map(|(name, _)| name.clone());
        let Some(gone) = gone.and_then(|name| self.services.remove(&name)) else {
            self.look_at = at.plus(LOOK);
            return false;
        };
        self.network_bytes -= gone.networks.bytes();
        self.full += 1;
        true
    }
}
