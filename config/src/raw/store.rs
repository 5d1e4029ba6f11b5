//! `store`: where incidents are kept, and for how long.

use serde::{Deserialize, Serialize};

use crate::de::At;
use crate::units::Span;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Store {
    pub(crate) url: At<String>,
    pub(crate) retention: At<Span>,
}
