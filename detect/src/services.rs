//! The services of the process: a bounded, append-only list, so that partial aggregates carry a small number.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// At most so many; what comes after is [`OTHER`].
const SERVICES_MAX: usize = 10_000;
/// Names are cut here.
const NAME_MAX: usize = 128;

/// Requests that name no service.
pub(crate) const UNKNOWN: (&str, ServiceId) = ("unknown", ServiceId(0));
/// Services beyond the bound.
pub(crate) const OTHER: (&str, ServiceId) = ("other", ServiceId(1));

/// A service, by its place in the list of a [`Plan`](crate::Plan). The numbers depend on which record came first, so
/// they decide nothing that is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub(crate) u32);

#[derive(Debug, Default)]
struct Inner {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, ServiceId>,
}

/// The list, shared by workers and shards. Workers keep what they have looked up, so the lock is taken once for each
/// service and worker.
#[derive(Debug)]
pub(crate) struct Services {
    inner: RwLock<Inner>,
    beyond: AtomicU64,
}

impl Default for Services {
    fn default() -> Self {
        let services = Self { inner: RwLock::default(), beyond: AtomicU64::new(0) };
        for (name, id) in [UNKNOWN, OTHER] {
            let given = services.id(name);
            debug_assert_eq!(given, id);
        }
        services
    }
}

/// A service's name as it is kept.
pub(crate) fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_MAX)]
}

impl Services {
    /// The id of this service: [`OTHER`]'s where the list is full.
    pub(crate) fn id(&self, name: &str) -> ServiceId {
        let name = cut(name);
        let full = {
            // Every write leaves the list whole, so a panic elsewhere spoils nothing.
            let held = self.inner.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(id) = held.ids.get(name) {
                return *id;
            }
            held.names.len() >= SERVICES_MAX
        };
        if !full {
            let mut held = self.inner.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(id) = held.ids.get(name) {
                return *id;
            }
            if held.names.len() < SERVICES_MAX {
                // The bound keeps the length within 32 bits.
                let id = ServiceId(held.names.len() as u32);
                let name: Arc<str> = name.into();
                held.names.push(name.clone());
                held.ids.insert(name, id);
                return id;
            }
        }
        self.beyond.fetch_add(1, Ordering::Relaxed);
        OTHER.1
    }

    /// The service's name.
    pub(crate) fn name(&self, id: ServiceId) -> Arc<str> {
        let held = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        held.names.get(id.0 as usize).cloned().unwrap_or_else(|| OTHER.0.into())
    }

    /// How many are told apart.
    pub(crate) fn len(&self) -> usize {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).names.len()
    }

    /// How often a record's service was beyond the bound.
    pub(crate) fn beyond(&self) -> u64 {
        self.beyond.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_beyond_the_bound_are_other_and_counted() {
        let services = Services::default();
        for number in 0..SERVICES_MAX + 5 {
            services.id(&format!("s{number}"));
        }
        assert_eq!(services.len(), SERVICES_MAX);
        // `unknown` and `other` take two places.
        assert_eq!(services.beyond(), 7);
        assert_eq!(services.id("one more"), OTHER.1);
        assert_eq!(&*services.name(services.id("s17")), "s17");
    }
}
