//! `health`: whether the instance lives and is ready, for containers and scripts.

use std::io::Write;
use std::path::PathBuf;

use super::Fault;
use super::instance::{Instance, Reach};
use super::run::block_on;

/// Which instance.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reach: Reach,
}

pub(super) fn run(arguments: &Arguments, config: Option<PathBuf>, out: &mut impl Write) -> Result<(), Fault> {
    let instance = Instance::of(&arguments.reach, config)?;
    block_on(async {
        for (path, what) in [("/healthz", "does not work"), ("/readyz", "is not ready")] {
            let (well, said) = instance.probe(path).await?;
            if !well {
                return Err(anyhow::anyhow!("{} {what}: {said}", instance.shown()).into());
            }
        }
        Ok(writeln!(out, "{} is ready", instance.shown())?)
    })
}
