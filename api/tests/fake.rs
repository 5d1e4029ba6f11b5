//! A desk in memory, with an attack or two on it. The tests here, those of the commands and `examples/console.rs` share it.
#![allow(dead_code, reason = "the tests and the example each use a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use beaconfire_api::{
    Answer, BouncerKey, Case, DecisionQuery, DeliveryFacts, Desk, DeskError, IncidentQuery, LetterFacts,
    LetterQuery, Lift, NewDecision, NewSilence, OutboxFacts, OutboxQuery, Page, PostedAlert, Pull,
    ReceiverFacts, RejectedFacts, RowPick, SilenceFacts, SourceFacts, StatusFacts, sha256,
};
use beaconfire_incident::{
    Acknowledgement, Actor, Command, Dossier, Fingerprint, Incident, IncidentId, RatePoint, RulePeak,
    SignalRow, Status, TimelineEntry,
};
use beaconfire_model::{
    Client, Earliest, EventTime, Kind, Labels, Latest, Participant, Peak, Severity, Specimen, Subject,
    SubjectKind, Untrusted, Wall,
};
use beaconfire_outbox::{
    ByHand, Fate, Hush, Inhibitors, Lane, LedgerLine, Quiet, QuietRules, Route, Row, RowKey, Silence, Told,
};
use beaconfire_throttle::{Action, Board, Decision, DecisionKey, Mode, Origin};
use ipnet::IpNet;
use prometheus::Registry;

/// The key that the fake gave to a bouncer.
pub(crate) const BOUNCER_KEY: &str = "a-bouncers-key-of-thirty-two-chars";

/// A desk in memory.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) cases: Mutex<Vec<Case>>,
    pub(crate) board: Board,
    pub(crate) alerts: Mutex<Vec<PostedAlert>>,
    pub(crate) pulls: Mutex<Vec<Pull>>,
    pub(crate) queries: Mutex<Vec<IncidentQuery>>,
    pub(crate) commands: Mutex<Vec<(IncidentId, Actor, Command)>>,
    pub(crate) outbox_queries: Mutex<Vec<OutboxQuery>>,
    pub(crate) handled: Mutex<Vec<(Actor, RowPick, ByHand)>>,
    pub(crate) letter_queries: Mutex<Vec<LetterQuery>>,
    pub(crate) lifted: Mutex<Vec<(Lift, bool)>>,
    pub(crate) wanted: Mutex<Vec<(Actor, NewDecision)>>,
    pub(crate) silences: Mutex<Vec<SilenceFacts>>,
    pub(crate) silenced: Mutex<Vec<(Actor, NewSilence, bool)>>,
    pub(crate) expired: Mutex<Vec<(Actor, String)>>,
    pub(crate) next_cursor: Mutex<Option<String>>,
    pub(crate) last_record: Mutex<Option<Wall>>,
    pub(crate) store_down: AtomicBool,
    pub(crate) kafka_down: AtomicBool,
    registry: Registry,
}

/// The real time: the surface has no other.
pub(crate) fn now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Wall::from_millis(since.as_millis() as i64)
}

impl Fake {
    /// Nothing is wrong.
    pub(crate) fn empty() -> Arc<Self> {
        let fake = Self::default();
        *fake.last_record.lock().unwrap() = Some(now().minus(Duration::from_secs(2)));
        Arc::new(fake)
    }

    /// A flood, a login attack that somebody is on, a finding, and two that are over.
    pub(crate) fn full() -> Arc<Self> {
        let fake = Self::empty();
        *fake.cases.lock().unwrap() = vec![
            flood(),
            small(
                Kind::Intrusion,
                Severity::Critical,
                Subject::new(SubjectKind::Workload, "shop/checkout"),
                2,
            ),
            acknowledged(small(Kind::Login, Severity::Error, Subject::service("accounts"), 1)),
            small(Kind::Errors, Severity::Warning, Subject::service("search"), 1),
            resolved(small(Kind::Flood, Severity::Warning, Subject::service("api"), 1), None),
            resolved(small(Kind::Probing, Severity::Info, Subject::service("shop"), 1), Some("mira")),
        ];
        fake
    }

