//! `cargo bench --bench windows`: what one more record costs the windows, with ten million live keys beside ten thousand.
//!
//! A combiner and a shard with one rule by client. Records are made as events, without decoding; each side knows all its
//! keys before anything is measured. Both live in one process and run in turn, the order changing from round to round.
//! Costs are CPU time by `getrusage` a record, making keys and handing parcels over included.
//!
//! - `uniform`, `zipf`: parcels of 1,024 records, so that few records share a partial and nearly each changes a ring.
//! - `uniform, full parcels`: parcels as the service sends them at full speed, where few keys meet in the combiner and
//!   many do not.
//!
//! Every 30 s of event time a shard looks at all its keys for what no window needs; that is measured by itself.

#[path = "../shared/mod.rs"]
#[allow(dead_code, reason = "shared by all benchmarks, each of which uses its part")]
mod shared;
mod side;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use shared::figures::{ROUNDS, bar, is_wanted, median, range, ratio, rounded};
use shared::memory;
use side::{Parcels, Side};

const FEW: u32 = 10_000;
const MANY: u32 = 10_000_000;
/// Records of a round.
const RECORDS: usize = 2_000_000;
/// Times the cost at few keys; for small parcels, which show the windows and not the combiner.
const BAR: f64 = 2.5;

/// How records fall to keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crowd {
    Uniform,
    /// A Zipf distribution with s = 1.1 over all keys.
    Zipf,
}

fn main() {
    if !is_wanted("windows") {
        return;
    }
    let before = memory::resident(std::process::id());
    let mut many = Side::knowing(MANY);
    let resident = memory::resident(std::process::id()) - before;
    let mut few = Side::knowing(FEW);
    println!(
        "{:<28} {:>6} {:>14} {:>8} {:>8} {:>9} {:>8}",
        "", "keys", "CPU ns/record", "least", "most", "partials", "ratio"
    );
    let mut result =
        Map::from_iter([("bench".to_owned(), json!("windows")), ("rounds".to_owned(), json!(ROUNDS))]);
    for (name, crowd, parcels, most) in [
        ("uniform", Crowd::Uniform, side::SMALL, Some(BAR)),
        ("zipf", Crowd::Zipf, side::SMALL, Some(BAR)),
        ("uniform, full parcels", Crowd::Uniform, side::FULL, None),
    ] {
        result.insert(name.to_owned(), compare((name, most), (crowd, parcels), &mut few, &mut many));
    }
    let (keys, bytes) = many.held();
    assert_eq!((few.held().0, keys), (u64::from(FEW), u64::from(MANY)), "all keys have lived throughout");
    let sweep = many.sweep();
    println!(
        "\nmemory, {keys} keys: {:.0} MB resident, {:.0} MB counted",
        resident / 1e6,
        bytes as f64 / 1e6
    );
    println!("looking at all keys: {:.0} ms, {:.0} ns a key", sweep * 1e3, sweep * 1e9 / f64::from(MANY));
    result.insert("resident_mb".to_owned(), json!(rounded(resident / 1e6)));
    result.insert("counted_mb".to_owned(), json!(rounded(bytes as f64 / 1e6)));
    result.insert("sweep_seconds".to_owned(), json!(rounded(sweep)));
    println!("{}", Value::Object(result));
}

fn compare(
    (name, most): (&str, Option<f64>),
    (crowd, parcels): (Crowd, Parcels),
    few: &mut Side,
    many: &mut Side,
) -> Value {
    let mut random = StdRng::seed_from_u64(4);
    let mut costs = [const { Vec::new() }; 2];
    let mut partials = [0.0; 2];
    for round in 0..=ROUNDS {
        for step in 0..2 {
            let which = (round + step) % 2;
            let side = if which == 0 { &mut *few } else { &mut *many };
            let numbers: Vec<u32> = (0..RECORDS).map(|_| crowd.pick(side.keys, &mut random)).collect();
            let (spent, made) = side.see(&numbers, parcels);
            if round > 0 {
                costs[which].push(spent * 1e9 / RECORDS as f64);
                partials[which] = made as f64 / RECORDS as f64;
            }
        }
    }
    let ratio = ratio(&costs[1], &costs[0]);
    let judged = most.map(|most| bar(ratio, most)).unwrap_or_default();
    for (which, (keys, ratio, judged)) in
        [("10 k", 1.0, ""), ("10 M", ratio, judged.as_str())].into_iter().enumerate()
    {
        let ((least, dearest), cost) = (range(&costs[which]), median(costs[which].clone()));
        let partials = partials[which];
        println!(
            "{name:<28} {keys:>6} {cost:>14.0} {least:>8.0} {dearest:>8.0} {partials:>9.2} {ratio:>8.2}  {judged}"
        );
    }
    json!({
        "few_ns": rounded(median(costs[0].clone())),
        "many_ns": rounded(median(costs[1].clone())),
        "ratio": rounded(ratio),
        "bar": most,
        "met": most.map(|most| ratio <= most),
    })
}

impl Crowd {
    fn pick(self, keys: u32, random: &mut StdRng) -> u32 {
        match self {
            Self::Uniform => random.random_range(0..keys),
            Self::Zipf => {
                let share = |number: u32| f64::from(number).powf(-0.1);
                let (first, last) = (share(1), share(keys));
                let number = (first - random.random::<f64>() * (first - last)).powf(-10.0);
                (number as u32 - 1).min(keys - 1)
            }
        }
    }
}
