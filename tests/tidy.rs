//! What the layout promises, kept by a test: arrows between crates point down only, and pure crates ban clocks and IO.

use std::collections::BTreeMap;
use std::path::Path;

/// Each crate with the crates of ours that it may know.
fn arrows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let core = ["model"];
    let with = |more: &[&'static str]| [&core[..], more].concat();
    BTreeMap::from([
        ("model", vec![]),
        ("decode", with(&[])),
        ("detect", with(&[])),
        ("incident", with(&[])),
        ("ingest", with(&[])),
        ("outbox", with(&["incident"])),
        ("throttle", with(&["incident"])),
        ("store", with(&["throttle", "outbox", "incident"])),
        ("view", with(&["throttle", "outbox", "incident"])),
        ("pipeline", with(&["decode", "detect", "throttle", "outbox", "incident"])),
        ("notify", with(&["view", "outbox", "throttle", "incident"])),
        ("api", with(&["view", "throttle", "outbox", "incident"])),
        (
            "config",
            with(&[
                "decode", "detect", "ingest", "incident", "outbox", "throttle", "notify", "store", "view",
                "api",
            ]),
        ),
    ])
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn arrows_point_down_only() {
    for (name, allowed) in arrows() {
        let manifest = read(&format!("{name}/Cargo.toml"));
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for line in dependencies.lines() {
            let Some(known) =
                line.strip_prefix("beaconfire-").and_then(|rest| rest.split(['.', ' ', '=']).next())
            else {
                continue;
            };
            assert!(allowed.contains(&known), "{name} knows {known}: no arrow points there (design, layout)");
        }
    }
}

#[test]
fn pure_crates_ban_clocks_and_io() {
    for name in ["model", "decode", "detect", "incident", "outbox", "throttle", "pipeline"] {
        let bans = read(&format!("{name}/clippy.toml"));
        for banned in ["std::time::Instant::now", "std::time::SystemTime::now", "std::fs::File::open"] {
            assert!(bans.contains(banned), "{name}/clippy.toml does not ban {banned}");
        }
        let manifest = read(&format!("{name}/Cargo.toml"));
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for runtime in ["tokio", "sqlx", "reqwest", "axum", "rdkafka"] {
            assert!(!dependencies.contains(runtime), "{name} is pure and lists {runtime}");
        }
    }
}

/// Files that may hold `unsafe` code: the three modules of the product, and what tests and benchmarks ask of C by
/// themselves.
const UNSAFE: [&str; 8] = [
    "ingest/src/drain.rs",
    // ASCII as text, SSE2 and AVX2.
    "decode/src/scan.rs",
    "decode/src/scan/block.rs",
    "decode/src/scan/x86.rs",
    // An allocator that counts.
    "pipeline/tests/allocations.rs",
    // mallinfo2.
    "ingest/tests/leaks.rs",
    // getrusage and wait4.
    "benches/shared/cpu.rs",
    // librdkafka's batches.
    "benches/pipeline/batch.rs",
];

#[test]
fn unsafe_code_stands_in_few_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let members = arrows().into_keys().flat_map(|name| [format!("{name}/src"), format!("{name}/tests")]);
    let ours = ["src", "tests", "benches"].map(str::to_owned);
    let mut folders: Vec<_> =
        members.chain(ours).map(|folder| root.join(folder)).filter(|folder| folder.is_dir()).collect();
    let allows = concat!("allow(unsafe", "_code");
    let (mut files, mut found) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files += 1;
                // rustfmt may have put it on several lines.
                let text = std::fs::read_to_string(&path).unwrap();
                if text.split_whitespace().collect::<String>().contains(allows) {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
    }
    found.sort();
    let mut listed = UNSAFE;
    listed.sort_unstable();
    assert_eq!(found, listed, "files that allow unsafe code, and those that may");
    assert!(files > 100, "only {files} files were read");
}

#[test]
fn what_only_sqlite_understands_stands_in_one_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("store/src");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.ends_with("sqlite.rs") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_ascii_uppercase();
        for word in ["PRAGMA", "BEGIN IMMEDIATE", "INSERT OR ", "AUTOINCREMENT", "STRFTIME", "GLOB "] {
            assert!(!code.contains(word), "{} says {word}", path.display());
        }
    }
    assert!(files > 10, "only {files} files were read");
}
