//! OpenTelemetry's metrics, as JSON and as protobuf.

use beaconfire_decode::{Format, Reject};

use super::{check, idle, read};

const POD: &str = r#"{"key":"k8s.namespace.name","value":{"stringValue":"shop"}},{"key":"k8s.pod.name","value":{"stringValue":"cart-7d9f8b6c5d-x2x4z"}},{"key":"k8s.container.name","value":{"stringValue":"app"}}"#;

fn export(attributes: &str, scope: &str, metrics: &str) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{attributes}]}},"scopeMetrics":[{{"scope":{{"name":"{scope}"}},"metrics":[{metrics}]}}]}}]}}"#
    )
}

fn gauge(name: &str, value: &str) -> String {
    format!(
        r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"timeUnixNano":"1767323045000000000",{value}}}]}}}}"#
    )
}

fn sum(name: &str, temporality: &str, value: &str) -> String {
    format!(
        r#"{{"name":"{name}","unit":"s","sum":{{"aggregationTemporality":{temporality},"isMonotonic":true,"dataPoints":[{{"startTimeUnixNano":"1767323035000000000","timeUnixNano":"1767323045000000000",{value}}}]}}}}"#
    )
}

const WHOSE: &str = "2026-01-02T03:04:05Z shop/cart pod=cart-7d9f8b6c5d-x2x4z container=app";

