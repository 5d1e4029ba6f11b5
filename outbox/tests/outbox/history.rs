//! Random histories: whatever happens in whatever order, the ledger adds up, a resolve never overtakes its opening,
//! and once receivers accept again everybody knows all they should.

use std::collections::BTreeMap;

use beaconfire_incident::{Fingerprint, Incident, IncidentId, Status, Transition};
use beaconfire_model::{Kind, Matchers, Severity, Subject, parse_matchers};
use beaconfire_outbox::{
    Action, Fate, Handle, Hush, InhibitRule, Inhibitors, IntegrationKind, LedgerLine, Outcome, QuietRules,
    RetryKnobs, Row, RowKey, Silence, Stretch, TimeInterval, Told, review, settle,
};
use proptest::prelude::*;

use crate::support::{Desk, receivers, route, secs, wall};

#[derive(Debug, Clone)]
enum Step {
    /// Holds again, worse, or by another rule.
    Disturb(u8),
    Acknowledge,
    AckExpires,
    Resolve,
    Stale(bool),
    Wait(i64),
    Send(usize),
    Answer(usize, u8),
    /// From now on nothing, a silence, a muted route, or another incident keeps quiet.
    Hush(u8),
    /// The process dies: what was under way is forgotten, though the receiver may have it.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0..3u8).prop_map(Step::Disturb),
        1 => Just(Step::Acknowledge),
        1 => Just(Step::AckExpires),
        2 => Just(Step::Resolve),
        1 => any::<bool>().prop_map(Step::Stale),
        1 => (0..400_000i64).prop_map(Step::Wait),
        4 => (0..8usize).prop_map(Step::Send),
        4 => (0..8usize, 0..7u8).prop_map(|(at, outcome)| Step::Answer(at, outcome)),
        2 => (0..4u8).prop_map(Step::Hush),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..60)
}

struct World {
    desk: Desk,
    now: i64,
    under_way: BTreeMap<RowKey, (Told, Action)>,
    /// What each integration has accepted, in order.
    heard: BTreeMap<RowKey, Vec<Action>>,
    /// Rows ever seen, counted apart from the ledger.
    made: usize,
    accepted: u64,
    /// Nothing is judged of what was too old to tell: it may have been on its way before it was.
    was_stale: bool,
}

