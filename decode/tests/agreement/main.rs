//! The scanners against a slow reference that must agree: on what is understood, and on every field.
//!
//! The reference (`tree.rs`, `json.rs`, `line.rs`, `when.rs`) is written from what the formats and this crate promise, one
//! character and one key after the other, and calls nothing of the crate's. It knows the envelopes that records here
//! wear, not CRI and syslog. Where it and the crate differ, one of them breaks a promise.

mod json;
mod line;
mod records;
mod tree;
mod when;

use beaconfire_decode::{DecodeKnobs, Decoder, Format};
use beaconfire_model::{Client, EntryId, Event, EventTime, Offset, Record, Request, Source, TopicId};
use proptest::prelude::*;
use tree::Tree;

/// A request, owned.
#[derive(Debug, Clone, PartialEq)]
struct Asked {
    format: Format,
    time: i64,
    client: Option<Client>,
    service: String,
    method: String,
    host: String,
    path: String,
    query: String,
    http_version: String,
    status: u16,
    bytes_sent: u64,
    duration_micros: Option<u64>,
    user_agent: String,
    request_id: String,
}

impl Asked {
    fn of(request: &Request<'_>, format: Format) -> Self {
        Self {
            format,
            time: request.time.millis(),
            client: request.client,
            service: request.service.to_owned(),
            method: request.method.to_owned(),
            host: request.host.to_owned(),
            path: request.path.to_owned(),
            query: request.query.to_owned(),
            http_version: request.http_version.to_owned(),
            status: request.status,
            bytes_sent: request.bytes_sent,
            duration_micros: request.duration_micros,
            user_agent: request.user_agent.to_owned(),
            request_id: request.request_id.to_owned(),
        }
    }
}

/// How to understand a record, to the reference and to the crate.
#[derive(Debug, Clone, Copy)]
struct Knobs {
    format: Format,
    trust: when::Trust,
    /// When the log got it.
    stamped: Option<i64>,
}

impl Knobs {
    /// Some of each, by the bits of a number.
    fn of(bits: u8, format: Format) -> Self {
        Self {
            format: if bits & 1 == 0 { Format::Auto } else { format },
            trust: when::Trust { has_proxies: bits & 2 == 0, is_resolved: bits & 12 == 12 },
            stamped: (bits & 16 == 0).then_some(1_767_323_040_000),
        }
    }

    fn decoder(self) -> Decoder {
        let trusted = self.trust.has_proxies.then(|| "10.0.0.0/8".parse().unwrap());
        Decoder::new(DecodeKnobs {
            format: self.format,
            trusted_proxies: trusted.into_iter().collect(),
            client_resolved: self.trust.is_resolved,
            ..DecodeKnobs::default()
        })
    }
}

/// What a decoder says of a record: its requests, and whether all of it was understood.
fn decoded(decoder: &mut Decoder, payload: &[u8], stamped: Option<i64>) -> (Vec<Asked>, bool) {
    let source = Source { entry: EntryId(0), topic: TopicId(0), partition: 0 };
    let stamped = stamped.map(EventTime::from_millis);
    let record = Record { source, offset: Offset(0), stamped, payload: Some(payload) };
    let mut out = Vec::new();
    let ended = decoder.decode(&record, |decoded| {
        let Event::Request(request) = decoded.event else { panic!("no request: {:?}", decoded.event) };
        out.push(Asked::of(&request, decoded.format));
    });
    (out, ended.is_ok())
}

/// What the reference says of it. Bytes that are no UTF-8 are replaced.
fn referred(payload: &[u8], knobs: Knobs) -> (Vec<Asked>, bool) {
    let mut out = Vec::new();
    if payload.len() > 1 << 20 {
        return (out, false);
    }
    let is_good = json::text(&String::from_utf8_lossy(payload), knobs, json::Around::default(), &mut out);
    (out, is_good)
}

fn agree(payload: &[u8], knobs: Knobs) -> Result<(), TestCaseError> {
    let ours = decoded(&mut knobs.decoder(), payload, knobs.stamped);
    prop_assert_eq!(ours, referred(payload, knobs), "{}", String::from_utf8_lossy(payload));
    Ok(())
}

fn read_tree(text: &str) -> Option<(Tree, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    Some((tree::read(&chars, &mut at)?, at))
}

