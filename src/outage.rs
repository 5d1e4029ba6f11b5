//! The direct page: when the store has not taken anything for a minute, the outbox, which is in it, cannot tell
//! anybody. One message goes straight to every integration of the receivers of critical incidents, with an id that is
//! always the same, and another when the store works again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::Context;
use beaconfire_model::{Kind, Labels, Severity, Wall};
use beaconfire_notify::{Channel, Message};
use beaconfire_outbox::{Action, Handle, Outcome, Route};
use tokio::time::sleep;

use crate::health::{Health, Outage};
use crate::sender::House;
use crate::threads::now;

/// How long the store may be away before people are told.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The wait before a message that was not accepted is tried again.
const RETRY: Duration = Duration::from_secs(15);

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

/// Watches over the store for one integration, for as long as the process lives.
pub async fn watch(channel: Arc<Channel>, receiver: Arc<str>, house: Arc<House>, health: Health) {
    let mut changes = health.watch();
    loop {
        let outage = changes.borrow_and_update().clone();
        match outage {
            Some(outage) => {
                let until = outage.since.plus(PATIENCE);
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return } else { continue },
                    () = sleep(until.since(now())) => {}
                }
                let told = tell(&channel, &receiver, &house, &health, &outage).await;
                while health.outage().is_some() {
                    if changes.changed().await.is_err() {
                        return;
                    }
                }
                if let Some(handle) = told {
                    over(&channel, &receiver, &house, outage.since, handle.as_ref()).await;
                }
            }
            None => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Tries to tell until it is accepted or the outage is over; what the receiver gave for it.
async fn tell(
    channel: &Channel,
    receiver: &str,
    house: &House,
    health: &Health,
    outage: &Outage,
) -> Option<Option<Handle>> {
    while let Some(current) = health.outage() {
        let id = id(receiver, outage.since, "open");
        let message =
            Message::store_down(house.site(), Action::Open, &id, outage.since, &current.said, now());
        match channel.send(&message).await {
            Outcome::Accepted { remote, .. } => return Some(remote),
            outcome => {
                tracing::warn!(receiver, outcome = outcome.name(), "cannot say that the store is down");
                sleep(wait(&outcome)).await;
            }
        }
    }
    None
}

/// Says that the store works again: a few times, since by then the outbox works too.
async fn over(channel: &Channel, receiver: &str, house: &House, since: Wall, handle: Option<&Handle>) {
    for _ in 0..10 {
        let id = id(receiver, since, "resolve");
        let mut message = Message::store_down(house.site(), Action::Resolve, &id, since, "", now());
        message.handle = handle;
        match channel.send(&message).await {
            Outcome::Accepted { .. } => return,
            outcome => {
                tracing::warn!(receiver, outcome = outcome.name(), "cannot say that the store works again");
                sleep(wait(&outcome)).await;
            }
        }
    }
}

fn wait(outcome: &Outcome) -> Duration {
    match outcome {
        Outcome::Limited { after: Some(after) } => (*after).clamp(Duration::from_secs(1), 4 * RETRY),
        _ => RETRY,
    }
}

fn id(receiver: &str, since: Wall, what: &str) -> String {
    let receiver: String =
        receiver.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("store-down-{receiver}-{}-{what}", since.millis())
}

#[cfg(test)]
mod tests {
    use beaconfire_model::{Matcher, Matchers};

    use super::*;

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
}
