//! The commands, run as users run them.

use serde_json::Value;

use crate::harness::beaconfire::run;

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

#[test]
fn explain_names_fields_and_refuses_unknown_formats() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET /cart HTTP/1.1" 200 512"#;
    let (code, out, _) = run(dir.path(), &["explain", line], None);
    assert_eq!(code, 0);
    assert!(out.contains("203.0.113.7") && out.contains("/cart"), "{out}");
    let (code, _, err) = run(dir.path(), &["explain", "--format", "caddy", line], None);
    assert_eq!(code, 2);
    assert!(err.contains("not in this version"), "{err}");
    let (code, _, _) = run(dir.path(), &["no-such-command"], None);
    assert_eq!(code, 2);
}
