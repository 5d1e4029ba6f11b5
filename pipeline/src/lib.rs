//! The machines that are stepped from outside: a [`Worker`] reads a log and combines, shards merge, a [`Keeper`]
//! folds what they found and says when the offsets behind it may be committed, and [`Line`] is all of it in one
//! thread, for replay and for the simulated log of the tests.
//!
//! A barrier makes "durable before committed" true: a worker sends one down the same queues as its parcels, every
//! shard passes it on behind its signals, and the keeper answers it once the transaction that holds those signals is
//! durable. Only a [`Durable`] barrier yields offsets to commit.

mod barrier;
mod keeper;
mod line;
mod offsets;
mod registry;
mod serve;
mod tally;
mod tell;
mod tides;
mod worker;

pub use barrier::{Barrier, Durable, Exchange, Freight, Mark, Report, WorkerId};
pub use keeper::{Changes, Keeper, Policy, Shelf};
pub use line::{Ending, Line, LineKnobs, Survey};
pub use offsets::{Metadata, Rewind};
pub use registry::Registry;
pub use serve::serve;
pub use tally::{Counted, SourceTally, Tally};
pub use tides::{Tide, Tides};
pub use worker::{DeadLetterSink, Host, Known, Worker, WorkerFault, WorkerKnobs};
