//! Receivers that hang, refuse and break off: the healthy ones do not wait for the sick ones, everything is told once,
//! and the ledger says at every moment what the receivers counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use beaconfire::standins::Mode;
use jiff::Timestamp;
use serde_json::Value;

use super::log::finding;
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::eventually;

const ENTRY: &str = "format: falco";

/// How long one attempt at a receiver that does not answer takes.
const ATTEMPT: Duration = Duration::from_secs(10);

/// What Slack asks for.
const RETRY_AFTER: u64 = 5;

/// One integration: receiver and name, as metrics label it.
const MAIL: (&str, &str) = ("mail", "email-0");
const CHAT: (&str, &str) = ("chat", "slack-0");
const PAGER: (&str, &str) = ("pager", "pagerduty-0");
const HOOK: (&str, &str) = ("hook", "webhook-0");

/// How many attempts at an integration came to this.
fn attempts(service: &Beaconfire, (receiver, integration): (&str, &str), outcome: &str) -> f64 {
    let sample = format!(
        "beaconfire_notifications_total{{integration=\"{integration}\",outcome=\"{outcome}\",receiver=\"{receiver}\"}}"
    );
    service.metric(&sample).unwrap_or(0.0)
}

fn pending(service: &Beaconfire, (receiver, integration): (&str, &str), lane: &str) -> Option<f64> {
    service.metric(&format!(
        "beaconfire_notifications_pending{{integration=\"{integration}\",lane=\"{lane}\",receiver=\"{receiver}\"}}"
    ))
}

fn is_paused(service: &Beaconfire, (receiver, integration): (&str, &str)) -> bool {
    let labels = format!("{{integration=\"{integration}\",receiver=\"{receiver}\"}}");
    service.metric(&format!("beaconfire_notification_paused{labels}")) == Some(1.0)
}

/// What the status page says of an integration.
fn standing(service: &Beaconfire, (receiver, integration): (&str, &str)) -> Value {
    let status = service.json("/api/v1/status");
    let all = status["receivers"].as_array().expect("receivers");
    let its = |one: &&Value| one["receiver"] == receiver && one["integration"] == integration;
    all.iter().find(its).expect("a configured integration").clone()
}

/// The integrations' rows of all incidents.
fn rows(service: &Beaconfire, (receiver, _): (&str, &str)) -> Vec<Value> {
    let rows = |incident: &Value| incident["notifications"].as_array().expect("rows").clone();
    let mut all: Vec<Value> = service.incidents().iter().flat_map(rows).collect();
    all.retain(|row| row["receiver"] == receiver);
    all
}

fn line(ledger: &Value, (receiver, _): (&str, &str)) -> Value {
    let lines = ledger["items"].as_array().expect("lines");
    lines.iter().find(|line| line["receiver"] == receiver).cloned().unwrap_or_default()
}

/// Incidents that each receiver has accepted the opening of, by its own count.
fn counted(world: &World) -> [((&'static str, &'static str), u64); 4] {
    let posts = world.slack.messages().into_iter().filter(|message| message.thread_ts.is_none()).count();
    let opened = |call: &&beaconfire::standins::WebhookCall| call.body["type"] == "incident.opened";
    let calls = world.hook.calls();
    [
        (MAIL, world.smtp.mails().len() as u64),
        (CHAT, posts as u64),
        (PAGER, world.pager.alerts().len() as u64),
        (HOOK, calls.iter().filter(opened).count() as u64),
    ]
}

/// The ledger adds up, and says what the receivers say: one delivery of each may be on its way into the ledger.
#[track_caller]
fn audit(world: &World, service: &Beaconfire) -> Value {
    let before = counted(world);
    let ledger = service.json("/api/v1/ledger");
    let after = counted(world);
    for ((receiver, at_least), (_, at_most)) in before.into_iter().zip(after) {
        let line = line(&ledger, receiver);
        let count = |name: &str| line[name].as_u64().unwrap_or(0);
        assert_eq!(count("created"), count("delivered") + count("dead") + count("pending"), "{line}");
        let delivered = count("delivered");
        assert!(delivered + 1 >= at_least && delivered <= at_most, "{at_least} to {at_most}: {line}");
    }
    ledger
}

