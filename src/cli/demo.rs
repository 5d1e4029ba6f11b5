//! `demo`: see an attack found and told, without a Kafka of one's own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::Fault;
use super::run::{Stop, block_on, log_to_stderr};
use crate::demo::traffic::{FINDING, FLOOD, LOGIN};
use crate::demo::{Demo, Wishes};

/// What the demo is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The same seed gives the same traffic.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How fast the attacks follow one another; 1 takes some 40 s.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Where the console listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8480", value_name = "ADDR")]
    listen: SocketAddr,
    /// End after so long, for scripts: 30s, 2m.
    #[arg(long, value_parser = beaconfire_config::duration, value_name = "DURATION")]
    exit_after: Option<Duration>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.1..=20.0).contains(&speed) => Ok(speed),
        _ => Err("a number from 0.1 to 20".to_owned()),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Fault> {
    if std::env::var_os("RUST_LOG").is_some() {
        log_to_stderr();
    }
    let Arguments { seed, speed, listen, exit_after } = *arguments;
    let wishes = Wishes { seed, speed, listen };
    block_on(async {
        let stop = Stop::listen()?;
        let demo = Demo::start(&wishes).await?;
        say(&format!(
            "Beaconfire demo: open {} (ctrl-c ends it).\n\
             A shop's traffic runs through an embedded Kafka broker; its last two and a half hours lie there already, at \
             their end a crowd came to the orders and a worker began to mine. A flood begins after {:.0} s, a login \
             attack after {:.0} s, the miner's pool is seen after {:.0} s; incidents resolve by themselves about a minute \
             and a half after their attack.\n\
             Below is what email, Slack and PagerDuty would have received:\n",
            demo.url(),
            FLOOD.start as f64 / speed,
            LOGIN.start as f64 / speed,
            FINDING as f64 / speed,
        ));
        let mut interrupted = false;
        let asked = async {
            match exit_after {
                Some(after) => tokio::select! {
                    () = tokio::time::sleep(after) => {}
                    by_hand = stop.asked() => interrupted = by_hand,
                },
                None => interrupted = stop.asked().await,
            }
        };
        let started = std::time::Instant::now();
        demo.run(asked, |line| say(&format!("{:>6.1} s  {line}", started.elapsed().as_secs_f64()))).await?;
        if interrupted { Err(Fault::Interrupted) } else { Ok(()) }
    })
}

/// Prints a line at once, also into a pipe.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever read has gone: the demo goes on for those who look at the console.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