#[test]
fn opentelemetry_as_json() {
    let metrics = [
        gauge("container.cpu.usage", r#""asDouble":0.5"#),
        gauge("k8s.container.cpu_limit", r#""asDouble":2"#),
        gauge("container.memory.working_set", r#""asInt":"1024""#),
        sum("container.cpu.time", "2", r#""asDouble":12.5"#),
        gauge("system.disk.io", r#""asInt":"1""#),
    ]
    .join(",");
    check(
        Format::Otel,
        &export(POD, "kubeletstats", &metrics),
        &[&format!("{WHOSE}: cpu_cores=0.5 cpu_limit_cores=2 memory_bytes=1024 cpu_seconds_total=12.5")],
    );
    // Both ways of the network, by interface: one sample for each part.
    let network = |direction: &str, value: u32| {
        format!(
            r#"{{"timeUnixNano":"1767323045000000000","asInt":"{value}","attributes":[{{"key":"interface","value":{{"stringValue":"eth0"}}}},{{"key":"direction","value":{{"stringValue":"{direction}"}}}}]}}"#
        )
    };
    let metric = format!(
        r#"{{"name":"k8s.pod.network.io","sum":{{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","dataPoints":[{},{}]}}}}"#,
        network("receive", 7),
        network("transmit", 8)
    );
    check(
        Format::Otel,
        &export(POD, "", &metric),
        &[&format!("{WHOSE} part=eth0: net_rx_bytes_total=7 net_tx_bytes_total=8")],
    );
    // A function.
    let function = r#"{"key":"faas.name","value":{"stringValue":"bill"}},{"key":"faas.instance","value":{"stringValue":"i1"}},{"key":"service.name","value":{"stringValue":"billing"}}"#;
    check(
        Format::Otel,
        &export(function, "", &sum("process.cpu.time", "2", r#""asDouble":1"#)),
        &["2026-01-02T03:04:05Z lambda/bill instance=i1: cpu_seconds_total=1"],
    );
    idle(Format::Otel, &export(POD, "", &gauge("my.gauge", r#""asInt":"1""#)));
    assert_eq!(read(Format::Auto, br#"{"resourceMetrics":[]}"#).1, Err(Reject::Empty));
    let nobody = export("", "", &gauge("container.cpu.usage", r#""asInt":"1""#));
    assert_eq!(read(Format::Auto, nobody.as_bytes()).1, Err(Reject::MissingField));
}

/// The same name, in cores by the kubelet's receiver and in percent of a core by docker's.
#[test]
fn cpu_utilization_is_cores_in_spite_of_its_name() {
    let metric = gauge("container.cpu.utilization", r#""asDouble":1.5"#);
    check(
        Format::Otel,
        &export(POD, "otelcol/kubeletstatsreceiver", &metric),
        &[&format!("{WHOSE}: cpu_cores=1.5")],
    );
    check(
        Format::Otel,
        &export(POD, "otelcol/dockerstatsreceiver", &metric),
        &[&format!("{WHOSE}: cpu_cores=0.015")],
    );
    let shares = [
        gauge("k8s.container.cpu_limit_utilization", r#""asDouble":0.25"#),
        gauge("k8s.container.cpu.node.utilization", r#""asDouble":0.125"#),
    ];
    check(
        Format::Otel,
        &export(POD, "", &shares.join(",")),
        &[&format!("{WHOSE}: cpu_of_limit=0.25 cpu_of_node=0.125")],
    );
}

/// What was added in ten seconds is no count since the start.
#[test]
fn differences_are_rates() {
    for temporality in ["1", r#""AGGREGATION_TEMPORALITY_DELTA""#] {
        let metric = sum("container.cpu.time", temporality, r#""asDouble":5"#);
        check(Format::Otel, &export(POD, "", &metric), &[&format!("{WHOSE}: cpu_cores=0.5")]);
        idle(Format::Otel, &export(POD, "", &metric.replace("1767323035000000000", "0")));
        idle(Format::Otel, &export(POD, "", &metric.replace("1767323035000000000", "1767323045000000000")));
        let restarts = sum("k8s.container.restarts", temporality, r#""asInt":"1""#);
        idle(Format::Otel, &export(POD, "", &restarts));
    }
}

#[test]
fn points_without_a_value_or_time() {
    let ended = gauge("container.cpu.usage", r#""flags":1"#);
    check(Format::Otel, &export(POD, "", &ended), &[&format!("{WHOSE}: cpu_cores=NaN")]);
    let timeless = gauge("container.cpu.usage", r#""asDouble":1"#).replace("1767323045000000000", "0");
    let (events, _) = read(Format::Auto, export(POD, "", &timeless).as_bytes());
    assert!(events[0].starts_with("2026-01-02T03:05:00Z "), "the log's time: {events:?}");
}

#[test]
fn an_export_has_a_bound() {
    let points = vec![r#"{"timeUnixNano":"1","asInt":"1"}"#; 10_001].join(",");
    let metric = format!(r#"{{"name":"container.cpu.usage","gauge":{{"dataPoints":[{points}]}}}}"#);
    assert_eq!(read(Format::Auto, export(POD, "", &metric).as_bytes()).1, Err(Reject::TooMany));
}

/// The few things of protobuf that an export needs.
mod proto {
    pub(super) fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
        [varint(u64::from(number << 3 | 2)), varint(bytes.len() as u64), bytes.to_vec()].concat()
    }

    pub(super) fn number(number: u32, value: u64) -> Vec<u8> {
        [varint(u64::from(number << 3)), varint(value)].concat()
    }

    pub(super) fn fixed(number: u32, value: u64) -> Vec<u8> {
        [varint(u64::from(number << 3 | 1)), value.to_le_bytes().to_vec()].concat()
    }

    pub(super) fn pair(key: &str, value: &str) -> Vec<u8> {
        [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat()
    }

    fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    }
}

use proto::{field, fixed, number, pair};

fn resource(metrics: &[Vec<u8>]) -> Vec<u8> {
    let attributes = [
        pair("k8s.namespace.name", "shop"),
        pair("k8s.pod.name", "cart-7d9f8b6c5d-x2x4z"),
        pair("k8s.container.name", "app"),
    ];
    let attributes: Vec<u8> = attributes.iter().flat_map(|pair| field(1, pair)).collect();
    let scope = field(1, &[field(1, b"otelcol/kubeletstatsreceiver"), field(2, b"1")].concat());
    let metrics = metrics.iter().flat_map(|metric| field(2, metric));
    let scope: Vec<u8> = scope.into_iter().chain(metrics).collect();
    field(1, &[field(1, &attributes), field(2, &scope), field(3, b"https://schema.example")].concat())
}

fn metric(name: &str, data: &[u8]) -> Vec<u8> {
    [field(1, name.as_bytes()), field(2, b"what it is"), field(3, b"1"), data.to_vec()].concat()
}

fn point(value: &[u8]) -> Vec<u8> {
    let attribute = field(7, &pair("interface", "eth0"));
    [fixed(2, 1_767_323_035_000_000_000), fixed(3, 1_767_323_045_000_000_000), value.to_vec(), attribute]
        .concat()
}

/// An export of a gauge, a sum and a histogram.
pub(crate) fn protobuf() -> Vec<u8> {
    resource(&[
        metric("container.cpu.usage", &field(5, &field(1, &point(&fixed(4, 0.5f64.to_bits()))))),
        metric(
            "container.cpu.time",
            &field(7, &[field(1, &point(&fixed(4, 12.5f64.to_bits()))), number(2, 2), number(3, 1)].concat()),
        ),
        metric("container.memory.working_set", &field(5, &field(1, &point(&fixed(6, 1024))))),
        metric("http.server.duration", &field(9, &[field(1, b"anything"), number(2, 2)].concat())),
    ])
}

/// These bytes as each message of an export.
pub(crate) fn around(bytes: &[u8]) -> [Vec<u8>; 4] {
    [
        field(1, &field(2, bytes)),
        resource(&[bytes.to_vec()]),
        resource(&[metric("container.cpu.usage", &field(5, bytes))]),
        resource(&[metric("container.cpu.usage", &field(7, &field(1, bytes)))]),
    ]
}

#[test]
fn opentelemetry_as_protobuf() {
    let meant = format!("{WHOSE} part=eth0: cpu_cores=0.5 cpu_seconds_total=12.5 memory_bytes=1024 [otel]");
    for format in [Format::Auto, Format::Otel] {
        assert_eq!(read(format, &protobuf()), (vec![meant.clone()], Ok(())));
    }
    for (value, meant) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-1.0, "-1")] {
        let gauge = field(5, &field(1, &point(&fixed(4, value.to_bits()))));
        let (events, _) = read(Format::Auto, &resource(&[metric("container.cpu.usage", &gauge)]));
        assert!(events[0].contains(&format!("cpu_cores={meant} ")), "{events:?}");
    }
    let delta = field(7, &[field(1, &point(&fixed(4, 5f64.to_bits()))), number(2, 1)].concat());
    let (events, _) = read(Format::Auto, &resource(&[metric("container.cpu.time", &delta)]));
    assert!(events[0].contains("cpu_cores=0.5 "), "{events:?}");
}

/// Traces have the same outer messages.
#[test]
fn traces_are_no_metrics() {
    let span = [
        field(1, &[7; 16]),
        field(2, &[7; 8]),
        field(5, b"GET /"),
        number(6, 2),
        fixed(7, 1_767_323_035_000_000_000),
        fixed(8, 1_767_323_045_000_000_000),
    ];
    let (events, ended) = read(Format::Auto, &resource(&[span.concat()]));
    assert!(events.is_empty() && ended.is_err());
}
