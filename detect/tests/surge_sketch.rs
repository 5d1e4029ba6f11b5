//! A minute's sketch: the same however it was put together, exact of few clients, and near enough of many.
//!
//! `cargo test --release -p beaconfire-detect --test surge_sketch -- --ignored --nocapture` prints what a record costs.

#[path = "workloads/noise.rs"]
#[allow(dead_code)]
mod noise;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use beaconfire_detect::engine::surge::{Around, Minute, Networks, Seed, Sketch};
use beaconfire_model::{Client, EventTime, Request};
use noise::Rng;
use proptest::prelude::*;

const PATHS: [&str; 6] = ["/", "/shop", "/style.css", "/shop/item", "/app.js", "/search"];
const QUERIES: [&str; 4] = ["", "", "q=tea", "q=coffee"];
const AGENTS: [&str; 4] = ["Firefox", "Chrome", "Safari", ""];

fn client(n: u32) -> Client {
    Client::of(match n % 3 {
        0 => IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(n / 3) << 76 | 1)),
        _ => IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n)),
    })
}

/// A record: who, when in its minute, and its place in the log.
#[derive(Debug, Clone, Copy)]
struct Record {
    client: u32,
    second: u8,
    status: u16,
    offset: u64,
}

fn add(sketch: &mut Sketch, record: &Record, seed: &Seed) {
    let Record { client: n, second, status, offset } = *record;
    let at = |all: &[&'static str]| all[offset as usize * 7 % all.len()];
    let request = Request {
        time: EventTime::from_millis(i64::from(second) * 1_000),
        client: (n != 0).then(|| client(n)),
        path: at(&PATHS),
        query: QUERIES[offset as usize % 4],
        user_agent: AGENTS[n as usize % 4],
        status,
        duration_micros: Some(offset % 1_000 * 100),
        ..Request::default()
    };
    sketch.add(&request, seed.draw(3, offset), seed);
}

fn minute(sketch: &Sketch) -> Minute<'static> {
    sketch.minute("shop", EventTime::from_millis(0), Around::default(), &Networks::default())
}

