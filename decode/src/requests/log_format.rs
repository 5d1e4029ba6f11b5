//! Lines in a format of the operator's own, given as nginx's `log_format` has it.

mod fit;

use super::nginx_json;
use super::slot::{self, COUNT};
use super::text::Places;
use crate::time::Clock;
use fit::{Fit, Kind, Mood};

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
    /// A variable, by the field it stands for and its rank among those that do, by what its values look like, and
    /// whether they are a query string or a part of one.
    Variable {
        name: String,
        field: Option<(usize, u8)>,
        kind: Kind,
        bare: bool,
    },
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

/// A line, taken apart.
#[derive(Debug)]
pub(crate) struct Scanned<'b> {
    pub(crate) texts: Texts<'b>,
    /// By field of [`SURE`], whether senders could have made it up. Then it is left empty.
    doubtful: [bool; SURE.len()],
    /// A time that senders could have made up, for where nothing else tells one: without any, the request would be lost.
    pub(crate) doubtful_time: &'b str,
}

impl Scanned<'_> {
    /// What senders could have made up, in words.
    pub(crate) fn doubts(&self) -> impl Iterator<Item = &'static str> {
        let doubtful = SURE.into_iter().zip(self.doubtful).filter(|(_, doubtful)| *doubtful);
        doubtful.map(|((_, name), _)| name)
    }
}

/// The fields that must be beyond doubt: whoever could choose them would choose who is blamed, when, and whether for
/// anything.
const SURE: [(usize, &str); 4] = [
    (slot::PEER, "client"),
    (slot::FORWARDED, "X-Forwarded-For"),
    (slot::TIME, "time"),
    (slot::STATUS, "status"),
];

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
            if matches!(parts.last(), Some(Part::Variable { .. })) {
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
            let field = field(name);
            let slot = field.map(|(slot, _)| slot);
            let bare = slot == Some(slot::QUERY) || name.starts_with("arg_");
            parts.push(Part::Variable { name: name.to_owned(), field, kind: Kind::of(name, slot), bare });
            rest = behind;
        }
        let has = |slot: usize| {
            parts
                .iter()
                .any(|part| matches!(part, Part::Variable { field: Some((of, _)), .. } if *of == slot))
        };
        if ![slot::LINE, slot::PATH, slot::STATUS].into_iter().any(has) {
            return Err(BadLogFormat::NoRequest);
        }
        Ok(Self(parts))
    }

    /// Takes a line apart; `None` where it is not of this format.
    pub(crate) fn scan<'b>(&self, line: &'b str, clock: &mut Clock) -> Option<Scanned<'b>> {
        let mut fit = Fit::new(&self.0, line, clock);
        let mood = Mood::ALL.into_iter().find(|mood| fit.fits(*mood))?;
        let mut found = [("", u8::MAX, 0); COUNT];
        for (place, value) in fit.values() {
            if let Some(Part::Variable { field: Some((slot, rank)), .. }) = self.0.get(place)
                && !value.is_empty()
                && *rank < found[*slot].1
            {
                found[*slot] = (value, *rank, place);
            }
        }
        let mut texts = found.map(|(text, ..)| text);
        if nginx_json::key("proxy_upstream_name") == Some((slot::SERVICE, found[slot::SERVICE].1)) {
            texts[slot::SERVICE] = nginx_json::upstream(texts[slot::SERVICE]);
        }
        let mut doubtful_time = "";
        let doubtful = SURE.map(|(slot, _)| {
            let (value, _, place) = found[slot];
            let is_doubtful = !value.is_empty() && fit.is_doubtful(place, slot, value, mood);
            if is_doubtful {
                texts[slot] = "";
                if slot == slot::TIME {
                    doubtful_time = value;
                }
            }
            is_doubtful
        });
        Some(Scanned { texts, doubtful, doubtful_time })
    }

    /// The first variable in which senders could feign a client, a time or a status behind it, and the one they could
    /// feign: neither quotes nor what the server wrote tell where the one ends and the other begins.
    pub fn feigned(&self) -> Option<(&str, &str)> {
        // No sender writes a quote of the server's: what one stands between is told apart.
        let is_quote = |part: &Part| matches!(part, Part::Text(text) if text.contains('"'));
        self.0.split(is_quote).find_map(|parts| {
            let variables = || {
                parts.iter().filter_map(|part| match part {
                    Part::Variable { name, field, kind, .. } => Some((name, field, *kind)),
                    Part::Text(_) => None,
                })
            };
            let first = variables().position(|(name, ..)| is_of_sender(name))?;
            let (sender, ..) = variables().nth(first)?;
            let mut behind = variables().skip(first + 1);
            let (target, ..) = behind.find(|(_, field, _)| {
                field.is_some_and(|(of, _)| SURE.iter().any(|(slot, _)| *slot == of))
            })?;
            // What only the server's words follow is found from behind.
            behind.any(|(.., kind)| !kind.is_typed()).then_some((sender.as_str(), target.as_str()))
        })
    }

    /// Whether its lines begin with what a sender wrote, which may look like anything.
    pub(crate) fn begins_with_sender(&self) -> bool {
        matches!(self.0.first(), Some(Part::Variable { kind, .. }) if !kind.is_typed())
    }

    /// Whether its lines hold query strings that no question mark goes before.
    pub fn has_bare_queries(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Variable { bare: true, .. }))
    }
}

