//! What is kept back, and what is told when that ends.

use beaconfire_incident::{Fingerprint, Incident, IncidentId, Status, Transition};
use beaconfire_model::{EventTime, Kind, Labels, Severity, Subject, SubjectKind, parse_matchers};
use beaconfire_outbox::{
    Action, ByHand, Escalation, Fate, Hush, InhibitRule, Inhibitors, IntegrationKind, LedgerLine, Outcome,
    Quiet, QuietRules, RetryKnobs, Route, Silence, Stretch, Suppressed, TimeInterval, begin, due, reach,
    review, settle,
};

use crate::support::{Desk, incident, receivers, route, secs, wall};

fn silence(matcher: &str, from: i64, until: i64) -> Silence {
    Silence {
        id: format!("{from}-{until}").into(),
        matchers: parse_matchers([matcher]).unwrap(),
        author: "ann".into(),
        comment: String::new(),
        starts_at: wall(from),
        ends_at: wall(until),
        updated_at: wall(from),
    }
}

fn no_ties(_: &str, _: &str) -> bool {
    false
}

impl Desk {
    /// The second passes under these silences and rules: what keeps quiet is judged anew.
    fn second(&mut self, silences: &[Silence], rules: &QuietRules, others: &[Incident], at: i64) {
        let unresolved: Vec<&Incident> = others.iter().chain([&self.incident]).collect();
        let inhibitors = Inhibitors::new(&rules.inhibit, &unresolved, &no_ties);
        self.quiet = Hush::new(&self.route, rules, silences, inhibitors, wall(at)).of(&self.incident);
        for row in review(&self.receivers, &self.incident, &self.quiet, &self.rows, wall(at)) {
            self.put(row);
        }
        assert!(LedgerLine::of(&self.rows).iter().all(LedgerLine::adds_up));
    }

    fn accept(&mut self, at: i64) {
        let row = self.rows.remove(0);
        let (_, sent) = row.sending().expect("something to tell");
        let accepted = Outcome::Accepted { remote: None, said: None };
        self.rows.insert(0, settle(row, sent, &accepted, 0.5, &RetryKnobs::default(), wall(at)));
    }

    #[track_caller]
    fn is(&self, fate: Fate, action: Option<Action>) {
        assert_eq!((&self.rows[0].fate, self.rows[0].next_action()), (&fate, action));
    }
}

const SILENCED: Fate = Fate::Suppressed(Suppressed::Silenced);
const MUTED: Fate = Fate::Suppressed(Suppressed::Muted);

#[test]
fn a_silence_that_ends_brings_nothing_back_that_was_dropped_and_keeps_back_what_is_tried() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    let silences = [silence("service=shop", 2_000, 10_000)];
    desk.happens(Transition::Opened, wall(0));
    let dropped = ByHand::Drop.apply(desk.rows[0].clone(), wall(1_000)).unwrap();
    desk.put(dropped);
    for at in [2_000, 10_000] {
        desk.second(&silences, &rules, &[], at);
        desk.is(Fate::Suppressed(Suppressed::Dropped), None);
    }
    let tried = ByHand::Retry.apply(desk.rows[0].clone(), wall(11_000)).unwrap();
    desk.put(tried);
    desk.second(&[silence("service=shop", 11_000, 20_000)], &rules, &[], 11_500);
    desk.is(SILENCED, None);
    desk.second(&[], &rules, &[], 20_000);
    desk.is(Fate::Pending, Some(Action::Open));
}

#[test]
fn a_silenced_incident_is_told_when_the_silence_ends_while_it_is_open() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    let silences = [silence("service=shop", 0, 10_000), silence("service=till", 0, 99_000)];
    desk.second(&silences, &rules, &[], 0);
    desk.happens(Transition::Opened, wall(0));
    desk.is(SILENCED, None);
    desk.second(&silences, &rules, &[], 9_999);
    desk.is(SILENCED, None);
    desk.second(&silences, &rules, &[], 10_000);
    desk.is(Fate::Pending, Some(Action::Open));
    assert_eq!((desk.rows[0].due, desk.rows[0].waiting_since), (wall(10_000), wall(10_000)));
}

#[test]
fn what_resolves_under_a_silence_is_never_told() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    let silences = [silence("service=shop", 0, 10_000)];
    desk.second(&silences, &rules, &[], 0);
    desk.happens(Transition::Opened, wall(0));
    desk.happens(Transition::Resolved { by: None }, wall(5_000));
    desk.second(&silences, &rules, &[], 10_000);
    desk.is(SILENCED, None);
}

