//! What sensors and collectors of metrics write: fixtures of our own, and the real records of the shared folder where that
//! is there.

mod kubernetes;
mod otel;
mod resources;
mod samples;
mod tracee;
mod vendors;

use beaconfire_decode::{DecodeKnobs, Decoder, Format, Reject, explain};
use beaconfire_model::{
    EntryId, Event, EventTime, Offset, Record, ResourceSample, RuntimeEvent, Source, TopicId,
};
use proptest::prelude::*;

/// When the log got the records of these tests.
const STAMPED: i64 = 1_767_323_100_000;

/// All that a record says, an event a line.
fn read(format: Format, payload: &[u8]) -> (Vec<String>, Result<(), Reject>) {
    let source = Source { entry: EntryId(0), topic: TopicId(0), partition: 0 };
    let stamped = Some(EventTime::from_millis(STAMPED));
    let record = Record { source, offset: Offset(0), stamped, payload: Some(payload) };
    let mut events = Vec::new();
    let knobs = DecodeKnobs { format, ..DecodeKnobs::default() };
    let ended = Decoder::new(knobs).decode(&record, |decoded| {
        let said = match decoded.event {
            Event::Resource(sample) => of_sample(&sample),
            Event::Runtime(event) => of_runtime(&event),
            other => format!("{other:?}"),
        };
        events.push(format!("{said} [{}]", decoded.format.name()));
    });
    (events, ended)
}

/// `time workload pod container instance part: metric=value …`
fn of_sample(sample: &ResourceSample<'_>) -> String {
    let mut said = format!("{} {}", sample.time, sample.workload);
    for (mark, text) in [
        ("pod", sample.pod),
        ("container", sample.container),
        ("node", sample.node),
        ("instance", sample.instance),
        ("part", sample.part),
    ] {
        if !text.is_empty() {
            said.push_str(&format!(" {mark}={text}"));
        }
    }
    said.push(':');
    for one in sample.measured {
        // Rounded: a factor of 1e-9 leaves a last digit or two.
        let value = format!("{:.9}", one.value);
        said.push_str(&format!(
            " {}={}",
            one.metric.name(),
            value.trim_end_matches('0').trim_end_matches('.')
        ));
    }
    said
}

/// `time kind workload: field=value …`, the fields that are there.
fn of_runtime(event: &RuntimeEvent<'_>) -> String {
    let details = event.details;
    let mut said = format!("{} {:?} {}:", event.time, event.kind, event.workload);
    for (name, value) in [
        ("event", details.event.to_owned()),
        ("process", event.process.to_owned()),
        ("cmdline", event.cmdline.to_owned()),
        ("exe", details.exe.to_owned()),
        ("parent", details.parent.to_owned()),
        ("pid", details.pid.map_or_else(String::new, |pid| pid.to_string())),
        ("container", event.container.to_owned()),
        ("image", event.image.to_owned()),
        ("remote", event.remote.to_owned()),
        ("domain", event.domain.to_owned()),
        ("answers", details.answers.join(",")),
        ("path", event.path.to_owned()),
        ("flags", details.flags.to_owned()),
        ("environment", details.environment.join(",")),
        ("rule", event.rule.to_owned()),
        ("severity", event.severity.map_or_else(String::new, |severity| severity.name().to_owned())),
        ("tags", details.tags.join(",")),
    ] {
        if !value.is_empty() {
            said.push_str(&format!(" {name}={value}"));
        }
    }
    said
}

