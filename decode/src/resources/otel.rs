//! OpenTelemetry's metrics by the names of the kubelet, cluster and docker receivers and of the semantic conventions.
//!
//! `container.cpu.utilization` is cores in spite of its name where the kubelet's receiver wrote it, and percent of a core
//! where docker's did. A sum may be cumulative or tell only what was added since the last one (`aggregationTemporality`
//! 1): the latter is a rate once divided by its time.

use beaconfire_model::Metric::{self, *};

use super::{Found, Name, container_id};
use crate::envelope::otel::{list, pairs};
use crate::json::Value;

const NAMES: &[Name] = &[
    ("container.cpu.usage", CpuCores, 1.0),
    ("k8s.pod.cpu.usage", CpuCores, 1.0),
    ("container.cpu.utilization", CpuCores, 1.0),
    ("k8s.pod.cpu.utilization", CpuCores, 1.0),
    ("container.cpu.time", CpuSeconds, 1.0),
    ("k8s.pod.cpu.time", CpuSeconds, 1.0),
    ("container.cpu.usage.total", CpuSeconds, 1e-9),
    ("process.cpu.time", CpuSeconds, 1.0),
    ("container.cpu.throttling_data.periods", CpuPeriods, 1.0),
    ("container.cpu.throttling_data.throttled_periods", CpuThrottledPeriods, 1.0),
    ("k8s.container.cpu_limit_utilization", CpuOfLimit, 1.0),
    ("k8s.pod.cpu_limit_utilization", CpuOfLimit, 1.0),
    ("k8s.container.cpu.node.utilization", CpuOfNode, 1.0),
    ("k8s.pod.cpu.node.utilization", CpuOfNode, 1.0),
    ("k8s.container.cpu_limit", CpuLimitCores, 1.0),
    ("k8s.container.cpu.limit.current", CpuLimitCores, 1.0),
    ("k8s.container.cpu.limit.desired", CpuLimitCores, 1.0),
    ("k8s.container.cpu_request", CpuRequestCores, 1.0),
    ("k8s.container.cpu.request.current", CpuRequestCores, 1.0),
    ("k8s.container.cpu.request.desired", CpuRequestCores, 1.0),
    ("container.memory.working_set", MemoryBytes, 1.0),
    ("k8s.pod.memory.working_set", MemoryBytes, 1.0),
    ("container.memory.usage.total", MemoryBytes, 1.0),
    ("process.memory.usage", MemoryBytes, 1.0),
    ("container.memory.usage.limit", MemoryLimitBytes, 1.0),
    ("k8s.container.memory_limit", MemoryLimitBytes, 1.0),
    ("k8s.container.memory.limit.current", MemoryLimitBytes, 1.0),
    ("k8s.container.memory.limit.desired", MemoryLimitBytes, 1.0),
    ("k8s.container.memory_request", MemoryRequestBytes, 1.0),
    ("k8s.container.memory.request.desired", MemoryRequestBytes, 1.0),
    ("k8s.container.memory_limit_utilization", MemoryOfLimit, 1.0),
    ("k8s.pod.memory_limit_utilization", MemoryOfLimit, 1.0),
    ("container.network.io.usage.rx_bytes", NetRxBytes, 1.0),
    ("container.network.io.usage.tx_bytes", NetTxBytes, 1.0),
    ("k8s.container.restarts", Restarts, 1.0),
    ("k8s.container.restart.count", Restarts, 1.0),
    ("hw.gpu.utilization", GpuShare, 1.0),
];
/// Both ways in one, told apart by an attribute.
const NETWORK: [&str; 2] = ["k8s.pod.network.io", "container.network.io"];

/// One point of one metric.
pub(crate) struct Point<'t> {
    /// When; nanoseconds as text.
    pub(crate) time: Option<Value<'t>>,
    pub(crate) part: &'t str,
    pub(crate) name: &'t str,
    pub(crate) metric: Metric,
    pub(crate) value: f64,
}

