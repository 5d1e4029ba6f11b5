//! Each format of request logs: fixtures of our own, and the real records of the shared folder where that is there.

mod envoy;
mod haproxy;
mod hostile;
mod otel;
mod own;
mod targets;

use std::path::PathBuf;

use beaconfire_decode::{DecodeKnobs, Decoder, Format, Reject, explain};
use beaconfire_model::{EntryId, Event, Offset, Record, Source, TopicId};
use envoy::{ENVOY, ISTIO};
use otel::{SEMANTIC, otlp, proto, proto_record};
use proptest::prelude::*;

/// All that a request says, in one line.
fn read(knobs: &DecodeKnobs, payload: &[u8]) -> (Vec<String>, Result<(), Reject>) {
    let source = Source { entry: EntryId(0), topic: TopicId(0), partition: 0 };
    let record = Record { source, offset: Offset(0), stamped: None, payload: Some(payload) };
    let mut events = Vec::new();
    let ended = Decoder::new(knobs.clone()).decode(&record, |decoded| {
        let Event::Request(request) = decoded.event else { panic!("no request: {:?}", decoded.event) };
        let or = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        events.push(format!(
            "{} {} {} {} {}{}{} {} {} {} {} {} {} [{}]",
            request.time,
            request.client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
            or(request.service),
            or(request.method),
            request.host,
            request.path,
            if request.query.is_empty() { String::new() } else { format!("?{}", request.query) },
            or(request.http_version),
            request.status,
            request.bytes_sent,
            request.duration_micros.map_or_else(|| "-".to_owned(), |micros| format!("{micros}us")),
            or(request.user_agent),
            or(request.request_id),
            decoded.format.name()
        ));
    });
    (events, ended)
}

fn named(format: Format) -> DecodeKnobs {
    DecodeKnobs { format, ..DecodeKnobs::default() }
}

fn behind_proxies() -> DecodeKnobs {
    DecodeKnobs { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..DecodeKnobs::default() }
}

fn resolved(knobs: DecodeKnobs) -> DecodeKnobs {
    DecodeKnobs { client_resolved: true, ..knobs }
}

/// Read alike by itself, by its format's name, in an envelope and explained; by another format's name not at all.
#[track_caller]
fn check(format: Format, text: &str, meant: &str) {
    let meant = format!("{meant} [{}]", format.name());
    for knobs in [DecodeKnobs::default(), named(format)] {
        assert_eq!(read(&knobs, text.as_bytes()), (vec![meant.clone()], Ok(())), "{text}");
    }
    let wrapped =
        serde_json::json!({"log": format!("{text}\n"), "stream": "stdout", "time": "2026-01-02T03:04:05Z"});
    assert_eq!(
        read(&DecodeKnobs::default(), wrapped.to_string().as_bytes()).0,
        std::slice::from_ref(&meant),
        "{text}"
    );
    let cri = format!("2026-01-02T03:04:05.1Z stdout F {text}");
    assert_eq!(read(&DecodeKnobs::default(), cri.as_bytes()).0, [meant], "{text}");
    let said = explain(text.as_bytes(), &DecodeKnobs::default()).to_string();
    assert!(said.contains(&format!("request  ({})", format.name())) && said.contains("understood"), "{said}");
    let other = if format == Format::Haproxy { Format::Caddy } else { Format::Haproxy };
    assert!(read(&named(other), text.as_bytes()).0.is_empty(), "{text}");
}

#[track_caller]
fn client(knobs: &DecodeKnobs, text: &str, meant: &str) {
    let (events, _) = read(knobs, text.as_bytes());
    assert_eq!(
        events.iter().map(|event| event.split(' ').nth(1).unwrap()).collect::<Vec<_>>(),
        [meant],
        "{text}"
    );
}

const HEAD: &str =
    r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET /cart?id=1 HTTP/1.1" 200 512 "-" "Firefox""#;

