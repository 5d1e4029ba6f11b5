//! A series as bytes, and back: what is scored after a restart is what would have been scored without it. `sealed.rs`
//! has how one walk serves both ways.

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
use crate::sealed::{self, End, SnapshotError};

/// Changes with the layout, and with any number in `parameters.rs` that old state would not fit.
const VERSION: u8 = 1;

impl Series {
    /// All that it holds, as bytes: at most 4 KB.
    pub fn snapshot(&self) -> Vec<u8> {
        sealed::seal(VERSION, |out| series(&mut self.clone(), out))
    }

    /// The series that these bytes were taken of.
    pub fn restore(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut read = Self::default();
        sealed::open(VERSION, bytes, |input| {
            series(&mut read, input);
            input.check(read.is_sound());
        })?;
        Ok(read)
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
