//! What the surge engine remembers: a restart changes nothing, damaged bytes are refused, and all of it is bounded.

#[path = "workloads/noise.rs"]
#[allow(dead_code)]
mod noise;
#[allow(dead_code)]
mod traffic;

use beaconfire_detect::engine::surge::{Around, Finding, Knobs, Seed, Sketch, SnapshotError, Surge};
use beaconfire_model::{Client, EventTime, Request};
use noise::Rng;
use traffic::{BEGINS, Event, Service, minutes};

fn at(t: i64) -> EventTime {
    EventTime::from_millis(t * 60_000)
}

/// All minutes of a small service.
fn series(event: Event, seed: u64) -> Vec<(i64, Sketch, Around)> {
    let mut service = Service::new(event, seed, (2.0, 3.0));
    minutes().map(|t| (t, service.sketch(t), service.around(t))).collect()
}

fn state(engine: &mut Surge) -> Vec<u8> {
    engine.learned(10).pop().expect("a service").2
}

#[test]
fn a_restart_changes_nothing() {
    for event in [Event::SlowBotnet, Event::RetryStorm, Event::ProductLaunch] {
        let all = series(event, 3);
        let mut whole = Surge::new(Knobs::default());
        let mut expected: Vec<Finding> = Vec::new();
        for (t, sketch, around) in &all {
            whole.take("shop", at(*t), sketch, *around, &mut expected);
        }
        assert!(!expected.is_empty());

        let mut engine = Surge::new(Knobs::default());
        let mut findings = Vec::new();
        for (t, sketch, around) in &all {
            engine.take("shop", at(*t), sketch, *around, &mut findings);
            if t % 130 == 0 || (BEGINS - 3..BEGINS + 12).contains(t) {
                assert_eq!(engine.unsaved_from().map(|from| from <= at(*t)), Some(true));
                let (name, through, bytes) = engine.learned(10).pop().expect("it took a minute");
                assert_eq!((&*name, through, engine.unsaved_from()), ("shop", at(*t), None));
                engine = Surge::new(Knobs::default());
                assert_eq!(engine.restore(&name, &bytes), Ok(true));
                assert!(engine.learned(10).is_empty(), "what comes from the store is in it");
                // What is read again was taken.
                assert!(engine.take("shop", at(*t), sketch, *around, &mut findings));
                assert!(engine.take("shop", at(t - 1), sketch, *around, &mut findings));
            }
        }
        assert_eq!(findings, expected, "{event:?}");
        engine.take("shop", at(9_999), &Sketch::default(), Around::default(), &mut findings);
        whole.take("shop", at(9_999), &Sketch::default(), Around::default(), &mut expected);
        assert!(state(&mut engine) == state(&mut whole));
    }
}

#[test]
fn damaged_bytes_are_refused_and_forged_ones_do_no_harm() {
    let all = series(Event::NewsLink, 8);
    let mut engine = Surge::new(Knobs::default());
    let mut findings = Vec::new();
    for (t, sketch, around) in &all[..all.len() - 5] {
        engine.take("shop", at(*t), sketch, *around, &mut findings);
    }
    let good = state(&mut engine);
    println!("{} bytes", good.len());
    assert!(good.len() < 68_000);
    let restore = |bytes: &[u8]| Surge::new(Knobs::default()).restore("shop", bytes);
    assert_eq!(restore(&good), Ok(true));
    for end in (0..good.len()).step_by(17) {
        assert_eq!(restore(&good[..end]), Err(SnapshotError::Damaged));
    }
    let sum = |body: &[u8]| {
        let sum = body.iter().fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| {
            (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        [body, &sum.to_le_bytes()].concat()
    };
    let body = &good[..good.len() - 8];
    assert_eq!(restore(&sum(&[&[9], &body[1..]].concat())), Err(SnapshotError::Version(9)));
    assert_eq!(restore(&sum(&[body, &[0]].concat())), Err(SnapshotError::Damaged));
    let (mut rng, mut refused) = (Rng::new(5), 0);
    for _ in 0..600 {
        let mut forged = body.to_vec();
        let place = 1 + rng.next() as usize % (forged.len().min(1_300) - 1);
        forged[place] = rng.next() as u8 | 0x80;
        let mut other = Surge::new(Knobs::default());
        match other.restore("shop", &sum(&forged)) {
            Err(error) => refused += u32::from(error == SnapshotError::Damaged),
            // Numbers that could be: then it goes on with them.
            Ok(_) => {
                for (t, sketch, around) in &all[all.len() - 5..] {
                    other.take("shop", at(*t), sketch, *around, &mut findings);
                }
                let bytes = other.learned(1).pop().map(|(_, _, bytes)| bytes);
                assert!(bytes.is_none_or(|bytes| restore(&bytes).is_ok()));
            }
        }
    }
    assert!(refused > 0);
}

/// A minute in which so many networks ask once.
fn asked_by(networks: u32, from: u32, seed: &Seed) -> Sketch {
    let mut sketch = Sketch::default();
    for n in 0..networks {
        let client = Client::from_bits(0xffff_0000_0000 | u128::from((from + n) << 8));
        let request = Request { client: Some(client), status: 200, ..Request::default() };
        sketch.add(&request, seed.draw(0, u64::from(from + n)), seed);
    }
    sketch
}

#[test]
fn services_are_bounded_and_the_silent_give_way() {
    let mut engine = Surge::new(Knobs { services_max: 3, ..Knobs::default() });
    let (seed, mut none) = (Seed::new(1), Vec::new());
    let some = asked_by(20, 0, &seed);
    let mut take = |name: &str, t: i64| engine.take(name, at(t), &some, Around::default(), &mut none);
    assert!(take("a", 0) && take("b", 1) && take("c", 2));
    assert!(!take("d", 3) && !take("d", 4));
    // A day later the one that was silent for longest is gone.
    assert!(take("a", 1_450) && take("d", 1_450));
    assert!(!take("b", 1_441 - 1_440), "no room, and it is not looked for again and again");
    assert!(take("a", 1_451) && take("c", 1_451) && take("d", 1_451));
    assert_eq!((engine.census().services, engine.census().full), (3, 4));
}

#[test]
fn the_networks_of_all_services_are_bounded() {
    let most = 256 << 10;
    let knobs = || Knobs { networks_bytes_max: most, ..Knobs::default() };
    let mut engine = Surge::new(knobs());
    let (seed, mut none) = (Seed::new(1), Vec::new());
    let names: Vec<String> = (0..40).map(|n| format!("service-{n:02}")).collect();
    for t in 0..120 {
        for (n, name) in names.iter().enumerate() {
            let sketch = asked_by(400, (t * 40 + n as u32) * 400, &seed);
            assert!(engine.take(name, at(i64::from(t)), &sketch, Around::default(), &mut none));
        }
    }
    let (least, held) = (40 * 1_024, engine.census().bytes);
    let fixed = {
        let mut empty = Surge::new(knobs());
        names.iter().for_each(|name| {
            empty.take(name, at(0), &Sketch::default(), Around::default(), &mut none);
        });
        empty.census().bytes
    };
    println!("{} bytes for 40 services, {} of them fixed", held, fixed);
    assert!(held - fixed <= most * 5 / 4 + least, "{}", held - fixed);

    // All are handed out in turn, however few at once.
    let mut handed = Vec::new();
    while handed.len() < 40 {
        let some = engine.learned(7);
        assert!(!some.is_empty());
        handed.extend(some.into_iter().map(|(name, _, _)| name));
    }
    handed.dedup();
    assert_eq!((handed.len(), engine.learned(7).len(), engine.unsaved_from()), (40, 0, None));
}
