//! How far sources have come as the store has it: for a group whose offsets Kafka has forgotten, and for partitions that
//! appear in a topic that is being read already.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use beaconfire_model::{EntryId, Names, Source};
use beaconfire_pipeline::Known;
use beaconfire_store::Progress;

/// What the store has said of sources' progress, and what was written since. `Clone` shares it.
#[derive(Debug, Clone, Default)]
pub struct Reached(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    names: Names,
    /// The names of the entries of `kafka.topics`.
    entries: Vec<String>,
    known: RwLock<BTreeMap<(String, i32), (String, Known)>>,
}

impl Reached {
    /// Nothing yet.
    pub fn new(names: Names, entries: Vec<String>) -> Self {
        Self(Arc::new(Inner { names, entries, known: RwLock::default() }))
    }

    /// What is known of one source.
    pub fn of(&self, source: Source) -> Option<Known> {
        let known = self.0.known.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.get(&(self.0.names.name(source.topic).to_string(), source.partition)).map(|(_, known)| *known)
    }

    /// Whether anything of an entry is known.
    fn has(&self, name: &str) -> bool {
        let known = self.0.known.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        known.values().any(|(entry, _)| entry == name)
    }

    /// Takes over what the store says.
    pub fn note(&self, progress: &[Progress]) {
        let mut known = self.0.known.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        for source in progress {
            let said = Known { next: source.next, epoch: source.epoch };
            known.insert((source.topic.clone(), source.partition), (source.entry.clone(), said));
        }
    }
}

/// What workers may ask of the time before them.
#[derive(Debug, Clone)]
pub struct Past {
    reached: Reached,
    /// By entry, whether somebody had read of it when the process began.
    read: Arc<[bool]>,
}

impl Past {
    /// To be made before anything is read.
    pub fn new(reached: &Reached) -> Self {
        let read = reached.0.entries.iter().map(|entry| reached.has(entry)).collect();
        Self { reached: reached.clone(), read }
    }

    /// How far a source has come.
    pub fn of(&self, source: Source) -> Option<Known> {
        self.reached.of(source)
    }

    /// Whether an entry was read before the process began.
    pub fn has(&self, entry: EntryId) -> bool {
        self.read.get(usize::from(entry.0)).copied().unwrap_or(false)
    }
}
