//! The commands, run as users run them.

#[path = "../api/tests/fake.rs"]
mod fake;
mod instance;
mod letters;
mod render;
mod score;
mod silences;
mod surface;
mod tell;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::beaconfire::{binary, run};
use crate::harness::eventually;

/// How long anything may take on a machine with other things to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// A log with people, a flood by one client, and a login attack.
fn log() -> String {
    let mut log = Vec::new();
    let line = |second: i64, client: &str, request: &str, status: u16| {
        let (minute, second) = (second / 60, second % 60);
        (
            second + minute * 60,
            format!(
                r#"{client} - - [02/Jan/2026:03:{minute:02}:{second:02} +0000] "{request} HTTP/1.1" {status} 512 "-" "Mozilla/5.0""#
            ),
        )
    };
    for second in 0..1_800 {
        log.push(line(second, &format!("198.18.0.{}", 1 + second % 200), "GET /pricing", 200));
        if (300..360).contains(&second) {
            for n in 0..20 {
                log.push(line(second, "203.0.113.66", &format!("GET /search?q={n}<!channel>"), 200));
            }
        }
        if (400..420).contains(&second) {
            log.push(line(second, "198.51.100.23", "POST /login", 401));
        }
    }
    log.into_iter().map(|(_, line)| line + "\n").collect()
}

fn replay(arguments: &[&str]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let all = [&["replay", "--service", "shop", "--output", "ndjson"], arguments].concat();
    let (code, out, err) = run(dir.path(), &all, Some(log().as_bytes()));
    assert_eq!(code, 0, "{err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_replay_finds_what_was_laid_into_the_log_and_nothing_else() {
    let lines = replay(&[]);
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["type"], &summary["decoded"], &summary["late"]),
        (&"summary".into(), &3020.into(), &0.into())
    );
    let found: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == "incident")
        .map(|line| {
            (
                line["kind"].as_str().unwrap(),
                line["participants"][0]["value"].as_str().unwrap(),
                line["status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("flood", "203.0.113.66", "resolved"), ("login", "198.51.100.23", "resolved")]);
    let flood = &lines[0];
    assert_eq!(flood["participants"][0]["events"], 1_200);
    assert_eq!(flood["participants_total"], 1);
    assert_eq!(flood["target"], serde_json::json!({"kind": "service", "name": "shop"}));
    assert_eq!(flood["labels"]["service"], "shop");
}

#[test]
fn incidents_are_the_same_to_the_byte_for_any_number_of_shards() {
    let incidents = |shards: &str| {
        let mut lines = replay(&["--shards", shards, "--show", "incidents,decisions"]);
        lines.pop();
        lines.iter().map(Value::to_string).collect::<Vec<_>>()
    };
    let one = incidents("1");
    assert!(one.len() >= 3, "{one:?}");
    for shards in ["2", "4", "8"] {
        assert_eq!(incidents(shards), one);
    }
}

#[test]
fn check_shows_the_line_and_the_nearest_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.yaml"), "kafka:\n  brokers: [localhost:9092]\n  gruop: x\n").unwrap();
    let (code, _, err) = run(dir.path(), &["check", "--config", "bad.yaml"], None);
    assert_eq!(code, 3);
    assert!(err.contains("gruop") && err.contains("group") && err.contains('^'), "{err}");
    let (code, out, err) = run(dir.path(), &["check"], None);
    assert_eq!(code, 0, "the defaults alone are good: {err}");
    assert!(out.contains("good"), "{out}");
}

#[test]
fn the_example_configuration_is_accepted() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/beaconfire.example.yaml");
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = run(dir.path(), &["check", "--config", example], None);
    assert_eq!(code, 0, "{err}");
}

/// The line of a rule: `requests-per-client  1200 of 600 in 60 s …`.
fn of_rule<'a>(out: &'a str, rule: &str) -> &'a str {
    let found = out.lines().find(|line| line.split_whitespace().next() == Some(rule));
    found.unwrap_or_else(|| panic!("{rule} is not in {out}"))
}

#[test]
fn explain_says_how_near_a_client_came_to_each_rule() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("access.log"), log()).unwrap();
    let ask = |client: &str| {
        let line = ["explain", "--client", client, "--service", "shop", "access.log"];
        let (code, out, err) = run(dir.path(), &line, None);
        assert_eq!(code, 0, "{err}");
        out
    };
    let flood = ask("203.0.113.66");
    let line = of_rule(&flood, "requests-per-client");
    assert!(line.contains(" 1200 of 600 in 60 s on shop, until 2026-01-02T03:06:00Z: fires"), "{line}");
    assert!(of_rule(&flood, "failed-logins").contains("0: no request of it counts here"), "{flood}");
    // One that stayed below: nine visits in half an hour, each by itself.
    let visitor = ask("198.18.0.1");
    let line = of_rule(&visitor, "requests-per-client");
    assert!(line.contains(" 1 of 600 in 60 s on shop") && !line.contains("fires"), "{line}");
    assert!(of_rule(&visitor, "server-errors").contains("does not count by client"), "{visitor}");
    let (code, _, err) = run(dir.path(), &["explain", "one", "two"], None);
    assert_eq!(code, 2, "{err}");
}

