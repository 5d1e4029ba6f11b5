//! The nouns that every other crate speaks: events as they come in, subjects they are about, signals that
//! detection raises, the two kinds of time, labels with their matchers, and the [`Log`] records come from.
//!
//! Nothing here does IO, reads a clock or knows a wire format. [`EventTime`] comes from data, [`Wall`] is told by
//! the caller, and the two do not mix.

mod event;
mod join;
mod labels;
mod log;
mod matcher;
mod names;
mod resource;
mod runtime;
mod secret;
mod signal;
mod subject;
mod time;
mod untrusted;

pub use event::{Event, ImageScan, Request, TargetForm};
pub use join::{Earliest, Latest, Peak};
pub use labels::Labels;
pub use log::{Assignment, Committed, Log, LogFault, Offset, Record, Source, Start, Turn};
pub use matcher::{Matcher, MatcherError, Matchers, Op, parse_matchers};
pub use names::{EntryId, Names, TopicId};
pub use resource::{Measured, Metric, ResourceSample};
pub use runtime::{RuntimeDetails, RuntimeEvent, RuntimeKind};
pub use secret::Secret;
pub use signal::{Crowd, Evidence, Kind, Participant, Severity, Signal, Specimen};
pub use subject::{Client, Prefix, Subject, SubjectKind};
pub use time::{EventTime, Wall};
pub use untrusted::{Untrusted, escape_slack, is_harmful};
