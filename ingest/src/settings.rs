//! From the operator's `kafka` section to librdkafka's properties, and from a topic's name to its entry.

use std::collections::BTreeMap;

use beaconfire_model::{EntryId, EventTime, LogFault, Secret};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use regex::Regex;

/// Where to begin reading a partition for which the group has committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At its end.
    Latest,
    /// At its first record.
    Earliest,
    /// At the first record that Kafka's time index has at or after this time; at the end where there is none.
    Time(EventTime),
}

/// Which topics an entry of `kafka.topics` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicSelect {
    /// The topic with exactly this name.
    Name(String),
    /// Topics whose name matches this regular expression, which must begin with `^`.
    Pattern(String),
}

/// One entry of `kafka.topics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicKnobs {
    /// Its place in the configuration.
    pub entry: EntryId,
    /// Which topics.
    pub select: TopicSelect,
    /// Where to begin while nothing is committed.
    pub start: StartAt,
}

/// How to reach Kafka, as whom, and what to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaKnobs {
    /// `host:port` of some brokers; the others are learnt from these.
    pub brokers: Vec<String>,
    /// The consumer group, and the first part of the ids by which brokers know us.
    pub group: String,
    /// A name that survives restarts (pod, host): makes membership static, as `<instance>-<worker>`.
    pub instance: Option<String>,
    /// librdkafka's properties as the operator wrote them; see [`refused_property`].
    pub properties: BTreeMap<String, Secret>,
    /// What to read. A topic belongs to the entry with its exact name, else to the first pattern that matches.
    pub topics: Vec<TopicKnobs>,
    /// Where records go that do not decode. Never read, even where a pattern matches it.
    pub dead_letter_topic: Option<String>,
}

