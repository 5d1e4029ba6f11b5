//! `limits`: memory, and how far records may be ahead or late.

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::units::{Size, Span};

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) detect_memory: At<Size>,
    pub(crate) baseline_memory: At<Size>,
    pub(crate) event_skew: At<Span>,
    pub(crate) lateness: At<Span>,
}
