//! A seeded generator of labelled traffic: who asks a service for what, request by request, into the sketch of each minute.
//!
//! Ordinary visitors read pages with their assets (`people.rs`); the kinds of event change who comes, how many, how fast
//! and for what (`machines.rs` has those who are no people). Services get from one to 500 requests a second.

mod machines;
mod people;

use beaconfire_detect::engine::surge::{Around, Seed, Sketch};
use beaconfire_model::{Client, EventTime, Request};

use crate::noise::Rng;
use people::Public;

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

/// What the log has of a request besides time and status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    pub(crate) clients: bool,
    pub(crate) agents: bool,
    pub(crate) paths: bool,
    pub(crate) durations: bool,
}

impl Format {
    pub(crate) const FULL: Self = Self { clients: true, agents: true, paths: true, durations: true };
}

/// One request on its way into the sketch; texts by their number.
#[derive(Debug, Clone, Copy)]
struct Asked {
    client: Client,
    /// Seconds into the minute.
    second: f64,
    asset: bool,
    path: usize,
    query: Query,
    agent: usize,
    status: u16,
    slowness: f64,
}

#[derive(Debug, Clone, Copy)]
enum Query {
    None,
    Term(usize),
    Random(u64),
}

/// The minute that is being written.
struct Page<'s> {
    sketch: Sketch,
    format: Format,
    texts: &'s Texts,
    seed: Seed,
    offset: &'s mut u64,
}

#[derive(Debug)]
struct Texts {
    pages: Vec<String>,
    assets: Vec<String>,
    terms: Vec<String>,
    agents: Vec<String>,
}

impl Texts {
    fn new() -> Self {
        let all = |n: usize, text: &dyn Fn(usize) -> String| (0..n).map(text).collect();
        Self {
            pages: all(40, &|n| format!("/section-{}/page-{n}", n % 7)),
            assets: all(30, &|n| format!("/static/{n}.{}", ["js", "css", "png", "woff2"][n % 4])),
            terms: all(1_000, &|n| format!("q=term-{n}")),
            agents: all(80, &|n| {
                format!("Mozilla/5.0 ({}) Engine/{n}.0", ["X11", "Windows", "iPhone"][n % 3])
            }),
        }
    }
}

impl Page<'_> {
    fn write(&mut self, asked: &Asked) {
        let random;
        let query = match asked.query {
            Query::None => "",
            Query::Term(n) => &self.texts.terms[n % self.texts.terms.len()],
            Query::Random(n) => {
                random = format!("{n:x}");
                &random
            }
        };
        let (paths, path) =
            if asked.asset { (&self.texts.assets, asked.path) } else { (&self.texts.pages, asked.path) };
        let Format { clients, agents, paths: has_paths, durations } = self.format;
        let request = Request {
            time: EventTime::from_millis((asked.second.clamp(0.0, 59.9) * 1_000.0) as i64),
            client: clients.then_some(asked.client),
            path: if has_paths { &paths[path % paths.len()] } else { "" },
            query: if has_paths { query } else { "" },
            user_agent: if agents { &self.texts.agents[asked.agent % self.texts.agents.len()] } else { "" },
            status: asked.status,
            duration_micros: durations.then_some((30_000.0 * asked.slowness) as u64),
            ..Request::default()
        };
        *self.offset += 1;
        let draw = self.seed.draw(1, *self.offset);
        self.sketch.add(&request, draw, &self.seed);
    }
}

pub(crate) struct Service {
    rng: Rng,
    event: Event,
    public: Public,
    /// How strong the event is, and how many minutes it takes to come.
    strength: f64,
    ramp: f64,
    bots: f64,
    phase: f64,
    texts: Texts,
    pub(crate) seed: Seed,
    pub(crate) format: Format,
    offset: u64,
}

/// The event begins at this minute, and lasts so long.
pub(crate) const BEGINS: i64 = 2_100;
pub(crate) const LASTS: i64 = 20;

/// Minutes that are looked at: every tenth for over a day, then each from a while before the event.
pub(crate) fn minutes() -> impl Iterator<Item = i64> {
    (0..BEGINS - 40).step_by(10).chain(BEGINS - 40..BEGINS + LASTS)
}

