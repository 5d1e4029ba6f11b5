//! The surge engine: more requests than usual, or than the service was built for, and whether people or machines send
//! them.
//!
//! It is given a [`Minute`] of each service with the value its baseline expects, and answers with [`Finding`]s. `capacity.rs`
//! has the load against what the service can bear, `verdict.rs` the table that tells a crowd from an attack, `view.rs` what
//! is usual in each of its rows. Nothing usual is learned while a surge lasts.

mod capacity;
mod verdict;
mod view;

use std::collections::BTreeMap;

use beaconfire_model::{EventTime, Kind, Severity};

pub use capacity::{Capacity, Load};
pub use verdict::{Row, Verdict};

use capacity::Meter;
use verdict::{Context, Views};
use view::View;

/// A closed minute of one service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minute<'a> {
    /// The service.
    pub service: &'a str,
    /// When the minute began.
    pub at: EventTime,
    /// Requests in each of its ten-second slices.
    pub tens: [f64; 6],
    /// Requests a second that its baseline expects; `None` while there is none, then its own level stands in.
    pub expected: Option<f64>,
    /// Clients.
    pub clients: f64,
    /// Share of requests from networks that were not seen for a week.
    pub new_networks: f64,
    /// Requests of a client: the 95th percentile over clients.
    pub client_p95: f64,
    /// Requests of the busiest client.
    pub client_max: f64,
    /// Coefficient of variation over the hundred busiest clients.
    pub top_variation: f64,
    /// Sum of the squared shares of the paths.
    pub path_concentration: f64,
    /// Requests for assets for each request for a page.
    pub assets_per_page: f64,
    /// Distinct queries for each request for a page.
    pub query_ratio: f64,
    /// Share of 4xx.
    pub client_errors: f64,
    /// Share of 5xx.
    pub server_errors: f64,
    /// Distinct user agents in a thousand requests.
    pub agents_per_thousand: f64,
    /// Its CPU is at the limit.
    pub saturated: bool,
    /// 95 % of the answers came in time; `None` where the log does not say.
    pub in_time: Option<bool>,
    /// A version was rolled out in this minute.
    pub rolled_out: bool,
}

impl Minute<'_> {
    /// All requests.
    pub fn requests(&self) -> f64 {
        self.tens.iter().sum()
    }

    fn is_good(&self) -> bool {
        let all = [
            self.clients,
            self.new_networks,
            self.client_p95,
            self.client_max,
            self.top_variation,
            self.path_concentration,
            self.assets_per_page,
            self.query_ratio,
            self.client_errors,
            self.server_errors,
            self.agents_per_thousand,
            self.expected.unwrap_or(0.0),
        ];
        all.iter().chain(&self.tens).all(|value| value.is_finite() && (0.0..=1e12).contains(value))
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
    /// Against the capacity, where it is known.
    pub load: Option<Load>,
}

/// A surge is more than so many times what is expected, and ends below the second.
const SURGE: f64 = 2.0;
const SURGE_ENDS: f64 = 1.6;
/// And it is not chance: so many deviations of a Poisson count.
const SURE: f64 = 6.0;
/// An attack is stated in the second minute that looks like one.
const ATTACK_MINUTES: u32 = 2;
/// Seconds of waiting work for a ticket and for a page.
const BACKLOG_TICKET: f64 = 10.0;
const BACKLOG_PAGE: f64 = 60.0;

#[derive(Debug, Default)]
struct Service {
    meter: Meter,
    views: Views,
    level: View,
    surging: bool,
    /// Minutes since it began.
    surge_minutes: u32,
    attack_minutes: u32,
    attacked: bool,
    /// Ten-second slices from the last usual one, and the highest rate, while it surges.
    ramp: Ramp,
    since_outage: Option<u32>,
    since_rollout: Option<u32>,
}

/// How fast a surge came.
#[derive(Debug, Default, Clone)]
struct Ramp {
    slices: Vec<f64>,
    peak: f64,
    seconds: f64,
}

/// What an operator sets.
#[derive(Debug, Clone, Default)]
pub struct Knobs {
    /// `services.*.capacity.requests_per_second`.
    pub capacities: BTreeMap<Box<str>, f64>,
    /// At most so many services; 0 stands for 10,000.
    pub services_max: usize,
}

/// Judges services. One owner, event time, no clock.
#[derive(Debug)]
pub struct Surge {
    knobs: Knobs,
    services: BTreeMap<Box<str>, Service>,
}

impl Surge {
    /// An engine that knows no service yet.
    pub fn new(mut knobs: Knobs) -> Self {
        if knobs.services_max == 0 {
            knobs.services_max = 10_000;
        }
        Self { knobs, services: BTreeMap::new() }
    }

    /// Takes a closed minute; false where it cannot be: a number that is none, or no room for another service.
    pub fn minute(&mut self, minute: &Minute<'_>, findings: &mut Vec<Finding>) -> bool {
        if !minute.is_good() {
            return false;
        }
        if !self.services.contains_key(minute.service) {
            if self.services.len() >= self.knobs.services_max {
                return false;
            }
            let configured = self.knobs.capacities.get(minute.service).copied();
            let service = Service { meter: Meter::new(configured), ..Service::default() };
            self.services.insert(minute.service.into(), service);
        }
        if let Some(service) = self.services.get_mut(minute.service) {
            findings.extend(service.take(minute));
        }
        true
    }
}

