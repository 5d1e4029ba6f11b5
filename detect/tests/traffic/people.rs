//! The public of a service: regulars, some of whom share an address, and strangers, each with a few pages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use beaconfire_model::Client;

use super::{Asked, Page, Query};
use crate::noise::Rng;

pub(super) struct Public {
    /// Visitors a minute, and pages each asks for.
    pub(super) visitors: f64,
    pub(super) pages: f64,
    /// With each page.
    pub(super) assets: f64,
    new: f64,
    errors: f64,
    /// Different searches that people think of, and how many pages are found by one.
    terms: f64,
    searches: f64,
    regulars: f64,
    /// Share of clients with an address of version 6.
    sixes: f64,
    /// What makes the regulars of one service others than those of another.
    pub(super) salt: u64,
}

/// Who comes in a minute, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    pub(super) visitors: f64,
    /// More of them, as the event's height says.
    pub(super) more: f64,
    pub(super) new: f64,
    pub(super) assets: f64,
    /// For one page.
    pub(super) hot: f64,
    pub(super) failing: f64,
    /// How often each request is sent.
    pub(super) again: f64,
}

fn mix(a: u64, b: u64) -> u64 {
    Rng::new(a ^ b.wrapping_mul(0xd6e8_feb8_6659_fd93)).next()
}

/// Poisson, or normal where that is the same.
pub(super) fn poisson(mean: f64, rng: &mut Rng) -> usize {
    if mean > 60.0 {
        return (mean + mean.sqrt() * rng.normal()).round().max(0.0) as usize;
    }
    let (limit, mut product, mut count) = ((-mean).exp(), rng.unit(), 0);
    while product > limit {
        product *= rng.unit();
        count += 1;
    }
    count
}

/// A second of the minute in which the event is as high as it is then.
pub(super) fn second(heights: &[f64; 6], rng: &mut Rng) -> f64 {
    let mut left = rng.unit() * heights.iter().sum::<f64>();
    let ten = heights.iter().position(|height| {
        left -= height;
        left <= 0.0
    });
    ten.unwrap_or(5) as f64 * 10.0 + 10.0 * rng.unit()
}

impl Public {
    pub(super) fn new(rate: f64, r: &mut Rng) -> Self {
        let (pages, assets) = (r.between(1.2, 2.5), r.between(2.0, 6.0));
        let visitors = rate * 60.0 / (pages * (1.0 + assets));
        Self {
            visitors,
            pages,
            assets,
            new: r.between(0.08, 0.25),
            errors: r.between(0.005, 0.02),
            terms: r.between(100.0, 1000.0),
            searches: r.between(0.1, 0.5),
            regulars: 40.0 + visitors * r.between(4.0, 12.0),
            sixes: if r.chance(0.5) { 0.3 } else { 0.0 },
            salt: r.next(),
        }
    }

    pub(super) fn usual(&self, level: f64) -> Crowd {
        Crowd {
            visitors: self.visitors * level,
            more: 0.0,
            new: self.new,
            assets: self.assets,
            hot: 0.0,
            failing: 0.003,
            again: 1.0,
        }
    }

    pub(super) fn stranger(&self, rng: &mut Rng) -> Client {
        self.address(rng.next())
    }

    pub(super) fn regular(&self, rng: &mut Rng) -> Client {
        // Some come often, and some through a few shared addresses.
        let rank = (self.regulars * rng.unit().powf(1.5)) as u64;
        let rank = if rng.chance(0.05) { rank % 8 } else { rank };
        self.address(mix(self.salt, rank))
    }

    fn address(&self, bits: u64) -> Client {
        let network = (bits >> 32) as u32;
        Client::of(if (bits & 0xffff) as f64 / 65_536.0 < self.sixes {
            IpAddr::V6(Ipv6Addr::from(
                0x2000_u128 << 112 | u128::from(network) << 80 | u128::from(bits as u8) << 64 | 1,
            ))
        } else {
            IpAddr::V4(Ipv4Addr::from(network))
        })
    }

    pub(super) fn come(&self, crowd: &Crowd, heights: &[f64; 6], rng: &mut Rng, page: &mut Page<'_>) {
        for _ in 0..poisson(crowd.visitors, rng) {
            let second = 60.0 * rng.unit();
            self.visit(crowd, second, rng, page);
        }
        for _ in 0..poisson(crowd.more, rng) {
            let second = second(heights, rng);
            self.visit(crowd, second, rng, page);
        }
    }

    fn visit(&self, crowd: &Crowd, second: f64, rng: &mut Rng, page: &mut Page<'_>) {
        let client = if rng.chance(crowd.new) { self.stranger(rng) } else { self.regular(rng) };
        let agent = (mix(client.bits() as u64, 5) % 6_400) as f64 / 6_400.0;
        // Some stay longer than others.
        let stays = (0.6 * rng.normal()).exp();
        let viewed = (self.pages * stays + 0.5 * rng.normal()).max(0.5).round().max(1.0) as usize;
        let mut clock = second;
        for _ in 0..viewed {
            let hot = rng.chance(crowd.hot);
            let path = if hot { 0 } else { (rng.unit() * rng.unit() * 30.0) as usize };
            let term = (rng.unit() * rng.unit() * self.terms) as usize;
            let query = if !hot && rng.chance(self.searches) { Query::Term(term) } else { Query::None };
            let fetched = poisson(crowd.assets * rng.between(0.6, 1.4), rng);
            for n in 0..=fetched {
                let asset = n > 0;
                let status = if rng.chance(crowd.failing) {
                    503
                } else if rng.chance(self.errors) {
                    404
                } else {
                    200
                };
                let again = crowd.again.floor() as usize + usize::from(rng.chance(crowd.again.fract()));
                for _ in 0..again {
                    page.write(&Asked {
                        client,
                        second: clock,
                        asset,
                        path: if asset { (rng.unit() * 30.0) as usize } else { path },
                        query: if asset { Query::None } else { query },
                        agent: (agent * agent * 80.0) as usize,
                        status,
                        slowness: (0.7 * rng.normal()).exp(),
                    });
                }
            }
            // Who looks on does so some seconds later.
            clock += 2.0 + 8.0 * rng.unit();
            if clock > 60.0 {
                clock = second;
            }
        }
    }
}
