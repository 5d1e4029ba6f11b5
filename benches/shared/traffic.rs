//! Access-log lines of a busy site: many clients, many pages, the usual agents and statuses, now and then a login, and
//! one client that floods for a while. The same seed gives the same lines.

use beaconfire_model::EventTime;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// How requests fall to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    /// Nobody makes more than about a thousandth of all: hardly a client comes twice in a second, which is the most
    /// work for windows.
    Even,
    /// A Zipf distribution with s = 1.1: a few proxies, crawlers and
    /// offices make half of all requests.
    Skewed,
}

/// Clients, a tenth of them with IPv6 addresses.
const CLIENTS: u32 = 100_000;
/// Requests a second, of event time.
const RATE: i64 = 5_000;
/// One in so many is the flood's, in the middle third of the lines.
const FLOOD: u32 = 100;

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "okhttp/4.12.0",
    "-",
];

/// One request.
pub(crate) struct Line {
    /// A number for the client: the same client, the same number.
    pub(crate) client: u32,
    /// Its line of the log.
    pub(crate) text: String,
}

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Combined,
    NginxJson,
}

impl Format {
    /// As `kafka.topics` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::NginxJson => "nginx-json",
        }
    }
}

/// `count` lines, the last of them at `end`.
pub(crate) fn lines(
    format: Format,
    crowd: Crowd,
    count: usize,
    end: EventTime,
) -> impl Iterator<Item = Line> {
    let mut random = StdRng::seed_from_u64(4);
    (0..count).map(move |number| {
        let behind = (count - number) as i64 * 1000 / RATE;
        let flood = (count / 3..count * 2 / 3).contains(&number) && random.random_ratio(1, FLOOD);
        let client = if flood { u32::MAX } else { visitor(crowd, &mut random) };
        // Servers log a request when it ends, so times are out of order by how long requests took.
        let took = (random.random::<f64>().powi(8) * 2_000.0) as i64;
        let at = EventTime::from_millis(end.millis() - behind - took);
        Line { client, text: written(format, client, at, took, &mut random) }
    })
}

/// Small numbers come often: a Zipf distribution (s = 1.1), for the even crowd without its first 200.
fn visitor(crowd: Crowd, random: &mut StdRng) -> u32 {
    let skipped = match crowd {
        Crowd::Even => 200,
        Crowd::Skewed => 1,
    };
    let share = |number: u32| f64::from(number).powf(-0.1);
    let (first, last) = (share(skipped), share(skipped + CLIENTS));
    let number = (first - random.random::<f64>() * (first - last)).powf(-10.0) - f64::from(skipped);
    (number as u32).min(CLIENTS - 1)
}

fn address(client: u32) -> String {
    // Spread over the address space, as people are; the test ranges alone would be a few prefixes.
    let spread = client.wrapping_mul(0x9e37_79b1);
    match client {
        u32::MAX => "203.0.113.66".to_owned(),
        _ if client % 10 == 9 => {
            format!("2001:db8:{:x}:{:x}::{:x}", spread >> 16, spread & 0xffff, client & 0xff)
        }
        _ => format!(
            "{}.{}.{}.{}",
            11 + (spread >> 24) % 100,
            spread >> 16 & 255,
            spread >> 8 & 255,
            client % 254 + 1
        ),
    }
}

fn written(format: Format, client: u32, at: EventTime, took: i64, random: &mut StdRng) -> String {
    let address = address(client);
    let (method, path, status) = match random.random_range(0..1000u32) {
        0..3 => ("POST", "/login".to_owned(), if random.random_ratio(1, 5) { 401 } else { 302 }),
        3..20 => ("GET", format!("/old/{:x}", random.random::<u16>()), 404),
        20..23 => ("GET", "/api/report".to_owned(), 502),
        23..100 => ("POST", format!("/api/v2/carts/{}/items", random.random::<u16>()), 201),
        100..450 => {
            ("GET", format!("/static/{:04x}.js?v=20260{}", random.random_range(0..400u32), client % 10), 200)
        }
        450..700 => ("GET", format!("/img/products/{}.webp", random.random_range(0..20_000u32)), 200),
        _ => (
            "GET",
            format!("/shop/item-{}?ref=list&page={}", random.random_range(0..30_000u32), client % 40),
            200,
        ),
    };
    let bytes = random.random_range(200..60_000u32);
    let agent = AGENTS[(client % 13 * 5 / 12) as usize % AGENTS.len()];
    let referer = if client.is_multiple_of(3) { "-" } else { "https://www.example.com/shop/list?page=3" };
    let stamp = jiff::Timestamp::from_millisecond(at.millis()).expect("a time of our days");
    match format {
        Format::Combined => {
            let time = stamp.strftime("%d/%b/%Y:%H:%M:%S +0000");
            format!(
                r#"{address} - - [{time}] "{method} {path} HTTP/1.1" {status} {bytes} "{referer}" "{agent}""#
            )
        }
        Format::NginxJson => {
            let time = stamp.strftime("%Y-%m-%dT%H:%M:%S.%3f+00:00");
            let seconds = took as f64 / 1000.0;
            format!(
                r#"{{"time_iso8601":"{time}","remote_addr":"{address}","request_method":"{method}","host":"www.example.com","request_uri":"{path}","server_protocol":"HTTP/1.1","status":"{status}","body_bytes_sent":"{bytes}","request_time":"{seconds:.3}","http_user_agent":"{agent}"}}"#
            )
        }
    }
}
