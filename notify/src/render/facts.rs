//! What there is to tell, in plain words and in the order in which somebody who was just woken needs it: what, how
//! bad, is it still going on, how much, who, what was done, where to look. Cleaned, cut and redacted; not escaped.

use beaconfire_incident::{Incident, RulePeak, Status, title};
use beaconfire_model::{EventTime, Severity, SubjectKind};
use beaconfire_outbox::Action;
use beaconfire_view::DecisionJson;

use super::words;
use crate::message::{About, Matter, Message};

/// Rules, participants and decisions that are listed; samples are fewer, because they are long.
const LISTED: usize = 5;
const SAMPLES: usize = 3;

/// Longest text of one line, in bytes.
pub(super) const LINE_MAX: usize = 300;

/// What there is to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// How it stands, in one word or few: `CRITICAL`, `RESOLVED`, `ACKNOWLEDGED by ana`, `TEST`.
    pub(crate) standing: String,
    /// How bad; a test is information.
    pub(crate) severity: Option<Severity>,
    /// Whether it is over.
    pub(crate) over: bool,
    /// Whether somebody is on it.
    pub(crate) taken: bool,
    /// Whether a silence keeps its news back.
    pub(crate) silenced: bool,
    /// What it is, without numbers: the same in all messages about it.
    pub(crate) stem: String,
    /// What it is, with numbers.
    pub(crate) title: String,
    /// Whether it goes on, since when, how long it lasted.
    pub(crate) course: String,
    /// What happened just now to something that was told before.
    pub(crate) news: Option<String>,
    /// What the operator says about the service.
    pub(crate) remarks: Vec<String>,
    /// The numbers, one line a rule.
    pub(crate) rules: Vec<String>,
    /// How many took part, in words; empty where nobody can be named.
    pub(crate) crowd: String,
    /// The heaviest of them, with what they did.
    pub(crate) participants: Vec<(String, String)>,
    /// The incidents that a digest counts, by their ids.
    pub(crate) incidents: Vec<String>,
    /// Raw records.
    pub(crate) samples: Vec<String>,
    /// What was done about it.
    pub(crate) decisions: Vec<String>,
    /// Where to look.
    pub(crate) console: Option<String>,
    /// What to do.
    pub(crate) runbook: Option<String>,
    /// Which installation says so, and about which incident.
    pub(crate) colophon: String,
}

impl Facts {
    /// What a message has to tell.
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let mut facts = match message.matter {
            Matter::Incident(about) => incident(message, &about),
            Matter::Storm(storm) => super::storm::facts(message, &storm),
            Matter::Test => test(),
            Matter::StoreDown { since, said } => store_down(message, since.as_event_time(), said),
        };
        let installation = words::clean(message.site.installation, 128);
        facts.colophon = match message.matter {
            Matter::Incident(about) => {
                format!("Beaconfire {installation} · incident {}", about.dossier.incident.id)
            }
            Matter::Storm(_) | Matter::Test | Matter::StoreDown { .. } => {
                format!("Beaconfire {installation}")
            }
        };
        facts
    }

    /// All of it in one line: `[CRITICAL] Request flood on shop: …`.
    pub(crate) fn line(&self) -> String {
        format!("[{}] {}", self.standing, self.title)
    }
}

