//! The vendors' own libraries as judges: slack_sdk and standardwebhooks check what we send and sign, verify as we do, and
//! speak with the stand-ins that all other scenarios trust.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use beaconfire::standins::{SLACK_TOKEN, WEBHOOK_SECRET};
use serde_json::{Value, json};

use super::log::finding;
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::{Beaconfire, run};
use crate::harness::{Leashed, eventually, free_port, has, parts};

const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

fn command(words: &[&str]) -> Vec<String> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parts/clients.py");
    let program = [parts().join("smtp/bin/python"), script].map(|path| path.display().to_string());
    program.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect()
}

/// What a library says.
fn ask(words: &[&str], stdin: &str) -> Output {
    use std::io::Write as _;
    let command = command(words);
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python starts");
    child.stdin.take().expect("a pipe").write_all(stdin.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[track_caller]
pub fn said(words: &[&str], stdin: &str) -> String {
    let done = ask(words, stdin);
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// `POST /hooks/slack` with these headers: the status.
fn click(service: &Beaconfire, body: &str, headers: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary", body]);
    for header in headers.lines().chain(["content-type: application/x-www-form-urlencoded"]) {
        command.args(["-H", header]);
    }
    let done = command.arg(format!("{}/hooks/slack", service.url)).output().expect("curl runs");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A form's value, percent-encoded.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn slacks_own_library_accepts_our_messages_and_we_accept_what_it_signs() {
    if !has("slack_sdk", parts().join("smtp/clients").exists()) {
        return;
    }
    let Some(world) = World::new("clients", 1) else { return };
    let sections = format!("interactions: {{slack_signing_secret: \"{SIGNING_SECRET}\"}}\n");
    let service = Beaconfire::start(world.path(), "clients", &world.config("format: falco", &sections));
    service.ready();
    let producer = world.producer();
    let record = finding(now(), "checkout", "Drop and execute", "Critical", "sh -c '<!channel> `*_'");
    producer.send(&world.name, None, None, record.as_bytes());
    producer.flush();
    eventually("Slack has the message", PATIENCE, || !world.slack.messages().is_empty());

    // Our Block Kit, by their models.
    let message = world.slack.messages().remove(0);
    let blocks: usize = said(&["blocks"], &message.blocks.to_string()).parse().expect("a number");
    assert_eq!(Some(blocks), message.blocks.as_array().map(Vec::len));
    assert!(message.blocks.to_string().contains("acknowledge"), "{}", message.blocks);
    let broken = json!([{"type": "section", "text": {"type": "mrkdwn", "text": "x".repeat(3_001)}}]);
    assert!(!ask(&["blocks"], &broken.to_string()).status.success(), "they do judge");

    // A click that their library signs is taken; a changed one is not.
    let id = service.incidents()[0]["id"].as_str().expect("an id").to_owned();
    let payload = |action: &str| {
        let payload = json!({"type": "block_actions", "user": {"id": "U1", "username": "mia"},
            "actions": [{"action_id": action, "value": id, "action_ts": "1.5"}]});
        format!("payload={}", encoded(&payload.to_string()))
    };
    let acknowledges = payload("acknowledge");
    let headers = said(&["sign", SIGNING_SECRET, &acknowledges], "");
    assert_eq!(click(&service, &payload("resolve"), &headers), "401");
    let wrong = said(&["sign", "another secret", &acknowledges], "");
    assert_eq!(click(&service, &acknowledges, &wrong), "401");
    assert_eq!(click(&service, &acknowledges, &headers), "200");
    let incident = service.json(&format!("/api/v1/incidents/{id}"));
    assert_eq!(
        (&incident["status"], &incident["acknowledged"]["by"]),
        (&json!("acknowledged"), &json!("slack:mia"))
    );

    // Their client finds our stand-in to be Slack.
    let ts = said(&["talk", &world.slack.app_url(), SLACK_TOKEN], "");
    let held = world.slack.messages().into_iter().find(|held| held.ts == ts).expect("it was posted");
    assert_eq!((&*held.text, held.updates), ("hello again", 1));
    assert_eq!(world.slack.faults(), Vec::<String>::new());
}

#[test]
fn the_standard_library_of_webhooks_verifies_ours_and_our_stand_in_verifies_its() {
    if !has("standardwebhooks", parts().join("smtp/clients").exists()) {
        return;
    }
    let Some(world) = World::new("webhooks", 1) else { return };
    let port = free_port();
    let log = world.path().join("receiver.log");
    let _receiver = Leashed::start(&command(&["receive", &port.to_string(), WEBHOOK_SECRET, "3"]), &log);
    let config = world.path().join("own.yaml");
    let write = |secret: &str| {
        let receiver =
            format!("webhook_configs: [{{url: \"http://127.0.0.1:{port}/\", signing_secret: \"{secret}\"}}]");
        std::fs::write(&config, format!("receivers: [{{name: hook, {receiver}}}]\n"))
            .expect("it can be written");
    };
    let tell =
        || run(world.path(), &["--config", &config.display().to_string(), "test-notify", "hook"], None);
    let heard = || std::fs::read_to_string(&log).unwrap_or_default();
    write(WEBHOOK_SECRET);
    let mut done = (1, String::new(), String::new());
    eventually("the receiver listens", PATIENCE, || {
        done = tell();
        done.0 == 0
    });
    eventually("it has verified the message", PATIENCE, || heard().starts_with("verified "));
    write("whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhpcnR5IGJ5dGVzISE=");
    let (code, _, _) = tell();
    assert_eq!(code, 1, "it was refused");
    assert!(heard().contains("refused: "), "{}", heard());

    let body: Value = json!({"type": "test", "timestamp": "2026-01-02T03:04:05Z", "data": {"id": "x"}});
    assert_eq!(said(&["post", &world.hook.url(), WEBHOOK_SECRET, &body.to_string()], ""), "200");
    assert_eq!(world.hook.calls().len(), 1);
    assert_eq!(world.hook.faults(), Vec::<String>::new());
}
