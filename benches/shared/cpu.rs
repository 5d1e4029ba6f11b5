//! CPU time, as the system counts it. The benchmarks' own calls of C: getrusage and wait4.
#![allow(unsafe_code, reason = "getrusage and wait4 are C's")]

use std::process::Child;
use std::time::Duration;

/// User and system time of all threads of this process so far, those that have ended included.
pub(crate) fn spent() -> Duration {
    // SAFETY: `usage` is plain data that is valid as zeros and lives through the call, which only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let done = libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        assert_eq!(done, 0, "getrusage knows this process");
        usage
    };
    sum(&usage)
}

/// Waits for a child to end well; what it has spent. It is waited for here, so its id is nobody's afterwards.
pub(crate) fn of_child(child: Child) -> Duration {
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    let mut status = 0;
    // SAFETY: as above; `status` is an integer to write to. The child is ours and was not waited for: we own it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let done = libc::wait4(pid, &mut status, 0, &mut usage);
        assert_eq!(done, pid, "the child is ours");
        usage
    };
    assert_eq!(status, 0, "the child ends well");
    sum(&usage)
}

fn sum(usage: &libc::rusage) -> Duration {
    let duration = |time: libc::timeval| {
        // Neither is ever below zero, and microseconds are fewer than a million.
        Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}
