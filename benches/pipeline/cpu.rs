//! CPU time of this process.

use std::time::Duration;

/// User and system time of all threads so far, those that have ended included.
#[allow(unsafe_code, reason = "getrusage is C's")]
pub(crate) fn spent() -> Duration {
    // SAFETY: `usage` is plain data that is valid as zeros and lives through the call, which only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let done = libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        assert_eq!(done, 0, "getrusage knows this process");
        usage
    };
    let duration = |time: libc::timeval| {
        // Neither is ever below zero, and microseconds are fewer than a million.
        Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000)
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}
