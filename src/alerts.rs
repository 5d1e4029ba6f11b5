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
        // Of several about one alert the last says how it is.
        let fingerprint = Fingerprint::of(Kind::External, &target);
        read.over.retain(|held| *held != fingerprint);
        if ends <= now {
            read.firing.retain(|(held, _): &(Signal, Labels)| held.target != target);
            read.over.push(fingerprint);
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

/// What makes it the same alert: all its labels, by the fingerprint that Alertmanager and Prometheus show for them.
fn target(alert: &PostedAlert) -> Subject {
    Subject::new(SubjectKind::Alert, format!("{:016x}", alert.labels.fingerprint()))
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
    fn of_several_about_one_alert_the_last_says_how_it_is() {
        let now = Wall::from_millis(1_000_000);
        let one = |ends| alert(&[("alertname", "Slow")], Some(1), Some(ends));
        let fires = read(vec![one(999_999), one(2_000_000)], now);
        assert_eq!((fires.firing.len(), fires.over.len()), (1, 0));
        let is_over = read(vec![one(2_000_000), one(999_999)], now);
        assert_eq!((is_over.firing.len(), is_over.over.len()), (0, 1));
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
