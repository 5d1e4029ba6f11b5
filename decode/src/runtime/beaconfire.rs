//! Our own run-time events: `{"kind":"runtime","time":…,"workload":…,"event":"exec|connect|dns|file|finding",…}`.

use beaconfire_model::RuntimeKind;

use super::{TEXT_BYTES_MAX, Told, clip, severity};
use crate::Reject;
use crate::json::Value;
use crate::notes::Notes;
use crate::pick::{Entries as _, Entry, Picked};

const TIME: usize = 0;
const EVENT: usize = 1;
const WORKLOAD: usize = 2;
const CONTAINER: usize = 3;
const IMAGE: usize = 4;
const PROCESS: usize = 5;
const CMDLINE: usize = 6;
const REMOTE: usize = 7;
const DOMAIN: usize = 8;
const PATH: usize = 9;
const RULE: usize = 10;
const SEVERITY: usize = 11;
const COUNT: usize = 12;

const NAMES: [&str; COUNT] = [
    "time",
    "event",
    "workload",
    "container",
    "image",
    "process",
    "cmdline",
    "remote",
    "domain",
    "path",
    "rule",
    "severity",
];

/// A record's values.
pub(crate) struct Record<'t>(Picked<'t, COUNT>);

impl<'t> Record<'t> {
    pub(crate) fn of(object: Value<'t>) -> Self {
        Self(Picked::from(object.entries(), |key| {
            NAMES.iter().position(|name| *name == key).map(|field| (field, 0))
        }))
    }

    /// Where the record's time is.
    pub(crate) fn time(&self) -> Option<Entry<'t>> {
        self.0.entry(TIME)
    }

    /// What the record tells.
    pub(crate) fn told<N: Notes>(&self, notes: &mut N) -> Result<Told<'t>, Reject> {
        let text = |field: usize| clip(self.0.text(field), TEXT_BYTES_MAX);
        let kind = match text(EVENT) {
            "exec" => RuntimeKind::Exec,
            "connect" => RuntimeKind::Connect,
            "dns" => RuntimeKind::Dns,
            "file" => RuntimeKind::File,
            "finding" => RuntimeKind::Finding,
            "" => return Err(missing("event", notes)),
            _ => {
                notes.fault(|| "`event` is none of exec, connect, dns, file, finding".to_owned());
                return Err(Reject::BadValue);
            }
        };
        let workload = if text(WORKLOAD).is_empty() { text(IMAGE) } else { text(WORKLOAD) };
        if workload.is_empty() {
            return Err(missing("workload", notes));
        }
        if kind == RuntimeKind::Finding && text(RULE).is_empty() {
            return Err(missing("rule", notes));
        }
        for (name, field) in NAMES.into_iter().zip(0..).skip(2) {
            notes.origin(name, || self.0.get(field).map_or(String::new(), |pick| pick.key.to_owned()));
        }
        notes.origin("kind", || "event".to_owned());
        if text(WORKLOAD).is_empty() {
            notes.origin("workload", || "image".to_owned());
        }
        Ok(Told {
            kind,
            workload: workload.into(),
            container: text(CONTAINER),
            image: text(IMAGE).into(),
            process: text(PROCESS),
            cmdline: self.0.text(CMDLINE).into(),
            remote: text(REMOTE).into(),
            domain: text(DOMAIN),
            path: text(PATH),
            rule: text(RULE),
            severity: severity(text(SEVERITY)),
            ..Told::default()
        })
    }
}

fn missing<N: Notes>(field: &str, notes: &mut N) -> Reject {
    notes.fault(|| format!("`{field}` is missing"));
    Reject::MissingField
}
