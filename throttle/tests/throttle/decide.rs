//! From folds to decisions.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_incident::{Context, Folded, Knobs, Status, fold_signals};
use beaconfire_model::{
    Earliest, EntryId, EventTime, Evidence, Kind, Latest, Peak, Severity, Signal, Subject, SubjectKind, Wall,
};
use beaconfire_throttle::{
    Action, Allows, Decision, Guard, Mode, Never, Refusal, RuleThrottle, Scope, Standing, Throttle, Verdict,
};

use crate::support::{decision, net, wall};

const HOUR: Duration = Duration::from_secs(3_600);

fn throttle(guard: Guard) -> Throttle {
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let rule = |action, duration, mode| RuleThrottle { action, duration, mode };
    let rules = BTreeMap::from([
        ("rate".into(), rule(Action::Ban, minutes(10), Mode::Enforce)),
        ("burst".into(), rule(Action::Ban, minutes(60), Mode::Enforce)),
        ("trial".into(), rule(Action::Ban, minutes(10), Mode::DryRun)),
        ("slow".into(), rule(Action::Throttle, minutes(10), Mode::Enforce)),
    ]);
    Throttle::new(rules, guard)
}

/// What a fold makes of these (rule, kind, subject), all seen at this second.
fn folded(facts: &[(&str, SubjectKind, &str)], second: i64) -> Folded {
    of_kind(Kind::Flood, facts, second)
}

fn of_kind(trouble: Kind, facts: &[(&str, SubjectKind, &str)], second: i64) -> Folded {
    let at = wall(second).as_event_time();
    let signals: Vec<Signal> = facts
        .iter()
        .map(|(rule, kind, value)| Signal {
            rule: (*rule).into(),
            kind: trouble,
            severity: Severity::Warning,
            target: Subject::service("shop"),
            subject: Subject::new(*kind, value),
            first: Earliest(at),
            began: Earliest(at),
            holds_until: Latest(at),
            evidence: Evidence {
                observed: Peak(4_120.0),
                threshold: 600.0,
                window: Duration::from_secs(60),
                crowd: None,
                series: Vec::new(),
            },
            participants: Vec::new(),
            samples: Vec::new(),
            entry: EntryId(0),
        })
        .collect();
    let (mut folded, _) =
        fold_signals(&[], 0, &signals, EventTime::MAX, wall(second), &Context::default(), &Knobs::default());
    folded.remove(0)
}

trait At {
    /// What a fold comes to where nothing is allowed.
    fn at(&mut self, folded: &Folded, active: &[Decision], now: Wall) -> Vec<Verdict>;
}

impl At for Throttle {
    fn at(&mut self, folded: &Folded, active: &[Decision], now: Wall) -> Vec<Verdict> {
        self.consider(folded, Standing { now, active, allows: &Allows::default(), max_age: HOUR })
    }
}

fn shown(verdicts: &[Verdict]) -> Vec<String> {
    let show = |verdict: &Verdict| match verdict {
        Verdict::Decide(decision) => format!(
            "{} {} {} for {} s",
            decision.key.action.name(),
            decision.key.mode.name(),
            decision.value(),
            decision.expires.since(decision.created).as_secs()
        ),
        Verdict::Refuse(subject, refusal) => format!("{} {}", refusal.name(), subject.value),
    };
    verdicts.iter().map(show).collect()
}

#[track_caller]
fn check(facts: &[(&str, SubjectKind, &str)], expected: &[&str]) {
    let verdicts = throttle(Guard::default()).at(&folded(facts, 0), &[], wall(0));
    assert_eq!(shown(&verdicts), expected);
}

use SubjectKind::{Client, Path, Prefix, Service};

#[test]
fn clients_and_prefixes_are_decided_by_their_rule() {
    check(&[("rate", Client, "203.0.113.7")], &["ban enforce 203.0.113.7 for 600 s"]);
    check(&[("trial", Client, "203.0.113.7")], &["ban dry_run 203.0.113.7 for 600 s"]);
    check(&[("rate", Prefix, "203.0.113.0/24")], &["ban enforce 203.0.113.0/24 for 600 s"]);
    check(&[("slow", Client, "2001:db8:1:2::/64")], &["throttle enforce 2001:db8:1:2::/64 for 600 s"]);
    check(&[("rate", Client, "203.0.113.7 /login now")], &["ban enforce 203.0.113.7 for 600 s"]);
}

