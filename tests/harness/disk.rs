//! A disk of one process's own that can run full: a small tmpfs that only it sees, where mounts can be made (as root, or
//! where users may have namespaces of their own); elsewhere a limit on the size of its files, which makes its writes
//! fail in the same places with another error.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::beaconfire::Beaconfire;

/// Where a process's files are, and how they run out of space.
pub struct Disk {
    path: PathBuf,
    mounted: bool,
}

/// Mounts at the first argument and becomes the rest, whose log is on that disk, too.
const MOUNT: &str =
    r#"mount -t tmpfs -o size=16m tmpfs "$1" && cd "$1" && shift && exec "$@" >beaconfire.log 2>&1"#;

/// A write beyond the limit is to fail, not to end the process.
const LIMIT: &str = r#"trap "" XFSZ; cd "$1"; shift; exec "$@" >beaconfire.log 2>&1"#;

impl Disk {
    /// A disk at `path`, a folder that is there.
    pub fn new(path: PathBuf) -> Self {
        let probe = namespace().into_iter().chain(shell("mount -t tmpfs -o size=1m tmpfs \"$1\"", &path));
        let probe: Vec<String> = probe.collect();
        let mounted =
            Command::new(&probe[0]).args(&probe[1..]).output().is_ok_and(|done| done.status.success());
        eprintln!("the disk is {}", if mounted { "a tmpfs" } else { "a limit on the size of files" });
        Self { path, mounted }
    }

    /// What a process is started through to have it.
    pub fn through(&self) -> Vec<String> {
        match self.mounted {
            true => namespace().into_iter().chain(shell(MOUNT, &self.path)).collect(),
            false => shell(LIMIT, &self.path).into(),
        }
    }

    /// Takes all that is left.
    pub fn fill(&self, process: &Beaconfire) {
        if self.mounted {
            let filled = std::fs::write(self.ballast(process), vec![0; 16 << 20]);
            let full = filled.map_err(|error| error.kind());
            assert_eq!(full, Err(std::io::ErrorKind::StorageFull), "the disk has an end");
        } else {
            limit(process, "1");
        }
    }

    /// Gives it back.
    pub fn clear(&self, process: &Beaconfire) {
        if self.mounted {
            std::fs::remove_file(self.ballast(process)).expect("the ballast can be removed");
        } else {
            limit(process, "unlimited");
        }
    }

    /// In the mount that only the process sees.
    fn ballast(&self, process: &Beaconfire) -> PathBuf {
        let inside = self.path.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(process.pid().to_string()).join("root").join(inside).join("ballast")
    }
}

fn namespace() -> [String; 3] {
    ["unshare", "--mount", "--map-root-user"].map(str::to_owned)
}

fn shell(script: &str, path: &Path) -> [String; 5] {
    ["sh", "-c", script, "disk", &path.display().to_string()].map(str::to_owned)
}

/// Changes only the soft limit, so that it can be taken back by whoever the process belongs to.
fn limit(process: &Beaconfire, bytes: &str) {
    let (pid, limit) = (process.pid().to_string(), format!("--fsize={bytes}:"));
    let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit runs");
    assert!(done.success(), "prlimit {limit}");
}
