//! The binary when nothing happens: how soon it is ready, with a fresh store each time, and what it occupies then.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::harness::beaconfire::Beaconfire;
use crate::shared::figures::{ROUNDS, median, rounded};
use crate::shared::memory;

/// How long it is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn measure(broker: &Broker) -> Value {
    let topic = broker.topic("idle", 3);
    let (mut ready, mut resident) = (Vec::new(), Vec::new());
    // A fresh broker makes its offsets topic when the first group joins, which is no time of ours.
    let mut fresh = 0.0;
    for round in 0..=ROUNDS {
        let dir = tempfile::tempdir().expect("a directory");
        // Receivers have senders, and senders take memory; nobody is told anything here.
        let config = format!(
            "kafka:\n  brokers: [\"{}\"]\n  group: idle-{}-{round}\n  topics: [{{name: {}, format: combined, service: shop}}]\n\
             receivers:\n  - name: all\n    slack_configs: [{{api_url: \"http://127.0.0.1:9/\"}}]\n    \
             webhook_configs: [{{url: \"http://127.0.0.1:9/\"}}]\n    \
             pagerduty_configs: [{{routing_key: \"0123456789abcdef0123456789abcdef\"}}]\n    \
             email_configs: [{{to: oncall@example.com, require_tls: false}}]\n\
             store: {{url: \"sqlite:{}/beaconfire.db\"}}\n",
            topic.bootstrap,
            std::process::id(),
            topic.name,
            dir.path().display(),
        );
        let started = Instant::now();
        let service = Beaconfire::start(dir.path(), "idle", &config);
        while !is_ready(&service.url) {
            assert!(started.elapsed() < PATIENCE, "it is never ready; it said:\n{}", service.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        let after = started.elapsed().as_secs_f64();
        if round == 0 {
            fresh = after;
            continue;
        }
        ready.push(after);
        std::thread::sleep(SETTLE);
        resident.push(memory::resident(service.pid()) / 1e6);
    }
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (ready_most, resident_most) = (most(&ready), most(&resident));
    let (ready, resident) = (median(ready), median(resident));
    println!("\nthe binary, idle");
    println!("{:<20} {:>14} {:>8}", "", "median", "most");
    println!("{:<20} {ready:>14.3} {ready_most:>8.3}", "ready after, s");
    println!("{:<20} {fresh:>14.3}", "on a fresh broker, s");
    println!("{:<20} {resident:>14.1} {resident_most:>8.1}", "resident, MB");
    json!({"ready_seconds": rounded(ready), "resident_mb": rounded(resident)})
}

/// Whether `/readyz` says yes. Asked often, so without a process for each question.
fn is_ready(url: &str) -> bool {
    let address = url.trim_start_matches("http://");
    let mut answer = String::new();
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    asked.is_ok() && answer.starts_with("HTTP/1.1 200 ")
}
