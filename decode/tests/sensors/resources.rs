//! Resource samples of Telegraf, Metricbeat, cAdvisor and our own.

use beaconfire_decode::{Format, Reject};

use super::{check, idle, read};

pub(crate) const LINE: &str = "docker_container_cpu,container_image=shop/cart:1.2,container_name=cart_1,cpu=cpu-total,engine_host=edge-1 container_id=\"adc4\",throttling_periods=20i,throttling_throttled_periods=5i,usage_percent=150,usage_total=117319068i 1767323045000000000";
pub(crate) const CADVISOR: &str = r#"{"timestamp":"2026-01-02T03:05:00Z","machine_name":"node-1","container_Name":"/kubepods/pod1/ab","container_Id":"ab","container_labels":{"io.kubernetes.pod.name":"cart-7d9f8b6c5d-x2x4z","io.kubernetes.pod.namespace":"shop","io.kubernetes.container.name":"app","io.kubernetes.pod.uid":"u"},"container_stats":{"timestamp":"2026-01-02T03:04:05.123456789Z","cpu":{"usage":{"total":2500000000,"per_cpu_usage":[1,2]},"cfs":{"periods":20,"throttled_periods":5}},"memory":{"usage":9,"working_set":8},"network":{"name":"eth0","rx_bytes":1,"tx_bytes":2,"interfaces":[{"name":"eth0","rx_bytes":1,"tx_bytes":2},{"name":"eth1","rx_bytes":10,"tx_bytes":20}]},"oom_events":1}}"#;
pub(crate) const METRICBEAT: &str = r#"{"@timestamp":"2026-01-02T03:04:05.000Z","@metadata":{"beat":"metricbeat","type":"_doc"},"event":{"dataset":"kubernetes.container","module":"kubernetes"},"metricset":{"name":"container","period":10000},"kubernetes":{"namespace":"shop","node":{"name":"node-1"},"pod":{"name":"cart-7d9f8b6c5d-x2x4z"},"container":{"name":"app","image":"shop/cart:1.2","id":"containerd://ab","cpu":{"usage":{"nanocores":500000000,"core":{"ns":83347618953},"limit":{"pct":0.25},"node":{"pct":0.125}},"request":{"cores":0.1}},"memory":{"workingset":{"bytes":1024},"usage":{"bytes":9999}}}}}"#;
pub(crate) const PROMETHEUS: &str = r#"{"timestamp":"2026-01-02T03:04:05Z","value":"456.5","name":"container_cpu_usage_seconds_total","labels":{"__name__":"container_cpu_usage_seconds_total","namespace":"shop","pod":"cart-7d9f8b6c5d-x2x4z","container":"app","cpu":"cpu00","image":"shop/cart@sha256:ab","id":"/kubepods/pod1/ab","instance":"node-1:10250"}}"#;

#[test]
fn telegraf_lines() {
    check(
        Format::Telegraf,
        LINE,
        &[
            "2026-01-02T03:04:05Z shop/cart@edge-1 container=cart_1 node=edge-1 instance=adc4: cpu_cores=1.5 cpu_seconds_total=0.117319068 cpu_periods_total=20 cpu_throttled_periods_total=5",
        ],
    );
    // Each processor beside the sum would count double.
    idle(Format::Telegraf, &LINE.replace("cpu=cpu-total", "cpu=cpu0"));
    check(
        Format::Telegraf,
        "kubernetes_pod_container,container_name=app,namespace=shop,pod_name=cart-7d9f8b6c5d-x2x4z resource_limits_millicpu_units=1500i,resource_limits_memory_bytes=1024i,restarts_total=2i 1767323045000000000",
        &[
            "2026-01-02T03:04:05Z shop/cart pod=cart-7d9f8b6c5d-x2x4z container=app: cpu_limit_cores=1.5 memory_limit_bytes=1024 restarts_total=2",
        ],
    );
    check(
        Format::Telegraf,
        "docker_container_mem,container_image=shop/cart:1.2,container_name=cart_1,engine_host=edge-1 inactive_file=30i,limit=200i,usage=130i 1767323045000000000",
        &[
            "2026-01-02T03:04:05Z shop/cart@edge-1 container=cart_1 node=edge-1: memory_bytes=100 memory_limit_bytes=200",
        ],
    );
    check(
        Format::Telegraf,
        "cpu,cpu=cpu-total,host=edge-1 usage_idle=75,usage_user=20 1767323045000000000",
        &["2026-01-02T03:04:05Z host@edge-1 node=edge-1: cpu_of_node=0.25"],
    );
    check(
        Format::Telegraf,
        "procstat,host=edge-1,process_name=xmrig cpu_usage=398.5,memory_rss=4096i,pid=77i 1767323045000000000",
        &["2026-01-02T03:04:05Z xmrig@edge-1 node=edge-1 instance=77: cpu_cores=3.985 memory_bytes=4096"],
    );
    // The log's time, where the line has none.
    let (events, _) = read(Format::Auto, LINE.rsplit_once(' ').unwrap().0.as_bytes());
    assert!(events[0].starts_with("2026-01-02T03:05:00Z "), "{events:?}");
    // Several lines in one value.
    assert_eq!(read(Format::Auto, format!("{LINE}\n{LINE}\n").as_bytes()).0.len(), 2);
    idle(Format::Telegraf, "disk,device=sda1,host=edge-1 free=1i 1767323045000000000");
    for broken in
        [LINE.replace("usage_percent=150", "usage_percent="), LINE.replace("usage_percent=150", "x")]
    {
        assert!(read(Format::Auto, broken.as_bytes()).1.is_err(), "{broken}");
    }
}