    fn answer<'a, T: Send + 'a>(&self, value: Result<T, DeskError>) -> Answer<'a, T> {
        let down = self.store_down.load(Ordering::Relaxed);
        let value = if down { Err(DeskError::Unavailable("disk secret.db is full".into())) } else { value };
        Box::pin(std::future::ready(value))
    }

    fn find(&self, id: &IncidentId) -> Result<Case, DeskError> {
        let cases = self.cases.lock().unwrap();
        cases.iter().find(|case| case.dossier.incident.id == *id).cloned().ok_or(DeskError::NotFound)
    }
}

impl Desk for Fake {
    fn incidents(&self, query: IncidentQuery) -> Answer<'_, Page<Incident>> {
        let cases = self.cases.lock().unwrap();
        let wanted = |incident: &Incident| {
            (query.statuses.is_empty() || query.statuses.contains(&incident.status))
                && (query.kinds.is_empty() || query.kinds.contains(&incident.kind))
        };
        let mut items: Vec<_> = cases
            .iter()
            .map(|case| case.dossier.incident.clone())
            .filter(|incident| wanted(incident))
            .collect();
        if query.worst_first {
            items.sort_by_key(|incident| std::cmp::Reverse(incident.severity));
        }
        items.truncate(query.limit);
        self.queries.lock().unwrap().push(query);
        self.answer(Ok(Page { items, next_cursor: self.next_cursor.lock().unwrap().clone() }))
    }

    fn case(&self, id: IncidentId) -> Answer<'_, Case> {
        self.answer(self.find(&id))
    }

    fn command(&self, id: IncidentId, actor: Actor, command: Command) -> Answer<'_, Incident> {
        let found = self.find(&id).and_then(|case| {
            let incident = case.dossier.incident;
            match (&command, incident.status) {
                (Command::Resolve, Status::Resolved) => {
                    Err(DeskError::Refused("it is resolved already".into()))
                }
                _ => Ok(incident),
            }
        });
        self.commands.lock().unwrap().push((id, actor, command));
        self.answer(found)
    }

    fn silences(&self) -> Answer<'_, Vec<SilenceFacts>> {
        self.answer(Ok(self.silences.lock().unwrap().clone()))
    }

    fn silence(&self, actor: Actor, wanted: NewSilence, dry_run: bool) -> Answer<'_, SilenceFacts> {
        let id = if dry_run { "" } else { SILENCE };
        let silence = Silence {
            id: id.into(),
            matchers: wanted.matchers.clone(),
            author: wanted.author.clone(),
            comment: wanted.comment.clone(),
            starts_at: wanted.starts_at,
            ends_at: wanted.ends_at,
            updated_at: now(),
        };
        let cases = self.cases.lock().unwrap();
        let incidents: Vec<Incident> = cases
            .iter()
            .map(|case| case.dossier.incident.clone())
            .filter(|incident| incident.status != Status::Resolved && silence.matches(&incident.labels))
            .collect();
        let facts = SilenceFacts { incidents_total: incidents.len() as u64, silence, incidents };
        if !dry_run {
            self.silences.lock().unwrap().push(facts.clone());
        }
        self.silenced.lock().unwrap().push((actor, wanted, dry_run));
        self.answer(Ok(facts))
    }

    fn expire_silence(&self, actor: Actor, id: String) -> Answer<'_, Silence> {
        let mut silences = self.silences.lock().unwrap();
        let found = silences.iter_mut().find(|facts| *facts.silence.id == *id).ok_or(DeskError::NotFound);
        let ended = found.map(|facts| {
            facts.silence.ends_at = now();
            facts.silence.clone()
        });
        self.expired.lock().unwrap().push((actor, id));
        self.answer(ended)
    }

    fn ledger(&self) -> Answer<'_, Vec<LedgerLine>> {
        let suppressed = BTreeMap::from([("too_old", 1)]);
        self.answer(Ok(vec![LedgerLine {
            receiver: "chat".into(),
            created: 7,
            delivered: 4,
            in_digest: 0,
            suppressed,
            dead: 1,
            pending: 1,
            messages: 9,
        }]))
    }

    /// All rows of all cases that are not delivered.
    fn outbox(&self, query: OutboxQuery) -> Answer<'_, Page<OutboxFacts>> {
        let cases = self.cases.lock().unwrap();
        let rows = cases.iter().flat_map(|case| case.rows.iter().map(move |row| (case, row)));
        let items = rows.filter(|(_, row)| row.fate != Fate::Delivered).map(|(case, row)| OutboxFacts {
            row: row.clone(),
            incident: case.dossier.incident.clone(),
            fell_back: true,
            in_flight: false,
        });
        let items = items.collect();
        self.outbox_queries.lock().unwrap().push(query);
        self.answer(Ok(Page { items, next_cursor: self.next_cursor.lock().unwrap().clone() }))
    }

    fn by_hand(&self, actor: Actor, pick: RowPick, what: ByHand) -> Answer<'_, Vec<Row>> {
        let rows = self.find(&pick.incident).and_then(|case| {
            let of = case.rows.into_iter().filter(|row| *row.key.receiver == *pick.receiver);
            let rows: Vec<Row> = of.collect();
            match rows.first() {
                None => Err(DeskError::NotFound),
                Some(row) if row.fate == Fate::Delivered => {
                    Err(DeskError::Refused("there is nothing left to tell".into()))
                }
                Some(_) => Ok(rows),
            }
        });
        self.handled.lock().unwrap().push((actor, pick, what));
        self.answer(rows)
    }

    /// One, at offset 17.
    fn dead_letters(&self, query: LetterQuery) -> Answer<'_, Page<LetterFacts>> {
        let letter = LetterFacts {
            topic: "edge-access".into(),
            partition: 2,
            offset: 17,
            reason: "syntax".into(),
            at: now().minus(Duration::from_secs(60)),
            payload: Some("{\"uri\":\"/s?…\"".into()),
        };
        let asked = query.offset.is_none_or(|offset| offset == 17);
        self.letter_queries.lock().unwrap().push(query);
        self.answer(Ok(Page { items: asked.then_some(letter).into_iter().collect(), next_cursor: None }))
    }

    fn decisions(&self, _: DecisionQuery) -> Answer<'_, Page<Decision>> {
        self.answer(Ok(Page { items: self.board.active(now()), next_cursor: None }))
    }

    fn decide(&self, actor: Actor, wanted: NewDecision) -> Answer<'_, Decision> {
        let mut made = decision(1, &wanted.network.to_string(), wanted.action, Mode::DryRun, wanted.duration);
        made.origin = Origin::Manual(actor.0.clone());
        self.wanted.lock().unwrap().push((actor, wanted));
        self.answer(Ok(made))
    }

    fn lift(&self, _: Actor, which: Lift, allow: bool) -> Answer<'_, Vec<Decision>> {
        self.lifted.lock().unwrap().push((which, allow));
        self.answer(Ok(Vec::new()))
    }

    fn board(&self) -> &Board {
        &self.board
    }

    fn bouncer_key(&self, hash: [u8; 32]) -> Answer<'_, Option<BouncerKey>> {
        // A careless look-up that takes anything: the surface itself must compare.
        let _ = hash;
        self.answer(Ok(Some(BouncerKey { name: "edge-nft".into(), sha256: sha256(BOUNCER_KEY) })))
    }

    fn bouncer_pulled(&self, pull: Pull) -> Answer<'_, ()> {
        self.pulls.lock().unwrap().push(pull);
        self.answer(Ok(()))
    }

    fn installation(&self) -> &str {
        "4f2a"
    }

    fn sources(&self) -> Answer<'_, Vec<SourceFacts>> {
        self.answer(Ok(vec![SourceFacts {
            entry: "edge-access".into(),
            topic: "edge-access".into(),
            partition: 0,
            formats: vec![("combined".into(), 1200)],
            rejected: vec![("syntax".into(), 2)],
            rejected_samples: vec![RejectedFacts {
                reason: "syntax".into(),
                offset: 17,
                payload: Some("{\"uri\":\"/s?…\"".into()),
            }],
            late: 0,
            watermark: Some(now().as_event_time()),
            lateness: Duration::from_secs(30),
            disorder: Duration::from_millis(512),
            lag_records: Some(3),
        }]))
    }

    fn reload(&self) -> Answer<'_, ()> {
        Box::pin(async { Err(DeskError::Invalid("beaconfire.yaml:1:1: `x` is no section".to_owned())) })
    }

    fn status(&self) -> Answer<'_, StatusFacts> {
        let down = self.store_down.load(Ordering::Relaxed);
        let receiver = |receiver: &str, integration: &str, error: Option<&str>| ReceiverFacts {
            receiver: receiver.into(),
            integration: integration.into(),
            pending: u64::from(error.is_some()),
            oldest_pending: error.map(|_| now().minus(Duration::from_secs(90))),
            paused_until: None,
            last_error: error.map(str::to_owned),
        };
        let trouble = (!self.cases.lock().unwrap().is_empty()).then_some("450 mailbox busy");
        let status = StatusFacts {
            version: "0.1.0".into(),
            revision: "abc123".into(),
            installation: "4f2a".into(),
            started: now().minus(Duration::from_secs(3 * 3600)),
            last_record: *self.last_record.lock().unwrap(),
            kafka_up: Some(!self.kafka_down.load(Ordering::Relaxed)),
            lag_records: Some(0),
            store_up: !down,
            receivers: vec![
                receiver("chat", "slack-0", None),
                receiver("mail", "email-0", trouble),
                receiver("pager", "pagerduty-0", None),
            ],
            config_loaded: now().minus(Duration::from_secs(3 * 3600)),
            inexact_rules: Some(vec![("server-errors".into(), "read elsewhere".into())]),
            throttle_mode: Mode::DryRun,
            learning: (3, Duration::from_secs(5_400)),
        };
        Box::pin(std::future::ready(Ok(status)))
    }

    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Answer<'_, Result<(), String>> {
        let down = self.store_down.load(Ordering::Relaxed);
        let ready = if down { Err("the store cannot be read".to_owned()) } else { Ok(()) };
        Box::pin(std::future::ready(Ok(ready)))
    }

    fn alerts(&self, alerts: Vec<PostedAlert>) -> Answer<'_, ()> {
        self.alerts.lock().unwrap().extend(alerts);
        self.answer(Ok(()))
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// The id of every silence that is made here.
pub(crate) const SILENCE: &str = "5e1fa0ce5e1fa0ce5e1fa0ce5e1fa0ce";

