//! The worker's half: copies what the shard must see of samples and sensors, and counts requests by service and slice.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{EntryId, EventTime, Request, ResourceSample, RuntimeEvent};

use super::owned::{Flow, Gathered, Reading, Sighting};
use crate::engine::mining::{self, Knobs};

/// Slices of event time, in which requests are counted and engines are fed.
pub(crate) const SLICE: Duration = Duration::from_mins(1);
/// The same in milliseconds.
pub(crate) const SLICE_MILLIS: i64 = 60_000;

/// The slice that a time lies in.
pub(crate) fn slice_of(time: EventTime) -> i64 {
    time.millis().div_euclid(SLICE_MILLIS)
}

/// When a slice begins.
pub(crate) fn begin_of(slice: i64) -> EventTime {
    EventTime::from_millis(slice.saturating_mul(SLICE_MILLIS))
}

/// So far back the flow of a service is looked for; what is counted twice over is added up in the shard.
const NEAR: usize = 16;

impl Gathered {
    pub(crate) fn sample(&mut self, entry: EntryId, sample: &ResourceSample<'_>) {
        self.readings.push(Reading::of(entry, sample));
    }

    /// Keeps an event that can matter to the mining engine; whether it does.
    pub(crate) fn event(&mut self, knobs: &Knobs, entry: EntryId, event: &RuntimeEvent<'_>) -> bool {
        let sighting = Sighting::of(entry, event);
        let Some(sighting) = sighting.filter(|sighting| mining::tells(&sighting.deed(), &knobs.lists)) else {
            return false;
        };
        self.sightings.push(sighting);
        true
    }

    #[inline]
    pub(crate) fn request(&mut self, entry: EntryId, service: &Arc<str>, request: &Request<'_>) {
        let slice = slice_of(request.time);
        let errors = u64::from(request.status >= 500);
        // Requests come in stretches of one service and slice.
        if let Some(flow) = self.flows.last_mut()
            && flow.slice == slice
            && flow.entry == entry
            && Arc::ptr_eq(&flow.service, service)
        {
            flow.requests += 1;
            flow.errors += errors;
            return;
        }
        self.other(entry, service, slice, errors);
    }

    #[cold]
    fn other(&mut self, entry: EntryId, service: &Arc<str>, slice: i64, errors: u64) {
        let same = |flow: &Flow| flow.slice == slice && flow.entry == entry && *flow.service == **service;
        let far = self.flows.len().saturating_sub(NEAR);
        match self.flows[far..].iter().position(same) {
            Some(at) => {
                let at = far + at;
                let last = self.flows.len() - 1;
                self.flows.swap(at, last);
                self.flows[last].requests += 1;
                self.flows[last].errors += errors;
            }
            None => {
                let service = service.clone();
                self.flows.push(Flow { entry, service, slice, requests: 1, errors });
            }
        }
    }

    /// How much there is, as partials count.
    pub(crate) fn len(&self) -> usize {
        self.readings.len() + self.sightings.len() + self.flows.len()
    }
}