/// Whether senders choose what it holds, and may choose blanks.
fn is_of_sender(name: &str) -> bool {
    ["http_", "arg_", "cookie_"].iter().any(|start| name.starts_with(start))
        || matches!(
            name,
            "remote_user"
                | "request"
                | "request_uri"
                | "request_filename"
                | "request_body"
                | "uri"
                | "document_uri"
                | "args"
                | "query_string"
                | "ssl_server_name"
                | "proxy_add_x_forwarded_for"
        )
}

/// What a variable stands for.
fn field(name: &str) -> Option<(usize, u8)> {
    match name {
        "proxy_add_x_forwarded_for" => Some((slot::FORWARDED, 5)),
        _ => nginx_json::key(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::text::some;

    const FORMAT: &str = r#"$remote_addr [$time_local] "$request" $status ${body_bytes_sent}b $upstream_response_time rt=$request_time "$http_user_agent" to=$host;"#;

    fn scan(format: &str, line: &str) -> Option<Vec<(usize, String)>> {
        let texts = LogFormat::parse(format).unwrap().scan(line, &mut Clock::default())?.texts;
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

    /// The client, X-Forwarded-For, the line's path or request, and the status.
    #[track_caller]
    fn check(format: &str, line: &str, meant: [&str; 4]) {
        let format = LogFormat::parse(format).unwrap();
        let texts = format.scan(line, &mut Clock::default()).expect(line).texts;
        let path = if texts[slot::LINE].is_empty() { slot::PATH } else { slot::LINE };
        assert_eq!(
            [slot::PEER, slot::FORWARDED, path, slot::STATUS].map(|slot| texts[slot]),
            meant,
            "{line}"
        );
    }

    /// A rule for what several upstreams say once held for all, and a comma hid what a sender asked for.
    #[test]
    fn commas_and_colons_are_a_lists_only_where_upstreams_speak() {
        let format = "$remote_addr $request_uri $upstream_addr $status $upstream_status $host";
        for path in ["/a,", "/a:", "/,", "/a,b"] {
            for upstreams in ["-", "10.0.0.1:80", "10.0.0.1:80, unix:/x : 10.0.0.2:80"] {
                let line = format!("203.0.113.7 {path} {upstreams} 200 502, 200 shop");
                check(format, &line, ["203.0.113.7", "", path, "200"]);
            }
        }
    }

    #[test]
    fn what_senders_write_hides_no_request_and_forges_nobody() {
        let main = r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for""#;
        for (user, agent, forwarded) in [
            ("-", "curl", "-"),
            ("a [b] c", "curl", "-"),
            ("a [02/Jan/2020:03:04:05 +0000] ", "curl", "6.6.6.6 - 6.6.6.7"),
            (r"a [02/Jan/2020:03:04:05 +0000] \x22GET /x HTTP/1.1\x22 404 0 \x22", r"\x22", "-"),
            (r#"a [02/Jan/2020:03:04:05 +0000] \"GET /x\" 404 0"#, r#"x\" \"y\\"#, r#"\""#),
            (" - 6.6.6.6 - [", r#"] "GET / HTTP/1.1" 500 1"#.replace('"', "\\\"").as_str(), "[a] - 6.6.6.6"),
        ] {
            let line = format!(
                r#"203.0.113.7 - {user} [02/Jan/2026:03:04:05 +0000] "GET /a HTTP/1.1" 200 5 "-" "{agent}" "{forwarded}""#
            );
            check(main, &line, ["203.0.113.7", some(forwarded), "GET /a HTTP/1.1", "200"]);
        }
        // Behind what senders wrote, too, an address is one, and a time is one.
        let late = r#"$http_x_forwarded_for - $remote_user - $remote_addr [$time_local] "$request" $status"#;
        for forwarded in
            ["-", "a - b", "6.6.6.6 - x - 6.6.6.7 [x]", "6.6.6.6 [02/Jan/2020:03:04:05 +0000]", ","]
        {
            for user in ["-", "a - 6.6.6.6 - b", "x - 6.6.6.7 [02/Jan/2020:03:04:05 +0000] y", "[] - [", "a,"]
            {
                let line = format!(
                    r#"{forwarded} - {user} - 203.0.113.7 [02/Jan/2026:03:04:05 +0000] "GET /a" 200"#
                );
                let format = LogFormat::parse(late).unwrap();
                let texts = format.scan(&line, &mut Clock::default()).expect(&line).texts;
                assert_eq!((texts[slot::PEER], texts[slot::STATUS]), ("203.0.113.7", "200"), "{line}");
            }
        }
        // A server that was told not to escape leaves quotes as they came.
        let line =
            r#"203.0.113.7 - a" [02/Jan/2026:03:04:05 +0000] "GET /a"b HTTP/1.1" 200 5 "-" "x"y\" "-""#;
        check(main, line, ["203.0.113.7", "", r#"GET /a"b HTTP/1.1"#, "200"]);
    }

    #[test]
    fn a_client_whom_two_readings_name_differently_is_not_believed() {
        let format = "$http_x_forwarded_for - $remote_addr - $http_user_agent $status";
        check(
            format,
            "1.1.1.1, 2.2.2.2 - 203.0.113.7 - curl 8 200",
            ["203.0.113.7", "1.1.1.1, 2.2.2.2", "", "200"],
        );
        for line in ["x - 6.6.6.6 - y - 203.0.113.7 - curl 200", "x - 203.0.113.7 - y - 6.6.6.6 - curl 200"] {
            check(format, line, ["", "x", "", "200"]);
        }
        let format = "$remote_addr $http_x_forwarded_for $remote_user $status";
        check(format, "10.0.0.1 6.6.6.6, 1.1.1.1 - 200", ["10.0.0.1", "6.6.6.6, 1.1.1.1", "", "200"]);
        check(format, "10.0.0.1 1.1.1.1 jane doe 200", ["10.0.0.1", "1.1.1.1", "", "200"]);
        // Whether the proxy appended the address, or the user's name is one, nobody knows.
        check(format, "10.0.0.1 6.6.6.6 x, 1.1.1.1 - 200", ["10.0.0.1", "", "", "200"]);
    }

    #[test]
    fn a_search_ends() {
        let format =
            LogFormat::parse(&format!("{}$status", "$http_a $http_b [$request_time] ".repeat(20))).unwrap();
        for line in ["[1] ".repeat(4000), " ".repeat(60_000), "[1] x ".repeat(10_000), "\\".repeat(60_000)] {
            assert!(format.scan(&line, &mut Clock::default()).is_none());
        }
    }

    #[test]
    fn a_time_or_status_that_a_sender_may_have_written_is_not_believed() {
        let scan = |format: &str, line: &str| {
            let format = LogFormat::parse(format).unwrap();
            let mut clock = Clock::default();
            let scanned = format.scan(line, &mut clock).expect(line);
            let texts = [slot::PEER, slot::TIME, slot::STATUS].map(|slot| scanned.texts[slot].to_owned());
            (texts, scanned.doubts().collect::<Vec<_>>(), scanned.doubtful_time.to_owned())
        };
        let format = "$remote_addr $remote_user $msec $request_method $request_uri $status";
        let (texts, doubts, time) =
            scan(format, "203.0.113.7 - 1577934245.000 GET /x 200 - 1767323045.000 POST /login 403");
        assert_eq!((texts[1].as_str(), doubts, time.as_str()), ("", vec!["time"], "1577934245.000"));
        let (texts, doubts, _) = scan(format, "203.0.113.7 - 1767323045.000 POST /login 403");
        assert_eq!((texts, doubts.len()), (["203.0.113.7", "1767323045.000", "403"].map(str::to_owned), 0));

        let format = "$remote_addr | $time_local | $request | $status | $http_user_agent";
        let time = "02/Jan/2026:03:04:05 +0000";
        let line = |request: &str| format!("203.0.113.7 | {time} | {request} | 404 | curl");
        let (texts, doubts, _) = scan(format, &line("GET /probe | 200 | x"));
        assert_eq!((texts, doubts), (["203.0.113.7", time, ""].map(str::to_owned), vec!["status"]));
        let (texts, doubts, _) = scan(format, &line("GET /probe"));
        assert_eq!((texts, doubts.len()), (["203.0.113.7", time, "404"].map(str::to_owned), 0));
        // Quotes that the server writes leave no doubt.
        let format = r#"$remote_addr - $remote_user [$time_local] "$request" $status "$http_user_agent" $http_x_forwarded_for"#;
        let line = format!(
            r#"203.0.113.7 - a [02/Jan/2020:03:04:05 +0000]  [{time}] "GET /a 404 \"" 200 "\" 1 \"" 6.6.6.6 200 "#
        );
        let (texts, doubts, _) = scan(format, &line);
        assert_eq!((texts, doubts.len()), (["203.0.113.7", time, "200"].map(str::to_owned), 0));
    }

    #[test]
    fn a_format_says_where_senders_could_feign() {
        for (format, meant) in [
            (
                r#"$remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent "$http_user_agent""#,
                None,
            ),
            ("$remote_addr $msec $status $request_uri", None),
            ("$remote_addr $msec $request_uri $status $bytes_sent", None),
            (
                "$remote_addr $remote_user $msec $request_method $request_uri $status",
                Some(("remote_user", "msec")),
            ),
            (
                "$remote_addr | $time_local | $request | $status | $http_user_agent",
                Some(("request", "status")),
            ),
            ("[$http_user_agent] $remote_addr $host $status", Some(("http_user_agent", "remote_addr"))),
            (r#""[$http_user_agent]" $remote_addr $host $status"#, None),
            ("$request_id $remote_addr $host $status", None),
        ] {
            assert_eq!(LogFormat::parse(format).unwrap().feigned(), meant, "{format}");
        }
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
