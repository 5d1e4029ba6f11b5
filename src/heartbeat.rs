//! Heartbeats to watchers elsewhere, for as long as all is well: the store takes what we write, Kafka can be reached,
//! and somebody could be told of a critical incident. One that does not come is the alarm: it needs nothing of ours to
//! work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use beaconfire_notify::Heartbeat;
use tokio::time::{MissedTickBehavior, interval};

use crate::bells::Place;
use crate::health::Health;
use crate::sender::{Condition, House};
use crate::threads::now;

/// One heartbeat's task.
pub struct Pulse {
    /// The way out.
    pub heartbeat: Heartbeat,
    /// How often.
    pub every: Duration,
    /// What all is.
    pub vitals: Vitals,
    /// Whose heart it is.
    pub house: Arc<House>,
}

/// What must be well.
#[derive(Clone)]
pub struct Vitals {
    /// The store.
    pub health: Health,
    /// Whether Kafka can be reached.
    pub kafka_up: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The integrations.
    pub conditions: BTreeMap<Place, Condition>,
    /// The receivers of critical incidents.
    pub critical: BTreeSet<Arc<str>>,
}

impl Vitals {
    /// What is not well, for people.
    fn amiss(&self) -> Option<&'static str> {
        if self.health.outage().is_some() {
            return Some("the store does not take what we write");
        }
        if !(self.kafka_up)() {
            return Some("Kafka cannot be reached");
        }
        let mut pagers =
            self.conditions.iter().filter(|((receiver, _), _)| self.critical.contains(receiver)).peekable();
        let none_works =
            pagers.peek().is_some() && pagers.all(|(_, condition)| condition.failing().is_some());
        none_works.then_some("no receiver of critical incidents takes what it is told")
    }
}

impl Pulse {
    /// Beats for as long as the process lives.
    pub async fn run(self) {
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = None;
        loop {
            tick.tick().await;
            let amiss = self.vitals.amiss();
            if amiss != said {
                match amiss {
                    Some(why) => {
                        tracing::warn!(to = %self.heartbeat.shown(), why, "no heartbeat while this lasts")
                    }
                    None => {
                        tracing::info!(to = %self.heartbeat.shown(), "all is well again: heartbeats go on")
                    }
                }
                said = amiss;
            }
            if amiss.is_none()
                && let Err(said) = self.heartbeat.beat(&self.house.installation, now()).await
            {
                tracing::warn!(to = %self.heartbeat.shown(), %said, "a heartbeat was not taken");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use beaconfire_model::Secret;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// Whether a request comes within half a second, answered with 200.
    async fn beats(listener: &TcpListener) -> bool {
        let Ok(Ok((mut stream, _))) = timeout(Duration::from_millis(500), listener.accept()).await else {
            return false;
        };
        let mut request = vec![0; 4_096];
        let length = stream.read(&mut request).await.unwrap();
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        assert!(request.starts_with("POST /ping/secret HTTP/1.1"), "{request}");
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        true
    }

    #[tokio::test]
    async fn a_heart_beats_while_all_is_well_and_not_otherwise() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Secret::new(format!("http://{}/ping/secret", listener.local_addr().unwrap()));
        let heartbeat = Heartbeat::build(&url).unwrap();
        assert!(!heartbeat.shown().contains("secret"));
        let health = Health::default();
        let mut vitals = Vitals {
            health: health.clone(),
            kafka_up: Arc::new(|| false),
            conditions: BTreeMap::new(),
            critical: BTreeSet::new(),
        };
        assert_eq!(vitals.amiss(), Some("Kafka cannot be reached"));
        vitals.kafka_up = Arc::new(|| true);
        let house = Arc::new(House {
            installation: "test".into(),
            external_url: String::new(),
            privacy: beaconfire_view::Privacy::Redact,
            templates: Arc::default(),
            context: beaconfire_incident::Context::default(),
        });
        let pulse = Pulse { heartbeat, every: Duration::from_millis(20), vitals: vitals.clone(), house };
        let task = tokio::spawn(pulse.run());
        assert!(beats(&listener).await);
        health.down("disk full", now());
        // One may have been under way.
        let _ = beats(&listener).await;
        assert!(!beats(&listener).await);
        health.up();
        assert!(beats(&listener).await);
        task.abort();
    }

    #[test]
    fn a_heart_stops_where_nobody_could_be_told_of_a_page() {
        let place = |receiver: &str| (Arc::from(receiver), Arc::from("pagerduty-0"));
        let conditions: BTreeMap<Place, Condition> =
            ["pager", "deputy", "chat"].map(|receiver| (place(receiver), Condition::default())).into();
        let vitals = Vitals {
            health: Health::default(),
            kafka_up: Arc::new(|| true),
            conditions: conditions.clone(),
            critical: [Arc::from("pager"), Arc::from("deputy")].into(),
        };
        conditions[&place("pager")].fail("HTTP 403", true);
        assert_eq!(vitals.amiss(), None, "the deputy can be told");
        conditions[&place("deputy")].fail("HTTP 400", false);
        assert_eq!(vitals.amiss(), None, "it refused one message, and may take the next");
        conditions[&place("deputy")].fail("HTTP 500", true);
        assert_eq!(vitals.amiss(), Some("no receiver of critical incidents takes what it is told"));
    }
}
