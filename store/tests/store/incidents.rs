//! Saving under versions, joining, and reading again.

use std::time::Duration;

use beaconfire_incident::{Acknowledgement, Fingerprint, Incident, RatePoint, Status};
use beaconfire_model::{EventTime, Kind, Severity, Subject, Untrusted};
use beaconfire_store::{Baseline, Progress, Query, SaveError, Store, Write};

use crate::support::*;

#[tokio::test]
async fn an_incident_reads_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut wanted = incident("shop", 1);
    save(&store, &[folded(wanted.clone())], &[]).await.unwrap();
    wanted.version = 1;
    assert_eq!(stored(&store, &wanted.id).await, wanted);

    wanted.status = Status::Acknowledged;
    wanted.severity = Severity::Error;
    wanted.acknowledged = Some(Acknowledgement { by: "ann".into(), at: wall(1), until: wall(2) });
    wanted.labels.set("team", "\"quoted\"");
    save(&store, &[folded(wanted.clone())], &[]).await.unwrap();
    wanted.version = 2;
    assert_eq!(stored(&store, &wanted.id).await, wanted);
}

#[tokio::test]
async fn of_two_who_read_the_same_version_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (open(directory.path()).await, open(directory.path()).await);
    for (round, version) in [(0, 0), (1, 1), (2, 2)] {
        let mut wanted = incident("shop", 1);
        wanted.version = version;
        wanted.revision = 10 + round;
        let wanted = [laden(wanted)];
        let (a, b) = tokio::join!(save(&one, &wanted, &[]), save(&two, &wanted, &[]));
        let conflicts =
            [&a, &b].into_iter().filter(|saved| matches!(saved, Err(SaveError::Conflict))).count();
        assert_eq!((a.is_ok() ^ b.is_ok(), conflicts), (true, 1), "round {round}: {a:?} {b:?}");
    }
    let dossier = one.dossier(&incident("shop", 1).id).await.unwrap().unwrap();
    assert_eq!(dossier.incident.version, 3);
    assert_eq!(dossier.timeline.len(), 3, "who lost left nothing behind");
}

#[tokio::test]
async fn one_incident_of_a_fingerprint_is_unresolved() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    save(&store, &[folded(incident("shop", 1))], &[]).await.unwrap();
    let second = folded(incident("shop", 2));
    assert!(matches!(save(&store, std::slice::from_ref(&second), &[]).await, Err(SaveError::Conflict)));

    let first = Incident { version: 1, status: Status::Resolved, ..incident("shop", 1) };
    save(&store, &[folded(first), second], &[]).await.unwrap();
    let reopened = Incident { version: 2, ..incident("shop", 1) };
    assert!(matches!(save(&store, &[folded(reopened)], &[]).await, Err(SaveError::Conflict)));
    let unresolved = store.unresolved().await.unwrap();
    assert_eq!(unresolved.iter().map(|incident| incident.episode).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_conflict_anywhere_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let shop = incident("shop", 1);
    let mut unread = row(&shop, "team");
    unread.version = 7;
    let progress = [progress(0, 1, Some(1))];
    let write = Write { folded: &[laden(shop)], rows: &[unread], progress: &progress, ..Write::default() };
    assert!(matches!(store.save(write).await, Err(SaveError::Conflict)));
    assert!(store.unresolved().await.unwrap().is_empty() && store.progress().await.unwrap().is_empty());
    assert!(store.episodes(&[incident("shop", 1).fingerprint]).await.unwrap().is_empty());
}

#[tokio::test]
async fn writing_the_same_again_changes_nothing_and_joins_go_one_way() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let id = incident("shop", 1).id;
    let mut fold = laden(incident("shop", 1));
    save(&store, &[fold.clone()], &[]).await.unwrap();
    let before = store.dossier(&id).await.unwrap().unwrap();
    assert_eq!(before.signals, fold.signals);
    assert_eq!(before.participants, fold.participants);
    assert_eq!(before.points, fold.points);
    assert_eq!(before.samples, fold.samples);
    assert_eq!(before.timeline, fold.timeline);
    assert_eq!(before.incident.participants_total, 1);

    fold.timeline.clear();
    fold.incident = before.incident.clone();
    save(&store, &[fold.clone()], &[]).await.unwrap();
    let mut again = store.dossier(&id).await.unwrap().unwrap();
    again.incident.version = before.incident.version;
    assert_eq!(again, before, "a replay changes nothing");

    // Lower, milder, narrower: only the span widens where it does.
    let signal = &mut fold.signals[0];
    (signal.observed, signal.threshold, signal.severity) = (9.0, 1.0, Severity::Info);
    (signal.first, signal.holds_until) = (event(4), event(9));
    fold.participants = vec![participant("203.0.113.7", 2.0), participant("203.0.113.7", 4.0)];
    fold.points[0].value = 6.0;
    fold.incident.version = 2;
    save(&store, &[fold.clone()], &[]).await.unwrap();
    let joined = store.dossier(&id).await.unwrap().unwrap();
    let mut signal = before.signals[0].clone();
    signal.first = event(4);
    assert_eq!(joined.signals, [signal]);
    assert_eq!(joined.participants, [participant("203.0.113.7", 4.0)]);
    assert_eq!(joined.points, before.points);

    // A higher peak brings its own threshold.
    let signal = &mut fold.signals[0];
    (signal.observed, signal.threshold, signal.severity) = (11.0, 6.0, Severity::Critical);
    fold.incident.version = 3;
    save(&store, &[fold], &[]).await.unwrap();
    let joined = store.dossier(&id).await.unwrap().unwrap();
    let signal = &joined.signals[0];
    assert_eq!((signal.observed, signal.threshold, signal.severity), (11.0, 6.0, Severity::Critical));
}

