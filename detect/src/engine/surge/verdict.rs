//! Flash crowd or attack: a table of evidence, each row with its value, what is usual, and its points.
//!
//! The table is that of the project's reference on detection, 3.4. Two rows speak for a crowd and take points away,
//! because what they name looks like an attack in all other rows: clients that come back at once after an outage,
//! and caches that are cold after a rollout.

use super::Minute;
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
    /// What it is now.
    pub value: f64,
    /// What it usually is, where that is known.
    pub usual: Option<f64>,
    /// Points towards an attack; negative ones speak for a crowd.
    pub points: i32,
}

/// Far from usual.
const FAR: f64 = 4.0;

/// What is usual in each row; learned while there is no surge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Views {
    new_networks: View,
    client_p95: View,
    client_max: View,
    per_client: View,
    paths: View,
    assets: View,
    queries: View,
    errors: View,
    agents: View,
}

/// What the minute itself does not say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// Seconds from the usual to half of the peak.
    pub(crate) onset_seconds: f64,
    /// Minutes since requests or answers last failed to come.
    pub(crate) since_outage: Option<u32>,
    pub(crate) since_rollout: Option<u32>,
}

impl Views {
    pub(crate) fn learn(&mut self, m: &Minute<'_>) {
        self.new_networks.learn(m.new_networks);
        self.client_p95.learn(m.client_p95);
        self.client_max.learn(m.client_max);
        self.per_client.learn(per_client(m).ln());
        self.paths.learn(m.path_concentration);
        self.assets.learn(m.assets_per_page);
        self.queries.learn(m.query_ratio);
        self.errors.learn(errors(m));
        self.agents.learn(m.agents_per_thousand);
    }

    /// All rows, also those that gave no points: they are the explanation.
    pub(crate) fn rows(&self, m: &Minute<'_>, context: &Context) -> Vec<Row> {
        let points = |on: bool, points: i32| if on { points } else { 0 };
        let row = |what, value, view: &View, points| Row { what, value, usual: view.usual(), points };
        let z_new = self.new_networks.z(m.new_networks);
        let grown = self.per_client.usual().map_or(0.0, |usual| per_client(m).ln() - usual);
        let dominated = m.client_max >= 0.3 * m.requests();
        let loud = dominated && self.client_max.z(m.client_max) > FAR;
        let few_assets = self.assets.usual().is_some_and(|usual| m.assets_per_page < 0.3 * usual);
        let z_agents = self.agents.z(m.agents_per_thousand);
        let mut rows = vec![
            row(
                "share of requests from new networks",
                m.new_networks,
                &self.new_networks,
                points(m.new_networks > 0.6 && z_new > FAR, 2),
            ),
            row(
                "requests of a busy client (95th percentile)",
                m.client_p95,
                &self.client_p95,
                points(self.client_p95.z(m.client_p95) > FAR, 2),
            ),
            row("requests of the busiest client", m.client_max, &self.client_max, points(loud, 2)),
            Row {
                what: "variation of the hundred busiest clients",
                value: m.top_variation,
                usual: None,
                // Of many clients the busiest hundred are a tail, and a tail is narrow by itself.
                points: points(m.top_variation < 0.2 && m.clients <= 400.0, 2),
            },
            Row {
                what: "growth of requests for each client",
                value: grown.exp(),
                usual: Some(1.0),
                points: points(grown > 3f64.ln(), 2),
            },
            row(
                "concentration on one path",
                m.path_concentration,
                &self.paths,
                points(self.paths.z(m.path_concentration) > FAR, 1),
            ),
            row("assets fetched with a page", m.assets_per_page, &self.assets, points(few_assets, 1)),
            row(
                "distinct queries for each page",
                m.query_ratio,
                &self.queries,
                points(self.queries.z(m.query_ratio) > FAR, 1),
            ),
            row(
                "share of errors",
                errors(m),
                &self.errors,
                points(self.errors.z(errors(m)) > FAR && errors(m) > 0.05, 1),
            ),
            Row {
                what: "seconds from usual to half of the peak",
                value: context.onset_seconds,
                usual: None,
                points: points(context.onset_seconds < 30.0, 1),
            },
            row(
                "user agents in a thousand requests",
                m.agents_per_thousand,
                &self.agents,
                points(z_agents.abs() > FAR, 1),
            ),
        ];
        rows.extend(self.excuses(m, context, dominated));
        rows
    }

    /// What looks like an attack in other rows, and is none: those we know already, after an outage or a rollout.
    fn excuses(&self, m: &Minute<'_>, context: &Context, dominated: bool) -> Option<Row> {
        let known = self.new_networks.usual().is_some()
            && m.new_networks < 0.5
            && self.new_networks.z(m.new_networks) < FAR;
        if !known || dominated {
            return None;
        }
        let (what, minutes, points) = match (context.since_outage, context.since_rollout) {
            (Some(minutes), _) if minutes <= 15 => {
                ("known clients return after an outage, minutes ago", minutes, -6)
            }
            (_, Some(minutes)) if minutes <= 15 => {
                ("known clients after a rollout, minutes ago", minutes, -6)
            }
            _ => return None,
        };
        Some(Row { what, value: f64::from(minutes), usual: None, points })
    }
}

fn per_client(m: &Minute<'_>) -> f64 {
    (m.requests() / m.clients.max(1.0)).max(1e-6)
}

/// A saturated service answers 5xx to everybody: those say nothing of who asks.
fn errors(m: &Minute<'_>) -> f64 {
    if m.saturated { m.client_errors } else { m.client_errors + m.server_errors }
}
