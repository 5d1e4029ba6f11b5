//! Matchers on fields of a request, made ready: every distinct test is compiled once for all rules, and its verdict on
//! a record is worked out at most once however many rules ask.

use std::fmt::Write as _;

use beaconfire_model::{Matcher, Matchers, Op, Request};
use regex::RegexSet;

use crate::Field;
use crate::field::is_static;

/// One question to a request.
#[derive(Debug)]
enum Test {
    /// By status: one look-up.
    Status(Box<[bool; 1000]>),
    /// Whether it is a file that a page pulls in.
    Static,
    /// Never true: `static` is neither of its two values.
    Never,
    /// By a field's text.
    Text(Field, Matcher),
    /// By a named list of patterns.
    List(Field, RegexSet),
    /// Whether the path is a login of the service.
    Login,
}

/// All distinct tests of a plan.
#[derive(Debug, Default)]
pub(crate) struct Tests {
    tests: Vec<Test>,
    /// What each was written as: the field, whether by pattern, the value.
    written: Vec<(Field, bool, String)>,
}

/// What a filter asks: this test, with this verdict. The cheapest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    cost: u8,
    test: usize,
    wanted: bool,
}

/// Matchers that are asked together.
#[derive(Debug, Default)]
pub(crate) struct Filter(Vec<Need>);

/// What a filter needs to know besides the request.
pub(crate) struct Around<'a> {
    pub(crate) service: &'a str,
    /// Whether the service's people log in at this path; asked only where a rule wants to know.
    pub(crate) is_login: &'a dyn Fn(&str) -> bool,
}

/// Verdicts on one record, as far as they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(Vec<Option<bool>>);

impl Verdicts {
    /// Forgets those of the record before.
    pub(crate) fn reset(&mut self, tests: &Tests) {
        self.0.resize(tests.tests.len(), None);
        self.0.fill(None);
    }
}

impl Tests {
    /// Compiles matchers; `list` finds the patterns of `@name`.
    pub(crate) fn filter<'l>(
        &mut self,
        matchers: &Matchers,
        list: impl Fn(&str) -> Option<&'l [String]>,
    ) -> Result<Filter, String> {
        let mut needs = Vec::with_capacity(matchers.0.len());
        for matcher in &matchers.0 {
            let field = Field::parse(&matcher.name).ok_or_else(|| {
                let names: Vec<_> = Field::ALL.iter().map(|field| field.name()).collect();
                format!("`{}` is no field of a request; fields are {}", matcher.name, names.join(", "))
            })?;
            let by_pattern = matches!(matcher.op, Op::Matches | Op::NotMatches);
            let written = (field, by_pattern, matcher.value.clone());
            let test = match self.written.iter().position(|known| *known == written) {
                Some(known) => known,
                None => {
                    self.tests.push(compile(field, by_pattern, &matcher.value, &list)?);
                    self.written.push(written);
                    self.tests.len() - 1
                }
            };
            let cost = match &self.tests[test] {
                Test::Status(_) | Test::Never => 0,
                Test::Static => 1,
                Test::Text(..) if !by_pattern => 2,
                Test::Login => 3,
                Test::Text(..) | Test::List(..) => 4,
            };
            needs.push(Need { cost, test, wanted: matches!(matcher.op, Op::Equal | Op::Matches) });
        }
        needs.sort_unstable();
        needs.dedup();
        Ok(Filter(needs))
    }

    fn verdict(
        &self,
        test: usize,
        request: &Request<'_>,
        around: &Around<'_>,
        verdicts: &mut Verdicts,
    ) -> bool {
        if let Some(known) = verdicts.0[test] {
            return known;
        }
        let verdict = match &self.tests[test] {
            Test::Status(table) => table.get(usize::from(request.status)).copied().unwrap_or(false),
            Test::Static => is_static(request.path),
            Test::Never => false,
            Test::Text(field, matcher) => {
                with_text(*field, request, around.service, |text| matcher.matches(text))
            }
            Test::List(field, patterns) => {
                with_text(*field, request, around.service, |text| patterns.is_match(text))
            }
            Test::Login => (around.is_login)(request.path),
        };
        verdicts.0[test] = Some(verdict);
        verdict
    }
}

impl Filter {
    /// Whether all of it match.
    pub(crate) fn all(
        &self,
        tests: &Tests,
        request: &Request<'_>,
        around: &Around<'_>,
        seen: &mut Verdicts,
    ) -> bool {
        self.0.iter().all(|need| tests.verdict(need.test, request, around, seen) == need.wanted)
    }

    /// Whether any of it matches.
    pub(crate) fn any(
        &self,
        tests: &Tests,
        request: &Request<'_>,
        around: &Around<'_>,
        seen: &mut Verdicts,
    ) -> bool {
        self.0.iter().any(|need| tests.verdict(need.test, request, around, seen) == need.wanted)
    }
}

fn compile<'l>(
    field: Field,
    by_pattern: bool,
    value: &str,
    list: &impl Fn(&str) -> Option<&'l [String]>,
) -> Result<Test, String> {
    if let Some(name) = value.strip_prefix('@').filter(|_| by_pattern) {
        if name == "logins" && field == Field::Path {
            return Ok(Test::Login);
        }
        let patterns =
            list(name).ok_or_else(|| format!("there is no list `{name}`; lists are named under `lists`"))?;
        return Ok(Test::List(field, anchored(patterns)?));
    }
    let op = if by_pattern { Op::Matches } else { Op::Equal };
    let matcher = Matcher::new(field.name(), op, value).map_err(|error| error.said)?;
    Ok(match field {
        Field::Status => {
            let mut table = Box::new([false; 1000]);
            for (status, matches) in table.iter_mut().enumerate() {
                *matches = matcher.matches(&status.to_string());
            }
            Test::Status(table)
        }
        // A pattern that both values match says nothing, and is asked as the text it is.
        Field::Static => match (matcher.matches("true"), matcher.matches("false")) {
            (true, false) => Test::Static,
            (false, false) => Test::Never,
            (_, true) => Test::Text(field, matcher),
        },
        _ => Test::Text(field, matcher),
    })
}

/// A set of patterns, each anchored at both ends.
pub(crate) fn anchored(patterns: &[String]) -> Result<RegexSet, String> {
    regex::RegexSetBuilder::new(patterns.iter().map(|pattern| format!("^(?:{pattern})$")))
        .size_limit(4 << 20)
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| error.to_string())
}

/// Numbers and addresses as text, without the heap.
struct Small {
    bytes: [u8; 64],
    len: usize,
}

impl std::fmt::Write for Small {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + text.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// Hands a field's text on; empty where the request has none.
pub(crate) fn with_text<T>(
    field: Field,
    request: &Request<'_>,
    service: &str,
    then: impl FnOnce(&str) -> T,
) -> T {
    let mut small = Small { bytes: [0; 64], len: 0 };
    // The longest is an IPv6 network, of 43 bytes: it fits.
    let written = match (field, request.client) {
        (Field::Client, Some(client)) => write!(small, "{client}"),
        (Field::Prefix, Some(client)) => write!(small, "{}", client.prefix()),
        (Field::Status, _) => write!(small, "{}", request.status),
        _ => return then(&field.text(request, service)),
    };
    let text = std::str::from_utf8(&small.bytes[..small.len]).unwrap_or_default();
    then(if written.is_ok() { text } else { "" })
}
