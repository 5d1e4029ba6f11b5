//! The Dockerfile and the systemd unit without an engine to run them: what they copy, build and start is there, and they
//! agree with one another and with the program on where things lie.

use std::path::Path;
use std::process::Command;

use super::{read, root};
use crate::harness::beaconfire::{binary, run};
use crate::harness::has;

const DOCKERFILE: &str = "deploy/Dockerfile";
const UNIT: &str = "deploy/beaconfire.service";

/// The instructions of the Dockerfile, each with what follows its name on one line.
fn instructions() -> Vec<(String, String)> {
    let text = read(DOCKERFILE);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let (name, rest) = line.split_once(' ')?;
        Some((name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    whole.lines().filter_map(instruction).collect()
}

/// What follows each instruction of this name.
fn all(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == name).map(|(_, rest)| rest).collect()
}

/// The same of one that stands there once.
#[track_caller]
fn one(name: &str) -> String {
    let mut found = all(name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found.remove(0)
}

/// The words of an instruction that is written as a JSON list.
fn words(list: &str) -> Vec<String> {
    serde_json::from_str(list).unwrap_or_else(|error| panic!("{list}: {error}"))
}

/// The value of a key of the unit that stands there once.
#[track_caller]
fn unit(key: &str) -> String {
    let text = read(UNIT);
    let found: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect();
    let [value] = found.as_slice() else { panic!("{key}: {found:?}") };
    (*value).to_owned()
}

/// Whether the program takes these arguments: asked for help at their end, it still refuses those it does not know.
fn is_accepted(arguments: &[String]) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let mut asked: Vec<&str> = arguments.iter().map(String::as_str).collect();
    asked.push("--help");
    run(dir.path(), &asked, None).0 == 0
}

/// The word behind another.
#[track_caller]
fn behind<'t>(text: &'t str, word: &str) -> &'t str {
    let mut words = text.split_whitespace();
    words
        .find(|found| *found == word)
        .and_then(|_| words.next())
        .unwrap_or_else(|| panic!("{word} in {text}"))
}

#[test]
fn the_image_is_built_of_what_is_there() {
    let manifest = read("Cargo.toml");
    let copied: Vec<String> = all("COPY").into_iter().filter(|copy| !copy.contains("--from=")).collect();
    assert!(!copied.is_empty());
    for copy in &copied {
        let mut paths: Vec<&str> = copy.split(' ').filter(|word| !word.starts_with("--")).collect();
        paths.pop();
        for path in paths {
            assert!(root().join(path).exists(), "{DOCKERFILE} copies {path}");
        }
    }
    // All is copied but what is left out by name: nothing of that is needed.
    let ignored = read("deploy/Dockerfile.dockerignore");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).expect("members");
    let needed = words(members)
        .into_iter()
        .chain(["src", "tests", "benches", "Cargo.toml", "Cargo.lock"].map(str::to_owned));
    for path in needed {
        assert!(root().join(&path).exists(), "{path}");
        assert!(
            !ignored.lines().any(|line| line.trim_matches('/') == path),
            "{path} does not reach the build"
        );
    }

    let build = all("RUN").into_iter().find(|run| run.contains("cargo build")).expect("a build");
    let name = behind(&build, "--bin");
    assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"\n")), "there is no binary {name}");
    assert!(
        build.contains(&format!("cp target/release/{name} ")),
        "what is built is not what is kept: {build}"
    );
    for wanted in ["--release", "--locked"] {
        assert!(build.split(' ').any(|word| word == wanted), "{wanted}: {build}");
    }
    assert!(!build.contains("--features") && !build.contains(" -p "), "not looked at here: {build}");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    let from = &all("FROM")[0];
    assert!(from.starts_with(&format!("rust:{}-", rust.trim_matches('"'))), "{from} is not Rust {rust}");
}