/// Has the last receiver's row kept back by a silence.
pub(crate) fn silenced(case: &mut Case) {
    let incident = &case.dossier.incident;
    let silence = Silence {
        id: SILENCE.into(),
        matchers: beaconfire_outbox::alike(incident),
        author: "mira <b>".into(),
        comment: "the scraper again".into(),
        starts_at: now(),
        ends_at: now().plus(Duration::from_secs(3_600)),
        updated_at: now(),
    };
    let (route, rules, silences) = (Route::default(), QuietRules::default(), [silence]);
    let ties = |_: &str, _: &str| false;
    let hush = Hush::new(&route, &rules, &silences, Inhibitors::new(&[], &[], &ties), now());
    case.quiet = hush.of(incident);
    let why = case.quiet.toward("mail").unwrap().why;
    case.rows.last_mut().unwrap().fate = Fate::Suppressed(why);
}

/// A decision that was made a minute ago and has `left` to run.
pub(crate) fn decision(id: i64, network: &str, action: Action, mode: Mode, left: Duration) -> Decision {
    let address = network.parse::<std::net::IpAddr>().map(IpNet::from);
    let made = now().minus(Duration::from_secs(60));
    Decision {
        id,
        key: DecisionKey { network: address.unwrap_or_else(|_| network.parse().unwrap()), action, mode },
        scenario: "requests-per-client".into(),
        origin: Origin::Rule,
        incident: None,
        reason: "4,120 requests in 60 s".into(),
        created: made,
        expires: now().plus(left),
        deleted: None,
        changed: made,
    }
}

