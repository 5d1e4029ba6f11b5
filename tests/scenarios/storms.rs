//! Storms: more to tell than receivers take. Everything is accounted for on their side, little is sent, and a process
//! that dies between sending and writing down loses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use beaconfire::standins::{Mode, Slack, SlackMessage};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::world::{ONE_BY_ONE, PATIENCE, World};
use crate::harness::beaconfire::{Beaconfire, post};
use crate::harness::{Leashed, eventually, free_port, has};

const MINUTE: Duration = Duration::from_secs(60);

/// So many alerts that differ in their source, as a Prometheus would send them; every `nth` is critical.
fn alerts(from: usize, count: usize, nth: usize, lasts: Duration) -> Value {
    let now = Timestamp::now();
    let one = |n: usize| {
        let severity = if n % nth == nth - 1 { "critical" } else { "warning" };
        json!({
            "labels": {"alertname": "Flood", "service": "shop", "src": format!("198.51.{}.{}", n / 250, n % 250),
                "severity": severity},
            "annotations": {"summary": format!("alert {n:05} is firing")},
            "startsAt": now.to_string(),
            "endsAt": (now + lasts).to_string(),
        })
    };
    (from..from + count).map(one).collect()
}

/// `digest_after` as it is where nothing is configured.
fn as_usual(config: &str) -> String {
    config.replace(&format!("    digest_after: {ONE_BY_ONE}\n"), "")
}

/// The account of one receiver, which adds up.
#[track_caller]
fn account(service: &Beaconfire, receiver: &str) -> BTreeMap<String, u64> {
    let ledger = service.json("/api/v1/ledger");
    let lines = ledger["items"].as_array().cloned().unwrap_or_default();
    let line = lines.into_iter().find(|line| line["receiver"] == receiver).unwrap_or_default();
    let mut account: BTreeMap<String, u64> = BTreeMap::new();
    for name in ["created", "delivered", "in_digest", "dead", "pending", "messages"] {
        account.insert(name.to_owned(), line[name].as_u64().unwrap_or_default());
    }
    let suppressed =
        line["suppressed"].as_object().map(|why| why.values().filter_map(Value::as_u64).sum::<u64>());
    account.insert("suppressed".to_owned(), suppressed.unwrap_or_default());
    let sum: u64 =
        ["delivered", "in_digest", "dead", "pending", "suppressed"].iter().map(|name| account[*name]).sum();
    assert_eq!(account["created"], sum, "{line}");
    account
}

/// How many incidents the digests of these messages count by now.
fn in_digests(messages: &[SlackMessage]) -> u64 {
    let counted = |message: &SlackMessage| {
        let (before, _) = message.text.split_once(" incidents in one message")?;
        before.rsplit(' ').next()?.replace(',', "").parse::<u64>().ok()
    };
    messages.iter().filter_map(counted).sum()
}

