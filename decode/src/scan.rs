//! Where bytes are: many of them are looked at in one step, without a branch for each, since where the strings of logs
//! end is what nothing can guess.
//!
//! On x86-64 this is SSE2, and AVX2 for [tasks](Task) where the machine has it, elsewhere plain code of the same meaning.
//! The tests compare them.

mod block;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::str::Utf8Error;

pub(crate) use block::Block;

/// Bytes of the next record that are asked for at most; what comes behind them the processor guesses by itself.
const NEXT_MAX: usize = 512;
/// Bytes of one step.
const STEP: usize = 32;

/// A way to look at many bytes at once.
pub(crate) trait Look: Copy {
    /// A bit for each byte that is one of these two.
    fn either(self, block: &[u8; STEP], one: u8, other: u8) -> u32;
    /// A bit for each byte that is the same in both.
    fn equal(self, block: &[u8; STEP], other: &[u8; STEP]) -> u32;
}

/// The way that goes on every machine of this kind.
#[derive(Clone, Copy)]
pub(crate) struct Everywhere;

impl Look for Everywhere {
    #[inline(always)]
    fn either(self, block: &[u8; STEP], one: u8, other: u8) -> u32 {
        either(block, one, other)
    }

    #[inline(always)]
    fn equal(self, block: &[u8; STEP], other: &[u8; STEP]) -> u32 {
        equal(block, other)
    }
}

/// Work that consists of looking: as it is made for each way to look, the looks are part of it and cost no call.
pub(crate) trait Task {
    /// What comes of it.
    type Out;
    /// Does it. To be of use it is `inline(always)`, and so is most of what it calls.
    fn run(self, look: impl Look) -> Self::Out;
}

/// Does a task in the best way that this machine has.
#[inline(always)]
pub(crate) fn with_best<T: Task>(task: T) -> T::Out {
    #[cfg(target_arch = "x86_64")]
    let task = match x86::with_avx2(task) {
        Ok(out) => return out,
        Err(task) => task,
    };
    task.run(Everywhere)
}

/// Asks for the bytes behind these: consumers hand over the records of a batch as they lie in memory, one behind the
/// other, and while this one is read the next can come. Where something else lies there, that is for nothing.
#[inline(always)]
pub(crate) fn hint_next(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    x86::hint(bytes.as_ptr_range().end, bytes.len().min(NEXT_MAX));
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, NEXT_MAX);
}

/// Bytes as text, and whether it is known by that to be one line. Nearly all of what logs hold is ASCII, which shows in a
/// fraction of the time that all of UTF-8 takes; and what is no JSON is looked through for newlines on the way.
#[inline]
#[allow(unsafe_code, reason = "one call, which saves the second look at each byte")]
pub(crate) fn text(bytes: &[u8]) -> Result<(&str, bool), Utf8Error> {
    let is_line = bytes.first() != Some(&b'{') && with_best(IsPlainLine(bytes));
    if is_line || with_best(IsAscii(bytes)) {
        // SAFETY: what is ASCII is UTF-8.
        Ok((unsafe { std::str::from_utf8_unchecked(bytes) }, is_line))
    } else {
        Ok((std::str::from_utf8(bytes)?, false))
    }
}

/// ASCII without a newline.
struct IsPlainLine<'b>(&'b [u8]);

impl Task for IsPlainLine<'_> {
    type Out = bool;

    #[inline(always)]
    fn run(self, _: impl Look) -> bool {
        !any(self.0, |byte| byte | u8::from(byte == b'\n') << 7)
    }
}

struct IsAscii<'b>(&'b [u8]);

impl Task for IsAscii<'_> {
    type Out = bool;

    #[inline(always)]
    fn run(self, _: impl Look) -> bool {
        !any(self.0, |byte| byte)
    }
}

/// Whether `mark` sets the highest bit of any byte. Nothing is asked before the end, since that is hardly ever so: the
/// compiler makes a few of the processor's widest steps of it.
#[inline(always)]
fn any(bytes: &[u8], mark: impl Fn(u8) -> u8) -> bool {
    let (blocks, _) = bytes.as_chunks::<{ 2 * STEP }>();
    // Behind the blocks: what is looked at twice does no harm.
    let Some(last) = bytes.last_chunk::<{ 2 * STEP }>() else {
        return bytes.iter().any(|byte| mark(*byte) >= 0x80);
    };
    let mut seen = last.map(&mark);
    for block in blocks {
        for (seen, byte) in seen.iter_mut().zip(block) {
            *seen |= mark(*byte);
        }
    }
    seen.iter().fold(0, |all, byte| all | byte) >= 0x80
}

/// Where the first quote or backslash is, at or behind `from`.
#[inline(always)]
pub(crate) fn quote_or_backslash(bytes: &[u8], from: usize) -> Option<usize> {
    find(bytes, from, b'"', b'\\')
}

/// The same where it is hardly ever near.
#[inline(always)]
pub(crate) fn far_quote_or_backslash(look: impl Look, bytes: &[u8], from: usize) -> Option<usize> {
    find_by(look, bytes, from, b'"', b'\\')
}

