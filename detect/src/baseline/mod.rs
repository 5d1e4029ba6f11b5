//! Baselines: what a series usually does, and when it does something else.
//!
//! A [`Series`] takes one value for each event-time slice, in order, and gives a [`Verdict`]. It holds two heads. The
//! quiet one ("band and book") asks whether a sample is outside of everything seen in the last 25,000 samples, in six
//! views; the local one whether it is far from the last 300. Both have a fixed size, know no randomness and no clock,
//! and look at a sample before they learn it.
//!
//! [`Slices`] make those values of samples in any order, and [`Baselines`] hold all series within a bound in bytes, each
//! with how far it has come: a slice that is fed again after a restart changes nothing.
//!
//! To begin with, read `series.rs`, then `quiet.rs` (the six views) and `hold.rs` (when they become an alert). All
//! numbers, and why they are what they are, stand in `parameters.rs`.

mod band;
mod book;
mod day;
mod hold;
mod local;
mod math;
mod metric;
mod parameters;
mod quiet;
mod series;
mod slices;
mod snapshot;
mod spread;
mod table;
mod tail;
mod verdict;

pub use crate::sealed::SnapshotError;
pub use metric::{Gather, Metric};
pub use parameters::{FIRST_DAY, SLICE};
pub use series::Series;
pub use slices::{Amount, Left, Slices, SlicesCensus};
pub use table::{Baselines, BaselinesCensus, Fed, SeriesKey};
pub use verdict::{BadSample, Finding, Judgement, Side, Verdict, View};