/// Behind it are many who did nothing.
#[test]
fn an_address_that_a_sensor_says_is_shared_is_left_alone_for_an_hour() {
    let mut throttle = throttle(Guard::default());
    let flood = |second| folded(&[("rate", Client, "203.0.113.7")], second);
    let sensor = of_kind(Kind::Sensor, &[("likely-proxy", Client, "203.0.113.7")], 0);
    assert_eq!(shown(&throttle.at(&sensor, &[], wall(0))), Vec::<String>::new());
    assert_eq!(shown(&throttle.at(&flood(10), &[], wall(10))), ["shared 203.0.113.7"]);
    let other = folded(&[("rate", Client, "203.0.113.8")], 10);
    assert_eq!(shown(&throttle.at(&other, &[], wall(10))), ["ban enforce 203.0.113.8 for 600 s"]);
    assert_eq!(shown(&throttle.at(&flood(3_601), &[], wall(3_601))), ["ban enforce 203.0.113.7 for 600 s"]);
}

#[test]
fn what_is_no_address_is_left_alone_even_if_it_looks_like_one() {
    check(&[("rate", Path, "203.0.113.7")], &[]);
    check(&[("rate", Service, "shop")], &[]);
    check(&[("rate", Client, "example.com")], &[]);
    check(&[("unknown", Client, "203.0.113.7")], &[]);
}

#[test]
fn the_protected_are_refused_and_said_so_once() {
    check(&[("rate", Client, "10.0.0.1"), ("burst", Client, "10.0.0.1")], &["never 10.0.0.1"]);
    check(&[("rate", Prefix, "203.0.112.0/20")], &["too_wide 203.0.112.0/20"]);
}

#[test]
fn two_rules_of_one_client_make_one_decision_unless_the_second_is_much_longer() {
    let fold = folded(&[("rate", Client, "203.0.113.7"), ("burst", Client, "203.0.113.7")], 0);
    let verdicts = throttle(Guard::default()).at(&fold, &[], wall(0));
    assert_eq!(shown(&verdicts), ["ban enforce 203.0.113.7 for 3600 s"], "burst sorts first");
    let fold = folded(&[("rate", Client, "203.0.113.7")], 0);
    let hour = [decision(1, "203.0.113.7", Mode::Enforce, 0, 3_600)];
    assert_eq!(throttle(Guard::default()).at(&fold, &hour, wall(0)), []);
    let fold = folded(&[("burst", Client, "203.0.113.7")], 0);
    let minutes = [decision(1, "203.0.113.7", Mode::Enforce, 0, 600)];
    assert_eq!(throttle(Guard::default()).at(&fold, &minutes, wall(0)).len(), 1);
}

#[test]
fn who_goes_on_gets_the_next_decision_when_half_of_the_time_is_gone() {
    let held = [decision(1, "203.0.113.7", Mode::Enforce, 0, 600)];
    for (second, decided) in [(0, 0), (299, 0), (300, 1), (600, 1)] {
        let fold = folded(&[("rate", Client, "203.0.113.7")], second);
        let verdicts = throttle(Guard::default()).at(&fold, &held, wall(second));
        assert_eq!(verdicts.len(), decided, "at {second} s");
    }
    // A dry run does not stand in the way, and nor does a decision that was taken back without allowing the address.
    let mut lifted = held[0].clone();
    lifted.deleted = Some(wall(1));
    let dry = decision(2, "203.0.113.7", Mode::DryRun, 0, 600);
    let fold = folded(&[("rate", Client, "203.0.113.7")], 2);
    assert_eq!(throttle(Guard::default()).at(&fold, &[lifted, dry], wall(2)).len(), 1);
}

#[test]
fn what_somebody_took_back_is_left_alone_while_it_is_allowed() {
    for (allowed, decided, verdict) in [
        ("203.0.113.7", 3_599, "allowed 203.0.113.7"),
        ("203.0.113.7", 3_600, "ban enforce 203.0.113.7 for 600 s"),
        ("203.0.113.0/24", 0, "allowed 203.0.113.7"),
        ("203.0.113.8", 0, "ban enforce 203.0.113.7 for 600 s"),
    ] {
        let allows = Allows::new([(net(allowed), wall(3_600)), (net(allowed), wall(60))]);
        let standing = Standing { now: wall(decided), active: &[], allows: &allows, max_age: HOUR };
        let fold = folded(&[("rate", Client, "203.0.113.7")], decided);
        assert_eq!(shown(&throttle(Guard::default()).consider(&fold, standing)), [verdict], "{allowed}");
    }
    // A network around what is allowed would block it too.
    let allows = Allows::new([(net("203.0.113.7"), wall(3_600))]);
    for (prefix, expected) in [("203.0.113.0/24", true), ("203.0.112.0/24", false), ("0.0.0.0/0", true)] {
        assert_eq!(allows.covers(net(prefix), wall(0)), expected, "{prefix}");
    }
    let allows = Allows::new([(net("2001:db8:1:2::/64"), wall(3_600))]);
    assert!(allows.covers(net("2001:db8:1::/48"), wall(0)) && allows.covers(net("2001:db8:1:2::9"), wall(0)));
    assert!(!allows.covers(net("2001:db8:1:3::/64"), wall(0)) && !allows.covers(net("203.0.113.7"), wall(0)));
}

