//! A seeded generator of labelled traffic: who asks a service for what in each minute, drawn client by client.
//!
//! Ordinary visitors read a page with its assets; the kinds of event change who comes, how many, how fast and for what.
//! What the engine is told is measured from the draws, as the service's own tables would measure it.

use beaconfire_detect::engine::surge::{Around, Minute};
use beaconfire_model::EventTime;

use crate::noise::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    ProductLaunch,
    NewsLink,
    SlowBotnet,
    FastBotnet,
    LoudClient,
    CacheBusting,
    RetryStorm,
    ColdCaches,
}

impl Event {
    pub(crate) const ALL: [Self; 8] = [
        Self::ProductLaunch,
        Self::NewsLink,
        Self::SlowBotnet,
        Self::FastBotnet,
        Self::LoudClient,
        Self::CacheBusting,
        Self::RetryStorm,
        Self::ColdCaches,
    ];

    pub(crate) fn is_attack(self) -> bool {
        matches!(self, Self::SlowBotnet | Self::FastBotnet | Self::LoudClient | Self::CacheBusting)
    }
}

/// What is counted of one group of clients in a minute.
#[derive(Debug, Default)]
struct Counted {
    per_client: Vec<f64>,
    requests: f64,
    new: f64,
    pages: f64,
    assets: f64,
    paths: Vec<f64>,
    /// Searches, which repeat each other, and queries that are all different.
    queries: f64,
    random: f64,
    errors: f64,
    agents: f64,
}

pub(crate) struct Service {
    rng: Rng,
    event: Event,
    /// Visitors a minute, and pages each asks for.
    visitors: f64,
    pages: f64,
    assets: f64,
    new: f64,
    errors: f64,
    /// Different searches that people think of.
    terms: f64,
    /// How strong the event is, and how many minutes it takes to come.
    strength: f64,
    ramp: f64,
    bots: f64,
    phase: f64,
}

pub(crate) const BEFORE: i64 = 150;
pub(crate) const LASTS: i64 = 20;

