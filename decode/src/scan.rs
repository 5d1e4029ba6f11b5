//! Where bytes are: many of them are looked at in one step, without a branch for each, since where the strings of logs
//! end is what nothing can guess.
//!
//! On x86-64 this is SSE2, elsewhere plain code of the same meaning, which the tests compare.

use std::str::Utf8Error;

/// Bytes of one step.
const STEP: usize = 32;

/// Bytes as text. Nearly all of what logs hold is ASCII, which shows in a fraction of the time that all of UTF-8 takes.
#[inline]
#[allow(unsafe_code, reason = "one call, which saves the second look at each byte")]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Utf8Error> {
    if is_ascii(bytes) {
        // SAFETY: what is ASCII is UTF-8.
        Ok(unsafe { std::str::from_utf8_unchecked(bytes) })
    } else {
        std::str::from_utf8(bytes)
    }
}

/// Whether no byte has its highest bit. Nothing is asked before the end, since hardly any text is none: so the compiler
/// makes a few steps of the processor's widest of it.
#[inline(always)]
fn is_ascii(bytes: &[u8]) -> bool {
    let (blocks, _) = bytes.as_chunks::<STEP>();
    // Behind the blocks: what is looked at twice does no harm.
    let Some(last) = bytes.last_chunk::<STEP>() else { return bytes.is_ascii() };
    let mut seen = *last;
    for block in blocks {
        for (seen, byte) in seen.iter_mut().zip(block) {
            *seen |= byte;
        }
    }
    seen.iter().fold(0, |all, byte| all | byte) < 0x80
}

/// Where the first quote or backslash is, at or behind `from`.
#[inline(always)]
pub(crate) fn quote_or_backslash(bytes: &[u8], from: usize) -> Option<usize> {
    find(bytes, from, b'"', b'\\')
}

/// The same where it is hardly ever near.
#[inline(always)]
pub(crate) fn far_quote_or_backslash(bytes: &[u8], from: usize) -> Option<usize> {
    find_in_many(bytes, from, b'"', b'\\')
}

/// Where the first of these bytes is, at or behind `from`.
#[inline(always)]
pub(crate) fn byte(bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    find(bytes, from, byte, byte)
}

/// Up to 32 bytes that are looked for in one place.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: [u8; STEP],
    length: u8,
    /// A bit for each of them.
    all: u32,
}

impl Block {
    /// Bytes at most.
    pub(crate) const BYTES: usize = STEP;

    /// Of these bytes, as far as they fit.
    pub(crate) fn new(of: &[u8]) -> Self {
        let length = of.len().min(STEP);
        let mut bytes = [0; STEP];
        bytes[..length].copy_from_slice(&of[..length]);
        Self { bytes, length: length as u8, all: (0..length).fold(0, |all, at| all | 1 << at) }
    }

    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        usize::from(self.length)
    }

    /// Whether `bytes` has these at `at`.
    #[inline(always)]
    pub(crate) fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(rest) = bytes.get(at..) else { return false };
        match rest.first_chunk() {
            Some(block) => equal(block, &self.bytes) & self.all == self.all,
            None => rest.starts_with(&self.bytes[..self.length()]),
        }
    }
}

/// Where the first byte is that is one of these two, at or behind `from`.
#[inline(always)]
fn find(bytes: &[u8], from: usize, one: u8, other: u8) -> Option<usize> {
    let rest = bytes.get(from..)?;
    // Most strings of logs are not longer than that.
    if let Some(few) = rest.first_chunk() {
        let hits = either_of_few(few, one, other);
        if hits != 0 {
            return Some(from + hits.trailing_zeros() as usize);
        }
    }
    find_in_many(bytes, from, one, other)
}

#[inline(never)]
fn find_in_many(bytes: &[u8], from: usize, one: u8, other: u8) -> Option<usize> {
    let mut at = from;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let hits = either(block, one, other);
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize);
        }
        at += STEP;
    }
    let rest = bytes.get(at..)?;
    let Some(block) = bytes.last_chunk() else {
        let mut block = [0; STEP];
        block[..rest.len()].copy_from_slice(rest);
        let hits = u64::from(either(&block, one, other)) & ((1 << rest.len()) - 1);
        return (hits != 0).then(|| at + hits.trailing_zeros() as usize);
    };
    // The last step again, without what was looked at before.
    let hits = u64::from(either(block, one, other)) >> (STEP - rest.len());
    (hits != 0).then(|| at + hits.trailing_zeros() as usize)
}

/// A bit for each of the first sixteen bytes that is one of these two.
#[inline(always)]
fn either_of_few(few: &[u8; STEP / 2], one: u8, other: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        sse2::either_of_few(few, one, other)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        plain::either(few, one, other)
    }
}

/// A bit for each byte that is one of these two.
#[inline(always)]
fn either(block: &[u8; STEP], one: u8, other: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        sse2::either(block, one, other)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        plain::either(block, one, other)
    }
}

