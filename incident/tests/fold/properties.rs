//! What must hold of any facts in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_incident::{Incident, Knobs};
use beaconfire_model::{Earliest, EventTime, Latest, Severity, Signal};
use proptest::prelude::*;

use crate::support::{Book, event, fact, recorded, seconds, wall};

/// `resolve_after + flap_window` of the default knobs.
const GAP: i64 = 600;

fn facts(first: std::ops::Range<i64>, length: i64, how_many: usize) -> impl Strategy<Value = Vec<Signal>> {
    let one = (0..4usize, 0..6u8, first, 0..length, 601..2_000u32, 0..4usize).prop_map(
        |(rule, client, first, length, observed, severity)| {
            let rule = ["rate", "burst", "crawl", "bytes"][rule];
            fact(rule, client, first, first + length, f64::from(observed), Severity::ALL[severity])
        },
    );
    prop::collection::vec(one, 1..how_many)
}

/// The incident that facts of one episode come to, folded in batches of these sizes.
fn folded(facts: &[Signal], batches: &[usize], now: i64) -> Book {
    let mut book = Book::new();
    let (mut rest, mut sizes) = (facts, batches.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        let (batch, others) = rest.split_at(size);
        assert!(book.facts(batch.to_vec(), EventTime::MIN, wall(now)).is_empty(), "nothing waits");
        rest = others;
    }
    book
}

proptest! {
    #[test]
    fn facts_of_one_episode_commute(
        (ordered, shuffled) in facts(0..GAP, 3_000, 12)
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        batches in prop::collection::vec(1..5usize, 1..4),
        now in 0..9_000i64,
    ) {
        let (one, other) = (folded(&ordered, &[usize::MAX], now), folded(&shuffled, &batches, now));
        prop_assert_eq!(one.episodes.len(), 1);
        prop_assert_eq!(recorded(&one.episodes[0]), recorded(&other.episodes[0]));
        prop_assert_eq!(one.participants, other.participants);
    }

    #[test]
    fn folding_again_changes_nothing(
        facts in facts(0..GAP, 3_000, 12),
        batches in prop::collection::vec(1..5usize, 1..4),
        now in 0..9_000i64,
    ) {
        let mut book = folded(&facts, &batches, now);
        let (before, log) = (book.episodes.clone(), book.log.len());
        book.facts(facts, EventTime::MIN, wall(now + 60));
        prop_assert_eq!(&recorded(&before[0]), &recorded(&book.episodes[0]));
        prop_assert_eq!(before[0].changed_at, book.episodes[0].changed_at);
        prop_assert_eq!(book.log.len(), log, "a transition: {:?}", book.log);
    }

    /// Facts come as they grow, up to two minutes out of order; clearance follows what has come. However that goes,
    /// and however often everything is folded again on the way, the episodes are the maximal runs of the facts.
    #[test]
    fn episodes_are_the_maximal_runs(
        facts in facts(0..8_000, 400, 14),
        delays in prop::collection::vec(0..120i64, 32),
        rewinds in prop::collection::vec(any::<bool>(), 8),
    ) {
        let mut stream = statements(&facts, &delays);
        let mut book = Book::new();
        book.knobs = Knobs { max_age: Duration::from_secs(1_000_000), ..Knobs::default() };
        let (mut waiting, mut seen) = (Vec::new(), Vec::new());
        stream.sort_by_key(|(at, _)| *at);
        for step in 0..stream.len() {
            let (now, signal) = stream[step].clone();
            let clear = stream[step + 1..].iter().map(|(_, signal)| seconds(signal.holds_until.0) - 1).min();
            let clear = clear.map_or(EventTime::MAX, event);
            seen.push(signal.clone());
            waiting.push(signal);
            waiting = book.facts(std::mem::take(&mut waiting), clear, wall(now));
            if rewinds[step % rewinds.len()] {
                let (before, log) = (book.shown(), book.log.len());
                book.facts(seen.clone(), clear, wall(now));
                prop_assert_eq!(before, book.shown(), "a rewind changed what stands");
                prop_assert_eq!(book.log.len(), log, "a rewind told: {:?}", book.log);
            }
            book.time(clear, wall(now));
        }
        prop_assert!(waiting.is_empty());
        let stored: Vec<_> = book.episodes.iter().map(summary).collect();
        prop_assert_eq!(stored, runs(&facts));
    }
}

/// What a detector says of each fact while it grows, with the time at which it arrives.
fn statements(facts: &[Signal], delays: &[i64]) -> Vec<(i64, Signal)> {
    let mut stream = Vec::new();
    let mut delays = delays.iter().cycle();
    for fact in facts {
        let (first, until) = (seconds(fact.first.0), seconds(fact.holds_until.0));
        for at in (first..until).step_by(100).chain([until]) {
            let mut signal = fact.clone();
            signal.holds_until = Latest(event(at));
            stream.push((at + delays.next().copied().unwrap_or(0), signal));
        }
    }
    stream
}

/// First and last second, severity, and each rule's peak and first second.
type Summary = (i64, i64, Severity, BTreeMap<String, (u64, i64)>);

fn summary(incident: &Incident) -> Summary {
    let rules = incident
        .rules
        .iter()
        .map(|(rule, peak)| (rule.to_string(), (peak.observed as u64, seconds(peak.first))))
        .collect();
    (seconds(incident.detected_at), seconds(incident.holds_until), incident.severity, rules)
}

/// The maximal runs, found the plain way.
fn runs(facts: &[Signal]) -> Vec<Summary> {
    let mut facts: Vec<&Signal> = facts.iter().collect();
    facts.sort_by_key(|fact| fact.first);
    let mut runs: Vec<Summary> = Vec::new();
    for fact in facts {
        let Earliest(first) = fact.first;
        let (first, until) = (seconds(first), seconds(fact.holds_until.0));
        if runs.last().is_none_or(|run| first > run.1 + GAP) {
            runs.push((first, until, fact.severity, BTreeMap::new()));
        }
        let Some(run) = runs.last_mut() else { unreachable!("one was just pushed") };
        run.1 = run.1.max(until);
        run.2 = run.2.max(fact.severity);
        let observed = fact.evidence.observed.0 as u64;
        let peak = run.3.entry(fact.rule.to_string()).or_insert((observed, first));
        *peak = (peak.0.max(observed), peak.1.min(first));
    }
    runs
}
