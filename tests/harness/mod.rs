//! Starts the real parts that scenarios need, each on a free loopback port, and stops each with the test process.

pub mod beaconfire;
pub mod certificates;
pub mod disk;
pub mod kafka;
pub mod smtp;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where `tests/run` put the parts.
pub fn parts() -> PathBuf {
    match std::env::var_os("BEACONFIRE_TEST_PARTS") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/parts"),
    }
}

/// Whether a part is there. Under CI a missing part fails the test that needs it; elsewhere the test is skipped, and
/// `tests/run` says how many were and how to get the part.
pub fn has(part: &str, there: bool) -> bool {
    if there {
        return true;
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI {part} must be there: run tests/run");
    let thread = std::thread::current();
    let skipped = format!("{} (no {part})\n", thread.name().unwrap_or("a test"));
    eprint!("SKIPPED: {skipped}");
    if let Some(list) = std::env::var_os("BEACONFIRE_TEST_SKIPPED") {
        let list = OpenOptions::new().create(true).append(true).open(list);
        list.and_then(|mut list| list.write_all(skipped.as_bytes())).expect("the list can be written");
    }
    false
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("loopback has a free port")
        .port()
}

/// A child that ends when the test process ends, however that ends: its shell waits for our end of a pipe to close.
pub struct Leashed {
    shell: Child,
    pid: PathBuf,
}

impl Leashed {
    /// Starts a program with arguments. Its output goes to `log`.
    pub fn start(program: &[String], log: &Path) -> Self {
        let output = std::fs::File::create(log).expect("the log file can be made");
        let pid = log.with_extension("pid");
        let shell = Command::new("sh")
            .arg("-c")
            // The child's own process id is what is killed, never a name.
            .arg(
                r#"p=$1; shift; "$@" </dev/null & pid=$!; echo $pid >"$p"
                cat >/dev/null; kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null"#,
            )
            .arg("leash")
            .arg(&pid)
            .args(program)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a file handle can be cloned"))
            .stderr(output)
            .spawn()
            .expect("sh starts");
        Self { shell, pid }
    }

    /// Sends a signal by its name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(&self.pid).expect("the shell has written the process id");
        signal(name, pid.trim().parse().expect("a process id"));
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process that we started.
pub fn signal(name: &str, pid: u32) {
    let done = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(done.expect("kill runs").success(), "kill -{name} {pid}");
}

/// A directory that is removed when the test process ends, however that ends: a static's destructor never runs.
pub fn lasting_dir() -> PathBuf {
    let path = tempfile::tempdir().expect("a directory").keep();
    // The process lives as long as the pipe's other end, which this process keeps open.
    let broom = Command::new("sh")
        .arg("-c")
        .arg(r#"cat >/dev/null; sleep 2; rm -rf "$1""#)
        .arg("broom")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh starts");
    std::mem::forget(broom);
    path
}

/// Asks until the answer is yes, at most for `within`; says what it waited for where it never is.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut ask: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !ask() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
