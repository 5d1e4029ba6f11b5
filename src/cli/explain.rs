//! `explain`: how one record is understood, with `formats` what can be, and with `--client` why a client did not raise.

use std::io::{IsTerminal as _, Read as _, Write};

use beaconfire_config::{Config, LATER_FORMATS, nearest};
use beaconfire_decode::{DecodeKnobs, Format, describe, explain};
use beaconfire_detect::EntrySpec;
use beaconfire_model::Client;
use beaconfire_pipeline::Survey;

use super::Fault;
use super::output::cell;
use super::replay::Input;

/// One byte over the longest record is enough to be told that it is too large.
const RECORD_MAX: u64 = (1 << 20) + 1;

/// Which record.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The format, else the topic's, else `auto`, which decides by the record's shape.
    #[arg(long)]
    format: Option<String>,
    /// The entry of `kafka.topics` whose settings count: `log_format`, `fields`, `timezone` and the like.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Says of a client how near it came to each rule's line in these files, instead of how a record is understood.
    #[arg(long, value_name = "ADDR")]
    client: Option<std::net::IpAddr>,
    /// The service that answered, with --client; else what the records say.
    #[arg(long, requires = "client")]
    service: Option<String>,
    /// The record; `-` or nothing reads one from stdin. With --client, files as for `replay`.
    #[arg(value_name = "LINE")]
    lines: Vec<String>,
}

pub(super) fn run(arguments: Arguments, config: Config, out: &mut impl Write) -> Result<(), Fault> {
    if let Some(client) = arguments.client {
        let input = Input {
            format: arguments.format.as_deref(),
            topic: arguments.topic.as_deref(),
            service: arguments.service,
            shards: 1,
            files: arguments.lines.into_iter().map(Into::into).collect(),
            survey: Survey::Client(Client::of(client)),
        };
        return super::closest::run(Client::of(client), input, &config, out);
    }
    let (knobs, _) = knobs(&config, arguments.topic.as_deref(), arguments.format.as_deref())?;
    let mut lines = arguments.lines.into_iter();
    let line = lines.next();
    if lines.next().is_some() {
        let said = "error: `explain` takes one record; put quotes around it, or give files with --client";
        return Err(Fault::Usage(said.to_owned()));
    }
    let payload = match line {
        Some(line) if line != "-" => line.into_bytes(),
        _ => {
            if std::io::stdin().is_terminal() {
                eprintln!("reading one record from the terminal; end with ctrl-d");
            }
            let mut bytes = Vec::new();
            std::io::stdin().lock().take(RECORD_MAX).read_to_end(&mut bytes)?;
            bytes
        }
    };
    Ok(writeln!(out, "{}", explain(&payload, &knobs))?)
}

pub(super) fn formats(out: &mut impl Write) -> Result<(), Fault> {
    for format in Format::ALL {
        writeln!(out, "{:<13} {}", format.name(), describe(format))?;
    }
    Ok(())
}

/// How records are read that are of this topic and format, as far as these are named; with the topic's entry.
pub(super) fn knobs<'c>(
    config: &'c Config,
    topic: Option<&str>,
    named: Option<&str>,
) -> Result<(DecodeKnobs, Option<&'c EntrySpec>), Fault> {
    let (mut knobs, mut entry) = (config.decode_elsewhere.clone(), None);
    if let Some(topic) = topic {
        let entries = &config.plan.entries;
        let names = || entries.iter().map(|entry| entry.name.as_str());
        let Some((found, decode)) = entries.iter().zip(&config.decode).find(|(entry, _)| entry.name == topic)
        else {
            let mut said = format!("error: `kafka.topics` has no entry `{}`", cell(topic));
            if let Some(near) = nearest(topic, names()) {
                said.push_str(&format!("; did you mean `{near}`?"));
            }
            return Err(Fault::Usage(said));
        };
        (knobs, entry) = (decode.clone(), Some(found));
    }
    if let Some(named) = named {
        knobs.format = format(named)?;
    }
    Ok((knobs, entry))
}

/// The format with this name.
fn format(name: &str) -> Result<Format, Fault> {
    Format::parse(name).ok_or_else(|| {
        let names = Format::ALL.map(Format::name);
        let mut said = match LATER_FORMATS.contains(&name) {
            true => format!("error: format `{name}` is not in this version"),
            false => format!("error: there is no format `{}`", cell(name)),
        };
        if let Some(near) = nearest(name, names).filter(|_| !LATER_FORMATS.contains(&name)) {
            said.push_str(&format!("; did you mean `{near}`?"));
        }
        Fault::Usage(format!("{said}\n  = formats are {}", names.join(", ")))
    })
}