/// Whether a librdkafka property is ours to set: recovery and the sentence "no record is lost" depend on it, or
/// another key of the configuration says it.
pub fn refused_property(name: &str) -> bool {
    const OURS: [&str; 13] = [
        "auto.offset.reset",
        "bootstrap.servers",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "log.queue",
        "metadata.broker.list",
        "opaque",
        "partition.assignment.strategy",
        "statistics.interval.ms",
        "transactional.id",
    ];
    const FAMILIES: [&str; 5] = ["auto.commit.", "enable.auto.", "isolation.", "offset.store.", "test."];
    OURS.contains(&name) || name.ends_with("_cb") || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// Properties of a consumer, which a producer of the same operator has no use for.
const CONSUMER_ONLY: [&str; 11] = [
    "allow.auto.create.topics",
    "check.crcs",
    "consume.",
    "coordinator.query.",
    "fetch.",
    "group.",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "queued.",
    "session.timeout.ms",
    "topic.blacklist",
];

/// The properties of one worker's consumer.
pub(crate) fn consumer(knobs: &KafkaKnobs, worker: usize) -> Result<ClientConfig, LogFault> {
    let mut config = shared(knobs, &worker.to_string())?;
    if knobs.group.is_empty() {
        return Err(refuse("kafka.group is empty; name the consumer group that this installation reads as"));
    }
    // A static member is expected back with its partitions; another's should move on soon.
    let session = if knobs.instance.is_some() { "45000" } else { "10000" };
    let defaults = [
        ("session.timeout.ms", session),
        ("heartbeat.interval.ms", "2000"),
        // We poll at least once a second: a minute without one means that the thread is stuck.
        ("max.poll.interval.ms", "60000"),
        // The default of 1 s starves a consumer that is slower than the network: 138 k records/s against 663 k.
        ("fetch.queue.backoff.ms", "10"),
        // A broker answers one request at a time. One that asks only for partitions that are at their end, because the
        // queue of one that is behind is full just then, keeps that one waiting for so long: with the default of
        // 500 ms, a partition that is alone behind is read at 44 k records/s.
        ("fetch.wait.max.ms", "25"),
        // Bounds for each partition, as each has its own queue.
        ("queued.min.messages", "10000"),
        ("queued.max.messages.kbytes", "4096"),
        ("fetch.message.max.bytes", "1048576"),
        ("fetch.max.bytes", "16777216"),
        ("check.crcs", "true"),
        ("allow.auto.create.topics", "false"),
        // New partitions, and new topics of a pattern, are found within this time.
        ("topic.metadata.refresh.interval.ms", "60000"),
    ];
    for (name, value) in defaults {
        config.set(name, value);
    }
    for (name, value) in &knobs.properties {
        config.set(name, value.expose());
    }
    fit_poll_interval(&mut config);
    if let Some(ignored) = &knobs.dead_letter_topic {
        // A topic's name holds letters, digits, `-`, `_` and dots; only these mean something to librdkafka's regex.
        let own = format!("^{}$", ignored.replace('.', "\\."));
        let ignored = match config.get("topic.blacklist") {
            Some(theirs) => format!("{theirs},{own}"),
            None => own,
        };
        config.set("topic.blacklist", ignored);
    }
    config
        .set("group.id", &knobs.group)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // We always begin at explicit offsets; anything else must be an error, never a silent jump.
        .set("auto.offset.reset", "error")
        // Ends of partitions are found by position and high watermark (`kafka`): read in batches, an end-of-partition
        // message moves librdkafka's own position one record too far, and the next rebalance would skip that record.
        .set("enable.partition.eof", "false")
        .set("isolation.level", "read_committed")
        .set("statistics.interval.ms", "2000");
    if let Some(instance) = &knobs.instance {
        config.set("group.instance.id", format!("{instance}-{worker}"));
    }
    Ok(config)
}

/// The properties of a producer with the operator's way of reaching the brokers.
pub(crate) fn producer(knobs: &KafkaKnobs, role: &str) -> Result<ClientConfig, LogFault> {
    let mut config = shared(knobs, role)?;
    for (name, value) in &knobs.properties {
        if !CONSUMER_ONLY.iter().any(|own| name.starts_with(own)) {
            config.set(name, value.expose());
        }
    }
    Ok(config)
}

fn shared(knobs: &KafkaKnobs, role: &str) -> Result<ClientConfig, LogFault> {
    if knobs.brokers.iter().all(String::is_empty) {
        return Err(refuse("kafka.brokers is empty; name at least one host:port"));
    }
    if let Some(name) = knobs.properties.keys().find(|name| refused_property(name)) {
        return Err(refuse(&format!("kafka.properties.{name} is ours to set; take it out")));
    }
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", knobs.brokers.join(","))
        .set("client.id", format!("beaconfire-{}-{role}", knobs.instance.as_deref().unwrap_or(&knobs.group)))
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", "5000")
        // Connections come and go; whether brokers answer is what `kafka_up` says.
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    Ok(config)
}

/// librdkafka wants `max.poll.interval.ms` at least as long as the session; whoever lengthens only the session
/// means that.
fn fit_poll_interval(config: &mut ClientConfig) {
    let millis = |config: &ClientConfig, name| config.get(name).and_then(|text| text.parse::<u64>().ok());
    let (session, poll) = (millis(config, "session.timeout.ms"), millis(config, "max.poll.interval.ms"));
    if let (Some(session), Some(poll)) = (session, poll)
        && poll < session
    {
        config.set("max.poll.interval.ms", session.to_string());
    }
}

fn refuse(said: &str) -> LogFault {
    LogFault::Fatal(said.to_owned())
}

/// Which entry a topic belongs to.
#[derive(Debug)]
pub(crate) struct Entries {
    names: BTreeMap<String, (EntryId, StartAt)>,
    patterns: Vec<(Regex, EntryId, StartAt)>,
    subscribed: Vec<String>,
}

impl Entries {
    pub(crate) fn of(topics: &[TopicKnobs]) -> Result<Self, LogFault> {
        if topics.is_empty() {
            return Err(refuse("kafka.topics is empty; name at least one topic"));
        }
        let (mut names, mut patterns, mut subscribed) = (BTreeMap::new(), Vec::new(), Vec::new());
        for topic in topics {
            match &topic.select {
                TopicSelect::Name(name) => {
                    if name.is_empty() || name.contains('\0') || name.starts_with('^') {
                        return Err(refuse(&format!("`{}` is not a topic's name", name.escape_debug())));
                    }
                    names.entry(name.clone()).or_insert((topic.entry, topic.start));
                    subscribed.push(name.clone());
                }
                TopicSelect::Pattern(pattern) => {
                    if !pattern.starts_with('^') || pattern.contains('\0') {
                        let shown = pattern.escape_debug();
                        return Err(refuse(&format!("the topic pattern `{shown}` must begin with ^")));
                    }
                    let regex = Regex::new(pattern).map_err(|error| {
                        refuse(&format!("the topic pattern `{pattern}` does not parse: {error}"))
                    })?;
                    patterns.push((regex, topic.entry, topic.start));
                    subscribed.push(pattern.clone());
                }
            }
        }
        subscribed.sort();
        subscribed.dedup();
        Ok(Self { names, patterns, subscribed })
    }

    /// Names and patterns in the form that `subscribe` takes.
    pub(crate) fn subscribed(&self) -> Vec<&str> {
        self.subscribed.iter().map(String::as_str).collect()
    }

    /// The entry of a topic: by name first, then by pattern in the order of the configuration.
    pub(crate) fn find(&self, topic: &str) -> Option<(EntryId, StartAt)> {
        self.names.get(topic).copied().or_else(|| {
            let matched = self.patterns.iter().find(|(pattern, ..)| pattern.is_match(topic));
            matched.map(|(_, entry, start)| (*entry, *start))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knobs() -> KafkaKnobs {
        KafkaKnobs {
            brokers: vec!["a:9092".into(), "b:9092".into()],
            group: "beaconfire".into(),
            instance: None,
            properties: BTreeMap::new(),
            topics: Vec::new(),
            dead_letter_topic: None,
        }
    }

    fn with(properties: &[(&str, &str)]) -> KafkaKnobs {
        let properties =
            properties.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
        KafkaKnobs { properties, ..knobs() }
    }

    #[test]
    fn what_recovery_depends_on_is_set_and_refused() {
        let config = consumer(&knobs(), 0).unwrap();
        let ours = [
            ("group.id", "beaconfire"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "false"),
        ];
        for (name, value) in ours {
            assert_eq!(config.get(name), Some(value), "{name}");
            assert!(refused_property(name), "{name}");
            let fault = consumer(&with(&[(name, value)]), 0).unwrap_err().to_string();
            assert!(fault.contains(name), "{fault}");
        }
    }

    #[test]
    fn the_operators_properties_pass_through() {
        for name in
            ["sasl.password", "ssl.ca.location", "session.timeout.ms", "fetch.queue.backoff.ms", "debug"]
        {
            assert!(!refused_property(name), "{name}");
        }
        let theirs = with(&[("security.protocol", "sasl_ssl"), ("fetch.queue.backoff.ms", "5")]);
        let config = consumer(&theirs, 0).unwrap();
        // Far below the default of 500, which makes one partition wait for the others.
        assert_eq!(config.get("fetch.wait.max.ms"), Some("25"));
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("fetch.queue.backoff.ms"), Some("5"));
        let config = producer(&theirs, "dead-letters").unwrap();
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("fetch.queue.backoff.ms"), None);
    }

    #[test]
    fn a_longer_session_takes_the_poll_interval_with_it() {
        let config = consumer(&with(&[("session.timeout.ms", "90000")]), 0).unwrap();
        assert_eq!(config.get("max.poll.interval.ms"), Some("90000"));
        let config = consumer(&with(&[("session.timeout.ms", "6000")]), 0).unwrap();
        assert_eq!(config.get("max.poll.interval.ms"), Some("60000"));
    }

    #[test]
    fn an_instance_makes_the_membership_static() {
        let config = consumer(&KafkaKnobs { instance: Some("pod-0".into()), ..knobs() }, 3).unwrap();
        assert_eq!(config.get("group.instance.id"), Some("pod-0-3"));
        assert_eq!(config.get("client.id"), Some("beaconfire-pod-0-3"));
        assert_eq!(consumer(&knobs(), 3).unwrap().get("group.instance.id"), None);
    }

    #[test]
    fn the_dead_letter_topic_is_never_read() {
        let topic = Some("beaconfire.dead-letters".to_owned());
        let config = consumer(&KafkaKnobs { dead_letter_topic: topic.clone(), ..knobs() }, 0).unwrap();
        assert_eq!(config.get("topic.blacklist"), Some(r"^beaconfire\.dead-letters$"));
        let theirs = with(&[("topic.blacklist", "^__.*")]);
        let config = consumer(&KafkaKnobs { dead_letter_topic: topic, ..theirs }, 0).unwrap();
        assert_eq!(config.get("topic.blacklist"), Some(r"^__.*,^beaconfire\.dead-letters$"));
    }

    fn entry(entry: u16, select: TopicSelect) -> TopicKnobs {
        TopicKnobs { entry: EntryId(entry), select, start: StartAt::Latest }
    }

    #[test]
    fn exact_names_come_before_patterns_and_patterns_in_order() {
        let topics = [
            entry(0, TopicSelect::Pattern("^edge-.*".into())),
            entry(1, TopicSelect::Name("edge-eu".into())),
            entry(2, TopicSelect::Pattern("^edge-us".into())),
            entry(3, TopicSelect::Pattern("^lb".into())),
        ];
        let entries = Entries::of(&topics).unwrap();
        let found = |topic| entries.find(topic).map(|(entry, _)| entry.0);
        assert_eq!(found("edge-eu"), Some(1));
        assert_eq!(found("edge-us"), Some(0));
        assert_eq!(found("lb-logs"), Some(3));
        assert_eq!(found("other"), None);
        assert_eq!(entries.subscribed(), ["^edge-.*", "^edge-us", "^lb", "edge-eu"]);
    }

    #[test]
    fn what_cannot_be_subscribed_to_is_refused() {
        let refused = [
            TopicSelect::Name(String::new()),
            TopicSelect::Name("^edge".into()),
            TopicSelect::Name("a\0b".into()),
            TopicSelect::Pattern("edge-.*".into()),
            TopicSelect::Pattern("^edge-(".into()),
        ];
        for select in refused {
            assert!(
                matches!(Entries::of(&[entry(0, select.clone())]), Err(LogFault::Fatal(_))),
                "{select:?}"
            );
        }
        assert!(Entries::of(&[]).is_err());
    }
}
