//! Who is told when, second by second: silences, inhibition and steps, over a store that is a list.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{Actor, Command, Context, Incident, Knobs, Status};
use beaconfire_model::{
    Client, Earliest, EntryId, EventTime, Evidence, Kind, Labels, Latest, Peak, Severity, Signal, Subject,
    Wall, parse_matchers,
};
use beaconfire_outbox::{
    Action, Escalation, Fate, InhibitRule, Integration, IntegrationKind, LedgerLine, Outcome, QuietRules,
    RetryKnobs, Route, Row, Silence, Suppressed, settle,
};
use beaconfire_pipeline::{Changes, Keeper, Policy, Shelf};
use beaconfire_throttle::{Guard, Throttle};

const SILENCED: Fate = Fate::Suppressed(Suppressed::Silenced);
const INHIBITED: Fate = Fate::Suppressed(Suppressed::Inhibited);

fn event(second: i64) -> EventTime {
    EventTime::from_millis(1_700_000_000_000 + second * 1_000)
}

fn wall(second: i64) -> Wall {
    Wall::from_millis(event(second).millis())
}

fn policy() -> Policy {
    let integration = |name: &str, kind| Integration { name: name.into(), kind, send_resolved: true };
    let receivers = [
        ("chat".into(), vec![integration("slack-0", IntegrationKind::Slack)]),
        ("pager".into(), vec![integration("pagerduty-0", IntegrationKind::PagerDuty)]),
        ("boss".into(), vec![integration("email-0", IntegrationKind::Email)]),
    ];
    Policy {
        context: Context::default(),
        knobs: Knobs { ack_expiry: Duration::from_secs(600), ..Knobs::default() },
        route: Route { receiver: Some("chat".into()), ..Route::default() },
        receivers: receivers.into(),
        quiet: QuietRules::default(),
        escalations: Vec::new(),
        plan: None,
    }
}

/// Process and store.
struct Office {
    policy: Arc<Policy>,
    keeper: Keeper,
    incidents: Vec<Incident>,
    rows: Vec<Row>,
    silences: Vec<Silence>,
    timeline: Vec<String>,
}

impl Office {
    fn of(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        Self {
            keeper: keeper(&policy),
            policy,
            incidents: Vec::new(),
            rows: Vec::new(),
            silences: Vec::new(),
            timeline: Vec::new(),
        }
    }

    /// The process is another one, over the same store.
    fn restart(&mut self) {
        self.keeper = keeper(&self.policy);
    }

    fn shelf(&self, at: i64) -> Shelf {
        let over = |incident: &&Incident| incident.status != Status::Resolved;
        let mut shelf = Shelf {
            rows: self.rows.clone(),
            silences: self.silences.iter().filter(|silence| silence.ends_at > wall(at)).cloned().collect(),
            unresolved: self.incidents.iter().filter(over).cloned().collect(),
            ..Shelf::default()
        };
        for incident in &self.incidents {
            let known = (vec![incident.clone()], incident.episode);
            shelf.episodes.insert(incident.fingerprint.clone(), known);
        }
        shelf
    }

    /// Something of this service fires until the end of the test.
    fn fires(&mut self, service: &str, severity: Severity, at: i64) {
        self.keeper.receive_facts([(fact(service, severity, at), Labels::default())], wall(at));
        let changes = self.keeper.fold(&self.shelf(at), wall(at));
        self.write(changes);
    }

    /// The second passes, as the service's task has it pass.
    fn second(&mut self, at: i64) {
        let shelf = self.shelf(at);
        let stirred = self.keeper.stirred(&shelf, wall(at));
        let mut changes = self.keeper.fold_time(&shelf.unresolved, &shelf, wall(at));
        self.keeper.review(&stirred, &shelf, wall(at), &mut changes);
        self.write(changes);
    }

    fn does(&mut self, service: &str, command: Command, at: i64) {
        let incident = self.incident(service).clone();
        let changes =
            self.keeper.fold_command(&incident, &Actor("mia".into()), command, &self.shelf(at), wall(at));
        self.write(changes.unwrap());
    }

    fn write(&mut self, changes: Changes) {
        for folded in &changes.folded {
            self.incidents.retain(|held| held.id != folded.incident.id);
            self.incidents.push(folded.incident.clone());
            self.timeline.extend(folded.timeline.iter().map(|line| format!("{}: {}", line.what, line.text)));
        }
        for row in &changes.rows {
            self.rows.retain(|held| held.key != row.key);
            self.rows.push(row.clone());
        }
        self.keeper.saved(changes);
        assert!(LedgerLine::of(&self.rows).iter().all(LedgerLine::adds_up));
    }