fn event(seconds_ago: u64) -> EventTime {
    now().minus(Duration::from_secs(seconds_ago)).as_event_time()
}

/// An incident with one rule and one participant.
pub(crate) fn small(kind: Kind, severity: Severity, target: Subject, minutes_ago: u64) -> Case {
    let fingerprint = Fingerprint::of(kind, &target);
    let (rule, observed, threshold, window, subject) = match kind {
        Kind::Intrusion => ("Reverse shell in container", 3.0, 0.0, 60, target.clone()),
        Kind::Errors => ("server-errors", 0.31, 0.1, 60, target.clone()),
        Kind::Login => ("failed-logins", 48.0, 10.0, 60, client("198.51.100.23")),
        _ => ("requests-per-client", 912.0, 600.0, 60, client("203.0.113.9")),
    };
    let peak = RulePeak {
        severity,
        observed,
        threshold,
        window: Duration::from_secs(window),
        subject: subject.clone(),
        crowd: None,
        first: event(60 * minutes_ago),
        holds_until: event(8),
    };
    let labels = [("alertname", rule), ("kind", kind.name()), ("service", &*target.value)];
    let labels = labels.into_iter().collect::<Labels>();
    // As the fold has it: what is attacked does not take part.
    let participants: Vec<_> =
        (subject != target).then(|| participant(subject.clone(), observed)).into_iter().collect();
    let incident = Incident {
        id: IncidentId::of(&fingerprint, 1),
        fingerprint,
        episode: 1,
        version: 3,
        kind,
        severity,
        status: Status::Open,
        target,
        labels,
        rules: BTreeMap::from([(rule.into(), peak)]),
        rules_beyond: 0,
        started_at: event(60 * minutes_ago + 20),
        detected_at: event(60 * minutes_ago),
        holds_until: event(8),
        entries: BTreeSet::from(["edge-access".to_owned()]),
        opened_at: now().minus(Duration::from_secs(60 * minutes_ago)),
        changed_at: now(),
        resolved_at: None,
        resolved_by: None,
        acknowledged: None,
        assignee: None,
        steps: Vec::new(),
        closed_through: None,
        revision: 1,
        participants_total: participants.len() as u64,
        participants_estimated: false,
        stale: false,
        untold: Default::default(),
    };
    let opened = TimelineEntry {
        at: incident.opened_at,
        event_at: Some(incident.detected_at),
        actor: "beaconfire".into(),
        what: "opened".into(),
        text: format!("{rule} held of {}", subject.value),
    };
    let dossier = Dossier {
        incident,
        signals: Vec::new(),
        participants,
        timeline: vec![opened],
        samples: Vec::new(),
        points: Vec::new(),
    };
    Case {
        dossier,
        rows: Vec::new(),
        quiet: Quiet::default(),
        deliveries: Vec::new(),
        decisions: Vec::new(),
        runbook: None,
        links: Vec::new(),
    }
}

