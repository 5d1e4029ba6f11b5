use std::collections::{BTreeMap, BTreeSet};

use beaconfire_incident::{Fingerprint, Folded, Incident, IncidentId, Status};
use beaconfire_model::{EventTime, Kind, Secret, Severity, Subject};
use beaconfire_notify::{Knobs, PagerDutyKnobs, SlackKnobs};
use beaconfire_outbox::{ByHand, Fate, Lane, Phase, RowKey};
use beaconfire_store::{StoreKnobs, Write};

use super::*;
use crate::standins::{Mode, PagerDuty, ROUTING_KEY, SLACK_TOKEN, Slack};

pub(super) const RATE: Rate = Rate { per_minute: 6_000, burst: 100 };

pub(crate) fn flood(service: &str, at: Wall) -> Folded {
    let target = Subject::service(service);
    let fingerprint = Fingerprint::of(Kind::Flood, &target);
    let incident = Incident {
        id: IncidentId::of(&fingerprint, 1),
        fingerprint,
        episode: 1,
        version: 0,
        kind: Kind::Flood,
        severity: Severity::Critical,
        status: Status::Open,
        target,
        labels: [("service", service), ("severity", "critical")].into_iter().collect(),
        rules: BTreeMap::new(),
        rules_beyond: 0,
        started_at: at.as_event_time(),
        detected_at: at.as_event_time(),
        holds_until: at.as_event_time(),
        entries: BTreeSet::new(),
        opened_at: at,
        changed_at: at,
        resolved_at: None,
        resolved_by: None,
        acknowledged: None,
        assignee: None,
        steps: Vec::new(),
        closed_through: Some(EventTime::MIN),
        revision: 1,
        participants_total: 0,
        participants_estimated: false,
        stale: false,
        untold: Default::default(),
    };
    Folded {
        incident,
        transitions: Vec::new(),
        signals: Vec::new(),
        participants: Vec::new(),
        points: Vec::new(),
        samples: Vec::new(),
        timeline: Vec::new(),
    }
}

pub(crate) fn row(incident: &Incident, at: Wall) -> Row {
    Row {
        key: RowKey {
            incident: incident.id.clone(),
            receiver: "pager".into(),
            integration: "pagerduty-0".into(),
        },
        version: 0,
        desired: Told { revision: 1, status: Status::Open, severity: Severity::Critical, silenced: false },
        told: None,
        handle: None,
        fate: Fate::Pending,
        lane: Lane::Page,
        send_resolved: true,
        attempts: 0,
        due: at,
        waiting_since: at,
        messages: 0,
        last_error: None,
        created_at: at,
        via: None,
        group: None,
        repeat: None,
        again: false,
        hushed: false,
    }
}

#[tokio::test]
async fn one_row_probes_what_is_misconfigured_for_all() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/beaconfire.db", directory.path().display());
    let knobs = StoreKnobs { url, retention: Duration::from_secs(86_400) };
    let store = Store::open(&knobs).await.unwrap();
    let at = now();
    let folded = ["shop", "mail", "search"].map(|service| flood(service, at));
    let rows = folded.each_ref().map(|folded| row(&folded.incident, at));
    store.save(Write { folded: &folded, rows: &rows, ..Write::default() }).await.unwrap();

    let standin = PagerDuty::start().await.unwrap();
    standin.set(Mode::Broken(403));
    let knobs = PagerDutyKnobs { url: standin.url(), routing_key: Secret::new(ROUTING_KEY) };
    let knobs = Knobs::PagerDuty(knobs);
    let sender = sender(&store, &knobs, "pager", "pagerduty-0", RATE);
    let pace = Mutex::new(Pace::new(RATE, at));
    assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Sent));
    for _ in 0..3 {
        let Turn::Wait(wait) = sender.turn(&pace).await.unwrap() else { panic!("a second probe") };
        assert!(wait > Duration::from_secs(30), "{wait:?}");
    }
    assert_eq!(standin.turned_away().len(), 1);
    assert!(sender.condition.read(now()).0.is_some(), "the pause is shown");

    // Mended, and a minute later: all go.
    standin.set(Mode::Well);
    locked(&sender.condition.0).probe_at = None;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Sent));
    }
    assert_eq!(standin.accepted(), 2, "the third is the one that probed");
    store.close().await;
}

