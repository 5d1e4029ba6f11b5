//! An incident in one line, for people.

use crate::Incident;

/// One line that says what is happening to what. A function of the incident's recorded numbers only.
pub fn title(incident: &Incident) -> String {
    format!("{} on {}", incident.kind.name(), incident.target.value)
}
