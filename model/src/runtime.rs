//! What sensors see at run time: programs started, connections, names looked up, files, and what their own rules say.

use crate::{EventTime, Severity};

/// What sort of run-time event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeKind {
    /// A program was started.
    Exec,
    /// A connection was opened.
    Connect,
    /// A name was looked up.
    Dns,
    /// A file was opened, written or moved.
    File,
    /// A sensor's own rule fired.
    Finding,
    /// The sensor speaks of itself (metrics, drops): never an incident of the workload.
    Health,
    /// Of a sort that nothing here looks at.
    Other,
}

/// Something a sensor saw at run time. Text that the record does not have is empty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuntimeEvent<'b> {
    /// When it happened.
    pub time: EventTime,
    /// What it is.
    pub kind: RuntimeKind,
    /// Namespace/owner, else the image and host that stand for it.
    pub workload: &'b str,
    /// The container's name or id.
    pub container: &'b str,
    /// The image it runs.
    pub image: &'b str,
    /// The program's name.
    pub process: &'b str,
    /// Its command line.
    pub cmdline: &'b str,
    /// The other end, `address:port`.
    pub remote: &'b str,
    /// The name looked up.
    pub domain: &'b str,
    /// The file touched, or the program started.
    pub path: &'b str,
    /// The sensor's rule.
    pub rule: &'b str,
    /// How bad the sensor says it is.
    pub severity: Option<Severity>,
    /// The rest, which few engines look at. Apart, so that an event stays as small as a request.
    pub details: &'b RuntimeDetails<'b>,
}

/// What else a sensor says. Text that the record does not have is empty.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RuntimeDetails<'b> {
    /// The sensor's own name of what happened: `sched_process_exec`, `connect`.
    pub event: &'b str,
    /// The namespace.
    pub namespace: &'b str,
    /// The pod.
    pub pod: &'b str,
    /// The container's id; sensors cut it at different lengths, so compare the first 12 characters.
    pub container_id: &'b str,
    /// The node, host or address that it was seen on.
    pub host: &'b str,
    /// The program's file.
    pub exe: &'b str,
    /// The name of the program that started it.
    pub parent: &'b str,
    /// The process's number, on the host where that is known.
    pub pid: Option<u64>,
    /// How a file was opened (`O_WRONLY|O_CREAT`), or of what kind a program's file is (`EXE_UPPER_LAYER`).
    pub flags: &'b str,
    /// The names of the variables in a program's environment, without their values.
    pub environment: &'b [&'b str],
    /// The addresses and names that a look-up was answered with.
    pub answers: &'b [&'b str],
    /// Tags of the rule: techniques of ATT&CK, the sensor's number of it.
    pub tags: &'b [&'b str],
}

impl RuntimeDetails<'_> {
    /// Nothing more is known.
    pub const NONE: &'static RuntimeDetails<'static> = &RuntimeDetails {
        event: "",
        namespace: "",
        pod: "",
        container_id: "",
        host: "",
        exe: "",
        parent: "",
        pid: None,
        flags: "",
        environment: &[],
        answers: &[],
        tags: &[],
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Request, ResourceSample};

    /// Events travel by value through the loop that decodes requests: what sensors say makes them no larger.
    #[test]
    fn no_event_is_larger_than_a_request() {
        let request = size_of::<Request<'_>>();
        assert!(size_of::<RuntimeEvent<'_>>() <= request, "{} {request}", size_of::<RuntimeEvent<'_>>());
        assert!(size_of::<ResourceSample<'_>>() <= request, "{} {request}", size_of::<ResourceSample<'_>>());
    }
}