pub(super) async fn with_pages(directory: &tempfile::TempDir, services: &[&str]) -> Store {
    let url = format!("sqlite:{}/beaconfire.db", directory.path().display());
    let store = Store::open(&StoreKnobs { url, retention: Duration::from_secs(86_400) }).await.unwrap();
    let folded: Vec<Folded> = services.iter().map(|service| flood(service, now())).collect();
    let rows: Vec<Row> = folded.iter().map(|folded| row(&folded.incident, now())).collect();
    store.save(Write { folded: &folded, rows: &rows, ..Write::default() }).await.unwrap();
    store
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_is_asked_five_times_and_then_now_and_then() {
    let directory = tempfile::tempdir().unwrap();
    let services = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let store = with_pages(&directory, &services).await;
    let standin = PagerDuty::start().await.unwrap();
    standin.set(Mode::Broken(500));
    let knobs =
        Knobs::PagerDuty(PagerDutyKnobs { url: standin.url(), routing_key: Secret::new(ROUTING_KEY) });
    let sender = sender(&store, &knobs, "pager", "pagerduty-0", RATE);
    let pace = Mutex::new(Pace::new(RATE, now().minus(Duration::from_secs(60))));
    let mut sent = 0;
    for _ in 0..40 {
        match sender.turn(&pace).await.unwrap() {
            Turn::Sent => sent += 1,
            Turn::Wait(wait) if wait > Duration::from_secs(3) => break,
            Turn::Wait(wait) => sleep(wait).await,
        }
    }
    assert_eq!((sent, standin.turned_away().len()), (5, 5));
    let Turn::Wait(wait) = sender.turn(&pace).await.unwrap() else { panic!("it is open") };
    assert!(wait > Duration::from_secs(3) && wait <= Duration::from_secs(5), "{wait:?}");
    assert!(sender.condition.read(now()).0.is_some(), "the pause is shown");

    // Well again: the probe gets through, and nobody waits out what the failures have earned.
    standin.set(Mode::Well);
    sleep(wait).await;
    for _ in 0..200 {
        match sender.turn(&pace).await.unwrap() {
            Turn::Sent => {}
            Turn::Wait(_) if standin.accepted() == services.len() as u64 => break,
            Turn::Wait(wait) => sleep(wait.min(Duration::from_millis(200))).await,
        }
    }
    assert_eq!(standin.accepted(), services.len() as u64);
    store.close().await;
}

#[tokio::test]
async fn pages_that_a_broken_receiver_does_not_take_go_to_its_fallback_and_it_is_told_later() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_pages(&directory, &["shop", "mail"]).await;
    let (standin, hook) =
        (PagerDuty::start().await.unwrap(), crate::standins::Webhook::start().await.unwrap());
    standin.set(Mode::Broken(403));
    let knobs =
        Knobs::PagerDuty(PagerDutyKnobs { url: standin.url(), routing_key: Secret::new(ROUTING_KEY) });
    let bell = Arc::new(Notify::new());
    let integrations = vec![beaconfire_outbox::Integration {
        name: "webhook-0".into(),
        kind: beaconfire_outbox::IntegrationKind::Webhook,
        send_resolved: true,
    }];
    let fallback = Fallback { receiver: "spare".into(), integrations };
    let sender = Sender {
        fallback: Some(StandIn { fallback, bells: vec![bell.clone()] }),
        ..self::sender(&store, &knobs, "pager", "pagerduty-0", RATE)
    };
    let pace = Mutex::new(Pace::new(RATE, now()));
    assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Sent), "it says 403");
    assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Wait(_)));
    tokio::time::timeout(Duration::from_secs(1), bell.notified()).await.expect("the fallback is woken");

    let knobs = Knobs::Webhook(beaconfire_notify::WebhookKnobs {
        url: Secret::new(hook.url()),
        signing_secret: Some(Secret::new(crate::standins::WEBHOOK_SECRET)),
        payload: beaconfire_notify::Payload::Beaconfire,
        login: None,
    });
    let spare = self::sender(&store, &knobs, "spare", "webhook-0", RATE);
    for _ in 0..2 {
        sleep(Duration::from_millis(20)).await;
        assert!(matches!(spare.turn(&Mutex::new(Pace::new(RATE, now()))).await.unwrap(), Turn::Sent));
    }
    assert_eq!(hook.calls().len(), 2);

    standin.set(Mode::Well);
    locked(&sender.condition.0).probe_at = None;
    sleep(Duration::from_millis(20)).await;
    assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Sent));
    assert_eq!(standin.accepted(), 1, "the first is reconciled");
    let lines = store.ledger().await.unwrap();
    assert!(lines.iter().all(|line| line.adds_up() && line.created == 2), "{lines:?}");
    store.close().await;
}

pub(super) fn sender(store: &Store, knobs: &Knobs, receiver: &str, integration: &str, rate: Rate) -> Sender {
    Sender {
        receiver: receiver.into(),
        integration: integration.into(),
        channel: Arc::new(Channel::build(knobs).unwrap()),
        rate,
        digest: DigestKnobs::new(10, rate),
        owner: "test".into(),
        store: store.clone(),
        house: Arc::new(House {
            installation: "eu-1".into(),
            external_url: "http://127.0.0.1:8480".into(),
            privacy: Privacy::Redact,
            templates: Arc::default(),
            context: Context::default(),
        }),
        metrics: Metrics::register(&prometheus::Registry::new()).unwrap(),
        condition: Condition::default(),
        bell: Arc::default(),
        fallback: None,
    }
}

