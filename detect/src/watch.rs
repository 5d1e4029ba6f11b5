//! The keys that raised, published by shards, so that workers copy a few raw records of exactly those.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use beaconfire_model::{Client, EventTime};

/// At most so many clients are watched; the longest watched goes first.
const WATCHED_MAX: usize = 1_024;

/// Clients that raised.
#[derive(Debug, Default)]
pub struct Watch {
    clients: Mutex<BTreeMap<Client, EventTime>>,
    version: AtomicU64,
}

impl Watch {
    /// Watches a client whose violation was seen at `at`.
    pub(crate) fn add(&self, client: Client, at: EventTime) {
        let mut clients = self.clients.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if clients.insert(client, at).is_some() {
            return;
        }
        if clients.len() > WATCHED_MAX
            && let Some(oldest) =
                clients.iter().min_by_key(|(client, at)| (**at, **client)).map(|(client, _)| *client)
        {
            clients.remove(&oldest);
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The watched clients, where they have changed since `seen`.
    pub(crate) fn changed(&self, seen: &mut u64) -> Option<Vec<Client>> {
        let version = self.version.load(Ordering::Acquire);
        if version == *seen {
            return None;
        }
        *seen = version;
        let clients = self.clients.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        Some(clients.keys().copied().collect())
    }
}