/// Whose the metrics of a resource are.
pub(crate) fn identity(resource: Option<Value<'_>>) -> Found<'_> {
    let mut found = Found::default();
    let (mut host, mut id) = ("", "");
    for (key, value) in resource.and_then(|of| of.get("attributes")).into_iter().flat_map(pairs) {
        let Some(text) = value.text() else { continue };
        match key {
            "k8s.namespace.name" => found.namespace = text,
            "k8s.deployment.name" | "k8s.statefulset.name" | "k8s.daemonset.name" | "k8s.cronjob.name" => {
                found.owner = text;
            }
            "faas.name" => found.function = text,
            "faas.instance" | "service.instance.id" => found.instance = text,
            "k8s.pod.name" => found.pod = text,
            "k8s.container.name" | "container.name" => found.container = text,
            "container.image.name" => found.image = text,
            "k8s.node.name" => found.node = text,
            "host.name" | "container.hostname" => host = text,
            "container.id" => id = container_id(text),
            "service.name" if !text.starts_with("unknown_service") => found.program = text,
            _ => {}
        }
    }
    if found.node.is_empty() {
        found.node = host;
    }
    if found.instance.is_empty() {
        found.instance = id;
    }
    found
}

/// The points of a scope's metrics that say something of use; the number of all of them.
pub(crate) fn points<'t>(scope: Value<'t>, points_max: usize, into: &mut Vec<Point<'t>>) -> usize {
    let by_docker = scope
        .get("scope")
        .and_then(|scope| scope.get("name")?.text())
        .is_some_and(|name| name.contains("dockerstats"));
    let mut all = 0;
    for metric in list(scope, "metrics") {
        let name = metric.get("name").and_then(Value::text).unwrap_or_default();
        let unit = metric.get("unit").and_then(Value::text).unwrap_or_default();
        let sum = metric.get("sum");
        let Some(data) = sum.or_else(|| metric.get("gauge")) else { continue };
        let is_delta = sum
            .and_then(|sum| sum.get("aggregationTemporality")?.scalar())
            .is_some_and(|of| of == "1" || of.ends_with("_DELTA"));
        let known = NAMES.iter().find(|(known, ..)| *known == name);
        let is_network = NETWORK.contains(&name);
        for point in list(data, "dataPoints") {
            all += 1;
            if into.len() >= points_max {
                continue;
            }
            let mut about = About::default();
            for (key, value) in point.get("attributes").into_iter().flat_map(pairs) {
                about.attribute(key, value.text().unwrap_or_default());
            }
            let (metric, mut factor) = match (known, is_network, about.is_sent) {
                (Some((_, metric, factor)), ..) => (*metric, *factor),
                (None, true, Some(true)) => (NetTxBytes, 1.0),
                (None, true, Some(false)) => (NetRxBytes, 1.0),
                _ => continue,
            };
            factor *= match (name, unit) {
                ("container.cpu.utilization", _) if by_docker => 1e-2,
                ("container.cpu.time" | "k8s.pod.cpu.time" | "process.cpu.time", "ns") => 1e-9,
                ("container.cpu.time" | "k8s.pod.cpu.time" | "process.cpu.time", "ms") => 1e-3,
                _ => 1.0,
            };
            let Some(value) = value(point) else { continue };
            let (metric, value) = match (is_delta, rate_of(metric)) {
                (true, Some(rate)) => match seconds(point) {
                    Some(seconds) => (rate, value * factor / seconds),
                    None => continue,
                },
                // A difference of something that makes no rate says nothing by itself.
                (true, None) if metric.is_counter() => continue,
                _ => (metric, value * factor),
            };
            into.push(Point { time: point.get("timeUnixNano"), part: about.part, name, metric, value });
        }
    }
    all
}

#[derive(Default)]
struct About<'t> {
    part: &'t str,
    is_sent: Option<bool>,
}

impl<'t> About<'t> {
    fn attribute(&mut self, key: &str, text: &'t str) {
        match key {
            "direction" | "network.io.direction" => self.is_sent = Some(text == "transmit"),
            "interface"
            | "network.interface.name"
            | "state"
            | "cpu.mode"
            | "process.cpu.state"
            | "cpu"
            | "hw.id" => {
                self.part = text;
            }
            _ => {}
        }
    }
}

/// A point's value; not a number where it says that there is none any more.
fn value(point: Value<'_>) -> Option<f64> {
    let flags = point.get("flags").and_then(Value::integer).unwrap_or(0);
    if flags & 1 == 1 {
        return Some(f64::NAN);
    }
    super::number(point.get("asDouble").or_else(|| point.get("asInt"))?)
}

/// What a counter's metric is as a rate, where we have that.
fn rate_of(metric: Metric) -> Option<Metric> {
    Some(match metric {
        CpuSeconds => CpuCores,
        NetRxBytes => NetRxBytesPerSecond,
        NetTxBytes => NetTxBytesPerSecond,
        _ => return None,
    })
}

/// The time that a point sums over.
fn seconds(point: Value<'_>) -> Option<f64> {
    let end = point.get("timeUnixNano").and_then(Value::integer)?;
    let start = point.get("startTimeUnixNano").and_then(Value::integer)?;
    let nanos = end.checked_sub(start).filter(|nanos| *nanos > 0 && start > 0)?;
    Some(nanos as f64 * 1e-9)
}
