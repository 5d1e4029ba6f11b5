//! `replay`: files or stdin through the configured detectors, in event time. Nothing is sent, nothing is stored, and
//! the incidents are the same for any number of shards.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beaconfire_config::Config;
use beaconfire_decode::Reject;
use beaconfire_detect::{EntrySpec, Plan, PlanSpec};
use beaconfire_incident::{Dossier, Folded, IncidentId, title};
use beaconfire_ingest::{FileInput, FileLog, FileSource};
use beaconfire_model::{EntryId, EventTime, LogFault, Names, Record, Wall};
use beaconfire_outbox::QuietRules;
use beaconfire_pipeline::{
    Changes, Counted, DeadLetterSink, Ending, Keeper, Line as PipelineLine, LineKnobs, Policy, Survey,
    WorkerKnobs,
};
use beaconfire_throttle::Throttle;
use beaconfire_view::{
    DecisionJson, IncidentJson, Line, NotificationJson, RuleReportJson, SignalJson, SummaryJson,
};
use clap::{Args, ValueEnum};

use super::Fault;
use super::output::{self, Output, cell};
use super::report;

/// What to replay, and how to show it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The format of the lines, else the topic's, else `auto`, which decides for each line.
    #[arg(long)]
    format: Option<String>,
    /// The entry of `kafka.topics` whose settings count: `log_format`, `fields`, `timezone`, `service` and the like.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// The service that answered; else what the records say.
    #[arg(long)]
    service: Option<String>,
    /// Shards; the result does not depend on it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: u16,
    /// What to print, besides the summary.
    #[arg(long, value_delimiter = ',', default_value = "incidents")]
    show: Vec<Show>,
    /// How to print it; a table on a terminal, ndjson elsewhere.
    #[arg(long)]
    output: Option<Output>,
    /// Files, also .gz and .zst; `-` or nothing for stdin.
    files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    Incidents,
    Signals,
    Notifications,
    Decisions,
}

/// What does not decode is in the summary's counts.
struct Counting;

impl DeadLetterSink for Counting {
    fn reject(&mut self, _: &Record<'_>, _: Reject) {}
}

/// Incidents with all that hangs on them, as a store would have them.
#[derive(Default)]
struct Casebook {
    cases: BTreeMap<IncidentId, Dossier>,
    notifications: Vec<NotificationJson>,
    decisions: Vec<DecisionJson>,
}

pub(super) fn run(arguments: Arguments, config: Config, out: &mut impl Write) -> Result<(), Fault> {
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let input = Input {
        format: arguments.format.as_deref(),
        topic: arguments.topic.as_deref(),
        service: arguments.service,
        shards: arguments.shards,
        files: arguments.files,
        survey: Survey::All,
    };
    let ending = read(input, &config)?;
    let policy = Policy {
        context: beaconfire_incident::Context { entries: vec!["replay".to_owned()], ..config.context },
        knobs: config.knobs,
        route: config.route,
        receivers: config.receivers,
        // Nothing is kept quiet by the hour and nobody is called later: what happened is shown whole.
        quiet: QuietRules::default(),
        escalations: Vec::new(),
        plan: None,
    };
    let mut keeper = Keeper::new(1, Arc::new(policy), Throttle::new(config.throttle_rules, config.guard));
    let mut book = Casebook::default();
    ending.fold(&mut keeper, |changes| book.take(changes));
    let span = ending.span.map_or(0, |(first, last)| last.millis().saturating_sub(first.millis()));
    let span = Duration::from_millis(u64::try_from(span).unwrap_or(0));
    let reports = report::of(&config.plan.rules, &ending.closest, |rule| book.incidents_of(rule), span);
    let summary = book.summary(&ending, started.elapsed(), cpu_seconds() - cpu);
    let lines = book.lines(&ending, &arguments.show, reports, summary);
    match Output::or_default(arguments.output) {
        Output::Table => table(&lines, out)?,
        Output::Ndjson => lines.iter().try_for_each(|line| output::line(line, out))?,
        Output::Json => output::json(&lines, out)?,
    }
    Ok(())
}

/// What is read, and how.
pub(super) struct Input<'a> {
    pub(super) format: Option<&'a str>,
    pub(super) topic: Option<&'a str>,
    pub(super) service: Option<String>,
    pub(super) shards: u16,
    /// Nothing for stdin.
    pub(super) files: Vec<PathBuf>,
    pub(super) survey: Survey,
}

