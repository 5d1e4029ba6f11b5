//! `cargo bench --bench pipeline`: what the hot path costs, beside the least that reading the same records can cost.
//!
//! - `kafka`: records from Kafka through consumer, decoding, combiner, exchange and shards, against a loop that polls
//!   rdkafka's `BaseConsumer` and one that takes whole batches, both of which drop what they get. All run in turn in this
//!   process, the order changing from round to round; the broker is another process. Costs are CPU time by `getrusage`,
//!   all threads, librdkafka's included.
//! - `faults`: the same with random bytes among the records, against the same records without.
//! - `replay`: a file of access-log lines through `pipeline::Line`, as the command `replay` does it, against `mawk`
//!   counting requests by address.
//! - `latency`: from a record that breaks a limit to the webhook that tells of it, by the binary, under load.
//! - `idle`: how long the binary takes to be ready, and what it occupies when nothing happens.
//!
//! Names of parts as arguments run only those, names of loads behind `kafka` (`combined`, `nginx-json`, …) only those
//! loads. Medians are printed as a table and, on the last line, as JSON.

mod batch;
mod broker;
#[path = "../../tests/harness/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests; a benchmark uses little of it")]
mod harness;
mod idle;
mod kafka;
mod latency;
mod load;
mod plan;
mod replay;
#[path = "../shared/mod.rs"]
#[allow(dead_code, reason = "shared by all benchmarks, each of which uses its part")]
mod shared;
mod sides;
mod whole;

use serde_json::{Map, Value, json};

use broker::Broker;
use shared::figures::{ROUNDS, is_wanted};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, topics @ ..] = arguments.as_slice()
        && role == broker::EMBEDDED
    {
        return broker::serve(topics);
    }
    if !is_wanted("pipeline") {
        return;
    }
    let parts: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);

    let mut result =
        Map::from_iter([("bench".to_owned(), json!("pipeline")), ("rounds".to_owned(), json!(ROUNDS))]);
    if ["kafka", "faults", "latency", "idle"].into_iter().any(wanted) {
        let broker = Broker::start();
        println!("broker: {}", broker.what());
        result.insert("broker".to_owned(), json!(broker.what()));
        if wanted("kafka") {
            result.insert("kafka".to_owned(), kafka::measure(&broker, &parts));
        }
        if wanted("faults") {
            result.insert("faults".to_owned(), kafka::faults(&broker));
        }
        if wanted("latency") {
            result.insert("latency".to_owned(), latency::measure(&broker));
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