#[test]
fn telegraf_json() {
    let metric = |time: &str| {
        format!(
            r#"{{"fields":{{"cpu_usage_nanocores":250000000,"memory_working_set_bytes":1024}},"name":"kubernetes_pod_container","tags":{{"container_name":"app","namespace":"shop","pod_name":"db-0","node_name":"node-1"}},"timestamp":{time}}}"#
        )
    };
    let meant =
        "2026-01-02T03:04:05Z shop/db pod=db-0 container=app node=node-1: cpu_cores=0.25 memory_bytes=1024";
    // `json_timestamp_units` is told by the number's size.
    for time in ["1767323045", "1767323045000", "1767323045000000", "1767323045000000000"] {
        check(Format::Telegraf, &metric(time), &[meant]);
    }
    let batch = format!(r#"{{"metrics":[{0},{0}]}}"#, metric("1767323045"));
    check(Format::Telegraf, &batch, &[meant, meant]);
    idle(Format::Telegraf, &metric("1767323045").replace("kubernetes_pod_container", "kubernetes_node"));
}

/// Functions live as long as a call: the name outlives them.
#[test]
fn functions_are_workloads() {
    check(
        Format::Telegraf,
        "procstat,function_name=bill,host=169.254.1.1,process_name=bootstrap cpu_usage=50 1767323045000000000",
        &["2026-01-02T03:04:05Z lambda/bill node=169.254.1.1: cpu_cores=0.5"],
    );
}

#[test]
fn metricbeat() {
    check(
        Format::Metricbeat,
        METRICBEAT,
        &[
            "2026-01-02T03:04:05Z shop/cart pod=cart-7d9f8b6c5d-x2x4z container=app node=node-1 instance=ab: cpu_cores=0.5 cpu_seconds_total=83.347618953 cpu_of_limit=0.25 cpu_of_node=0.125 cpu_request_cores=0.1 memory_bytes=1024",
        ],
    );
    let owned = METRICBEAT.replace(r#""pod":{"#, r#""deployment":{"name":"cart-blue"},"pod":{"#);
    assert!(read(Format::Auto, owned.as_bytes()).0[0].contains(" shop/cart-blue "), "{owned}");
    check(
        Format::Metricbeat,
        r#"{"@timestamp":"2026-01-02T03:04:05Z","metricset":{"name":"network"},"host":{"name":"edge-1"},"container":{"id":"ab","name":"cart_1","image":{"name":"shop/cart:1"}},"docker":{"network":{"interface":"eth0","in":{"bytes":7},"inbound":{"bytes":700},"out":{"bytes":8},"outbound":{"bytes":800}}}}"#,
        &[
            "2026-01-02T03:04:05Z shop/cart@edge-1 container=cart_1 node=edge-1 instance=ab part=eth0: net_rx_bytes_total=700 net_tx_bytes_total=800",
        ],
    );
    // Four cores at work are 4.0, not 100 %.
    check(
        Format::Metricbeat,
        r#"{"@timestamp":"2026-01-02T03:04:05Z","metricset":{"name":"process"},"host":{"name":"edge-1"},"process":{"name":"xmrig","pid":77},"system":{"process":{"cpu":{"total":{"pct":4.0,"norm":{"pct":0.5}}},"memory":{"rss":{"bytes":4096}},"cgroup":{"cpu":{"cfs":{"quota":{"us":0},"period":{"us":100000}}}}}}}"#,
        &[
            "2026-01-02T03:04:05Z xmrig@edge-1 node=edge-1 instance=77: cpu_cores=4 cpu_quota_micros=0 cpu_period_micros=100000 memory_bytes=4096",
        ],
    );
    idle(
        Format::Metricbeat,
        r#"{"@timestamp":"2026-01-02T03:04:05Z","metricset":{"name":"fsstat"},"system":{"fsstat":{"count":1}}}"#,
    );
}

#[test]
fn cadvisor() {
    check(
        Format::Cadvisor,
        CADVISOR,
        &[
            "2026-01-02T03:04:05.123Z shop/cart pod=cart-7d9f8b6c5d-x2x4z container=app node=node-1 instance=ab: cpu_seconds_total=2.5 cpu_periods_total=20 cpu_throttled_periods_total=5 memory_bytes=8 oom_kills_total=1 net_rx_bytes_total=11 net_tx_bytes_total=22",
        ],
    );
    // The sandbox has the pod's network; its own CPU is nobody's.
    check(
        Format::Cadvisor,
        &CADVISOR.replace(r#"container.name":"app""#, r#"container.name":"POD""#),
        &[
            "2026-01-02T03:04:05.123Z shop/cart pod=cart-7d9f8b6c5d-x2x4z node=node-1 instance=ab: net_rx_bytes_total=11 net_tx_bytes_total=22",
        ],
    );
    check(
        Format::Cadvisor,
        r#"{"timestamp":"2026-01-02T03:04:05Z","machine_name":"edge-1","container_Name":"cart_1","container_Id":"ab","container_stats":{"cpu":{"usage":{"total":1000000000}},"network":{"rx_bytes":1}}}"#,
        &[
            "2026-01-02T03:04:05Z cart_1@edge-1 node=edge-1 instance=ab: cpu_seconds_total=1 net_rx_bytes_total=1",
        ],
    );
    idle(
        Format::Cadvisor,
        r#"{"timestamp":"2026-01-02T03:04:05Z","container_Name":"/","container_stats":{}}"#,
    );
}

#[test]
fn our_own() {
    check(
        Format::Beaconfire,
        r#"{"kind":"resource","time":"2026-01-02T03:04:05Z","workload":"shop/cart","pod":"cart-7d9f-abcde","container":"app","image":"i","cpu_cores":0.42,"cpu_limit_cores":1.0,"memory_bytes":1,"memory_limit_bytes":2,"net_rx_bytes_per_second":3,"net_tx_bytes_per_second":4,"gpu_share":0.0}"#,
        &[
            "2026-01-02T03:04:05Z shop/cart pod=cart-7d9f-abcde container=app: cpu_cores=0.42 cpu_limit_cores=1 memory_bytes=1 memory_limit_bytes=2 net_rx_bytes_per_second=3 net_tx_bytes_per_second=4 gpu_share=0",
        ],
    );
    // Values that cannot be are handed on, to be counted where rates are made.
    check(
        Format::Beaconfire,
        r#"{"kind":"resource","time":1767323045,"workload":"w","cpu_cores":-1,"memory_bytes":"+Inf","gpu_share":"x"}"#,
        &["2026-01-02T03:04:05Z w: cpu_cores=-1 memory_bytes=inf"],
    );
}

#[test]
fn what_says_nothing_is_refused() {
    for (text, reason) in [
        (r#"{"kind":"resource","time":1,"cpu_cores":1}"#, Reject::MissingField),
        (r#"{"kind":"resource","time":1,"workload":"w"}"#, Reject::MissingField),
        (r#"{"kind":"resource","time":"soon","workload":"w","cpu_cores":1}"#, Reject::Timestamp),
    ] {
        assert_eq!(read(Format::Auto, text.as_bytes()), (vec![], Err(reason)), "{text}");
    }
}
