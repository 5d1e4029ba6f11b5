//! Falco's alerts, as it writes them and as Falcosidekick forwards them. The alert's text is never parsed: the fields
//! in `output_fields` say the same, and an attacker cannot write into each other's.

use std::fmt::Write as _;

use beaconfire_model::RuntimeKind;

use super::{Told, endpoint, severity};
use crate::Reject;
use crate::json::Value;
use crate::kubernetes;
use crate::notes::Notes;
use crate::pick::{Entries as _, Entry, Offers as _, Picked};
use crate::resources::repository;

const TIME: usize = 0;
const RULE: usize = 1;
const PRIORITY: usize = 2;
const SOURCE: usize = 3;
const HOST: usize = 4;
const NAMESPACE: usize = 5;
const POD: usize = 6;
const CONTAINER: usize = 7;
const REPOSITORY: usize = 8;
const TAG: usize = 9;
const DIGEST: usize = 10;
const PROCESS: usize = 11;
const CMDLINE: usize = 12;
const FD: usize = 13;
const REMOTE_ADDRESS: usize = 14;
const REMOTE_PORT: usize = 15;
const DOMAIN: usize = 16;
const TARGET: usize = 17;
const CONTAINER_ID: usize = 18;
const EXE: usize = 19;
const PARENT: usize = 20;
const PID: usize = 21;
const EVENT: usize = 22;
const FLAGS: usize = 23;
const COUNT: usize = 24;

/// An alert's values, and room for those that are put together from several.
pub(crate) struct Alert<'t> {
    fields: Picked<'t, COUNT>,
    workload: String,
    image: String,
    remote: String,
    tags: Vec<&'t str>,
}

impl<'t> Alert<'t> {
    /// The values of an alert that came from `node`, as far as an envelope tells.
    pub(crate) fn of(object: Value<'t>, node: &str) -> Self {
        let mut fields = Picked::from(object.entries(), |key| {
            Some(match key {
                "time" => (TIME, 0),
                "rule" => (RULE, 0),
                "priority" => (PRIORITY, 0),
                "source" => (SOURCE, 0),
                "hostname" => (HOST, 0),
                _ => return None,
            })
        });
        for (key, value) in object.get("output_fields").into_iter().flat_map(Value::entries) {
            // An image has several digests where it was pushed to several registries; they are of the same bytes.
            let value =
                if key == "container.image.digest" { value.items().next().unwrap_or(value) } else { value };
            for (field, rank) in output_field(key).into_iter().chain(second_field(key)) {
                fields.offer(field, rank, key, value);
            }
        }
        let (workload, image, remote) = (workload(&fields, node), image(&fields), remote(&fields));
        let tags = object.get("tags").into_iter().flat_map(Value::items).filter_map(Value::text).collect();
        Self { fields, workload, image, remote, tags }
    }

    /// Where the alert's time is.
    pub(crate) fn time(&self) -> Option<Entry<'t>> {
        self.fields.entry(TIME)
    }

    /// What the alert tells.
    pub(crate) fn told<N: Notes>(&self, notes: &mut N) -> Result<Told<'_>, Reject> {
        let text = |field: usize| self.fields.text(field);
        let rule = text(RULE);
        if rule.is_empty() {
            notes.fault(|| "`rule` is missing".to_owned());
            return Err(Reject::MissingField);
        }
        // What the sensor says of itself: figures, and the drops that make it blind.
        let health = text(SOURCE) == "internal" || rule.starts_with("Falco internal:");
        let fd = text(FD);
        let inside = |text| if text == "host" { "" } else { text };
        let told = Told {
            kind: if health { RuntimeKind::Health } else { RuntimeKind::Finding },
            workload: self.workload.as_str().into(),
            container: inside(text(CONTAINER)),
            image: self.image.as_str().into(),
            process: text(PROCESS),
            cmdline: text(CMDLINE).into(),
            remote: self.remote.as_str().into(),
            domain: text(DOMAIN),
            path: if fd.starts_with('/') { fd } else { "" },
            rule,
            severity: severity(text(PRIORITY)),
            event: text(EVENT),
            namespace: text(NAMESPACE),
            pod: text(POD),
            container_id: inside(text(CONTAINER_ID)),
            host: text(HOST),
            exe: text(EXE),
            parent: text(PARENT),
            pid: self.fields.integer(PID),
            flags: text(FLAGS).into(),
            tags: self.tags.clone(),
            ..Told::default()
        };
        let key = |field: usize| self.fields.get(field).map_or(String::new(), |pick| pick.key.to_owned());
        notes.origin("kind", || {
            if health { "the sensor speaks of itself".into() } else { "every alert".into() }
        });
        notes.origin("workload", || match () {
            () if !key(POD).is_empty() => format!("{} and the owner of {}", key(NAMESPACE), key(POD)),
            () if !key(TARGET).is_empty() => format!("{} and {}", key(NAMESPACE), key(TARGET)),
            () => "image@host: the alert names no pod".to_owned(),
        });
        notes.origin("image", || key(REPOSITORY));
        notes.origin("path", || key(FD));
        notes.origin("remote", || {
            if self.fields.get(REMOTE_ADDRESS).is_some() { key(REMOTE_ADDRESS) } else { key(FD) }
        });
        for (name, field) in [
            ("container", CONTAINER),
            ("process", PROCESS),
            ("cmdline", CMDLINE),
            ("domain", DOMAIN),
            ("rule", RULE),
            ("severity", PRIORITY),
        ] {
            notes.origin(name, || key(field));
        }
        Ok(told)
    }
}

