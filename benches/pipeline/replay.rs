//! A million access-log lines through `pipeline::Line`, as the command `replay` reads them.

use std::io::Write as _;
use std::sync::Arc;

use beaconfire::threads::now;
use beaconfire_decode::{DecodeKnobs, Format as Decode, Reject};
use beaconfire_detect::{EntrySpec, Plan, PlanSpec};
use beaconfire_ingest::{FileInput, FileLog, FileSource};
use beaconfire_model::{EntryId, Names, Record};
use beaconfire_pipeline::{DeadLetterSink, Line, LineKnobs, WorkerKnobs};
use serde_json::{Value, json};

use crate::traffic::{self, Crowd, Format};
use crate::{ROUNDS, cpu, median, plan, rounded};

const LINES: usize = 1_000_000;

struct Counting;

impl DeadLetterSink for Counting {
    fn reject(&mut self, _: &Record<'_>, _: Reject) {}
}

pub(crate) fn measure() -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("access.log");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    for line in traffic::lines(Format::Combined, Crowd::Even, LINES, now().as_event_time()) {
        writeln!(file, "{}", line.text).expect("room for the log");
    }
    file.into_inner().expect("room for the log").sync_all().expect("the log is written");
    let inputs = [FileInput { from: FileSource::Path(path), entry: EntryId(0) }];
    let costs: Vec<f64> = (0..=ROUNDS).map(|_| replay(&inputs)).skip(1).collect();
    let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let most = costs.iter().copied().fold(0.0, f64::max);
    let cost = median(costs);
    println!("\nreplay, {LINES} lines, combined, even crowd");
    println!("{:<20} {:>14} {:>8} {:>8}", "", "CPU us/line", "least", "most");
    println!("{:<20} {cost:>14.3} {least:>8.3} {most:>8.3}", "one shard");
    json!({"lines": LINES, "cpu_us": rounded(cost)})
}

/// CPU time a line, in microseconds.
fn replay(inputs: &[FileInput]) -> f64 {
    let config = plan::load("{}\n");
    let spent = cpu::spent();
    let entry = EntrySpec {
        name: "replay".to_owned(),
        service: Some("shop".to_owned()),
        lateness: config.limits.lateness,
    };
    let decode = DecodeKnobs { format: Decode::Auto, ..config.decode_elsewhere };
    let spec = PlanSpec { entries: vec![entry], seed: 0, ..config.plan };
    let plan = Arc::new(Plan::compile(spec).expect("the shipped rules compile"));
    let names = Names::default();
    let log = FileLog::open(inputs, &names).expect("the file opens");
    let knobs = LineKnobs {
        survey: beaconfire_pipeline::Survey::All,
        shards: 1,
        memory: config.limits.detect_memory,
        worker: WorkerKnobs { event_skew: config.limits.event_skew, ..WorkerKnobs::default() },
        now: now(),
    };
    let ending = Line::new(log, plan, &[decode], names, &knobs).run(&mut Counting).expect("the file is read");
    assert_eq!(ending.tally.decoded, LINES as u64, "every line is understood");
    assert!(ending.facts.iter().any(|fact| &*fact.rule == "request-burst"), "the flood is found");
    (cpu::spent() - spent).as_secs_f64() * 1e6 / LINES as f64
}
