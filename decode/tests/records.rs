//! Records as they come, and what is read in them.

use std::path::PathBuf;

use beaconfire_decode::{DecodeKnobs, Decoder, Format, Reject, explain};
use beaconfire_model::{EntryId, Event, Metric, Offset, Record, Source, TopicId};
use proptest::prelude::*;

fn source() -> Source {
    Source { entry: EntryId(0), topic: TopicId(0), partition: 0 }
}

fn decode(decoder: &mut Decoder, offset: i64, payload: &[u8]) -> (Vec<String>, Result<(), Reject>) {
    let record = Record { source: source(), offset: Offset(offset), stamped: None, payload: Some(payload) };
    let mut events = Vec::new();
    let ended = decoder.decode(&record, |decoded| {
        let text = match decoded.event {
            Event::Request(request) => format!(
                "{} {} {} {} {}{} {} {} [{}]",
                request.time,
                request.client.map_or("-".to_owned(), |client| client.to_string()),
                request.service,
                request.method,
                request.path,
                if request.query.is_empty() { String::new() } else { format!("?{}", request.query) },
                request.status,
                request.bytes_sent,
                decoded.format.name()
            ),
            Event::Runtime(event) => format!(
                "{} {:?} {} {} {:?} [{}]",
                event.time,
                event.kind,
                event.workload,
                event.rule,
                event.severity.map(|severity| severity.name()),
                decoded.format.name()
            ),
            Event::Resource(sample) => {
                format!("{} {} {:?}", sample.time, sample.workload, sample.get(Metric::CpuCores))
            }
            Event::Image(scan) => scan.image.to_owned(),
        };
        events.push(text);
    });
    (events, ended)
}

#[track_caller]
fn check(payload: &str, expect: &[&str]) {
    let (events, ended) = decode(&mut Decoder::new(DecodeKnobs::default()), 0, payload.as_bytes());
    assert_eq!(events, expect, "{payload}");
    assert_eq!(ended, Ok(()), "{payload}");
}

#[track_caller]
fn rejects(payload: &[u8], reason: Reject) {
    let (events, ended) = decode(&mut Decoder::new(DecodeKnobs::default()), 0, payload);
    assert_eq!(
        (events.len(), ended),
        (0, Err(reason)),
        "{}",
        String::from_utf8_lossy(&payload[..payload.len().min(80)])
    );
}

const LINE: &str =
    r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET /cart?id=1 HTTP/1.1" 200 512 "-" "Firefox""#;
const READ: &str = "2026-01-02T03:04:05Z 203.0.113.7  GET /cart?id=1 200 512 [combined]";

