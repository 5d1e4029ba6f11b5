//! The keeper's task: the one place where incidents change.
//!
//! It gathers what the shards report, reads the rows those facts concern, folds, and writes everything in one
//! transaction; only then are the barriers behind it answered, so that offsets can be committed. On a conflict (another
//! process was first) it reads and folds again; while the store fails it holds what it has, takes no more than fits, and
//! the queues behind it fill up until reading pauses. Commands of people take the same path.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_api::DeskError;
use beaconfire_incident::{Actor, Command, Fingerprint, Incident, IncidentId, Status, Transition};
use beaconfire_model::{Labels, Signal, Wall};
use beaconfire_pipeline::{Changes, Report, Shelf};
use beaconfire_store::StoreError;
use beaconfire_throttle::{Board, Decision, Origin};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::bells::Bells;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::reached::Reached;
use crate::round::{Round, Unsaved, Written};
use crate::threads::{Answers, now};

/// Reports that may wait for the keeper; beyond, shards wait.
pub const REPORTS: usize = 256;

/// Commands that may wait; beyond, people are told to try again.
pub const ORDERS: usize = 64;

/// Reports taken into one round at most.
const ROUND: usize = 1_024;

/// Tries of one write against other processes before it waits for the next turn.
const CONFLICTS: usize = 8;

/// The first and the longest wait after a failure of the store.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How often the progress of other processes is read.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What somebody asks of the keeper.
#[derive(Debug)]
pub struct Order {
    /// Which incident.
    pub id: IncidentId,
    /// Who asks.
    pub actor: Actor,
    /// What for.
    pub command: Command,
    /// Where the answer goes: the incident as it then stands, durable.
    pub answer: oneshot::Sender<Result<Incident, DeskError>>,
}

/// Facts from outside the shards that may wait, in batches; beyond, whoever brings them waits or is told to come back.
pub const FACTS: usize = 64;

/// Facts that come by other ways than the shards: what the process has noticed of itself, or was told over HTTP.
#[derive(Debug)]
pub struct Facts {
    /// The facts, of [`EntryId::OUTSIDE`](beaconfire_model::EntryId::OUTSIDE), each with labels of its own.
    pub signals: Vec<(Signal, Labels)>,
    /// What is over, whenever it was to end.
    pub over: Vec<Fingerprint>,
    /// Rings when all of it is durable; dropped unrung where it never will be.
    pub durable: Option<oneshot::Sender<()>>,
}

/// What the task needs of the rest of the process.
pub struct Keep {
    /// The keeper and its store.
    pub round: Round,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the store takes what is written.
    pub health: Health,
    /// Wakes the senders.
    pub bells: Bells,
    /// The table that bouncers read.
    pub board: Arc<Board>,
    /// What the store has of sources' progress.
    pub reached: Reached,
    /// The way back to the workers.
    pub answers: Answers,
    /// Who waits to hear that the facts up to a place are durable.
    pub promised: Vec<(u64, oneshot::Sender<()>)>,
}

