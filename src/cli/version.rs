//! `version`: what was built, from what; for reports of faults.

use std::env::consts::{ARCH, OS};
use std::io::Write;

use super::Fault;

pub(super) fn run(out: &mut impl Write) -> Result<(), Fault> {
    let revision = option_env!("BEACONFIRE_REVISION").unwrap_or("unknown");
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    writeln!(out, "beaconfire {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "revision {revision}, {build} build for {OS} {ARCH}, librdkafka {librdkafka}")?;
    Ok(())
}
