//! `cargo bench --bench decode`: what our scanners cost beside what one would write first.
//!
//! - JSON of nginx: `Decoder` beside serde_json into a struct that borrows, addresses by std, times by jiff.
//! - Combined lines: `Decoder` beside one compiled regex with captures, addresses by std, times by jiff's strptime.
//!
//! Both sides make the same `Request` of each payload; that they do is asserted over the whole corpus before anything
//! is measured. They run in turn in one process, the order changing from round to round. Medians of CPU time by
//! `getrusage` are printed as a table and, on the last line, as JSON.

#[path = "../shared/mod.rs"]
#[allow(dead_code, reason = "shared by all benchmarks, each of which uses its part")]
mod shared;
mod usual;

use std::hint::black_box;

use beaconfire_decode::{DecodeKnobs, Decoder, Format as Decode};
use beaconfire_model::{Event, EventTime, Offset, Record, Request};
use serde_json::{Map, Value, json};

use shared::figures::{ROUNDS, bar, is_wanted, median, range, ratio, rounded};
use shared::traffic::{self, Crowd, Format};
use shared::{cpu, rules};

/// Records of a corpus: tens of megabytes, so that payloads come from memory as a consumer's do.
const RECORDS: usize = 200_000;
/// Passes over the corpus in a round.
const PASSES: usize = 3;
/// The last record's time.
const END: EventTime = EventTime::from_millis(1_767_323_045_000);

fn main() {
    if !is_wanted("decode") {
        return;
    }
    let mut result =
        Map::from_iter([("bench".to_owned(), json!("decode")), ("rounds".to_owned(), json!(ROUNDS))]);
    let mut typed = usual::Typed;
    let mut captures = usual::Captures::new();
    println!("{:<34} {:>14} {:>8} {:>8} {:>8}", "", "CPU ns/record", "least", "most", "ratio");
    let json = compare(Format::NginxJson, Decode::NginxJson, ("serde_json, typed", &mut typed), 0.35);
    let text = compare(Format::Combined, Decode::Combined, ("regex, captures", &mut captures), 0.15);
    result.insert("nginx-json".to_owned(), json);
    result.insert("combined".to_owned(), text);
    println!("{}", Value::Object(result));
}

/// The usual way to make a request of a payload.
trait Usual {
    fn read(&mut self, payload: &[u8], each: &mut dyn FnMut(&Request<'_>));
}

fn compare(format: Format, decode: Decode, (name, usual): (&str, &mut dyn Usual), most: f64) -> Value {
    let corpus: Vec<String> =
        traffic::lines(format, Crowd::Skewed, RECORDS, END).map(|line| line.text).collect();
    let mut decoder = Decoder::new(DecodeKnobs { format: decode, ..DecodeKnobs::default() });
    for text in &corpus {
        let mut same = false;
        usual.read(text.as_bytes(), &mut |usual| {
            decoder
                .decode(&record(text), |decoded| same = decoded.event == Event::Request(*usual))
                .expect("the corpus is understood");
        });
        assert!(same, "both make the same request of {text}");
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mut one = || scan(&mut decoder, &corpus);
        let mut other = || read(usual, &corpus);
        let (cost, usual_cost) = if round % 2 == 0 {
            let cost = one();
            (cost, other())
        } else {
            let usual_cost = other();
            (one(), usual_cost)
        };
        if round > 0 {
            ours.push(cost);
            theirs.push(usual_cost);
        }
    }
    let ratio = ratio(&ours, &theirs);
    let title = |side: &str| format!("{}, {side}", format.name());
    let row = |side: &str, costs: &[f64], ratio: f64, bar: &str| {
        let ((least, most), cost) = (range(costs), median(costs.to_vec()));
        println!("{:<34} {cost:>14.0} {least:>8.0} {most:>8.0} {ratio:>8.3}  {bar}", title(side));
    };
    row(name, &theirs, 1.0, "");
    row("our decoder", &ours, ratio, &bar(ratio, most));
    json!({
        "records": RECORDS,
        "ours_ns": rounded(median(ours)),
        "usual_ns": rounded(median(theirs)),
        "ratio": rounded(ratio),
        "bar": most,
        "met": ratio <= most,
    })
}

fn record(text: &str) -> Record<'_> {
    Record { source: rules::SOURCE, offset: Offset(0), stamped: Some(END), payload: Some(text.as_bytes()) }
}

fn scan(decoder: &mut Decoder, corpus: &[String]) -> f64 {
    timed(|| {
        for text in corpus {
            decoder
                .decode(&record(text), |decoded| {
                    black_box(decoded.event);
                })
                .expect("the corpus is understood");
        }
    })
}

fn read(usual: &mut dyn Usual, corpus: &[String]) -> f64 {
    timed(|| {
        for text in corpus {
            usual.read(text.as_bytes(), &mut |request| {
                black_box(*request);
            });
        }
    })
}

/// CPU time a record, in nanoseconds.
fn timed(mut pass: impl FnMut()) -> f64 {
    let spent = cpu::spent();
    for _ in 0..PASSES {
        pass();
    }
    (cpu::spent() - spent).as_secs_f64() * 1e9 / (RECORDS * PASSES) as f64
}