impl World {
    fn new() -> Self {
        let mut desk = Desk::new();
        desk.receivers = receivers(&[
            ("chat", IntegrationKind::Slack, true),
            ("chat", IntegrationKind::Webhook, false),
            ("pager", IntegrationKind::PagerDuty, true),
        ]);
        let critical = route(Some("pager"), &[r#"severity="critical""#], true, Vec::new());
        desk.route =
            route(Some("chat"), &[], false, vec![critical, route(Some("chat"), &[], false, Vec::new())]);
        let mut world = Self {
            desk,
            now: 0,
            under_way: BTreeMap::new(),
            heard: BTreeMap::new(),
            made: 0,
            accepted: 0,
            was_stale: false,
        };
        world.happens(Transition::Opened);
        world
    }

    fn happens(&mut self, transition: Transition) {
        let known: Vec<RowKey> = self.desk.rows.iter().map(|row| row.key.clone()).collect();
        self.desk.happens(transition, wall(self.now));
        self.made += self.desk.rows.iter().filter(|row| !known.contains(&row.key)).count();
    }

    fn step(&mut self, step: Step) {
        let status = self.desk.incident.status;
        match step {
            Step::Disturb(_) if status == Status::Resolved => self.happens(Transition::Reopened),
            Step::Disturb(0) => self.happens(Transition::Escalated { from: Severity::Warning }),
            Step::Disturb(1) => self.happens(Transition::Joined { rule: "other".into() }),
            Step::Disturb(_) => self.happens(Transition::Grew),
            Step::Acknowledge if status != Status::Resolved => {
                self.happens(Transition::Acknowledged { by: "mia".into() });
            }
            Step::AckExpires if status == Status::Acknowledged => self.happens(Transition::Unacknowledged),
            Step::Resolve if status != Status::Resolved => self.happens(Transition::Resolved { by: None }),
            Step::Acknowledge | Step::AckExpires | Step::Resolve => {}
            Step::Stale(stale) => {
                self.desk.incident.stale = stale;
                self.was_stale |= stale;
            }
            Step::Wait(millis) => self.now += millis,
            Step::Hush(by) => self.hush(by),
            Step::Send(at) => {
                let Some(row) = self.desk.rows.get(at % self.desk.rows.len()) else { return };
                let due = row.due <= wall(self.now) && !self.under_way.contains_key(&row.key);
                if let Some((action, sent)) = row.sending().filter(|_| due) {
                    let hushed = self.desk.quiet.toward(&row.key.receiver).is_some();
                    let leaks = hushed && action == Action::Open && status != Status::Resolved;
                    assert!(!leaks || self.was_stale, "{row:?} disturbs though it is quiet");
                    self.under_way.insert(row.key.clone(), (sent, action));
                }
            }
            Step::Answer(at, outcome) => {
                let keys: Vec<_> = self.under_way.keys().cloned().collect();
                if let Some(key) = keys.get(at % keys.len().max(1)) {
                    self.answer(key, &self::outcome(outcome));
                }
            }
            Step::Restart => self.under_way.clear(),
        }
    }

    /// The second passes with another thing that keeps quiet. The pager is never muted: another way leads to it.
    fn hush(&mut self, by: u8) {
        let incident = &self.desk.incident;
        let silence = Silence {
            id: "s".into(),
            matchers: parse_matchers(["service=shop"]).unwrap(),
            author: String::new(),
            comment: String::new(),
            starts_at: wall(0),
            ends_at: wall(i64::MAX / 4),
            updated_at: wall(0),
        };
        let silences = if by == 1 { vec![silence] } else { Vec::new() };
        let mut rules = QuietRules::default();
        if by == 2 {
            rules.intervals.insert("always".into(), TimeInterval(vec![Stretch::default()]));
        }
        let target = Subject::service("other");
        let fingerprint = Fingerprint::of(Kind::Surge, &target);
        let labels = [("why", "explains")].into_iter().collect();
        let id = IncidentId::of(&fingerprint, 1);
        let other = Incident { id, fingerprint, target, labels, status: Status::Open, ..incident.clone() };
        let inhibit = [InhibitRule {
            source: parse_matchers(["why=explains"]).unwrap(),
            target: parse_matchers(["service=shop"]).unwrap(),
            equal: Vec::new(),
        }];
        let sources: Vec<&Incident> = if by == 3 { vec![&other] } else { Vec::new() };
        let ties = |_: &str, _: &str| false;
        let inhibitors = Inhibitors::new(&inhibit, &sources, &ties);
        let mut route = self.desk.route.clone();
        for child in &mut route.routes {
            if child.matchers == Matchers::default() {
                child.mute_times = vec!["always".into()];
            }
        }
        self.desk.quiet = Hush::new(&route, &rules, &silences, inhibitors, wall(self.now)).of(incident);
        let desk = &self.desk;
        for row in review(&desk.receivers, &desk.incident, &desk.quiet, &desk.rows, wall(self.now)) {
            self.desk.put(row);
        }
    }

    fn answer(&mut self, key: &RowKey, outcome: &Outcome) {
        let Some((sent, action)) = self.under_way.remove(key) else { return };
        let Some(row) = self.desk.rows.iter().find(|row| row.key == *key).cloned() else { return };
        if matches!(outcome, Outcome::Accepted { .. }) {
            self.heard.entry(key.clone()).or_default().push(action);
            self.accepted += 1;
        }
        self.desk.put(settle(row, sent, outcome, 0.3, &RetryKnobs::default(), wall(self.now)));
    }

    /// What must hold at any moment.
    fn hold(&self, before: &[Row]) -> Result<(), TestCaseError> {
        let lines = LedgerLine::of(&self.desk.rows);
        prop_assert!(lines.iter().all(|line| line.adds_up()), "{:?}", lines);
        prop_assert_eq!(lines.iter().map(|line| line.created).sum::<u64>(), self.made as u64);
        prop_assert_eq!(lines.iter().map(|line| line.messages).sum::<u64>(), self.accepted);
        for row in &self.desk.rows {
            let heard = self.heard.get(&row.key);
            let was = before.iter().find(|held| held.key == row.key).map(|held| &held.fate);
            prop_assert!(
                was != Some(&Fate::Delivered) || row.fate == Fate::Delivered,
                "a delivery was undone"
            );
            prop_assert_eq!(row.fate == Fate::Delivered, heard.is_some(), "delivered is what was accepted");
            prop_assert_eq!(row.told.is_some(), heard.is_some());
            prop_assert!(heard.is_none_or(|heard| heard[0] == Action::Open), "{:?}", heard);
        }
        Ok(())
    }

    /// Every receiver accepts, until there is nothing left to say.
    fn settle_all(&mut self) -> Result<(), TestCaseError> {
        self.now += 900_000;
        self.under_way.clear();
        for round in 0.. {
            let open: Vec<_> =
                self.desk.rows.iter().filter(|row| row.next_action().is_some()).cloned().collect();
            if open.is_empty() {
                break;
            }
            prop_assert!(round < 3, "an opening and one more message bring everybody up to date");
            for row in open {
                prop_assert!(row.due <= wall(self.now));
                let Some((action, sent)) = row.sending() else { continue };
                self.under_way.insert(row.key.clone(), (sent, action));
                self.answer(&row.key, &outcome(0));
            }
        }
        Ok(())
    }
}

fn outcome(number: u8) -> Outcome {
    let said = Box::from("no");
    match number {
        0 | 1 => Outcome::accepted(Some(Handle("C1/17".into()))),
        2 => Outcome::Limited { after: Some(secs(5)) },
        3 => Outcome::Deferred { after: None, said },
        4 => Outcome::Misconfigured { said },
        5 => Outcome::Rejected { said },
        _ => Outcome::Gone,
    }
}

proptest! {
    #[test]
    fn the_ledger_adds_up_and_everybody_is_told_in_the_end(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            let before = world.desk.rows.clone();
            world.step(step);
            world.hold(&before)?;
        }
        world.desk.incident.stale = false;
        world.hush(0);
        let before = world.desk.rows.clone();
        world.settle_all()?;
        world.hold(&before)?;
        let status = world.desk.incident.status;
        for row in &world.desk.rows {
            match row.fate {
                Fate::Pending | Fate::Held(_) | Fate::InDigest(_) => prop_assert!(false, "{row:?} is left over"),
                Fate::Delivered => {
                    // A message that was deleted says nothing of a silence.
                    let silenced = |told: Told| row.handle.is_none() && told.silenced != row.desired.silenced;
                    let same = |told: Told| Told { silenced: row.desired.silenced, ..told } == row.desired;
                    let knows = row.told.is_some_and(|told| told == row.desired || (silenced(told) && same(told)));
                    prop_assert!(knows || (status == Status::Resolved && !row.send_resolved), "{row:?}");
                    prop_assert_eq!(row.desired.status, status);
                }
                Fate::Suppressed(_) | Fate::Dead => {}
            }
        }
    }

    /// Nothing but accepted openings is left where receivers always accept and it stays open.
    #[test]
    fn an_open_incident_reaches_everybody(mut steps in steps()) {
        steps.retain(|step| !matches!(step, Step::Answer(_, 5) | Step::Stale(_)));
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        if world.desk.incident.status == Status::Resolved {
            world.happens(Transition::Reopened);
        }
        if world.desk.incident.status == Status::Acknowledged {
            world.happens(Transition::Unacknowledged);
        }
        world.hush(0);
        world.settle_all()?;
        for row in &world.desk.rows {
            prop_assert_eq!(&row.fate, &Fate::Delivered);
        }
    }
}
