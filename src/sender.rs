//! Senders: one task for each integration of each receiver, so that a receiver that hangs delays nobody else.
//!
//! A sender leases the most urgent row that is due, sends what the incident is now, and writes down what came of it.
//! One message is under way at a time; endpoints that several integrations share also share a pace. The row, not the
//! task, knows what is still to be told, so nothing is lost with a task or a process.

mod storm;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use beaconfire_incident::Context;
use beaconfire_model::{Labels, Wall};
use beaconfire_notify::{About, Channel, Matter, Message, Site, Templates};
use beaconfire_outbox::{
    Breaker, DigestKnobs, Fallback, Lane, Outcome, Pace, Rate, RetryKnobs, Row, Switch, Told, settle,
};
use beaconfire_store::{DeliveryLog, Store, StoreError};
use beaconfire_view::{DecisionJson, Privacy};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use crate::metrics::Metrics;
use crate::threads::now;

/// How long a row is ours: longer than any send takes (40 s), so that no other process takes it meanwhile.
const LEASE: Duration = Duration::from_secs(60);

/// How often a sender looks even where nothing woke it: rows that another process left behind.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The wait after a failure of the store.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// How often the outcome of an attempt is written before it is given up; the row's lease is over by then.
const SETTLE_TRIES: u32 = 240;

/// Paces by endpoint: kept for the process's life, shared by the integrations that speak to the same endpoint.
#[derive(Debug, Clone, Default)]
pub struct Paces(Arc<Mutex<BTreeMap<String, Arc<Mutex<Pace>>>>>);

impl Paces {
    /// The pace of a channel's endpoint. A new one goes on where the last process stopped; who shares an endpoint
    /// keeps to the slower of what is configured.
    async fn of(&self, channel: &Channel, rate: Rate, store: &Store, now: Wall) -> Arc<Mutex<Pace>> {
        let endpoint = channel.endpoint();
        let earlier = loop {
            match store.pace(&endpoint).await {
                Ok(earlier) => break earlier,
                // Nothing can be sent without the store anyway.
                Err(error) => {
                    tracing::debug!(%endpoint, %error, "the pace of an endpoint cannot be read yet");
                    sleep(STORE_RETRY).await;
                }
            }
        };
        let mut new = Pace::with(channel.kind(), rate, now);
        if let Some(earlier) = earlier {
            new.resume(earlier);
        }
        let mut paces = locked(&self.0);
        let held = paces.entry(endpoint).or_insert_with(|| Arc::new(Mutex::new(new.clone())));
        locked(held).narrow(&new);
        held.clone()
    }
}

/// What is the same for all messages of the process, owned.
#[derive(Debug, Clone)]
pub struct House {
    /// The installation's own id.
    pub installation: String,
    /// Where people reach the console.
    pub external_url: String,
    /// Whether query strings may be told.
    pub privacy: Privacy,
    /// The operator's own words.
    pub templates: Arc<Templates>,
    /// For annotations of services.
    pub context: Context,
}

impl House {
    /// As messages want it.
    pub fn site(&self) -> Site<'_> {
        Site {
            installation: &self.installation,
            external_url: &self.external_url,
            privacy: self.privacy,
            templates: Some(&self.templates),
        }
    }
}

/// How an integration is doing, for the status page.
#[derive(Debug, Clone, Default)]
pub struct Condition(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    paused_until: Option<Wall>,
    /// Misconfigured: not probed before then. The integration's own, as its neighbours at the same endpoint may be
    /// well: one channel of Slack that is archived, say.
    probe_at: Option<Wall>,
    last_error: Option<String>,
    /// The last attempt met an endpoint that takes nothing at the moment, which is not so of one message it refused.
    fails: bool,
    /// Whether the endpoint is worth asking.
    breaker: Breaker,
}

impl State {
    /// Until when nothing is sent: misconfigured, or the breaker is open.
    fn not_before(&self, now: Wall) -> Option<Wall> {
        self.probe_at.filter(|probe_at| *probe_at > now).max(self.breaker.allows(now).err())
    }
}

impl Condition {
    /// Until when its endpoint is paused, and what went wrong last.
    pub fn read(&self, now: Wall) -> (Option<Wall>, Option<String>) {
        let told = locked(&self.0);
        (told.paused_until.filter(|until| *until > now), told.last_error.clone())
    }

