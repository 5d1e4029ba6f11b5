//! What feeds us, and how we are. Plain data: the binary knows these facts, no crate below does.

use serde::{Deserialize, Serialize};

use crate::number;

/// A partition that feeds us.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceJson {
    /// The entry of `kafka.topics`, by name.
    pub entry: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Records seen of each format, most first. They are counted by topic: the first partition that a process reads
    /// of it has them, and those of `rejected` and `late`, so that sums are right.
    pub formats: Vec<FormatCountJson>,
    /// Records rejected, by reason, most first.
    pub rejected: Vec<RejectCountJson>,
    /// A few of them.
    pub rejected_samples: Vec<RejectSampleJson>,
    /// Late records.
    pub late: u64,
    /// The largest event time less the lateness; `null` before the first record.
    pub watermark: Option<String>,
    /// The lateness that is configured.
    #[serde(with = "number")]
    pub lateness_seconds: f64,
    /// The lateness that would have covered 99.9 % of its records.
    #[serde(with = "number")]
    pub disorder_seconds: f64,
    /// Records behind the partition's end; `null` while unknown.
    pub lag_records: Option<u64>,
}

/// So many records of one format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatCountJson {
    /// The format.
    pub format: String,
    /// How many.
    pub records: u64,
}

/// So many records rejected for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectCountJson {
    /// The reason.
    pub reason: String,
    /// How many.
    pub records: u64,
}

/// A record that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectSampleJson {
    /// The reason.
    pub reason: String,
    /// Its offset.
    pub offset: i64,
    /// How it begins, with its query strings redacted as `privacy.query` says; `null` for a tombstone.
    pub payload: Option<String>,
}

/// How we are ourselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusJson {
    /// Our version.
    pub version: String,
    /// The revision it was built from; empty where unknown.
    pub revision: String,
    /// The name of this installation.
    pub installation: String,
    /// Our clock.
    pub now: String,
    /// Since when the process runs.
    pub started_at: String,
    /// When the last record arrived.
    pub last_record_at: Option<String>,
    /// Whether Kafka answers; `null` without Kafka.
    pub kafka_up: Option<bool>,
    /// Records behind the ends of our partitions; `null` while unknown.
    pub lag_records: Option<u64>,
    /// Whether the store takes writes.
    pub store_up: bool,
    /// Each integration of each receiver.
    pub receivers: Vec<ReceiverStateJson>,
    /// When the configuration was loaded.
    pub config_loaded_at: String,
    /// Rules that are not exact with the group's members and topics as they are; `null` while that is not known.
    pub inexact_rules: Option<Vec<InexactRuleJson>>,
    /// The mode of throttling where a rule does not say otherwise.
    pub throttle_mode: String,
    /// What is learned before anything is told of it.
    pub learning: LearningJson,
}

/// Series of what is usual that learn silently.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearningJson {
    /// How many of them there are.
    pub series: u64,
    /// In how many seconds the last of them has learned enough.
    pub seconds_left: u64,
}

/// How one integration of one receiver is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverStateJson {
    /// The receiver.
    pub receiver: String,
    /// The integration within it.
    pub integration: String,
    /// Rows that wait.
    pub pending: u64,
    /// Since when the oldest waits.
    pub oldest_pending_at: Option<String>,
    /// Until when its endpoint is paused.
    pub paused_until: Option<String>,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// A rule that is not exact, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InexactRuleJson {
    /// The rule.
    pub rule: String,
    /// Why.
    pub why: String,
}
