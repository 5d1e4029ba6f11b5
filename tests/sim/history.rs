//! Four minutes of a small shop in the combined format: readers, and now and then somebody who floods it, guesses
//! passwords, comes from a whole network, or makes it fail.

use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::broker::Sent;
use crate::scenarios::log::request;

/// When histories begin.
pub const T0: i64 = 1_767_323_040_000;
pub const PARTITIONS: usize = 4;
const SECOND: i64 = 1_000;

/// What is sent, in the order of arrival.
pub struct History {
    pub sent: Vec<Sent>,
    pub end: i64,
}

/// What a history may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyed {
    /// Records go anywhere: only for one process, which sees all of them.
    Loosely,
    /// The records of a /16 go to one partition, and nothing happens that is counted across them.
    ByNetwork,
}

/// Sends requests: at, client, path, status.
pub struct Pen {
    lines: Vec<(i64, String, &'static str, u16)>,
}

impl Pen {
    fn ask(&mut self, at: i64, client: &str, path: &'static str, status: u16) {
        self.lines.push((at, client.to_owned(), path, status));
    }

    /// `count` requests spread over `seconds`.
    fn spread(&mut self, at: i64, seconds: i64, count: i64, client: &str, path: &'static str, status: u16) {
        for n in 0..count {
            self.ask(at + n * seconds * SECOND / count, client, path, status);
        }
    }

    /// Just below the threshold, above nine tenths of it: 38 in any 20 seconds.
    fn hover(&mut self, at: i64, seconds: i64, client: &str) {
        for second in 0..seconds {
            for _ in 0..if second % 10 == 0 { 1 } else { 2 } {
                self.ask(at + second * SECOND, client, "/search", 200);
            }
        }
    }
}

impl History {
    /// The history of this seed.
    pub fn new(seed: u64, keyed: Keyed) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut pen = Pen { lines: Vec::new() };
        let end = T0 + 240 * SECOND;
        for at in (T0..end).step_by(800) {
            let reader = random.random_range(0..60);
            pen.ask(at, &format!("198.{}.0.{}", 18 + reader % 4, 1 + reader), "/", 200);
        }
        let mut at = T0 + random.random_range(5..40) * SECOND;
        let mut attacker = 0;
        let mut failed = keyed == Keyed::ByNetwork;
        while at < end - 60 * SECOND {
            attacker += 1;
            let client = format!("203.{}.113.{}", random.random_range(0..8), 10 + attacker);
            match random.random_range(0..6) {
                0 | 1 => {
                    let (seconds, count) = (random.random_range(4..25), random.random_range(42..140));
                    pen.spread(at, seconds, count, &client, "/search", 200);
                }
                2 => {
                    pen.spread(at, 10, 45, &client, "/search", 200);
                    pen.hover(at + 10 * SECOND, random.random_range(20..90), &client);
                }
                3 => {
                    let count = random.random_range(6..14);
                    pen.spread(at, 8, count, &client, "/login", 401);
                }
                4 => {
                    for host in 0..12 {
                        let count = random.random_range(6..9);
                        pen.spread(at + host * 300, 12, count, &format!("192.{attacker}.2.{host}"), "/", 200);
                    }
                }
                _ if !failed => {
                    failed = true;
                    for n in 0..60 {
                        let status = if random.random_range(0..10) < 8 { 503 } else { 200 };
                        pen.ask(at + n * 250, &format!("198.18.0.{}", 1 + n), "/cart", status);
                    }
                }
                _ => {}
            }
            at += random.random_range(8..75) * SECOND;
        }
        Self::of(pen, keyed, &mut random)
    }

    /// One client floods, and then hovers below the threshold for so many seconds.
    pub fn hovering(seconds: i64) -> Self {
        let mut pen = Pen { lines: Vec::new() };
        for second in 0..seconds + 90 {
            let reader = second % 50;
            pen.ask(T0 + second * SECOND, &format!("198.{}.0.{}", 18 + reader % 4, 1 + reader), "/", 200);
        }
        pen.spread(T0 + 10 * SECOND, 10, 45, "203.0.113.7", "/search", 200);
        pen.hover(T0 + 20 * SECOND, seconds, "203.0.113.7");
        Self::of(pen, Keyed::ByNetwork, &mut StdRng::seed_from_u64(1))
    }

    /// Out of order by less than four seconds, of which the stamp's missing milliseconds are one.
    fn of(pen: Pen, keyed: Keyed, random: &mut StdRng) -> Self {
        let mut sent: Vec<Sent> = pen
            .lines
            .into_iter()
            .map(|(at, client, path, status)| {
                let network: usize =
                    client.split('.').take(2).map(|part| part.parse::<usize>().expect("a number")).sum();
                let partition = match keyed {
                    Keyed::Loosely => random.random_range(0..PARTITIONS),
                    Keyed::ByNetwork => network % PARTITIONS,
                };
                let text: Rc<str> = request(at, &client, path, status).into();
                Sent { at: at + random.random_range(0..3_000), partition, text }
            })
            .collect();
        sent.sort_by_key(|sent| sent.at);
        let end = sent.last().expect("records").at;
        Self { sent, end }
    }
}
