//! OpenTelemetry's logs in protobuf, written out as the JSON that the same export has, so that one reader serves both.
//!
//! Only the fields that are looked at are written. Every message must be whole and every field of the type that the
//! schema gives it: what is not, is no export of logs.

use std::fmt::Write as _;

/// Lists and maps within an attribute's value at most. Each makes four levels of JSON, below the nine down to the value
/// itself, and what is nested deeper than 64 would not be read: one attribute would lose its whole batch.
const DEPTH_MAX: usize = 12;
/// Bytes of JSON at most. Text of control characters grows sixfold.
const JSON_BYTES_MAX: usize = 8 << 20;

/// The JSON of an export; `None` for bytes that are none.
#[inline]
pub(crate) fn to_json(bytes: &[u8]) -> Option<String> {
    // A list of resources with something in them: nearly all other bytes end here.
    if bytes.first() != Some(&0x0a) || bytes.len() < 8 { None } else { export(bytes) }
}

fn export(bytes: &[u8]) -> Option<String> {
    let mut writer = Writer { out: String::with_capacity(bytes.len() * 2), records: 0 };
    writer.list("{\"resourceLogs\":[", bytes, 1, Writer::resource_logs)?;
    writer.out.push('}');
    (writer.records > 0).then_some(writer.out)
}

struct Writer {
    out: String,
    records: usize,
}

impl Writer {
    /// The messages in field `number` of `message`, with commas between them, in brackets.
    fn list(
        &mut self,
        open: &str,
        message: &[u8],
        number: u32,
        write: impl Fn(&mut Self, &[u8]) -> Option<()>,
    ) -> Option<()> {
        self.out.push_str(open);
        let mut first = true;
        for field in Fields(message) {
            if let (found, Wire::Bytes(inner)) = field?
                && found == number
            {
                if !first {
                    self.out.push(',');
                }
                first = false;
                write(self, inner)?;
            }
        }
        self.out.push(']');
        (self.out.len() <= JSON_BYTES_MAX).then_some(())
    }

    fn resource_logs(&mut self, message: &[u8]) -> Option<()> {
        self.out.push('{');
        for field in Fields(message) {
            match field? {
                (1, Wire::Bytes(resource)) => {
                    self.list("\"resource\":{\"attributes\":[", resource, 1, |writer, pair| {
                        writer.pair(pair, 0)
                    })?;
                    self.out.push_str("},");
                }
                (2 | 3, Wire::Bytes(_)) => {}
                (1..=3, _) => return None,
                _ => {}
            }
        }
        self.list("\"scopeLogs\":[", message, 2, Self::scope_logs)?;
        self.out.push('}');
        Some(())
    }

    fn scope_logs(&mut self, message: &[u8]) -> Option<()> {
        self.list("{\"logRecords\":[", message, 2, Self::record)?;
        self.out.push('}');
        Some(())
    }

    fn record(&mut self, message: &[u8]) -> Option<()> {
        self.records += 1;
        self.out.push('{');
        for field in Fields(message) {
            match field? {
                (1, Wire::Eight(time)) => write!(self.out, "\"timeUnixNano\":\"{time}\",").ok()?,
                (11, Wire::Eight(time)) => write!(self.out, "\"observedTimeUnixNano\":\"{time}\",").ok()?,
                (5, Wire::Bytes(body)) => {
                    self.out.push_str("\"body\":");
                    self.value(body, 0)?;
                    self.out.push(',');
                }
                (3 | 6 | 9 | 10 | 12, Wire::Bytes(_)) | (2 | 7, Wire::Number(_)) | (8, Wire::Four) => {}
                (1..=12, _) => return None,
                _ => {}
            }
        }
        self.list("\"attributes\":[", message, 6, |writer, pair| writer.pair(pair, 0))?;
        self.out.push('}');
        Some(())
    }

    fn pair(&mut self, message: &[u8], depth: usize) -> Option<()> {
        let (mut key, mut value) = (&[][..], &[][..]);
        for field in Fields(message) {
            match field? {
                (1, Wire::Bytes(bytes)) => key = bytes,
                (2, Wire::Bytes(bytes)) => value = bytes,
                (1 | 2, _) => return None,
                _ => {}
            }
        }
        self.out.push_str("{\"key\":");
        self.text(key);
        self.out.push_str(",\"value\":");
        self.value(value, depth)?;
        self.out.push('}');
        Some(())
    }

    fn value(&mut self, message: &[u8], depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            self.out.push_str("null");
            return Some(());
        }
        // Of several the last counts; an empty message is no value.
        let Some(field) = Fields(message).last() else {
            self.out.push_str("{}");
            return Some(());
        };
        match field? {
            (1, Wire::Bytes(text)) => {
                self.out.push_str("{\"stringValue\":");
                self.text(text);
            }
            (2, Wire::Number(number)) => write!(self.out, "{{\"boolValue\":{}", number != 0).ok()?,
            (3, Wire::Number(number)) => {
                write!(self.out, "{{\"intValue\":\"{}\"", number.cast_signed()).ok()?;
            }
            (4, Wire::Eight(bits)) => {
                let number = f64::from_bits(bits);
                if number.is_finite() {
                    write!(self.out, "{{\"doubleValue\":{number}").ok()?;
                } else {
                    self.out.push_str("{\"doubleValue\":null");
                }
            }
            (5, Wire::Bytes(list)) => {
                self.list("{\"arrayValue\":{\"values\":[", list, 1, |writer, value| {
                    writer.value(value, depth + 1)
                })?;
                self.out.push('}');
            }
            (6, Wire::Bytes(map)) => {
                self.list("{\"kvlistValue\":{\"values\":[", map, 1, |writer, pair| {
                    writer.pair(pair, depth + 1)
                })?;
                self.out.push('}');
            }
            (7, Wire::Bytes(_)) => self.out.push_str("{\"bytesValue\":null"),
            _ => return None,
        }
        self.out.push('}');
        Some(())
    }

    /// A string of JSON. Broken UTF-8 is replaced, as it is in text.
    fn text(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for c in String::from_utf8_lossy(bytes).chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// A field's content.
enum Wire<'b> {
    Number(u64),
    Eight(u64),
    Four,
    Bytes(&'b [u8]),
}

/// The fields of a message, one after the other; `None` in place of one that is broken, and nothing behind it.
struct Fields<'b>(&'b [u8]);

impl<'b> Iterator for Fields<'b> {
    type Item = Option<(u32, Wire<'b>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'b> Fields<'b> {
    fn field(&mut self) -> Option<(u32, Wire<'b>)> {
        let key = self.number()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
        let wire = match key & 7 {
            0 => Wire::Number(self.number()?),
            1 => Wire::Eight(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Four
            }
            _ => return None,
        };
        Some((number, wire))
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of up to ten bytes, seven bits in each, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(place * 7)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}
