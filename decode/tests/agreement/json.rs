//! Requests of JSON records, by the names that are documented of each format.

mod names;

use std::collections::BTreeMap;

use beaconfire_decode::Format;

use crate::line::{self, Line, Target};
use crate::tree::Tree;
use crate::when;
use crate::{Asked, Knobs};

pub(crate) use names::table;

/// What a record is, by the keys that it has.
fn shape(map: &Tree) -> Option<Format> {
    let any = |keys: &[&str], holds: fn(&Tree) -> bool| {
        map.pairs().iter().any(|(key, value)| keys.contains(&key.as_str()) && holds(value))
    };
    let all: fn(&Tree) -> bool = |_| true;
    let is_text: fn(&Tree) -> bool = |value| value.text().is_some();
    let peers = ["downstream_remote_address", "downstream_direct_remote_address"];
    let asked = any(
        &[
            "path",
            "uri",
            "request_uri",
            "url",
            "remote_addr",
            "method",
            "request_method",
            ":path",
            ":authority",
            "authority",
        ],
        is_text,
    );
    let statuses = ["status", "status_code", "response_status"];
    if any(&["kind"], |kind| matches!(kind.text(), Some("request" | "resource" | "runtime")))
        && !any(&["apiVersion"], all)
    {
        Some(Format::Beaconfire)
    } else if any(&peers, all) || any(&["response_code"], all) && (asked || any(&["start_time"], all)) {
        Some(Format::Envoy)
    } else if any(&["RequestMethod", "RequestPath"], all)
        && any(&["DownstreamStatus", "OriginStatus", "StartUTC"], all)
    {
        Some(Format::Traefik)
    } else if any(&["request"], |request| {
        let has = |key| request.get(key).is_some_and(|value| value.text().is_some());
        has("uri") && (has("remote_ip") || has("remote_addr"))
    }) && (any(&["status"], |status| matches!(status, Tree::Number(_))) || any(&["size"], all))
    {
        Some(Format::Caddy)
    } else if any(
        &["ClientRequestMethod", "ClientRequestURI", "ClientRequestPath", "ClientRequestHost", "ClientIP"],
        all,
    ) && any(&["EdgeResponseStatus", "EdgeStartTimestamp", "EdgeEndTimestamp", "RayID"], all)
    {
        Some(Format::Cloudflare)
    } else if any(&["http.request.method", "http.response.status_code"], all)
        || any(&["http"], |http| {
            ["request", "response"].iter().any(|key| matches!(http.get(key), Some(Tree::Map(_))))
        })
    {
        Some(Format::Ecs)
    } else if any(&["request"], |line| line.text().is_some_and(|line| line.contains(" HTTP/")))
        || asked && any(&statuses, |status| !matches!(status, Tree::Map(_)))
    {
        Some(Format::NginxJson)
    } else {
        None
    }
}

/// What envelopes have said so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    pub(crate) time: Option<i64>,
    pub(crate) coats: u8,
    pub(crate) service: &'a str,
}

/// Takes off at most so many.
const COATS: u8 = 8;

impl Around<'_> {
    fn deeper(self) -> Option<Self> {
        (self.coats < COATS).then_some(Self { coats: self.coats + 1, ..self })
    }
}

/// Takes a text apart into requests; false where not all of it is understood.
pub(crate) fn text(text: &str, knobs: Knobs, around: Around<'_>, out: &mut Vec<Asked>) -> bool {
    let blank = |c: char| c.is_ascii_whitespace() || c == '\0';
    let text = text.trim_start_matches('\u{feff}').trim_matches(blank);
    if text.is_empty() {
        return false;
    }
    if text.starts_with(['{', '[']) && !line::only_begins_like_json(text) {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let mut is_good = true;
        while at < chars.len() {
            match crate::tree::read(&chars, &mut at) {
                Some(tree) => is_good &= value(&tree, knobs, around, out),
                None => return false,
            }
            while chars.get(at).is_some_and(char::is_ascii_whitespace) {
                at += 1;
            }
        }
        return is_good;
    }
    let lines = text.split('\n').map(|line| line.trim_matches(blank)).filter(|line| !line.is_empty());
    lines.fold(true, |is_good, line| {
        let found = line::read(line, knobs);
        let is_read = found.is_some();
        out.extend(found.map(|asked| match asked.service.as_str() {
            "" => Asked { service: around.service.to_owned(), ..asked },
            _ => asked,
        }));
        is_good && is_read
    })
}

