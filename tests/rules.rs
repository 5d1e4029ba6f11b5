//! The rules that ship, on records as they come: attacks are found, and what resembles them is left alone.

mod ours;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::beaconfire::{run, run_with};
use crate::harness::has;

/// 2026-01-02T03:00:00Z, in milliseconds.
const START: i64 = 1_767_322_800_000;
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// One request: where, what came of it, and who says to ask.
#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    path: String,
    status: u16,
    version: &'static str,
    user_agent: String,
}

fn asked(method: &'static str, path: impl Into<String>, status: u16) -> Asked {
    Asked { method, path: path.into(), status, version: "1.1", user_agent: BROWSER.to_owned() }
}

fn got(path: impl Into<String>) -> Asked {
    asked("GET", path, 200)
}

/// A record of ours.
fn record(at_ms: i64, client: &str, asked: &Asked) -> String {
    json!({
        "kind": "request", "time": (START + at_ms) as f64 / 1000.0, "client": client, "service": "shop",
        "method": asked.method, "host": "shop.example.com", "path": asked.path, "status": asked.status,
        "bytes_sent": 512, "http_version": asked.version, "user_agent": asked.user_agent,
    })
    .to_string()
        + "\n"
}

/// What a replay under the shipped rules prints.
fn replay(records: &str) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let arguments = ["replay", "--output", "ndjson", "--show", "incidents,signals,decisions"];
    let (code, out, err) = run(dir.path(), &arguments, Some(records.as_bytes()));
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.last().unwrap();
    assert_eq!(summary["records"], summary["decoded"], "{summary}");
    lines
}

fn of_type<'l>(lines: &'l [Value], name: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["type"] == name).collect()
}

/// The rules that fired.
fn fired(records: &str) -> BTreeSet<String> {
    let lines = replay(records);
    of_type(&lines, "signal").iter().map(|signal| signal["rule"].as_str().unwrap().to_owned()).collect()
}

/// When the events of a trace happen that overflows a leaky bucket, as late as `pace` of its leak leaves them: at 0 all
/// come at once; near 1 the bucket fills ever so slowly.
fn overflowing(capacity: f64, leak_seconds: f64, pace: f64) -> Vec<i64> {
    let gap = leak_seconds * pace;
    let (mut level, mut times) = (0.0_f64, Vec::new());
    while level <= capacity {
        let leaked = if times.is_empty() { 0.0 } else { gap / leak_seconds };
        level = (level - leaked).max(0.0) + 1.0;
        times.push((times.len() as f64 * gap * 1000.0).round() as i64);
    }
    times
}

/// An attack, and what people do instead, by the number of the request.
type Ask = fn(usize) -> Asked;

/// One scenario of CrowdSec's: its name, its bucket, the rule of ours, what overflows it, and what must not.
struct Row(&'static str, f64, f64, &'static str, Ask, Ask);

