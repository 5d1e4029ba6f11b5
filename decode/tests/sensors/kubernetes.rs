//! Prometheus's samples of Kubernetes, one a message.

use beaconfire_decode::Format;

use super::resources::PROMETHEUS;
use super::{check, idle, read};

fn sample(name: &str, value: &str, labels: &str) -> String {
    format!(
        r#"{{"timestamp":"2026-01-02T03:04:05Z","value":"{value}","name":"{name}","labels":{{"__name__":"{name}",{labels}}}}}"#
    )
}

const APP: &str = r#""namespace":"shop","pod":"cart-7d9f8b6c5d-x2x4z","container":"app""#;

#[test]
fn prometheus() {
    let whose = "2026-01-02T03:04:05Z shop/cart pod=cart-7d9f8b6c5d-x2x4z container=app";
    check(
        Format::Prometheus,
        PROMETHEUS,
        &[&format!("{whose} node=node-1:10250 part=cpu00: cpu_seconds_total=456.5")],
    );
    for (name, labels, meant) in [
        ("container_memory_working_set_bytes", "", "memory_bytes=7"),
        ("container_cpu_cfs_throttled_periods_total", "", "cpu_throttled_periods_total=7"),
        ("container_spec_cpu_quota", "", "cpu_quota_micros=7"),
        ("kube_pod_container_resource_limits", r#","resource":"cpu","unit":"core""#, "cpu_limit_cores=7"),
        ("kube_pod_container_resource_limits", r#","resource":"memory""#, "memory_limit_bytes=7"),
        ("kube_pod_container_resource_limits_cpu_cores", "", "cpu_limit_cores=7"),
        ("kube_pod_container_status_restarts_total", "", "restarts_total=7"),
        ("kube_pod_container_status_last_terminated_reason", r#","reason":"OOMKilled""#, "oom_killed=7"),
        ("container_oom_events_total", "", "oom_kills_total=7"),
    ] {
        check(
            Format::Prometheus,
            &sample(name, "7", &format!("{APP}{labels}")),
            &[&format!("{whose}: {meant}")],
        );
    }
    // The network is the pod's, under whichever container it was told.
    for container in ["", "POD", "app"] {
        let labels = format!(
            r#""namespace":"shop","pod":"cart-7d9f8b6c5d-x2x4z","container":"{container}","interface":"eth0""#
        );
        check(
            Format::Prometheus,
            &sample("container_network_receive_bytes_total", "7", &labels),
            &["2026-01-02T03:04:05Z shop/cart pod=cart-7d9f8b6c5d-x2x4z part=eth0: net_rx_bytes_total=7"],
        );
    }
    // An exporter's own pod is not the one it speaks of.
    let gpu = r#""pod":"dcgm-exporter-x7k2m","namespace":"gpu","container":"exporter","exported_pod":"train-0","exported_namespace":"ml","exported_container":"app","gpu":"1","Hostname":"node-1""#;
    check(
        Format::Prometheus,
        &sample("DCGM_FI_DEV_GPU_UTIL", "75", gpu),
        &["2026-01-02T03:04:05Z ml/train pod=train-0 container=app node=node-1 part=1: gpu_share=0.75"],
    );
}

/// The pod as a whole, its sandbox and the kernel's groups above it would count what its containers count.
#[test]
fn what_would_count_double_is_passed_over() {
    for labels in [
        r#""namespace":"shop","pod":"cart-7d9f8b6c5d-x2x4z""#,
        r#""namespace":"shop","pod":"cart-7d9f8b6c5d-x2x4z","container":"""#,
        r#""namespace":"shop","pod":"cart-7d9f8b6c5d-x2x4z","container":"POD""#,
        r#""id":"/kubepods","instance":"node-1:10250""#,
    ] {
        for name in ["container_cpu_usage_seconds_total", "container_memory_working_set_bytes"] {
            idle(Format::Prometheus, &sample(name, "7", labels));
        }
    }
    idle(
        Format::Prometheus,
        &sample("container_network_receive_bytes_total", "7", r#""id":"/","interface":"eth0""#),
    );
    // Outside Kubernetes a container has a name.
    check(
        Format::Prometheus,
        &sample(
            "container_cpu_usage_seconds_total",
            "7",
            r#""name":"cart_1","image":"shop/cart:1","id":"/docker/ab","instance":"edge-1""#,
        ),
        &[
            "2026-01-02T03:04:05Z shop/cart@edge-1 container=cart_1 node=edge-1 instance=/docker/ab: cpu_seconds_total=7",
        ],
    );
}

/// A staleness marker is the end of a series, not a fault of the record.
#[test]
fn values_that_are_no_numbers_are_handed_on() {
    for (value, meant) in [("NaN", "NaN"), ("+Inf", "inf"), ("-Inf", "-inf"), ("-1", "-1")] {
        let text = sample("container_memory_working_set_bytes", value, APP);
        let (events, ended) = read(Format::Auto, text.as_bytes());
        assert!(ended.is_ok() && events[0].contains(&format!("memory_bytes={meant} ")), "{events:?}");
    }
    idle(Format::Prometheus, &sample("container_memory_working_set_bytes", "much", APP));
    let bare = sample("container_memory_working_set_bytes", "7", APP).replace("\"7\"", "7");
    assert_eq!(read(Format::Auto, bare.as_bytes()).0.len(), 1, "a number without quotes");
}
