//! The numbers of a sketch: how many asked, how much each, and for what. What cannot be known is `None`, never 0.
//!
//! Numbers of the sample do not depend on how large it is, or a service that grows would change in all of them: the
//! concentration is the chance that two requests are for one path, and what is distinct is counted in so many of them.

use beaconfire_model::EventTime;

use super::networks::Networks;
use super::sample::Asked;
use super::sketch::Sketch;
use super::{Around, Minute};

/// Requests below which a minute says nothing about how its requests are.
pub(super) const FEW: usize = 10;
/// Pages in which queries are told apart, and clients of which agents are.
const PAGES: usize = 16;
const AGENTS: usize = 16;
/// The busiest clients whose variation is looked at.
const TOP: usize = 100;

impl Sketch {
    /// The minute as the engine judges it, with the networks that the service is known to be asked from.
    pub fn minute<'a>(
        &self,
        service: &'a str,
        at: EventTime,
        around: Around,
        known: &Networks,
    ) -> Minute<'a> {
        self.settled().figures(service, at, around, known)
    }

    /// The same of a settled one.
    pub(super) fn figures<'a>(
        &self,
        service: &'a str,
        at: EventTime,
        around: Around,
        known: &Networks,
    ) -> Minute<'a> {
        let requests = self.requests() as f64;
        let mut minute = Minute { tens: self.tens(), ..Minute::empty(service, at, around) };
        if requests >= FEW as f64 {
            minute.client_errors = Some(f64::from(self.client_errors) / requests);
            minute.server_errors = Some(f64::from(self.server_errors) / requests);
        }
        // A format without clients, or one that names a few: nothing to tell them by.
        if u64::from(self.named) * 2 > self.requests() {
            self.who(&mut minute, known);
        }
        self.what(&mut minute);
        minute
    }

    /// What is known of clients.
    fn who(&self, minute: &mut Minute<'_>, known: &Networks) {
        let mut each: Vec<f64> = self.clients.all().map(|held| f64::from(held.requests)).collect();
        each.sort_unstable_by(|a, b| b.total_cmp(a));
        minute.clients = Some(self.clients.count());
        minute.networks = Some(self.clients.networks());
        minute.client_max = Some(self.clients.busiest());
        minute.busiest = self.clients.busiest_place();
        // Of fewer than twenty it is the busiest again, and one fact counts once.
        minute.client_p95 = each.get(each.len() / 20).copied().filter(|_| each.len() >= 20);
        if self.clients.is_whole() {
            minute.top_variation = variation(&each[..each.len().min(TOP)]);
        }
        minute.new_networks = if self.clients.is_whole() {
            known.new_share(self.clients.all().map(|held| (held.network, held.requests)), minute.at)
        } else {
            // Of a sample of clients, the busiest could be missing.
            known.new_share(self.sample.all().iter().map(|asked| (asked.network, 1)), minute.at)
        };
    }

    /// What is known of what they asked for.
    fn what(&self, minute: &mut Minute<'_>) {
        let sample = self.sample.all();
        if sample.len() < FEW {
            return;
        }
        let mut durations: Vec<f64> = sample.iter().filter_map(Asked::duration).collect();
        if durations.len() >= FEW {
            durations.sort_unstable_by(f64::total_cmp);
            minute.latency_p95 = durations.get(durations.len() * 19 / 20).copied();
        }
        if sample.iter().any(|asked| asked.agent != 0) {
            // Each client names its agent in all it asks for; who changes it stands for several.
            let mut named: Vec<(u32, u32)> = sample.iter().map(|asked| (asked.client, asked.agent)).collect();
            named.sort_unstable();
            named.dedup();
            minute.agents = distinct(&runs(named.into_iter().map(|(_, agent)| agent).collect()), AGENTS);
        }
        if sample.iter().all(|asked| asked.path == 0) {
            return;
        }
        minute.path_concentration =
            Some(concentration(&runs(sample.iter().map(|asked| asked.path).collect())));
        let (assets, pages): (Vec<&Asked>, Vec<&Asked>) = sample.iter().partition(|asked| asked.asset);
        minute.assets_per_page = Some(assets.len() as f64 / pages.len().max(1) as f64);
        // Pages without a query are no query.
        let queries = runs(pages.iter().map(|page| page.query).collect());
        minute.query_ratio = distinct(&queries, PAGES).map(|distinct| distinct / PAGES as f64);
    }

    /// The networks to learn.
    pub(super) fn networks(&self) -> Vec<u32> {
        let clients = self.clients.all().map(|held| held.network);
        clients.chain(self.sample.all().iter().map(|asked| asked.network)).collect()
    }
}

/// How often each hash occurs; what none has (0) comes first, also where all have one.
fn runs(mut hashes: Vec<u32>) -> Vec<usize> {
    hashes.sort_unstable();
    let none = hashes.iter().take_while(|hash| **hash == 0).count();
    let rest = hashes[none..].chunk_by(|a, b| a == b).map(<[u32]>::len);
    std::iter::once(none).chain(rest).collect()
}

/// The chance that two are the same.
fn concentration(runs: &[usize]) -> f64 {
    let pairs = |n: usize| (n * n.saturating_sub(1)) as f64;
    runs.iter().map(|run| pairs(*run)).sum::<f64>() / pairs(runs.iter().sum()).max(1.0)
}

/// How many different ones are to be expected in `drawn` of them (Hurlbert 1971); `None` where there are fewer.
fn distinct(runs: &[usize], drawn: usize) -> Option<f64> {
    let all: usize = runs.iter().sum();
    if all < drawn {
        return None;
    }
    let missed = |run: usize| {
        (0..drawn).map(|i| (all - run).saturating_sub(i) as f64 / (all - i) as f64).product::<f64>()
    };
    Some(runs.iter().skip(1).map(|run| 1.0 - missed(*run)).sum())
}

/// Deviation by mean.
fn variation(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (mean > 0.0).then(|| variance.sqrt() / mean)
}
