//! What the keeper waits for before it resolves, and what it does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::Learned;
use beaconfire_incident::{Context, Incident, Knobs, Status};
use beaconfire_model::{
    Client, Earliest, EntryId, EventTime, Evidence, Kind, Labels, Latest, Peak, Severity, Signal, Subject,
    Wall,
};
use beaconfire_outbox::{QuietRules, Receivers, Route};
use beaconfire_pipeline::{Keeper, Policy, Report, Shelf};
use beaconfire_throttle::{Guard, Throttle};

fn keeper(entries: &[&str]) -> Keeper {
    let policy = Policy {
        context: Context {
            entries: entries.iter().map(|&name| name.to_owned()).collect(),
            ..Context::default()
        },
        knobs: Knobs::default(),
        route: Route::default(),
        receivers: Receivers::new(),
        quiet: QuietRules::default(),
        escalations: Vec::new(),
        plan: None,
    };
    Keeper::new(1, Arc::new(policy), Throttle::new(BTreeMap::new(), Guard::default()))
}

fn event(second: i64) -> EventTime {
    EventTime::from_millis(1_700_000_000_000 + second * 1_000)
}

fn wall(second: i64) -> Wall {
    Wall::from_millis(event(second).millis())
}

/// A flood on `shop` for a minute from this second on.
fn fact(entry: u16, from: i64) -> Signal {
    Signal {
        rule: "rate".into(),
        kind: Kind::Flood,
        severity: Severity::Warning,
        target: Subject::service("shop"),
        subject: Subject::client(Client::of([203, 0, 113, 7].into())),
        first: Earliest(event(from)),
        began: Earliest(event(from)),
        holds_until: Latest(event(from + 60)),
        evidence: Evidence {
            observed: Peak(700.0),
            threshold: 600.0,
            window: Duration::from_secs(60),
            crowd: None,
            series: Vec::new(),
        },
        participants: Vec::new(),
        samples: Vec::new(),
        entry: EntryId(entry),
    }
}

/// A flood on `shop` from second 0 to 60, stated by each of these entries.
fn incident(entries: &[&str]) -> Incident {
    let mut keeper = keeper(entries);
    let signals = (0..entries.len()).map(|entry| fact(entry as u16, 0)).collect();
    keeper.receive(Report { thread: 0, signals, learned: Vec::new(), barrier: None }, wall(60));
    keeper.fold(&Shelf::default(), wall(60)).folded.remove(0).incident
}

#[track_caller]
fn check(fed_by: &[&str], configured: &[&str], cleared: &[(&str, i64)], resolved: bool) {
    let clearances = cleared.iter().map(|(name, at)| ((*name).to_owned(), event(*at))).collect();
    let shelf = Shelf { clearances, ..Shelf::default() };
    let changes = keeper(configured).fold_time(&[incident(fed_by)], &shelf, wall(10_000));
    let over = changes.folded.iter().any(|folded| folded.incident.status == Status::Resolved);
    assert_eq!(over, resolved, "fed by {fed_by:?}, configured {configured:?}, cleared {cleared:?}");
}

#[test]
fn an_incident_waits_for_every_entry_that_fed_it_and_is_still_configured() {
    check(&["edge", "cdn"], &["edge", "cdn"], &[("edge", 9_000), ("cdn", 9_000)], true);
    check(&["edge", "cdn"], &["edge", "cdn"], &[("edge", 9_000), ("cdn", 100)], false);
    check(&["edge", "cdn"], &["edge", "cdn"], &[("edge", 9_000)], false);
    // Its progress was forgotten with its entry, and nothing will come from it.
    check(&["edge", "cdn"], &["edge"], &[("edge", 9_000)], true);
    check(&["edge", "cdn"], &["edge"], &[("edge", 100)], false);
    check(&["cdn"], &["edge"], &[], true);
}

