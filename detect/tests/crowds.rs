//! Services from end to end of the engine: requests go in at the combiner, and what a service gets beside what is usual
//! comes out of the first shard.

mod support;

use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{CapacitySpec, Count, Field, Override, Plan, PlanSpec, RuleSpec, ServiceSpec};
use beaconfire_model::{Client, Event, EventTime, Kind, Request, Severity, Signal, Subject, parse_matchers};
use support::{Rig, T0, source, spec};

const MINUTE: i64 = 60_000;
/// Minutes of ordinary traffic, and of what follows.
const USUAL: i64 = 90;
const AFTER: i64 = 4;
const PAGES: [&str; 6] = ["/", "/search", "/cart", "/static/a.js", "/static/b.css", "/static/c.png"];
const AGENTS: [&str; 3] =
    ["Mozilla/5.0 (X11) Firefox/140.0", "Mozilla/5.0 (Mac) Safari/605", "Mozilla/5.0 Chrome/138"];

/// The shipped rule of attacks by many, as far as the engine takes it over.
fn rule() -> RuleSpec {
    let rule = support::rule("distributed-flood", Field::Service, Count::Requests, 120_000.0);
    RuleSpec { min_clients: Some(500), severity: Severity::Critical, ..rule }
}

fn plan(rules: Vec<RuleSpec>, capacity: Option<f64>) -> Arc<Plan> {
    let mut spec = PlanSpec { surge: true, baselines: Some(16 << 20), ..spec(rules) };
    let capacity = CapacitySpec { requests_per_second: capacity, latency: None };
    spec.services.insert("shop".to_owned(), ServiceSpec { capacity, ..ServiceSpec::default() });
    Arc::new(Plan::compile(spec).unwrap())
}

/// A cheap generator: where numbers come from does not matter here, only that they are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What comes in a minute: how many requests, from how many people of which thousand, and whether machines send them.
#[derive(Clone, Copy)]
struct Crowd {
    requests: u64,
    clients: u64,
    network: u8,
    machines: bool,
}

/// `by_partition`: one partition after the other, instead of taking turns.
fn minute(rig: &mut Rig, dice: &mut Dice, minute: i64, crowd: Crowd, by_partition: bool) {
    let mut steps: Vec<u64> = (0..crowd.requests).collect();
    let of = |dice: &mut Dice, n: u64| {
        let who = if crowd.machines { n % crowd.clients } else { dice.below(crowd.clients) };
        let address = [crowd.network, (who / 200) as u8, (who % 200) as u8, 7];
        let at = T0 + minute * MINUTE + (n * 59_000 / crowd.requests) as i64;
        let page = if crowd.machines { "/search" } else { PAGES[dice.below(6) as usize] };
        (address, at, page, AGENTS[dice.below(3) as usize], format!("q={}", dice.below(1 << 30)))
    };
    let all: Vec<_> = steps.iter().map(|n| of(dice, *n)).collect();
    if by_partition {
        steps.sort_by_key(|n| std::cmp::Reverse(n % 3));
    }
    for n in steps {
        let (address, at, page, agent, query) = &all[n as usize];
        let request = Request {
            time: EventTime::from_millis(*at),
            client: Some(Client::of((*address).into())),
            service: "shop",
            path: page,
            query: if crowd.machines { query } else { "" },
            status: 200,
            user_agent: agent,
            ..Request::default()
        };
        rig.see(source((n % 3) as i32), Event::Request(request));
        if n % 2_500 == 0 {
            rig.merge();
        }
    }
    rig.merge();
}

fn play(plan: &Arc<Plan>, threads: usize, after: Crowd, by_partition: bool) -> Vec<Signal> {
    let mut rig = Rig::new(plan, threads, true, 64 << 20, Duration::from_secs(60));
    (0..3).for_each(|partition| rig.begin(source(partition), 0, None));
    let mut dice = Dice(7);
    let usual = Crowd { requests: 240, clients: 900, network: 10, machines: false };
    for at in 0..USUAL {
        minute(&mut rig, &mut dice, at, usual, by_partition);
    }
    for at in USUAL..USUAL + AFTER {
        minute(&mut rig, &mut dice, at, after, by_partition);
    }
    rig.finish();
    rig.signals
}

