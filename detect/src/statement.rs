//! A cell's statement as a signal: names, subjects, samples.

use std::collections::BTreeMap;
use std::time::Duration;

use beaconfire_model::{
    Crowd, Earliest, EventTime, Evidence, Kind, Latest, Participant, Peak, Signal, Specimen, Subject,
    SubjectKind,
};

use crate::Key;
use crate::ask::Ask;
use crate::cell::Statement;
use crate::combiner::is_of_sensor;
use crate::keys::CellKey;
use crate::parcel::Sample;
use crate::plan::Plan;
use crate::services::ServiceId;
use crate::watch::{Watch, Watched};

/// Keys of which raw records wait for the next statement; the longest waiting goes first.
const KEYS_MAX: usize = 1_024;
/// Raw records that wait for one statement.
const EACH: usize = 5;
/// How far behind the clearance raw records are still worth showing.
const KEPT: Duration = Duration::from_secs(600);

/// Raw records of what has raised, until its next statement.
#[derive(Debug, Default)]
pub(crate) struct Specimens(BTreeMap<(u16, ServiceId, Key), Vec<Specimen>>);

impl Specimens {
    /// Keeps a sample for the next statement of its key.
    pub(crate) fn add(&mut self, sample: Sample) {
        let kept = self.0.entry((sample.rule, sample.service, sample.key)).or_default();
        if kept.len() < EACH {
            kept.push(sample.specimen);
        }
        if self.0.len() > KEYS_MAX {
            let newest = |kept: &[Specimen]| kept.iter().map(|specimen| specimen.time).max();
            let oldest = self.0.iter().min_by_key(|(key, kept)| (newest(kept), *key));
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&oldest);
            }
        }
    }

    /// Forgets what nobody asked for.
    pub(crate) fn forget_before(&mut self, clearance: EventTime) {
        let line = clearance.minus(KEPT);
        self.0.retain(|_, kept| kept.iter().any(|specimen| specimen.time >= line));
    }

    /// The statement as a signal; from now on its key is watched.
    pub(crate) fn signal(
        &mut self,
        plan: &Plan,
        watch: &Watch,
        key: &CellKey,
        ask: &Ask,
        statement: Statement,
    ) -> Signal {
        let Statement { run, mut participants, crowd, series } = statement;
        let (first, began) = (ask.cut.end(run.first), ask.cut.start(run.began));
        let until = ask.cut.end(run.last);
        let samples = self.0.remove(&(key.rule, key.service, key.key.clone())).unwrap_or_default();
        let observed = Peak(run.peak);
        let (rule, kind, window, target, subject) = match plan.rules.get(usize::from(key.rule)) {
            Some(rule) => {
                let watched = Watched { rule: key.rule, service: key.service, key: key.key.clone() };
                watch.add(watched, until);
                let target = Subject::service(&plan.services.name(key.service));
                let kind = rule.by.first().and_then(|field| field.subject()).unwrap_or(SubjectKind::Service);
                let subject = match &key.key {
                    Key::Client(client) => Subject::client(*client),
                    Key::Prefix(prefix) => Subject::new(kind, prefix.to_string()),
                    Key::Service => target.clone(),
                    Key::Text(text) | Key::Finding(text) => Subject::new(kind, text),
                    Key::Pair(pair) => {
                        // Whoever acts on participants needs the address alone.
                        participants.push(Participant {
                            subject: Subject::client(pair.client),
                            events: observed,
                            first_seen: Earliest(began),
                            last_seen: Latest(until),
                        });
                        Subject::new(kind, &pair.text)
                    }
                };
                (rule.name.clone(), rule.kind, rule.window, target, subject)
            }
            None => {
                let (on, rule) = key.key.finding().unwrap_or_default();
                let (kind, of) = match is_of_sensor(rule) {
                    true => (Kind::Sensor, SubjectKind::Input),
                    false => (Kind::Intrusion, SubjectKind::Workload),
                };
                let on = Subject::new(of, on);
                (rule.into(), kind, plan.finding_window, on.clone(), on)
            }
        };
        Signal {
            rule,
            kind,
            severity: ask.severity(&run),
            target,
            subject,
            first: Earliest(first),
            began: Earliest(began),
            holds_until: Latest(until),
            evidence: Evidence {
                observed,
                threshold: ask.lines.threshold,
                window,
                crowd: crowd.map(|most| Crowd {
                    clients: most.clients,
                    networks: most.networks,
                    sampled: most.sampled,
                }),
                series,
            },
            participants,
            samples,
            entry: key.entry,
        }
    }
}
