//! InfluxDB's line protocol: `measurement,tag=value field=1i,other="text" 1476477530000000000`.
//!
//! A backslash keeps a comma, blank or equals sign in a name, and a quote in a text; elsewhere it stands for itself. A
//! line that breaks any rule is none: half a line would be half a workload's name.

use std::borrow::Cow;

use super::parse;

/// Bytes of a name or a tag's value at most: InfluxDB's own bound.
const NAME_BYTES_MAX: usize = 64 << 10;
/// Tags and fields at most.
const PAIRS_MAX: usize = 1000;

/// A line, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Line<'t> {
    pub(crate) measurement: Cow<'t, str>,
    pub(crate) tags: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    pub(crate) fields: Vec<(Cow<'t, str>, Field<'t>)>,
    /// Since 1970, in the unit that its size tells; empty where the line has none.
    pub(crate) time: &'t str,
}

/// A field's value.
#[derive(Debug, PartialEq)]
pub(crate) enum Field<'t> {
    /// A number: `1i`, `1u`, `1.5`; and its digits.
    Number(f64, &'t str),
    /// `t`, `true`, `f`, `false` in their spellings.
    Truth(bool),
    /// Text in quotes.
    Text(Cow<'t, str>),
}

/// Whether a line may be one, by its beginning: a name, and behind it a comma or a blank with an equals sign in what
/// follows. Access logs have a bracket or a quote before that.
pub(crate) fn begins(line: &str) -> bool {
    let end = line.bytes().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(0);
    end > 0
        && line.as_bytes()[..end].iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:\\/".contains(byte))
        && line[end + 1..].bytes().find(|byte| matches!(byte, b'=' | b' ' | b'"' | b'[')) == Some(b'=')
}

/// Takes a line apart; `None` where it is none.
pub(crate) fn read(line: &str) -> Option<Line<'_>> {
    let mut rest = line;
    let measurement = name(&mut rest, b", ")?;
    let mut tags = Vec::new();
    while let Some(behind) = rest.strip_prefix(',') {
        rest = behind;
        let key = name(&mut rest, b"=")?;
        rest = rest.strip_prefix('=')?;
        tags.push((key, name(&mut rest, b", ")?));
        if tags.len() > PAIRS_MAX {
            return None;
        }
    }
    rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
    let mut fields = Vec::new();
    loop {
        let key = name(&mut rest, b"=")?;
        rest = rest.strip_prefix('=')?;
        fields.push((key, value(&mut rest)?));
        if fields.len() > PAIRS_MAX {
            return None;
        }
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    let time = rest.trim_matches(' ');
    let is_time = time.strip_prefix('-').unwrap_or(time).bytes().all(|byte| byte.is_ascii_digit());
    (is_time && (rest.is_empty() || rest.starts_with(' '))).then_some(Line {
        measurement,
        tags,
        fields,
        time,
    })
}

/// What stands before the first of `ends` that no backslash keeps. Never empty.
fn name<'t>(rest: &mut &'t str, ends: &[u8]) -> Option<Cow<'t, str>> {
    let bytes = rest.as_bytes();
    let (mut at, mut escaped) = (0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if matches!(bytes.get(at + 1), Some(b',' | b' ' | b'=' | b'\\')) => {
                escaped = true;
                at += 1;
            }
            byte if ends.contains(byte) => break,
            // A blank or comma that nothing keeps ends a tag's name too soon.
            b' ' | b',' => return None,
            _ => {}
        }
        at += 1;
    }
    // Behind a backslash at the very end nothing stands.
    let (found, behind) = rest.split_at_checked(at.min(bytes.len()))?;
    if found.is_empty() || found.len() > NAME_BYTES_MAX {
        return None;
    }
    *rest = behind;
    Some(if escaped { Cow::Owned(kept(found, b", =\\")) } else { Cow::Borrowed(found) })
}

/// `text` without the backslashes before what they keep.
fn kept(text: &str, keeps: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next)) if next.is_ascii() && keeps.contains(&(*next as u8)) => {
                out.extend(chars.next())
            }
            _ => out.push(c),
        }
    }
    out
}