const FANS: Crowd = Crowd { requests: 2_400, clients: 9_000, network: 10, machines: false };
const BOTS: Crowd = Crowd { requests: 9_000, clients: 300, network: 77, machines: true };

/// The findings as a whole: rule, kind, severity, minutes after it began.
fn whole(signals: &[Signal]) -> Vec<(String, Kind, Severity, i64)> {
    let of =
        |signal: &&Signal| matches!(signal.kind, Kind::Surge | Kind::Flood) && !signal.rule.contains(':');
    let told = |signal: &Signal| {
        let at = (signal.first.0.millis() - T0) / MINUTE - USUAL;
        (signal.rule.to_string(), signal.kind, signal.severity, at)
    };
    signals.iter().filter(of).map(told).collect()
}

#[test]
fn a_crowd_of_people_is_a_surge_and_one_of_machines_an_attack() {
    let fans = play(&plan(vec![rule()], None), 2, FANS, false);
    let told = whole(&fans);
    assert!(!told.is_empty(), "a surge is told");
    let surge = |severity, minute| ("surge".to_owned(), Kind::Surge, severity, minute);
    // A crowd that has gone after two minutes is told to nobody.
    let expected = [(Severity::Warning, 3), (Severity::Warning, 4)];
    assert_eq!(told, expected.map(|(severity, minute)| surge(severity, minute)));
    let bots = play(&plan(vec![rule()], None), 2, BOTS, false);
    let told = whole(&bots);
    let attack = told.iter().find(|(rule, ..)| rule == "distributed-flood").expect("an attack");
    assert_eq!((attack.1, attack.2, attack.3), (Kind::Flood, Severity::Critical, 2));
    let crowd = bots.iter().filter_map(|signal| signal.evidence.crowd).map(|crowd| crowd.clients).max();
    assert_eq!(crowd, Some(300));
    let rows: Vec<&str> =
        bots.iter().filter_map(|signal| signal.rule.strip_prefix("distributed-flood: ")).collect();
    for row in ["points", "variation of the hundred busiest clients", "growth of requests for each client"] {
        assert!(rows.contains(&row), "{row}: {rows:?}");
    }
}

#[test]
fn what_is_told_of_services_is_the_same_for_any_threads_and_order() {
    for after in [FANS, BOTS] {
        let plan = plan(vec![rule()], Some(10.0));
        let plain = play(&plan, 1, after, false);
        assert!(plain.iter().any(|signal| signal.rule.contains("seconds of work that wait")));
        for (threads, by_partition) in [(2, false), (3, true), (4, false), (8, false), (8, true)] {
            assert_eq!(plain, play(&plan, threads, after, by_partition), "{threads} threads");
        }
    }
}

#[test]
fn more_than_it_can_bear_is_told_also_where_it_is_usual() {
    let quiet = Crowd { requests: 240, clients: 900, network: 10, machines: false };
    let told = whole(&play(&plan(vec![rule()], Some(3.0)), 1, quiet, false));
    assert!(
        told.iter().all(|(rule, kind, ..)| (rule.as_str(), *kind) == ("overload", Kind::Surge)),
        "{told:?}"
    );
    assert!(told.iter().any(|(_, _, severity, _)| *severity == Severity::Critical), "work waits: {told:?}");
    assert_eq!(whole(&play(&plan(vec![rule()], Some(40.0)), 1, quiet, false)), []);
}

#[test]
fn an_attack_is_told_as_suspected_where_the_rule_is_switched_off() {
    let told = whole(&play(&plan(Vec::new(), None), 1, BOTS, false));
    let worst = told
        .iter()
        .map(|(rule, kind, severity, _)| (rule.as_str(), *kind, *severity))
        .max_by_key(|told| told.2);
    assert_eq!(worst, Some(("surge", Kind::Surge, Severity::Error)));
}