fn incident(message: &Message<'_>, about: &About<'_>) -> Facts {
    let incident = &about.dossier.incident;
    let privacy = message.site.privacy;
    let shown = |text: &str| words::clean(&privacy.apply(text), LINE_MAX);
    let bare = Incident { rules: Default::default(), ..incident.clone() };
    let samples = about.dossier.samples.iter().take(SAMPLES).map(|sample| {
        let client = sample.client.map(|client| format!("{client} ")).unwrap_or_default();
        let by = match sample.by.clean() {
            "" => String::new(),
            by => format!(" ({})", words::clean(&privacy.apply(by), 100)),
        };
        format!("{} {client}{}{by}", clock(sample.time), shown(sample.text.clean()))
    });
    let silenced = about.silenced.map(|said| format!("Silenced {}.", words::clean(said, LINE_MAX)));
    let given = incident.assignee.as_deref().map(|who| format!("Given to {}.", words::clean(who, 128)));
    let hands = silenced.into_iter().chain(given);
    let remark = |name: &str| Some(shown(about.annotations.get(name))).filter(|text| !text.is_empty());
    Facts {
        standing: standing(incident),
        severity: Some(incident.severity),
        over: incident.status == Status::Resolved,
        taken: incident.status == Status::Acknowledged,
        silenced: about.silenced.is_some(),
        stem: words::clean(&privacy.apply(&title(&bare)), 200),
        title: words::clean(&privacy.apply(&title(incident)), 400),
        course: course(message, incident),
        news: news(message, about),
        remarks: hands
            .chain(instead(about))
            .chain(["summary", "description"].into_iter().filter_map(remark))
            .collect(),
        rules: rules(incident, shown),
        crowd: crowd(incident),
        participants: participants(about, shown),
        incidents: Vec::new(),
        samples: samples.collect(),
        decisions: decisions(about.decisions),
        console: words::link(&format!(
            "{}/incidents/{}",
            message.site.external_url.trim_end_matches('/'),
            incident.id
        )),
        runbook: words::link(about.annotations.get("runbook_url")),
        colophon: String::new(),
    }
}

/// Whom this was for.
fn instead(about: &About<'_>) -> Option<String> {
    let via = words::clean(about.via?, 128);
    Some(format!("You are told as the fallback of {via}, which has not taken this message."))
}

fn test() -> Facts {
    Facts {
        standing: "TEST".into(),
        severity: Some(Severity::Info),
        stem: "Test message".into(),
        title: "Test message: somebody tries this channel out. Nothing has happened.".into(),
        course: "If you can read this, alerts reach you here. There is nothing to do.".into(),
        ..Facts::default()
    }
}

fn store_down(message: &Message<'_>, since: EventTime, said: &str) -> Facts {
    let over = message.action == Action::Resolve;
    let lasted = words::stretch(message.now.as_event_time().since(since));
    let since = words::moment(since.millis());
    let (title, course) = if over {
        ("Beaconfire's store takes writes again", format!("It did not since {since}, for {lasted}."))
    } else {
        (
            "Beaconfire cannot write to its store: no incident can be recorded or told until it can",
            format!("Since {since} ({lasted}). Reading from Kafka is paused; what waits there is not lost."),
        )
    };
    Facts {
        standing: if over { "RESOLVED".into() } else { "CRITICAL".into() },
        severity: Some(Severity::Critical),
        over,
        stem: "Beaconfire's store".into(),
        title: title.into(),
        course,
        remarks: if over { Vec::new() } else { vec![format!("It said: {}", words::clean(said, LINE_MAX))] },
        console: words::link(message.site.external_url),
        ..Facts::default()
    }
}

fn standing(incident: &Incident) -> String {
    match (incident.status, &incident.acknowledged) {
        (Status::Resolved, _) => "RESOLVED".into(),
        (Status::Acknowledged, Some(held)) => format!("ACKNOWLEDGED by {}", words::clean(&held.by, 60)),
        (Status::Acknowledged, None) => "ACKNOWLEDGED".into(),
        (Status::Open, _) => incident.severity.name().to_ascii_uppercase(),
    }
}

fn course(message: &Message<'_>, incident: &Incident) -> String {
    let began = words::moment(incident.started_at.millis());
    let last = words::moment(incident.holds_until.millis());
    if incident.status == Status::Resolved {
        let lasted = words::stretch(incident.holds_until.since(incident.started_at));
        return match &incident.resolved_by {
            Some(who) => format!("Closed by {}. It began {began}.", words::clean(who, 60)),
            None => format!("It has stopped. It lasted {lasted}, from {began} to {last}."),
        };
    }
    let age = words::stretch(message.now.as_event_time().since(incident.started_at));
    format!("Since {began} ({age}), last seen {last}.")
}

