//! Cases that went wrong once: after the storm, behind a departure, and what only a long window still knows.

mod support;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{Count, Field, Plan, RuleSpec};
use beaconfire_model::{Event, Request, parse_matchers};
use support::{Rig, T0, joined, plan, request, rule, source, spec};

const CLIENT: &str = "203.0.113.7";
const OTHER: &str = "198.51.100.9";

fn matching(rule: RuleSpec, matcher: &str) -> RuleSpec {
    RuleSpec { matchers: parse_matchers([matcher]).unwrap(), ..rule }
}

fn lasting(rule: RuleSpec, seconds: u64) -> RuleSpec {
    RuleSpec { window: Duration::from_secs(seconds), ..rule }
}

fn network(number: u32, host: u32) -> String {
    Ipv4Addr::from(0x0b00_0000 + number * 256 + host).to_string()
}

fn rig(plan: &Arc<Plan>) -> Rig {
    let mut rig = Rig::new(plan, 1, true, 256 << 20, Duration::from_secs(60));
    rig.begin(source(0), 0, None);
    rig
}

fn fail(rig: &mut Rig, time: i64, client: &str) {
    rig.see(source(0), Event::Request(Request { status: 401, ..request(time, client) }));
}

/// Ordinary failures raise nothing, also where a crowd was thinned out a while ago.
#[test]
fn a_crowd_that_was_large_accuses_no_smaller_one() {
    let stuffing =
        RuleSpec { min_clients: Some(30), ..rule("stuffing", Field::Service, Count::Requests, 200.0) };
    let mut rig = rig(&plan(vec![lasting(matching(stuffing, r#"status=~"401|403""#), 600)]));
    for number in 0..100_000 {
        fail(&mut rig, T0 + i64::from(number) * 6, &network(number, 0));
        if number % 500 == 0 {
            rig.merge();
        }
    }
    rig.merge();
    rig.flush();
    assert!(rig.signals.iter().all(|signal| signal.evidence.observed.0 <= 100_000.0));
    assert!(rig.evictions() > 0, "that they were thinned out is counted");
    rig.signals.clear();
    for turn in 0..1_440 {
        let at = T0 + 600_000 + i64::from(turn) * 10_000;
        for behind in [0, 3_000] {
            fail(&mut rig, at + behind, &network(200_000 + turn, 0));
        }
        rig.merge();
    }
    rig.finish();
    let later: Vec<_> = joined(&rig.signals).into_iter().filter(|fact| fact.first > 1_300_000).collect();
    assert_eq!(later, [], "120 failures in ten minutes, of 200");
}

#[test]
fn values_that_were_many_make_no_few_of_them_many() {
    let values = lasting(rule("bust", Field::Client, Count::Distinct { field: Field::Query }, 30.0), 31);
    let mut rig = rig(&plan(vec![matching(values, r#"query!="""#)]));
    let ask = |rig: &mut Rig, time: i64, number: i64| {
        let query = format!("v={number}");
        rig.see(source(0), Event::Request(Request { query: &query, ..request(time, CLIENT) }));
    };
    for number in 0..50_000 {
        ask(&mut rig, T0 + number / 5, number);
        if number % 500 == 0 {
            rig.merge();
        }
    }
    for turn in 0..900 {
        ask(&mut rig, T0 + 10_000 + turn * 2_000, 50_000 + turn);
        rig.merge();
    }
    rig.finish();
    let facts = joined(&rig.signals);
    assert_eq!(facts.len(), 1, "{facts:?}");
    assert!(facts[0].peak <= 50_016.0 && facts[0].peak > 45_000.0 && facts[0].until < 45_000, "{facts:?}");
}

#[test]
fn statuses_are_matched_by_lists_too() {
    for (matcher, status, fires) in
        [("=~", 503, true), ("=~", 200, false), ("!~", 503, false), ("!~", 200, true)]
    {
        let by_list =
            matching(rule("e", Field::Client, Count::Requests, 0.0), &format!("status{matcher}\"@errors\""));
        let mut spec = spec(vec![by_list]);
        spec.lists.insert("errors".into(), vec!["5..".into()]);
        let mut rig = rig(&Arc::new(Plan::compile(spec).unwrap()));
        rig.see(source(0), Event::Request(Request { status, ..request(T0, CLIENT) }));
        rig.finish();
        assert_eq!(!rig.signals.is_empty(), fires, "{matcher} {status}");
    }
}

/// Networks that no rule flags belong to the crowd.
#[test]
fn networks_count_that_the_prefix_rule_leaves_alone() {
    for (min_clients, fires) in [(50, true), (8, false)] {
        let crowd =
            RuleSpec { min_clients: Some(30), ..rule("flood", Field::Service, Count::Requests, 1_000.0) };
        let prefix = RuleSpec {
            min_clients: Some(min_clients),
            ..rule("prefix", Field::Prefix, Count::Requests, 30.0)
        };
        let own = rule("own", Field::Client, Count::Requests, 6.0);
        let mut rig = rig(&plan(vec![matching(crowd, r#"status="200""#), own, prefix]));
        for number in 0..100 {
            for host in 1..=40 {
                rig.ask(T0 + 100 + i64::from(host), &network(number, host));
            }
        }
        rig.finish();
        assert_eq!(rig.signals.iter().any(|signal| &*signal.rule == "flood"), fires, "{min_clients}");
    }
}

/// What a partition brings again counts in the windows that it alone fed, whoever else saw the client.
#[test]
fn records_read_again_count_beside_those_of_another_partition() {
    for also in [CLIENT, OTHER] {
        let logins = matching(rule("logins", Field::Client, Count::Requests, 10.0), r#"status="401""#);
        let mut rig = rig(&plan(vec![logins, rule("own", Field::Client, Count::Requests, 600.0)]));
        rig.begin(source(1), 0, None);
        let beside = |rig: &mut Rig, second: i64| {
            rig.see(source(1), Event::Request(request(T0 + second * 1_000, also)));
            rig.merge();
        };
        let held = [100, 101, 102, 103, 105, 106, 107, 108];
        for second in (0..110).step_by(5) {
            for failed in held.iter().filter(|failed| (second..second + 5).contains(*failed)) {
                fail(&mut rig, T0 + failed * 1_000, CLIENT);
            }
            beside(&mut rig, second);
        }
        rig.flush();
        rig.give_up(source(0));
        rig.left(source(0), 8);
        for second in (110..500).step_by(5) {
            beside(&mut rig, second);
        }
        rig.begin(source(0), 0, None);
        for second in held.into_iter().chain(112..117) {
            fail(&mut rig, T0 + second * 1_000, CLIENT);
        }
        rig.merge();
        rig.finish();
        let facts = joined(&rig.signals);
        assert_eq!(facts.iter().map(|fact| fact.peak).collect::<Vec<_>>(), [13.0], "{also}");
    }
}

/// A client that only a long window still knows is as new to the short ones as one that nobody knows.
#[test]
fn a_flood_that_comes_late_is_found_whatever_long_windows_remember() {
    let burst = lasting(rule("burst", Field::Client, Count::Requests, 300.0), 10);
    let agents =
        lasting(rule("agents", Field::Client, Count::Distinct { field: Field::UserAgent }, 100.0), 600);
    let mut rig = rig(&plan(vec![burst, rule("own", Field::Client, Count::Requests, 600.0), agents]));
    rig.begin(source(1), 0, None);
    rig.ask(T0, "198.51.100.1");
    rig.merge();
    rig.give_up(source(0));
    rig.left(source(0), 1);
    for second in 0..700 {
        rig.see(source(1), Event::Request(request(T0 + second * 1_000, OTHER)));
        if second % 200 == 100 {
            rig.see(source(1), Event::Request(request(T0 + second * 1_000, CLIENT)));
        }
        rig.merge();
    }
    rig.begin(source(0), 1, None);
    for number in 0..2_000 {
        rig.ask(T0 + 200_000 + number * 2, CLIENT);
    }
    rig.merge();
    rig.finish();
    let rules: Vec<String> = joined(&rig.signals).into_iter().map(|fact| fact.rule).collect();
    assert_eq!(rules, ["burst", "own"]);
}

/// What each level of the hierarchy is flagged for, with more than 20,000 requests in a minute each time.
#[test]
fn a_loud_host_a_loud_network_and_a_botnet_are_told_apart() {
    let check = |networks: u32, hosts: u32, each: i64, expected: &str| {
        let own = rule("own", Field::Client, Count::Requests, 600.0);
        let prefix = rule("prefix", Field::Prefix, Count::Requests, 3_000.0);
        let crowd =
            RuleSpec { min_clients: Some(300), ..rule("crowd", Field::Service, Count::Requests, 20_000.0) };
        let mut rig = rig(&plan(vec![own, prefix, crowd]));
        for turn in 0..each {
            for number in 0..networks {
                for host in 0..hosts {
                    let time = T0 + turn * 50_000 / each + i64::from(number * 7 + host) % 50;
                    let client = network(number * 300, host);
                    let bytes_sent = u64::from(number * 31 + host);
                    rig.see(source(0), Event::Request(Request { bytes_sent, ..request(time, &client) }));
                }
            }
            if turn % 20 == 0 {
                rig.merge();
            }
        }
        rig.finish();
        let mut found: Vec<&str> = rig.signals.iter().map(|signal| &*signal.rule).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, [expected], "{networks} networks of {hosts} hosts, {each} requests each");
        let crowds = rig.signals.iter().filter(|signal| &*signal.rule == "crowd");
        for signal in crowds {
            let crowd = signal.evidence.crowd.unwrap();
            assert!(crowd.sampled && crowd.clients > 900 && crowd.networks > 900, "{crowd:?}");
            assert!(signal.evidence.observed.0 <= 22_000.0, "{:?}", signal.evidence.observed);
        }
    };
    check(1, 1, 22_000, "own");
    check(1, 200, 110, "prefix");
    check(1_000, 1, 22, "crowd");
}
