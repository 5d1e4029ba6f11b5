//! The commands. Data on stdout, messages on stderr; exit codes: 0 done, 1 failed at run time, 2 usage or unreadable
//! configuration, 3 a check said no.

mod demo;
mod keys;
mod replay;
mod run;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use beaconfire_config::{Config, Sources};
use beaconfire_decode::{Format, describe, explain};
use clap::{CommandFactory as _, Parser, Subcommand};

/// Finds attacks in the request logs and runtime events you have in Kafka, and tells the people on call once.
#[derive(Debug, Parser)]
#[command(name = "beaconfire", version, max_term_width = 100)]
struct Arguments {
    /// The configuration; else $BEACONFIRE_CONFIG, else ./beaconfire.yaml where it exists, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The service: reads Kafka, finds attacks, tells people. SIGTERM drains and exits within 10 s.
    Run,
    /// The same with an embedded broker, generated traffic, staged attacks, and receivers that print what arrived.
    Demo(demo::Arguments),
    /// Back-test: files or stdin through the configured detectors in event time; nothing sent, nothing stored.
    Replay(replay::Arguments),
    /// Read configuration and rules, and print what is wrong with them.
    Check {
        /// Show the effective configuration, secrets redacted.
        #[arg(long)]
        print: bool,
    },
    /// How a record is understood, field by field.
    Explain {
        /// The format; `auto` decides by the record's shape.
        #[arg(long, default_value = "auto")]
        format: String,
        /// The record; `-` or nothing reads one from stdin.
        line: Option<String>,
    },
    /// Keys that bouncers show to read decisions.
    Keys {
        #[command(subcommand)]
        what: keys::What,
    },
    /// The formats that are understood.
    Formats,
    /// The configuration's defaults.
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// The version.
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the defaults as commented YAML.
    Default,
}

/// Why a command ends without success.
enum Fault {
    /// It failed at run time.
    Failed(anyhow::Error),
    /// It was asked wrongly, or the configuration cannot be read.
    Usage(String),
    /// A check said no; what it has to say was printed.
    No,
    /// Somebody pressed ctrl-c; everything ended in order.
    Interrupted,
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Parses the arguments, does what they say, and answers with the exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and versions are no faults; clap knows where each belongs.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fault::Failed(error)) => {
            // A reader that has seen enough is no fault.
            let closed = error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
            if closed {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
        Err(Fault::Usage(said)) => {
            eprintln!("{said}");
            ExitCode::from(2)
        }
        Err(Fault::No) => ExitCode::from(3),
        Err(Fault::Interrupted) => ExitCode::from(130),
    }
}

fn sources(file: Option<PathBuf>) -> Sources {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Sources::find(file, environment)
}

/// The configuration, its warnings printed; where it is refused, its complaints.
fn load(file: Option<PathBuf>) -> Result<Config, Fault> {
    match Config::load(&sources(file)) {
        Ok(config) => {
            for warning in &config.warnings {
                eprintln!("{warning}");
            }
            Ok(config)
        }
        Err(complaints) => {
            let said: Vec<String> = complaints.iter().map(ToString::to_string).collect();
            Err(Fault::Usage(said.join("\n")))
        }
    }
}

/// A stranger's text for the terminal: what cannot be seen is made visible.
fn cell(text: &str) -> String {
    beaconfire_model::Untrusted::new(text, 1_024).clean().to_owned()
}

fn format(name: &str) -> Result<Format, Fault> {
    Format::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        Fault::Usage(format!(
            "error: format `{name}` is not in this version; formats are {}",
            names.join(", ")
        ))
    })
}

fn run(arguments: Arguments) -> Result<(), Fault> {
    // One crypto provider for everything of ours that speaks TLS; a second call finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match &arguments.command {
        Command::Run => return run::run(load(arguments.config)?),
        Command::Demo(demo) => return demo::run(demo),
        _ => {}
    }
    let mut out = std::io::stdout().lock();
    match arguments.command {
        Command::Run | Command::Demo(_) => Ok(()),
        Command::Replay(replay) => replay::run(replay, load(arguments.config)?, &mut out),
        Command::Check { print } => match Config::load(&sources(arguments.config)) {
            Ok(config) => {
                for warning in &config.warnings {
                    eprintln!("{warning}");
                }
                if print {
                    write!(out, "{}", config.redacted())?;
                } else {
                    writeln!(out, "the configuration is good ({} warnings)", config.warnings.len())?;
                }
                Ok(())
            }
            Err(complaints) => {
                for complaint in complaints {
                    eprintln!("{complaint}");
                }
                Err(Fault::No)
            }
        },
        Command::Explain { format: name, line } => {
            let config = load(arguments.config)?;
            let knobs = beaconfire_decode::DecodeKnobs { format: format(&name)?, ..config.decode_elsewhere };
            let payload = match line {
                Some(line) if line != "-" => line.into_bytes(),
                _ => {
                    if std::io::stdin().is_terminal() {
                        eprintln!("reading one record from the terminal; end with ctrl-d");
                    }
                    let mut bytes = Vec::new();
                    // One byte over the cap is enough to be told that it is too large.
                    std::io::stdin().lock().take((1 << 20) + 1).read_to_end(&mut bytes)?;
                    bytes
                }
            };
            writeln!(out, "{}", explain(&payload, &knobs))?;
            Ok(())
        }
        Command::Keys { what } => keys::run(&what, &load(arguments.config)?, &mut out),
        Command::Formats => {
            for format in Format::ALL {
                writeln!(out, "{:<12} {}", format.name(), describe(format))?;
            }
            Ok(())
        }
        Command::Config { what: ConfigCommand::Default } => Ok(write!(out, "{}", Config::default_yaml())?),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "beaconfire", &mut out);
            Ok(())
        }
        Command::Version => Ok(writeln!(out, "beaconfire {}", env!("CARGO_PKG_VERSION"))?),
    }
}
