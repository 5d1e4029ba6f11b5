//! What is no longer heard, or not understood, or not told: pure, over what a [`Look`] at the process shows. Time is
//! the wall clock's, told from outside.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{
    Earliest, EntryId, Evidence, Kind, Latest, Peak, Severity, Signal, Subject, SubjectKind, Wall,
};

/// A topic counts as one that is always written to where it was in so many minutes of the hour before.
const STEADY_MINUTES: usize = 10;

/// Minutes with records that are remembered.
const REMEMBERED_MINUTES: i64 = 60;

/// The shortest silence that is news. A topic with longer gaps of its own is given three of its longest.
const SILENT: Duration = Duration::from_secs(5 * 60);

/// How far behind, and for how long without catching up, a partition is news.
const BEHIND: Duration = Duration::from_secs(5 * 60);

/// A partition with fewer records before it is not behind, whatever their times say.
const BEHIND_RECORDS: u64 = 1_000;

/// The window in which records that do not decode are held against all.
const DECODE_WINDOW: Duration = Duration::from_secs(5 * 60);

/// So many of them at least, and above this share; above the other it is most of what comes.
const UNDECODED: (u64, f64, f64) = (50, 0.05, 0.5);

/// How long a receiver may take nothing while something waits for it and it gives errors.
const FAILING: Duration = Duration::from_secs(5 * 60);

/// How long Kafka may be out of reach.
const UNREACHABLE: Duration = Duration::from_secs(60);

/// A condition that lasts is stated again so often: rows of the store need no write every few seconds.
const AGAIN: Duration = Duration::from_secs(60);

/// For how long a statement holds: until the next one has surely come, or what lasts would end and begin anew.
const HOLDS: Duration = Duration::from_secs(90);

/// What the process shows at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// Whether Kafka can be reached.
    pub kafka_up: bool,
    /// The topics of which we read partitions.
    pub(super) topics: BTreeMap<Arc<str>, Topic>,
    /// The receivers' integrations, by `receiver/integration`.
    pub(super) receivers: BTreeMap<(Arc<str>, Arc<str>), Receiver>,
}

/// A topic, since the process began.
#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    /// Records read.
    pub(super) records: u64,
    /// Records of them that did not decode.
    pub(super) rejected: u64,
    /// The partitions of it that are read here.
    pub(super) partitions: BTreeSet<i32>,
    /// Partitions with something left to read: its number, records left, and how far what was read last is behind.
    pub(super) behind: Vec<(i32, u64, Duration)>,
}

/// An integration.
#[derive(Debug, Clone, Default)]
pub(super) struct Receiver {
    /// Since when the oldest message waits.
    pub(super) oldest: Option<Wall>,
    /// What went wrong last, where the last attempt did.
    pub(super) said: Option<String>,
}

/// What was seen of a topic in looks before.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// The partitions that were read here.
    partitions: BTreeSet<i32>,
    /// Records at the last look.
    records: u64,
    /// Minutes in which records came, at most an hour of them, oldest first.
    minutes: VecDeque<i64>,
    /// When the last record had come.
    last: Option<Wall>,
    /// Counts at looks of the last minutes: when, records, rejected.
    counts: VecDeque<(Wall, u64, u64)>,
    /// Records left of each partition at looks of the last minutes.
    left: BTreeMap<i32, VecDeque<(Wall, u64)>>,
}