#[tokio::test]
async fn what_hangs_on_an_incident_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut fold = laden(incident("shop", 1));
    let sample = fold.samples[0].clone();
    fold.samples = (0..20)
        .map(|n| {
            let mut sample = sample.clone();
            sample.text = Untrusted::new(&format!("GET /{n}"), 512);
            sample
        })
        .collect();
    fold.points =
        (0..700).map(|n| RatePoint { rule: "flood".into(), at: event(n), value: f64::NAN }).collect();
    fold.points.push(RatePoint { rule: "of no rule that holds".into(), at: event(0), value: 1.0 });
    fold.timeline = (0..1_200).map(|n| line(&n.to_string())).collect();
    save(&store, &[fold], &[]).await.unwrap();
    let dossier = store.dossier(&incident("shop", 1).id).await.unwrap().unwrap();
    assert_eq!(dossier.samples.len(), 9);
    assert_eq!((dossier.points.len(), dossier.points[0].at), (600, event(100)), "the newest stay");
    assert!(dossier.points.iter().all(|point| point.value == 0.0 && &*point.rule == "flood"));
    let lines: Vec<_> = dossier.timeline.iter().map(|line| line.what.as_str()).collect();
    assert_eq!((lines.len(), lines[0], lines[9], lines[10]), (1_000, "0", "9", "210"));
}

#[tokio::test]
async fn the_heaviest_participants_stay_and_the_total_says_whether_it_is_exact() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let address = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
    let crowd = |from: u32, to: u32| (from..to).map(|n| participant(&address(n), f64::from(n))).collect();
    let mut fold = folded(incident("shop", 1));
    fold.participants = crowd(0, 10_000);
    save(&store, &[fold.clone()], &[]).await.unwrap();
    let at_the_bound = stored(&store, &fold.incident.id).await;
    assert_eq!((at_the_bound.participants_total, at_the_bound.participants_estimated), (10_000, false));

    fold.participants = crowd(10_000, 10_003);
    fold.incident = at_the_bound;
    save(&store, &[fold.clone()], &[]).await.unwrap();
    let dossier = store.dossier(&fold.incident.id).await.unwrap().unwrap();
    let incident = &dossier.incident;
    assert_eq!((incident.participants_total, incident.participants_estimated), (10_003, true));
    assert_eq!(dossier.participants.len(), 10_000);
    assert_eq!(dossier.participants[0], participant(&address(10_002), 10_002.0));
    assert_eq!(dossier.participants[9_999], participant(&address(3), 3.0));

    fold.incident = dossier.incident;
    save(&store, &[fold.clone()], &[]).await.unwrap();
    let again = stored(&store, &fold.incident.id).await;
    assert_eq!((again.participants_total, again.participants_estimated), (10_003, true), "it never shrinks");
}

#[tokio::test]
async fn a_fold_gets_the_latest_five_episodes_and_the_highest_number() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for episode in 1..=7 {
        let resolved = Incident { status: Status::Resolved, ..incident("shop", episode) };
        save(&store, &[folded(resolved)], &[]).await.unwrap();
    }
    let shop = incident("shop", 1).fingerprint;
    // More than are asked in one statement.
    let mut asked: Vec<_> =
        (0..450).map(|n| Fingerprint::of(Kind::Flood, &Subject::service(&n.to_string()))).collect();
    asked.push(shop.clone());
    let found = store.episodes(&asked).await.unwrap();
    assert_eq!(found.len(), 1);
    let (episodes, last) = &found[&shop];
    assert_eq!(episodes.iter().map(|incident| incident.episode).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    assert_eq!(*last, 7);
}

async fn names(store: &Store, query: Query) -> Vec<String> {
    let mut names = Vec::new();
    let mut query = Query { limit: 2, ..query };
    loop {
        let page = store.incidents(&query).await.unwrap();
        assert!(page.items.len() <= 2);
        names.extend(page.items.iter().map(|incident| incident.labels.get("service").to_owned()));
        match page.next_cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return names,
        }
    }
}