#[test]
fn access_logs_as_text() {
    check(LINE, &[READ]);
    check(&LINE.replace(r#" "-" "Firefox""#, ""), &[READ]);
    check(&format!("shop.example.com {LINE}"), &[READ]);
    check(&format!(r#"{LINE} "198.51.100.9""#), &[READ]);
    check(&format!("{LINE}\n{LINE}"), &[READ, READ]);
}

#[test]
fn envelopes_come_off() {
    let inner = serde_json::to_string(LINE).unwrap();
    check(&format!("2026-01-02T03:04:05.1Z stdout F {LINE}"), &[READ]);
    check(&format!(r#"{{"log":{inner},"stream":"stdout","time":"2026-01-02T03:04:06Z"}}"#), &[READ]);
    check(&format!(r#"[1767323045.5,{{"log":{inner}}}]"#), &[READ]);
    check(&format!("<190>Jan  2 03:04:05 edge nginx: {LINE}"), &[READ]);
    check(
        &format!(
            r#"{{"@timestamp":"2026-01-02T03:04:06Z","message":{inner},"kubernetes":{{"namespace":"web","pod":{{"name":"shop-7d9f8c6b5d-x2x9k"}}}}}}"#
        ),
        &[&READ.replace("7  GET", "7 web/shop GET")],
    );
}

/// A header's words must not pass for the line's vhost and client: the request would have no client and count for none.
#[test]
fn an_access_log_behind_syslog_keeps_its_client() {
    let old = ["Jan  2 03:04:05", "Jan 2 03:04:05", "Jan 12 03:04:05"];
    let iso = ["2026-01-02T03:04:05.123456+00:00", "2026-01-02T03:04:05Z"];
    let from = ["edge nginx: ", "edge nginx[7]: ", "10.0.0.5 nginx: ", "nginx: ", "edge ", ""];
    for priority in ["", "<190>"] {
        for time in old.iter().chain(&iso) {
            for from in from {
                check(&format!("{priority}{time} {from}{LINE}"), &[READ]);
            }
        }
    }
    for header in [
        "<190>1 2026-01-02T03:04:05.1Z edge nginx 7 - -",
        "<190>1 2026-01-02T03:04:05Z - nginx - - -",
        r#"<190>1 - 10.0.0.5 nginx 7 access [origin ip="198.51.100.1"]"#,
    ] {
        check(&format!("{header} {LINE}"), &[READ]);
    }
    check(&format!("<190>Jan  2 03:04:05 edge nginx: shop.example.com {LINE}"), &[READ]);
    check(
        &format!("Jan  2 03:04:05 edge {}", LINE.replace("203.0.113.7", "2001:db8::")),
        &[&READ.replace("203.0.113.7", "2001:db8::/64")],
    );
}

#[test]
fn what_stands_before_the_client_is_no_client() {
    rejects(format!("Okt 25 14:49:33 edge nginx: {LINE}").as_bytes(), Reject::Syntax);
    rejects(format!("<190>1 broken {LINE}").as_bytes(), Reject::Syntax);
    // Apache may look up names, and a sender may leave out the Host header.
    check(&LINE.replace("203.0.113.7", "host.example.net"), &[&READ.replace("203.0.113.7", "-")]);
    check(&format!("- {LINE}"), &[READ]);
}

#[test]
fn json_formats() {
    check(
        r#"{"time":"2026-01-02T03:04:05+00:00","remote_addr":"203.0.113.7","request_method":"GET","request_uri":"/cart?id=1","status":"200","body_bytes_sent":512}"#,
        &[&READ.replace("combined", "nginx-json")],
    );
    check(
        r#"{"start_time":"2026-01-02T03:04:05.000Z","method":"GET","path":"/cart?id=1","response_code":200,"bytes_sent":"512","downstream_remote_address":"203.0.113.7:4711","upstream_cluster":"outbound|80||shop.web.svc.cluster.local"}"#,
        &[&READ.replace("7  GET", "7 web/shop GET").replace("combined", "envoy")],
    );
    check(
        r#"{"kind":"request","time":1767323045,"client":"203.0.113.7","service":"shop","method":"GET","path":"/cart?id=1","status":200,"bytes_sent":512}"#,
        &[&READ.replace("7  GET", "7 shop GET").replace("combined", "beaconfire")],
    );
}

#[test]
fn findings() {
    let alert = |source: &str| {
        format!(
            r#"{{"priority":"Critical","rule":"Shell in container","source":"{source}","time":"2026-01-02T03:04:05.000000000Z","output":"x","output_fields":{{"k8s.ns.name":"web","k8s.pod.name":"shop-7d9f8c6b5d-x2x9k","proc.cmdline":"sh"}}}}"#
        )
    };
    check(
        &alert("syscall"),
        &[r#"2026-01-02T03:04:05Z Finding web/shop Shell in container Some("critical") [falco]"#],
    );
    check(
        &alert("internal"),
        &[r#"2026-01-02T03:04:05Z Health web/shop Shell in container Some("critical") [falco]"#],
    );
}

#[test]
fn a_line_in_parts_holds_back_its_offset() {
    let mut decoder = Decoder::new(DecodeKnobs::default());
    let (head, tail) = LINE.split_at(40);
    let first = decode(&mut decoder, 7, format!("2026-01-02T03:04:05Z stdout P {head}").as_bytes());
    assert_eq!((first.0.len(), first.1), (0, Ok(())));
    assert_eq!(decoder.pending(source()), Some(Offset(7)));
    let second = decode(&mut decoder, 8, format!("2026-01-02T03:04:05Z stdout F {tail}").as_bytes());
    assert_eq!(second, (vec![READ.to_owned()], Ok(())));
    assert_eq!(decoder.pending(source()), None);
}

/// Runtimes cut at 16 KiB, so whoever chooses the length of their URL chooses where.
#[test]
fn a_line_in_parts_may_be_cut_anywhere() {
    for at in 1..LINE.len() {
        let (head, tail) = LINE.split_at(at);
        // Behind the size, or a field behind it.
        let may_be_whole = [" 5", " 51", " 512", " \"-\""].iter().any(|end| head.trim_end().ends_with(end));
        let (head, tail) = (
            format!("2026-01-02T03:04:05Z stdout P {head}"),
            format!("2026-01-02T03:04:05Z stdout F {tail}"),
        );
        let inner = |line: &str| serde_json::json!({"log": format!("{line}\n")}).to_string();
        for [head, tail] in [
            [head.clone(), tail.clone()],
            [format!("{head}\r\n"), format!("{tail}\n\0")],
            [inner(&head), inner(&tail)],
            [String::new(), format!("{head}\n{tail}\n \n")],
        ] {
            let mut decoder = Decoder::new(DecodeKnobs::default());
            let mut first = decode(&mut decoder, 7, head.as_bytes());
            if may_be_whole {
                // All that a server wrote, perhaps, behind a Host header that looks like a runtime's: its end is not
                // waited for, and that is no line.
                first.0.extend(decode(&mut decoder, 8, tail.as_bytes()).0);
                assert_eq!(first.0.len(), 1, "{head:?} {:?}", first.0);
                assert!(READ.starts_with(first.0[0].split(" 200 ").next().unwrap()), "{:?}", first.0);
                assert_eq!(decoder.pending(source()), None, "{head:?}");
                continue;
            }
            assert_eq!(first.0.len(), 0, "{head}");
            assert_eq!(decode(&mut decoder, 8, tail.as_bytes()), (vec![READ.to_owned()], Ok(())), "{head:?}");
        }
    }
}

#[test]
fn what_is_not_understood_says_why() {
    rejects(b"", Reject::Empty);
    rejects(b"hello", Reject::UnknownFormat);
    rejects(br#"{"a":1}"#, Reject::UnknownFormat);
    rejects(br#"{"kind":"request""#, Reject::Syntax);
    rejects(&vec![b'x'; 2 << 20], Reject::TooLarge);
    rejects("[".repeat(10_000).as_bytes(), Reject::Depth);
    rejects(br#"{"kind":"request","path":"/","status":200}"#, Reject::MissingTime);
    let record = Record { source: source(), offset: Offset(0), stamped: None, payload: None };
    let ended = Decoder::new(DecodeKnobs::default()).decode(&record, |_| panic!("a tombstone holds nothing"));
    assert_eq!(ended, Err(Reject::Tombstone));
}

#[test]
fn explanations_name_fields_and_reasons() {
    let text = explain(LINE.as_bytes(), &DecodeKnobs::default()).to_string();
    for part in ["request  (combined)", "203.0.113.7", "id=1", "understood"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let text = explain(b"\x1b[2J<script>", &DecodeKnobs::default()).to_string();
    assert!(text.contains("rejected  unknown_format") && !text.contains('\x1b'), "{text}");
}

#[test]
fn every_line_of_a_real_access_log_is_read() {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/access-logs/elastic-examples-apache.log.gz");
    if !file.exists() {
        eprintln!("SKIPPED: no shared data");
        return;
    }
    let done = std::process::Command::new("gzip").args(["-dc"]).arg(&file).output().unwrap();
    let mut decoder = Decoder::new(DecodeKnobs { format: Format::Auto, ..DecodeKnobs::default() });
    let mut read = 0;
    for line in done.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let (events, ended) = decode(&mut decoder, read, line);
        assert_eq!((events.len(), ended), (1, Ok(())), "{}", String::from_utf8_lossy(line));
        read += 1;
    }
    assert_eq!(read, 10_000);
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&mut Decoder::new(DecodeKnobs::default()), 0, &bytes);
        let _ = explain(&bytes, &DecodeKnobs::default());
    }

    #[test]
    fn nor_do_records_with_a_few_bytes_changed(at in 0usize..90, byte: u8, cut in 0usize..90, pick in 0usize..3) {
        let inner = serde_json::to_string(LINE).unwrap();
        let records = [LINE.to_owned(), format!(r#"{{"log":{inner},"stream":"stdout"}}"#), format!("2026-01-02T03:04:05Z stdout F {LINE}")];
        let mut bytes = records[pick].clone().into_bytes();
        bytes[at] = byte;
        let _ = decode(&mut Decoder::new(DecodeKnobs::default()), 0, &bytes);
        bytes.truncate(cut);
        let _ = decode(&mut Decoder::new(DecodeKnobs::default()), 0, &bytes);
    }
}
