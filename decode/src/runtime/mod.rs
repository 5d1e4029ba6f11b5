//! Run-time events: what the formats share. Each of them fills a [`Told`], whose texts are cut to size in one place.

pub(crate) mod beaconfire;
pub(crate) mod falco;
pub(crate) mod guardduty;
pub(crate) mod tracee;
pub(crate) mod vpc_dns;

use std::borrow::Cow;
use std::fmt::Write as _;

use beaconfire_model::{EventTime, RuntimeDetails, RuntimeEvent, RuntimeKind, Severity};

use crate::json::Value;
use crate::kubernetes;
use crate::resources::{container_id, repository};

/// Bytes of a command line that are kept.
pub(crate) const CMDLINE_BYTES_MAX: usize = 4096;
/// Bytes of any other text of a run-time event that are kept.
pub(crate) const TEXT_BYTES_MAX: usize = 1024;

/// Items of a list that are kept.
const ITEMS_MAX: usize = 64;

/// What a sensor told, before it is cut to size.
#[derive(Debug)]
pub(crate) struct Told<'t> {
    pub(crate) kind: RuntimeKind,
    /// The workload, where it has no pod.
    pub(crate) workload: Cow<'t, str>,
    pub(crate) container: &'t str,
    pub(crate) image: Cow<'t, str>,
    pub(crate) process: &'t str,
    pub(crate) cmdline: Cow<'t, str>,
    pub(crate) remote: Cow<'t, str>,
    pub(crate) domain: &'t str,
    pub(crate) path: &'t str,
    pub(crate) rule: &'t str,
    pub(crate) severity: Option<Severity>,
    pub(crate) event: &'t str,
    pub(crate) namespace: &'t str,
    pub(crate) pod: &'t str,
    pub(crate) container_id: &'t str,
    pub(crate) host: &'t str,
    pub(crate) exe: &'t str,
    pub(crate) parent: &'t str,
    pub(crate) pid: Option<u64>,
    pub(crate) flags: Cow<'t, str>,
    pub(crate) environment: Vec<&'t str>,
    pub(crate) answers: Vec<&'t str>,
    pub(crate) tags: Vec<&'t str>,
    /// Where fields were found, for `explain`.
    pub(crate) origins: Vec<(&'static str, &'t str)>,
}

impl Default for Told<'_> {
    fn default() -> Self {
        Self {
            kind: RuntimeKind::Other,
            workload: "".into(),
            container: "",
            image: "".into(),
            process: "",
            cmdline: "".into(),
            remote: "".into(),
            domain: "",
            path: "",
            rule: "",
            severity: None,
            event: "",
            namespace: "",
            pod: "",
            container_id: "",
            host: "",
            exe: "",
            parent: "",
            pid: None,
            flags: "".into(),
            environment: Vec::new(),
            answers: Vec::new(),
            tags: Vec::new(),
            origins: Vec::new(),
        }
    }
}

impl Told<'_> {
    /// Names the workload: `namespace/owner` of the pod, else what stands for it, `image@host`.
    pub(crate) fn name_workload(&mut self) {
        let mut name = String::new();
        if !self.pod.is_empty() {
            kubernetes::join(&mut name, self.namespace, kubernetes::owner(self.pod));
        } else {
            let id = clip(container_id(self.container_id), 12);
            let names = [repository(&self.image), self.container, id];
            let what = names.into_iter().find(|name| !name.is_empty()).unwrap_or("host");
            let host = if self.host.is_empty() { "unknown" } else { self.host };
            let _ = write!(name, "{what}@{host}"); // writing to a String does not fail
        }
        self.workload = name.into();
    }

    /// Hands the event to `each`, its texts cut to size.
    pub(crate) fn hand<T>(&self, time: EventTime, each: impl FnOnce(RuntimeEvent<'_>) -> T) -> T {
        let text = |text| clip(text, TEXT_BYTES_MAX);
        let (environment, answers, tags) =
            (clipped(&self.environment), clipped(&self.answers), clipped(&self.tags));
        let details = RuntimeDetails {
            event: text(self.event),
            namespace: text(self.namespace),
            pod: text(self.pod),
            container_id: text(container_id(self.container_id)),
            host: text(self.host),
            exe: text(self.exe),
            parent: text(self.parent),
            pid: self.pid,
            flags: text(&self.flags),
            environment: &environment,
            answers: &answers,
            tags: &tags,
        };
        each(RuntimeEvent {
            time,
            kind: self.kind,
            workload: text(&self.workload),
            container: text(if self.container.is_empty() { self.container_id } else { self.container }),
            image: text(&self.image),
            process: text(self.process),
            cmdline: clip(&self.cmdline, CMDLINE_BYTES_MAX),
            remote: text(&self.remote),
            domain: text(self.domain),
            path: text(self.path),
            rule: text(self.rule),
            severity: self.severity,
            details: &details,
        })
    }
}

fn clipped<'t>(list: &[&'t str]) -> Vec<&'t str> {
    list.iter().take(ITEMS_MAX).map(|item| clip(item, TEXT_BYTES_MAX)).collect()
}

/// `address:port`, the address in brackets where it has colons itself.
pub(crate) fn endpoint(address: &str, port: &str) -> String {
    match (address, port) {
        (address, "" | "0") => address.to_owned(),
        (address, port) if address.contains(':') => format!("[{address}]:{port}"),
        (address, port) => format!("{address}:{port}"),
    }
}

/// A name as it was asked for, without the dot that ends it.
pub(crate) fn domain(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The words of a list, with blanks between them, up to as many bytes as are kept.
pub(crate) fn joined(list: Value<'_>) -> String {
    let mut out = String::new();
    for word in list.items().filter_map(Value::scalar) {
        if out.len() > CMDLINE_BYTES_MAX {
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// `text`, cut to at most `max` bytes on a character boundary.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// A severity by any sensor's word for it; `None` for a word that we do not know.
pub(crate) fn severity(word: &str) -> Option<Severity> {
    let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
    if is(&["emergency", "alert", "critical", "fatal"]) {
        Some(Severity::Critical)
    } else if is(&["error", "high"]) {
        Some(Severity::Error)
    } else if is(&["warning", "warn", "medium"]) {
        Some(Severity::Warning)
    } else if is(&["notice", "informational", "info", "debug", "low"]) {
        Some(Severity::Info)
    } else {
        None
    }
}
