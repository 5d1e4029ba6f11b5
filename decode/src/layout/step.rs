//! One step through a record: bytes that are the same each time, and the value behind them.

use crate::scan::{Block, quote_or_backslash};

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

/// Where a value is: a string's text, without its quotes. The empty span at 0 is null.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// See the file's head.
#[derive(Debug)]
pub(super) struct Step {
    before: Block,
    holds: Holds,
    /// Whether somebody looks at the value: then escapes in it are not for us.
    is_wanted: bool,
    /// Where the value of the record at hand is.
    pub(super) span: Span,
}

impl Step {
    /// Bytes that fit into a step.
    pub(super) const BYTES_MAX: usize = Block::BYTES;

    pub(super) fn new(before: &[u8], holds: Holds) -> Self {
        Self { before: Block::new(before), holds, is_wanted: false, span: Span::default() }
    }

    /// Somebody looks at the value.
    pub(super) fn want(&mut self) {
        self.is_wanted = true;
    }

    /// The place behind the value, if all is as it should be from `at` on.
    #[inline(always)]
    pub(super) fn take(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        if !self.before.is_at(bytes, at) {
            return None;
        }
        let at = at + self.before.length();
        // Most are strings without escapes.
        if matches!(self.holds, Holds::Text | Holds::Any)
            && bytes.get(at) == Some(&b'"')
            && let Some(end) = quote_or_backslash(bytes, at + 1)
            && bytes[end] == b'"'
        {
            self.span = Span::of(at + 1, end);
            return Some(end + 1);
        }
        self.take_other(bytes, at)
    }

    /// What is no plain string.
    #[inline(never)]
    fn take_other(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        if self.holds == Holds::Nothing {
            return Some(at);
        }
        let (start, end, next) = match bytes.get(at)? {
            b'"' if self.holds != Holds::Number => {
                let mut end = quote_or_backslash(bytes, at + 1)?;
                while bytes[end] == b'\\' {
                    if self.is_wanted || self.holds == Holds::Line {
                        return None;
                    }
                    end = quote_or_backslash(bytes, end + 2)?;
                }
                if self.holds == Holds::Line && memchr::memmem::find(&bytes[at..end], b" HTTP/").is_none() {
                    return None;
                }
                (at + 1, end, end + 1)
            }
            b'0'..=b'9' | b'-' if matches!(self.holds, Holds::Number | Holds::Any) => {
                let end = number(bytes, at)?;
                (at, end, end)
            }
            _ if self.holds == Holds::Any => word(bytes, at)?,
            _ => return None,
        };
        self.span = Span::of(start, end);
        Some(next)
    }
}

impl Span {
    fn of(start: usize, end: usize) -> Self {
        // A value has at most 1 MiB, and what is unpacked in it eight, so that every place fits into 32 bits.
        Self { start: start as u32, end: end as u32 }
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
