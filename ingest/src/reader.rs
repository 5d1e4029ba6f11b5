//! The partitions that are being read: a batch at a time, each from its own queue, in turn and the one that is furthest
//! behind more often.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use beaconfire_model::{Committed, EventTime, Offset, Record, Source, Turn};
use rdkafka::Offset as KafkaOffset;
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::types::RDKafkaErrorCode;

use crate::Metrics;
use crate::drain::{self, Batch, Client, PartitionQueue};
use crate::lookup::Wanted;
use crate::rebalance::Place;

/// Records handed out by one poll at most; batches above 256 gain nothing.
const BATCH: usize = 1024;
/// How often lag and positions are looked at.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// A partition that is being read.
struct Reading {
    queue: PartitionQueue,
    wanted: Wanted,
    /// The next offset to hand out. A rebalance makes librdkafka fetch again from where it last looked, which may be
    /// behind this: what was handed out before is skipped.
    next: i64,
    /// The log's stamp of the last record that was handed out; of all time the first before that.
    stamped: i64,
    /// The log's end when it was assigned: librdkafka's own idea of the end may still be of an earlier assignment.
    end: i64,
    begun: Instant,
    caught_up: bool,
    /// An error has left librdkafka's position wrong: to be given up and read anew, and left alone until then.
    wrong: bool,
    /// The last commit, for saying it again where the broker refused it.
    said: Option<Committed>,
}

/// A record that came by the consumer's own queue. It should not happen (`drain`), and must not lose a record.
struct Stray {
    source: Source,
    offset: i64,
    stamped: Option<i64>,
    payload: Option<Vec<u8>>,
}

/// An error that stood in a partition's queue.
struct Wrong {
    source: Source,
    code: RDKafkaErrorCode,
    offset: i64,
    said: String,
}

/// Reads all partitions of a member.
pub(crate) struct Reader {
    readings: BTreeMap<Source, Reading>,
    /// The sources in turn, and whose turn comes next.
    order: Vec<Source>,
    cursor: usize,
    /// Whether the next fetch begins with the source that is furthest behind, and not with the one whose turn it is.
    aligns: bool,
    batch: Batch,
    /// Whose messages the batch holds: up to which place each source's reach.
    runs: Vec<(Source, usize)>,
    strays: Vec<Stray>,
    /// Whether the last fetch brought records: then they have been read when the next comes.
    delivered: bool,
    held: BTreeSet<Source>,
    paused: bool,
    measured: Instant,
    metrics: Metrics,
    client: Arc<Client>,
}

impl Reader {
    pub(crate) fn new(client: Arc<Client>, metrics: Metrics) -> Self {
        Self {
            readings: BTreeMap::new(),
            order: Vec::new(),
            cursor: 0,
            aligns: false,
            batch: Batch::new(client.clone(), BATCH),
            runs: Vec::new(),
            strays: Vec::new(),
            delivered: false,
            held: BTreeSet::new(),
            paused: false,
            measured: Instant::now(),
            metrics,
            client,
        }
    }

    /// Begins to read a partition whose queue was taken over, at `next`. `end` is its end as it was looked up.
    pub(crate) fn begin(&mut self, wanted: Wanted, queue: PartitionQueue, next: i64, end: i64) {
        let begun = Instant::now();
        let source = wanted.source;
        let reading = Reading {
            queue,
            wanted,
            next,
            stamped: i64::MIN,
            end,
            begun,
            caught_up: false,
            wrong: false,
            said: None,
        };
        self.readings.insert(source, reading);
        self.reorder();
    }

    /// Forgets partitions, before they are given up.
    pub(crate) fn end(&mut self, places: &[Place]) {
        self.readings.retain(|_, reading| !places.contains(&reading.wanted.place));
        self.reorder();
        for (topic, partition) in places {
            self.metrics.forget_lag(topic, *partition);
        }
    }

    /// Forgets all partitions and what was taken from them.
    pub(crate) fn end_all(&mut self) {
        let places: Vec<Place> = self.readings.values().map(|reading| reading.wanted.place.clone()).collect();
        self.end(&places);
        self.delivered = true;
        self.clear();
    }

