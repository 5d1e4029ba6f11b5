//! What the shipped rules catch beyond CrowdSec's scenarios: floods of any kind, crowds, logins, errors.

use beaconfire_config::{Config, Sources};

use super::*;

/// So many requests of one client, this far apart.
fn one(requests: usize, gap_ms: i64, ask: Ask) -> String {
    (0..requests).map(|n| record(n as i64 * gap_ms, "203.0.113.7", &ask(n))).collect()
}

/// So many requests of so many clients by turns, ten of each /24, within so many seconds.
fn many(clients: usize, requests: usize, seconds: i64, ask: Ask) -> String {
    let asked = ask(0);
    let at = |n: usize| n as i64 * seconds * 1_000 / requests as i64;
    let client = |n: usize| format!("198.18.{}.{}", n % clients / 10, 1 + n % clients % 10);
    (0..requests).map(|n| record(at(n), &client(n), &asked)).collect()
}

/// A record with so many bytes sent.
fn bytes(requests: usize, each: u64) -> String {
    one(requests, 5_000, |_| got("/backup.iso"))
        .replace(r#""bytes_sent":512"#, &format!(r#""bytes_sent":{each}"#))
}

fn login(status: u16) -> Asked {
    asked("POST", "/login", status)
}

/// A rule, what it must catch, and what resembles that.
fn rows() -> Vec<(&'static str, String, String)> {
    let connect = |_| asked("CONNECT", "mail.example.com:25", 405);
    let websocket = |_| asked("CONNECT", "/chat", 200);
    vec![
        ("requests-per-client", one(601, 98, |_| got("/a.css")), one(590, 101, |_| got("/a.css"))),
        ("request-burst", one(301, 30, |_| got("/a.css")), one(290, 34, |_| got("/a.css"))),
        (
            "requests-per-prefix",
            many(10, 3_001, 58, |_| got("/a.css")),
            // The same by seven hosts is no network's, and each of them is within its limit.
            many(7, 3_001, 58, |_| got("/a.css")),
        ),
        ("bytes-per-client", bytes(3, 1 << 30), bytes(3, 600 << 20)),
        (
            "client-errors",
            one(61, 900, |n| asked("GET", format!("/x/{}", n % 5), 404)),
            one(55, 1_000, |n| asked("GET", format!("/x/{}", n % 5), 404)),
        ),
        ("open-proxy", one(3, 60_000, connect), one(20, 10_000, websocket)),
        ("failed-logins", one(11, 5_000, |_| login(401)), one(3, 5_000, |_| login(401))),
        ("credential-stuffing", many(60, 240, 540, |_| login(401)), many(40, 160, 540, |_| login(401))),
        (
            "server-errors",
            one(60, 900, |n| asked("GET", "/a", if n % 8 == 0 { 502 } else { 200 })),
            // What fails is the question how it is, not the service.
            one(60, 900, |n| if n % 8 == 0 { asked("GET", "/healthz", 503) } else { got("/a") }),
        ),
        (
            "likely-proxy",
            one(110, 5_000, |n| Asked { user_agent: format!("Mozilla/5.0 ({n})"), ..got("/") }),
            one(110, 5_000, |n| Asked { user_agent: format!("Mozilla/5.0 ({})", n % 5), ..got("/") }),
        ),
    ]
}

/// Requests of one client as a web server logs them, a minute apart, with the vhost before them or not.
fn logged(vhost: &str, request: &str, status: u16) -> String {
    let line = |n| {
        format!(
            "{vhost}203.0.113.7 - - [02/Jan/2026:03:{n:02}:00 +0000] \"{request}\" {status} 512 \"-\" \"{BROWSER}\"\n"
        )
    };
    (0..9).map(line).collect()
}

#[test]
fn whole_urls_of_elsewhere_are_an_open_proxys_probes() {
    let url = "GET http://elsewhere.example/ HTTP/1.1";
    for attack in [logged("", url, 400), logged("", url, 405), logged("shop.example.com:80 ", url, 200)] {
        assert_eq!(fired(&attack), BTreeSet::from(["open-proxy".to_owned()]), "{attack}");
    }
    // A health check that comes through a proxy, and asks for its own host; pages that are not there.
    let own = "GET http://shop.example.com/healthz HTTP/1.1";
    for resembling in [
        logged("", own, 200),
        logged("", own, 503),
        logged("shop.example.com:80 ", own, 200),
        logged("", "GET http://shop.example.com/gone HTTP/1.1", 404),
        logged("", "GET https://shop.example.com/cart HTTP/2.0", 400),
    ] {
        assert_eq!(fired(&resembling), BTreeSet::new(), "{resembling}");
    }
}

#[test]
fn what_no_scenario_of_theirs_asks_for_is_caught() {
    for (rule, attack, resembling) in rows() {
        let found = fired(&attack);
        assert!(found.contains(rule), "{rule}: {found:?}");
        assert_eq!(fired(&resembling), BTreeSet::new(), "what resembles {rule}");
    }
}

/// 2,200 requests a second from a thousand clients, none of whom does anything that a client may not.
#[test]
fn a_crowd_of_ordinary_clients_pages() {
    let lines = replay(&many(1_000, 132_000, 60, |_| got("/pricing")));
    let incidents = of_type(&lines, "incident");
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    assert_eq!((&incidents[0]["kind"], &incidents[0]["severity"]), (&"flood".into(), &"critical".into()));
    assert_eq!(incidents[0]["labels"]["alertname"], "distributed-flood");
    let title = incidents[0]["title"].as_str().unwrap();
    assert!(title.contains("at least ") && title.contains(" clients of ") && !title.contains('.'), "{title}");
    assert_eq!(of_type(&lines, "decision").len(), 0, "nobody of a crowd is banned");
}

#[test]
fn every_rule_that_ships_is_shown_to_fire() {
    let shown: BTreeSet<&str> = rows()
        .iter()
        .map(|row| row.0)
        .chain(super::rows().iter().map(|row| row.3))
        .chain(["distributed-flood"])
        .collect();
    let config = Config::load(&Sources::default()).unwrap();
    let shipped: BTreeSet<&str> = config.plan.rules.iter().map(|rule| &*rule.name).collect();
    assert_eq!(shown, shipped);
}
