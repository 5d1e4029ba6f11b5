//! The worker's half: copies what the shard must see of samples and sensors, and counts requests by service and slice.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{EntryId, EventTime, Request, ResourceSample, RuntimeEvent, RuntimeKind};

use super::owned::{Flow, Gathered, Reading, Sighting};
use crate::engine::mining::{self, DROPPER, Deed, Knobs};
use crate::engine::surge::{Seed, Sketch};
use crate::services::ServiceId;

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

/// Where the flows of a service's last slices lie, which may be elsewhere by now: whoever asks looks.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<u32>);

impl Places {
    #[inline]
    fn of(&mut self, service: ServiceId, slice: i64) -> &mut u32 {
        // Around the turn of a minute two slices take turns.
        let at = service.0 as usize * 2 + (slice & 1) as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, u32::MAX);
        }
        &mut self.0[at]
    }
}

impl Gathered {
    pub(crate) fn sample(&mut self, entry: EntryId, sample: &ResourceSample<'_>) {
        self.readings.push(Reading::of(entry, sample));
    }

    /// Keeps an event that can matter to the mining engine; whether it does.
    pub(crate) fn event(&mut self, knobs: &Knobs, entry: EntryId, event: &RuntimeEvent<'_>) -> bool {
        let tells = |deed: &Deed<'_>| mining::tells(deed, &knobs.lists);
        let before = self.sightings.len();
        self.sightings.extend(Sighting::of(entry, event, tells));
        // Where no metrics tell which images run, the programs they start do.
        let is_miners = event.kind == RuntimeKind::Exec && tells(&Deed::Deploy { image: event.image });
        if is_miners {
            self.sightings.push(Sighting::deploy(entry, event.time, event.workload, event.image));
        }
        self.sightings.len() > before
    }

    /// Counts a request of a service; `places` knows where its slices lie, `draw` whether what it asks for is looked at, where
    /// what requests look like is asked for.
    #[inline]
    pub(crate) fn request(
        &mut self,
        places: &mut Places,
        entry: EntryId,
        (id, service): (ServiceId, &Arc<str>),
        request: &Request<'_>,
        draw: Option<(u64, &Seed)>,
    ) {
        let slice = slice_of(request.time);
        let errors = u64::from(request.status >= 500);
        let droppers = u64::from(request.user_agent == DROPPER);
        let place = places.of(id, slice);
        if let Some(flow) = self.flows.get_mut(*place as usize)
            && flow.slice == slice
            && flow.entry == entry
            && Arc::ptr_eq(&flow.service, service)
        {
            flow.requests += 1;
            flow.errors += errors;
            if let (Some(sketch), Some((draw, seed))) = (&mut flow.sketch, draw) {
                sketch.add(request, draw, seed);
            }
            flow.droppers += droppers;
            return;
        }
        // The combiner is full long before there are so many.
        *place = self.flows.len() as u32;
        let sketch = draw.map(|(draw, seed)| {
            let mut sketch = Box::<Sketch>::default();
            sketch.add(request, draw, seed);
            sketch
        });
        self.flows.push(Flow {
            entry,
            service: service.clone(),
            slice,
            requests: 1,
            errors,
            droppers,
            sketch,
        });
    }

    /// How much there is, as partials count.
    pub(crate) fn len(&self) -> usize {
        self.readings.len() + self.sightings.len() + self.flows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_services_take_turns_each_has_one_flow_a_slice() {
        let mut names = Vec::new();
        for n in 0..200 {
            let name: Arc<str> = format!("s{n}").into();
            names.push((ServiceId(n), name));
        }
        let (mut gathered, mut places) = (Gathered::default(), Places::default());
        for n in 0..20_000u32 {
            let (id, name) = &names[n as usize % 200];
            let time = EventTime::from_millis(1_700_000_000_000 + i64::from(n / 2 % 2) * SLICE_MILLIS);
            let status = if n < 200 { 503 } else { 200 };
            gathered.request(
                &mut places,
                EntryId(0),
                (*id, name),
                &Request { time, status, ..Request::default() },
                None,
            );
        }
        assert!(gathered.flows.len() <= 400);
        assert_eq!(gathered.flows.iter().map(|flow| flow.requests).sum::<u64>(), 20_000);
        assert_eq!(gathered.flows.iter().map(|flow| flow.errors).sum::<u64>(), 200);
        // What was taken leaves places behind that mean nothing any more.
        let _taken = std::mem::take(&mut gathered);
        gathered.request(&mut places, EntryId(1), (names[7].0, &names[7].1), &Request::default(), None);
        assert_eq!((gathered.flows.len(), &*gathered.flows[0].service), (1, "s7"));
    }
}
