//! An incident in one line, for people.

use beaconfire_model::{Crowd, Kind, SubjectKind, Untrusted};

use crate::words::{bytes, count, window};
use crate::{Incident, RulePeak};

/// Longest name of a stranger's in a title, in bytes.
const NAME_MAX: usize = 120;

/// One line that says what is happening to what, by the rule that is furthest over its threshold: a function of the
/// incident's recorded numbers only. Cleaned; still to be escaped for where it is shown.
///
/// `Request flood on shop: 203.0.113.7 sent 4,120 requests in 60 s (limit 600)`, or
/// `Request flood on shop: 40 clients, the loudest 203.0.113.7 sent 4,120 requests in 60 s (limit 600)`
pub fn title(incident: &Incident) -> String {
    // What stands behind a colon is a part of an engine's finding, and explains it.
    let whole = |rule: &str| !matches!(incident.kind, Kind::Flood | Kind::Surge) || !rule.contains(':');
    let rules = incident.rules.iter().filter(|(rule, _)| whole(rule));
    let loudest = rules.max_by(|a, b| excess(a.1).total_cmp(&excess(b.1)).then(b.0.cmp(a.0)));
    let noun = match loudest {
        Some((rule, _)) if is_shared(incident.kind, rule) => "Shared address",
        _ => noun(incident.kind),
    };
    let target = clean(&incident.target.value);
    let what = match incident.target.kind {
        SubjectKind::Receiver => format!("Receiver {target}"),
        SubjectKind::Alert => return alert(incident),
        _ => format!("{noun} on {target}"),
    };
    match loudest {
        Some((rule, peak)) => format!("{what}: {}", detail(incident, rule, peak)),
        None => what,
    }
}

/// A rule that says that a client is probably many: sensors otherwise speak of what they watch, not of clients.
fn is_shared(kind: Kind, rule: &str) -> bool {
    kind == Kind::Sensor && (rule == "likely-proxy" || rule == "likely-proxy-of-new-topic")
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
        Kind::Sensor => "Blind sensor",
        Kind::External => "Alert",
        Kind::Throttle => "Throttle breaker",
    }
}

/// How many times its threshold a peak is; where the threshold is nothing, the value itself.
fn excess(peak: &RulePeak) -> f64 {
    if peak.threshold > 0.0 { peak.observed / peak.threshold } else { peak.observed }
}

fn detail(incident: &Incident, rule: &str, peak: &RulePeak) -> String {
    let name = clean(rule);
    if is_shared(incident.kind, rule) {
        let who = clean(&peak.subject.value);
        // Over half of what a new topic had at first; of user agents there are many.
        let sent = match peak.threshold < 1.0 {
            true => format!("{:.0} % of the first requests of a new topic", peak.observed * 100.0),
            false => format!("{} user agents", count(peak.observed)),
        };
        return format!(
            "{who} sent {sent} in {} and may be a proxy or shared by many: see clients.trusted_proxies ({name})",
            window(peak.window)
        );
    }
    if incident.kind == Kind::Mining {
        return evidence(incident, peak);
    }
    let points = incident.rules.get(format!("{rule}: points").as_str()).map(|points| points.observed);
    if rule == "overload" || points.is_some() {
        return surge(incident, rule, peak, points.unwrap_or(0.0));
    }
    if let Some(said) = absence(rule, peak).filter(|_| incident.kind == Kind::Sensor) {
        return format!("{said} ({name})");
    }
    if matches!(incident.kind, Kind::Intrusion | Kind::Image | Kind::Sensor | Kind::External | Kind::Throttle)
    {
        // What the rule is called says it; its count says little.
        return match incident.rules.len() - 1 {
            0 => name,
            1 => format!("{name}, and 1 more rule"),
            others => format!("{name}, and {others} more rules"),
        };
    }
    let measure = Measure::of(incident.kind, rule, peak);
    let seconds = window(peak.window);
    let (observed, limit) = (measure.amount(peak.observed), measure.limit(peak.threshold));
    let did = match measure {
        Measure::Requests => format!("sent {observed} requests in {seconds} (limit {limit})"),
        Measure::Bytes => format!("was sent {observed} in {seconds} (limit {limit})"),
        Measure::Logins => format!("failed {observed} logins in {seconds} (limit {limit})"),
        Measure::ClientErrors => format!("caused {observed} client errors in {seconds} (limit {limit})"),
        Measure::ServerErrors => {
            format!("{observed} of answers were server errors in {seconds} (limit {limit})")
        }
        Measure::Count | Measure::Share => format!("{observed} in {seconds} ({name}, limit {limit})"),
    };
    match crowd(incident, peak).or_else(|| who(incident, peak)) {
        Some(who) if matches!(measure, Measure::Count | Measure::Share) => format!("{who}: {did}"),
        Some(who) => format!("{who} {did}"),
        // A rule that counts by the target itself names nobody.
        None if measure == Measure::Logins => {
            format!("{observed} failed logins in {seconds} (limit {limit})")
        }
        None => did.trim_start_matches("was ").trim_start_matches("sent ").to_owned(),
    }
}

/// An alert from elsewhere, by its name and what its labels say beside that.
/// `Alert HighLatency: instance=web-1, job=shop`
fn alert(incident: &Incident) -> String {
    let ours = ["alert", "alertname", "kind", "severity"];
    let labels = incident.labels.iter().filter(|(name, _)| !ours.contains(name));
    let said: Vec<String> =
        labels.take(6).map(|(name, value)| format!("{}={}", clean(name), clean(value))).collect();
    let name = format!("Alert {}", clean(incident.labels.get("alertname")));
    if said.is_empty() { name } else { format!("{name}: {}", said.join(", ")) }
}