fn value<'t>(rest: &mut &'t str) -> Option<Field<'t>> {
    if let Some(text) = rest.strip_prefix('"') {
        let bytes = text.as_bytes();
        let mut at = 0;
        loop {
            match bytes.get(at)? {
                b'\\' => at += 2,
                b'"' => break,
                _ => at += 1,
            }
        }
        let found = text.get(..at)?;
        *rest = text.get(at + 1..)?;
        let is_plain = !found.contains('\\');
        return Some(Field::Text(if is_plain { found.into() } else { kept(found, b"\"\\").into() }));
    }
    let end = rest.bytes().position(|byte| matches!(byte, b',' | b' ')).unwrap_or(rest.len());
    let (found, behind) = rest.split_at(end);
    *rest = behind;
    match found {
        "t" | "T" | "true" | "True" | "TRUE" => Some(Field::Truth(true)),
        "f" | "F" | "false" | "False" | "FALSE" => Some(Field::Truth(false)),
        _ => {
            let digits = found.strip_suffix(['i', 'u']).unwrap_or(found);
            parse(digits).map(|number| Field::Number(number, digits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        let line = read(
            r#"cpu\ x,host=a\,b\ c,k\=ey=v\x n=1i,u=2u,f=-1.5e3,t=T,s="a \"b\" , c=\d" 1476477530000000000"#,
        )
        .unwrap();
        assert_eq!(line.measurement, "cpu x");
        assert_eq!(line.tags, [("host".into(), "a,b c".into()), ("k=ey".into(), r"v\x".into())]);
        assert_eq!(
            line.fields,
            [
                ("n".into(), Field::Number(1.0, "1")),
                ("u".into(), Field::Number(2.0, "2")),
                ("f".into(), Field::Number(-1500.0, "-1.5e3")),
                ("t".into(), Field::Truth(true)),
                ("s".into(), Field::Text(r#"a "b" , c=\d"#.into())),
            ]
        );
        assert_eq!(line.time, "1476477530000000000");
        assert_eq!(read("cpu usage=1").unwrap().time, "");
    }

    #[test]
    fn what_breaks_a_rule_is_no_line() {
        for text in [
            "",
            "cpu",
            "cpu ",
            "cpu,host=a",
            "cpu,host=a ",
            "cpu,host= usage=1",
            "cpu,=a usage=1",
            "cpu usage",
            "cpu usage=",
            "cpu usage=x",
            "cpu usage=1 now",
            "cpu usage=1 1 2",
            "cpu usage=1,",
            "cpu s=\"x",
            "cpu s=\"x\\",
            "cpu,host=a\\",
            ",host=a usage=1",
            "cpu,a b=c usage=1",
            "cpu s=\"x\"y",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[a,= "\\\\é0-9i\[]{0,40}"#) {
            let _ = (begins(&text), read(&text));
        }

        /// Any words, written by the rules, are read back.
        #[test]
        fn what_is_written_is_read(
            words in prop::collection::vec("[a-z ,=\"é]{1,8}", 3),
            said in r#"[a-z ,="\\\\]{0,8}"#,
            number: i64,
        ) {
            let name = |word: &str| word.replace(',', r"\,").replace(' ', r"\ ").replace('=', r"\=");
            let text = said.replace('\\', r"\\").replace('"', r#"\""#);
            let line = format!(
                "{},{}={} {}={number}i,s=\"{text}\" {}", name(&words[0]), name(&words[1]), name(&words[2]), name(&words[1]), number.unsigned_abs()
            );
            let read = read(&line);
            prop_assert!(read.is_some(), "{}", line);
            let read = read.unwrap();
            prop_assert_eq!(&read.measurement, &words[0]);
            prop_assert_eq!(&read.tags, &[(Cow::from(&words[1]), Cow::from(&words[2]))]);
            prop_assert_eq!(&read.fields[1].1, &Field::Text(said.into()));
            prop_assert_eq!(&read.fields[0].1, &Field::Number(number as f64, &number.to_string()));
        }
    }
}
