//! Who is calling: tokens, passwords, and nobody where no login is asked.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beaconfire_incident::Actor;
use beaconfire_model::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use crate::problem::Problem;
use crate::{HttpKnobs, Role};

/// Passwords that are hashed at once: more would let a stranger who guesses take all our processors.
const HASHING_MAX: usize = 2;
/// Logins that may wait for that; the rest is told to come again.
const WAITING_MAX: usize = 16;
/// Verified passwords that are remembered, so that a person's every click does not cost a hash.
const VERIFIED_MAX: usize = 64;
/// The longest password that is looked at; bcrypt itself reads 72 bytes of it.
const PASSWORD_BYTES_MAX: usize = 256;

/// The SHA-256 of a bouncer's key or a token: they are long and random, so nothing slower is needed.
pub fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Who is calling, as far as a handler needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
}

impl Caller {
    pub(crate) fn actor(&self) -> Actor {
        Actor(self.name.clone())
    }
}

/// Checks logins.
pub(crate) struct Gate {
    tokens: Vec<KnownToken>,
    users: BTreeMap<String, Secret>,
    verified: Mutex<VecDeque<[u8; 32]>>,
    salt: [u8; 8],
    hashing: Arc<Semaphore>,
    waiting: Semaphore,
}

struct KnownToken {
    caller: Caller,
    sha256: [u8; 32],
}

impl Gate {
    pub(crate) fn new(knobs: &HttpKnobs) -> Self {
        let known = |token: &crate::Token| KnownToken {
            caller: Caller { name: token.name.clone(), role: token.role },
            sha256: sha256(token.secret.expose()),
        };
        Self {
            tokens: knobs.tokens.iter().map(known).collect(),
            users: knobs.basic_auth_users.clone(),
            verified: Mutex::default(),
            salt: RandomState::new().build_hasher().finish().to_le_bytes(),
            hashing: Arc::new(Semaphore::new(HASHING_MAX)),
            waiting: Semaphore::new(WAITING_MAX),
        }
    }

    /// Who sends these headers. Where no login is asked: `local`, who may do everything.
    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if self.tokens.is_empty() && self.users.is_empty() {
            return Ok(Caller { name: "local".to_owned(), role: Role::Admin });
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|given| given.to_str().ok());
        let (scheme, rest) = given.and_then(|given| given.split_once(' ')).ok_or_else(Problem::login)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            self.token(rest.trim()).map(|known| known.caller.clone()).ok_or_else(Problem::login)
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or_else(Problem::login)?;
            let (user, password) = decoded.split_once(':').ok_or_else(Problem::login)?;
            self.password(user, password).await
        } else {
            Err(Problem::login())
        }
    }

    /// The token with this secret. All are compared, each in constant time, so that the time taken tells nothing.
    fn token(&self, secret: &str) -> Option<&KnownToken> {
        let given = sha256(secret);
        let mut found = None;
        for known in &self.tokens {
            if bool::from(known.sha256.ct_eq(&given)) {
                found = Some(known);
            }
        }
        found
    }

    /// A person in a browser: a user with a bcrypt hash, or a token's name with its secret.
    async fn password(&self, user: &str, password: &str) -> Result<Caller, Problem> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(Problem::login());
        }
        if let Some(known) = self.token(password).filter(|known| known.caller.name == user) {
            return Ok(known.caller.clone());
        }
        // An unknown user costs as much time as a known one, by somebody else's hash.
        let known = self.users.get(user);
        let Some(hash) = known.or_else(|| self.users.values().next()).cloned() else {
            return Err(Problem::login());
        };
        let digest = self.digest(user, password);
        if known.is_some() && self.remembers(&digest) {
            return Ok(Caller { name: user.to_owned(), role: Role::Admin });
        }
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many logins at once; try again"));
        };
        let permit = self.hashing.clone().acquire_owned().await.map_err(|_| Problem::login())?;
        let password = password.to_owned();
        let matches = tokio::task::spawn_blocking(move || {
            // Held in here: a caller who hangs up must not make room while his hash is still being computed.
            let _permit = permit;
            bcrypt::verify(password, hash.expose()).unwrap_or(false)
        });
        if !matches.await.unwrap_or(false) || known.is_none() {
            return Err(Problem::login());
        }
        self.remember(digest);
        Ok(Caller { name: user.to_owned(), role: Role::Admin })
    }

    /// Salted anew in each process: what is remembered is of no use elsewhere.
    fn digest(&self, user: &str, password: &str) -> [u8; 32] {
        let length = (user.len() as u64).to_le_bytes();
        let parts = [&self.salt[..], &length, user.as_bytes(), password.as_bytes()];
        parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
    }

    fn remembers(&self, digest: &[u8; 32]) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.iter().any(|held| bool::from(held.ct_eq(digest)))
    }

    fn remember(&self, digest: [u8; 32]) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= VERIFIED_MAX {
            verified.pop_front();
        }
        verified.push_back(digest);
    }
}
