//! What librdkafka's statistics say of partitions whose leader is away. Its report is JSON (STATISTICS.md of librdkafka
//! has the names); broker states are those of `rd_kafka_broker_state_names`.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use serde::Deserialize;

use crate::rebalance::Place;

/// The states of a broker that was reached once, or is being tried: one that was never needed says `INIT`.
const AWAY: [&str; 3] = [r#""state":"DOWN""#, r#""state":"TRY_CONNECT""#, r#""state":"CONNECT""#];
/// Without a leader, or with one that is not among the brokers: a broker that Kafka no longer names goes from the report.
/// Each topic's partition -1, where what belongs to none is kept, is without both.
const LACKING: [&str; 2] = [r#""leader":-1,"#, r#""broker":-1,"#];
const NO_PARTITION: &str = r#""partition":-1,"#;

#[derive(Deserialize)]
struct Report<'r> {
    #[serde(borrow)]
    brokers: BTreeMap<&'r str, Broker<'r>>,
    topics: BTreeMap<String, Topic>,
}

#[derive(Deserialize)]
struct Broker<'r> {
    nodeid: i32,
    state: &'r str,
}

#[derive(Deserialize)]
struct Topic {
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    leader: i32,
}

/// Whether a report is worth parsing.
pub(crate) fn may_lack_leaders(report: &[u8]) -> bool {
    let count = |sign: &str| memmem::find_iter(report, sign).count();
    AWAY.iter().any(|sign| memmem::find(report, sign.as_bytes()).is_some())
        || LACKING.iter().any(|sign| count(sign) > count(NO_PARTITION))
}

/// The partitions that have no leader, or whose leader is not reached; `None` where the report is not understood.
pub(crate) fn leaderless(report: &[u8]) -> Option<BTreeSet<Place>> {
    let report: Report<'_> = serde_json::from_slice(report).ok()?;
    let up: BTreeSet<i32> =
        report.brokers.values().filter(|broker| broker.state == "UP").map(|broker| broker.nodeid).collect();
    let mut away = BTreeSet::new();
    for (topic, Topic { partitions }) in report.topics {
        let lacking = partitions.into_iter().filter(|(number, partition)| {
            // -1 holds records for partitions that are not known yet.
            *number >= 0 && !up.contains(&partition.leader)
        });
        away.extend(lacking.map(|(number, _)| (topic.clone(), number)));
    }
    Some(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(states: [&str; 2], leaders: [i32; 3]) -> String {
        let [one, two] = states;
        let [a, b, c] = leaders;
        format!(
            r#"{{"name":"x","brokers":{{
            "h1:9092/1":{{"name":"h1:9092/1","nodeid":1,"state":"{one}","rtt":{{"p99":3}}}},
            "h2:9092/2":{{"name":"h2:9092/2","nodeid":2,"state":"{two}"}}}},
            "topics":{{"web":{{"topic":"web","partitions":{{
            "0":{{"partition":0,"broker":{a},"leader":{a},"lag":0}},"1":{{"partition":1,"leader":{b},"lag":0}},
            "2":{{"partition":2,"leader":{c},"lag":0}},"-1":{{"partition":-1,"leader":-1,"lag":0}}}}}}}},
            "cgrp":{{"state":"up"}}}}"#
        )
        .replace(['\n', ' '], "")
    }

    #[test]
    fn partitions_of_a_broker_that_is_away_are_named() {
        let places = |said: &[i32]| said.iter().map(|at| ("web".to_owned(), *at)).collect::<BTreeSet<_>>();
        let well = report(["UP", "INIT"], [1, 1, 1]);
        assert!(!may_lack_leaders(well.as_bytes()));
        for (report, lacking) in [
            (report(["UP", "TRY_CONNECT"], [1, 2, 1]), places(&[1])),
            (report(["UP", "UP"], [1, 2, -1]), places(&[2])),
            (report(["UP", "DOWN"], [1, 1, 1]), places(&[])),
        ] {
            assert!(may_lack_leaders(report.as_bytes()));
            assert_eq!(leaderless(report.as_bytes()), Some(lacking), "{report}");
        }
        assert_eq!(leaderless(b"{}"), None);
    }
}
