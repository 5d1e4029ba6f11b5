//! Metrics: gauges and sums. Histograms and summaries say nothing of what is used and are passed over.

use std::fmt::Write as _;

use super::{Fields, Wire, Writer};

/// The JSON of an export of metrics; `None` for bytes that are none.
pub(super) fn to_json(bytes: &[u8]) -> Option<String> {
    let mut writer = Writer::for_message(bytes);
    writer.list("{\"resourceMetrics\":[", bytes, 1, |writer, message| {
        writer.resource(message, "\"scopeMetrics\":[", scope)
    })?;
    writer.out.push('}');
    (writer.records > 0).then_some(writer.out)
}

fn scope(writer: &mut Writer, message: &[u8]) -> Option<()> {
    let mut name = &[][..];
    for field in Fields(message) {
        match field? {
            (1, Wire::Bytes(scope)) => {
                for field in Fields(scope) {
                    if let (1, Wire::Bytes(bytes)) = field? {
                        name = bytes;
                    }
                }
            }
            (2 | 3, Wire::Bytes(_)) => {}
            (1..=3, _) => return None,
            _ => {}
        }
    }
    writer.out.push_str("{\"scope\":{\"name\":");
    writer.text(name);
    writer.out.push_str("},");
    writer.list("\"metrics\":[", message, 2, metric)?;
    writer.out.push('}');
    Some(())
}

fn metric(writer: &mut Writer, message: &[u8]) -> Option<()> {
    writer.records += 1;
    let (mut name, mut unit, mut data) = (&[][..], &[][..], None);
    for field in Fields(message) {
        match field? {
            (1, Wire::Bytes(bytes)) => name = bytes,
            (3, Wire::Bytes(bytes)) => unit = bytes,
            // Of several kinds of data the last counts.
            (5, Wire::Bytes(bytes)) => data = Some(("gauge", bytes)),
            (7, Wire::Bytes(bytes)) => data = Some(("sum", bytes)),
            (9..=11, Wire::Bytes(_)) => data = None,
            (2 | 12, Wire::Bytes(_)) => {}
            // 4, 6 and 8 were other kinds once; a span has its parent and its kind there.
            (1..=12, _) => return None,
            _ => {}
        }
    }
    writer.out.push_str("{\"name\":");
    writer.text(name);
    writer.out.push_str(",\"unit\":");
    writer.text(unit);
    if let Some((kind, data)) = data {
        write!(writer.out, ",\"{kind}\":{{").ok()?;
        for field in Fields(data) {
            match field? {
                (2, Wire::Number(of)) => write!(writer.out, "\"aggregationTemporality\":{of},").ok()?,
                (1, Wire::Bytes(_)) | (3, Wire::Number(_)) => {}
                (1..=3, _) => return None,
                _ => {}
            }
        }
        writer.list("\"dataPoints\":[", data, 1, point)?;
        writer.out.push('}');
    }
    writer.out.push('}');
    Some(())
}

fn point(writer: &mut Writer, message: &[u8]) -> Option<()> {
    writer.out.push('{');
    for field in Fields(message) {
        match field? {
            (2, Wire::Eight(time)) => write!(writer.out, "\"startTimeUnixNano\":\"{time}\",").ok()?,
            (3, Wire::Eight(time)) => write!(writer.out, "\"timeUnixNano\":\"{time}\",").ok()?,
            // In quotes, since JSON has no word for what is no number, and who makes rates wants to know.
            (4, Wire::Eight(bits)) => {
                write!(writer.out, "\"asDouble\":\"{:?}\",", f64::from_bits(bits)).ok()?;
            }
            (6, Wire::Eight(bits)) => write!(writer.out, "\"asInt\":\"{}\",", bits.cast_signed()).ok()?,
            (8, Wire::Number(flags)) => write!(writer.out, "\"flags\":{flags},").ok()?,
            (5 | 7, Wire::Bytes(_)) => {}
            (1..=8, _) => return None,
            _ => {}
        }
    }
    writer.list("\"attributes\":[", message, 7, |writer, pair| writer.pair(pair, 0))?;
    writer.out.push('}');
    Some(())
}
