//! OpenTelemetry's logs and metrics in protobuf, written out as the JSON that the same export has, so that one reader
//! serves both. Nothing but the fields' types tells the two apart: a log record begins with a time, a metric with a name.
//!
//! Only the fields that are looked at are written. Every message must be whole and every field of the type that the
//! schema gives it: what is not, is no export.

mod metrics;

use std::fmt::Write as _;

use super::wire::{Fields, Wire};

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
    of_logs(bytes).or_else(|| metrics::to_json(bytes))
}

fn of_logs(bytes: &[u8]) -> Option<String> {
    let mut writer = Writer::for_message(bytes);
    writer.list("{\"resourceLogs\":[", bytes, 1, |writer, message| {
        writer.resource(message, "\"scopeLogs\":[", Writer::scope_logs)
    })?;
    writer.out.push('}');
    (writer.records > 0).then_some(writer.out)
}

struct Writer {
    out: String,
    records: usize,
}

impl Writer {
    fn for_message(bytes: &[u8]) -> Self {
        Self { out: String::with_capacity(bytes.len() * 2), records: 0 }
    }

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

    /// A resource with what it sent, in scopes.
    fn resource(
        &mut self,
        message: &[u8],
        open: &str,
        scope: impl Fn(&mut Self, &[u8]) -> Option<()>,
    ) -> Option<()> {
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
        self.list(open, message, 2, scope)?;
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