/// The real Alertmanager is the control: the same 300 alerts, the same Slack, which takes one message a second.
#[test]
fn of_300_incidents_that_slack_takes_one_a_second_of_none_is_lost_here_and_299_at_an_alertmanager() {
    if !has("alertmanager", Command::new("prometheus-alertmanager").arg("--version").output().is_ok()) {
        return;
    }
    let Some(world) = World::new("narrow", 1) else { return };
    let theirs = world.another(Slack::start());
    theirs.set(Mode::OneASecond);
    let own = world.path().join("am.yml");
    let config = format!(
        "route: {{receiver: chat, group_by: ['...'], group_wait: 1s, group_interval: 10s}}\n\
         receivers: [{{name: chat, slack_configs: [{{api_url: '{}', channel: '#oncall', send_resolved: true, \
         text: '{{{{ range .Alerts }}}}{{{{ .Annotations.summary }}}}{{{{ end }}}}'}}]}}]\n",
        theirs.webhook_url()
    );
    std::fs::write(&own, config).expect("it can be written");
    let port = free_port();
    let program = [
        "prometheus-alertmanager".to_owned(),
        format!("--config.file={}", own.display()),
        format!("--storage.path={}", world.path().join("am").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let _manager = Leashed::start(&program, &world.path().join("am.log"));
    let manager = format!("http://127.0.0.1:{port}/api/v2/alerts");

    world.slack.set(Mode::OneASecond);
    let config = as_usual(&world.config("format: falco", ""));
    let service = Beaconfire::start(world.path(), "narrow", &config);
    service.ready();
    eventually("the Alertmanager takes alerts", PATIENCE, || post(&manager, &json!([])) == Some(200));

    // It forgets each after 30 s, as alerts of a flood are over soon; ours go on until everything is told.
    assert_eq!(post(&manager, &alerts(0, 300, 30, Duration::from_secs(30))), Some(200));
    let began = SystemTime::now();
    assert_eq!(post(&format!("{}/api/v2/alerts", service.url), &alerts(0, 300, 30, 10 * MINUTE)), Some(200));
    eventually("everything is told", PATIENCE, || {
        let account = account(&service, "chat");
        (account["created"], account["pending"]) == (300, 0)
    });
    let since = |at: SystemTime| at.duration_since(began).unwrap_or_default();
    eventually("a minute and the Alertmanager's last flush are over", PATIENCE, || {
        since(SystemTime::now()) > MINUTE + Duration::from_secs(5)
    });

    let heard: BTreeSet<String> = theirs
        .messages()
        .iter()
        .filter_map(|message| {
            let whole = format!("{} {}", message.text, message.blocks);
            let at = whole.find("alert ")?;
            whole.get(at..at + 11).map(str::to_owned)
        })
        .collect();
    let ours = account(&service, "chat");
    let messages = world.slack.messages();
    let (digested, told) = (in_digests(&messages), messages.len() as u64);
    eprintln!("of 300 incidents, with a Slack that takes one message a second, after a minute:");
    eprintln!(
        "  Alertmanager: {} requests, {} turned away, {} messages",
        theirs.visits().len(),
        theirs.refused(),
        theirs.messages().len()
    );
    eprintln!(
        "  Beaconfire: {} requests, {} turned away, {told} messages, of which one counts {digested}; {ours:?}",
        world.slack.visits().len(),
        world.slack.refused()
    );

    assert!(theirs.refused() > 200, "the control loses what Slack refuses: {}", theirs.refused());
    assert!(theirs.messages().len() < 100 && heard.len() < 100, "{heard:?}");
    let alone = messages.iter().filter(|message| message.text.contains("Flood")).count() as u64;
    let digests = messages.iter().filter(|message| message.text.contains("in one message")).count();
    assert_eq!(digests, 1, "{messages:?}");
    assert_eq!(alone + digested, 300, "each in exactly one message: {alone} and {digested}");
    assert_eq!((ours["delivered"], ours["in_digest"]), (alone, digested), "as the ledger says");
    let critical = messages.iter().filter(|message| message.text.contains("CRITICAL")).count();
    assert!(critical >= 10, "all ten pages went by themselves: {critical}");
    let visits = world.slack.visits();
    assert!(
        since(visits[0].at) < Duration::from_secs(1),
        "the first page at once: {:?}",
        since(visits[0].at)
    );
    assert!(messages[0].text.contains("CRITICAL"), "{:?}", messages[0]);
    let accepted = visits.iter().filter(|visit| visit.mode == Mode::Well && since(visit.at) < MINUTE).count();
    assert!(accepted <= 25, "{accepted} messages in the first minute");
    assert!(world.slack.refused() <= 1, "{} times too many", world.slack.refused());
    assert_eq!(world.slack.faults(), Vec::<String>::new());
}

/// The resident memory of a process and its peak, in MiB.
fn resident(service: &Beaconfire) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap_or_default();
    let of = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1_024
    };
    (of("VmRSS:"), of("VmHWM:"))
}

