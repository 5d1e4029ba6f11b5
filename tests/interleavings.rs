//! The same records in any order of their partitions, on any number of shards: the same facts, and so the same
//! incidents to the byte. On the real access log where it is there.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_config::{Config, Sources};
use beaconfire_decode::Reject;
use beaconfire_detect::{EntrySpec, Plan, PlanSpec};
use beaconfire_model::{
    Assignment, Committed, EntryId, Log, LogFault, Names, Offset, Record, Signal, Source, Start, TopicId,
    Turn, Wall,
};
use beaconfire_pipeline::{DeadLetterSink, Ending, Line as Pipeline, LineKnobs, WorkerKnobs};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::harness::beaconfire::run;
use crate::scenarios::log::{Line, as_it_stands, flood, lay};

const HOUR: i64 = 3_600_000;
const PARTITIONS: usize = 4;
/// The log is out of order by up to 59 s.
const SECTIONS: &str = "limits: {lateness: 2m}\n";

/// The log with three attacks on it, its lines dealt out to partitions: also those of one client.
fn partitions() -> Vec<Vec<String>> {
    let log = as_it_stands();
    let start = log[0].at;
    let many: Vec<String> = (1..=40).map(|n| format!("192.0.2.{n}")).collect();
    let attacks = [
        flood(start + 5 * HOUR, 60, &["203.0.113.7".to_owned()], 800),
        flood(start + 20 * HOUR, 50, &many, 90),
        flood(start + 20 * HOUR + 30_000, 90, &["203.0.113.8".to_owned()], 1_500),
    ];
    let mut random = StdRng::seed_from_u64(4);
    let mut partitions = vec![Vec::new(); PARTITIONS];
    for Line { text, .. } in lay(log, attacks.concat()) {
        // Of unequal size, as keys make them.
        let partition = random.random_range(0..PARTITIONS).min(random.random_range(0..PARTITIONS));
        partitions[partition].push(text);
    }
    partitions
}

/// Partitions whose records come in stretches of any length, from whichever comes next by a seed.
struct Interleaved<'a> {
    partitions: &'a [Vec<String>],
    next: Vec<usize>,
    current: Option<(usize, Range<usize>)>,
    turns: VecDeque<Turn>,
    held: BTreeSet<Source>,
    random: StdRng,
    stretch: usize,
}

impl<'a> Interleaved<'a> {
    fn new(partitions: &'a [Vec<String>], seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let assigned = (0..partitions.len()).map(|partition| Assignment {
            source: source(partition),
            committed: None,
            low: Offset(0),
            high: Offset(partitions[partition].len() as i64),
            fresh: Offset(0),
        });
        Self {
            partitions,
            next: vec![0; partitions.len()],
            current: None,
            turns: VecDeque::from([Turn::Assigned(assigned.collect())]),
            held: BTreeSet::new(),
            // From a few records to nearly a whole partition at a time.
            stretch: 1 << random.random_range(2..12),
            random,
        }
    }
}

fn source(partition: usize) -> Source {
    Source { entry: EntryId(0), topic: TopicId(0), partition: partition as i32 }
}

impl Log for Interleaved<'_> {
    fn poll(&mut self, _: Duration) -> Result<Turn, LogFault> {
        self.current = None;
        if let Some(turn) = self.turns.pop_front() {
            return Ok(turn);
        }
        let open: Vec<usize> =
            (0..self.next.len()).filter(|at| self.next[*at] < self.partitions[*at].len()).collect();
        let free: Vec<usize> = open.iter().copied().filter(|at| !self.held.contains(&source(*at))).collect();
        let among = if free.is_empty() { open } else { free };
        if among.is_empty() {
            return Ok(Turn::Ended);
        }
        let at = among[self.random.random_range(0..among.len())];
        let (from, end) = (self.next[at], self.partitions[at].len());
        let to = end.min(from + self.random.random_range(1..=self.stretch));
        self.next[at] = to;
        self.current = Some((at, from..to));
        if to == end {
            self.turns.push_back(Turn::CaughtUp { source: source(at) });
        }
        Ok(Turn::Records)
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.current.iter().flat_map(|(at, range)| {
            range.clone().map(|offset| Record {
                source: source(*at),
                offset: Offset(offset as i64),
                stamped: None,
                payload: Some(self.partitions[*at][offset].as_bytes()),
            })
        })
    }

    fn start(&mut self, _: &[Start]) -> Result<(), LogFault> {
        Ok(())
    }

    fn release(&mut self, _: &[Source]) -> Result<(), LogFault> {
        Ok(())
    }

    fn commit(&mut self, _: &[Committed]) -> Result<(), LogFault> {
        Ok(())
    }

    fn pause(&mut self, _: bool) -> Result<(), LogFault> {
        Ok(())
    }

    fn hold(&mut self, ahead: &[Source]) {
        self.held = ahead.iter().copied().collect();
    }
}