/// A condition that lasts: since when, and when it was stated last.
#[derive(Debug, Clone, Copy)]
struct Lasting {
    found: Wall,
    stated: Wall,
}

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Senses {
    topics: BTreeMap<Arc<str>, Memory>,
    down_since: Option<Wall>,
    lasting: BTreeMap<(&'static str, Subject), Lasting>,
}

/// One condition that holds.
struct Finding {
    rule: &'static str,
    severity: Severity,
    target: Subject,
    subject: Subject,
    /// Since when it holds; it is found now.
    since: Wall,
    observed: f64,
    threshold: f64,
    window: Duration,
}

impl Senses {
    /// Takes a look, and states what holds: at once, and again every minute while it lasts.
    pub(super) fn look(&mut self, look: &Look, at: Wall) -> Vec<Signal> {
        let mut found = Vec::new();
        self.kafka(look, at, &mut found);
        // Of what is no longer ours another process knows.
        self.topics.retain(|topic, _| look.topics.contains_key(topic));
        for (name, topic) in &look.topics {
            let memory = self.topics.entry(name.clone()).or_default();
            // With other partitions come other habits: what fell silent here may go on elsewhere.
            if memory.partitions != topic.partitions {
                *memory = Memory { partitions: topic.partitions.clone(), ..Memory::default() };
            }
            memory.note(topic, at);
            // While Kafka is away every topic is silent, and that is said once.
            if self.down_since.is_none() {
                found.extend(memory.silent(name, at));
            }
            found.extend(memory.behind(name, topic, at));
            found.extend(memory.undecodable(name, at));
        }
        found.extend(look.receivers.iter().filter_map(|(place, receiver)| failing(place, receiver, at)));
        self.state(found, at)
    }

    fn kafka(&mut self, look: &Look, at: Wall, found: &mut Vec<Finding>) {
        if look.kafka_up {
            self.down_since = None;
            return;
        }
        let since = *self.down_since.get_or_insert(at);
        if at.since(since) >= UNREACHABLE {
            let kafka = Subject::new(SubjectKind::Input, "kafka");
            found.push(lasted("kafka-unreachable", kafka.clone(), kafka, since, UNREACHABLE, at));
        }
    }

    fn state(&mut self, found: Vec<Finding>, at: Wall) -> Vec<Signal> {
        let held: Vec<_> = found.iter().map(|finding| (finding.rule, finding.subject.clone())).collect();
        self.lasting.retain(|key, _| held.contains(key));
        let mut signals = Vec::new();
        for finding in found {
            let key = (finding.rule, finding.subject.clone());
            let fresh = !self.lasting.contains_key(&key);
            let lasting = self.lasting.entry(key).or_insert(Lasting { found: at, stated: at });
            if fresh || at.since(lasting.stated) >= AGAIN {
                lasting.stated = at;
                signals.push(finding.signal(lasting.found, at));
            }
        }
        signals
    }
}

impl Memory {
    fn note(&mut self, topic: &Topic, at: Wall) {
        let minute = at.millis().div_euclid(60_000);
        // The first look tells nothing of when its records came; fewer than before is another beginning.
        if self.last.is_some() && topic.records > self.records {
            if self.minutes.back() != Some(&minute) {
                self.minutes.push_back(minute);
            }
            self.last = Some(at);
        }
        self.last.get_or_insert(at);
        self.records = topic.records;
        let newest = self.minutes.back().copied().unwrap_or(minute);
        while self.minutes.front().is_some_and(|first| newest - first >= REMEMBERED_MINUTES) {
            self.minutes.pop_front();
        }
        self.counts.push_back((at, topic.records, topic.rejected));
        keep_within(&mut self.counts, DECODE_WINDOW, at, |(when, ..)| *when);
        self.left.retain(|partition, _| topic.behind.iter().any(|(held, ..)| held == partition));
        for (partition, left, _) in &topic.behind {
            let seen = self.left.entry(*partition).or_default();
            seen.push_back((at, *left));
            keep_within(seen, BEHIND, at, |(when, _)| *when);
        }
    }

    /// Nothing comes where something always came.
    fn silent(&self, name: &str, at: Wall) -> Option<Finding> {
        let since = self.last?;
        if self.minutes.len() < STEADY_MINUTES {
            return None;
        }
        let pairs = self.minutes.iter().zip(self.minutes.iter().skip(1));
        let gap = pairs.map(|(one, next)| next - one).max().unwrap_or(0);
        let gap = Duration::from_secs(60 * u64::try_from(gap).unwrap_or(0));
        let patience = SILENT.max(3 * gap);
        let topic = Subject::new(SubjectKind::Input, name);
        (at.since(since) >= patience)
            .then(|| lasted("input-silent", topic.clone(), topic, since, patience, at))
    }

    /// More is left to read than a while ago, and what is read is old.
    fn behind(&self, name: &str, topic: &Topic, at: Wall) -> Option<Finding> {
        let grows = |partition: &i32, left: u64| {
            let before = self.left.get(partition).and_then(|seen| seen.front());
            before.is_some_and(|(when, before)| at.since(*when) >= BEHIND && left >= *before)
        };
        let lagging = topic.behind.iter().filter(|(partition, left, behind)| {
            *left >= BEHIND_RECORDS && *behind >= BEHIND && grows(partition, *left)
        });
        let (partition, _, behind) = lagging.max_by_key(|(_, _, behind)| *behind)?;
        let mut finding = lasted(
            "input-lagging",
            Subject::new(SubjectKind::Input, name),
            Subject::new(SubjectKind::Input, format!("{name}/{partition}")),
            at.minus(*behind),
            BEHIND,
            at,
        );
        finding.severity = Severity::Warning;
        Some(finding)
    }

    /// Much of what comes is not understood.
    fn undecodable(&self, name: &str, at: Wall) -> Option<Finding> {
        let (since, records_then, rejected_then) = *self.counts.front()?;
        let (_, records, rejected) = *self.counts.back()?;
        let (read, refused) = (records.saturating_sub(records_then), rejected.saturating_sub(rejected_then));
        let (least, some, most) = UNDECODED;
        let share = refused as f64 / read.max(1) as f64;
        let topic = Subject::new(SubjectKind::Input, name);
        (refused >= least && share > some).then(|| Finding {
            rule: "input-undecodable",
            severity: if share > most { Severity::Error } else { Severity::Warning },
            target: topic.clone(),
            subject: topic,
            since: since.min(at),
            observed: share.min(1.0),
            threshold: some,
            window: DECODE_WINDOW,
        })
    }
}

/// Whether a receiver takes nothing though something waits.
fn failing(place: &(Arc<str>, Arc<str>), receiver: &Receiver, at: Wall) -> Option<Finding> {
    let (name, integration) = place;
    let since = receiver.oldest.filter(|since| receiver.said.is_some() && at.since(*since) >= FAILING)?;
    Some(lasted(
        "receiver-failing",
        Subject::new(SubjectKind::Receiver, name),
        Subject::new(SubjectKind::Receiver, format!("{name}/{integration}")),
        since,
        FAILING,
        at,
    ))
}

/// Something that has lasted too long: its measure is how long.
fn lasted(
    rule: &'static str,
    target: Subject,
    subject: Subject,
    since: Wall,
    patience: Duration,
    at: Wall,
) -> Finding {
    Finding {
        rule,
        severity: Severity::Error,
        target,
        subject,
        since,
        observed: at.since(since).as_secs_f64(),
        threshold: patience.as_secs_f64(),
        window: patience,
    }
}

fn keep_within<T>(seen: &mut VecDeque<T>, within: Duration, at: Wall, when: impl Fn(&T) -> Wall) {
    // One that is older stays: it says how things were when the window began.
    while seen.get(1).is_some_and(|second| at.since(when(second)) >= within) {
        seen.pop_front();
    }
}

impl Finding {
    fn signal(self, found: Wall, at: Wall) -> Signal {
        Signal {
            rule: self.rule.into(),
            kind: Kind::Sensor,
            severity: self.severity,
            target: self.target,
            subject: self.subject,
            first: Earliest(found.as_event_time()),
            began: Earliest(self.since.as_event_time()),
            holds_until: Latest(at.plus(HOLDS).as_event_time()),
            evidence: Evidence {
                observed: Peak(self.observed),
                threshold: self.threshold,
                window: self.window,
                crowd: None,
                series: Vec::new(),
            },
            participants: Vec::new(),
            samples: Vec::new(),
            entry: EntryId::OUTSIDE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn wall(millis: i64) -> Wall {
        Wall::from_millis(millis)
    }

    fn edge(topic: Topic) -> Look {
        Look { kafka_up: true, topics: [("edge".into(), topic)].into(), ..Look::default() }
    }

    /// Looks every ten seconds from one minute to another (exclusive); `topic` says what is there by then. What was
    /// stated, with the minute.
    fn watch(
        senses: &mut Senses,
        minutes: std::ops::Range<i64>,
        topic: impl Fn(i64) -> Topic,
    ) -> Vec<(i64, Signal)> {
        let mut stated = Vec::new();
        for at in (minutes.start * MINUTE..minutes.end * MINUTE).step_by(10_000) {
            let found = senses.look(&edge(topic(at)), wall(at));
            stated.extend(found.into_iter().map(|signal| (at / MINUTE, signal)));
        }
        stated
    }

    fn records(records: i64) -> Topic {
        Topic { records: records as u64, ..Topic::default() }
    }

    #[test]
    fn a_topic_that_was_always_written_to_and_falls_silent_is_told_after_five_minutes() {
        let mut senses = Senses::default();
        assert!(watch(&mut senses, 0..30, |at| records(at / 1_000)).is_empty());
        let stated = watch(&mut senses, 30..40, |_| records(1_790));
        let minutes: Vec<i64> = stated.iter().map(|(minute, _)| *minute).collect();
        // The last record came at 29:50: the first statement follows five minutes on, then one a minute.
        assert_eq!(minutes, [34, 35, 36, 37, 38, 39]);
        let (_, signal) = &stated[0];
        assert_eq!((&*signal.rule, &*signal.target.value), ("input-silent", "edge"));
        assert_eq!((signal.kind, signal.severity), (Kind::Sensor, Severity::Error));
        assert_eq!(signal.began.0.millis(), 29 * MINUTE + 50_000);
        assert!((signal.evidence.observed.0 - 300.0).abs() < 0.1);
        assert_eq!(stated[1].1.first, signal.first, "the same condition");
        assert!(watch(&mut senses, 40..45, |at| records(at / 1_000)).is_empty(), "it goes on");
    }

    #[test]
    fn with_other_partitions_a_topic_may_be_silent() {
        let mut senses = Senses::default();
        watch(&mut senses, 0..30, |at| Topic { partitions: [0, 1].into(), ..records(at / 1_000) });
        let one = |_| Topic { partitions: [1].into(), ..records(1_800) };
        assert!(watch(&mut senses, 30..60, one).is_empty(), "its busy partition is read elsewhere");
    }

    #[test]
    fn a_topic_is_given_three_times_its_own_longest_gap() {
        let mut senses = Senses::default();
        // A batch every four minutes, as a load balancer's log comes.
        let batches = |at: i64| records(at / (4 * MINUTE) * 1_000);
        assert!(watch(&mut senses, 0..61, batches).is_empty());
        let stated = watch(&mut senses, 61..90, |_| records(15_000));
        assert_eq!(stated.first().map(|(minute, _)| *minute), Some(72));
    }

    #[test]
    fn a_topic_that_is_seldom_written_to_may_be_silent() {
        let mut senses = Senses::default();
        let seldom = |at: i64| records(at / (10 * MINUTE));
        assert!(watch(&mut senses, 0..120, seldom).is_empty());
        assert!(watch(&mut senses, 120..240, |_| records(12)).is_empty());
    }

    #[test]
    fn while_kafka_is_away_that_is_said_and_not_of_every_topic() {
        let mut senses = Senses::default();
        watch(&mut senses, 0..30, |at| records(at / 1_000));
        let mut rules = std::collections::BTreeSet::new();
        for at in (30 * MINUTE..50 * MINUTE).step_by(10_000) {
            let look = Look { kafka_up: false, ..edge(records(1_790)) };
            rules.extend(senses.look(&look, wall(at)).into_iter().map(|signal| signal.rule.to_string()));
        }
        assert_eq!(rules.into_iter().collect::<Vec<_>>(), ["kafka-unreachable"]);
    }

    #[test]
    fn a_partition_is_behind_where_it_does_not_catch_up() {
        let lag =
            |left: i64| Topic { behind: vec![(3, left as u64, Duration::from_secs(900))], ..records(0) };
        let stated = watch(&mut Senses::default(), 0..12, |at| lag(50_000 + at / 1_000));
        assert_eq!(
            stated.first().map(|(minute, signal)| (*minute, &*signal.subject.value)),
            Some((5, "edge/3"))
        );
        assert_eq!(stated[0].1.severity, Severity::Warning);
        // After an outage: old, and fewer by the minute.
        assert!(watch(&mut Senses::default(), 0..12, |at| lag(50_000 - at / 1_000)).is_empty());
        assert!(watch(&mut Senses::default(), 0..12, |_| lag(999)).is_empty(), "a handful is soon read");
    }

    #[test]
    fn records_that_do_not_decode_are_told_by_their_share() {
        let topic =
            |share: i64| move |at: i64| Topic { rejected: (at / 1_000 * share) as u64, ..records(at / 10) };
        let first = |share| {
            let stated = watch(&mut Senses::default(), 0..6, topic(share));
            stated.first().map(|(_, signal)| (signal.rule.to_string(), signal.severity))
        };
        assert_eq!(first(5), None, "5 in 100 are no more than a share of 5 %");
        assert_eq!(first(6), Some(("input-undecodable".into(), Severity::Warning)));
        assert_eq!(first(51), Some(("input-undecodable".into(), Severity::Error)));
        // A handful in a quiet topic.
        let few = |at: i64| Topic { rejected: (at / 10_000) as u64, ..records(at / 10_000) };
        assert!(watch(&mut Senses::default(), 0..8, few).is_empty());
    }

    #[test]
    fn a_receiver_fails_that_takes_nothing_and_says_no() {
        let look = |said: Option<&str>| Look {
            kafka_up: true,
            receivers: [(
                ("chat".into(), "slack-0".into()),
                Receiver { oldest: Some(wall(0)), said: said.map(str::to_owned) },
            )]
            .into(),
            ..Look::default()
        };
        let mut senses = Senses::default();
        assert!(senses.look(&look(Some("HTTP 500")), wall(299_999)).is_empty());
        assert!(senses.look(&look(None), wall(300_000)).is_empty(), "it is only slow");
        let stated = senses.look(&look(Some("HTTP 500")), wall(300_000));
        let told: Vec<_> = stated.iter().map(|signal| (&*signal.rule, &*signal.target.value)).collect();
        assert_eq!(told, [("receiver-failing", "chat")]);
        assert_eq!(stated[0].target.kind, SubjectKind::Receiver);
    }
}
