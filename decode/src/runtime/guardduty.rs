//! Findings of GuardDuty, as its export, EventBridge (`detail`) and its API (keys with a capital) write them.
//!
//! A finding is sent again each time its count grows, with another `updatedAt`; it stays one rule on one workload, so that
//! makes one incident.

use beaconfire_model::{RuntimeKind, Severity};

use super::{Told, domain, endpoint, joined};
use crate::json::Value;

/// The finding itself, out of EventBridge's envelope.
pub(crate) fn finding(record: Value<'_>) -> Value<'_> {
    record.get("detail").filter(|detail| detail.is_object()).unwrap_or(record)
}

/// When it was seen last.
pub(crate) fn time(finding: Value<'_>) -> Option<(&'static str, Value<'_>)> {
    ["service.eventLastSeen", "updatedAt", "createdAt"].into_iter().find_map(|path| {
        let value = at(finding, path).filter(|value| !value.is_missing())?;
        Some((path, value))
    })
}

/// What the finding tells.
pub(crate) fn read(finding: Value<'_>) -> Told<'_> {
    let text = |path: &str| {
        let value = at(finding, path).filter(|value| !value.is_missing());
        value.and_then(Value::scalar).unwrap_or_default()
    };
    let first =
        |paths: &[&str]| paths.iter().map(|path| text(path)).find(|text| !text.is_empty()).unwrap_or("");
    let kubernetes = "resource.kubernetesDetails.kubernetesWorkloadDetails";
    let of_pod = at(finding, kubernetes);
    let of_task = at(finding, "resource.ecsClusterDetails.taskDetails");
    let container = [of_pod, of_task]
        .into_iter()
        .flatten()
        .find_map(|of| at(of, "containers")?.items().next())
        .or_else(|| at(finding, "resource.containerDetails"));
    let inside = |path: &str| container.and_then(|of| at(of, path)?.scalar()).unwrap_or_default();
    let process = at(finding, "service.runtimeDetails.process");
    let of_process = |path: &str| process.and_then(|of| at(of, path)?.scalar()).unwrap_or_default();
    let action = at(finding, "service.action");
    let of_action = |path: &str| action.and_then(|of| at(of, path)?.scalar()).unwrap_or_default();
    let remote = "networkConnectionAction.remoteIpDetails";
    let address = match of_action(&format!("{remote}.ipAddressV4")) {
        "" => of_action(&format!("{remote}.ipAddressV6")),
        address => address,
    };
    let mut told = Told {
        kind: RuntimeKind::Finding,
        rule: text("type"),
        severity: at(finding, "severity").and_then(Value::float).map(severity),
        event: of_action("actionType"),
        namespace: of_pod.and_then(|of| at(of, "namespace")?.text()).unwrap_or_default(),
        pod: of_pod.and_then(|of| at(of, "name")?.text()).unwrap_or_default(),
        container: inside("name"),
        container_id: inside("id"),
        image: inside("image").into(),
        host: first(&[
            "resource.instanceDetails.instanceId",
            "resource.eksClusterDetails.name",
            "resource.ecsClusterDetails.name",
            "resource.accessKeyDetails.userName",
            "accountId",
        ]),
        process: of_process("name"),
        exe: of_process("executablePath"),
        pid: process.and_then(|of| at(of, "pid")?.integer()),
        cmdline: of_process("scriptPath").into(),
        remote: endpoint(address, of_action("networkConnectionAction.remotePortDetails.port")).into(),
        domain: domain(of_action("dnsRequestAction.domain")),
        path: of_process("executablePath"),
        ..Told::default()
    };
    let arguments = at(finding, "service.runtimeDetails.context.commandLineExample")
        .and_then(Value::text)
        .map(str::to_owned)
        .or_else(|| process.and_then(|of| at(of, "arguments")).map(joined));
    if let Some(arguments) = arguments.filter(|arguments| !arguments.is_empty()) {
        told.cmdline = arguments.into();
    }
    if text("service.additionalInfo.sample") == "true" || text("title").starts_with("[SAMPLE]") {
        told.tags.push("sample");
    }
    told.origins.extend([("rule", "type"), ("severity", "severity")]);
    match text("resource.lambdaDetails.functionName") {
        "" => told.name_workload(),
        function => {
            told.workload = format!("lambda/{function}").into();
            told.origins.push(("workload", "resource.lambdaDetails.functionName"));
        }
    }
    told
}

/// From 0 to 10: below 4 is low, from 7 on high, from 9 on critical.
fn severity(number: f64) -> Severity {
    match number {
        9.0.. => Severity::Critical,
        7.0.. => Severity::Error,
        4.0.. => Severity::Warning,
        _ => Severity::Info,
    }
}

/// The value at a path; its keys may begin with a capital, as the API writes them.
fn at<'t>(from: Value<'t>, path: &str) -> Option<Value<'t>> {
    path.split('.').try_fold(from, |from, key| {
        let same = |name: &str| {
            name.len() == key.len()
                && name.is_char_boundary(1)
                && name[..1].eq_ignore_ascii_case(&key[..1])
                && name[1..] == key[1..]
        };
        from.entries().filter(|(name, _)| same(name)).last().map(|(_, value)| value)
    })
}
