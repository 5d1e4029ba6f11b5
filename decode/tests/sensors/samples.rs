//! The real records of the shared folder, where that is there: what is read in each of them.

use std::path::PathBuf;

use beaconfire_decode::Format;

use super::read;

/// The lines of a file of samples.
#[allow(clippy::disallowed_methods, reason = "the test reads the samples, not the crate")]
fn lines(name: &str) -> Option<Vec<String>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/samples");
    if !folder.exists() {
        eprintln!("SKIPPED: no shared samples");
        return None;
    }
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    Some(text.lines().map(str::to_owned).collect())
}

/// What each line of a file says: parts of its events, and nothing where there are none.
#[track_caller]
fn check(name: &str, format: Format, meant: &[&[&str]]) {
    let Some(lines) = lines(name) else { return };
    assert_eq!(lines.len(), meant.len(), "{name}");
    for (line, meant) in lines.iter().zip(meant) {
        for named in [Format::Auto, format] {
            let (events, ended) = read(named, line.as_bytes());
            assert_eq!((events.len(), ended), (meant.len(), Ok(())), "{line}: {events:#?}");
            for (event, meant) in events.iter().zip(*meant) {
                assert_eq!(*event, format!("{meant} [{}]", format.name()), "{line}");
            }
        }
    }
}

#[test]
fn telegraf() {
    check("telegraf_json.jsonl", Format::Telegraf, &[&[], &[]]);
    check(
        "telegraf_influx.jsonl",
        Format::Telegraf,
        &[
            &[
                "2016-10-14T20:38:50Z deis/deis-controller pod=deis-controller-3058870187-xazsr container=deis-controller node=ip-10-0-0-0.ec2.internal: cpu_cores=0 cpu_seconds_total=0.002432835 memory_bytes=0",
            ],
            &[
                "2016-10-14T20:38:50Z deis/deis-controller pod=deis-controller-3058870187-xazsr node=ip-10-0-0-0.ec2.internal: net_rx_bytes_total=120671099 net_tx_bytes_total=102451983",
            ],
            &[
                "2018-04-17T21:54:02Z telegraf@debian-stretch-docker container=zen_ritchie node=debian-stretch-docker instance=adc4ba9593871bf2ab95f3ffde70d1b638b897bb225d21c2c9c84226a10a8cf4: memory_bytes=11440128 memory_limit_bytes=2101661696",
            ],
            &[
                "2018-04-17T21:54:02Z telegraf@debian-stretch-docker container=zen_ritchie node=debian-stretch-docker instance=adc4ba9593871bf2ab95f3ffde70d1b638b897bb225d21c2c9c84226a10a8cf4: cpu_cores=0 cpu_seconds_total=0.117319068 cpu_periods_total=0 cpu_throttled_periods_total=0",
            ],
            &[],
            &[],
            &["2019-09-17T22:55:22Z host@loaner node=loaner: cpu_seconds_total=804450.53"],
            &["2019-09-17T22:55:22Z host@loaner node=loaner: cpu_of_node=0.176165803"],
            &[
                "2020-02-19T05:21:40Z influxd@prash-laptop node=prash-laptop instance=32025: memory_bytes=148643840 cpu_seconds_total=3181.79",
            ],
        ],
    );
}

