//! The mining engine against labelled workloads: how many ordinary ones it bothers people with, how many miners it finds.
//!
//! `cargo test --release -p beaconfire-detect --test mining -- --ignored --nocapture` prints the confusion table over 200
//! workloads and 30 days; by default a shorter form of the same is asserted.

mod workloads;

use std::collections::BTreeMap;

use beaconfire_detect::engine::mining::{Deed, Finding, Knobs, Lists, Mining};
use beaconfire_model::{EventTime, Kind, Severity};
use workloads::benign::{self, Workload};
use workloads::miner::{BEFORE_DAYS, Miner, WATCHED, Way};
use workloads::{Sample, Seen};

/// A Thursday, midnight.
const EPOCH: i64 = 1_767_225_600_000;

fn at(minute: i64) -> EventTime {
    EventTime::from_millis(EPOCH + minute * 60_000)
}

fn engine() -> Mining {
    Mining::new(Knobs { allow: vec!["ci/*".into()], lists: Lists::default(), workloads_max: 0 })
}

fn feed(engine: &mut Mining, name: &str, t: i64, sample: &Sample, findings: &mut Vec<Finding>) {
    engine.slice(&sample.slice(name, at(t)), findings).unwrap();
    if let Some(seen) = sample.seen {
        engine.deed(name, at(t), &deed(seen), findings);
    }
}

fn deed(seen: Seen) -> Deed<'static> {
    let exec =
        |process, path, cmdline| Deed::Exec { process, path, cmdline, environment: "", dropped: false };
    match seen {
        Seen::Stratum => exec("kthread", "/usr/bin/kthread", "kthread -o stratum+tcp://a.example:443 -u x"),
        Seen::Name => exec("xmrig", "/opt/xmrig", "xmrig -c c.json"),
        Seen::PoolConnect => {
            Deed::Connect { process: "x", remote: "203.0.113.9:10001", domain: "gulf.moneroocean.stream" }
        }
        Seen::Lookup => Deed::Lookup { process: "x", name: "pool.supportxmr.com", answers: &[] },
        Seen::Options => exec("x", "/usr/bin/x", "x --randomx-mode=light"),
        Seen::Port => Deed::Connect { process: "x", remote: "203.0.113.9:4444", domain: "" },
        Seen::Dropped => exec("x", "/tmp/x", "/tmp/x"),
        Seen::Cron => Deed::File { process: "sh", path: "/etc/cron.d/x", written: true },
        Seen::Pages => exec("sh", "/bin/sh", "sysctl -w vm.nr_hugepages=512"),
        Seen::Flow => {
            Deed::Flow { remote: "203.0.113.9:8443", minutes: 31, bytes_per_second: 60.0, first_seen: true }
        }
    }
}

/// What people were bothered with.
#[derive(Debug, Default, Clone, Copy)]
struct Bother {
    workloads: u32,
    pages: u32,
    tickets: u32,
    loops: u32,
    told: u32,
}

/// Ordinary workloads over some days, by kind.
fn ordinary(workloads: usize, days: i64, seed: u64) -> (BTreeMap<benign::Kind, Bother>, Mining) {
    let mut engine = engine();
    let mut all = Vec::new();
    for (kind, of_200) in benign::Kind::MIX {
        for i in 0..(of_200 * workloads).div_ceil(200) {
            let index = all.len();
            all.push(Workload::new(kind, index + i, seed.wrapping_mul(1000) + index as u64));
        }
    }
    let mut bothered = BTreeMap::new();
    let mut last = vec![[i64::MIN / 2; 3]; all.len()];
    let mut findings = Vec::new();
    for workload in &all {
        bothered.entry(workload.kind).or_insert_with(Bother::default).workloads += 1;
    }
    for t in 0..days * 1440 {
        for (i, workload) in all.iter_mut().enumerate() {
            let Some(sample) = workload.minute(t) else { continue };
            feed(&mut engine, &workload.name, t, &sample, &mut findings);
            for finding in findings.drain(..) {
                let bother = bothered.get_mut(&workload.kind).unwrap();
                let (what, count) = match (finding.kind, finding.severity) {
                    (Kind::Mining, Severity::Critical) => (0, &mut bother.pages),
                    (Kind::Mining, Severity::Warning | Severity::Error) => (1, &mut bother.tickets),
                    (Kind::Resource, Severity::Warning) => (2, &mut bother.loops),
                    _ => {
                        bother.told += 1;
                        continue;
                    }
                };
                // A ticket that is open is not another one.
                if t - last[i][what] > 360 {
                    *count += 1;
                    if what < 2 && std::env::var_os("SHOW").is_some() {
                        println!("{} day {}: {finding:?}", workload.name, t as f64 / 1440.0);
                    }
                }
                last[i][what] = t;
            }
        }
    }
    (bothered, engine)
}

