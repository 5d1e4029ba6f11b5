//! Which workloads are being rolled out: copies run that come from another template than those before, by their image or
//! by the name that their ReplicaSet gave them. More copies of the same are no rollout.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use crate::hash::Seeded;

/// Templates of one workload that are told apart in a slice.
const TEMPLATES_MAX: usize = 16;
/// Workloads and slices that are kept.
const WORKLOADS_MAX: usize = 20_000;
const SLICES_MAX: usize = 256;

/// Hashes of templates.
type Templates = Vec<u64>;

/// Templates by slice and workload.
#[derive(Debug)]
pub(super) struct Rollouts {
    seen: BTreeMap<i64, BTreeMap<Box<str>, Templates>>,
    /// Of the last slice in which a workload was seen.
    running: BTreeMap<Box<str>, Templates>,
    seeded: Seeded,
}

impl Rollouts {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self { seen: BTreeMap::new(), running: BTreeMap::new(), seeded }
    }

    /// Takes note of a copy.
    pub(super) fn see(&mut self, slice: i64, workload: &str, image: &str, pod: &str) {
        if image.is_empty() && pod.is_empty() {
            return;
        }
        // The last part of a pod's name is made up for each.
        let replica_set = pod.rsplit_once('-').map_or("", |(before, _)| before);
        let template = self.seeded.hash_one((image, replica_set));
        if self.seen.len() >= SLICES_MAX && !self.seen.contains_key(&slice) {
            return;
        }
        let workloads = self.seen.entry(slice).or_default();
        if !workloads.contains_key(workload) && workloads.len() >= WORKLOADS_MAX {
            return;
        }
        let templates = workloads.entry(workload.into()).or_default();
        if !templates.contains(&template) && templates.len() < TEMPLATES_MAX {
            templates.push(template);
        }
    }

    /// Whether a workload has copies in this slice of a template that it did not have before. Slices come in order.
    pub(super) fn began_in(&mut self, slice: i64, workload: &str) -> bool {
        let Some(templates) = self.seen.get_mut(&slice).and_then(|workloads| workloads.remove(workload))
        else {
            return false;
        };
        let held = self.running.get(workload);
        let began = held.is_some_and(|held| templates.iter().any(|template| !held.contains(template)));
        if held.is_some() || self.running.len() < WORKLOADS_MAX {
            self.running.insert(workload.into(), templates);
        }
        began
    }

    /// Slices before this one are over.
    pub(super) fn forget_before(&mut self, slice: i64) {
        self.seen = self.seen.split_off(&slice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_template_is_a_rollout_and_more_copies_are_none() {
        let mut rollouts = Rollouts::new(Seeded::new(1));
        for (slice, pods, began) in [
            (1, &[("web:1", "web-5d8f-aaaaa")][..], false),
            (2, &[("web:1", "web-5d8f-aaaaa"), ("web:1", "web-5d8f-bbbbb")], false),
            (3, &[("web:1", "web-5d8f-bbbbb"), ("web:2", "web-77c9-ccccc")], true),
            (4, &[("web:2", "web-77c9-ccccc")], false),
            (5, &[("web:2", "web-9999-ddddd")], true),
        ] {
            for (image, pod) in pods {
                rollouts.see(slice, "shop/web", image, pod);
            }
            assert_eq!(rollouts.began_in(slice, "shop/web"), began, "{slice}");
            rollouts.forget_before(slice + 1);
        }
        assert!(!rollouts.began_in(5, "shop/other"));
    }
}
