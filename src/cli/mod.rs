//! The commands, one file each. Data on stdout, messages on stderr; exit codes: 0 done, 1 failed at run time, 2 usage
//! or unreadable configuration, 3 a check said no, 130 interrupted.

mod case;
mod check;
mod closest;
mod dead_letters;
mod decisions;
mod demo;
mod explain;
mod health;
mod incidents;
mod instance;
mod keys;
mod later;
mod lists;
mod outbox;
mod output;
mod pinned;
mod render;
mod replay;
mod report;
mod routes;
mod run;
mod score;
mod silences;
mod test_notify;
mod version;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use beaconfire_config::{Config, Sources};
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
    /// A baseline over one series: CSV in, CSV with a score for each row out; 0.5 and above is an alert.
    Score(score::Arguments),
    /// How a record is understood, field by field.
    Explain(explain::Arguments),
    /// Read configuration and rules, and print what is wrong with them.
    Check {
        /// Show the effective configuration, secrets redacted.
        #[arg(long)]
        print: bool,
    },
    /// Try the routing tree.
    Routes {
        #[command(subcommand)]
        what: routes::What,
    },
    /// The messages that a receiver would get about an incident, as they would be sent; nothing is sent.
    Render(render::Arguments),
    /// Send one marked test through a receiver's real channels, and print what passed.
    TestNotify(test_notify::Arguments),
    /// Incidents of a running instance: list, show, acknowledge, note, resolve, accept, reopen.
    Incidents(incidents::Arguments),
    /// Notifications of a running instance that are not told in full: list, retry, drop.
    Outbox(outbox::Arguments),
    /// Records that a running instance could not read: list, show.
    DeadLetters(dead_letters::Arguments),
    /// Throttle decisions of a running instance: list, add, delete, flush.
    Decisions(decisions::Arguments),
    /// Silences of a running instance: list, add, expire.
    Silences(silences::Arguments),
    /// Keys that bouncers show to read decisions.
    Keys {
        #[command(subcommand)]
        what: keys::What,
    },
    /// Whether a running instance lives and is ready: exit code 0 or 1.
    Health(health::Arguments),
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
    /// What was built, from what.
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the defaults as commented YAML.
    Default,
}

/// Why a command ends without success.
#[derive(Debug)]
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
            match later::refused(&error, std::env::args_os()) {
                Some(said) => eprintln!("{said}"),
                // Help and versions are no faults; clap knows where each belongs.
                None => drop(error.print()),
            }
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

fn run(arguments: Arguments) -> Result<(), Fault> {
    // One crypto provider for everything of ours that speaks TLS; a second call finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Arguments { config, command } = arguments;
    match command {
        // These two end in order, and listen for themselves.
        Command::Run => return run::run(&sources(config)),
        Command::Demo(demo) => return demo::run(&demo),
        _ => run::end_at_interrupt(),
    }
    let mut out = std::io::stdout().lock();
    match command {
        Command::Run | Command::Demo(_) => Ok(()),
        Command::Replay(replay) => replay::run(replay, load(&sources(config))?, &mut out),
        Command::Score(series) => score::run(&series, &mut out),
        Command::Explain(record) => explain::run(record, load(&sources(config))?, &mut out),
        Command::Check { print } => check::run(print, config, &mut out),
        Command::Routes { what } => routes::run(what, &load(&sources(config))?, &mut out),
        Command::Render(what) => render::run(&what, &load(&sources(config))?, &mut out),
        Command::TestNotify(which) => test_notify::run(&which, &load(&sources(config))?, &mut out),
        Command::Incidents(incidents) => incidents::run(incidents, config, &mut out),
        Command::Outbox(outbox) => outbox::run(outbox, config, &mut out),
        Command::DeadLetters(letters) => dead_letters::run(letters, config, &mut out),
        Command::Silences(silences) => silences::run(silences, config, &mut out),
        Command::Decisions(decisions) => decisions::run(decisions, config, &mut out),
        Command::Keys { what } => keys::run(&what, &load(&sources(config))?, &mut out),
        Command::Health(health) => health::run(&health, config, &mut out),
        Command::Formats => explain::formats(&mut out),
        Command::Config { what: ConfigCommand::Default } => Ok(write!(out, "{}", Config::default_yaml())?),
        Command::Completions { shell } => {
            // Into memory first: it panics where it cannot write, and a reader may well have seen enough.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "beaconfire", &mut script);
            Ok(out.write_all(&script)?)
        }
        Command::Version => version::run(&mut out),
    }
}

fn sources(file: Option<PathBuf>) -> Sources {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Sources::find(file, environment)
}

/// The configuration, or why it is refused. What is merely doubtful in it is for `check` and `run` to say: other
/// commands would say it at every call.
fn load(sources: &Sources) -> Result<Config, Fault> {
    Config::load(sources).map_err(|complaints| {
        let errors = complaints.iter().filter(|complaint| complaint.is_error());
        Fault::Usage(errors.map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}
