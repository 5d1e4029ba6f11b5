//! The direct page: when the store has not taken anything for a minute, the outbox, which is in it, cannot tell
//! anybody. One message goes straight to every integration of the receivers of critical incidents, with an id that is
//! always the same, and another when the store works again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::Context;
use beaconfire_model::{Kind, Labels, Severity, Wall};
use beaconfire_notify::{Channel, Message};
use beaconfire_outbox::{Action, Handle, IntegrationKind, Outcome, Route};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::health::{Health, Outage};
use crate::sender::House;
use crate::threads::now;

/// How long things take here.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long the store may be away before people are told.
    pub patience: Duration,
    /// The wait before a message that was not accepted is tried again.
    pub retry: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { patience: Duration::from_secs(60), retry: Duration::from_secs(15) }
    }
}

/// The receivers that a critical incident of any kind can reach, whatever its service.
pub fn receivers_of_critical(route: &Route, context: &Context) -> BTreeSet<Arc<str>> {
    let mut reached = BTreeSet::new();
    let services = context.services.iter().map(|(name, facts)| Some((name, &facts.labels)));
    let services: Vec<Option<(&String, &Labels)>> = services.chain([None]).collect();
    for kind in Kind::ALL {
        for service in &services {
            let mut labels = context.external.clone();
            if let Some((name, of_service)) = service {
                of_service.iter().for_each(|(name, value)| labels.set(name, value));
                labels.set("service", name);
            }
            labels.set("severity", Severity::Critical.name());
            labels.set("kind", kind.name());
            reached.extend(route.resolve(&labels).into_iter().map(|routed| routed.receiver));
        }
    }
    reached
}

/// Watches over the store for one integration.
#[derive(Debug)]
pub struct Watch {
    /// The way out.
    pub channel: Arc<Channel>,
    /// The receiver.
    pub receiver: Arc<str>,
    /// What messages say of us.
    pub house: Arc<House>,
    /// How the store is.
    pub health: Health,
    /// How long things take.
    pub times: Times,
}

/// What a receiver may know of an outage.
enum Told {
    /// Nothing: no message can have reached it.
    Nothing,
    /// That it began: a message was accepted, or may have been though no answer came.
    Maybe(Option<Handle>),
}

impl Watch {
    /// Watches for as long as the process lives.
    pub async fn run(self) {
        let mut changes = self.health.watch();
        self.close_what_an_earlier_process_left(&mut changes).await;
        loop {
            let outage = changes.borrow_and_update().clone();
            let Some(outage) = outage else {
                if changes.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let until = outage.since.plus(self.times.patience);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return } else { continue },
                () = sleep(until.since(now())) => {}
            }
            let told = self.tell(&outage, &mut changes).await;
            while self.health.outage().is_some() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            if let Told::Maybe(handle) = told {
                self.over(outage.since, handle.as_ref()).await;
            }
        }
    }

    /// A process that ended during an outage has left PagerDuty's alert open, which nothing else would close. Once the
    /// store has been well for a while it is resolved: where there is none, PagerDuty drops that without a word, as no
    /// other channel would.
    async fn close_what_an_earlier_process_left(&self, changes: &mut watch::Receiver<Option<Outage>>) {
        if self.channel.kind() != IntegrationKind::PagerDuty {
            return;
        }
        let is_well = tokio::select! {
            // An outage of our own: its end resolves the same alert.
            _ = changes.wait_for(Option::is_some) => false,
            () = sleep(self.times.patience) => true,
        };
        if is_well {
            self.over(now(), None).await;
        }
    }

    /// Tries to tell until it is accepted or the outage is over.
    async fn tell(&self, outage: &Outage, changes: &mut watch::Receiver<Option<Outage>>) -> Told {
        let mut told = Told::Nothing;
        while let Some(current) = self.health.outage() {
            let id = id(&self.receiver, outage.since, "open");
            let site = self.house.site();
            let message = Message::store_down(site, Action::Open, &id, outage.since, &current.said, now());
            let outcome = self.channel.send(&message).await;
            match outcome {
                Outcome::Accepted { remote, .. } => return Told::Maybe(remote),
                // What timed out may have been taken.
                Outcome::Deferred { .. } => told = Told::Maybe(None),
                _ => {}
            }
            let receiver = &*self.receiver;
            tracing::warn!(receiver, outcome = outcome.name(), "cannot say that the store is down");
            tokio::select! {
                () = sleep(self.wait(&outcome)) => {}
                // Its owner has gone with the process: nobody is left to tell for.
                ended = changes.wait_for(Option::is_none) => if ended.is_err() { break },
            }
        }
        told
    }

    /// Says that the store works again: a few times, since by then the outbox works too, and not into a new outage.
    async fn over(&self, since: Wall, handle: Option<&Handle>) {
        for _ in 0..10 {
            let id = id(&self.receiver, since, "resolve");
            let mut message = Message::store_down(self.house.site(), Action::Resolve, &id, since, "", now());
            message.handle = handle;
            match self.channel.send(&message).await {
                Outcome::Accepted { .. } => return,
                outcome => {
                    let receiver = &*self.receiver;
                    tracing::warn!(
                        receiver,
                        outcome = outcome.name(),
                        "cannot say that the store works again"
                    );
                    sleep(self.wait(&outcome)).await;
                }
            }
            if self.health.outage().is_some() {
                return;
            }
        }
    }

    fn wait(&self, outcome: &Outcome) -> Duration {
        match outcome {
            Outcome::Limited { after: Some(after) } => {
                (*after).clamp(Duration::from_secs(1), 4 * self.times.retry)
            }
            _ => self.times.retry,
        }
    }
}

