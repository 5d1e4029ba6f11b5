//! A million access-log lines through `pipeline::Line`, as the command `replay` reads them, beside `mawk`, which counts
//! requests by address in the same file and does nothing else.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use beaconfire::threads::now;
use beaconfire_decode::{DecodeKnobs, Format as Decode, Reject};
use beaconfire_detect::{EntrySpec, Plan, PlanSpec};
use beaconfire_ingest::{FileInput, FileLog, FileSource};
use beaconfire_model::{EntryId, Names, Record};
use beaconfire_pipeline::{DeadLetterSink, Line, LineKnobs, WorkerKnobs};
use serde_json::{Value, json};

use crate::shared::cpu;
use crate::shared::figures::{ROUNDS, bar, median, range, ratio as against, rounded};
use crate::shared::rules::{self, Rules};
use crate::shared::traffic::{self, Crowd, Format};

const LINES: usize = 1_000_000;
/// Of mawk's cost.
const BAR: f64 = 0.5;
/// What mawk is asked: how many requests each address made.
const COUNT: &str = "{n[$1]++} END {for (a in n) print a, n[a]}";

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
    let inputs = [FileInput { from: FileSource::Path(path.clone()), entry: EntryId(0) }];
    let has_mawk = mawk(&path).is_some();
    let (mut ours, mut all, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        // The order changes from round to round.
        let before = if round % 2 == 0 { mawk(&path) } else { None };
        let cost = replay(&inputs, Rules::Ten);
        let more = replay(&inputs, Rules::All);
        let other = before.or_else(|| mawk(&path));
        if round > 0 {
            ours.push(cost);
            all.push(more);
            theirs.extend(other);
        }
    }
    println!("\nreplay, {LINES} lines, combined, even crowd");
    println!("{:<20} {:>14} {:>8} {:>8} {:>8}", "", "CPU us/line", "least", "most", "ratio");
    let row = |name: &str, costs: &[f64], ratio: &str| {
        let ((least, most), cost) = (range(costs), median(costs.to_vec()));
        println!("{name:<20} {cost:>14.3} {least:>8.3} {most:>8.3} {ratio:>8}");
    };
    if !has_mawk {
        row("ten rules", &ours, "");
        row("all rules", &all, "");
        println!("mawk is missing: nothing to hold it against");
        return json!({"lines": LINES, "cpu_us": rounded(median(ours))});
    }
    let ratio = against(&ours, &theirs);
    row("mawk", &theirs, "1");
    row("ten rules", &ours, &format!("{ratio:.2}  {}", bar(ratio, BAR)));
    row("all rules", &all, &format!("{:.2}", against(&all, &theirs)));
    json!({
        "lines": LINES,
        "cpu_us": rounded(median(ours)),
        "all_rules_cpu_us": rounded(median(all)),
        "mawk_cpu_us": rounded(median(theirs)),
        "ratio": rounded(ratio),
        "bar": BAR,
        "met": ratio <= BAR,
    })
}

/// CPU time of mawk a line, in microseconds; `None` where it is missing.
fn mawk(path: &Path) -> Option<f64> {
    let child = Command::new("mawk").arg(COUNT).arg(path).stdout(Stdio::null()).spawn().ok()?;
    Some(cpu::of_child(child).as_secs_f64() * 1e6 / LINES as f64)
}

/// CPU time a line, in microseconds.
fn replay(inputs: &[FileInput], rules: Rules) -> f64 {
    let config = rules.of(rules::load("{}\n"));
    let spent = cpu::spent();
    let entry = EntrySpec {
        name: "replay".to_owned(),
        service: Some("shop".to_owned()),
        lateness: config.limits.lateness,
        ..EntrySpec::default()
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
