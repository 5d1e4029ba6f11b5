//! Requests that a mesh logs more than once: at the gateway, and at the sidecars of both sides, with one request id.
//! Where an entry asks for it, only the copy that is read first counts.
//!
//! Copies come in different partitions, so the list of ids belongs to the process, not to a worker; a worker takes one
//! of its locks for each request of such an entry, and for no other. Members of a group that read different partitions
//! do not know of each other's copies. Which copy counts depends on what is read first, and with it the milliseconds
//! and addresses that one copy has and the other has not: of what is asked for here, only the sums are promised.
//!
//! Ids can be chosen by senders (`X-Request-Id` that a proxy hands on). So an id stands for the same method and path
//! only, and hides [`COPIES_MAX`] records at most, however many come with it.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use beaconfire_model::{EntryId, Offset, Request, Source};
use hashbrown::HashTable;

use crate::hash::Seeded;
use crate::shard::TableCensus;

/// Records that are left out of one id: with the one that counts, gateway and two sidecars.
const COPIES_MAX: usize = 2;
/// Locks, so that workers seldom meet.
const LANES: usize = 16;
/// What one id occupies: a map is at least 7/16 full after it has grown.
const ID_BYTES: usize = (size_of::<Id>() + 1) * 16 / 7;

#[derive(Debug, Clone, Copy)]
struct Id {
    /// Of entry, id, method and path.
    hash: u64,
    /// Where the record stands that counts: it counts again when it is read again.
    place: Place,
    /// Where those stand that were left out, as many as there may be.
    left_out: [Option<Place>; COPIES_MAX],
}

/// Where an event stands, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place(u32);

/// One lock's ids: what came lately, and what came before that. When the young are as many as there may be, the old go.
#[derive(Debug, Default)]
struct Ids {
    young: HashTable<Id>,
    old: HashTable<Id>,
    forgotten: u64,
}

/// The ids that were seen lately, shared by the workers of a process.
#[derive(Debug)]
pub(crate) struct Copies {
    lanes: [Mutex<Ids>; LANES],
    /// Ids of one lane, young or old, at most.
    bound: AtomicUsize,
    seeded: Seeded,
}

impl Copies {
    pub(crate) fn new(seeded: Seeded) -> Self {
        Self { lanes: Default::default(), bound: AtomicUsize::new(0), seeded }
    }

    /// All ids together may occupy so much.
    pub(crate) fn keep_within(&self, bytes: usize) {
        self.bound.store((bytes / ID_BYTES / LANES / 2).max(1), Ordering::Relaxed);
    }

    /// Whether a request is the copy of one that was counted; `event` tells apart what stands in one record. Without an
    /// id it is none.
    pub(crate) fn is_copy(&self, source: Source, offset: Offset, event: u32, request: &Request<'_>) -> bool {
        if request.request_id.is_empty() {
            return false;
        }
        let hash = self.hash(source.entry, request);
        let place = self.place(source, offset, event);
        let same = |id: &Id| id.hash == hash;
        // The high bits choose the lane; the map uses others.
        let lane = (hash >> 32) as usize % LANES;
        // A panic elsewhere leaves at worst one id unknown.
        let mut ids = self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner);
        let Ids { young, old, forgotten } = &mut *ids;
        let held = match young.find_mut(hash, same) {
            Some(held) => Some(held),
            None => old.find_mut(hash, same),
        };
        if let Some(held) = held {
            if held.place == place {
                return false;
            }
            // Read again it is left out again.
            let free = held.left_out.iter().position(|known| known.is_none_or(|known| known == place));
            if let Some(at) = free {
                held.left_out[at] = Some(place);
            }
            return free.is_some();
        }
        if young.len() >= self.bound.load(Ordering::Relaxed).max(1) {
            *forgotten += old.len() as u64;
            old.clear();
            std::mem::swap(young, old);
        }
        young.insert_unique(hash, Id { hash, place, left_out: [None; COPIES_MAX] }, |id| id.hash);
        false
    }

    fn hash(&self, entry: EntryId, request: &Request<'_>) -> u64 {
        let mut state = self.seeded.build_hasher();
        state.write_u64(u64::from(entry.0));
        for text in [request.request_id, request.method, request.path] {
            state.write(text.as_bytes());
        }
        state.finish()
    }

    fn place(&self, source: Source, offset: Offset, event: u32) -> Place {
        let mut state = self.seeded.build_hasher();
        state.write_u64(u64::from(source.topic.0) << 32 | u64::from(source.partition as u32));
        state.write_u64(offset.0 as u64);
        state.write_u64(u64::from(event));
        // Two copies of one id meet in it once in four thousand million.
        Place(state.finish() as u32)
    }

    /// What the list holds.
    pub(crate) fn census(&self) -> TableCensus {
        let mut sum = TableCensus { name: "request_ids", keys: 0, bytes: 0, evictions: 0 };
        for lane in &self.lanes {
            let ids = lane.lock().unwrap_or_else(PoisonError::into_inner);
            sum.keys += (ids.young.len() + ids.old.len()) as u64;
            sum.evictions += ids.forgotten;
        }
        sum.bytes = sum.keys * ID_BYTES as u64;
        sum
    }
}