/// Where the first of these bytes is, at or behind `from`.
#[inline(always)]
pub(crate) fn byte(bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    find(bytes, from, byte, byte)
}

/// The same where it is hardly ever near.
#[inline(always)]
pub(crate) fn far_byte(look: impl Look, bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    find_by(look, bytes, from, byte, byte)
}

/// Whether there is a newline.
#[inline(always)]
pub(crate) fn has_newline(bytes: &[u8]) -> bool {
    with_best(HasNewline(bytes))
}

struct HasNewline<'b>(&'b [u8]);

impl Task for HasNewline<'_> {
    type Out = bool;

    #[inline(always)]
    fn run(self, _: impl Look) -> bool {
        any(self.0, |byte| u8::from(byte == b'\n') << 7)
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
        if rest.len() <= STEP {
            // As many again from the end: what of them was looked at before was none.
            let (before, last) = rest.split_last_chunk()?;
            let hits = either_of_few(last, one, other);
            return (hits != 0).then(|| from + before.len() + hits.trailing_zeros() as usize);
        }
    }
    find_in_many(bytes, from, one, other)
}

#[inline(never)]
fn find_in_many(bytes: &[u8], from: usize, one: u8, other: u8) -> Option<usize> {
    find_by(Everywhere, bytes, from, one, other)
}

#[inline(always)]
fn find_by(look: impl Look, bytes: &[u8], from: usize, one: u8, other: u8) -> Option<usize> {
    let mut at = from;
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let hits = look.either(block, one, other);
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize);
        }
        at += STEP;
    }
    let rest = bytes.get(at..)?;
    let Some(block) = bytes.last_chunk() else {
        let mut block = [0; STEP];
        block[..rest.len()].copy_from_slice(rest);
        let hits = u64::from(look.either(&block, one, other)) & ((1 << rest.len()) - 1);
        return (hits != 0).then(|| at + hits.trailing_zeros() as usize);
    };
    // The last step again, without what was looked at before.
    let hits = u64::from(look.either(block, one, other)) >> (STEP - rest.len());
    (hits != 0).then(|| at + hits.trailing_zeros() as usize)
}

/// A bit for each of the first sixteen bytes that is one of these two.
#[inline(always)]
fn either_of_few(few: &[u8; STEP / 2], one: u8, other: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        x86::either_of_few(few, one, other)
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
        x86::either(block, one, other)
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
        x86::equal(block, other)
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        plain::equal(block, other)
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
                    assert_eq!(
                        far_quote_or_backslash(Everywhere, text.as_bytes(), 1),
                        Some(1 + before),
                        "{text}"
                    );
                    assert_eq!(quote_or_backslash(text.as_bytes(), 0), Some(0), "{text}");
                }
            }
            let text = "]".repeat(before);
            assert_eq!(quote_or_backslash(text.as_bytes(), 0), None);
            assert_eq!(quote_or_backslash(text.as_bytes(), before), None);
            assert_eq!(quote_or_backslash(text.as_bytes(), before + 1), None);
        }
    }

    /// Looks at a block in the best way.
    struct Looking<'b>(&'b [u8; STEP], &'b [u8; STEP], u8, u8);

    impl Task for Looking<'_> {
        type Out = (u32, u32);

        fn run(self, look: impl Look) -> (u32, u32) {
            (look.equal(self.0, self.1), look.either(self.0, self.2, self.3))
        }
    }

    proptest! {
        #[test]
        fn the_best_way_is_the_plain_one(block: [u8; STEP], mut other: [u8; STEP], same: u32, one: u8) {
            for (at, byte) in other.iter_mut().enumerate().filter(|(at, _)| same >> at & 1 == 1) {
                *byte = block[at];
            }
            for (one, two) in [(one, block[31]), (block[0], one)] {
                let meant = (plain::equal(&block, &other), plain::either(&block, one, two));
                prop_assert_eq!(with_best(Looking(&block, &other, one, two)), meant);
            }
        }

        #[test]
        fn marks_are_seen_wherever_they_are(length in 0usize..200, at in 0usize..200) {
            let mut bytes = vec![b'a'; length];
            prop_assert!(text(&bytes).unwrap().1 && !has_newline(&bytes));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = 0x80;
                prop_assert!(text(&bytes).is_err() && !has_newline(&bytes));
                bytes[at] = b'\n';
                prop_assert!(!text(&bytes).unwrap().1 && has_newline(&bytes));
            }
        }

        #[test]
        fn the_fast_step_is_the_plain_one(block: [u8; STEP], one: u8, other: u8) {
            prop_assert_eq!(either(&block, one, other), plain::either(&block, one, other));
            let few = block.first_chunk().unwrap();
            prop_assert_eq!(either_of_few(few, one, other), plain::either(few, one, other));
            let (one, other) = (block[3], block[30]);
            prop_assert_eq!(either(&block, one, other), plain::either(&block, one, other));
        }
    }
}