#[test]
fn a_silence_that_comes_before_the_message_is_sent_keeps_it_back() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    desk.second(&[silence("service=shop", 1_000, 2_000)], &rules, &[], 0);
    desk.is(Fate::Pending, Some(Action::Open));
    desk.second(&[silence("service=shop", 1_000, 2_000)], &rules, &[], 1_000);
    desk.is(SILENCED, None);
    // What was under way at that moment has arrived: it counts, and hears of the end.
    let under_way = desk.rows[0].clone();
    let sent = beaconfire_outbox::Told {
        revision: 1,
        status: Status::Open,
        severity: Severity::Warning,
        silenced: false,
    };
    let accepted = Outcome::Accepted { remote: None, said: None };
    desk.rows = vec![settle(under_way, sent, &accepted, 0.5, &RetryKnobs::default(), wall(1_001))];
    desk.happens(Transition::Resolved { by: None }, wall(1_500));
    desk.is(Fate::Delivered, Some(Action::Resolve));
}

#[test]
fn who_saw_the_open_hears_of_the_resolve_though_it_is_silenced_by_then() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    desk.accept(1);
    desk.second(&[silence("service=shop", 10, 99_000)], &rules, &[], 10);
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(20));
    desk.is(Fate::Delivered, None);
    desk.happens(Transition::Acknowledged { by: "ann".into() }, wall(30));
    desk.is(Fate::Delivered, Some(Action::Acknowledge));
    desk.happens(Transition::Resolved { by: None }, wall(40));
    desk.is(Fate::Delivered, Some(Action::Resolve));
}

#[test]
fn what_was_kept_from_who_saw_the_open_is_told_when_the_silence_ends() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    desk.accept(1);
    let silences = [silence("service=shop", 10, 99)];
    desk.second(&silences, &rules, &[], 10);
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(20));
    desk.second(&silences, &rules, &[], 98);
    desk.is(Fate::Delivered, None);
    desk.second(&silences, &rules, &[], 99);
    desk.is(Fate::Delivered, Some(Action::Open));
    assert_eq!(desk.rows[0].desired.severity, Severity::Critical);
}

#[test]
fn whoever_is_on_it_is_not_disturbed_by_the_end_of_a_silence() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    let silences = [silence("service=shop", 0, 10)];
    desk.second(&silences, &rules, &[], 0);
    desk.happens(Transition::Opened, wall(0));
    desk.happens(Transition::Acknowledged { by: "ann".into() }, wall(5));
    desk.second(&silences, &rules, &[], 10);
    desk.is(SILENCED, None);
    desk.happens(Transition::Unacknowledged, wall(20));
    desk.is(Fate::Pending, Some(Action::Open));
}

/// A chat's message says that it is silenced, and no longer when that ends; nobody is disturbed by either.
#[test]
fn a_silence_that_comes_after_the_message_changes_it_where_that_can_be_done() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.receivers =
        receivers(&[("chat", IntegrationKind::Slack, true), ("chat", IntegrationKind::Email, true)]);
    desk.happens(Transition::Opened, wall(0));
    for at in [0, 1] {
        let row = desk.rows.remove(0);
        let (_, sent) = row.sending().unwrap();
        let accepted = Outcome::accepted(Some(beaconfire_outbox::Handle("C1:17".into())));
        desk.rows.push(settle(row, sent, &accepted, 0.5, &RetryKnobs::default(), wall(at)));
    }
    let silences = [silence("service=shop", 10, 99)];
    desk.second(&silences, &rules, &[], 10);
    desk.is(Fate::Delivered, Some(Action::Update));
    assert_eq!(desk.rows[0].lane, beaconfire_outbox::Lane::Update);
    assert_eq!(desk.rows[1].next_action(), None, "a mail cannot be changed");
    let row = desk.rows[0].clone();
    let (_, sent) = row.sending().unwrap();
    assert!(sent.silenced && sent.status == Status::Open);
    desk.rows[0] = settle(row, sent, &Outcome::accepted(None), 0.5, &RetryKnobs::default(), wall(11));
    desk.is(Fate::Delivered, None);
    desk.second(&silences, &rules, &[], 98);
    desk.is(Fate::Delivered, None);
    desk.second(&silences, &rules, &[], 99);
    desk.is(Fate::Delivered, Some(Action::Update));
    // The end of it takes the place of that.
    desk.happens(Transition::Resolved { by: None }, wall(100));
    desk.is(Fate::Delivered, Some(Action::Resolve));
    assert!(!desk.rows[0].desired.silenced);
}