#[test]
fn while_nothing_usual_is_known_the_line_of_the_rule_holds() {
    let mut line = rule();
    (line.threshold, line.min_clients) = (8_000.0, Some(200));
    let mut rig = Rig::new(&plan(vec![line], None), 1, true, 64 << 20, Duration::from_secs(60));
    (0..3).for_each(|partition| rig.begin(source(partition), 0, None));
    let mut dice = Dice(7);
    for at in 0..3 {
        minute(&mut rig, &mut dice, at, if at == 1 { BOTS } else { FANS }, false);
    }
    rig.finish();
    let told: Vec<_> = rig.signals.iter().map(|signal| (&*signal.rule, signal.evidence.threshold)).collect();
    assert_eq!(told, [("distributed-flood", 8_000.0)]);
    assert_eq!(rig.signals[0].evidence.observed.0, 9_000.0);
}

const DAY: i64 = 1_440;

/// Minutes until `end` of thirty requests each, but for those of which `others` knows another crowd: how many requests, of
/// how many clients, in which network.
fn days(end: i64, parcel: i64, others: impl Fn(i64) -> Option<(u64, u64, u8)>) -> Vec<Signal> {
    let mut rig = Rig::new(&plan(vec![rule()], None), 1, true, 64 << 20, Duration::from_secs(60));
    rig.begin(source(0), 0, None);
    let mut dice = Dice(7);
    for at in 0..end {
        let (requests, clients, network) = others(at).unwrap_or((30, 900, 10));
        for n in 0..requests {
            let who = if network == 10 { dice.below(clients) } else { n % clients };
            let address = [network, (who / 200) as u8, (who % 200) as u8, 7];
            let request = Request {
                time: EventTime::from_millis(T0 + at * MINUTE + (n * 59_000 / requests) as i64),
                client: Some(Client::of(address.into())),
                path: if network == 10 { PAGES[dice.below(6) as usize] } else { "/search" },
                status: 200,
                user_agent: AGENTS[dice.below(3) as usize],
                ..Request::default()
            };
            rig.see(source(0), Event::Request(request));
        }
        if at % parcel == parcel - 1 {
            rig.merge();
        }
    }
    rig.finish();
    rig.signals
}

#[test]
fn how_many_minutes_a_parcel_closes_changes_nothing() {
    // An attack on the first day, and a smaller one at the same time of the last.
    let attacks = |at: i64| match at - 200 {
        0..7 => Some((3_000, 300, 77)),
        n if (3 * DAY - 100..3 * DAY - 40).contains(&n) => Some((900, 300, 78)),
        _ => None,
    };
    let all = |parcel| days(3 * DAY + 200, parcel, attacks);
    let plain = all(1);
    let attacked = whole(&plain).iter().filter(|(rule, ..)| rule == "distributed-flood").count();
    assert!(attacked > 30, "{attacked} minutes of attack");
    for parcel in [7, 60, 100_000] {
        assert_eq!(all(parcel), plain, "{parcel} minutes in a parcel");
    }
}

/// Two days are attacked at the same time, until two minutes into a slice of the baseline. A crowd at that time of the third
/// is five times what is usual, as at any other.
#[test]
fn what_an_attack_brings_is_never_usual() {
    let begins = 200;
    let crowds = |at: i64| match (at / DAY, at % DAY - begins) {
        (0 | 1, 0..32) => Some((3_000, 300, 77)),
        (2, 0..40) => Some((150, 900, 10)),
        _ => None,
    };
    let signals = days(2 * DAY + begins + 70, 1, crowds);
    let third = T0 + (2 * DAY + begins) * MINUTE;
    let told = signals.iter().filter(|signal| &*signal.rule == "surge" && signal.first.0.millis() > third);
    assert!(told.count() >= 37, "all but the first two minutes, and one that may be chance");
}

