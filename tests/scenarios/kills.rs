//! `kill -9` in mid-stream, again and again: the incidents are those of an undisturbed run, and nobody is paged twice.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;

use super::history::{ENTRY, Feeder, SECTIONS, essence, lines, one_id_for_each_message};
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::eventually;

const KILLS: usize = 25;

/// What an undisturbed process with a group and store of its own finds in the topic.
pub fn undisturbed(world: &World, expected_floods: usize) -> Vec<Value> {
    undisturbed_with(world, SECTIONS, |found| settled(found, expected_floods))
}

/// The same under these sections, until it has found what there is to find.
pub fn undisturbed_with(world: &World, sections: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let config = world
        .config(ENTRY, sections)
        .replace(&format!("group: {}", world.name), &format!("group: {}-calm", world.name))
        .replace("beaconfire.db", "calm.db");
    // It tells nobody: the receivers are there for the other.
    let config = without_receivers(&config);
    let service = Beaconfire::start(world.path(), "calm", &config);
    service.ready();
    let mut found = Vec::new();
    eventually("the undisturbed run has found everything", PATIENCE, || {
        let committed = world.kafka.committed(&format!("{}-calm", world.name), &world.name, world.partitions);
        found = service.incidents();
        committed == world.kafka.ends(&world.name, world.partitions) && enough(&found)
    });
    found
}

/// Replaces all receivers by one that has no integrations.
fn without_receivers(config: &str) -> String {
    let (before, rest) = config.split_once("route:\n").expect("routes");
    let (_, after) = rest.split_once("store:").expect("a store");
    format!("{before}route: {{receiver: nobody}}\nreceivers: [{{name: nobody}}]\nstore:{after}")
}

/// Whether all but the newest incident of each kind are over, and enough were found.
pub fn settled(incidents: &[Value], floods: usize) -> bool {
    incidents.iter().filter(|incident| incident["kind"] == "flood").count() >= floods
        && incidents.iter().all(|incident| incident["status"] == "resolved")
}

/// Feeds a history over some 80 s while the process is killed; what is stored in the end, and how many kills fell in
/// mid-stream.
fn kill_and_restart(world: &World, seed: u64, rewind: bool) -> (Vec<Value>, usize) {
    let kafka = "  instance: one";
    let config = world.config_of(&world.kafka.bootstrap, kafka, ENTRY, SECTIONS);
    let environment: &[(&str, &str)] = if rewind { &[] } else { &[("BEACONFIRE_TEST_NO_REWIND", "1")] };
    let feeder = Feeder::start(world, lines(now(), seed), Duration::from_secs(80));
    let mut service = Beaconfire::start_with(world.path(), "killed", &config, environment);
    let mut random = StdRng::seed_from_u64(seed);
    let mut in_mid_stream = 0;
    for kill in 0..KILLS {
        service.ready();
        std::thread::sleep(Duration::from_millis(random.random_range(100..2_200)));
        let more = feeder.is_mid_stream(world.kafka, world);
        service.kill();
        in_mid_stream += usize::from(more);
        eprintln!("kill {kill}: in mid-stream {more}, all sent {}", feeder.is_done());
        service.restart();
    }
    feeder.finish(world);
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("all incidents are over", PATIENCE, || {
        found = service.incidents();
        settled(&found, 1)
    });
    if rewind {
        world.all_told(&service);
    }
    (found, in_mid_stream)
}

#[test]
fn killed_in_mid_stream_it_finds_what_an_undisturbed_run_finds() {
    let Some(world) = World::new("killed", 3) else { return };
    let (found, in_mid_stream) = kill_and_restart(&world, 7, true);
    assert!(in_mid_stream >= KILLS * 4 / 5, "only {in_mid_stream} kills fell in mid-stream");
    let calm = undisturbed(&world, 9);
    assert_eq!(essence(&found), essence(&calm));
    let reopened = |incident: &Value| incident["timeline"].to_string().contains("reopened");
    assert!(!found.iter().any(reopened), "nothing was reopened");
    let alerts = world.pager.alerts();
    assert_eq!(alerts.len(), found.len(), "one dedup key an episode");
    assert!(alerts.values().all(|alert| alert.opened == 1), "{alerts:?}");
    one_id_for_each_message(&world);
    assert_eq!(world.faults(), Vec::<String>::new());
}

/// The test above can fail: without the rewind, windows that were open at a kill are lost.
#[test]
fn without_the_rewind_the_same_test_fails() {
    let Some(world) = World::new("killed-no-rewind", 3) else { return };
    let (found, _) = kill_and_restart(&world, 7, false);
    let calm = undisturbed(&world, 9);
    assert_ne!(essence(&found), essence(&calm));
}
