//! HAProxy, and what senders may write into its lines.

use beaconfire_decode::{DecodeKnobs, Format, Reject};

use super::{HEAD, check, read};

const MEANT: &str = "2026-01-02T03:04:05.678Z 203.0.113.7 shop GET /cart?id=1 1.1 200 512 7000us - -";

#[test]
fn haproxy() {
    let meant = "2026-01-02T03:04:05.678Z 203.0.113.7 shop GET /cart?id=1 1.1 200 512 7000us - -";
    for line in [
        r#"203.0.113.7:4711 [02/Jan/2026:03:04:05.678] http-in~ shop/web1 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 "GET /cart?id=1 HTTP/1.1""#,
        r#"203.0.113.7:4711 [02/Jan/2026:03:04:05.678] http-in shop/web1 0/0/1/6/+7 200 +512 - - ---- 1/1/0/0/0 0/0 {shop.example.com|a [b] c} {|} "GET /cart?id=1 HTTP/1.1""#,
        r#"203.0.113.7:4711 [02/Jan/2026:03:04:05.678] http-in~ shop/web1 shop.example.com 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 "GET /cart?id=1 HTTP/1.1" 0/0/0/0/0 -/TLSv1.3/X"#,
        r#"<134>Jan  2 03:04:05 edge haproxy[7]: 203.0.113.7:4711 [02/Jan/2026:03:04:05.678] http-in~ shop/web1 0/0/1/6/7 200 512 - - ---- 1/1/0/0/0 0/0 "GET /cart?id=1 HTTP/1.1""#,
    ] {
        check(Format::Haproxy, line, meant);
    }
    let line = |peer: &str, rest: &str| format!("{peer} [02/Jan/2026:03:04:05.678] in {rest}");
    check(
        Format::Haproxy,
        &line("2001:db8::9:4711", r#"in/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 1/1/0/0/0 0/0 "<BADREQ>""#),
        "2026-01-02T03:04:05.678Z 2001:db8::/64 in -  - 400 0 0us - -",
    );
    check(
        Format::Haproxy,
        &line("-:4711", r#"shop/web 0/0/-1/-1/-1 -1 0 - - CH-- 1/1/0/0/0 0/0 "GET /a"#),
        "2026-01-02T03:04:05.678Z - shop GET /a - 0 0 - - -",
    );
    // A log of connections is none of requests.
    let tcp = line("203.0.113.7:4711", "db/pg 0/0/5007 212 -- 0/0/0/0/3 0/0");
    assert_eq!(read(&DecodeKnobs::default(), tcp.as_bytes()), (vec![], Err(Reject::Syntax)));
}

/// A line with a field of the operator's own, a captured cookie, and headers captured of the request and the answer.
fn line(own: &str, cookie: &str, captured: &str) -> String {
    format!(
        r#"203.0.113.7:4711 [02/Jan/2026:03:04:05.678] in~ shop/web1 {own}0/0/1/6/7 200 512 {cookie} - ---- 1/1/0/0/0 0/0 {captured}"GET /cart?id=1 HTTP/1.1""#
    )
}

#[test]
fn captured_headers_are_passed_over() {
    for captured in [
        "{shop.example.com} ",
        "{shop.example.com|Mozilla/5.0 (X11; Linux)|} {text/html|} ",
        "{} {} ",
        "{6.6.6.6 - - [02/Jan/2020:03:04:05 +0000] #22GET / HTTP/1.1#22 404 5} ",
        "{0/0/0/0/0 404 5 - - ---- 1/1/0/0/0 0/0 #7Bx#7D #22GET /x HTTP/1.1#22} ",
    ] {
        check(Format::Haproxy, &line("", "-", captured), MEANT);
    }
    // A format of one's own may have more behind the request, or something else before it.
    check(Format::Haproxy, &format!(r#"{} hdrs:"host: x""#, line("", "-", "{x} ")), MEANT);
    check(Format::Haproxy, &line("", "-", "x "), MEANT);
}

/// HAProxy writes captured cookies as they came, quotes and all.
#[test]
fn no_cookie_is_the_request() {
    for cookie in [
        r#"s="x""#,
        r#""GET"#,
        r#"s="GET /x HTTP/1.1""#,
        r#"s="a - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1" "#,
        r#"s={x} "GET /x HTTP/1.1""#,
        r#"s="a [02/Jan/2020:03:04:05 +0000] "GET /x HTTP/1.1" 404 5"#,
    ] {
        for captured in ["", "{shop.example.com} {text/html} "] {
            check(Format::Haproxy, &line("", cookie, captured), MEANT);
        }
        // Nor where the line was too long for its end.
        let cut = line("", cookie, "{x} ").replace(" HTTP/1.1\"", "?").replace("/cart?id=1?", "/cart?id=1");
        let (events, ended) = read(&DecodeKnobs::default(), cut.as_bytes());
        assert!(ended.is_ok() && events[0].contains("200 512 7000us"), "{cut}: {events:?}");
    }
}

/// The Host header often stands before the timers: it hides no request, and chooses neither status nor time.
#[test]
fn no_field_of_ones_own_is_the_timers() {
    for own in [
        "shop.example.com ",
        "0/0/0/0/0 ",
        "0/0/0/0/0 404 ",
        "1/1/1/1/1 404 5 ",
        "1/1/1/1/1 404 5 - - ---- 1/1/0/0/0 0/0 ",
        r#"1/1/1/1/1 404 5 - - ---- 1/1/0/0/0 0/0 {} "GET /x HTTP/1.1" "#,
        r#"[02/Jan/2020:03:04:05 +0000] "GET /x HTTP/1.1" 404 5 "#,
        "////  ",
        "+/-/0/0/ - ",
        "\" ",
        r#""shop" "#,
        "a b c d e f g h ",
    ] {
        check(Format::Haproxy, &line(own, "-", ""), MEANT);
    }
    check(Format::Haproxy, &line("", "0/0/0/0/0", ""), MEANT);
}

/// Nor does a line of another server become HAProxy's by its Host header or user agent.
#[test]
fn no_header_makes_a_line_haproxys() {
    let host = "6.6.6.6:1 [02/Jan/2020:03:04:05.678] in a/b 0/0/0/0/0 200 5 - - ---- 1/1/0/0/0 0/0";
    for (host, agent) in [(host, "Firefox"), (host, "x 0/0 "), (host, r"0/0 \x22GET"), (host, r#"0/0 \"GET"#)]
    {
        let line = format!("{host} {}", HEAD.replace("Firefox", agent));
        let (events, ended) = read(&DecodeKnobs::default(), line.as_bytes());
        assert!(ended.is_ok() && events[0].ends_with("[combined]"), "{line}: {events:?}");
        assert!(events[0].starts_with("2026-01-02T03:04:05Z "), "{line}: {events:?}");
    }
}
