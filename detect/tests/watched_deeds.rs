//! What workloads are seen doing by other records than a sensor's: which image runs, and who tried the services they serve.

mod support;

use std::sync::Arc;
use std::time::Duration;

use beaconfire_detect::{MiningKnobs, Plan, PlanSpec, ServiceSpec};
use beaconfire_model::{
    EntryId, Event, EventTime, Measured, Metric, Request, ResourceSample, RuntimeDetails, RuntimeEvent,
    RuntimeKind, Severity, Source, TopicId,
};
use support::{Rig, T0, request, source, spec};

const MINUTE: i64 = 60_000;
const METRICS: Source = Source { entry: EntryId(1), topic: TopicId(1), partition: 0 };

fn plan() -> Arc<Plan> {
    let mut spec = PlanSpec { mining: Some(MiningKnobs::default()), ..spec(Vec::new()) };
    let shop = ServiceSpec { workloads: vec!["shop/web".to_owned()], ..ServiceSpec::default() };
    spec.services.insert("shop".to_owned(), shop);
    Arc::new(Plan::compile(spec).unwrap())
}

/// Ten minutes of two workloads, one of which serves the shop, read in this order within each minute; what was told:
/// rule, workload, severity and evidence.
fn told(image: &str, user_agent: &str, requests_first: bool) -> Vec<String> {
    let mut rig = Rig::new(&plan(), 2, true, 64 << 20, Duration::from_secs(60));
    rig.begin(source(0), 0, None);
    rig.begin(METRICS, 0, None);
    for minute in 0..10 {
        let read = |rig: &mut Rig, requests: bool| {
            if requests {
                let asked = request(T0 + minute * MINUTE + 1_000, "198.51.100.7");
                let asked = Request { user_agent: if minute == 5 { user_agent } else { "curl/8" }, ..asked };
                rig.see(source(0), Event::Request(asked));
                return;
            }
            for (workload, image) in [("shop/web", "web:1"), ("shop/jobs", image)] {
                let measured = [Measured { metric: Metric::CpuCores, value: 0.1 }];
                let time = EventTime::from_millis(T0 + minute * MINUTE + 5_000);
                let sample = ResourceSample {
                    time,
                    workload,
                    image,
                    measured: &measured,
                    ..ResourceSample::default()
                };
                rig.see(METRICS, Event::Resource(sample));
            }
        };
        read(&mut rig, requests_first);
        read(&mut rig, !requests_first);
        rig.merge();
    }
    rig.finish();
    let say = |signal: &beaconfire_model::Signal| {
        let seen = signal.samples.first().map_or("", |sample| sample.text.clean());
        format!("{} {} {:?} {seen}", signal.rule, signal.target.value, signal.severity)
    };
    let mut told: Vec<String> = rig.signals.iter().map(say).collect();
    told.dedup();
    told
}

#[test]
fn a_miners_image_that_runs_is_evidence() {
    for first in [true, false] {
        let told = told("docker.io/someone/xmrig:6", "curl/8", first);
        let wanted = "mining:miner-image shop/jobs Info a miner's image: docker.io/someone/xmrig:6";
        assert!(told.iter().any(|told| told == wanted), "{told:?}");
        assert!(told.iter().all(|told| told.contains(" shop/jobs Info ")), "{told:?}");
    }
    assert_eq!(told("docker.io/someone/docs-of-xmrig:6", "curl/8", true), [""; 0]);
}

#[test]
fn a_miners_image_is_also_seen_by_the_programs_it_starts() {
    let mut rig = Rig::new(&plan(), 1, true, 64 << 20, Duration::from_secs(60));
    rig.begin(METRICS, 0, None);
    let started = RuntimeEvent {
        kind: RuntimeKind::Exec,
        process: "entrypoint",
        cmdline: "entrypoint",
        image: "xmrig:6",
        details: RuntimeDetails::NONE,
        ..support::finding(T0, "shop/cart", "", Severity::Info)
    };
    rig.see(METRICS, Event::Runtime(started));
    rig.finish();
    assert!(rig.signals.iter().any(|signal| &*signal.rule == "mining:miner-image"), "{:?}", rig.signals);
}

#[test]
fn a_dropper_that_tries_a_service_is_shown_at_what_serves_it() {
    let wanted = "mining:miner-agent shop/web Info a dropper tried: libredtail-http";
    for first in [true, false] {
        let told = told("jobs:1", "libredtail-http", first);
        assert!(told.iter().any(|told| told == wanted), "{told:?}");
        assert!(told.iter().all(|told| told.contains(" shop/web Info ")), "{told:?}");
    }
    assert_eq!(told("jobs:1", "libredtail-http/2", true), [""; 0]);
}
