//! Run-time events: what the formats share.

pub(crate) mod beaconfire;
pub(crate) mod falco;

use beaconfire_model::Severity;

/// Bytes of a command line that are kept.
pub(crate) const CMDLINE_BYTES_MAX: usize = 4096;
/// Bytes of any other text of a run-time event that are kept.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// `text`, cut to at most `max` bytes on a character boundary.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// A severity by any sensor's word for it; `None` for a word that we do not know.
pub(crate) fn severity(word: &str) -> Option<Severity> {
    let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    if is(&["emergency", "alert", "critical", "fatal"]) {
        Some(Severity::Critical)
    } else if is(&["error", "high"]) {
        Some(Severity::Error)
    } else if is(&["warning", "warn", "medium"]) {
        Some(Severity::Warning)
    } else if is(&["notice", "informational", "info", "debug", "low"]) {
        Some(Severity::Info)
    } else {
        None
    }
}
