//! `kafka` and `clients`: what is read, and how it is understood.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use beaconfire_decode::{DecodeKnobs, Format};
use beaconfire_detect::EntrySpec;
use beaconfire_ingest::{KafkaKnobs, StartAt, TopicKnobs, TopicSelect, refused_property};
use beaconfire_model::{EntryId, EventTime, Secret};
use ipnet::IpNet;

use crate::complain::Complaint;
use crate::de::At;
use crate::judge::{Judge, sentence};
use crate::later::FORMATS;
use crate::meaning::own;
use crate::raw::{Kafka, Raw, Sealed, Topic};

/// What comes in: the same entries, as each crate wants them, by their place in `kafka.topics`.
pub(crate) struct Streams {
    pub(crate) kafka: Option<KafkaKnobs>,
    pub(crate) decode: Vec<DecodeKnobs>,
    pub(crate) entries: Vec<EntrySpec>,
    pub(crate) proxies: Vec<IpNet>,
}

/// Entries at most: ids have 16 bits, and each entry has windows of its own.
const ENTRIES_MAX: usize = 1000;

/// How far records of formats that are delivered in batches are out of order, unless the entry says.
const BATCHES: Duration = Duration::from_mins(5);

/// Reads `kafka` and `clients`. Without brokers and topics there is no Kafka.
pub(crate) fn streams(judge: &mut Judge<'_>, raw: &Raw) -> Streams {
    let proxies = judge.networks(&raw.clients.trusted_proxies);
    for (network, text) in proxies.iter().zip(&raw.clients.trusted_proxies) {
        if network.prefix_len() == 0 {
            let said = "everybody is a trusted proxy: then any sender can make up the client's address";
            judge.error(text.place, said, "name only the networks of your own proxies");
        }
    }
    let (mut topics, mut decode, mut entries) = (Vec::new(), Vec::new(), Vec::new());
    let mut named = BTreeSet::new();
    for (at, topic) in raw.kafka.topics.iter().enumerate().take(ENTRIES_MAX) {
        // `take` keeps the number within 16 bits.
        let entry = EntryId(at as u16);
        let select = select(judge, topic, raw.kafka.dead_letter_topic.as_ref().map(|topic| topic.as_str()));
        let name = match &select {
            Some(TopicSelect::Name(name) | TopicSelect::Pattern(name)) => name.clone(),
            None => format!("#{at}"),
        };
        if !named.insert(name.clone()) {
            judge.error(topic.place, format!("`{name}` stands twice in `kafka.topics`"), "merge the two");
        }
        let start = start(judge, &topic.start);
        let format = format(judge, &topic.format);
        let lateness = match &topic.lateness {
            Some(lateness) => judge.span("lateness", lateness, "0s"..="1h"),
            None if comes_in_batches(format) => BATCHES.max(raw.limits.lateness.duration),
            None => raw.limits.lateness.duration,
        };
        if let Some(service) = &topic.service
            && (service.is_empty() || service.len() > 128)
        {
            judge.error(service.place, "a service's name has 1 to 128 characters", "");
        }
        if let Some(select) = select {
            topics.push(TopicKnobs { entry, select, start });
        }
        decode.push(DecodeKnobs {
            format,
            trusted_proxies: proxies.clone(),
            client_resolved: topic.client_resolved,
            log_format: own::log_format(judge, topic, format),
            fields: own::fields(judge, topic, format),
            zone: own::zone(judge, topic, format),
        });
        entries.push(EntrySpec {
            name,
            service: topic.service.as_ref().map(|service| service.value.clone()),
            lateness,
            once: topic.dedup.as_ref().is_some_and(|dedup| is_request_id(judge, dedup)),
        });
    }
    if let Some(topic) = raw.kafka.topics.get(ENTRIES_MAX) {
        judge.error(
            topic.place,
            format!("{ENTRIES_MAX} entries of `kafka.topics` are the most"),
            "use a `pattern`",
        );
    }
    let kafka = kafka(judge, &raw.kafka, topics);
    Streams { kafka, decode, entries, proxies }
}

fn kafka(judge: &mut Judge<'_>, raw: &Kafka, topics: Vec<TopicKnobs>) -> Option<KafkaKnobs> {
    let brokers: Vec<String> = raw.brokers.iter().map(|broker| broker.trim().to_owned()).collect();
    for (broker, text) in brokers.iter().zip(&raw.brokers) {
        let port = broker
            .rsplit_once(':')
            .and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
        if port.is_none() || broker.contains("://") {
            judge.error(
                text.place,
                format!("`{broker}` is not HOST:PORT"),
                "for example kafka-1.example.com:9092",
            );
        }
    }
    if brokers.is_empty() {
        if let Some(topic) = raw.topics.first() {
            judge.error(
                topic.place,
                "there are topics, but no `kafka.brokers`",
                "for example `brokers: [localhost:9092]`",
            );
        }
        let properties = properties(judge, raw);
        if let Some((_, place)) = properties.iter().next().map(|(name, at)| (name, at.place)) {
            judge.error(
                place,
                "there are properties, but no `kafka.brokers`",
                "name the brokers, or take them out",
            );
        }
        return None;
    }
    if raw.topics.is_empty() {
        judge.error(
            raw.brokers[0].place,
            "there are brokers, but no `kafka.topics`",
            "for example `topics: [{name: edge-access}]`",
        );
    }
    if raw.group.is_empty() {
        judge.error(
            raw.group.place,
            "`kafka.group` is empty",
            "name the consumer group that this installation reads as",
        );
    }
    Some(KafkaKnobs {
        brokers,
        group: raw.group.value.clone(),
        instance: raw.instance.as_ref().map(|instance| instance.value.clone()),
        properties: properties(judge, raw).into_iter().map(|(name, at)| (name, at.value)).collect(),
        topics,
        dead_letter_topic: raw.dead_letter_topic.as_ref().map(|topic| topic.value.clone()),
    })
}

