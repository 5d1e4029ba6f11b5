//! Where bytes are: many of them are looked at in one step, without a branch for each, since where the strings of logs
//! end is what nothing can guess.
//!
//! On x86-64 this is SSE2, elsewhere plain code of the same meaning, which the tests compare.

#[cfg(target_arch = "x86_64")]
mod x86;

use std::str::Utf8Error;

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
    let _ = bytes;
}

/// Bytes as text. Nearly all of what logs hold is ASCII, which shows in a fraction of the time that all of UTF-8 takes.
#[inline]
#[allow(unsafe_code, reason = "one call, which saves the second look at each byte")]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Utf8Error> {
    if with_best(IsAscii(bytes)) {
        // SAFETY: what is ASCII is UTF-8.
        Ok(unsafe { std::str::from_utf8_unchecked(bytes) })
    } else {
        std::str::from_utf8(bytes)
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

/// Up to 31 bytes that are looked for in one place.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: [u8; STEP],
    length: u8,
    /// A bit for each of them.
    all: u32,
    /// Whether the last of them is a quote.
    is_quoted: bool,
}

impl Block {
    /// Bytes at most.
    pub(crate) const BYTES: usize = STEP - 1;

    /// Of these bytes, as far as they fit.
    pub(crate) fn new(of: &[u8]) -> Self {
        let length = of.len().min(Self::BYTES);
        let mut bytes = [0; STEP];
        bytes[..length].copy_from_slice(&of[..length]);
        let is_quoted = of[..length].ends_with(b"\"");
        Self { bytes, length: length as u8, all: (1 << length) - 1, is_quoted }
    }

    #[inline(always)]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Whether `bytes` has these at `at`.
    #[inline(always)]
    pub(crate) fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        let Some(rest) = bytes.get(at..) else { return false };
        match rest.first_chunk() {
            Some(block) => equal(block, &self.bytes) & self.all == self.all,
            // A few bytes at the end: a call to compare them takes longer.
            None => {
                rest.len() >= self.bytes().len()
                    && self.bytes().iter().zip(rest).all(|(one, other)| one == other)
            }
        }
    }

    /// The string that stands behind these, the last of which is its quote, and its end. `None` where they are not at `at`,
    /// where the string has escapes, and near the end of `text`: then whoever looks closer knows more.
    #[inline(always)]
    #[allow(
        unsafe_code,
        reason = "one call, which saves asking at each end whether a character goes on there"
    )]
    pub(crate) fn string<'t>(&self, look: impl Look, text: &'t str, at: usize) -> Option<(&'t str, usize)> {
        let bytes = text.as_bytes();
        let near: &[u8; 2 * STEP] = bytes.get(at..)?.first_chunk()?;
        if look.equal(near.first_chunk()?, &self.bytes) & self.all != self.all || !self.is_quoted {
            return None;
        }
        let length = usize::from(self.length) % STEP;
        let hits = look.either(near[length..].first_chunk()?, b'"', b'\\');
        // All of it is within `bytes`.
        let start = at.wrapping_add(length);
        let end = match hits {
            0 => far_quote_or_backslash(look, bytes, start.wrapping_add(STEP))?,
            _ => start.wrapping_add(hits.trailing_zeros() as usize),
        };
        if *bytes.get(end)? != b'"' {
            return None;
        }
        // SAFETY: `start` is at most `end`, which `get` found within the text. A quote stands before `start`, since these bytes
        // do and end in one, and another at `end`: both are ASCII, so no character goes on at either.
        Some((unsafe { text.get_unchecked(start..end) }, end))
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

    /// Looks for a string in the best way.
    struct Stringing<'t> {
        block: &'t Block,
        text: &'t str,
        at: usize,
    }

    impl<'t> Task for Stringing<'t> {
        type Out = Option<(&'t str, usize)>;

        fn run(self, look: impl Look) -> Self::Out {
            self.block.string(look, self.text, self.at)
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
            prop_assert!(text(&bytes).is_ok() && !has_newline(&bytes));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = 0x80;
                prop_assert!(text(&bytes).is_err() && !has_newline(&bytes));
                bytes[at] = b'\n';
                prop_assert!(text(&bytes).is_ok() && has_newline(&bytes));
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

        #[test]
        fn a_string_ends_where_its_quote_is(text in r#"[a\\"]{1,70}|[aé]{0,80}["\\][aé]{0,80}["\\][aé]{0,80}"#, at in 0usize..80, length in 1usize..STEP) {
            let begins = at + length;
            let bytes = text.as_bytes();
            let block = Block::new(bytes.get(at..begins).unwrap_or(&[7]));
            let is_quoted = begins > 0 && bytes.get(begins - 1) == Some(&b'"');
            let end = quote_or_backslash(bytes, begins).filter(|end| is_quoted && bytes[*end] == b'"');
            let meant = end.map(|end| (&text[begins..end], end));
            let found = block.string(Everywhere, &text, at);
            prop_assert!(found == meant || found.is_none() && bytes.len() < at + 2 * STEP);
            prop_assert_eq!(found, with_best(Stringing { block: &block, text: &text, at }));
        }

        #[test]
        fn a_block_is_where_its_bytes_are(
            bytes in prop::collection::vec(0u8..3, 0..80),
            of in prop::collection::vec(0u8..3, 0..4),
            length in 0usize..STEP,
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