#[test]
fn news_that_was_on_its_way_to_who_saw_the_open_is_kept_back_too() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    desk.accept(1);
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(20));
    desk.is(Fate::Delivered, Some(Action::Open));
    let silences = [silence("service=shop", 30, 99)];
    desk.second(&silences, &rules, &[], 30);
    desk.is(Fate::Delivered, None);
    desk.second(&silences, &rules, &[], 99);
    desk.is(Fate::Delivered, Some(Action::Open));
    assert_eq!(desk.rows[0].desired.severity, Severity::Critical);
}

/// What a digest has told of counts as told.
#[test]
fn what_a_digest_told_of_is_kept_quiet_like_what_was_told_by_itself() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    let told = desk.rows[0].desired;
    let in_digest = Fate::InDigest(beaconfire_outbox::DigestId(1));
    desk.rows[0].fate = in_digest.clone();
    desk.rows[0].told = Some(told);
    let silences = [silence("service=shop", 10, 99)];
    desk.second(&silences, &rules, &[], 10);
    desk.happens(Transition::Escalated { from: Severity::Warning }, wall(20));
    desk.is(in_digest.clone(), None);
    desk.second(&silences, &rules, &[], 99);
    desk.is(in_digest, Some(Action::Open));
}

#[test]
fn what_is_kept_quiet_is_not_told_again() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    desk.accept(1);
    let due = desk.rows[0].repeat_at();
    assert!(due.is_some());
    let mut nights = nights();
    desk.route.routes = vec![at_times("chat", &["nights"], &[], false)];
    desk.second(&[], &nights, &[], 10);
    assert_eq!(desk.rows[0].repeat_at(), None);
    nights.intervals.clear();
    desk.second(&[], &nights, &[], 20);
    assert_eq!(desk.rows[0].repeat_at(), due, "as if nothing had been");
    // It was put up to be told again when the silence came.
    desk.rows[0].again = true;
    desk.is(Fate::Delivered, Some(Action::Open));
    desk.second(&[silence("service=shop", 30, 99)], &rules, &[], 30);
    desk.is(Fate::Delivered, None);
    assert_eq!(desk.rows[0].repeat_at(), None);
}

/// A storm's digest does not tell of what was silenced before it went.
#[test]
fn what_is_held_for_a_digest_leaves_it_when_it_is_silenced() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    desk.rows[0].fate = Fate::Held(beaconfire_outbox::DigestId(1));
    let silences = [silence("service=shop", 10, 99)];
    desk.second(&silences, &rules, &[], 10);
    desk.is(SILENCED, None);
    desk.second(&silences, &rules, &[], 99);
    desk.is(Fate::Pending, Some(Action::Open));
}

#[test]
fn what_waits_to_be_told_is_kept_back_though_somebody_is_on_it() {
    let (mut desk, rules) = (Desk::new(), QuietRules::default());
    desk.happens(Transition::Opened, wall(0));
    desk.happens(Transition::Acknowledged { by: "ann".into() }, wall(5));
    desk.is(Fate::Pending, Some(Action::Open));
    let silences = [silence("service=shop", 10, 99)];
    desk.second(&silences, &rules, &[], 10);
    desk.is(SILENCED, None);
    desk.second(&silences, &rules, &[], 99);
    desk.is(SILENCED, None);
    desk.happens(Transition::Unacknowledged, wall(100));
    desk.is(Fate::Pending, Some(Action::Open));
}

/// 1 700 000 000 s, the tests' zero, is 22:13:20 of a Tuesday in UTC.
fn nights() -> QuietRules {
    let nights = Stretch { times: vec![(22 * 60, 24 * 60)], ..Stretch::default() };
    QuietRules { intervals: [("nights".into(), TimeInterval(vec![nights]))].into(), ..QuietRules::default() }
}

fn at_times(receiver: &str, mute: &[&str], active: &[&str], continues: bool) -> Route {
    let names = |of: &[&str]| of.iter().map(|&name| name.into()).collect();
    Route {
        mute_times: names(mute),
        active_times: names(active),
        ..route(Some(receiver), &[], continues, Vec::new())
    }
}