struct Refused;

impl DeadLetterSink for Refused {
    fn reject(&mut self, record: &Record<'_>, reason: Reject) {
        panic!("{record:?} is refused: {}", reason.name());
    }
}

fn config() -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("interleavings.yaml");
    std::fs::write(&path, SECTIONS).unwrap();
    Config::load(&Sources::find(Some(path), Default::default())).expect("the configuration is good")
}

fn read(config: &Config, partitions: &[Vec<String>], seed: u64, shards: usize) -> Ending {
    let entry = EntrySpec {
        name: "log".to_owned(),
        service: Some("blog".to_owned()),
        lateness: config.limits.lateness,
        ..EntrySpec::default()
    };
    let plan = Plan::compile(PlanSpec { entries: vec![entry], seed: 0, ..config.plan.clone() });
    let knobs = LineKnobs {
        survey: beaconfire_pipeline::Survey::All,
        shards,
        memory: config.limits.detect_memory,
        worker: WorkerKnobs::default(),
        now: Wall::from_millis(1_500_000_000_000),
    };
    let log = Interleaved::new(partitions, seed);
    let decode = [config.decode_elsewhere.clone()];
    Pipeline::new(log, Arc::new(plan.unwrap()), &decode, Names::default(), &knobs).run(&mut Refused).unwrap()
}

/// All that is promised of a fact: which raw records were kept of it is not.
fn promised(ending: &Ending) -> Vec<Signal> {
    let promised = |fact: &Signal| Signal { samples: Vec::new(), ..fact.clone() };
    ending.facts.iter().map(promised).collect()
}

#[test]
fn however_partitions_interleave_the_facts_are_the_same() {
    let (config, partitions) = (config(), partitions());
    let calm = read(&config, &partitions, 0, 1);
    assert_eq!(calm.tally.late, 0);
    let attackers: BTreeSet<&str> = calm.facts.iter().map(|fact| &*fact.subject.value).collect();
    for attacker in ["203.0.113.7", "203.0.113.8", "192.0.2.0/24"] {
        assert!(attackers.contains(attacker), "{attackers:?}");
    }
    for seed in 1..=12 {
        for shards in [1, 2, 4] {
            let other = read(&config, &partitions, seed, shards);
            assert_eq!(promised(&other), promised(&calm), "seed {seed}, {shards} shards");
            assert_eq!((other.span, other.tally.late), (calm.span, 0), "seed {seed}, {shards} shards");
            assert_eq!(other.tally.decoded, calm.tally.decoded);
        }
    }
}

#[test]
fn replayed_files_give_the_same_incidents_to_the_byte_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("beaconfire.yaml"), SECTIONS).unwrap();
    let files: Vec<String> = (0..PARTITIONS).map(|partition| format!("{partition}.log")).collect();
    for (file, lines) in files.iter().zip(partitions()) {
        std::fs::write(dir.path().join(file), lines.join("\n")).unwrap();
    }
    let replay = |shards: &str, turned: usize| {
        let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
        files.rotate_left(turned);
        let arguments = ["replay", "--service", "blog", "--output", "ndjson", "--shards", shards];
        let (code, out, err) = run(dir.path(), &[&arguments[..], &files].concat(), None);
        assert_eq!(code, 0, "{err}");
        let incidents = out.lines().filter(|line| line.starts_with(r#"{"type":"incident""#));
        incidents.map(str::to_owned).collect::<Vec<_>>()
    };
    let one = replay("1", 0);
    assert_eq!(one.len(), 2, "{one:?}");
    assert!(one[1].contains(r#""participants_total":41"#), "{}", one[1]);
    for (shards, turned) in [("1", 1), ("2", 0), ("2", 2), ("4", 0), ("4", 3)] {
        assert_eq!(replay(shards, turned), one, "{shards} shards, turned by {turned}");
    }
}
