//! Fallbacks: a page that its receiver has not taken in time goes to another one as well. The first is still told,
//! when it can be.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::Status;
use beaconfire_model::Wall;

use crate::desire::made;
use crate::{Fate, Integration, Lane, Row, RowKey};

/// How long a page waits for its own receiver.
pub const FALLS_BACK_AFTER: Duration = Duration::from_secs(30);

/// How long one that is held for a digest does: the next message of a storm may be half a minute away.
pub const FALLS_BACK_FROM_DIGEST_AFTER: Duration = Duration::from_secs(60);

/// Whom to tell in a receiver's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// The receiver.
    pub receiver: Arc<str>,
    /// Its integrations.
    pub integrations: Vec<Integration>,
}

impl Fallback {
    /// Whether this page has waited long enough: nobody has heard of it, it still holds, and it is a dead letter, or
    /// its endpoint takes nothing (`broken`), or it is late.
    pub fn is_due(&self, row: &Row, broken: bool, now: Wall) -> bool {
        if row.told.is_some() || row.lane != Lane::Page || row.desired.status != Status::Open {
            return false;
        }
        let waited = now.since(row.waiting_since);
        match row.fate {
            Fate::Dead => true,
            Fate::Pending => broken || waited >= FALLS_BACK_AFTER,
            Fate::Held(_) => broken || waited >= FALLS_BACK_FROM_DIGEST_AFTER,
            Fate::Delivered | Fate::InDigest(_) | Fate::Suppressed(_) => false,
        }
    }

    /// The rows that tell it in `row`'s place. Those of them that there are already stay as they are.
    pub fn rows(&self, row: &Row, now: Wall) -> Vec<Row> {
        let instead = |integration: &Integration| {
            let key = RowKey {
                incident: row.key.incident.clone(),
                receiver: self.receiver.clone(),
                integration: integration.name.clone(),
            };
            let via = Some(row.key.receiver.clone());
            Row {
                via,
                repeat: row.repeat,
                ..made(key, integration.send_resolved, row.desired, false, None, now)
            }
        };
        self.integrations.iter().map(instead).collect()
    }
}
