//! Telegraf's metrics, as JSON and as lines: `kubernetes`, `kube_inventory`, `docker`, `cpu`, `mem`, `procstat`, `nvidia_smi`.
//!
//! Of what it sends of one container in pieces, only the sum is read: `cpu=cpu-total`, not each processor beside it.

use beaconfire_model::Metric::*;

use super::{Found, Name, container_id, number};
use crate::json::Value;
use crate::resources::influx::{Field, Line};

const KUBERNETES: &[Name] = &[
    ("cpu_usage_nanocores", CpuCores, 1e-9),
    ("cpu_usage_core_nanoseconds", CpuSeconds, 1e-9),
    ("memory_working_set_bytes", MemoryBytes, 1.0),
    ("resource_limits_millicpu_units", CpuLimitCores, 1e-3),
    ("resource_limits_cpu_units", CpuLimitCores, 1.0),
    ("resource_limits_memory_bytes", MemoryLimitBytes, 1.0),
    ("resource_requests_millicpu_units", CpuRequestCores, 1e-3),
    ("resource_requests_cpu_units", CpuRequestCores, 1.0),
    ("resource_requests_memory_bytes", MemoryRequestBytes, 1.0),
    ("restarts_total", Restarts, 1.0),
];
const NETWORK: &[Name] = &[("rx_bytes", NetRxBytes, 1.0), ("tx_bytes", NetTxBytes, 1.0)];
const DOCKER_CPU: &[Name] = &[
    ("usage_percent", CpuCores, 1e-2),
    ("usage_total", CpuSeconds, 1e-9),
    ("throttling_periods", CpuPeriods, 1.0),
    ("throttling_throttled_periods", CpuThrottledPeriods, 1.0),
];
const DOCKER_MEMORY: &[Name] = &[("usage", MemoryBytes, 1.0), ("limit", MemoryLimitBytes, 1.0)];
const DOCKER_STATUS: &[Name] = &[("restart_count", Restarts, 1.0), ("oomkilled", OomKilled, 1.0)];
const HOST_CPU: &[Name] = &[("usage_active", CpuOfNode, 1e-2), ("time_active", CpuSeconds, 1.0)];
const HOST_MEMORY: &[Name] = &[("used", MemoryBytes, 1.0), ("total", MemoryLimitBytes, 1.0)];
const PROCESS: &[Name] = &[("cpu_usage", CpuCores, 1e-2), ("memory_rss", MemoryBytes, 1.0)];
const GPU: &[Name] = &[("utilization_gpu", GpuShare, 1e-2)];

/// A process's number: a tag or a field, as configured.
const PID: &str = "pid";

/// A measurement: its name, and its tags and fields however they are written.
struct Measurement<'t> {
    name: &'t str,
    tags: Vec<(&'t str, &'t str)>,
    numbers: Vec<(&'t str, f64)>,
    texts: Vec<(&'t str, &'t str)>,
}