/// The last thing that happened, where people knew of the incident before.
fn news(message: &Message<'_>, about: &About<'_>) -> Option<String> {
    if about.again {
        return Some("Still open, and nobody has acknowledged it.".into());
    }
    message.handle?;
    if message.action != Action::Open {
        // What stands is all there is to say.
        return None;
    }
    let happened = |what: &str| matches!(what, "reopened" | "escalated" | "joined" | "unacknowledged");
    let entry = about.dossier.timeline.iter().rev().find(|entry| happened(&entry.what))?;
    Some(words::clean(&message.site.privacy.apply(&entry.text), LINE_MAX))
}

/// The rules, the furthest over its threshold first.
fn rules(incident: &Incident, shown: impl Fn(&str) -> String) -> Vec<String> {
    let excess =
        |peak: &RulePeak| if peak.threshold > 0.0 { peak.observed / peak.threshold } else { peak.observed };
    let mut rules: Vec<_> = incident.rules.iter().collect();
    rules.sort_by(|a, b| excess(b.1).total_cmp(&excess(a.1)).then(a.0.cmp(b.0)));
    let line = |(name, peak): &(&std::sync::Arc<str>, &RulePeak)| {
        let observed = words::measure(name, peak.threshold, peak.observed);
        let limit = match peak.threshold {
            // A finding counts from the first.
            0.0 => String::new(),
            threshold => format!(", limit {}", words::measure(name, threshold, threshold)),
        };
        let by = match peak.subject == incident.target {
            true => String::new(),
            false => format!(", by {}", shown(&peak.subject.value)),
        };
        format!("{}: {observed} in {}{limit}{by}", shown(name), words::window(peak.window))
    };
    let mut lines: Vec<String> = rules.iter().take(LISTED).map(line).collect();
    if rules.len() > LISTED {
        lines.push(format!("and {} more rules", rules.len() - LISTED));
    }
    lines
}

fn crowd(incident: &Incident) -> String {
    let about = if incident.participants_estimated { "about " } else { "" };
    let clients = incident.rules.values().all(|peak| peak.subject.kind == SubjectKind::Client);
    let (one, many) = if clients { ("client", "clients") } else { ("participant", "participants") };
    match incident.participants_total {
        0 => String::new(),
        1 => format!("1 {one}"),
        total => format!("{about}{} {many}", words::count(total as f64)),
    }
}

fn participants(about: &About<'_>, shown: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let rules = &about.dossier.incident.rules;
    // Where there is one rule, its events have its unit; several rules count different things.
    let unit = |events: f64| match rules.iter().next() {
        Some((rule, peak)) if rules.len() == 1 => words::measure(rule, peak.threshold, events),
        _ => words::count(events),
    };
    let listed = about.dossier.participants.iter().take(LISTED);
    listed.map(|row| (words::cut(&shown(&row.subject.value), 100), unit(row.events.0))).collect()
}

fn decisions(decisions: &[DecisionJson]) -> Vec<String> {
    let line = |decision: &DecisionJson| {
        let until =
            decision.expires_at.as_deref().map(|at| format!(" until {}", spoken(at))).unwrap_or_default();
        let state = match (&decision.deleted_at, decision.mode.as_str()) {
            (Some(at), _) => format!("taken back {}", spoken(at)),
            (None, "dry_run") => "dry run: nothing is blocked".to_owned(),
            (None, _) => "in force".to_owned(),
        };
        let whom = words::clean(&decision.value, 100);
        words::clean(&format!("{} {whom}{until} ({state})", decision.action), LINE_MAX)
    };
    let mut lines: Vec<String> = decisions.iter().take(LISTED).map(line).collect();
    if decisions.len() > LISTED {
        lines.push(format!("and {} more", decisions.len() - LISTED));
    }
    lines
}

/// A time of the public JSON, as people read it.
fn spoken(at: &str) -> String {
    at.parse::<jiff::Timestamp>()
        .map_or_else(|_| words::clean(at, 64), |at| words::moment(at.as_millisecond()))
}

/// The time of day: the date stands above.
fn clock(at: EventTime) -> String {
    jiff::Timestamp::from_millisecond(at.millis())
        .map_or_else(|_| at.to_string(), |at| at.strftime("%H:%M:%S").to_string())
}
