//! `check`: what is wrong with a configuration, before `run` finds it.

use std::io::Write;
use std::path::PathBuf;

use beaconfire_config::Config;

use super::output::cell;
use super::{Fault, sources};

pub(super) fn run(print: bool, file: Option<PathBuf>, out: &mut impl Write) -> Result<(), Fault> {
    let sources = sources(file);
    let what = match &sources.file {
        Some(file) => cell(&file.display().to_string()),
        None => "the defaults (no file is named, and there is no ./beaconfire.yaml)".to_owned(),
    };
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(complaints) => {
            let errors = complaints.iter().filter(|complaint| complaint.is_error()).count();
            complaints.iter().for_each(|complaint| eprintln!("{complaint}"));
            eprintln!("{what}: {}", counted(errors, "error"));
            return Err(Fault::No);
        }
    };
    config.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    if print {
        return Ok(write!(out, "{}", config.redacted())?);
    }
    let good = if sources.file.is_some() { "is good" } else { "are good" };
    Ok(writeln!(out, "{what} {good} ({})", counted(config.warnings.len(), "warning"))?)
}

fn counted(n: usize, what: &str) -> String {
    match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}