fn value(tree: &Tree, knobs: Knobs, around: Around<'_>, out: &mut Vec<Asked>) -> bool {
    match tree {
        Tree::List(items) => {
            let Some(below) = around.deeper() else { return false };
            if let [Tree::Number(time), record @ Tree::Map(_)] = items.as_slice() {
                return value(record, knobs, Around { time: when::time(time).or(below.time), ..below }, out);
            }
            let bad = items.iter().filter(|item| !value(item, knobs, below, out));
            bad.count() == 0
        }
        Tree::Map(_) => {
            let shape = shape(tree);
            if let Some(format) = shape.filter(|shape| [*shape, Format::Auto].contains(&knobs.format)) {
                return request(tree, format, knobs, around, out);
            }
            if let Some(inner) = inner(tree) {
                let Some(below) = around.deeper() else { return false };
                let time = preferred(
                    tree.pairs(),
                    &["@timestamp", "timestamp", "time", "date", "__REALTIME_TIMESTAMP"],
                    |value| value.scalar().is_some() && !value.is_missing(),
                );
                let time = time.and_then(|(_, time)| when::time(time.scalar()?)).or(below.time);
                let service =
                    Some(named_around(tree)).filter(|name| !name.is_empty()).unwrap_or(below.service);
                let below = Around { time, service, ..below };
                return match inner.text() {
                    Some(inner) => text(inner, knobs, below, out),
                    None => value(inner, knobs, below, out),
                };
            }
            request(tree, knobs.format, knobs, around, out)
        }
        _ => false,
    }
}

/// The service that an envelope names.
fn named_around(map: &Tree) -> &str {
    let name = |(key, value): &'_ (String, Tree)| -> bool {
        let value = if key == "service" { value.get("name") } else { Some(value) };
        ["service", "service.name"].contains(&key.as_str())
            && value.is_some_and(|name| name.text().is_some() && !name.is_missing())
    };
    match map.pairs().iter().rfind(|pair| name(pair)) {
        Some((key, value)) if key == "service" => value.get("name").and_then(Tree::text).unwrap_or_default(),
        Some((_, value)) => value.text().unwrap_or_default(),
        None => "",
    }
}

/// The record within an envelope.
fn inner(map: &Tree) -> Option<&Tree> {
    let is_record = |value: &Tree| {
        !value.is_missing()
            && (value.text().is_some() || matches!(value, Tree::Map(_)) && shape(value).is_some())
    };
    let original = |value: &Tree| value.get("original").is_some_and(|original| original.text().is_some());
    ["log", "message", "MESSAGE", "event.original", "event", "log_processed"].iter().find_map(|key| {
        let has_original = |value: &Tree| *key == "event" && original(value);
        let (_, value) = preferred(map.pairs(), &[key], |value| is_record(value) || has_original(value))?;
        if has_original(value) { value.get("original") } else { Some(value) }
    })
}

/// The value of the first key that has one which `serves`.
fn preferred<'t>(
    pairs: &'t [(String, Tree)],
    keys: &[&'static str],
    serves: impl Fn(&Tree) -> bool,
) -> Option<(&'t str, &'t Tree)> {
    keys.iter().find_map(|same| {
        let mut equal = pairs.iter().rev().filter(|(key, _)| same.split('|').any(|name| name == key));
        equal.find(|(_, value)| serves(value)).map(|(key, value)| (key.as_str(), value))
    })
}

