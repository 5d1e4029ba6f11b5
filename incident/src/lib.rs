//! Signals in, transitions out: which incident a fact belongs to, and what it changes there.
//!
//! Identity is a function of data: `fingerprint = H(kind, target)`, `id = H(fingerprint, episode)`. An episode is a
//! maximal run of facts of one fingerprint whose gaps in event time stay within `resolve_after + flap_window`.
//! Everything a replay can touch is joined by minimum or maximum, so folding the same fact twice changes nothing;
//! what people wrote (acknowledgement, manual resolve, notes) no fold of signals ever undoes.

mod command;
mod fingerprint;
mod fold;
mod incident;
mod link;
mod title;
pub mod words;
mod work;

pub use command::{Actor, Command, Refused, can_accept, fold_command};
pub use fingerprint::{Fingerprint, IncidentId};
pub use fold::{Folded, fold_signals, fold_time};
pub use incident::{
    Acknowledgement, Context, Dossier, Incident, Knobs, ParticipantRow, RatePoint, RulePeak, SampleRow,
    ServiceFacts, SignalRow, Status, Step, TimelineEntry, Transition, Untold,
};
pub use link::{Relation, link, linkable};
pub use title::title;