/// Read alike by itself, by its format's name, behind an envelope and explained; by another format's name not at all.
#[track_caller]
fn check(format: Format, text: &str, meant: &[&str]) {
    let meant: Vec<String> = meant.iter().map(|one| format!("{one} [{}]", format.name())).collect();
    for named in [Format::Auto, format] {
        assert_eq!(read(named, text.as_bytes()), (meant.clone(), Ok(())), "{text}");
    }
    let wrapped = serde_json::json!({"log": format!("{text}\n"), "stream": "stdout"}).to_string();
    assert_eq!(read(Format::Auto, wrapped.as_bytes()).0, meant, "{wrapped}");
    let explained = explain(wrapped.as_bytes(), &DecodeKnobs::default()).to_string();
    if !meant.is_empty() && !explained.contains("missing_time") {
        assert!(explained.contains(&format!("({})", format.name())), "{explained}");
    }
    assert!(read(Format::Haproxy, text.as_bytes()).0.is_empty(), "{text}");
}

/// Understood, and nothing in it that is looked at.
#[track_caller]
fn idle(format: Format, text: &str) {
    check(format, text, &[]);
    let said = explain(text.as_bytes(), &DecodeKnobs::default()).to_string();
    assert!(said.contains("nothing in it is looked at"), "{said}");
}

