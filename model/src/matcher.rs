//! Matchers in Alertmanager's words: `severity="critical"`, `kind=~"flood|surge"`. Regular expressions are anchored.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

impl Op {
    const fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        }
    }
}

/// One matcher: a name, a comparison, a value.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label or field it looks at.
    pub name: String,
    /// How it compares.
    pub op: Op,
    /// What it compares with, as written.
    pub value: String,
    regex: Option<Regex>,
}

/// Two matchers that are written alike are alike.
impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

/// Why a matcher is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatcherError {
    /// What was written.
    pub input: String,
    /// What is wrong with it.
    pub said: String,
}

impl fmt::Display for MatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad matcher `{}`: {}", self.input, self.said)
    }
}

impl std::error::Error for MatcherError {}

/// A regular expression, anchored at both ends, of bounded size. Matching is linear in the text.
fn anchored(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > 4096 {
        return Err("the pattern is longer than 4,096 bytes".to_owned());
    }
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| error.to_string())
}

impl Matcher {
    /// A matcher from its parts.
    pub fn new(name: &str, op: Op, value: &str) -> Result<Self, MatcherError> {
        let regex =
            match op {
                Op::Matches | Op::NotMatches => Some(anchored(value).map_err(|said| MatcherError {
                    input: format!("{name}{}\"{value}\"", op.text()),
                    said,
                })?),
                Op::Equal | Op::NotEqual => None,
            };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// Parses `name op value`; the value may stand in double quotes, with `\"`, `\\` and `\n` inside, as Alertmanager
    /// writes it.
    pub fn parse(input: &str) -> Result<Self, MatcherError> {
        let bad = |said: &str| MatcherError { input: input.to_owned(), said: said.to_owned() };
        let text = input.trim();
        let at = text
            .find(['=', '!'])
            .ok_or_else(|| bad("expected NAME=VALUE, NAME!=VALUE, NAME=~REGEX or NAME!~REGEX"))?;
        let (name, rest) = text.split_at(at);
        let (op, rest) = if let Some(rest) = rest.strip_prefix("=~") {
            (Op::Matches, rest)
        } else if let Some(rest) = rest.strip_prefix("!~") {
            (Op::NotMatches, rest)
        } else if let Some(rest) = rest.strip_prefix("!=") {
            (Op::NotEqual, rest)
        } else if let Some(rest) = rest.strip_prefix('=') {
            (Op::Equal, rest)
        } else {
            return Err(bad("expected =, !=, =~ or !~ after the name"));
        };
        let name = unquote(name.trim()).ok_or_else(|| bad("the name's quotes do not match"))?;
        if name.is_empty() {
            return Err(bad("the name is missing"));
        }
        let value = unquote(rest.trim()).ok_or_else(|| bad("the value's quotes do not match"))?;
        Self::new(&name, op, &value).map_err(|error| bad(&error.said))
    }

    /// Whether `value` is matched.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (Op::Equal, _) => value == self.value,
            (Op::NotEqual, _) => value != self.value,
            (Op::Matches, Some(regex)) => regex.is_match(value),
            (Op::NotMatches, Some(regex)) => !regex.is_match(value),
            // `new` always makes the expression for these two.
            (Op::Matches | Op::NotMatches, None) => false,
        }
    }
}

/// Takes the quotes off, if there are any.
fn unquote(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.contains('"')).then(|| text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                escaped @ ('"' | '\\') => out.push(escaped),
                other => out.extend(['\\', other]),
            },
            '"' => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

/// As Alertmanager prints it.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.name, self.op.text())
    }
}

/// Matchers that must all match; none at all matches everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matchers(pub Vec<Matcher>);

impl Matchers {
    /// Whether all match what `get` knows under their names.
    pub fn matches<'a>(&self, mut get: impl FnMut(&str) -> &'a str) -> bool {
        self.0.iter().all(|matcher| matcher.matches(get(&matcher.name)))
    }
}

/// Parses a list of matchers.
pub fn parse_matchers<S: AsRef<str>>(inputs: impl IntoIterator<Item = S>) -> Result<Matchers, MatcherError> {
    inputs.into_iter().map(|input| Matcher::parse(input.as_ref())).collect::<Result<_, _>>().map(Matchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(matcher: &str, value: &str, expect: bool) {
        assert_eq!(Matcher::parse(matcher).unwrap().matches(value), expect, "{matcher} on {value:?}");
    }

    #[test]
    fn compares_as_alertmanager_does() {
        check(r#"severity="critical""#, "critical", true);
        check("severity=critical", "critical", true);
        check(r#"severity != "critical""#, "warning", true);
        check(r#"kind=~"flood|surge""#, "surge", true);
        check(r#"kind=~"flood|surge""#, "surges", false);
        check(r#"path!~"/healthz|/metrics""#, "/healthz", false);
        check(r#"absent="""#, "", true);
        check(r#"quoted="a\"b""#, "a\"b", true);
    }

    #[test]
    fn says_what_is_wrong() {
        for (input, said) in [
            ("severity", "expected NAME=VALUE"),
            (r#"severity="critical"#, "quotes"),
            (r#"="x""#, "name is missing"),
            (r#"a=~"(""#, "unclosed group"),
        ] {
            let error = Matcher::parse(input).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn prints_what_it_parses() {
        let matcher = Matcher::parse(r#"a=~"x\"y""#).unwrap();
        assert_eq!(Matcher::parse(&matcher.to_string()).unwrap(), matcher);
    }
}
