//! A decision: who is throttled, how, until when, why.

use std::sync::Arc;

use beaconfire_incident::IncidentId;
use beaconfire_model::Wall;
use ipnet::IpNet;

/// CrowdSec's word for what sort of value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One address.
    Ip,
    /// A network.
    Range,
}

impl Scope {
    /// As CrowdSec writes it: `Ip`, `Range`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "Ip",
            Self::Range => "Range",
        }
    }
}

/// What an enforcer should do. Degrades only to a milder one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Slow down.
    Throttle,
    /// Ask for a proof of being human.
    Captcha,
    /// Refuse.
    Ban,
}

impl Action {
    /// All actions, mildest first.
    pub const ALL: [Self; 3] = [Self::Throttle, Self::Captcha, Self::Ban];

    /// The name in JSON, SQL and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Captcha => "captcha",
            Self::Ban => "ban",
        }
    }

    /// The action with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// Whether a decision is handed to enforcers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Recorded and shown; enforcers never see it.
    DryRun,
    /// Handed to enforcers.
    Enforce,
}

impl Mode {
    /// The name in JSON, SQL and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::Enforce => "enforce",
        }
    }

    /// The mode with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        [Self::DryRun, Self::Enforce].into_iter().find(|mode| mode.name() == name)
    }
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A rule.
    Rule,
    /// A person or token, by name.
    Manual(String),
}

/// At most one decision is active for each of these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionKey {
    /// The network: a /32 or /128 for one address, an IPv6 client's /64.
    pub network: IpNet,
    /// What is done.
    pub action: Action,
    /// Whether it is done.
    pub mode: Mode,
}

/// Who is throttled, how, until when, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The store's number, which bouncers see; 0 while not stored.
    pub id: i64,
    /// Whom, what, and whether it is done.
    pub key: DecisionKey,
    /// The rule, or `manual`.
    pub scenario: Arc<str>,
    /// Who decided.
    pub origin: Origin,
    /// The incident it answers.
    pub incident: Option<IncidentId>,
    /// In words.
    pub reason: String,
    /// Since when.
    pub created: Wall,
    /// Until when: never absent, never extended by a replay.
    pub expires: Wall,
    /// When it was taken back before its expiry.
    pub deleted: Option<Wall>,
    /// When anything about it changed: enforcers that poll hear of changes since their last poll.
    pub changed: Wall,
}

impl Decision {
    /// One address, or a network: an IPv6 client is its /64, which is a range.
    pub fn scope(&self) -> Scope {
        if self.key.network.prefix_len() == self.key.network.max_prefix_len() {
            Scope::Ip
        } else {
            Scope::Range
        }
    }

    /// The value as enforcers read it: a bare address for [`Scope::Ip`], `a.b.c.d/n` for [`Scope::Range`].
    pub fn value(&self) -> String {
        match self.scope() {
            Scope::Ip => self.key.network.addr().to_string(),
            Scope::Range => self.key.network.to_string(),
        }
    }

    /// Whether it holds at `now`.
    pub fn active(&self, now: Wall) -> bool {
        self.deleted.is_none() && self.expires > now
    }
}
