//! cAdvisor's own messages (`-storage_driver=kafka`), with its odd capitals: `{"timestamp":…,"machine_name":…,
//! "container_Name":…,"container_Id":…,"container_labels":{…},"container_stats":{…}}`.
//!
//! `timestamp` is when it was sent; when it was measured is in `container_stats`. The pod's sandbox (`POD`) has the pod's
//! network and nothing else of interest; limits are not sent.

use beaconfire_model::Metric::*;

use super::{Found, Name, number};
use crate::json::Value;
use crate::path::find;

const NAMES: &[Name] = &[
    ("cpu.usage.total", CpuSeconds, 1e-9),
    ("cpu.cfs.periods", CpuPeriods, 1.0),
    ("cpu.cfs.throttled_periods", CpuThrottledPeriods, 1.0),
    ("memory.working_set", MemoryBytes, 1.0),
    ("oom_events", OomKills, 1.0),
];

/// What the message says; and when it was measured.
pub(crate) fn read(message: Value<'_>) -> (Found<'_>, Option<Value<'_>>) {
    let text = |key: &str| message.get(key).and_then(Value::text).unwrap_or_default();
    let labels = message.get("container_labels");
    let label = |key: &str| labels.and_then(|labels| labels.get(key)?.text()).unwrap_or_default();
    let either = |first: &str, second: &str| match text(first) {
        "" => text(second),
        found => found,
    };
    let mut found = Found {
        namespace: label("io.kubernetes.pod.namespace"),
        pod: label("io.kubernetes.pod.name"),
        container: label("io.kubernetes.container.name"),
        node: text("machine_name"),
        instance: either("container_Id", "container_id"),
        ..Found::default()
    };
    if found.pod.is_empty() {
        found.program = either("container_Name", "container_name");
    }
    let Some(stats) = message.get("container_stats") else { return (found, message.get("timestamp")) };
    let sandbox = found.container == "POD" || !found.pod.is_empty() && found.container.is_empty();
    if !sandbox {
        for (path, metric, factor) in NAMES {
            if let Some(value) = find(stats, path).and_then(number) {
                found.put(*metric, value * factor, path);
            }
        }
        let shares = stats.get("accelerators").into_iter().flat_map(Value::items);
        let shares: Vec<f64> = shares.filter_map(|gpu| number(gpu.get("duty_cycle")?)).collect();
        if !shares.is_empty() {
            found.put(GpuShare, shares.iter().sum::<f64>() / 100.0 / shares.len() as f64, "accelerators");
        }
    }
    if let Some(network) = stats.get("network") {
        // Beside the list stands its first entry.
        for (key, metric) in [("rx_bytes", NetRxBytes), ("tx_bytes", NetTxBytes)] {
            let listed = network.get("interfaces").into_iter().flat_map(Value::items);
            let listed: Vec<f64> = listed.filter_map(|interface| number(interface.get(key)?)).collect();
            if !listed.is_empty() {
                found.put(metric, listed.iter().sum(), "network.interfaces");
            } else if let Some(value) = network.get(key).and_then(number) {
                found.put(metric, value, key);
            }
        }
    }
    if sandbox {
        found.container = "";
    }
    (found, stats.get("timestamp").or_else(|| message.get("timestamp")))
}
