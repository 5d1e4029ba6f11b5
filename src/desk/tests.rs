use beaconfire_detect::PlanSpec;
use beaconfire_incident::{Knobs, Relation, TimelineEntry, fold_signals};
use beaconfire_ingest::DeadLetter;
use beaconfire_model::{
    Earliest, EntryId, Evidence, Kind, Latest, Peak, Severity, Signal, Subject, SubjectKind,
};
use beaconfire_outbox::Quiet;
use beaconfire_pipeline::Tide;
use beaconfire_store::{Progress, StoreKnobs, Write};
use beaconfire_throttle::Action;

use super::*;

/// An office over a store of its own.
async fn office(directory: &std::path::Path) -> Office {
    let url = format!("sqlite:{}/store.db", directory.display());
    let store = Store::open(&StoreKnobs { url, retention: Duration::from_secs(86_400) }).await.unwrap();
    let registry = Registry::new();
    let ingest = beaconfire_ingest::Metrics::register(&registry).unwrap();
    let counts = |rule: &str, by_address| Counts { rule: rule.into(), by_address };
    Office {
        reload: None,
        store,
        orders: mpsc::channel(1).0,
        facts: mpsc::channel(1).0,
        board: Arc::default(),
        guard: Guard::default(),
        throttle_mode: Mode::DryRun,
        context: Context { entries: vec!["edge".into()], ..Context::default() },
        conditions: BTreeMap::new(),
        bells: Bells::of(&Default::default()),
        tides: Arc::default(),
        latenesses: vec![Duration::from_secs(30)],
        seen: Seen::default(),
        names: Names::default(),
        letters: DeadLetters::kept(ingest.clone()),
        ingest,
        workers: 1,
        health: Health::default(),
        privacy: Privacy::Redact,
        started: now(),
        metrics: Metrics::register(&registry).unwrap(),
        registry,
        rules: vec![counts("requests-per-client", true), counts("server-errors", false)],
        touches: Touches::default(),
        census: Arc::default(),
        policy: Arc::new(Policy {
            context: Context::default(),
            knobs: Knobs::default(),
            route: beaconfire_outbox::Route::default(),
            receivers: BTreeMap::new(),
            quiet: beaconfire_outbox::QuietRules::default(),
            escalations: Vec::new(),
            plan: None,
        }),
        plan: Arc::new(Plan::compile(PlanSpec::default()).unwrap()),
        accepts: Accepts::channel().0,
    }
}

/// The office reads so many partitions of the topic `edge`.
fn holding(office: &Office, partitions: i32) {
    for partition in 0..partitions {
        let source = Source { entry: EntryId(0), topic: office.names.topic("edge").unwrap(), partition };
        let at = beaconfire_model::EventTime::from_millis(1_000);
        let tide = Tide {
            watermark: at,
            clearance: at,
            caught_up: true,
            stalled: false,
            departed: false,
            moved: now(),
            disorder_millis: 512,
        };
        office.tides.set(source, tide);
    }
}

/// A silence of `shop` for a minute from now.
fn wanted() -> NewSilence {
    NewSilence {
        matchers: beaconfire_model::parse_matchers(["service=shop"]).unwrap(),
        author: "ann".to_owned(),
        comment: String::new(),
        starts_at: now(),
        ends_at: now().plus(MINUTE),
    }
}

#[tokio::test]
async fn silences_say_what_they_match_and_are_so_many_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let office = office(directory.path()).await;
    let actor = || Actor("ann".to_owned());
    let mut opened = crate::sender::tests::flood("shop", now());
    opened.incident.labels.set("service", "shop");
    let write = Write { folded: std::slice::from_ref(&opened), ..Write::default() };
    office.store.save(write).await.unwrap();
    let tried = office.silence(actor(), wanted(), true).await.unwrap();
    assert_eq!((&*tried.silence.id, tried.incidents_total, tried.incidents.len()), ("", 1, 1));
    assert!(office.silences().await.unwrap().is_empty(), "a dry run keeps nothing");
    assert_eq!(office.case(opened.incident.id.clone()).await.unwrap().quiet, Quiet::default());

    let made = office.silence(actor(), wanted(), false).await.unwrap();
    assert_eq!((made.silence.id.len(), made.incidents_total), (32, 1));
    let quiet = office.case(opened.incident.id.clone()).await.unwrap().quiet;
    assert_eq!(quiet.silenced().map(|hushed| hushed.until), Some(Some(made.silence.ends_at)));
    let id = made.silence.id.to_string();
    let ended = office.expire_silence(actor(), id).await.unwrap();
    assert!(ended.ends_at <= now());
    let over = office.silences().await.unwrap();
    assert_eq!((over.len(), over[0].incidents_total), (1, 0), "one that is over matches nothing any more");
    assert_eq!(office.expire_silence(actor(), "x".to_owned()).await, Err(DeskError::NotFound));

    for _ in 0..beaconfire_store::SILENCES_MAX {
        office.silence(actor(), wanted(), false).await.unwrap();
    }
    let refused = office.silence(actor(), wanted(), false).await.unwrap_err();
    assert!(matches!(&refused, DeskError::Refused(said) if said.contains("expire one first")), "{refused}");
}

