//! Starts the real parts that scenarios need, each on a free loopback port, and stops each with the test process.

pub mod beaconfire;
pub mod certificates;
pub mod kafka;
pub mod smtp;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where `tests/run` put the parts.
pub fn parts() -> PathBuf {
    match std::env::var_os("BEACONFIRE_TEST_PARTS") {
        Some(path) => path.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/parts"),
    }
}

/// Whether a part is there. Under CI a missing part fails the test that needs it; elsewhere the test says that it was
/// skipped, and `tests/run` has said how to get the part.
pub fn has(part: &str, there: bool) -> bool {
    if there {
        return true;
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "under CI {part} must be there: run tests/run");
    eprintln!("SKIPPED: no {part}; tests/run says how to get it");
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
pub struct Leashed(Child);

impl Leashed {
    /// Starts `script` under a shell; `"$@"` are the arguments. Its output goes to `log`.
    pub fn start(program: &[String], log: &std::path::Path) -> Self {
        let output = std::fs::File::create(log).expect("the log file can be made");
        let child = Command::new("sh")
            .arg("-c")
            // The child's own process id is what is killed, never a name.
            .arg(r#""$@" </dev/null & pid=$!; cat >/dev/null; kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null"#)
            .arg("leash")
            .args(program)
            .stdin(Stdio::piped())
            .stdout(output.try_clone().expect("a file handle can be cloned"))
            .stderr(output)
            .spawn()
            .expect("sh starts");
        Self(child)
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        self.kill();
    }
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
