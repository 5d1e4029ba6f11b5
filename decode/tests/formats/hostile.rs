//! What senders write hides no request and gives nobody another address.

use beaconfire_decode::{DecodeKnobs, Format, LogFormat, Reject, explain};
use proptest::prelude::*;

use super::{ENVOY, HEAD, ISTIO, behind_proxies, client, named, read, resolved};

/// A vhost is what a sender calls it: it must not pass for the beginning of another format and hide the request.
#[test]
fn a_vhost_hides_no_request() {
    for host in
        ["h2", "http", "[2001:db8::1]:443", "[::1]", "[20", "[2026-01-02", "[", "{", "{}", "wss", "a:1"]
    {
        client(&DecodeKnobs::default(), &format!("{host} {HEAD}"), "203.0.113.7");
    }
}

/// Where the Host header stands first, blanks in it may make fields of a line. Servers answer that with 400.
#[test]
fn blanks_in_a_vhost_make_nobody_the_client() {
    let refused = HEAD.replace("\" 200 ", "\" 400 ");
    for (host, meant) in [
        ("6.6.6.6", "203.0.113.7"),
        ("6.6.6.6 -", "-"),
        ("6.6.6.6 6.6.6.7", "-"),
        ("- 6.6.6.6", "-"),
        ("- 6.6.6.6 - x", "-"),
        ("203.0.113.7 -", "203.0.113.7"),
        ("- -", "-"),
        ("\"", "-"),
    ] {
        client(&DecodeKnobs::default(), &format!("{host} {refused}"), meant);
    }
}

/// So may blanks in a user's name, which anyone may send to any page: the request stays theirs.
#[test]
fn no_user_name_makes_a_request_nobodys() {
    for status in ["200", "401", "404"] {
        let head = HEAD.replace("\" 200 ", &format!("\" {status} "));
        for user in ["a b", "6.6.6.6", "6.6.6.6 - x", "- 6.6.6.6 -", "6.6.6.6 6.6.6.7 6.6.6.8"] {
            let line = head.replace(" - - ", &format!(" - {user} "));
            client(&DecodeKnobs::default(), &line, "203.0.113.7");
        }
    }
}

/// Refused requests may become nobody's by a user's name or a Host header, but not where the format is known.
#[test]
fn a_format_of_ones_own_knows_who_was_refused() {
    const COMBINED: &str = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;
    let refused = HEAD.replace("\" 200 ", "\" 400 ");
    let named = refused.replace(" - - ", " - 6.6.6.6 - x ");
    let hosted = format!("6.6.6.6 - {refused}");
    for (format, line) in [(COMBINED.to_owned(), named), (format!("$http_host {COMBINED}"), hosted)] {
        client(&DecodeKnobs::default(), &line, "-");
        let knobs = DecodeKnobs { log_format: LogFormat::parse(&format).ok(), ..DecodeKnobs::default() };
        client(&knobs, &line, "203.0.113.7");
    }
}

