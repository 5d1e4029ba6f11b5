//! The book of shapes: how far the last 16 samples are from every shape seen before.
//!
//! Shapes are kept as sixteen-bit numbers: half the memory of singles, and distances are whole numbers that wide
//! registers add up four times as fast and every machine alike.

use super::math::log2;
use super::parameters::{
    CLIP, CLIP_AFTER, SHAPE, SHAPE_DISTANCE, SHAPE_HITS, SHAPE_NEAR, SHAPE_NEW, SHAPE_STEP, SHAPE_USE, SHAPES,
};

/// What one deviation is in a shape. Six of them, the most that is kept, squared and summed, stay within 31 bits.
pub(crate) const ONE: f32 = 1_024.0;
const MOST: f64 = 6.0;
/// Where the two samples of a block differ by more than this from their mean, the further one stands for the block.
const SPIKE: f64 = 1.0;

/// Eight blocks of two samples each, in deviations.
pub(crate) type Shape = [i16; SHAPE];
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Book {
    /// The first blocks of all shapes, then all second ones …: so a wide register holds one block of several shapes.
    pub(crate) blocks: [[i16; SHAPES]; SHAPE],
    /// How often each was hit, decayed by its own hits.
    pub(crate) hits: [f32; SHAPES],
    /// The block at which each was hit last, moved on by the logarithm of its hits: the least is the least useful.
    pub(crate) ranks: [i32; SHAPES],
    pub(crate) used: u8,
    /// The last blocks, the oldest first, and how many there are.
    pub(crate) last: Shape,
    pub(crate) filled: u8,
    /// The first sample of a block whose second is still to come.
    pub(crate) half: Option<f32>,
    /// Blocks so far.
    pub(crate) block: i32,
    /// The usual distance: mean, variance, and of how many.
    pub(crate) mean: f32,
    pub(crate) variance: f32,
    pub(crate) distances: u32,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            blocks: [[0; SHAPES]; SHAPE],
            hits: [0.0; SHAPES],
            ranks: [0; SHAPES],
            used: 0,
            last: [0; SHAPE],
            filled: 0,
            half: None,
            block: 0,
            mean: 0.0,
            variance: 0.0,
            distances: 0,
        }
    }
}

impl Book {
    /// Takes a sample, in deviations from the level. Every second one ends a block; then it tells how far the last
    /// eight blocks are from the nearest shape. Where `learning`, that shape moves near, or a new one is kept.
    pub(crate) fn push(&mut self, deviations: f64, learning: bool) -> Option<f32> {
        let now = deviations.clamp(-MOST, MOST);
        let Some(before) = self.half.take() else {
            self.half = Some(now as f32);
            return None;
        };
        let before = f64::from(before);
        let further = if now.abs() > before.abs() { now } else { before };
        let mean = (before + now) / 2.0;
        let block = if (further - mean).abs() > SPIKE { further } else { mean };
        self.last = appended(self.last, whole(block as f32 * ONE));
        if usize::from(self.filled) + 1 < SHAPE {
            self.filled += 1;
            return None;
        }
        self.filled = SHAPE as u8;
        self.block = self.block.saturating_add(1);
        let Some((nearest, squares)) = self.nearest() else {
            self.keep(0);
            self.used = 1;
            return Some(0.0);
        };
        let distance = (squares as f32 / SHAPE as f32).sqrt() / ONE;
        if learning {
            if distance > (SHAPE_NEW * self.mean).max(SHAPE_NEAR) {
                let place = self.free();
                self.keep(place);
            } else {
                self.move_near(nearest);
            }
            self.learn_distance(distance);
        }
        Some(distance)
    }

    /// The nearest shape, and the sum of squares to it.
    fn nearest(&self) -> Option<(usize, i32)> {
        let used = usize::from(self.used);
        let mut squares = [0i32; SHAPES];
        for (blocks, last) in self.blocks.iter().zip(self.last) {
            for (sum, block) in squares.iter_mut().zip(blocks) {
                // Nothing wraps: 8 * (2 * 6 * 1,024)^2 is below 2^31. Saying so lets it run in wide registers.
                let off = i32::from(block.wrapping_sub(last));
                *sum = sum.wrapping_add(off.wrapping_mul(off));
            }
        }
        squares[used..].fill(i32::MAX);
        let least = least(&squares);
        place_of(&squares, least).filter(|place| *place < used).map(|place| (place, least))
    }

    /// A place for a new shape: a free one, else that of the least useful.
    fn free(&mut self) -> usize {
        let used = usize::from(self.used);
        if used < SHAPES {
            self.used += 1;
            return used;
        }
        let least = least(&self.ranks);
        place_of(&self.ranks, least).unwrap_or_default()
    }

    fn keep(&mut self, place: usize) {
        for (blocks, last) in self.blocks.iter_mut().zip(self.last) {
            blocks[place] = last;
        }
        self.hits[place] = 1.0;
        self.ranks[place] = self.block;
    }

