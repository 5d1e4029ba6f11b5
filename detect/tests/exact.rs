//! Facts against an exact recount of the whole log: whatever the order of arrival within the lateness, the cut into
//! parcels, the number of shard threads, the interleaving of partitions, and whether violations are raised early.

mod support;

use beaconfire_detect::{Count, Field, RuleSpec};
use beaconfire_model::parse_matchers;
use proptest::prelude::*;
use support::{Fact, Line, Run, T0, address, joined, plan, recount, rule, run};

/// Bursts and trickles of a few clients over ten minutes, from partitions that each are out of order by up to 40 s, so
/// that some records are late.
fn partitions() -> impl Strategy<Value = Vec<Vec<Line>>> {
    let burst = (
        0i64..600,
        0i64..40,
        0u8..3,
        1i64..14,
        1i64..3_000,
        prop::sample::select(vec![200u16, 200, 404, 503]),
    );
    let partition = prop::collection::vec(burst, 1..30).prop_map(|mut bursts| {
        bursts.sort_by_key(|burst| burst.0);
        let line = |at: i64, client, status| Line {
            time: T0 + at,
            client,
            partition: 0,
            status,
            bytes: at.unsigned_abs() % 900,
        };
        bursts
            .into_iter()
            .flat_map(|(second, early, client, n, step, status)| {
                (0..n).map(move |i| line((second - early) * 1_000 + i * step, client, status))
            })
            .collect::<Vec<_>>()
    });
    prop::collection::vec(partition, 1..4).prop_map(|mut partitions| {
        for (number, partition) in partitions.iter_mut().enumerate() {
            partition.iter_mut().for_each(|line| line.partition = number as i32);
        }
        partitions
    })
}

/// Puts partitions into one log by `picks`: each keeps its own order.
fn interleave(partitions: &[Vec<Line>], picks: &[usize]) -> Vec<Line> {
    let mut at = vec![0; partitions.len()];
    let mut log = Vec::new();
    let mut picks = picks.iter().cycle();
    while at.iter().zip(partitions).any(|(at, partition)| *at < partition.len()) {
        let open: Vec<usize> = (0..partitions.len()).filter(|p| at[*p] < partitions[*p].len()).collect();
        let partition = open[picks.next().unwrap_or(&0) % open.len()];
        log.push(partitions[partition][at[partition]].clone());
        at[partition] += 1;
    }
    log
}

/// By event time, as alignment would have it, but for each partition's own disorder.
fn aligned(partitions: &[Vec<Line>]) -> Vec<Line> {
    let mut at = vec![0; partitions.len()];
    let mut reached = vec![i64::MIN; partitions.len()];
    let mut log = Vec::new();
    while let Some(p) =
        (0..partitions.len()).filter(|p| at[*p] < partitions[*p].len()).min_by_key(|p| reached[*p])
    {
        let line = partitions[p][at[p]].clone();
        reached[p] = reached[p].max(line.time);
        at[p] += 1;
        log.push(line);
    }
    log
}

fn picks() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0usize..12, 1..40)
}

fn how() -> impl Strategy<Value = Run> {
    (prop::sample::select(vec![1usize, 2, 3, 4]), 1usize..40, 1usize..6, any::<bool>())
        .prop_map(|(threads, batch, flush, early)| Run { threads, batch, flush, early })
}

fn flood(threshold: f64, window: u64) -> RuleSpec {
    let mut flood = rule("flood", Field::Client, Count::Requests, threshold);
    flood.window = std::time::Duration::from_secs(window);
    flood.critical_above = Some(threshold * 2.0);
    flood
}

fn by_client(line: &Line) -> String {
    address(line.client)
}

fn requests(window: &[&Line]) -> f64 {
    window.len() as f64
}

