//! One step through a record: bytes that are the same each time, and the value behind them.

use crate::scan::{Block, Look, quote_or_backslash};

/// What stands behind a step's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// More bytes that are the same each time, or the end.
    Nothing,
    /// A string.
    Text,
    /// A string that is a request line: what kind of record it is depends on that.
    Line,
    /// A number.
    Number,
    /// Any value that holds no others.
    Any,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Step {
    before: Block,
    /// Whether the last of these bytes is the quote before a string. One that may be another value too has it as well,
    /// as it mostly is a string again.
    is_quoted: bool,
    /// Whether what is behind it may be any string.
    is_string: bool,
    holds: Holds,
    /// What the value stands for; `NOBODY` where nobody looks at it. Where somebody does, escapes in it are not for us.
    pub(super) offer: u8,
    /// The field of that.
    pub(super) field: u8,
    /// Whether several values may stand for the field.
    pub(super) has_rivals: bool,
}

/// No offer.
pub(super) const NOBODY: u8 = u8::MAX;

impl Step {
    /// Bytes that fit into a step.
    pub(super) const BYTES_MAX: usize = Block::BYTES;

    /// `before` ends in a string's quote if it `is_quoted`.
    pub(super) fn new(before: &[u8], is_quoted: bool, holds: Holds) -> Self {
        let before = Block::new(before);
        let is_string = is_quoted && holds != Holds::Line;
        Self { before, is_quoted, is_string, holds, offer: NOBODY, field: NOBODY, has_rivals: false }
    }

    /// The value is usually so long.
    pub(super) fn expect(&mut self, length: usize) {
        self.before.expect(length);
    }

    /// The value (a string's text without its quotes, nothing for null), and the place behind it, if all is as it should be
    /// from `at` on.
    #[inline(always)]
    pub(super) fn take<'t>(&self, look: impl Look, text: &'t str, at: usize) -> Option<(&'t str, usize)> {
        // Most are strings without escapes.
        if self.is_string
            && let Some((value, end)) = self.before.string(look, text, at)
        {
            // Its quote is a byte of the text.
            return Some((value, end.wrapping_add(1)));
        }
        if self.holds == Holds::Nothing {
            return self
                .before
                .is_at(text.as_bytes(), at)
                .then_some(("", at.wrapping_add(self.before.bytes().len())));
        }
        let (start, end, next) = self.take_other(text.as_bytes(), at)?;
        Some((text.get(start..end)?, next))
    }

    /// What is no plain string.
    ///
    /// Its beginning and end (both 0 for null), and the place behind it.
    #[inline(never)]
    fn take_other(&self, bytes: &[u8], at: usize) -> Option<(usize, usize, usize)> {
        let at = self.begin(bytes, at)?;
        match bytes.get(at)? {
            b'"' if self.holds != Holds::Number => {
                let mut end = quote_or_backslash(bytes, at + 1)?;
                while bytes[end] == b'\\' {
                    if self.offer != NOBODY || self.holds == Holds::Line {
                        return None;
                    }
                    end = quote_or_backslash(bytes, end + 2)?;
                }
                if self.holds == Holds::Line && memchr::memmem::find(&bytes[at..end], b" HTTP/").is_none() {
                    return None;
                }
                Some((at + 1, end, end + 1))
            }
            b'0'..=b'9' | b'-' if matches!(self.holds, Holds::Number | Holds::Any) => {
                let end = number(bytes, at)?;
                Some((at, end, end))
            }
            _ if self.holds == Holds::Any => word(bytes, at),
            _ => None,
        }
    }

    /// Where the value begins, its quote included.
    #[inline(always)]
    fn begin(&self, bytes: &[u8], at: usize) -> Option<usize> {
        let before = self.before.bytes();
        let bare = before.len() - usize::from(self.is_quoted);
        let is_here = self.before.is_at(bytes, at)
            || self.is_quoted && self.holds == Holds::Any && bytes.get(at..)?.starts_with(&before[..bare]);
        is_here.then_some(at + bare)
    }
}

/// The end of a number; `None` where it is none.
#[inline]
fn number(bytes: &[u8], start: usize) -> Option<usize> {
    let digits = |at: usize| {
        let count = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(at + count)
    };
    let mut at = digits(start + usize::from(bytes[start] == b'-'))?;
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(at + 1 + sign)?;
    }
    Some(at)
}

/// `null`, `true` or `false`.
fn word(bytes: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    match &bytes[at..] {
        [b'n', b'u', b'l', b'l', ..] => Some((0, 0, at + 4)),
        [b't', b'r', b'u', b'e', ..] => Some((at, at + 4, at + 4)),
        [b'f', b'a', b'l', b's', b'e', ..] => Some((at, at + 5, at + 5)),
        _ => None,
    }
}
