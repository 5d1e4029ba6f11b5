//! Whole URLs in request lines, as proxies are asked: which records show them as they were sent, and what they say.

use beaconfire_model::TargetForm::{self, Elsewhere, Path, Url};

use super::*;

#[track_caller]
fn form(format: Format, line: &str, expected: TargetForm) {
    let source = Source { entry: EntryId(0), topic: TopicId(0), partition: 0 };
    let record = Record { source, offset: Offset(0), stamped: None, payload: Some(line.as_bytes()) };
    let mut found = Vec::new();
    // Twice: the second time JSON is read by the layout that the first one taught.
    let mut decoder = Decoder::new(named(format));
    for _ in 0..2 {
        let each = |decoded: beaconfire_decode::Decoded<'_>| match decoded.event {
            Event::Request(request) => found.push(request.target),
            other => panic!("no request: {other:?}"),
        };
        decoder.decode(&record, each).unwrap();
    }
    assert_eq!(found, [expected; 2], "{line}");
}

#[test]
fn combined_lines_and_their_vhosts() {
    let line = |vhost: &str, request: &str| {
        format!(r#"{vhost}203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "{request}" 200 5 "-" "curl/8""#)
    };
    for (vhost, request, expected) in [
        ("", "GET /a?u=http://other.example/ HTTP/1.1", Path),
        ("", "CONNECT other.example:443 HTTP/1.1", Path),
        ("", "GET http://other.example/ HTTP/1.1", Url),
        ("shop.example.com:80 ", "GET http://other.example/ HTTP/1.1", Elsewhere),
        ("shop.example.com:80 ", "GET http://shop.example.com/healthz HTTP/1.1", Url),
        ("shop.example.com:80 ", "GET https://other.example/ HTTP/2.0", Path),
    ] {
        form(Format::Combined, &line(vhost, request), expected);
    }
}

#[test]
fn json_shows_it_in_request_lines_only() {
    let record = |keys: &str| {
        format!(
            r#"{{"time_iso8601":"2026-01-02T03:04:05+00:00","remote_addr":"203.0.113.7","status":200,{keys}}}"#
        )
    };
    for (keys, expected) in [
        (r#""request":"GET http://other.example/ HTTP/1.1","server_name":"shop.example.com""#, Elsewhere),
        (r#""request":"GET http://other.example/ HTTP/1.1","host":"other.example""#, Url),
        (r#""request":"GET /a HTTP/1.1","host":"shop.example.com""#, Path),
        (r#""request_uri":"http://other.example/","server_name":"shop.example.com""#, Path),
    ] {
        form(Format::NginxJson, &record(keys), expected);
    }
}

#[test]
fn load_balancers_write_whole_urls_themselves() {
    let line = r#"http 2026-01-02T03:04:05.678641Z app/edge/50dc6c495c0c9188 203.0.113.7:2817 10.1.0.1:80 0.000 0.001 0.002 403 403 34 512 "GET http://shop.example.com:80/cart HTTP/1.1" "Firefox" - - - "Root=1-5833" "-" "-" 0 2026-01-02T03:04:05.364000Z "forward" "-" "-" "10.1.0.1:80" "403" "-" "-""#;
    form(Format::Alb, line, Path);
}
