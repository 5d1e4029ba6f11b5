//! The public JSON shapes, both ways: the API, the CLI, webhooks and `replay` print the same, and read it back.
//!
//! Shapes are made from the nouns of the crates below (`of`), with every text of a stranger cleaned on the way;
//! whoever shows one still escapes it for the place. Times are RFC 3339 in UTC; numbers that are whole print as
//! integers. Fields print in the order in which they stand here, which is the documented one.

mod decision;
mod incident;
mod ledger;
mod letter;
mod line;
mod number;
mod outbox;
mod privacy;
mod report;
mod signal;
mod silence;
mod state;
mod summary;
#[cfg(test)]
mod tests;

pub use decision::{BouncerDecisionJson, DecisionJson, go_duration};
pub use incident::{
    AcknowledgementJson, IncidentDetailJson, IncidentItemJson, IncidentJson, LinkJson, ParticipantJson,
    PointJson, SampleJson, TargetJson, TimelineJson, techniques,
};
pub use ledger::{DeliveryJson, LedgerJson, NotificationJson, OutboxRowJson};
pub use letter::DeadLetterJson;
pub use line::{Line, ListJson};
pub use outbox::OutboxItemJson;
pub use privacy::{Privacy, Queries, Shown, redact_query};
pub use report::{HighestJson, RuleReportJson};
pub use signal::{IncidentSignalJson, SignalJson};
pub use silence::{SilenceJson, SilencedJson};
pub use state::{
    FormatCountJson, InexactRuleJson, LearningJson, ReceiverStateJson, RejectCountJson, RejectSampleJson,
    SourceJson, StatusJson,
};
pub use summary::SummaryJson;

/// Text that may be a stranger's, harmless to show: at most 1,024 bytes, what cannot be seen made visible.
pub fn clean(text: &str) -> String {
    beaconfire_model::Untrusted::new(text, 1_024).clean().to_owned()
}