fn rows() -> Vec<Row> {
    vec![
        Row(
            "http-crawl-non_statics",
            40.0,
            0.5,
            "crawl",
            |n| got(format!("/docs/page-{n}")),
            |n| got(format!("/assets/part-{n}.css")),
        ),
        Row(
            "http-probing",
            10.0,
            10.0,
            "probing-paths",
            |n| asked("GET", format!("/old-{n}/"), [404, 403, 400][n % 3]),
            |_| asked("GET", "/moved", 404),
        ),
        Row(
            "http-generic-401-bf",
            5.0,
            10.0,
            "auth-failures",
            |_| asked("POST", "/api/who", 401),
            |n| asked("POST", "/api/who", if n < 4 { 401 } else { 200 }),
        ),
        Row(
            "http-generic-403-bf",
            5.0,
            10.0,
            "auth-failures",
            |_| asked("POST", "/api/who", 403),
            |_| asked("GET", "/api/who", 200),
        ),
        Row(
            "http-bad-user-agent",
            1.0,
            60.0,
            "scanner-user-agent",
            |_| Asked { user_agent: "Mozilla/5.00 (Nikto/2.5.0)".to_owned(), ..got("/") },
            |_| Asked { user_agent: "curl/8.5.0".to_owned(), ..got("/") },
        ),
        Row(
            "http-dos-random-uri",
            30.0,
            1.0,
            "random-uri",
            |n| got(format!("/{}", capitals(n))),
            |n| got(format!("/{}", capitals(n % 8).to_lowercase())),
        ),
        Row(
            "http-dos-bypass-cache",
            30.0,
            1.0,
            "cache-busting",
            |n| got(format!("/?{}", 10_000_000 + n)),
            |n| got(format!("/poll?since={}", 10_000_000 + n)),
        ),
        Row(
            "http-dos-swithcing-ua",
            10.0,
            8.0,
            "user-agent-switching",
            |n| Asked { user_agent: format!("Mozilla/5.0 (bot {n})"), ..got("/") },
            |n| Asked { user_agent: format!("Mozilla/5.0 (tab {})", n % 4), ..got("/") },
        ),
        Row(
            "http-dos-invalid-http-versions",
            0.0,
            1.0,
            "invalid-http-version",
            |_| Asked { version: "1.7", ..got("/") },
            |n| Asked { version: ["0.9", "1.0", "1.1", "2.0", "2", "3", "3.0", ""][n % 8], ..got("/") },
        ),
        Row(
            "nginx-req-limit-exceeded",
            5.0,
            60.0,
            "rate-limited",
            |_| asked("GET", "/search", 429),
            |_| got("/search"),
        ),
        Row(
            "http-bf-wordpress_bf",
            5.0,
            10.0,
            "cms-logins",
            |_| asked("POST", "/blog/wp-login.php", 200),
            |n| asked("POST", "/blog/wp-login.php", if n < 3 { 200 } else { 302 }),
        ),
        Row(
            "http-wordpress-scan",
            3.0,
            10.0,
            "cms-scan",
            |n| asked("GET", format!("/wp-content/plugins/plugin-{n}/readme.txt"), 404),
            |n| got(["/wp-login.php", "/wp-admin/", "/wp-admin/post.php", "/wp-admin/edit.php"][n % 4]),
        ),
        Row(
            "http-wordpress_user-enum",
            5.0,
            10.0,
            "cms-user-enumeration",
            |n| asked("GET", format!("/?author={}", n + 1), 301),
            |n| got(format!("/books?author=name-{n}")),
        ),
        Row(
            "http-sensitive-files",
            4.0,
            5.0,
            "sensitive-files",
            |n| asked("GET", format!("/app-{n}/.env"), 404),
            |n| got(["/admin", "/admin/users", "/.well-known/security.txt", "/settings", "/config"][n % 5]),
        ),
        Row(
            "http-path-traversal-probing",
            3.0,
            10.0,
            "path-traversal",
            |n| asked("GET", format!("/static/{}etc/passwd", "../".repeat(n + 1)), 400),
            |n| got(format!("/login?next=../cart-{n}")),
        ),
        Row(
            "http-path-traversal-probing",
            3.0,
            10.0,
            "path-traversal-query",
            |n| asked("GET", format!("/view?file={}etc/passwd", "..%2f".repeat(n + 2)), 200),
            |n| got(format!("/thumb?src=../img/{n}.png")),
        ),
        Row(
            "http-sqli-probbing-detection",
            10.0,
            1.0,
            "injection-probes",
            |n| got(format!("/item?id={n}%27%20UNION%20ALL%20SELECT%20NULL--")),
            |n| got(format!("/search?q=select+a+union+{n}")),
        ),
        Row(
            "http-xss-probbing",
            5.0,
            1.0,
            "script-injection-probes",
            |n| got(format!("/search?q=%3Cscript%3Ealert({n})%3C/script%3E")),
            |n| got(format!("/search?q=javascript+alert+{n}")),
        ),
        Row(
            "litespeed-admin-bf",
            5.0,
            10.0,
            "cms-logins",
            |_| asked("POST", "/login.php", 200),
            |_| asked("POST", "/login.php", 302),
        ),
    ]
}

/// Six capitals, others for each number.
fn capitals(n: usize) -> String {
    (0..6).map(|place| char::from(b'A' + ((n * 7 + place * (n + 3)) % 26) as u8)).collect()
}

#[test]
fn what_crowdsec_catches_is_caught() {
    for Row(scenario, capacity, leak, rule, attack, _) in rows() {
        // All at once; at the pace of a patient attacker; and just fast enough to overflow at all.
        for pace in [0.0, 0.5, 0.9] {
            let times = overflowing(capacity, leak, pace);
            let records: String =
                times.iter().enumerate().map(|(n, at)| record(*at, "203.0.113.7", &attack(n))).collect();
            let fired = fired(&records);
            assert!(fired.contains(rule), "{scenario} at {pace}: {} requests, {fired:?}", times.len());
        }
    }
}

