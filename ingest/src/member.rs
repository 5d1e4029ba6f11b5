//! A membership of the consumer group: the partitions that are ours, and the group's wishes that are to be answered.
//!
//! The callbacks' notes (`rebalance`) are worked off one by one. Each becomes a turn that the caller answers, or is
//! answered here: librdkafka waits until then. A partition is given up and taken up anew by ourselves where an error
//! has left librdkafka's position in it wrong.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use beaconfire_model::{Assignment, Committed, LogFault, Names, Source, Start, Turn};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::Metrics;
use crate::drain::{self, Client, PartitionQueue};
use crate::lookup::{self, Wanted};
use crate::reader::Reader;
use crate::rebalance::{self, Note, Place};
use crate::settings::Entries;

/// The consumer's own queue is served at least this often.
const SERVE_EVERY: Duration = Duration::from_millis(20);
/// Events taken from it at a time.
const EVENTS: usize = 8;
/// How long one request about a new partition may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(2);
/// How long look-ups may fail before we leave the group, so that another member may try, and join again.
const LOOK_UP_UNTIL: Duration = Duration::from_secs(20);
/// The pause before what failed is tried again: a look-up, a commit, joining, a partition that went wrong.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A turn that the caller has yet to answer.
enum Asked {
    /// With the ends that the look-up found.
    Assign(Vec<Place>, BTreeMap<Source, i64>),
    Revoke(Vec<Place>),
    /// Nobody but we wants this one back: it went wrong and is to be read anew.
    Reread(Wanted),
}

/// One membership of the group.
pub(crate) struct Member {
    reader: Reader,
    /// Partitions that are assigned but not read: no entry wants them, or they could not be looked up.
    parked: BTreeMap<Place, PartitionQueue>,
    turns: VecDeque<Turn>,
    asked: Option<Asked>,
    /// When looking up the oldest assignment first failed, and when to try again.
    failing: Option<(Instant, Instant)>,
    /// How many partitions a topic had when it was first seen: those beyond were added since, and begin at their first
    /// record whatever the configuration says of fresh ones, for nobody has read what came before we heard of them.
    first_seen: BTreeMap<String, i32>,
    /// Partitions to look up and read anew.
    reread: Vec<(Instant, Wanted)>,
    recommit: Option<Instant>,
    rejoin: Option<Instant>,
    served: Instant,
    nap: Duration,
    entries: Entries,
    names: Names,
    instance: Option<String>,
    client: Arc<Client>,
}

impl Member {
    /// A member of the group that this client has just subscribed to.
    pub(crate) fn new(
        client: Arc<Client>,
        entries: Entries,
        names: Names,
        metrics: Metrics,
        instance: Option<String>,
    ) -> Self {
        Self {
            reader: Reader::new(client.clone(), metrics),
            parked: BTreeMap::new(),
            turns: VecDeque::new(),
            asked: None,
            failing: None,
            first_seen: BTreeMap::new(),
            reread: Vec::new(),
            recommit: None,
            rejoin: None,
            served: Instant::now(),
            nap: Duration::ZERO,
            entries,
            names,
            instance,
            client,
        }
    }

