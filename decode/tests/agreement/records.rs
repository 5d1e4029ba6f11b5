//! Records as servers write them, and what may become of them on the way.

mod object;

use beaconfire_decode::Format;

pub(crate) use object::object;
use object::{FORMATS, quoted};

/// Draws from a number that the test chose, always the same.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % sides as u64) as usize
    }

    pub(crate) fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

const TIMES: [&str; 24] = [
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.678901Z",
    "2026-01-02T03:04:05,5+02:00",
    "2026-01-02 03:04:05",
    "2026-01-02T03:04:06-0730",
    "2024-02-29T23:59:60+01",
    "2026-02-29T00:00:00Z",
    "02/Jan/2026:03:04:05 +0000",
    "02/Jan/2026:03:04:06 -0130",
    "02/Jan/2026:03:04:05.678",
    "02/Jan/2026:03:04:05.67890",
    "02/Jan/2026:03:04:05.678 +0200",
    "1767323045",
    "1767323045.678",
    "1767323045678",
    "1767323045678901",
    "1767323045678901234",
    "1.767323045678e9",
    "0001-01-01T00:00:00Z",
    "-1",
    "18446744073709551615",
    "yesterday",
    " 2026-01-02T03:04:05Z ",
    "0",
];
const ADDRESSES: [&str; 16] = [
    "203.0.113.7",
    "10.0.0.1",
    "203.0.113.7:4711",
    "2001:db8::9",
    "[2001:db8::9]:443",
    "[2001:db8::9]",
    "fe80::1%eth0",
    "::ffff:10.0.0.2",
    "unix:",
    "unknown",
    "198.51.100.9",
    "10.0.0.1:80",
    "203.0.113.7:99999",
    "\"203.0.113.8\"",
    " 6.6.6.6 ",
    "10.0.0.3",
];
const LINES: [&str; 10] = [
    "GET /cart?id=1 HTTP/1.1",
    "GET http://shop.example.com/cart?id=1&x=[2] HTTP/1.1",
    "GET /a b c HTTP/2.0",
    "POST https://shop.example.com HTTP/1.0",
    "-",
    "GET /",
    "HTTP/1.1",
    r"\x16\x03\x01",
    "OPTIONS * HTTP/1.1",
    "",
];
const BLANKS: [&str; 6] = ["", "", " ", "\n", "\t", " \r\n "];