#[test]
fn ten_thousand_incidents_in_ten_seconds_are_all_accounted_for_in_few_messages() {
    const ALL: u64 = 10_000;
    let Some(world) = World::new("many", 1) else { return };
    let service = Beaconfire::start(world.path(), "many", &as_usual(&world.config("format: falco", "")));
    service.ready();
    let (before, _) = resident(&service);
    let began = SystemTime::now();
    let url = format!("{}/api/v2/alerts", service.url);
    for batch in 0..20 {
        let body = alerts(batch * 500, 500, 10, 30 * MINUTE);
        eventually("a batch is taken", PATIENCE, || post(&url, &body) == Some(200));
    }
    let taken = began.elapsed().unwrap_or_default();
    let receivers = ["mail", "chat", "pager", "hook"];
    eventually("everything is told", 3 * PATIENCE, || {
        receivers.iter().all(|receiver| {
            let account = account(&service, receiver);
            (account["created"], account["pending"]) == (ALL, 0)
        })
    });
    let told = began.elapsed().unwrap_or_default();
    let (after, peak) = resident(&service);
    let since = |at: SystemTime| at.duration_since(began).unwrap_or_default();
    let minute = |visits: &[beaconfire::standins::Visit]| {
        visits.iter().filter(|visit| since(visit.at) < MINUTE).count()
    };
    let (pages, posts) = (minute(&world.pager.visits()), minute(&world.slack.visits()));
    eprintln!(
        "10,000 incidents (debug build): taken in {taken:.1?}, told in {told:.1?}; in the first minute {pages} events to \
         PagerDuty and {posts} messages to Slack; resident {before} MiB before, {after} after, {peak} at most"
    );
    assert!(pages <= 20, "{pages} events in the first minute");
    assert!(posts <= 25, "{posts} messages in the first minute");
    assert!(peak < before + 256, "{peak} MiB");
    // Counted at the receivers.
    let messages = world.slack.messages();
    let alone = messages.iter().filter(|message| message.text.contains("Flood")).count() as u64;
    assert_eq!(alone + in_digests(&messages), ALL);
    let calls = world.hook.calls();
    let opened = calls.iter().filter(|call| call.body["type"] == "incident.opened").count() as u64;
    let digest = |call: &beaconfire::standins::WebhookCall| {
        let id = call.body["data"]["id"].as_str().map(str::to_owned)?;
        Some((id, call.body["data"]["incidents_total"].as_u64()?))
    };
    let digests: BTreeMap<String, u64> =
        calls.iter().filter(|call| call.body["type"] == "storm.digest").filter_map(digest).collect();
    assert_eq!(opened + digests.values().sum::<u64>(), ALL, "{digests:?}");
    assert_eq!(world.faults(), Vec::<String>::new());
}

#[test]
fn killed_100_times_between_send_and_record_it_loses_nothing_and_repeats_under_the_same_id() {
    const KILLS: usize = 100;
    const ALL: usize = 120;
    let Some(world) = World::new("sent", 1) else { return };
    let config = world.config("format: falco", "");
    // Only the webhook, which hears the same of all.
    let (before, after) = config.split_once("  routes:\n").expect("routes");
    let (_, after) = after.split_once("receivers:").expect("receivers");
    let config = format!("{before}receivers:{after}").replace("  receiver: mail", "  receiver: hook");
    let mut service = Beaconfire::start(world.path(), "sent", &config);
    service.ready();
    // It takes each message, and its answer never comes.
    world.hook.set(Mode::Silent);
    let url = format!("{}/api/v2/alerts", service.url);
    assert_eq!(post(&url, &alerts(0, ALL, 5, 60 * MINUTE)), Some(200));
    let mut arrived = 0;
    for kill in 0..KILLS {
        let deadline = Instant::now() + PATIENCE;
        while world.hook.turned_away().len() <= arrived {
            assert!(
                Instant::now() < deadline,
                "kill {kill}: nothing is sent any more; it said:\n{}",
                service.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        service.kill();
        arrived = world.hook.turned_away().len();
        service.restart();
    }
    world.hook.set(Mode::Well);
    service.ready();
    // What was leased to those that were killed is taken over when the leases are over.
    eventually("everything is told", 3 * PATIENCE, || {
        let account = account(&service, "hook");
        (account["created"], account["pending"]) == (ALL as u64, 0)
    });
    let account = account(&service, "hook");
    assert_eq!(account["delivered"], ALL as u64, "{account:?}");
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in world.hook.calls() {
        assert_eq!(call.body["type"], "incident.opened", "{}", call.body);
        let incident = call.body["data"]["id"].as_str().expect("an id").to_owned();
        ids.entry(incident).or_default().insert(call.id);
    }
    assert_eq!(ids.len(), ALL, "none is lost");
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let told: BTreeSet<String> = ids.into_values().flatten().collect();
    let before_kills: BTreeSet<String> = world.hook.turned_away().into_iter().collect();
    assert!(
        before_kills.len() >= KILLS * 9 / 10,
        "{} kills fell between send and record",
        before_kills.len()
    );
    assert!(before_kills.is_subset(&told), "what may have arrived twice has the same id both times");
    assert_eq!(world.hook.faults(), Vec::<String>::new());
}
