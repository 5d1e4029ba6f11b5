//! Whom an incident would be told, and whether that works: `routes test`, `test-notify`, the warnings of `check`.

use beaconfire::standins::{
    MailSink, Mode, PagerDuty, ROUTING_KEY, SLACK_TOKEN, Slack, WEBHOOK_SECRET, Webhook,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::harness::beaconfire::run;
use crate::harness::free_port;

const TREE: &str = r#"
external_labels: {cluster: eu-1}
services: {shop: {labels: {team: edge}}}
receivers:
  - {name: mail, email_configs: [{to: a@example.com, from: b@example.com, smarthost: "127.0.0.1:25", require_tls: false}]}
  - {name: chat, webhook_configs: [{url: "https://chat.example.com/x"}]}
  - {name: pager, webhook_configs: [{url: "https://pager.example.com/x"}]}
  - {name: nobody}
route:
  receiver: mail
  routes:
    - {matchers: ['severity="critical"'], receiver: pager, continue: true}
    - matchers: ['team="edge"']
      receiver: chat
      routes:
        - {matchers: ['kind="probing"'], receiver: nobody}
    - {matchers: ['kind=~"flood|surge"'], receiver: mail}
"#;

fn routes(labels: &[&str], output: &str) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("beaconfire.yaml"), TREE).unwrap();
    run(dir.path(), &[&["routes", "test", "--output", output], labels].concat(), None)
}

#[track_caller]
fn reaches(labels: &[&str], expected: &[&str]) {
    let (code, out, err) = routes(labels, "json");
    assert_eq!(code, 0, "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let names: Vec<&str> =
        document["receivers"].as_array().unwrap().iter().filter_map(|one| one["receiver"].as_str()).collect();
    assert_eq!(names, expected, "{out}");
}

#[test]
fn labels_reach_the_receivers_that_an_incident_with_them_would() {
    reaches(&["kind=login"], &["mail"]);
    reaches(&["kind=login", "severity=critical"], &["pager"]);
    reaches(&["kind=flood", "severity=critical"], &["pager", "mail"]);
    // The service's own labels come on top, as they do in an incident.
    reaches(&["kind=flood", "service=shop"], &["chat"]);
    reaches(&["kind=probing", "service=shop"], &["nobody"]);
    reaches(&["kind=flood", "service=shop", "team=core"], &["mail"]);
}

#[test]
fn every_route_on_the_way_says_why() {
    let (code, out, err) = routes(&["kind=flood", "service=shop", "severity=critical"], "table");
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        out,
        r#"cluster=eu-1 kind=flood service=shop severity=critical team=edge

+ root -> mail: matches; a route below takes it
  + severity="critical" -> pager, continue: told
  + team="edge" -> chat: told
    - kind="probing" -> nobody: does not match kind="probing"
  - kind=~"flood|surge" -> mail: not asked: the route before takes it and does not continue

pager (webhook-0)
chat (webhook-0)
"#
    );
    let (_, out, _) = routes(&["kind=probing", "team=edge"], "table");
    assert!(out.ends_with("nobody (no integration: nobody hears of it)\n"), "{out}");
}

#[test]
fn labels_that_no_incident_has_are_refused() {
    for (label, said) in [
        ("severity=critcal", "did you mean `critical`?"),
        ("kind=ddos", "There are flood"),
        ("severity", "LABEL=VALUE"),
        ("=x", "a label's name"),
    ] {
        let (code, _, err) = routes(&[label], "json");
        assert_eq!(code, 2, "{label}");
        assert!(err.contains(said), "{err}");
    }
}

/// The stand-ins, and a receiver for each; the text says which secrets it must not show.
struct Told {
    runtime: Runtime,
    mail: MailSink,
    slack: Slack,
    pager: PagerDuty,
    hook: Webhook,
    dir: tempfile::TempDir,
}

