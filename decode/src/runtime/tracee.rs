//! Tracee's events in its three shapes: `trace.Event` of all releases up to 0.24 (`eventName`), `v1beta1.Event` after that
//! (`name`, `data`), and the findings of `tracee-rules` (`SigMetadata`). The first has a flat and a nested form; the second
//! is written in one way by the encoder and drawn in another by the documentation.
//!
//! A container's `hostName` is its own, cut to 16 characters, not the node's: it names no workload.

mod arguments;

use beaconfire_model::{RuntimeKind, Severity};

use self::arguments::Arguments;
use super::{Told, endpoint, joined};
use crate::json::Value;
use crate::path::find;

/// What a record tells, and when.
pub(crate) struct Record<'t> {
    pub(crate) told: Told<'t>,
    pub(crate) time: Option<(&'static str, Value<'t>)>,
}

/// Reads a record that came from `node`, as far as an envelope tells.
pub(crate) fn read<'t>(record: Value<'t>, node: &'t str) -> Record<'t> {
    let mut read = if let Some(signature) = record.get("SigMetadata") {
        let context = record.get("Context").unwrap_or(record);
        let mut read = legacy(context, node);
        let told = &mut read.told;
        told.kind = RuntimeKind::Finding;
        told.rule = text(signature, &["Name", "ID"]);
        told.severity = find(signature, "Properties.Severity").and_then(Value::integer).map(level);
        told.tags.extend(Some(text(signature, &["ID"])).filter(|id| !id.is_empty()));
        told.origins.push(("rule", "SigMetadata.Name"));
        read
    } else if record.get("eventName").is_some() {
        legacy(record, node)
    } else {
        v1beta1(record, node)
    };
    read.told.name_workload();
    read
}

/// `trace.Event`.
fn legacy<'t>(event: Value<'t>, node: &'t str) -> Record<'t> {
    let container_id = text(event, &["container.id", "containerId"]);
    let mut told = Told {
        event: text(event, &["eventName"]),
        namespace: text(event, &["kubernetes.podNamespace", "podNamespace"]),
        pod: text(event, &["kubernetes.podName", "podName"]),
        container: text(event, &["container.name", "containerName"]),
        container_id,
        image: image(
            text(event, &["container.image", "containerImage"]),
            text(event, &["container.imageDigest"]),
        )
        .into(),
        host: if container_id.is_empty() && node.is_empty() { text(event, &["hostName"]) } else { node },
        process: text(event, &["processName"]),
        exe: text(event, &["executable.path"]),
        pid: find(event, "hostProcessId").or_else(|| find(event, "processId")).and_then(Value::integer),
        ..Told::default()
    };
    act(&mut told, &Arguments::of(event.get("args"), None));
    if let Some(metadata) = event.get("metadata").filter(|metadata| metadata.is_object()) {
        told.kind = RuntimeKind::Finding;
        told.rule = match text(metadata, &["Properties.signatureName"]) {
            "" => told.event,
            name => name,
        };
        told.severity = find(metadata, "Properties.Severity").and_then(Value::integer).map(level);
        for path in ["Properties.external_id", "Properties.signatureID"] {
            told.tags.extend(Some(text(metadata, &[path])).filter(|tag| !tag.is_empty()));
        }
        told.origins.push(("rule", "metadata.Properties.signatureName"));
    }
    Record { told, time: event.get("timestamp").map(|time| ("timestamp", time)) }
}

/// `v1beta1.Event`.
fn v1beta1<'t>(event: Value<'t>, node: &'t str) -> Record<'t> {
    let workload = event.get("workload").unwrap_or(event);
    let number = |paths: &[&str]| paths.iter().find_map(|path| plain(find(workload, path)?).integer());
    let mut told = Told {
        event: text(event, &["name"]),
        namespace: text(workload, &["k8s.namespace.name", "namespace.name", "pod.namespace"]),
        pod: text(workload, &["k8s.pod.name", "pod.name"]),
        container: text(workload, &["container.name"]),
        container_id: text(workload, &["container.id"]),
        image: text(workload, &["container.image.name"]).into(),
        host: node,
        process: text(workload, &["process.thread.name"]),
        exe: text(workload, &["process.executable.path"]),
        pid: number(&["process.host_pid", "process.hostPid", "process.pid"]),
        ..Told::default()
    };
    let digest = find(workload, "container.image.repo_digests")
        .or_else(|| find(workload, "container.image.repoDigests"));
    if let Some(digest) = digest.and_then(|list| list.text().or_else(|| list.items().next()?.text())) {
        told.image = image(&told.image, digest.rsplit('@').next().unwrap_or_default()).into();
    }
    let cause = event.get("detected_from").or_else(|| event.get("detectedFrom"));
    act(&mut told, &Arguments::of(event.get("data"), cause.and_then(|cause| cause.get("data"))));
    if let Some(threat) = event.get("threat").filter(|threat| threat.is_object()) {
        told.kind = RuntimeKind::Finding;
        told.rule = match text(threat, &["name"]) {
            "" => told.event,
            name => name,
        };
        told.severity = threat.get("severity").and_then(|severity| {
            let word = severity.text().unwrap_or_default();
            severity.integer().map(level).or_else(|| super::severity(word.rsplit('_').next().unwrap_or(word)))
        });
        // The encoder leaves out what is zero, and that is a severity.
        told.severity = told.severity.or(Some(Severity::Info));
        for path in ["mitre.technique.id", "properties.signatureID"] {
            told.tags.extend(Some(text(threat, &[path])).filter(|tag| !tag.is_empty()));
        }
        told.origins.push(("rule", "threat.name"));
    }
    let time = event.get("timestamp").map(|time| ("timestamp", time.get("seconds").unwrap_or(time)));
    Record { told, time }
}

