//! `incidents`: those of a running instance, and what people do to them.

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Value, json};

use super::instance::{Instance, Talk};
use super::output::{self, Output, cell};
use super::run::block_on;
use super::{Fault, case, lists};

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
    /// Incidents, the newest first; what `incidents` alone does.
    List(Filter),
    /// One incident with its evidence, what was told, and what happened.
    Show {
        /// Its id, 32 hex digits.
        #[arg(value_parser = id)]
        id: String,
    },
    /// Say that somebody is on it.
    Ack {
        /// Its id.
        #[arg(value_parser = id)]
        id: String,
    },
    /// Give it to somebody; tells nobody, and stops no escalation.
    Assign {
        /// Its id.
        #[arg(value_parser = id)]
        id: String,
        /// Whom; "" takes it back.
        who: String,
    },
    /// Add a note to its timeline.
    Note {
        /// Its id.
        #[arg(value_parser = id)]
        id: String,
        /// The note; several words need no quotes.
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// Close it.
    Resolve {
        /// Its id.
        #[arg(value_parser = id)]
        id: String,
    },
    /// Close it, and learn what is so now as usual: mining, resource, surge, and floods that are more than usual.
    Accept {
        /// Its id.
        #[arg(value_parser = id)]
        id: String,
    },
    /// Open it again.
    Reopen {
        /// Its id.
        #[arg(value_parser = id)]
        id: String,
    },
}

/// Which incidents.
#[derive(Debug, clap::Args)]
struct Filter {
    /// open, acknowledged, resolved; several with commas.
    #[arg(long)]
    status: Option<String>,
    /// flood, probing, login, …; several with commas.
    #[arg(long)]
    kind: Option<String>,
    /// The service that is attacked.
    #[arg(long)]
    service: Option<String>,
    /// Only what was seen since then: 2026-01-02T03:04:05Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = lists::LIMIT, value_parser = lists::limit)]
    limit: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self { status: None, kind: None, service: None, since: None, limit: lists::LIMIT }
    }
}

/// An incident's id.
pub(super) fn id(text: &str) -> Result<String, String> {
    let proper = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if proper {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("an id is 32 hex digits, as `list` prints it".to_owned())
    }
}

pub(super) fn run(arguments: Arguments, config: Option<PathBuf>, out: &mut impl Write) -> Result<(), Fault> {
    let Arguments { talk, what } = arguments;
    let (instance, output) = talk.settle(config)?;
    let nothing = json!({});
    block_on(async {
        match what.unwrap_or_else(|| What::List(Filter::default())) {
            What::List(filter) => list(&instance, filter, output, out).await,
            What::Show { id } => {
                let incident = instance.get(&format!("/api/v1/incidents/{id}"), &[]).await?;
                match output {
                    Output::Table => case::print(&incident, out)?,
                    Output::Json => output::json(&incident, out)?,
                    Output::Ndjson => output::line(&incident, out)?,
                }
                Ok(())
            }
            What::Ack { id } => command(&instance, &id, "acknowledge", &nothing, output, out).await,
            What::Resolve { id } => command(&instance, &id, "resolve", &nothing, output, out).await,
            What::Accept { id } => command(&instance, &id, "accept", &nothing, output, out).await,
            What::Reopen { id } => command(&instance, &id, "reopen", &nothing, output, out).await,
            What::Assign { id, who } => {
                command(&instance, &id, "assign", &json!({"to": who}), output, out).await
            }
            What::Note { id, text } => {
                command(&instance, &id, "notes", &json!({"text": text.join(" ")}), output, out).await
            }
        }
    })
}

async fn list(
    instance: &Instance,
    filter: Filter,
    output: Output,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let Filter { status, kind, service, since, limit } = filter;
    let asked = [("status", status), ("kind", kind), ("service", service), ("since", since)];
    let query: Vec<(&str, String)> =
        asked.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let page = lists::pages(instance, "/api/v1/incidents", &query, limit).await?;
    if output != Output::Table {
        return Ok(page.print(output, out)?);
    }
    if page.items.is_empty() {
        writeln!(out, "no incidents")?;
    }
    let row = |incident: &Value| {
        let text = |name: &str| incident[name].as_str().unwrap_or_default().to_owned();
        let status =
            match incident["acknowledged"]["by"].as_str().filter(|_| text("status") == "acknowledged") {
                Some(by) => format!("{} by {by}", text("status")),
                None => text("status"),
            };
        [text("id"), text("severity"), status, case::second(&text("started_at")), text("title")]
    };
    let rows: Vec<_> = page.items.iter().map(row).collect();
    output::table(["id", "severity", "status", "since", "what"], &rows, out)?;
    page.tell_of_more();
    Ok(())
}

async fn command(
    instance: &Instance,
    id: &str,
    verb: &str,
    body: &Value,
    output: Output,
    out: &mut impl Write,
) -> Result<(), Fault> {
    let incident = instance.post(&format!("/api/v1/incidents/{id}/{verb}"), body).await?;
    match output {
        Output::Table => {
            let text = |name: &str| cell(incident[name].as_str().unwrap_or_default());
            writeln!(out, "{}: {}", text("status"), text("title"))?;
        }
        Output::Json => output::json(&incident, out)?,
        Output::Ndjson => output::line(&incident, out)?,
    }
    Ok(())
}
