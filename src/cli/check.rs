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
            eprintln!("{what}: {}", counted(errors, "error", "errors"));
            return Err(Fault::No);
        }
    };
    config.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let broken = config.templates_broken;
    if print {
        write!(out, "{}", config.redacted())?;
    }
    if broken > 0 {
        // `run` starts with it, and tells in the built-in form what such a template was to tell.
        eprintln!("{what}: {} on an example", counted(broken, "template fails", "templates fail"));
        return Err(Fault::No);
    }
    if print {
        return Ok(());
    }
    let good = if sources.file.is_some() { "is good" } else { "are good" };
    Ok(writeln!(out, "{what} {good} ({})", counted(config.warnings.len(), "warning", "warnings"))?)
}

fn counted(n: usize, one: &str, many: &str) -> String {
    match n {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}
