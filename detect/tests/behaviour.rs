//! What operators and people on call see of rules: what fires, under which name, when, how bad.

mod support;

use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{Count, Field, Override, Plan, PlanSpec, RuleSpec, Seen, ServiceSpec};
use beaconfire_model::{
    EntryId, Event, Kind, Offset, Request, ResourceSample, RuntimeDetails, RuntimeEvent, RuntimeKind,
    Severity, Signal, Source, TopicId, parse_matchers,
};
use support::{LATENESS, Rig, T0, finding, plan, request, rule, source, spec};

const CLIENT: &str = "203.0.113.7";
/// The source of an entry whose records name their services.
const MESH: Source = Source { entry: EntryId(1), topic: TopicId(1), partition: 0 };

fn any(by: Field) -> RuleSpec {
    rule("any", by, Count::Requests, 0.0)
}

fn compiled(spec: PlanSpec) -> Arc<Plan> {
    Arc::new(Plan::compile(spec).unwrap())
}

/// Sends one request under one rule that fires on the first; what is said of it.
fn said_of(spec: PlanSpec, of: Source, request: Request<'_>) -> Vec<String> {
    let mut rig = Rig::live(&compiled(spec));
    rig.begin(MESH, 0, None);
    assert_eq!(rig.see(of, Event::Request(request)), Seen::Counted);
    rig.merge();
    rig.said()
}

fn probe() -> Request<'static> {
    Request {
        method: "POST",
        host: "shop.example.com",
        path: "/a/b/wp-login.php",
        query: "x=1&y=/../",
        http_version: "1.1",
        status: 404,
        user_agent: "curl/8.5",
        ..request(T0, CLIENT)
    }
}

#[track_caller]
fn matches(matchers: &[&str], except: &[&str], fires: bool) {
    let mut rule = any(Field::Client);
    rule.matchers = parse_matchers(matchers).unwrap();
    rule.except = parse_matchers(except).unwrap();
    let mut spec = spec(vec![rule]);
    spec.lists.insert("tools".into(), vec!["curl/.*".into(), "wget.*".into()]);
    spec.lists.insert("none".into(), vec![]);
    spec.lists.insert("logins".into(), vec![r".*/wp-login\.php".into()]);
    assert_eq!(!said_of(spec, source(0), probe()).is_empty(), fires, "{matchers:?} except {except:?}");
}

