//! Rate rules: a filter on request fields, a key, a count, a window, a threshold.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_model::{Kind, Matcher, Matchers, Op, Request, Severity};
use regex::RegexSet;

use crate::Field;
use crate::field::is_static;

/// What a rule counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Count {
    /// Requests.
    Requests,
    /// Bytes sent to the client.
    BytesSent,
    /// The share of requests that also match, from 0 to 1, among at least so many.
    Share {
        /// What the counted share matches.
        matchers: Matchers,
        /// Fewer requests than this in a window say nothing.
        min_requests: u64,
    },
}

/// A rule as the operator wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// Its name.
    pub name: Arc<str>,
    /// What sort of trouble it finds.
    pub kind: Kind,
    /// All must match.
    pub matchers: Matchers,
    /// None may match.
    pub except: Matchers,
    /// One or two keys.
    pub by: Vec<Field>,
    /// What is counted.
    pub count: Count,
    /// The window, at least a second.
    pub window: Duration,
    /// Fires on more than this.
    pub threshold: f64,
    /// How bad it is.
    pub severity: Severity,
    /// Critical on more than this.
    pub critical_above: Option<f64>,
}

/// What one service changes of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Override {
    /// Switches it off (or on).
    pub enabled: Option<bool>,
    /// Another threshold.
    pub threshold: Option<f64>,
    /// Another line for critical.
    pub critical_above: Option<f64>,
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The rule's name.
    pub rule: String,
    /// What is wrong with it, and how to mend it.
    pub said: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`: {}", self.rule, self.said)
    }
}

impl std::error::Error for RuleError {}

/// A matcher on one field, made ready.
#[derive(Debug)]
enum Test {
    /// By status: one look-up.
    Status(Box<[bool; 1000]>),
    /// By extension.
    Static(bool),
    /// By a text.
    Text(Field, Matcher),
    /// By a named list of patterns.
    List { field: Field, patterns: RegexSet, negated: bool },
    /// By the service's own login paths.
    Login { negated: bool },
}

/// Matchers that must all match.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    tests: Vec<Test>,
}

/// What a filter needs to know besides the request.
pub(crate) struct Around<'a> {
    pub(crate) service: &'a str,
    /// Whether the path is one of the service's logins; asked only where a rule wants to know.
    pub(crate) is_login: &'a dyn Fn(&str) -> bool,
}

impl Filter {
    /// Compiles matchers; `list` finds the patterns of `@name`.
    pub(crate) fn compile(
        matchers: &Matchers,
        list: impl Fn(&str) -> Option<Vec<String>>,
    ) -> Result<Self, String> {
        let mut tests = Vec::new();
        let mut statuses: Option<Box<[bool; 1000]>> = None;
        for matcher in &matchers.0 {
            let field = Field::parse(&matcher.name).ok_or_else(|| {
                let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
                format!("`{}` is no field of a request; fields are {}", matcher.name, names.join(", "))
            })?;
            if let (Op::Matches | Op::NotMatches, Some(name)) = (matcher.op, matcher.value.strip_prefix('@'))
            {
                let negated = matcher.op == Op::NotMatches;
                if name == "logins" && field == Field::Path {
                    tests.push(Test::Login { negated });
                    continue;
                }
                let patterns = list(name)
                    .ok_or_else(|| format!("there is no list `{name}`; lists are named under `lists`"))?;
                tests.push(Test::List { field, patterns: anchored(&patterns)?, negated });
                continue;
            }
            match field {
                Field::Status => {
                    let table = statuses.get_or_insert_with(|| Box::new([true; 1000]));
                    for (status, allowed) in table.iter_mut().enumerate() {
                        *allowed &= matcher.matches(&status.to_string());
                    }
                }
                Field::Static => tests.push(Test::Static(matcher.matches("true"))),
                _ => tests.push(Test::Text(field, matcher.clone())),
            }
        }
        if let Some(table) = statuses {
            // The cheapest test goes first.
            tests.insert(0, Test::Status(table));
        }
        Ok(Self { tests })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    pub(crate) fn matches(&self, request: &Request<'_>, around: &Around<'_>) -> bool {
        self.tests.iter().all(|test| match test {
            Test::Status(table) => table.get(usize::from(request.status)).copied().unwrap_or(false),
            Test::Static(wanted) => is_static(request.path) == *wanted,
            Test::Text(field, matcher) => matcher.matches(&field.text(request, around.service)),
            Test::List { field, patterns, negated } => {
                patterns.is_match(&field.text(request, around.service)) != *negated
            }
            Test::Login { negated } => (around.is_login)(request.path) != *negated,
        })
    }
}

/// A set of patterns, each anchored at both ends.
pub(crate) fn anchored(patterns: &[String]) -> Result<RegexSet, String> {
    regex::RegexSetBuilder::new(patterns.iter().map(|pattern| format!("^(?:{pattern})$")))
        .size_limit(4 << 20)
        .build()
        .map_err(|error| error.to_string())
}
