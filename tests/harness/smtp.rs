//! aiosmtpd with STARTTLS and AUTH, writing what it takes into a folder; it can be told to hang.

use std::path::PathBuf;
use std::time::Duration;

use super::{Leashed, certificates, eventually, free_port, has, parts};

/// A running server.
pub struct Smtp {
    pub port: u16,
    dir: tempfile::TempDir,
    _process: Leashed,
}

pub const USER: &str = "alert";
pub const PASSWORD: &str = "s3cret";

impl Smtp {
    /// Starts it; `None` where the part is missing and may be.
    pub fn start() -> Option<Self> {
        let python = parts().join("smtp/bin/python");
        if !has("smtp", parts().join("smtp/complete").exists()) {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory for the server");
        certificates::make(dir.path());
        std::fs::create_dir(dir.path().join("mail")).expect("a directory for mail");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parts/smtp.py");
        let port = free_port();
        let command = [python, script, dir.path().to_owned()].map(|path| path.display().to_string());
        let command: Vec<String> =
            command.into_iter().chain([port.to_string(), USER.into(), PASSWORD.into()]).collect();
        let process = Leashed::start(&command, &dir.path().join("smtp.log"));
        eventually("the SMTP server listens", Duration::from_secs(30), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(Self { port, dir, _process: process })
    }

    /// The authority that signed its certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// While on, it takes mail commands and does not answer.
    pub fn hang(&self, on: bool) {
        let flag = self.dir.path().join("hang");
        let done = if on { std::fs::write(flag, "") } else { std::fs::remove_file(flag) };
        done.expect("the flag can be changed");
    }

    /// What it took, oldest first, headers and body as they came.
    pub fn mails(&self) -> Vec<String> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.dir.path().join("mail"))
            .expect("the mail folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .collect();
        files.sort();
        files
            .iter()
            .map(|file| String::from_utf8_lossy(&std::fs::read(file).expect("a mail")).into_owned())
            .collect()
    }
}
