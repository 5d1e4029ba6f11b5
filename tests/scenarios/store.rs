//! The store goes away for more than a minute, and comes back: nothing is committed, read on, or dropped meanwhile;
//! people are told directly, once; and afterwards everything is as if nothing had been.

use std::time::{Duration, Instant};

use beaconfire::standins::AlertState;
use serde_json::Value;

use super::history::{ENTRY, Feeder, SECTIONS, essence, lines};
use super::kills::{settled, undisturbed};
use super::world::{PATIENCE, World, now};
use crate::harness::beaconfire::Beaconfire;
use crate::harness::disk::Disk;
use crate::harness::{Leashed, eventually, parts};

/// How long the store is away before people are told.
const DIRECT_AFTER: Duration = Duration::from_secs(60);

/// Another program holds the write lock, as a backup that hangs does.
fn lock(world: &World) -> Leashed {
    let held = world.path().join("held");
    let script = "import sqlite3, sys, time\n\
                  store = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)\n\
                  store.execute('BEGIN EXCLUSIVE')\n\
                  open(sys.argv[2], 'w').close()\n\
                  time.sleep(3600)\n";
    let python = parts().join("smtp/bin/python");
    let command = [&*python, "-c".as_ref(), script.as_ref(), &*world.store(), &*held];
    let command: Vec<String> = command.iter().map(|word| word.display().to_string()).collect();
    let holder = Leashed::start(&command, &world.path().join("holder.log"));
    eventually("the lock is held", PATIENCE, || held.exists());
    holder
}

#[test]
fn a_store_that_is_locked_for_more_than_a_minute_costs_nothing_and_is_told_once() {
    let Some(world) = World::new("locked", 3) else { return };
    let service = Beaconfire::start(world.path(), "locked", &world.config(ENTRY, SECTIONS));
    let mut holder = None;
    ride_out(&world, &service, |begins| holder = begins.then(|| lock(&world)));
}

#[test]
fn a_disk_that_is_full_for_more_than_a_minute_costs_nothing_and_is_told_once() {
    let Some(world) = World::new("full", 3) else { return };
    let path = world.path().join("disk");
    std::fs::create_dir(&path).expect("a folder");
    let store = path.join("beaconfire.db").display().to_string();
    let config = world.config(ENTRY, SECTIONS).replace(&world.store().display().to_string(), &store);
    let disk = Disk::new(path);
    let service = Beaconfire::start_through(world.path(), "full", &config, &[], &disk.through());
    ride_out(&world, &service, |begins| if begins { disk.fill(&service) } else { disk.clear(&service) });
}

/// Lets a history be read, of which the store misses a part; `away` makes that begin and end.
fn ride_out(world: &World, service: &Beaconfire, mut away: impl FnMut(bool)) {
    let committed = || world.kafka.committed(&world.name, &world.name, world.partitions);
    let feeder = Feeder::start(world, lines(now(), 21), Duration::from_secs(60));
    service.ready();
    // Not while something is being told: that would be told again, since nobody could write down that it was.
    eventually("the first incident is told", PATIENCE, || world.pager.accepted() > 0 && is_quiet(service));
    let began = Instant::now();
    away(true);
    eventually("the store is seen to be away", PATIENCE, || {
        service.metric("beaconfire_store_up") == Some(0.0)
    });
    let stood = committed();
    assert_eq!(service.status("/readyz"), Some(200), "it can be read: {}", service.text("/readyz"));
    eventually("reading pauses", PATIENCE, || paused(service) == [Some(1.0), Some(1.0)]);
    assert_eq!(direct_pages(world), [0, 0, 0, 0], "nobody is told at once");
    feeder.finish(world);
    assert_ne!(stood, world.kafka.ends(&world.name, world.partitions), "it happened in mid-stream");

    let calm = std::thread::scope(|scope| {
        let calm = scope.spawn(|| undisturbed(world, 9));
        eventually("everybody is told directly", PATIENCE, || {
            let told = direct_pages(world);
            assert!(told == [0, 0, 0, 0] || began.elapsed() >= DIRECT_AFTER, "{told:?} too soon");
            told == [1, 1, 1, 1]
        });
        calm.join().expect("the undisturbed run ends")
    });
    assert_eq!(service.metric("beaconfire_store_up"), Some(0.0));
    assert_eq!(committed(), stood, "offsets stay");
    assert_eq!(direct_pages(world), [1, 1, 1, 1], "once");

    away(false);
    eventually("the store is seen to be back", PATIENCE, || {
        service.metric("beaconfire_store_up") == Some(1.0)
    });
    eventually("reading goes on", PATIENCE, || paused(service) == [Some(0.0), Some(0.0)]);
    world.read_to_the_end();
    let mut found = Vec::new();
    eventually("all incidents are over", PATIENCE, || {
        found = service.incidents();
        settled(&found, 9)
    });
    assert_eq!(essence(&found), essence(&calm));
    for line in world.all_told(service) {
        assert_eq!(line["delivered"], found.len(), "{line}");
    }
    everybody_heard_of_it_once(world, found.len());
}