    fn move_near(&mut self, nearest: usize) {
        for (blocks, last) in self.blocks.iter_mut().zip(self.last) {
            let to = &mut blocks[nearest];
            *to += whole((f32::from(last) - f32::from(*to)) * SHAPE_STEP);
        }
        let hits = SHAPE_HITS * self.hits[nearest] + 1.0;
        self.hits[nearest] = hits;
        // hits * e^(-age / 400) orders as 400 ln hits + the block of the last hit.
        let bonus = SHAPE_USE * std::f32::consts::LN_2 * log2(f64::from(hits)) as f32;
        self.ranks[nearest] = self.block.saturating_add(bonus as i32);
    }

    fn learn_distance(&mut self, distance: f32) {
        self.distances = self.distances.saturating_add(1);
        let share = (1.0 / SHAPE_DISTANCE).max(1.0 / self.distances as f32);
        let mut off = distance - self.mean;
        if self.distances > CLIP_AFTER && self.variance > 0.0 {
            let most = CLIP as f32 * self.variance.sqrt();
            off = off.clamp(-most, most);
        }
        self.mean += share * off;
        self.variance = (1.0 - share) * (self.variance + share * off * off);
    }

    pub(crate) fn is_sound(&self) -> bool {
        let within = |blocks: &[i16]| blocks.iter().all(|value| value.unsigned_abs() <= 6_144);
        usize::from(self.used) <= SHAPES
            && usize::from(self.filled) <= SHAPE
            && self.blocks.iter().all(|blocks| within(blocks))
            && within(&self.last)
            && self.hits.iter().all(|hits| (0.0..=2_000.0).contains(hits))
            && self.half.is_none_or(|half| half.abs() <= MOST as f32)
            && self.block >= 0
            && (0.0..=12.0).contains(&self.mean)
            && (0.0..=144.0).contains(&self.variance)
    }
}

/// The nearest whole number. `round` is a call into C where the processor is not known to have it.
fn whole(value: f32) -> i16 {
    (value + 0.5_f32.copysign(value)) as i16
}

/// The least of all, eight side by side.
fn least(values: &[i32; SHAPES]) -> i32 {
    let mut lanes = [i32::MAX; 8];
    for chunk in values.as_chunks::<8>().0 {
        for (least, value) in lanes.iter_mut().zip(chunk) {
            *least = (*least).min(*value);
        }
    }
    lanes.into_iter().fold(i32::MAX, i32::min)
}

/// The first place of a value.
fn place_of(values: &[i32; SHAPES], value: i32) -> Option<usize> {
    let (chunks, _) = values.as_chunks::<8>();
    let has = |chunk: &[i32; 8]| chunk.iter().fold(false, |has, each| has | (*each == value));
    let chunk = chunks.iter().position(has)?;
    chunks[chunk].iter().position(|each| *each == value).map(|lane| chunk * 8 + lane)
}

/// The last blocks with one more, without the oldest.
fn appended(last: Shape, block: i16) -> Shape {
    let [_, b, c, d, e, f, g, h] = last;
    [b, c, d, e, f, g, h, block]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: u32) -> f64 {
        f64::from(n % 16) / 4.0 - 2.0
    }

    #[test]
    fn a_shape_that_came_often_is_near_and_one_that_never_did_is_far() {
        let mut book = Book::default();
        let distances: Vec<f32> = (0..4_000).filter_map(|n| book.push(wave(n), true)).collect();
        assert_eq!(distances.len(), 2_000 - 7, "a block has two samples, a shape eight blocks");
        assert!(distances[1_000..].iter().all(|distance| *distance < 0.1));
        let flat: Vec<f32> = (0..16).filter_map(|_| book.push(0.3, true)).collect();
        assert!(flat.iter().any(|distance| *distance > 0.5), "{flat:?}");
    }

    #[test]
    fn the_least_useful_shape_makes_room() {
        let mut book = Book::default();
        for n in 0..2_000 {
            book.push(wave(n), true);
        }
        let shape = |book: &Book, place: usize| book.blocks.map(|blocks| blocks[place]);
        let often: Vec<Shape> = (0..usize::from(book.used)).map(|place| shape(&book, place)).collect();
        // Noise that never comes again, far apart.
        let mut state = 1u32;
        for _ in 0..200 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            book.push(f64::from(state >> 16) / 6_000.0 - 5.5, true);
        }
        assert_eq!(usize::from(book.used), SHAPES);
        let kept: Vec<Shape> = (0..SHAPES).map(|place| shape(&book, place)).collect();
        assert!(often.iter().filter(|shape| kept.contains(shape)).count() >= often.len() / 2);
        assert!(book.is_sound());
    }

    #[test]
    fn where_nothing_is_learned_nothing_but_the_last_samples_changes() {
        let mut book = Book::default();
        for n in 0..500 {
            book.push(wave(n), true);
        }
        let before = book.clone();
        for _ in 0..100 {
            book.push(5.0, false);
        }
        assert_eq!((book.blocks, book.used, book.mean), (before.blocks, before.used, before.mean));
        assert_ne!(book.last, before.last);
    }
}
