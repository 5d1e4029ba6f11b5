//! `cargo bench --bench state`: what a flood from forged addresses can make us occupy, and whether it hides anybody.
//!
//! Ten million IPv4 clients that come once each, then as many random IPv6 ones, at full speed, with the shipped rules and
//! the default bound (`limits.detect_memory`). Among them is one client with a thousandth of all requests. The flood runs
//! in a process of its own, so that the peak of its resident memory (`VmHWM`) is the flood's; memory is held against what
//! it occupied before the first record. Five processes, one after the other (or as many as an argument says: each takes
//! minutes); medians, and JSON on the last line.

mod flood;
#[path = "../shared/mod.rs"]
#[allow(dead_code, reason = "shared by all benchmarks, each of which uses its part")]
mod shared;

use std::process::Command;

use serde_json::{Value, json};

use shared::figures::{ROUNDS, bar, is_wanted, median, range, rounded};

/// The argument that makes this program the flooded process.
const FLOODED: &str = "--flooded";
/// Times the bound that may come on top of the idle process.
const MEMORY_BAR: f64 = 1.1;
/// Seconds of event time until the heavy client is found.
const FOUND_BAR: f64 = 10.0;

fn main() {
    if std::env::args().any(|argument| argument == FLOODED) {
        return println!("{}", flood::run());
    }
    if !is_wanted("state") {
        return;
    }
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS).max(1);
    let program = std::env::current_exe().expect("this program has a path");
    let runs: Vec<Value> = (0..rounds)
        .map(|_| {
            let done = Command::new(&program).arg(FLOODED).output().expect("this program starts again");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            serde_json::from_slice(&done.stdout).expect("it says JSON")
        })
        .collect();
    let of = |path: &str| -> Vec<f64> {
        runs.iter().map(|run| run.pointer(path).and_then(Value::as_f64).expect("a number")).collect()
    };
    println!("{:<36} {:>10} {:>10} {:>10}", "", "median", "least", "most");
    let row = |name: &str, path: &str, bar: &str| {
        let values = of(path);
        let (least, most) = range(&values);
        println!("{name:<36} {:>10.3} {least:>10.3} {most:>10.3}  {bar}", median(values));
    };
    let mut result = json!({"bench": "state", "rounds": rounds});
    row("bound, MB", "/bound_mb", "");
    row("idle, MB", "/idle_mb", "");
    for (phase, name) in [("ipv4", "10 M IPv4 clients"), ("ipv6", "then 10 M IPv6 clients")] {
        let at = |field: &str| format!("/{phase}/{field}");
        let (over, found) = (median(of(&at("over_bound"))), median(of(&at("found_seconds"))));
        println!("{name}");
        row("  peak of resident memory, MB", &at("peak_mb"), "");
        row("  (peak - idle) / bound", &at("over_bound"), &bar(over, MEMORY_BAR));
        row("  counted, MB", &at("counted_mb"), "");
        row("  heavy client found after, s", &at("found_seconds"), &bar(found, FOUND_BAR));
        row("  others accused", &at("others_accused"), &bar(median(of(&at("others_accused"))), 0.0));
        row("  evictions", &at("evictions"), "");
        row("  keys held", &at("keys"), "");
        row("  CPU us/record", &at("cpu_us"), "");
        result[phase] = json!({
            "over_bound": rounded(over), "over_bound_bar": MEMORY_BAR, "over_bound_met": over <= MEMORY_BAR,
            "found_seconds": rounded(found), "found_bar": FOUND_BAR, "found_met": found <= FOUND_BAR,
            "evictions": median(of(&at("evictions"))), "cpu_us": rounded(median(of(&at("cpu_us")))),
        });
    }
    if let Some(run) = runs.first() {
        println!("tables of the first run: {}", run["tables"]);
    }
    println!("{result}");
}