/// librdkafka's properties; any may stand in a file, as `NAME_file`.
fn properties(judge: &mut Judge<'_>, raw: &Kafka) -> BTreeMap<String, At<Secret>> {
    let mut read = BTreeMap::new();
    for (written, value) in &raw.properties {
        let name = written.strip_suffix("_file").unwrap_or(written);
        if refused_property(name) {
            // Whatever was written there, its line is not shown: properties hold secrets.
            let said = format!(
                "`kafka.properties.{name}` is ours to set: recovery depends on it, or another key says it"
            );
            let complaint = Complaint::error(said).at(judge.origins, value.place).hidden();
            judge
                .complaints
                .push(complaint.mend("take it out; `kafka` has keys for brokers, group, instance and start"));
            continue;
        }
        let secret = if written == name {
            let both = raw.properties.get(&format!("{name}_file"));
            if let Some(both) = both {
                judge.error(
                    both.place,
                    format!("`{name}` and `{name}_file` are both set"),
                    "take one of them out",
                );
            }
            Some(At { value: value.value.0.clone(), place: value.place })
        } else {
            let Sealed(path) = &value.value;
            let path = At { value: path.expose().to_owned(), place: value.place };
            judge.secret(name, None, Some(&path))
        };
        if let Some(secret) = secret {
            read.insert(name.to_owned(), secret);
        }
    }
    read
}

fn select(judge: &mut Judge<'_>, topic: &At<Topic>, dead_letters: Option<&str>) -> Option<TopicSelect> {
    match (&topic.name, &topic.pattern) {
        (Some(name), None) => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if name.is_empty() || name.len() > 249 || !name.chars().all(is_plain) {
                judge.error(
                    name.place,
                    format!("`{}` is not a topic's name", name.escape_debug()),
                    "Kafka's names have letters, digits, `.`, `_` and `-`; a regular expression goes under `pattern`",
                );
            }
            if Some(name.as_str()) == dead_letters {
                judge.error(
                    name.place,
                    "this is `kafka.dead_letter_topic`: what does not decode would go round for ever",
                    "",
                );
            }
            Some(TopicSelect::Name(name.value.clone()))
        }
        (None, Some(pattern)) => {
            if !pattern.starts_with('^') {
                judge.error(
                    pattern.place,
                    format!("the pattern `{}` must begin with ^", pattern.value),
                    "librdkafka takes anything else for a plain name",
                );
            }
            if let Err(error) = regex::Regex::new(pattern) {
                judge.error(pattern.place, format!("bad pattern: {}", sentence(&error.to_string())), "");
            }
            Some(TopicSelect::Pattern(pattern.value.clone()))
        }
        (None, None) => {
            judge.error(
                topic.place,
                "an entry of `kafka.topics` needs `name` or `pattern`",
                "for example `{name: edge-access}`",
            );
            None
        }
        (Some(_), Some(pattern)) => {
            judge.error(pattern.place, "`name` and `pattern` are both set", "take one of them out");
            None
        }
    }
}

/// Whether copies of a request are told by its id; no other way is known.
fn is_request_id(judge: &mut Judge<'_>, text: &At<String>) -> bool {
    let known = text.as_str() == "request_id";
    if !known {
        let said = format!("`{}` is nothing that copies of a request are told by", text.escape_debug());
        judge.error(text.place, said, "write request_id, or take the key out: then every record counts");
    }
    known
}

fn start(judge: &mut Judge<'_>, text: &At<String>) -> StartAt {
    match text.as_str() {
        "latest" => StartAt::Latest,
        "earliest" => StartAt::Earliest,
        other => match other.parse::<jiff::Timestamp>() {
            Ok(time) => StartAt::Time(EventTime::from_millis(time.as_millisecond())),
            Err(_) => {
                judge.error(
                    text.place,
                    format!("`{other}` is no place to start"),
                    "write latest, earliest or a time such as 2026-01-02T03:04:05Z",
                );
                StartAt::Latest
            }
        },
    }
}

fn comes_in_batches(format: Format) -> bool {
    matches!(format, Format::Alb | Format::Cloudfront | Format::Cloudflare)
}

fn format(judge: &mut Judge<'_>, text: &At<String>) -> Format {
    let known = Format::ALL.map(Format::name);
    if FORMATS.contains(&text.as_str()) {
        let said = format!("the format `{}` is not in this version", text.value);
        judge.error(text.place, said, &format!("this version reads {}", known.join(", ")));
        return Format::Auto;
    }
    judge.word("format", text, Format::parse, &known).unwrap_or_default()
}
