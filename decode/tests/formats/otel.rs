//! OpenTelemetry's exports, as JSON and as protobuf.

use beaconfire_decode::{DecodeKnobs, Format, Reject, explain};

use super::{HEAD, behind_proxies, check, client, named, read, resolved};

pub(crate) fn otlp(records: &str) -> String {
    format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}},{{"key":"k8s.pod.name","value":{{"stringValue":"shop-0"}}}}]}},"scopeLogs":[{{"scope":{{}},"logRecords":[{records}]}}]}}]}}"#
    )
}

pub(crate) const SEMANTIC: &str = r#"{"timeUnixNano":"1767323045678000000","observedTimeUnixNano":"1767323049000000000","body":{"stringValue":"GET /cart"},"attributes":[{"key":"http.request.method","value":{"stringValue":"GET"}},{"key":"url.path","value":{"stringValue":"/cart"}},{"key":"url.query","value":{"stringValue":"id=1"}},{"key":"http.response.status_code","value":{"intValue":"200"}},{"key":"http.response.body.size","value":{"intValue":512}},{"key":"network.peer.address","value":{"stringValue":"203.0.113.7"}},{"key":"client.address","value":{"stringValue":"6.6.6.6"}},{"key":"user_agent.original","value":{"stringValue":"Firefox"}},{"key":"server.address","value":{"stringValue":"shop.example.com"}},{"key":"network.protocol.version","value":{"stringValue":"2"}},{"key":"http.request.header.x-forwarded-for","value":{"arrayValue":{"values":[{"stringValue":"6.6.6.6"},{"stringValue":"198.51.100.9"}]}}}]}"#;

#[test]
fn opentelemetry_as_json() {
    let meant =
        "2026-01-02T03:04:05.678Z 203.0.113.7 shop GET shop.example.com/cart?id=1 2 200 512 - Firefox -";
    check(Format::Otel, &otlp(SEMANTIC), meant);
    client(&behind_proxies(), &otlp(&SEMANTIC.replace("203.0.113.7", "10.0.0.1")), "198.51.100.9");
    client(&resolved(DecodeKnobs::default()), &otlp(SEMANTIC), "6.6.6.6");
    // What a library took for the client is a sender's word, also behind a proxy of ours.
    let proxied = SEMANTIC.replace("203.0.113.7", "10.0.0.1");
    for key in ["client.address", "http.client_ip", "client.ip"] {
        let said = proxied.replace("client.address", key).replace("x-forwarded-for", "x-other");
        client(&behind_proxies(), &otlp(&said), "10.0.0.1");
    }
    let old = r#"{"timeUnixNano":"0","observedTimeUnixNano":"1767323045678000000","attributes":[{"key":"http.method","value":{"stringValue":"GET"}},{"key":"http.target","value":{"stringValue":"/cart?id=1"}},{"key":"http.status_code","value":{"intValue":"200"}},{"key":"http.response_content_length","value":{"intValue":"512"}},{"key":"http.client_ip","value":{"stringValue":"203.0.113.7"}},{"key":"http.user_agent","value":{"stringValue":"Firefox"}},{"key":"http.host","value":{"stringValue":"shop.example.com"}},{"key":"http.flavor","value":{"stringValue":"2"}}]}"#;
    check(Format::Otel, &otlp(old), &meant.replace("203.0.113.7", "-"));
    for key in ["client.address", "http.client_ip"] {
        let old = otlp(&old.replace("http.client_ip", key));
        client(&DecodeKnobs::default(), &old, "-");
        client(&resolved(DecodeKnobs::default()), &old, "203.0.113.7");
    }
}

