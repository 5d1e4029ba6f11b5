//! JSON of the operator's own: where its fields are, by their canonical names.

use super::Fields;
use super::slot::*;
use crate::envelope::otel;
use crate::json::Value;
use crate::path::{DOTS_MAX, find};
use crate::pick::Offers as _;

/// Canonical names, and the fields they stand for.
const NAMES: [(&str, usize); 18] = [
    ("time", TIME),
    ("client", PEER),
    ("forwarded_for", FORWARDED),
    ("service", SERVICE),
    ("method", METHOD),
    ("host", HOST),
    ("path", PATH),
    ("query", QUERY),
    ("request", LINE),
    ("http_version", VERSION),
    ("status", STATUS),
    ("bytes_sent", BYTES),
    ("duration_seconds", DURATION),
    ("duration_ms", DURATION),
    ("duration_us", DURATION),
    ("duration_ns", DURATION),
    ("user_agent", AGENT),
    ("request_id", ID),
];

/// Where a record has which field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldPaths {
    paths: Vec<(usize, String)>,
    nanos: Option<u32>,
}

/// Why a field cannot be read from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFieldPath {
    /// There is no field of this name.
    Name,
    /// The path is empty or has more than eight dots.
    Path,
    /// The duration is given twice.
    Twice,
}

impl FieldPaths {
    /// The names of fields.
    pub const NAMES: [&str; NAMES.len()] = {
        let mut names = [""; NAMES.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = NAMES[at].0;
            at += 1;
        }
        names
    };

    /// Reads the field `name` at `path`: keys with dots between them, which may be nested or one.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn add(&mut self, name: &str, path: &str) -> Result<(), BadFieldPath> {
        let (_, slot) = NAMES.into_iter().find(|(known, _)| *known == name).ok_or(BadFieldPath::Name)?;
        if path.is_empty() || path.matches('.').count() > DOTS_MAX {
            return Err(BadFieldPath::Path);
        }
        if self.paths.iter().any(|(other, _)| *other == slot) {
            return Err(BadFieldPath::Twice);
        }
        if slot == DURATION {
            self.nanos = match name {
                "duration_ms" => Some(1_000_000),
                "duration_us" => Some(1000),
                "duration_ns" => Some(1),
                _ => None,
            };
        }
        self.paths.push((slot, path.to_owned()));
        Ok(())
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether these name what was asked or answered; without it no record would be a request.
    pub fn is_request(&self) -> bool {
        self.paths.iter().any(|(slot, _)| [PATH, LINE, STATUS].contains(slot))
    }

    /// The keys, in one piece or as they stand in nested objects, under which such a record holds its query string.
    pub fn query_keys(&self) -> impl Iterator<Item = &str> {
        let paths = self.paths.iter().filter(|(slot, _)| *slot == QUERY).map(|(_, path)| path.as_str());
        paths
            .map(without_numbers)
            .flat_map(|path| path.match_indices('.').map(|(at, _)| &path[at + 1..]).chain([path]))
    }

    /// The values of an object, if it is one of these: if it has what was asked or answered.
    pub(crate) fn of<'t>(&'t self, object: Value<'t>) -> Option<Fields<'t>> {
        self.from(|path| find(object, path))
    }

    /// The same of OpenTelemetry's attributes, a list of pairs.
    pub(crate) fn of_attributes<'t>(&'t self, list: Value<'t>) -> Option<Fields<'t>> {
        self.from(|path| attribute(list, path))
    }

    fn from<'t>(&'t self, find: impl Fn(&str) -> Option<Value<'t>>) -> Option<Fields<'t>> {
        if self.paths.is_empty() {
            return None;
        }
        let mut fields = Fields::none();
        for (slot, path) in &self.paths {
            if let Some(value) = find(path) {
                fields.offer(*slot, 0, path, value);
            }
        }
        [PATH, LINE, STATUS].into_iter().any(|slot| fields.get(slot).is_some()).then_some(fields)
    }

    /// How many microseconds the unit of the duration has.
    pub(crate) fn unit_micros(&self) -> f64 {
        self.nanos.map_or(1e6, |nanos| f64::from(nanos) / 1e3)
    }
}

/// The value at `path` among attributes: under a key of this name, or of its beginning, with a map behind it.
fn attribute<'t>(list: Value<'t>, path: &str) -> Option<Value<'t>> {
    if let Some((_, value)) = otel::pairs(list).find(|(key, _)| *key == path) {
        return Some(value);
    }
    path.match_indices('.').take(DOTS_MAX).find_map(|(at, _)| {
        let (_, map) = otel::pairs(list).find(|(key, _)| *key == &path[..at])?;
        attribute(map.get("values")?, &path[at + 1..])
    })
}

/// A path without the numbers of an array's items at its end, which have no keys.
fn without_numbers(path: &str) -> &str {
    match path.rsplit_once('.') {
        Some((before, last)) if last.bytes().all(|byte| byte.is_ascii_digit()) => without_numbers(before),
        _ => path,
    }
}