/// Nor do they say that a line goes on: whoever waited for its end would wait for ever.
#[test]
fn a_vhost_holds_back_no_request() {
    for host in ["2026-01-02T03:04:05Z stdout P", "2026-01-02T03:04:05Z stderr P:x shop.example.com"] {
        for tail in ["", r#" "-" "Firefox""#, r#" "-" "Firefox" "-""#, r#" "-" "Firefox" rt=0.012"#] {
            let line = HEAD.replace(r#" "-" "Firefox""#, tail);
            client(&DecodeKnobs::default(), &format!("{host} {line}"), "203.0.113.7");
        }
    }
    let line = format!("2026-01-02T03:04:05Z stdout P a b {HEAD}");
    assert_eq!(read(&DecodeKnobs::default(), line.as_bytes()), (vec![], Err(Reject::Syntax)));
}

/// Where a server escapes nothing, a user's name may be a line.
#[test]
fn a_number_in_brackets_is_no_time() {
    let said = |number: &str| format!(r#"x [{number}] "-" 200 5 "-" "-""#);
    for user in [said("1577934245"), said("0"), said("7").replace("\"-\" 200", "\"-T / HTTP/1.1\" 200")] {
        let line = HEAD.replace(" - - ", &format!(" - {user} "));
        let (events, ended) = read(&DecodeKnobs::default(), line.as_bytes());
        assert!(
            events[0].starts_with("2026-01-02T03:04:05Z 203.0.113.7 ") && ended.is_ok(),
            "{line}: {events:?}"
        );
    }
    for time in ["2026-01-02T03:04:05+00:00", "02/Jan/2026:03:04:05.678"] {
        client(&DecodeKnobs::default(), &HEAD.replace("02/Jan/2026:03:04:05 +0000", time), "203.0.113.7");
    }
}

/// What CloudFront's files begin with is no request; what only begins like it is one.
#[test]
fn a_heading_hides_no_request() {
    for host in ["#Version:", "#Version: 1.0", "#Fields:", "#Fields: date time x-edge-location", "#"] {
        for line in [format!("{host} {HEAD}"), format!("{host}{HEAD}")] {
            let (events, ended) = read(&DecodeKnobs::default(), line.as_bytes());
            assert!(events.len() == 1 || ended.is_err(), "{line}");
        }
    }
    client(&DecodeKnobs::default(), &format!("#Version: {HEAD}"), "203.0.113.7");
    client(&DecodeKnobs::default(), &format!("#Fields: {HEAD}"), "203.0.113.7");
    for heading in ["#Version: 1.0", "#Fields: date time x-edge-location sc-bytes cs(User-Agent)"] {
        assert_eq!(read(&named(Format::Cloudfront), heading.as_bytes()), (vec![], Ok(())));
    }
    for other in ["#Version: 1.0 x", "#Fields: date", "#Fields: date time x-edge-location [x]"] {
        assert_eq!(read(&DecodeKnobs::default(), other.as_bytes()).1, Err(Reject::UnknownFormat), "{other}");
    }
}

/// The field before X-Forwarded-For may be a cookie or any other word of a sender's.
#[test]
fn only_numbers_stand_behind_x_forwarded_for() {
    let line = HEAD.replace("203.0.113.7", "10.0.0.1");
    for tail in [
        r#""6.6.6.6" "198.51.100.9""#,
        r#""6.6.6.6" "198.51.100.9" 0.012"#,
        r#""6.6.6.6" "198.51.100.9" rt=0.012"#,
        r#""6.6.6.6" 0.012 "198.51.100.9""#,
        r#""6.6.6.6" "-" 0.012"#,
        r#""6.6.6.6" "1" 0.012"#,
        r#""6.6.6.6" "198.51.100.9, 10.0.0.2" 0.012"#,
        r#""6.6.6.6" "2001:1:2:3:4:5:6:7" 0.012"#,
        r#""6.6.6.6" 198.51.100.9 0.012"#,
        r#""6.6.6.6" 2001:1:2:3:4:5:6:7 0.012"#,
        r#""6.6.6.6" rt=0.012 xff="198.51.100.9""#,
        r#""6.6.6.6" rt="0.012" "198.51.100.9""#,
        r#""6.6.6.6" rt="0.012, "198.51.100.9""#,
    ] {
        client(&behind_proxies(), &format!("{line} {tail}"), "10.0.0.1");
    }
}

/// Envoy leaves quotes as they came.
#[test]
fn a_quote_in_a_header_gives_nobody_another_address() {
    // Nor does it make anyone nobody.
    let forged = r#"x" "id" "host" "up" outbound|1||a.b.svc.c 10.0.0.1:1 10.0.0.1:1 6.6.6.6:1 - r"#;
    let same = forged.replace("6.6.6.6", "203.0.113.7");
    for agent in [forged, &same, r#"x" a b c 6.6.6.6:1 d e"#, r#"x" y "z"#, r#"Fire"fox"#] {
        client(&DecodeKnobs::default(), &ISTIO.replace("Firefox", agent), "203.0.113.7");
    }
    // Upstreams as Istio writes them: none, at a gateway of the old kind, and behind a waypoint or another tunnel.
    for upstream in ["-", "[2001:db8::2]:80", "envoy://connect_originate/10.1.1.27:80"] {
        let line = ISTIO.replace("10.1.1.27:80\"", &format!("{upstream}\"")).replace("Firefox", forged);
        client(&DecodeKnobs::default(), &line, "203.0.113.7");
    }
    let proxied = ISTIO.replace("203.0.113.7", "10.0.0.1");
    let ours = resolved(DecodeKnobs::default());
    for (forwarded, agent, meant) in [
        ("198.51.100.9", r#"x"y"#, Some("198.51.100.9")),
        ("198.51.100.9", r#"x" "y"#, Some("198.51.100.9")),
        ("198.51.100.9", r#"" " " "" "#, Some("198.51.100.9")),
        ("6.6.6.6, 198.51.100.9", r#"x" "y" "z"#, Some("198.51.100.9")),
        (r#"x" "y, 198.51.100.9"#, "Firefox", Some("198.51.100.9")),
        // A sender made one of the two, and nothing tells which.
        (r#"6.6.6.6" "x, 198.51.100.9"#, "Firefox", None),
        ("198.51.100.9", r#"x, 6.6.6.6" "y"#, None),
        ("198.51.100.9", r#"6.6.6.6" "y"#, None),
    ] {
        let line = proxied.replace("198.51.100.9", forwarded).replace("Firefox", agent);
        client(&behind_proxies(), &line, meant.unwrap_or("10.0.0.1"));
        let line = ENVOY.replace("203.0.113.7", forwarded).replace("Firefox", agent);
        client(&ours, &line, meant.unwrap_or("-"));
        client(&DecodeKnobs::default(), &line, "-");
    }
}

/// The name that a client asks for in its TLS handshake stands behind its address.
#[test]
fn a_server_name_takes_nobodys_address_away() {
    for name in ["a b", "", "a  ", "6.6.6.6:1 x", "- - 6.6.6.6:1 - -"] {
        client(
            &DecodeKnobs::default(),
            &ISTIO.replace(" - default", &format!(" {name} default")),
            "203.0.113.7",
        );
    }
    // A quote in it may make all that stands behind the quoted fields, and nothing tells where those end.
    for name in [
        r#"a" b c d 6.6.6.6:1 x"#,
        r#"a" "b" "c" "d" "e" v w x 6.6.6.6:1 y z"#,
        r#"a" b c d e f g"#,
        r#"a" b"#,
    ] {
        let line = ISTIO.replace(" - default", &format!(" {name} default"));
        client(&DecodeKnobs::default(), &line, "-");
        let (events, _) = read(&DecodeKnobs::default(), line.as_bytes());
        assert!(events[0].starts_with("2026-01-02T03:04:05.678Z - - GET "), "no service either: {events:?}");
    }
    // Too few fields: one of them is not what it seems.
    client(&DecodeKnobs::default(), &ISTIO.replace(" - default", ""), "-");
}

#[test]
fn a_format_of_ones_own_hides_no_request() {
    let format = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent""#;
    let knobs = DecodeKnobs { log_format: LogFormat::parse(format).ok(), ..DecodeKnobs::default() };
    for user in ["a [b", "a [b] c", "a - 6.6.6.6 - -", "[", " [02/Jan/2020:03:04:05 +0000] "] {
        client(&knobs, &HEAD.replace(" - - ", &format!(" - {user} ")), "203.0.113.7");
    }
    // What is not of the format may be of another: here one more field follows.
    client(&knobs, &format!("{HEAD} 0.012"), "203.0.113.7");
    let forged = r#"$http_x_forwarded_for - $remote_addr - $http_user_agent $status"#;
    let knobs = DecodeKnobs { log_format: LogFormat::parse(forged).ok(), ..DecodeKnobs::default() };
    let line = "2026-01-02T03:04:05Z stdout F x - 6.6.6.6 - y - 203.0.113.7 - curl 200";
    client(&knobs, line, "-");
    let said = explain(line.as_bytes(), &knobs).to_string();
    assert!(said.contains("fits in two ways, with another client in each"), "{said}");
}

/// A request that a header may be feared to hide is there, and soon.
#[test]
fn no_length_hides_a_request() {
    let format = r#"$remote_addr - $remote_user [$time_local] "$request" $status "$http_user_agent" $http_x_forwarded_for $upstream_addr $upstream_status rt=$request_time"#;
    let knobs = DecodeKnobs { log_format: LogFormat::parse(format).ok(), ..DecodeKnobs::default() };
    for forwarded in ["a ".repeat(800), "a ".repeat(4000), "a : ".repeat(800), "a, ".repeat(2600)] {
        let line = format!(
            r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET /a HTTP/1.1" 200 "curl" {forwarded} 10.0.0.1:80 200 rt=0.1"#
        );
        client(&knobs, &line, "203.0.113.7");
    }
    let format = "$remote_addr $http_host $request_uri $upstream_addr $status $upstream_status";
    let knobs = DecodeKnobs { log_format: LogFormat::parse(format).ok(), ..DecodeKnobs::default() };
    let line = format!("203.0.113.7 {}x /a 10.0.0.1:80 200 200", "a, ".repeat(2600));
    client(&knobs, &format!("2026-01-02T03:04:05Z stdout F {line}"), "203.0.113.7");
}

/// A time that may be a sender's gives way to the envelope's; without one it is better than no request.
#[test]
fn a_feigned_time_gives_way() {
    let format = "$remote_addr $remote_user $msec $request_method $request_uri $status";
    let knobs = DecodeKnobs { log_format: LogFormat::parse(format).ok(), ..DecodeKnobs::default() };
    let line = "203.0.113.7 - 1577934245.000 GET /x 200 - 1767323045.000 POST /login 403";
    let cri = format!("2026-01-02T03:04:06Z stdout F {line}");
    assert!(read(&knobs, cri.as_bytes()).0[0].starts_with("2026-01-02T03:04:06Z 203.0.113.7 "));
    assert!(read(&knobs, line.as_bytes()).0[0].starts_with("2020-01-02T03:04:05Z 203.0.113.7 "));
    let said = explain(cri.as_bytes(), &knobs).to_string();
    assert!(said.contains("another time in each"), "{said}");
}

/// Formats, and whether a sender can make a line of them that may be read as of two clients, times or statuses.
const FORMATS: [(&str, bool); 8] = [
    (
        r#"$remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for""#,
        false,
    ),
    (
        r#"$remote_user - $remote_addr [$time_local] "$request" $status "$http_user_agent" $upstream_addr"#,
        false,
    ),
    (
        r#""$http_x_forwarded_for" $http_host $remote_addr [$time_iso8601] "$request" $status $request_time"#,
        false,
    ),
    (r#"[$http_user_agent] [$http_x_forwarded_for] $remote_addr $status"#, false),
    (r#"$http_x_forwarded_for - $remote_addr - $http_user_agent $status $request_uri"#, true),
    (r#"$http_user_agent $remote_addr $http_x_forwarded_for [$time_local] $status $request"#, true),
    ("$remote_addr $remote_user $msec $http_host $request_uri $status", true),
    ("$remote_addr | $time_local | $request | $status | $http_user_agent", true),
];

proptest! {
    /// As nginx writes lines, whatever senders say.
    #[test]
    fn no_sender_hides_or_is_another(
        pick in 0..FORMATS.len(),
        words in prop::collection::vec(prop::collection::vec(0usize..25, 0..9), 7),
        escape: bool,
    ) {
        const PIECES: [&str; 25] = [
            " ", " - ", "-", "[", "] ", "]", "\"", "\\", ",", ", ", ":", "6.6.6.6", " 6.6.6.6 ", "::6", "200", " 404 ",
            "[02/Jan/2020:03:04:05 +0000]", "2020-01-02T03:04:05+00:00", "GET /x HTTP/1.1", "x",
            "2026-01-02T03:04:05Z stdout P ", "{}", " 1577934245.000 ", " | 200 | ", "02/Jan/2020:03:04:05 +0000",
        ];
        let (format, may_be_doubtful) = FORMATS[pick];
        let mut said = words.iter().map(|word| {
            let said: String = word.iter().map(|piece| PIECES[*piece]).collect();
            match (said.as_str(), escape) {
                ("", _) => "-".to_owned(),
                (_, true) => said.replace('\\', r"\x5C").replace('"', r"\x22"),
                (_, false) => said.replace('"', "'"),
            }
        });
        let mut line = format.to_owned();
        for (name, value) in [
            ("$remote_addr", "203.0.113.7"),
            ("$time_local", "02/Jan/2026:03:04:05 +0000"),
            ("$time_iso8601", "2026-01-02T03:04:05+00:00"),
            ("$msec", "1767323045.000"),
            ("$status", "403"),
            ("$bytes_sent", "5"),
            ("$request_time", "0.001"),
            ("$upstream_addr", "10.1.0.1:80, 10.1.0.2:80"),
        ] {
            line = line.replace(name, value);
        }
        for name in ["$remote_user", "$request_uri", "$request", "$http_referer", "$http_user_agent", "$http_x_forwarded_for", "$http_host"] {
            line = line.replace(name, &said.next().unwrap_or_default());
        }
        let knobs = DecodeKnobs { log_format: LogFormat::parse(format).ok(), ..DecodeKnobs::default() };
        let cri = format!("2026-01-02T03:04:05Z stdout F {line}");
        let (events, ended) = read(&knobs, cri.as_bytes());
        prop_assert_eq!((events.len(), ended), (1, Ok(())), "{}", line);
        let client = events[0].split(' ').nth(1).unwrap();
        prop_assert!(client == "203.0.113.7" || may_be_doubtful && client == "-", "{} of {}", client, line);
        // The envelope has the same time.
        prop_assert!(events[0].starts_with("2026-01-02T03:04:05Z "), "{} of {}", events[0], line);
        let said = explain(cri.as_bytes(), &knobs).to_string();
        let status = said.lines().find(|line| line.trim_start().starts_with("status ")).unwrap_or(&said);
        let has = |status_meant: &str| status.split_whitespace().nth(1) == Some(status_meant);
        prop_assert!(has("403") || may_be_doubtful && has("0"), "{} of {}", said, line);
    }
}
