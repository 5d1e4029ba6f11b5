//! What librdkafka's statistics say of partitions whose leader is away. Its report is JSON (STATISTICS.md of librdkafka
//! has the names); broker states are those of `rd_kafka_broker_state_names`.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;
use serde::Deserialize;

use crate::rebalance::Place;

/// How long a broker that we fetch from may be silent: it answers a fetch within 25 ms (`settings`), also where there is
/// nothing. One that has gone without a word stays `UP` until its requests time out, a minute later.
const SILENT: i64 = 5_000_000;
/// Without a leader, or with one that is not among the brokers: one that Kafka no longer names goes from the report. Each
/// topic's partition -1, where what belongs to none is kept, is without both.
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
    /// Microseconds since it last sent anything; -1 before that.
    rxidle: i64,
}

#[derive(Deserialize)]
struct Topic {
    partitions: BTreeMap<i32, Partition>,
}

#[derive(Deserialize)]
struct Partition {
    /// Whom it is fetched from: a replica in our rack, or the leader; -1 where nobody can be.
    broker: i32,
    leader: i32,
}

/// Whether a report is worth parsing: a broker is silent, or in a state other than `UP` (one that was never needed says
/// `INIT`; the group's own states are in small letters), or partitions lack one.
pub(crate) fn may_lack_leaders(report: &[u8]) -> bool {
    let count = |sign: &str| memmem::find_iter(report, sign).count();
    let behind =
        |sign: &'static str| memmem::find_iter(report, sign).map(move |at| &report[at + sign.len()..]);
    let is_off = |state: &[u8]| {
        state.first().is_some_and(u8::is_ascii_uppercase)
            && !state.starts_with(b"UP")
            && !state.starts_with(b"INIT")
    };
    let is_silent = |idle: &[u8]| {
        let digits = idle.iter().take_while(|byte| byte.is_ascii_digit()).take(18);
        digits.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')) > SILENT
    };
    behind(r#""state":""#).any(is_off)
        || behind(r#""rxidle":"#).any(is_silent)
        || LACKING.iter().any(|sign| count(sign) > count(NO_PARTITION))
}

/// The partitions that have no leader, or whose leader is not reached; `None` where the report is not understood.
pub(crate) fn leaderless(report: &[u8]) -> Option<BTreeSet<Place>> {
    let report: Report<'_> = serde_json::from_slice(report).ok()?;
    let up: BTreeSet<i32> = report
        .brokers
        .values()
        .filter(|broker| broker.state == "UP" && broker.rxidle <= SILENT)
        .map(|broker| broker.nodeid)
        .collect();
    let mut away = BTreeSet::new();
    for (topic, Topic { partitions }) in report.topics {
        let lacking = partitions.into_iter().filter(|(number, partition)| {
            let from = if partition.broker >= 0 { partition.broker } else { partition.leader };
            // -1 holds records for partitions that are not known yet.
            *number >= 0 && !up.contains(&from)
        });
        away.extend(lacking.map(|(number, _)| (topic.clone(), number)));
    }
    Some(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two brokers and how long they are silent, and from whom three partitions are fetched.
    fn report(brokers: [(&str, i64); 2], from: [i32; 3]) -> String {
        let [(one, idle), (two, silent)] = brokers;
        let partitions = from.iter().enumerate().map(|(number, broker)| {
            let leader = if *broker < 0 { 2 } else { *broker };
            format!(r#""{number}":{{"partition":{number},"broker":{broker},"leader":{leader},"lag":0}},"#)
        });
        format!(
            r#"{{"name":"x","brokers":{{"a:1/1":{{"nodeid":1,"state":"{one}","rxidle":{idle},"rtt":{{"p99":3}}}},"#
        ) + &format!(r#""b:1/2":{{"nodeid":2,"state":"{two}","rxidle":{silent},"tx":1}}}},"#)
            + r#""topics":{"web":{"topic":"web","partitions":{"#
            + &partitions.collect::<String>()
            + r#""-1":{"partition":-1,"broker":-1,"leader":-1,"lag":0}}}},"cgrp":{"state":"query-coord"}}"#
    }

    #[test]
    fn partitions_of_a_broker_that_is_away_are_named() {
        let places = |said: &[i32]| said.iter().map(|at| ("web".to_owned(), *at)).collect::<BTreeSet<_>>();
        let up = ("UP", 400_000);
        let well = report([up, ("INIT", -1)], [1, 1, 1]);
        assert!(!may_lack_leaders(well.as_bytes()));
        for (report, lacking) in [
            (report([up, ("TRY_CONNECT", 1)], [1, 2, 1]), places(&[1])),
            (report([up, ("APIVERSION_QUERY", 1)], [1, 2, 1]), places(&[1])),
            (report([up, ("UP", 9_000_000)], [2, 2, 1]), places(&[0, 1])),
            (report([up, ("DOWN", 1)], [1, 1, -1]), places(&[2])),
            (report([up, ("DOWN", 1)], [1, 1, 1]), places(&[])),
        ] {
            assert!(may_lack_leaders(report.as_bytes()), "{report}");
            assert_eq!(leaderless(report.as_bytes()), Some(lacking), "{report}");
        }
        assert_eq!(leaderless(b"{}"), None);
    }
}
