//! `explain --client`: for each rule, the closest a client came to its line.

use std::io::Write;

use beaconfire_config::Config;
use beaconfire_detect::{Closest, Field, RuleSpec};
use beaconfire_model::Client;

use super::Fault;
use super::output::cell;
use super::replay::{Input, read};
use super::report::amount;

pub(super) fn run(
    client: Client,
    input: Input<'_>,
    config: &Config,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let ending = read(input, config)?;
    writeln!(
        out,
        "{client}, in {} records ({} decoded, {} late): the closest it came to each rule",
        ending.tally.records, ending.tally.decoded, ending.tally.late
    )?;
    let width = config.plan.rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0);
    for rule in &config.plan.rules {
        let name = format!("{:width$}", cell(&rule.name));
        let found = ending.closest.iter().filter(|found| found.rule == rule.name).collect::<Vec<_>>();
        if found.is_empty() {
            writeln!(out, "{name}  {}", nothing(rule))?;
        }
        for found in found {
            writeln!(out, "{name}  {}", line(found))?;
        }
    }
    Ok(())
}

/// `412 of 600 in 60 s (shop), until 2026-01-02T03:04:05Z`, and whether that is over the line.
fn line(found: &Closest) -> String {
    let fires = if found.peak > found.threshold { ": fires" } else { "" };
    let whose = match found.subject.kind {
        beaconfire_model::SubjectKind::Client => String::new(),
        _ => format!(" by {}", cell(&found.subject.value)),
    };
    format!(
        "{} of {} in {} s{whose} on {}, until {}{fires}",
        amount(found.peak),
        amount(found.threshold),
        found.window.as_secs_f64(),
        cell(&found.service),
        found.at
    )
}

fn nothing(rule: &RuleSpec) -> &'static str {
    match *rule.by.as_slice() {
        [Field::Prefix] => "0: no request of its network counts here, or too few clients of it take part",
        _ if rule.by.contains(&Field::Client) => "0: no request of it counts here",
        _ => "does not count by client",
    }
}
