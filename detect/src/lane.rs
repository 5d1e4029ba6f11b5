//! What is counted of nearly every request of a client, in one partial aggregate for all rules together.
//!
//! Most rules pick out a few requests. Those that do not (requests, bytes, user agents, pages by client) would cost each
//! request a look-up and a window each. So workers count them together, in the sub-buckets of the shortest window, and
//! shards keep what a quiet client did as it came ([`Visits`](crate::visits::Visits)), until it could matter to some rule.

use std::time::Duration;

use crate::cut::Cut;
use crate::plan::{BUCKETS, Lines};
use crate::sieve::{Bits, Sieve};
use crate::{Count, Field, RuleSpec};

/// Rules in the lane at most: they are told apart by the bits of a word. Others are counted one by one.
const RULES_MAX: usize = 32;
/// Fields whose values are counted in the lane.
pub(crate) const SLOTS: usize = 2;

/// What a rule takes from what was counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Requests,
    Bytes,
    /// The value in this slot.
    Value(usize),
}

/// A rule of the lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneRule {
    /// By its place in the plan.
    pub(crate) rule: u16,
    /// One of its buckets is so many of the lane's.
    pub(crate) ratio: i64,
    pub(crate) takes: Takes,
    /// It counts by prefix, not by client.
    pub(crate) by_prefix: bool,
}

/// The rules that are counted together.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) cut: Cut,
    pub(crate) rules: Vec<LaneRule>,
    /// Their conditions, and all others.
    pub(crate) conditions: Bits,
    pub(crate) fields: Vec<Field>,
    /// The bits of its rules by prefix.
    pub(crate) prefixes: u32,
    /// So many of its buckets are the longest window of a rule by client.
    pub(crate) longest: i64,
}

/// While a client has done no more than this, no rule of the lane can hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limits {
    pub(crate) requests: f64,
    pub(crate) bytes: f64,
    pub(crate) values: [f64; SLOTS],
}

impl Lane {
    pub(crate) fn new(rules: &[RuleSpec], sieve: &Sieve) -> Self {
        let of_clients = |rule: &&RuleSpec| {
            matches!(rule.by.as_slice(), [Field::Client] | [Field::Prefix])
                && !matches!(rule.count, Count::Share { .. })
                && Sieve::is_broad(&rule.matchers)
        };
        let windows: Vec<Duration> = rules.iter().filter(of_clients).map(|rule| rule.window).collect();
        // The window that most of them are multiples of, and the shortest of those: an odd one does without the lane.
        let fitting = |base: &Duration| {
            let fits = |window: &&Duration| window.as_millis().is_multiple_of(base.as_millis());
            windows.iter().filter(fits).count()
        };
        let best = windows.iter().max_by_key(|base| (fitting(base), std::cmp::Reverse(**base)));
        let shortest = best.copied().unwrap_or(Duration::from_secs(60));
        let mut lane = Self {
            cut: Cut::new(shortest),
            rules: Vec::new(),
            conditions: vec![0; sieve.words()],
            fields: Vec::new(),
            prefixes: 0,
            longest: BUCKETS,
        };
        for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| of_clients(rule)) {
            let fits = rule.window.as_millis().is_multiple_of(shortest.as_millis());
            if !fits || lane.rules.len() == RULES_MAX {
                continue;
            }
            let takes = match &rule.count {
                Count::Requests => Takes::Requests,
                Count::BytesSent => Takes::Bytes,
                Count::Distinct { field } => match lane.slot(*field) {
                    Some(slot) => Takes::Value(slot),
                    None => continue,
                },
                Count::Share { .. } => continue,
            };
            // Windows are at most a day, and a plan has fewer than 65,535 rules.
            let ratio = (rule.window.as_millis() / shortest.as_millis()) as i64;
            let by_prefix = rule.by == [Field::Prefix];
            if by_prefix {
                lane.prefixes |= 1 << lane.rules.len();
            } else {
                lane.longest = lane.longest.max(BUCKETS * ratio);
            }
            lane.conditions[number / 64] |= 1 << (number % 64);
            lane.rules.push(LaneRule { rule: number as u16, ratio, takes, by_prefix });
        }
        lane
    }

    fn slot(&mut self, field: Field) -> Option<usize> {
        if let Some(at) = self.fields.iter().position(|known| *known == field) {
            return Some(at);
        }
        (self.fields.len() < SLOTS).then(|| {
            self.fields.push(field);
            self.fields.len() - 1
        })
    }

    /// Its rules whose bits are set in `mask`, with their bits' numbers.
    pub(crate) fn of(&self, mask: u32) -> impl Iterator<Item = (usize, &LaneRule)> {
        self.rules.iter().enumerate().filter(move |(at, _)| mask & 1 << at != 0)
    }

    /// Within what no rule of it can hold, where the lines are these.
    pub(crate) fn limits(&self, lines: &[Lines]) -> Limits {
        let mut limits =
            Limits { requests: f64::INFINITY, bytes: f64::INFINITY, values: [f64::INFINITY; SLOTS] };
        for rule in self.rules.iter().filter(|rule| !rule.by_prefix) {
            let limit = match rule.takes {
                Takes::Requests => &mut limits.requests,
                Takes::Bytes => &mut limits.bytes,
                Takes::Value(slot) => &mut limits.values[slot],
            };
            let lines = lines[usize::from(rule.rule)];
            if lines.enabled {
                *limit = limit.min(lines.threshold);
            }
        }
        limits
    }
}
