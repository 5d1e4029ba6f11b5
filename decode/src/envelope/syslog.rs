//! Syslog before a record: RFC 3164 (`<190>Oct 25 14:49:33 edge nginx: text`, also without the priority or the host),
//! its newer spelling with an RFC 3339 time, and RFC 5424 (`<190>1 2026-01-02T03:04:05Z edge nginx 7 - - text`).

/// A message with its header taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syslog<'b> {
    /// Its time, where it has a year; RFC 3164's own has none.
    pub(crate) time: &'b str,
    /// The host that wrote it.
    pub(crate) host: &'b str,
    /// The message.
    pub(crate) text: &'b str,
}

/// Takes the header off; `None` where there is none, which a line's first five bytes nearly always tell.
pub(crate) fn strip(line: &str) -> Option<Syslog<'_>> {
    let rest = match line.strip_prefix('<') {
        Some(rest) => {
            let (priority, rest) = rest.split_once('>')?;
            let valid = matches!(priority.len(), 1..=3) && priority.bytes().all(|byte| byte.is_ascii_digit());
            valid.then_some(rest)?
        }
        None => line,
    };
    if rest.len() < line.len()
        && let Some(rest) = rest.strip_prefix("1 ")
    {
        return rfc5424(rest);
    }
    if let Some(rest) = behind_old_time(rest) {
        return Some(tagged("", rest));
    }
    let bytes = rest.as_bytes();
    if bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T') && bytes[0].is_ascii_digit() {
        let (time, rest) = rest.split_once(' ')?;
        return Some(tagged(time, rest));
    }
    None
}

/// What stands behind `Oct  5 14:49:33 `; some pad the day with nothing.
fn behind_old_time(text: &str) -> Option<&str> {
    let (day, clock, rest) = match *text.as_bytes() {
        [_, _, _, b' ', d, e, b' ', h, i, b':', u, v, b':', s, t, b' ', ..] => {
            ([if d == b' ' { b'0' } else { d }, e], [h, i, u, v, s, t], 16)
        }
        [_, _, _, b' ', e, b' ', h, i, b':', u, v, b':', s, t, b' ', ..] => {
            ([b'0', e], [h, i, u, v, s, t], 15)
        }
        _ => return None,
    };
    let months = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let known = months.chunks_exact(3).any(|month| text.as_bytes().starts_with(month));
    let digits = day.iter().chain(&clock).all(u8::is_ascii_digit);
    (known && digits).then(|| &text[rest..])
}

/// `edge nginx[7]: text`; the host or the tag or both may be left out.
fn tagged<'b>(time: &'b str, text: &'b str) -> Syslog<'b> {
    // An IPv6 address may end in two colons.
    let is_tag = |word: &str| word.ends_with(':') && !word.ends_with("::");
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    if is_tag(first) {
        return Syslog { time, host: "", text: rest };
    }
    // `203.0.113.7 - - […`: an access log's line with nothing before it. Its client is no host.
    if rest.starts_with("- ") {
        return Syslog { time, host: "", text };
    }
    match rest.split_once(' ') {
        Some((tag, message)) if is_tag(tag) => Syslog { time, host: first, text: message },
        _ => Syslog { time, host: first, text: rest },
    }
}

/// `time host app procid msgid [data…] text`, behind the version.
fn rfc5424(text: &str) -> Option<Syslog<'_>> {
    let mut parts = text.splitn(6, ' ');
    let (time, host) = (parts.next()?, parts.next()?);
    let rest = parts.nth(3)?;
    let text = if let Some(text) = rest.strip_prefix('-') { text } else { behind_data(rest)? };
    let text = text.strip_prefix(' ').unwrap_or(text);
    let none = |field| if field == "-" { "" } else { field };
    Some(Syslog { time: none(time), host: none(host), text: text.strip_prefix('\u{feff}').unwrap_or(text) })
}

/// What stands behind `[id key="value"][id …]`. A bracket inside a value is escaped or quoted.
fn behind_data(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let (mut at, mut quoted) = (0, false);
    while bytes.get(at) == Some(&b'[') {
        loop {
            at += 1;
            match bytes.get(at)? {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
        }
        at += 1;
    }
    (at > 0).then(|| &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        for (line, meant) in [
            ("<190>Oct 25 14:49:33 edge nginx: a b", Some(("", "edge", "a b"))),
            ("<190>Oct  5 14:49:33 nginx: a b", Some(("", "", "a b"))),
            ("<190>Oct 5 14:49:33 edge nginx: a b", Some(("", "edge", "a b"))),
            ("Oct 5 14:49:33 edge: a", Some(("", "", "a"))),
            ("Jul 30 09:03:52 edge haproxy[32450]: a b", Some(("", "edge", "a b"))),
            ("Jul 30 09:03:52 edge a b", Some(("", "edge", "a b"))),
            ("Jul 30 09:03:52 203.0.113.7 - - [x]", Some(("", "", "203.0.113.7 - - [x]"))),
            ("Jul 30 09:03:52 edge 203.0.113.7 - - [x]", Some(("", "edge", "203.0.113.7 - - [x]"))),
            ("Jul 30 09:03:52 2001:db8:: - - [x]", Some(("", "", "2001:db8:: - - [x]"))),
            ("Jul 30 09:03:52 edge 2001:db8:: - - [x]", Some(("", "edge", "2001:db8:: - - [x]"))),
            (
                "<13>2026-01-02T03:04:05.1+00:00 edge nginx: a",
                Some(("2026-01-02T03:04:05.1+00:00", "edge", "a")),
            ),
            ("2026-01-02T03:04:05Z edge nginx: a", Some(("2026-01-02T03:04:05Z", "edge", "a"))),
            (
                "<190>1 2026-01-02T03:04:05Z edge nginx 7 - - a b",
                Some(("2026-01-02T03:04:05Z", "edge", "a b")),
            ),
            ("<190>1 - - - - - - \u{feff}a", Some(("", "", "a"))),
            (r#"<190>1 - edge a b c [x@1 k="v\"]"][y] {"a":1}"#, Some(("", "edge", r#"{"a":1}"#))),
            ("<190>1 - edge a b c [x@1 k=\"v", None),
            ("<1900>Oct 25 14:49:33 edge nginx: a", None),
            ("<190>", None),
            ("Okt 25 14:49:33 edge nginx: a", None),
            ("Oct 2a 14:49:33 edge nginx: a", None),
            ("Oct 25  4:49:33 edge nginx: a", None),
            ("203.0.113.7 - - [x]", None),
            ("", None),
        ] {
            let found = strip(line).map(|syslog| (syslog.time, syslog.host, syslog.text));
            assert_eq!(found, meant, "{line}");
        }
    }
}
