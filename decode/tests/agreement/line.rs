//! Lines of nginx and Apache (`combined`, `common`, nginx's `main`) and of ingress-nginx and Traefik, who add to them,
//! character by character.

use beaconfire_decode::Format;

use crate::when;
use crate::{Asked, Knobs};

/// Whether text that begins with a bracket or brace is a line of text.
pub(crate) fn only_begins_like_json(text: &str) -> bool {
    let is_line = text.contains("] \"") && !text.ends_with(['}', ']']);
    let Some(inside) = text.strip_prefix('[') else { return is_line };
    let address: String = inside.chars().take_while(|c| c.is_ascii_hexdigit() || ":.".contains(*c)).collect();
    match inside.chars().nth(address.len()) {
        None | Some(',') => false,
        Some(']') if address.contains(':') => true,
        Some(_) => is_line,
    }
}

/// `GET /cart?id=1 HTTP/1.1`.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
}

impl Line {
    pub(crate) fn of(text: &str) -> Self {
        let mut words: Vec<&str> = if text == "-" { Vec::new() } else { text.split(' ').collect() };
        let version = match words.last().and_then(|last| last.strip_prefix("HTTP/")) {
            Some(version) if words.len() > 1 => {
                words.pop();
                version
            }
            _ => "",
        };
        let method = if words.len() > 1 { words.remove(0) } else { "" };
        Self { method: method.to_owned(), target: words.join(" "), version: version.to_owned() }
    }
}

/// `http://shop.example.com/cart?id=1`.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Target {
    pub(crate) fn of(text: &str) -> Self {
        let (rest, query) = text.split_once('?').unwrap_or((text, ""));
        let (host, path) = match rest.strip_prefix("http://").or(rest.strip_prefix("https://")) {
            Some(rest) => match rest.find('/') {
                Some(at) => rest.split_at(at),
                None => (rest, "/"),
            },
            None => ("", rest),
        };
        Self { host: host.to_owned(), path: path.to_owned(), query: query.to_owned() }
    }
}

/// Takes a line apart; `None` where it is none of these.
pub(crate) fn read(line: &str, knobs: Knobs) -> Option<Asked> {
    if ![Format::Auto, Format::Combined, Format::IngressNginx, Format::Traefik].contains(&knobs.format) {
        return None;
    }
    let (open, close, time) = time(line)?;
    let before = &line[..open - 1];
    let rest: Vec<char> = line[close + 3..].chars().collect();
    let (request, status, bytes, mut rest) = request(&rest)?;
    let (vhost, peer) = who(before, status)?;
    let mut quoted = || {
        let behind = rest.strip_prefix(&[' ', '"'])?;
        let (field, end) = until_quote(behind);
        rest = end;
        Some(field)
    };
    let _referer = quoted();
    let agent = quoted().unwrap_or_default();
    let rest = rest.get(1..).unwrap_or_default();
    let behind = match knobs.format {
        Format::Auto => ingress(rest).or_else(|| traefik(rest)).unwrap_or_else(|| main(rest)),
        Format::IngressNginx => ingress(rest)?,
        Format::Traefik => traefik(rest)?,
        _ => main(rest),
    };
    let request = Line::of(&request);
    let target = Target::of(&request.target);
    Some(Asked {
        format: behind.format,
        time,
        client: when::client(knobs.trust, peer, &behind.forwarded),
        service: behind.service,
        method: request.method,
        host: if target.host.is_empty() { some(vhost) } else { target.host },
        path: target.path,
        query: target.query,
        http_version: request.version,
        status,
        bytes_sent: bytes,
        duration_micros: behind.duration_micros,
        user_agent: some(&agent),
        request_id: behind.request_id,
    })
}

fn some(text: &str) -> String {
    if text == "-" { String::new() } else { text.to_owned() }
}

