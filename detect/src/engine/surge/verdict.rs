//! Flash crowd or attack: a table of evidence, each row with its value, what is usual, and its points.
//!
//! The table is that of the project's reference on detection, 3.4. Two rows speak for a crowd and take points away,
//! because what they name looks like an attack in all other rows: clients that come back at once after an outage,
//! and caches that are cold after a rollout.

use super::Minute;
use super::figures::FEW;
use super::view::View;

/// What a surge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// People come: a matter of capacity.
    FlashCrowd,
    /// Some rows speak for an attack.
    Suspected,
    /// Enough do.
    Attack,
}

impl Verdict {
    /// The name in JSON and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlashCrowd => "flash crowd",
            Self::Suspected => "suspected attack",
            Self::Attack => "attack",
        }
    }

    /// Points from which on it is an attack.
    pub const ATTACK_FROM: i32 = 4;

    pub(crate) fn of(points: i32) -> Self {
        match points {
            ..=1 => Self::FlashCrowd,
            2..=3 => Self::Suspected,
            _ => Self::Attack,
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// What was looked at.
    pub what: &'static str,
    /// What it is now; `None` where that is not known, which gives no points.
    pub value: Option<f64>,
    /// What it usually is, where that is known.
    pub usual: Option<f64>,
    /// Points towards an attack; negative ones speak for a crowd.
    pub points: i32,
}

/// Far from usual.
const FAR: f64 = 4.0;
/// By how much a busy client must ask for more.
const MORE: f64 = 1.5;
/// Clients whose variation tells nothing, and of which the busiest hundred are a tail, and narrow by that.
const TOO_FEW: f64 = 10.0;
const TOO_MANY: f64 = 400.0;
/// By how much the chance that two requests are for one path must rise: a third of them, squared.
const CONCENTRATED: f64 = 0.11;
/// Minutes in which an outage or a rollout excuses.
const EXCUSED: u32 = 15;

/// What is usual in each row; learned while there is no surge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Views {
    pub(super) clients: View,
    pub(super) new_networks: View,
    pub(super) client_p95: View,
    pub(super) client_max: View,
    pub(super) variation: View,
    pub(super) per_client: View,
    pub(super) paths: View,
    pub(super) assets: View,
    pub(super) queries: View,
    pub(super) errors: View,
    pub(super) agents: View,
}

/// What the minute itself does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// Seconds from the usual to half of the peak.
    pub(crate) onset_seconds: Option<f64>,
    /// Minutes since requests or answers last failed to come.
    pub(crate) since_outage: Option<u32>,
    pub(crate) since_rollout: Option<u32>,
}

impl Views {
    pub(crate) fn learn(&mut self, m: &Minute<'_>) {
        // How few requests are is chance.
        if m.requests() < FEW as f64 {
            return;
        }
        let of = [
            (&mut self.clients, m.clients),
            (&mut self.new_networks, m.new_networks),
            (&mut self.client_p95, m.client_p95),
            (&mut self.client_max, m.client_max),
            (&mut self.variation, m.top_variation),
            (&mut self.per_client, per_client(m).map(f64::ln)),
            (&mut self.paths, m.path_concentration),
            (&mut self.assets, m.assets_per_page),
            (&mut self.queries, m.query_ratio),
            (&mut self.errors, errors(m)),
            (&mut self.agents, m.agents),
        ];
        for (view, value) in of {
            if let Some(value) = value {
                view.learn(value);
            }
        }
    }

    pub(crate) fn requests_of_a_client(&self) -> Option<f64> {
        self.per_client.usual().map(f64::exp)
    }