#[test]
fn a_replay_reports_each_rule_before_its_summary() {
    let dir = tempfile::tempdir().unwrap();
    let log = log();
    let line = ["replay", "--service", "shop", "--output", "ndjson", "-"];
    let (code, out, err) = run(dir.path(), &line, Some(log.as_bytes()));
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["type"], "summary");
    let report =
        lines.iter().find(|line| line["type"] == "rule" && line["rule"] == "requests-per-client").unwrap();
    assert_eq!((&report["threshold"], &report["incidents"]), (&600.into(), &1.into()), "{report}");
    // Half an hour is no day, and in no week was anybody allowed above.
    assert_eq!((&report["incidents_per_day"], &report["once_a_week_above"]), (&Value::Null, &1200.0.into()));
    let highest = report["highest"].as_array().unwrap();
    assert_eq!(highest.len(), 10);
    assert_eq!((&highest[0]["subject"], &highest[0]["observed"]), (&"203.0.113.66".into(), &1200.into()));
    let (_, four, _) = run(
        dir.path(),
        &["replay", "--service", "shop", "--shards", "4", "--output", "ndjson", "-"],
        Some(log.as_bytes()),
    );
    let rules = |out: &str| -> Vec<String> {
        out.lines().filter(|line| line.contains(r#""type":"rule""#)).map(str::to_owned).collect()
    };
    assert_eq!(rules(&out), rules(&four), "the same for any number of shards");
}

#[test]
fn explain_names_fields_and_refuses_unknown_formats() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET /cart HTTP/1.1" 200 512"#;
    let (code, out, _) = run(dir.path(), &["explain", line], None);
    assert_eq!(code, 0);
    assert!(out.contains("203.0.113.7") && out.contains("/cart"), "{out}");
    let (code, _, err) = run(dir.path(), &["explain", "--format", "trivy", line], None);
    assert_eq!(code, 2);
    assert!(err.contains("not in this version"), "{err}");
    let (code, _, _) = run(dir.path(), &["no-such-command"], None);
    assert_eq!(code, 2);
}

#[test]
fn what_is_promised_for_later_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "schema config",
        "decisions allow 203.0.113.7",
        "replay --kafka --from 2026-01-02T03:04:05Z",
        "explain --incident 1",
    ] {
        let (code, out, err) = run(dir.path(), &line.split(' ').collect::<Vec<_>>(), None);
        assert_eq!((code, out.as_str()), (2, ""), "{line}");
        assert!(err.contains("not in this version") && !err.contains("Usage:"), "{line}: {err}");
    }
}

#[test]
fn formats_that_are_not_known_are_told_from_those_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let said = |format: &str| run(dir.path(), &["replay", "--format", format, "-"], Some(b"")).2;
    assert!(said("trivy").contains("`trivy` is not in this version"), "{}", said("trivy"));
    assert!(said("combind").contains("did you mean `combined`?"), "{}", said("combind"));
}

/// One line each, and none that a topic could not be given.
#[test]
fn formats_are_listed_by_the_names_that_topics_take() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, _) = run(dir.path(), &["formats"], None);
    assert_eq!(code, 0);
    let names: Vec<&str> =
        out.lines().filter_map(|line| line.split_once(' ').map(|(name, _)| name)).collect();
    for name in [
        "auto",
        "combined",
        "ingress-nginx",
        "nginx-json",
        "envoy",
        "traefik",
        "caddy",
        "haproxy",
        "alb",
        "cloudfront",
        "cloudflare",
        "ecs",
        "otel",
        "telegraf",
        "metricbeat",
        "cadvisor",
        "prometheus",
        "tracee",
        "falco",
        "guardduty",
        "vpc-dns",
        "beaconfire",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for name in names {
        let (code, _, err) = run(dir.path(), &["explain", "--format", name, "x"], None);
        assert_eq!(code, 0, "{name}: {err}");
    }
}

#[test]
fn a_topics_own_form_is_explained_and_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let config = r#"
kafka:
  brokers: [localhost:9092]
  topics:
    - {name: lines, log_format: '$status|$remote_addr|[$time_iso8601]|$request', timezone: Europe/Berlin, service: shop}
    - {name: objects, fields: {status: s, client: c, path: p, time: t}, timezone: America/New_York}