impl Told {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (mail, slack, pager, hook) = runtime.block_on(async {
            let mail = MailSink::start().await.unwrap();
            (
                mail,
                Slack::start().await.unwrap(),
                PagerDuty::start().await.unwrap(),
                Webhook::start().await.unwrap(),
            )
        });
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            r##"
receivers:
  - {{name: mail, email_configs: [{{to: oncall@example.com, from: beaconfire@example.com, smarthost: "{}", require_tls: false}}]}}
  - {{name: chat, slack_configs: [{{app_token: {SLACK_TOKEN}, app_url: "{}", channel: "#oncall"}}]}}
  - {{name: pager, pagerduty_configs: [{{routing_key: {ROUTING_KEY}, url: "{}"}}]}}
  - {{name: hook, webhook_configs: [{{url: "{}", signing_secret: "{WEBHOOK_SECRET}"}}]}}
  - name: all
    slack_configs: [{{app_token: {SLACK_TOKEN}, app_url: "{}", channel: "#oncall"}}]
    webhook_configs: [{{url: "http://127.0.0.1:{}/gone", signing_secret: "{WEBHOOK_SECRET}"}}]
  - {{name: nobody}}
route: {{receiver: mail}}
"##,
            mail.address(),
            slack.app_url(),
            pager.url(),
            hook.url(),
            slack.app_url(),
            free_port(),
        );
        std::fs::write(dir.path().join("beaconfire.yaml"), config).unwrap();
        Self { runtime, mail, slack, pager, hook, dir }
    }

    /// Exit code, stdout, stderr; no secret is in either.
    fn test(&self, receiver: &str) -> (i32, String, String) {
        let said = run(self.dir.path(), &["test-notify", receiver], None);
        for secret in [SLACK_TOKEN, ROUTING_KEY, WEBHOOK_SECRET] {
            assert!(!said.1.contains(secret) && !said.2.contains(secret), "{said:?}");
        }
        said
    }
}

#[test]
fn a_marked_test_goes_through_each_real_channel() {
    let told = Told::start();
    for (receiver, shown) in
        [("mail", "250"), ("chat", "chat.postMessage"), ("pager", "HTTP 202"), ("hook", "HTTP 200")]
    {
        let (code, out, err) = told.test(receiver);
        assert_eq!(code, 0, "{receiver}: {err}\n{out}");
        assert!(out.contains(shown) && out.contains("\naccepted\n"), "{out}");
        assert!(
            out.lines().any(|line| line.starts_with("> ")) && out.lines().any(|line| line.starts_with("< "))
        );
    }
    let mails = told.mail.mails();
    assert_eq!((mails.len(), mails[0].to.as_slice()), (1, &["oncall@example.com".to_owned()][..]));
    assert!(mails[0].header("Subject").contains("TEST"), "{}", mails[0].header("Subject"));
    let messages = told.slack.messages();
    assert!(messages.len() == 1 && messages[0].text.contains("TEST"), "{messages:?}");
    let alerts = told.pager.alerts();
    let (key, alert) = alerts.iter().next().unwrap();
    assert!(alerts.len() == 1 && alert.severity == "info" && key.contains("test"), "{alerts:?}");
    assert_eq!(told.hook.calls().len(), 1);
    assert_eq!([told.slack.faults(), told.pager.faults(), told.hook.faults()].concat(), Vec::<String>::new());
}

#[test]
fn a_test_that_is_not_taken_ends_with_1_and_the_answer() {
    let told = Told::start();
    told.slack.set(Mode::Broken(500));
    let (code, out, err) = told.test("chat");
    assert_eq!(code, 1);
    assert!(out.contains("< HTTP 500") && out.contains("deferred"), "{out}");
    assert!(err.contains("chat: slack-0 did not take the test"), "{err}");

    told.slack.set(Mode::Well);
    let (code, out, err) = told.test("all");
    assert_eq!(code, 1, "one of two");
    assert!(out.contains("accepted") && out.contains("refused"), "{out}");
    assert!(err.contains("all: webhook-0 did not take"), "{err}");
    drop(told.runtime);
}

#[test]
fn a_receiver_that_is_not_there_is_named_with_the_nearest() {
    let told = Told::start();
    let (code, _, err) = told.test("chta");
    assert_eq!(code, 2);
    assert!(err.contains("no receiver `chta`; did you mean `chat`?") && err.contains("hook"), "{err}");
    let (code, _, err) = told.test("nobody");
    assert_eq!(code, 2);
    assert!(err.contains("no integration"), "{err}");
}

#[test]
fn check_doubts_what_would_fail_at_night() {
    let dir = tempfile::tempdir().unwrap();
    let route = "    - {matchers: ['severity=\"critical\"'], receiver: pager}\n    \
                 - {matchers: ['severity=\"critical\"', 'kind=\"flood\"'], receiver: chat}\n";
    let text = TREE.replace("  routes:\n    - {m", &format!("  routes:\n{route}    - {{m"));
    std::fs::write(dir.path().join("doubtful.yaml"), text).unwrap();
    let (code, out, err) = run(dir.path(), &["check", "--config", "doubtful.yaml"], None);
    assert_eq!(code, 0, "warnings are no refusal: {err}");
    for said in ["`http.external_url` is loopback", "never reached", "doubtful.yaml:", "^^^"] {
        assert!(err.contains(said), "{said} is not in\n{err}");
    }
    assert!(out.starts_with("doubtful.yaml is good (") && out.contains("warnings)"), "{out}");
}