#[tokio::test]
async fn pages_hold_everything_once_newest_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for (n, name) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
        let n = n as i64;
        let mut incident = incident(name, 1);
        // Two of them at the same moment.
        incident.opened_at = wall(n / 2);
        incident.holds_until = event(n);
        if name == "b" {
            incident.status = Status::Resolved;
        }
        incident.severity = if name == "c" { Severity::Critical } else { Severity::Warning };
        save(&store, &[folded(incident)], &[]).await.unwrap();
    }
    let mut all = names(&store, Query::default()).await;
    assert_eq!(all[0], "e");
    all.sort();
    assert_eq!(all, ["a", "b", "c", "d", "e"]);
    let resolved = Query { statuses: vec![Status::Resolved], ..Query::default() };
    assert_eq!(names(&store, resolved).await, ["b"]);
    let of_service = Query { service: Some("d".into()), kinds: vec![Kind::Flood], ..Query::default() };
    assert_eq!(names(&store, of_service).await, ["d"]);
    let of_kind = Query { kinds: vec![Kind::Login, Kind::Errors], ..Query::default() };
    assert!(names(&store, of_kind).await.is_empty());
    let since = Query { since: Some(event(3)), ..Query::default() };
    assert_eq!(names(&store, since).await.len(), 2);
    let worst = Query { worst_first: true, limit: 500, ..Query::default() };
    let worst = store.incidents(&worst).await.unwrap();
    assert_eq!((worst.items.len(), worst.items[0].labels.get("service")), (5, "c"));
    for foreign in ["", "x", "5", "x-1", "5-' OR 1=1"] {
        let query = Query { cursor: Some(foreign.into()), ..Query::default() };
        assert!(store.incidents(&query).await.is_err(), "{foreign}");
    }
}

/// A partition whose topic was deleted does not hold its entry back for ever; while nobody reads anything of an entry
/// (all processes are stopped), all of them do.
#[tokio::test]
async fn a_source_that_nobody_reads_any_more_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let at = |partition, second: i64| Progress {
        written: wall(second * 1_000),
        ..progress(partition, 1, Some(1))
    };
    let other = Progress { entry: "other".into(), ..at(0, 0) };
    let written = [at(0, 0), at(1, 500), at(2, 980), other.clone()];
    store.save(Write { progress: &written, ..Write::default() }).await.unwrap();
    let forget = async |second: i64| {
        store.forget_abandoned(wall(second * 1_000), Duration::from_secs(900)).await.unwrap()
    };
    assert_eq!(forget(1_100).await, [], "none of them was read within a minute");
    assert_eq!(forget(1_000).await, [("web".to_owned(), 0)]);
    assert_eq!(store.progress().await.unwrap(), [at(1, 500), at(2, 980), other]);
}

#[tokio::test]
async fn progress_is_fenced_and_clearance_is_the_least() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let write = async |progress| {
        store.save(Write { progress: &[progress], ..Write::default() }).await.unwrap();
        store.clearances().await.unwrap().get("edge").copied()
    };
    assert_eq!(write(progress(0, 5, Some(50))).await, Some(event(50)));
    assert_eq!(write(progress(1, 5, None)).await, None, "one source is not known");
    assert_eq!(write(progress(1, 5, Some(40))).await, Some(event(40)));
    assert_eq!(write(progress(1, 4, Some(99))).await, Some(event(40)), "an older owner changes nothing");
    assert_eq!(write(progress(1, 6, None)).await, Some(event(40)), "what was known stays known");
    assert_eq!(write(progress(1, 6, Some(60))).await, Some(event(50)));
    let known = store.progress().await.unwrap();
    assert_eq!(known, [progress(0, 5, Some(50)), progress(1, 6, Some(60))]);

    store.forget_entries_except(&["edge".into()]).await.unwrap();
    assert_eq!(store.progress().await.unwrap().len(), 2);
    store.forget_entries_except(&["other".into()]).await.unwrap();
    assert!(store.progress().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_ends_of_time_can_be_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let mut extreme = incident("shop", 1);
    (extreme.started_at, extreme.holds_until) = (EventTime::MIN, EventTime::MAX);
    extreme.rules.values_mut().for_each(|peak| peak.window = Duration::ZERO);
    save(&store, &[folded(extreme.clone())], &[]).await.unwrap();
    extreme.version = 1;
    assert_eq!(stored(&store, &extreme.id).await, extreme);
}

/// What was learned of a series is kept with how far it came, and an older state never takes the place of a newer one.
#[tokio::test]
async fn what_was_learned_of_series_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let learned = |series: &str, through: i64, state: &[u8]| Baseline {
        series: series.to_owned(),
        closed_through: EventTime::from_millis(through),
        state: state.to_vec(),
    };
    let (cpu, memory) =
        (learned("workload/shop/web/cpu", 600, &[0, 255, 7]), learned("service/shop/errors", 300, b"x"));
    let save = async |learned: &[Baseline]| store.save(Write { learned, ..Write::default() }).await.unwrap();
    save(&[cpu.clone(), memory.clone()]).await;
    assert_eq!(store.baselines().await.unwrap(), [memory.clone(), cpu.clone()]);
    let newer = learned("service/shop/errors", 600, b"y");
    save(&[learned("workload/shop/web/cpu", 300, b"old"), newer.clone()]).await;
    assert_eq!(store.baselines().await.unwrap(), [newer, cpu]);
}
