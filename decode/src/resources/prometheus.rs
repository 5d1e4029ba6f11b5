//! Prometheus's samples as prometheus-kafka-adapter writes them, one a message, the value as text:
//! `{"timestamp":"…","value":"456","name":"…","labels":{"__name__":…}}`. Names are those of cAdvisor in the kubelet,
//! kube-state-metrics and the GPU exporter.
//!
//! cAdvisor tells of a pod three times: of each container, of the pod's sandbox (`POD`) and of the pod as a whole (no
//! container). Only the first adds up; the network alone belongs to the pod. `NaN` marks the end of a series, and is
//! handed over as it is.

use beaconfire_model::Metric::*;

use super::{Found, Name, container_id, number};
use crate::json::Value;

/// Of one container.
const CONTAINER: &[Name] = &[
    ("container_cpu_usage_seconds_total", CpuSeconds, 1.0),
    ("container_cpu_cfs_periods_total", CpuPeriods, 1.0),
    ("container_cpu_cfs_throttled_periods_total", CpuThrottledPeriods, 1.0),
    ("container_spec_cpu_quota", CpuQuotaMicros, 1.0),
    ("container_spec_cpu_period", CpuPeriodMicros, 1.0),
    ("container_memory_working_set_bytes", MemoryBytes, 1.0),
    ("container_spec_memory_limit_bytes", MemoryLimitBytes, 1.0),
    ("container_oom_events_total", OomKills, 1.0),
    ("kube_pod_container_resource_limits_cpu_cores", CpuLimitCores, 1.0),
    ("kube_pod_container_resource_limits_memory_bytes", MemoryLimitBytes, 1.0),
    ("kube_pod_container_resource_requests_cpu_cores", CpuRequestCores, 1.0),
    ("kube_pod_container_resource_requests_memory_bytes", MemoryRequestBytes, 1.0),
    ("kube_pod_container_status_restarts_total", Restarts, 1.0),
];
/// Of a pod.
const POD: &[Name] = &[
    ("container_network_receive_bytes_total", NetRxBytes, 1.0),
    ("container_network_transmit_bytes_total", NetTxBytes, 1.0),
];

/// What the sample says; nothing measured where its name is none of ours or it would count twice.
pub(crate) fn read(object: Value<'_>) -> Found<'_> {
    let labels = object.get("labels");
    let label = |key: &str| labels.and_then(|labels| labels.get(key)?.text()).unwrap_or_default();
    let either = |first: &str, second: &str| match label(first) {
        "" => label(second),
        found => found,
    };
    // A GPU's or kube-state-metrics' own pod is the exporter's; Prometheus renames the one that is meant.
    let mut found = Found {
        namespace: either("exported_namespace", "namespace"),
        function: either("function_name", "FunctionName"),
        pod: match either("exported_pod", "pod") {
            "" => label("pod_name"),
            pod => pod,
        },
        container: match either("exported_container", "container") {
            "" => label("container_name"),
            container => container,
        },
        image: label("image"),
        node: match either("node", "instance") {
            "" => label("Hostname"),
            node => node,
        },
        ..Found::default()
    };
    let name = object.get("name").and_then(Value::text).unwrap_or_else(|| label("__name__"));
    let Some(value) = object.get("value").and_then(number) else { return found };
    let is_pod = found.pod.is_empty();
    if is_pod {
        // Outside Kubernetes a container goes by `name`; what has neither is a group of the kernel's that holds others.
        found.container = label("name");
        found.instance = container_id(label("id"));
    }
    if let Some((key, metric, factor)) = POD.iter().find(|(key, ..)| *key == name) {
        found.part = label("interface");
        if !is_pod {
            found.container = "";
        }
        if !is_pod || !found.container.is_empty() {
            found.put(*metric, value * factor, key);
        }
        return found;
    }
    if matches!(found.container, "" | "POD") {
        return found;
    }
    if let Some((key, metric, factor)) = CONTAINER.iter().find(|(key, ..)| *key == name) {
        found.part = label("cpu");
        found.put(*metric, value * factor, key);
        return found;
    }
    match (name, label("resource")) {
        ("kube_pod_container_resource_limits", "cpu") => found.put(CpuLimitCores, value, "value"),
        ("kube_pod_container_resource_limits", "memory") => found.put(MemoryLimitBytes, value, "value"),
        ("kube_pod_container_resource_requests", "cpu") => found.put(CpuRequestCores, value, "value"),
        ("kube_pod_container_resource_requests", "memory") => found.put(MemoryRequestBytes, value, "value"),
        ("kube_pod_container_status_last_terminated_reason", _) if label("reason") == "OOMKilled" => {
            found.put(OomKilled, value, "value");
        }
        ("DCGM_FI_DEV_GPU_UTIL", _) => {
            found.part = label("gpu");
            found.put(GpuShare, value / 100.0, "value");
        }
        _ => {}
    }
    found
}
