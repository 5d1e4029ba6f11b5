//! What the brokers know of partitions that were just given to us: three requests for all of them together.

use std::time::Duration;

use beaconfire_model::{Assignment, Offset, Source};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::StartAt;
use crate::drain::{self, Client};
use crate::rebalance::Place;

/// A partition to ask about.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) source: Source,
    pub(crate) place: Place,
    pub(crate) start: StartAt,
}

/// Asks for committed offsets, log starts and ends, and offsets by time where an entry begins at one. Blocks for at
/// most four times `within`; one partition without an answer fails them all, for half an answer would be a silent
/// cold start.
pub(crate) fn look_up(client: &Client, wanted: &[Wanted], within: Duration) -> KafkaResult<Vec<Assignment>> {
    let committed = client.committed_offsets(list(wanted, |_| None)?, within)?;
    let metadata = drain::metadata(&committed);
    let lows = offsets(client, wanted, |_| KafkaOffset::Beginning, within)?;
    let highs = offsets(client, wanted, |_| KafkaOffset::End, within)?;
    let timed: Vec<Wanted> = wanted.iter().filter(|wanted| time(wanted).is_some()).cloned().collect();
    let mut times = match timed.is_empty() {
        true => Vec::new(),
        false => {
            offsets(client, &timed, |wanted| KafkaOffset::Offset(time(wanted).unwrap_or_default()), within)?
        }
    }
    .into_iter();
    let mut known = committed.elements().into_iter().zip(metadata).collect::<Vec<_>>();
    let mut assignments = Vec::with_capacity(wanted.len());
    for (at, wanted) in wanted.iter().enumerate() {
        let (topic, partition) = &wanted.place;
        let same = known
            .iter()
            .position(|(element, _)| element.topic() == topic.as_str() && element.partition() == *partition);
        let (element, metadata) = known.swap_remove(same.ok_or(KafkaError::Canceled)?);
        element.error()?;
        let committed = match element.offset() {
            KafkaOffset::Offset(next) => Some((Offset(next), metadata)),
            _ => None,
        };
        let (low, high) = (absolute(lows[at]).unwrap_or(0), absolute(highs[at]).ok_or(KafkaError::Canceled)?);
        let fresh = match wanted.start {
            StartAt::Latest => high,
            StartAt::Earliest => low,
            // No record at or after that time: the next one will be.
            StartAt::Time(_) => times.next().and_then(absolute).unwrap_or(high),
        };
        assignments.push(Assignment {
            source: wanted.source,
            committed,
            low: Offset(low),
            high: Offset(high.max(low)),
            fresh: Offset(fresh),
        });
    }
    Ok(assignments)
}

fn time(wanted: &Wanted) -> Option<i64> {
    match wanted.start {
        StartAt::Time(at) => Some(at.millis().max(0)),
        StartAt::Latest | StartAt::Earliest => None,
    }
}

fn absolute(offset: KafkaOffset) -> Option<i64> {
    match offset {
        KafkaOffset::Offset(offset) => Some(offset),
        _ => None,
    }
}

fn list(
    wanted: &[Wanted],
    offset: impl Fn(&Wanted) -> Option<KafkaOffset>,
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(wanted.len());
    for wanted in wanted {
        let mut element = list.add_partition(&wanted.place.0, wanted.place.1);
        if let Some(offset) = offset(wanted) {
            element.set_offset(offset)?;
        }
    }
    Ok(list)
}

/// One `ListOffsets` for each leader. librdkafka reads the "time" in the offset's place, where `Beginning` and `End`
/// are the protocol's own markers for the log's start and end.
fn offsets(
    client: &Client,
    wanted: &[Wanted],
    time: impl Fn(&Wanted) -> KafkaOffset,
    within: Duration,
) -> KafkaResult<Vec<KafkaOffset>> {
    let answer = client.offsets_for_times(list(wanted, |wanted| Some(time(wanted)))?, within)?;
    wanted
        .iter()
        .map(|wanted| {
            let (topic, partition) = &wanted.place;
            let element = answer.find_partition(topic, *partition).ok_or(KafkaError::Canceled)?;
            element.error()?;
            Ok(element.offset())
        })
        .collect()
}