/// How miners were found.
#[derive(Debug, Default, Clone, Copy)]
struct Found {
    miners: u32,
    paged: u32,
    in_time: u32,
    ticketed: u32,
    never: u32,
}

fn miners(way: Way, count: usize, seed: u64, indicated: bool) -> Found {
    let mut result = Found::default();
    for index in 0..count {
        let seed = seed.wrapping_mul(100_000) + (way as u64) * 1000 + index as u64;
        let mut miner = Miner::new(way, index, seed, indicated);
        let name = miner.host.name.clone();
        let mut engine = engine();
        let mut findings = Vec::new();
        let end =
            if way == Way::Before { 2 * 1440 } else { BEFORE_DAYS * 1440 + 1440 }.max(miner.start + WATCHED);
        let both = miner.indicators.first().map(|(at, _)| (*at).max(miner.start));
        let (mut page, mut ticket) = (None, None);
        for t in 0..end {
            let Some(sample) = miner.minute(t) else { continue };
            feed(&mut engine, &name, t, &sample, &mut findings);
            for finding in findings.drain(..) {
                if t < miner.start || finding.kind != Kind::Mining {
                    continue;
                }
                if finding.severity == Severity::Critical {
                    page.get_or_insert(t);
                }
                if finding.severity >= Severity::Warning {
                    ticket.get_or_insert(t);
                }
            }
            if page.is_some() || (both.is_none() && ticket.is_some()) {
                break;
            }
        }
        result.miners += 1;
        result.paged += u32::from(page.is_some());
        result.ticketed += u32::from(ticket.is_some_and(|t| t <= miner.start + 45));
        result.never += u32::from(ticket.is_none());
        let in_time = both.is_some_and(|both| page.is_some_and(|t| t <= both + 10));
        result.in_time += u32::from(in_time);
        let good = if indicated { in_time } else { ticket.is_some_and(|t| t <= miner.start + 45) };
        if !good && std::env::var_os("SHOW").is_some() {
            println!(
                "{way:?} {index} seed {seed} on {:?} {}: start {} ind {:?} page {page:?} ticket {ticket:?}",
                miner.host.kind, miner.dataset, miner.start, miner.indicators
            );
        }
    }
    result
}

fn print_ordinary(bothered: &BTreeMap<benign::Kind, Bother>) -> Bother {
    let mut sum = Bother::default();
    println!(
        "| ordinary workload | workloads | pages | tickets of mining | tickets of a loop | shown only |"
    );
    println!("|---|---|---|---|---|---|");
    for (kind, b) in bothered {
        println!("| {kind:?} | {} | {} | {} | {} | {} |", b.workloads, b.pages, b.tickets, b.loops, b.told);
        sum.workloads += b.workloads;
        sum.pages += b.pages;
        sum.tickets += b.tickets;
        sum.loops += b.loops;
        sum.told += b.told;
    }
    println!("| all | {} | {} | {} | {} | {} |", sum.workloads, sum.pages, sum.tickets, sum.loops, sum.told);
    sum
}

