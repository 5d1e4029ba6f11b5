//! What is wrong with a configuration, said so that it can be mended at 3 a.m.: where, the line with a caret, what is
//! wrong, the nearest known name, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::OnceLock;

use regex::Regex;

use crate::node::Place;

/// How grave a complaint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The configuration is refused.
    Error,
    /// It is accepted, but probably not what was meant.
    Warning,
}

/// One thing that is wrong, or probably wrong, with a configuration. `Display` gives the several lines that people
/// read; it ends without a line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// How grave it is.
    pub level: Level,
    /// What is wrong.
    pub what: String,
    /// Where, as far as it has a place.
    pub spot: Option<Spot>,
    /// The known name that is nearest to an unknown one.
    pub nearest: Option<String>,
    /// What to do about it.
    pub mend: Option<String>,
}

/// A place in a file, or the variable or flag that something came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file's path, `default.yaml (compiled in)`, `environment variable NAME` or `flag --NAME`.
    pub origin: String,
    /// The line from 1; 0 where the origin has no lines.
    pub line: u32,
    /// The column from 1, in characters.
    pub column: u32,
    /// Characters to underline; 0 where only the beginning is meant.
    pub width: u32,
    /// The line as written, with values of keys that look secret replaced by `…`.
    pub source: String,
}

impl Complaint {
    pub(crate) fn error(what: impl Into<String>) -> Self {
        Self { level: Level::Error, what: what.into(), spot: None, nearest: None, mend: None }
    }

    pub(crate) fn warning(what: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::error(what) }
    }

    pub(crate) fn at(mut self, origins: &Origins, place: Place) -> Self {
        self.spot = Some(origins.spot(place));
        self
    }

    pub(crate) fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    /// Names the nearest of `known` to `name`, where one is near enough to be meant.
    pub(crate) fn near<'a>(mut self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.nearest = nearest(name, known).map(str::to_owned);
        self
    }

    /// Takes the source line away: it holds a secret under a key that does not look like one.
    pub(crate) fn hidden(mut self) -> Self {
        if let Some(spot) = &mut self.spot {
            spot.source.clear();
        }
        self
    }

    /// Whether the configuration is refused for it.
    pub fn is_error(&self) -> bool {
        self.level == Level::Error
    }
}

/// The name nearest to `name`, where it is near enough that a slip is likely.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '.'], "_");
    let name = plain(name);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&name, &plain(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(3) / 3).min(4))
        .map(|(_, candidate)| candidate)
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        write!(f, "{level}: {}", self.what)?;
        let mut margin = 1;
        if let Some(spot) = &self.spot {
            if spot.line == 0 {
                write!(f, "\n --> {}", spot.origin)?;
            } else {
                margin = spot.line.to_string().len();
                write!(f, "\n{:margin$}--> {}:{}:{}", "", spot.origin, spot.line, spot.column)?;
            }
            if !spot.source.is_empty() {
                // Tabs stay tabs before the caret, so that it stands below what it points at.
                let before: String = spot
                    .source
                    .chars()
                    .take((spot.column.saturating_sub(1)) as usize)
                    .map(|c| if c == '\t' { '\t' } else { ' ' })
                    .collect();
                let room = spot.source.chars().count().saturating_sub(before.chars().count()).max(1);
                let carets = "^".repeat((spot.width as usize).clamp(1, room));
                write!(
                    f,
                    "\n{:margin$} |\n{} | {}\n{:margin$} | {before}{carets}",
                    "", spot.line, spot.source, ""
                )?;
            }
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "\n{:margin$} = did you mean `{nearest}`?", "")?;
        }
        if let Some(mend) = &self.mend {
            write!(f, "\n{:margin$} = {mend}", "")?;
        }
        Ok(())
    }
}

impl std::error::Error for Complaint {}

/// Everything that configuration came from, so that a place can be shown.
#[derive(Default)]
pub(crate) struct Origins(Vec<Origin>);

pub(crate) struct Origin {
    name: String,
    /// Empty for variables and flags.
    lines: Vec<String>,
    /// What relative paths in it start from.
    folder: PathBuf,
}

impl Origins {
    /// Adds a file.
    pub(crate) fn file(&mut self, name: impl Into<String>, text: &str, folder: PathBuf) -> u32 {
        self.add(Origin { name: name.into(), lines: text.lines().map(str::to_owned).collect(), folder })
    }

    /// Adds a variable or flag.
    pub(crate) fn word(&mut self, name: impl Into<String>) -> u32 {
        self.add(Origin { name: name.into(), lines: Vec::new(), folder: PathBuf::new() })
    }

    fn add(&mut self, origin: Origin) -> u32 {
        self.0.push(origin);
        u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
    }

    /// The folder that relative paths at this place start from.
    pub(crate) fn folder(&self, place: Place) -> PathBuf {
        self.0.get(place.origin as usize).map(|origin| origin.folder.clone()).unwrap_or_default()
    }