impl Service {
    fn take(&mut self, m: &Minute<'_>) -> Option<Finding> {
        let rate = m.requests() / 60.0;
        let loads = m.tens.map(|requests| self.meter.take(requests));
        let mut load = loads[5];
        if let Some(load) = &mut load {
            // The minute's mean tells more than its last ten seconds.
            load.utilisation = rate / load.capacity.requests_per_second();
        }
        let expected = m.expected.or(self.level.usual());
        let known = expected.unwrap_or(rate);
        self.ramp.take(m, known, self.surging);
        self.note_outage(m, known);
        let line = known * if self.surging { SURGE_ENDS } else { SURGE };
        let noise = SURE * (known * 60.0).sqrt();
        self.surging = rate > line && m.requests() > known * 60.0 + noise;
        let finding =
            if self.surging { self.surge(m, known, load) } else { self.usual(m, rate, known, load) };
        if let Some(in_time) = m.in_time {
            self.meter.learn(rate, in_time);
        }
        finding
    }

    fn surge(&mut self, m: &Minute<'_>, expected: f64, load: Option<Load>) -> Option<Finding> {
        // What stood before the beginning counts for as long as it lasts.
        let at_start =
            |minutes: Option<u32>| minutes.map(|minutes| minutes.saturating_sub(self.surge_minutes));
        let context = Context {
            onset_seconds: self.ramp.seconds,
            since_outage: at_start(self.since_outage),
            since_rollout: at_start(self.since_rollout),
        };
        self.surge_minutes += 1;
        let rows = self.views.rows(m, &context);
        let points = rows.iter().map(|row| row.points).sum();
        let mut verdict = Verdict::of(points);
        self.attack_minutes = if verdict == Verdict::Attack { self.attack_minutes + 1 } else { 0 };
        self.attacked |= self.attack_minutes >= ATTACK_MINUTES;
        if self.attacked {
            verdict = Verdict::Attack;
        } else if verdict == Verdict::Attack {
            verdict = Verdict::Suspected;
        }
        let severity = match verdict {
            Verdict::Attack => Severity::Critical,
            Verdict::Suspected => overload(load).unwrap_or(Severity::Error).max(Severity::Error),
            Verdict::FlashCrowd => overload(load).unwrap_or(Severity::Warning),
        };
        let attack = verdict == Verdict::Attack;
        Some(Finding {
            rule: if attack { "distributed-flood" } else { "surge" },
            kind: if attack { Kind::Flood } else { Kind::Surge },
            severity,
            service: m.service.to_owned(),
            at: m.at,
            observed: m.requests() / 60.0,
            expected,
            verdict: Some(verdict),
            points,
            rows,
            load,
        })
    }

    /// No surge: learns, and says where even the usual is too much.
    fn usual(&mut self, m: &Minute<'_>, rate: f64, expected: f64, load: Option<Load>) -> Option<Finding> {
        self.attack_minutes = 0;
        self.surge_minutes = 0;
        self.attacked = false;
        // While it recovers, nothing is as usual.
        if self.since_outage.is_none_or(|minutes| minutes > 15) {
            self.views.learn(m);
            self.level.learn(rate);
        }
        let severity = overload(load)?;
        Some(Finding {
            rule: "overload",
            kind: Kind::Surge,
            severity,
            service: m.service.to_owned(),
            at: m.at,
            observed: rate,
            expected,
            verdict: None,
            points: 0,
            rows: Vec::new(),
            load,
        })
    }

    fn note_outage(&mut self, m: &Minute<'_>, expected: f64) {
        let silent = m.requests() < 0.3 * expected * 60.0 && expected * 60.0 > 30.0;
        let failing = m.server_errors > 0.5;
        let later = |minutes: Option<u32>| minutes.map(|minutes| minutes.saturating_add(1));
        // Failing under a surge is what an attack does: it excuses nothing.
        let out = silent || (failing && !self.surging && m.requests() < SURGE * expected * 60.0);
        self.since_outage = if out { Some(0) } else { later(self.since_outage) };
        self.since_rollout = if m.rolled_out { Some(0) } else { later(self.since_rollout) };
    }
}

impl Ramp {
    /// Keeps the last ten minutes of slices and measures from the last usual one to half of the peak.
    fn take(&mut self, m: &Minute<'_>, expected: f64, surging: bool) {
        const KEPT: usize = 180;
        if !surging {
            self.peak = 0.0;
        }
        for requests in m.tens {
            if self.slices.len() == KEPT {
                self.slices.remove(0);
            }
            self.slices.push(requests);
            self.peak = self.peak.max(requests);
        }
        let half = expected * 10.0 + 0.5 * (self.peak - expected * 10.0);
        let reached = self.slices.iter().position(|requests| *requests >= half).unwrap_or(0);
        let usual = expected * 10.0 + 3.0 * (expected * 10.0).sqrt().max(0.1 * expected * 10.0);
        let left = self.slices[..reached].iter().rposition(|requests| *requests <= usual).unwrap_or(0);
        self.seconds = (reached - left) as f64 * 10.0;
    }
}

/// What the load alone deserves.
fn overload(load: Option<Load>) -> Option<Severity> {
    let load = load?;
    if load.backlog_seconds > BACKLOG_PAGE {
        Some(Severity::Critical)
    } else if load.over || load.backlog_seconds > BACKLOG_TICKET {
        Some(Severity::Error)
    } else if load.high || load.exhausted_in.is_some() {
        Some(Severity::Warning)
    } else {
        None
    }
}
