//! What operators meet: `load` is the one boundary, and these are the helpers to stand at it.

mod complaints;
mod hostile;
mod layers;
mod lists;
mod meaning;
mod pasted;
mod quiet;
mod refusals;
mod rules;
mod secrets;
mod shipped;
mod templates;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::{Complaint, Config, Sources};

/// What a short file must have so that the rest can be judged.
const MINIMAL: &str = "\
kafka:
  brokers: [localhost:9092]
  topics: [{name: edge-access}]
clients:
  trusted_proxies: [10.0.0.0/8]
receivers:
  - name: mail
    email_configs: [{to: oncall@example.com}]
";

/// A folder with a configuration in it.
struct Desk {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Desk {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("beaconfire.yaml");
        std::fs::write(&file, yaml).unwrap();
        Self { folder, sources: Sources { file: Some(file), ..Sources::default() } }
    }

    /// Puts a file beside the configuration.
    fn with(self, name: &str, text: &str) -> Self {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn env(mut self, pairs: &[(&str, &str)]) -> Self {
        self.sources.env.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    fn load(&self) -> Result<Config, Vec<Complaint>> {
        Config::load(&self.sources)
    }

    /// The configuration; a complaint fails the test, with its text.
    #[track_caller]
    fn config(&self) -> Config {
        self.load().unwrap_or_else(|complaints| panic!("{}", self.show(&complaints)))
    }

    /// All complaints as people read them, without this machine's folder.
    fn said(&self) -> String {
        match self.load() {
            Ok(config) => self.show(&config.warnings),
            Err(complaints) => self.show(&complaints),
        }
    }

    fn show(&self, complaints: &[Complaint]) -> String {
        let folder = format!("{}/", self.folder.path().display());
        let texts: Vec<String> =
            complaints.iter().map(|complaint| complaint.to_string().replace(&folder, "")).collect();
        texts.join("\n\n")
    }
}

fn load(yaml: &str) -> Desk {
    Desk::new(yaml)
}

/// The minimal configuration and, after it, more sections.
fn minimal_and(yaml: &str) -> Desk {
    Desk::new(&format!("{MINIMAL}{yaml}"))
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