#[test]
fn a_muted_route_tells_at_the_end_of_the_interval() {
    let mut desk = Desk::new();
    desk.route.routes = vec![at_times("chat", &["nights"], &[], false)];
    desk.second(&[], &nights(), &[], 0);
    desk.happens(Transition::Opened, wall(0));
    desk.is(MUTED, None);
    let said = desk.quiet.toward("chat").map(beaconfire_outbox::Hushed::said);
    assert_eq!(said.as_deref(), Some("muted at this time: nights"));
    // 00:00:00.
    let midnight = (3_600 + 46 * 60 + 40) * 1_000;
    desk.second(&[], &nights(), &[], midnight - 1);
    desk.is(MUTED, None);
    desk.second(&[], &nights(), &[], midnight);
    desk.is(Fate::Pending, Some(Action::Open));
}

#[test]
fn a_route_that_is_active_at_times_tells_only_then() {
    let mut desk = Desk::new();
    desk.route.routes = vec![at_times("chat", &[], &["nights"], false)];
    desk.second(&[], &nights(), &[], 0);
    desk.happens(Transition::Opened, wall(0));
    desk.is(Fate::Pending, Some(Action::Open));
    desk.second(&[], &nights(), &[], 2 * 3_600 * 1_000);
    desk.is(MUTED, None);
    let said = desk.quiet.toward("chat").map(beaconfire_outbox::Hushed::said);
    assert_eq!(said.as_deref(), Some("muted at this time: outside of nights"));
}

#[test]
fn a_receiver_with_another_way_to_it_is_not_muted() {
    let mut desk = Desk::new();
    desk.route.routes = vec![at_times("chat", &["nights"], &[], true), at_times("chat", &[], &[], false)];
    desk.second(&[], &nights(), &[], 0);
    desk.happens(Transition::Opened, wall(0));
    desk.is(Fate::Pending, Some(Action::Open));
}

fn other(kind: Kind, target: Subject, labels: &[(&str, &str)]) -> Incident {
    let fingerprint = Fingerprint::of(kind, &target);
    let labels = Labels::from_iter(labels.iter().copied());
    Incident { id: IncidentId::of(&fingerprint, 1), fingerprint, kind, target, labels, ..incident() }
}

fn rule(source: &str, target: &str, equal: &[&str]) -> InhibitRule {
    InhibitRule {
        source: parse_matchers([source]).unwrap(),
        target: parse_matchers([target]).unwrap(),
        equal: equal.iter().map(|&name| name.to_owned()).collect(),
    }
}

#[track_caller]
fn inhibits(rule: InhibitRule, source: &Incident, target: &Incident, expect: bool) {
    let rules = [rule];
    let inhibitors = Inhibitors::new(&rules, &[source, target], &no_ties);
    assert_eq!(inhibitors.of(target), expect.then_some(&source.id));
}

#[test]
fn a_rule_inhibits_as_alertmanagers_does() {
    let page = other(Kind::Flood, Subject::service("a"), &[("severity", "critical"), ("service", "shop")]);
    let warn = other(Kind::Login, Subject::service("b"), &[("severity", "warning"), ("service", "shop")]);
    let apart = other(Kind::Login, Subject::service("c"), &[("severity", "warning"), ("service", "till")]);
    let by = |equal: &[&str]| rule("severity=critical", "severity=warning", equal);
    inhibits(by(&["service"]), &page, &warn, true);
    inhibits(by(&["service"]), &page, &apart, false);
    inhibits(by(&[]), &page, &apart, true);
    // A label that neither has is alike.
    inhibits(by(&["cluster"]), &page, &apart, true);
    let resolved = Incident { status: Status::Resolved, ..page.clone() };
    inhibits(by(&["service"]), &resolved, &warn, false);
    let acknowledged = Incident { status: Status::Acknowledged, ..page.clone() };
    inhibits(by(&["service"]), &acknowledged, &warn, true);
    let late = Incident { stale: true, ..page.clone() };
    inhibits(by(&["service"]), &late, &warn, false);
    // What is on both sides is not inhibited by what is on both sides, and never by itself.
    inhibits(rule("service=shop", "service=shop", &[]), &page, &warn, false);
    inhibits(rule("service=shop", "severity=warning", &[]), &page, &warn, true);
    inhibits(rule("severity=~\".+\"", "service=shop", &[]), &apart, &warn, true);
}