fn output_field(key: &str) -> Option<(usize, u8)> {
    Some(match key {
        "evt.time.iso8601" => (TIME, 1),
        "evt.time" => (TIME, 2),
        "evt.hostname" => (HOST, 1),
        "k8s.ns.name" => (NAMESPACE, 0),
        "ka.target.namespace" => (NAMESPACE, 1),
        "k8s.pod.name" => (POD, 0),
        "ka.target.pod.name" => (POD, 1),
        "container.name" => (CONTAINER, 0),
        "container.id" => (CONTAINER, 1),
        "container.image.repository" => (REPOSITORY, 0),
        "container.image" => (REPOSITORY, 1),
        "container.image.tag" => (TAG, 0),
        "container.image.digest" => (DIGEST, 0),
        "proc.name" => (PROCESS, 0),
        "proc.exepath" => (PROCESS, 1),
        "proc.cmdline" => (CMDLINE, 0),
        "fd.name" => (FD, 0),
        "fd.rip" => (REMOTE_ADDRESS, 0),
        "fd.rport" => (REMOTE_PORT, 0),
        "fd.rip.name" => (DOMAIN, 0),
        "fd.sip.name" => (DOMAIN, 1),
        "ka.target.name" => (TARGET, 0),
        "proc.pname" => (PARENT, 0),
        "proc.pid" => (PID, 0),
        "evt.type" => (EVENT, 0),
        "evt.arg.flags" => (FLAGS, 0),
        _ => return None,
    })
}

/// What some keys stand for besides.
fn second_field(key: &str) -> Option<(usize, u8)> {
    match key {
        "container.id" => Some((CONTAINER_ID, 0)),
        "proc.exepath" => Some((EXE, 0)),
        _ => None,
    }
}

/// `namespace/owner`; for alerts on the Kubernetes audit log, the object that was touched; else `image@host`, so that
/// what befalls a bare machine has a name too.
fn workload(fields: &Picked<'_, COUNT>, node: &str) -> String {
    let mut into = String::new();
    let (namespace, pod) = (fields.text(NAMESPACE), fields.text(POD));
    let target = fields.text(TARGET);
    if !pod.is_empty() {
        kubernetes::join(&mut into, namespace, kubernetes::owner(pod));
    } else if !namespace.is_empty() && !target.is_empty() {
        kubernetes::join(&mut into, namespace, kubernetes::owner(target));
    } else {
        let image = match (repository(fields.text(REPOSITORY)), fields.text(SOURCE)) {
            ("", "" | "syscall" | "syscalls" | "internal") => "host",
            ("", source) => source,
            (image, _) => image,
        };
        let host = match fields.text(HOST) {
            "" if node.is_empty() => "unknown",
            "" => node,
            host => host,
        };
        let _ = write!(into, "{image}@{host}"); // writing to a String does not fail
    }
    into
}

/// `repository:tag@digest`, as far as the alert tells.
fn image(fields: &Picked<'_, COUNT>) -> String {
    let mut image = fields.text(REPOSITORY).to_owned();
    if !image.is_empty() {
        for (mark, part) in [(':', fields.text(TAG)), ('@', fields.text(DIGEST))] {
            if !part.is_empty() {
                image.push(mark);
                image.push_str(part);
            }
        }
    }
    image
}

/// The other end of a connection: its address and port, or what follows the arrow in `fd.name`.
fn remote(fields: &Picked<'_, COUNT>) -> String {
    match (fields.text(REMOTE_ADDRESS), fields.text(REMOTE_PORT)) {
        ("", _) => fields.text(FD).split_once("->").map_or(String::new(), |(_, remote)| remote.to_owned()),
        (address, port) => endpoint(address, port),
    }
}
