use super::*;
use crate::Privacy;

fn queries() -> Queries {
    Queries { keys: vec!["args".into(), "query".into()], ..Queries::default() }
}

#[track_caller]
fn record(text: &str, redacted: &str) {
    for (text, queries) in [(text, queries()), (redacted, queries())] {
        let shown = Privacy::Redact.apply_to_record(text.as_bytes(), &queries);
        let Shown::Record(shown) = shown else { panic!("withheld: {text}") };
        assert_eq!(String::from_utf8_lossy(&shown), redacted, "{text}");
    }
    let shown = Privacy::Keep.apply_to_record(text.as_bytes(), &queries());
    assert_eq!(shown, Shown::Record(text.as_bytes().into()));
}

#[test]
fn records_lose_their_queries_up_to_the_strings_end() {
    record(
        r#"192.0.2.1 - - [x] "GET /s?q=jane doe HTTP/1.1" 200 5 "http://h/?a=b c" "curl""#,
        r#"192.0.2.1 - - [x] "GET /s?… HTTP/1.1" 200 5 "http://h/?…" "curl""#,
    );
    record(r#""GET /s?q= HTTP/9 jane HTTP/1.1" 200"#, r#""GET /s?… HTTP/1.1" 200"#);
    record(r#""GET /s?q=jane HTTP/doe" 200"#, r#""GET /s?…" 200"#);
    record(r#""GET /s?q="jane" doe x HTTP/1.1" 200"#, r#""GET /s?… HTTP/1.1" 200"#);
    record("GET /s?q=jane doe 200\nGET / 200", "GET /s?…\nGET / 200");
    record(r#""GET /s? HTTP/1.1" 200"#, r#""GET /s? HTTP/1.1" 200"#);
    record(r#"{"path":"/s?q=jane \"doe\" x","status":2"#, r#"{"path":"/s?…","status":2"#);
    record(r#"{"path":"/s?q=jane \\","status":2"#, r#"{"path":"/s?…","status":2"#);
    record(r#"{"path":"/a\"b?q=\"jane doe"#, r#"{"path":"/a\"b?…"#);
    record(
        r#"{"log":"x \"GET /s?q=jane doe HTTP/1.1\" 200","a":1}"#,
        r#"{"log":"x \"GET /s?… HTTP/1.1\" 200","a":1}"#,
    );
    record(
        r#"{"log":"{\"uri\":\"/s?q=jane \\\"doe\\\"\",\"status\":\"200\"}\n","a":1}"#,
        r#"{"log":"{\"uri\":\"/s?…\",\"status\":\"200\"}\n","a":1}"#,
    );
}

#[test]
fn records_lose_the_strings_under_the_keys_of_queries() {
    record(r#"{"uri":"/s","args":"q=jane doe","status":2"#, r#"{"uri":"/s","args":"…","status":2"#);
    record(r#"{"args" : "q=\"jane\" doe\\", "a":"b"}"#, r#"{"args" : "…", "a":"b"}"#);
    record(r#"{"query":"q=ja"#, r#"{"query":"…"#);
    record(r#"{"query":"","args":"-","query":"?q"}"#, r#"{"query":"","args":"…","query":"…"}"#);
    record(
        r#"{"log":"{\"args\":\"q=\\\"jane\\\" doe\",\"status\":2}\n"}"#,
        r#"{"log":"{\"args\":\"…\",\"status\":2}\n"}"#,
    );
    record(
        r#"{"a":"{\"b\":\"{\\\"args\\\":\\\"q=jane\\\"}\"}"}"#,
        r#"{"a":"{\"b\":\"{\\\"args\\\":\\\"…\\\"}\"}"}"#,
    );
    record(
        r#"{"args":7,"arg":"x","kind":"query","my_args":"x","query":null}"#,
        r#"{"args":…,"arg":"x","kind":"query","my_args":"x","query":null}"#,
    );
    record(r#"{"args":["a=1","b]"],"x":[1]}"#, r#"{"args":[…],"x":[1]}"#);
    record(r#"{"args":{"q":"}","p":[{}]},"x":{}}"#, r#"{"args":{…},"x":{}}"#);
    record(r#"{"log":"{\"args\":[\"a]\"],\"x\":1}"}"#, r#"{"log":"{\"args\":[…],\"x\":1}"}"#);
    record(r#"{"args":[["a""#, r#"{"args":[…"#);
    record("\"args\":\"\u{fffd}…\"", "\"args\":\"…\"");
    record(
        r#"{"key":"query","value":{"stringValue":"q=jane doe"}},{"key":"x","value":{"stringValue":"y"}}"#,
        r#"{"key":"query","value":{"stringValue":"…"}},{"key":"x","value":{"stringValue":"y"}}"#,
    );
    record(
        r#"{"a":"{\"key\": \"query\", \"value\": {\"stringValue\": \"q=jane\"}}"}"#,
        r#"{"a":"{\"key\": \"query\", \"value\": {\"stringValue\": \"…\"}}"}"#,
    );
    record(r#"{"key":"query","value":{"intValue":"7"}}"#, r#"{"key":"query","value":{"intValue":"…"}}"#);
    record(
        r#"{"key":"query","value":{"arrayValue":{"values":[{"stringValue":"jane"}]}}},{"a":1}"#,
        r#"{"key":"query","value":{"arrayValue":{…}}},{"a":1}"#,
    );
}

/// In JSON the members of an object come in any order.
#[test]
fn attributes_lose_their_values_whichever_side_the_key_is_on() {
    record(
        r#"{"a":[{"value":{"stringValue":"tok=jane"},"key":"query"},{"value":{"stringValue":"y"},"key":"x"}]}"#,
        r#"{"a":[{"value":{"stringValue":"…"},"key":"query"},{"value":{"stringValue":"y"},"key":"x"}]}"#,
    );
    record(
        r#"{"a":"{ \"value\": { \"stringValue\": \"q=jane\" } , \"key\": \"query\"}"}"#,
        r#"{"a":"{ \"value\": { \"stringValue\": \"…\" } , \"key\": \"query\"}"}"#,
    );
    record(
        r#"{"value":{"arrayValue":{"values":[{"stringValue":"jane"}]}},"key":"query"}"#,
        r#"{"value":{"arrayValue":{…}},"key":"query"}"#,
    );
    record(r#"{"value":{"intValue":7},"key":"query"}"#, r#"{"value":{"intValue":…},"key":"query"}"#);
    // Broken off before the key.
    for cut in ["\"", "\"}", "\"},", "\"},\"key\":\"que"] {
        record(
            &format!(r#"{{"value":{{"stringValue":"q=jane{cut}"#),
            &format!(r#"{{"value":{{"stringValue":"…{cut}"#),
        );
    }
    record(r#"{"value":{"x":1}}"#, r#"{"value":{"x":1}}"#);
}

#[test]
fn a_question_mark_that_json_escapes_is_one() {
    record(r#"{"uri":"\/s\u003ftok=jane","x":1}"#, r#"{"uri":"\/s\u003f…","x":1}"#);
    record(r#"{"uri":"/s\u003Ftok=jane doe","x":1"#, r#"{"uri":"/s\u003F…","x":1"#);
    record(
        r#"{"log":"{\"uri\":\"/s\\u003ftok\",\"x\":1}"}"#,
        r#"{"log":"{\"uri\":\"/s\\u003f…\",\"x\":1}"}"#,
    );
    record(r#"{"uri":"/su003fx \u003d"}"#, r#"{"uri":"/su003fx \u003d"}"#);
}

#[test]
fn records_in_columns_lose_those_that_may_be_queries() {
    let row = |query: &str, cookie: &str| {
        format!("2026-01-02\t03:04:05\tX1\t5\t192.0.2.1\tGET\th\t/s\t200\t-\tcurl\t{query}\t{cookie}\tHit")
    };
    record(&row("q=jane", "id=7"), &row("…", "…"));
    record(
        &format!("{}\n{}", row("-", "-"), row("q=jane doe", "-")),
        &format!("{}\n{}", row("-", "-"), row("…", "-")),
    );
    record("a\tb=c", "a\tb=c");
    // A query without an equals sign, in JSON, in JSON within that, and where columns are missing.
    record(&row("jane", "-"), &row("…", "-"));
    for tab in [r"\t", r"\\t", r"\u0009"] {
        let inside = |row: String| format!(r#"{{"log":"{}\n","x":1}}"#, row.replace('\t', tab));
        record(&inside(row("jane", "-")), &inside(row("…", "-")));
    }
    record("2026-01-02\t03:04:05\tjane\t5", "2026-01-02\t03:04:05\t…\t5");
    record(&"\tjane".repeat(11), &"\t…".repeat(11));
    record(r"C:\temp\x", r"C:\temp\x");
}

/// Not every server escapes the quotes of its senders.
#[test]
fn a_quote_within_a_query_of_a_line_does_not_end_it() {
    record(
        r#"192.0.2.1 - - [x] "GET /s?q="jane" 7 doe HTTP/1.1" 200 5 "http://h/?a" "curl""#,
        r#"192.0.2.1 - - [x] "GET /s?… HTTP/1.1" 200 5 "http://h/?…" "curl""#,
    );
}

#[test]
fn bytes_of_no_text_are_withheld() {
    let redact = |bytes| Privacy::Redact.apply_to_record(bytes, &queries());
    for bytes in [&b"\x0a\x05jane\x12"[..], b"\0", b"a\0b", b"\x1b[2J"] {
        let bare = bytes == b"\0";
        assert_eq!(matches!(redact(bytes), Shown::Withheld(_)), !bare, "{bytes:?}");
    }
    for text in [&b"a\r\n\tb\xff\0\0"[..], b"", b"\xff"] {
        assert_eq!(redact(text), Shown::Record(text.into()));
    }
    let bare = Queries { bare: true, ..queries() };
    assert!(matches!(Privacy::Redact.apply_to_record(b"x", &bare), Shown::Withheld(_)));
    assert_eq!(Privacy::Keep.apply_to_record(b"\0x", &bare), Shown::Record(b"\0x"[..].into()));
}

/// Senders write what is in records, and this runs where records are read.
#[test]
fn no_record_makes_it_panic() {
    let pieces = [
        r"\u003f",
        r#"{"value":{"aValue":"#,
        "}",
        "?",
        "\"",
        "\\",
        " ",
        "\n",
        "é",
        "…",
        "args",
        "query",
        ":",
        ",",
        "{",
        " HTTP/1.1",
        "x",
    ];
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        let redacted = redact_text(&text, &queries());
        assert!(redacted.matches('"').count() <= text.matches('"').count(), "{text}");
    }
}