fn statuses(window: &[&Line]) -> f64 {
    window.iter().map(|line| line.status).collect::<std::collections::BTreeSet<u16>>().len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Early statements, growth and closed statements, joined, are the facts: nothing more, nothing less.
    #[test]
    fn counts_are_those_of_a_recount(partitions in partitions(), picks in picks(), how in how(), threshold in 0u8..20, window in prop::sample::select(vec![6u64, 60, 600])) {
        let flood = flood(f64::from(threshold), window);
        let log = interleave(&partitions, &picks);
        let expected = recount(&log, &flood, by_client, requests);
        prop_assert_eq!(joined(&run(&plan(vec![flood]), &log, how)), expected);
    }

    #[test]
    fn counts_of_aligned_partitions_are_those_of_a_recount(partitions in partitions(), how in how(), threshold in 0u8..20) {
        let flood = flood(f64::from(threshold), 60);
        let log = aligned(&partitions);
        let expected = recount(&log, &flood, by_client, requests);
        prop_assert_eq!(joined(&run(&plan(vec![flood]), &log, how)), expected);
    }

    #[test]
    fn bytes_are_those_of_a_recount(partitions in partitions(), picks in picks(), how in how(), threshold in 0u16..3_000) {
        let bytes = rule("bytes", Field::Client, Count::BytesSent, f64::from(threshold));
        let log = interleave(&partitions, &picks);
        let expected = recount(&log, &bytes, by_client, |window| window.iter().map(|line| line.bytes as f64).sum());
        prop_assert_eq!(joined(&run(&plan(vec![bytes]), &log, how)), expected);
    }

    #[test]
    fn shares_are_those_of_a_recount(partitions in partitions(), picks in picks(), how in how(), threshold in 0.05f64..0.9) {
        let matchers = parse_matchers([r#"status=~"5..""#]).unwrap();
        let share = rule("errors", Field::Service, Count::Share { matchers, min_requests: 5 }, threshold);
        let log = interleave(&partitions, &picks);
        let expected = recount(&log, &share, |_| "shop".to_owned(), |window| {
            let failed = window.iter().filter(|line| line.status == 503).count() as f64;
            if window.len() < 5 { 0.0 } else { failed / window.len() as f64 }
        });
        prop_assert_eq!(joined(&run(&plan(vec![share]), &log, how)), expected);
    }

    /// Different values within windows: of a field with few, where every one may be in or out.
    #[test]
    fn distinct_values_are_those_of_a_recount(partitions in partitions(), picks in picks(), how in how(), threshold in 0u8..3, by_service in any::<bool>(), window in prop::sample::select(vec![6u64, 60, 600])) {
        let (by, key): (_, fn(&Line) -> String) = match by_service {
            true => (Field::Service, |_| "shop".to_owned()),
            false => (Field::Client, by_client),
        };
        let mut distinct = rule("distinct", by, Count::Distinct { field: Field::Status }, f64::from(threshold));
        distinct.window = std::time::Duration::from_secs(window);
        let log = interleave(&partitions, &picks);
        let expected = recount(&log, &distinct, key, statuses);
        let found = joined(&run(&plan(vec![distinct]), &log, how));
        // A value that goes on without a gap has come in when it first came, so a fact may have begun before its
        // window's first bucket with anything in it, but not before the window.
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!(found.began <= expected.began && found.began >= found.first - window as i64 * 1_000);
            prop_assert_eq!(Fact { began: expected.began, ..found.clone() }, expected.clone());
        }
    }

    /// All that is counted together is what each rule alone would count.
    #[test]
    fn rules_in_one_lane_are_those_of_a_recount(partitions in partitions(), picks in picks(), how in how(), threshold in 0u8..40) {
        let line = f64::from(threshold);
        let (mut burst, mut long, mut values) = (flood(line / 2.0, 6), flood(line * 2.0, 600), flood(2.0, 60));
        burst.name = "burst".into();
        long.name = "long".into();
        (values.name, values.count, values.critical_above) = ("values".into(), Count::Distinct { field: Field::Status }, None);
        let bytes = rule("bytes", Field::Client, Count::BytesSent, line * 300.0);
        let rules = vec![long.clone(), flood(line, 60), bytes.clone(), burst.clone(), values.clone()];
        let log = interleave(&partitions, &picks);
        let found = joined(&run(&plan(rules), &log, how));
        let of = |name: &str| -> Vec<Fact> { found.iter().filter(|fact| fact.rule == name).cloned().collect() };
        for rule in [flood(line, 60), burst, long] {
            prop_assert_eq!(of(&rule.name), recount(&log, &rule, by_client, requests));
        }
        let sum = |window: &[&Line]| window.iter().map(|line| line.bytes as f64).sum();
        prop_assert_eq!(of("bytes"), recount(&log, &bytes, by_client, sum));
        let began = |facts: Vec<Fact>| -> Vec<Fact> { facts.into_iter().map(|fact| Fact { began: 0, ..fact }).collect() };
        prop_assert_eq!(began(of("values")), began(recount(&log, &values, by_client, statuses)));
    }

    /// A crowd: only clients within their limit count, and only where they are enough.
    #[test]
    fn crowds_are_those_of_a_recount(partitions in partitions(), picks in picks(), how in how(), threshold in 0u8..25, limit in 1u8..20, least in 1u64..4) {
        let matchers = parse_matchers([r#"status=~"200|404""#]).unwrap();
        let mut crowd = rule("crowd", Field::Service, Count::Requests, f64::from(threshold));
        (crowd.min_clients, crowd.matchers) = (Some(least), matchers);
        // What a client may do by itself.
        let own = RuleSpec { matchers: crowd.matchers.clone(), ..flood(f64::from(limit), 60) };
        let log = interleave(&partitions, &picks);
        let expected = recount(&log, &crowd, |_| "shop".to_owned(), |window| {
            let mut clients = std::collections::BTreeMap::<u8, u64>::new();
            for line in window.iter().filter(|line| line.status != 503) {
                *clients.entry(line.client).or_default() += 1;
            }
            clients.retain(|_, count| *count <= u64::from(limit));
            if (clients.len() as u64) < least { 0.0 } else { clients.values().sum::<u64>() as f64 }
        });
        let mut found = joined(&run(&plan(vec![crowd, own]), &log, how));
        found.retain(|fact| fact.rule == "crowd");
        let began = |facts: Vec<Fact>| -> Vec<Fact> { facts.into_iter().map(|fact| Fact { began: 0, ..fact }).collect() };
        prop_assert_eq!(began(found), began(expected));
    }

    /// What is closed is stated once: a replay needs no joining.
    #[test]
    fn a_replay_states_each_fact_once(partitions in partitions(), picks in picks(), how in how(), threshold in 0u8..20) {
        let how = Run { early: false, flush: usize::MAX, ..how };
        let flood = flood(f64::from(threshold), 60);
        let log = interleave(&partitions, &picks);
        let plan = plan(vec![flood]);
        let signals = run(&plan, &log, how);
        prop_assert_eq!(joined(&signals).len(), signals.len());
    }
}

#[track_caller]
fn check(times: &[(i64, i64)], threshold: f64, expected: &[(i64, i64, i64, f64)]) {
    let log: Vec<Line> = times
        .iter()
        .flat_map(|(second, n)| (0..*n).map(move |_| second * 1_000))
        .map(|at| Line { time: T0 + at, client: 1, partition: 0, status: 200, bytes: 1 })
        .collect();
    let rule = flood(threshold, 60);
    let plan = plan(vec![rule]);
    for early in [false, true] {
        for batch in [1, 3, 1_000] {
            let facts = joined(&run(&plan, &log, Run { early, batch, ..Run::default() }));
            let facts: Vec<_> = facts
                .iter()
                .map(|Fact { first, began, until, peak, .. }| {
                    (began / 1_000, first / 1_000, until / 1_000, *peak)
                })
                .collect();
            assert_eq!(facts, expected, "early {early}, batch {batch}");
        }
    }
}

/// (second, requests) -> (began, first, holds until, peak), in seconds, with windows of 60 s.
#[test]
fn a_fact_begins_with_the_violation_and_ends_with_the_hold() {
    // Exactly at the threshold is none.
    check(&[(0, 10)], 10.0, &[]);
    // One above: the windows that end in seconds 0 to 59 hold it.
    check(&[(0, 11)], 10.0, &[(0, 1, 60, 11.0)]);
    // It began with what first counted towards it.
    check(&[(0, 5), (30, 6)], 10.0, &[(0, 31, 60, 11.0)]);
    // Ten is above nine tenths of ten: the hold goes on until less is left.
    check(&[(0, 1), (5, 10)], 10.0, &[(0, 6, 65, 11.0)]);
    check(&[(0, 2), (5, 9)], 10.0, &[(0, 6, 60, 11.0)]);
    // Hysteresis carries it from one burst to the next; without a violation there is nothing to carry.
    check(&[(0, 11), (59, 10), (118, 10)], 10.0, &[(0, 1, 178, 21.0)]);
    check(&[(0, 10), (60, 10)], 10.0, &[]);
    // Two runs are two facts, however they arrive.
    check(&[(0, 11), (90, 11)], 10.0, &[(0, 1, 60, 11.0), (90, 91, 150, 11.0)]);
    // Threshold 0 holds while there is anything.
    check(&[(0, 1), (59, 1), (130, 1)], 0.0, &[(0, 1, 119, 2.0), (130, 131, 190, 1.0)]);
}
