//! Lines in a format of the operator's own, given as nginx's `log_format` has it.

use super::nginx_json;
use super::slot::{self, COUNT};
use super::text::{Places, some, status};

/// Bytes of a format at most.
const FORMAT_BYTES_MAX: usize = 4096;
/// Parts of a format at most: variables, and the texts between them.
const PARTS_MAX: usize = 128;

/// All fields stand where the operator says.
pub(crate) const PLACES: Places = Places {
    time: "log_format",
    peer: "log_format",
    forwarded: "log_format",
    request: "log_format",
    host: "log_format",
    query: "log_format",
    status: "log_format",
    bytes: "log_format",
    duration: "log_format",
    user_agent: "log_format",
    request_id: "log_format",
    service: "log_format",
};

/// How a line is put together. Variables that say nothing of a request are passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A variable, by the field it stands for and its rank among those that do.
    Variable(Option<(usize, u8)>),
}

/// Why a text is no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadLogFormat {
    /// It is longer than 4,096 bytes, or has more than 128 parts.
    TooLong,
    /// Two variables have nothing between them: nobody could tell where the first ends.
    Adjacent,
    /// A `$` has no name behind it.
    Nameless,
    /// It writes JSON, which is read by its keys.
    Json,
    /// It has none of `$request`, `$request_uri`, `$uri` and `$status`: then it is not about requests.
    NoRequest,
}

impl std::fmt::Display for BadLogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than 4096 bytes or has more than 128 parts",
            Self::Adjacent => {
                "two variables have nothing between them, so that nobody could tell where the first ends"
            }
            Self::Nameless => "a `$` has no name behind it",
            Self::Json => "it writes JSON, which is read by its keys: name them under `fields`",
            Self::NoRequest => "it has none of `$request`, `$request_uri`, `$uri` and `$status`",
        })
    }
}

impl std::error::Error for BadLogFormat {}

/// The texts of a line by the field they stand for; empty where it has none.
pub(crate) type Texts<'b> = [&'b str; COUNT];

impl LogFormat {
    /// Reads a format in nginx's words: `$name` or `${name}` for a variable, all else as it stands.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(format: &str) -> Result<Self, BadLogFormat> {
        let format = format.trim();
        if format.len() > FORMAT_BYTES_MAX {
            return Err(BadLogFormat::TooLong);
        }
        if format.starts_with('{') {
            return Err(BadLogFormat::Json);
        }
        let mut parts = Vec::new();
        let mut rest = format;
        while !rest.is_empty() {
            if parts.len() >= PARTS_MAX {
                return Err(BadLogFormat::TooLong);
            }
            let Some(behind) = rest.strip_prefix('$') else {
                let (text, behind) = rest.split_at(rest.find('$').unwrap_or(rest.len()));
                parts.push(Part::Text(text.to_owned()));
                rest = behind;
                continue;
            };
            if matches!(parts.last(), Some(Part::Variable(_))) {
                return Err(BadLogFormat::Adjacent);
            }
            let (name, behind) = match behind.strip_prefix('{') {
                Some(inside) => inside.split_once('}').ok_or(BadLogFormat::Nameless)?,
                None => {
                    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    behind.split_at(behind.find(|c| !is_name(c)).unwrap_or(behind.len()))
                }
            };
            if name.is_empty() {
                return Err(BadLogFormat::Nameless);
            }
            parts.push(Part::Variable(field(name)));
            rest = behind;
        }
        let has = |slot: usize| {
            parts.iter().any(|part| matches!(part, Part::Variable(Some((of, _))) if *of == slot))
        };
        if ![slot::LINE, slot::PATH, slot::STATUS].into_iter().any(has) {
            return Err(BadLogFormat::NoRequest);
        }
        Ok(Self(parts))
    }

    /// Takes a line apart; `None` where it is not of this format.
    pub(crate) fn scan<'b>(&self, line: &'b str) -> Option<Texts<'b>> {
        let mut found = [("", u8::MAX); COUNT];
        let mut at = 0;
        for (place, part) in self.0.iter().enumerate() {
            match part {
                Part::Text(text) => {
                    at = line.get(at..)?.starts_with(text.as_str()).then_some(at + text.len())?;
                }
                Part::Variable(field) => {
                    let end = match self.0.get(place + 1) {
                        Some(Part::Text(text)) => end(line, at, text)?,
                        _ => line.len(),
                    };
                    let value = some(line.get(at..end)?);
                    if let Some((slot, rank)) = field
                        && !value.is_empty()
                        && *rank < found[*slot].1
                    {
                        found[*slot] = (value, *rank);
                    }
                    at = end;
                }
            }
        }
        let mut texts = found.map(|(text, _)| text);
        if nginx_json::key("proxy_upstream_name") == Some((slot::SERVICE, found[slot::SERVICE].1)) {
            texts[slot::SERVICE] = nginx_json::upstream(texts[slot::SERVICE]);
        }
        let status_is_one = texts[slot::STATUS].is_empty() || status(texts[slot::STATUS]).is_some();
        (at == line.len() && status_is_one).then_some(texts)
    }
}

