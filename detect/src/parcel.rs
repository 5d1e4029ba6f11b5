//! What workers send to shards.

use std::sync::Arc;

use beaconfire_model::{Client, EntryId, EventTime, Offset, Severity, Source, Specimen};

use crate::hash::stable;
use crate::services::ServiceId;

/// Always so many, each with its share of the memory, mapped onto however many threads there are: the result does not
/// depend on that number.
pub const VIRTUAL_SHARDS: usize = 64;

/// How far a worker has come in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The source.
    pub source: Source,
    /// The last offset that is in this parcel or an earlier one.
    pub through: Offset,
    /// The largest event time seen, less the entry's lateness.
    pub watermark: EventTime,
    /// Nothing older than this will come.
    pub clearance: EventTime,
    /// Windows that begin at or before this may lack records: reading began behind it.
    pub covers_from: EventTime,
}

/// What a partial is counted under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One client. For rules by prefix too: the shard adds clients up.
    Client(Client),
    /// The service itself.
    Service,
    /// Another field's text, or two texts.
    Text(Arc<str>),
    /// A sensor's rule on a workload.
    Finding {
        /// Where it was found.
        workload: Arc<str>,
        /// The sensor's rule.
        rule: Arc<str>,
    },
}

/// One partial aggregate.
#[derive(Debug, Clone)]
pub struct Partial {
    /// The entry.
    pub entry: EntryId,
    /// The rule, by its place in the plan; `u16::MAX` for findings.
    pub rule: u16,
    /// The service.
    pub service: ServiceId,
    /// Counted under this.
    pub key: Key,
    /// The sub-bucket.
    pub bucket: i64,
    /// Requests, bytes or findings.
    pub count: u64,
    /// For shares: how many of them matched.
    pub matched: u64,
    /// For findings: the worst severity.
    pub severity: Severity,
}

/// The rule number of findings.
pub(crate) const FINDING: u16 = u16::MAX;

/// What one worker sends to one shard thread.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    /// How far the worker has come in each of its sources: in every parcel, so that every shard's time moves.
    pub sources: Vec<Reach>,
    /// Partial aggregates.
    pub partials: Vec<Partial>,
    /// Raw records of clients and workloads that raised.
    pub specimens: Vec<(Key, Specimen)>,
}

/// The virtual shard that owns a key. A client goes where its whole /16 or /48 goes, so that one shard sees a host and
/// its prefix. Stable across versions and processes.
pub(crate) fn shard_of(key: &Key, client: Option<Client>, service: &str) -> usize {
    let hash = match (key, client) {
        (Key::Client(client), _) => stable(&client.shard_key().to_le_bytes()),
        (_, Some(client)) => stable(&client.shard_key().to_le_bytes()),
        (Key::Service, None) => stable(service.as_bytes()),
        (Key::Text(text), None) => stable(text.as_bytes()),
        (Key::Finding { workload, .. }, None) => stable(workload.as_bytes()),
    };
    (hash % VIRTUAL_SHARDS as u64) as usize
}