/// What is missed, in words: of the rules by which the process watches its own inputs and receivers.
fn absence(rule: &str, peak: &RulePeak) -> Option<String> {
    let minutes = count((peak.observed / 60.0).floor());
    Some(match rule {
        "input-silent" => format!("nothing has come for {minutes} min"),
        "input-lagging" => {
            format!("{} is {minutes} min behind, and falling back", clean(&peak.subject.value))
        }
        "input-undecodable" => format!("{:.0} % of what comes is not understood", peak.observed * 100.0),
        "receiver-failing" => format!("{} has taken nothing for {minutes} min", clean(&peak.subject.value)),
        "kafka-unreachable" => format!("out of reach for {minutes} min"),
        _ => return None,
    })
}

/// What speaks for mining: how many kinds of evidence, the heaviest first, and all of it together.
/// `3 kinds of evidence, pool-connect, cpu-shape and miner-name (score 21.5, pages at 10)`
fn evidence(incident: &Incident, whole: &RulePeak) -> String {
    let kinds = incident.rules.iter().filter_map(|(rule, peak)| Some((rule.split_once(':')?.1, peak)));
    let mut kinds: Vec<(&str, f64)> = kinds.map(|(kind, peak)| (kind, peak.observed)).collect();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let score = format!("score {:.1}, pages at {:.0}", whole.observed, whole.threshold);
    let names: Vec<String> = kinds.iter().take(3).map(|(kind, _)| clean(kind)).collect();
    match kinds.len() {
        0 => score,
        1 => format!("{} ({score})", names[0]),
        many => format!("{many} kinds of evidence, the heaviest {} ({score})", names.join(", ")),
    }
}

/// What a service gets, beside what is usual for it or what it can bear; and by the points of the table whether people
/// or machines send it.
/// `18,240 requests in 60 s, where 5,800 are usual: a flash crowd by its look`
fn surge(incident: &Incident, rule: &str, peak: &RulePeak, points: f64) -> String {
    let (observed, seconds, known) =
        (count(peak.observed.round()), window(peak.window), peak.threshold.round());
    // The engine's numbers are estimates, not bounds.
    let from = crowd(incident, peak).map(|crowd| format!(" from {}", crowd.replace("at least", "about")));
    let sent = format!("{observed} requests in {seconds}{}", from.unwrap_or_default());
    if rule == "overload" {
        let share = peak.observed / peak.threshold.max(1.0);
        return match share {
            ..1.0 => format!("{sent}, {:.0} % of the {} that it can bear", share * 100.0, count(known)),
            _ => format!("{sent}, where it can bear {}", count(known)),
        };
    }
    let verdict = match points {
        _ if incident.kind == Kind::Flood => "an attack",
        ..2.0 => "a flash crowd",
        _ => "perhaps an attack",
    };
    format!("{sent}, where {} are usual: {verdict} by its look", count(known))
}

/// A crowd that did it together, of a rule that asks for one and counts by the target itself.
fn crowd(incident: &Incident, peak: &RulePeak) -> Option<String> {
    let Crowd { clients, networks, sampled } = peak.crowd.filter(|_| peak.subject == incident.target)?;
    let least = if sampled { "at least " } else { "" };
    let (clients, networks) = (count(clients as f64), count(networks as f64));
    Some(format!("{least}{clients} clients of {networks} networks"))
}

/// Who did it: how many, and the loudest. Nobody, where a rule counts by the target itself.
fn who(incident: &Incident, peak: &RulePeak) -> Option<String> {
    let subject = (peak.subject != incident.target).then(|| clean(&peak.subject.value));
    let about = if incident.participants_estimated { "about " } else { "" };
    let total = count(incident.participants_total as f64);
    match (incident.participants_total, subject) {
        (0 | 1, subject) => subject,
        (_, None) => None,
        (_, Some(subject)) => {
            let crowd = if peak.subject.kind == SubjectKind::Client { "clients" } else { "participants" };
            Some(format!("{about}{total} {crowd}, the loudest {subject}"))
        }
    }
}

/// What a rule counts, as far as its kind and name tell; where they do not, the title names the rule instead.
#[derive(Clone, Copy, PartialEq)]
enum Measure {
    Requests,
    Bytes,
    Logins,
    ClientErrors,
    ServerErrors,
    Count,
    Share,
}

impl Measure {
    fn of(kind: Kind, rule: &str, peak: &RulePeak) -> Self {
        // What baselines find has a unit of its own.
        let counts = rule.starts_with("unusual-") && rule != "unusual-errors";
        let share = !counts && peak.threshold > 0.0 && peak.threshold < 1.0 && peak.observed <= 1.0;
        match kind {
            Kind::Errors if share && rule.contains("server-errors") => Self::ServerErrors,
            _ if share => Self::Share,
            Kind::Flood if rule.contains("bytes") => Self::Bytes,
            Kind::Flood if rule.contains("request") => Self::Requests,
            Kind::Login if rule.contains("login") => Self::Logins,
            Kind::Probing if rule.contains("client-errors") => Self::ClientErrors,
            _ => Self::Count,
        }
    }

    fn amount(self, value: f64) -> String {
        match self {
            Self::ServerErrors | Self::Share => format!("{:.1} %", value * 100.0),
            Self::Bytes => bytes(value),
            _ => count(value),
        }
    }

    /// A threshold of 10 % reads better than one of 10.0 %.
    fn limit(self, value: f64) -> String {
        self.amount(value).replace(".0 ", " ")
    }
}

fn clean(text: &str) -> String {
    Untrusted::new(text, NAME_MAX).clean().to_owned()
}