fn share(part: u32, whole: u32) -> f64 {
    100.0 * f64::from(part) / f64::from(whole.max(1))
}

/// The table of miners; shares of: paged in time where indicated, ticketed in time among the rest, ticketed at 30 %.
fn print_miners(each: usize, seed: u64) -> (f64, f64, f64) {
    println!(
        "| miner | with an indicator: paged within 10 min | paged at all | without: ticket within 45 min | never |"
    );
    println!("|---|---|---|---|---|");
    let (mut with, mut without, mut third) = (Found::default(), Found::default(), Found::default());
    for way in Way::ALL {
        let (a, b) = (miners(way, each, seed, true), miners(way, each, seed + 500, false));
        println!(
            "| {way:?} | {} of {} | {} | {} of {} | {} |",
            a.in_time, a.miners, a.paged, b.ticketed, b.miners, b.never
        );
        with.miners += a.miners;
        with.in_time += a.in_time;
        with.paged += a.paged;
        let rest = if way == Way::Third { &mut third } else { &mut without };
        rest.miners += b.miners;
        rest.ticketed += b.ticketed;
        rest.never += b.never;
    }
    let shares = (
        share(with.in_time, with.miners),
        share(without.ticketed, without.miners),
        share(third.ticketed, third.miners),
    );
    println!(
        "| all | {:.1} % ({:.1} % at all) | | {:.1} %, at 30 %: {:.1} % | |",
        shares.0,
        share(with.paged, with.miners),
        shares.1,
        shares.2
    );
    shares
}

/// What is reached over all seeds tried, a little below the worst: a change that finds fewer fails. The aims are 95, 90 and
/// 70 %; `detect/docs/mining-and-surge.md` says who is missed and why.
const PAGED: f64 = 92.0;
const TICKETED: f64 = 88.0;
const THROTTLED: f64 = 70.0;

fn assert_found(shares: (f64, f64, f64), slack: f64) {
    assert!(shares.0 >= PAGED - slack, "{:.1} % of miners with an indicator are paged in time", shares.0);
    assert!(shares.1 >= TICKETED - slack, "{:.1} % of the rest are ticketed in time", shares.1);
    assert!(shares.2 >= THROTTLED - slack, "{:.1} % of those at 30 % are ticketed in time", shares.2);
}

#[test]
fn ordinary_workloads_bother_nobody() {
    let (bothered, engine) = ordinary(60, 5, 3);
    let sum = print_ordinary(&bothered);
    assert!(sum.pages == 0 && sum.tickets <= 1, "{bothered:?}");
    let census = engine.census();
    assert!(census.bytes / census.workloads <= 4096, "{} bytes a workload", census.bytes / census.workloads);
}

#[test]
fn miners_are_found() {
    // Twelve of each kind: one miner of the throttled is 8 %.
    assert_found(print_miners(12, 4), 8.0);
}

/// The whole table, over three disjoint ranges of seeds, or those in `SEEDS`, which are separated by spaces.
#[test]
#[ignore = "minutes; run with --release"]
fn confusion_table() {
    let mut told = Vec::new();
    let given = std::env::var_os("SEEDS").and_then(|seeds| seeds.into_string().ok());
    let seeds = given.unwrap_or_else(|| "1000 20000 300000".to_owned());
    for seed in seeds.split(' ').map(|seed| seed.parse().expect("a seed")) {
        println!("\nseeds from {seed}\n");
        let (bothered, engine) = ordinary(200, 30, seed);
        let sum = print_ordinary(&bothered);
        let census = engine.census();
        println!("\n{} bytes a workload\n", census.bytes / census.workloads);
        told.push((sum, print_miners(40, seed)));
    }
    for (sum, shares) in told {
        assert!(sum.pages == 0, "{} pages", sum.pages);
        assert!(sum.tickets <= 3, "{} tickets", sum.tickets);
        assert_found(shares, 0.0);
    }
}