/// What was learned goes into the next transaction, waits again where that fails, and never takes the place of what came
/// meanwhile.
#[test]
fn what_was_learned_is_written_once_the_latest_of_each_series() {
    let learned = |series: &str, state: u8| Learned {
        series: series.to_owned(),
        closed_through: event(i64::from(state)),
        state: vec![state],
    };
    let report = |learned: Vec<Learned>| Report { thread: 0, signals: Vec::new(), learned, barrier: None };
    let mut keeper = keeper(&["edge"]);
    keeper.receive(report(vec![learned("cpu", 1), learned("memory", 1)]), wall(0));
    keeper.receive(report(vec![learned("cpu", 2)]), wall(0));
    let changes = keeper.fold(&Shelf::default(), wall(0));
    assert_eq!(changes.learned, [learned("cpu", 2), learned("memory", 1)]);
    assert!(!changes.is_empty());
    keeper.receive(report(vec![learned("memory", 3)]), wall(0));
    keeper.undo(changes);
    let changes = keeper.fold(&Shelf::default(), wall(0));
    assert_eq!(changes.learned, [learned("cpu", 2), learned("memory", 3)]);
    keeper.saved(changes);
    assert!(keeper.fold(&Shelf::default(), wall(0)).is_empty());
}

/// A fact that waits for its episode holds back what was learned of its slice: read again after a crash, that slice would
/// tell nothing any more.
#[test]
fn what_was_learned_waits_for_the_facts_before_it() {
    let open = incident(&["edge"]);
    let shelf = Shelf { episodes: [(open.fingerprint.clone(), (vec![open], 1))].into(), ..Shelf::default() };
    let learned = Learned { series: "cpu".to_owned(), closed_through: event(1), state: vec![1] };
    let mut keeper = keeper(&["edge"]);
    let signals = vec![fact(0, 100_000)];
    keeper.receive(Report { thread: 0, signals, learned: vec![learned.clone()], barrier: None }, wall(60));
    let changes = keeper.fold(&shelf, wall(60));
    assert!(changes.folded.is_empty() && changes.learned.is_empty(), "{changes:?}");
    keeper.saved(changes);
    let changes = keeper.fold(&shelf, wall(75));
    assert_eq!((changes.folded.is_empty(), changes.learned), (false, vec![learned]));
}

/// What no entry fed lives by the wall clock: it resolves in time, ends early where its sender says so, and is known by
/// labels of its own.
#[test]
fn what_comes_from_elsewhere_ends_by_the_clock_or_by_its_senders_word() {
    let mut keeper = keeper(&["edge"]);
    let mut alert = fact(0, 0);
    (alert.kind, alert.entry) = (Kind::External, EntryId::OUTSIDE);
    let labels: Labels = [("alertname", "Slow"), ("team", "shop"), ("kind", "feigned")].into_iter().collect();
    let place = keeper.receive_facts([(alert, labels)], wall(1));
    assert!(keeper.oldest_waiting() <= place);
    let changes = keeper.fold(&Shelf::default(), wall(1));
    let incident = changes.folded[0].incident.clone();
    let label = |name| incident.labels.get(name).to_owned();
    assert_eq!(
        (label("alertname"), label("team"), label("kind")),
        ("Slow".into(), "shop".into(), "external".into())
    );
    assert!(keeper.oldest_waiting() > place);
    keeper.undo(changes);
    let again = keeper.fold(&Shelf::default(), wall(1));
    assert_eq!(again.folded[0].incident.labels, incident.labels, "as they came, also after a conflict");
    keeper.saved(again);
    let open = std::slice::from_ref(&incident);
    assert!(keeper.fold_time(open, &Shelf::default(), wall(59)).folded.is_empty());
    let over = keeper.fold_time(open, &Shelf::default(), wall(60)).folded;
    assert_eq!(over[0].incident.status, Status::Resolved);
    let early = keeper.fold_over(open, &Shelf::default(), wall(10)).folded;
    assert_eq!((early[0].incident.status, &early[0].incident.resolved_by), (Status::Resolved, &None));
    assert_eq!(early[0].incident.holds_until, event(10), "what fires again before its announced end is news");
}
