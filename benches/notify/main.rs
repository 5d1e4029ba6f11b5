//! `cargo bench --bench notify`: what telling people costs.
//!
//! - `plan`: the pick of the next delivery among 100,000 rows that wait for one integration, on SQLite: when the next is
//!   due and which lane it is in, and all that a sender looks at before each message (groups, repeats, storms, digests).
//! - `first`: from an alert handed to an idle `beaconfire run` to the first byte at a webhook on loopback.
//! - `many`: 10,000 alerts to incidents and rows for four receivers, by the same binary.
//! - `flat`: its resident memory while 1,000 incidents are updated again and again (`-- flat 1000000` for a million
//!   updates; 100,000 otherwise).
//!
//! Names of parts as arguments run only those.

#[path = "../pipeline/broker.rs"]
#[allow(dead_code, reason = "shared with `pipeline`")]
mod broker;
#[path = "../../tests/harness/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests; a benchmark uses little of it")]
mod harness;
mod plan;
#[path = "../shared/mod.rs"]
#[allow(dead_code, reason = "shared by all benchmarks, each of which uses its part")]
mod shared;
mod whole;

use serde_json::{Map, Value, json};

use broker::Broker;
use shared::figures::is_wanted;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, topics @ ..] = arguments.as_slice()
        && role == broker::EMBEDDED
    {
        return broker::serve(topics);
    }
    if !is_wanted("notify") {
        return;
    }
    let parts: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let updates = parts.iter().find_map(|part| part.parse().ok());
    let named: Vec<&&str> = parts.iter().filter(|part| part.parse::<u64>().is_err()).collect();
    let wanted = |part: &str| named.is_empty() || named.contains(&&part);
    let mut result = Map::from_iter([("bench".to_owned(), json!("notify"))]);
    if wanted("plan") {
        result.insert("plan".to_owned(), plan::measure());
    }
    if ["first", "many", "flat"].into_iter().any(wanted) {
        let whole = whole::Whole::start(&Broker::Embedded);
        if wanted("first") {
            result.insert("first".to_owned(), whole.first());
        }
        if wanted("many") {
            result.insert("many".to_owned(), whole.many());
        }
        if wanted("flat") {
            result.insert("flat".to_owned(), whole.flat(updates.unwrap_or(100_000)));
        }
    }
    println!("{}", Value::Object(result));
}
