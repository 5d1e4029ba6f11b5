//! An incident in one line, for people.

use beaconfire_model::{Kind, Untrusted};

use crate::{Incident, RulePeak};

/// One line that says what is happening to what: a function of the incident's recorded numbers only.
///
/// `Request flood on shop: 203.0.113.7 sent 4,120 requests in 60 s (limit 600)`
pub fn title(incident: &Incident) -> String {
    let target = Untrusted::new(&incident.target.value, 120);
    let what = format!("{} on {}", noun(incident.kind), target.clean());
    let Some((rule, peak)) = incident.rules.iter().max_by(|a, b| excess(a.1).total_cmp(&excess(b.1)).then(b.0.cmp(a.0))) else {
        return what;
    };
    let detail = detail(incident, rule, peak);
    let others = incident.participants_total.saturating_sub(1);
    match others {
        0 => format!("{what}: {detail}"),
        _ => format!("{what}: {detail}, and {} others", group(others as f64)),
    }
}

fn noun(kind: Kind) -> &'static str {
    match kind {
        Kind::Flood => "Request flood",
        Kind::Probing => "Probing",
        Kind::Login => "Login attack",
        Kind::Errors => "Errors",
        Kind::Surge => "Surge",
        Kind::Mining => "Cryptomining",
        Kind::Intrusion => "Intrusion",
        Kind::Image => "Risky image",
        Kind::Resource => "Resource trouble",
        Kind::Sensor => "Blind input",
        Kind::External => "Alert",
        Kind::Throttle => "Throttle breaker",
    }
}

/// How far over its threshold a peak is; where the threshold is nothing, the value itself.
fn excess(peak: &RulePeak) -> f64 {
    if peak.threshold > 0.0 { peak.observed / peak.threshold } else { peak.observed }
}

fn detail(incident: &Incident, rule: &str, peak: &RulePeak) -> String {
    let subject = Untrusted::new(&peak.subject.value, 120);
    let subject = subject.clean();
    let rule = Untrusted::new(rule, 120);
    let seconds = peak.window.as_secs();
    let (observed, threshold) = (group(peak.observed), group(peak.threshold));
    match incident.kind {
        Kind::Intrusion | Kind::Image => rule.clean().to_owned(),
        Kind::Sensor => subject.to_owned(),
        Kind::Errors => format!(
            "{:.1} % of answers were server errors in {seconds} s (limit {:.1} %)", peak.observed * 100.0, peak.threshold * 100.0
        ),
        Kind::Login => format!("{subject} failed {observed} logins in {seconds} s (limit {threshold})"),
        Kind::Probing => format!("{subject} got {observed} client errors in {seconds} s (limit {threshold})"),
        _ if rule.clean().contains("bytes") => format!("{subject} was sent {observed} bytes in {seconds} s (limit {threshold})"),
        _ => format!("{subject} sent {observed} requests in {seconds} s (limit {threshold})"),
    }
}

/// `4120` as `4,120`; a fraction keeps two digits.
fn group(value: f64) -> String {
    if value.fract() != 0.0 {
        return format!("{value:.2}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in [(0.0, "0"), (999.0, "999"), (4120.0, "4,120"), (1234567.0, "1,234,567"), (0.5, "0.50")] {
            assert_eq!(group(value), text);
        }
    }
}
