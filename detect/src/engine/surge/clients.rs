//! Who asked, and how often: exact up to 512 clients, and beyond a uniform sample of 512.
//!
//! Kept are the clients whose hashes are smallest. What was left out never comes back, because the limit only falls, so
//! the counts of those that are kept are whole; and which ones are kept depends neither on order nor on who saw them.
//! From the first one left out on, counters by hash stand for the busiest client, and registers for the networks.

use super::loglog::Registers;

/// Clients that are kept.
pub const KEPT: usize = 512;
/// Places in the table; at three quarters it grows, or clients are left out.
const PLACES: usize = 1_024;
const COUNTERS: usize = 256;

/// A client; its hash is never 0, which marks a free place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) hash: u64,
    pub(super) network: u32,
    pub(super) requests: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Clients {
    places: Vec<Held>,
    held: usize,
    /// Larger hashes are left out.
    limit: u64,
    /// Since the first was left out.
    many: Option<Box<Many>>,
}

/// What is known of all clients where not all are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Many {
    counters: [u32; COUNTERS],
    networks: Registers,
}

impl Default for Clients {
    fn default() -> Self {
        Self { places: Vec::new(), held: 0, limit: u64::MAX, many: None }
    }
}

impl Clients {
    /// Counts a request; the network is asked for only where it is needed.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, network: impl FnOnce() -> u32) {
        let hash = hash.max(1);
        if let Some(many) = &mut self.many {
            let network = network();
            many.add(hash, network, 1);
            if hash <= self.limit {
                self.put(Held { hash, network, requests: 1 });
            }
            return;
        }
        match self.find(hash) {
            Some(at) if self.places[at].hash == hash => {
                let requests = &mut self.places[at].requests;
                *requests = requests.saturating_add(1);
            }
            _ => self.put(Held { hash, network: network(), requests: 1 }),
        }
    }

    /// Adds what another has; the same in any order.
    pub(super) fn merge(&mut self, other: &Self) {
        let counted = self.many.is_some() || other.many.is_some();
        if counted {
            self.count_all();
            if let (Some(many), Some(others)) = (&mut self.many, &other.many) {
                many.merge(others);
            }
        }
        self.lower(other.limit);
        for held in other.all() {
            if let Some(many) = self.many.as_mut().filter(|_| !counted || other.many.is_none()) {
                many.add(held.hash, held.network, held.requests);
            }
            if held.hash <= self.limit {
                self.put(*held);
            }
        }
    }

    /// Leaves out what is too much; then equal contents are equal.
    pub(super) fn settle(&mut self) {
        if self.held > KEPT {
            self.thin();
        }
    }

    /// Whether all clients are there.
    pub(super) fn is_whole(&self) -> bool {
        self.many.is_none()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Held> {
        self.places.iter().filter(|held| held.hash != 0)
    }

    /// How many there are; of a settled one.
    pub(super) fn count(&self) -> f64 {
        if self.is_whole() {
            return self.held as f64;
        }
        (KEPT as f64 - 1.0) / (self.limit as f64 / u64::MAX as f64)
    }

    /// Requests of the busiest one: beyond what is kept, by how much the fullest counter exceeds the others.
    pub(super) fn busiest(&self) -> f64 {
        let Some(many) = &self.many else {
            return self.all().map(|held| held.requests).max().map_or(0.0, f64::from);
        };
        let all: u64 = many.counters.iter().map(|counter| u64::from(*counter)).sum();
        let fullest = many.counters.iter().max().map_or(0, |counter| u64::from(*counter));
        fullest as f64 - (all - fullest) as f64 / (COUNTERS - 1) as f64
    }

    /// A name for the busiest one that is the same each time: its counter, which it shares with one client in 256.
    pub(super) fn busiest_place(&self) -> Option<u32> {
        let place = match &self.many {
            None => {
                let busiest = self.all().max_by_key(|held| (held.requests, held.hash))?;
                busiest.hash as usize % COUNTERS
            }
            Some(many) => (0..COUNTERS).max_by_key(|place| many.counters[*place])?,
        };
        u32::try_from(place).ok()
    }

    /// How many networks they are in.
    pub(super) fn networks(&self) -> f64 {
        if let Some(many) = &self.many {
            return many.networks.count();
        }
        let mut networks: Vec<u32> = self.all().map(|held| held.network).collect();
        networks.sort_unstable();
        networks.dedup();
        networks.len() as f64
    }

    pub(super) fn bytes(&self) -> usize {
        self.places.capacity() * size_of::<Held>() + self.many.as_ref().map_or(0, |_| size_of::<Many>())
    }

    /// Where a client is, or would be; the table may be empty, but is never full.
    #[inline]
    fn find(&self, hash: u64) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        // Small hashes differ in their low bits.
        let mut at = hash as usize & mask;
        while self.places[at].hash != hash && self.places[at].hash != 0 {
            at = (at + 1) & mask;
        }
        Some(at)
    }

    fn put(&mut self, new: Held) {
        if (self.held + 1) * 4 > self.places.len() * 3 && self.places.len() < PLACES {
            let all: Vec<Held> = self.all().copied().collect();
            self.build((self.places.len() * 2).max(8), &all);
        }
        let Some(at) = self.find(new.hash) else { return };
        let place = &mut self.places[at];
        if place.hash != 0 {
            place.requests = place.requests.saturating_add(new.requests);
            // Two clients of one hash are one, and that in any order.
            place.network = place.network.min(new.network);
            return;
        }
        *place = new;
        self.held += 1;
        if self.held * 4 > PLACES * 3 {
            self.thin();
        }
    }

    /// Leaves out all but those that are kept.
    fn thin(&mut self) {
        self.count_all();
        let mut all: Vec<Held> = self.all().copied().collect();
        let (_, last, _) = all.select_nth_unstable_by_key(KEPT - 1, |held| held.hash);
        self.limit = last.hash;
        all.truncate(KEPT);
        self.build(PLACES, &all);
    }

    /// From here on not all are kept, so all are counted; until now all were kept.
    fn count_all(&mut self) {
        if self.many.is_none() {
            let mut many = Many::none();
            self.all().for_each(|held| many.add(held.hash, held.network, held.requests));
            self.many = Some(many);
        }
    }

    /// Lowers the limit to another's.
    fn lower(&mut self, limit: u64) {
        if limit < self.limit {
            self.limit = limit;
            let left: Vec<Held> = self.all().filter(|held| held.hash <= limit).copied().collect();
            self.build(self.places.len(), &left);
        }
    }

    fn build(&mut self, places: usize, all: &[Held]) {
        self.places.clear();
        self.places.reserve_exact(places);
        self.places.resize(places, Held::default());
        self.held = all.len();
        for held in all {
            if let Some(at) = self.find(held.hash) {
                self.places[at] = *held;
            }
        }
    }
}

/// Equal where the same clients are kept, wherever they lie; compare settled ones.
impl PartialEq for Clients {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |clients: &Self| {
            let mut all: Vec<Held> = clients.all().copied().collect();
            all.sort_unstable_by_key(|held| held.hash);
            all
        };
        (self.limit, &self.many) == (other.limit, &other.many) && sorted(self) == sorted(other)
    }
}

impl Many {
    fn none() -> Box<Self> {
        Box::new(Self { counters: [0; COUNTERS], networks: Registers::default() })
    }

    #[inline]
    fn add(&mut self, hash: u64, network: u32, requests: u32) {
        let counter = &mut self.counters[hash as usize % COUNTERS];
        *counter = counter.saturating_add(requests);
        self.networks.add(network);
    }

    fn merge(&mut self, other: &Self) {
        for (counter, others) in self.counters.iter_mut().zip(&other.counters) {
            *counter = counter.saturating_add(*others);
        }
        self.networks.merge(&other.networks);
    }
}