/// The brackets around the time, with a blank before and a request behind, and the time: the first such.
fn time(line: &str) -> Option<(usize, usize, i64)> {
    let opens = line.match_indices(" [").map(|(blank, _)| blank + 1).filter(|open| *open > 1);
    for open in opens {
        let Some(length) = line[open + 1..].find(']') else { break };
        let (text, close) = (&line[open + 1..open + 1 + length], open + 1 + length);
        // A number is no time here.
        let is_date = text.starts_with(|c: char| c.is_ascii_digit())
            && (text.get(2..3) == Some("/") || text.get(4..5) == Some("-"));
        if is_date
            && length < 39
            && line[close..].starts_with("] \"")
            && let Some(time) = when::time(text)
        {
            return Some((open, close, time));
        }
    }
    None
}

/// The vhost and the client of `[vhost ]client ident user`.
fn who(head: &str, status: u16) -> Option<(&str, &str)> {
    let words: Vec<&str> = head.split(' ').collect();
    let is_address = |word: &str| word.len() > 1 && when::address(word).is_some();
    let (first, second) = (*words.first()?, *words.get(1)?);
    if first.is_empty() || second.is_empty() {
        return None;
    }
    let (vhost, peer, behind) = if is_address(second) {
        (first, second, &words[2..])
    } else if first == "-" || second == "-" || is_address(first) {
        ("", first, &words[1..])
    } else {
        return None;
    };
    let behind: Vec<&&str> = behind.iter().filter(|word| !word.is_empty()).collect();
    // In a Host header with blanks, which servers refuse, may be another client than the server wrote.
    let has_rival = behind.len() > 2
        && behind.iter().any(|word| is_address(word) && when::address(word) != when::address(peer));
    let is_cut = first.starts_with('"');
    Some((vhost, if is_cut || has_rival && [0, 400].contains(&status) { "" } else { peer }))
}

/// The request, its status and size, and what follows. A quote within it has a backslash before it, or else no status
/// and size behind it.
fn request(text: &[char]) -> Option<(String, u16, u64, &[char])> {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => match status_and_size(&text[at + 1..]) {
                Some((status, size, rest)) => return Some((text[..at].iter().collect(), status, size, rest)),
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    None
}

fn status_and_size(text: &[char]) -> Option<(u16, u64, &[char])> {
    let words: String = text.strip_prefix(&[' '])?.iter().collect();
    let (status, rest) = words.split_once(' ')?;
    let size = rest.split(' ').next().unwrap_or_default();
    let is_digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let code = match status {
        "-" => 0,
        _ if is_digits(status) && status.len() == 3 => status.parse().ok()?,
        _ => return None,
    };
    let bytes = match size {
        "-" => 0,
        _ if is_digits(size) => size.parse().unwrap_or(u64::MAX),
        _ => return None,
    };
    Some((code, bytes, &text[2 + status.len() + size.len()..]))
}

/// What stands before the closing quote, and what behind it. A quote closes only before a blank or the end; one with a
/// backslash before it does not.
fn until_quote(text: &[char]) -> (String, &[char]) {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            '"' if matches!(text.get(at + 1), None | Some(' ')) => {
                return (text[..at].iter().collect(), &text[at + 1..]);
            }
            '\\' => at += 2,
            _ => at += 1,
        }
    }
    (text.iter().collect(), &[])
}

/// What the fields behind the user agent say.
#[derive(Default)]
struct Behind {
    format: Format,
    forwarded: String,
    duration_micros: Option<u64>,
    service: String,
    request_id: String,
}

fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// ingress-nginx: `89 0.001 [default-web-8080] [] 172.17.0.5:8080 59 0.000 200 529a…`.
fn ingress(text: &[char]) -> Option<Behind> {
    let text: String = text.iter().collect();
    let words: Vec<&str> = text.split(' ').collect();
    let [length, took, upstream, ..] = words.as_slice() else { return None };
    let (seconds, millis) = took.split_once('.')?;
    let is_time = seconds.chars().chain(millis.chars()).all(|c| c.is_ascii_digit()) && millis.len() == 3;
    let upstream = upstream.strip_prefix('[')?.strip_suffix(']')?;
    let service = match upstream.rsplit_once('-') {
        _ if upstream == "-" => "",
        Some((service, port)) if port.parse::<u16>().is_ok() => service,
        _ => upstream,
    };
    // A status stands last where there is no id.
    let last = words[3..].last().copied().filter(|last| last.len() > 3).unwrap_or_default();
    let took: f64 = took.parse().ok()?;
    (is_whole(length) && is_time).then(|| Behind {
        format: Format::IngressNginx,
        duration_micros: Some((took * 1e6).round() as u64),
        service: service.to_owned(),
        request_id: last.to_owned(),
        ..Behind::default()
    })
}

/// Traefik: `262 "web@docker" "http://172.19.0.3:5601" 2ms`.
fn traefik(text: &[char]) -> Option<Behind> {
    let blank = text.iter().position(|c| *c == ' ')?;
    let number: String = text[..blank].iter().collect();
    let (router, rest) = until_quote(text[blank..].strip_prefix(&[' ', '"'])?);
    let (_server, rest) = until_quote(rest.strip_prefix(&[' ', '"'])?);
    let took: String = rest.strip_prefix(&[' '])?.iter().collect();
    let millis = took.strip_suffix(' ').unwrap_or(&took).strip_suffix("ms")?;
    (is_whole(&number) && is_whole(millis)).then(|| Behind {
        format: Format::Traefik,
        duration_micros: millis.parse::<u64>().ok().and_then(|millis| millis.checked_mul(1000)),
        service: some(&router)
            .split(" -> ")
            .next()
            .unwrap_or_default()
            .split('@')
            .next()
            .unwrap_or_default()
            .to_owned(),
        ..Behind::default()
    })
}

/// X-Forwarded-For and the time it took, of what nginx's `main` and its variants have behind the user agent. Where
/// anything else is among it, it is not theirs, and nothing in it is believed.
fn main(text: &[char]) -> Behind {
    let nothing = || Behind { format: Format::Combined, ..Behind::default() };
    let (forwarded, rest) = match text.strip_prefix(&['"']) {
        Some(behind) => {
            let (field, rest) = until_quote(behind);
            (field, rest.get(1..).unwrap_or_default())
        }
        None => (String::new(), text),
    };
    let rest: String = rest.iter().collect();
    let mut took = None;
    let mut is_within_quotes = false;
    let words = if rest.is_empty() { Vec::new() } else { rest.split(' ').collect() };
    // A blank at the end ends the last word, and begins none.
    let count = words.len() - usize::from(words.len() > 1 && words.last() == Some(&""));
    if count >= 24 {
        return nothing();
    }
    for word in words.into_iter().take(count) {
        let (name, mut value) = word.split_once('=').unwrap_or(("", word));
        if word.starts_with('"') || !name.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
            return nothing();
        }
        if let Some(quoted) = value.strip_prefix('"').filter(|_| !name.is_empty()) {
            (value, is_within_quotes) = (quoted, true);
        }
        if let Some(quoted) = value.strip_suffix('"').filter(|_| is_within_quotes) {
            (value, is_within_quotes) = (quoted, false);
        }
        let value = value.strip_suffix(',').unwrap_or(value);
        let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        let (whole, parts) = value.split_once('.').unwrap_or((value, ""));
        let is_number = is_digits(whole) && is_digits(parts);
        if !is_number && !["-", "-1", ":"].contains(&value) {
            return nothing();
        }
        let is_time = name.is_empty() && value.contains('.') && parts.len() == 3;
        if took.is_none() && (is_time || ["rt", "request_time"].contains(&name)) {
            let seconds: Option<f64> = value.parse().ok();
            took = seconds.filter(|seconds| *seconds >= 0.0).map(|seconds| (seconds * 1e6).round() as u64);
        }
    }
    Behind { forwarded: some(&forwarded), duration_micros: took, ..nothing() }
}