/// As the library has it, which knows no order and no number's text.
fn plain(tree: &Tree) -> serde_json::Value {
    match tree {
        Tree::Null => serde_json::Value::Null,
        Tree::Bool(is) => (*is).into(),
        Tree::Number(text) => serde_json::from_str(text).unwrap(),
        Tree::Text(text) => text.as_str().into(),
        Tree::List(items) => items.iter().map(plain).collect(),
        Tree::Map(pairs) => pairs.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
    }
}

fn seeds() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..10)
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(6000))]

    /// Who watches the watchman: what the library takes, the reference reads to the same meaning.
    #[test]
    fn the_reference_reads_json_as_the_library_does(
        which: usize,
        seeds in seeds(),
        harm in prop::collection::vec(any::<(u8, usize, u8)>(), 0..2),
    ) {
        let mut bytes = records::object(which, &seeds).into_bytes();
        harm.into_iter().for_each(|harm| records::mutate(&mut bytes, harm));
        let text = String::from_utf8_lossy(&bytes);
        if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
            match read_tree(&text) {
                Some((tree, _)) => prop_assert_eq!(plain(&tree), theirs, "{}", text),
                // The library goes on to 128 levels.
                None => prop_assert!(text.matches(['[', '{']).count() > 64, "{}", text),
            }
        }
    }

    #[test]
    fn records_read_as_the_reference_reads_them(which: usize, seeds in seeds(), bits: u8) {
        let (text, format) = records::record(which, &seeds);
        agree(text.as_bytes(), Knobs::of(bits, format))?;
    }

    #[test]
    fn so_do_lines(seed: u64, bits: u8) {
        agree(records::line(seed).as_bytes(), Knobs::of(bits, Format::Combined))?;
    }

    #[test]
    fn so_do_damaged_records(
        which: usize,
        seeds in seeds(),
        bits: u8,
        harm in prop::collection::vec(any::<(u8, usize, u8)>(), 1..5),
    ) {
        let (text, format) = records::record(which, &seeds);
        let mut bytes = text.into_bytes();
        for harm in harm {
            records::mutate(&mut bytes, harm);
            agree(&bytes, Knobs::of(bits, format))?;
        }
    }
}