/// How long after its incident was opened each call to the webhook came.
fn delays(world: &World, service: &Beaconfire) -> Vec<Duration> {
    let opened: BTreeMap<String, SystemTime> = service
        .incidents()
        .iter()
        .map(|incident| {
            let at: Timestamp = incident["opened_at"].as_str().expect("text").parse().expect("a time");
            let millis = u64::try_from(at.as_millisecond()).expect("a time after 1970");
            let id = incident["id"].as_str().expect("an id").to_owned();
            (id, UNIX_EPOCH + Duration::from_millis(millis))
        })
        .collect();
    let delay = |call: &beaconfire::standins::WebhookCall| {
        let id = call.body["data"]["id"].as_str().expect("an id");
        call.at.duration_since(opened[id]).unwrap_or_default()
    };
    world.hook.calls().iter().map(delay).collect()
}

#[test]
fn sick_receivers_delay_nobody_else_and_are_told_everything_in_the_end() {
    let Some(world) = World::new("sick-receivers", 3) else { return };
    let mut service = Beaconfire::start(world.path(), "sick", &world.config(ENTRY, ""));
    service.ready();
    world.smtp.hang(true);
    world.slack.set(Mode::Limited(RETRY_AFTER));
    world.pager.set(Mode::Broken(500));
    let sick_since = Instant::now();
    let producer = world.producer();
    for n in 0..50 {
        let alert = finding(now(), &format!("worker{n}"), "Terminal shell in container", "Warning", "sh");
        producer.send(&world.name, Some(n % 3), None, alert.as_bytes());
    }
    producer.flush();

    // Slack says "too many" once, and the pause is kept and shown.
    eventually("Slack has been asked", PATIENCE, || world.slack.refused() > 0);
    world.slack.set(Mode::Well);
    eventually("the pause is shown", PATIENCE, || is_paused(&service, CHAT));
    assert!(standing(&service, CHAT)["paused_until"].is_string());
    assert!(world.slack.messages().is_empty());

    // Whoever is well has heard of everything while the others have not.
    eventually("the webhook has heard of all 50", PATIENCE, || world.hook.calls().len() == 50);
    assert_eq!(world.smtp.mails().len(), 0);
    assert_eq!(world.pager.accepted(), 0);
    assert!(delays(&world, &service).iter().all(|delay| *delay < ATTEMPT), "{:?}", delays(&world, &service));
    audit(&world, &service);
    assert!(rows(&service, CHAT).iter().all(|row| row["attempts"] == 0), "a 429 is no attempt");

    // It stays so, and what is worse overtakes what waits.
    let alert = finding(now(), "payments", "Drop and execute new binary", "Critical", "/tmp/x");
    producer.send(&world.name, None, None, alert.as_bytes());
    producer.flush();
    eventually("the webhook has heard of the 51st", PATIENCE, || world.hook.calls().len() == 51);
    let posted = world.slack.messages().len();
    assert!(delays(&world, &service).iter().all(|delay| *delay < ATTEMPT), "{:?}", delays(&world, &service));
    audit(&world, &service);

    // The mail server hangs for longer than one attempt, PagerDuty fails for a minute.
    eventually("an attempt at the mail server has timed out", PATIENCE, || {
        audit(&world, &service);
        attempts(&service, MAIL, "deferred") > 0.0
    });
    let said = standing(&service, MAIL)["last_error"].to_string();
    assert!(said.contains("no answer from 127.0.0.1"), "{said}");
    assert_eq!(world.smtp.mails().len(), 0);
    world.smtp.hang(false);
    eventually("PagerDuty has failed for a minute", PATIENCE, || {
        let ledger = audit(&world, &service);
        assert_eq!(line(&ledger, PAGER)["pending"], 51);
        sick_since.elapsed() > Duration::from_secs(60)
    });
    let said = standing(&service, PAGER)["last_error"].to_string();
    assert!(said.contains("HTTP 500"), "{said}");
    assert_eq!(pending(&service, PAGER, "ticket"), Some(50.0));
    assert_eq!(pending(&service, PAGER, "page"), Some(1.0));
    eventually("each 500 is an attempt", PATIENCE, || {
        let before = refused_by_pager(&world);
        let tried: u64 = rows(&service, PAGER).iter().filter_map(|row| row["attempts"].as_u64()).sum();
        assert!(tried <= refused_by_pager(&world), "{tried}");
        tried == before
    });
    world.pager.set(Mode::Well);
    let well_since = SystemTime::now();

    // Once more towards the end, in mid-stream.
    eventually("Slack has heard of nearly all", PATIENCE, || {
        audit(&world, &service);
        world.slack.messages().len() >= 48
    });
    world.slack.set(Mode::Limited(RETRY_AFTER));
    eventually("Slack has been asked again", PATIENCE, || world.slack.refused() == 2);
    world.slack.set(Mode::Well);

    world.all_told(&service);
    let ledger = audit(&world, &service);
    for (receiver, accepted) in counted(&world) {
        assert_eq!(accepted, 51, "{receiver:?}");
        assert_eq!(line(&ledger, receiver)["delivered"], 51, "{receiver:?}");
        assert_eq!(attempts(&service, receiver, "accepted"), 51.0, "{receiver:?}: each once");
        assert_eq!(standing(&service, receiver)["last_error"], Value::Null, "{receiver:?}");
        eventually("nothing is pending", PATIENCE, || {
            ["page", "ticket"].iter().all(|lane| pending(&service, receiver, lane).unwrap_or(0.0) == 0.0)
        });
    }
    assert!(!is_paused(&service, CHAT));
    assert_eq!(attempts(&service, CHAT, "limited"), world.slack.refused() as f64);
    assert_eq!(attempts(&service, PAGER, "deferred"), refused_by_pager(&world) as f64);
    // At 100 a minute they take half a minute: nobody waits out what the failures before have earned it.
    let last = world.pager.visits().last().map(|visit| visit.at.duration_since(well_since));
    assert!(matches!(last, Some(Ok(after)) if after < Duration::from_secs(60)), "{last:?}");
    each_once(&world);
    no_request_in_a_pause(&world);
    let messages = world.slack.messages();
    let place = messages.iter().position(|message| message.text.contains("payments"));
    assert!(place.is_some_and(|place| place <= posted + 1), "{place:?}, behind {posted}");
    assert_eq!(world.faults(), Vec::<String>::new());
    service.stop(Duration::from_secs(10));
}

