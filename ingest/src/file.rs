//! Files and stdin as a [`Log`], for `replay`: one source for each, one record for each line.
//!
//! Sources are read in turn, a batch of lines at a time; the caller keeps them together in event time with
//! [`Log::hold`]. Lines are handed out in place from one buffer for each file. gzip and zstd (also of several members
//! one behind the other) are recognised by their first bytes. A record's offset is its line's number, from 0; empty
//! lines count but are no records. A source that was read to its end is told once as caught up; when all were, the log
//! has ended.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use beaconfire_model::{
    Assignment, Committed, EntryId, Log, LogFault, Names, Offset, Record, Source, Start, TopicId, Turn,
};
use flate2::read::MultiGzDecoder;

/// Lines handed out by one poll at most.
const BATCH: usize = 1024;
/// Bytes asked of a file at a time.
const CHUNK: usize = 256 * 1024;
/// The longest value that decoding accepts. A longer line comes as one record of one byte more, which decoding
/// rejects as too large; the rest of it is skipped.
const LINE_BYTES: usize = 1024 * 1024;

/// Where lines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// A file.
    Path(PathBuf),
    /// Standard input. A poll waits for it without regard to its time limit.
    Stdin,
}

/// One file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInput {
    /// Where its lines come from.
    pub from: FileSource,
    /// The entry of the configuration that it is read as.
    pub entry: EntryId,
}

/// The lines of several files.
pub struct FileLog {
    files: Vec<Lines>,
    /// Whose turn it is.
    cursor: usize,
    /// Whose lines the last poll brought.
    current: Option<usize>,
    turns: VecDeque<Turn>,
    held: BTreeSet<Source>,
    paused: bool,
}

impl FileLog {
    /// Opens all files. Each is a topic of its own, named by its path (`-` for stdin), with the partition 0.
    /// [`LogFault::Fatal`] where one cannot be read.
    pub fn open(inputs: &[FileInput], names: &Names) -> Result<Self, LogFault> {
        let mut files = Vec::with_capacity(inputs.len());
        for input in inputs {
            let name = match &input.from {
                FileSource::Path(path) => path.display().to_string(),
                FileSource::Stdin => "-".to_owned(),
            };
            let opened = match &input.from {
                FileSource::Path(path) => File::open(path).map(|file| Box::new(file) as Box<dyn Read + Send>),
                FileSource::Stdin => Ok(Box::new(io::stdin()) as Box<dyn Read + Send>),
            };
            let bytes = opened
                .and_then(decompressed)
                .map_err(|error| LogFault::Fatal(format!("cannot read {name}: {error}")))?;
            let topic = names
                .topic(&name)
                .ok_or_else(|| LogFault::Fatal(format!("too many files: no room for {name}")))?;
            files.push(Lines::new(name, Source { entry: input.entry, topic, partition: 0 }, bytes));
        }
        distinct(&files)?;
        let assignments = files.iter().map(|file| Assignment {
            source: file.source,
            committed: None,
            low: Offset(0),
            // A file's end is not known before it is read.
            high: Offset(i64::MAX),
            fresh: Offset(0),
        });
        let turns = VecDeque::from([Turn::Assigned(assignments.collect())]);
        Ok(Self { files, cursor: 0, current: None, turns, held: BTreeSet::new(), paused: false })
    }

    /// The file whose turn it is: the next one that is not held back, or, where all that are left are, the next one
    /// (they wait for nobody any more).
    fn next(&self) -> Option<usize> {
        let count = self.files.len();
        let open = || (0..count).map(|step| (self.cursor + step) % count).filter(|at| !self.files[*at].ended);
        open().find(|at| !self.held.contains(&self.files[*at].source)).or_else(|| open().next())
    }
}

/// The same file twice would be one source with two readers.
fn distinct(files: &[Lines]) -> Result<(), LogFault> {
    let mut seen: BTreeSet<TopicId> = BTreeSet::new();
    match files.iter().find(|file| !seen.insert(file.source.topic)) {
        Some(file) => Err(LogFault::Fatal(format!("{} is given twice", file.name))),
        None => Ok(()),
    }
}

impl Log for FileLog {
    /// Errors of reading (a broken archive, a disk) are [`LogFault::Fatal`], after the lines before them.
    fn poll(&mut self, wait: Duration) -> Result<Turn, LogFault> {
        self.current = None;
        if let Some(turn) = self.turns.pop_front() {
            return Ok(turn);
        }
        if self.paused {
            std::thread::sleep(wait);
            return Ok(Turn::Idle);
        }
        let Some(at) = self.next() else { return Ok(Turn::Ended) };
        self.cursor = (at + 1) % self.files.len();
        let file = &mut self.files[at];
        file.fill()?;
        let source = file.source;
        if file.ended {
            self.turns.push_back(Turn::CaughtUp { source });
        }
        if file.lines.is_empty() {
            return Ok(self.turns.pop_front().unwrap_or(Turn::Idle));
        }
        self.current = Some(at);
        Ok(Turn::Records)
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.current.into_iter().flat_map(|at| {
            let file = &self.files[at];
            file.lines.iter().map(|(offset, line)| Record {
                source: file.source,
                offset: Offset(*offset),
                stamped: None,
                payload: file.buffer.get(line.clone()),
            })
        })
    }

