//! Whether the store takes what we write. The keeper says so, since everything that must survive goes through it;
//! `store_up` and the direct page ask here; `/readyz` does not, since what can be read can be served.

use std::sync::Arc;

use beaconfire_model::{Untrusted, Wall};
use tokio::sync::watch;

/// Longest text of what the store said, in bytes.
const SAID_MAX: usize = 500;

/// The store does not take what we write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Since when.
    pub since: Wall,
    /// What it said last.
    pub said: String,
}

/// The store's health. `Clone` shares it.
#[derive(Debug, Clone)]
pub struct Health(Arc<watch::Sender<Option<Outage>>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl Health {
    /// The store failed; the outage began with the first failure in a row.
    pub fn down(&self, said: &str, now: Wall) {
        let said = Untrusted::new(said, SAID_MAX).clean().to_owned();
        self.0.send_if_modified(|outage| match outage {
            Some(outage) => {
                outage.said = said;
                false
            }
            None => {
                tracing::error!(%said, "the store does not take what we write: offsets stay, reading pauses");
                *outage = Some(Outage { since: now, said });
                true
            }
        });
    }

    /// The store took what was written.
    pub fn up(&self) {
        self.0.send_if_modified(|outage| {
            let ended = outage.take();
            if let Some(outage) = &ended {
                tracing::info!(since = %outage.since, "the store takes what we write again");
            }
            ended.is_some()
        });
    }

    /// The outage that lasts, if one does.
    pub fn outage(&self) -> Option<Outage> {
        self.0.borrow().clone()
    }

    /// Wakes when an outage begins or ends.
    pub fn watch(&self) -> watch::Receiver<Option<Outage>> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_with_its_first_failure_and_ends_with_a_success() {
        let health = Health::default();
        let mut watch = health.watch();
        health.up();
        assert!(!watch.has_changed().unwrap());
        health.down("database is locked", Wall::from_millis(1_000));
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        health.down("disk is full", Wall::from_millis(2_000));
        assert!(!watch.has_changed().unwrap(), "the same outage");
        let outage = health.outage().unwrap();
        assert_eq!((outage.since, outage.said.as_str()), (Wall::from_millis(1_000), "disk is full"));
        health.up();
        assert!(watch.has_changed().unwrap() && health.outage().is_none());
    }
}
