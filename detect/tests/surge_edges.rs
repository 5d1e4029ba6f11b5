//! The surge engine where little is known: small, idle, new and returning services, and logs that lack something.

#[path = "workloads/noise.rs"]
#[allow(dead_code)]
mod noise;
#[allow(dead_code)]
mod traffic;

use std::collections::BTreeMap;

use beaconfire_detect::engine::surge::{Around, Capacity, Finding, Knobs, Seed, Sketch, Surge, Verdict};
use beaconfire_model::{Client, EventTime, Request};
use traffic::{BEGINS, Event, Format, LASTS, Service, minutes};

const SMALL: (f64, f64) = (2.0, 4.0);

fn at(t: i64) -> EventTime {
    EventTime::from_millis(t * 60_000)
}

/// Findings of an event that the log tells in this format.
fn run(event: Event, seed: u64, format: Format) -> Vec<Finding> {
    let mut engine = Surge::new(Knobs::default());
    let mut service = Service::new(event, seed, SMALL);
    service.format = format;
    let mut findings = Vec::new();
    for t in minutes() {
        let sketch = service.sketch(t);
        assert!(engine.take("shop", at(t), &sketch, service.around(t), &mut findings));
    }
    findings.retain(|finding| finding.at >= at(BEGINS));
    findings
}

fn worst(findings: &[Finding]) -> Option<Verdict> {
    findings.iter().filter_map(|finding| finding.verdict).max()
}

/// Whether a row was known in any minute, and the points it gave.
fn row(findings: &[Finding], what: &str) -> (bool, i32) {
    let rows: Vec<_> =
        findings.iter().flat_map(|finding| &finding.rows).filter(|row| row.what.starts_with(what)).collect();
    assert!(!rows.is_empty(), "{what} is shown also where it is not known");
    (rows.iter().any(|row| row.value.is_some()), rows.iter().map(|row| row.points).sum())
}

#[test]
fn a_finding_says_who_asks() {
    let findings = run(Event::FastBotnet, 1, Format::FULL);
    let last = findings.last().expect("a finding");
    let (clients, networks) = (last.clients.unwrap(), last.networks.unwrap());
    assert!(clients > 20.0 && networks > 20.0 && networks <= clients, "{clients} {networks}");
}

#[test]
fn what_the_log_lacks_gives_no_points() {
    for seed in 0..2 {
        let no_agents = run(Event::FastBotnet, seed, Format { agents: false, ..Format::FULL });
        assert_eq!(row(&no_agents, "user agents"), (false, 0));
        assert_eq!(worst(&no_agents), Some(Verdict::Attack));

        let no_paths = run(Event::FastBotnet, seed, Format { paths: false, ..Format::FULL });
        for what in ["concentration", "assets", "distinct queries"] {
            assert_eq!(row(&no_paths, what), (false, 0), "{what}");
        }
        let no_clients = run(Event::CacheBusting, seed, Format { clients: false, ..Format::FULL });
        let about =
            ["share of requests from new", "requests of a busy", "requests of the busiest", "variation"];
        for what in about.into_iter().chain(["growth"]) {
            assert_eq!(row(&no_clients, what), (false, 0), "{what}");
        }
        assert!(!no_clients.is_empty() && worst(&no_clients) < Some(Verdict::Attack));
        assert!(no_clients.iter().all(|finding| finding.clients.is_none()));

        let nothing = Format { clients: false, agents: false, paths: false, durations: false };
        assert_eq!(worst(&run(Event::ProductLaunch, seed, nothing)), Some(Verdict::FlashCrowd));
    }
}

#[test]
fn of_a_new_service_nothing_is_an_attack() {
    for event in [Event::FastBotnet, Event::CacheBusting, Event::LoudClient] {
        for seed in 0..2 {
            let mut service = Service::new(event, seed, SMALL);
            let mut engine = Surge::new(Knobs::default());
            let mut findings = Vec::new();
            // It is first seen two minutes before, though somebody knows what to expect.
            for t in BEGINS - 2..BEGINS + LASTS {
                engine.take("shop", at(t), &service.sketch(t), service.around(t), &mut findings);
            }
            assert!(worst(&findings) < Some(Verdict::Attack), "{event:?} {seed}");
            // And where nobody knows, it is how it is.
            let (mut engine, mut none) = (Surge::new(Knobs::default()), Vec::new());
            for t in BEGINS - 2..BEGINS + LASTS {
                let around = Around { expected: None, ..service.around(t) };
                engine.take("shop", at(t), &service.sketch(t), around, &mut none);
            }
            assert!(none.is_empty());
        }
    }
}

