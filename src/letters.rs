//! Where a worker's undecodable records go, and what of them.

use std::sync::Arc;

use beaconfire_decode::{DecodeKnobs, QUERY_KEYS, Reject};
use beaconfire_ingest::{DeadLetter, DeadLetters};
use beaconfire_model::{Names, Record};
use beaconfire_pipeline::DeadLetterSink;
use beaconfire_view::{Privacy, Queries, Shown};

/// At most so many bytes of a record are looked at.
const DEAD_BYTES: usize = 64 * 1024;

/// Stands for a record of which nothing may be shown.
const WITHHELD: &str =
    "withheld: `privacy.query` redacts, and the queries of this record cannot be told from the rest";

/// Why such records are withheld.
const UNKNOWN: &str = "its format is not known, so nobody knows where its queries are";

/// Whether a record was of no format that we know, as far as we could see: any key or column may be a query there.
fn is_of_unknown_format(reason: Reject) -> bool {
    matches!(reason, Reject::UnknownFormat | Reject::Encoding)
}

/// See the file's head.
#[derive(Clone)]
pub struct Letters {
    letters: DeadLetters,
    names: Names,
    privacy: Privacy,
    /// By the entry of `kafka.topics`.
    queries: Arc<[Queries]>,
}

impl Letters {
    /// Letters of the records of these entries.
    pub fn new(letters: DeadLetters, names: Names, privacy: Privacy, entries: &[DecodeKnobs]) -> Self {
        Self { letters, names, privacy, queries: entries.iter().map(queries).collect() }
    }
}

/// Where the records of an entry have query strings.
fn queries(knobs: &DecodeKnobs) -> Queries {
    let keys = QUERY_KEYS.into_iter().chain(knobs.fields.query_keys());
    Queries {
        keys: keys.map(str::to_owned).collect(),
        own_lines: knobs.log_format.is_some(),
        bare: knobs.log_format.as_ref().is_some_and(|format| format.has_bare_queries()),
    }
}

impl DeadLetterSink for Letters {
    fn reject(&mut self, record: &Record<'_>, reason: Reject) {
        let topic = self.names.name(record.source.topic);
        let cut = record.payload.map(|payload| &payload[..payload.len().min(DEAD_BYTES)]);
        let entry = usize::from(record.source.entry.0);
        let shown = cut.zip(self.queries.get(entry)).map(|(cut, queries)| match self.privacy {
            Privacy::Redact if is_of_unknown_format(reason) => Shown::Withheld(UNKNOWN),
            privacy => privacy.apply_to_record(cut, queries),
        });
        let mut letter = DeadLetter {
            topic: &topic,
            partition: record.source.partition,
            offset: record.offset.0,
            reason: reason.name(),
            error: reason.name(),
            payload: None,
            withheld: None,
        };
        match &shown {
            Some(Shown::Record(shown)) => letter.payload = Some(shown),
            // No value at all would be a tombstone.
            Some(Shown::Withheld(why)) => {
                (letter.payload, letter.withheld) = (Some(WITHHELD.as_bytes()), Some(*why));
            }
            None => {}
        }
        self.letters.send(letter);
    }
}

#[cfg(test)]
mod tests {
    use beaconfire_decode::{Decoder, FieldPaths, LogFormat};
    use beaconfire_model::{EntryId, Offset, Source};
    use prometheus::Registry;

    use super::*;

    /// What is sent of a record of this topic.
    fn dead(privacy: Privacy, knobs: &DecodeKnobs, payload: &[u8]) -> Vec<u8> {
        dead_for(Reject::Syntax, privacy, knobs, payload)
    }

    fn dead_for(reason: Reject, privacy: Privacy, knobs: &DecodeKnobs, payload: &[u8]) -> Vec<u8> {
        let registry = Registry::new();
        let letters = DeadLetters::kept(beaconfire_ingest::Metrics::register(&registry).unwrap());
        let names = Names::default();
        let topic = names.topic("edge").unwrap();
        let entries = [DecodeKnobs::default(), knobs.clone()];
        let mut sink = Letters::new(letters.clone(), names, privacy, &entries);
        let source = Source { entry: EntryId(1), topic, partition: 0 };
        let payload = Some(payload);
        sink.reject(&Record { source, offset: Offset(5), stamped: None, payload }, reason);
        letters.samples().remove(0).payload.unwrap()
    }