/// A bit for each byte that is the same in both.
#[inline(always)]
fn equal(block: &[u8; STEP], other: &[u8; STEP]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        sse2::equal(block, other)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        plain::equal(block, other)
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    #![allow(unsafe_code, reason = "calls of SSE2, which is part of x86-64")]

    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };

    use super::STEP;

    #[inline(always)]
    pub(super) fn either(block: &[u8; STEP], one: u8, other: u8) -> u32 {
        // SAFETY: the function is safe but for what it needs of the processor: SSE2, which all of this target have.
        unsafe { both_halves(block, one, other) }
    }

    #[inline(always)]
    pub(super) fn equal(block: &[u8; STEP], other: &[u8; STEP]) -> u32 {
        // SAFETY: as above.
        unsafe { equal_halves(block, other) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn equal_halves(block: &[u8; STEP], other: &[u8; STEP]) -> u32 {
        let same = |from| _mm_movemask_epi8(_mm_cmpeq_epi8(half(block, from), half(other, from))) as u32;
        same(0) | same(16) << 16
    }

    #[inline(always)]
    pub(super) fn either_of_few(few: &[u8; STEP / 2], one: u8, other: u8) -> u32 {
        // SAFETY: as above.
        unsafe { hits(half(few, 0), one, other) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn both_halves(block: &[u8; STEP], one: u8, other: u8) -> u32 {
        hits(half(block, 0), one, other) | hits(half(block, 16), one, other) << 16
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn hits(half: __m128i, one: u8, other: u8) -> u32 {
        let is = |byte: u8| _mm_cmpeq_epi8(half, _mm_set1_epi8(byte as i8));
        _mm_movemask_epi8(_mm_or_si128(is(one), is(other))) as u32
    }

    /// The sixteen bytes from here on: the compiler makes one load of it.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn half(block: &[u8], from: usize) -> __m128i {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&block[at..at + 8]);
            i64::from_le_bytes(word)
        };
        _mm_set_epi64x(word(from + 8), word(from))
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod plain {
    use super::STEP;

    pub(super) fn either(block: &[u8], one: u8, other: u8) -> u32 {
        block
            .iter()
            .enumerate()
            .fold(0, |hits, (at, byte)| hits | u32::from(*byte == one || *byte == other) << at)
    }

    pub(super) fn equal(block: &[u8; STEP], other: &[u8; STEP]) -> u32 {
        (0..STEP).fold(0, |hits, at| hits | u32::from(block[at] == other[at]) << at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_and_backslashes_are_found_wherever_they_are() {
        for before in 0..150 {
            for after in (0..6).chain(50..80) {
                for hit in ["\"", "\\", "\"\\", "\\\""] {
                    let text = format!("\"{}{hit}{}", "#".repeat(before), "!".repeat(after));
                    assert_eq!(quote_or_backslash(text.as_bytes(), 1), Some(1 + before), "{text}");
                    assert_eq!(far_quote_or_backslash(text.as_bytes(), 1), Some(1 + before), "{text}");
                    assert_eq!(quote_or_backslash(text.as_bytes(), 0), Some(0), "{text}");
                }
            }
            let text = "]".repeat(before);
            assert_eq!(quote_or_backslash(text.as_bytes(), 0), None);
            assert_eq!(quote_or_backslash(text.as_bytes(), before), None);
            assert_eq!(quote_or_backslash(text.as_bytes(), before + 1), None);
        }
    }

    proptest! {
        #[test]
        fn the_fast_step_is_the_plain_one(block: [u8; STEP], one: u8, other: u8) {
            prop_assert_eq!(either(&block, one, other), plain::either(&block, one, other));
            let few = block.first_chunk().unwrap();
            prop_assert_eq!(either_of_few(few, one, other), plain::either(few, one, other));
            let (one, other) = (block[3], block[30]);
            prop_assert_eq!(either(&block, one, other), plain::either(&block, one, other));
        }

        #[test]
        fn a_block_is_where_its_bytes_are(
            bytes in prop::collection::vec(0u8..3, 0..80),
            of in prop::collection::vec(0u8..3, 0..4),
            length in 0usize..STEP + 1,
        ) {
            for at in 0..90 {
                let rest = bytes.get(at..);
                let meant = rest.is_some_and(|rest| rest.starts_with(&of));
                prop_assert_eq!(Block::new(&of).is_at(&bytes, at), meant);
                let longer = rest.and_then(|rest| rest.get(..length)).unwrap_or(&[7]);
                prop_assert_eq!(Block::new(longer).is_at(&bytes, at), longer != [7]);
            }
            let other: [u8; STEP] = std::array::from_fn(|place| bytes.get(place).copied().unwrap_or_default());
            prop_assert_eq!(equal(&[1; STEP], &other), plain::equal(&[1; STEP], &other));
        }
    }
}
