//! Our own resource samples: `{"kind":"resource","time":…,"workload":…,"cpu_cores":…,…}`.

use beaconfire_model::{EventTime, ResourceSample};

use crate::Reject;
use crate::json::Value;
use crate::kubernetes;
use crate::notes::Notes;
use crate::pick::{Entries as _, Entry, Picked};

const TIME: usize = 0;
const WORKLOAD: usize = 1;
const POD: usize = 2;
const CONTAINER: usize = 3;
const IMAGE: usize = 4;
/// The first of the measured values, which come in the order of [`NAMES`].
const MEASURED: usize = 5;
const COUNT: usize = 12;

const NAMES: [&str; COUNT] = [
    "time",
    "workload",
    "pod",
    "container",
    "image",
    "cpu_cores",
    "cpu_limit_cores",
    "memory_bytes",
    "memory_limit_bytes",
    "net_rx_bytes_per_second",
    "net_tx_bytes_per_second",
    "gpu_share",
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

    /// The sample that the record is.
    pub(crate) fn sample<N: Notes>(
        &self,
        time: EventTime,
        notes: &mut N,
    ) -> Result<ResourceSample<'t>, Reject> {
        let pod = self.0.text(POD);
        let workload = match self.0.text(WORKLOAD) {
            "" => kubernetes::owner(pod),
            workload => workload,
        };
        if workload.is_empty() {
            notes.fault(|| "`workload` is missing".to_owned());
            return Err(Reject::MissingField);
        }
        // A measure below zero is how producers say that they have none.
        let [cpu_cores, cpu_limit_cores, memory_bytes, memory_limit_bytes, rx, tx, gpu_share] =
            std::array::from_fn(|at| self.0.float(MEASURED + at).filter(|value| *value >= 0.0));
        if [cpu_cores, memory_bytes, rx, tx, gpu_share].iter().all(Option::is_none) {
            notes.fault(|| "no measured value: `cpu_cores`, `memory_bytes`, …".to_owned());
            return Err(Reject::MissingField);
        }
        for (name, field) in NAMES.into_iter().zip(0..).skip(1) {
            notes.origin(name, || self.0.get(field).map_or(String::new(), |pick| pick.key.to_owned()));
        }
        if self.0.text(WORKLOAD).is_empty() {
            notes.origin("workload", || "the owner of pod".to_owned());
        }
        Ok(ResourceSample {
            time,
            workload,
            pod,
            container: self.0.text(CONTAINER),
            image: self.0.text(IMAGE),
            cpu_cores,
            cpu_limit_cores,
            memory_bytes,
            memory_limit_bytes,
            net_rx_bytes_per_second: rx,
            net_tx_bytes_per_second: tx,
            gpu_share,
        })
    }
}