/// What PagerDuty turned away of the outbox. A minute after its start a process also takes back, past the outbox, what
/// one before it may have said of its store.
fn refused_by_pager(world: &World) -> u64 {
    let turned_away = world.pager.turned_away();
    turned_away.iter().filter(|key| !key.ends_with(".store-down")).count() as u64
}

/// 51 incidents, each told of in one message to each receiver.
fn each_once(world: &World) {
    let posts = world.slack.messages();
    assert!(posts.iter().all(|post| (post.updates, &post.thread_ts) == (0, &None)), "{posts:?}");
    assert_eq!(posts.iter().map(|post| &post.text).collect::<BTreeSet<_>>().len(), 51);
    let alerts = world.pager.alerts();
    assert!(alerts.values().all(|alert| (alert.opened, alert.triggers) == (1, 1)), "{alerts:?}");
    let ids: BTreeSet<String> = world.hook.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(ids.len(), 51);
    let mails = world.smtp.mails();
    let subject =
        |mail: &String| mail.lines().find(|line| line.starts_with("Message-ID:")).map(str::to_owned);
    assert_eq!(mails.iter().map(subject).collect::<BTreeSet<_>>().len(), 51);
}

/// After a 429, Slack is left alone for as long as it asked.
fn no_request_in_a_pause(world: &World) {
    let visits = world.slack.visits();
    let pauses = visits.windows(2).filter(|pair| pair[0].mode == Mode::Limited(RETRY_AFTER));
    let waits: Vec<Duration> =
        pauses.map(|pair| pair[1].at.duration_since(pair[0].at).unwrap_or_default()).collect();
    assert_eq!(waits.len(), 2);
    assert!(waits.iter().all(|wait| wait.as_secs() >= RETRY_AFTER), "{waits:?}");
}