/// What a variable stands for.
fn field(name: &str) -> Option<(usize, u8)> {
    match name {
        "proxy_add_x_forwarded_for" => Some((slot::FORWARDED, 5)),
        _ => nginx_json::key(name),
    }
}

/// Where a value ends that begins at `from`: before `text`, the first that senders did not write. nginx escapes their
/// quotes, and puts a comma or colon and a blank between what several upstreams said.
fn end(line: &str, from: usize, text: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut at = from;
    loop {
        let found = at + memchr::memmem::find(bytes.get(at..)?, text.as_bytes())?;
        let before = &bytes[from..found];
        let escaped =
            text.starts_with('"') && before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        let listed = text.starts_with(' ')
            && (before.ends_with(b",") || before.ends_with(b" :") || bytes[found..].starts_with(b" : "));
        if !escaped && !listed {
            return Some(found);
        }
        at = found + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: &str = r#"$remote_addr [$time_local] "$request" $status ${body_bytes_sent}b $upstream_response_time rt=$request_time "$http_user_agent" to=$host;"#;

    fn scan(format: &str, line: &str) -> Option<Vec<(usize, String)>> {
        let texts = LogFormat::parse(format).unwrap().scan(line)?;
        let found = texts.iter().enumerate().filter(|(_, text)| !text.is_empty());
        Some(found.map(|(slot, text)| (slot, (*text).to_owned())).collect())
    }

    #[test]
    fn lines_are_taken_apart() {
        for upstreams in ["0.001", "0.001, 0.002", "0.001, 0.002 : 0.003", "-"] {
            let line = format!(
                r#"203.0.113.7 [02/Jan/2026:03:04:05 +0000] "GET /a HTTP/1.1" 200 5b {upstreams} rt=0.004 "a \" b" to=shop;"#
            );
            let found = scan(FORMAT, &line).unwrap();
            for (slot, meant) in [
                (slot::PEER, "203.0.113.7"),
                (slot::LINE, "GET /a HTTP/1.1"),
                (slot::STATUS, "200"),
                (slot::BYTES, "5"),
                (slot::DURATION, "0.004"),
                (slot::AGENT, r#"a \" b"#),
                (slot::HOST, "shop"),
            ] {
                assert!(found.contains(&(slot, meant.to_owned())), "{slot} in {found:?}");
            }
            assert_eq!(scan(FORMAT, &format!("{line} more")), None);
            assert_eq!(scan(FORMAT, &line.replace(" 200 ", " 2x0 ")), None);
            assert_eq!(scan(FORMAT, &line.replace("rt=", "")), None);
        }
        assert_eq!(
            scan("$host $http_host $status", "- b 200").unwrap(),
            [(slot::HOST, "b".into()), (slot::STATUS, "200".into())]
        );
        assert_eq!(scan("$status", "200").unwrap(), [(slot::STATUS, "200".into())]);
    }

    #[test]
    fn what_is_no_format_says_why() {
        for (format, meant) in [
            ("", BadLogFormat::NoRequest),
            ("$remote_addr", BadLogFormat::NoRequest),
            ("$status$request", BadLogFormat::Adjacent),
            ("$status $", BadLogFormat::Nameless),
            ("$status ${", BadLogFormat::Nameless),
            (r#"{"status":"$status"}"#, BadLogFormat::Json),
        ] {
            assert_eq!(LogFormat::parse(format), Err(meant), "{format}");
        }
        assert_eq!(LogFormat::parse(&"$status ".repeat(65)), Err(BadLogFormat::TooLong));
        assert_eq!(LogFormat::parse(&"x".repeat(5000)), Err(BadLogFormat::TooLong));
    }
}