impl Service {
    pub(crate) fn new(event: Event, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x7375_7267);
        let r = &mut rng;
        let (strength, ramp) = match event {
            Event::ProductLaunch => (r.between(3.0, 8.0), r.between(2.0, 8.0)),
            Event::NewsLink => (r.between(3.0, 10.0), r.between(1.5, 6.0)),
            Event::SlowBotnet => (r.between(3.0, 8.0), r.between(6.0, 14.0)),
            Event::FastBotnet => (r.between(4.0, 15.0), 0.1),
            Event::LoudClient => (r.between(3.0, 8.0), 0.1),
            Event::CacheBusting => (r.between(3.0, 8.0), r.between(0.1, 2.0)),
            Event::RetryStorm => (r.between(3.0, 6.0), 0.1),
            Event::ColdCaches => (r.between(2.2, 3.5), 0.1),
        };
        Self {
            event,
            visitors: r.between(60.0, 250.0),
            pages: r.between(1.2, 2.5),
            assets: r.between(2.0, 6.0),
            new: r.between(0.08, 0.25),
            errors: r.between(0.005, 0.02),
            terms: r.between(100.0, 1000.0),
            strength,
            ramp,
            bots: r.between(60.0, 300.0),
            phase: r.unit(),
            rng: Rng::new(seed),
        }
    }

    /// Requests a minute that are usual.
    fn usual(&self) -> f64 {
        self.visitors * self.pages * (1.0 + self.assets)
    }

    fn level(&self, t: i64) -> f64 {
        1.0 + 0.2 * ((t as f64 / 700.0 + self.phase) * std::f64::consts::TAU).sin()
    }

    /// A share of the event's height at second `s` of it.
    fn height(&self, s: f64) -> f64 {
        if s < 0.0 { 0.0 } else { (s / 60.0 / self.ramp).min(1.0) }
    }

    pub(crate) fn minute(&mut self, t: i64) -> Minute<'static> {
        let into = t - BEFORE;
        let level = self.level(t) * (1.0 + 0.05 * self.rng.normal());
        let during = (0..LASTS).contains(&into);
        let height = |s: f64| if during { self.height(s) } else { 0.0 };
        let heights: Vec<f64> =
            (0..6).map(|i| height(into as f64 * 60.0 + f64::from(i) * 10.0 + 5.0)).collect();
        let mean = heights.iter().sum::<f64>() / 6.0;
        let outage = self.event == Event::RetryStorm && (-6..0).contains(&into);

        let mut all = Counted { paths: vec![0.0; 40], ..Counted::default() };
        let quiet = if outage { 0.05 } else { 1.0 };
        let mut ordinary = self.visitors * level * quiet;
        let (mut pages, mut assets) = (self.pages, self.assets);
        let (mut server_errors, mut hot) = (if outage { 0.9 } else { 0.003 }, 0.0);
        let mut extra_new = 0.0;
        match self.event {
            // More people, many of them new, most for one page with all that belongs to it.
            Event::ProductLaunch | Event::NewsLink => {
                ordinary *= 1.0 + (self.strength - 1.0) * mean;
                let link = self.event == Event::NewsLink;
                hot = if link { 0.6 } else { 0.35 } * mean;
                // In crowds that were measured, 17 to 58 % of the networks were new (Jung et al. 2002).
                extra_new = if link { 0.3 } else { 0.2 } * mean;
                server_errors += 0.03 * mean * self.rng.unit();
            }
            // Our own clients: each asks again and again.
            Event::RetryStorm if during => {
                let calmer = (-(into as f64) / 8.0).exp();
                pages *= 1.0 + (self.strength - 1.0) * calmer;
                server_errors += 0.25 * calmer;
                assets *= 0.7;
            }
            // What the cache in front answered before arrives here.
            Event::ColdCaches if during => {
                let colder = (-(into as f64) / 6.0).exp();
                assets *= 1.0 + (self.strength - 1.0) * colder * 1.3;
            }
            _ => {}
        }
        let new = (self.new + extra_new).min(0.9);
        self.people(ordinary, pages, assets, new, hot, &mut all);
        let people = all.requests;
        if mean > 0.0 {
            self.machines(mean, &mut all);
        }
        self.measure(t, into, all, people, &heights, level, server_errors)
    }

    fn people(&mut self, count: f64, pages: f64, assets: f64, new: f64, hot: f64, all: &mut Counted) {
        for _ in 0..count.round() as usize {
            // Some stay longer than others.
            let stays = (0.6 * self.rng.normal()).exp();
            let viewed = (pages * stays + 0.5 * self.rng.normal()).max(0.5).round().max(1.0);
            let fetched = (viewed * assets * self.rng.between(0.6, 1.4)).round();
            let path =
                if self.rng.chance(hot) { 0 } else { (self.rng.unit() * self.rng.unit() * 30.0) as usize };
            all.paths[path] += viewed;
            all.paths[30 + (self.rng.unit() * 10.0) as usize] += fetched;
            all.pages += viewed;
            all.assets += fetched;
            all.queries += viewed * 0.3;
            let requests = viewed + fetched;
            if self.rng.chance(new) {
                all.new += requests;
            }
            all.errors += requests * self.errors * self.rng.between(0.5, 1.5);
            all.agents += 0.3;
            all.requests += requests;
            all.per_client.push(requests);
        }
    }

    fn machines(&mut self, height: f64, all: &mut Counted) {
        let wanted = self.usual() * (self.strength - 1.0) * height;
        let (bots, new, spread, queries, assets): (f64, f64, f64, f64, f64) = match self.event {
            Event::SlowBotnet => (self.bots * 4.0, 0.85, 0.1, 0.3, 0.0),
            Event::FastBotnet => (self.bots, 0.85, 0.3, 0.3, 0.0),
            Event::LoudClient => (1.0, 0.2, 0.0, 0.1, 0.0),
            Event::CacheBusting => (self.bots * 0.3, 0.7, 0.2, 1.0, 0.0),
            _ => return,
        };
        let each = wanted / bots;
        let new = if bots < 2.0 { f64::from(u8::from(self.rng.chance(new))) } else { new };
        for _ in 0..bots as usize {
            let requests = (each * (1.0 + spread * self.rng.normal())
                + each.sqrt() * self.rng.normal() * 0.3)
                .max(0.0)
                .round();
            all.paths[1] += requests;
            all.pages += requests * (1.0 - assets);
            all.queries += requests * queries.min(0.3);
            all.random += requests * f64::from(u8::from(queries >= 1.0));
            all.new += requests * new;
            all.errors += requests * 0.03;
            all.requests += requests;
            all.per_client.push(requests);
        }
        all.agents += 3.0;
    }

    #[allow(clippy::too_many_arguments)]
    fn measure(
        &mut self,
        t: i64,
        into: i64,
        mut all: Counted,
        people: f64,
        heights: &[f64],
        level: f64,
        server_errors: f64,
    ) -> Minute<'static> {
        all.per_client.sort_by(|a, b| b.total_cmp(a));
        let n = all.per_client.len().max(1);
        let top = &all.per_client[..n.min(100)];
        let mean = top.iter().sum::<f64>() / top.len().max(1) as f64;
        let variance = top.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / top.len().max(1) as f64;
        let total = all.requests.max(1.0);
        let scale = heights.iter().sum::<f64>().max(1e-9);
        let crowd = matches!(self.event, Event::ProductLaunch | Event::NewsLink);
        // Machines come within the minute as their ramp does; a crowd with its own.
        let base = if crowd { self.usual() * level } else { people };
        let more = (all.requests - base).max(0.0);
        let mut tens = [0.0; 6];
        for (ten, height) in tens.iter_mut().zip(heights) {
            let mean = base / 6.0 + more * height / scale;
            *ten = (mean + mean.sqrt() * self.rng.normal()).max(0.0);
        }
        let requests: f64 = tens.iter().sum();
        let around = Around {
            expected: (t > 20).then_some(self.usual() / 60.0 * self.level(t)),
            saturated: false,
            rolled_out: self.event == Event::ColdCaches && into == 0,
        };
        let queries = self.terms * (1.0 - (-all.queries / self.terms).exp()) + all.random;
        Minute {
            tens,
            clients: Some(n as f64),
            new_networks: Some(all.new / total),
            client_p95: all.per_client.get(n / 20).copied(),
            client_max: all.per_client.first().map(|most| most.min(requests)),
            top_variation: Some(variance.sqrt() / mean.max(1e-9)),
            path_concentration: Some(all.paths.iter().map(|path| (path / total).powi(2)).sum()),
            assets_per_page: Some(all.assets / all.pages.max(1.0)),
            query_ratio: Some(queries / all.pages.max(1.0)),
            client_errors: Some(all.errors / total),
            server_errors: Some(server_errors),
            agents: Some(all.agents / total * 1000.0 * (1.0 + 0.03 * self.rng.normal())),
            ..Minute::empty("shop", EventTime::from_millis(t * 60_000), around)
        }
    }
}
