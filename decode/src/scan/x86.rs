//! What x86-64 does by itself: SSE2, which all of them have, and AVX2 where this one has it.
#![allow(unsafe_code, reason = "calls of SSE2 and AVX2")]

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_cmpeq_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_prefetch,
    _mm_set_epi64x, _mm_set1_epi8, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8,
};

use super::{Look, STEP, Task};

/// Bytes that come from memory together.
const LINE: usize = 64;

/// Asks for so many bytes behind `end`, which the line with the last byte of what comes before has begun.
#[inline(always)]
pub(super) fn hint(end: *const u8, bytes: usize) {
    for line in 0..bytes / LINE {
        // SAFETY: it reads nothing: whatever the address, nothing happens that the program could see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(end.wrapping_add((line + 1) * LINE).cast()) };
    }
}

/// Does a task with AVX2, if there is any.
#[inline(always)]
pub(super) fn with_avx2<T: Task>(task: T) -> Result<T::Out, T> {
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has it, which is all that the function needs.
        Ok(unsafe { run(task) })
    } else {
        Err(task)
    }
}

#[target_feature(enable = "avx2")]
fn run<T: Task>(task: T) -> T::Out {
    task.run(Avx2(()))
}

/// Looks with AVX2. Nobody but [`run`] makes one, so there is AVX2 where one is.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Look for Avx2 {
    #[inline(always)]
    fn either(self, block: &[u8; STEP], one: u8, other: u8) -> u32 {
        // SAFETY: there is an `Avx2`, so the processor has what the function needs.
        unsafe { either_at_once(block, one, other) }
    }

    #[inline(always)]
    fn equal(self, block: &[u8; STEP], other: &[u8; STEP]) -> u32 {
        // SAFETY: as above.
        unsafe { equal_at_once(block, other) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn either_at_once(block: &[u8; STEP], one: u8, other: u8) -> u32 {
    let block = whole(block);
    let is = |byte: u8| _mm256_cmpeq_epi8(block, _mm256_set1_epi8(byte as i8));
    _mm256_movemask_epi8(_mm256_or_si256(is(one), is(other))) as u32
}

#[inline]
#[target_feature(enable = "avx2")]
fn equal_at_once(block: &[u8; STEP], other: &[u8; STEP]) -> u32 {
    _mm256_movemask_epi8(_mm256_cmpeq_epi8(whole(block), whole(other))) as u32
}

#[inline]
#[target_feature(enable = "avx2")]
fn whole(block: &[u8; STEP]) -> __m256i {
    // SAFETY: it reads as many bytes as a block has, wherever they begin.
    unsafe { _mm256_loadu_si256(block.as_ptr().cast()) }
}

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