/// A line of nginx's or Apache's, and what senders have put in it.
pub(crate) fn line(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let said = |of: &[&str], dice: &mut Dice| -> String {
        let sender =
            ["x", " ", "6.6.6.6", "[", "] \"", "\"", "\\", "é", "[02/Jan/2020:03:04:05 +0000]", "\" 200 5"];
        match dice.roll(4) {
            0 => {
                let text: String = (0..dice.roll(5)).map(|_| dice.pick(&sender)).collect();
                match dice.roll(3) {
                    // As nginx does, as Apache does, and as nobody should.
                    0 => text.replace('\\', r"\x5C").replace('"', r"\x22"),
                    1 => text.replace('\\', r"\\").replace('"', "\\\""),
                    _ => text,
                }
            }
            _ => dice.pick(of).to_owned(),
        }
    };
    let vhost =
        if dice.one_in(3) { said(&["shop.example.com ", "a:443 ", "- "], &mut dice) } else { String::new() };
    let peer = if dice.one_in(6) { dice.pick(&ADDRESSES) } else { "203.0.113.7" };
    let user = said(&["-", "-", "alice"], &mut dice);
    let time = if dice.one_in(6) { dice.pick(&TIMES) } else { "02/Jan/2026:03:04:05 +0000" };
    let request = said(&LINES, &mut dice);
    let status = dice.pick(&["200", "404", "400", "-", "200", "200", "302", "503", "20"]);
    let size = dice.pick(&["512", "0", "-", "99999999999999999999", "512", "512", "7", "5", "5x"]);
    let mut line = format!(r#"{vhost}{peer} - {user} [{time}] "{request}" {status} {size}"#);
    if !dice.one_in(4) {
        let referer = said(&["-", "http://shop.example.com/"], &mut dice);
        let agent = said(&["Firefox", "-", "Mozilla/5.0 (X; \\\"y\\\")"], &mut dice);
        line += &format!(r#" "{referer}" "{agent}""#);
        line += dice.pick(&[
            "",
            "",
            "",
            r#" "-""#,
            r#" "198.51.100.9""#,
            r#" "6.6.6.6, 198.51.100.9" 0.012 0.011, 0.001"#,
            " 0.012 0.011 .",
            " 431 0.012",
            r#" "-" rt=0.012 uct="0.000" urt="0.011, 0.001 : 0.002" ucs="-""#,
            r#" rt=- urt="0.011, 0.001""#,
            r#" "198.51.100.9" "shop.example.com""#,
            " rt=1.2.3",
            " 89 0.003 [shop-web-8080] [] 10.1.0.5:8080, 10.1.0.6:8080 0, 512 0.000, 0.002 502, 200 529a00",
            " 89 0.003 [shop-web-8080] 10.1.0.5:8080 512 0.002 200",
            " 89 .003 [-] [] - - - 529a00",
            r#" 262 "shop-web@docker" "http://10.1.0.3:5601" 2ms"#,
            r#" 262 "-" "-" 0ms"#,
        ]);
    }
    line
}

/// A value of the log: a record, or several, by themselves or in an envelope. With it what `format` to ask for by name.
pub(crate) fn record(which: usize, seeds: &[u64]) -> (String, Format) {
    let mut dice = Dice::new(which as u64 ^ 0x5eed);
    let is_text = which.is_multiple_of(4);
    let one = |seeds: &[u64]| {
        if is_text { line(seeds.first().copied().unwrap_or(0)) } else { object(which, seeds) }
    };
    let texts = [Format::Combined, Format::IngressNginx, Format::Traefik, Format::Combined];
    let format = if is_text { texts[which / 4 % 4] } else { FORMATS[which % FORMATS.len()].0 };
    let first = one(seeds);
    let text = match dice.roll(12) {
        0 if is_text => format!("{first}\r\n\n{}\n", one(seeds.get(1..).unwrap_or_default())),
        0 => format!("{first}{}{}", dice.pick(&BLANKS), one(seeds.get(1..).unwrap_or_default())),
        1 => {
            let key = dice.pick(&["log", "message", "MESSAGE", "event.original"]);
            let time = quoted(dice.pick(&TIMES), &mut dice);
            format!(
                r#"{{"time":{time},"{key}":{},"stream":"stdout"}}"#,
                quoted(&format!("{first}\n"), &mut dice)
            )
        }
        2 if !is_text => format!(r#"{{"@timestamp":"2026-01-02T03:04:06Z","event":{first}}}"#),
        3 if !is_text => format!("[1767323045.5,{first}]"),
        4 if !is_text => format!("[{first},{first}]"),
        5 => format!("\u{feff} {first}\n\0"),
        _ => first,
    };
    (text, format)
}

/// What may be put into a record.
const PIECES: [&[u8]; 32] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"-",
    b" ",
    b"\n",
    b"\0",
    b"'",
    b"\\u",
    b"\\ud83d",
    b"\\udc00",
    b"\\x22",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98",
    b"] \"",
    b"\" 200 5",
    b"\"\"",
    b"null",
    b"1e",
    b".",
    b"6.6.6.6 ",
    b"\t",
    b"\xef\xbb\xbf",
    b"/",
    b"0",
];

/// Damages a record.
pub(crate) fn mutate(bytes: &mut Vec<u8>, (how, at, with): (u8, usize, u8)) {
    if bytes.is_empty() {
        return;
    }
    let at = at % bytes.len();
    match how % 8 {
        0 => bytes[at] = with,
        1 => bytes[at] ^= 1 << (with % 8),
        2 => bytes.truncate(at),
        3 => {
            bytes.remove(at);
        }
        4 | 5 => {
            let piece = PIECES[usize::from(with) % PIECES.len()];
            bytes.splice(at..at, piece.iter().copied());
        }
        6 => {
            let end = (at + usize::from(with)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let swapped = |byte: &u8| match byte {
                b'"' => b'\'',
                b'\'' => b'"',
                byte => *byte,
            };
            let end = (at + usize::from(with)).min(bytes.len());
            let other: Vec<u8> = bytes[at..end].iter().map(swapped).collect();
            bytes.splice(at..end, other);
        }
    }
}