impl Service {
    /// A service that gets so many requests a second.
    pub(crate) fn new(event: Event, seed: u64, rates: (f64, f64)) -> Self {
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
        let rate = r.between(rates.0.ln(), rates.1.ln()).exp();
        Self {
            event,
            public: Public::new(rate, r),
            strength,
            ramp,
            bots: r.between(60.0, 300.0),
            phase: r.unit(),
            texts: Texts::new(),
            seed: Seed::new(r.next()),
            format: Format::FULL,
            offset: 0,
            rng: Rng::new(seed),
        }
    }

    /// Requests a minute that are usual.
    pub(crate) fn usual(&self) -> f64 {
        self.public.visitors * self.public.pages * (1.0 + self.public.assets)
    }

    fn level(&self, t: i64) -> f64 {
        1.0 + 0.2 * ((t as f64 / 700.0 + self.phase) * std::f64::consts::TAU).sin()
    }

    /// The event's height, in shares of it, in each ten seconds of a minute.
    fn heights(&self, t: i64) -> [f64; 6] {
        let into = t - BEGINS;
        std::array::from_fn(|ten| {
            let second = into as f64 * 60.0 + ten as f64 * 10.0 + 5.0;
            if (0..LASTS).contains(&into) { (second / 60.0 / self.ramp).min(1.0) } else { 0.0 }
        })
    }

    /// What a baseline would say.
    pub(crate) fn around(&self, t: i64) -> Around {
        Around {
            expected: (t > 200).then_some(self.usual() / 60.0 * self.level(t)),
            saturated: false,
            rolled_out: self.event == Event::ColdCaches && t == BEGINS,
        }
    }

    pub(crate) fn sketch(&mut self, t: i64) -> Sketch {
        let into = t - BEGINS;
        let heights = self.heights(t);
        let mean = heights.iter().sum::<f64>() / 6.0;
        let level = self.level(t) * (1.0 + 0.05 * self.rng.normal());
        let during = (0..LASTS).contains(&into);
        let outage = self.event == Event::RetryStorm && (-6..0).contains(&into);
        let mut crowd = self.public.usual(level);
        match self.event {
            _ if outage => {
                crowd.visitors *= 0.05;
                crowd.failing = 0.9;
            }
            // More people, many of them new, most for one page with all that belongs to it. In crowds that were measured,
            // 17 to 58 % of the networks were new (Jung et al. 2002).
            Event::ProductLaunch | Event::NewsLink => {
                let (hot, new) = if self.event == Event::NewsLink { (0.6, 0.3) } else { (0.35, 0.2) };
                crowd.more = crowd.visitors * (self.strength - 1.0) * mean;
                crowd.hot = hot * mean;
                crowd.new = (crowd.new + new * mean).min(0.9);
                crowd.failing += 0.03 * mean * self.rng.unit();
            }
            // Our own clients: each asks again and again.
            Event::RetryStorm if during => {
                let calmer = (-(into as f64) / 8.0).exp();
                crowd.again = 1.0 + (self.strength - 1.0) * calmer;
                crowd.failing += 0.25 * calmer;
                crowd.assets *= 0.7;
            }
            // What the cache in front answered before arrives here.
            Event::ColdCaches if during => {
                let colder = (-(into as f64) / 6.0).exp();
                crowd.assets *= 1.0 + (self.strength - 1.0) * colder * 1.3;
            }
            _ => {}
        }
        let mut page = Page {
            sketch: Sketch::default(),
            format: self.format,
            texts: &self.texts,
            seed: self.seed,
            offset: &mut self.offset,
        };
        self.public.come(&crowd, &heights, &mut self.rng, &mut page);
        if mean > 0.0 && self.event.is_attack() {
            let usual = self.public.visitors * self.public.pages * (1.0 + self.public.assets);
            let strength = self.strength - 1.0;
            let army = machines::Army::of(self.event, usual * strength, self.bots);
            army.come(&self.public, &heights, &mut self.rng, &mut page);
        }
        page.sketch
    }
}
