//! The port to the rest of the program: what the HTTP surface asks, in the words of the crates below it.
//!
//! The binary implements [`Desk`] over the store (reads), the keeper (commands, so that there is one path on which an
//! incident changes) and the board (decisions). Futures are boxed: a handler then is a plain function, and a page
//! costs one small allocation for each question.

mod letters;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{Actor, Command, Dossier, Incident, IncidentId, Relation, Status};
use beaconfire_model::{EventTime, Kind, Labels, Matchers, Wall};
use beaconfire_outbox::{ByHand, LedgerLine, Quiet, Row, Silence};
use beaconfire_throttle::{Action, Board, Decision, Mode};
use ipnet::IpNet;
use prometheus::Registry;

pub use self::letters::{LetterFacts, LetterQuery, OutboxFacts, OutboxQuery, RowPick};

/// What the desk answers, in its own time. Every answer is bounded by the surface's deadline of 10 s.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DeskError>> + Send + 'a>>;

/// What the HTTP surface knows and does.
pub trait Desk: Send + Sync + 'static {
    /// Incidents, worst first where `query.worst_first`, else newest first (`opened_at`, then id).
    fn incidents(&self, query: IncidentQuery) -> Answer<'_, Page<Incident>>;

    /// One incident with all that hangs on it; [`DeskError::NotFound`] where there is none.
    fn case(&self, id: IncidentId) -> Answer<'_, Case>;

    /// Does what a person asks and answers with the incident as it then stands, durable.
    fn command(&self, id: IncidentId, actor: Actor, command: Command) -> Answer<'_, Incident>;

    /// Silences that are not over, first to end first, then the latest that are.
    fn silences(&self) -> Answer<'_, Vec<SilenceFacts>>;

    /// Keeps a silence, or with `dry_run` only says what it would match; [`DeskError::Refused`] where there are too many.
    fn silence(&self, actor: Actor, wanted: NewSilence, dry_run: bool) -> Answer<'_, SilenceFacts>;

    /// Ends a silence now, and answers with it as it then stands; [`DeskError::NotFound`] where there is none of this id.
    fn expire_silence(&self, actor: Actor, id: String) -> Answer<'_, Silence>;

    /// One line a receiver, by name.
    fn ledger(&self) -> Answer<'_, Vec<LedgerLine>>;

    /// Rows that are not told in full, the oldest first.
    fn outbox(&self, query: OutboxQuery) -> Answer<'_, Page<OutboxFacts>>;

    /// Tries or drops rows, and answers with those as they then stand; [`DeskError::Refused`] where a sender is at one.
    fn by_hand(&self, actor: Actor, pick: RowPick, what: ByHand) -> Answer<'_, Vec<Row>>;

    /// Records that were rejected lately, as far as they are kept, the latest first.
    fn dead_letters(&self, query: LetterQuery) -> Answer<'_, Page<LetterFacts>>;

    /// Active decisions, newest first.
    fn decisions(&self, query: DecisionQuery) -> Answer<'_, Page<Decision>>;

    /// Decides by hand, under the guard; [`DeskError::Refused`] says what the guard has against it.
    fn decide(&self, actor: Actor, wanted: NewDecision) -> Answer<'_, Decision>;

    /// Takes decisions back; answers with those that were active. With `allow`, rules leave their networks alone for
    /// an hour: what is still going on would be decided again in the next second.
    fn lift(&self, actor: Actor, which: Lift, allow: bool) -> Answer<'_, Vec<Decision>>;

    /// The table that bouncers read.
    fn board(&self) -> &Board;

    /// The bouncer key with this SHA-256, unless it is revoked. The surface compares `sha256` once more, in constant
    /// time, so that the look-up itself need not be.
    fn bouncer_key(&self, sha256: [u8; 32]) -> Answer<'_, Option<BouncerKey>>;

    /// Writes down that a bouncer has pulled. Losing one of these is no fault.
    fn bouncer_pulled(&self, pull: Pull) -> Answer<'_, ()>;

    /// The name of this installation: what our incidents are called elsewhere begins with it.
    fn installation(&self) -> &str;

    /// What feeds us, by topic and partition.
    fn sources(&self) -> Answer<'_, Vec<SourceFacts>>;

    /// How we are ourselves. Answers also while the store does not.
    fn status(&self) -> Answer<'_, StatusFacts>;

    /// Takes alerts from elsewhere, and answers when they are durable.
    fn alerts(&self, alerts: Vec<PostedAlert>) -> Answer<'_, ()>;

    /// Reads the configuration anew and takes it over; [`DeskError::Invalid`] says what is wrong with it, and what ran
    /// goes on.
    fn reload(&self) -> Answer<'_, ()>;

    /// Whether the process works at all; the reason where it does not.
    fn live(&self) -> Result<(), String>;

    /// Whether it can serve: the group was joined once and the store can be read; the reason where not.
    fn ready(&self) -> Answer<'_, Result<(), String>>;

    /// The registry that `/metrics` prints.
    fn registry(&self) -> &Registry;
}

