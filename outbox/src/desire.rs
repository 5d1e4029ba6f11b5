//! From a transition to the rows it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_incident::{Incident, Transition};
use beaconfire_model::Wall;

use crate::{Integration, Route, Row};

/// The integrations of each receiver, by its name.
pub type Receivers = BTreeMap<Arc<str>, Vec<Integration>>;

/// The rows that `transitions` of `incident` ask for: new ones where routes reach receivers that have none yet,
/// changed ones where the desired state moved. Receivers that saw the open stay, wherever the labels route now, so
/// that they hear of the resolve.
pub fn desire(
    route: &Route,
    receivers: &Receivers,
    incident: &Incident,
    transitions: &[Transition],
    rows: &[Row],
    now: Wall,
) -> Vec<Row> {
    let _ = (route, receivers, incident, transitions, rows, now);
    Vec::new()
}
