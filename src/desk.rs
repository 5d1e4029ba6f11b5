//! The desk behind the HTTP surface: reads go to the store, commands to the keeper, decisions to store and board.

mod letters;
mod orders;
mod quiet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use beaconfire_api::{
    Answer, BouncerKey, Case, DecisionQuery, DeliveryFacts, Desk, DeskError, IncidentQuery, LetterFacts,
    LetterQuery, Lift, NewDecision, NewSilence, OutboxFacts, OutboxQuery, Page, PostedAlert, Pull,
    ReceiverFacts, RejectedFacts, RowPick, SilenceFacts, SourceFacts, StatusFacts,
};
use beaconfire_detect::{Census, Field, Plan, RuleSpec};
use beaconfire_incident::{Actor, Command, Context, Incident, IncidentId};
use beaconfire_ingest::{DeadLetters, Sample};
use beaconfire_model::{Names, Source, Untrusted, Wall};
use beaconfire_outbox::{ByHand, LedgerLine, Row, Silence};
use beaconfire_pipeline::{Counted, Policy, Tally, Tides};
use beaconfire_store::{Pick, Query, Store, StoreError};
use beaconfire_throttle::{Board, Decision, DecisionKey, Guard, Mode, Origin};
use beaconfire_view::Privacy;
use prometheus::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::alerts::Read;
use crate::app::Ask;
use crate::bells::{Bells, Place};
use crate::health::Health;
use crate::keep::{Facts, Order};
use crate::metrics::{Metrics, learning};
use crate::sender::Condition;
use crate::threads::{Accepts, now};

/// Attempts shown of one incident.
const DELIVERIES_SHOWN: usize = 200;

/// Bytes shown of a record that was rejected.
const REJECTED_SHOWN: usize = 512;

/// A key's last use is written at most so often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The minute of `throttle.budget.per_minute`.
const MINUTE: Duration = Duration::from_secs(60);

/// How long alerts from elsewhere may take to be durable, beneath the deadline of a request.
const DURABLE_WITHIN: Duration = Duration::from_secs(8);

/// For how long rules leave alone what somebody took back.
const ALLOWED_FOR: Duration = Duration::from_secs(3_600);

/// What was read of each topic since the process began.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<RwLock<SeenSoFar>>);

#[derive(Debug, Default)]
struct SeenSoFar {
    tally: Tally,
    last_record: Option<Wall>,
}

impl Seen {
    /// Adds what a worker counted.
    pub fn add(&self, tally: &Tally, now: Wall) {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seen.tally.add(tally);
        if tally.records > 0 {
            seen.last_record = Some(now);
        }
    }

    /// Shows what was read so far.
    pub fn with<T>(&self, show: impl FnOnce(&Tally) -> T) -> T {
        show(&self.0.read().unwrap_or_else(PoisonError::into_inner).tally)
    }

    fn last_record(&self) -> Option<Wall> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).last_record
    }
}

/// The parts it speaks for.
pub struct Office {
    /// Where to ask for a reload.
    pub reload: Option<mpsc::Sender<Ask>>,
    /// Where everything is.
    pub store: Store,
    /// The keeper's ear.
    pub orders: mpsc::Sender<Order>,
    /// And its ear for what comes from elsewhere.
    pub facts: mpsc::Sender<Facts>,
    /// The table that bouncers read.
    pub board: Arc<Board>,
    /// What may be throttled.
    pub guard: Guard,
    /// The mode of decisions that do not say.
    pub throttle_mode: Mode,
    /// For runbooks.
    pub context: Context,
    /// How each integration is doing.
    pub conditions: BTreeMap<Place, Condition>,
    /// Wakes the senders.
    pub bells: Bells,
    /// How far sources have come.
    pub tides: Arc<Tides>,
    /// The lateness of each entry of `kafka.topics`, by place.
    pub latenesses: Vec<Duration>,
    /// What was read.
    pub seen: Seen,
    /// The topics' names.
    pub names: Names,
    /// What was rejected.
    pub letters: DeadLetters,
    /// How Kafka is.
    pub ingest: beaconfire_ingest::Metrics,
    /// How many consumers there are.
    pub workers: usize,
    /// How the store is.
    pub health: Health,
    /// What of a request may be shown.
    pub privacy: Privacy,
    /// Since when the process runs; the configuration is as old.
    pub started: Wall,
    /// What `/metrics` prints.
    pub registry: Registry,
    /// What is counted of decisions by hand.
    pub metrics: Metrics,
    /// The rules that are switched on.
    pub rules: Vec<Counts>,
    /// When each key's use was written down last.
    pub touches: Touches,
    /// What the shards' tables hold, by thread.
    pub census: Arc<Mutex<BTreeMap<usize, Census>>>,
    /// What the configuration says of whom to tell.
    pub policy: Arc<Policy>,
    /// Which services' requests explain which workloads.
    pub plan: Arc<Plan>,
    /// Where what was accepted as usual is learned.
    pub accepts: Accepts,
}

