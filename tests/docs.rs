//! What is written for people is true: the files it names are there, and the configurations it shows are accepted.

mod deploy;
mod rules;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::beaconfire::{binary, run};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The blocks between ``` fences of this kind.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let (mut blocks, mut open) = (Vec::new(), None::<(bool, String)>);
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(found)) => open = Some((found == kind, String::new())),
            (Some(_), Some(_)) => {
                blocks.extend(open.take().filter(|(ours, _)| *ours).map(|(_, block)| block))
            }
            (Some((_, block)), None) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// What stands between these marks on one line.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    let mut found = Vec::new();
    for mut line in text.lines() {
        while let Some((_, rest)) = line.split_once(before)
            && let Some((inside, rest)) = rest.split_once(after)
        {
            found.push(inside);
            line = rest;
        }
    }
    found
}

#[test]
fn a_readers_ten_lines_are_accepted() {
    let shown = blocks(&read("README.md"), "yaml");
    let [config] = shown.as_slice() else { panic!("README shows {} configurations", shown.len()) };
    assert_eq!(config.lines().count(), 10, "ten lines are promised");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("beaconfire.yaml"), config).unwrap();
    let check = Command::new(binary())
        .arg("check")
        .current_dir(dir.path())
        .envs([("KAFKA_PASSWORD", "k"), ("SLACK_TOKEN", "xoxb-1")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr);
    assert_eq!(check.status.code(), Some(0), "{said}");
    assert_eq!(said.matches("warning:").count(), 2, "the two that README speaks of: {said}");
    assert!(said.contains("clients.trusted_proxies") && said.contains("http.external_url"), "{said}");
    // Without the secrets it says which is missing, rather than logging in with nothing.
    let (code, _, said) = run(dir.path(), &["check"], None);
    assert_eq!(code, 3);
    assert!(said.contains("KAFKA_PASSWORD") && said.contains("SLACK_TOKEN"), "{said}");
}

#[test]
fn the_record_that_readme_explains_is_understood() {
    let readme = read("README.md");
    let shown = between(&readme, "beaconfire explain '", "'");
    assert_eq!(shown.len(), 1);
    let dir = tempfile::tempdir().unwrap();
    let (code, said, _) = run(dir.path(), &["explain", shown[0]], None);
    assert_eq!(code, 0);
    assert!(said.contains("203.0.113.7"), "{said}");
}

/// Paths in backticks, and targets of links.
#[test]
fn every_file_that_is_named_is_there() {
    let ends = [".rs", ".md", ".yaml", ".toml", ".service"];
    let mut missing = BTreeSet::new();
    let mut found = 0;
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        let text = read(document);
        let quoted = between(&text, "`", "`");
        let is_path = |name: &&str| {
            !name.contains([' ', '*', '<'])
                && (name.ends_with('/') || name.contains('/') && ends.iter().any(|end| name.ends_with(end)))
                && !name.starts_with(['/', '.'])
        };
        let linked = between(&text, "](", ")").into_iter().filter(|name| !name.contains("://"));
        for name in quoted.into_iter().filter(is_path).chain(linked) {
            found += 1;
            // The build makes this one.
            if !root().join(name).exists() && !name.starts_with("target/") {
                missing.insert(format!("{document}: {name}"));
            }
        }
    }
    assert!(found > 15, "only {found} names were found");
    assert_eq!(missing, BTreeSet::new());
}

/// The folders at the left of the map.
#[test]
fn the_map_has_every_crate() {
    let map = blocks(&read("ARCHITECTURE.md"), "text").swap_remove(0);
    let mapped: BTreeSet<&str> = map
        .lines()
        .filter_map(|line| Some(line.split_once("/ ")?.0))
        .filter(|name| !name.contains(' '))
        .collect();
    for folder in std::fs::read_dir(root()).unwrap() {
        let folder = folder.unwrap();
        if folder.path().join("Cargo.toml").exists() {
            let name = folder.file_name().into_string().unwrap();
            assert!(mapped.contains(name.as_str()), "{name} is not on the map");
        }
    }
    let strays: Vec<_> = mapped.into_iter().filter(|name| !root().join(name).is_dir()).collect();
    assert_eq!(strays, Vec::<&str>::new());
}

/// The keys of a twin in `config/src/raw/`: its fields, by the names that the operator writes.
fn keys(twin: &str) -> Vec<String> {
    let (mut keys, mut renamed) = (Vec::new(), None);
    for line in twin.lines().map(str::trim) {
        if line.starts_with("#[serde") {
            renamed = between(line, "rename = \"", "\"").first().map(|name| (*name).to_owned()).or(renamed);
        } else if let Some((field, _)) = line
            .strip_prefix("pub(crate) ")
            .and_then(|rest| rest.split_once(": "))
            .filter(|(field, _)| !field.contains(' '))
        {
            keys.push(renamed.take().unwrap_or_else(|| field.to_owned()));
        }
    }
    keys
}

#[test]
fn the_example_has_every_key_that_is_accepted() {
    let example = read("deploy/beaconfire.example.yaml");
    let words: BTreeSet<&str> = example.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let twins = std::fs::read_dir(root().join("config/src/raw")).unwrap();
    let twins: Vec<PathBuf> = twins.map(|twin| twin.unwrap().path()).collect();
    let (mut asked, mut missing) = (0, Vec::new());
    for twin in twins {
        for key in keys(&std::fs::read_to_string(&twin).unwrap()) {
            asked += 1;
            if !words.contains(key.as_str()) {
                missing.push(format!("{}: {key}", twin.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    assert!(asked > 120, "only {asked} keys were found");
    assert_eq!(missing, Vec::<String>::new());
}
