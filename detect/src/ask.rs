//! What a rule asks of the window of a key: how it is valued, and where the lines are.

use std::time::Duration;

use beaconfire_model::{EntryId, Severity};

use crate::cut::Cut;
use crate::hash::Seeded;
use crate::plan::{BUCKETS, Counting, Crowd, FINDING, Keying, Lines, Plan, SAMPLE, ServiceFacts};
use crate::ring::Shape;
use crate::run::Run;
use crate::services::ServiceId;
use crate::shard::SWEEP_EVERY;

/// How a cell's windows are valued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    /// The count.
    Count,
    /// The count of findings, each with the sensor's grade.
    Finding,
    /// The share that matched, where there are enough.
    Share { min_requests: u64 },
    /// The number of different values.
    Distinct,
    /// The count of those who are not flagged for themselves, where there are enough of them. Each that was looked at
    /// stands for `scale`.
    Crowd { min_clients: u64, scale: u64, of_prefix: bool },
}

impl Value {
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Count | Self::Crowd { .. } => Shape::Plain,
            Self::Distinct => Shape::Distinct,
            Self::Share { .. } => Shape::Paired,
            Self::Finding => Shape::Graded,
        }
    }

    /// Whether more records can only raise it.
    pub(crate) fn only_grows(self) -> bool {
        matches!(self, Self::Count | Self::Finding | Self::Distinct)
    }
}

/// What a rule asks of a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) value: Value,
    pub(crate) lines: Lines,
    pub(crate) cut: Cut,
    pub(crate) severity: Severity,
    /// How many buckets behind the closed ones counts settle.
    pub(crate) slack: i64,
    /// Buckets kept of one key.
    pub(crate) most: usize,
    /// What decides which networks stand for others.
    pub(crate) seeded: Seeded,
    /// Bytes for those who take part in one crowd.
    pub(crate) crowd_bytes: usize,
}

impl Ask {
    /// How bad a run is.
    pub(crate) fn severity(&self, run: &Run) -> Severity {
        if self.value == Value::Finding {
            return Severity::ALL[run.grade.min(3) as usize];
        }
        match self.lines.critical_above {
            Some(line) if run.peak > line => Severity::Critical,
            _ => self.severity,
        }
    }
}

/// All that rules ask, looked up for each key.
#[derive(Debug)]
pub(crate) struct Asks {
    /// How many rules there are.
    rules: usize,
    /// By entry and rule, findings last: what is asked where the configuration says nothing of the service.
    plain: Vec<Vec<Ask>>,
    /// The same of services that draw lines of their own, by service.
    own: Vec<Vec<Option<Vec<Ask>>>>,
    /// By entry: what the lane's own buckets are.
    lanes: Vec<LaneAsk>,
}

/// What matters of the lane's own sub-buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneAsk {
    pub(crate) cut: Cut,
    pub(crate) slack: i64,
}

impl Asks {
    /// For sources of one entry that may drift so far apart.
    pub(crate) fn new(plan: &Plan, drift: Duration, crowd_bytes: impl Fn(Keying) -> usize) -> Self {
        let seeded = Seeded::new(plan.seed);
        let plain = |entry: usize| {
            // The configuration holds far fewer than 65,536 entries.
            let span = plan.entry(EntryId(entry as u16)).lateness.saturating_add(drift);
            let rules = plan.rules.iter().zip(&plan.plain().lines);
            let rules = rules.map(|(rule, lines)| {
                let value = match (&rule.count, rule.crowd) {
                    (Counting::Share { min_requests, .. }, _) => Value::Share { min_requests: *min_requests },
                    (Counting::Distinct { .. }, _) => Value::Distinct,
                    (Counting::Requests | Counting::Bytes, Some(Crowd { min_clients, sampled })) => {
                        let scale = if sampled { SAMPLE } else { 1 };
                        Value::Crowd { min_clients, scale, of_prefix: rule.keying == Keying::Prefix }
                    }
                    (Counting::Requests | Counting::Bytes, None) => Value::Count,
                };
                Ask {
                    crowd_bytes: crowd_bytes(rule.keying),
                    ..ask(value, *lines, rule.cut, rule.severity, (span, seeded))
                }
            });
            // A finding fires on the first, as bad as its sensor says.
            let lines = Lines {
                enabled: true,
                threshold: 0.0,
                critical_above: None,
                host_limit: 0.0,
                prefix_limit: 0.0,
                prefix_hosts: 0,
            };
            let finding = ask(Value::Finding, lines, plan.finding_cut, Severity::Info, (span, seeded));
            rules.chain([finding]).collect()
        };
        let lane = |entry: usize| {
            let span = plan.entry(EntryId(entry as u16)).lateness.saturating_add(drift);
            LaneAsk { cut: plan.lane.cut, slack: plan.lane.cut.buckets(span) }
        };
        let entries = 0..plan.entries();
        let (plain, lanes): (Vec<Vec<Ask>>, _) =
            (entries.clone().map(plain).collect(), entries.map(lane).collect());
        let of_service = |asks: &Vec<Ask>, facts: &ServiceFacts| {
            let own = |(ask, lines): (&Ask, &Lines)| Ask { lines: *lines, ..*ask };
            let differs = facts.lines != plan.plain().lines;
            let finding = asks.last().copied();
            differs.then(|| asks.iter().zip(&facts.lines).map(own).chain(finding).collect())
        };
        let own = plain.iter().map(|asks| plan.named().iter().map(|facts| of_service(asks, facts)).collect());
        Self { own: own.collect(), plain, lanes, rules: plan.rules.len() }
    }

    /// Of the lane, in an entry.
    pub(crate) fn lane(&self, entry: EntryId) -> LaneAsk {
        self.lanes[usize::from(entry.0)]
    }

    /// What a rule asks of a key of this entry and service. Partials name entries and rules of this plan only.
    #[inline]
    pub(crate) fn of(&self, entry: EntryId, rule: u16, service: ServiceId) -> &Ask {
        let number = if rule == FINDING { self.rules } else { usize::from(rule) };
        let entry = usize::from(entry.0);
        match self.own[entry].get(service.0 as usize) {
            Some(Some(own)) => &own[number],
            _ => &self.plain[entry][number],
        }
    }
}

/// What a rule asks of keys whose sources lie apart by at most `span`.
fn ask(value: Value, lines: Lines, cut: Cut, severity: Severity, (span, seeded): (Duration, Seeded)) -> Ask {
    let slack = cut.buckets(span);
    // A window, what may still come behind the clearance, as much before it, and what is not swept yet.
    let unswept = cut.buckets(2 * SWEEP_EVERY);
    let most = usize::try_from(BUCKETS + 2 * slack + unswept + 4).unwrap_or(usize::MAX);
    Ask { value, lines, cut, severity, slack, most, seeded, crowd_bytes: usize::MAX }
}
