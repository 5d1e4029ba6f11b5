//! A broker in memory: partitions, one group with its commits, and members that come, go and are slow. It hands
//! partitions over as Kafka does: who has one is asked for it and gives it up first, unless it is taken for dead.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use beaconfire_model::{
    Assignment, Committed, EntryId, EventTime, Log, LogFault, Offset, Record, Source, Start, TopicId, Turn,
};

use super::sky::Sky;

/// Records of one partition handed over at once.
const BATCH: usize = 60;
/// How long a partition that has fallen behind may deliver nothing: less than what a worker takes for a standstill.
const SLOW: i64 = 12_000;

/// One line of the log, as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// When it reached the broker, in milliseconds.
    pub at: i64,
    pub partition: usize,
    pub text: Rc<str>,
}

#[derive(Debug, Default)]
struct Partition {
    log: Vec<(i64, Rc<str>)>,
    low: usize,
    committed: Option<(Offset, String)>,
    owner: Option<u32>,
    /// Its owner was asked to give it up.
    asked: bool,
}

#[derive(Debug, Default)]
struct Member {
    process: usize,
    news: VecDeque<News>,
    reading: BTreeMap<usize, Reading>,
    paused: bool,
    held: Vec<Source>,
}

#[derive(Debug)]
enum News {
    Given(Vec<usize>),
    Asked(Vec<usize>),
    Lost(Vec<usize>),
}

#[derive(Debug)]
struct Reading {
    next: usize,
    end_said: bool,
    slow_until: i64,
}

/// See the file's head.
#[derive(Debug)]
pub struct Broker {
    sky: Rc<Sky>,
    partitions: Vec<Partition>,
    members: BTreeMap<u32, Member>,
    born: u32,
    /// Commits under way: when they arrive, from whom.
    commits: VecDeque<(i64, u32, Vec<Committed>)>,
}

pub fn source(partition: usize) -> Source {
    Source { entry: EntryId(0), topic: TopicId(0), partition: i32::try_from(partition).expect("a few") }
}

fn place(source: Source) -> usize {
    usize::try_from(source.partition).expect("ours")
}

impl Broker {
    pub fn new(sky: Rc<Sky>, partitions: usize) -> Self {
        let partitions = (0..partitions).map(|_| Partition::default()).collect();
        Self { sky, partitions, members: BTreeMap::new(), born: 0, commits: VecDeque::new() }
    }

    pub fn append(&mut self, sent: &Sent) {
        self.partitions[sent.partition].log.push((sent.at, sent.text.clone()));
    }

    /// Time goes on: commits arrive, and partitions that nobody has are given to somebody.
    pub fn tick(&mut self) {
        while self.commits.front().is_some_and(|(due, ..)| *due <= self.sky.millis()) {
            let (_, member, commits) = self.commits.pop_front().expect("there is one");
            if self.members.contains_key(&member) {
                self.take(&commits);
            }
            if self.sky.once_in(20) {
                // Twice, and late: a retry whose first try had arrived.
                self.commits.push_back((self.sky.millis() + 1_500, member, commits));
            }
        }
        let free: Vec<usize> =
            (0..self.partitions.len()).filter(|at| self.partitions[*at].owner.is_none()).collect();
        for partition in free {
            let members = self.may_have(partition);
            if !members.is_empty() {
                self.give(partition, members[self.sky.below(members.len())]);
            }
        }
    }

    /// Who may be given a partition: nobody in whose process another worker has not heard yet that it has lost it.
    fn may_have(&self, partition: usize) -> Vec<u32> {
        let deaf = |id: u32, process: usize| {
            let mut others = self.members.iter().filter(|(other, _)| **other != id);
            others.any(|(_, other)| other.process == process && other.reading.contains_key(&partition))
        };
        let may = self.members.iter().filter(|(id, member)| !deaf(**id, member.process));
        may.map(|(id, _)| *id).collect()
    }

    fn take(&mut self, commits: &[Committed]) {
        for commit in commits {
            assert!(commit.metadata.len() <= 4_096, "Kafka refuses longer metadata");
            let partition = &mut self.partitions[place(commit.source)];
            partition.committed = Some((commit.next, commit.metadata.clone()));
        }
    }

    fn give(&mut self, partition: usize, to: u32) {
        self.partitions[partition].owner = Some(to);
        self.partitions[partition].asked = false;
        let news = &mut self.members.get_mut(&to).expect("alive").news;
        match news.back_mut() {
            Some(News::Given(given)) => given.push(partition),
            _ => news.push_back(News::Given(vec![partition])),
        }
    }

    pub fn join(&mut self, process: usize) -> u32 {
        self.born += 1;
        self.members.insert(self.born, Member { process, ..Member::default() });
        self.born
    }

