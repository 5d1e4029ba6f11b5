//! A store of one fingerprint, played in memory, and facts written as text.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{
    Actor, Command, Context, Folded, Incident, Knobs, fold_command, fold_signals, fold_time,
};
use beaconfire_model::{
    Client, Earliest, EntryId, EventTime, Evidence, Kind, Latest, Peak, Severity, Signal, Subject,
    SubjectKind, Wall,
};

/// Second 0 of the scripts.
const EPOCH: i64 = 1_700_000_000;

pub(crate) fn event(second: i64) -> EventTime {
    EventTime::from_millis((EPOCH + second) * 1_000)
}

pub(crate) fn wall(second: i64) -> Wall {
    Wall::from_millis((EPOCH + second) * 1_000)
}

pub(crate) fn seconds(at: EventTime) -> i64 {
    at.millis().div_euclid(1_000) - EPOCH
}

/// A fact of `shop`, or of one of its workloads where the rule begins with `mining:`: the rule held of the client with
/// this number.
pub(crate) fn fact(
    rule: &str,
    client: u8,
    first: i64,
    until: i64,
    observed: f64,
    severity: Severity,
) -> Signal {
    let (kind, target) = match rule.starts_with("mining:") {
        true => (Kind::Mining, Subject::new(SubjectKind::Workload, "shop/api")),
        false => (Kind::Flood, Subject::service("shop")),
    };
    Signal {
        rule: rule.into(),
        kind,
        severity,
        target,
        subject: Subject::client(Client::of([203, 0, 113, client].into())),
        first: Earliest(event(first)),
        began: Earliest(event(first - 5)),
        holds_until: Latest(event(until)),
        evidence: Evidence {
            observed: Peak(observed),
            threshold: 600.0,
            window: Duration::from_secs(60),
            crowd: None,
            series: vec![(event(until), observed)],
        },
        participants: Vec::new(),
        samples: Vec::new(),
        entry: EntryId(0),
    }
}

/// `RULE CLIENT FIRST..UNTIL PEAK SEVERITY`, the last two optional.
pub(crate) fn parse(text: &str) -> Signal {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (first, until) = words[2].split_once("..").expect("FIRST..UNTIL");
    let observed = words.get(3).map_or(700.0, |word| word.parse().expect("a peak"));
    let severity = words.get(4).map_or(Severity::Warning, |word| Severity::parse(word).expect("a severity"));
    fact(
        words[0],
        words[1].parse().expect("a client"),
        first.parse().expect("a second"),
        until.parse().expect("a second"),
        observed,
        severity,
    )
}

/// Episodes as a store keeps them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) episodes: Vec<Incident>,
    pub(crate) participants: BTreeSet<(u32, Subject)>,
    pub(crate) last_episode: u32,
    pub(crate) context: Context,
    pub(crate) knobs: Knobs,
    pub(crate) log: Vec<String>,
}

impl Book {
    pub(crate) fn new() -> Self {
        let context = Context { entries: vec!["edge".into()], ..Context::default() };
        Self { context, ..Self::default() }
    }

    /// Folds facts; gives back those that wait.
    pub(crate) fn facts(&mut self, facts: Vec<Signal>, clear: EventTime, now: Wall) -> Vec<Signal> {
        let (folded, waiting) =
            fold_signals(&self.episodes, self.last_episode, &facts, clear, now, &self.context, &self.knobs);
        for folded in folded {
            self.save(folded);
        }
        waiting.into_iter().map(|place| facts[place].clone()).collect()
    }

    pub(crate) fn time(&mut self, clear: EventTime, now: Wall) {
        for incident in self.episodes.clone() {
            if let Some(folded) = fold_time(&incident, clear, now, &self.knobs) {
                self.save(folded);
            }
        }
    }

    /// Does something to the newest episode.
    pub(crate) fn command(&mut self, who: &str, command: Command, now: Wall) {
        let newest = self.episodes.last().expect("an incident").clone();
        match fold_command(&newest, &Actor(who.into()), command, now, &self.knobs) {
            Ok(folded) => self.save(folded),
            Err(refused) => self.log.push(format!("refused: {}", refused.0)),
        }
    }

    fn save(&mut self, folded: Folded) {
        let mut incident = folded.incident;
        let number = incident.episode;
        self.log
            .extend(folded.transitions.iter().map(|transition| format!("{number} {}", transition.name())));
        self.participants.extend(folded.participants.into_iter().map(|row| (number, row.subject)));
        let count = self.participants.iter().filter(|(episode, _)| *episode == number).count();
        incident.participants_total = count as u64;
        incident.version += 1;
        match self.episodes.iter_mut().find(|held| held.episode == number) {
            Some(held) => *held = incident,
            None => self.episodes.push(incident),
        }
        self.last_episode = self.last_episode.max(number);
        let open = self.episodes.iter().filter(|held| held.status.name() != "resolved").count();
        assert!(open <= 1, "two open incidents of one fingerprint");
        for pair in self.episodes.windows(2) {
            assert!(pair[0].holds_until < pair[1].detected_at, "spans overlap");
        }
    }

    /// Each episode as `NUMBER STATUS SEVERITY FIRST..UNTIL xPEAK`, and `stale` where it is.
    pub(crate) fn shown(&self) -> Vec<String> {
        let show = |incident: &Incident| {
            let peak = incident.rules.values().map(|peak| peak.observed).fold(0.0, f64::max);
            format!(
                "{} {} {} {}..{} x{peak}{}",
                incident.episode,
                incident.status.name(),
                incident.severity.name(),
                seconds(incident.detected_at),
                seconds(incident.holds_until),
                if incident.stale { " stale" } else { "" },
            )
        };
        self.episodes.iter().map(show).collect()
    }
}

/// What is promised to be the same however facts were batched. When we looked and what was told by then is not.
pub(crate) fn recorded(incident: &Incident) -> Incident {
    Incident {
        version: 0,
        opened_at: wall(0),
        changed_at: wall(0),
        resolved_at: None,
        untold: Default::default(),
        ..incident.clone()
    }
}

/// The rule's name as the store and the fold share it.
pub(crate) fn name(text: &str) -> Arc<str> {
    text.into()
}
