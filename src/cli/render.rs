//! `render`: the messages that a receiver would get about an incident, as they would be sent. Nothing is sent.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use beaconfire_config::{Config, nearest};
use beaconfire_incident::IncidentId;
use beaconfire_model::{Kind, Labels};
use beaconfire_notify::{About, Channel, Example, Matter, Message, Preview, Site, telling};
use beaconfire_store::Store;
use beaconfire_view::{DecisionJson, Privacy};

use super::Fault;
use super::output::cell;
use super::run::block_on;
use super::test_notify::{unknown, usage};
use crate::threads::now;

/// Stands where an installation's own id stands in other messages: an example needs no store.
const INSTALLATION: &str = "beaconfire-example";

/// Which receiver, and about what.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The receiver, by its name in `receivers`.
    receiver: String,
    /// An incident of the configuration's store, by its id.
    #[arg(long, value_name = "ID", required_unless_present = "example", conflicts_with = "example")]
    incident: Option<String>,
    /// A made-up incident of this kind: flood, probing, login, …
    #[arg(long, value_name = "KIND")]
    example: Option<String>,
}

pub(super) fn run(arguments: &Arguments, config: &Config, out: &mut impl Write) -> Result<(), Fault> {
    let name = arguments.receiver.as_str();
    let channels = channels(name, config)?;
    let site = Site {
        installation: INSTALLATION,
        external_url: config.http.base_url(),
        privacy: if config.privacy.redact_query { Privacy::Redact } else { Privacy::Keep },
        templates: Some(&config.templates),
    };
    block_on(async {
        match (&arguments.incident, &arguments.example) {
            (Some(id), _) => of_store(id, config, site, &channels, out).await,
            (None, kind) => {
                let example = Example::of(self::kind(kind.as_deref().unwrap_or_default())?);
                show(&channels, &example.message(site), out).await
            }
        }
    })
}

/// The receiver's channels, each under its title.
fn channels(name: &str, config: &Config) -> Result<Vec<(String, Channel)>, Fault> {
    let Some(integrations) = config.receivers.get(name) else { return Err(unknown(name, config)) };
    if integrations.is_empty() {
        return Err(usage(format!(
            "the receiver `{}` has no integration: nobody would hear of it",
            cell(name)
        )));
    }
    let knobs = config.channels.get(name).map_or(&[][..], Vec::as_slice);
    let built = integrations.iter().zip(knobs).map(|(integration, knobs)| {
        let title = format!("{}, {}", cell(name), integration.name);
        let channel = Channel::build(knobs).map_err(|said| usage(format!("{title}: {}", cell(&said))))?;
        Ok((title, channel))
    });
    built.collect()
}

fn kind(name: &str) -> Result<Kind, Fault> {
    Kind::parse(name).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::name);
        let meant =
            nearest(name, known).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        usage(format!("`{}` is no kind of incident{meant}\n  = there are {}", cell(name), known.join(", ")))
    })
}

/// What a sender would send now to somebody who knows nothing of the incident yet.
async fn of_store(
    id: &str,
    config: &Config,
    site: Site<'_>,
    channels: &[(String, Channel)],
    out: &mut impl Write,
) -> Result<(), Fault> {
    let missing = || {
        let (id, store) = (cell(id), cell(&config.store.url));
        let said = format!("there is no incident {id} in the store ({store})");
        let mend = "`beaconfire incidents list` shows those of a running instance";
        Fault::Failed(anyhow::anyhow!("{said}\n  = {mend}"))
    };
    // Opening makes a store where there is none, and whoever only looks shall leave nothing behind.
    let file = config.store.url.strip_prefix("sqlite:").map(|file| file.strip_prefix("//").unwrap_or(file));
    if !file.is_some_and(|file| Path::new(file).exists()) {
        return Err(missing());
    }
    let store = Store::open(&config.store).await.context("opening the store")?;
    let id = IncidentId::from_text(id);
    let dossier = store.dossier(&id).await.context("reading the incident")?;
    let Some(dossier) = dossier else {
        store.close().await;
        return Err(missing());
    };
    let decisions = store.decisions_of(&id).await.context("reading the decisions")?;
    let decisions: Vec<DecisionJson> = decisions.iter().map(DecisionJson::stored).collect();
    let nothing = Labels::default();
    let service = config.context.services.get(&*dossier.incident.target.value);
    let message = Message {
        matter: Matter::Incident(About {
            revision: dossier.incident.revision,
            dossier: &dossier,
            decisions: &decisions,
            silenced: None,
            annotations: service.map_or(&nothing, |service| &service.annotations),
            via: None,
            again: false,
        }),
        action: telling(dossier.incident.status),
        notification_id: "preview",
        handle: None,
        now: now(),
        site: Site { installation: store.installation(), ..site },
    };
    let shown = show(channels, &message, out).await;
    store.close().await;
    shown
}

async fn show(
    channels: &[(String, Channel)],
    message: &Message<'_>,
    out: &mut impl Write,
) -> Result<(), Fault> {
    for (title, channel) in channels {
        // What is shown was made harmless and rid of secrets where it was written down.
        let Preview { sent, fault } = channel.preview(message).await;
        if let Some(fault) = fault {
            eprintln!("warning: {title}: {fault}; this is the built-in form");
        }
        writeln!(out, "{title}\n{sent}\n")?;
    }
    Ok(())
}
