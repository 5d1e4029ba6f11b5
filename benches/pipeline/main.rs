//! `cargo bench --bench pipeline`: what the hot path costs, beside the least that reading the same records can cost.
//!
//! - `kafka`: records from Kafka through consumer, decoding, combiner, exchange and shards, against a loop that polls
//!   rdkafka's `BaseConsumer` and drops what it gets. Both run in turn in this process, the order changing from round
//!   to round; the broker is another process. Costs are CPU time by `getrusage`, all threads, librdkafka's included.
//! - `replay`: a file of access-log lines through `pipeline::Line`, as the command `replay` does it.
//! - `idle`: how long the binary takes to be ready, and what it occupies when nothing happens.
//!
//! Names of parts as arguments run only those, names of loads behind `kafka` (`combined`, `nginx-json`, …) only those
//! loads. Medians are printed as a table and, on the last line, as JSON.

mod broker;
mod cpu;
#[path = "../../tests/harness/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests; a benchmark uses little of it")]
mod harness;
mod idle;
mod kafka;
mod plan;
mod replay;
mod traffic;

use serde_json::{Map, Value, json};

use broker::Broker;

/// Rounds of each comparison.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, topics @ ..] = arguments.as_slice()
        && role == broker::EMBEDDED
    {
        return broker::serve(topics);
    }
    // `cargo test --all-targets` runs benches, too, without this flag: there is nothing to test here.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return println!("nothing is measured without --bench: use `cargo bench --bench pipeline`");
    }
    let parts: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);

    let mut result =
        Map::from_iter([("bench".to_owned(), json!("pipeline")), ("rounds".to_owned(), json!(ROUNDS))]);
    if wanted("kafka") || wanted("idle") {
        let broker = Broker::start();
        println!("broker: {}", broker.what());
        result.insert("broker".to_owned(), json!(broker.what()));
        if wanted("kafka") {
            result.insert("kafka".to_owned(), kafka::measure(&broker, &parts));
        }
        if wanted("idle") {
            result.insert("idle".to_owned(), idle::measure(&broker));
        }
    }
    if wanted("replay") {
        result.insert("replay".to_owned(), replay::measure());
    }
    println!("{}", Value::Object(result));
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Three places are more than these measurements have.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
