//! `incidents`: when they end, reopen and go stale.

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::units::Span;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Incidents {
    pub(crate) resolve_after: At<Span>,
    pub(crate) finding_resolve_after: At<Span>,
    pub(crate) flap_window: At<Span>,
    pub(crate) ack_expiry: At<Span>,
    pub(crate) max_age: At<Span>,
}