/// So many clients, each with so many requests.
fn asked(clients: u32, each: u32, seed: &Seed, offset: &mut u64, micros: u64) -> Sketch {
    let mut sketch = Sketch::default();
    for n in 0..clients * each {
        *offset += 1;
        let client = Client::from_bits(0xffff_0a00_0000 | u128::from(n % clients) << 8);
        let request = Request {
            time: EventTime::from_millis(i64::from(n) * 60_000 / i64::from(clients * each)),
            client: Some(client),
            path: if n % 3 == 0 { "/" } else { "/style.css" },
            status: 200,
            duration_micros: Some(micros + u64::from(n % 10) * 1_000),
            ..Request::default()
        };
        sketch.add(&request, seed.draw(0, *offset), seed);
    }
    sketch
}

#[test]
fn some_visitors_at_night_are_no_surge() {
    let (mut engine, seed, mut offset) = (Surge::new(Knobs::default()), Seed::new(3), 0);
    let mut findings = Vec::new();
    for t in 0..2_400 {
        let night = t % 1_440 < 480;
        let visitors = if night { u32::from(t % 97 == 0) * 4 } else { 30 + (t % 7) as u32 };
        let expected = if night { 0.0 } else { 33.0 * 5.0 / 60.0 };
        let around = Around { expected: Some(expected), ..Around::default() };
        engine.take("shop", at(t), &asked(visitors, 5, &seed, &mut offset, 9_000), around, &mut findings);
    }
    assert!(findings.is_empty(), "{:?}", findings.first());
    // A crowd at night is one, and no attack.
    let around = Around { expected: Some(0.0), ..Around::default() };
    for t in 2_400..2_407 {
        engine.take("shop", at(t), &asked(200, 5, &seed, &mut offset, 9_000), around, &mut findings);
    }
    assert!(findings.len() >= 4 && worst(&findings) < Some(Verdict::Attack), "{findings:?}");
}

#[test]
fn a_service_that_comes_back_is_not_attacked() {
    for silence in [5, 180, 12 * 1_440] {
        let (mut engine, seed, mut offset) = (Surge::new(Knobs::default()), Seed::new(3), 0);
        let mut findings = Vec::new();
        let mut take = |t: i64, clients: u32, expected: Option<f64>| {
            let around = Around { expected, ..Around::default() };
            let sketch =
                if clients == 0 { Sketch::default() } else { asked(clients, 10, &seed, &mut offset, 9_000) };
            engine.take("shop", at(t), &sketch, around, &mut findings);
        };
        let usual = |t: i64| 12 + (t % 5) as u32;
        (0..2_000).for_each(|t| take(t, usual(t), None));
        let back = 2_000 + silence;
        (2_000..back).for_each(|t| take(t, 0, None));
        // As many as before, while the baseline has got used to none.
        (back..back + 40).for_each(|t| take(t, usual(t), Some(0.1)));
        // And then twice as many.
        (back + 40..back + 50).for_each(|t| take(t, 2 * usual(t), Some(0.1)));
        assert!(worst(&findings) < Some(Verdict::Attack), "{silence}");
        findings.retain(|finding| finding.at < at(back + 40));
        assert!(worst(&findings) <= Some(Verdict::FlashCrowd), "{silence}: {findings:?}");
    }
}

#[test]
fn a_surge_that_stays_is_how_it_is() {
    let (mut engine, seed, mut offset) = (Surge::new(Knobs::default()), Seed::new(3), 0);
    let mut findings = Vec::new();
    for t in 0..6_000 {
        let clients = if t < 1_000 { 12 } else { 50 };
        let sketch = asked(clients + (t % 5) as u32, 4, &seed, &mut offset, 9_000);
        engine.take("shop", at(t), &sketch, Around::default(), &mut findings);
    }
    let last = findings.last().expect("a surge").at.millis() / 60_000;
    assert!((2_000..5_000).contains(&last), "{last}");
}

#[test]
fn in_time_is_what_the_operator_says_or_what_is_usual() {
    // Fast up to twelve clients, slow beyond; the capacity is learned where it has been slow.
    let learned = |latencies: BTreeMap<Box<str>, f64>, slow: u64| {
        let knobs = Knobs { latencies, ..Knobs::default() };
        let (mut engine, seed, mut offset) = (Surge::new(knobs), Seed::new(3), 0);
        let mut findings = Vec::new();
        for t in 0..400 {
            let clients = 8 + (t % 5) as u32 + if t % 20 == 19 { 4 } else { 0 };
            let micros = if clients > 12 { slow } else { 40_000 };
            let sketch = asked(clients, 60, &seed, &mut offset, micros);
            engine.take("shop", at(t), &sketch, Around::default(), &mut findings);
        }
        findings.iter().rev().find_map(|finding| finding.load).map(|load| load.capacity)
    };
    let none = BTreeMap::new;
    let strict = || BTreeMap::from([(Box::from("shop"), 0.06)]);
    assert_eq!(learned(none(), 55_000), None, "not twice as slow as usual");
    for capacity in [learned(none(), 200_000), learned(strict(), 55_000)] {
        assert!(
            matches!(capacity, Some(Capacity::Learned(rate)) if (9.0..14.0).contains(&rate)),
            "{capacity:?}"
        );
    }
}
