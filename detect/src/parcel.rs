//! What workers send to shards.

use std::sync::Arc;

use beaconfire_model::{Client, EntryId, EventTime, Offset, Prefix, Severity, Source, Specimen};

use crate::hash::stable;
use crate::lane::SLOTS;
use crate::services::ServiceId;
use crate::workloads::Gathered;

/// Always so many, each with its share of the memory, mapped onto however many threads there are: the result does not
/// depend on that number.
pub const VIRTUAL_SHARDS: usize = 64;

/// How far a worker has come in one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The source.
    pub source: Source,
    /// The first offset that this worker read of it.
    pub from: Offset,
    /// The last offset that is in this parcel or an earlier one.
    pub through: Offset,
    /// The largest event time seen, less the entry's lateness.
    pub watermark: EventTime,
    /// Nothing older than this will come.
    pub clearance: EventTime,
    /// Windows that begin at or before this may lack records of before `from`.
    pub covers_from: EventTime,
}

/// What is counted under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// One client. In partials of rules by prefix too: the shard adds clients up.
    Client(Client),
    /// A /24 or /48 of clients.
    Prefix(Prefix),
    /// The service itself.
    Service,
    /// Another field's text, or two joined by one space.
    Text(Arc<str>),
    /// A client and another field's text.
    Pair(Arc<Pair>),
    /// A sensor's rule on a workload: the workload, a line feed, the rule.
    Finding(Arc<str>),
}

/// A client and another field, in the order in which the rule names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// The client.
    pub client: Client,
    /// Both as text, joined by one space.
    pub text: Box<str>,
}

impl Key {
    /// The text of keys that are text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Client(_) | Self::Prefix(_) | Self::Service => None,
            Self::Text(text) | Self::Finding(text) => Some(text),
            Self::Pair(pair) => Some(&pair.text),
        }
    }

    /// A finding's workload and rule.
    pub(crate) fn finding(&self) -> Option<(&str, &str)> {
        if let Self::Finding(text) = self { text.split_once('\n') } else { None }
    }

    /// Bytes on the heap, as if the text were not shared.
    pub(crate) fn bytes(&self) -> usize {
        self.text().map_or(0, |text| text.len() + 48)
    }
}

/// One partial aggregate.
#[derive(Debug, Clone)]
pub struct Partial {
    /// The virtual shard that owns it.
    pub shard: u8,
    /// The entry.
    pub entry: EntryId,
    /// Where the records were read, where all were read from one source.
    pub source: Option<Source>,
    /// The shards held these records once, before their source left and came back: they count only where that is
    /// forgotten.
    pub again: bool,
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
    /// For what is counted for the rules of the lane together: which of them, as bits. Then `matched` is bytes.
    pub(crate) lane: u32,
    /// By what values are told apart, of rules that count those.
    pub(crate) values: [u32; SLOTS],
}

/// A raw record of something that has raised.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The virtual shard that owns the key.
    pub shard: u8,
    /// The rule, by its place in the plan; `u16::MAX` for findings.
    pub rule: u16,
    /// The service.
    pub service: ServiceId,
    /// What has raised.
    pub key: Key,
    /// The record.
    pub specimen: Specimen,
}

/// What one worker sends to one shard thread.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    /// What was read of workloads: all of it is the first thread's.
    pub gathered: Gathered,
    /// How far the worker has come in each of its sources: in every parcel, so that every shard's time moves.
    pub sources: Vec<Reach>,
    /// Partial aggregates.
    pub partials: Vec<Partial>,
    /// A few raw records of what has raised.
    pub specimens: Vec<Sample>,
}

/// The virtual shard that owns a key. A client goes where its whole /16 or /48 goes, so that one shard sees a host and
/// its prefix. The same in every version and process.
pub(crate) fn shard_of(key: &Key, service: &str) -> u8 {
    let of_client = |client: Client| stable(&client.shard_key().to_le_bytes());
    let hash = match key {
        Key::Client(client) => of_client(*client),
        Key::Prefix(prefix) => of_client(Client::from_bits(prefix.bits())),
        Key::Pair(pair) => of_client(pair.client),
        Key::Service => stable(service.as_bytes()),
        Key::Text(text) => stable(text.as_bytes()),
        // All rules on one workload go together.
        Key::Finding(_) => stable(key.finding().map_or("", |(workload, _)| workload).as_bytes()),
    };
    (hash % VIRTUAL_SHARDS as u64) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_where_its_clients_are() {
        for text in ["203.0.113.7", "2001:db8:1:2::9"] {
            let client = Client::of(text.parse().unwrap());
            let pair = Pair { client, text: format!("{client} /x").into() };
            let shard = shard_of(&Key::Client(client), "a");
            assert_eq!(shard_of(&Key::Prefix(client.prefix()), "b"), shard);
            assert_eq!(shard_of(&Key::Pair(Arc::new(pair)), "c"), shard);
        }
    }

    /// They may never change: processes of two versions share the work.
    #[test]
    fn shards_are_those_they_always_were() {
        let client = Client::of("203.0.113.7".parse().unwrap());
        assert_eq!(shard_of(&Key::Client(client), ""), 50);
        assert_eq!(shard_of(&Key::Service, "shop"), 63);
    }
}