    /// What went wrong last, where the endpoint takes nothing at the moment.
    pub fn failing(&self) -> Option<String> {
        let told = locked(&self.0);
        told.last_error.clone().filter(|_| told.fails)
    }

    /// Nothing waits any more that speaks against the endpoint.
    fn forgive(&self) {
        let mut told = locked(&self.0);
        (told.probe_at, told.fails) = (None, false);
    }

    /// Takes down what went wrong.
    #[cfg(test)]
    pub(crate) fn fail(&self, said: &str, fails: bool) {
        let mut told = locked(&self.0);
        (told.last_error, told.fails) = (Some(said.to_owned()), fails);
    }
}

/// One integration's sender.
pub struct Sender {
    /// The receiver.
    pub receiver: Arc<str>,
    /// The integration within it.
    pub integration: Arc<str>,
    /// The way out.
    pub channel: Arc<Channel>,
    /// How fast its endpoint may be told.
    pub rate: Rate,
    /// When incidents fold into a digest.
    pub digest: DigestKnobs,
    /// A name for this task that no other task of any process has.
    pub owner: String,
    /// Where rows are.
    pub store: Store,
    /// What messages say of us.
    pub house: Arc<House>,
    /// What is counted.
    pub metrics: Metrics,
    /// How it is doing.
    pub condition: Condition,
    /// Rings when a row of ours changed.
    pub bell: Arc<Notify>,
    /// Who is told of pages that ours does not take.
    pub fallback: Option<StandIn>,
}

/// The receiver that is told in another's place.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// Which.
    pub fallback: Fallback,
    /// What wakes its senders.
    pub bells: Vec<Arc<Notify>>,
}

/// What a turn ended with.
enum Turn {
    /// Something was sent: look again at once.
    Sent,
    /// Nothing to do before then.
    Wait(Duration),
}

impl Sender {
    /// Sends until told to stop. What is under way then is finished or, after `stop`'s owner loses patience, dropped
    /// with the process: its lease runs out and another takes it up, with the same id.
    pub async fn run(self, paces: Paces, mut stop: watch::Receiver<bool>) {
        let pace = paces.of(&self.channel, self.rate, &self.store, now()).await;
        loop {
            if *stop.borrow() {
                self.keep(&pace).await;
                return;
            }
            let wait = match self.turn(&pace).await {
                Ok(Turn::Sent) => continue,
                Ok(Turn::Wait(wait)) => wait.min(LOOK_EVERY),
                // The keeper says that the store is away; here it is only waited for.
                Err(error) => {
                    tracing::debug!(receiver = %self.receiver, %error, "the outbox cannot be read");
                    STORE_RETRY
                }
            };
            tokio::select! {
                () = self.bell.notified() => {}
                () = sleep(wait) => {}
                _ = stop.changed() => {}
            }
        }
    }

    async fn turn(&self, pace: &Mutex<Pace>) -> Result<Turn, StoreError> {
        let at = now();
        self.store.gather(&self.receiver, &self.integration, at).await?;
        self.store.repeat(&self.receiver, &self.integration, at).await?;
        let held = self.store.fold(&self.receiver, &self.integration, &self.digest, at).await?;
        if held > 0 {
            tracing::info!(
                receiver = %self.receiver,
                integration = %self.integration,
                held,
                "more incidents than can be told one by one: the rest are told in a digest"
            );
        }
        self.fall_back(at).await?;
        let digest = self.next_digest(at).await?;
        let row = self.store.next_due(&self.receiver, &self.integration).await?;
        let Some(due) = row.into_iter().chain(digest.iter().map(|(due, _)| *due)).min() else {
            // Nothing is left to probe with: the next message finds out how it stands.
            self.condition.forgive();
            self.show_pause(pace);
            return Ok(Turn::Wait(LOOK_EVERY));
        };
        if due > at {
            self.show_pause(pace);
            return Ok(Turn::Wait(due.since(at)));
        }
        // Pages go before all else; a digest stands for many of what comes after it.
        let lane = self.store.next_lane(&self.receiver, &self.integration, at).await?;
        let digest = digest.filter(|(due, _)| *due <= at && lane != Some(Lane::Page));
        if digest.is_none() && lane.is_none() {
            // Another process has leased what was due.
            return Ok(Turn::Wait(Duration::from_millis(200)));
        }
        let wait_for = locked(&self.condition.0).not_before(at);
        if let Some(until) = wait_for {
            self.show_pause(pace);
            return Ok(Turn::Wait(until.since(at)));
        }
        let taken = locked(pace).take(lane.unwrap_or(Lane::Info), at);
        self.show_pause(pace);
        if let Err(until) = taken {
            return Ok(Turn::Wait(until.since(at)));
        }
        if let Some((_, standing)) = digest {
            self.deliver_digest(&standing.digest, pace).await?;
            return Ok(Turn::Sent);
        }
        let claimed = self.store.claim(&self.receiver, &self.integration, &self.owner, at, LEASE, 1).await?;
        // Another process was first: it sends.
        let Some(row) = claimed.into_iter().next() else { return Ok(Turn::Wait(Duration::from_millis(200))) };
        let key = row.key.clone();
        if let Err(error) = self.deliver(row, pace).await {
            // A page must not wait out our own lease because something could not be read.
            self.store.release(&key, &self.owner).await?;
            return Err(error);
        }
        Ok(Turn::Sent)
    }

