//! `dead-letters`: records that a running instance could not read, as far as it keeps them.

use std::io::Write;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Subcommand;
use serde_json::Value;

use super::Fault;
use super::case::second;
use super::instance::Talk;
use super::lists;
use super::output::{self, Output, cell};
use super::run::block_on;

const PATH: &str = "/api/v1/dead-letters";

/// Characters shown of a record in a table.
const SHOWN: usize = 80;

/// What to do, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    talk: Talk,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The latest first; what `dead-letters` alone does. An instance keeps a few of each reason, from what it has read
    /// since it began; all of them go to the topic of `kafka.dead_letter_topic`.
    List(Filter),
    /// One, as far as it is kept: its first 4 KiB.
    Show {
        /// The topic that the record came from.
        topic: String,
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
}

/// Which letters.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only of this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Only those rejected for this: syntax, unknown_format, …
    #[arg(long)]
    reason: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = lists::LIMIT, value_parser = lists::limit)]
    limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { topic: None, reason: None, limit: lists::LIMIT }
    }
}

pub(super) fn run(arguments: Arguments, config: Option<PathBuf>, out: &mut impl Write) -> Result<(), Fault> {
    let Arguments { talk, what } = arguments;
    let (instance, output) = talk.settle(config)?;
    block_on(async {
        match what.unwrap_or_else(|| What::List(Filter::default())) {
            What::List(Filter { topic, reason, limit }) => {
                let asked = [("topic", topic), ("reason", reason)];
                let query: Vec<(&str, String)> =
                    asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
                let page = lists::pages(&instance, PATH, &query, limit).await?;
                if output != Output::Table {
                    return Ok(page.print(output, out)?);
                }
                if page.items.is_empty() {
                    writeln!(out, "no dead letters since the instance began")?;
                }
                let rows: Vec<_> = page.items.iter().map(row).collect();
                output::table(["topic", "partition", "offset", "reason", "when", "record"], &rows, out)?;
                page.tell_of_more();
            }
            What::Show { topic, partition, offset } => {
                let place = format!("{} {partition} {offset}", cell(&topic));
                let query =
                    [("topic", topic), ("partition", partition.to_string()), ("offset", offset.to_string())];
                // A record that was read twice may be kept twice: the later.
                let page = lists::pages(&instance, PATH, &query, 1).await?;
                let Some(letter) = page.items.first() else {
                    return Err(Fault::Failed(anyhow!("the instance keeps no dead letter of {place}")));
                };
                match output {
                    Output::Table => print(letter, out)?,
                    Output::Json => output::json(letter, out)?,
                    Output::Ndjson => output::line(letter, out)?,
                }
            }
        }
        Ok(())
    })
}

fn text(letter: &Value, name: &str) -> String {
    letter[name].as_str().unwrap_or_default().to_owned()
}

fn row(letter: &Value) -> [String; 6] {
    let payload = match letter["payload"].as_str() {
        None => "(none: a tombstone)".to_owned(),
        Some(payload) if payload.chars().count() > SHOWN => {
            payload.chars().take(SHOWN - 1).chain(['…']).collect()
        }
        Some(payload) => payload.to_owned(),
    };
    let number = |name: &str| letter[name].to_string();
    let (topic, reason, at) = (text(letter, "topic"), text(letter, "reason"), second(&text(letter, "at")));
    [topic, number("partition"), number("offset"), reason, at, payload]
}

fn print(letter: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let [topic, partition, offset, reason, at, _] = row(letter);
    writeln!(out, "{} {partition} {offset}", cell(&topic))?;
    writeln!(out, "{}, {}", cell(&reason), cell(&at))?;
    writeln!(out)?;
    match letter["payload"].as_str() {
        // The instance has cleaned and cut it; who says that it is one is a stranger all the same.
        Some(payload) => writeln!(out, "{}", beaconfire_model::Untrusted::new(payload, 8_192).clean()),
        None => writeln!(out, "(no value: a tombstone)"),
    }
}
