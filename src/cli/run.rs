//! `run`: the service, until it is told to stop.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use beaconfire_config::Config;
use beaconfire_pipeline::WorkerKnobs;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::Fault;
use crate::app::{App, Extras};

/// The environment variable with which a test switches the rewind off, to see that it then loses incidents. Builds for
/// production do not look at it.
#[cfg(debug_assertions)]
const NO_REWIND: &str = "BEACONFIRE_TEST_NO_REWIND";

pub(super) fn run(config: Config) -> Result<(), Fault> {
    log_to_stderr();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    block_on(async {
        let stop = Stop::listen()?;
        let app = App::start(config, extras()).await?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), address = %app.address(), "running");
        let mut interrupted = false;
        app.run(async { interrupted = stop.asked().await }).await?;
        tracing::info!("stopped");
        if interrupted { Err(Fault::Interrupted) } else { Ok(()) }
    })
}

#[cfg(debug_assertions)]
fn extras() -> Extras {
    let rewind = std::env::var_os(NO_REWIND).is_none();
    Extras { worker: WorkerKnobs { rewind, ..WorkerKnobs::default() } }
}

#[cfg(not(debug_assertions))]
fn extras() -> Extras {
    Extras { worker: WorkerKnobs::default() }
}

/// Messages go to stderr; `RUST_LOG` says which.
pub(super) fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where stderr is a file on a full disk, saying so on stderr would end the thread that had something to say.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // A test may have set one up already; then that one hears everything.
    let _ = subscriber.try_init();
}

/// Runs a future to its end on a runtime of its own, and leaves behind whatever hangs then.
pub(super) fn block_on<T>(future: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let runtime: Runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// Ends the process at ctrl-c, for commands that have nothing to bring to an end. Where no thread for it can be had,
/// ctrl-c ends it too, and only the exit code is another.
pub(super) fn end_at_interrupt() {
    let listen = || -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async {
            signal(SignalKind::interrupt())?.recv().await;
            std::process::exit(130)
        })
    };
    let _ = std::thread::Builder::new().name("interrupt".to_owned()).spawn(listen);
}

/// The signals that end us.
pub(super) struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Stop {
    /// Listens from now on.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; whether it was the latter. A second one ends the process at once.
    pub(super) async fn asked(mut self) -> bool {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break self.then(false),
                _ = self.interrupt.recv() => break self.then(true),
                _ = self.hangup.recv() => tracing::error!(
                    "SIGHUP: reloading is not in this version; restart to take the new configuration over"
                ),
            }
        }
    }

    fn then(mut self, interrupted: bool) -> bool {
        tokio::spawn(async move {
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            eprintln!("stopping at once: what was not committed will be read again");
            std::process::exit(if interrupted { 130 } else { 1 });
        });
        interrupted
    }
}