/// By what a rule counts, as far as its exactness needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    rule: Arc<str>,
    by_address: bool,
}

impl Counts {
    /// What this rule counts by.
    pub fn of(rule: &RuleSpec) -> Self {
        let by_address = rule.by.iter().any(|field| matches!(field, Field::Client | Field::Prefix));
        Self { rule: rule.name.clone(), by_address }
    }
}

/// When the use of each bouncer's key was written down last. A poll only asks for that and does not wait: the store's
/// writer may be busy for seconds.
#[derive(Debug, Clone, Default)]
pub struct Touches(Arc<Mutex<BTreeMap<Arc<str>, Touch>>>);

#[derive(Debug, Clone, Copy)]
struct Touch {
    at: Wall,
    under_way: bool,
}

impl Touches {
    /// Whether a use at `at` is to be written down now: one write of a key at a time, and none soon after another.
    /// Say [`done`](Self::done) when it is.
    fn begin(&self, key: &Arc<str>, at: Wall) -> bool {
        let mut touches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = touches.get(key).is_none_or(|last| !last.under_way && at.since(last.at) >= TOUCH_EVERY);
        if due {
            touches.insert(key.clone(), Touch { at, under_way: true });
        }
        due
    }

    fn done(&self, key: &Arc<str>) {
        let mut touches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(touch) = touches.get_mut(key) {
            touch.under_way = false;
        }
    }
}

fn unavailable(error: StoreError) -> DeskError {
    match error {
        StoreError::Cursor => DeskError::Invalid(error.to_string()),
        _ => DeskError::Unavailable(error.to_string()),
    }
}

impl Office {
    async fn page(&self, query: IncidentQuery) -> Result<Page<Incident>, DeskError> {
        let IncidentQuery { statuses, kinds, service, since, limit, cursor, worst_first } = query;
        let query = Query { statuses, kinds, service, since, limit, cursor, worst_first };
        let page = self.store.incidents(&query).await.map_err(unavailable)?;
        Ok(Page { items: page.items, next_cursor: page.next_cursor })
    }

    async fn open_case(&self, id: IncidentId) -> Result<Case, DeskError> {
        let mut dossier = self.store.dossier(&id).await.map_err(unavailable)?.ok_or(DeskError::NotFound)?;
        let rows = self.store.rows(std::slice::from_ref(&id)).await.map_err(unavailable)?;
        let mut deliveries = self.store.deliveries(&id).await.map_err(unavailable)?;
        deliveries.drain(..deliveries.len().saturating_sub(DELIVERIES_SHOWN));
        let deliveries = deliveries.into_iter().map(|log| DeliveryFacts {
            at: log.at,
            receiver: log.receiver,
            integration: log.integration,
            action: log.action,
            outcome: log.outcome,
            said: log.said,
        });
        let deliveries = deliveries.collect();
        let decisions = self.store.decisions_of(&id).await.map_err(unavailable)?;
        let service = self.context.services.get(&*dossier.incident.target.value);
        let runbook = service.map(|service| service.annotations.get("runbook_url").to_owned());
        let runbook = runbook.filter(|url| !url.is_empty());
        let links = self.links(&dossier.incident).await?;
        let quiet = self.quiet(&dossier.incident).await?;
        self.privacy.apply_to_dossier(&mut dossier);
        Ok(Case { dossier, rows, quiet, deliveries, decisions, runbook, links })
    }

    /// Has alerts from elsewhere written down. Whoever sends them sends them again where it is told to.
    async fn hear(&self, alerts: Vec<PostedAlert>) -> Result<(), DeskError> {
        let away = || DeskError::Unavailable("the keeper does not take alerts".to_owned());
        let Read { firing, over } = crate::alerts::read(alerts, now());
        let (ring, durable) = oneshot::channel();
        let facts = Facts { signals: firing, over, durable: Some(ring) };
        let written = async {
            self.facts.send(facts).await.map_err(|_| away())?;
            durable.await.map_err(|_| away())
        };
        timeout(DURABLE_WITHIN, written).await.map_err(|_| away())?
    }