    /// All rows, also those that gave no points: they are the explanation.
    pub(crate) fn rows(&self, m: &Minute<'_>, context: &Context) -> Vec<Row> {
        let row = |what, value: Option<f64>, view: &View, points: i32, on: &dyn Fn(f64) -> bool| Row {
            what,
            value,
            usual: view.usual(),
            points: if value.is_some_and(on) { points } else { 0 },
        };
        let far = |view: &View, value: f64| view.z(value) > FAR;
        let dominates = |most: f64, share: f64| most >= share * m.requests();
        let even = |variation: f64| {
            let telling = m.clients.is_some_and(|clients| (TOO_FEW..=TOO_MANY).contains(&clients));
            // Programs that ask in step all day are what is usual there.
            telling && variation < 0.2 && self.variation.usual().is_none_or(|usual| usual > 0.3)
        };
        let grown = per_client(m).zip(self.requests_of_a_client()).map(|(now, usual)| now / usual);
        let mut rows = vec![
            row("share of requests from new networks", m.new_networks, &self.new_networks, 2, &|share| {
                surely(m, share) > 0.6 && self.is_strange(m, share)
            }),
            row("requests of a busy client (95th percentile)", m.client_p95, &self.client_p95, 2, &|p95| {
                // Of a large service a quarter more is far, and may be people who come twice.
                far(&self.client_p95, p95) && self.client_p95.usual().is_some_and(|usual| p95 > MORE * usual)
            }),
            row("requests of the busiest client", m.client_max, &self.client_max, 2, &|most| {
                dominates(most, 0.3) && far(&self.client_max, most)
            }),
            row("variation of the hundred busiest clients", m.top_variation, &self.variation, 2, &even),
            Row {
                what: "growth of requests for each client",
                value: grown,
                usual: Some(1.0),
                points: if grown.is_some_and(|grown| grown > 3.0) { 2 } else { 0 },
            },
            row("concentration on one path", m.path_concentration, &self.paths, 1, &|paths| {
                // A page that everybody wants comes with its assets: a third of all requests for one path are no people's.
                far(&self.paths, paths)
                    && self.paths.usual().is_some_and(|usual| paths > usual + CONCENTRATED)
            }),
            row("assets fetched with a page", m.assets_per_page, &self.assets, 1, &|assets| {
                self.assets.usual().is_some_and(|usual| assets < 0.3 * usual)
            }),
            row("distinct queries for each page", m.query_ratio, &self.queries, 1, &|queries| {
                far(&self.queries, queries)
            }),
            row("share of errors", errors(m), &self.errors, 1, &|errors| {
                far(&self.errors, errors) && errors > 0.05
            }),
            Row {
                what: "seconds from usual to half of the peak",
                value: context.onset_seconds,
                usual: None,
                points: if context.onset_seconds.is_some_and(|seconds| seconds < 30.0) { 1 } else { 0 },
            },
            row("user agents of 16 clients", m.agents, &self.agents, 1, &|agents| {
                self.agents.z(agents).abs() > FAR
            }),
        ];
        // Of few clients one always has a third: it is one alone that nothing excuses.
        let alone = m.client_max.is_some_and(|most| dominates(most, 0.5));
        rows.extend(self.excuses(m, context).filter(|_| !alone));
        rows
    }

    /// Whether more come from new networks than usual. Of a small service a minute's share is mostly chance, and of a
    /// surge it is not.
    fn is_strange(&self, m: &Minute<'_>, share: f64) -> bool {
        let usual = self.new_networks.usual().unwrap_or(share);
        // Half of it, to be sure: how many came varied too.
        let then = self.clients.usual().map_or(0.0, |clients| 0.5 * chance(usual, clients));
        self.new_networks.z_with(share, then, chance(usual, m.clients.unwrap_or(1.0))) > FAR
    }

    /// What looks like an attack in other rows, and is none: those we know already, after an outage or a rollout.
    fn excuses(&self, m: &Minute<'_>, context: &Context) -> Option<Row> {
        let strange = m.new_networks.is_some_and(|share| surely(m, share) > 0.5 || self.is_strange(m, share));
        if strange || m.clients.is_none() {
            return None;
        }
        let known = m.new_networks.is_some() && self.new_networks.usual().is_some();
        let soon = |minutes: &u32| *minutes <= EXCUSED;
        // Where it is not known who is new, it may be those: then it is no more than suspected.
        let (what, minutes, points) =
            match (context.since_outage.filter(soon), context.since_rollout.filter(soon)) {
                (Some(minutes), _) if known => {
                    ("known clients return after an outage, minutes ago", minutes, -6)
                }
                (Some(minutes), _) => ("clients return after an outage, minutes ago", minutes, -3),
                (_, Some(minutes)) if known => ("known clients after a rollout, minutes ago", minutes, -6),
                (_, Some(minutes)) => ("clients after a rollout, minutes ago", minutes, -3),
                _ => return None,
            };
        Some(Row { what, value: Some(f64::from(minutes)), usual: None, points })
    }
}

/// What comes of chance in a share of requests, as a variance: clients differ in how much they ask.
fn chance(share: f64, clients: f64) -> f64 {
    2.0 * share * (1.0 - share) / clients.max(1.0)
}

/// A share less a deviation.
fn surely(m: &Minute<'_>, share: f64) -> f64 {
    share - chance(share, m.clients.unwrap_or(1.0)).sqrt()
}

pub(crate) fn per_client(m: &Minute<'_>) -> Option<f64> {
    m.clients.map(|clients| (m.requests() / clients.max(1.0)).max(1e-6))
}

/// A saturated service answers 5xx to everybody: those say nothing of who asks.
fn errors(m: &Minute<'_>) -> Option<f64> {
    if m.around.saturated { m.client_errors } else { Some(m.client_errors? + m.server_errors?) }
}
