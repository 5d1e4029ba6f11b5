//! Which workloads are being rolled out: copies run that come from another template than those before, by their image or
//! by the name that their ReplicaSet gave them. More copies of the same are no rollout.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use crate::hash::Seeded;

/// Templates of one workload that are told apart in a slice.
const TEMPLATES_MAX: usize = 16;
/// A template of which no copy was seen for so many slices is gone.
const LATELY: i64 = 30;
/// Workloads and slices that are kept.
const WORKLOADS_MAX: usize = 20_000;
const SLICES_MAX: usize = 256;

/// A template, hashed, and the slice in which a copy of it was last seen.
type Template = (u64, i64);

/// Templates of each workload.
#[derive(Debug)]
pub(super) struct Rollouts {
    seen: BTreeMap<i64, BTreeMap<Box<str>, Vec<u64>>>,
    /// What ran lately.
    running: BTreeMap<Box<str>, Vec<Template>>,
    seeded: Seeded,
    /// Copies and workloads that found no room.
    pub(super) full: u64,
}

impl Rollouts {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self { seen: BTreeMap::new(), running: BTreeMap::new(), seeded, full: 0 }
    }

    /// Takes note of a copy; false where one of its template was seen in this slice before.
    pub(super) fn see(&mut self, slice: i64, workload: &str, image: &str, pod: &str) -> bool {
        // The last part of a pod's name is made up for each; a number before it is a job's time.
        let replica_set = pod.rsplit_once('-').map_or("", |(before, _)| before);
        let replica_set = replica_set.trim_end_matches(|c: char| c.is_ascii_digit());
        if image.is_empty() && replica_set.is_empty() {
            return false;
        }
        let template = self.seeded.hash_one((image, replica_set));
        if self.seen.len() >= SLICES_MAX && !self.seen.contains_key(&slice) {
            self.full += 1;
            return true;
        }
        let workloads = self.seen.entry(slice).or_default();
        if !workloads.contains_key(workload) && workloads.len() >= WORKLOADS_MAX {
            self.full += 1;
            return true;
        }
        let templates = workloads.entry(workload.into()).or_default();
        let is_new = !templates.contains(&template);
        if is_new && templates.len() < TEMPLATES_MAX {
            templates.push(template);
        }
        is_new
    }

    /// Whether a workload has copies in this slice of a template that it did not have lately. Slices come in order.
    pub(super) fn began_in(&mut self, slice: i64, workload: &str) -> bool {
        let Some(templates) = self.seen.get_mut(&slice).and_then(|workloads| workloads.remove(workload))
        else {
            return false;
        };
        if !self.running.contains_key(workload) && self.running.len() >= WORKLOADS_MAX {
            self.full += 1;
            return false;
        }
        let first = !self.running.contains_key(workload);
        let running = self.running.entry(workload.into()).or_default();
        let mut began = false;
        for template in templates {
            match running.iter_mut().find(|(held, _)| *held == template) {
                Some((_, last)) => *last = slice,
                None => {
                    began = !first;
                    running.push((template, slice));
                }
            }
        }
        running.sort_unstable_by_key(|(template, last)| (std::cmp::Reverse(*last), *template));
        running.truncate(TEMPLATES_MAX);
        began
    }

    /// Slices before this one are over.
    pub(super) fn forget_before(&mut self, slice: i64) {
        self.seen = self.seen.split_off(&slice);
        let long_ago = slice.saturating_sub(LATELY);
        self.running.retain(|_, running| {
            running.retain(|(_, last)| *last >= long_ago);
            !running.is_empty()
        });
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

    #[test]
    fn two_producers_a_canary_that_is_missed_and_a_job_are_no_rollouts() {
        let mut rollouts = Rollouts::new(Seeded::new(1));
        let mut began = Vec::new();
        for slice in 0..120 {
            rollouts.see(slice, "shop/web", "web:1", "web-5d8f-aaaaa");
            if slice % 2 == 0 {
                // Another producer tells of the same pod without its image.
                rollouts.see(slice, "shop/web", "", "web-5d8f-aaaaa");
            }
            if slice % 7 < 3 {
                rollouts.see(slice, "shop/web", "web:2", "web-77c9-ccccc");
            }
            rollouts.see(slice, "ci/nightly", "ci:1", &format!("nightly-{}-x2x4z", 28_901_234 + slice));
            began
                .extend(["shop/web", "ci/nightly"].into_iter().filter(|name| rollouts.began_in(slice, name)));
            rollouts.forget_before(slice + 1);
        }
        assert_eq!(began, Vec::<&str>::new());
    }

    #[test]
    fn workloads_that_are_gone_leave_their_room() {
        let mut rollouts = Rollouts::new(Seeded::new(1));
        for slice in 0..30_000 {
            let name = format!("ci/job-{slice}");
            rollouts.see(slice, &name, "ci:1", "a-b");
            rollouts.began_in(slice, &name);
            rollouts.forget_before(slice + 1);
        }
        assert!(rollouts.running.len() < 100 && rollouts.full == 0);
    }
}