/// A measurement in JSON: `{"name":…,"tags":{…},"fields":{…},"timestamp":…}`.
pub(crate) fn of_object(object: Value<'_>) -> Found<'_> {
    let mut measurement = Measurement {
        name: object.get("name").and_then(Value::text).unwrap_or_default(),
        tags: Vec::new(),
        numbers: Vec::new(),
        texts: Vec::new(),
    };
    for (key, value) in object.get("tags").into_iter().flat_map(Value::entries) {
        measurement.tags.push((key, value.scalar().unwrap_or_default()));
    }
    for (key, value) in object.get("fields").into_iter().flat_map(Value::entries) {
        match (value.scalar(), value.text()) {
            (Some("true"), None) => measurement.numbers.push((key, 1.0)),
            (Some("false"), None) => measurement.numbers.push((key, 0.0)),
            (_, Some(text)) => measurement.texts.push((key, text)),
            (raw, None) => {
                if key == PID {
                    measurement.texts.extend(raw.map(|raw| (key, raw)));
                }
                measurement.numbers.extend(number(value).map(|number| (key, number)));
            }
        }
    }
    measurement.found()
}

/// A measurement as a line.
pub(crate) fn of_line<'t>(line: &'t Line<'_>) -> Found<'t> {
    let mut measurement = Measurement {
        name: &line.measurement,
        tags: line.tags.iter().map(|(key, value)| (&**key, &**value)).collect(),
        numbers: Vec::new(),
        texts: Vec::new(),
    };
    for (key, value) in &line.fields {
        match value {
            Field::Number(number, raw) => {
                if key == PID {
                    measurement.texts.push((key, raw));
                }
                measurement.numbers.push((key, *number));
            }
            Field::Truth(truth) => measurement.numbers.push((key, f64::from(u8::from(*truth)))),
            Field::Text(text) => measurement.texts.push((key, text)),
        }
    }
    measurement.found()
}

impl<'t> Measurement<'t> {
    fn found(&self) -> Found<'t> {
        let mut found = Found {
            namespace: self.tag("namespace"),
            function: self.either("function_name", "FunctionName"),
            pod: self.tag("pod_name"),
            container: self.tag("container_name"),
            image: self.either("container_image", "image"),
            node: match self.either("node_name", "engine_host") {
                "" => self.tag("host"),
                node => node,
            },
            instance: container_id(self.text("container_id")),
            ..Found::default()
        };
        let is_sum = matches!(self.tag("cpu"), "" | "cpu-total");
        match self.name {
            "kubernetes_pod_container" => self.put(&mut found, KUBERNETES),
            "kubernetes_pod_network" => self.put(&mut found, NETWORK),
            "docker_container_cpu" if is_sum => self.put(&mut found, DOCKER_CPU),
            "docker_container_mem" => {
                // The page cache that the kernel takes back when it is short is no use.
                let cached = self.number("total_inactive_file").or(self.number("inactive_file"));
                match (self.number("usage"), cached) {
                    (Some(usage), Some(cached)) if cached <= usage => {
                        found.put(MemoryBytes, usage - cached, "usage");
                    }
                    _ => {}
                }
                self.put(&mut found, DOCKER_MEMORY);
            }
            "docker_container_net" => {
                found.part = self.tag("network");
                self.put(&mut found, NETWORK);
            }
            "docker_container_status" => self.put(&mut found, DOCKER_STATUS),
            "cpu" if is_sum => {
                self.put(&mut found, HOST_CPU);
                if let Some(idle) = self.number("usage_idle") {
                    found.put(CpuOfNode, 1.0 - idle / 100.0, "usage_idle");
                }
            }
            "mem" => self.put(&mut found, HOST_MEMORY),
            "procstat" => {
                found.program = self.tag("process_name");
                found.instance = match self.tag(PID) {
                    "" => self.text(PID),
                    pid => pid,
                };
                self.put(&mut found, PROCESS);
                if let (Some(user), Some(system)) =
                    (self.number("cpu_time_user"), self.number("cpu_time_system"))
                {
                    found.put(CpuSeconds, user + system, "cpu_time_user");
                }
            }
            "nvidia_smi" => {
                found.part = self.tag("index");
                self.put(&mut found, GPU);
            }
            _ => {}
        }
        found
    }

    fn put(&self, found: &mut Found<'t>, names: &[Name]) {
        for (name, metric, factor) in names {
            if let Some((key, value)) = self.numbers.iter().find(|(key, _)| key == name) {
                found.put(*metric, value * factor, key);
            }
        }
    }

    fn tag(&self, key: &str) -> &'t str {
        self.tags.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value)
    }

    fn either(&self, first: &str, second: &str) -> &'t str {
        match self.tag(first) {
            "" => self.tag(second),
            tag => tag,
        }
    }

    fn text(&self, key: &str) -> &'t str {
        self.texts.iter().find(|(name, _)| *name == key).map_or("", |(_, value)| value)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.numbers.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}