/// The value at a path, whose parts are keys within each other or one key with dots.
fn at_path<'t>(tree: &'t Tree, path: &str) -> Option<&'t Tree> {
    tree.get(path).map(alone).or_else(|| {
        let parts: Vec<&str> = path.split('.').collect();
        (1..parts.len()).find_map(|at| at_path(tree.get(&parts[..at].join("."))?, &parts[at..].join(".")))
    })
}

/// The item of a list that has one.
fn alone(tree: &Tree) -> &Tree {
    if let Tree::List(items) = tree
        && let [item] = items.as_slice()
    {
        return item;
    }
    tree
}

type Found<'t> = BTreeMap<&'static str, (&'t str, &'t Tree)>;

fn fields<'t>(tree: &'t Tree, format: Format, knobs: Knobs) -> Found<'t> {
    let mut found = Found::new();
    for (field, keys) in table(format) {
        let mut keys = keys.to_vec();
        match (format, *field, knobs.trust.is_resolved) {
            (Format::Envoy | Format::Ecs, "client", true) => keys.reverse(),
            // A sender's own words, unless the operator says otherwise.
            (Format::Ecs, "client", false) => keys.truncate(6),
            _ => {}
        }
        let value = match format {
            Format::Ecs => keys.iter().find_map(|key| {
                at_path(tree, key).filter(|value| !value.is_missing()).map(|value| (*key, value))
            }),
            Format::Caddy => {
                let request = tree.get("request");
                keys.iter().find_map(|key| {
                    let (from, name) = match key.strip_prefix("request.") {
                        None => (Some(tree), *key),
                        Some(name) => match name.strip_prefix("headers.") {
                            None => (request, name),
                            Some(name) => (request.and_then(|request| request.get("headers")), name),
                        },
                    };
                    let is_header = key.contains("headers");
                    let serves = |value: &Tree| {
                        let value = if is_header { alone(value) } else { value };
                        !value.is_missing()
                    };
                    let (_, value) = preferred(from?.pairs(), &[name], serves)?;
                    Some((*key, if is_header { alone(value) } else { value }))
                })
            }
            // Where an object stands under such a key, it is a shipper's.
            _ => {
                preferred(tree.pairs(), &keys, |value| !value.is_missing() && !matches!(value, Tree::Map(_)))
            }
        };
        if let Some(value) = value {
            found.insert(field, value);
        }
    }
    found
}

