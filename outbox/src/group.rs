//! Groups, as a route's `group_by` makes them: the first incident of a group is told at once and by itself; those that
//! join it while it lasts are told together, after `group_wait` and then at most once each `group_interval`.
//!
//! Alertmanager holds the first one back for `group_wait` too. Somebody on call would rather hear of it.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::Labels;

/// Longest name of a group, in bytes.
const NAME_MAX: usize = 400;

/// How a route groups and repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// The labels whose values make a group; `None` where each incident is by itself.
    pub by: Option<Vec<Arc<str>>>,
    /// How long the first followers are gathered.
    pub wait: Duration,
    /// How often a group is told of at most from then on.
    pub interval: Duration,
    /// After how long an incident that is open and that nobody has acknowledged is told again.
    pub repeat: Duration,
}

impl Default for Grouping {
    fn default() -> Self {
        Self {
            by: None,
            wait: Duration::from_secs(10),
            interval: Duration::from_secs(5 * 60),
            repeat: Duration::from_secs(4 * 3_600),
        }
    }
}

impl Grouping {
    /// The group of an incident with these labels.
    pub fn group(&self, labels: &Labels) -> Option<Group> {
        let by = self.by.as_ref()?;
        let group: Labels = by.iter().map(|name| (&**name, labels.get(name))).collect();
        let pairs: Vec<String> = group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let mut name = format!("{{{}}}", pairs.join(", "));
        if name.len() > NAME_MAX {
            // Cut, but still another than that of any other group.
            let end = (0..=NAME_MAX - 20).rev().find(|end| name.is_char_boundary(*end)).unwrap_or_default();
            name.truncate(end);
            name.push_str(&format!("... {:016x}", group.fingerprint()));
        }
        Some(Group { name: name.into(), wait: self.wait, interval: self.interval })
    }
}

/// The group that a row is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its labels, as text: the same for all in it.
    pub name: Arc<str>,
    /// How long the first followers are gathered.
    pub wait: Duration,
    /// How often it is told of at most from then on.
    pub interval: Duration,
}