    #[track_caller]
    fn check(knobs: &DecodeKnobs, payload: &str, sent: &str) {
        let redacted = dead(Privacy::Redact, knobs, payload.as_bytes());
        assert_eq!(String::from_utf8(redacted).unwrap(), sent, "{payload}");
        assert_eq!(dead(Privacy::Keep, knobs, payload.as_bytes()), payload.as_bytes());
    }

    #[test]
    fn dead_letters_hold_no_query_whatever_the_format() {
        for (payload, sent) in [
            (r#"{"uri":"/s","args":"q=jane doe","status"#, r#"{"uri":"/s","args":"…","status"#),
            (r#"{"kind":"request","query":"q=jane","#, r#"{"kind":"request","query":"…","#),
            (r#"1 [x] "GET /s?q=jane doe HTTP/1.1" 2"#, r#"1 [x] "GET /s?… HTTP/1.1" 2"#),
            (r#"1 [x] "GET /s?jane HTTP/1.1" 2"#, r#"1 [x] "GET /s?… HTTP/1.1" 2"#),
            (
                r#"{"log":"2026-01-02\t03:04:05\tX\t5\t192.0.2.1\tGET\th\t/s\tjane"}"#,
                r#"{"log":"2026-01-02\t03:04:05\t…\t5\t192.0.2.1\tGET\t…\t…\t…"}"#,
            ),
        ] {
            check(&DecodeKnobs::default(), payload, sent);
        }
    }

    #[test]
    fn nor_in_forms_of_ones_own() {
        let mut fields = FieldPaths::default();
        for (name, path) in [("path", "req.url"), ("query", "req.search")] {
            fields.add(name, path).unwrap();
        }
        let knobs = DecodeKnobs { fields, ..DecodeKnobs::default() };
        for key in ["search", "req.search"] {
            check(
                &knobs,
                &format!(r#"{{"{key}":"jane","search_engine":"x""#),
                &format!(r#"{{"{key}":"…","search_engine":"x""#),
            );
        }
        check(
            &knobs,
            r#"{"key":"req.search","value":{"stringValue":"jane"}}"#,
            r#"{"key":"req.search","value":{"stringValue":"…"}}"#,
        );
        let lines = |format: &str| DecodeKnobs {
            log_format: Some(LogFormat::parse(format).unwrap()),
            ..DecodeKnobs::default()
        };
        // Quotes and blanks end no query where anything may stand behind it.
        let knobs = lines("$remote_addr [$request] $status");
        check(&knobs, r#"::1 [GET /s?q="jane" 7 doe HTTP/1.1] x"#, "::1 [GET /s?… HTTP/1.1] x");
        check(&knobs, r#"::1 [GET /s?q="jane" 7 doe] x"#, "::1 [GET /s?…");
        for format in ["$uri $args $status", "$uri $query_string $status", "$uri $arg_q $status"] {
            check(&lines(format), "/s jane", WITHHELD);
        }
    }

    #[test]
    fn nor_where_nobody_knows_the_format() {
        let knobs = DecodeKnobs::default();
        let topic = Names::default().topic("edge").unwrap();
        let source = Source { entry: EntryId(1), topic, partition: 0 };
        for payload in [
            &b"2026-01-02 03:04:05 10.0.0.1 GET /s tok=jane 443 - 192.0.2.1 curl 200"[..],
            br#"{"path":"/s","query_params":"tok=jane"}"#,
            b"GET /s tok=jane \xff",
        ] {
            let record = Record { source, offset: Offset(5), stamped: None, payload: Some(payload) };
            let reason = Decoder::new(knobs.clone()).decode(&record, |_| {}).unwrap_err();
            assert_eq!(dead_for(reason, Privacy::Redact, &knobs, payload), WITHHELD.as_bytes());
            assert_eq!(dead_for(reason, Privacy::Keep, &knobs, payload), payload);
        }
    }

    /// Only bytes that no text has tell that it is protobuf, which may be broken.
    #[test]
    fn nor_in_protobuf() {
        let export: &[u8] = b"\x0a\x30\x12\x2e\x12\x2c\x32\x13\x0a\x09url.query\x12\x06\x0a\x04jane";
        for end in 4..export.len() {
            let sent = dead(Privacy::Redact, &DecodeKnobs::default(), &export[..end]);
            assert_eq!(sent, WITHHELD.as_bytes());
        }
        assert_eq!(dead(Privacy::Keep, &DecodeKnobs::default(), export), export);
        let broken = b"GET /s\xff \0\n";
        assert_eq!(dead(Privacy::Redact, &DecodeKnobs::default(), broken), broken);
    }
}
