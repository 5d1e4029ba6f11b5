//! A series as bytes, and back, bit for bit: what is scored after a restart is what would have been scored without it.
//!
//! One walk over all that a series holds serves both ways, so that writing and reading cannot disagree. Bytes of
//! another version, or damaged ones, are an error: a series then learns anew, which is told, and never half a state.

use std::fmt;

use beaconfire_model::EventTime;

use super::band::Band;
use super::book::Book;
use super::day::Day;
use super::hold::Hold;
use super::local::Local;
use super::parameters::SHAPES;
use super::quiet::Quiet;
use super::series::Series;
use super::spread::Spread;
use super::tail::Tail;

/// Changes with the layout, and with any number in `parameters.rs` that old state would not fit.
const VERSION: u8 = 1;

/// Why bytes are no series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotError {
    /// Another version wrote them.
    Version(u8),
    /// They are cut off, too long, or not what was written.
    Damaged,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "a baseline of version {version}, and this is {VERSION}"),
            Self::Damaged => f.write_str("a damaged baseline"),
        }
    }
}

impl std::error::Error for SnapshotError {}

impl Series {
    /// All that it holds, as bytes: at most 4 KB.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Out(Vec::with_capacity(size_of::<Self>()));
        out.0.push(VERSION);
        series(&mut self.clone(), &mut out);
        let sum = checksum(&out.0);
        out.0.extend(sum);
        out.0
    }

    /// The series that these bytes were taken of.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or(SnapshotError::Damaged)?;
        let (version, state) = body.split_first().ok_or(SnapshotError::Damaged)?;
        if checksum(body) != *sum {
            return Err(SnapshotError::Damaged);
        }
        if *version != VERSION {
            return Err(SnapshotError::Version(*version));
        }
        let mut read = Self::default();
        let mut input = In { left: state, is_short: false };
        series(&mut read, &mut input);
        let whole = input.left.is_empty() && !input.is_short && read.is_sound();
        if whole { Ok(read) } else { Err(SnapshotError::Damaged) }
    }
}

/// FNV-1a: finds damage, not intent.
fn checksum(bytes: &[u8]) -> [u8; 8] {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    sum.to_le_bytes()
}

/// One end of the walk: takes bytes out of values, or puts them in.
trait End {
    fn bytes<const N: usize>(&mut self, value: [u8; N]) -> [u8; N];

    fn f64(&mut self, value: &mut f64) {
        *value = f64::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn f32(&mut self, value: &mut f32) {
        *value = f32::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn u32(&mut self, value: &mut u32) {
        *value = u32::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn i32(&mut self, value: &mut i32) {
        *value = i32::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn i16(&mut self, value: &mut i16) {
        *value = i16::from_le_bytes(self.bytes(value.to_le_bytes()));
    }

    fn u8(&mut self, value: &mut u8) {
        *value = u8::from_le_bytes(self.bytes([*value]));
    }

    fn bool(&mut self, value: &mut bool) {
        let mut byte = u8::from(*value);
        self.u8(&mut byte);
        *value = byte != 0;
    }

    fn time(&mut self, value: &mut Option<EventTime>) {
        let mut is_some = value.is_some();
        self.bool(&mut is_some);
        let millis = value.map_or(0, EventTime::millis);
        let millis = i64::from_le_bytes(self.bytes(millis.to_le_bytes()));
        *value = is_some.then(|| EventTime::from_millis(millis));
    }
}

struct Out(Vec<u8>);

impl End for Out {
    fn bytes<const N: usize>(&mut self, value: [u8; N]) -> [u8; N] {
        self.0.extend(value);
        value
    }
}

struct In<'b> {
    left: &'b [u8],
    is_short: bool,
}

impl End for In<'_> {
    fn bytes<const N: usize>(&mut self, _: [u8; N]) -> [u8; N] {
        let Some((value, left)) = self.left.split_first_chunk::<N>() else {
            self.is_short = true;
            return [0; N];
        };
        self.left = left;
        *value
    }
}

fn series(value: &mut Series, end: &mut impl End) {
    let Series { quiet: q, local: l, seen, count, silence, frozen, first, closed_through } = value;
    end.time(first);
    end.time(closed_through);
    end.u32(seen);
    end.u32(count);
    end.u32(silence);
    end.bool(frozen);
    local(l, end);
    quiet(q, end);
}

fn local(value: &mut Local, end: &mut impl End) {
    let Local { spread: s, far, since, began } = value;
    spread(s, end);
    end.u8(far);
    end.u32(since);
    end.time(began);
}

fn quiet(value: &mut Quiet, end: &mut impl End) {
    let Quiet {
        level,
        short,
        fast,
        recent,
        lively,
        gap,
        residual,
        residuals,
        whole,
        value_band,
        mean_band,
        volatility_band,
        shape_band,
        day: d,
        gap_tail,
        day_tail,
        book: b,
        hold: h,
    } = value;
    for each in [level, recent, lively, gap, residual, whole] {
        spread(each, end);
    }
    end.f64(short);
    end.f64(fast);
    end.u32(residuals);
    for Band { low, high } in [value_band, mean_band, volatility_band, shape_band] {
        end.f64(low);
        end.f64(high);
    }
    let Day { means, visits } = d;
    means.iter_mut().for_each(|mean| end.f64(mean));
    visits.iter_mut().for_each(|visits| end.f32(visits));
    for Tail { bins, weight, mass, highest } in [gap_tail, day_tail] {
        bins.iter_mut().for_each(|bin| end.f32(bin));
        end.f64(weight);
        end.f64(mass);
        end.f64(highest);
    }
    book(b, end);
    let Hold { pressure, line, last, since, began } = h;
    for each in [pressure, line, last] {
        end.f64(each);
    }
    end.u32(since);
    end.time(began);
}

fn book(value: &mut Book, end: &mut impl End) {
    let Book { blocks, hits, ranks, used, last, filled, half, block, mean, variance, distances } = value;
    end.u8(used);
    // Only those that are used: a young series is small. More than there can be is found out as unsound.
    for place in 0..usize::from(*used).min(SHAPES) {
        blocks.iter_mut().for_each(|blocks| end.i16(&mut blocks[place]));
        end.f32(&mut hits[place]);
        end.i32(&mut ranks[place]);
    }
    last.iter_mut().for_each(|block| end.i16(block));
    end.u8(filled);
    let mut is_half = half.is_some();
    end.bool(&mut is_half);
    let mut first = half.unwrap_or(0.0);
    end.f32(&mut first);
    *half = is_half.then_some(first);
    end.i32(block);
    end.f32(mean);
    end.f32(variance);
    end.u32(distances);
}

fn spread(value: &mut Spread, end: &mut impl End) {
    let Spread { mean, variance } = value;
    end.f64(mean);
    end.f64(variance);
}