    /// The place of a part of a text that was written at `place`, over one line or, as a block, over several. Where the
    /// text is not found there as it stands (it was folded, or holds escapes), the place of the whole.
    pub(crate) fn within(&self, place: Place, text: &str, part: Range<usize>) -> Place {
        let start = part.start.min(text.len());
        let Some(before) = text.get(..start) else { return place };
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let written = text[line_start..].lines().next().unwrap_or_default().trim_end();
        let number = before.matches('\n').count();
        let lines = self.0.get(place.origin as usize).map_or(&[][..], |origin| &origin.lines);
        // A block begins on the line below its mark.
        let first = (place.line as usize).saturating_sub(1) + number;
        let found = lines.iter().enumerate().skip(first).take(2).find_map(|(at, line)| {
            let column = line.find(written).filter(|_| !written.is_empty())?;
            Some((at + 1, line[..column].chars().count()))
        });
        let Some((line, column)) = found else { return place };
        let end = part.end.clamp(start, line_start + written.len().max(start - line_start));
        let (into, wide) = (
            before[line_start..].chars().count(),
            text.get(start..end).map_or(1, |part| part.chars().count()),
        );
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { line: small(line), column: small(column + into + 1), len: small(wide.max(1)), ..place }
    }

    fn spot(&self, place: Place) -> Spot {
        let Some(origin) = self.0.get(place.origin as usize) else {
            return Spot {
                origin: "configuration".to_owned(),
                line: 0,
                column: 0,
                width: 1,
                source: String::new(),
            };
        };
        let (line, column) = if origin.lines.is_empty() { (0, 0) } else { (place.line, place.column) };
        let written = (line as usize).checked_sub(1).and_then(|at| origin.lines.get(at));
        let source = written.map(|line| mask(line)).unwrap_or_default();
        Spot { origin: origin.name.clone(), line, column, width: place.len, source }
    }
}

/// Keys that hold secrets, so that misspelt ones are known for what they are.
const SECRETS: [&str; 15] = [
    "password",
    "auth_password",
    "smtp_auth_password",
    "api_url",
    "slack_api_url",
    "app_token",
    "slack_app_token",
    "routing_key",
    "service_key",
    "signing_secret",
    "token",
    "url",
    "webhook_url",
    "sasl.password",
    "ssl.key.pem",
];

/// Whether a key's value is likely a secret, misspelt names included.
fn looks_secret(key: &str) -> bool {
    const WORDS: [&str; 9] =
        ["pass", "pwd", "secret", "token", "key", "cred", "jaas", "auth_users", "oauthbearer"];
    let key = key.to_lowercase();
    !key.ends_with("_file")
        && (WORDS.iter().any(|word| key.contains(word)) || nearest(&key, SECRETS).is_some())
}

/// A source line without the values of keys that look secret.
fn mask(line: &str) -> String {
    static KEYS: OnceLock<Option<Regex>> = OnceLock::new();
    // The pattern is constant; should it ever not compile, no line is shown.
    let Some(keys) = KEYS.get_or_init(|| Regex::new(r#"([\w.\-]+)["']?\s*:\s+"#).ok()) else {
        return String::new();
    };
    let mut out = String::with_capacity(line.len());
    let mut done = 0;
    for pair in keys.captures_iter(line) {
        let (Some(whole), Some(key)) = (pair.get(0), pair.get(1)) else { continue };
        let value = &line[whole.end()..];
        if whole.start() < done || value.is_empty() || value.starts_with("${") || !looks_secret(key.as_str())
        {
            continue;
        }
        out.push_str(&line[done..whole.end()]);
        out.push('…');
        let in_flow = line[..whole.start()].contains(['{', '[']);
        done = whole.end() + if in_flow { scalar_end(value) } else { value.len() };
    }
    out.push_str(&line[done..]);
    out
}

/// Where a scalar within `{…}` ends; a value that is no plain scalar reaches to the end of the line.
fn scalar_end(value: &str) -> usize {
    let quoted = |quote: char| value[1..].find(quote).map_or(value.len(), |at| at + 2);
    match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quoted(quote),
        Some('[' | '{' | '|' | '>' | '&' | '*' | '!') => value.len(),
        _ => value.find([',', '}', ']']).unwrap_or(value.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_named_only_where_a_slip_is_likely() {
        let known = ["group", "brokers", "topics", "dead_letter_topic"];
        for (name, near) in [
            ("gruop", Some("group")),
            ("broker", Some("brokers")),
            ("dead-letter-topic", Some("dead_letter_topic")),
            ("deadletter_topics", Some("dead_letter_topic")),
            ("security", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
    }

    #[test]
    fn source_lines_do_not_show_secrets() {
        for (line, shown) in [
            ("  auth_password: hunter2", "  auth_password: …"),
            ("  auth_pasword: \"hunter 2\" # c", "  auth_pasword: …"),
            ("  auth_password: hun,ter2", "  auth_password: …"),
            ("- {routing_kye: [hunter2], x: 1}", "- {routing_kye: …"),
            ("- {x: {api_url: 'hun,ter}2', y: 1}}", "- {x: {api_url: …, y: 1}}"),
            ("- {to: a@b, auth_password: hunter2, x: 1}", "- {to: a@b, auth_password: …, x: 1}"),
            ("  sasl.password: p@ss: word", "  sasl.password: …"),
            ("  routing_key: ${PD_KEY}", "  routing_key: ${PD_KEY}"),
            ("  api_url: https://hooks.slack.com/services/T/B/X", "  api_url: …"),
            ("  auth_password_file: /run/x", "  auth_password_file: /run/x"),
            ("  group: beaconfire", "  group: beaconfire"),
        ] {
            assert_eq!(mask(line), shown);
        }
    }
}