#[test]
fn opentelemetry() {
    let whose = |pod: &str, container: &str, owner: &str, share: &str| {
        format!("1970-01-01T00:00:00.002Z {owner} pod={pod} container={container}: cpu_of_node={share}")
    };
    let events = [
        whose("coredns-66bff467f8-58qvv", "coredns", "kube-system/coredns", "0.000569754"),
        whose("etcd-minikube", "etcd", "kube-system/etcd-minikube", "0.002483161"),
        whose(
            "kube-apiserver-minikube",
            "kube-apiserver",
            "kube-system/kube-apiserver-minikube",
            "0.00576811",
        ),
        whose("go-hello-world-5456b4b8cd-99vxc", "server", "default/go-hello-world", "0"),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    check("otlp_json_metrics.jsonl", Format::Otel, &[&[], &events]);
}

#[test]
fn prometheus() {
    check("prometheus_kafka_adapter.jsonl", Format::Prometheus, &[&[], &[], &[]]);
}

#[test]
fn metricbeat() {
    check(
        "metricbeat.jsonl",
        Format::Metricbeat,
        &[
            &[
                "2018-06-20T16:47:49.597Z kube-system/kube-dns pod=kube-dns-6f4fd4bdf-wlmht container=sidecar node=minikube instance=9d877a261e851087057fd20ce4aa6f2d7ce56722feedb837d8d0463b2eab724c: cpu_cores=0.004741228 cpu_seconds_total=83.347618953 cpu_request_cores=0.01 memory_bytes=16404480 memory_request_bytes=20971520 restarts_total=5",
            ],
            &[
                "2017-10-12T08:05:34.853Z metricbeat_elasticsearch@host.example.com container=metricbeat_elasticsearch_1_df866b3a7b3d node=host.example.com instance=cc78e58acfda4501105dc4de8e3ae218f2da616213e6e3af168c40103829302a: cpu_cores=0.055501009",
            ],
            &[
                "2017-10-12T08:05:34.853Z metricbeat_elasticsearch@host.example.com container=metricbeat_elasticsearch_1_df866b3a7b3d node=host.example.com instance=cc78e58acfda4501105dc4de8e3ae218f2da616213e6e3af168c40103829302a: memory_bytes=493772800 memory_limit_bytes=16571719680",
            ],
            &[
                "2016-05-23T08:05:34.853Z environments_beat_run_1@localhost container=environments_beat_run_1 node=localhost instance=33a924f09bc9fc7dfb66cb479904e362ae1df341b2d832040c54bfe4770e3f28: cpu_cores=0.008842312",
            ],
        ],
    );
}

#[test]
fn tracee_events() {
    check(
        "tracee_legacy_event.jsonl",
        Format::Tracee,
        &[
            &[
                "2022-07-08T22:59:27.356Z File host@fujitsu: event=security_file_open process=bash pid=2578238 path=/tmp/testing.txt flags=O_WRONLY|O_CREAT|O_TRUNC|O_LARGEFILE",
            ],
            &[
                "2022-07-08T22:59:27.356Z File host@fujitsu: event=openat process=bash pid=2578238 path=/tmp/testing.txt flags=O_WRONLY|O_CREAT|O_TRUNC",
            ],
            &[
                "2023-05-28T14:46:21.028Z File host@Alon-Zivony: event=vfs_read process=cat pid=184128 flags=O_RDONLY",
            ],
            &[
                "2023-05-21T16:57:30.477Z Exec host@minikube: event=execve process=bridge cmdline=/opt/cni/bin/bridge exe=/opt/cni/bin/bridge parent=cri-dockerd pid=3242201 path=/opt/cni/bin/bridge",
            ],
            &[
                "2023-03-30T13:29:36.364Z File host@josedonizetti-x: event=security_file_open process=systemd-oomd pid=676 path=/proc/meminfo flags=O_RDONLY|O_LARGEFILE",
            ],
            &["2023-10-02T14:07:54.45Z Other host@rugged: event=net_packet_tcp process=vlc pid=1014858"],
            &[
                "2023-10-02T14:09:04.257Z Dns host@rugged: event=net_packet_dns process=systemd-resolve pid=472 domain=www.zip.net answers=amazonas.uol.com.br",
            ],
        ],
    );
}

#[test]
fn tracee_findings() {
    check(
        "tracee_legacy_finding.jsonl",
        Format::Tracee,
        &[
            &[
                "2023-03-01T13:09:57.9Z Finding default/app: event=New executable dropped process=dpkg pid=4741 container=app image=docker.io/library/ubuntu:latest path=/usr/bin/strace.dpkg-new rule=New executable dropped severity=warning tags=T1036,TRC-1022",
            ],
            &[
                "2023-03-30T15:50:45.996Z Finding host@hb: event=mine process=zsh pid=329031 rule=My Own Signature tags=Mine-0.1.0",
            ],
            &[
                "2023-03-30T15:33:39.485Z Finding host@hb: event=mine process=terminator pid=320908 rule=My Own Signature tags=Mine-0.1.0",
            ],
        ],
    );
}

/// The encoder's form, without a time: the log's counts. And the form that the documentation draws.
#[test]
fn tracee_after_its_releases() {
    check(
        "tracee_v1beta1.jsonl",
        Format::Tracee,
        &[
            &[
                "2026-01-02T03:05:00Z File test-contain@unknown: event=magic_write container=test-container path=/tmp/malware flags=O_WRONLY",
            ],
            &[
                "2026-01-02T03:05:00Z Exec host@unknown: event=sched_process_exec exe=memfd:malicious path=memfd:malicious",
            ],
            &[
                "2026-01-02T03:05:00Z File test-contain@unknown: event=security_file_open exe=/usr/bin/malicious container=test-container path=/var/run/secrets/kubernetes.io/serviceaccount/token flags=O_RDONLY",
            ],
            &[
                "2026-01-02T03:05:00Z File host@unknown: event=security_file_open exe=/usr/bin/vi path=/etc/ld.so.preload flags=O_WRONLY",
            ],
            &["2026-01-02T03:05:00Z Other host@unknown: event=process_vm_writev exe=/usr/bin/test pid=1234"],
        ],
    );
    check(
        "tracee_v1beta1_doc.jsonl",
        Format::Tracee,
        &[&[
            "2024-11-24T13:20:00Z Exec host@unknown: event=sched_process_exec process=bash cmdline=ls -la /tmp exe=/usr/bin/ls pid=12345 path=/usr/bin/ls",
        ]],
    );
}

/// Each way in which a value is written, in an event around it.
#[test]
fn tracee_values() {
    let Some(lines) = lines("tracee_v1beta1_eventvalue.jsonl") else { return };
    assert_eq!(lines.len(), 13);
    for (value, meant) in lines.iter().zip([
        "",
        " path=9876543210",
        "",
        " path=18446744073709551615",
        " path=hello",
        "",
        " path=AQID",
        " cmdline=a b c",
        "",
        " cmdline=1 2 3",
        "",
        " cmdline=1 2 3",
        "",
    ]) {
        let (event, kind, name) = match value.contains("_array") {
            true => ("execve", "Exec", "argv"),
            false => ("open", "File", "pathname"),
        };
        let text = format!(
            r#"{{"timestamp":"2026-01-02T03:04:05Z","id":1,"name":"{event}","data":[{}]}}"#,
            value.replace(r#""name":"test""#, &format!(r#""name":"{name}""#))
        );
        let said = format!("2026-01-02T03:04:05Z {kind} host@unknown: event={event}{meant} [tracee]");
        assert_eq!(read(Format::Auto, text.as_bytes()), (vec![said], Ok(())), "{text}");
    }
}

/// Two things that the folder holds beside: Falco's alerts, and what it says of itself.
#[test]
fn falco() {
    for (name, count, of_itself) in
        [("falco.jsonl", 8, 0), ("falco_internal.jsonl", 2, 2), ("falcosidekick_payload.jsonl", 6, 3)]
    {
        let Some(lines) = lines(name) else { return };
        assert_eq!(lines.len(), count, "{name}");
        let mut health = 0;
        for line in lines {
            let (events, ended) = read(Format::Auto, line.as_bytes());
            assert_eq!((events.len(), ended), (1, Ok(())), "{line}");
            health += usize::from(events[0].contains(" Health "));
            assert!(events[0].contains(" Health ") || events[0].contains(" Finding "), "{events:?}");
            assert!(events[0].ends_with("[falco]"), "{events:?}");
        }
        assert_eq!(health, of_itself, "{name}");
    }
}
