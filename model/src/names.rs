//! Small ids for names that come up in every record: topics and the entries of `kafka.topics`.

use std::sync::{Arc, RwLock};

/// One item of `kafka.topics`, by its place in the configuration. Windows and watermarks belong to one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u16);

impl EntryId {
    /// Of no entry: what the process itself has noticed, or heard by other ways than Kafka. Such facts live by the wall
    /// clock.
    pub const OUTSIDE: Self = Self(u16::MAX);
}

/// A topic, by its place in [`Names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u16);

/// The process's one append-only list of topic names; at most 65,535 of them (a pattern cannot match more).
///
/// Cloning shares the list. It is touched when sources come and go, never for each record.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<RwLock<Vec<Arc<str>>>>);

impl Names {
    /// The id of this topic, made where it is new; `None` where the list is full.
    pub fn topic(&self, name: &str) -> Option<TopicId> {
        let known = |names: &[Arc<str>]| names.iter().position(|held| &**held == name);
        let held = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(at) = known(&held) {
            return u16::try_from(at).ok().map(TopicId);
        }
        drop(held);
        let mut held = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let at = known(&held).unwrap_or(held.len());
        let id = u16::try_from(at).ok()?;
        if at == held.len() {
            held.push(name.into());
        }
        Some(TopicId(id))
    }

    /// The topic's name; `unknown` for an id that this list did not make.
    pub fn name(&self, topic: TopicId) -> Arc<str> {
        let held = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        held.get(usize::from(topic.0)).cloned().unwrap_or_else(|| "unknown".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_id() {
        let names = Names::default();
        let shared = names.clone();
        let edge = names.topic("edge").unwrap();
        assert_eq!(shared.topic("edge"), Some(edge));
        assert_ne!(shared.topic("other"), Some(edge));
        assert_eq!(&*names.name(edge), "edge");
    }
}
