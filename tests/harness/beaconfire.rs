//! The binary under test, run as users run it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{eventually, free_port};

/// A running `beaconfire run`.
pub struct Beaconfire {
    child: Child,
    pub url: String,
    config: PathBuf,
    environment: Vec<(String, String)>,
    /// A command and its first arguments, which becomes the binary with the rest.
    through: Vec<String>,
}

/// The binary.
pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_beaconfire")
}

impl Beaconfire {
    /// Starts it with this configuration (without `http`, which is added) in `dir`; its log goes to `dir/NAME.log`.
    pub fn start(dir: &Path, name: &str, config: &str) -> Self {
        Self::start_with(dir, name, config, &[])
    }

    /// The same with these environment variables.
    pub fn start_with(dir: &Path, name: &str, config: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_through(dir, name, config, environment, &[])
    }

    /// The same by way of a command that changes the surroundings and then becomes (`exec`) the binary.
    pub fn start_through(
        dir: &Path,
        name: &str,
        config: &str,
        environment: &[(&str, &str)],
        through: &[String],
    ) -> Self {
        let port = free_port();
        let path = dir.join(format!("{name}.yaml"));
        let http = format!(
            "{config}\nhttp: {{listen: \"127.0.0.1:{port}\", external_url: \"http://127.0.0.1:{port}\"}}\n"
        );
        std::fs::write(&path, http).expect("the configuration can be written");
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let child = spawn(&path, &dir.join(format!("{name}.log")), &environment, through);
        let url = format!("http://127.0.0.1:{port}");
        Self { child, url, config: path, environment, through: through.to_vec() }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again with the same configuration.
    pub fn restart(&mut self) {
        let log = self.config.with_extension("log");
        self.child = spawn(&self.config, &log, &self.environment, &self.through);
    }

    /// SIGTERM, and how long the end took; panics where it does not end well within `within`.
    pub fn stop(&mut self, within: Duration) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs").success());
        let mut code = None;
        eventually("it stops after SIGTERM", within, || {
            code = self.child.try_wait().expect("it can be waited for");
            code.is_some()
        });
        assert!(code.is_some_and(|code| code.success()), "it ended with {code:?}");
    }

    /// The end of what it has logged.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default();
        let mut last: Vec<&str> = log.lines().rev().take(40).collect();
        last.reverse();
        last.join("\n")
    }

    /// Whether it is still running.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `/readyz` says yes.
    pub fn ready(&self) {
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while self.status("/readyz") != Some(200) {
            assert!(std::time::Instant::now() < deadline, "it is never ready; it said:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The status of a GET; `None` where nobody answers.
    pub fn status(&self, path: &str) -> Option<u16> {
        get(&format!("{}{path}", self.url), &[]).map(|(status, _)| status)
    }

    /// The body of a GET, whatever its status; empty where nobody answers.
    pub fn text(&self, path: &str) -> String {
        get(&format!("{}{path}", self.url), &[]).map(|(_, body)| body).unwrap_or_default()
    }

    /// The JSON of a GET; null where there is none.
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap_or_default()
    }

    /// All incidents, with participants and signals, as the API shows them, by id.
    pub fn incidents(&self) -> Vec<Value> {
        let list = self.json("/api/v1/incidents?limit=500");
        let ids: Vec<String> = list["items"]
            .as_array()
            .map(|items| items.iter().filter_map(|item| item["id"].as_str().map(str::to_owned)).collect())
            .unwrap_or_default();
        let mut all: Vec<Value> =
            ids.iter().map(|id| self.json(&format!("/api/v1/incidents/{id}"))).collect();
        all.sort_by(|a, b| a["id"].as_str().cmp(&b["id"].as_str()));
        all
    }

    /// The value of a metric's sample, by its full text up to the value.
    pub fn metric(&self, sample: &str) -> Option<f64> {
        self.text("/metrics").lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
    }
}

impl Drop for Beaconfire {
    /// Where a test has failed, says what it knew: whoever reads of it may not see it fail again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for path in ["/api/v1/sources", "/api/v1/incidents?limit=500"] {
                let shown: String = self.text(path).chars().take(12_000).collect();
                eprintln!("{path} said: {shown}");
            }
            let log = std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default();
            let ours: Vec<&str> = log.lines().filter(|line| !line.contains("librdkafka")).collect();
            let tail = ours.get(ours.len().saturating_sub(60)..).unwrap_or_default().join("\n");
            eprintln!("the end of its log:\n{tail}");
        }
        self.kill();
    }
}

fn spawn(config: &Path, log: &Path, environment: &[(String, String)], through: &[String]) -> Child {
    let output =
        std::fs::OpenOptions::new().create(true).append(true).open(log).expect("the log can be opened");
    let mut words = through.iter().map(String::as_str).chain([binary(), "run", "--config"]);
    Command::new(words.next().expect("a program"))
        .args(words)
        .arg(config)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(config.parent().expect("a folder"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a handle can be cloned"))
        .stderr(output)
        .spawn()
        .expect("the binary starts")
}

/// A GET with these headers: status and body.
pub fn get(url: &str, headers: &[(&str, &str)]) -> Option<(u16, String)> {
    let mut command = Command::new("curl");
    command.args(["-s", "-m", "10", "-w", "\n%{http_code}", url]);
    for (name, value) in headers {
        command.args(["-H", &format!("{name}: {value}")]);
    }
    let done = command.output().expect("curl runs");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n')?;
    Some((status.parse().ok().filter(|status| *status != 0)?, body.to_owned()))
}

/// A POST of this JSON: the status; `None` where nobody answers.
pub fn post(url: &str, body: &serde_json::Value) -> Option<u16> {
    use std::io::Write as _;
    let mut child = Command::new("curl")
        .args([
            "-s",
            "-m",
            "60",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            "content-type: application/json",
        ])
        .args(["--data-binary", "@-", url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs");
    child.stdin.take().expect("a pipe").write_all(body.to_string().as_bytes()).expect("curl reads");
    let done = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&done.stdout).parse().ok().filter(|status| *status != 0)
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn run(dir: &Path, arguments: &[&str], stdin: Option<&[u8]>) -> (i32, String, String) {
    run_with(dir, arguments, &[], stdin)
}

/// The same with these environment variables.
pub fn run_with(
    dir: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    stdin: Option<&[u8]>,
) -> (i32, String, String) {
    use std::io::Write as _;
    let mut child = Command::new(binary())
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(dir)
        .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let feeder = stdin.map(|bytes| {
        let (mut pipe, bytes) = (child.stdin.take().expect("a pipe"), bytes.to_vec());
        // The binary may end before it has read everything.
        std::thread::spawn(move || drop(pipe.write_all(&bytes)))
    });
    let done = child.wait_with_output().expect("it ends");
    if let Some(feeder) = feeder {
        feeder.join().expect("the feeder ends");
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code().unwrap_or(-1), text(&done.stdout), text(&done.stderr))
}
