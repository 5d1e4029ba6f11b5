//! A real Alertmanager beside us: `amtool` routes labels as we do, and what we tell an Alertmanager it keeps for as long
//! as it holds and no longer.

use std::process::Command;

use serde_json::Value;

use super::log::finding;
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::{Beaconfire, binary, get, run};
use crate::harness::{Leashed, eventually, free_port, has};

/// Trees as people write them.
const TREES: &[&str] = &[
    "{receiver: a}",
    "{receiver: a, routes: [{matchers: ['severity=\"critical\"'], receiver: b}]}",
    "{receiver: a, routes: [{matchers: ['severity=\"critical\"'], receiver: b, continue: true}, {matchers: ['kind=~\"flood|surge\"'], receiver: c}]}",
    "{receiver: a, routes: [{matchers: ['service=~\"sh.*\"'], receiver: b, routes: [{matchers: ['severity!=\"critical\"'], receiver: c}, {matchers: ['team!~\"edge|core\"'], receiver: d}]}]}",
    "{receiver: a, routes: [{match: {service: shop}, receiver: b, continue: true}, {match_re: {kind: 'flood|login'}, receiver: c, continue: true}, {receiver: d}]}",
    "{receiver: a, routes: [{matchers: ['team=\"\"'], receiver: b}, {matchers: ['service=\"shop\"', 'kind=\"flood\"'], routes: [{matchers: ['severity=\"error\"'], receiver: c}]}]}",
    "{receiver: a, routes: [{matchers: ['team=~\".+\"'], routes: [{matchers: ['team=\"edge\"'], receiver: b, continue: true}, {matchers: ['severity=~\"critical|error\"'], receiver: c}]}, {receiver: d}]}",
    "{receiver: a, routes: [{matchers: ['kind=~\"flo\"'], receiver: b}, {matchers: [severity=critical], receiver: c, continue: true}, {matchers: [severity=critical], receiver: c}]}",
];

const LABELS: &[&[&str]] = &[
    &["severity=critical"],
    &["severity=warning", "kind=flood", "service=shop"],
    &["severity=critical", "kind=flood", "service=shop", "team=edge"],
    &["severity=error", "kind=login", "service=shipping", "team=core"],
    &["severity=error", "kind=flood", "service=shop", "team=other"],
    &["kind=surge", "severity=critical", "team=edge"],
    &["alertname=x"],
];

#[test]
fn routes_lead_where_amtool_says() {
    if !has("amtool", Command::new("amtool").arg("--version").output().is_ok()) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut compared = 0;
    for tree in TREES {
        let receivers = ["a", "b", "c", "d"]
            .map(|name| {
                format!("{{name: {name}, webhook_configs: [{{url: 'https://hooks.example.com/{name}'}}]}}")
            })
            .join(", ");
        let config = dir.path().join("alertmanager.yml");
        std::fs::write(&config, format!("route: {tree}\nreceivers: [{receivers}]\n"))
            .expect("it can be written");
        for labels in LABELS {
            let theirs = Command::new("amtool")
                .args(["config", "routes", "test", &format!("--config.file={}", config.display())])
                .args(*labels)
                .output()
                .expect("amtool runs");
            assert!(theirs.status.success(), "{tree}: {}", String::from_utf8_lossy(&theirs.stderr));
            let said = String::from_utf8_lossy(&theirs.stdout);
            let mut theirs: Vec<&str> = said.trim().split(',').collect();
            let ours = Command::new(binary())
                .args(["--config", &config.display().to_string(), "routes", "test", "--output", "json"])
                .args(*labels)
                .output()
                .expect("it runs");
            assert!(ours.status.success(), "{tree}: {}", String::from_utf8_lossy(&ours.stderr));
            let ours: Value = serde_json::from_slice(&ours.stdout).expect("JSON");
            let ours = ours["receivers"].as_array().expect("receivers");
            let ours: Vec<&str> = ours.iter().map(|one| one["receiver"].as_str().expect("a name")).collect();
            // Where two routes lead to one receiver, we tell it once.
            theirs.dedup();
            assert_eq!(ours, theirs, "{tree}: {labels:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, TREES.len() * LABELS.len());
}

#[test]
fn a_real_alertmanager_keeps_what_holds_and_hears_when_it_is_over() {
    if !has("alertmanager", Command::new("prometheus-alertmanager").arg("--version").output().is_ok()) {
        return;
    }
    let Some(world) = World::new("manager", 1) else { return };
    let own = world.dir.path().join("am.yml");
    std::fs::write(&own, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
        .expect("it can be written");
    let port = free_port();
    let program = [
        "prometheus-alertmanager".to_owned(),
        format!("--config.file={}", own.display()),
        format!("--storage.path={}", world.dir.path().join("am").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let _manager = Leashed::start(&program, &world.dir.path().join("am.log"));
    let alerts = || -> Vec<Value> {
        let url = format!("http://127.0.0.1:{port}/api/v2/alerts");
        let answer = get(&url, &[]);
        answer.and_then(|(_, body)| serde_json::from_str(&body).ok()).unwrap_or_default()
    };
    let config = world.config("format: falco", "").replace(
        "  - name: hook\n",
        &format!("  - name: manager\n    alertmanager_configs: [{{url: \"http://127.0.0.1:{port}\"}}]\n  - name: hook\n"),
    );
    let config = config.replace(
        "    - {receiver: hook}",
        "    - {receiver: manager, continue: true}\n    - {receiver: hook}",
    );
    let service = Beaconfire::start(world.dir.path(), "manager", &config);
    service.ready();
    let at = now();
    let record = finding(at, "checkout", "Drop and execute", "Critical", "sh");
    let producer = world.producer();
    producer.send(&world.name, None, None, record.as_bytes());
    producer.flush();
    let mut held = Vec::new();
    eventually("the Alertmanager has the alert", PATIENCE, || {
        held = alerts();
        !held.is_empty()
    });
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0]["labels"]["severity"], "critical");
    assert_eq!(held[0]["labels"]["kind"], "intrusion");
    let id = service.incidents()[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(held[0]["labels"]["incident"], id.as_str());
    let (code, _, said) = run(world.path(), &["incidents", "resolve", &id, "--url", &service.url], None);
    assert_eq!(code, 0, "{said}");
    eventually("and hears that it is over", PATIENCE, || alerts().is_empty());
}