#[tokio::test]
async fn decisions_by_hand_are_counted_and_what_is_taken_back_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let office = office(directory.path()).await;
    let network = "203.0.113.7/32".parse().unwrap();
    let wanted = |seconds| NewDecision {
        network,
        action: Action::Ban,
        mode: Some(Mode::Enforce),
        duration: Duration::from_secs(seconds),
        reason: String::new(),
    };
    office.decide(Actor("ann".into()), wanted(600)).await.unwrap();
    // The longer one is answered, and none is made.
    office.decide(Actor("ann".into()), wanted(60)).await.unwrap();
    let counted = office.metrics.decisions.with_label_values(&["ban", "enforce", "manual"]).get();
    assert_eq!(counted, 1);

    let lifted = office.lift(Actor("ann".into()), Lift::Network(network), true).await.unwrap();
    assert_eq!(lifted.len(), 1);
    let allows = office.store.allows(now()).await.unwrap();
    let hour = now().plus(Duration::from_secs(3_601));
    assert_eq!((allows.covers(network, now()), allows.covers(network, hour)), (true, false));
    assert_eq!(office.board.changes(Wall::from_millis(0), now()).deleted.len(), 1);
}

#[tokio::test]
async fn what_a_topic_brought_is_told_once_however_many_partitions_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let office = office(directory.path()).await;
    holding(&office, 3);
    let mut tally = Tally::default();
    for _ in 0..7 {
        tally.count(office.names.topic("edge").unwrap(), Counted::Late);
    }
    office.seen.add(&tally, now());
    let facts = office.facts_of_sources();
    assert_eq!((facts.len(), facts.iter().map(|facts| facts.late).sum::<u64>()), (3, 7));
    assert!(facts.iter().all(|facts| facts.disorder == Duration::from_millis(512)));
}

#[tokio::test]
async fn exactness_is_claimed_only_where_it_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let office = office(directory.path()).await;
    assert_eq!(office.inexact_rules().await, None, "nothing is assigned yet");
    holding(&office, 2);
    let of = |partition| Progress {
        entry: "edge".into(),
        topic: "edge".into(),
        partition,
        epoch: 1,
        clearance: None,
        next: beaconfire_model::Offset(1),
        written: now(),
    };
    for (partition, inexact) in [(1, 0), (2, 2)] {
        office.store.save(Write { progress: &[of(partition)], ..Write::default() }).await.unwrap();
        assert_eq!(office.inexact_rules().await.unwrap().len(), inexact, "partition {partition}");
    }
}

#[tokio::test]
async fn a_store_that_can_be_read_is_ready_and_is_up_only_where_it_takes_writes() {
    let directory = tempfile::tempdir().unwrap();
    let mut office = office(directory.path()).await;
    assert!(office.readiness().await.unwrap_err().contains("not joined"));
    // None to wait for.
    office.workers = 0;
    office.health.down("database or disk is full", now());
    assert_eq!(office.readiness().await, Ok(()));
    assert!(!office.state().await.store_up);
    office.health.up();
    assert!(office.state().await.store_up);
    office.store.close().await;
    assert!(office.readiness().await.is_err(), "it cannot be read");
}

#[test]
fn a_key_is_touched_once_a_minute_and_by_one_write_at_a_time() {
    let touches = Touches::default();
    let (key, other): (Arc<str>, Arc<str>) = ("edge".into(), "other".into());
    let at = |second: i64| Wall::from_millis(second * 1_000);
    assert!(touches.begin(&key, at(0)) && touches.begin(&other, at(0)));
    assert!(!touches.begin(&key, at(90)), "the write of second 0 is still under way");
    touches.done(&key);
    assert!(!touches.begin(&key, at(59)));
    assert!(touches.begin(&key, at(60)));
}

#[test]
fn what_records_say_is_redacted_and_notes_are_not() {
    let line = |what: &str| TimelineEntry {
        at: now(),
        event_at: None,
        actor: "ann".into(),
        what: what.into(),
        text: "GET /a?token=x".into(),
    };
    let mut timeline = vec![line("opened"), line("noted")];
    Privacy::Redact.apply_to_timeline(&mut timeline);
    let texts: Vec<_> = timeline.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["GET /a?…", "GET /a?token=x"]);
}

