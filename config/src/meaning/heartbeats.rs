//! `heartbeats`: watchers elsewhere that are told that all is well.

use std::time::Duration;

use beaconfire_notify::Heartbeat;

use crate::config;
use crate::judge::Judge;
use crate::raw::Raw;

/// Heartbeats at most: each is a task and a request a minute.
const HEARTBEATS_MAX: usize = 20;

/// How often, where nothing is said.
const EVERY: Duration = Duration::from_secs(60);

/// Whom to tell that all is well, and how often.
pub(crate) fn heartbeats(judge: &mut Judge<'_>, raw: &Raw) -> Vec<config::Heartbeat> {
    let mut made = Vec::new();
    for (number, written) in raw.heartbeats.iter().enumerate() {
        if number == HEARTBEATS_MAX {
            judge.error(written.place, format!("there are more than {HEARTBEATS_MAX} heartbeats"), "");
            break;
        }
        if written.url.is_none() && written.url_file.is_none() {
            judge.error(
                written.place,
                "this heartbeat has no `url`",
                "for example `url: https://dead.example.com/ping`",
            );
        }
        let every = written.every.as_ref().map(|every| judge.span("every", every, "5s"..="1h"));
        let Some(url) = judge.secret("url", written.url.as_ref(), written.url_file.as_ref()) else {
            continue;
        };
        if let Err(said) = Heartbeat::build(&url.value) {
            judge.error(url.place, format!("this heartbeat cannot work: {said}"), "");
            continue;
        }
        made.push(config::Heartbeat { url: url.value, every: every.unwrap_or(EVERY) });
    }
    made
}
