//! Metricbeat's events, by their paths: modules `kubernetes`, `docker` and `system`, from 5.x on.
//!
//! Its shares are of different wholes: `docker.cpu.total.pct` of one core (four of them make 4.0), `norm.pct` of the
//! host, `usage.limit.pct` of the limit.

use beaconfire_model::Metric::*;

use super::{Found, Name, container_id, number};
use crate::json::Value;
use crate::path::find;

const NAMES: &[Name] = &[
    ("kubernetes.container.cpu.usage.nanocores", CpuCores, 1e-9),
    ("kubernetes.container.cpu.usage.core.ns", CpuSeconds, 1e-9),
    ("kubernetes.container.cpu.usage.limit.pct", CpuOfLimit, 1.0),
    ("kubernetes.container.cpu.usage.node.pct", CpuOfNode, 1.0),
    ("kubernetes.container.cpu.limit.cores", CpuLimitCores, 1.0),
    ("kubernetes.container.cpu.limit.nanocores", CpuLimitCores, 1e-9),
    ("kubernetes.container.cpu.request.cores", CpuRequestCores, 1.0),
    ("kubernetes.container.cpu.request.nanocores", CpuRequestCores, 1e-9),
    ("kubernetes.container.memory.workingset.bytes", MemoryBytes, 1.0),
    ("kubernetes.container.memory.workingset.limit.pct", MemoryOfLimit, 1.0),
    ("kubernetes.container.memory.limit.bytes", MemoryLimitBytes, 1.0),
    ("kubernetes.container.memory.request.bytes", MemoryRequestBytes, 1.0),
    ("kubernetes.container.status.restarts", Restarts, 1.0),
    ("kubernetes.pod.cpu.usage.nanocores", CpuCores, 1e-9),
    ("kubernetes.pod.memory.working_set.bytes", MemoryBytes, 1.0),
    ("kubernetes.pod.network.rx.bytes", NetRxBytes, 1.0),
    ("kubernetes.pod.network.tx.bytes", NetTxBytes, 1.0),
    ("docker.cpu.total.pct", CpuCores, 1.0),
    // 5.x, a share of one core too.
    ("docker.cpu.usage.total", CpuCores, 1.0),
    ("docker.memory.usage.total", MemoryBytes, 1.0),
    ("docker.memory.limit", MemoryLimitBytes, 1.0),
    ("docker.network.inbound.bytes", NetRxBytes, 1.0),
    ("docker.network.outbound.bytes", NetTxBytes, 1.0),
    // Before 6.4 there were only these, which are rates already.
    ("docker.network.in.bytes", NetRxBytesPerSecond, 1.0),
    ("docker.network.out.bytes", NetTxBytesPerSecond, 1.0),
    ("system.process.cpu.total.pct", CpuCores, 1.0),
    ("system.process.cgroup.cpu.cfs.quota.us", CpuQuotaMicros, 1.0),
    ("system.process.cgroup.cpu.cfs.period.us", CpuPeriodMicros, 1.0),
    ("system.process.memory.rss.bytes", MemoryBytes, 1.0),
    ("system.cpu.total.norm.pct", CpuOfNode, 1.0),
    ("system.memory.actual.used.bytes", MemoryBytes, 1.0),
    ("system.memory.total", MemoryLimitBytes, 1.0),
];

/// What the event says.
pub(crate) fn read(event: Value<'_>) -> Found<'_> {
    // Each event is of one module: the paths of the others are not looked for.
    let has = |module: &str| event.entries().any(|(key, _)| key.split('.').next() == Some(module));
    let [kubernetes, docker, system] = ["kubernetes", "docker", "system"].map(has);
    let text = |path: &str| find(event, path).and_then(Value::scalar).unwrap_or_default();
    let first = |paths: &[&str]| paths.iter().map(|path| text(path)).find(|text| !text.is_empty());
    let mut found = Found {
        function: text("aws.dimensions.FunctionName"),
        node: first(&[
            "kubernetes.node.name",
            "host.name",
            "agent.hostname",
            "beat.hostname",
            "host.hostname",
            "metricset.host",
        ])
        .unwrap_or_default(),
        ..Found::default()
    };
    if kubernetes {
        found.namespace = text("kubernetes.namespace");
        found.owner = first(&[
            "kubernetes.deployment.name",
            "kubernetes.statefulset.name",
            "kubernetes.daemonset.name",
            "kubernetes.cronjob.name",
        ])
        .unwrap_or_default();
        found.pod = text("kubernetes.pod.name");
        found.container = text("kubernetes.container.name");
        found.image = first(&["kubernetes.container.image", "container.image.name"]).unwrap_or_default();
        found.instance = container_id(text("kubernetes.container.id"));
    } else if docker {
        found.container = first(&["container.name", "docker.container.name"]).unwrap_or_default();
        found.image = first(&["container.image.name", "docker.container.image"]).unwrap_or_default();
        found.instance = first(&["container.id", "docker.container.id"]).unwrap_or_default();
        found.part = text("docker.network.interface");
    } else if system {
        found.program = first(&["process.name", "system.process.name"]).unwrap_or_default();
        found.instance = first(&["process.pid", "system.process.pid"]).unwrap_or_default();
    }
    for (path, metric, factor) in NAMES {
        let of = match path.as_bytes()[0] {
            b'k' => kubernetes,
            b'd' => docker,
            _ => system,
        };
        if of && let Some(value) = find(event, path).and_then(number) {
            // In both ways: the counter is the better one.
            let counted = match metric {
                NetRxBytesPerSecond => NetRxBytes,
                NetTxBytesPerSecond => NetTxBytes,
                other => *other,
            };
            if found.measured.iter().all(|measured| measured.metric != counted) {
                found.put(*metric, value * factor, path);
            }
        }
    }
    let ended = text("kubernetes.container.status.last_terminated_reason");
    if !ended.is_empty() {
        let killed = f64::from(u8::from(ended == "OOMKilled"));
        found.put(OomKilled, killed, "kubernetes.container.status.last_terminated_reason");
    }
    found
}
