//! Events in, signals out.
//!
//! A worker's [`Combiner`] folds events into partial aggregates, one count for each (entry, rule, service, key,
//! sub-bucket). A [`Shard`] merges the partials of all workers into its windows and states facts: this rule held of this
//! subject from then until then. Everything here lives in event time; nothing depends on when a record arrives.
//!
//! Windows are rings of 60 sub-buckets with the low estimate: a window that is named by its last bucket holds that
//! bucket and the 59 before it, exactly one window length. So every alert is a true violation, and more than the
//! threshold within 59/60 of the window is always caught; where crowds or values are so many that a part stands for all,
//! what is stated lies three standard errors below the estimate.
//!
//! To begin with, read `run.rs` (what a fact is, and why it may be stated early), then `cell.rs` (one key), `family.rs`
//! (all that is kept of a client), `shard.rs` (all keys) and `tides.rs` (when buckets close). `sieve.rs` has which rules
//! want a request, `lane.rs` what is counted for several of them at once.
//!
//! Of workloads, `workloads/` has the way from record to signal, `resource/` what they used slice by slice, `engine/` who
//! judges it, and [`baseline`] what a series of samples usually does.

mod ahead;
mod ask;
pub mod baseline;
mod cell;
mod combiner;
mod copies;
mod counts;
mod cut;
mod departed;
mod distinct;
pub mod engine;
mod family;
mod field;
mod hash;
mod hosts;
mod keys;
mod lane;
mod newcomer;
mod parcel;
mod pile;
mod plan;
mod resource;
mod ring;
mod rule;
mod run;
mod samples;
mod sealed;
mod services;
mod shard;
mod sieve;
mod statement;
mod survey;
mod table;
mod tides;
mod visits;
mod watch;
mod workloads;

pub use combiner::{Combiner, Seen};
pub use engine::mining::{Knobs as MiningKnobs, Lists as MiningLists};
pub use field::Field;
pub use parcel::{Key, Pair, Parcel, Partial, Reach, Sample, VIRTUAL_SHARDS};
pub use plan::{CapacitySpec, EntrySpec, Plan, PlanSpec, ServiceSpec};
pub use resource::{BadRates, Figures, Flaw, Flaws, RateKnobs, Rates, Usage};
pub use rule::{Count, Override, RuleError, RuleSpec};
pub use services::ServiceId;
pub use shard::{Census, Learning, Shard, ShardKnobs, TableCensus};
pub use survey::Closest;
pub use watch::Watch;
pub use workloads::{Flow, Gathered, Learned, Reading, Sighting};