#[test]
fn the_image_starts_the_program_as_the_unit_does() {
    let kept = all("RUN").into_iter().find(|run| run.contains("cargo build")).expect("a build");
    let copy = all("COPY").into_iter().find(|copy| copy.contains("--from=build")).expect("a binary");
    let paths: Vec<&str> = copy.split(' ').skip(1).collect();
    let start = unit("ExecStart");
    let (program, arguments) = start.split_once(' ').expect("arguments");
    assert!(kept.ends_with(&format!(" {}", paths[0])), "{kept} keeps another than {}", paths[0]);
    assert_eq!(paths, [program, program], "binary of the image and of the unit");

    // In the image it is found by its name.
    let name = Path::new(program).file_name().unwrap().to_str().unwrap();
    assert_eq!(words(&one("ENTRYPOINT")), [name]);
    let command = words(&one("CMD"));
    let of_unit: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    assert_eq!(command, of_unit, "arguments of the image and of the unit");
    assert!(is_accepted(&command), "{command:?}");
    let health = one("HEALTHCHECK");
    let (_, health) = health.split_once("CMD ").expect("a command");
    let health = words(health);
    assert_eq!(health[0], name);
    assert!(is_accepted(&health[1..]), "{health:?}");
    assert!(!is_accepted(&["run".to_owned(), "--no-such-flag".to_owned()]), "it would have said no");
}

#[test]
fn image_unit_and_program_agree_where_things_lie() {
    let (environment, state) = (unit("Environment"), unit("WorkingDirectory"));
    let (variable, config) = environment.split_once('=').expect("a variable");
    assert_eq!(variable, "BEACONFIRE_CONFIG");
    assert!(all("ENV").contains(&environment), "{environment} in {:?}", all("ENV"));
    assert_eq!(state, format!("/var/lib/{}", unit("StateDirectory")));
    assert_eq!(one("VOLUME"), state);
    assert_eq!(all("WORKDIR").last(), Some(&state), "a relative `store.url` lies in the volume");
    let user = all("RUN").into_iter().find(|run| run.contains("useradd")).expect("a user");
    assert_eq!(behind(&user, "--home-dir"), state);
    assert!(user.ends_with(&format!(" {state}")), "the folder is the user's: {user}");
    let id = behind(&user, "--uid");
    assert_eq!(one("USER"), format!("{id}:{id}"));

    // The port that people are told of.
    let port = one("EXPOSE");
    let defaults = read("config/src/default.yaml");
    assert!(defaults.contains(&format!("listen: 127.0.0.1:{port}\n")), "port {port} is not the default");
    assert!(read("README.md").contains(&format!("<http://127.0.0.1:{port}/>")), "README names another port");
    // What the two say of themselves in their first lines.
    let (dockerfile, said) = (read(DOCKERFILE), read(UNIT));
    for (what, text, told) in [
        (DOCKERFILE, &dockerfile, format!("docker build -f {DOCKERFILE} ")),
        (DOCKERFILE, &dockerfile, format!(":{config}:ro -v beaconfire:{state} -p {port}:{port} ")),
        (DOCKERFILE, &dockerfile, format!("`store.url` is sqlite:{state}/beaconfire.db")),
        (UNIT, &said, format!("a configuration to {config},")),
        (UNIT, &said, format!("The store's file lies in {state} where")),
    ] {
        let comment: Vec<&str> =
            text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
        assert!(comment.join(" ").contains(&told), "{what} does not say: {told}");
    }
}

#[test]
fn the_unit_stops_and_restarts_by_what_the_program_promises() {
    let dir = tempfile::tempdir().unwrap();
    let (code, ..) = run(dir.path(), &["run", "--config", "missing.yaml"], None);
    assert_eq!(unit("RestartPreventExitStatus"), code.to_string(), "a configuration that cannot be read");
    // It drains for 10 s after SIGTERM.
    let within: u64 = unit("TimeoutStopSec").parse().unwrap();
    assert!(within > 10);
    assert!(
        read(DOCKERFILE).contains(&format!("--stop-timeout {within} ")),
        "the image is stopped as the unit is"
    );
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let there = Command::new("systemd-analyze").arg("--version").output().is_ok();
    if !has("systemd-analyze", there) {
        return;
    }
    let start = unit("ExecStart");
    let (program, _) = start.split_once(' ').expect("arguments");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("beaconfire.service");
    // What is to be started must be there.
    std::fs::write(&path, read(UNIT).replace(&format!("={program} "), &format!("={} ", binary()))).unwrap();
    let done = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output().unwrap();
    // What it does not know it names, and says that all is well.
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    assert!(done.status.success());
}