    /// One poll, as [`beaconfire_model::Log::poll`] says.
    pub(crate) fn poll(&mut self, wait: Duration) -> Result<Turn, LogFault> {
        self.reader.clear();
        let until = Instant::now() + wait;
        loop {
            if self.served.elapsed() >= SERVE_EVERY {
                self.serve(Duration::ZERO)?;
            }
            if let Some(turn) = self.next_turn()? {
                return Ok(turn);
            }
            if self.reader.fetch(&mut self.turns) {
                self.nap = Duration::ZERO;
                return Ok(Turn::Records);
            }
            if let Some(turn) = self.turns.pop_front() {
                return Ok(turn);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Turn::Idle);
            }
            // Short naps first: a queue that ran empty under load fills again within a millisecond.
            self.nap = (self.nap * 2).clamp(Duration::from_millis(1), SERVE_EVERY);
            self.serve(self.nap.min(left))?;
        }
    }

    /// What is being read.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What is being read, to pause and hold it.
    pub(crate) fn reader_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }

    /// Serves the consumer's own queue.
    fn serve(&mut self, wait: Duration) -> Result<(), LogFault> {
        let client = self.client.clone();
        for event in 0..EVENTS {
            match client.poll(if event == 0 { wait } else { Duration::ZERO }) {
                None => {}
                Some(Ok(message)) => self.reader.stray(&message),
                Some(Err(error)) => self.judge(&error)?,
            }
        }
        self.served = Instant::now();
        Ok(())
    }

    /// Errors that pass were told by the callback; those that do not end this log.
    fn judge(&self, error: &KafkaError) -> Result<(), LogFault> {
        let Some((code, reason)) = self.client.client().fatal_error() else {
            tracing::debug!(%error, "the consumer reported an error");
            return Ok(());
        };
        if code == RDKafkaErrorCode::FencedInstanceId {
            let name = self.instance.as_deref().unwrap_or("(none)");
            return Err(LogFault::Fenced(format!(
                "`{name}` has joined from another process; give each process its own kafka.instance ({reason})"
            )));
        }
        Err(LogFault::Fatal(format!("Kafka, {code}: {reason}; the consumer has to be made anew: restart")))
    }

    /// What the caller has to answer next.
    fn next_turn(&mut self) -> Result<Option<Turn>, LogFault> {
        if let Some(turn) = self.turns.pop_front() {
            return Ok(Some(turn));
        }
        if self.asked.is_some() {
            return Ok(None);
        }
        self.commit_again();
        let client = self.client.clone();
        match client.context().first() {
            Some(Note::Assigned(places)) => self.assigned(places),
            Some(Note::Revoked { places, lost }) => Ok(self.revoked(places, lost)),
            None => {
                self.join_again()?;
                if let Some(wanted) = self.reader.wrong() {
                    // What it was read to is known to whoever answers: they begin behind it.
                    let turn = Turn::Revoked { sources: vec![wanted.source], lost: true };
                    self.asked = Some(Asked::Reread(wanted.clone()));
                    return Ok(Some(turn));
                }
                self.read_again()
            }
        }
    }

    fn assigned(&mut self, places: Vec<Place>) -> Result<Option<Turn>, LogFault> {
        let now = Instant::now();
        if self.failing.is_some_and(|(_, again)| now < again) {
            return Ok(None);
        }
        if let Err(error) = self.see_topics() {
            return self.failed(&places, &error);
        }
        let wanted: Vec<Wanted> = places.iter().filter_map(|place| self.wanted(place)).collect();
        // Nothing to look up: none assigned, or none that we want; or the group has changed its mind meanwhile, and
        // joining again sorts that out.
        let overtaken = self.client.context().has_more();
        if wanted.is_empty() || overtaken {
            self.client.context().strike();
            self.failing = None;
            self.park(&places);
            if overtaken && !wanted.is_empty() {
                self.leave();
            }
            return Ok(None);
        }
        match self.look_up(&wanted) {
            Ok(assignments) => {
                self.client.context().strike();
                self.client.context().saw_broker(true);
                self.failing = None;
                self.asked = Some(Asked::Assign(places, ends(&assignments)));
                Ok(Some(Turn::Assigned(assignments)))
            }
            Err(error) => self.failed(&places, &error),
        }
    }

    /// An assignment could not be looked up: again a little later, until another member is to try.
    fn failed(&mut self, places: &[Place], error: &KafkaError) -> Result<Option<Turn>, LogFault> {
        let since = self.failing.map_or_else(Instant::now, |(since, _)| since);
        self.failing = Some((since, Instant::now() + AGAIN_AFTER));
        tracing::warn!(%error, partitions = places.len(), "could not look up new partitions");
        if since.elapsed() >= LOOK_UP_UNTIL {
            self.client.context().strike();
            self.failing = None;
            self.park(places);
            self.leave();
        }
        Err(LogFault::Retriable(format!("the offsets of new partitions could not be looked up: {error}")))
    }

    /// Takes note of topics that we have not seen before. At every assignment, also one of nothing: whoever has none of
    /// a topic's partitions may be given those that are added to it.
    fn see_topics(&mut self) -> KafkaResult<()> {
        let metadata = self.client.fetch_metadata(None, LOOK_UP_WITHIN)?;
        for topic in metadata.topics() {
            // A topic that is about to be made, or to go, has none.
            if !topic.partitions().is_empty() && self.entries.find(topic.name()).is_some() {
                let count = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
                self.first_seen.entry(topic.name().to_owned()).or_insert(count);
            }
        }
        Ok(())
    }

    fn look_up(&self, wanted: &[Wanted]) -> KafkaResult<Vec<Assignment>> {
        let mut assignments = lookup::look_up(&self.client, wanted, LOOK_UP_WITHIN)?;
        for (given, wanted) in assignments.iter_mut().zip(wanted) {
            let (topic, partition) = &wanted.place;
            if self.first_seen.get(topic).is_some_and(|count| partition >= count) {
                given.fresh = given.low;
            }
        }
        Ok(assignments)
    }

    fn wanted(&self, place: &Place) -> Option<Wanted> {
        let (entry, start) = self.entries.find(&place.0)?;
        let Some(topic) = self.names.topic(&place.0) else {
            tracing::error!(topic = place.0, "more topics than can be counted; this one is not read");
            return None;
        };
        let source = Source { entry, topic, partition: place.1 };
        Some(Wanted { source, place: place.clone(), start })
    }

    fn revoked(&mut self, places: Vec<Place>, lost: bool) -> Option<Turn> {
        self.client.context().strike();
        self.reread.retain(|(_, wanted)| !places.contains(&wanted.place));
        let sources = self.reader.among(&places);
        if sources.is_empty() {
            self.give_up(&places);
            return None;
        }
        self.asked = Some(Asked::Revoke(places));
        Some(Turn::Revoked { sources, lost })
    }

    /// Begins to read what was assigned.
    pub(crate) fn start(&mut self, at: &[Start]) -> Result<(), LogFault> {
        let Some(Asked::Assign(places, ends)) = self.asked.take() else {
            return Err(LogFault::Fatal("a start was told for partitions that were not assigned".to_owned()));
        };
        let mut list = TopicPartitionList::with_capacity(places.len());
        let mut left = Vec::new();
        let mut begun = Vec::new();
        for place in &places {
            let wanted = self.wanted(place);
            let start =
                wanted.as_ref().and_then(|wanted| at.iter().find(|start| start.source == wanted.source));
            let queue = PartitionQueue::take_over(&self.client, &place.0, place.1);
            let (Some(wanted), Some(start), Some(queue)) = (wanted, start, queue) else {
                left.push(place.clone());
                continue;
            };
            let next = start.at.0.max(0);
            let end = ends.get(&wanted.source).copied().unwrap_or(next);
            if list.add_partition_offset(&place.0, place.1, KafkaOffset::Offset(next)).is_ok() {
                begun.push(wanted.source);
                self.reader.begin(wanted, queue, next, end);
            }
        }
        if !left.is_empty() {
            self.park_with(&left, &mut list);
        }
        if let Err(error) = rebalance::assign(&self.client, &list) {
            // The assignment was taken from us meanwhile, or librdkafka has lost its mind: either way start over.
            tracing::warn!(%error, partitions = begun.len(), "an assignment could not be taken up; joining again");
            self.asked = Some(Asked::Revoke(places));
            self.turns.push_back(Turn::Revoked { sources: begun, lost: true });
            self.leave();
        }
        Ok(())
    }

    /// Lets go of what was revoked.
    pub(crate) fn release(&mut self) -> Result<(), LogFault> {
        match self.asked.take() {
            Some(Asked::Revoke(places)) => self.give_up(&places),
            Some(Asked::Reread(wanted)) => {
                self.give_up(std::slice::from_ref(&wanted.place));
                self.reread.push((Instant::now() + AGAIN_AFTER, wanted));
            }
            other => {
                self.asked = other;
                return Err(LogFault::Fatal("partitions were released that nobody wants back".to_owned()));
            }
        }
        Ok(())
    }

    /// Gives partitions back to the group.
    fn give_up(&mut self, places: &[Place]) {
        self.reader.end(places);
        self.parked.retain(|place, _| !places.contains(place));
        if let Err(error) = rebalance::unassign(&self.client, &list(places)) {
            // They are not read any more in any case; the group takes them when our session or assignment ends.
            tracing::warn!(%error, partitions = places.len(), "partitions could not be given back; joining again");
            self.leave();
        }
    }

    /// Takes up partitions without reading them: an assignment has to be answered in full.
    fn park(&mut self, places: &[Place]) {
        let mut list = TopicPartitionList::with_capacity(places.len());
        self.park_with(places, &mut list);
        if let Err(error) = rebalance::assign(&self.client, &list) {
            tracing::warn!(%error, "an assignment could not be answered; joining again");
            self.leave();
        }
    }

    fn park_with(&mut self, places: &[Place], list: &mut TopicPartitionList) {
        for place in places {
            if self.entries.find(&place.0).is_none() {
                tracing::error!(
                    topic = place.0,
                    "no entry of kafka.topics matches this topic; it is not read"
                );
            }
            if let Some(queue) = PartitionQueue::take_over(&self.client, &place.0, place.1) {
                self.parked.insert(place.clone(), queue);
            }
            let added = list.add_partition_offset(&place.0, place.1, KafkaOffset::End);
            debug_assert!(added.is_ok(), "the end is an offset that every list takes");
        }
    }

    /// Leaves the group; what is still assigned comes back as a revocation, and then we join again.
    pub(crate) fn leave(&mut self) {
        self.client.unsubscribe();
        self.rejoin = Some(Instant::now() + AGAIN_AFTER);
    }

    /// Subscribes again once everything from before has been given back.
    fn join_again(&mut self) -> Result<(), LogFault> {
        let due = self.rejoin.is_some_and(|at| at <= Instant::now());
        if due && self.reader.is_empty() && self.parked.is_empty() {
            self.client
                .subscribe(&self.entries.subscribed())
                .map_err(|error| LogFault::Fatal(format!("cannot subscribe again: {error}; restart")))?;
            self.rejoin = None;
        }
        Ok(())
    }

    /// Looks up a partition that went wrong, to read it anew.
    fn read_again(&mut self) -> Result<Option<Turn>, LogFault> {
        let now = Instant::now();
        let Some(at) = self.reread.iter().position(|(due, _)| *due <= now) else { return Ok(None) };
        let (_, wanted) = self.reread.remove(at);
        match self.look_up(std::slice::from_ref(&wanted)) {
            Ok(assignments) => {
                self.asked = Some(Asked::Assign(vec![wanted.place], ends(&assignments)));
                Ok(Some(Turn::Assigned(assignments)))
            }
            Err(error) => {
                self.reread.push((now + AGAIN_AFTER, wanted));
                Err(LogFault::Retriable(format!("a partition could not be looked up again: {error}")))
            }
        }
    }

    /// Commits without waiting; a refused commit is said again until a newer one replaces it.
    pub(crate) fn commit(&mut self, offsets: &[Committed]) -> Result<(), LogFault> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for committed in offsets {
            // Not ours any more: its next owner commits for it.
            let Some(place) = self.reader.say(committed) else { continue };
            let mut element = list.add_partition(&place.0, place.1);
            let next = committed.next.0;
            element
                .set_offset(KafkaOffset::Offset(next))
                .map_err(|error| LogFault::Fatal(format!("offset {next} cannot be committed: {error}")))?;
            element.set_metadata(&committed.metadata);
        }
        if list.count() == 0 {
            return Ok(());
        }
        drain::commit(&self.client, &list)
            .map_err(|error| LogFault::Retriable(format!("a commit was not taken: {error}")))
    }

    /// Says commits again that the broker refused (a rebalance under way, a coordinator that moved), where nothing
    /// newer was said: the last commit of a quiet partition would otherwise be missing for good.
    fn commit_again(&mut self) {
        let refused = self.client.context().uncommitted();
        if refused.iter().any(|refused| self.reader.is_last_said(&refused.place, refused.next)) {
            self.recommit = Some(Instant::now() + AGAIN_AFTER);
        }
        if self.recommit.is_some_and(|at| at <= Instant::now()) {
            let said = self.reader.said();
            self.recommit = self.commit(&said).err().map(|_| Instant::now() + AGAIN_AFTER);
        }
    }

    /// Lets go of all that borrows from the client, answers what is open, and hands the client out for closing.
    pub(crate) fn shut(mut self) -> Arc<Client> {
        self.client.context().close();
        self.reader.end_all();
        let mut open = Vec::new();
        match self.asked.take() {
            Some(Asked::Assign(places, _)) => open.push(Note::Assigned(places)),
            Some(Asked::Revoke(places)) => open.push(Note::Revoked { places, lost: false }),
            Some(Asked::Reread(_)) | None => {}
        }
        open.extend(std::iter::from_fn(|| self.client.context().strike()));
        for note in open {
            let answered = match note {
                Note::Assigned(places) => {
                    let mut list = TopicPartitionList::new();
                    self.park_with(&places, &mut list);
                    rebalance::assign(&self.client, &list)
                }
                Note::Revoked { places, .. } => rebalance::unassign(&self.client, &list(&places)),
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "could not answer a rebalance while closing");
            }
        }
        self.client
    }
}

fn ends(assignments: &[Assignment]) -> BTreeMap<Source, i64> {
    assignments.iter().map(|given| (given.source, given.high.0)).collect()
}

fn list(places: &[Place]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    list
}