/// Clients of which few ask often.
fn records(count: usize, clients: u32, rng: &mut Rng) -> Vec<Record> {
    let one = |offset: usize, rng: &mut Rng| Record {
        client: 1 + (rng.unit() * rng.unit() * f64::from(clients)) as u32,
        second: (rng.next() % 60) as u8,
        status: [200, 200, 200, 404, 503, 499][(rng.next() % 6) as usize],
        offset: offset as u64,
    };
    (0..count).map(|offset| one(offset, rng)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_same_however_it_was_put_together(
        seed in any::<u64>(),
        count in 0usize..6_000,
        clients in prop::sample::select(vec![1u32, 40, 500, 513, 700, 5_000]),
        workers in 1usize..6,
        flush in 1usize..2_000,
    ) {
        let mut rng = Rng::new(seed);
        let all = records(count, clients, &mut rng);
        let seed = Seed::new(seed);
        let mut whole = Sketch::default();
        all.iter().for_each(|record| add(&mut whole, record, &seed));

        // Each record by any worker, in any order, taken whenever it pleases, merged in any order.
        let mut mixed = all;
        (1..mixed.len()).for_each(|at| mixed.swap(at, (rng.next() % (at as u64 + 1)) as usize));
        let mut held = vec![Sketch::default(); workers];
        let mut parts = Vec::new();
        for record in &mixed {
            let at = (rng.next() % workers as u64) as usize;
            add(&mut held[at], record, &seed);
            if rng.next().is_multiple_of(flush as u64) {
                parts.push(std::mem::take(&mut held[at]));
            }
        }
        parts.extend(held);
        (1..parts.len()).for_each(|at| parts.swap(at, (rng.next() % (at as u64 + 1)) as usize));
        // In pairs, as shards do, and then one after the other.
        let pairs = parts.chunks(2).map(|pair| {
            let mut merged = pair[0].clone();
            pair[1..].iter().for_each(|other| merged.merge(other));
            merged
        });
        let mut merged = Sketch::default();
        pairs.for_each(|pair| merged.merge(&pair));
        prop_assert!(merged == whole);
        prop_assert_eq!(minute(&merged), minute(&whole));
        prop_assert!(whole.bytes() <= 60_000 && merged.bytes() <= 60_000, "{} {}", whole.bytes(), merged.bytes());
    }

    #[test]
    fn of_few_clients_it_is_exact(seed in any::<u64>(), count in 30usize..4_000, clients in 1u32..512) {
        let all = records(count, clients, &mut Rng::new(seed));
        let seed = Seed::new(seed);
        let mut sketch = Sketch::default();
        all.iter().for_each(|record| add(&mut sketch, record, &seed));
        let mut each: BTreeMap<u32, f64> = BTreeMap::new();
        all.iter().for_each(|record| *each.entry(record.client).or_default() += 1.0);
        let networks: BTreeSet<_> = each.keys().map(|n| client(*n).prefix()).collect();
        let mut sorted: Vec<f64> = each.values().copied().collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let share = |wanted: fn(u16) -> bool| all.iter().filter(|record| wanted(record.status)).count() as f64 / count as f64;
        let minute = minute(&sketch);
        prop_assert_eq!(minute.requests(), count as f64);
        prop_assert_eq!(minute.clients, Some(each.len() as f64));
        prop_assert_eq!(minute.networks, Some(networks.len() as f64));
        prop_assert_eq!(minute.client_max, sorted.first().copied());
        prop_assert_eq!(minute.client_p95, (sorted.len() >= 20).then(|| sorted[sorted.len() / 20]));
        prop_assert_eq!(minute.client_errors, Some(share(|status| status == 404)));
        prop_assert_eq!(minute.server_errors, Some(share(|status| status == 503 || status == 499)));
    }
}

#[test]
fn of_many_clients_it_is_near() {
    for (clients, loud) in [(2_000u32, 0u32), (20_000, 50_000), (150_000, 0), (150_000, 90_000)] {
        let mut worst = [0.0f64; 4];
        for seed in 0..20 {
            let hashes = Seed::new(seed);
            let mut sketch = Sketch::default();
            let mut offset = 0;
            let mut send = |n: u32, count: u32| {
                for _ in 0..count {
                    offset += 1;
                    add(&mut sketch, &Record { client: n, second: 1, status: 200, offset }, &hashes);
                }
            };
            (1..=clients).for_each(|n| send(n, 1 + u32::from(n % 10 == 0) * 5));
            send(clients + 1, loud);
            let networks: BTreeSet<_> = (1..=clients).map(|n| client(n).prefix()).collect();
            let minute = minute(&sketch);
            let off = |is: Option<f64>, right: f64| (is.unwrap() / right - 1.0).abs();
            let busiest = f64::from(loud.max(6));
            let errors = [
                off(minute.clients, f64::from(clients)),
                off(minute.networks, networks.len() as f64),
                off(minute.client_p95, 6.0),
                if loud > 0 { off(minute.client_max, busiest) } else { 0.0 },
            ];
            worst.iter_mut().zip(errors).for_each(|(worst, error)| *worst = error.max(*worst));
            assert_eq!(minute.top_variation, None);
        }
        println!(
            "{clients} clients, worst of 20: clients {:.3}, networks {:.3}, p95 {:.3}, busiest {:.3}",
            worst[0], worst[1], worst[2], worst[3]
        );
        assert!(worst[0] < 0.15 && worst[1] < 0.15 && worst[2] == 0.0 && worst[3] < 0.05, "{worst:?}");
    }
}

#[test]
fn what_the_log_does_not_have_is_not_known() {
    let seed = Seed::new(1);
    let mut sketch = Sketch::default();
    for offset in 0..600 {
        let request = Request { status: 200, ..Request::default() };
        sketch.add(&request, seed.draw(1, offset), &seed);
    }
    let at = EventTime::from_millis(0);
    let empty = Minute::empty("shop", at, Around::default());
    let known = Minute { tens: [600.0, 0.0, 0.0, 0.0, 0.0, 0.0], ..empty };
    assert_eq!(minute(&sketch), Minute { client_errors: Some(0.0), server_errors: Some(0.0), ..known });
    assert_eq!(minute(&Sketch::default()), empty);
}

#[test]
fn what_does_not_grow_takes_little() {
    let seed = Seed::new(1);
    let mut sketch = Sketch::default();
    for offset in 0..20 {
        add(&mut sketch, &Record { client: 1 + offset as u32 % 5, second: 0, status: 200, offset }, &seed);
    }
    assert!(sketch.bytes() < 2_000, "{}", sketch.bytes());
}

#[test]
#[ignore = "what a record costs; run with --release"]
#[allow(clippy::disallowed_methods)]
fn cost() {
    println!("| clients | records in a sketch | ns for each record |\n|---|---|---|");
    let seed = Seed::new(9);
    for clients in [1u32, 1_000, 100_000] {
        for flush in [2_000usize, 30_000, 1_000_000] {
            let mut rng = Rng::new(4);
            let asks: Vec<Client> =
                (0..1 << 17).map(|_| client(1 + (rng.next() % u64::from(clients)) as u32)).collect();
            let mut requests: Vec<Request<'_>> = (0..64)
                .map(|offset: usize| Request {
                    path: PATHS[offset % 6],
                    query: QUERIES[offset % 4],
                    user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                    status: 200,
                    ..Request::default()
                })
                .collect();
            // The best of some runs, as others use the machine too.
            let mut best = f64::INFINITY;
            for _ in 0..5 {
                let begun = std::time::Instant::now();
                let (mut sketch, mut merged) = (Sketch::default(), Sketch::default());
                for offset in 0..1_000_000usize {
                    let request = &mut requests[offset % 64];
                    request.client = Some(asks[offset % asks.len()]);
                    sketch.add(request, seed.draw(1, offset as u64), &seed);
                    if offset % flush == flush - 1 {
                        merged.merge(&std::mem::take(&mut sketch));
                    }
                }
                best = best.min(begun.elapsed().as_nanos() as f64 / 1e6);
                assert!(merged.requests() > 0);
            }
            println!("| {clients} | {flush} | {best:.1} |");
        }
    }
}