    async fn make(&self, actor: Actor, wanted: NewDecision) -> Result<Decision, DeskError> {
        let at = now();
        let mode = wanted.mode.unwrap_or(self.throttle_mode);
        let key = DecisionKey { network: wanted.network, action: wanted.action, mode };
        let active = self.board.active(at);
        let others = active.iter().filter(|held| held.key.mode == mode && held.key != key).count();
        let made = active
            .iter()
            .filter(|held| held.key.mode == mode && held.key != key && at.since(held.created) < MINUTE)
            .count();
        self.guard.check(wanted.network, others, made).map_err(|refusal| {
            DeskError::Refused(format!(
                "{} may not be throttled: {} (throttle.never, throttle.max_prefix, throttle.budget)",
                wanted.network,
                refusal.name()
            ))
        })?;
        let decision = Decision {
            id: 0,
            key,
            scenario: "manual".into(),
            origin: Origin::Manual(actor.0),
            incident: None,
            reason: wanted.reason,
            created: at,
            expires: at.plus(wanted.duration),
            deleted: None,
            changed: at,
        };
        let stored = self.store.add_decision(&decision).await.map_err(unavailable)?;
        // A decision that lasts longer may have been active already: that one was answered.
        let made = |held: &Decision| (held.created, held.expires, held.origin.clone());
        if made(&stored) == made(&decision) {
            let labels = [stored.key.action.name(), stored.key.mode.name(), "manual"];
            self.metrics.decisions.with_label_values(&labels).inc();
        }
        self.board.put(stored.clone(), now());
        Ok(stored)
    }

    async fn take_back(&self, actor: Actor, which: Lift, allow: bool) -> Result<Vec<Decision>, DeskError> {
        let at = now();
        let pick = match which {
            Lift::Id(id) => Pick::Id(id),
            Lift::Network(network) => Pick::Network(network),
            Lift::All => Pick::All,
        };
        let allow_until = allow.then(|| at.plus(ALLOWED_FOR));
        let lifted = self.store.delete_decision(&pick, allow_until, at).await.map_err(unavailable)?;
        tracing::info!(
            actor = %actor.0,
            decisions = lifted.len(),
            allowed = allow,
            "throttle decisions were taken back"
        );
        for decision in &lifted {
            self.board.put(decision.clone(), now());
        }
        Ok(lifted)
    }

    fn facts_of_sources(&self) -> Vec<SourceFacts> {
        let samples = self.letters.samples();
        let seen = self.seen.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut told = BTreeSet::new();
        let facts = |(source, tide): (Source, beaconfire_pipeline::Tide)| {
            let topic = self.names.name(source.topic);
            let (mut formats, mut rejected, mut late) = (Vec::new(), Vec::new(), 0);
            // Counted by topic: told once, so that sums over partitions are right.
            let first = told.insert(source.topic);
            for (_, what, n) in seen.tally.counts().filter(|(of, ..)| first && *of == source.topic) {
                match what {
                    Counted::Decoded(format) => formats.push((format.name().to_owned(), n)),
                    Counted::Rejected(reason) => rejected.push((reason.name().to_owned(), n)),
                    Counted::Late => late += n,
                    Counted::Skewed | Counted::Partial => {}
                }
            }
            for counts in [&mut formats, &mut rejected] {
                counts.sort_by(|a: &(String, u64), b| (b.1, &a.0).cmp(&(a.1, &b.0)));
            }
            let entry = usize::from(source.entry.0);
            SourceFacts {
                entry: self.context.entries.get(entry).cloned().unwrap_or_default(),
                topic: topic.to_string(),
                partition: source.partition,
                formats,
                rejected,
                rejected_samples: samples_of(&samples, &topic, source.partition),
                late,
                watermark: (tide.watermark > beaconfire_model::EventTime::MIN).then_some(tide.watermark),
                lateness: self.latenesses.get(entry).copied().unwrap_or_default(),
                disorder: Duration::from_millis(tide.disorder_millis),
                lag_records: self.ingest.lag(&topic, source.partition),
            }
        };
        self.tides.snapshot().into_iter().map(facts).collect()
    }

