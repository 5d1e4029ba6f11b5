//! Identity as a function of data: the same trouble has the same name in every process and after every restart.

use std::fmt;
use std::sync::Arc;

use beaconfire_model::{Kind, Subject};
use sha2::{Digest, Sha256};

/// `H(kind, target)`: what is attacked or abused, not who does it. 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(Arc<str>);

/// `H(fingerprint, episode)`. 32 hex digits; safe in URLs, file names and dedup keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(Arc<str>);

/// The first 128 bits of SHA-256 over the parts, each with its length before it, so that no two lists of parts read
/// alike. The leading word keeps the two uses apart; it may never change, or every stored incident opens again.
fn digest(parts: &[&[u8]]) -> Arc<str> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

impl Fingerprint {
    /// The fingerprint of this kind of trouble with this target.
    pub fn of(kind: Kind, target: &Subject) -> Self {
        let parts = [kind.name(), target.kind.name(), &target.value].map(str::as_bytes);
        Self(digest(&[b"fingerprint", parts[0], parts[1], parts[2]]))
    }

    /// As stored.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl IncidentId {
    /// The id of this episode.
    pub fn of(fingerprint: &Fingerprint, episode: u32) -> Self {
        Self(digest(&[b"incident", fingerprint.0.as_bytes(), &episode.to_le_bytes()]))
    }

    /// As stored or typed.
    pub fn from_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_across_versions() {
        let fingerprint = Fingerprint::of(Kind::Flood, &Subject::service("shop"));
        // Stored incidents carry these: if this line has to change, every open incident is told again.
        assert_eq!(fingerprint.as_str().len(), 32);
        assert_eq!(fingerprint, Fingerprint::of(Kind::Flood, &Subject::service("shop")));
        assert_ne!(fingerprint, Fingerprint::of(Kind::Login, &Subject::service("shop")));
        assert_ne!(IncidentId::of(&fingerprint, 1), IncidentId::of(&fingerprint, 2));
    }
}
