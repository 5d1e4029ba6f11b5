//! `outbox`: notifications of a running instance that are not told in full, and what people do about them.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Fault;
use super::case::second;
use super::incidents::id;
use super::instance::{Instance, Talk};
use super::lists::{self, Listed};
use super::output::{self, Output};
use super::run::block_on;

const PATH: &str = "/api/v1/outbox";

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
    /// What waits, what is held for a digest, and what is a dead letter, the oldest first; what `outbox` alone does.
    List(Filter),
    /// Try at once: a dead letter waits again, what waits is due now.
    Retry(Which),
    /// Tell no more of it, until there is fresh news of the incident.
    Drop(Which),
}

/// Which rows to list.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only this receiver's.
    #[arg(long)]
    receiver: Option<String>,
    /// pending, held (for a digest), dead; delivered or in_digest, of which the rest is still to be told.
    #[arg(long)]
    fate: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = lists::LIMIT, value_parser = lists::limit)]
    limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { receiver: None, fate: None, limit: lists::LIMIT }
    }
}

/// Which rows to try or drop.
#[derive(Debug, clap::Args)]
struct Which {
    /// The incident's id.
    #[arg(value_parser = id)]
    incident: String,
    /// The receiver.
    receiver: String,
    /// The integration within it, as `list` prints it (slack-0); else all of them.
    integration: Option<String>,
}

pub(super) fn run(arguments: Arguments, config: Option<PathBuf>, out: &mut impl Write) -> Result<(), Fault> {
    let Arguments { talk, what } = arguments;
    let (instance, output) = talk.settle(config)?;
    block_on(async {
        match what.unwrap_or_else(|| What::List(Filter::default())) {
            What::List(filter) => list(&instance, filter, output, out).await,
            What::Retry(which) => by_hand(&instance, "retry", which, output, out).await,
            What::Drop(which) => by_hand(&instance, "drop", which, output, out).await,
        }
    })
}

async fn list(
    instance: &Instance,
    filter: Filter,
    output: Output,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let Filter { receiver, fate, limit } = filter;
    let asked = [("receiver", receiver), ("fate", fate)];
    let query: Vec<(&str, String)> =
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let page = lists::pages(instance, PATH, &query, limit).await?;
    if output != Output::Table {
        return Ok(page.print(output, out)?);
    }
    if page.items.is_empty() {
        writeln!(out, "everything is told")?;
    }
    let row = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        [
            text("incident"),
            format!("{} {}", text("receiver"), text("integration")),
            text("lane"),
            stands(item),
            second(&text("waiting_since")),
            text("title"),
            text("last_error"),
        ]
    };
    let rows: Vec<_> = page.items.iter().map(row).collect();
    let header = ["incident", "receiver", "lane", "fate", "since", "what", "last error"];
    output::table(header, &rows, out)?;
    page.tell_of_more();
    Ok(())
}

/// A row's fate, and what else decides when it is told.
fn stands(item: &Value) -> String {
    let mut words = vec![item["fate"].as_str().unwrap_or_default().to_owned()];
    match item["attempts"].as_u64() {
        None | Some(0) => {}
        Some(1) => words.push("failed once".to_owned()),
        Some(tries) => words.push(format!("failed {tries} times")),
    }
    if item["in_flight"] == true {
        words.push("being told".to_owned());
    }
    if item["fell_back"] == true {
        words.push("fell back".to_owned());
    }
    if let Some(via) = item["via"].as_str() {
        words.push(format!("in place of {via}"));
    }
    words.join(", ")
}

async fn by_hand(
    instance: &Instance,
    verb: &str,
    which: Which,
    output: Output,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let Which { incident, receiver, integration } = which;
    let mut wanted = json!({"incident": incident, "receiver": receiver});
    if let Some(integration) = integration {
        wanted["integration"] = json!(integration);
    }
    let done = Listed::of(&instance.post(&format!("{PATH}/{verb}"), &wanted).await?);
    if output != Output::Table {
        return Ok(done.print(output, out)?);
    }
    let row = |item: &Value| {
        let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
        let fate = match item["reason"].as_str() {
            Some(reason) => format!("{} ({reason})", text("fate")),
            None => text("fate"),
        };
        [text("receiver"), text("integration"), fate, text("still_to_tell")]
    };
    let rows: Vec<_> = done.items.iter().map(row).collect();
    Ok(output::table(["receiver", "integration", "fate", "still to tell"], &rows, out)?)
}