    fn incident(&self, service: &str) -> &Incident {
        self.incidents.iter().find(|incident| &*incident.target.value == service).unwrap()
    }

    /// What became of the row of this receiver.
    fn fate(&self, service: &str, receiver: &str) -> Option<Fate> {
        let id = &self.incident(service).id;
        let own = |row: &&Row| row.key.incident == *id && &*row.key.receiver == receiver;
        self.rows.iter().find(own).map(|row| row.fate.clone())
    }

    /// A receiver has accepted what waited for it.
    fn accept(&mut self, service: &str, receiver: &str, at: i64) {
        let id = self.incident(service).id.clone();
        let own = |row: &&mut Row| row.key.incident == id && &*row.key.receiver == receiver;
        let row = self.rows.iter_mut().find(own).unwrap();
        let (_, sent) = row.sending().unwrap();
        let accepted = Outcome::accepted(None);
        *row = settle(row.clone(), sent, &accepted, 0.5, &RetryKnobs::default(), wall(at));
    }

    #[track_caller]
    fn is(&self, receiver: &str, fate: Option<Fate>) {
        assert_eq!(self.fate("shop", receiver), fate, "{receiver}: {:#?}", self.timeline);
    }

    fn said(&self, text: &str) -> usize {
        self.timeline.iter().filter(|line| line.contains(text)).count()
    }
}

fn keeper(policy: &Arc<Policy>) -> Keeper {
    Keeper::new(1, policy.clone(), Throttle::new(BTreeMap::new(), Guard::default()))
}

fn fact(service: &str, severity: Severity, at: i64) -> Signal {
    Signal {
        rule: "rate".into(),
        kind: Kind::External,
        severity,
        target: Subject::service(service),
        subject: Subject::client(Client::of([203, 0, 113, 7].into())),
        first: Earliest(event(at)),
        began: Earliest(event(at)),
        holds_until: Latest(event(100_000)),
        evidence: Evidence {
            observed: Peak(700.0),
            threshold: 600.0,
            window: Duration::from_secs(60),
            crowd: None,
            series: Vec::new(),
        },
        participants: Vec::new(),
        samples: Vec::new(),
        entry: EntryId::OUTSIDE,
    }
}

fn silence(from: i64, until: i64) -> Silence {
    Silence {
        id: "5e1f".into(),
        matchers: parse_matchers(["service=shop"]).unwrap(),
        author: "ann".into(),
        comment: String::new(),
        starts_at: wall(from),
        ends_at: wall(until),
        updated_at: wall(from),
    }
}

#[test]
fn what_is_silenced_is_told_when_that_ends_and_the_timeline_says_both() {
    let mut office = Office::of(policy());
    office.silences = vec![silence(0, 60)];
    office.fires("shop", Severity::Warning, 1);
    office.is("chat", Some(SILENCED));
    assert_eq!(office.said("silenced: chat is not told: silenced by ann (5e1f) until"), 1);
    for at in 2..60 {
        office.second(at);
    }
    office.is("chat", Some(SILENCED));
    assert_eq!(office.timeline.len(), 2, "opened, and why nobody is told: {:#?}", office.timeline);
    office.second(60);
    office.is("chat", Some(Fate::Pending));
    assert_eq!(office.said("released: chat is told"), 1);
}

/// Nobody was there when the silence ended, or somebody ended it by hand a moment ago.
#[test]
fn a_silence_that_ended_while_no_process_ran_is_noticed_by_the_next() {
    let mut office = Office::of(policy());
    office.silences = vec![silence(0, 60)];
    office.fires("shop", Severity::Warning, 1);
    office.second(2);
    office.restart();
    office.silences.clear();
    office.second(30);
    office.is("chat", Some(Fate::Pending));
}

#[test]
fn a_silence_that_begins_and_ends_between_two_seconds_keeps_nothing_back_for_ever() {
    let mut office = Office::of(policy());
    office.second(1);
    office.silences = vec![silence(1, 60)];
    office.fires("shop", Severity::Warning, 1);
    office.is("chat", Some(SILENCED));
    office.silences.clear();
    office.second(2);
    office.is("chat", Some(Fate::Pending));
}