    /// Whether nothing is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.readings.is_empty()
    }

    /// What is being read.
    #[cfg(test)]
    pub(crate) fn sources(&self) -> Vec<Source> {
        self.order.clone()
    }

    /// Whether the broker that leads a partition answers, as far as is known.
    pub(crate) fn has_leader(&self, source: Source) -> bool {
        let context = self.client.context();
        self.readings.get(&source).is_none_or(|reading| !context.is_leaderless(&reading.wanted.place))
    }

    /// The sources that are read of these partitions.
    pub(crate) fn among(&self, places: &[Place]) -> Vec<Source> {
        let ours = self.readings.iter().filter(|(_, reading)| places.contains(&reading.wanted.place));
        ours.map(|(source, _)| *source).collect()
    }

    /// A partition that has to be given up and read anew.
    pub(crate) fn wrong(&self) -> Option<&Wanted> {
        self.readings.values().find(|reading| reading.wrong).map(|reading| &reading.wanted)
    }

    /// Stops or goes on taking records. Ends that were told before may have moved meanwhile: they are told anew.
    pub(crate) fn pause(&mut self, held: bool) {
        if self.paused && !held {
            self.readings.values_mut().for_each(|reading| reading.caught_up = false);
        }
        self.paused = held;
    }

    /// The sources that are left where they are until this is told anew.
    pub(crate) fn hold(&mut self, ahead: &[Source]) {
        self.held = ahead.iter().copied().collect();
    }

    /// Notes what is committed of a source, and says where that is; `None` where it is not read.
    pub(crate) fn say(&mut self, committed: &Committed) -> Option<&Place> {
        let reading = self.readings.get_mut(&committed.source)?;
        reading.said = Some(committed.clone());
        Some(&reading.wanted.place)
    }

    /// Whether this was the last that was committed there.
    pub(crate) fn is_last_said(&self, place: &Place, next: i64) -> bool {
        let mut there = self.readings.values().filter(|reading| reading.wanted.place == *place);
        there.any(|reading| reading.said.as_ref().is_some_and(|said| said.next.0 == next))
    }

    /// The last commit of each source.
    pub(crate) fn said(&self) -> Vec<Committed> {
        self.readings.values().filter_map(|reading| reading.said.clone()).collect()
    }

    /// Destroys the last batch.
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.runs.clear();
        if std::mem::take(&mut self.delivered) {
            self.strays.clear();
        }
    }

    /// Where the source stands in the order that is furthest behind by the log's stamps, of those that are not at their
    /// end.
    fn furthest_behind(&self) -> Option<usize> {
        let behind = self.order.iter().enumerate().filter(|(_, source)| !self.held.contains(source));
        let stamped = behind.filter_map(|(place, source)| {
            let reading = self.readings.get(source).filter(|reading| !reading.caught_up)?;
            Some((reading.stamped, place))
        });
        stamped.min().map(|(_, place)| place)
    }

    /// Takes records and notes the ends that were reached; whether there are any records. Every second time it begins
    /// with the source that is furthest behind, so that those of a backlog come to their ends together; else in turn, as
    /// stamps may be anything.
    pub(crate) fn fetch(&mut self, turns: &mut VecDeque<Turn>) -> bool {
        let mut wrong = Vec::new();
        let sources = if self.paused { 0 } else { self.order.len() };
        let aligned = if self.aligns { self.furthest_behind() } else { None };
        self.aligns = !self.aligns;
        for step in 0..sources {
            let source = self.order[(aligned.unwrap_or(self.cursor) + step) % sources];
            let room = BATCH - self.batch.len();
            if room == 0 {
                break;
            }
            if self.held.contains(&source) {
                continue;
            }
            let Some(reading) = self.readings.get_mut(&source).filter(|reading| !reading.wrong) else {
                continue;
            };
            let (before, next, stamped) = (self.batch.len(), &mut reading.next, &mut reading.stamped);
            let taken = self.batch.fill(&reading.queue, room, |message| match message.error() {
                None if message.offset() >= *next => {
                    *next = message.offset() + 1;
                    *stamped = message.stamped().unwrap_or(*stamped);
                    true
                }
                None => false,
                Some(code) => {
                    let said = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
                    wrong.push(Wrong { source, code, offset: message.offset(), said });
                    false
                }
            });
            if self.batch.len() > before {
                reading.caught_up = false;
                self.runs.push((source, self.batch.len()));
            } else if taken == 0 && !reading.caught_up {
                reading.caught_up = at_end(&self.client, reading);
                if reading.caught_up {
                    turns.push_back(Turn::CaughtUp { source });
                }
            }
        }
        if aligned.is_none() {
            self.cursor = (self.cursor + 1) % sources.max(1);
        }
        for wrong in wrong {
            self.went_wrong(&wrong);
        }
        if self.measured.elapsed() >= MEASURE_EVERY {
            self.measure();
        }
        self.delivered = !self.runs.is_empty() || !self.strays.is_empty();
        self.delivered
    }

    /// The records of the last fetch.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let strays = self.strays.iter().filter(|_| self.delivered).map(|stray| Record {
            source: stray.source,
            offset: Offset(stray.offset),
            stamped: stray.stamped.map(EventTime::from_millis),
            payload: stray.payload.as_deref(),
        });
        let mut from = 0;
        let batch = self.runs.iter().flat_map(move |&(source, end)| {
            let run = from..end;
            from = end;
            run.filter_map(|at| self.batch.get(at)).map(move |message| Record {
                source,
                offset: Offset(message.offset()),
                stamped: message.stamped().map(EventTime::from_millis),
                payload: message.payload(),
            })
        });
        strays.chain(batch)
    }

    /// Takes a record that came by the consumer's own queue; it goes before what its partition's queue holds.
    pub(crate) fn stray(&mut self, message: &BorrowedMessage<'_>) {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let mut readings = self.readings.iter_mut();
        let found = readings.find(|(_, reading)| {
            reading.wanted.place.0 == topic && reading.wanted.place.1 == partition && offset >= reading.next
        });
        // Of a partition that was given up, or handed out before.
        let Some((&source, reading)) = found else { return };
        reading.next = offset + 1;
        reading.caught_up = false;
        let (stamped, payload) = (message.timestamp().to_millis(), message.payload().map(<[u8]>::to_vec));
        self.strays.push(Stray { source, offset, stamped, payload });
    }

    /// An error stood in a partition's queue. Where it carries an offset, librdkafka has moved its own position past
    /// that offset (its batch calls take an error for a message) and would skip a record at the next rebalance; and a
    /// partition whose offset is out of range is not fetched any more. Both are healed by reading it anew.
    fn went_wrong(&mut self, wrong: &Wrong) {
        self.client.context().complain(wrong.code, &wrong.said);
        if (wrong.offset >= 0 || wrong.code == RDKafkaErrorCode::AutoOffsetReset)
            && let Some(reading) = self.readings.get_mut(&wrong.source)
        {
            reading.wrong = true;
        }
    }

    /// Tells the lag, and moves over what no record stands for (a transaction's marks) at the end of a partition.
    fn measure(&mut self) {
        self.measured = Instant::now();
        let behind = self.readings.values().any(|reading| !reading.caught_up);
        let positions = if behind { self.client.position().ok() } else { None };
        for reading in self.readings.values_mut() {
            let (topic, partition) = &reading.wanted.place;
            let position = positions.as_ref().and_then(|list| list.find_partition(topic, *partition));
            // Right after the start librdkafka may still know the position of an earlier assignment.
            if let Some(KafkaOffset::Offset(position)) = position.map(|element| element.offset())
                && reading.begun.elapsed() >= MEASURE_EVERY
            {
                reading.next = reading.next.max(position);
            }
            if let Some(end) = drain::seen_end(&self.client, topic, *partition) {
                self.metrics.set_lag(topic, *partition, (end.max(reading.end) - reading.next).max(0));
            }
        }
    }

    fn reorder(&mut self) {
        self.order = self.readings.keys().copied().collect();
    }
}

fn at_end(client: &Client, reading: &Reading) -> bool {
    let (topic, partition) = &reading.wanted.place;
    drain::seen_end(client, topic, *partition).is_some_and(|end| reading.next >= end.max(reading.end))
}