fn id(receiver: &str, since: Wall, what: &str) -> String {
    let receiver: String =
        receiver.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("store-down-{receiver}-{}-{what}", since.millis())
}

#[cfg(test)]
mod tests {
    use beaconfire_model::{Matcher, Matchers, Secret};
    use beaconfire_notify::{Knobs, PagerDutyKnobs};
    use beaconfire_view::Privacy;

    use super::*;
    use crate::standins::{Alert, AlertState, Mode, PagerDuty, ROUTING_KEY};

    fn child(matcher: &str, receiver: &str) -> Route {
        let matchers = Matchers(vec![Matcher::parse(matcher).unwrap()]);
        Route { receiver: Some(receiver.into()), matchers, ..Route::default() }
    }

    #[test]
    fn whoever_a_critical_incident_can_reach_is_told_and_nobody_else() {
        let route = Route {
            receiver: Some("mail".into()),
            routes: vec![
                child(r#"severity="warning""#, "tickets"),
                child(r#"team="edge""#, "edge-pager"),
                child(r#"kind="flood""#, "pager"),
            ],
            ..Route::default()
        };
        let mut context = Context::default();
        let told = |context: &Context| -> Vec<String> {
            receivers_of_critical(&route, context).iter().map(ToString::to_string).collect()
        };
        assert_eq!(told(&context), ["mail", "pager"]);
        context.services.entry("shop".to_owned()).or_default().labels.set("team", "edge");
        assert_eq!(told(&context), ["edge-pager", "mail", "pager"]);
    }
    const QUICK: Times = Times { patience: Duration::from_millis(50), retry: Duration::from_millis(50) };

    async fn eventually(what: &str, holds: impl Fn() -> bool) {
        let begun = std::time::Instant::now();
        while !holds() {
            assert!(begun.elapsed() < Duration::from_secs(120), "{what} did not come");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn pager(standin: &PagerDuty, health: &Health) -> Watch {
        let knobs = PagerDutyKnobs { url: standin.url(), routing_key: Secret::new(ROUTING_KEY) };
        let house = House {
            installation: "eu-1".into(),
            external_url: "http://127.0.0.1:8480".into(),
            privacy: Privacy::Redact,
            templates: Arc::default(),
            context: Context::default(),
        };
        Watch {
            channel: Arc::new(Channel::build(&Knobs::PagerDuty(knobs)).unwrap()),
            receiver: "pager".into(),
            house: Arc::new(house),
            health: health.clone(),
            times: QUICK,
        }
    }

    #[tokio::test]
    async fn an_alert_that_an_earlier_process_left_open_is_resolved() {
        let standin = PagerDuty::start().await.unwrap();
        let health = Health::default();
        let state = || standin.alerts().get("eu-1.store-down").map(|alert| alert.state);
        health.down("database is locked", now());
        let earlier = tokio::spawn(pager(&standin, &health).run());
        eventually("the page", || state() == Some(AlertState::Triggered)).await;
        earlier.abort();
        let _later = tokio::spawn(pager(&standin, &Health::default()).run());
        eventually("the resolve", || state() == Some(AlertState::Resolved)).await;
        assert_eq!(standin.alerts().len(), 1, "one key");
    }

    #[tokio::test]
    async fn a_page_that_may_have_arrived_is_resolved() {
        let standin = PagerDuty::start().await.unwrap();
        let health = Health::default();
        let watching =
            Watch { times: Times { patience: Duration::ZERO, ..QUICK }, ..pager(&standin, &health) };
        health.down("database is locked", now());
        let _watching = tokio::spawn(watching.run());
        standin.set(Mode::Broken(503));
        eventually("a page", || !standin.turned_away().is_empty()).await;
        let before = standin.accepted();
        health.up();
        standin.set(Mode::Well);
        eventually("the resolve", || {
            let is_closed = |alert: &Alert| alert.state == AlertState::Resolved;
            standin.accepted() > before && standin.alerts().values().all(is_closed)
        })
        .await;
    }
}
