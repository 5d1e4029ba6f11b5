//! A second process joins and leaves every two seconds: partitions move all the time, and the incidents are the same.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::history::{self, ENTRY, Feeder, essence};
use super::kills::{self, undisturbed_with};
use super::log::{Line, request};
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::eventually;

/// Short times, so that what begins here also ends here.
const SECTIONS: &str = "incidents: {resolve_after: 10s, flap_window: 10s}
services: {shop: {logins: [/login]}}
throttle: {mode: enforce}
rules: [{name: requests-per-client, throttle: {action: ban, for: 1h}}]
pipeline: {workers: 2, shards: 2}
";

const SECOND: i64 = 1_000;

/// A minute as it happens: readers, and five floods and two guessers, each in a /16 of its own.
fn minute(start: i64) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut put = |at: i64, client: String, path: &str, status: u16| {
        let text = request(start + at, &client, path, status);
        let text = if status == 401 { text.replacen("GET", "POST", 1) } else { text };
        lines.push(Line { at: start + at, client, text });
    };
    for n in 0..600 {
        put(n * SECOND / 10, format!("198.{}.7.{}", 18 + n % 2, 1 + n % 200), "/", 200);
    }
    for flood in 0..5 {
        // 800 and more in 40 s, which is over two limits.
        let (from, count) = (4 * flood * SECOND, 800 + 40 * flood);
        for n in 0..count {
            put(from + n * 40 * SECOND / count, format!("100.{}.0.7", 64 + flood), "/search", 200);
        }
    }
    for guesser in 0..2 {
        for n in 0..15 {
            let at = (20 * guesser + n) * SECOND + 500;
            put(at, format!("192.0.{}.9", 2 + 255 * guesser % 250), "/login", 401);
        }
    }
    lines.sort_by_key(|line| line.at);
    lines
}

fn settled(incidents: &[Value]) -> bool {
    let of = |kind: &str| incidents.iter().any(|incident| incident["kind"] == kind);
    of("flood") && of("login") && incidents.iter().all(|incident| incident["status"] == "resolved")
}

/// A process reads while another joins and leaves for a minute, sharing the group and the store's file; what the first
/// one has found once `settled` holds.
fn come_and_go(
    world: &World,
    sections: &str,
    feed: impl FnOnce() -> Feeder,
    settled: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let config = world.config(ENTRY, sections);
    let first = Beaconfire::start(world.path(), "first", &config);
    first.ready();
    let feeder = feed();
    let until = Instant::now() + Duration::from_secs(60);
    let mut visits = 0;
    while Instant::now() < until {
        let mut second = Beaconfire::start(world.path(), "second", &config);
        second.ready();
        std::thread::sleep(Duration::from_secs(2));
        second.stop(Duration::from_secs(10));
        std::thread::sleep(Duration::from_secs(2));
        visits += 1;
    }
    assert!(visits >= 5, "{visits} visits");
    feeder.finish(world);
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("all incidents are over", PATIENCE, || {
        found = first.incidents();
        settled(&found)
    });
    world.all_told(&first);
    let alerts = world.pager.alerts();
    assert_eq!(alerts.len(), found.len(), "one dedup key an episode");
    assert!(alerts.values().all(|alert| alert.opened == 1), "{alerts:?}");
    assert_eq!(world.faults(), Vec::<String>::new());
    found
}

#[test]
fn a_process_that_comes_and_goes_changes_nothing() {
    let Some(world) = World::new("members", 4) else { return };
    let feed = || Feeder::start(&world, minute(now()), Duration::from_secs(60));
    let found = come_and_go(&world, SECTIONS, feed, settled);
    let floods: Vec<_> = found.iter().filter(|incident| incident["kind"] == "flood").collect();
    assert_eq!(floods.len(), 1, "{floods:?}");
    assert_eq!(floods[0]["participants_total"], 5, "{}", floods[0]);
    assert_eq!(essence(&found), essence(&undisturbed_with(&world, SECTIONS, settled)));
}

/// Forty minutes in 65 s, as after an outage: the workers read far ahead of one another and wait for one another, and
/// partitions move meanwhile. One partition is empty until the end, and the floods' is empty at first: both are at
/// their ends when the past begins to arrive.
#[test]
fn nor_while_a_backlog_is_read() {
    let Some(world) = World::new("members-backlog", 4) else { return };
    let feed = || Feeder::start(&world, history::lines(now(), 11), Duration::from_secs(65));
    let all = |found: &[Value]| kills::settled(found, 9);
    let found = come_and_go(&world, history::SECTIONS, feed, all);
    assert_eq!(essence(&found), essence(&kills::undisturbed(&world, 9)));
}