/// A topic may hold all of these at once.
#[test]
fn mixed_topics() {
    let records = [
        (resources::LINE, "telegraf"),
        (resources::CADVISOR, "cadvisor"),
        (tracee::LEGACY, "tracee"),
        (vendors::GUARDDUTY, "guardduty"),
        (vendors::VPC_DNS, "vpc-dns"),
        (r#"{"kind":"resource","time":1767323045,"workload":"shop/cart","cpu_cores":0.5}"#, "beaconfire"),
        (r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET / HTTP/1.1" 200 5 "-" "-""#, "combined"),
    ];
    for (text, format) in records {
        let (events, ended) = read(Format::Auto, text.as_bytes());
        assert_eq!((events.len(), ended), (1, Ok(())), "{text}");
        assert!(events[0].ends_with(&format!("[{format}]")), "{events:?}");
    }
    let lines = records.map(|(text, _)| text).join("\n");
    // What begins as JSON is read as JSON throughout.
    let text = lines.lines().filter(|line| !line.starts_with('{')).collect::<Vec<_>>().join("\n");
    assert_eq!(read(Format::Auto, text.as_bytes()).0.len(), 2);
}

/// Whatever sees a container names it alike: what is learnt of its CPU and what it does belong together.
#[test]
fn a_workload_has_one_name() {
    let pod = [
        resources::CADVISOR,
        resources::METRICBEAT,
        resources::PROMETHEUS,
        tracee::LEGACY,
        tracee::BETA,
        vendors::GUARDDUTY,
        r#"{"priority":"Notice","rule":"r","time":"2026-01-02T03:04:05Z","output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"cart-5456b4b8cd-99vxc"}}"#,
    ];
    let docker = [
        resources::LINE,
        r#"{"hostname":"edge-1","priority":"Notice","rule":"r","time":"2026-01-02T03:04:05Z","output_fields":{"container.id":"ab","container.image.repository":"docker.io/shop/cart","container.image.tag":"1"}}"#,
        r#"{"@timestamp":"2026-01-02T03:04:05Z","metricset":{"name":"cpu"},"host":{"name":"edge-1"},"container":{"id":"ab","name":"cart_1","image":{"name":"shop/cart:1"}},"docker":{"cpu":{"total":{"pct":1}}}}"#,
    ];
    for (texts, name) in [(&pod[..], "shop/cart"), (&docker[..], "shop/cart@edge-1")] {
        for text in texts {
            let (events, _) = read(Format::Auto, text.as_bytes());
            let words: Vec<&str> = events[0].split([' ', ':']).collect();
            assert!(words.contains(&name), "{name} of {events:?}");
        }
    }
}

/// `explain` says what was found and where.
#[test]
fn explanations_name_fields_and_where_they_were() {
    for (text, parts) in [
        (
            resources::LINE,
            &[
                "resource  (telegraf)",
                "cpu_cores",
                "1.5  (from usage_percent)",
                "image@host",
                "instance",
                "adc4",
            ][..],
        ),
        (resources::CADVISOR, &["2.5  (from cpu.usage.total)", "(from container_stats.timestamp)"]),
        (tracee::LEGACY, &["runtime  (tracee)", "exec", "(from argv)", "environment", "PATH POOL_URL"]),
        (
            vendors::GUARDDUTY,
            &["runtime  (guardduty)", "finding", "(from type)", "(from service.eventLastSeen)"],
        ),
        (vendors::VPC_DNS, &["runtime  (vpc-dns)", "pool.example.com  (from query_name)", "answers"]),
    ] {
        let said = explain(text.as_bytes(), &DecodeKnobs::default()).to_string();
        for part in parts {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let said = explain(&otel::protobuf(), &DecodeKnobs::default()).to_string();
    for part in ["envelope  protobuf", "resourceMetrics", "resource  (otel)", "(from container.cpu.usage)"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

/// Names of attackers' making are cut to size, on a character's boundary.
#[test]
fn texts_have_a_bound() {
    let long = "é".repeat(10_000);
    for text in [
        tracee::LEGACY.replace("xmrig", &long),
        vendors::VPC_DNS.replace("pool.example.com", &long),
        vendors::GUARDDUTY.replace("nginx", &long),
        resources::CADVISOR.replace("cart-7d9f8b6c5d-x2x4z", &long),
    ] {
        let (events, ended) = read(Format::Auto, text.as_bytes());
        assert_eq!((events.len(), ended), (1, Ok(())));
        assert!(events[0].len() < 8 * 4096, "{}", events[0].len());
    }
}

proptest! {
    #[test]
    fn no_record_of_these_makes_it_panic(pick in 0usize..9, at in 0usize..4000, byte: u8, cut in 0usize..4000) {
        let records: [Vec<u8>; 9] = [
            resources::LINE.into(),
            resources::CADVISOR.into(),
            resources::METRICBEAT.into(),
            resources::PROMETHEUS.into(),
            tracee::LEGACY.into(),
            tracee::BETA.into(),
            vendors::GUARDDUTY.into(),
            vendors::VPC_DNS.into(),
            otel::protobuf(),
        ];
        let mut bytes = records[pick].clone();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(Format::Auto, &bytes);
        let _ = explain(&bytes, &DecodeKnobs::default());
        bytes.truncate(cut);
        let _ = read(Format::Auto, &bytes);
    }

    #[test]
    fn nor_does_what_looks_like_metrics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for payload in otel::around(&bytes) {
            let _ = read(Format::Auto, &payload);
        }
    }

    /// Keys of these formats in any order, with values of any kind.
    #[test]
    fn nor_do_their_keys_anywhere(pairs in prop::collection::vec((0usize..32, 0usize..10), 0..12)) {
        const KEYS: [&str; 32] = [
            "name", "fields", "tags", "metrics", "timestamp", "metricset", "kubernetes", "docker", "container_stats", "labels",
            "value", "eventName", "args", "metadata", "data", "workload", "threat", "id", "SigMetadata", "Context", "type",
            "service", "resource", "detail-type", "detail", "query_name", "query_type", "srcaddr", "resourceMetrics", "severity",
            "answers", "detected_from",
        ];
        const VALUES: [&str; 10] = [
            "null", "1", "\"x\"", "\"a:b/c\"", "[]", "{}", r#"{"__name__":"up","name":"cpu","network":{"interfaces":[1]}}"#,
            r#"[{"name":"cpu","fields":{"usage_idle":"x"},"tags":{},"value":[]}]"#, "\"GuardDuty Finding\"", "-1e999",
        ];
        let pairs: Vec<String> = pairs.iter().map(|(key, value)| format!("\"{}\":{}", KEYS[*key], VALUES[*value])).collect();
        let text = format!("{{{}}}", pairs.join(","));
        for format in Format::ALL {
            let _ = read(format, text.as_bytes());
        }
    }
}