/// Reads files through the configured detectors, to their end.
pub(super) fn read(input: Input<'_>, config: &Config) -> Result<Ending, Fault> {
    let (decode, topic) = super::explain::knobs(config, input.topic, input.format)?;
    let entry = EntrySpec {
        name: "replay".to_owned(),
        service: input.service.or_else(|| topic.and_then(|topic| topic.service.clone())),
        lateness: topic.map_or(config.limits.lateness, |topic| topic.lateness),
        once: topic.is_some_and(|topic| topic.once),
    };
    // A replay's tables are hashed with a fixed seed, so that even evictions are the same each time.
    let spec = PlanSpec { entries: vec![entry], seed: 0, ..config.plan.clone() };
    let plan = Arc::new(Plan::compile(spec).map_err(|error| Fault::Usage(format!("error: {error}")))?);
    let names = Names::default();
    let files = if input.files.is_empty() { vec![PathBuf::from("-")] } else { input.files };
    let inputs: Vec<FileInput> = files
        .into_iter()
        .map(|path| FileInput {
            from: if path.as_os_str() == "-" { FileSource::Stdin } else { FileSource::Path(path) },
            entry: EntryId(0),
        })
        .collect();
    let log = FileLog::open(&inputs, &names).map_err(said)?;
    let knobs = LineKnobs {
        shards: usize::from(input.shards),
        memory: config.limits.detect_memory,
        worker: WorkerKnobs { event_skew: config.limits.event_skew, ..WorkerKnobs::default() },
        now: crate::threads::now(),
        survey: input.survey,
    };
    let ending = PipelineLine::new(log, plan, &[decode], names, &knobs)
        .run(&mut Counting)
        .map_err(|fault| anyhow::anyhow!("{fault}"))?;
    Ok(ending)
}

/// What is wrong with a file needs no word on logs in general.
fn said(fault: LogFault) -> anyhow::Error {
    match fault {
        LogFault::Fatal(said) => anyhow::anyhow!(said),
        other => anyhow::anyhow!("{other}"),
    }
}

impl Casebook {
    fn take(&mut self, changes: &Changes) {
        for folded in &changes.folded {
            self.join(folded);
        }
        for row in &changes.rows {
            let Some(action) = row.next_action() else { continue };
            let Some(case) = self.cases.get(&row.key.incident) else { continue };
            self.notifications.push(NotificationJson {
                receiver: row.key.receiver.to_string(),
                integration: row.key.integration.split('-').next().unwrap_or_default().to_owned(),
                incident: row.key.incident.to_string(),
                action: action.name().to_owned(),
                at: row.due.to_string(),
                text: title(&case.incident),
            });
        }
        self.decisions.extend(changes.decisions.iter().map(DecisionJson::of));
    }

    /// Joins a fold's rows as the store's upserts do.
    fn join(&mut self, folded: &Folded) {
        let case = self.cases.entry(folded.incident.id.clone()).or_insert_with(|| Dossier {
            incident: folded.incident.clone(),
            signals: Vec::new(),
            participants: Vec::new(),
            timeline: Vec::new(),
            samples: Vec::new(),
            points: Vec::new(),
        });
        case.incident = folded.incident.clone();
        for signal in &folded.signals {
            match case
                .signals
                .iter_mut()
                .find(|held| (&held.rule, &held.subject) == (&signal.rule, &signal.subject))
            {
                Some(held) => {
                    if signal.observed > held.observed {
                        held.observed = signal.observed;
                        held.threshold = signal.threshold;
                    }
                    held.severity = held.severity.max(signal.severity);
                    held.first = held.first.min(signal.first);
                    held.holds_until = held.holds_until.max(signal.holds_until);
                }
                None => case.signals.push(signal.clone()),
            }
        }
        case.signals.sort_by(|a, b| (a.first, &a.rule, &a.subject).cmp(&(b.first, &b.rule, &b.subject)));
        for participant in &folded.participants {
            match case.participants.iter_mut().find(|held| held.subject == participant.subject) {
                Some(held) => {
                    held.events = held.events.join(participant.events);
                    held.first_seen = held.first_seen.join(participant.first_seen);
                    held.last_seen = held.last_seen.join(participant.last_seen);
                }
                None => case.participants.push(participant.clone()),
            }
        }
        case.participants
            .sort_by(|a, b| b.events.0.total_cmp(&a.events.0).then_with(|| a.subject.cmp(&b.subject)));
        case.incident.participants_total = case.participants.len() as u64;
        case.timeline.extend(folded.timeline.iter().cloned());
    }

