//! The `Authorization` header of receivers that ask for one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beaconfire_model::Secret;

use crate::http::Plaintext;
use crate::knobs::Login;

/// What is sent, and what is to be taken out of whatever is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authorization(Option<Secret>, Vec<Secret>);

impl Authorization {
    /// Refused where a header cannot hold it.
    pub(crate) fn new(login: Option<&Login>) -> Result<Self, String> {
        let (value, secret) = match login {
            None => return Ok(Self::default()),
            Some(Login::Scheme(scheme, secret)) => (format!("{scheme} {}", secret.expose()), secret),
            Some(Login::Basic(user, _)) if user.contains(':') => {
                return Err("a user name cannot hold a colon".into());
            }
            Some(Login::Basic(user, secret)) => {
                (format!("Basic {}", STANDARD.encode(format!("{user}:{}", secret.expose()))), secret)
            }
        };
        if !value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            return Err("the credentials hold what a header cannot".into());
        }
        let encoded = value.split_once(' ').map(|(_, encoded)| Secret::new(encoded));
        let secrets = encoded.into_iter().chain([secret.clone()]).collect();
        Ok(Self(Some(Secret::new(value)), secrets))
    }

    /// How an address may be written: credentials do not travel in the clear.
    pub(crate) fn plaintext(&self) -> Plaintext {
        if self.0.is_some() { Plaintext::LoopbackOnly } else { Plaintext::Allowed }
    }

    pub(crate) fn header(&self) -> Option<(&'static str, String)> {
        self.0.as_ref().map(|value| ("authorization", value.expose().to_owned()))
    }

    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.1
    }
}
