//! The operator's YAML as types.
//!
//! [`Config::load`] lays the [`Sources`] on one another (compiled-in `default.yaml`, the file, `rules.d/*.yaml` beside
//! it, the environment, flags), reads the result into serde twins of the knobs (`raw/`, one file a section), and
//! converts those to the knobs of the crates that do the work (`meaning/`). What is wrong comes back as
//! [`Complaint`]s: file, line, caret, what is wrong, the nearest known name, how to mend it.
//!
//! Three rules hold throughout. No key is accepted that does nothing: what the documentation names and this version
//! lacks is refused by name (`later`). A secret never shows: not in `Debug`, not in [`Config::redacted`], not in the
//! source line of a complaint. And one load finds as much as it can: first everything about the shape of the text, then
//! everything about its meaning.

mod checks;
mod complain;
mod config;
mod de;
mod judge;
mod later;
mod layers;
mod meaning;
mod node;
mod raw;
#[cfg(test)]
mod tests;
mod units;

pub use complain::{Complaint, Level, Spot, nearest};
pub use config::{Config, Limits, Pipeline, Privacy};
pub use later::FORMATS as LATER_FORMATS;
pub use layers::{Flag, Sources};
pub use meaning::PaceKnobs;

/// A duration as the configuration writes it (`90s`, `10m`, `1h30m`), for flags that take one. Refused in words.
pub fn duration(text: &str) -> Result<std::time::Duration, String> {
    units::Span::parse(text).map(|span| span.duration)
}
