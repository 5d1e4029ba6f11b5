//! `routes test`: which receivers an incident with these labels reaches, and why.

use std::io::Write;

use beaconfire_config::{Config, nearest};
use beaconfire_model::{Kind, Labels, Severity};
use beaconfire_outbox::{Verdict, Visit};
use clap::Subcommand;
use serde_json::{Value, json};

use super::Fault;
use super::output::{self, Output, cell};

#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Which receivers an incident with these labels reaches, and why.
    Test {
        /// Labels: `severity=critical kind=flood service=shop`. The configuration's own labels come on top.
        #[arg(required = true, value_name = "LABEL=VALUE", value_parser = pair)]
        labels: Vec<(String, String)>,
        /// How to print it; a table on a terminal, ndjson elsewhere.
        #[arg(long)]
        output: Option<Output>,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as LABEL=VALUE")?;
    let proper = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !proper {
        return Err("a label's name is letters, digits and underscores; then `=` and its value".to_owned());
    }
    let known: Vec<&str> = match name {
        "severity" => Severity::ALL.map(Severity::name).to_vec(),
        "kind" => Kind::ALL.map(Kind::name).to_vec(),
        _ => return Ok((name.to_owned(), value.to_owned())),
    };
    if known.contains(&value) {
        return Ok((name.to_owned(), value.to_owned()));
    }
    let near = nearest(value, known.iter().copied());
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Err(format!("no incident has such a `{name}`{near} There are {}", known.join(", ")))
}

pub(super) fn run(what: What, config: &Config, out: &mut impl Write) -> Result<(), Fault> {
    let What::Test { labels: given, output } = what;
    let labels = labels(config, &given);
    let visits = config.route.walk(&labels);
    let reached = config.route.resolve(&labels);
    let shown_only = labels.get("severity") == "info" && reached.iter().any(|routed| !routed.by_severity);
    let reached: Vec<&str> = reached.iter().map(|routed| &*routed.receiver).collect();
    match Output::or_default(output) {
        Output::Table => {
            table(config, &labels, &visits, &reached, out)?;
            if shown_only {
                writeln!(
                    out,
                    "with severity info, incidents are only shown, unless a matcher on the way names `severity`"
                )?;
            }
        }
        Output::Json => output::json(&document(config, &labels, &visits, &reached), out)?,
        Output::Ndjson => output::line(&document(config, &labels, &visits, &reached), out)?,
    }
    Ok(())
}

/// The labels that an incident would have: those given, over those that the configuration adds to it.
fn labels(config: &Config, given: &[(String, String)]) -> Labels {
    let named = |name: &str| given.iter().rev().find(|(held, _)| held == name).map(|(_, value)| value);
    let context = &config.context;
    let mut labels = context.external.clone();
    let service = named("service").and_then(|name| context.services.get(name)).map(|facts| &facts.labels);
    let rule = named("alertname").and_then(|name| context.rules.get(name));
    for (name, value) in service.into_iter().chain(rule).flat_map(Labels::iter) {
        labels.set(name, value);
    }
    given.iter().for_each(|(name, value)| labels.set(name, value));
    labels
}

fn table(
    config: &Config,
    labels: &Labels,
    visits: &[Visit<'_>],
    reached: &[&str],
    out: &mut impl Write,
) -> std::io::Result<()> {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    writeln!(out, "{}\n", cell(&pairs.join(" ")))?;
    for visit in visits {
        let indent = "  ".repeat(depth(visits, visit));
        let mark = if matches!(visit.verdict, Verdict::Told | Verdict::Passed) { '+' } else { '-' };
        writeln!(out, "{indent}{mark} {}: {}", cell(&written(visit)), verdict(visit))?;
    }
    writeln!(out)?;
    if reached.is_empty() {
        writeln!(out, "nobody is told: there are no `receivers`")?;
    }
    for name in reached {
        let integrations = config.receivers.iter().find(|(held, _)| &***held == *name);
        let names: Vec<&str> =
            integrations.into_iter().flat_map(|(_, held)| held).map(|one| &*one.name).collect();
        let names =
            if names.is_empty() { "no integration: nobody hears of it".to_owned() } else { names.join(", ") };
        writeln!(out, "{} ({names})", cell(name))?;
    }
    Ok(())
}

fn depth(visits: &[Visit<'_>], visit: &Visit<'_>) -> usize {
    std::iter::successors(visit.parent, |at| visits.get(*at)?.parent).count()
}

/// A route in one line, much as it was written.
fn written(visit: &Visit<'_>) -> String {
    let matchers: Vec<String> = visit.route.matchers.0.iter().map(ToString::to_string).collect();
    let mut line = match (visit.parent, matchers.is_empty()) {
        (None, _) => "root".to_owned(),
        (Some(_), true) => "no matchers".to_owned(),
        (Some(_), false) => matchers.join(", "),
    };
    if let Some(receiver) = visit.receiver {
        let own = if visit.route.receiver.is_some() { "" } else { " (its parent's)" };
        line.push_str(&format!(" -> {receiver}{own}"));
    }
    if visit.route.continues {
        line.push_str(", continue");
    }
    for (names, says) in [(&visit.route.mute_times, "not"), (&visit.route.active_times, "only")] {
        if !names.is_empty() {
            line.push_str(&format!(", {says} in {}", names.join(", ")));
        }
    }
    line
}

fn verdict(visit: &Visit<'_>) -> String {
    match visit.verdict {
        Verdict::Told => "told".to_owned(),
        Verdict::Passed => "matches; a route below takes it".to_owned(),
        Verdict::Unmatched(matcher) => format!("does not match {}", cell(&matcher.to_string())),
        Verdict::Skipped => "not asked: the route before takes it and does not continue".to_owned(),
    }
}

fn document(config: &Config, labels: &Labels, visits: &[Visit<'_>], reached: &[&str]) -> Value {
    let routes = visits.iter().map(|visit| {
        let matchers: Vec<String> = visit.route.matchers.0.iter().map(ToString::to_string).collect();
        let (verdict, against) = match visit.verdict {
            Verdict::Told => ("told", None),
            Verdict::Passed => ("passed", None),
            Verdict::Unmatched(matcher) => ("unmatched", Some(matcher.to_string())),
            Verdict::Skipped => ("skipped", None),
        };
        json!({
            "depth": depth(visits, visit), "matchers": matchers, "receiver": visit.receiver.map(|name| &**name),
            "continue": visit.route.continues, "verdict": verdict, "against": against,
        })
    });
    let receivers = reached.iter().map(|name| {
        let held = config.receivers.iter().find(|(held, _)| &***held == *name);
        let integrations: Vec<&str> =
            held.into_iter().flat_map(|(_, held)| held).map(|one| &*one.name).collect();
        json!({"receiver": name, "integrations": integrations})
    });
    json!({
        "labels": labels.0, "receivers": receivers.collect::<Vec<_>>(), "routes": routes.collect::<Vec<_>>(),
    })
}
