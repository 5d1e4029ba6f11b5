//! `run`: the service, until it is told to stop.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use beaconfire_config::{Config, Sources};
#[cfg(debug_assertions)]
use beaconfire_pipeline::WorkerKnobs;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use super::{Fault, load};
use crate::app::{App, Ask, Extras};
use crate::metrics::Metrics;

/// The environment variable with which a test switches the rewind off, to see that it then loses incidents. Builds for
/// production do not look at it.
#[cfg(debug_assertions)]
const NO_REWIND: &str = "BEACONFIRE_TEST_NO_REWIND";

/// Runs until told to stop. A reload reads the configuration anew and, where it is good, ends the service in order and
/// starts it again within the process: as all that matters is durable, it goes on where it was, and sends nothing twice.
pub(super) fn run(sources: &Sources) -> Result<(), Fault> {
    let mut config = load(sources)?;
    log_to_stderr();
    block_on(async {
        let mut signals = Signals::listen()?;
        let (reload, mut asked) = mpsc::channel(1);
        // What ran before, until what was read anew runs.
        let mut before: Option<Config> = None;
        let mut fell_back = false;
        loop {
            for warning in &config.warnings {
                tracing::warn!("{warning}");
            }
            let extras = Extras { reload: Some(reload.clone()), ..extras() };
            // A store that is locked is waited for: nobody should have to wait for that to end us.
            let started = tokio::select! {
                interrupted = signals.told_to_stop() => return end(interrupted),
                started = App::start(config.clone(), extras) => started,
            };
            let app = match (started, before.take()) {
                (Ok(app), _) => app,
                (Err(error), Some(good)) => {
                    let error = format!("{error:#}");
                    tracing::error!(%error, "the new configuration cannot be run: the one before goes on");
                    (config, fell_back) = (good, true);
                    continue;
                }
                // What ran before a reload must not end with it because the store is away at this moment.
                (Err(error), None) if fell_back => {
                    let error = format!("{error:#}");
                    tracing::error!(%error, "the configuration that ran before cannot be run at this moment");
                    tokio::select! {
                        interrupted = signals.told_to_stop() => return end(interrupted),
                        () = tokio::time::sleep(AGAIN) => continue,
                    }
                }
                (Err(error), None) => return Err(error.into()),
            };
            tracing::info!(version = env!("CARGO_PKG_VERSION"), address = %app.address(), "running");
            let metrics = app.metrics().clone();
            if std::mem::take(&mut fell_back) {
                metrics.reload_failed();
            }
            let mut next = None;
            let all_ended =
                app.run(async { next = Some(signals.next(&mut asked, sources, &metrics).await) }).await?;
            match next {
                Some(Next::Reload(_)) if !all_ended => {
                    let error = anyhow::anyhow!("what ran before a reload has not ended: start again");
                    return Err(error.into());
                }
                Some(Next::Reload(read)) => before = Some(std::mem::replace(&mut config, *read)),
                Some(Next::Stop { interrupted }) => return end(interrupted),
                None => return end(false),
            }
        }
    })
}

/// The wait before what ran is tried again, where it cannot be taken up after a reload.
const AGAIN: Duration = Duration::from_secs(2);

fn end(interrupted: bool) -> Result<(), Fault> {
    tracing::info!("stopped");
    if interrupted { Err(Fault::Interrupted) } else { Ok(()) }
}

/// What a running service is told.
enum Next {
    Stop { interrupted: bool },
    Reload(Box<Config>),
}

#[cfg(debug_assertions)]
fn extras() -> Extras {
    let rewind = std::env::var_os(NO_REWIND).is_none();
    Extras { worker: WorkerKnobs { rewind, ..WorkerKnobs::default() }, ..Extras::default() }
}

#[cfg(not(debug_assertions))]
fn extras() -> Extras {
    Extras::default()
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

/// The signals that a running service heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the end alone; whether by SIGINT.
    async fn told_to_stop(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => true,
        }
    }

    /// Waits for the end, or for a configuration to take over. One that cannot be read is refused, and what runs goes on.
    async fn next(&mut self, asked: &mut mpsc::Receiver<Ask>, sources: &Sources, metrics: &Metrics) -> Next {
        loop {
            let who: Option<Ask> = tokio::select! {
                _ = self.terminate.recv() => return stop(false),
                _ = self.interrupt.recv() => return stop(true),
                _ = self.hangup.recv() => None,
                Some(ask) = asked.recv() => Some(ask),
            };
            let read = match load(sources) {
                // What is running rides an outage out; what would be started could not even begin.
                Ok(_) if !metrics.store_is_up() => {
                    Err(Fault::Usage("the store is away: ask again when it is back".to_owned()))
                }
                read => read,
            };
            match read {
                Ok(config) => {
                    tracing::info!("the configuration was read anew: taking it over");
                    // Whoever asked has the answer before the server ends; gone is gone.
                    who.map(|ask| ask.send(Ok(())));
                    return Next::Reload(Box::new(config));
                }
                Err(fault) => {
                    let said = match fault {
                        Fault::Usage(said) => said,
                        other => format!("{other:?}"),
                    };
                    tracing::error!("the configuration is refused, what runs goes on: {said}");
                    metrics.reload_failed();
                    who.map(|ask| ask.send(Err(said)));
                }
            }
        }
    }
}

/// Told to stop; a second signal ends the process at once.
fn stop(interrupted: bool) -> Next {
    if let Ok(again) = Stop::listen() {
        let _: bool = again.then(interrupted);
    }
    Next::Stop { interrupted }
}

/// The signals that end us.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
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
                _ = self.hangup.recv() => tracing::info!("SIGHUP: there is no configuration to read anew"),
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