/// Who says that it is over may have been told before it was silenced: they are told, silenced or not.
#[test]
fn what_its_sender_ends_is_told_to_who_saw_it() {
    let mut office = Office::of(policy());
    office.fires("shop", Severity::Warning, 1);
    office.second(2);
    office.accept("shop", "chat", 3);
    office.silences = vec![silence(4, 60)];
    office.second(4);
    let over = office.incident("shop").clone();
    let changes = office.keeper.fold_over(&[over], &office.shelf(5), wall(5));
    office.write(changes);
    assert_eq!(office.rows[0].next_action(), Some(Action::Resolve), "{:?}", office.rows[0]);
}

#[test]
fn what_another_incident_inhibits_is_told_when_that_is_over() {
    let mut policy = policy();
    policy.quiet.inhibit = vec![InhibitRule {
        source: parse_matchers(["severity=critical"]).unwrap(),
        target: parse_matchers(["severity=warning"]).unwrap(),
        equal: vec!["kind".into()],
    }];
    let mut office = Office::of(policy);
    office.fires("db", Severity::Critical, 1);
    office.fires("shop", Severity::Warning, 2);
    office.is("chat", Some(INHIBITED));
    assert_eq!(office.fate("db", "chat"), Some(Fate::Pending), "what explains it is told");
    office.second(3);
    // Somebody on the source does not end it; its end does.
    office.does("db", Command::Acknowledge, 4);
    office.second(5);
    office.is("chat", Some(INHIBITED));
    office.does("db", Command::Resolve, 6);
    office.second(7);
    office.is("chat", Some(Fate::Pending));
}

fn escalating() -> Office {
    let step = |after, to: &str| (Duration::from_secs(after), to.into());
    let steps = vec![step(300, "pager"), step(900, "boss")];
    let escalations = vec![Escalation { matchers: parse_matchers(["service=shop"]).unwrap(), steps }];
    let mut office = Office::of(Policy { escalations, ..policy() });
    office.fires("shop", Severity::Warning, 0);
    office.second(1);
    office
}

#[test]
fn steps_are_taken_at_their_times_though_the_process_is_another_by_then() {
    let mut office = escalating();
    office.second(299);
    office.is("pager", None);
    office.restart();
    office.second(300);
    office.second(301);
    office.is("pager", Some(Fate::Pending));
    office.is("boss", None);
    assert_eq!(office.said("step: step 1 of 2: nobody has taken it, next is pager"), 1);
    office.second(899);
    office.is("boss", None);
    office.second(900);
    office.is("boss", Some(Fate::Pending));
    office.second(901);
    assert_eq!(office.said("step: "), 2, "each once");
}

#[test]
fn whoever_takes_it_stops_the_steps_and_they_begin_again_when_that_runs_out() {
    let mut office = escalating();
    office.does("shop", Command::Acknowledge, 200);
    for at in [300, 500, 799] {
        office.second(at);
    }
    office.is("pager", None);
    // The acknowledgement lasts 600 s.
    office.second(800);
    assert_eq!(office.incident("shop").status, Status::Open);
    office.second(1_099);
    office.is("pager", None);
    office.second(1_100);
    office.is("pager", Some(Fate::Pending));
}

#[test]
fn what_is_over_is_escalated_to_nobody() {
    let mut office = escalating();
    office.does("shop", Command::Resolve, 200);
    office.second(300);
    office.second(900);
    office.is("pager", None);
}

#[test]
fn a_step_under_a_silence_is_taken_and_told_when_the_silence_ends() {
    let mut office = escalating();
    office.silences = vec![silence(250, 400)];
    office.second(250);
    office.second(300);
    office.is("pager", Some(SILENCED));
    office.second(400);
    office.is("pager", Some(Fate::Pending));
}

#[test]
fn a_silence_that_begins_or_ends_in_the_second_of_a_step_counts_for_all() {
    let mut office = escalating();
    office.silences = vec![silence(300, 900)];
    office.second(300);
    office.is("pager", Some(SILENCED));
    office.is("chat", Some(SILENCED));
    office.second(301);
    office.second(900);
    for receiver in ["chat", "pager", "boss"] {
        office.is(receiver, Some(Fate::Pending));
    }
    office.second(901);
    assert_eq!((office.said("silenced: "), office.said("released: ")), (1, 1), "{:#?}", office.timeline);
}

#[test]
fn to_be_given_an_incident_is_no_acknowledgement() {
    let mut office = escalating();
    office.does("shop", Command::Assign("  zoe ".into()), 10);
    assert_eq!(office.incident("shop").assignee.as_deref(), Some("zoe"));
    assert_eq!(office.said("assigned: to zoe"), 1);
    office.second(300);
    office.is("pager", Some(Fate::Pending));
    office.does("shop", Command::Assign(String::new()), 310);
    assert_eq!(office.incident("shop").assignee, None);
}