proptest! {
    #![proptest_config(cases(600))]

    /// What a decoder has seen before makes it faster and changes nothing.
    #[test]
    fn memory_changes_no_record(
        all in prop::collection::vec((0usize..16, seeds(), any::<Option<(u8, usize, u8)>>(), 0usize..3), 1..12),
        bits: u8,
    ) {
        let knobs = Knobs::of(bits, Format::NginxJson);
        let mut decoder = knobs.decoder();
        for (which, seeds, harm, again) in all {
            let mut bytes = records::record(which, &seeds).0.into_bytes();
            harm.into_iter().for_each(|harm| records::mutate(&mut bytes, harm));
            for _ in 0..=again {
                let fresh = decoded(&mut knobs.decoder(), &bytes, knobs.stamped);
                let old = decoded(&mut decoder, &bytes, knobs.stamped);
                prop_assert_eq!(old, fresh, "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }
}

/// Other values, in the places of a record's own: texts and numbers, what says that there is none, and what cannot stand
/// there.
const VALUES: [&str; 24] = [
    "\"x\"",
    "\"\"",
    "\"-\"",
    "\"null\"",
    "\"NaN\"",
    "\"GET /x?y HTTP/1.1\"",
    "\"203.0.113.9\"",
    "\"198.51.100.1, 203.0.113.10\"",
    "\"a \\\" b\"",
    "\"\\u00e9 \\x22\"",
    "\"\\\\\"",
    "\"é, and so much behind it that no step of ours would hold it all at once: 0123456789\"",
    "null",
    "true",
    "false",
    "-",
    "",
    "0",
    "404",
    "-1",
    "1.5e3",
    "1.",
    "{}",
    "[1]",
];

/// The text with another value in one place of those that hold no others.
fn with_value(text: &str, place: usize, value: &str) -> String {
    let bytes = text.as_bytes();
    let (mut places, mut at, mut is_quoted) = (Vec::new(), 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if is_quoted => at += 1,
            b'"' => is_quoted = !is_quoted,
            b':' if !is_quoted => {
                let start =
                    at + 1 + bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let mut end = start;
                let is_text = bytes.get(start) == Some(&b'"');
                end += usize::from(is_text);
                while end < bytes.len()
                    && if is_text { bytes[end] != b'"' } else { !b",{}[]".contains(&bytes[end]) }
                {
                    end += 1 + usize::from(is_text && bytes[end] == b'\\');
                }
                let end = bytes.len().min(end + usize::from(is_text));
                if end > start {
                    places.push(start..end);
                    at = end - 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    match places.is_empty() {
        true => text.to_owned(),
        false => {
            let place = places[place % places.len()].clone();
            [&text[..place.start], value, &text[place.end..]].concat()
        }
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    /// A decoder that knows a record by heart reads another one, which differs a little, as the reference reads it.
    #[test]
    fn what_is_known_by_heart_changes_no_record(
        which: usize,
        seeds in seeds(),
        bits: u8,
        others in prop::collection::vec(
            (prop::collection::vec((any::<usize>(), 0..VALUES.len()), 0..4), any::<Option<(u8, usize, u8)>>()),
            1..8,
        ),
    ) {
        let (text, format) = records::record(which, &seeds);
        let knobs = Knobs::of(bits, format);
        let mut decoder = knobs.decoder();
        for (values, harm) in others {
            for _ in 0..2 {
                let known = decoded(&mut decoder, text.as_bytes(), knobs.stamped);
                prop_assert_eq!(known, referred(text.as_bytes(), knobs), "{}", text);
            }
            let other = values.into_iter().fold(text.clone(), |text, (place, value)| with_value(&text, place, VALUES[value]));
            let mut bytes = other.into_bytes();
            harm.into_iter().for_each(|harm| records::mutate(&mut bytes, harm));
            let ours = decoded(&mut decoder, &bytes, knobs.stamped);
            prop_assert_eq!(ours, referred(&bytes, knobs), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}

/// Agreement that all of it is broken would show nothing.
#[test]
fn most_records_are_understood() {
    for which in 0..28 {
        let all = 200;
        let mut read = 0;
        for seed in 0..all {
            let (text, format) = records::record(which, &[seed, seed * 3, seed * 5, seed * 7]);
            let knobs = Knobs::of(0, format);
            read += usize::from(decoded(&mut knobs.decoder(), text.as_bytes(), knobs.stamped).1);
        }
        assert!(read * 5 > all as usize * 2, "{read} of {all}: {}", records::record(which, &[1, 2, 3]).0);
    }
}

/// More keys than are learnt, each of which comes again in another order.
#[test]
fn a_flood_of_keys_changes_no_record() {
    let knobs = Knobs::of(0, Format::NginxJson);
    let mut decoder = knobs.decoder();
    for round in 0..3 {
        for key in 0..600 {
            let key = key * (round + 1) % 600;
            let text = format!(
                r#"{{"k{key}":1,"status":{},"uri":"/a","k{}":{{"status":7}},"remote_addr":"203.0.113.7"}}"#,
                200 + round,
                key + 1
            );
            let fresh = decoded(&mut knobs.decoder(), text.as_bytes(), knobs.stamped);
            assert_eq!(decoded(&mut decoder, text.as_bytes(), knobs.stamped), fresh, "{text}");
            assert_eq!(fresh.0[0].status, 200 + round, "{text}");
        }
    }
}

#[test]
fn a_mebibyte_is_read_and_no_more() {
    for format in [Format::NginxJson, Format::Combined] {
        for (over, meant) in [(0, true), (1, false)] {
            let text = |path: &str| match format {
                Format::Combined => format!(
                    r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET /{path} HTTP/1.1" 200 5 "-" "-""#
                ),
                _ => format!(r#"{{"remote_addr":"203.0.113.7","status":200,"uri":"/{path}"}}"#),
            };
            let room = (1 << 20) - text("").len() + over;
            // Escapes take the slow way through a string.
            for piece in ["a", r"\\"] {
                let path = piece.repeat(room / piece.len()) + &"b".repeat(room % piece.len());
                let knobs = Knobs::of(0, format);
                let ours = decoded(&mut knobs.decoder(), text(&path).as_bytes(), knobs.stamped);
                assert_eq!(ours.1, meant);
                assert!(ours == referred(text(&path).as_bytes(), knobs), "{format:?} {over} {piece}");
            }
        }
    }
}