#[test]
fn refusals_become_dead_letters_that_show_and_lost_answers_are_asked_for_again() {
    let Some(world) = World::new("dead-letters", 1) else { return };
    let service = Beaconfire::start(world.path(), "dead", &world.config(ENTRY, ""));
    service.ready();
    world.pager.set(Mode::Broken(400));
    world.slack.set(Mode::Broken(400));
    world.hook.set(Mode::Half);
    let producer = world.producer();
    let send = |workload: &str, priority: &str| {
        let alert = finding(now(), workload, "Terminal shell in container", priority, "sh");
        producer.send(&world.name, None, None, alert.as_bytes());
        producer.flush();
    };
    for workload in ["cart", "search", "login"] {
        send(workload, "Warning");
    }

    // What is refused for good is dead, and says so wherever people look.
    let dead = |receiver| line(&service.json("/api/v1/ledger"), receiver)["dead"] == 3;
    eventually("three letters are dead at two receivers", PATIENCE, || dead(PAGER) && dead(CHAT));
    audit(&world, &service);
    for receiver in [PAGER, CHAT] {
        let said = standing(&service, receiver)["last_error"].to_string();
        assert!(said.contains("HTTP 400: broken"), "{said}");
        assert_eq!(attempts(&service, receiver, "rejected"), 3.0);
        let rows = rows(&service, receiver);
        assert!(rows.iter().all(|row| row["fate"] == "dead"), "{rows:?}");
        assert!(rows.iter().all(|row| row["last_error"].to_string().contains("HTTP 400")), "{rows:?}");
    }
    let id = service.incidents()[0]["id"].as_str().expect("an id").to_owned();
    let page = service.text(&format!("/incidents/{id}"));
    assert!(page.contains("failed for good") && page.contains("HTTP 400"), "{page}");

    // Half an answer, and none: nobody knows what became of the message, so it is sent again under its own id.
    let repeated = || {
        let ids = world.hook.turned_away();
        ids.iter().any(|id| ids.iter().filter(|other| *other == id).count() > 1)
    };
    eventually("a message is tried again under its id", PATIENCE, repeated);
    world.hook.set(Mode::Silent);
    eventually("an attempt has timed out", PATIENCE, || {
        standing(&service, HOOK)["last_error"].to_string().contains("no answer from")
    });
    assert_eq!(line(&audit(&world, &service), HOOK)["pending"], 3);
    world.hook.set(Mode::Well);
    world.all_told(&service);
    let tried: BTreeSet<String> = world.hook.turned_away().into_iter().collect();
    let taken: Vec<String> = world.hook.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(taken.len(), 3, "each once");
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), tried, "under the ids of the first attempts");
    audit(&world, &service);

    // The dead are not forgotten: worse news of the same incident is another message.
    world.pager.set(Mode::Well);
    world.slack.set(Mode::Well);
    send("cart", "Critical");
    eventually("two letters are left dead at each", PATIENCE, || {
        let ledger = audit(&world, &service);
        [PAGER, CHAT].iter().all(|receiver| line(&ledger, *receiver)["dead"] == 2)
            && world.hook.calls().len() == 4
    });
    world.all_told(&service);
    let alerts = world.pager.alerts();
    assert_eq!(alerts.len(), 1);
    assert!(alerts.values().all(|alert| alert.severity == "critical" && alert.triggers == 1), "{alerts:?}");
    assert_eq!(world.slack.messages().len(), 1);
    assert_eq!(world.faults(), Vec::<String>::new());
}