#[test]
fn rejected_records_are_shown_where_they_came_from_and_harmless() {
    let metrics = beaconfire_ingest::Metrics::register(&Registry::new()).unwrap();
    let letters = DeadLetters::kept(metrics);
    let long = format!("\u{1b}[2J{}", "x".repeat(2_000));
    for (topic, partition, offset, payload) in
        [("edge", 0, 5, Some(long.as_bytes())), ("edge", 1, 6, None), ("auth", 0, 7, Some(&b"\xff"[..]))]
    {
        let letter = DeadLetter {
            topic,
            partition,
            offset,
            reason: "syntax",
            error: "broken",
            payload,
            withheld: None,
        };
        letters.send(letter);
    }
    let samples = letters.samples();
    let first = samples_of(&samples, "edge", 0).remove(0);
    assert_eq!((first.reason.as_str(), first.offset), ("syntax", 5));
    let shown = first.payload.unwrap();
    assert!(shown.starts_with("\\u{1b}[2Jx") && shown.len() <= REJECTED_SHOWN, "{shown}");
    let tombstone = RejectedFacts { reason: "syntax".into(), offset: 6, payload: None };
    assert_eq!(samples_of(&samples, "edge", 1), [tombstone]);
    assert_eq!(samples_of(&samples, "auth", 0)[0].payload.as_deref(), Some("\u{fffd}"));
}

/// An office that knows one incident of each of these, and its ids.
pub(super) async fn knowing(
    directory: &std::path::Path,
    facts: &[(Kind, Subject)],
) -> (Office, Vec<IncidentId>) {
    let office = office(directory).await;
    let at = beaconfire_model::EventTime::from_millis(now().millis());
    let folded = facts.iter().flat_map(|(kind, target)| {
        let fact = Signal {
            rule: "any".into(),
            kind: *kind,
            severity: Severity::Error,
            target: target.clone(),
            subject: target.clone(),
            first: Earliest(at),
            began: Earliest(at),
            holds_until: Latest(at),
            evidence: Evidence {
                observed: Peak(9.0),
                threshold: 1.0,
                window: MINUTE,
                crowd: None,
                series: Vec::new(),
            },
            participants: Vec::new(),
            samples: Vec::new(),
            entry: EntryId(0),
        };
        fold_signals(&[], 0, &[fact], at, now(), &office.context, &Knobs::default()).0
    });
    let folded: Vec<_> = folded.collect();
    office.store.save(Write { folded: &folded, ..Write::default() }).await.unwrap();
    let ids = folded.into_iter().map(|folded| folded.incident.id).collect();
    (office, ids)
}

fn workload(name: &str) -> Subject {
    Subject::new(SubjectKind::Workload, name)
}

#[tokio::test]
async fn a_case_names_what_brings_it_about_and_what_it_brings_about() {
    let directory = tempfile::tempdir().unwrap();
    let facts = [
        (Kind::Flood, Subject::service("shop")),
        (Kind::Resource, workload("prod/shop")),
        (Kind::Resource, workload("prod/pay")),
        (Kind::Mining, workload("prod/shop")),
    ];
    let (office, ids) = knowing(directory.path(), &facts).await;
    let links = async |id: usize| {
        let case = office.open_case(ids[id].clone()).await.unwrap();
        case.links.into_iter().map(|(other, how, _)| (other.id, how)).collect::<Vec<_>>()
    };
    assert_eq!(links(0).await, [(ids[1].clone(), Relation::Effect)]);
    assert_eq!(links(1).await, [(ids[0].clone(), Relation::Cause)]);
    assert_eq!((links(2).await, links(3).await), (vec![], vec![]));
}

#[tokio::test]
async fn what_is_accepted_is_learned_before_it_is_closed_and_refused_where_nobody_knows_it() {
    let directory = tempfile::tempdir().unwrap();
    let facts = [(Kind::Mining, workload("ci/build")), (Kind::Flood, Subject::service("shop"))];
    let (mut office, ids) = knowing(directory.path(), &facts).await;
    let (accepts, accepted) = Accepts::channel();
    office.accepts = accepts;
    // The shard knows of the first target that it is asked of, and of no other.
    let shard = std::thread::spawn(move || {
        let asked = accepted.iter().enumerate().map(|(at, (target, answer))| {
            answer.send(at == 0).unwrap();
            target
        });
        asked.collect::<Vec<Subject>>()
    });
    assert_eq!(office.learn(&ids[0]).await, Ok(()));
    let refused = office.learn(&ids[0]).await;
    assert!(
        matches!(&refused, Err(DeskError::Refused(said)) if said.contains("in this process")),
        "{refused:?}"
    );
    // What rules count is not learned; that it cannot be accepted is said when the command is folded.
    assert_eq!(office.learn(&ids[1]).await, Ok(()));
    let missing = IncidentId::from_text(&"0".repeat(32));
    assert_eq!(office.learn(&missing).await, Err(DeskError::NotFound));
    drop(office);
    assert_eq!(shard.join().unwrap(), [workload("ci/build"), workload("ci/build")]);
}