    async fn state(&self) -> StatusFacts {
        let at = now();
        // A store that cannot be read is said as `store_up`; the rest of the page still answers.
        let backlog = self.store.backlog().await.unwrap_or_default();
        let receivers = self.conditions.iter().map(|((receiver, integration), condition)| {
            let (paused_until, last_error) = condition.read(at);
            let of = || {
                backlog.iter().filter(|line| line.receiver == *receiver && line.integration == *integration)
            };
            ReceiverFacts {
                receiver: receiver.clone(),
                integration: integration.clone(),
                pending: of().map(|line| line.rows).sum(),
                oldest_pending: of().map(|line| line.oldest).min(),
                paused_until,
                last_error,
            }
        });
        let receivers = receivers.collect();
        let learning = learning(&self.census.lock().unwrap_or_else(PoisonError::into_inner));
        let lags: Option<Vec<u64>> = self
            .tides
            .snapshot()
            .keys()
            .map(|source| self.ingest.lag(&self.names.name(source.topic), source.partition))
            .collect();
        StatusFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: option_env!("BEACONFIRE_REVISION").unwrap_or_default().to_owned(),
            installation: self.store.installation().to_owned(),
            started: self.started,
            last_record: self.seen.last_record(),
            kafka_up: Some(self.ingest.kafka_up()),
            lag_records: lags.filter(|lags| !lags.is_empty()).map(|lags| lags.iter().sum()),
            store_up: self.health.outage().is_none(),
            receivers,
            config_loaded: self.started,
            inexact_rules: self.inexact_rules().await,
            throttle_mode: self.throttle_mode,
            learning: (learning.series, learning.left),
        }
    }

    /// Rules whose counts may be spread over processes; `None` where the store does not answer, or we hold no
    /// partition and so cannot tell others' from ours.
    async fn inexact_rules(&self) -> Option<Vec<(String, String)>> {
        let held: BTreeSet<(String, i32)> = self
            .tides
            .snapshot()
            .into_keys()
            .map(|source| (self.names.name(source.topic).to_string(), source.partition))
            .collect();
        let progress = self.store.progress().await.ok().filter(|_| !held.is_empty())?;
        let elsewhere = progress.iter().any(|row| !held.contains(&(row.topic.clone(), row.partition)));
        let why = |counts: &Counts| {
            let why = if counts.by_address {
                "other processes read, or lately read, partitions of the same topics: exact only where records are \
                 keyed by the client's prefix"
            } else {
                "other processes read, or lately read, partitions of the same topics, and each counts its own"
            };
            (counts.rule.to_string(), why.to_owned())
        };
        Some(if elsewhere { self.rules.iter().map(why).collect() } else { Vec::new() })
    }

    /// Ready to serve: the group was joined once, and the store can be read. One that takes no writes is `store_up`'s to
    /// tell: console, API and bouncers are answered from it all the same, and to take a process that waits for its disk
    /// out of service would leave people without the only page that says so.
    async fn readiness(&self) -> Result<(), String> {
        if self.ingest.joined() < self.workers {
            return Err("the consumer group is not joined yet".to_owned());
        }
        self.store.healthy().await.map_err(|error| error.to_string())
    }

    fn touch(&self, pull: Pull) {
        if !self.touches.begin(&pull.key, pull.at) {
            return;
        }
        let (store, touches) = (self.store.clone(), self.touches.clone());
        tokio::spawn(async move {
            if let Err(error) = store.key_touch(&pull.key, pull.at).await {
                // Bookkeeping: the next one tries again.
                tracing::warn!(%error, bouncer = &*pull.key, "a bouncer's pull could not be written down");
            }
            touches.done(&pull.key);
        });
    }
}

/// What was kept of a partition's rejected records, as it may be shown: queries were redacted before it was kept.
fn samples_of(samples: &[Sample], topic: &str, partition: i32) -> Vec<RejectedFacts> {
    let of = samples.iter().filter(|sample| sample.topic == topic && sample.partition == partition);
    let facts = of.map(|sample| RejectedFacts {
        reason: sample.reason.to_owned(),
        offset: sample.offset,
        payload: sample.payload.as_deref().map(|payload| {
            Untrusted::new(&String::from_utf8_lossy(payload), REJECTED_SHOWN).clean().to_owned()
        }),
    });
    facts.collect()
}

