//! Our own resource samples: `{"kind":"resource","time":…,"workload":…,"cpu_cores":…,…}`. Every metric goes by its name.

use beaconfire_model::Metric;

use super::{Found, number};
use crate::json::Value;
use crate::notes::Notes;
use crate::{Reject, kubernetes};

/// What the record says; and the workload that it names itself.
pub(crate) fn read<'t, N: Notes>(
    object: Value<'t>,
    notes: &mut N,
) -> Result<(Found<'t>, &'t str, &'static str), Reject> {
    let mut found = Found::default();
    let mut named = "";
    for (key, value) in object.entries() {
        if value.is_missing() {
            continue;
        }
        let text = value.scalar().unwrap_or_default();
        match key {
            "workload" => named = text,
            "pod" => found.pod = text,
            "container" => found.container = text,
            "image" => found.image = text,
            "node" => found.node = text,
            "instance" => found.instance = text,
            "part" => found.part = text,
            _ => {}
        }
    }
    for metric in Metric::ALL {
        if let Some(value) = object.get(metric.name()).filter(|value| !value.is_missing()).and_then(number) {
            found.put(metric, value, metric.name());
        }
    }
    let (workload, from) = match named {
        "" => (kubernetes::owner(found.pod), "the owner of pod"),
        named => (named, "workload"),
    };
    if workload.is_empty() {
        notes.fault(|| "`workload` is missing".to_owned());
        return Err(Reject::MissingField);
    }
    if found.measured.is_empty() {
        notes.fault(|| "no measured value: `cpu_cores`, `memory_bytes`, …".to_owned());
        return Err(Reject::MissingField);
    }
    for (name, value) in
        [("pod", found.pod), ("container", found.container), ("image", found.image), ("node", found.node)]
    {
        if !value.is_empty() {
            notes.origin(name, || name.to_owned());
        }
    }
    Ok((found, workload, from))
}
