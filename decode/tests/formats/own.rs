//! Records in a form of the operator's own.

use beaconfire_decode::{DecodeKnobs, FieldPaths, Format, LogFormat, Reject, Zone, explain};

use super::{HEAD, SEMANTIC, behind_proxies, named, otlp, read};

#[test]
fn lines_in_a_format_of_ones_own() {
    let format = r#"$http_x_forwarded_for|$remote_addr [$time_local] $host "$request" $status $bytes_sent $request_time "$http_user_agent" $request_id"#;
    let knobs = DecodeKnobs { log_format: Some(LogFormat::parse(format).unwrap()), ..behind_proxies() };
    let line = r#"6.6.6.6, 198.51.100.9|10.0.0.1 [02/Jan/2026:03:04:05 +0000] shop "GET /cart?id=1 HTTP/1.1" 200 512 0.012 "Fire\"fox" 7f"#;
    let meant = "2026-01-02T03:04:05Z 198.51.100.9 - GET shop/cart?id=1 1.1 200 512 12000us Fire\\\"fox 7f [combined]";
    assert_eq!(read(&knobs, line.as_bytes()), (vec![meant.to_owned()], Ok(())));
    assert_eq!(read(&knobs, format!("2026-01-02T03:04:05Z stdout F {line}").as_bytes()).0, [meant]);
    // What is not of that format may be of another; what is of none says so.
    assert_eq!(read(&knobs, HEAD.as_bytes()).0.len(), 1);
    assert_eq!(read(&knobs, line.replace(" 512 ", " ").as_bytes()).1, Err(Reject::UnknownFormat));
    let said = explain(line.as_bytes(), &knobs).to_string();
    assert!(said.contains("from log_format"), "{said}");

    let timeless = DecodeKnobs {
        log_format: Some(LogFormat::parse("$status $request").unwrap()),
        ..named(Format::IngressNginx)
    };
    assert_eq!(read(&timeless, b"200 GET /cart HTTP/1.1"), (vec![], Err(Reject::MissingTime)));
    assert_eq!(
        read(&timeless, b"2026-01-02T03:04:05Z stdout F 200 GET /cart HTTP/1.1").0,
        ["2026-01-02T03:04:05Z - - GET /cart 1.1 200 0 - - - [ingress-nginx]"]
    );
}

#[test]
fn json_of_ones_own() {
    let mut fields = FieldPaths::default();
    for (name, path) in [
        ("time", "ts"),
        ("client", "peer.ip"),
        ("forwarded_for", "headers.x-forwarded-for"),
        ("path", "req.url"),
        ("method", "req.verb"),
        ("status", "res.code"),
        ("duration_ms", "took"),
        ("service", "app"),
    ] {
        fields.add(name, path).unwrap();
    }
    let knobs = DecodeKnobs { fields, ..behind_proxies() };
    let line = r#"{"ts":1767323045,"peer.ip":"10.0.0.1","headers":{"x-forwarded-for":["6.6.6.6","198.51.100.9"]},"req":{"url":"/cart?id=1","verb":"GET"},"res":{"code":"200"},"took":12,"app":"shop"}"#;
    let meant = "2026-01-02T03:04:05Z 198.51.100.9 shop GET /cart?id=1 - 200 0 12000us - - [beaconfire]";
    assert_eq!(read(&knobs, line.as_bytes()), (vec![meant.to_owned()], Ok(())));
    let wrapped = serde_json::json!({"log": line, "stream": "stdout"}).to_string();
    assert_eq!(read(&knobs, wrapped.as_bytes()).0, [meant]);
    // Other shapes are read as ever.
    assert_eq!(read(&knobs, otlp(SEMANTIC).as_bytes()).0.len(), 1);
    assert_eq!(read(&knobs, br#"{"ts":1767323045,"took":12}"#).1, Err(Reject::UnknownFormat));
}

#[test]
fn attributes_of_ones_own() {
    let mut fields = FieldPaths::default();
    for (name, path) in [
        ("client", "peer.ip"),
        ("path", "req.url"),
        ("query", "req.qs"),
        ("status", "res.code"),
        ("duration_ms", "took"),
    ] {
        fields.add(name, path).unwrap();
    }
    assert_eq!(fields.query_keys().collect::<Vec<_>>(), ["qs", "req.qs"]);
    let text = |key: &str, text: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{text}"}}}}"#);
    let map = |key: &str, pairs: &[String]| {
        format!(r#"{{"key":"{key}","value":{{"kvlistValue":{{"values":[{}]}}}}}}"#, pairs.join(","))
    };
    let flat = [text("req.url", "/cart"), text("req.qs", "id=1"), text("peer.ip", "203.0.113.7")].join(",");
    let nested =
        [map("req", &[text("url", "/cart"), text("qs", "id=1")]), map("peer", &[text("ip", "203.0.113.7")])]
            .join(",");
    let rest = r#"{"key":"res.code","value":{"intValue":"200"}},{"key":"took","value":{"doubleValue":12}}"#;
    for format in [Format::Auto, Format::Otel] {
        let knobs = DecodeKnobs { fields: fields.clone(), ..named(format) };
        for attributes in [&flat, &nested] {
            let in_attributes =
                format!(r#"{{"timeUnixNano":"1767323045000000000","attributes":[{attributes},{rest}]}}"#);
            let in_body = format!(
                r#"{{"timeUnixNano":"1767323045000000000","body":{{"kvlistValue":{{"values":[{attributes},{rest}]}}}}}}"#
            );
            for record in [in_attributes, in_body] {
                assert_eq!(
                    read(&knobs, otlp(&record).as_bytes()),
                    (
                        vec![
                            "2026-01-02T03:04:05Z 203.0.113.7 shop - /cart?id=1 - 200 0 12000us - - [otel]"
                                .to_owned()
                        ],
                        Ok(())
                    ),
                    "{record}"
                );
            }
        }
        // Attributes that have none of these are read as ever.
        assert_eq!(read(&knobs, otlp(SEMANTIC).as_bytes()).0.len(), 1);
    }
}

#[test]
fn times_without_an_offset_are_of_the_topics_zone() {
    let knobs = DecodeKnobs { zone: Zone::new(3_600_000, []), ..DecodeKnobs::default() };
    let line = r#"203.0.113.7:4711 [02/Jan/2026:03:04:05.678] in shop/web1 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1""#;
    assert!(read(&knobs, line.as_bytes()).0[0].starts_with("2026-01-02T02:04:05.678Z "));
    assert!(read(&knobs, HEAD.as_bytes()).0[0].starts_with("2026-01-02T03:04:05Z "));
}
