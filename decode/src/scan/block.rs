//! A few bytes that are looked for in one place, and the string that may stand behind them.

use super::{Look, STEP, equal, far_quote_or_backslash};

/// Up to 31 bytes that are looked for in one place.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: [u8; STEP],
    length: u8,
    /// A bit for each of them.
    all: u32,
    /// Whether the last of them is a quote.
    is_quoted: bool,
    /// How long the string behind them usually is: its bit among those of the bytes there, and all up to it.
    usual: (u8, u32, u32),
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
        Self { bytes, length: length as u8, all: (1 << length) - 1, is_quoted, usual: (0, 1, 0) }
    }

    /// The string behind these is usually so long.
    pub(crate) fn expect(&mut self, length: usize) {
        if length < STEP {
            let bit = 1 << length;
            self.usual = (length as u8, bit, bit | (bit - 1));
        }
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
        let (usual, bit, up_to) = self.usual;
        let end = match hits {
            // Known beforehand, so that what comes next need not wait for where this ends.
            _ if hits & up_to == bit => start.wrapping_add(usize::from(usual)),
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

#[cfg(test)]
mod tests {
    use super::super::{Everywhere, Task, quote_or_backslash, with_best};
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
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
            let mut block = block;
            for length in 0..STEP + 2 {
                block.expect(length);
                prop_assert_eq!(block.string(Everywhere, &text, at), found);
            }
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
        }
    }
}