/// Slack takes one message a second. What a real Alertmanager loses here is 299 of 300 incidents.
#[tokio::test]
async fn a_storm_of_300_reaches_a_narrow_slack_in_few_messages_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/beaconfire.db", directory.path().display());
    let store = Store::open(&StoreKnobs { url, retention: Duration::from_secs(86_400) }).await.unwrap();
    let at = now();
    let folded: Vec<Folded> = (0..300)
        .map(|n| {
            let mut folded = flood(&format!("shop-{n}"), at);
            if n >= 5 {
                folded.incident.severity = Severity::Warning;
                folded.incident.labels.set("severity", "warning");
            }
            folded
        })
        .collect();
    let rows: Vec<Row> = folded
        .iter()
        .map(|folded| {
            let mut row = row(&folded.incident, at);
            (row.key.receiver, row.key.integration) = ("chat".into(), "slack-0".into());
            row.desired.severity = folded.incident.severity;
            row.lane = if folded.incident.severity == Severity::Critical { Lane::Page } else { Lane::Ticket };
            row
        })
        .collect();
    store.save(Write { folded: &folded, rows: &rows, ..Write::default() }).await.unwrap();

    let standin = Slack::start().await.unwrap();
    standin.set(Mode::OneASecond);
    let knobs = Knobs::from(SlackKnobs::app(standin.app_url(), Secret::new(SLACK_TOKEN), "#oncall".into()));
    let rate = Rate::of(beaconfire_outbox::IntegrationKind::Slack);
    let (stop, stopped) = watch::channel(false);
    let began = std::time::SystemTime::now();
    let sender = sender(&store, &knobs, "chat", "slack-0", rate);
    let running = tokio::spawn(sender.run(Paces::default(), stopped));
    // The storm is over a calm minute after it broke out; then the last digest goes.
    let told_in_full = async {
        loop {
            let [line] = &store.ledger().await.unwrap()[..] else { panic!("one receiver") };
            assert!(line.adds_up() && line.created == 300, "{line:?}");
            let over = store.digests("chat", "slack-0", now()).await.unwrap();
            if line.pending == 0 && over.iter().any(|found| found.digest.phase == Phase::Over) {
                return line.clone();
            }
            sleep(Duration::from_millis(500)).await;
        }
    };
    let line = tokio::time::timeout(Duration::from_secs(100), told_in_full).await.expect("it ends");
    stop.send_replace(true);
    running.await.unwrap();

    assert_eq!(standin.faults(), Vec::<String>::new());
    let visits = standin.visits();
    let after = |visit: &crate::standins::Visit| visit.at.duration_since(began).unwrap_or_default();
    assert!(after(&visits[0]) < Duration::from_secs(1), "the first page at once");
    let minute = visits.iter().filter(|visit| after(visit) < Duration::from_secs(60));
    let minute = minute.filter(|visit| visit.mode == Mode::Well).count();
    assert!(minute <= 25, "{minute} messages in the first minute");
    assert!(standin.refused() <= 1, "{} were too many", standin.refused());

    // Counted at the receiver.
    let messages = standin.messages();
    let digests: Vec<_> = messages.iter().filter(|held| held.text.contains("in one message")).collect();
    let [digest] = &digests[..] else { panic!("one digest, brought up to date: {digests:?}") };
    assert!(digest.text.contains("285 incidents in one message: 285 open"), "{}", digest.text);
    assert_eq!(messages.len() - 1, 15, "five pages and the first ten");
    assert_eq!((line.delivered, line.in_digest), (15, 285));
    let critical = messages.iter().take(5).filter(|held| held.text.contains("[CRITICAL]")).count();
    assert_eq!(critical, 5, "pages go first");
    store.close().await;
}

#[tokio::test]
async fn a_storm_of_which_everything_was_dropped_ends_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let services: Vec<String> = (0..13).map(|n| format!("shop-{n}")).collect();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let store = with_pages(&directory, &services).await;
    let standin = PagerDuty::start().await.unwrap();
    let knobs = PagerDutyKnobs { url: standin.url(), routing_key: Secret::new(ROUTING_KEY) };
    let sender = sender(&store, &Knobs::PagerDuty(knobs), "pager", "pagerduty-0", RATE);
    let began = now().minus(Duration::from_secs(120));
    let digest = DigestKnobs::new(10, Rate { per_minute: 60, burst: 1 });
    let held = store.fold("pager", "pagerduty-0", &digest, began).await.unwrap();
    assert!(held > 0, "a storm");
    for service in services {
        let id = flood(service, began).incident.id;
        store.by_hand(&id, "pager", None, ByHand::Drop, "ann", now()).await.unwrap();
    }
    // Calm a minute after the last of them came.
    assert!(sender.next_digest(now().plus(Duration::from_secs(61))).await.unwrap().is_none());
    assert!(store.digests("pager", "pagerduty-0", now()).await.unwrap().is_empty(), "it is closed");
    let line = store.ledger().await.unwrap().remove(0);
    assert_eq!((line.suppressed["dropped"], line.adds_up(), standin.accepted()), (13, true, 0));
    store.close().await;
}