/// From 0 to 3 in the releases, to 4 after them.
fn level(number: u64) -> Severity {
    match number {
        0 | 1 => Severity::Info,
        2 => Severity::Warning,
        3 => Severity::Error,
        _ => Severity::Critical,
    }
}

/// What was done, by the event's name and arguments.
fn act<'t>(told: &mut Told<'t>, arguments: &Arguments<'t>) {
    told.kind = match told.event {
        "sched_process_exec" | "execve" | "execveat" => RuntimeKind::Exec,
        "security_socket_connect" | "net_tcp_connect" | "connect" => RuntimeKind::Connect,
        "net_packet_dns" | "net_packet_dns_request" | "net_packet_dns_response" => RuntimeKind::Dns,
        "security_file_open"
        | "magic_write"
        | "security_inode_rename"
        | "security_inode_unlink"
        | "vfs_write"
        | "vfs_writev"
        | "vfs_read"
        | "vfs_readv"
        | "open"
        | "openat"
        | "openat2"
        | "creat"
        | "file_modification" => RuntimeKind::File,
        _ => RuntimeKind::Other,
    };
    told.path = arguments.text(&["pathname", "new_path", "path", "file_path", "cmdpath", "sun_path"]);
    if let Some(argv) = arguments.get("argv") {
        told.cmdline = joined(argv).into();
        told.origins.push(("cmdline", "argv"));
    }
    if let Some(variables) = arguments.get("env").or_else(|| arguments.get("envp")) {
        let names = variables.items().filter_map(|pair| pair.text()?.split('=').next());
        told.environment.extend(names.take(super::ITEMS_MAX));
    }
    told.parent = arguments.text(&["prev_comm"]);
    told.flags = match told.event {
        // These say by their name what others say by their flags.
        "magic_write"
        | "vfs_write"
        | "vfs_writev"
        | "creat"
        | "file_modification"
        | "security_inode_rename"
        | "security_inode_unlink" => "O_WRONLY".into(),
        "vfs_read" | "vfs_readv" => "O_RDONLY".into(),
        _ => arguments.flags(),
    };
    if told.kind == RuntimeKind::Exec && !told.path.is_empty() {
        // While the call runs, the process still is the one that makes it.
        if told.event != "sched_process_exec" {
            told.parent = told.process;
            told.process = told.path.rsplit('/').next().unwrap_or(told.path);
        }
        told.exe = told.path;
    }
    if told.kind == RuntimeKind::Connect {
        if let Some((address, port)) = arguments.remote() {
            told.remote = endpoint(address, port).into();
        }
        if told.path.is_empty() {
            told.path = arguments.socket();
        }
        told.domain = super::domain(arguments.remote_name());
    }
    if told.kind == RuntimeKind::Dns {
        let (question, answers) = arguments.look_up();
        told.domain = super::domain(question);
        told.answers = answers;
    }
}

fn image(name: &str, digest: &str) -> String {
    if name.is_empty() || digest.is_empty() || name.contains('@') {
        return name.to_owned();
    }
    format!("{name}@{digest}")
}

/// The first of these paths that has a text.
fn text<'t>(from: Value<'t>, paths: &[&str]) -> &'t str {
    let mut found = paths.iter().filter_map(|path| find(from, path));
    found.find_map(|value| plain(value).scalar().filter(|text| !text.is_empty())).unwrap_or_default()
}

/// A number that the documentation draws in a box: `{"value": 1}`.
fn plain(value: Value<'_>) -> Value<'_> {
    value.get("value").unwrap_or(value)
}
