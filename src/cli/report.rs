//! What a replay says of each rule: how often it fired, who came highest, and which threshold would have fired once a
//! week.

use std::io::Write;
use std::time::Duration;

use beaconfire_detect::{Closest, RuleSpec};
use beaconfire_view::{HighestJson, RuleReportJson, clean};

use super::output::cell;

/// Keys that are named of each rule.
const NAMED: usize = 10;
const DAY: f64 = 86_400.0;

/// The report of every rule. `closest` holds the keys that came nearest, the nearest first; `incidents` tells how many
/// incidents a rule was a part of; `span` is how much time the input covers.
pub(super) fn of(
    rules: &[RuleSpec],
    closest: &[Closest],
    incidents: impl Fn(&str) -> u64,
    span: Duration,
) -> Vec<RuleReportJson> {
    let days = span.as_secs_f64() / DAY;
    let report = |rule: &RuleSpec| {
        let of_rule: Vec<&Closest> = closest.iter().filter(|found| found.rule == rule.name).collect();
        let incidents = incidents(&rule.name);
        RuleReportJson {
            rule: rule.name.to_string(),
            threshold: rule.threshold,
            window_seconds: rule.window.as_secs_f64(),
            incidents,
            incidents_per_day: (days >= 1.0).then(|| incidents as f64 / days),
            // Of so many weeks as many keys may be above it; the next one may not.
            once_a_week_above: of_rule.get((days / 7.0) as usize).map(|found| found.peak),
            highest: of_rule.iter().take(NAMED).map(|found| highest(found)).collect(),
        }
    };
    rules.iter().map(report).collect()
}

fn highest(found: &Closest) -> HighestJson {
    HighestJson {
        subject: clean(&found.subject.value),
        service: clean(&found.service),
        observed: found.peak,
        at: found.at.to_string(),
    }
}

/// For people: a line a rule that anything came near, with who came highest.
pub(super) fn table(report: &RuleReportJson, out: &mut impl Write) -> std::io::Result<()> {
    let Some((first, others)) = report.highest.split_first() else { return Ok(()) };
    let often = match report.incidents_per_day {
        Some(a_day) => format!("{} incidents, {a_day:.1} a day", report.incidents),
        None => format!("{} incidents", report.incidents),
    };
    let weekly = report.once_a_week_above.unwrap_or_default();
    writeln!(
        out,
        "{}: fires above {} in {} s; {often}; above {} it fires at most once a week",
        report.rule,
        amount(report.threshold),
        report.window_seconds,
        amount(weekly)
    )?;
    let key = |key: &HighestJson| format!("{} {}", amount(key.observed), cell(&key.subject));
    let others: Vec<String> = others.iter().map(key).collect();
    writeln!(out, "    highest: {} ({}, {})", key(first), cell(&first.service), first.at)?;
    if !others.is_empty() {
        writeln!(out, "    then:    {}", others.join(", "))?;
    }
    Ok(())
}

/// A number as people write it: whole where it is, else with two digits.
pub(super) fn amount(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use beaconfire_detect::{Count, Field, Key};
    use beaconfire_model::{Client, EventTime, Kind, Matchers, Severity, Subject};

    use super::*;

    fn rule() -> RuleSpec {
        RuleSpec {
            name: "flood".into(),
            kind: Kind::Flood,
            matchers: Matchers::default(),
            except: Matchers::default(),
            by: vec![Field::Client],
            count: Count::Requests,
            window: Duration::from_secs(60),
            threshold: 100.0,
            severity: Severity::Warning,
            critical_above: None,
            min_clients: None,
        }
    }

    fn found(peak: f64) -> Closest {
        Closest {
            rule: "flood".into(),
            service: Arc::from("shop"),
            subject: Subject::client(Client::of([203, 0, 113, peak as u8].into())),
            peak,
            at: EventTime::from_millis(0),
            threshold: 100.0,
            window: Duration::from_secs(60),
            key: Key::Service,
        }
    }

    #[test]
    fn the_weekly_line_lets_one_key_a_week_through() {
        let closest: Vec<Closest> = (1..=20).rev().map(|peak| found(f64::from(peak))).collect();
        for (days, line) in [(1, 20.0), (7, 19.0), (13, 19.0), (14, 18.0), (70, 10.0)] {
            let span = Duration::from_secs(days * 86_400);
            let report = &of(&[rule()], &closest, |_| 3, span)[0];
            assert_eq!(report.once_a_week_above, Some(line), "{days}");
            assert_eq!(report.incidents_per_day, Some(3.0 / days as f64));
            assert_eq!(report.highest.len(), NAMED);
        }
        let nobody = &of(&[rule()], &[], |_| 0, Duration::from_secs(60))[0];
        assert_eq!((nobody.once_a_week_above, nobody.incidents_per_day), (None, None));
    }
}