    /// Has somebody else told of pages that this integration does not take.
    async fn fall_back(&self, at: Wall) -> Result<(), StoreError> {
        let Some(StandIn { fallback, bells }) = &self.fallback else { return Ok(()) };
        let broken = locked(&self.condition.0).probe_at.is_some();
        let fallen = self.store.fall_back(&self.receiver, &self.integration, fallback, broken, at).await?;
        if !fallen.is_empty() {
            bells.iter().for_each(|bell| bell.notify_one());
            tracing::warn!(
                receiver = %self.receiver,
                integration = %self.integration,
                fallback = %fallback.receiver,
                incidents = fallen.len(),
                "pages were not taken in time: the fallback is told too"
            );
        }
        Ok(())
    }

    /// What an outcome says of the endpoint. What waits is due when the breaker opens, since from then on that holds
    /// it back, and when it closes: nobody need wait out what an outage has earned.
    async fn heed(&self, matter: &str, outcome: &Outcome, pace: &Mutex<Pace>, at: Wall) {
        if let Outcome::Limited { after } = outcome {
            locked(pace).limited(*after, at);
            self.show_pause(pace);
            self.keep(pace).await;
        }
        // One row probes for all of them; which one, the lanes decide.
        let is_broken = matches!(outcome, Outcome::Misconfigured { .. });
        let switch = {
            let mut told = locked(&self.condition.0);
            told.probe_at = is_broken.then(|| at.plus(RetryKnobs::default().probe));
            told.breaker.heed(matter, outcome, at)
        };
        let now_what = match switch {
            Switch::Stays => return,
            Switch::Opened => "a receiver takes nothing: it is asked with one message now and then",
            Switch::Closed => "a receiver accepts messages again",
        };
        let waiting = self.store.hasten(&self.receiver, &self.integration, at).await;
        let waiting = waiting.unwrap_or_else(|error| {
            tracing::debug!(receiver = %self.receiver, %error, "what waits goes when its own wait is over");
            0
        });
        tracing::info!(receiver = %self.receiver, integration = %self.integration, waiting, "{now_what}");
    }

    /// Writes the pace down for the next process. Where the store is away, that one begins slowly instead.
    async fn keep(&self, pace: &Mutex<Pace>) {
        let state = locked(pace).state();
        if let Err(error) = self.store.save_pace(&self.channel.endpoint(), &state).await {
            tracing::debug!(receiver = %self.receiver, %error, "the pace cannot be written down");
        }
    }