impl Keep {
    /// Runs until the shards have ended and what they reported is written, or the store does not take it.
    pub async fn run(
        mut self,
        mut reports: mpsc::Receiver<Report>,
        mut orders: mpsc::Receiver<Order>,
        mut facts: mpsc::Receiver<Facts>,
    ) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut retry_at, mut wait) = (Instant::now(), RETRY.0);
        let mut progress_at = Instant::now();
        let mut rules = BTreeSet::new();
        let mut fresh = false;
        loop {
            let mut ended = false;
            tokio::select! {
                report = reports.recv(), if !self.round.keeper.is_full() => match report {
                    Some(report) => {
                        let mut next = Some(report);
                        for _ in 0..ROUND {
                            let Some(report) = next else { break };
                            self.take(report, &mut rules);
                            next = if self.round.keeper.is_full() { None } else { reports.try_recv().ok() };
                        }
                        if let Some(report) = next {
                            self.take(report, &mut rules);
                        }
                        fresh = true;
                    }
                    None => ended = true,
                },
                Some(order) = orders.recv() => self.obey(order).await,
                Some(brought) = facts.recv(), if !self.round.keeper.is_full() => {
                    self.hear(brought, &mut rules).await;
                    fresh = true;
                }
                _ = second.tick() => {
                    let well = self.time().await;
                    if progress_at.elapsed() >= PROGRESS_EVERY {
                        progress_at = Instant::now();
                        self.learn().await;
                    }
                    // Where nothing waits to be written, reading is all there is to judge by.
                    if well && !self.round.keeper.has_work() {
                        self.well();
                    }
                    fresh = true;
                }
                () = sleep_until(retry_at), if self.health.outage().is_some() && self.round.keeper.has_work() => {
                    fresh = true;
                }
            }
            if ended || (fresh && self.round.keeper.has_work() && Instant::now() >= retry_at) {
                fresh = false;
                if self.round().await {
                    wait = RETRY.0;
                } else {
                    retry_at = Instant::now() + wait;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
            if ended {
                return;
            }
        }
    }

    fn take(&mut self, report: Report, rules: &mut BTreeSet<String>) {
        for signal in &report.signals {
            self.metrics.signal(&signal.rule, rules);
        }
        self.round.keeper.receive(report, now());
    }

    /// Takes facts from outside the shards. What is over is over at once: the facts of the same batch are other alerts'.
    async fn hear(&mut self, brought: Facts, rules: &mut BTreeSet<String>) {
        let Facts { signals, over, durable } = brought;
        for (signal, _) in &signals {
            self.metrics.signal(&signal.rule, rules);
        }
        let none = signals.is_empty();
        let place = self.round.keeper.receive_facts(signals, now());
        if !self.end(&over).await {
            // Unrung: whoever brought it brings it again.
            return;
        }
        match durable {
            Some(ring) if none => {
                // Who asked may have gone.
                let _ = ring.send(());
            }
            durable => self.promised.extend(durable.map(|ring| (place, ring))),
        }
    }

    /// Ends what is over; whether the store took it.
    async fn end(&mut self, over: &[Fingerprint]) -> bool {
        if over.is_empty() {
            return true;
        }
        // What was brought before is folded first: an alert that began and ended within a moment is told of both.
        if self.round.keeper.has_work() && !self.round().await {
            return false;
        }
        for _ in 0..CONFLICTS {
            match self.try_end(over).await {
                Ok(()) => return true,
                Err(Unsaved::Conflict) => {}
                Err(Unsaved::Store(error)) => {
                    self.ill(&error);
                    return false;
                }
            }
        }
        false
    }

    async fn try_end(&mut self, over: &[Fingerprint]) -> Result<(), Unsaved> {
        let known = self.round.store.episodes(over).await?;
        let newest = known.into_values().filter_map(|(episodes, _)| episodes.into_iter().next_back());
        let open: Vec<Incident> = newest.filter(|incident| incident.status != Status::Resolved).collect();
        let ids: Vec<IncidentId> = open.iter().map(|incident| incident.id.clone()).collect();
        let shelf = Shelf { rows: self.round.store.rows(&ids).await?, ..Shelf::default() };
        let now = now();
        let changes = self.round.keeper.fold_over(&open, &shelf, now);
        self.write(&changes, now).await
    }

    /// Folds and writes what waits; whether the store took it.
    async fn round(&mut self) -> bool {
        for _ in 0..CONFLICTS {
            match self.try_round().await {
                Ok(()) => {
                    self.well();
                    return true;
                }
                Err(Unsaved::Conflict) => {}
                Err(Unsaved::Store(error)) => {
                    self.ill(&error);
                    return false;
                }
            }
        }
        tracing::warn!("other processes were faster {CONFLICTS} times in a row; trying again");
        false
    }

    async fn try_round(&mut self) -> Result<(), Unsaved> {
        let now = now();
        let changes = self.round.fold(now).await?;
        match self.write(&changes, now).await {
            Ok(()) => {
                for durable in self.round.saved(changes) {
                    self.answers.give(durable);
                }
                let oldest = self.round.keeper.oldest_waiting();
                for (_, ring) in self.promised.extract_if(.., |(place, _)| *place < oldest) {
                    // Who asked may have gone.
                    let _ = ring.send(());
                }
                Ok(())
            }
            Err(unsaved) => {
                self.round.keeper.undo(changes);
                Err(unsaved)
            }
        }
    }

    /// Writes changes in one transaction, then tells metrics, senders and the board.
    async fn write(&self, changes: &Changes, now: Wall) -> Result<(), Unsaved> {
        if let Some(Written { decided, progress }) = self.round.write(changes, now).await? {
            self.reached.note(&progress);
            self.tell(changes, decided, now);
        }
        Ok(())
    }

    fn tell(&self, changes: &Changes, decided: Vec<Decision>, now: Wall) {
        for folded in &changes.folded {
            let incident = &folded.incident;
            for transition in folded.transitions.iter().filter(|transition| transition.tells()) {
                tracing::info!(
                    incident = %incident.id,
                    kind = incident.kind.name(),
                    severity = incident.severity.name(),
                    stale = incident.stale,
                    "incident {}",
                    transition.name()
                );
                if *transition == Transition::Opened {
                    let labels = [incident.kind.name(), incident.severity.name()];
                    self.metrics.incidents.with_label_values(&labels).inc();
                    if !incident.stale {
                        let delay = now.as_event_time().since(incident.detected_at);
                        self.metrics.detection_delay.observe(delay.as_secs_f64());
                    }
                }
            }
        }
        for row in &changes.rows {
            self.bells.ring(&row.key);
        }
        // The commit may have taken seconds: bouncers hear of it from now on.
        let learned = crate::threads::now();
        for (wanted, decision) in changes.decisions.iter().zip(decided) {
            // A decision that lasts longer was active already: that one was answered.
            if (decision.created, decision.expires) == (wanted.created, wanted.expires) {
                let origin = if decision.origin == Origin::Rule { "rule" } else { "manual" };
                let labels = [decision.key.action.name(), decision.key.mode.name(), origin];
                self.metrics.decisions.with_label_values(&labels).inc();
            }
            self.board.put(decision, learned);
        }
        for refusal in &changes.refused {
            self.metrics.decisions_refused.with_label_values(&[refusal.name()]).inc();
        }
        self.metrics.impatient.inc_by(changes.impatient);
    }

    /// Folds the passing of time: incidents resolve, acknowledgements run out. Whether the store answered.
    async fn time(&mut self) -> bool {
        match self.try_time().await {
            // Somebody else was first: the next second sees what is left.
            Ok(()) | Err(Unsaved::Conflict) => true,
            Err(Unsaved::Store(error)) => {
                self.ill(&error);
                false
            }
        }
    }

    async fn try_time(&mut self) -> Result<(), Unsaved> {
        let now = now();
        match self.round.fold_time(now).await? {
            Some(changes) => {
                self.write(&changes, now).await?;
                // There are no barriers behind the passing of time.
                self.round.saved(changes);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Reads how far sources have come, also those of other processes.
    async fn learn(&self) {
        match self.round.store.progress().await {
            Ok(progress) => self.reached.note(&progress),
            Err(error) => self.ill(&error),
        }
    }

    async fn obey(&mut self, order: Order) {
        let Order { id, actor, command, answer } = order;
        let mut result = Err(DeskError::Unavailable("other processes were faster; try again".to_owned()));
        for _ in 0..CONFLICTS {
            match self.try_obey(&id, &actor, &command).await {
                Ok(answered) => {
                    result = answered;
                    break;
                }
                Err(Unsaved::Conflict) => {}
                Err(Unsaved::Store(error)) => {
                    self.ill(&error);
                    result = Err(DeskError::Unavailable(error.to_string()));
                    break;
                }
            }
        }
        // Who asked may have gone.
        let _ = answer.send(result);
    }

    async fn try_obey(
        &mut self,
        id: &IncidentId,
        actor: &Actor,
        command: &Command,
    ) -> Result<Result<Incident, DeskError>, Unsaved> {
        let Some(incident) = self.round.store.incident(id).await? else {
            return Ok(Err(DeskError::NotFound));
        };
        if *command == Command::Reopen && incident.status == Status::Resolved {
            let fingerprint = incident.fingerprint.clone();
            let known = self.round.store.episodes(std::slice::from_ref(&fingerprint)).await?;
            let later = known
                .get(&fingerprint)
                .and_then(|(episodes, _)| episodes.iter().find(|other| other.episode > incident.episode));
            if let Some(later) = later {
                let said = format!("a later incident of the same target took its place: {}", later.id);
                return Ok(Err(DeskError::Refused(said)));
            }
        }
        let mut shelf =
            Shelf { rows: self.round.store.rows(std::slice::from_ref(id)).await?, ..Shelf::default() };
        let now = now();
        let unresolved = self.round.keeper.policy().can_be_inhibited(incident.kind);
        self.round.surround(&mut shelf, unresolved, now).await?;
        match self.round.keeper.fold_command(&incident, actor, command.clone(), &shelf, now) {
            Err(refused) => Ok(Err(DeskError::Refused(refused.0))),
            Ok(changes) => {
                self.write(&changes, now).await?;
                Ok(self.round.store.incident(id).await?.ok_or(DeskError::NotFound))
            }
        }
    }

    fn well(&self) {
        self.health.up();
        self.metrics.store_up.set(1);
    }

    fn ill(&self, error: &StoreError) {
        self.health.down(&error.to_string(), now());
        self.metrics.store_up.set(0);
    }
}