#[test]
fn opentelemetry_around_other_formats() {
    let line = serde_json::to_string(HEAD).unwrap();
    let body = format!(r#"{{"timeUnixNano":"1","body":{{"stringValue":{line}}},"attributes":[]}}"#);
    let attributes = r#"{"timeUnixNano":"1767323045000000000","body":{"stringValue":"x"},"attributes":[{"key":"remote_addr","value":{"stringValue":"203.0.113.7"}},{"key":"request_uri","value":{"stringValue":"/cart?id=1"}},{"key":"status","value":{"stringValue":"200"}}]}"#;
    let map = r#"{"timeUnixNano":"1767323045000000000","body":{"kvlistValue":{"values":[{"key":"remote_addr","value":{"stringValue":"203.0.113.7"}},{"key":"request_uri","value":{"stringValue":"/cart?id=1"}},{"key":"status","value":{"intValue":"200"}}]}}}"#;
    for knobs in [DecodeKnobs::default(), named(Format::Otel)] {
        let (events, ended) = read(&knobs, otlp(&[&body, attributes, map].join(",")).as_bytes());
        let short = "2026-01-02T03:04:05Z 203.0.113.7 shop - /cart?id=1 - 200 0 - - - [nginx-json]";
        assert_eq!(
            events,
            [
                "2026-01-02T03:04:05Z 203.0.113.7 shop GET /cart?id=1 1.1 200 512 - Firefox - [combined]",
                short,
                short
            ]
        );
        assert_eq!(ended, Ok(()));
    }
    assert_eq!(read(&named(Format::Combined), otlp(&body).as_bytes()).0.len(), 1);
    let empty = |text: &str| read(&DecodeKnobs::default(), text.as_bytes());
    assert_eq!(empty(r#"{"resourceLogs":[]}"#), (vec![], Err(Reject::Empty)));
    assert_eq!(empty(&otlp(r#"{"body":{"intValue":"1"}}"#)), (vec![], Err(Reject::UnknownFormat)));
}

/// The few things of protobuf that an export needs.
pub(crate) mod proto {
    pub(crate) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
        let mut out = varint(u64::from(number << 3 | 2));
        out.extend(varint(bytes.len() as u64));
        out.extend(bytes);
        out
    }

    pub(crate) fn number(number: u32, value: u64) -> Vec<u8> {
        [varint(u64::from(number << 3)), varint(value)].concat()
    }

    pub(crate) fn fixed(number: u32, value: u64) -> Vec<u8> {
        [varint(u64::from(number << 3 | 1)), value.to_le_bytes().to_vec()].concat()
    }

    fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }

    pub(crate) fn text(value: &str) -> Vec<u8> {
        field(1, value.as_bytes())
    }

    pub(crate) fn pair(key: &str, value: &[u8]) -> Vec<u8> {
        [field(1, key.as_bytes()), field(2, value)].concat()
    }

    pub(crate) fn export(records: &[Vec<u8>]) -> Vec<u8> {
        let resource = field(1, &pair("service.name", &text("shop")));
        let scope =
            [field(1, &field(1, b"lib")), records.iter().flat_map(|record| field(2, record)).collect()]
                .concat();
        field(1, &[field(1, &resource), field(2, &scope), field(3, b"https://schema.example")].concat())
    }
}

pub(crate) fn proto_record() -> Vec<u8> {
    let attribute = |key: &str, value: Vec<u8>| proto::field(6, &proto::pair(key, &value));
    let list =
        [proto::field(1, &proto::text("6.6.6.6")), proto::field(1, &proto::text("198.51.100.9"))].concat();
    [
        proto::fixed(1, 1_767_323_045_678_000_000),
        proto::number(2, 9),
        proto::field(3, b"INFO"),
        proto::field(5, &proto::text("GET \"/cart\"")),
        attribute("http.request.method", proto::text("GET")),
        attribute("url.path", proto::text("/cart")),
        attribute("url.query", proto::text("id=1")),
        attribute("http.response.status_code", proto::number(3, 200)),
        attribute("http.response.body.size", proto::number(3, 512)),
        attribute("network.peer.address", proto::text("203.0.113.7")),
        attribute("user_agent.original", proto::text("Fire\"fox\\\u{7}")),
        attribute("sampled", proto::number(2, 1)),
        attribute("share", proto::fixed(4, f64::NAN.to_bits())),
        attribute("http.request.header.x-forwarded-for", proto::field(5, &list)),
        proto::field(9, &[7; 16]),
        proto::fixed(11, 1_767_323_049_000_000_000),
    ]
    .concat()
}

#[test]
fn opentelemetry_as_protobuf() {
    let record = proto_record();
    let export = proto::export(&[record.clone(), record]);
    let meant =
        "2026-01-02T03:04:05.678Z 203.0.113.7 shop GET /cart?id=1 - 200 512 - Fire\"fox\\\u{7} - [otel]"
            .to_owned();
    for knobs in [DecodeKnobs::default(), named(Format::Otel)] {
        assert_eq!(read(&knobs, &export), (vec![meant.clone(), meant.clone()], Ok(())));
    }
    let line = proto::export(&[proto::field(5, &proto::text(HEAD))]);
    assert_eq!(
        read(&DecodeKnobs::default(), &line).0[0],
        "2026-01-02T03:04:05Z 203.0.113.7 shop GET /cart?id=1 1.1 200 512 - Firefox - [combined]"
    );
    let said = explain(&export, &DecodeKnobs::default()).to_string();
    assert!(said.contains("protobuf") && said.contains("request  (otel)"), "{said}");
}

/// One attribute that nobody reads loses no batch.
#[test]
fn what_is_nested_deep_in_protobuf_is_passed_over() {
    let nested = |levels: usize, map: bool| {
        (0..levels).fold(proto::text("x"), |value, _| match map {
            true => proto::field(6, &proto::field(1, &proto::pair("k", &value))),
            false => proto::field(5, &proto::field(1, &value)),
        })
    };
    for (levels, map) in (0..70).chain([2000]).flat_map(|levels| [(levels, true), (levels, false)]) {
        let deep = proto::field(6, &proto::pair("deep", &nested(levels, map)));
        let body = proto::field(5, &nested(levels, map));
        let record = [deep, body, proto_record()].concat();
        let export = proto::export(&[record, proto_record()]);
        let (events, ended) = read(&DecodeKnobs::default(), &export);
        assert_eq!((events.len(), ended), (2, Ok(())), "{levels}");
    }
}

#[test]
fn what_is_no_export_in_protobuf_is_read_as_text() {
    for text in [format!("\n{HEAD}"), format!("\n\n{HEAD}\n"), format!("\n{}", otlp(SEMANTIC))] {
        assert_eq!(read(&DecodeKnobs::default(), text.as_bytes()).0.len(), 1, "{text}");
    }
    // Metrics have a name where logs have a time; this one has nothing to say. What has both is neither.
    let metrics = proto::export(&[proto::field(1, b"cpu.seconds")]);
    assert_eq!(read(&DecodeKnobs::default(), &metrics), (vec![], Ok(())));
    let both = proto::export(&[[proto::field(1, b"cpu.seconds"), proto::number(2, 9)].concat()]);
    assert!(read(&DecodeKnobs::default(), &both).1.is_err());
    let mut deep = proto::text("x");
    for _ in 0..2000 {
        deep = proto::field(5, &proto::field(1, &deep));
    }
    assert!(read(&DecodeKnobs::default(), &proto::export(&[proto::field(5, &deep)])).1.is_err());
}