#[test]
fn nothing_is_decided_for_what_is_over_or_too_old() {
    let facts = [("rate", Client, "203.0.113.7")];
    let mut over = folded(&facts, 0);
    over.incident.status = Status::Resolved;
    // Found and over in one fold of a backlog: it was an attack of the last hour.
    assert_eq!(throttle(Guard::default()).at(&over, &[], wall(0)).len(), 1);
    // Stated again by a replay.
    over.transitions.clear();
    assert_eq!(throttle(Guard::default()).at(&over, &[], wall(0)), []);
    let mut stale = folded(&facts, 0);
    stale.incident.stale = true;
    assert_eq!(throttle(Guard::default()).at(&stale, &[], wall(0)), []);
}

/// An input that lags by hours feeds an incident that another one keeps open.
#[test]
fn an_old_fact_of_an_open_incident_throttles_nobody() {
    for (later, decided) in [(3_600, 1), (3_601, 0)] {
        let mut fold = folded(&[("burst", Client, "203.0.113.7")], 0);
        assert!(!fold.incident.stale);
        fold.incident.holds_until = wall(later - 3_600).as_event_time();
        assert_eq!(throttle(Guard::default()).at(&fold, &[], wall(later)).len(), decided, "{later}");
    }
}

#[test]
fn who_stopped_long_before_the_rest_is_left_alone() {
    for (later, decided) in [(600, 1), (601, 0)] {
        let mut fold = folded(&[("rate", Client, "203.0.113.7")], 0);
        fold.incident.holds_until = wall(later).as_event_time();
        assert_eq!(throttle(Guard::default()).at(&fold, &[], wall(later)).len(), decided);
    }
}

#[test]
fn the_minute_budget_slides_and_a_repeated_fold_does_not_pay_twice() {
    let mut throttle = throttle(Guard { per_minute: 2, ..Guard::default() });
    let mut decided = |client: &str, second| {
        let verdicts = throttle.at(&folded(&[("rate", Client, client)], second), &[], wall(second));
        shown(&verdicts).concat()
    };
    assert!(decided("203.0.113.1", 0).starts_with("ban"));
    assert!(decided("203.0.113.2", 30).starts_with("ban"));
    assert!(decided("203.0.113.2", 31).starts_with("ban"), "the store had a conflict");
    assert_eq!(decided("203.0.113.3", 59), "minute_budget 203.0.113.3");
    assert!(decided("203.0.113.3", 60).starts_with("ban"));
    assert_eq!(decided("203.0.113.4", 61), "minute_budget 203.0.113.4");
}

#[test]
fn the_active_budget_counts_each_key_once_and_each_mode_apart() {
    let guard = Guard { active: 2, ..Guard::default() };
    let active =
        |mode| vec![decision(1, "203.0.113.1", mode, 0, 600), decision(2, "203.0.113.2", mode, 0, 600)];
    let consider = |client: &str, active: &[Decision], second| {
        let fold = folded(&[("rate", Client, client)], second);
        shown(&throttle(guard.clone()).at(&fold, active, wall(second))).concat()
    };
    assert_eq!(consider("203.0.113.3", &active(Mode::Enforce), 0), "active_budget 203.0.113.3");
    assert!(consider("203.0.113.3", &active(Mode::DryRun), 0).starts_with("ban"));
    assert!(consider("203.0.113.3", &active(Mode::Enforce), 601).starts_with("ban"), "they have expired");
    assert!(consider("203.0.113.2", &active(Mode::Enforce), 400).starts_with("ban"), "it replaces its own");
}

#[test]
fn a_decision_says_why() {
    let never = Never::new([net("198.51.100.0/24")]);
    let fold = folded(&[("rate", Client, "203.0.113.7"), ("rate", Client, "198.51.100.7")], 0);
    let verdicts = throttle(Guard { never, ..Guard::default() }).at(&fold, &[], wall(0));
    let refused = |verdict: &Verdict| matches!(verdict, Verdict::Refuse(_, Refusal::Never));
    assert!(verdicts.iter().any(refused));
    let Some(Verdict::Decide(decision)) = verdicts.iter().find(|verdict| !refused(verdict)) else {
        panic!("no decision in {verdicts:?}");
    };
    assert_eq!(decision.reason, "rate on shop: 4120 in 60 s (limit 600)");
    assert_eq!((decision.scope(), &*decision.scenario), (Scope::Ip, "rate"));
    assert_eq!(decision.incident.as_ref(), Some(&fold.incident.id));
}