    /// A member is dead: what it had under way may have arrived or not, its partitions are free.
    pub fn die(&mut self, member: u32) {
        self.members.remove(&member);
        let (its, others): (VecDeque<_>, VecDeque<_>) =
            self.commits.drain(..).partition(|(_, from, _)| *from == member);
        self.commits = others;
        for (_, _, commits) in its {
            if !self.sky.once_in(2) {
                break;
            }
            self.take(&commits);
        }
        for partition in &mut self.partitions {
            if partition.owner == Some(member) {
                (partition.owner, partition.asked) = (None, false);
            }
        }
    }

    /// Moves a partition: its owner is asked for it, or has lost it without being asked. A lost one that another
    /// process gets is read by both until the first hears of it. (Workers of one process live and die together: what
    /// one has lost goes to another only when the first has heard.)
    pub fn move_one(&mut self, lost: bool) {
        let at = self.sky.below(self.partitions.len());
        let partition = &mut self.partitions[at];
        let Some(owner) = partition.owner.filter(|_| !partition.asked) else { return };
        let settled = |member: &&mut Member| member.news.is_empty() && member.reading.contains_key(&at);
        let Some(member) = self.members.get_mut(&owner).filter(settled) else {
            return;
        };
        partition.asked = true;
        member.news.push_back(if lost { News::Lost(vec![at]) } else { News::Asked(vec![at]) });
        let process = member.process;
        let mut others = self.may_have(at);
        others.retain(|id| self.members[id].process != process);
        if lost && !others.is_empty() {
            self.give(at, others[self.sky.below(others.len())]);
        }
    }

    /// Retention deletes what lies before an offset.
    pub fn expire(&mut self, partition: usize, low: usize) {
        let held = &mut self.partitions[partition];
        held.low = held.low.max(low.min(held.log.len()));
    }

    /// The committed offset of a partition, and where a rewind begins.
    pub fn committed(&self, partition: usize) -> Option<(usize, usize)> {
        let (next, metadata) = self.partitions[partition].committed.as_ref()?;
        let metadata = beaconfire_pipeline::Metadata::parse(metadata).expect("ours");
        let whole = |offset: Offset| usize::try_from(offset.0).expect("not below 0");
        Some((whole(*next), whole(metadata.rewind)))
    }

    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    pub fn len(&self, partition: usize) -> usize {
        self.partitions[partition].log.len()
    }

    /// The records of a partition from one offset to before another.
    pub fn records(&self, partition: usize, from: usize, to: usize) -> &[(i64, Rc<str>)] {
        &self.partitions[partition].log[from..to]
    }

    /// Whether everything was read and committed.
    pub fn is_read(&self) -> bool {
        self.commits.is_empty()
            && (0..self.partitions.len()).all(|at| {
                self.len(at) == 0 || self.committed(at).is_some_and(|(next, _)| next == self.len(at))
            })
    }
}

/// One member's way to the broker.
pub struct SimLog {
    broker: Rc<RefCell<Broker>>,
    sky: Rc<Sky>,
    me: u32,
    batch: Vec<(Source, Offset, EventTime, Rc<str>)>,
}

impl SimLog {
    pub fn join(broker: &Rc<RefCell<Broker>>, sky: &Rc<Sky>, process: usize) -> Self {
        let me = broker.borrow_mut().join(process);
        Self { broker: broker.clone(), sky: sky.clone(), me, batch: Vec::new() }
    }

    pub fn me(&self) -> u32 {
        self.me
    }

    fn fetch(&mut self) {
        let mut broker = self.broker.borrow_mut();
        let Broker { partitions, members, .. } = &mut *broker;
        let member = members.get_mut(&self.me).expect("alive");
        if member.paused {
            return;
        }
        for (at, reading) in &mut member.reading {
            let end = partitions[*at].log.len();
            if member.held.contains(&source(*at)) || reading.next >= end {
                continue;
            }
            if !reading.end_said {
                if reading.slow_until > self.sky.millis() {
                    continue;
                }
                if self.sky.once_in(40) {
                    reading.slow_until = self.sky.millis() + self.sky.below(SLOW as usize) as i64;
                    continue;
                }
            }
            if self.sky.once_in(50) {
                // A fetch that is answered twice.
                reading.next = reading.next.saturating_sub(self.sky.below(30)).max(partitions[*at].low);
            }
            let most = if self.sky.is_calm() { BATCH } else { 1 + self.sky.below(BATCH) };
            let to = end.min(reading.next + most);
            for offset in reading.next..to {
                let (stamped, text) = &partitions[*at].log[offset];
                self.batch.push((
                    source(*at),
                    Offset(offset as i64),
                    EventTime::from_millis(*stamped),
                    text.clone(),
                ));
            }
            reading.next = to;
            reading.end_said = false;
        }
    }

    /// Whether no source that was read to its end has anything new: then what comes first makes no difference to how
    /// late its records are.
    fn is_sheltered(&self) -> bool {
        let broker = self.broker.borrow();
        let mut reading = broker.members[&self.me].reading.iter();
        reading.all(|(at, reading)| !reading.end_said || reading.next == broker.partitions[*at].log.len())
    }

