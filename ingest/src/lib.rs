//! Where records come from, and where those go that nobody could read.
//!
//! - [`KafkaLog`]: one member of the consumer group, read in batches straight from librdkafka's partition queues.
//! - [`FileLog`]: files and stdin, plain, gzip or zstd, for `replay`.
//! - [`DeadLetters`]: what did not decode, sampled for people and sent to a topic where one is configured.
//! - [`Broker`] and [`Producer`]: a Kafka in this process and the records for it, for `demo` and tests.
//!
//! Both logs implement [`beaconfire_model::Log`]: one thread owns one log and keeps polling it. The map of one
//! Kafka member: `settings` makes its configuration, `rebalance` notes what the group protocol asks for, `lookup`
//! asks the broker what is known of a partition, `member` answers for all of it; `reader` takes records in turn, and
//! `drain` (the one module with `unsafe` code) borrows them from librdkafka.

mod broker;
mod dead;
mod drain;
mod file;
mod kafka;
mod lookup;
mod member;
mod metrics;
mod produce;
mod reader;
mod rebalance;
mod settings;
mod stats;

pub use broker::Broker;
pub use dead::{DeadLetter, DeadLetters, Sample};
pub use file::{FileInput, FileLog, FileSource};
pub use kafka::KafkaLog;
pub use metrics::Metrics;
pub use produce::{Produced, Producer};
pub use settings::{KafkaKnobs, StartAt, TopicKnobs, TopicSelect, refused_property};
