//! What was asked for: request lines and their targets.

use beaconfire_model::TargetForm;

use crate::scan;

/// `GET /cart?id=1 HTTP/1.1`, taken apart. What is not written like that is all target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Line<'b> {
    pub(crate) method: &'b str,
    pub(crate) target: &'b str,
    pub(crate) version: &'b str,
}

impl<'b> Line<'b> {
    #[inline(always)]
    pub(crate) fn of(line: &'b str) -> Self {
        if matches!(line, "" | "-") {
            return Self::default();
        }
        let bytes = line.as_bytes();
        let last = match bytes.last_chunk::<9>() {
            // What nearly all end in.
            Some([name @ .., major, b'.', b'0'..=b'9']) if *name == *b" HTTP/" && *major != b' ' => {
                Some(bytes.len() - 9)
            }
            _ => memchr::memrchr(b' ', bytes),
        };
        let (rest, version) = match last {
            Some(at) if bytes[at + 1..].starts_with(b"HTTP/") => (&line[..at], &line[at + 6..]),
            _ => (line, ""),
        };
        // Methods are shorter than what a search needs to get going.
        let few = rest.as_bytes().first_chunk().and_then(first_blank);
        match few.or_else(|| memchr::memchr(b' ', rest.as_bytes())) {
            Some(at) => Self { method: &line[..at], target: &rest[at + 1..], version },
            None => Self { method: "", target: rest, version },
        }
    }
}

/// Where the first blank is among these.
#[inline(always)]
fn first_blank(bytes: &[u8; 8]) -> Option<usize> {
    let bytes = u64::from_le_bytes(*bytes) ^ 0x2020_2020_2020_2020;
    // The lowest of the bytes that are zero has its highest bit.
    let blanks = bytes.wrapping_sub(0x0101_0101_0101_0101) & !bytes & 0x8080_8080_8080_8080;
    (blanks != 0).then(|| blanks.trailing_zeros() as usize / 8)
}

/// A request's target, taken apart: `/cart?id=1`, or `http://shop.example.com/cart` as proxies are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Target<'b> {
    pub(crate) host: &'b str,
    pub(crate) path: &'b str,
    pub(crate) query: &'b str,
}

impl<'b> Target<'b> {
    #[inline]
    pub(crate) fn of(target: &'b str) -> Self {
        let (path, query) = match scan::byte(target.as_bytes(), 0, b'?') {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, ""),
        };
        if path.starts_with('/') {
            return Self { host: "", path, query };
        }
        let absolute = path.strip_prefix("http://").or_else(|| path.strip_prefix("https://"));
        match absolute.map(|rest| rest.split_at(memchr::memchr(b'/', rest.as_bytes()).unwrap_or(rest.len())))
        {
            Some((host, "")) => Self { host, path: "/", query },
            Some((host, path)) => Self { host, path, query },
            None => Self { host: "", path, query },
        }
    }
}

/// What a request line of this version says by naming `named`, where the record has `host` of its own.
///
/// Later versions of HTTP name the host of every request, which some servers log as a whole URL.
#[cold]
#[inline(never)]
pub(crate) fn form(version: &str, named: &str, host: &str) -> TargetForm {
    if !version.starts_with("1.") {
        return TargetForm::Path;
    }
    let (named, host) = (bare(named), bare(host));
    // What has no dot (`_`, `localhost`) is a server that was never told its name.
    if host.contains('.') && !is_within(named, host) && !is_within(host, named) {
        TargetForm::Elsewhere
    } else {
        TargetForm::Url
    }
}

/// A host without the user before it, the port and the last dot.
fn bare(host: &str) -> &str {
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((before, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}

/// Whether a host is this domain, or a name in it: `www.shop.example.com` in `shop.example.com`.
fn is_within(host: &str, domain: &str) -> bool {
    let Some(at) = host.len().checked_sub(domain.len()) else { return false };
    let (before, end) = host.as_bytes().split_at(at);
    end.eq_ignore_ascii_case(domain.as_bytes()) && (before.is_empty() || before.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        for (line, method, target, version) in [
            ("GET / HTTP/1.1", "GET", "/", "1.1"),
            ("GET /a b c HTTP/2.0", "GET", "/a b c", "2.0"),
            ("GET /", "GET", "/", ""),
            ("/", "", "/", ""),
            ("-", "", "", ""),
            ("", "", "", ""),
            (r"\x16\x03\x01", "", r"\x16\x03\x01", ""),
            (" HTTP/1.1", "", "", "1.1"),
        ] {
            assert_eq!(Line::of(line), Line { method, target, version }, "{line}");
        }
    }

    #[test]
    fn targets() {
        for (target, host, path, query) in [
            ("/cart?id=1?2", "", "/cart", "id=1?2"),
            ("http://a.example/x?q", "a.example", "/x", "q"),
            ("http://a.example", "a.example", "/", ""),
            ("https://a.example?q", "a.example", "/", "q"),
            ("a.example:443", "", "a.example:443", ""),
            ("*", "", "*", ""),
        ] {
            assert_eq!(Target::of(target), Target { host, path, query }, "{target}");
        }
    }

    #[test]
    fn forms() {
        use TargetForm::{Elsewhere, Path, Url};
        for (version, named, host, expected) in [
            ("1.1", "elsewhere.example", "shop.example.com", Elsewhere),
            ("1.0", "elsewhere.example:8080", "203.0.113.7", Elsewhere),
            ("1.1", "shop.example.com@elsewhere.example", "shop.example.com", Elsewhere),
            ("1.1", "badshop.example.com", "shop.example.com", Elsewhere),
            ("1.1", "shop.example.com", "Shop.Example.com:443", Url),
            ("1.1", "www.shop.example.com.", "shop.example.com", Url),
            ("1.1", "shop.example.com", "www.shop.example.com", Url),
            ("1.1", "elsewhere.example", "", Url),
            ("1.1", "elsewhere.example", "_", Url),
            ("2.0", "elsewhere.example", "shop.example.com", Path),
            ("", "elsewhere.example", "shop.example.com", Path),
        ] {
            assert_eq!(form(version, named, host), expected, "{version} {named} {host}");
        }
    }
}