fn request(tree: &Tree, format: Format, knobs: Knobs, around: Around<'_>, out: &mut Vec<Asked>) -> bool {
    if table(format).is_empty()
        || format == Format::Beaconfire && tree.get("kind").and_then(Tree::text) != Some("request")
    {
        return false;
    }
    let found = fields(tree, format, knobs);
    let key = |field| found.get(field).map_or("", |(key, _)| *key);
    let text = |field| found.get(field).and_then(|(_, value)| value.scalar()).unwrap_or_default();
    let number = |field| {
        let text = found.get(field).and_then(|(_, value)| value.scalar())?;
        text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
    };
    let whole = |field| text(field).parse::<u64>().ok().or(number(field).map(|number| number as u64));

    let own = found.get("time").and_then(|(_, value)| value.scalar());
    let is_none = |time: &str| time.starts_with('-') || time.starts_with("0001-01-01T00:00:00");
    let time = match own.filter(|time| !is_none(time)) {
        Some(time) => when::time(time),
        None => around.time.or(knobs.stamped),
    };
    let line = Line::of(text("line"));
    let of_line = !line.target.is_empty() && matches!(key("path"), "" | "path" | "uri" | "url");
    let target = if of_line { &line.target } else { text("path") };
    let (Some(time), false) = (time, target.is_empty() && !found.contains_key("status")) else {
        return false;
    };
    let Target { host, path, query } = Target::of(target);

    let forwarded = match found.get("forwarded") {
        Some((_, Tree::List(items))) => {
            items.iter().map(|item| item.scalar().unwrap_or("unknown")).collect::<Vec<_>>().join(", ")
        }
        _ => text("forwarded").to_owned(),
    };
    let is_found = format == Format::Caddy && key("client") == "request.client_ip";
    let trust = when::Trust { is_resolved: knobs.trust.is_resolved || is_found, ..knobs.trust };
    let or = |own: String, other: &str| if own.is_empty() { other.to_owned() } else { own };
    let own_service = service(format, key("service"), text("service"), text("namespace"));
    let around_service = match around.service {
        // Shippers put their metadata beside such a record's own.
        "" if format == Format::Ecs => named_around(tree),
        service => service,
    };
    let version = text("version");
    let micros = match (format, key("duration")) {
        (Format::Envoy, _) | (Format::Cloudflare, "EdgeTimeToFirstByteMs" | "OriginResponseDurationMs") => {
            1e3
        }
        (Format::Traefik, _) | (Format::Cloudflare, _) | (Format::Ecs, "event.duration") => 1e-3,
        _ => 1e6,
    };
    out.push(Asked {
        format,
        time,
        client: when::client(trust, text("client"), &forwarded),
        service: or(own_service, around_service),
        method: or(text("method").to_owned(), &line.method),
        host: or(text("host").to_owned(), &host),
        path,
        query: or(query, text("query").trim_start_matches('?')),
        http_version: or(version.strip_prefix("HTTP/").unwrap_or(version).to_owned(), &line.version),
        status: whole("status").and_then(|status| status.try_into().ok()).unwrap_or(0),
        bytes_sent: whole("bytes").unwrap_or(0),
        duration_micros: number("duration").map(|number| (number * micros).round() as u64),
        user_agent: text("agent").to_owned(),
        request_id: text("id").to_owned(),
    });
    true
}

fn service(format: Format, key: &str, name: &str, namespace: &str) -> String {
    let parts = |text: &str, by: char| text.split(by).map(str::to_owned).collect::<Vec<_>>();
    match format {
        Format::Envoy => {
            if name.starts_with("outbound|") || name.starts_with("inbound-vip|") {
                let host = parts(name, '|').pop().unwrap_or_default();
                return match parts(&host, '.').as_slice() {
                    [service, namespace, svc, ..] if svc == "svc" => joined(namespace, service),
                    _ => host,
                };
            }
            if ["httproute/", "grpcroute/", "tlsroute/", "tcproute/"]
                .iter()
                .any(|kind| name.starts_with(kind))
            {
                let parts = parts(name, '/');
                return match parts.get(2) {
                    Some(service) if !service.is_empty() => joined(&parts[1], service),
                    _ => String::new(),
                };
            }
            let nameless = [
                "inbound|",
                "inbound/",
                "PassthroughCluster",
                "BlackHoleCluster",
                "InboundPassthroughCluster",
            ];
            let is_nameless = name == "default" || nameless.iter().any(|start| name.starts_with(start));
            if is_nameless { String::new() } else { name.to_owned() }
        }
        Format::Traefik => {
            name.split(" -> ").next().unwrap_or_default().split('@').next().unwrap_or_default().to_owned()
        }
        Format::Caddy => match name.strip_prefix("http.log.access.") {
            None | Some("default") => String::new(),
            Some(site) => {
                let number = site.strip_prefix("log").filter(|number| !number.is_empty());
                let is_numbered = number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()));
                if is_numbered { String::new() } else { site.to_owned() }
            }
        },
        _ if key == "proxy_upstream_name" => match name.rsplit_once('-') {
            Some((service, port)) if port.parse::<u16>().is_ok() => service.to_owned(),
            _ => name.to_owned(),
        },
        _ if name.is_empty() => String::new(),
        _ => joined(namespace, name),
    }
}

fn joined(namespace: &str, name: &str) -> String {
    match (namespace, name) {
        (_, "") => String::new(),
        ("", name) => name.to_owned(),
        _ => format!("{namespace}/{name}"),
    }
}