    fn summary(&self, ending: &Ending, wall: Duration, cpu: f64) -> SummaryJson {
        let mut rejected = BTreeMap::new();
        for (_, what, n) in ending.tally.counts() {
            if let Counted::Rejected(reason) = what {
                *rejected.entry(reason.name().to_owned()).or_insert(0) += n;
            }
        }
        let time = |at: Option<EventTime>| at.map(|at| Wall::from_millis(at.millis()).to_string());
        SummaryJson {
            records: ending.tally.records,
            decoded: ending.tally.decoded,
            rejected,
            late: ending.tally.late,
            copies: ending.tally.copies,
            first_at: time(ending.span.map(|span| span.0)),
            last_at: time(ending.span.map(|span| span.1)),
            incidents: self.cases.len() as u64,
            signals: self.cases.values().map(|case| case.signals.len() as u64).sum(),
            notifications: self.notifications.len() as u64,
            decisions: self.decisions.len() as u64,
            wall_seconds: wall.as_secs_f64(),
            cpu_seconds: cpu,
        }
    }

    /// How many incidents a rule was a part of.
    fn incidents_of(&self, rule: &str) -> u64 {
        let of_rule = |case: &&Dossier| case.incident.rules.keys().any(|name| &**name == rule);
        self.cases.values().filter(of_rule).count() as u64
    }

    fn lines(
        &self,
        ending: &Ending,
        show: &[Show],
        reports: Vec<RuleReportJson>,
        summary: SummaryJson,
    ) -> Vec<Line> {
        let mut lines = Vec::new();
        if show.contains(&Show::Incidents) {
            let mut cases: Vec<&Dossier> = self.cases.values().collect();
            cases.sort_by(|a, b| {
                (a.incident.started_at, &a.incident.id).cmp(&(b.incident.started_at, &b.incident.id))
            });
            lines.extend(cases.into_iter().map(|case| Line::Incident(IncidentJson::of(case))));
        }
        if show.contains(&Show::Signals) {
            lines.extend(ending.facts.iter().map(|fact| Line::Signal(SignalJson::of(fact))));
        }
        if show.contains(&Show::Notifications) {
            lines.extend(self.notifications.iter().cloned().map(Line::Notification));
        }
        if show.contains(&Show::Decisions) {
            lines.extend(self.decisions.iter().cloned().map(Line::Decision));
        }
        lines.extend(reports.into_iter().map(Line::Rule));
        lines.push(Line::Summary(summary));
        lines
    }
}

/// For people: one line an item.
fn table(lines: &[Line], out: &mut impl Write) -> std::io::Result<()> {
    for line in lines {
        match line {
            Line::Incident(incident) => writeln!(
                out,
                "{}  {:<8} {:<12} {}",
                incident.started_at,
                incident.severity,
                incident.status,
                cell(&incident.title)
            )?,
            Line::Notification(told) => {
                writeln!(out, "{}  {} {} {}", told.at, cell(&told.receiver), told.action, cell(&told.text))?
            }
            Line::Decision(decision) => writeln!(
                out,
                "{}  {} {} for {} s ({}), {}",
                decision.at,
                decision.action,
                decision.value,
                decision.duration_seconds,
                decision.mode,
                decision.rule
            )?,
            Line::Signal(signal) => writeln!(
                out,
                "{}  {} {}: {} > {} in {} s",
                signal.first_at,
                cell(&signal.rule),
                cell(&signal.subject),
                signal.observed,
                signal.threshold,
                signal.window_seconds
            )?,
            Line::Rule(rule) => report::table(rule, out)?,
            Line::Summary(summary) => {
                let rejected: Vec<String> =
                    summary.rejected.iter().map(|(reason, n)| format!(", {n} rejected ({reason})")).collect();
                writeln!(
                    out,
                    "{} records, {} decoded{}, {} late{}, {} incidents, in {:.2} s",
                    summary.records,
                    summary.decoded,
                    rejected.concat(),
                    summary.late,
                    match summary.copies {
                        0 => String::new(),
                        n => format!(", {n} copies"),
                    },
                    summary.incidents,
                    summary.wall_seconds
                )?;
            }
        }
    }
    Ok(())
}

/// CPU time of the process, from the kernel's account in clock ticks of a hundredth; 0 where there is none.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks = |at: usize| {
        fields.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