#[test]
fn matchers_see_every_field() {
    for (matcher, fires) in [
        (r#"client="203.0.113.7""#, true),
        (r#"client=~"203\.0\..*""#, true),
        (r#"client!="203.0.113.7""#, false),
        (r#"prefix="203.0.113.0/24""#, true),
        (r#"service="shop""#, true),
        (r#"service=~"sho""#, false),
        (r#"method="POST""#, true),
        (r#"host="shop.example.com""#, true),
        (r#"path=~"/a/.*""#, true),
        (r#"path=~"/a""#, false),
        (r#"query=~".*\.\./.*""#, true),
        (r#"file="wp-login.php""#, true),
        (r#"static="false""#, true),
        (r#"static="true""#, false),
        (r#"static=~"true|false""#, true),
        (r#"static="maybe""#, false),
        (r#"http_version!~"1\.[01]|2|3""#, false),
        (r#"status=~"4..""#, true),
        (r#"status!~"4..""#, false),
        (r#"status!="200""#, true),
        (r#"user_agent=~"@tools""#, true),
        (r#"user_agent!~"@tools""#, false),
        (r#"user_agent=~"@none""#, false),
        (r#"path=~"@logins""#, true),
        (r#"path!~"@logins""#, false),
    ] {
        matches(&[matcher], &[], fires);
    }
}

#[test]
fn who_asks_to_be_passed_on() {
    use beaconfire_model::TargetForm::{Elsewhere, Path, Url};
    let row = |method, path, status, target| Request { method, path, status, target, ..probe() };
    for (request, fires) in [
        (row("CONNECT", "mail.example.com:25", 200, Path), true),
        (row("CONNECT", "/chat", 200, Path), false),
        (row("GET", "mail.example.com:25", 400, Path), false),
        (row("GET", "/", 400, Path), false),
        (row("GET", "/", 200, Elsewhere), true),
        (row("GET", "/healthz", 200, Url), false),
        (row("GET", "/gone", 404, Url), false),
        (row("GET", "/", 400, Url), true),
        (row("GET", "/", 421, Url), true),
    ] {
        for (wanted, fires) in [("true", fires), ("false", !fires), ("maybe", false), ("true|false", true)] {
            let mut rule = any(Field::Client);
            rule.matchers = parse_matchers([format!(r#"elsewhere=~"{wanted}""#)]).unwrap();
            let said = said_of(spec(vec![rule]), source(0), request);
            assert_eq!(!said.is_empty(), fires, "{wanted}: {request:?}");
        }
    }
}

#[test]
fn all_matchers_must_match_and_no_exception_may() {
    matches(&[], &[], true);
    matches(&[r#"method="POST""#, r#"status="404""#], &[], true);
    matches(&[r#"method="POST""#, r#"status="200""#], &[], false);
    matches(&[r#"status=~"4..""#, r#"status!="404""#], &[], false);
    matches(&[], &[r#"method="GET""#], true);
    matches(&[], &[r#"method="GET""#, r#"user_agent=~"@tools""#], false);
}

#[track_caller]
fn keyed(by: &[Field], request: Request<'_>, expected: &[&str]) {
    let mut rule = any(Field::Client);
    rule.by = by.to_vec();
    assert_eq!(said_of(spec(vec![rule]), source(0), request), expected, "{by:?}");
}

#[test]
fn subjects_are_what_is_counted_by() {
    keyed(&[Field::Client], probe(), &["any client 203.0.113.7 1 warning"]);
    keyed(&[Field::Service], probe(), &["any service shop 1 warning"]);
    keyed(&[Field::Path], probe(), &["any path /a/b/wp-login.php 1 warning"]);
    keyed(&[Field::Status], probe(), &["any status 404 1 warning"]);
    keyed(&[Field::UserAgent], probe(), &["any user_agent curl/8.5 1 warning"]);
    keyed(&[Field::Client, Field::Method], probe(), &["any client 203.0.113.7 POST 1 warning"]);
    keyed(&[Field::Host, Field::Client], probe(), &["any host shop.example.com 203.0.113.7 1 warning"]);
    keyed(&[Field::Client], request(T0, "2001:db8:1:2:3::9"), &["any client 2001:db8:1:2::/64 1 warning"]);
    // Who cannot be told counts in no rule by client.
    for by in [&[Field::Client][..], &[Field::Prefix], &[Field::Client, Field::Path]] {
        keyed(by, request(T0, ""), &[]);
    }
    keyed(&[Field::Service], request(T0, ""), &["any service shop 1 warning"]);
}

#[test]
fn a_pair_names_its_client_as_participant() {
    let mut pair = any(Field::Client);
    pair.by = vec![Field::Path, Field::Client];
    let mut rig = Rig::live(&plan(vec![pair]));
    rig.see(source(0), Event::Request(probe()));
    rig.merge();
    let participants: Vec<&str> = rig.signals[0].participants.iter().map(|who| &*who.subject.value).collect();
    assert_eq!(participants, [CLIENT]);
    assert_eq!(&*rig.signals[0].target.value, "shop");
}

#[test]
fn the_service_is_the_entrys_else_the_records_never_the_host() {
    let by_service = || spec(vec![any(Field::Service)]);
    let named = Request { service: "cart", ..probe() };
    assert_eq!(said_of(by_service(), source(0), named), ["any service shop 1 warning"]);
    assert_eq!(said_of(by_service(), MESH, named), ["any service cart 1 warning"]);
    assert_eq!(said_of(by_service(), MESH, probe()), ["any service unknown 1 warning"]);
}

#[test]
fn a_service_may_draw_other_lines() {
    let mut limit = rule("limit", Field::Client, Count::Requests, 2.0);
    limit.critical_above = Some(4.0);
    let change = |enabled, threshold, critical_above| ServiceSpec {
        logins: vec![],
        overrides: [("limit".to_owned(), Override { enabled, threshold, critical_above })].into(),
        ..ServiceSpec::default()
    };
    let mut spec = spec(vec![limit]);
    spec.services.insert("quiet".into(), change(Some(false), None, None));
    spec.services.insert("large".into(), change(None, Some(5.0), Some(6.0)));
    spec.services.insert("vital".into(), change(None, None, Some(3.0)));
    let plan = compiled(spec);
    let peak = |service: &str, n: usize| {
        let mut rig = Rig::live(&plan);
        rig.begin(MESH, 0, None);
        for _ in 0..n {
            rig.see(MESH, Event::Request(Request { service, ..probe() }));
        }
        rig.merge();
        rig.said().pop().unwrap_or_default()
    };
    assert_eq!(peak("other", 2), "");
    assert_eq!(peak("other", 4), "limit client 203.0.113.7 4 warning");
    assert_eq!(peak("other", 5), "limit client 203.0.113.7 5 critical");
    assert_eq!(peak("quiet", 50), "");
    assert_eq!(peak("large", 5), "");
    assert_eq!(peak("large", 6), "limit client 203.0.113.7 6 warning");
    assert_eq!(peak("large", 7), "limit client 203.0.113.7 7 critical");
    assert_eq!(peak("vital", 4), "limit client 203.0.113.7 4 critical");
}

#[test]
fn logins_are_the_services_own_paths_else_the_list() {
    let mut logins = any(Field::Client);
    logins.matchers = parse_matchers([r#"path=~"@logins""#]).unwrap();
    let mut spec = spec(vec![logins]);
    spec.lists.insert("logins".into(), vec![".*/login".into()]);
    let own = ServiceSpec { logins: vec!["/api/session".into()], ..ServiceSpec::default() };
    spec.services.insert("shop".into(), own);
    spec.services.insert("plain".into(), ServiceSpec::default());
    for (of, service, path, fires) in [
        (source(0), "", "/api/session", true),
        (source(0), "", "/api/session/", false),
        (source(0), "", "/x/login", false),
        (MESH, "plain", "/x/login", true),
        (MESH, "else", "/x/login", true),
        (MESH, "else", "/api/session", false),
    ] {
        let said = said_of(spec.clone(), of, Request { service, path, ..probe() });
        assert_eq!(!said.is_empty(), fires, "{service} {path}");
    }
}

#[test]
fn a_violation_is_told_at_once_a_rise_too_and_growth_before_a_barrier() {
    let mut limit = rule("limit", Field::Client, Count::Requests, 10.0);
    limit.critical_above = Some(30.0);
    let mut rig = Rig::live(&plan(vec![limit]));
    let send = |rig: &mut Rig, second: i64, n: usize| {
        for _ in 0..n {
            rig.ask(T0 + second * 1_000, CLIENT);
        }
        rig.merge();
        rig.said()
    };
    let none: [&str; 0] = [];
    assert_eq!(send(&mut rig, 0, 10), none);
    assert_eq!(send(&mut rig, 1, 1), ["limit client 203.0.113.7 11 warning"]);
    assert_eq!(send(&mut rig, 2, 5), none);
    rig.flush();
    assert_eq!(rig.said(), ["limit client 203.0.113.7 16 warning"]);
    rig.flush();
    assert_eq!(rig.said(), none);
    assert_eq!(send(&mut rig, 3, 15), ["limit client 203.0.113.7 31 critical"]);
    assert_eq!(send(&mut rig, 4, 50), none);
    // The end of the hold is told when it has closed, once.
    rig.clear(0, T0 + 200_000);
    rig.merge();
    let over = std::mem::take(&mut rig.signals);
    assert_eq!(over.len(), 1);
    assert_eq!(over[0].holds_until.0.millis(), T0 + 64_000);
    assert_eq!(over[0].evidence.observed.0, 81.0);
    rig.flush();
    rig.merge();
    assert_eq!(rig.said(), none);
}

#[test]
fn a_fact_that_goes_on_is_not_told_to_go_on_into_the_future() {
    let mut rig = Rig::live(&plan(vec![rule("limit", Field::Client, Count::Requests, 10.0)]));
    for _ in 0..11 {
        rig.ask(T0, CLIENT);
    }
    rig.merge();
    assert_eq!(rig.signals[0].holds_until.0.millis(), T0 + 1_000);
    rig.clear(0, T0 + 20_500);
    rig.merge();
    rig.flush();
    assert_eq!(rig.signals.last().unwrap().holds_until.0.millis(), T0 + 20_000);
}

#[test]
fn late_is_against_the_own_source_only() {
    let mut rig = Rig::live(&plan(vec![rule("limit", Field::Client, Count::Requests, 5.0)]));
    rig.begin(source(1), 0, None);
    let future = Event::Request(request(4_102_444_800_000, "198.51.100.9"));
    assert_eq!(rig.see(source(1), future), Seen::Counted);
    rig.merge();
    for second in 0..6 {
        assert_eq!(rig.ask(T0 + second * 1_000, CLIENT), Seen::Counted);
    }
    rig.merge();
    assert_eq!(rig.said(), ["limit client 203.0.113.7 6 warning"]);
    assert_eq!(rig.ask(T0 + 100_000, CLIENT), Seen::Counted);
    assert_eq!(rig.ask(T0 + 70_000, CLIENT), Seen::Counted);
    assert_eq!(rig.ask(T0 + 69_999, CLIENT), Seen::Late);
    assert_eq!(rig.see(source(1), Event::Request(request(T0, CLIENT))), Seen::Late);
    let stranger = rig.combiner.observe(source(9), Offset(0), &Event::Request(request(T0, CLIENT)), false);
    assert_eq!(stranger, Seen::Ignored);
}

fn prefix_rules() -> Vec<RuleSpec> {
    let mut failed = rule("failed-logins", Field::Client, Count::Requests, 10.0);
    failed.matchers = parse_matchers([r#"status="401""#]).unwrap();
    let mut per_client = rule("per-client", Field::Client, Count::Requests, 600.0);
    per_client.matchers = parse_matchers([r#"path!="/healthz""#]).unwrap();
    vec![failed, per_client, rule("per-prefix", Field::Prefix, Count::Requests, 3_000.0)]
}

/// (hosts, requests of each within 50 s) of one /24, all at once; what is said in the end.
fn prefix_flood(rules: Vec<RuleSpec>, groups: &[(u8, i64)]) -> Vec<Signal> {
    let mut rig = Rig::live(&plan(rules));
    let mut first = 1;
    let mut log = Vec::new();
    for (hosts, each) in groups {
        for host in first..first + hosts {
            log.extend((0..*each).map(|i| (T0 + i * 50_000 / each, host)));
        }
        first += hosts;
    }
    log.sort_unstable();
    for (at, (time, host)) in log.into_iter().enumerate() {
        rig.ask(time, &format!("203.0.113.{host}"));
        if at % 500 == 0 {
            rig.merge();
            let closed = |signal: &Signal| signal.holds_until.0.millis() <= time - LATENESS;
            assert!(rig.signals.iter().filter(|signal| &*signal.rule == "per-prefix").all(closed));
        }
    }
    rig.finish();
    rig.signals
}

fn rules_of(signals: &[Signal]) -> Vec<String> {
    let mut found: Vec<String> =
        signals.iter().map(|signal| format!("{} {}", signal.rule, signal.subject.value)).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_loud_host_flags_itself_and_quiet_hosts_their_prefix() {
    let none: [&str; 0] = [];
    assert_eq!(rules_of(&prefix_flood(prefix_rules(), &[(1, 5_000)])), ["per-client 203.0.113.1"]);
    // Loud enough for the prefix, but only six: nobody is over a line.
    assert_eq!(rules_of(&prefix_flood(prefix_rules(), &[(6, 590)])), none);
    assert_eq!(rules_of(&prefix_flood(prefix_rules(), &[(40, 75)])), none);
    assert_eq!(rules_of(&prefix_flood(prefix_rules(), &[(40, 76)])), ["per-prefix 203.0.113.0/24"]);
    // The loud one is left out of the prefix: the others alone are not enough.
    assert_eq!(rules_of(&prefix_flood(prefix_rules(), &[(1, 5_000), (40, 70)])), ["per-client 203.0.113.1"]);
}

#[test]
fn the_hosts_of_a_prefix_are_its_participants() {
    let signals = prefix_flood(prefix_rules(), &[(1, 700), (40, 200)]);
    let last = signals.iter().rfind(|signal| &*signal.rule == "per-prefix").unwrap();
    assert_eq!(last.evidence.observed.0, 8_000.0);
    // The loud host was within its limit until it was not.
    assert_eq!(last.participants.len(), 41);
    let quiet = &last.participants[1];
    assert_eq!((quiet.subject.kind.name(), quiet.events.0), ("client", 200.0));
    assert_eq!(quiet.first_seen.0.millis(), T0);
    assert_eq!(quiet.last_seen.0.millis(), T0 + 50_000);
}

#[test]
fn without_a_rule_of_their_own_hosts_have_a_fifth() {
    let alone = || vec![rule("per-prefix", Field::Prefix, Count::Requests, 1_000.0)];
    assert_eq!(rules_of(&prefix_flood(alone(), &[(8, 200)])).len(), 1);
    assert_eq!(rules_of(&prefix_flood(alone(), &[(8, 190)])).len(), 1);
    let signals = prefix_flood(alone(), &[(8, 201)]);
    // In the last second each goes over 200: the peak is from before.
    assert_eq!(signals.last().unwrap().evidence.observed.0, 8.0 * 196.0);
}

#[test]
fn shares_need_closed_buckets_and_whole_windows() {
    let matchers = parse_matchers([r#"status=~"5..""#]).unwrap();
    let share = rule("errors", Field::Service, Count::Share { matchers, min_requests: 10 }, 0.10);
    let plan = plan(vec![share]);
    let run = |seed: Option<i64>| {
        let mut rig = Rig::live(&plan);
        rig.begin(source(0), i64::from(seed.is_some()), seed);
        for (second, status) in (0..20).map(|second| (second, if second % 5 == 0 { 500 } else { 200 })) {
            rig.see(source(0), Event::Request(Request { status, ..request(T0 + second * 1_000, CLIENT) }));
            rig.merge();
            assert!(rig.signals.is_empty(), "raised before it closed");
        }
        rig.clear(0, T0 + 15_000);
        rig.merge();
        rig.said()
    };
    // Of the eleven of the first eleven seconds, three.
    assert_eq!(run(None), ["errors service shop 0.2727272727272727 warning"]);
    // Reading began behind records of this very window.
    assert_eq!(run(Some(T0 - 1_000)), [""; 0]);
    assert_eq!(run(Some(T0 - 60_000)).len(), 1);
}

#[test]
fn findings_of_one_rule_on_one_workload_are_one_fact_as_bad_as_the_worst() {
    let mut rig = Rig::live(&plan(vec![]));
    let send = |rig: &mut Rig, second: i64, workload: &str, rule: &str, severity| {
        let event = finding(T0 + second * 1_000, workload, rule, severity);
        assert_eq!(rig.see(source(0), Event::Runtime(event)), Seen::Counted);
        rig.merge();
        rig.said()
    };
    let none: [&str; 0] = [];
    assert_eq!(
        send(&mut rig, 0, "shop/cart", "Miner", Severity::Warning),
        ["Miner workload shop/cart 1 warning"]
    );
    assert_eq!(send(&mut rig, 1, "shop/cart", "Miner", Severity::Info), none);
    assert_eq!(
        send(&mut rig, 2, "shop/cart", "Miner", Severity::Critical),
        ["Miner workload shop/cart 3 critical"]
    );
    assert_eq!(send(&mut rig, 2, "shop/cart", "Shell", Severity::Info), ["Shell workload shop/cart 1 info"]);
    assert_eq!(send(&mut rig, 2, "shop/web", "Shell", Severity::Error), ["Shell workload shop/web 1 error"]);
    // What comes when that is over is a new fact, only as bad as itself.
    let again = send(&mut rig, 90, "shop/cart", "Miner", Severity::Info);
    assert!(again.contains(&"Miner workload shop/cart 1 info".to_owned()), "{again:?}");
}

#[test]
fn a_finding_is_about_its_workload_and_shows_its_record() {
    let mut rig = Rig::live(&plan(vec![]));
    rig.see(source(0), Event::Runtime(finding(T0, "shop/cart\nx", "Miner\nfound", Severity::Critical)));
    rig.merge();
    let signal = &rig.signals[0];
    assert_eq!((signal.kind, &*signal.rule), (Kind::Intrusion, "Miner found"));
    assert_eq!((signal.target.kind.name(), &*signal.target.value), ("workload", "shop/cart x"));
    assert_eq!(signal.subject, signal.target);
    assert_eq!(signal.samples[0].text.clean(), "xmrig -o pool");
}

#[test]
fn a_sensor_that_has_missed_events_is_blind_and_its_figures_are_no_news() {
    let mut rig = Rig::live(&plan(vec![]));
    let details = RuntimeDetails { host: "node-7", ..*RuntimeDetails::NONE };
    let says = |rule: &'static str| RuntimeEvent {
        kind: RuntimeKind::Health,
        details: &details,
        ..finding(T0, "", rule, Severity::Critical)
    };
    let figures = says("Falco internal: metrics snapshot");
    assert_eq!(rig.see(source(0), Event::Runtime(figures)), Seen::Ignored);
    let drops = says("Falco internal: syscall event drop");
    assert_eq!(rig.see(source(0), Event::Runtime(drops)), Seen::Counted);
    rig.merge();
    let [signal] = &rig.signals[..] else { panic!("{:?}", rig.signals) };
    assert_eq!((signal.kind, signal.severity), (Kind::Sensor, Severity::Warning));
    assert_eq!((signal.target.kind.name(), &*signal.target.value), ("input", "node-7"));
    assert_eq!(&*signal.rule, "Falco internal: syscall event drop");
}

#[test]
fn what_no_engine_watches_is_ignored() {
    let mut rig = Rig::live(&plan(vec![]));
    let mut health = finding(T0, "", "drops", Severity::Error);
    health.kind = RuntimeKind::Health;
    assert_eq!(rig.see(source(0), Event::Runtime(health)), Seen::Ignored);
    assert_eq!(rig.see(source(0), Event::Resource(ResourceSample::default())), Seen::Late);
    rig.merge();
    assert!(rig.signals.is_empty());
}

#[test]
fn a_few_raw_records_of_what_raised_come_with_its_next_statement() {
    let mut rig = Rig::live(&plan(vec![rule("limit", Field::Client, Count::Requests, 5.0)]));
    let send = |rig: &mut Rig, second: i64, n: usize| {
        for client in [CLIENT, "198.51.100.9"] {
            let Request { time, client, .. } = request(T0 + second * 1_000, client);
            for _ in 0..n {
                rig.see(source(0), Event::Request(Request { time, client, ..probe() }));
            }
        }
        rig.merge();
        rig.flush();
        std::mem::take(&mut rig.signals)
    };
    assert!(send(&mut rig, 0, 5).is_empty());
    let first = send(&mut rig, 1, 1);
    assert!(first.iter().all(|signal| signal.samples.is_empty()));
    // Workers look at what is watched when they hand over, so one parcel passes by.
    send(&mut rig, 2, 1);
    let samples: Vec<usize> = (3..10).map(|second| send(&mut rig, second, 3)[0].samples.len()).collect();
    assert_eq!(samples.iter().sum::<usize>(), 5, "{samples:?}");
    let next_minute = send(&mut rig, 62, 9);
    assert_eq!(next_minute[0].samples.len(), 5);
    assert_eq!(next_minute[0].samples[0].text.clean(), "POST /a/b/wp-login.php?x=1&y=/../ 404");
    assert_eq!(next_minute[0].samples[0].by.clean(), "curl/8.5");
}

#[test]
fn a_chart_shows_the_way_up() {
    let mut rig = Rig::live(&plan(vec![rule("limit", Field::Client, Count::Requests, 5.0)]));
    for second in 0..20 {
        rig.ask(T0 + second * 1_000, CLIENT);
        rig.merge();
    }
    rig.flush();
    let points: Vec<(i64, f64)> = rig
        .signals
        .iter()
        .flat_map(|s| &s.evidence.series)
        .map(|(at, value)| (at.millis() - T0, *value))
        .collect();
    assert!(points.is_sorted_by(|a, b| a.0 < b.0), "{points:?}");
    assert!(rig.signals.iter().all(|signal| signal.evidence.series.len() <= 120));
    for second in 1..=20 {
        assert!(points.contains(&(second * 1_000, second as f64)), "{second}: {points:?}");
    }
}

#[test]
fn rules_that_cannot_be_are_refused_by_name() {
    type Change = fn(&mut RuleSpec);
    let cases: [(Change, &str); 9] = [
        (|rule| rule.by.clear(), "one or two fields"),
        (|rule| rule.by = vec![Field::Client; 3], "one or two fields"),
        (|rule| rule.by = vec![Field::Path; 2], "names one field twice"),
        (|rule| rule.by = vec![Field::Prefix, Field::Path], "stands alone"),
        (|rule| rule.by = vec![Field::Query], "cannot be counted by `query`"),
        (|rule| rule.window = Duration::from_millis(999), "between 1s and 24h"),
        (|rule| rule.threshold = f64::NAN, "numbers of at least 0"),
        (|rule| rule.matchers = parse_matchers([r#"paht="x""#]).unwrap(), "`paht` is no field"),
        (|rule| rule.matchers = parse_matchers([r#"path=~"@x""#]).unwrap(), "there is no list `x`"),
    ];
    for (change, said) in cases {
        let mut rule = any(Field::Client);
        change(&mut rule);
        let error = Plan::compile(spec(vec![rule])).unwrap_err();
        assert_eq!(error.rule, "any");
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// Days of a quiet topic arrive in one batch a partition; the flood in them is found, and nothing is pushed out.
#[test]
fn partitions_that_run_days_apart_lose_nothing() {
    let hour = 3_600_000;
    for early in [true, false] {
        let plan = plan(vec![
            rule("flood", Field::Client, Count::Requests, 50.0),
            rule("service", Field::Service, Count::Requests, 1e9),
        ]);
        let mut rig = Rig::new(&plan, 2, early, 64 << 20, Duration::from_secs(60));
        for partition in 0..3 {
            rig.begin(source(partition), 0, None);
        }
        for partition in 0..3 {
            for visit in 0..2_000 {
                let at = T0 + visit * hour / 20;
                rig.see(source(partition), Event::Request(request(at, "198.51.100.9")));
                // Each partition has a third of the flood.
                if visit == 1_000 {
                    for n in 0..20 {
                        let at = at + i64::from(partition) * 300 + n * 1_000;
                        rig.see(source(partition), Event::Request(request(at, "203.0.113.7")));
                    }
                }
            }
            rig.merge();
        }
        rig.finish();
        assert_eq!(rig.evictions(), 0);
        let peaks: Vec<f64> = rig.signals.iter().map(|signal| signal.evidence.observed.0).collect();
        assert!(rig.signals.iter().all(|signal| &*signal.subject.value == "203.0.113.7"), "early {early}");
        assert_eq!(peaks.iter().copied().fold(0.0, f64::max), 60.0, "early {early}");
    }
}