    fn news(&mut self) -> Option<Turn> {
        let mut broker = self.broker.borrow_mut();
        let Broker { partitions, members, .. } = &mut *broker;
        let member = members.get_mut(&self.me).expect("alive");
        Some(match member.news.pop_front()? {
            News::Given(mut given) => {
                // What has gone to another meanwhile was never ours.
                given.retain(|at| partitions[*at].owner == Some(self.me));
                let of = |at: usize| Assignment {
                    source: source(at),
                    committed: partitions[at].committed.clone(),
                    low: Offset(partitions[at].low as i64),
                    high: Offset(partitions[at].log.len() as i64),
                    fresh: Offset(partitions[at].low as i64),
                };
                Turn::Assigned(given.into_iter().map(of).collect())
            }
            News::Asked(asked) => {
                Turn::Revoked { sources: asked.into_iter().map(source).collect(), lost: false }
            }
            News::Lost(lost) => Turn::Revoked { sources: lost.into_iter().map(source).collect(), lost: true },
        })
    }

    fn caught_up(&mut self) -> Option<Source> {
        let mut broker = self.broker.borrow_mut();
        let Broker { partitions, members, .. } = &mut *broker;
        let member = members.get_mut(&self.me).expect("alive");
        let reading = member.reading.iter_mut();
        let (at, reading) = { reading }
            .find(|(at, reading)| !reading.end_said && reading.next == partitions[**at].log.len())?;
        reading.end_said = true;
        Some(source(*at))
    }
}

impl Log for SimLog {
    fn poll(&mut self, _: Duration) -> Result<Turn, LogFault> {
        self.batch.clear();
        if self.sky.once_in(100) {
            return Err(LogFault::Retriable("the broker did not answer".to_owned()));
        }
        if self.sky.once_in(3)
            && self.is_sheltered()
            && let Some(turn) = self.news()
        {
            return Ok(turn);
        }
        self.fetch();
        if !self.batch.is_empty() {
            return Ok(Turn::Records);
        }
        if let Some(turn) = self.news() {
            return Ok(turn);
        }
        Ok(self.caught_up().map_or(Turn::Idle, |source| Turn::CaughtUp { source }))
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.batch.iter().map(|(source, offset, stamped, text)| Record {
            source: *source,
            offset: *offset,
            stamped: Some(*stamped),
            payload: Some(text.as_bytes()),
        })
    }

    fn start(&mut self, at: &[Start]) -> Result<(), LogFault> {
        let mut broker = self.broker.borrow_mut();
        let Broker { partitions, members, .. } = &mut *broker;
        let member = members.get_mut(&self.me).expect("alive");
        for start in at {
            let (partition, next) = (place(start.source), usize::try_from(start.at.0).expect("not below 0"));
            assert!(next >= partitions[partition].low, "reading begins at a record that is there");
            member.reading.insert(partition, Reading { next, end_said: false, slow_until: 0 });
        }
        Ok(())
    }

    fn release(&mut self, sources: &[Source]) -> Result<(), LogFault> {
        let mut broker = self.broker.borrow_mut();
        for source in sources {
            let at = place(*source);
            let member = broker.members.get_mut(&self.me).expect("alive");
            member.reading.remove(&at);
            if broker.partitions[at].owner != Some(self.me) {
                continue;
            }
            let mut others = broker.may_have(at);
            others.retain(|other| *other != self.me);
            match others.len() {
                // It comes back to where it was.
                0 => broker.give(at, self.me),
                n => broker.give(at, others[self.sky.below(n)]),
            }
        }
        Ok(())
    }

    fn commit(&mut self, offsets: &[Committed]) -> Result<(), LogFault> {
        if self.sky.once_in(20) {
            return Err(LogFault::Retriable("the coordinator moved".to_owned()));
        }
        let delay = if self.sky.is_calm() { 0 } else { self.sky.below(2_000) as i64 };
        let mut broker = self.broker.borrow_mut();
        // A connection keeps its order.
        let due = (self.sky.millis() + delay).max(broker.commits.back().map_or(0, |(due, ..)| *due));
        // Of what was lost the group's coordinator takes no more commits.
        let ours = |commit: &&Committed| broker.partitions[place(commit.source)].owner == Some(self.me);
        let commits = offsets.iter().filter(ours).cloned().collect();
        broker.commits.push_back((due, self.me, commits));
        Ok(())
    }

    fn pause(&mut self, held: bool) -> Result<(), LogFault> {
        let mut broker = self.broker.borrow_mut();
        let member = broker.members.get_mut(&self.me).expect("alive");
        if member.paused && !held {
            member.reading.values_mut().for_each(|reading| reading.end_said = false);
        }
        member.paused = held;
        Ok(())
    }

    fn hold(&mut self, ahead: &[Source]) {
        self.broker.borrow_mut().members.get_mut(&self.me).expect("alive").held = ahead.to_vec();
    }
}
