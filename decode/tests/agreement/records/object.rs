//! Records of JSON.

use beaconfire_decode::Format;

use super::{ADDRESSES, BLANKS, Dice, LINES, TIMES};
use crate::json;

/// The formats of JSON, and the keys without which a record would be none of theirs.
pub(crate) const FORMATS: [(Format, &[&str]); 7] = [
    (Format::NginxJson, &["status", "request_uri"]),
    (Format::Envoy, &["response_code", "start_time"]),
    (Format::Traefik, &["RequestPath", "DownstreamStatus"]),
    (Format::Caddy, &["request.uri", "request.remote_ip", "status", "size"]),
    (Format::Cloudflare, &["ClientIP", "EdgeResponseStatus"]),
    (Format::Ecs, &["http.request.method", "http.response.status_code"]),
    (Format::Beaconfire, &["kind", "path"]),
];

const TEXTS: [&str; 16] = [
    "shop",
    "a b",
    "é",
    "\u{1f600}",
    "\"",
    "\\",
    "\n",
    "\t",
    "/",
    "?",
    "\u{7f}",
    "x22",
    "<",
    "'",
    "\u{0}",
    "\u{feff}",
];
const NUMBERS: [&str; 14] = [
    "0",
    "200",
    "404",
    "512",
    "0.003",
    "1.5e2",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "65536",
    "007",
    "1e400",
    "12345.678",
    "-0.0",
];
const SERVICES: [&str; 15] = [
    "shop",
    "outbound|80||shop.web.svc.cluster.local",
    "outbound|443||api.example.com",
    "inbound|80||",
    "inbound-vip|80|http|shop.web.svc.cluster.local",
    "httproute/web/shop/rule/0",
    "grpcroute/web",
    "default",
    "shop-web-80@kubernetescrd",
    "outer@file -> inner@file",
    "shop-web-8080",
    "http.log.access.shop",
    "http.log.access.log0",
    "PassthroughCluster",
    "http.log.access.default",
];
const MISSING: [&str; 6] = ["null", r#""""#, r#""-""#, r#""<NA>""#, r#""null""#, r#""NaN""#];
const OTHERS: [&str; 8] =
    ["true", "false", "{}", "[]", r#"["a","b"]"#, r#"{"name":"x","status":1}"#, "[[]]", "7"];
/// What no library takes, but servers write.
const ODD: [&str; 5] = ["", "-", r#""\x22\xE9""#, r#""\ud83d \u12 \udc00""#, "\"a\tb\u{1}\""];
/// Keys that mean nothing; one is too long to be learnt.
const NOISE: [&str; 6] = [
    "level",
    "upstream",
    "nested",
    "a.b",
    "statu",
    "a-key-that-is-longer-than-the-sixty-four-bytes-up-to-which-keys-are-learnt",
];

/// A record of JSON: of a format, with one pair for each seed besides those that it must have.
pub(crate) fn object(which: usize, seeds: &[u64]) -> String {
    let (format, must) = FORMATS[which % FORMATS.len()];
    let mut dice = Dice::new(seeds.iter().fold(which as u64, |all, seed| all.rotate_left(7) ^ seed));
    let mut pairs: Vec<(String, String)> = Vec::new();
    for key in must.iter().filter(|_| !dice.one_in(24)).copied().collect::<Vec<_>>() {
        pairs.push((key.to_owned(), value(format, key, &mut dice)));
    }
    for seed in seeds {
        let mut dice = Dice::new(*seed);
        let (_, keys) = dice.pick(json::table(format));
        let key = dice.pick(dice_keys(keys).as_slice());
        let (key, value) = match dice.roll(12) {
            0 => (dice.pick(&NOISE), noise(&mut dice)),
            // What was there already comes again.
            1 if !must.is_empty() => {
                let key = dice.pick(must);
                (key, value(format, key, &mut dice))
            }
            _ => (key, value(format, key, &mut dice)),
        };
        let at = dice.roll(pairs.len() + 1);
        pairs.insert(at, (key.to_owned(), value));
    }
    let mut out = String::new();
    let nests = match format {
        Format::Caddy => true,
        Format::Ecs => dice.one_in(2),
        _ => false,
    };
    write(&pairs, nests, &mut dice, &mut out);
    out
}

fn dice_keys(keys: &[&'static str]) -> Vec<&'static str> {
    keys.iter().flat_map(|key| key.split('|')).collect()
}

/// Writes an object; keys with dots as objects in one another, if it `nests`, or mixed.
fn write(pairs: &[(String, String)], nests: bool, dice: &mut Dice, out: &mut String) {
    out.push('{');
    let mut done: Vec<&str> = Vec::new();
    for (key, value) in pairs {
        let head = key.split('.').next().filter(|head| nests && *head != key).filter(|_| key != "a.b");
        if head.is_some_and(|head| done.contains(&head)) {
            continue;
        }
        if out.len() > 1 && !out.ends_with('{') {
            out.push(',');
        }
        out.push_str(dice.pick(&BLANKS));
        if let Some(head) = head {
            done.push(head);
            let inside = |(key, value): &(String, String)| {
                let rest = key.strip_prefix(head)?.strip_prefix('.')?;
                Some((rest.to_owned(), value.clone()))
            };
            let inner: Vec<_> = pairs.iter().filter_map(inside).collect();
            out.push_str(&format!("{}:", quoted(head, dice)));
            let still = head != "http" || !dice.one_in(8);
            write(&inner, still, dice, out);
        } else {
            let key = quoted(key, dice);
            out.push_str(&format!("{key}{}:{}{value}", dice.pick(&BLANKS), dice.pick(&BLANKS)));
        }
        out.push_str(dice.pick(&BLANKS));
    }
    out.push('}');
}

/// Text in quotes, with the escapes that are needed, or more.
pub(crate) fn quoted(text: &str, dice: &mut Dice) -> String {
    let share = dice.pick(&[1, 2, 3, 200, 200, 200, 200, 200, 200, 200, 200, 200]);
    let mut out = String::from("\"");
    let mut units = [0; 2];
    for c in text.chars() {
        match c {
            _ if dice.one_in(share) && share < 200 => {
                for unit in c.encode_utf16(&mut units) {
                    let escape = format!("\\u{unit:04x}");
                    out.push_str(&if dice.one_in(2) {
                        escape.to_uppercase().replace('U', "u")
                    } else {
                        escape
                    });
                }
            }
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '/' if dice.one_in(8) => out.push_str("\\/"),
            ..' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out + "\""
}

/// A value that may stand under this key.
fn value(format: Format, key: &str, dice: &mut Dice) -> String {
    let kind = json::table(format)
        .iter()
        .find(|(_, keys)| keys.iter().any(|names| names.split('|').any(|name| name == key)))
        .map_or(key, |(field, _)| field);
    if kind == "kind" {
        return r#""request""#.to_owned();
    }
    match dice.roll(24) {
        0 | 1 => return dice.pick(&MISSING).to_owned(),
        2 => return dice.pick(&OTHERS).to_owned(),
        3 if dice.one_in(3) => return dice.pick(&ODD).to_owned(),
        _ => {}
    }
    let number = |text: &str, dice: &mut Dice| {
        let is_number = text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit())
            && text.parse::<f64>().is_ok();
        if is_number && dice.one_in(2) { text.to_owned() } else { quoted(text, dice) }
    };
    let text = match kind {
        "time" if dice.one_in(2) => dice.pick(&TIMES[..6]),
        "time" => return number(dice.pick(&TIMES), dice),
        "client" => dice.pick(&ADDRESSES),
        "forwarded" => {
            let hops: Vec<&str> = (0..dice.roll(5)).map(|_| dice.pick(&ADDRESSES)).collect();
            let list: Vec<String> = hops.iter().map(|hop| quoted(hop, dice)).collect();
            return if dice.one_in(3) {
                format!("[{}]", list.join(","))
            } else {
                quoted(&hops.join(", "), dice)
            };
        }
        "status" | "bytes" | "duration" => {
            let few = if dice.one_in(2) { &NUMBERS[1..4] } else { &NUMBERS };
            return number(dice.pick(few), dice);
        }
        "line" => dice.pick(&LINES),
        "path" if dice.one_in(2) => LINES[dice.roll(4)].split(' ').nth(1).unwrap_or_default(),
        "service" => dice.pick(&SERVICES),
        "version" => dice.pick(&["HTTP/1.1", "HTTP/2", "2.0", "1.1"]),
        "method" => dice.pick(&["GET", "POST", "get", "-"]),
        _ => {
            let text: String = (0..dice.roll(6)).map(|_| dice.pick(&TEXTS)).collect();
            let text = quoted(&text, dice);
            return if kind == "agent" && dice.one_in(6) { format!("[{text}]") } else { text };
        }
    };
    quoted(text, dice)
}

/// Something deep or wide that no field is read from.
fn noise(dice: &mut Dice) -> String {
    let levels = dice.pick(&[1, 2, 5, 20, 62, 63, 64, 65, 70]);
    let core = dice.pick(&["1", "null", r#""}]\"""#, r#"{"status":1,"path":"/hidden"}"#]);
    match dice.roll(3) {
        0 => format!("{}{core}{}", "[".repeat(levels), "]".repeat(levels)),
        1 => format!("{}{core}{}", r#"{"request_uri":"#.repeat(levels), "}".repeat(levels)),
        _ => core.to_owned(),
    }
}