#[cfg(test)]
mod tests {
    use beaconfire_model::TopicId;

    use super::*;

    fn copies() -> Copies {
        let copies = Copies::new(Seeded::new(1));
        copies.keep_within(1 << 20);
        copies
    }

    fn at(partition: i32) -> Source {
        Source { entry: EntryId(0), topic: TopicId(0), partition }
    }

    fn request<'b>(request_id: &'b str, path: &'b str) -> Request<'b> {
        Request { request_id, path, method: "GET", ..Request::default() }
    }

    #[test]
    fn the_first_copy_counts_and_counts_again_when_it_is_read_again() {
        let copies = copies();
        let one = request("84961386", "/status");
        assert!(!copies.is_copy(at(0), Offset(5), 0, &one));
        assert!(copies.is_copy(at(1), Offset(9), 0, &one), "the other sidecar's, in another partition");
        assert!(!copies.is_copy(at(0), Offset(5), 0, &one), "read again after a rewind");
        assert!(copies.is_copy(at(0), Offset(5), 1, &one), "another event of the same record");
        assert!(
            copies.is_copy(at(1), Offset(9), 0, &one) && copies.is_copy(at(0), Offset(5), 1, &one),
            "again"
        );
        assert!(!copies.is_copy(at(2), Offset(1), 0, &one), "the fourth");
    }

    #[test]
    fn an_id_that_a_sender_chose_hides_two_records_and_no_more() {
        let copies = copies();
        let counted =
            (0..1_000).filter(|offset| !copies.is_copy(at(0), Offset(*offset), 0, &request("x", "/")));
        assert_eq!(counted.count(), 998);
    }

    #[test]
    fn what_differs_in_id_path_or_entry_is_no_copy_nor_what_has_no_id() {
        let copies = copies();
        let mut offset = 0;
        let mut is_copy = |source: Source, id: &str, path: &str| {
            offset += 1;
            copies.is_copy(source, Offset(offset), 0, &request(id, path))
        };
        assert!(!is_copy(at(0), "a", "/x"));
        assert!(!is_copy(at(0), "b", "/x"));
        assert!(!is_copy(at(0), "a", "/y"), "the next hop of the same call");
        assert!(!is_copy(Source { entry: EntryId(1), ..at(0) }, "a", "/x"));
        assert!(!is_copy(at(0), "", "/x"));
        assert!(!is_copy(at(0), "", "/x"));
        assert!(is_copy(at(0), "a", "/x"));
    }

    #[test]
    fn ids_are_kept_within_the_bound_and_the_latest_are_known() {
        let copies = copies();
        let id = |n: i64| format!("id-{n}");
        for n in 0..100_000 {
            assert!(!copies.is_copy(at(0), Offset(n), 0, &request(&id(n), "/")));
        }
        let census = copies.census();
        assert!(census.bytes <= 1 << 20, "{census:?}");
        assert_eq!(census.evictions + census.keys, 100_000);
        let lately =
            (95_000..100_000).filter(|n| copies.is_copy(at(1), Offset(*n), 0, &request(&id(*n), "/")));
        assert_eq!(lately.count(), 5_000);
    }
}