/// Why the desk does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// There is no such thing.
    #[error("not found")]
    NotFound,
    /// It exists, but what is asked cannot be done to it as it stands; in words, for the person who asked.
    #[error("refused: {0}")]
    Refused(String),
    /// What is asked cannot be understood (a foreign cursor); in words.
    #[error("not understood: {0}")]
    Invalid(String),
    /// The store or the keeper does not answer: try again; the cause, for the log.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

/// An alert from elsewhere, in Alertmanager's words, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostedAlert {
    /// What it is known by: at least one, none of them empty.
    pub labels: Labels,
    /// What it says.
    pub annotations: Labels,
    /// Since when it fires.
    pub starts_at: Option<Wall>,
    /// Until when, or since when it no longer does.
    pub ends_at: Option<Wall>,
    /// Where it comes from.
    pub generator_url: String,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Give this back for the next page; `None` at the end.
    pub next_cursor: Option<String>,
}

/// Which incidents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IncidentQuery {
    /// Any of these; empty for all.
    pub statuses: Vec<Status>,
    /// Any of these; empty for all.
    pub kinds: Vec<Kind>,
    /// Only those whose `service` label is this.
    pub service: Option<String>,
    /// Only those that still held at or after this (`holds_until`).
    pub since: Option<EventTime>,
    /// At most so many, 1 to 500.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Severity first (worst first), then newest; for the console, which asks for one page and needs no cursor.
    pub worst_first: bool,
}

/// Which decisions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecisionQuery {
    /// At most so many, 1 to 500.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// One incident with all that hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The incident, its signals, participants, timeline, samples and chart; `privacy.query` applied to all of it:
    /// what is in here is shown.
    pub dossier: Dossier,
    /// What each receiver should know and has been told.
    pub rows: Vec<Row>,
    /// What keeps receivers from hearing of it at this moment.
    pub quiet: Quiet,
    /// Single attempts, oldest first, at most the last 200.
    pub deliveries: Vec<DeliveryFacts>,
    /// Throttle decisions that answer it, oldest first, active or not.
    pub decisions: Vec<Decision>,
    /// `runbook_url` of its service, where it has one.
    pub runbook: Option<String>,
    /// Incidents that bring it about or that it brings about, with how and why.
    pub links: Vec<(Incident, Relation, &'static str)>,
}

/// One attempt to tell one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFacts {
    /// When.
    pub at: Wall,
    /// The receiver.
    pub receiver: Arc<str>,
    /// The integration within it.
    pub integration: Arc<str>,
    /// What it told: the outbox action's name.
    pub action: String,
    /// What came of it: [`Outcome::name`](beaconfire_outbox::Outcome::name).
    pub outcome: String,
    /// What the receiver said, cleaned, where it was not accepted.
    pub said: Option<String>,
}

/// A silence, and the incidents that it matches.
#[derive(Debug, Clone, PartialEq)]
pub struct SilenceFacts {
    /// The silence; without an id where it was only tried out.
    pub silence: Silence,
    /// Incidents that are not over and that it matches, at most [`SILENCED_SHOWN`]; none of one that is over.
    pub incidents: Vec<Incident>,
    /// How many there are.
    pub incidents_total: u64,
}

/// Incidents that are shown of one silence.
pub const SILENCED_SHOWN: usize = 50;