fn client(address: &str) -> Subject {
    Subject::client(Client::of(address.parse().unwrap()))
}

fn participant(subject: Subject, events: f64) -> Participant {
    Participant {
        subject,
        events: Peak(events),
        first_seen: Earliest(event(200)),
        last_seen: Latest(event(9)),
    }
}

pub(crate) fn acknowledged(mut case: Case) -> Case {
    let incident = &mut case.dossier.incident;
    incident.status = Status::Acknowledged;
    incident.acknowledged = Some(Acknowledgement {
        by: "jonas".into(),
        at: now(),
        until: now().plus(Duration::from_secs(14_400)),
    });
    case
}

pub(crate) fn resolved(mut case: Case, by: Option<&str>) -> Case {
    let incident = &mut case.dossier.incident;
    incident.status = Status::Resolved;
    incident.started_at = event(5000);
    incident.holds_until = event(2400);
    incident.resolved_at = Some(now().minus(Duration::from_secs(2000)));
    incident.resolved_by = by.map(str::to_owned);
    case
}

/// Three hundred clients against one service, with everything that can hang on an incident.
pub(crate) fn flood() -> Case {
    let mut case = small(Kind::Flood, Severity::Critical, Subject::service("shop"), 6);
    let dossier = &mut case.dossier;
    let peak = dossier.incident.rules["requests-per-client"].clone();
    let peak =
        RulePeak { severity: Severity::Critical, observed: 7412.0, subject: client("203.0.113.7"), ..peak };
    let per_prefix = RulePeak {
        observed: 14_200.0,
        threshold: 3000.0,
        subject: Subject::new(SubjectKind::Prefix, "198.51.100.0/24"),
        ..peak.clone()
    };
    dossier.incident.rules = BTreeMap::from([
        ("requests-per-client".into(), peak.clone()),
        ("requests-per-prefix".into(), per_prefix),
    ]);
    dossier.incident.participants_total = 300;
    dossier.participants = (0..40)
        .map(|at| participant(client(&format!("203.0.113.{}", 7 + at)), f64::from(7412 - 170 * at)))
        .collect();
    dossier.signals = vec![SignalRow {
        rule: "requests-per-client".into(),
        subject: client("203.0.113.7"),
        severity: Severity::Critical,
        observed: 7412.0,
        threshold: 600.0,
        window: Duration::from_secs(60),
        first: event(360),
        holds_until: event(8),
    }];
    for (rule, height) in [("requests-per-client", 7412.0), ("requests-per-prefix", 14_200.0)] {
        dossier.points.extend((0..60u32).map(|at| RatePoint {
            rule: rule.into(),
            at: event(u64::from(380 - 6 * at)),
            value: height
                * (1.0 - (-f64::from(at) / 9.0).exp())
                * (0.93 + 0.07 * f64::from(at % 5 * at % 7) / 6.0),
        }));
    }
    dossier.samples = ["GET /cart?[redacted] 200", "GET /search?[redacted] 200", "POST /login 401"]
        .into_iter()
        .zip(["Mozilla/5.0 (X11; Linux x86_64)", "python-requests/2.31", "curl/8.5.0"])
        .map(|(text, by)| Specimen {
            time: event(30),
            client: Some(Client::of("203.0.113.7".parse().unwrap())),
            text: Untrusted::new(text, 512),
            by: Untrusted::new(by, 256),
        })
        .collect();
    let entry = |seconds, actor: &str, what: &str, text: &str| TimelineEntry {
        at: now().minus(Duration::from_secs(seconds)),
        event_at: None,
        actor: actor.into(),
        what: what.into(),
        text: text.into(),
    };
    dossier.timeline.extend([
        entry(300, "beaconfire", "escalated", "from warning to critical"),
        entry(240, "beaconfire", "joined", "requests-per-prefix holds too"),
        entry(100, "mira", "noted", "looks like the scraper from last week / asked the CDN to look"),
    ]);
    let id = dossier.incident.id.clone();
    let told = Told { revision: 1, status: Status::Open, severity: Severity::Critical, silenced: false };
    let row = |receiver: &str, integration: &str, fate: Fate| Row {
        key: RowKey { incident: id.clone(), receiver: receiver.into(), integration: integration.into() },
        version: 1,
        desired: told,
        told: (fate == Fate::Delivered).then_some(told),
        handle: None,
        lane: Lane::Page,
        send_resolved: true,
        attempts: if fate == Fate::Pending { 3 } else { 0 },
        due: now().plus(Duration::from_secs(14)),
        waiting_since: now().minus(Duration::from_secs(90)),
        messages: 2,
        last_error: (fate != Fate::Delivered).then(|| "450 mailbox busy".to_owned()),
        created_at: now().minus(Duration::from_secs(360)),
        via: None,
        group: None,
        repeat: None,
        again: false,
        hushed: false,
        fate,
    };
    case.rows = vec![
        row("chat", "slack-0", Fate::Delivered),
        row("pager", "pagerduty-0", Fate::Delivered),
        row("mail", "email-0", Fate::Pending),
    ];
    let attempt =
        |seconds, (receiver, integration): (&str, &str), outcome: &str, said: Option<&str>| DeliveryFacts {
            at: now().minus(Duration::from_secs(seconds)),
            receiver: receiver.into(),
            integration: integration.into(),
            action: "open".into(),
            outcome: outcome.into(),
            said: said.map(str::to_owned),
        };
    case.deliveries = vec![
        attempt(359, ("pager", "pagerduty-0"), "accepted", None),
        attempt(300, ("mail", "email-0"), "deferred", Some("450 mailbox busy")),
    ];
    case.decisions = vec![
        decision(11, "203.0.113.7", Action::Ban, Mode::DryRun, Duration::from_secs(340)),
        decision(12, "198.51.100.0/24", Action::Throttle, Mode::Enforce, Duration::from_secs(95)),
    ];
    case.runbook = Some("https://wiki.example.com/shop".into());
    case
}
