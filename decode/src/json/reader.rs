//! The one pass over a text. It recurses into containers, at most [`DEPTH_MAX`] deep.

use super::{Broken, DEPTH_MAX, Kind, Node, Tape};
use crate::keys::KeyId;
use crate::scan::quote_or_backslash;

/// Reads a text onto a tape.
pub(super) struct Reader<'t, 'p> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    tape: &'p mut Tape,
}

impl<'t, 'p> Reader<'t, 'p> {
    pub(super) fn new(text: &'t str, tape: &'p mut Tape) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, tape }
    }

    /// Reads the first value; how many bytes it took.
    pub(super) fn read(mut self) -> Result<usize, Broken> {
        self.value(0)?;
        Ok(self.at)
    }

    /// Recursion is bounded by [`DEPTH_MAX`].
    fn value(&mut self, depth: usize) -> Result<(), Broken> {
        self.space();
        let start = self.at;
        match self.bytes.get(self.at) {
            Some(b'"') => self.string(),
            Some(b'{') => self.container(depth, Kind::Object, b'}'),
            Some(b'[') => self.container(depth, Kind::Array, b']'),
            Some(b't') => self.word("true", Kind::True),
            Some(b'f') => self.word("false", Kind::False),
            Some(b'n') => self.word("null", Kind::Null),
            Some(b'-') if !matches!(self.bytes.get(self.at + 1), Some(b'0'..=b'9')) => {
                self.at += 1;
                self.push(Kind::Null, start, self.at);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.broken("a value was expected")),
            None => Err(self.broken("it breaks off")),
        }
    }

    fn container(&mut self, depth: usize, kind: Kind, close: u8) -> Result<(), Broken> {
        if depth >= DEPTH_MAX {
            return Err(Broken { at: self.at, why: "it is nested deeper than 64 levels", deep: true });
        }
        let node = self.tape.nodes.len();
        self.push(kind, self.at, self.at);
        self.at += 1;
        self.space();
        if self.bytes.get(self.at) == Some(&close) {
            self.at += 1;
            self.close(node);
            return Ok(());
        }
        loop {
            if kind == Kind::Object {
                self.space();
                if self.bytes.get(self.at) != Some(&b'"') {
                    return Err(self.broken("a key was expected"));
                }
                self.key()?;
                self.space();
                if self.bytes.get(self.at) != Some(&b':') {
                    return Err(self.broken("a colon was expected"));
                }
                self.at += 1;
                self.space();
                match self.bytes.get(self.at) {
                    Some(b',' | b'}') => self.push(Kind::Null, self.at, self.at),
                    _ => self.value(depth + 1)?,
                }
            } else {
                self.value(depth + 1)?;
            }
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(byte) if *byte == close => {
                    self.at += 1;
                    self.close(node);
                    return Ok(());
                }
                Some(_) => return Err(self.broken("a comma or the end was expected")),
                None => return Err(self.broken("it breaks off")),
            }
        }
    }

    /// A string that is a key: mostly the one that stood here the last time.
    fn key(&mut self) -> Result<(), Broken> {
        let start = self.at;
        if let Some((key, taken)) = self.tape.keys.expect(&self.bytes[start..]) {
            self.at += taken;
            self.push(Kind::Plain, start + 1, self.at - 1);
            self.name(key);
            return Ok(());
        }
        self.string()?;
        let key = match self.tape.nodes.last() {
            Some(Node { kind: Kind::Plain, start, end, .. }) => {
                self.tape.keys.learn(&self.text[*start as usize..*end as usize])
            }
            _ => KeyId::NONE,
        };
        self.name(key);
        Ok(())
    }

    /// Notes which key was read last.
    fn name(&mut self, key: KeyId) {
        if let Some(node) = self.tape.nodes.last_mut() {
            node.key = key;
        }
    }

    fn string(&mut self) -> Result<(), Broken> {
        let start = self.at + 1;
        let Some(end) = quote_or_backslash(self.bytes, start) else {
            return Err(self.broken("a string does not end"));
        };
        if self.bytes[end] == b'"' {
            self.at = end + 1;
            self.push(Kind::Plain, start, end);
            return Ok(());
        }
        let begin = self.tape.unescaped.len();
        let mut from = start;
        let mut at = end;
        loop {
            self.tape.unescaped.push_str(&self.text[from..at]);
            if self.bytes[at] == b'"' {
                self.at = at + 1;
                self.push(Kind::Unescaped, begin, self.tape.unescaped.len());
                return Ok(());
            }
            from = at + self.escape(at);
            match quote_or_backslash(self.bytes, from) {
                Some(found) => at = found,
                None => return Err(self.broken("a string does not end")),
            }
        }
    }

    /// Writes what the escape at `at` stands for; returns its length. What JSON does not know stands for itself.
    fn escape(&mut self, at: usize) -> usize {
        let plain = match self.bytes.get(at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                if let Some((c, length)) = self.code(at) {
                    self.tape.unescaped.push(c);
                    return length;
                }
                '\\'
            }
            _ => '\\',
        };
        self.tape.unescaped.push(plain);
        let known = plain != '\\' || self.bytes.get(at + 1) == Some(&b'\\');
        if known { 2 } else { 1 }
    }

    /// The character of `\uXXXX`, with the second half of a pair; half a pair alone is U+FFFD.
    fn code(&self, at: usize) -> Option<(char, usize)> {
        let first = self.hex(at + 2)?;
        if let Some(c) = char::from_u32(first) {
            return Some((c, 6));
        }
        if first < 0xdc00
            && self.bytes.get(at + 6..at + 8) == Some(b"\\u")
            && let Some(second @ 0xdc00..=0xdfff) = self.hex(at + 8)
            && let Some(c) = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))
        {
            return Some((c, 12));
        }
        Some((char::REPLACEMENT_CHARACTER, 6))
    }

    fn hex(&self, at: usize) -> Option<u32> {
        self.bytes
            .get(at..at + 4)?
            .iter()
            .try_fold(0, |sum, byte| Some(sum * 16 + (*byte as char).to_digit(16)?))
    }

    fn number(&mut self) -> Result<(), Broken> {
        let start = self.at;
        self.at += usize::from(self.bytes[start] == b'-');
        self.digits();
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.broken("digits were expected"));
            }
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(self.broken("digits were expected"));
            }
        }
        self.push(Kind::Number, start, self.at);
        Ok(())
    }

    fn digits(&mut self) -> usize {
        let count = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<(), Broken> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.broken("a value was expected"));
        }
        let start = self.at;
        self.at += word.len();
        self.push(kind, start, self.at);
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    // A value has at most 1 MiB, so that every place fits into 32 bits.
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.tape.nodes.len() as u32 + 1;
        self.tape.nodes.push(Node { kind, key: KeyId::NONE, start: start as u32, end: end as u32, next });
    }

    fn close(&mut self, node: usize) {
        self.tape.nodes[node].next = self.tape.nodes.len() as u32;
    }

    fn broken(&self, why: &'static str) -> Broken {
        Broken { at: self.at, why, deep: false }
    }
}
