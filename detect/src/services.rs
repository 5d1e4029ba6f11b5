//! The services of the process: a bounded, append-only list, so that partial aggregates carry a small number.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// At most so many; what comes after is [`OTHER`].
const SERVICES_MAX: usize = 10_000;

/// Requests that name no service.
pub(crate) const UNKNOWN: &str = "unknown";
/// Services beyond the bound.
pub(crate) const OTHER: &str = "other";

/// A service, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub(crate) u32);

#[derive(Debug, Default)]
struct Inner {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, ServiceId>,
    beyond: u64,
}

/// The list, shared by workers and shards.
#[derive(Debug)]
pub(crate) struct Services(RwLock<Inner>);

impl Default for Services {
    fn default() -> Self {
        let services = Self(RwLock::default());
        services.id(UNKNOWN);
        services.id(OTHER);
        services
    }
}

impl Services {
    /// The id of this service. Names are cut at 128 bytes.
    pub(crate) fn id(&self, name: &str) -> ServiceId {
        let name = &name[..name.floor_char_boundary(128)];
        {
            let held = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            if let Some(id) = held.ids.get(name) {
                return *id;
            }
        }
        let mut held = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(id) = held.ids.get(name) {
            return *id;
        }
        if held.names.len() >= SERVICES_MAX {
            held.beyond += 1;
            return ServiceId(1);
        }
        // The bound keeps the length within 32 bits.
        let id = ServiceId(held.names.len() as u32);
        let name: Arc<str> = name.into();
        held.names.push(name.clone());
        held.ids.insert(name, id);
        id
    }

    /// The service's name.
    pub(crate) fn name(&self, id: ServiceId) -> Arc<str> {
        let held = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        held.names.get(id.0 as usize).cloned().unwrap_or_else(|| OTHER.into())
    }

    /// How often a service was beyond the bound.
    pub(crate) fn beyond(&self) -> u64 {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).beyond
    }
}