#[test]
fn nginx_main_and_its_usual_variants() {
    let took = |took: &str| {
        format!("2026-01-02T03:04:05Z 203.0.113.7 - GET /cart?id=1 1.1 200 512 {took} Firefox -")
    };
    for (tail, micros) in [
        (r#" "-""#, "-"),
        (r#" "198.51.100.9""#, "-"),
        (" 0.012", "12000us"),
        (" 0.012 0.011 .", "12000us"),
        (" 431 0.012", "12000us"),
        (r#" "-" 0.012"#, "12000us"),
        (r#" "198.51.100.9, 198.51.100.10" 0.012 0.011, 0.001"#, "12000us"),
        (r#" "-" rt=0.012 uct="0.000" uht="0.011" urt="0.011""#, "12000us"),
        (r#" rt=0.012 urt="0.011, 0.001""#, "12000us"),
        (r#" "-" rt=0.012 urt="0.011, 0.001 : 0.002" ucs="-""#, "12000us"),
        (r#" "-" "10.0.0.9:8080" 0.012"#, "-"),
        (" 12", "-"),
        (r#" "-" "shop.example.com" sn="x""#, "-"),
    ] {
        check(Format::Combined, &format!("{HEAD}{tail}"), &took(micros));
    }
    let line = HEAD.replace("203.0.113.7", "10.0.0.1");
    client(&behind_proxies(), &format!(r#"{line} "198.51.100.9""#), "198.51.100.9");
    client(&behind_proxies(), &format!(r#"{line} "198.51.100.9" rt=0.012"#), "198.51.100.9");
    // What follows is not known, so neither is what came before it.
    client(&behind_proxies(), &format!(r#"{line} "198.51.100.9" "shop.example.com""#), "10.0.0.1");
}

#[test]
fn ingress_nginx() {
    let meant = "2026-01-02T03:04:05Z 203.0.113.7 shop-web GET /cart?id=1 1.1 200 512 3000us Firefox 529a00";
    for tail in [
        "89 0.003 [shop-web-8080] [] 10.1.0.5:8080 512 0.002 200 529a00",
        "89 0.003 [shop-web-8080] [shop-canary-80] 10.1.0.5:8080, 10.1.0.6:8080 0, 512 0.000, 0.002 502, 200 529a00",
        "89 0.003 [shop-web-8080] [] unix:/run/x.sock 512 0.002 200 529a00",
    ] {
        check(Format::IngressNginx, &format!("{HEAD} {tail}"), meant);
    }
    check(
        Format::IngressNginx,
        &format!("{HEAD} 0 0.000 [] [] - - - - 529a00"),
        &meant.replace("shop-web", "-").replace("3000", "0"),
    );
    check(
        Format::IngressNginx,
        &format!("{HEAD} 89 0.003 [shop-web-8080] 10.1.0.5:8080 512 0.002 200"),
        &meant.replace("529a00", "-"),
    );
    let old = HEAD.replace(" - - [", " - [203.0.113.7] - - [");
    check(Format::IngressNginx, &format!("{old} 89 0.003 [shop-web-8080] [] - - - - 529a00"), meant);
    assert_eq!(read(&named(Format::IngressNginx), HEAD.as_bytes()).1, Err(Reject::Syntax));
}

#[test]
fn traefik() {
    check(
        Format::Traefik,
        &format!(r#"{HEAD} 262 "shop-web@docker" "http://10.1.0.3:5601" 2ms"#),
        "2026-01-02T03:04:05Z 203.0.113.7 shop-web GET /cart?id=1 1.1 200 512 2000us Firefox -",
    );
    check(
        Format::Traefik,
        r#"{"ClientAddr":"203.0.113.7:4711","ClientHost":"203.0.113.7","DownstreamContentSize":512,"DownstreamStatus":200,"Duration":14729375,"RequestAddr":"shop.example.com","RequestHost":"shop.example.com","RequestMethod":"GET","RequestPath":"/cart?id=1","RequestProtocol":"HTTP/2.0","RouterName":"a@docker -> b@docker","ServiceName":"shop@docker","ServiceURL":{"Host":"10.1.0.15:3000"},"StartUTC":"2026-01-02T03:04:05.306691884Z","request_User-Agent":"Firefox","level":"info","msg":"","time":"2026-01-02T03:04:06Z"}"#,
        "2026-01-02T03:04:05.306Z 203.0.113.7 shop GET shop.example.com/cart?id=1 2.0 200 512 14729us Firefox -",
    );
    client(
        &behind_proxies(),
        r#"{"ClientAddr":"10.0.0.1:4711","DownstreamStatus":200,"RequestPath":"/","StartUTC":"2026-01-02T03:04:05Z","request_X-Forwarded-For":"6.6.6.6, 198.51.100.9"}"#,
        "198.51.100.9",
    );
}

#[test]
fn caddy() {
    let line = r#"{"level":"info","ts":1767323045.678,"logger":"http.log.access.shop","msg":"handled request","request":{"remote_ip":"203.0.113.7","remote_port":"41342","client_ip":"203.0.113.7","proto":"HTTP/2.0","method":"GET","host":"shop.example.com","uri":"/cart?id=1","headers":{"User-Agent":["Firefox"],"X-Forwarded-For":["6.6.6.6"]}},"bytes_read":0,"duration":0.000929675,"size":512,"status":200,"resp_headers":{"Server":["Caddy"]}}"#;
    let meant = "2026-01-02T03:04:05.678Z 203.0.113.7 shop GET shop.example.com/cart?id=1 2.0 200 512 930us Firefox -";
    check(Format::Caddy, line, meant);
    check(Format::Caddy, &line.replace("access.shop", "access.log0"), &meant.replace(" shop ", " - "));
    // Caddy found the client by its own `trusted_proxies`; versions before it did not.
    client(
        &behind_proxies(),
        &line.replace(r#""remote_ip":"203.0.113.7""#, r#""remote_ip":"10.0.0.1""#),
        "203.0.113.7",
    );
    let old = line.replace(
        r#""remote_ip":"203.0.113.7","remote_port":"41342","client_ip":"203.0.113.7""#,
        r#""remote_addr":"10.0.0.1:4""#,
    );
    client(
        &behind_proxies(),
        &old.replace(r#"["6.6.6.6"]"#, r#"["6.6.6.6","198.51.100.9"]"#),
        "198.51.100.9",
    );
}

#[test]
fn aws_load_balancers() {
    let line = r#"h2 2026-01-02T03:04:05.678641Z app/edge/50dc6c495c0c9188 203.0.113.7:2817 10.1.0.1:80 0.000 0.001 0.002 200 200 34 512 "GET https://shop.example.com:443/cart?id=1 HTTP/2.0" "Firefox" ECDHE TLSv1.2 arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/73e2d6bc24d8a067 "Root=1-5833" "shop.example.com" "-" 0 2026-01-02T03:04:05.364000Z "forward" "-" "-" "10.1.0.1:80" "200" "-" "-""#;
    let meant = "2026-01-02T03:04:05.678Z 203.0.113.7 shop GET shop.example.com:443/cart?id=1 2.0 200 512 3000us Firefox Root=1-5833";
    check(Format::Alb, line, meant);
    check(
        Format::Alb,
        &line.replace("0.000 0.001 0.002 200 200", "-1 -1 -1 200 -"),
        &meant.replace("3000us", "-"),
    );
    check(
        Format::Alb,
        &line.replace("203.0.113.7", "2001:db8::9"),
        &meant.replace("203.0.113.7", "2001:db8::/64"),
    );
    let broken = line
        .replace("GET https://shop.example.com:443/cart?id=1 HTTP/2.0", "- http://edge.example.com:80- -")
        .replace(
            r#"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/shop/73e2d6bc24d8a067"#,
            "-",
        );
    check(
        Format::Alb,
        &broken,
        "2026-01-02T03:04:05.678Z 203.0.113.7 edge - edge.example.com:80/ - 200 512 3000us Firefox Root=1-5833",
    );
}

#[test]
fn cloudfront() {
    let line = "2026-01-02\t03:04:05\tLAX1\t512\t203.0.113.7\tGET\td111.cloudfront.net\t/cart\t200\t-\tFire%20fox\tid=1\t-\tHit\tSOX4==\tshop.example.com\thttps\t23\t0.001\t-\tTLSv1.2\tECDHE\tHit\tHTTP/2.0\t-\t-\t11040\t0.001\tHit\ttext/html\t78\t-\t-";
    let meant = "2026-01-02T03:04:05Z 203.0.113.7 d111.cloudfront.net GET shop.example.com/cart?id=1 2.0 200 512 1000us Fire fox SOX4==";
    check(Format::Cloudfront, line, meant);
    client(
        &behind_proxies(),
        &line.replace("203.0.113.7", "10.0.0.1").replace("0.001\t-\tTLS", "0.001\t198.51.100.9\tTLS"),
        "198.51.100.9",
    );
    let file = format!("#Version: 1.0\n#Fields: date time x-edge-location\n{line}\n{line}\n");
    let (events, ended) = read(&DecodeKnobs::default(), file.as_bytes());
    assert_eq!((events.len(), ended), (2, Ok(())));
    assert_eq!(read(&DecodeKnobs::default(), b"#Version: 1.0"), (vec![], Ok(())));
    let short = line.split('\t').take(8).collect::<Vec<_>>().join("\t");
    assert_eq!(read(&DecodeKnobs::default(), short.as_bytes()), (vec![], Err(Reject::Syntax)));
}

#[test]
fn cloudflare() {
    let line = r#"{"ClientIP":"203.0.113.7","ClientRequestHost":"shop.example.com","ClientRequestMethod":"GET","ClientRequestPath":"/cart","ClientRequestProtocol":"HTTP/2","ClientRequestURI":"/cart?id=1","ClientRequestUserAgent":"Firefox","EdgeEndTimestamp":"2026-01-02T03:04:06Z","EdgeResponseBytes":512,"EdgeResponseStatus":200,"EdgeStartTimestamp":"2026-01-02T03:04:05Z","OriginResponseTime":3000000,"RayID":"707c","ZoneName":"example.com"}"#;
    let meant = "2026-01-02T03:04:05Z 203.0.113.7 example.com GET shop.example.com/cart?id=1 2 200 512 3000us Firefox 707c";
    check(Format::Cloudflare, line, meant);
    for time in ["1767323045", "1767323045000000000", "\"2026-01-02 03:04:05\""] {
        check(Format::Cloudflare, &line.replace("\"2026-01-02T03:04:05Z\"", time), meant);
    }
    check(
        Format::Cloudflare,
        &line.replace(r#""OriginResponseTime":3000000"#, r#""EdgeTimeToFirstByteMs":3"#),
        meant,
    );
}

#[test]
fn elastic_common_schema() {
    let meant = "2026-01-02T03:04:05.678Z 203.0.113.7 shop GET shop.example.com/cart?id=1 1.1 200 512 3000us Firefox -";
    check(
        Format::Ecs,
        r#"{"@timestamp":"2026-01-02T03:04:05.678Z","source":{"ip":"203.0.113.7","address":"203.0.113.7"},"http":{"request":{"method":"GET"},"response":{"status_code":200,"body":{"bytes":512}},"version":"1.1"},"url":{"original":"/cart?id=1","path":"/cart","domain":"shop.example.com"},"event":{"duration":3000000,"original":"x"},"user_agent":{"original":"Firefox","name":"Firefox"},"service":{"name":"shop"},"message":"x"}"#,
        meant,
    );
    check(
        Format::Ecs,
        r#"{"@timestamp":"2026-01-02T03:04:05.678Z","client.ip":"203.0.113.7","http.request.method":"GET","http.response.status_code":"200","http.response.body.bytes":"512","http.version":"1.1","url.path":"/cart","url.query":"id=1","url.domain":"shop.example.com","event.duration":3000000,"user_agent.original":"Firefox","service.name":"shop"}"#,
        meant,
    );
    // Beats put their metadata beside it.
    let (events, _) = read(
        &DecodeKnobs::default(),
        br#"{"@timestamp":"2026-01-02T03:04:05Z","http":{"response":{"status_code":200}},"kubernetes":{"namespace":"web","pod":{"name":"shop-7d9f8c6b5d-x2x9k"}}}"#,
    );
    assert!(events[0].contains(" web/shop "), "{events:?}");
}

#[test]
fn a_topic_may_mix_shapes() {
    let mixed = [
        HEAD,
        ISTIO,
        &otlp(SEMANTIC),
        r#"{"ClientIP":"203.0.113.7","RayID":"7","EdgeStartTimestamp":1767323045,"EdgeResponseStatus":200}"#,
    ];
    for text in mixed {
        assert_eq!(read(&DecodeKnobs::default(), text.as_bytes()).0.len(), 1, "{text}");
    }
    // Lines of several formats in one value.
    let lines = format!("{HEAD}\n{ISTIO}\n2026-01-02T03:04:05Z stdout F {HEAD}\n");
    assert_eq!(read(&DecodeKnobs::default(), lines.as_bytes()).0.len(), 3);
}

#[test]
fn keys_merged_into_the_envelope_keep_its_service() {
    let (events, _) = read(
        &DecodeKnobs::default(),
        br#"{"time":"2026-01-02T03:04:05Z","remote_addr":"203.0.113.7","status":"200","stream":"stdout","kubernetes":{"namespace_name":"web","pod_name":"shop-7d9f8c6b5d-x2x9k"}}"#,
    );
    assert!(events[0].contains(" web/shop "), "{events:?}");
}

#[test]
fn a_shippers_host_is_no_host_header() {
    let (events, _) = read(
        &DecodeKnobs::default(),
        br#"{"time":"2026-01-02T03:04:05Z","remote_addr":"203.0.113.7","status":"200","http_host":"shop.example.com","uri":"/a","host":{"name":"node-1"}}"#,
    );
    assert!(events[0].contains(" shop.example.com/a "), "{events:?}");
}

/// What each file of the shared samples holds: its lines, all of which are requests of this format.
#[test]
#[allow(clippy::disallowed_methods, reason = "the test reads the samples, not the crate")]
fn every_real_sample_is_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/samples");
    if !folder.exists() {
        eprintln!("SKIPPED: no shared samples");
        return;
    }
    for (name, format, records, with_client) in [
        ("nginx_combined", "combined", 4, 4),
        ("ingress_nginx_text", "ingress-nginx", 8, 8),
        ("cri_nginx_ingress", "ingress-nginx", 3, 3),
        ("traefik_clf", "traefik", 1, 1),
        ("traefik_json", "traefik", 2, 2),
        ("caddy", "caddy", 1, 1),
        ("haproxy_text", "haproxy", 4, 1),
        ("envoy_default_text", "envoy", 1, 0),
        ("istio_text", "envoy", 2, 2),
        ("envoy_gateway_json_cri", "envoy", 1, 1),
        ("aws_alb", "alb", 6, 6),
        ("aws_cloudfront", "cloudfront", 7, 7),
        ("cloudflare_http_requests", "cloudflare", 4, 4),
    ] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
        let mut found = Vec::new();
        for line in text.lines() {
            let (events, ended) = read(&DecodeKnobs::default(), line.as_bytes());
            assert_eq!(ended, Ok(()), "{name}: {line}");
            found.extend(events);
        }
        assert!(found.iter().all(|event| event.ends_with(&format!("[{format}]"))), "{name}: {found:#?}");
        let clients = found.iter().filter(|event| event.split(' ').nth(1) != Some("-")).count();
        assert_eq!((found.len(), clients), (records, with_client), "{name}: {found:#?}");
    }
}

proptest! {
    #[test]
    fn no_record_of_these_makes_it_panic(pick in 0usize..8, at in 0usize..2000, byte: u8, cut in 0usize..2000) {
        let records = [
            format!("{HEAD} 89 0.003 [shop-web-8080] [] 10.1.0.5:8080 512 0.002 200 529a00").into_bytes(),
            format!(r#"{HEAD} 262 "shop-web@docker" "http://10.1.0.3:5601" 2ms"#).into_bytes(),
            ISTIO.as_bytes().to_vec(),
            br#"203.0.113.7:4711 [02/Jan/2026:03:04:05.678] http-in~ shop/web1 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 "GET / HTTP/1.1""#.to_vec(),
            br#"h2 2026-01-02T03:04:05.678641Z app/edge/50 203.0.113.7:2817 - 0.0 0.0 0.0 200 200 34 512 "GET / HTTP/2.0" "F" - - a/b/c "R" "d""#.to_vec(),
            b"2026-01-02\t03:04:05\tLAX1\t512\t203.0.113.7\tGET\td\t/cart\t200\t-\tF\tid=1\t-\tHit\tS\th".to_vec(),
            otlp(SEMANTIC).into_bytes(),
            proto::export(&[proto_record()]),
        ];
        let mut bytes = records[pick].clone();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&DecodeKnobs::default(), &bytes);
        let _ = explain(&bytes, &DecodeKnobs::default());
        bytes.truncate(cut);
        let _ = read(&DecodeKnobs::default(), &bytes);
    }

    #[test]
    fn nor_does_what_looks_like_protobuf(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&DecodeKnobs::default(), &proto::export(std::slice::from_ref(&bytes)));
        let _ = read(&DecodeKnobs::default(), &proto::export(&[proto::field(5, &bytes)]));
        let _ = read(&DecodeKnobs::default(), &[&[0x0a][..], &bytes].concat());
    }
}