#[test]
fn what_people_do_instead_is_not() {
    for Row(scenario, capacity, leak, _, _, people) in rows() {
        for pace in [0.0, 0.5, 0.9] {
            let times = overflowing(capacity, leak, pace);
            let records: String =
                times.iter().enumerate().map(|(n, at)| record(*at, "203.0.113.7", &people(n))).collect();
            assert_eq!(fired(&records), BTreeSet::new(), "{scenario} at {pace}");
        }
    }
}

/// CrowdSec's scenarios miss this one: a single URL, always answered well.
#[test]
fn two_hundred_requests_a_second_on_one_page_are_told_within_two_seconds() {
    let mut records = String::new();
    for n in 0..12_000 {
        records += &record(n * 5, "203.0.113.11", &got("/pricing"));
    }
    let lines = replay(&records);
    let incidents = of_type(&lines, "incident");
    assert_eq!(incidents.len(), 1);
    let at = |key: &str| incidents[0][key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let began = jiff::Timestamp::from_millisecond(START).unwrap();
    let took = at("detected_at").duration_since(began);
    assert!(took.as_secs_f64() <= 2.0, "{took:?} after the first request: {}", incidents[0]);
    assert!(at("detected_at").duration_since(at("started_at")).as_secs_f64() <= 2.0);
    // It goes on at ten times what a client may: that pages.
    assert_eq!(incidents[0]["severity"], "critical");
}

#[test]
fn a_client_with_a_crowds_user_agents_is_told_as_a_likely_proxy_and_not_banned() {
    let crowd = |agents: i64| -> String {
        (0..agents)
            .map(|n| Asked { user_agent: format!("Mozilla/5.0 (build {n})"), ..got("/") })
            .enumerate()
            .map(|(n, asked)| record(n as i64 * 4_000, "203.0.113.7", &asked))
            .collect()
    };
    let lines = replay(&crowd(110));
    let incidents = of_type(&lines, "incident");
    let sensor: Vec<_> = incidents.iter().filter(|incident| incident["kind"] == "sensor").collect();
    assert_eq!(sensor.len(), 1, "{incidents:?}");
    assert_eq!(sensor[0]["severity"], "warning");
    assert_eq!(of_type(&lines, "decision").len(), 0);
    assert!(!fired(&crowd(90)).contains("likely-proxy"));
}

#[test]
fn stolen_passwords_from_many_clients_are_one_attack_and_a_few_noisy_ones_are_not() {
    let failures = |clients: usize, each: usize| -> String {
        let mut records = String::new();
        for n in 0..clients * each {
            let client = format!("198.18.{}.{}", n % clients / 200, 1 + n % clients % 200);
            // Spread over nine minutes, each client far below a limit of its own.
            let at = n as i64 * 540_000 / (clients * each) as i64;
            records += &record(at, &client, &asked("POST", "/login", 401));
        }
        records
    };
    let lines = replay(&failures(60, 4));
    let incidents = of_type(&lines, "incident");
    assert_eq!(incidents.len(), 1);
    assert_eq!((&incidents[0]["kind"], &incidents[0]["severity"]), (&"login".into(), &"error".into()));
    assert_eq!(of_type(&lines, "decision").len(), 0);
    assert!(!fired(&failures(20, 12)).contains("credential-stuffing"), "20 clients are no crowd");
    assert!(!fired(&failures(40, 4)).contains("credential-stuffing"), "160 failures are a bad morning");
}

/// Real traffic of a blog, without an attacker in it.
#[test]
fn real_visitors_raise_nothing_above_info() {
    let log = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/access-logs/elastic-examples-apache.log.gz");
    if !has("shared access log", log.exists()) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let log = log.to_str().unwrap();
    let arguments = ["replay", "--service", "blog", "--output", "ndjson", "--show", "incidents,signals", log];
    // Its lines are out of order by up to a minute.
    let lateness = [("BEACONFIRE_LIMITS__LATENESS", "2m")];
    let (code, out, err) = run_with(dir.path(), &arguments, &lateness, None);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let raised: Vec<String> = of_type(&lines, "signal")
        .iter()
        .filter(|signal| signal["severity"] != "info")
        .map(|signal| format!("{} {} {}", signal["rule"], signal["subject"], signal["observed"]))
        .collect();
    assert_eq!(raised, Vec::<String>::new());
    let summary = lines.last().unwrap();
    assert_eq!((&summary["decoded"], &summary["late"]), (&10_000.into(), &0.into()));
}
