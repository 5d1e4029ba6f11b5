//! From the twins to the knobs of the crates that do the work, one file a crate or two. Whatever does not make sense is
//! complained of here, with its place, and something harmless stands in so that the rest can be judged too.

mod channels;
mod guard;
mod heartbeats;
mod hooks;
mod hours;
mod own;
mod quiet;
mod rules;
mod stream;
mod surface;
mod tell;
mod templates;
mod workloads;

pub(crate) use guard::{guard, mode_of, throttle_rules};
pub(crate) use heartbeats::heartbeats;
pub(crate) use quiet::{escalations, quiet};
pub(crate) use rules::plan;
pub(crate) use stream::{Streams, streams};
pub(crate) use surface::{context, http, incidents, limits, pipeline, store};
pub use tell::PaceKnobs;
pub(crate) use tell::{Tell, tell};
pub(crate) use templates::templates;
