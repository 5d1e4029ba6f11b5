//! What the engines find, as signals.

use std::sync::Arc;

use beaconfire_model::{
    Earliest, EntryId, Evidence, Kind, Latest, Peak, Signal, Specimen, Subject, SubjectKind, Untrusted,
};

use crate::engine::mining::{Contribution, Finding, HOLDS, PAGE};

/// States a finding: one signal for the whole score, and one for each kind of evidence with what it weighs, so that the
/// incident shows them all, whatever came when.
pub(super) fn state(finding: &Finding, entry: EntryId, signals: &mut Vec<Signal>) {
    let workload = Subject::new(SubjectKind::Workload, finding.workload.as_str());
    let signal = |rule: Arc<str>, observed: f64, samples: Vec<Specimen>| Signal {
        rule,
        kind: finding.kind,
        severity: finding.severity,
        target: workload.clone(),
        subject: workload.clone(),
        first: Earliest(finding.at),
        began: Earliest(finding.began),
        holds_until: Latest(finding.holds_until),
        evidence: Evidence {
            observed: Peak(observed),
            threshold: PAGE,
            window: HOLDS,
            crowd: None,
            series: Vec::new(),
        },
        participants: Vec::new(),
        samples,
        entry,
    };
    if finding.kind != Kind::Mining {
        signals.push(signal(
            finding.rule.into(),
            finding.score,
            finding.contributions.iter().map(shown).collect(),
        ));
        return;
    }
    signals.push(signal(finding.rule.into(), finding.score, Vec::new()));
    for part in &finding.contributions {
        let rule = format!("{}:{}", finding.rule, part.class.name());
        signals.push(signal(rule.into(), part.weight, vec![shown(part)]));
    }
}

/// A kind of evidence as a line among the raw records, with its techniques.
fn shown(part: &Contribution) -> Specimen {
    let techniques = part.class.techniques().join(" ");
    Specimen {
        time: part.since,
        client: None,
        text: Untrusted::new(&part.evidence, 512),
        by: Untrusted::new(&techniques, 256),
    }
}
