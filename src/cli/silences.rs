//! `silences`: what a running instance does not tell for a while.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::Fault;
use super::case::second;
use super::incidents::id;
use super::instance::{Instance, Talk};
use super::lists::Listed;
use super::output::{self, Output, cell};
use super::run::block_on;

const PATH: &str = "/api/v1/silences";

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
    /// Those that hold or will, the first to end first; what `silences` alone does.
    List {
        /// The latest that are over instead.
        #[arg(long)]
        expired: bool,
    },
    /// Tell nobody of what these labels have, for a while.
    Add(Wanted),
    /// End silences now: what they kept back and still goes on is told.
    Expire {
        /// Their ids, 32 hex digits each.
        #[arg(required = true, value_parser = id)]
        ids: Vec<String>,
    },
}

/// A silence as it is asked for.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// Matchers, which must all match: service=shop, 'kind=~"flood|surge"'.
    #[arg(required = true)]
    matchers: Vec<String>,
    /// For how long: 30m, 4h.
    #[arg(long = "for", short = 'd', visible_alias = "duration", default_value = "1h", value_parser = beaconfire_config::duration, value_name = "DURATION")]
    duration: Duration,
    /// Until when instead: 2026-01-02T03:04:05Z.
    #[arg(long, visible_alias = "end", value_name = "TIME", conflicts_with = "duration")]
    until: Option<String>,
    /// From when on; else from now.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Who makes it; else the name of the login.
    #[arg(long, short, default_value = "")]
    author: String,
    /// Why, for those who come after.
    #[arg(long, short, default_value = "")]
    comment: String,
    /// Only show which open incidents it would match.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: Arguments, config: Option<PathBuf>, out: &mut impl Write) -> Result<(), Fault> {
    let Arguments { talk, what } = arguments;
    let what = what.unwrap_or(What::List { expired: false });
    let (instance, output) = talk.settle(config)?;
    block_on(async {
        match what {
            What::List { expired } => list(&instance, expired, output, out).await,
            What::Add(wanted) => add(&instance, wanted, output, out).await,
            What::Expire { ids } => {
                for id in ids {
                    let ended = instance.delete(&format!("{PATH}/{id}"), &[]).await?;
                    match output {
                        Output::Json => output::json(&ended, out)?,
                        Output::Ndjson => output::line(&ended, out)?,
                        Output::Table => writeln!(out, "{id}: expired").map_err(anyhow::Error::from)?,
                    }
                }
                Ok(())
            }
        }
    })
}

async fn list(instance: &Instance, expired: bool, output: Output, out: &mut impl Write) -> Result<(), Fault> {
    let status = if expired { "expired" } else { "pending,active" };
    let listed = Listed::of(&instance.get(PATH, &[("status", status.to_owned())]).await?);
    if output != Output::Table {
        return Ok(listed.print(output, out)?);
    }
    if listed.items.is_empty() {
        writeln!(out, "nothing is silenced")?;
    }
    let row = |silence: &Value| {
        let text = |name: &str| silence[name].as_str().unwrap_or_default().to_owned();
        let matchers = silence["matchers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        [
            text("id"),
            text("status"),
            matchers.collect::<Vec<_>>().join(", "),
            second(&text("ends_at")),
            text("author"),
            silence["incidents_total"].to_string(),
            text("comment"),
        ]
    };
    let rows: Vec<_> = listed.items.iter().map(row).collect();
    output::table(["id", "status", "matchers", "until", "by", "incidents", "why"], &rows, out)?;
    Ok(())
}

async fn add(instance: &Instance, wanted: Wanted, output: Output, out: &mut impl Write) -> Result<(), Fault> {
    let mut body = json!({
        "matchers": wanted.matchers, "author": wanted.author, "comment": wanted.comment,
    });
    match wanted.until {
        Some(until) => body["ends_at"] = json!(until),
        None => body["duration_seconds"] = json!(wanted.duration.as_secs()),
    }
    if let Some(start) = wanted.start {
        body["starts_at"] = json!(start);
    }
    let query = if wanted.dry_run { vec![("dry_run", "true".to_owned())] } else { Vec::new() };
    let made = instance.post_with(PATH, &query, &body).await?;
    match output {
        Output::Json => output::json(&made, out)?,
        Output::Ndjson => output::line(&made, out)?,
        Output::Table => people(&made, out)?,
    }
    Ok(())
}

/// A silence that was made or tried out, and what it matches.
fn people(made: &Value, out: &mut impl Write) -> std::io::Result<()> {
    let text = |name: &str| cell(made[name].as_str().unwrap_or_default());
    match made["id"].as_str() {
        Some(id) => writeln!(out, "{}: silenced until {}", cell(id), second(&text("ends_at")))?,
        None => writeln!(out, "dry run: nothing is silenced")?,
    }
    let incidents = made["incidents"].as_array().map(Vec::as_slice).unwrap_or_default();
    if incidents.is_empty() {
        return writeln!(out, "no open incident matches");
    }
    let row = |incident: &Value| {
        let text = |name: &str| incident[name].as_str().unwrap_or_default().to_owned();
        [text("id"), text("severity"), text("status"), text("title")]
    };
    let rows: Vec<_> = incidents.iter().map(row).collect();
    output::table(["id", "severity", "status", "what"], &rows, out)?;
    let beyond = made["incidents_total"].as_u64().unwrap_or(0).saturating_sub(rows.len() as u64);
    if beyond > 0 {
        writeln!(out, "and {beyond} more")?;
    }
    Ok(())
}
