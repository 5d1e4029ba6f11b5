//! Resident memory, as Linux tells it of a process.

/// What a process occupies now, in bytes.
pub(crate) fn resident(pid: u32) -> f64 {
    of_status(pid, "VmRSS:")
}

/// The most that this process has occupied so far, in bytes.
pub(crate) fn peak() -> f64 {
    of_status(std::process::id(), "VmHWM:")
}

fn of_status(pid: u32, name: &str) -> f64 {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux, and the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a process with memory");
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib * 1024.0
}
