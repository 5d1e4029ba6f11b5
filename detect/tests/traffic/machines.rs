//! Those who are no people: programs that ask for one page, or for one with ever another query.

use super::people::{Public, poisson, second};
use super::{Asked, Event, Page, Query};
use crate::noise::Rng;

pub(super) struct Army {
    event: Event,
    bots: usize,
    /// Requests of each in a minute.
    each: f64,
    /// How much they differ.
    spread: f64,
    /// Share of them in networks that nobody came from.
    new: f64,
}

impl Army {
    /// Nobody sends a botnet for three requests a second: what it adds is at least 20.
    pub(super) fn of(event: Event, wanted: f64, bots: f64) -> Self {
        let much = wanted.max(20.0 * 60.0);
        let (bots, wanted, spread, new) = match event {
            // Each no faster than a person, so there are as many as that takes.
            Event::SlowBotnet => (much / (3.0 + bots / 12.0), much, 0.1, 0.85),
            // Each as fast as no person is.
            Event::FastBotnet => (bots.min(much / 60.0), much, 0.3, 0.85),
            Event::CacheBusting => ((bots * 0.3).min(much / 60.0), much, 0.2, 0.7),
            _ => (1.0, wanted, 0.0, 0.2),
        };
        Self { event, bots: bots.max(1.0) as usize, each: wanted / bots.max(1.0), spread, new }
    }

    pub(super) fn come(&self, public: &Public, heights: &[f64; 6], rng: &mut Rng, page: &mut Page<'_>) {
        let height = heights.iter().sum::<f64>() / 6.0;
        // The same bots in each minute: their addresses are drawn from a generator of their own.
        let mut own = Rng::new(public.salt ^ 0x626f_7473);
        // Tools send one name, a few that they know, or a random one each time.
        let names = [1, 3, 80][(own.next() % 3) as usize];
        for _ in 0..self.bots {
            let client =
                if own.chance(self.new) { public.stranger(&mut own) } else { public.regular(&mut own) };
            let each = self.each * height * (1.0 + self.spread * own.normal()).max(0.0);
            for _ in 0..poisson(each, rng) {
                let query = match self.event {
                    Event::CacheBusting => Query::Random(rng.next()),
                    _ if rng.chance(0.1) => Query::Term((rng.unit() * 100.0) as usize),
                    _ => Query::None,
                };
                page.write(&Asked {
                    client,
                    second: second(heights, rng),
                    asset: false,
                    path: 1,
                    query,
                    agent: 70 + (rng.next() % names) as usize,
                    status: if rng.chance(0.03) { 404 } else { 200 },
                    slowness: 2.0,
                });
            }
        }
    }
}
