//! Wakes the senders: one bell for each integration of each receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_outbox::{Receivers, RowKey};
use tokio::sync::Notify;

/// One integration of one receiver: their names.
pub type Place = (Arc<str>, Arc<str>);

/// The bells. `Clone` shares them.
#[derive(Debug, Clone)]
pub struct Bells(Arc<BTreeMap<Place, Arc<Notify>>>);

impl Bells {
    /// A bell for each integration.
    pub fn of(receivers: &Receivers) -> Self {
        let all = receivers.iter().flat_map(|(receiver, integrations)| {
            integrations
                .iter()
                .map(|integration| ((receiver.clone(), integration.name.clone()), Arc::<Notify>::default()))
        });
        Self(Arc::new(all.collect()))
    }

    /// Rings the bell of a row's integration. One ring is remembered while nobody waits.
    pub fn ring(&self, key: &RowKey) {
        if let Some(bell) = self.0.get(&(key.receiver.clone(), key.integration.clone())) {
            bell.notify_one();
        }
    }

    /// The bell of one integration; a silent one where it is not configured.
    pub fn bell(&self, receiver: &Arc<str>, integration: &Arc<str>) -> Arc<Notify> {
        self.0.get(&(receiver.clone(), integration.clone())).cloned().unwrap_or_default()
    }
}
