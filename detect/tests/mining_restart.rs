//! What outlives a restart of the mining engine, by itself: the findings of a run that is cut anywhere are those of an
//! undisturbed one, and bytes that were not written are refused. `watched_restart.rs` has the same from end to end.

mod workloads;

use beaconfire_detect::baseline::SnapshotError;
use beaconfire_detect::engine::mining::{Deed, Finding, Knobs, Mining};
use beaconfire_model::{EventTime, Kind, Severity};
use workloads::Seen;
use workloads::miner::{BEFORE_DAYS, Miner, Way};

fn at(minute: i64) -> EventTime {
    EventTime::from_millis(1_767_225_600_000 + minute * 60_000)
}

fn engine() -> Mining {
    Mining::new(Knobs::default())
}

/// A minute of three hosts of miners: they begin in different minutes, with indicators or without.
fn feed(engine: &mut Mining, hosts: &mut [Miner], t: i64, findings: &mut Vec<Finding>) {
    for (n, host) in hosts.iter_mut().enumerate() {
        let Some(sample) = host.minute(t) else { continue };
        let name = format!("shop/host-{n}");
        // Late ones are told so.
        let _late = engine.slice(&sample.slice(&name, at(t)), findings);
        let deed = match sample.seen {
            None => continue,
            Some(Seen::Lookup) => {
                let answers = &["203.0.113.9".parse().unwrap()];
                engine.deed(
                    &name,
                    at(t),
                    &Deed::Lookup { process: "x", name: "a.2miners.com", answers },
                    findings,
                );
                continue;
            }
            Some(Seen::Port) => Deed::Connect { process: "x", remote: "203.0.113.9:4444", domain: "" },
            Some(_) => Deed::File { process: "sh", path: "/etc/cron.d/x", written: true },
        };
        engine.deed(&name, at(t), &deed, findings);
    }
}

fn hosts() -> Vec<Miner> {
    let ways = [(Way::Full, 11, true), (Way::Bursts, 12, false), (Way::Before, 13, true)];
    ways.into_iter().map(|(way, seed, indicated)| Miner::new(way, 0, seed, indicated)).collect()
}

const END: i64 = (BEFORE_DAYS + 2) * 1440;

/// A run that is cut at these minutes; what was read of the last ten before each is read again.
fn run(cuts: &[i64]) -> Vec<Finding> {
    let (mut engine, mut hosts, mut findings) = (engine(), hosts(), Vec::new());
    let mut past = Vec::new();
    for t in 0..END {
        if cuts.contains(&t) {
            let learned = engine.learned(at(t), usize::MAX);
            assert_eq!(engine.unsaved_from(), None);
            engine = self::engine();
            for stored in learned {
                assert_eq!(stored.closed_through, at(t - 1));
                assert!(stored.state.len() <= 6 << 10, "{} bytes", stored.state.len());
                assert_eq!(engine.restore(&stored.workload, &stored.state), Ok(true));
            }
            hosts = past.remove(0);
            let before = findings.len();
            for t in t - past.len() as i64 - 1..t {
                feed(&mut engine, &mut hosts, t, &mut findings);
            }
            assert_eq!(findings.len(), before, "what is read again says nothing");
            past.clear();
        }
        past.push(hosts.clone());
        if past.len() > 10 {
            past.remove(0);
        }
        feed(&mut engine, &mut hosts, t, &mut findings);
    }
    findings
}

#[test]
fn a_run_that_is_cut_anywhere_finds_what_an_undisturbed_one_finds() {
    let undisturbed = run(&[]);
    let worst = |kind| undisturbed.iter().filter(|f| f.kind == kind).map(|f| f.severity).max();
    assert_eq!(worst(Kind::Mining), Some(Severity::Critical));
    // Before anything is known, between what is suspected and what is told, and every few minutes of it.
    let started: Vec<i64> = hosts().iter().map(|host| host.start).collect();
    let mut cuts = vec![11, 45, 200, 1_000, 2_881];
    cuts.extend(
        started
            .iter()
            .filter(|start| **start > 0)
            .flat_map(|start| [1, 12, 23, 34, 45, 300].map(|n| start + n)),
    );
    let cut = run(&cuts);
    for (n, (cut, whole)) in cut.iter().zip(&undisturbed).enumerate() {
        assert_eq!(cut, whole, "finding {n}");
    }
    assert_eq!(cut.len(), undisturbed.len());
    // The control: an engine that forgets is told apart.
    let (mut engine, mut hosts, mut forgetful) = (engine(), hosts(), Vec::new());
    for t in 0..END {
        if t == started[0] + 12 {
            engine = self::engine();
        }
        feed(&mut engine, &mut hosts, t, &mut forgetful);
    }
    assert_ne!(forgetful, undisturbed);
}

#[test]
fn what_waits_longest_is_handed_out_first_and_the_rest_is_read_again() {
    let (mut engine, mut hosts) = (engine(), hosts());
    for t in 0..20 {
        feed(&mut engine, &mut hosts, t, &mut Vec::new());
    }
    let names = |engine: &mut Mining, t| -> Vec<String> {
        engine.learned(at(t), 2).into_iter().map(|stored| stored.workload.to_string()).collect()
    };
    assert_eq!(names(&mut engine, 20), ["shop/host-0", "shop/host-1"]);
    assert_eq!(engine.unsaved_from(), Some(at(0)), "the third has not been handed out at all");
    feed(&mut engine, &mut hosts, 20, &mut Vec::new());
    assert_eq!(names(&mut engine, 21), ["shop/host-2", "shop/host-0"]);
    assert_eq!(engine.unsaved_from(), Some(at(20)));
    assert_eq!(names(&mut engine, 21), ["shop/host-1"]);
    assert_eq!((names(&mut engine, 21), engine.unsaved_from()), (Vec::new(), None));
}

#[test]
fn bytes_that_were_not_written_are_refused_and_change_nothing() {
    let (mut engine, mut hosts) = (engine(), hosts());
    for t in 0..200 {
        feed(&mut engine, &mut hosts, t, &mut Vec::new());
    }
    let good = engine.learned(at(200), 1).remove(0).state;
    let mut other = Mining::new(Knobs { workloads_max: 1, ..Knobs::default() });
    for n in 0..good.len() {
        let mut bad = good.clone();
        bad[n] ^= 0x40;
        assert!(other.restore("a", &bad).is_err(), "byte {n}");
        assert_eq!(other.restore("a", &good[..n]), Err(SnapshotError::Damaged));
    }
    assert_eq!(other.census().workloads, 0);
    assert_eq!(other.restore("a", &good), Ok(true));
    assert_eq!(other.restore("b", &good), Ok(false), "no room");
    assert_eq!(other.restore("a", &good), Ok(true), "it has its room");
}
