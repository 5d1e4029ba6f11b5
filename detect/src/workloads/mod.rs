//! What workloads use and do, and what that means: the half of detection that rules of rate do not see.
//!
//! Workers copy resource samples and what sensors saw ([`gather`]), and count requests by service and slice; all of it
//! goes to the first shard thread, which owns all workloads (there are few of them, and requests of a service explain the
//! CPU of workloads wherever they are). It waits until all entries that are read have closed a slice, so that nothing
//! depends on the order of arrival, and then hands the slice to the engines ([`desk`]). What they find becomes signals
//! ([`facts`]), and what they learn goes to the store and comes back from it ([`kept`], [`usual`]).

mod bounds;
mod crowds;
mod desk;
mod facts;
mod gather;
mod kept;
mod owned;
mod rollouts;
mod used;
mod usual;

pub(crate) use desk::Desk;
pub(crate) use gather::Places;
pub use owned::{Flow, Gathered, Reading, Sighting};
pub use usual::Learned;
