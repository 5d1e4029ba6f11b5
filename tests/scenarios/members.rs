//! A second process joins and leaves every two seconds: partitions move all the time, and the incidents are the same.

use std::time::{Duration, Instant};

use super::history::{ENTRY, Feeder, SECTIONS, essence, lines};
use super::kills::{settled, undisturbed};
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::eventually;

#[test]
fn a_process_that_comes_and_goes_changes_nothing() {
    let Some(world) = World::new("members", 4) else { return };
    let config = world.config(ENTRY, SECTIONS);
    let feeder = Feeder::start(&world, lines(now(), 11), Duration::from_secs(65));
    let first = Beaconfire::start(world.path(), "first", &config);
    first.ready();
    let until = Instant::now() + Duration::from_secs(60);
    let mut visits = 0;
    while Instant::now() < until {
        // It shares the group and the store's file.
        let mut second = Beaconfire::start(world.path(), "second", &config);
        second.ready();
        std::thread::sleep(Duration::from_secs(2));
        second.stop(Duration::from_secs(10));
        std::thread::sleep(Duration::from_secs(2));
        visits += 1;
    }
    assert!(visits >= 5, "{visits} visits");
    feeder.finish(&world);
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("all incidents are over", PATIENCE, || {
        found = first.incidents();
        settled(&found, 9)
    });
    assert_eq!(essence(&found), essence(&undisturbed(&world, 9)));
    world.all_told(&first);
    let alerts = world.pager.alerts();
    assert_eq!(alerts.len(), found.len(), "one dedup key an episode");
    assert!(alerts.values().all(|alert| (alert.opened, alert.triggers) == (1, 1)), "{alerts:?}");
    assert_eq!(world.faults(), Vec::<String>::new());
}
