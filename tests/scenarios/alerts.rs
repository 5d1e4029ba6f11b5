//! A real Prometheus takes us for its Alertmanager: what it fires becomes an incident, is told, and ends when it ends.

use std::process::Command;

use serde_json::Value;

use super::world::{PATIENCE, World};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::{Leashed, eventually, free_port, has};

#[test]
fn a_real_prometheus_names_us_as_its_alertmanager() {
    if !has("prometheus", Command::new("prometheus").arg("--version").output().is_ok()) {
        return;
    }
    let Some(world) = World::new("alerts", 1) else { return };
    let config = world.config("format: falco", "");
    let service = Beaconfire::start(world.dir.path(), "alerts", &config);
    service.ready();
    let rules = world.dir.path().join("rules.yml");
    let rule = |expr: &str| {
        format!(
            "groups: [{{name: g, interval: 1s, rules: [{{alert: TooSlow, expr: '{expr}', labels: {{severity: page, \
             service: shop}}, annotations: {{summary: 'p99 is 3 s'}}}}]}}]\n"
        )
    };
    std::fs::write(&rules, rule("vector(1)")).expect("the rules can be written");
    let own = world.dir.path().join("prometheus.yml");
    let target = service.url.trim_start_matches("http://");
    let written = format!(
        "global: {{evaluation_interval: 1s}}\nrule_files: [{}]\nalerting: {{alertmanagers: [{{static_configs: \
         [{{targets: ['{target}']}}]}}]}}\n",
        rules.display()
    );
    std::fs::write(&own, written).expect("the configuration can be written");
    let program = [
        "prometheus".to_owned(),
        format!("--config.file={}", own.display()),
        format!("--storage.tsdb.path={}", world.dir.path().join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{}", free_port()),
    ];
    let prometheus = Leashed::start(&program, &world.dir.path().join("prometheus.log"));
    let found = |status: &str| {
        let list = service.json(&format!("/api/v1/incidents?kind=external&status={status}"));
        list["items"].as_array().and_then(|items| items.first().cloned())
    };
    let mut open = None;
    eventually("the alert is an incident", PATIENCE, || {
        open = found("open");
        open.is_some()
    });
    let incident: Value = open.expect("it was found");
    assert_eq!(incident["severity"], "critical", "{incident}");
    assert_eq!(incident["labels"]["alertname"], "TooSlow");
    assert_eq!(incident["labels"]["service"], "shop");
    assert_eq!(incident["title"], "Alert TooSlow: service=shop");
    let id = incident["id"].as_str().expect("an id").to_owned();
    eventually("everybody is told once", PATIENCE, || world.hook.calls().len() == 1);

    // Prometheus says that it is over, long before the end that it had announced.
    std::fs::write(&rules, rule("vector(1) > 2")).expect("the rules can be written");
    prometheus.signal("HUP");
    let mut over = None;
    eventually("it is over with the alert", PATIENCE, || {
        over = found("resolved");
        over.is_some()
    });
    assert_eq!(over.expect("it was found")["id"], id.as_str());
    eventually("and everybody is told so", PATIENCE, || world.hook.calls().len() == 2);
}