#[test]
fn use_of_resources_is_not_told_while_its_cause_is_known_and_mining_always_is() {
    let flood = other(Kind::Flood, Subject::service("shop"), &[]);
    let ties = |service: &str, workload: &str| service == "shop" && workload == "shop/web";
    let asked = |target: &Incident, cause: &Incident| {
        Inhibitors::new(&[], &[cause, target], &ties).of(target).cloned()
    };
    let workload = |kind, name: &str| other(kind, Subject::new(SubjectKind::Workload, name), &[]);
    let used = workload(Kind::Resource, "shop/web");
    assert_eq!(asked(&used, &flood), Some(flood.id.clone()));
    assert_eq!(asked(&workload(Kind::Resource, "till/web"), &flood), None);
    assert_eq!(asked(&workload(Kind::Mining, "shop/web"), &flood), None);
    assert_eq!(asked(&used, &Incident { status: Status::Resolved, ..flood.clone() }), None);
    let later = EventTime::from_millis(3_600_000);
    let unrelated = Incident { started_at: later, holds_until: later, ..flood.clone() };
    assert_eq!(asked(&used, &unrelated), None);
    // The cause itself is told.
    assert_eq!(asked(&flood, &used), None);
}

#[test]
fn the_target_is_told_when_its_source_has_resolved() {
    let mut desk = Desk::new();
    let rules = QuietRules {
        inhibit: vec![rule("severity=critical", "severity=warning", &["service"])],
        ..QuietRules::default()
    };
    let page = other(Kind::Surge, Subject::service("s"), &[("severity", "critical"), ("service", "shop")]);
    desk.second(&[], &rules, std::slice::from_ref(&page), 0);
    desk.happens(Transition::Opened, wall(0));
    desk.is(Fate::Suppressed(Suppressed::Inhibited), None);
    // A silence besides changes nothing while it is inhibited, and takes over then.
    let silences = [silence("service=shop", 0, 20)];
    desk.second(&silences, &rules, &[page], 5);
    desk.is(Fate::Suppressed(Suppressed::Inhibited), None);
    desk.second(&silences, &rules, &[], 10);
    desk.is(SILENCED, None);
    desk.second(&silences, &rules, &[], 20);
    desk.is(Fate::Pending, Some(Action::Open));
}

#[test]
fn steps_are_counted_from_absolute_times_and_only_while_nobody_is_on_it() {
    let to = |after, receiver: &str| (secs(after), receiver.into());
    let entry = |matcher: &str, steps| Escalation { matchers: parse_matchers([matcher]).unwrap(), steps };
    let escalations = [
        entry("severity=critical", vec![to(1, "boss")]),
        entry("service=shop", vec![to(300, "pager"), to(900, "boss")]),
        entry("service=shop", vec![to(2, "never")]),
    ];
    let mut told = incident();
    told.steps = begin(&escalations, &told, wall(0));
    let steps: Vec<_> = told.steps.iter().map(|step| (step.due, &*step.receiver, step.done)).collect();
    assert_eq!(steps, [(wall(300_000), "pager", false), (wall(900_000), "boss", false)]);
    assert_eq!(due(&told, wall(299_999)), None);
    assert_eq!(due(&told, wall(300_000)), Some(0));
    told.steps[0].done = true;
    assert_eq!(due(&told, wall(899_999)), None);
    assert_eq!(due(&told, wall(900_000)), Some(1));
    assert_eq!(due(&Incident { status: Status::Acknowledged, ..told.clone() }, wall(900_000)), None);
    assert_eq!(due(&Incident { stale: true, ..told.clone() }, wall(900_000)), None);
}

#[test]
fn a_step_reaches_those_of_its_receivers_integrations_that_were_not() {
    let mut desk = Desk::new();
    desk.receivers =
        receivers(&[("chat", IntegrationKind::Slack, true), ("chat", IntegrationKind::Email, false)]);
    desk.happens(Transition::Opened, wall(0));
    let quiet = Quiet::default();
    let reached = |desk: &Desk, quiet: &Quiet| {
        reach(&desk.receivers, &desk.incident, &"chat".into(), &desk.rows, quiet, wall(9))
    };
    assert_eq!(reached(&desk, &quiet), []);
    desk.rows.pop();
    let rows = reached(&desk, &quiet);
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0].key.integration, rows[0].next_action()), ("email-1", Some(Action::Open)));
    desk.second(&[silence("service=shop", 0, 99)], &QuietRules::default(), &[], 9);
    assert_eq!(reached(&desk, &desk.quiet)[0].fate, SILENCED);
}
