//! Alerts from elsewhere (`POST /api/v2/alerts`) as facts: pure. One alert is one set of labels, as for Alertmanager, so
//! one incident of kind `external`: it holds until the alert's own end, is told by its own labels, and ends early where
//! its sender says so.

use std::time::Duration;

use beaconfire_api::PostedAlert;
use beaconfire_incident::Fingerprint;
use beaconfire_model::{
    Earliest, EntryId, Evidence, Kind, Labels, Latest, Peak, Severity, Signal, Specimen, Subject,
    SubjectKind, Untrusted, Wall,
};

/// How long an alert holds that does not say, as Alertmanager's `resolve_timeout`: who goes on sending it says so in time.
const HOLDS: Duration = Duration::from_secs(5 * 60);

/// Longest text of annotations that is kept, in bytes.
const SAID_MAX: usize = 2_000;

/// What a batch of alerts says.
#[derive(Debug, Default)]
pub struct Read {
    /// Those that fire, with their labels.
    pub firing: Vec<(Signal, Labels)>,
    /// Those that are over.
    pub over: Vec<Fingerprint>,
}

/// Reads alerts.
pub fn read(alerts: Vec<PostedAlert>, now: Wall) -> Read {
    let mut read = Read::default();
    for alert in alerts {
        let target = target(&alert);
        let ends = alert.ends_at.unwrap_or_else(|| now.plus(HOLDS));
        if ends <= now {
            read.over.push(Fingerprint::of(Kind::External, &target));
            continue;
        }
        // A start in the future is somebody's clock: it fires now.
        let starts = alert.starts_at.filter(|starts| *starts <= now).unwrap_or(now);
        let severity = severity(alert.labels.get("severity"));
        let signal = Signal {
            rule: alert.labels.get("alertname").into(),
            kind: Kind::External,
            severity,
            subject: target.clone(),
            target,
            // Found when it was told: one that has fired elsewhere for days is no old news to us.
            first: Earliest(now.as_event_time()),
            began: Earliest(starts.as_event_time()),
            holds_until: Latest(ends.as_event_time()),
            evidence: Evidence {
                observed: Peak(1.0),
                threshold: 0.0,
                window: Duration::from_secs(60),
                crowd: None,
                series: Vec::new(),
            },
            participants: Vec::new(),
            samples: said(&alert).into_iter().collect(),
            entry: EntryId::OUTSIDE,
        };
        let mut labels = alert.labels;
        labels.set("severity", severity.name());
        read.firing.push((signal, labels));
    }
    read
}

/// What its severity means here. Alertmanager knows none; these are the words that people use.
fn severity(word: &str) -> Severity {
    match word.to_ascii_lowercase().as_str() {
        "critical" | "page" | "emergency" | "alert" | "fatal" | "p1" => Severity::Critical,
        "error" | "high" | "major" | "p2" => Severity::Error,
        "info" | "informational" | "notice" | "debug" | "none" | "low" | "p5" => Severity::Info,
        _ => Severity::Warning,
    }
}

/// What makes it the same alert: all its labels, by their hash as Alertmanager and Prometheus compute it (FNV-1a of names
/// and values, sorted, each with a 0xff behind it), so that the same id is found there.
fn target(alert: &PostedAlert) -> Subject {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, value) in alert.labels.iter() {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    Subject::new(SubjectKind::Alert, format!("{hash:016x}"))
}

/// Its annotations and where it comes from, as people read them.
fn said(alert: &PostedAlert) -> Option<Specimen> {
    let mut text = String::new();
    let source = (!alert.generator_url.is_empty()).then_some(("source", alert.generator_url.as_str()));
    for (name, value) in alert.annotations.iter().chain(source) {
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
    }
    (!text.is_empty()).then(|| Specimen {
        // The same each time it is sent again.
        time: alert.starts_at.unwrap_or_default().as_event_time(),
        client: None,
        text: Untrusted::new(&text, SAID_MAX),
        by: Untrusted::new("", 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(labels: &[(&str, &str)], starts: Option<i64>, ends: Option<i64>) -> PostedAlert {
        PostedAlert {
            labels: labels.iter().copied().collect(),
            annotations: [("summary", "too slow")].into_iter().collect(),
            starts_at: starts.map(Wall::from_millis),
            ends_at: ends.map(Wall::from_millis),
            generator_url: "http://p/graph".into(),
        }
    }

    #[test]
    fn an_alert_holds_until_its_end_or_for_five_minutes() {
        let now = Wall::from_millis(1_000_000);
        let one = [("alertname", "Slow"), ("severity", "page")];
        let read = read(
            vec![
                alert(&one, Some(400_000), Some(1_240_000)),
                alert(&[("alertname", "Mute")], None, None),
                alert(&[("alertname", "Early")], Some(2_000_000), Some(3_000_000)),
                alert(&[("alertname", "Over")], Some(1), Some(1_000_000)),
            ],
            now,
        );
        let spans: Vec<_> = read
            .firing
            .iter()
            .map(|(fact, _)| (fact.began.0.millis(), fact.first.0.millis(), fact.holds_until.0.millis()))
            .collect();
        assert_eq!(
            spans,
            [
                (400_000, 1_000_000, 1_240_000),
                (1_000_000, 1_000_000, 1_300_000),
                (1_000_000, 1_000_000, 3_000_000)
            ]
        );
        let (fact, labels) = &read.firing[0];
        assert_eq!((fact.severity, labels.get("severity")), (Severity::Critical, "critical"));
        assert_eq!(fact.samples[0].text.clean(), "summary: too slow; source: http://p/graph");
        assert_eq!(read.over.len(), 1);
        assert_eq!(
            read.over[0],
            Fingerprint::of(Kind::External, &target(&alert(&[("alertname", "Over")], None, None)))
        );
    }

    #[test]
    fn the_same_labels_are_the_same_alert_by_alertmanagers_own_hash() {
        let by = |labels: &[(&str, &str)]| target(&alert(labels, None, None)).value;
        assert_eq!(by(&[("a", "b"), ("c", "d")]), by(&[("c", "d"), ("a", "b")]));
        assert_ne!(by(&[("a", "b"), ("c", "d")]), by(&[("a", "bc"), ("", "d")]));
        // FNV-1a, 64 bits, of nothing and of `a` 0xff `b` 0xff.
        assert_eq!(&*by(&[]), "cbf29ce484222325");
        let bytes = [b'a', 0xff, b'b', 0xff];
        let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211)
        });
        assert_eq!(&*by(&[("a", "b")]), format!("{fnv:016x}"));
    }

    #[test]
    fn severities_are_read_as_people_write_them() {
        for (word, meant) in [
            ("critical", Severity::Critical),
            ("PAGE", Severity::Critical),
            ("high", Severity::Error),
            ("warning", Severity::Warning),
            ("", Severity::Warning),
            ("none", Severity::Info),
        ] {
            assert_eq!(severity(word), meant, "{word}");
        }
    }
}
