//! What a minute of one service's requests looks like, in bounded memory.
//!
//! Workers gather it record by record, and the shard merges what they have. Nothing in it depends on order, batches or
//! the number of workers: sums, the smallest hashes, the largest runs. `clients.rs` has who asked, `sample.rs` for what,
//! `figures.rs` the numbers that come of both.

use std::hash::BuildHasher;

use beaconfire_model::{Client, Request};

use super::clients::Clients;
use super::sample::{Asked, Sample};
use crate::hash::Seeded;

/// What clients, networks and texts are hashed with, so that nobody can choose what is sampled. One for all workers, and
/// the same after a restart: networks are remembered by these hashes.
#[derive(Debug, Clone, Copy)]
pub struct Seed(Seeded);

impl Seed {
    /// The plan's seed.
    pub fn new(seed: u64) -> Self {
        Self(Seeded::new(seed))
    }

    /// The draw of a record, from its place and what it says: whether it is sampled depends on nothing else.
    #[inline]
    pub fn draw(&self, place: u64, said: u64) -> u64 {
        self.0.hash_one((place, said))
    }

    #[inline]
    pub(super) fn client(&self, client: Client) -> u64 {
        self.0.hash_one(client.bits())
    }

    /// Never 0, which stands for none.
    #[inline]
    pub(super) fn network(&self, client: Client) -> u32 {
        // The upper half, as the lower is for places in tables.
        ((self.0.hash_one(client.prefix().bits()) >> 32) as u32).max(1)
    }

    /// Never 0 but for an empty text.
    pub(super) fn text(&self, text: &str) -> u32 {
        if text.is_empty() { 0 } else { (self.0.of_text(text) as u32).max(1) }
    }
}

/// A minute of one service's requests.
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    /// Requests in each ten seconds.
    tens: [u32; 6],
    pub(super) client_errors: u32,
    pub(super) server_errors: u32,
    /// Requests that name their client.
    pub(super) named: u32,
    pub(super) clients: Clients,
    pub(super) sample: Sample,
}

/// What nginx logs where the client went away before it was answered: the server was slow.
const CLOSED: u16 = 499;

impl Sketch {
    /// Adds a request of this minute; `draw` is the record's own ([`Seed::draw`]).
    #[inline]
    pub fn add(&mut self, request: &Request<'_>, draw: u64, seed: &Seed) {
        let ten = request.time.millis().rem_euclid(60_000) / 10_000;
        let count = |counter: &mut u32, more: bool| *counter = counter.saturating_add(u32::from(more));
        count(&mut self.tens[ten as usize], true);
        let failed = request.status >= 500 || request.status == CLOSED;
        count(&mut self.server_errors, failed);
        count(&mut self.client_errors, request.status >= 400 && !failed);
        if let Some(client) = request.client {
            count(&mut self.named, true);
            self.clients.add(seed.client(client), || seed.network(client));
        }
        self.sample.offer(draw, || Asked::of(request, draw, seed));
    }

    /// Adds what another worker, or an earlier batch, saw of the same minute.
    pub fn merge(&mut self, other: &Self) {
        let add = |mine: &mut u32, others: u32| *mine = mine.saturating_add(others);
        self.tens.iter_mut().zip(other.tens).for_each(|(mine, others)| add(mine, others));
        add(&mut self.client_errors, other.client_errors);
        add(&mut self.server_errors, other.server_errors);
        add(&mut self.named, other.named);
        self.clients.merge(&other.clients);
        self.sample.merge(&other.sample);
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.tens.iter().map(|ten| u64::from(*ten)).sum()
    }

    /// Requests in each ten seconds.
    pub fn tens(&self) -> [f64; 6] {
        self.tens.map(f64::from)
    }

    /// What it takes: at most 68 KB, and some hundred bytes where a few clients ask.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.clients.bytes() + self.sample.bytes()
    }

    /// Brought into the one form that equal contents have.
    pub(super) fn settled(&self) -> Self {
        let mut settled = self.clone();
        settled.clients.settle();
        settled.sample.settle();
        settled
    }
}

/// Equal where the same was seen, however it was put together.
impl PartialEq for Sketch {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.settled(), other.settled());
        let counts = |s: &Self| (s.tens, s.client_errors, s.server_errors, s.named);
        counts(&a) == counts(&b) && a.clients == b.clients && a.sample == b.sample
    }
}