/// A client comes each night with far more than all others together.
#[test]
fn a_nightly_job_of_one_client_pages_once_at_most() {
    let mut rig = Rig::new(&plan(vec![rule()], None), 1, true, 64 << 20, Duration::from_secs(60));
    (0..3).for_each(|partition| rig.begin(source(partition), 0, None));
    let mut dice = Dice(7);
    let usual = Crowd { requests: 60, clients: 200, network: 10, machines: false };
    let job = Crowd { requests: 1_500, clients: 1, network: 10, machines: true };
    for at in 0..4 * 720 {
        minute(&mut rig, &mut dice, at, usual, true);
        if at % 720 >= 715 {
            minute(&mut rig, &mut dice, at, job, true);
        }
    }
    rig.finish();
    let paged = whole(&rig.signals).into_iter().filter(|told| told.2 == Severity::Critical);
    let nights: std::collections::BTreeSet<i64> = paged.map(|told| (told.3 + USUAL - 10) / 720).collect();
    assert!(nights.len() <= 1, "{nights:?}");
    assert!(whole(&rig.signals).iter().any(|told| told.3 > 2 * 720), "it is told as a surge, later too");
}

/// The minutes in which a service got an attack by many, of a rule and what the service changes of it.
fn attacks(rule: RuleSpec, change: Option<Override>) -> Vec<(String, f64)> {
    let mut spec = PlanSpec { surge: true, ..spec(vec![rule]) };
    let overrides = change.map(|change| ("distributed-flood".to_owned(), change)).into_iter().collect();
    spec.services.insert("shop".to_owned(), ServiceSpec { overrides, ..ServiceSpec::default() });
    let crowd = Crowd { requests: 600, clients: 3_000, network: 10, machines: false };
    let signals = play(&Arc::new(Plan::compile(spec).unwrap()), 1, crowd, false);
    let floods = signals.iter().filter(|signal| signal.kind == Kind::Flood);
    floods.map(|signal| (signal.rule.to_string(), signal.evidence.threshold)).collect()
}

#[test]
fn a_line_that_is_drawn_for_the_service_itself_holds_whatever_is_usual() {
    let low = RuleSpec { threshold: 500.0, min_clients: Some(100), ..rule() };
    // The usual is known by then, and people are no attack.
    assert_eq!(attacks(low.clone(), None), []);
    let own = Override { threshold: Some(500.0), ..Override::default() };
    let told = attacks(low.clone(), Some(own));
    assert!(told.len() >= AFTER as usize - 1, "{told:?}");
    assert!(told.iter().all(|told| *told == ("distributed-flood".to_owned(), 500.0)), "{told:?}");
    // A rule that picks requests out is a rule as ever: no key does nothing.
    let mut picks = low;
    picks.matchers = parse_matchers(["path=~\"/.*\""]).unwrap();
    assert!(!attacks(picks, None).is_empty());
}

/// Attacked from minute `USUAL` on; what is told of each minute after the tenth of it, once `done` has had its way.
fn after(done: impl FnOnce(&mut Rig)) -> Vec<(String, Kind, Severity, i64)> {
    let mut rig = Rig::new(&plan(vec![rule()], None), 1, true, 64 << 20, Duration::from_secs(60));
    (0..3).for_each(|partition| rig.begin(source(partition), 0, None));
    let mut dice = Dice(7);
    let usual = Crowd { requests: 240, clients: 900, network: 10, machines: false };
    (0..USUAL).for_each(|at| minute(&mut rig, &mut dice, at, usual, false));
    (USUAL..USUAL + 10).for_each(|at| minute(&mut rig, &mut dice, at, BOTS, false));
    assert!(whole(&rig.signals).iter().any(|told| told.2 == Severity::Critical));
    rig.signals.clear();
    done(&mut rig);
    (USUAL + 10..USUAL + 20).for_each(|at| minute(&mut rig, &mut dice, at, BOTS, false));
    rig.finish();
    whole(&rig.signals)
}

#[test]
fn what_an_operator_accepts_is_no_attack_any_more() {
    assert!(after(|_| {}).len() >= 9, "an attack goes on");
    let shop = Subject::service("shop");
    assert_eq!(after(|rig| assert!(rig.shards[0].accept(&shop))), []);
    let other = Subject::service("pay");
    assert!(after(|rig| assert!(!rig.shards[0].accept(&other), "nothing is known of it")).len() >= 9);
}

/// More of the same service is read than it was learned of: that is no surge.
#[test]
fn a_source_that_comes_later_has_its_services_learned_anew() {
    assert_eq!(after(|rig| rig.begin(source(3), 0, None)), []);
}