"#;
    std::fs::write(dir.path().join("beaconfire.yaml"), config).unwrap();
    let line = "200|203.0.113.7|[2026-07-02T05:04:05]|GET /cart HTTP/1.1";
    let (code, out, err) = run(dir.path(), &["explain", "--topic", "lines", line], None);
    assert_eq!(code, 0, "{err}");
    for part in ["2026-07-02T03:04:05Z", "203.0.113.7", "/cart", "from log_format"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let object = r#"{"s":200,"c":"203.0.113.7","p":"/cart","t":"2026-01-02 03:04:05"}"#;
    let (_, out, _) = run(dir.path(), &["explain", "--topic", "objects", object], None);
    assert!(out.contains("2026-01-02T08:04:05Z") && out.contains("from p)"), "{out}");
    let (code, _, err) = run(dir.path(), &["explain", "--topic", "linse", line], None);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean `lines`?"), "{err}");
    let (code, out, err) =
        run(dir.path(), &["replay", "--topic", "lines", "--output", "ndjson", "-"], Some(line.as_bytes()));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains(r#""decoded":1"#), "{out}");
}

#[test]
fn what_workloads_do_and_use_is_judged_for_mining() {
    let dir = tempfile::tempdir().unwrap();
    let at = |minute: usize| format!("2026-01-02T{:02}:{:02}:05Z", minute / 60, minute % 60);
    let mut log: Vec<String> = (0..120)
        .map(|minute| {
            format!(
                r#"{{"kind":"resource","time":"{}","workload":"shop/web","pod":"web-5d8f7c9b6-x2x4z","container":"app","cpu_cores":0.{},"cpu_limit_cores":2}}"#,
                at(minute),
                1 + minute * 7 % 8,
            )
        })
        .collect();
    let exec = |minute: usize, workload: &str, process: &str, cmdline: &str| {
        format!(
            r#"{{"kind":"runtime","time":"{}","workload":"{workload}","event":"exec","process":"{process}","cmdline":"{cmdline}"}}"#,
            at(minute)
        )
    };
    log.insert(60, exec(60, "shop/docs", "grep", "grep xmrig index.html"));
    log.insert(61, exec(60, "shop/cart", "xmrig", "xmrig -o stratum+tcp://pool.example.org:3333 -u w"));
    let log: String = log.into_iter().map(|line| line + "\n").collect();
    let line = ["replay", "--output", "ndjson", "--show", "incidents,signals", "-"];
    let (code, out, err) = run(dir.path(), &line, Some(log.as_bytes()));
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let incidents: Vec<&Value> = lines.iter().filter(|line| line["type"] == "incident").collect();
    let shown: Vec<_> =
        incidents.iter().map(|one| (&one["kind"], &one["severity"], &one["target"])).collect();
    assert_eq!(incidents.len(), 1, "{shown:?}");
    let title = incidents[0]["title"].as_str().unwrap();
    assert!(title.starts_with("Cryptomining on shop/cart: ") && title.contains("miner-name"), "{title}");
    assert_eq!(incidents[0]["severity"], "critical");
    assert_eq!(lines.last().unwrap()["decoded"], 122);
}

/// A request as Istio's sidecars log it: by the caller's, and by the called one's.
fn sidecars(n: usize) -> [String; 2] {
    let second = n / 30;
    let copy = |path: &str, upstream: &str| {
        format!(
            r#"[2026-01-02T03:{:02}:{:02}.{:03}Z] "GET {path} HTTP/1.1" 200 - via_upstream - "-" 0 135 4 4 "-" "curl/8" "84961386-6d84-929d-98bd-{n:012}" "shop:8000" "10.44.1.27:80" {upstream} 10.44.1.23:37652 10.0.45.184:8000 203.0.113.7:46520 - default"#,
            second / 60,
            second % 60,
            n % 30 * 33,
        )
    };
    ["outbound|8000||shop.web.svc.cluster.local", "inbound|8000||"].map(|upstream| copy("/cart", upstream))
}

#[test]
fn what_a_mesh_logs_twice_counts_once_where_the_topic_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = r"
kafka:
  brokers: [localhost:9092]
  topics:
    - {name: once, service: shop, format: envoy, dedup: request_id}
    - {name: each, service: shop, format: envoy}
rules:
  - {name: seen, kind: flood, by: [service], count: requests, window: 60s, threshold: 10, severity: info}
";
    std::fs::write(dir.path().join("beaconfire.yaml"), config).unwrap();
    let log: String = (0..1_200).flat_map(sidecars).map(|line| line + "\n").collect();
    for (topic, copies, seen) in [("once", Value::from(1_200), 1_200.0), ("each", Value::Null, 2_400.0)] {
        let line = ["replay", "--topic", topic, "--output", "ndjson", "-"];
        let (code, out, err) = run(dir.path(), &line, Some(log.as_bytes()));
        assert_eq!(code, 0, "{err}");
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.last().unwrap();
        assert_eq!((&summary["decoded"], &summary["copies"]), (&2_400.into(), &copies), "{summary}");
        let report = lines.iter().find(|line| line["type"] == "rule" && line["rule"] == "seen").unwrap();
        assert_eq!(report["highest"][0]["observed"], seen, "{report}");
    }
}

