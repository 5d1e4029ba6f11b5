//! `decisions`: who is throttled by a running instance, by rule or by hand.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use beaconfire_throttle::{Action, Mode};
use clap::Subcommand;
use serde_json::{Value, json};

use super::Fault;
use super::case::second;
use super::instance::Talk;
use super::lists::{self, Listed};
use super::output::{self, Output};
use super::run::block_on;

const PATH: &str = "/api/v1/decisions";

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
    /// Those that hold, the newest first; what `decisions` alone does.
    List {
        /// At most so many.
        #[arg(long, default_value_t = lists::LIMIT, value_parser = lists::limit)]
        limit: usize,
    },
    /// Throttle an address or network by hand.
    Add {
        /// The address or network.
        value: String,
        /// For how long: 10m, 4h.
        #[arg(long = "for", default_value = "10m", value_parser = beaconfire_config::duration, value_name = "DURATION")]
        duration: Duration,
        /// ban, captcha or throttle.
        #[arg(long, default_value = "ban", value_parser = action)]
        action: String,
        /// enforce or dry_run; else what `throttle.mode` says.
        #[arg(long, value_parser = mode)]
        mode: Option<String>,
        /// Why, for those who come after.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take decisions back, and leave whom they concerned alone for an hour.
    Delete {
        /// A decision's number, or an address or network.
        which: String,
        /// Do not leave them alone besides: the rule may decide the same again at once.
        #[arg(long)]
        no_allow: bool,
    },
    /// Take all decisions back, and leave whom they concerned alone for an hour.
    Flush {
        /// Do not leave them alone besides: the rules may decide the same again at once.
        #[arg(long)]
        no_allow: bool,
    },
}

fn action(text: &str) -> Result<String, String> {
    let known = Action::ALL.map(Action::name);
    Action::parse(text).map(|_| text.to_owned()).ok_or_else(|| format!("one of {}", known.join(", ")))
}

fn mode(text: &str) -> Result<String, String> {
    Mode::parse(text).map(|_| text.to_owned()).ok_or_else(|| "enforce or dry_run".to_owned())
}

pub(super) fn run(arguments: Arguments, config: Option<PathBuf>, out: &mut impl Write) -> Result<(), Fault> {
    let Arguments { talk, what } = arguments;
    let what = what.unwrap_or(What::List { limit: lists::LIMIT });
    let (instance, output) = talk.settle(config)?;
    block_on(async {
        match what {
            What::List { limit } => {
                let listed = lists::pages(&instance, PATH, &[], limit).await?;
                print(&listed, "nobody is throttled", output, out)?;
                if output == Output::Table {
                    listed.tell_of_more();
                }
            }
            What::Add { value, duration, action, mode, reason } => {
                let mut wanted = json!({
                    "value": value, "action": action, "duration_seconds": duration.as_secs(), "reason": reason,
                });
                if let Some(mode) = mode {
                    wanted["mode"] = json!(mode);
                }
                let made = instance.post(PATH, &wanted).await?;
                if made["mode"] == "dry_run" {
                    eprintln!("dry run: nothing is blocked; --mode enforce blocks");
                }
                match output {
                    Output::Json => output::json(&made, out)?,
                    Output::Ndjson => output::line(&made, out)?,
                    Output::Table => table(&[made], out)?,
                }
            }
            What::Delete { which, no_allow } => {
                let by = if which.parse::<i64>().is_ok() { "id" } else { "value" };
                let wanted = [(by, which), ("allow", (!no_allow).to_string())];
                let lifted = Listed::of(&instance.delete(PATH, &wanted).await?);
                print(&lifted, "nothing of that was in force", output, out)?;
            }
            What::Flush { no_allow } => {
                let wanted = [("all", "true".to_owned()), ("allow", (!no_allow).to_string())];
                let lifted = Listed::of(&instance.delete(PATH, &wanted).await?);
                print(&lifted, "nothing was in force", output, out)?;
            }
        }
        Ok(())
    })
}

fn print(listed: &Listed, none: &str, output: Output, out: &mut impl Write) -> anyhow::Result<()> {
    if output != Output::Table {
        return listed.print(output, out);
    }
    if listed.items.is_empty() {
        writeln!(out, "{none}")?;
    }
    Ok(table(&listed.items, out)?)
}

fn table(decisions: &[Value], out: &mut impl Write) -> std::io::Result<()> {
    let row = |decision: &Value| {
        let text = |name: &str| decision[name].as_str().unwrap_or_default().to_owned();
        let by = decision["by"].as_str().or(decision["incident"].as_str()).unwrap_or_default().to_owned();
        let id = decision["id"].to_string();
        [id, text("value"), text("action"), text("mode"), second(&text("expires_at")), text("rule"), by]
    };
    let rows: Vec<_> = decisions.iter().map(row).collect();
    output::table(["id", "who", "action", "mode", "until", "rule", "by or incident"], &rows, out)
}