/// Whether nothing waits to be told.
fn is_quiet(service: &Beaconfire) -> bool {
    let ledger = service.json("/api/v1/ledger");
    let quiet = |items: &Vec<Value>| items.iter().all(|line| line["pending"] == 0);
    ledger["items"].as_array().is_some_and(quiet)
}

/// Whether the two workers have paused.
fn paused(service: &Beaconfire) -> [Option<f64>; 2] {
    [0, 1].map(|worker| service.metric(&format!("beaconfire_reading_paused{{worker=\"{worker}\"}}")))
}

/// Messages that say that the store is away: by mail, Slack, PagerDuty and webhook.
fn direct_pages(world: &World) -> [usize; 4] {
    let mails = world.smtp.mails();
    let messages = world.slack.messages();
    let calls = world.hook.calls();
    let alert = world.pager.alerts().into_iter().find(|(key, _)| key.ends_with(".store-down"));
    [
        mails.iter().filter(|mail| mail.contains("does not take writes")).count(),
        messages.iter().filter(|message| message.text.contains("store")).count(),
        alert.map_or(0, |(_, alert)| alert.triggers as usize),
        calls.iter().filter(|call| call.body["type"] == "store.down").count(),
    ]
}

/// Of the outage, and of each incident: that it began, and that it is over.
fn everybody_heard_of_it_once(world: &World, incidents: usize) {
    eventually("everybody hears that it is over", PATIENCE, || {
        world.pager.alerts().values().all(|alert| alert.state == AlertState::Resolved)
            && world.hook.calls().iter().any(|call| call.body["type"] == "store.up")
            && world.smtp.mails().len() == 2 * (incidents + 1)
    });
    let alerts = world.pager.alerts();
    assert_eq!(alerts.len(), incidents + 1, "one key an episode, and one for the store");
    for (key, alert) in &alerts {
        assert_eq!((alert.opened, alert.triggers, alert.resolves), (1, 1, 1), "{key}: {alert:?}");
    }
    let told: Vec<String> = world.hook.calls().iter().map(|call| call.body["type"].to_string()).collect();
    let count = |what: &str| told.iter().filter(|told| told.contains(what)).count();
    assert_eq!((count("store.down"), count("store.up")), (1, 1), "{told:?}");
    assert_eq!((count("opened"), count("resolved")), (incidents, incidents), "{told:?}");
    let messages = world.slack.messages();
    let parents: Vec<_> = messages.iter().filter(|message| message.thread_ts.is_none()).collect();
    assert_eq!(parents.len(), incidents + 1);
    assert!(parents.iter().all(|parent| parent.updates == 1), "{parents:?}");
    assert_eq!(world.faults(), Vec::<String>::new());
}