#[test]
fn one_that_sends_over_half_of_a_new_topic_is_told_as_a_likely_proxy() {
    let dir = tempfile::tempdir().unwrap();
    let log = |percent: usize| -> String {
        let line = |n: usize| {
            let client = if n % 100 < percent {
                "192.0.2.80".to_owned()
            } else {
                format!("198.18.{}.{}", n / 200 % 250, n % 200)
            };
            let (minute, second) = (n / 180, n / 3 % 60);
            format!(
                "{client} - - [02/Jan/2026:03:{minute:02}:{second:02} +0000] \"GET / HTTP/1.1\" 200 512\n"
            )
        };
        (0..2_160).map(line).collect()
    };
    let incidents = |percent: usize| -> Vec<Value> {
        let line = ["replay", "--service", "shop", "--output", "ndjson", "-"];
        let (code, out, err) = run(dir.path(), &line, Some(log(percent).as_bytes()));
        assert_eq!(code, 0, "{err}");
        let lines = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["type"] == "incident" && line["kind"] == "sensor").collect()
    };
    assert!(incidents(45).is_empty());
    let told = incidents(70);
    assert_eq!(told.len(), 1, "{told:?}");
    let title = told[0]["title"].as_str().unwrap();
    assert!(
        title.contains("192.0.2.80 sent 70 % of the first requests of a new topic in 10 min")
            && title.contains("clients.trusted_proxies"),
        "{title}"
    );
}

#[test]
fn completions_know_every_command_and_version_what_was_built() {
    let dir = tempfile::tempdir().unwrap();
    let (code, help, _) = run(dir.path(), &["--help"], None);
    assert_eq!(code, 0);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|word| !word.is_empty()))
        .collect();
    assert!(commands.len() >= 16, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = run(dir.path(), &["completions", shell], None);
        assert_eq!(code, 0, "{shell}");
        for command in &commands {
            assert!(out.contains(command), "{shell} does not complete {command}");
        }
    }
    let (code, out, _) = run(dir.path(), &["version"], None);
    assert_eq!(code, 0);
    let version = format!("beaconfire {}\n", env!("CARGO_PKG_VERSION"));
    assert!(out.starts_with(&version) && out.contains("librdkafka"), "{out}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    for line in ["completions bash", "config default", "formats"] {
        let mut child = Command::new(binary())
            .args(line.split(' '))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It has gone before anything is written, or soon after.
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.is_empty(), "{line}: {:?} {said}", done.status);
    }
}

#[test]
fn ctrl_c_ends_a_command_with_130() {
    let mut child = Command::new(binary())
        .args(["explain", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Waiting closes the child's stdin, and it would come to its own end.
    let held = child.stdin.take();
    let pid = child.id();
    eventually("it listens for ctrl-c", PATIENCE, || catches_interrupts(pid));
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
    let ended = child.wait().unwrap();
    assert_eq!(ended.code(), Some(130), "{ended:?}");
    drop(held);
}

/// Whether a process has a handler for SIGINT, which is the second bit.
fn catches_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    u64::from_str_radix(caught, 16).unwrap() & 2 != 0
}

/// What the demo promises: a crowd and a miner that were there before, a flood that begins.
#[test]
fn the_demo_finds_a_crowd_a_miner_and_a_flood() {
    let mut child = Command::new(binary())
        .args(["demo", "--listen", "127.0.0.1:0", "--speed", "4"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        // Whoever listens has seen enough, or the demo has ended.
        let _ = out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line));
    });
    let mut seen = String::new();
    eventually("all three are told", PATIENCE, || {
        seen.extend(told.try_iter().map(|line| line + "\n"));
        let titles = ["Surge on orders: ", "Cryptomining on shop/worker: ", "Request flood on shop: "];
        titles.iter().all(|title| seen.contains(title))
    });
    let surge = seen.lines().find(|line| line.contains("Surge on orders: ")).unwrap();
    assert!(surge.contains(" are usual: a flash crowd by its look"), "{surge}");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(told);
    reader.join().unwrap();
}