    fn start(&mut self, at: &[Start]) -> Result<(), LogFault> {
        for start in at {
            if let Some(file) = self.files.iter_mut().find(|file| file.source == start.source) {
                file.from = start.at.0;
            }
        }
        Ok(())
    }

    fn release(&mut self, sources: &[Source]) -> Result<(), LogFault> {
        for file in &mut self.files {
            file.ended |= sources.contains(&file.source);
        }
        Ok(())
    }

    /// Nothing remembers where a file was read to: a replay stores nothing.
    fn commit(&mut self, _offsets: &[Committed]) -> Result<(), LogFault> {
        Ok(())
    }

    fn pause(&mut self, held: bool) -> Result<(), LogFault> {
        self.paused = held;
        Ok(())
    }

    fn hold(&mut self, ahead: &[Source]) {
        self.held = ahead.iter().copied().collect();
    }
}

/// One file's lines.
struct Lines {
    name: String,
    source: Source,
    bytes: Box<dyn Read + Send>,
    /// What was read: `start..end` is yet to be handed out.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The number of the line at `start`, and the first that is wanted.
    line: i64,
    from: i64,
    /// The rest of a line that was too long is being passed over.
    skipping: bool,
    /// The file's own end was seen; `ended` when all of it was handed out, too.
    drained: bool,
    ended: bool,
    /// An error that waits for the lines before it to be handed out.
    broken: Option<io::Error>,
    lines: Vec<(i64, Range<usize>)>,
}

impl Lines {
    fn new(name: String, source: Source, bytes: Box<dyn Read + Send>) -> Self {
        Self {
            name,
            source,
            bytes,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            line: 0,
            from: 0,
            skipping: false,
            drained: false,
            ended: false,
            broken: None,
            lines: Vec::with_capacity(BATCH),
        }
    }

    /// Finds the next batch of lines, reading on where there is no whole one.
    fn fill(&mut self) -> Result<(), LogFault> {
        self.lines.clear();
        while self.lines.is_empty() && !self.ended {
            self.split();
            if !self.lines.is_empty() {
                break;
            }
            if let Some(error) = self.broken.take() {
                self.ended = true;
                let (name, line) = (&self.name, self.line + 1);
                return Err(LogFault::Fatal(format!("cannot read {name} from line {line} on: {error}")));
            }
            if self.drained {
                self.last();
                self.ended = true;
            } else {
                self.read();
            }
        }
        // So that the end is told with the last lines, not one poll later.
        self.ended |= self.drained && self.broken.is_none() && self.start == self.end;
        Ok(())
    }

    /// Takes whole lines out of the buffer.
    fn split(&mut self) {
        while self.lines.len() < BATCH {
            let Some(length) = memchr::memchr(b'\n', &self.buffer[self.start..self.end]) else { break };
            let line = self.start..self.start + length;
            self.start += length + 1;
            if std::mem::take(&mut self.skipping) {
                self.line += 1;
            } else {
                self.push(line);
            }
        }
        // The line at the end is longer than any may be: hand out enough of it to be rejected, once. (One byte more
        // could still be the `\r` of a line that is just short enough.)
        if self.lines.len() < BATCH && self.end - self.start > LINE_BYTES + 1 {
            if !self.skipping {
                self.push(self.start..self.end);
                // Its line break is still to come, and counts it.
                self.line -= 1;
                self.skipping = true;
            }
            self.start = self.end;
        }
    }

    /// What stands behind the last line break.
    fn last(&mut self) {
        if self.start < self.end && !self.skipping {
            self.push(self.start..self.end);
        }
        self.start = self.end;
    }

    fn push(&mut self, mut line: Range<usize>) {
        if line.len() > LINE_BYTES + 1 {
            line.end = line.start + LINE_BYTES + 1;
        } else if self.buffer[line.clone()].last() == Some(&b'\r') {
            line.end -= 1;
        }
        if !line.is_empty() && self.line >= self.from {
            self.lines.push((self.line, line));
        }
        self.line += 1;
    }

    /// Reads a chunk behind what is left, which moves to the front.
    fn read(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < self.end + CHUNK {
            self.buffer.resize(self.end + CHUNK, 0);
        }
        match self.bytes.read(&mut self.buffer[self.end..]) {
            Ok(0) => self.drained = true,
            Ok(read) => self.end += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.broken = Some(error),
        }
    }
}

/// The bytes behind gzip or zstd, told by their first bytes: names lie, and stdin has none.
fn decompressed(mut bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let (mut first, mut length) = (vec![0; CHUNK], 0);
    // A pipe may give them singly, and a file may be shorter.
    while length < 4 {
        match bytes.read(&mut first[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    first.truncate(length);
    let gzip = first.starts_with(&[0x1f, 0x8b]);
    let zstd = first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    let whole = io::Cursor::new(first).chain(bytes);
    Ok(if gzip {
        Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(CHUNK, whole)))
    } else if zstd {
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else {
        Box::new(whole)
    })
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
