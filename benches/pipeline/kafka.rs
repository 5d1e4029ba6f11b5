//! Records from Kafka through the hot path, against loops that do nothing with them; and the same with faulty records
//! among them.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::broker::Broker;
use crate::load::{Filling, Load};
use crate::shared::cpu;
use crate::shared::figures::{ROUNDS, bar, median, range, ratio, rounded};
use crate::shared::rules::Rules;
use crate::shared::traffic::{Crowd, Format};
use crate::{batch, sides, whole};

/// A way to read them all, by its name; it tells when the last was read.
type Side = (&'static str, fn(&Load) -> Instant);

/// The ways to read the same records, from the least that can be done to all of it.
const SIDES: [Side; 6] = [
    ("bare BaseConsumer", sides::bare),
    ("bare batch", batch::read),
    ("our log alone", sides::log),
    ("whole path, ten rules", |load| whole::read(load, 1, Rules::Ten)),
    ("ten rules, 2 workers", |load| whole::read(load, 2, Rules::Ten)),
    ("whole path, all rules", |load| whole::read(load, 1, Rules::All)),
];
// Places in `SIDES`.
const BARE: usize = 0;
const BATCH: usize = 1;
const WHOLE: usize = 3;
const TWO: usize = 4;

/// How much of its throughput the whole path may lose where one record in a hundred is faulty.
const LOSS_BAR: f64 = 0.05;

/// Costs and times of one side, in microseconds a record, by round.
#[derive(Default)]
struct Rounds {
    costs: Vec<f64>,
    walls: Vec<f64>,
}

impl Rounds {
    fn measure(&mut self, load: &Load, side: Side, count: bool) {
        let (started, spent) = (Instant::now(), cpu::spent());
        let end = side.1(load);
        if count {
            self.costs.push(load.micros(cpu::spent() - spent));
            self.walls.push(load.micros(end - started));
        }
    }

    fn cost(&self) -> f64 {
        median(self.costs.clone())
    }

    fn rate(&self) -> f64 {
        1e6 / median(self.walls.clone())
    }
}

/// Loads named in `only` alone, where any is.
pub(crate) fn measure(broker: &Broker, only: &[&str]) -> Value {
    let loads = [
        ("combined", Filling::plain(Format::Combined), Some(1.5)),
        ("nginx-json", Filling::plain(Format::NginxJson), Some(1.6)),
        ("combined-even", Filling { crowd: Crowd::Even, ..Filling::plain(Format::Combined) }, None),
        ("combined-lz4", Filling { lz4: true, ..Filling::plain(Format::Combined) }, Some(1.5)),
        ("nginx-json-lz4", Filling { lz4: true, ..Filling::plain(Format::NginxJson) }, Some(1.6)),
    ];
    let all = !loads.iter().any(|(name, ..)| only.contains(name));
    let wanted = loads.into_iter().filter(|(name, filling, _)| {
        (all || only.contains(name)) && (!filling.lz4 || matches!(broker, Broker::Apache(_)))
    });
    let costs = wanted.map(|(name, filling, most)| {
        let load = Load::produce(broker, name, filling);
        (name.to_owned(), compare(name, &load, most))
    });
    Value::Object(costs.collect())
}

fn compare(name: &str, load: &Load, most: Option<f64>) -> Value {
    let mut rounds = [const { Rounds { costs: Vec::new(), walls: Vec::new() } }; SIDES.len()];
    // One round in vain, so that all pages of the broker's log are in memory.
    for round in 0..=ROUNDS {
        for step in 0..SIDES.len() {
            let side = (round + step) % SIDES.len();
            rounds[side].measure(load, SIDES[side], round > 0);
        }
    }
    let records = load.records;
    println!("\n{name}, {records} records of {} bytes", load.bytes / records);
    println!(
        "{:<22} {:>14} {:>8} {:>8} {:>8} {:>9} {:>10}",
        "", "CPU us/record", "least", "most", "to bare", "to batch", "records/s"
    );
    let against = |side: usize, other: usize| ratio(&rounds[side].costs, &rounds[other].costs);
    let mut figures = Map::new();
    for (side, (name, _)) in SIDES.iter().enumerate() {
        let ((least, most_spent), cost) = (range(&rounds[side].costs), rounds[side].cost());
        let (to_bare, to_batch, rate) = (against(side, BARE), against(side, BATCH), rounds[side].rate());
        let judged = most.filter(|_| side == WHOLE).map(|most| bar(to_batch, most)).unwrap_or_default();
        println!(
            "{name:<22} {cost:>14.3} {least:>8.3} {most_spent:>8.3} {to_bare:>8.2} {to_batch:>9.2} {rate:>10.0}  \
             {judged}"
        );
        figures
            .insert((*name).to_owned(), json!({"cpu_us": rounded(cost), "records_per_second": rate.round()}));
    }
    json!({
        "records": records,
        "sides": figures,
        "whole_to_bare": rounded(against(WHOLE, BARE)),
        "whole_to_batch": rounded(against(WHOLE, BATCH)),
        "two_workers_to_one": rounded(against(TWO, WHOLE)),
        "bar": most,
        "met": most.map(|most| against(WHOLE, BATCH) <= most),
    })
}

/// One record in a hundred is random bytes, against the same records without.
pub(crate) fn faults(broker: &Broker) -> Value {
    let clean = Filling::plain(Format::Combined);
    let loads = [
        Load::produce(broker, "clean", clean),
        Load::produce(broker, "faulty", Filling { faults: 10, ..clean }),
    ];
    let mut rounds = [Rounds::default(), Rounds::default()];
    for round in 0..=ROUNDS {
        for step in 0..2 {
            let which = (round + step) % 2;
            rounds[which].measure(&loads[which], SIDES[WHOLE], round > 0);
        }
    }
    let [clean, faulty] = &rounds;
    // A rate is one over a time.
    let loss = 1.0 - ratio(&clean.walls, &faulty.walls);
    let dearer = ratio(&faulty.costs, &clean.costs) - 1.0;
    println!("\nfaults, combined, {} of {} records are random bytes", loads[1].faults, loads[1].records);
    println!("{:<22} {:>14} {:>10}", "", "CPU us/record", "records/s");
    for (name, side) in [("clean", clean), ("faulty", faulty)] {
        println!("{name:<22} {:>14.3} {:>10.0}", side.cost(), side.rate());
    }
    println!("{:<22} {:>13.1}% {:>9.1}%  {}", "loss", dearer * 100.0, loss * 100.0, bar(loss, LOSS_BAR));
    json!({
        "clean_records_per_second": clean.rate().round(),
        "faulty_records_per_second": faulty.rate().round(),
        "loss": rounded(loss),
        "cpu_loss": rounded(dearer),
        "bar": LOSS_BAR,
        "met": loss <= LOSS_BAR,
    })
}
