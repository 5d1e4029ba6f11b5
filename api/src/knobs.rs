//! The operator's wishes for the HTTP surface, from `http`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use beaconfire_model::Secret;

/// Where to listen, under which name, and whom to let in.
#[derive(Debug, Clone)]
pub struct HttpKnobs {
    /// `address:port`; port 0 takes a free one, `:port` listens on all addresses.
    pub listen: String,
    /// The URL under which people reach the console: it goes into links, and its host is one we answer to.
    pub external_url: String,
    /// A second address that serves `/metrics`, `/healthz` and `/readyz` only, to the same logins.
    pub metrics_listen: Option<String>,
    /// Machines, and people with less than an admin's rights. A browser logs in with the token's name as user and its
    /// secret as password.
    pub tokens: Vec<Token>,
    /// User names and bcrypt hashes, as Prometheus has them; each has the role admin.
    pub basic_auth_users: BTreeMap<String, Secret>,
    /// TLS on `listen` (and on `metrics_listen`), where set.
    pub tls: Option<TlsKnobs>,
    /// What Slack signs the clicks on our buttons with; without it `/hooks/slack` is not there.
    pub slack_signing_secret: Option<Secret>,
    /// What PagerDuty signs its webhooks with, one secret a line; without it `/hooks/pagerduty` is not there.
    pub pagerduty_webhook_secret: Option<Secret>,
}

impl Default for HttpKnobs {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8480".to_owned(),
            external_url: "http://127.0.0.1:8480".to_owned(),
            metrics_listen: None,
            tokens: Vec::new(),
            basic_auth_users: BTreeMap::new(),
            tls: None,
            slack_signing_secret: None,
            pagerduty_webhook_secret: None,
        }
    }
}

impl HttpKnobs {
    /// Whether anybody has to log in: as soon as there is a token or a user.
    pub fn asks_login(&self) -> bool {
        !self.tokens.is_empty() || !self.basic_auth_users.is_empty()
    }

    /// `external_url` without a slash at its end: what links begin with.
    pub fn base_url(&self) -> &str {
        self.external_url.trim_end_matches('/')
    }
}

/// A token: who it is, what it may do, and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Shown as the actor of what is done with it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What is sent as `Authorization: Bearer …`; at least 16 characters.
    pub secret: Secret,
}

/// What a login may do; a responder may also do what a viewer may, an admin all that these two may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sends records, and reads nothing.
    Ingest,
    /// Reads.
    Viewer,
    /// Acknowledges, resolves, reopens, assigns, notes, silences.
    Responder,
    /// Decides whom to throttle.
    Admin,
}

impl Role {
    /// All roles, the smallest first.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Viewer, Self::Responder, Self::Admin];

    /// The name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }

    /// The role with this [`name`](Self::name).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// TLS, as in Prometheus's `tls_server_config`; client certificates are not in this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsKnobs {
    /// The certificate chain, PEM, leaf first.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}