    async fn deliver(&self, row: Row, pace: &Mutex<Pace>) -> Result<(), StoreError> {
        let Some((action, sent)) = row.sending() else {
            return self.store.release(&row.key, &self.owner).await;
        };
        let Some(dossier) = self.store.dossier(&row.key.incident).await? else {
            return self.store.release(&row.key, &self.owner).await;
        };
        let decisions: Vec<DecisionJson> =
            self.store.decisions_of(&row.key.incident).await?.iter().map(DecisionJson::stored).collect();
        let nothing = Labels::default();
        let service = self.house.context.services.get(&*dossier.incident.target.value);
        let annotations = service.map_or(&nothing, |service| &service.annotations);
        let id = row.notification_id(sent);
        let silence = match sent.silenced {
            true => self.store.silence_of(&dossier.incident.labels, now()).await?,
            false => None,
        };
        let silenced = silence.map(|silence| format!("by {} until {}", silence.signed(), silence.ends_at));
        let message = Message {
            matter: Matter::Incident(About {
                dossier: &dossier,
                revision: sent.revision,
                decisions: &decisions,
                silenced: silenced.as_deref(),
                annotations,
                via: row.via.as_deref(),
                again: row.again,
            }),
            action,
            notification_id: &id,
            handle: row.handle.as_ref(),
            now: now(),
            site: self.house.site(),
        };
        let started = Instant::now();
        let outcome = self.channel.send(&message).await;
        let (millis, at) = (u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX), now());
        self.heed(row.key.incident.as_str(), &outcome, pace, at).await;
        if matches!(outcome, Outcome::Accepted { .. }) {
            let waited = at.since(row.waiting_since).as_secs_f64();
            self.metrics.notification_delay.with_label_values(&[row.lane.name()]).observe(waited);
        }
        self.note(row.key.incident.as_str(), &outcome);
        let said = said(&outcome);
        let log = DeliveryLog {
            at,
            incident: row.key.incident.clone(),
            receiver: self.receiver.clone(),
            integration: self.integration.clone(),
            action: action.name().to_owned(),
            outcome: outcome.name().to_owned(),
            said,
            notification_id: id,
            millis,
        };
        self.write_down(&row, sent, &outcome, &log).await
    }

    /// What came of an attempt must be written, or it would be made again: while the store is away, nothing else is
    /// sent by this task.
    async fn write_down(
        &self,
        row: &Row,
        sent: Told,
        outcome: &Outcome,
        log: &DeliveryLog,
    ) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let jitter: f64 = rand::random();
            let apply = |row: Row| settle(row, sent, outcome, jitter, &RetryKnobs::default(), log.at);
            match self.store.settle(row, &self.owner, apply, log).await {
                Ok(_) => return Ok(()),
                Err(StoreError::LeaseLost) => {
                    tracing::warn!(
                        receiver = %self.receiver,
                        incident = %row.key.incident,
                        "another process took this delivery over; it may be told twice, with the same id"
                    );
                    return Ok(());
                }
                Err(error) if tries < SETTLE_TRIES => {
                    tries += 1;
                    tracing::debug!(receiver = %self.receiver, %error, "cannot write down what was sent yet");
                    sleep(STORE_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(
                        receiver = %self.receiver,
                        incident = %row.key.incident,
                        %error,
                        "what was sent could not be written down; it will be sent again, with the same id"
                    );
                    return Err(error);
                }
            }
        }
    }

    fn note(&self, about: &str, outcome: &Outcome) {
        let labels = [&*self.receiver, &*self.integration, outcome.name()];
        self.metrics.notifications.with_label_values(&labels).inc();
        let kind = self.channel.kind();
        let faults = self.house.templates.take_faults(kind);
        self.metrics.template_errors.with_label_values(&[kind.name()]).inc_by(faults);
        let mut told = locked(&self.condition.0);
        let mut against = said(outcome);
        if !matches!(outcome, Outcome::Accepted { .. }) {
            against.get_or_insert_with(|| outcome.name().to_owned());
        }
        if let Some(said) = &against {
            tracing::warn!(
                receiver = %self.receiver,
                integration = %self.integration,
                incident = about,
                outcome = outcome.name(),
                %said,
                "a receiver did not accept a message, or not for everybody"
            );
        }
        told.last_error = against;
        told.fails = matches!(
            outcome,
            Outcome::Deferred { .. } | Outcome::Misconfigured { .. } | Outcome::Limited { .. }
        );
    }

    fn show_pause(&self, pace: &Mutex<Pace>) {
        let at = now();
        let asked = locked(pace).paused_until(at);
        let mut told = locked(&self.condition.0);
        let until = asked.max(told.not_before(at));
        told.paused_until = until;
        let labels = [&*self.receiver, &*self.integration];
        self.metrics.paused.with_label_values(&labels).set(i64::from(until.is_some()));
    }
}

/// What the other side said, cleaned, where it did not accept, or not for everybody.
fn said(outcome: &Outcome) -> Option<String> {
    let said: &str = match outcome {
        Outcome::Deferred { said, .. } | Outcome::Misconfigured { said } | Outcome::Rejected { said } => said,
        Outcome::Accepted { said: Some(said), .. } => said,
        Outcome::Accepted { .. } | Outcome::Limited { .. } | Outcome::Gone => return None,
    };
    Some(beaconfire_model::Untrusted::new(said, 500).clean().to_owned())
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole after every write, so a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
mod words;
