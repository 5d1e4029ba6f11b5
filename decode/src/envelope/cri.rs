//! The lines of container runtimes: `2026-01-02T03:04:05.123456789Z stdout F text`. A long line comes in parts (`P`),
//! the last of which says `F`. Parts wait here until it comes; meanwhile they hold back what may be committed.

use std::collections::BTreeMap;

use beaconfire_model::{EventTime, Offset, Source};

/// Bytes of one line in parts at most.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Lines in parts at most, over all sources of a decoder.
const LINES_MAX: usize = 64;
/// Once its source is so many offsets further, a line's end will not come: what is there is read as the whole. Without
/// this a container that died in mid-line would hold back commits for ever.
const OFFSETS_MAX: i64 = 10_000;

/// Which of a container's two outputs a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A line with its prefix taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cri<'b> {
    /// When the runtime got it, as text.
    pub(crate) time: &'b str,
    pub(crate) stream: Stream,
    /// Whether the line goes on in a later record.
    pub(crate) partial: bool,
    /// What the container wrote.
    pub(crate) text: &'b str,
}

/// Takes the prefix off; `None` where there is none.
pub(crate) fn strip(line: &str) -> Option<Cri<'_>> {
    let bytes = line.as_bytes();
    if bytes.get(4) != Some(&b'-') || !bytes[0].is_ascii_digit() {
        return None;
    }
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = match rest.split_at_checked(7)? {
        ("stdout ", rest) => (Stream::Stdout, rest),
        ("stderr ", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    // Further tags may follow the first, as in `P:tag`.
    let (tags, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let partial = match tags.split(':').next() {
        Some("F") => false,
        Some("P") => true,
        _ => return None,
    };
    Some(Cri { time, stream, partial, text })
}

/// Lines of which only parts have come, by source, output and, where an envelope tells it, pod.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<(Source, Stream, Box<str>), Line>);

/// What has come of a line.
#[derive(Debug)]
pub(crate) struct Line {
    first: Offset,
    /// The parts, one after the other; empty once they were too long.
    pub(crate) text: String,
    /// When the first part was written.
    pub(crate) time: Option<EventTime>,
    overflown: bool,
}

/// Why a part was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The line is longer than 64 KiB. Said once; the rest of the line is passed over in silence.
    Line,
    /// Too many lines are in parts.
    Table,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a part that is not the last.
    pub(crate) fn keep(
        &mut self,
        (source, stream, pod): (Source, Stream, &str),
        at: Offset,
        time: Option<EventTime>,
        text: &str,
    ) -> Result<(), Full> {
        let key = (source, stream, Box::from(pod));
        if !self.0.contains_key(&key) && self.0.len() >= LINES_MAX {
            return Err(Full::Table);
        }
        let line = self.0.entry(key).or_insert_with(|| Line {
            first: at,
            text: String::new(),
            time,
            overflown: false,
        });
        line.append(text)
    }

    /// The whole line, now that its last part has come; `None` where nothing came before it. A line that was too long
    /// comes out empty.
    pub(crate) fn finish(
        &mut self,
        (source, stream, pod): (Source, Stream, &str),
        text: &str,
    ) -> Option<Result<Line, Full>> {
        if self.0.is_empty() {
            return None;
        }
        let mut line = self.0.remove(&(source, stream, Box::from(pod)))?;
        Some(line.append(text).map(|()| line))
    }

    /// A line whose end is not going to come, taken out; one at a time serves, as each record asks.
    pub(crate) fn overdue(&mut self, source: Source, now: Offset) -> Option<Line> {
        let key = self
            .0
            .iter()
            .find(|((of, ..), line)| *of == source && now.0.saturating_sub(line.first.0) > OFFSETS_MAX)
            .map(|(key, _)| key.clone())?;
        self.0.remove(&key).filter(|line| !line.overflown)
    }

    /// The first offset that a line of this source began at.
    pub(crate) fn lowest(&self, source: Source) -> Option<Offset> {
        self.0.iter().filter(|((of, ..), _)| *of == source).map(|(_, line)| line.first).min()
    }

    pub(crate) fn forget(&mut self, source: Source) {
        self.0.retain(|(of, ..), _| *of != source);
    }
}

impl Line {
    /// Whether the line was too long and was refused already.
    pub(crate) fn was_refused(&self) -> bool {
        self.overflown
    }

    fn append(&mut self, text: &str) -> Result<(), Full> {
        if self.overflown {
            return Ok(());
        }
        if self.text.len() + text.len() > LINE_BYTES_MAX {
            self.overflown = true;
            self.text = String::new();
            return Err(Full::Line);
        }
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (line, meant) in [
            ("2026-01-02T03:04:05.1Z stdout F a b", Some((Stream::Stdout, false, "a b"))),
            ("2026-01-02T03:04:05.1+02:00 stderr P a", Some((Stream::Stderr, true, "a"))),
            ("2026-01-02T03:04:05.1Z stdout P:tag a", Some((Stream::Stdout, true, "a"))),
            ("2026-01-02T03:04:05.1Z stdout F ", Some((Stream::Stdout, false, ""))),
            ("2026-01-02T03:04:05.1Z stdout F", Some((Stream::Stdout, false, ""))),
            ("2026-01-02T03:04:05.1Z stdout X a", None),
            ("2026-01-02T03:04:05.1Z stdlog F a", None),
            ("203.0.113.7 - - [x]", None),
            ("", None),
        ] {
            let found = strip(line).map(|cri| (cri.stream, cri.partial, cri.text));
            assert_eq!(found, meant, "{line}");
        }
    }
}