impl Desk for Office {
    fn incidents(&self, query: IncidentQuery) -> Answer<'_, Page<Incident>> {
        Box::pin(self.page(query))
    }

    fn case(&self, id: IncidentId) -> Answer<'_, Case> {
        Box::pin(self.open_case(id))
    }

    fn command(&self, id: IncidentId, actor: Actor, command: Command) -> Answer<'_, Incident> {
        Box::pin(self.order(id, actor, command))
    }

    fn silences(&self) -> Answer<'_, Vec<SilenceFacts>> {
        Box::pin(self.all_silences())
    }

    fn silence(&self, actor: Actor, wanted: NewSilence, dry_run: bool) -> Answer<'_, SilenceFacts> {
        Box::pin(self.hush(actor, wanted, dry_run))
    }

    fn expire_silence(&self, actor: Actor, id: String) -> Answer<'_, Silence> {
        Box::pin(async move { self.unhush(actor, &id).await })
    }

    fn ledger(&self) -> Answer<'_, Vec<LedgerLine>> {
        Box::pin(async { self.store.ledger().await.map_err(unavailable) })
    }

    fn outbox(&self, query: OutboxQuery) -> Answer<'_, Page<OutboxFacts>> {
        Box::pin(self.unfinished(query))
    }

    fn by_hand(&self, actor: Actor, pick: RowPick, what: ByHand) -> Answer<'_, Vec<Row>> {
        Box::pin(self.handle(actor, pick, what))
    }

    fn dead_letters(&self, query: LetterQuery) -> Answer<'_, Page<LetterFacts>> {
        Box::pin(async move { self.letters(&query) })
    }

    fn decisions(&self, query: DecisionQuery) -> Answer<'_, Page<Decision>> {
        Box::pin(async move {
            let before = match &query.cursor {
                Some(cursor) => Some(cursor.parse::<i64>().map_err(|_| {
                    DeskError::Invalid("the cursor is not one that a page gave out".to_owned())
                })?),
                None => None,
            };
            let mut items = self.store.decisions_active(now()).await.map_err(unavailable)?;
            items.sort_by_key(|decision| std::cmp::Reverse(decision.id));
            items.retain(|decision| before.is_none_or(|before| decision.id < before));
            let more = items.len() > query.limit;
            items.truncate(query.limit);
            let next_cursor = items.last().filter(|_| more).map(|last| last.id.to_string());
            Ok(Page { items, next_cursor })
        })
    }

    fn decide(&self, actor: Actor, wanted: NewDecision) -> Answer<'_, Decision> {
        Box::pin(self.make(actor, wanted))
    }

    fn lift(&self, actor: Actor, which: Lift, allow: bool) -> Answer<'_, Vec<Decision>> {
        Box::pin(self.take_back(actor, which, allow))
    }

    fn board(&self) -> &Board {
        &self.board
    }

    fn bouncer_key(&self, sha256: [u8; 32]) -> Answer<'_, Option<BouncerKey>> {
        Box::pin(async move {
            let hex: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
            let name = self.store.key_verify(&hex).await.map_err(unavailable)?;
            Ok(name.map(|name| BouncerKey { name: name.into(), sha256 }))
        })
    }

    fn bouncer_pulled(&self, pull: Pull) -> Answer<'_, ()> {
        self.touch(pull);
        Box::pin(std::future::ready(Ok(())))
    }

    fn installation(&self) -> &str {
        self.store.installation()
    }

    fn sources(&self) -> Answer<'_, Vec<SourceFacts>> {
        Box::pin(async { Ok(self.facts_of_sources()) })
    }

    fn status(&self) -> Answer<'_, StatusFacts> {
        Box::pin(async { Ok(self.state().await) })
    }

    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Answer<'_, Result<(), String>> {
        Box::pin(async { Ok(self.readiness().await) })
    }

    fn reload(&self) -> Answer<'_, ()> {
        Box::pin(async {
            let (answer, said) = oneshot::channel();
            let Some(reload) = &self.reload else {
                return Err(DeskError::Refused("there is no configuration to read anew".to_owned()));
            };
            // Where one is under way, the next may have to read what has changed since.
            let gone = |_| DeskError::Unavailable("the service is ending".to_owned());
            reload
                .try_send(answer)
                .map_err(|_| DeskError::Unavailable("a reload is under way".to_owned()))?;
            said.await.map_err(gone)?.map_err(DeskError::Invalid)
        })
    }

    fn alerts(&self, alerts: Vec<PostedAlert>) -> Answer<'_, ()> {
        Box::pin(self.hear(alerts))
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }
}

#[cfg(test)]
mod tests;