/// A silence as somebody wants it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSilence {
    /// What it matches; at least one matcher asks for something.
    pub matchers: Matchers,
    /// Who makes it, cleaned.
    pub author: String,
    /// Why, cleaned; may be empty.
    pub comment: String,
    /// From then on.
    pub starts_at: Wall,
    /// Up to then.
    pub ends_at: Wall,
}

/// A decision by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDecision {
    /// Whom: one address (/32, /128) or a network.
    pub network: IpNet,
    /// What is done.
    pub action: Action,
    /// In earnest or not; `None` for the operator's `throttle.mode`.
    pub mode: Option<Mode>,
    /// For how long, at least a second.
    pub duration: Duration,
    /// In words, cleaned, at most 500 bytes.
    pub reason: String,
}

/// Which decisions to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lift {
    /// The one with this number.
    Id(i64),
    /// All on exactly this network.
    Network(IpNet),
    /// All there are.
    All,
}

/// A key that a bouncer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BouncerKey {
    /// The name the operator gave it.
    pub name: Arc<str>,
    /// The SHA-256 of the key.
    pub sha256: [u8; 32],
}

/// A bouncer asked for decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The key's name.
    pub key: Arc<str>,
    /// From where it asked.
    pub client: std::net::IpAddr,
    /// Its `User-Agent`, cleaned, at most 120 bytes.
    pub agent: String,
    /// When.
    pub at: Wall,
}

/// One partition that feeds us.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFacts {
    /// The entry of `kafka.topics` it belongs to, by name.
    pub entry: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Records seen of each format, most first. They are counted by topic: its first partition here has them, and
    /// those of `rejected` and `late`, and the others have none.
    pub formats: Vec<(String, u64)>,
    /// Records rejected, by reason, most first.
    pub rejected: Vec<(String, u64)>,
    /// A few of them, oldest first within a reason.
    pub rejected_samples: Vec<RejectedFacts>,
    /// Late records.
    pub late: u64,
    /// The largest event time less the lateness; `None` before the first record.
    pub watermark: Option<EventTime>,
    /// The lateness that is configured.
    pub lateness: Duration,
    /// The lateness that would have covered 99.9 % of its records, rounded up to a power of two of milliseconds.
    pub disorder: Duration,
    /// Records behind the end of the partition; `None` while unknown.
    pub lag_records: Option<u64>,
}

/// A record that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedFacts {
    /// Why.
    pub reason: String,
    /// Its offset.
    pub offset: i64,
    /// How it begins (`privacy.query` applied, cleaned: what is in here is shown); `None` for a tombstone.
    pub payload: Option<String>,
}

/// How one integration of one receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverFacts {
    /// The receiver.
    pub receiver: Arc<str>,
    /// The integration within it.
    pub integration: Arc<str>,
    /// Rows that wait.
    pub pending: u64,
    /// Since when the oldest of them waits.
    pub oldest_pending: Option<Wall>,
    /// Until when its endpoint is paused.
    pub paused_until: Option<Wall>,
    /// What went wrong last, cleaned; `None` where the last attempt was accepted.
    pub last_error: Option<String>,
}

/// How we are ourselves.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusFacts {
    /// Our version.
    pub version: String,
    /// The revision it was built from; empty where unknown.
    pub revision: String,
    /// The name of this installation.
    pub installation: String,
    /// Since when the process runs.
    pub started: Wall,
    /// When the last record arrived, by our clock.
    pub last_record: Option<Wall>,
    /// Whether Kafka answers; `None` without Kafka.
    pub kafka_up: Option<bool>,
    /// Records behind the ends of our partitions, summed; `None` while unknown.
    pub lag_records: Option<u64>,
    /// Whether the store takes writes.
    pub store_up: bool,
    /// Each integration of each receiver.
    pub receivers: Vec<ReceiverFacts>,
    /// When the configuration was loaded.
    pub config_loaded: Wall,
    /// Rules that are not exact with the group's members and topics as they are, and why; `None` while that is not
    /// known.
    pub inexact_rules: Option<Vec<(String, String)>>,
    /// The mode of throttling where a rule does not say otherwise.
    pub throttle_mode: Mode,
    /// Series of what is usual that learn before anything is told of them, and in how much time the last of them tells.
    pub learning: (u64, Duration),
}
