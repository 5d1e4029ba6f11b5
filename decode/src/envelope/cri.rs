//! The lines of container runtimes: `2026-01-02T03:04:05.123456789Z stdout F text`. A long line comes in parts (`P`),
//! the last of which says `F`. Parts wait here until it comes; meanwhile they hold back what may be committed.

use std::collections::BTreeMap;

use beaconfire_model::{EventTime, Offset, Source};

/// Bytes of one line in parts at most.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Lines of one source in parts at most: by source, so that a record is not read otherwise for its neighbours.
const LINES_MAX: usize = 64;
/// Bytes of all of them at most: as much as sixteen sources can hold at their worst. Only a decoder that is at this
/// bound reads a source otherwise for its neighbours, and what that costs is rejected and counted.
const BYTES_MAX: usize = 64 << 20;
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

/// Lines of which only parts have come.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// By source, output and, where an envelope tells it, pod.
    lines: BTreeMap<Key, Line>,
    /// What their keys and texts take.
    bytes: usize,
}

type Key = (Source, Stream, Box<str>);

/// Lines in parts of one source, on their way to whoever reads it next.
#[derive(Debug, Clone, Default)]
pub struct Fragments(Vec<((Stream, Box<str>), Line)>);

/// What has come of a line.
#[derive(Debug, Clone)]
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
    /// Too many lines are in parts, or they are too long together.
    Table,
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
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
        let is_full = self.bytes + pod.len() + text.len() > BYTES_MAX;
        if let Some(line) = self.lines.get_mut(&key) {
            let before = line.text.len();
            let kept = if is_full { line.give_up(Full::Table) } else { line.append(text) };
            self.bytes = self.bytes - before + line.text.len();
            return kept;
        }
        if is_full || self.of(source).count() >= LINES_MAX {
            return Err(Full::Table);
        }
        let mut line = Line { first: at, text: String::new(), time, overflown: false };
        let kept = line.append(text);
        self.bytes += pod.len() + line.text.len();
        self.lines.insert(key, line);
        kept
    }

    /// The whole line, now that its last part has come; `None` where nothing came before it. A line that was too long
    /// comes out empty.
    pub(crate) fn finish(
        &mut self,
        (source, stream, pod): (Source, Stream, &str),
        text: &str,
    ) -> Option<Result<Line, Full>> {
        if self.lines.is_empty() {
            return None;
        }
        let mut line = self.take(&(source, stream, Box::from(pod)))?;
        Some(line.append(text).map(|()| line))
    }

    /// A line whose end is not going to come, taken out; one at a time serves, as each record asks.
    pub(crate) fn overdue(&mut self, source: Source, now: Offset) -> Option<Line> {
        let key = self
            .of(source)
            .find(|(_, line)| now.0.saturating_sub(line.first.0) > OFFSETS_MAX)
            .map(|(key, _)| key.clone())?;
        self.take(&key).filter(|line| !line.overflown)
    }

    /// The first offset that a line of this source began at.
    pub(crate) fn lowest(&self, source: Source) -> Option<Offset> {
        self.of(source).map(|(_, line)| line.first).min()
    }

    /// Hands over what there is of a source.
    pub(crate) fn give_up(&mut self, source: Source) -> Fragments {
        let keys: Vec<Key> = self.of(source).map(|(key, _)| key.clone()).collect();
        let lines = keys.into_iter().filter_map(|key| Some((self.take(&key)?, key)));
        Fragments(lines.map(|(line, (_, stream, pod))| ((stream, pod), line)).collect())
    }

    /// Goes on with what another had of a source. Bounds were kept there: for as long as these lines take to end, a
    /// process can hold as much as all its decoders may, in one.
    pub(crate) fn take_over(&mut self, source: Source, fragments: Fragments) {
        for ((stream, pod), line) in fragments.0 {
            self.bytes += pod.len() + line.text.len();
            self.lines.insert((source, stream, pod), line);
        }
    }

    fn of(&self, source: Source) -> impl Iterator<Item = (&Key, &Line)> {
        let first = (source, Stream::Stdout, Box::default());
        self.lines.range(first..).take_while(move |((of, ..), _)| *of == source)
    }

    fn take(&mut self, key: &Key) -> Option<Line> {
        let line = self.lines.remove(key)?;
        self.bytes -= key.2.len() + line.text.len();
        Some(line)
    }
}

impl Line {
    /// Whether the line was too long and was refused already.
    pub(crate) fn was_refused(&self) -> bool {
        self.overflown
    }

    fn append(&mut self, text: &str) -> Result<(), Full> {
        if !self.overflown && self.text.len() + text.len() > LINE_BYTES_MAX {
            return self.give_up(Full::Line);
        }
        if !self.overflown {
            self.text.push_str(text);
        }
        Ok(())
    }

    fn give_up(&mut self, why: Full) -> Result<(), Full> {
        self.text = String::new();
        if std::mem::replace(&mut self.overflown, true) { Ok(()) } else { Err(why) }
    }
}

#[cfg(test)]
mod tests {
    use beaconfire_model::{EntryId, TopicId};

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
    fn source(partition: u32) -> Source {
        Source { entry: EntryId(0), topic: TopicId(0), partition: partition.try_into().unwrap() }
    }

    #[test]
    fn what_one_source_holds_takes_no_room_from_another() {
        let mut held = Held::default();
        let mut keep = |of: u32, pod: usize| {
            held.keep((source(of), Stream::Stdout, &pod.to_string()), Offset(7), None, "x")
        };
        for pod in 0..LINES_MAX {
            assert_eq!(keep(1, pod), Ok(()));
        }
        assert_eq!(keep(1, LINES_MAX), Err(Full::Table));
        assert_eq!(keep(1, 0), Ok(()), "a line that is there goes on");
        assert_eq!((keep(0, 0), keep(2, 0)), (Ok(()), Ok(())));
    }

    #[test]
    fn what_all_sources_hold_together_is_bounded() {
        let mut held = Held::default();
        let (part, tail) = ("x".repeat(LINE_BYTES_MAX - 4), "y".repeat(5));
        let pods: Vec<String> = (10..10 + LINES_MAX).map(|pod| pod.to_string()).collect();
        let mut refused = 0;
        for of in 0..17 {
            for pod in &pods {
                let kept = held.keep((source(of), Stream::Stdout, pod), Offset(7), None, &part);
                refused += usize::from(kept == Err(Full::Table));
            }
        }
        assert_eq!(refused, LINES_MAX, "the seventeenth source's");
        assert!(held.bytes <= BYTES_MAX, "{}", held.bytes);
        let line = (source(3), Stream::Stdout, pods[0].as_str());
        assert_eq!(held.keep(line, Offset(8), None, &tail), Err(Full::Line));
        assert_eq!(held.keep(line, Offset(9), None, &tail), Ok(()), "said once");
        assert!(held.finish(line, "").is_some_and(|line| line.is_ok_and(|line| line.was_refused())));
        assert!(held.overdue(source(4), Offset(7 + OFFSETS_MAX + 1)).is_some());
        let mut other = Held::default();
        for of in 0..17 {
            other.take_over(source(of), held.give_up(source(of)));
        }
        assert_eq!((held.bytes, held.is_empty()), (0, true));
        let line = (source(3), Stream::Stdout, pods[1].as_str());
        assert!(other.finish(line, "").is_some_and(|line| line.is_ok_and(|line| line.text == part)));
        assert_eq!(other.lowest(source(3)), Some(Offset(7)));
        (0..17).for_each(|of| drop(other.give_up(source(of))));
        assert_eq!((other.bytes, other.is_empty()), (0, true));
    }
}
