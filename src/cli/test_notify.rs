//! `test-notify`: one marked test through a receiver's real channels, and what passed on the way.

use std::io::Write;

use beaconfire_config::{Config, nearest};
use beaconfire_notify::{Channel, Exchange, Message, Site};
use beaconfire_outbox::{IntegrationKind, Outcome};
use beaconfire_view::Privacy;

use super::Fault;
use super::output::cell;
use super::run::block_on;
use crate::threads::now;

/// Stands where an installation's own id stands in other messages: a test needs no store.
const INSTALLATION: &str = "beaconfire-test";

/// Which receiver.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The receiver, by its name in `receivers`.
    receiver: String,
}

pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<(), Fault> {
    let name = arguments.receiver.as_str();
    let Some(integrations) = config.receivers.get(name) else { return Err(unknown(name, config)) };
    if integrations.is_empty() {
        return Err(usage(format!(
            "the receiver `{}` has no integration: nobody would hear of it",
            cell(name)
        )));
    }
    let knobs = config.channels.get(name).map_or(&[][..], Vec::as_slice);
    let mut refused = Vec::new();
    block_on(async {
        for (integration, knobs) in integrations.iter().zip(knobs) {
            let title = format!("{}, {}", cell(name), integration.name);
            let channel = Channel::build(knobs).map_err(|said| usage(format!("{title}: {}", cell(&said))))?;
            eprintln!("{title}: sending a marked test …");
            let at = now();
            let id = format!("test-{}-{}", integration.name, at.millis());
            let privacy = if config.privacy.redact_query { Privacy::Redact } else { Privacy::Keep };
            let site = Site {
                installation: INSTALLATION,
                external_url: config.http.base_url(),
                privacy,
                templates: None,
            };
            let exchange = channel.exchange(&Message::test(site, &id, at)).await;
            print(&title, &exchange, out)?;
            match &exchange.outcome {
                Outcome::Accepted { .. } if channel.kind() == IntegrationKind::PagerDuty => {
                    eprintln!("PagerDuty has an alert of it now: resolve it there");
                }
                Outcome::Accepted { .. } => {}
                _ => refused.push(integration.name.to_string()),
            }
        }
        Ok(())
    })?;
    if refused.is_empty() {
        return Ok(());
    }
    Err(anyhow::anyhow!("{}: {} did not take the test", cell(name), refused.join(", ")).into())
}

fn print(title: &str, exchange: &Exchange, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "{title}")?;
    for step in &exchange.steps {
        // What is shown was made harmless and rid of secrets where it was written down.
        for (mark, text) in [('>', &step.sent), ('<', &step.answered)] {
            text.lines().try_for_each(|line| writeln!(out, "{mark} {line}"))?;
        }
    }
    writeln!(out, "{}\n", outcome(&exchange.outcome))
}

/// What came of it, and what `run` would do then.
fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted { .. } => "accepted".to_owned(),
        Outcome::Limited { after } => {
            let after = after.map(|after| format!(" for {} s", after.as_secs())).unwrap_or_default();
            format!("limited: too many at once; `run` would pause{after}, then try again")
        }
        Outcome::Deferred { said, .. } => format!("deferred: {}; `run` would try again", cell(said)),
        Outcome::Misconfigured { said } => format!("misconfigured: {}; mend the configuration", cell(said)),
        Outcome::Rejected { said } => format!("rejected: {}; no retry would help", cell(said)),
        Outcome::Gone => "gone: the message that was to be updated is not there".to_owned(),
    }
}

pub(super) fn usage(said: String) -> Fault {
    Fault::Usage(format!("error: {said}"))
}

pub(super) fn unknown(name: &str, config: &Config) -> Fault {
    let known: Vec<&str> = config.receivers.keys().map(|name| &**name).collect();
    let mut said = format!("there is no receiver `{}`", cell(name));
    if let Some(near) = nearest(name, known.iter().copied()) {
        said.push_str(&format!("; did you mean `{near}`?"));
    }
    said.push_str(&match known.as_slice() {
        [] => "\n  = the configuration has no `receivers`; --config names another".to_owned(),
        known => format!("\n  = there are {}", known.join(", ")),
    });
    usage(said)
}
