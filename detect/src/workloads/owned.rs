//! Samples and sensors' events as they travel from workers to the shard: the texts in one piece, borrowed again there.

use std::net::IpAddr;

use beaconfire_model::{
    EntryId, EventTime, Measured, ResourceSample, RuntimeDetails, RuntimeEvent, RuntimeKind,
};

use crate::engine::mining::Deed;
use crate::engine::surge::Sketch;

/// Longer texts are cut: names that mean something are shorter, and all of them are a stranger's.
const TEXT_MAX: usize = 512;
/// Variables and answers of one event.
const WORDS_MAX: usize = 64;

/// Texts of an event, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Texts<const N: usize> {
    all: Box<str>,
    /// Where each ends.
    ends: [u32; N],
}

impl<const N: usize> Texts<N> {
    fn of(texts: [&str; N]) -> Self {
        let cut = texts.map(|text| &text[..text.floor_char_boundary(TEXT_MAX)]);
        let mut end = 0;
        // N texts of at most a KiB.
        let ends = cut.map(|text| {
            end += text.len() as u32;
            end
        });
        Self { all: cut.concat().into(), ends }
    }

    fn get(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.all[start as usize..self.ends[at] as usize]
    }
}

/// A resource sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The entry it was read in.
    pub entry: EntryId,
    /// When it was sampled.
    pub time: EventTime,
    texts: Texts<7>,
    measured: Box<[Measured]>,
}

impl Reading {
    pub(crate) fn of(entry: EntryId, sample: &ResourceSample<'_>) -> Self {
        let ResourceSample { time, workload, pod, container, image, node, instance, part, measured } =
            *sample;
        let texts = Texts::of([workload, pod, container, image, node, instance, part]);
        Self { entry, time, texts, measured: measured.into() }
    }

    pub(crate) fn sample(&self) -> ResourceSample<'_> {
        let text = |at| self.texts.get(at);
        ResourceSample {
            time: self.time,
            workload: text(0),
            pod: text(1),
            container: text(2),
            image: text(3),
            node: text(4),
            instance: text(5),
            part: text(6),
            measured: &self.measured,
        }
    }
}

/// What a sensor saw a workload do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    /// When.
    pub time: EventTime,
    /// The entry it was read in.
    pub entry: EntryId,
    what: What,
    workload: Box<str>,
    process: Box<str>,
    path: Box<str>,
    cmdline: Box<str>,
    remote: Box<str>,
    domain: Box<str>,
    rule: Box<str>,
    environment: Box<str>,
    answers: Vec<IpAddr>,
}

/// Which deed it becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Exec { dropped: bool },
    Connect,
    Lookup,
    File { written: bool },
    Finding,
    Deploy,
}

/// The texts of an event, cut to what travels, wherever they lie.
#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    process: &'a str,
    path: &'a str,
    cmdline: &'a str,
    remote: &'a str,
    domain: &'a str,
    rule: &'a str,
    environment: &'a str,
    answers: &'a [IpAddr],
}

impl What {
    /// `None` of events that say nothing to the mining engine.
    fn of(event: &RuntimeEvent<'_>) -> Option<Self> {
        let flags = event.details.flags;
        Some(match event.kind {
            RuntimeKind::Exec => Self::Exec { dropped: flags.contains("EXE_UPPER_LAYER") },
            RuntimeKind::Connect => Self::Connect,
            RuntimeKind::Dns => Self::Lookup,
            RuntimeKind::File => Self::File { written: is_written(flags) },
            RuntimeKind::Finding => Self::Finding,
            RuntimeKind::Health | RuntimeKind::Other => return None,
        })
    }

    fn deed(self, told: Told<'_>) -> Deed<'_> {
        let Told { process, path, cmdline, remote, domain, rule, environment, answers } = told;
        match self {
            Self::Exec { dropped } => Deed::Exec { process, path, cmdline, environment, dropped },
            Self::Connect => Deed::Connect { process, remote, domain },
            Self::Lookup => Deed::Lookup { process, name: domain, answers },
            Self::File { written } => Deed::File { process, path, written },
            Self::Finding => Deed::Finding { rule, process, cmdline, domain },
            Self::Deploy => Deed::Deploy { image: path },
        }
    }
}

fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_MAX)]
}

