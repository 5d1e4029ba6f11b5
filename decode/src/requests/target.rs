//! What was asked for: request lines and their targets.

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
}
