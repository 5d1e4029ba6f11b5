//! An authority and a leaf for localhost, made by openssl for one test run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Files in PEM.
pub struct Certificates {
    dir: PathBuf,
}

fn openssl(dir: &Path, arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).current_dir(dir).output().expect("openssl runs");
    assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Makes `ca.pem`, `cert.pem` and `key.pem` in `dir`.
pub fn make(dir: &Path) -> Certificates {
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let ca = [
        &["req", "-x509"][..],
        &curve,
        &["-days", "30", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority"],
    ]
    .concat();
    openssl(dir, &ca);
    let request =
        [&["req"][..], &curve, &["-keyout", "key.pem", "-out", "leaf.csr", "-subj", "/CN=localhost"]]
            .concat();
    openssl(dir, &request);
    std::fs::write(
        dir.join("ext"),
        "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
    )
    .expect("the extensions can be written");
    openssl(
        dir,
        &[
            "x509",
            "-req",
            "-in",
            "leaf.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            "ext",
            "-out",
            "cert.pem",
        ],
    );
    Certificates { dir: dir.to_owned() }
}

impl Certificates {
    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).expect("a file that was just made")
    }

    /// The leaf's certificate.
    pub fn leaf(&self) -> String {
        self.read("cert.pem")
    }

    /// The leaf's key, as PKCS 8.
    pub fn leaf_key_pkcs8(&self) -> String {
        self.read("key.pem")
    }
}
