//! What the engine says of a workload, with every number that counted.

use beaconfire_model::{EventTime, Kind, Severity};

use super::class::Class;
use super::first_sight::FirstSight;
use super::shape::Shape;
use super::suspicion::Contribution;
use super::workload::Workload;

/// A fact about one workload; stated anew while it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// `mining` or `unexplained-cpu`.
    pub rule: &'static str,
    /// [`Kind::Mining`], or [`Kind::Resource`] for a plateau without a miner's dataset.
    pub kind: Kind,
    /// A page only with an indicator.
    pub severity: Severity,
    /// Which workload.
    pub workload: String,
    /// All evidence together, faded.
    pub score: f64,
    /// When it began: the excess of CPU, or the first indicator.
    pub began: EventTime,
    /// The minute or moment it is stated for.
    pub at: EventTime,
    /// Until when it holds if it is not renewed.
    pub holds_until: EventTime,
    /// What counted, heaviest first.
    pub contributions: Vec<Contribution>,
    /// ATT&CK techniques of all that counted, sorted.
    pub techniques: Vec<&'static str>,
}

pub(super) fn of(
    name: &str,
    workload: &Workload,
    kind: Kind,
    severity: Severity,
    score: f64,
    at: EventTime,
    holds_until: EventTime,
) -> Finding {
    let mut contributions = workload.suspicion.contributions(at);
    let mut began = workload.suspicion.since(at).unwrap_or(at);
    if workload.now.points > 0.0 {
        let since = if workload.shape.is_some() { workload.onset() } else { at };
        began = began.min(since);
        let evidence = match (&workload.shape, &workload.first_sight) {
            (_, Some(sight)) => rest(sight, workload.replicas),
            (Some(shape), None) => words(shape, workload),
            (None, None) => String::new(),
        };
        contributions.push(Contribution {
            class: Class::Shape,
            weight: workload.now.points,
            evidence,
            since,
        });
        contributions.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.class.cmp(&b.class)));
    }
    let mut techniques: Vec<&'static str> =
        contributions.iter().flat_map(|part| part.class.techniques().iter().copied()).collect();
    techniques.sort_unstable();
    techniques.dedup();
    let rule = if kind == Kind::Mining { "mining" } else { "unexplained-cpu" };
    Finding {
        rule,
        kind,
        severity,
        workload: name.to_owned(),
        score,
        began,
        at,
        holds_until,
        contributions,
        techniques,
    }
}

/// The shape, each property in words.
fn words(shape: &Shape, workload: &Workload) -> String {
    let replicas = workload.replicas;
    let mut said = format!(
        "{} cores for {} minutes, {} more than requests explain, ",
        decimal(shape.cores * replicas),
        shape.minutes,
        decimal(shape.excess * replicas)
    );
    said += &if shape.bursts {
        format!("in bursts of one height (varying by {} %)", decimal(shape.variation * 100.0))
    } else if shape.lasting {
        format!("in nearly every minute (varying by {} %)", decimal(shape.variation * 100.0))
    } else if !shape.flat {
        "not flat".to_owned()
    } else {
        format!("flat (varying by {} %)", decimal(shape.variation * 100.0))
    };
    if let Some(step) = shape.dataset {
        said += &format!(", memory up by {:.0} MiB at once", step * replicas);
    }
    if shape.quiet {
        said += ", memory still and network quiet";
    }
    if shape.decoupled {
        said += ", no longer following requests";
    }
    if shape.threads.is_some() {
        said += ", as much as one spinning thread";
    }
    if workload.rollout_near() {
        said += ", began with a rollout";
    }
    if let Some(held) = workload.held.filter(|_| workload.now.recent) {
        said += &format!(", until {} minutes ago", held.ago(workload.last_minute));
    }
    if workload.spread_with >= 3 {
        said += &format!(", at once in {} workloads", workload.spread_with);
    }
    said
}

fn rest(sight: &FirstSight, replicas: f64) -> String {
    if let Some(grown) = sight.grown {
        return format!(
            "{} more cores are used whether there are requests or not than days ago, and memory has grown with them",
            decimal(grown * replicas)
        );
    }
    match sight.rest {
        Some(rest) => format!(
            "at least {} of {} cores are used whether there are requests or not, since before we watched",
            decimal(rest * replicas),
            decimal(sight.cores * replicas)
        ),
        None => format!(
            "{} cores (varying by {} %), while the workload's ways are not known yet",
            decimal(sight.cores * replicas),
            decimal(sight.variation * 100.0)
        ),
    }
}

fn decimal(value: f64) -> String {
    format!("{value:.2}")
}
