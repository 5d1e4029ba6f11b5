//! The pick of the next delivery where much waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use beaconfire_incident::{Fingerprint, Folded, Incident, IncidentId, Status};
use beaconfire_model::{EventTime, Kind, Severity, Subject, Wall};
use beaconfire_outbox::{DigestKnobs, Fate, Lane, Rate, Row, RowKey, Told};
use beaconfire_store::{Store, StoreKnobs, Write};
use serde_json::{Value, json};

use crate::shared::figures::{ROUNDS, bar, median, rounded};

const ROWS: usize = 100_000;
const AT_ONCE: usize = 2_000;
/// Looks in one round.
const LOOKS: u32 = 500;
/// Microseconds.
const BAR: f64 = 20.0;

fn wall(millis: i64) -> Wall {
    Wall::from_millis(1_800_000_000_000 + millis)
}

fn opened(n: usize) -> (Folded, Row) {
    let target = Subject::service(&format!("shop-{n}"));
    let fingerprint = Fingerprint::of(Kind::Flood, &target);
    let at = wall(n as i64);
    let severity = if n.is_multiple_of(10) { Severity::Critical } else { Severity::Warning };
    let incident = Incident {
        id: IncidentId::of(&fingerprint, 1),
        fingerprint,
        episode: 1,
        version: 0,
        kind: Kind::Flood,
        severity,
        status: Status::Open,
        target,
        labels: [("service", "shop"), ("severity", severity.name())].into_iter().collect(),
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
        closed_through: Some(EventTime::MIN),
        revision: 1,
        participants_total: 0,
        participants_estimated: false,
        stale: false,
        untold: Default::default(),
        assignee: None,
        steps: Vec::new(),
    };
    let row = Row {
        key: RowKey { incident: incident.id.clone(), receiver: "chat".into(), integration: "slack-0".into() },
        version: 0,
        desired: Told { revision: 1, status: Status::Open, severity, silenced: false },
        told: None,
        handle: None,
        fate: Fate::Pending,
        lane: if severity == Severity::Critical { Lane::Page } else { Lane::Ticket },
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
    };
    let folded = Folded {
        incident,
        transitions: Vec::new(),
        signals: Vec::new(),
        participants: Vec::new(),
        points: Vec::new(),
        samples: Vec::new(),
        timeline: Vec::new(),
    };
    (folded, row)
}

pub(crate) fn measure() -> Value {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}/beaconfire.db", dir.path().display());
        let store =
            Store::open(&StoreKnobs { url, retention: Duration::from_secs(86_400) }).await.expect("a store");
        for first in (0..ROWS).step_by(AT_ONCE) {
            let (folded, rows): (Vec<Folded>, Vec<Row>) = (first..first + AT_ONCE).map(opened).unzip();
            store.save(Write { folded: &folded, rows: &rows, ..Write::default() }).await.expect("it is written");
        }
        // Nothing folds: all of them wait, which no configuration allows for long.
        let never = DigestKnobs { pages: u32::MAX, ..DigestKnobs::new(u32::MAX, Rate { per_minute: 60, burst: 5 }) };
        let at = wall(ROWS as i64);
        let (mut pick, mut look) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let begun = Instant::now();
            for _ in 0..LOOKS {
                store.next_due("chat", "slack-0").await.expect("an answer").expect("one waits");
                store.next_lane("chat", "slack-0", at).await.expect("an answer").expect("one waits");
            }
            let picked = begun.elapsed();
            let begun = Instant::now();
            for _ in 0..LOOKS / 10 {
                store.gather("chat", "slack-0", at).await.expect("an answer");
                store.repeat("chat", "slack-0", at).await.expect("an answer");
                store.fold("chat", "slack-0", &never, at).await.expect("an answer");
                store.digests("chat", "slack-0", at).await.expect("an answer");
                store.next_due("chat", "slack-0").await.expect("an answer");
                store.next_lane("chat", "slack-0", at).await.expect("an answer");
            }
            if round > 0 {
                pick.push(picked.as_secs_f64() * 1e6 / f64::from(LOOKS));
                look.push(begun.elapsed().as_secs_f64() * 1e6 / f64::from(LOOKS / 10));
            }
        }
        let (pick, look) = (median(pick), median(look));
        println!("plan, {ROWS} rows wait for one integration, SQLite");
        println!("{:<36} {pick:>10.1}  {}", "pick of the next delivery, us", bar(pick, BAR));
        println!("{:<36} {look:>10.1}", "all that is looked at for it, us");
        store.close().await;
        json!({"rows": ROWS, "pick_us": rounded(pick), "look_us": rounded(look), "bar": BAR, "met": pick <= BAR})
    })
}