impl Sighting {
    /// What the mining engine can judge, where `tells` says so of the event as it lies there: most events do not matter,
    /// and those are not copied.
    pub(crate) fn of(
        entry: EntryId,
        event: &RuntimeEvent<'_>,
        tells: impl FnOnce(&Deed<'_>) -> bool,
    ) -> Option<Self> {
        let RuntimeDetails { exe, environment, answers, .. } = *event.details;
        let what = What::of(event)?;
        let path = if exe.is_empty() || what == (What::File { written: true }) { event.path } else { exe };
        // An empty text takes nothing.
        let environment = environment[..environment.len().min(WORDS_MAX)].join(" ");
        let told = Told {
            process: short(event.process),
            path: short(path),
            cmdline: short(event.cmdline),
            remote: short(event.remote),
            domain: short(event.domain),
            rule: short(event.rule),
            environment: short(&environment),
            // What was answered makes no deed matter, and none matter less.
            answers: &[],
        };
        if !tells(&what.deed(told)) {
            return None;
        }
        let answers = answers.iter().take(WORDS_MAX).filter_map(|answer| answer.parse().ok()).collect();
        Some(Self { answers, ..Self::made(entry, event.time, short(event.workload), what, told) })
    }

    /// That an image runs.
    pub(crate) fn deploy(entry: EntryId, time: EventTime, workload: &str, image: &str) -> Self {
        let told = Told {
            process: "",
            path: short(image),
            cmdline: "",
            remote: "",
            domain: "",
            rule: "",
            environment: "",
            answers: &[],
        };
        Self::made(entry, time, short(workload), What::Deploy, told)
    }

    fn made(entry: EntryId, time: EventTime, workload: &str, what: What, told: Told<'_>) -> Self {
        let Told { process, path, cmdline, remote, domain, rule, environment, answers } = told;
        Self {
            time,
            entry,
            what,
            workload: workload.into(),
            process: process.into(),
            path: path.into(),
            cmdline: cmdline.into(),
            remote: remote.into(),
            domain: domain.into(),
            rule: rule.into(),
            environment: environment.into(),
            answers: answers.to_vec(),
        }
    }

    pub(crate) fn workload(&self) -> &str {
        &self.workload
    }

    /// What it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let texts = [&self.workload, &self.process, &self.path, &self.cmdline, &self.remote, &self.domain];
        let texts =
            texts.into_iter().chain([&self.rule, &self.environment]).map(|text| text.len()).sum::<usize>();
        size_of::<Self>() * 2 + texts + self.answers.len() * size_of::<IpAddr>()
    }

    pub(crate) fn deed(&self) -> Deed<'_> {
        let Self { process, path, cmdline, remote, domain, rule, environment, answers, .. } = self;
        self.what.deed(Told { process, path, cmdline, remote, domain, rule, environment, answers })
    }
}

/// Whether a file was opened to be changed, in the words of `open(2)`; a rename or a link has none and changes too.
fn is_written(flags: &str) -> bool {
    flags.is_empty()
        || ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"].iter().any(|flag| flags.contains(flag))
}

/// Requests of one service in one slice.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// The entry they were read in.
    pub entry: EntryId,
    /// The service.
    pub service: std::sync::Arc<str>,
    /// The slice, by its number.
    pub slice: i64,
    /// How many.
    pub requests: u64,
    /// How many of them the server failed.
    pub errors: u64,
    /// What they look like, where that is asked for.
    pub sketch: Option<Box<Sketch>>,
    /// How many came from what drops miners.
    pub droppers: u64,
}

/// What a worker gathered since its last parcel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gathered {
    /// Resource samples.
    pub readings: Vec<Reading>,
    /// What sensors saw.
    pub sightings: Vec<Sighting>,
    /// Requests by service and slice.
    pub flows: Vec<Flow>,
}
