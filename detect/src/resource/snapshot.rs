//! [`Rates`] as bytes, and back: where counters stand, what holds and which limits are known, so that the first slice
//! after a restart has the figures of an undisturbed run.
//!
//! Values that wait for their slice are not written: their records are behind what is committed and will be read again,
//! and `closed_through` tells which slices those were that need them no more. Bytes of another version, or damaged
//! ones, are refused: rates then begin anew, and never with half a state.

use std::fmt;
use std::time::Duration;

use beaconfire_model::{EventTime, Metric};

use super::counter::Counter;
use super::part::{Part, Series};
use super::usage::Bounds;
use super::{Container, RateKnobs, Rates};

/// Changes with the layout.
const VERSION: u8 = 1;

/// Why bytes are no rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRates {
    /// Another version wrote them.
    Version(u8),
    /// They are cut off, too long, or not what was written.
    Damaged,
}

impl fmt::Display for BadRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "rates of version {version}, and this is {VERSION}"),
            Self::Damaged => f.write_str("damaged rates"),
        }
    }
}

impl std::error::Error for BadRates {}

impl Rates {
    /// All that outlives a restart, as bytes; the same for the same state.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Out(vec![VERSION]);
        out.time(self.closed_through);
        let parts = || {
            self.workloads.iter().flat_map(|(workload, containers)| {
                containers.iter().map(move |(name, container)| (workload, name, container))
            })
        };
        out.count(parts().count());
        for (workload, name, container) in parts() {
            out.text(workload);
            out.text(name);
            for bound in container.bounds.0 {
                out.time(bound.map(|(at, _)| at));
                out.number(bound.map_or(0.0, |(_, value)| value));
            }
            out.count(container.copies.values().map(|parts| parts.len()).sum());
            for (copy, parts) in &container.copies {
                for (name, part) in parts {
                    out.text(copy);
                    out.text(name);
                    out.time(Some(part.taken));
                    out.count(part.series.len());
                    part.series.iter().for_each(|series| out.series(series));
                }
            }
        }
        let sum = checksum(&out.0);
        out.0.extend(sum);
        out.0
    }

    /// The rates that these bytes were taken of.
    ///
    /// # Errors
    ///
    /// Where they are not what was written, or another version wrote them.
    pub fn restore(knobs: RateKnobs, bytes: &[u8]) -> Result<Self, BadRates> {
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or(BadRates::Damaged)?;
        let (version, state) = body.split_first().ok_or(BadRates::Damaged)?;
        if checksum(body) != *sum {
            return Err(BadRates::Damaged);
        }
        if *version != VERSION {
            return Err(BadRates::Version(*version));
        }
        let mut rates = Self::new(knobs);
        let mut input = In(state);
        rates.read(&mut input).filter(|()| input.0.is_empty()).ok_or(BadRates::Damaged)?;
        Ok(rates)
    }

    fn read(&mut self, input: &mut In<'_>) -> Option<()> {
        self.closed_through = input.time()?;
        for _ in 0..input.count()? {
            let (workload, name) = (input.text()?, input.text()?);
            let mut bounds = Bounds::default();
            for bound in &mut bounds.0 {
                let (at, value) = (input.time()?, input.number()?);
                *bound = at.map(|at| (at, value));
            }
            for _ in 0..input.count()? {
                let (copy, part) = (input.text()?, input.text()?);
                let taken = input.time()??;
                let series = (0..input.count()?).map(|_| input.series()).collect::<Option<Vec<Series>>>()?;
                // What there is no longer room for, with a smaller bound, learns anew.
                if let Some(found) = super::part(
                    &mut self.workloads,
                    &mut self.bytes,
                    self.knobs.bytes_max,
                    [workload, name, copy, part],
                ) {
                    let before = found.bytes();
                    *found = Part::of(series, taken);
                    self.bytes += found.bytes() - before;
                }
            }
            let of = self.workloads.get_mut(workload).and_then(|containers| containers.get_mut(name));
            if let Some(Container { bounds: known, .. }) = of {
                *known = bounds;
            }
        }
        Some(())
    }
}

/// FNV-1a: finds damage, not intent.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    sum.to_le_bytes()
}

struct Out(Vec<u8>);

impl Out {
    fn count(&mut self, count: usize) {
        self.0.extend(u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }

    fn number(&mut self, number: f64) {
        self.0.extend(number.to_le_bytes());
    }

    fn time(&mut self, time: Option<EventTime>) {
        self.0.push(u8::from(time.is_some()));
        self.0.extend(time.map_or(0, EventTime::millis).to_le_bytes());
    }

    fn span(&mut self, span: Duration) {
        self.0.extend(u64::try_from(span.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
    }

    fn series(&mut self, series: &Series) {
        // A metric by its name, so that another one more does not shift the rest.
        self.text(series.metric.name());
        self.time(series.counter.map(|counter| counter.at));
        if let Some(Counter { value, period, doubt, .. }) = series.counter {
            self.number(value);
            self.span(period);
            self.time(doubt.map(|(at, _)| at));
            self.number(doubt.map_or(0.0, |(_, value)| value));
        }
        self.number(series.held);
        self.time(series.held_at);
        self.span(series.period);
    }
}

struct In<'b>(&'b [u8]);

impl<'b> In<'b> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, left) = self.0.split_first_chunk::<N>()?;
        self.0 = left;
        Some(*bytes)
    }

    fn count(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = usize::try_from(self.count()?).ok()?;
        let (text, left) = self.0.split_at_checked(length)?;
        self.0 = left;
        std::str::from_utf8(text).ok()
    }

    fn number(&mut self) -> Option<f64> {
        self.bytes().map(f64::from_le_bytes)
    }

    fn time(&mut self) -> Option<Option<EventTime>> {
        let [is_some] = self.bytes()?;
        let millis = self.bytes().map(i64::from_le_bytes)?;
        Some((is_some != 0).then(|| EventTime::from_millis(millis)))
    }

    fn span(&mut self) -> Option<Duration> {
        self.bytes().map(|bytes| Duration::from_millis(u64::from_le_bytes(bytes)))
    }

    fn series(&mut self) -> Option<Series> {
        let name = self.text()?;
        let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name)?;
        let counter = match self.time()? {
            Some(at) => {
                let (value, period) = (self.number()?, self.span()?);
                let (doubt, below) = (self.time()?, self.number()?);
                Some(Counter { at, value, period, doubt: doubt.map(|at| (at, below)) })
            }
            None => None,
        };
        let held = self.number()?;
        Some(Series { metric, counter, held, held_at: self.time()?, fresh: false, period: self.span()? })
    }
}
