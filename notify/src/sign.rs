//! Signatures after the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beaconfire_model::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A key that signs.
#[derive(Clone)]
pub(crate) struct Signer(Hmac<Sha256>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(<redacted>)")
    }
}

impl Signer {
    /// The key that `secret` is: base64 after `whsec_`, else its bytes as they stand.
    pub(crate) fn new(secret: &Secret) -> Result<Self, String> {
        let key = match secret.expose().strip_prefix("whsec_") {
            Some(encoded) => STANDARD
                .decode(encoded.trim())
                .map_err(|_| "the signing secret begins with whsec_, but what follows is not base64")?,
            None => secret.expose().as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err("the signing secret is empty".into());
        }
        let mac = Hmac::new_from_slice(&key).map_err(|_| "the signing secret cannot be used")?;
        Ok(Self(mac))
    }

    /// The signature of a message, as the `webhook-signature` header has it.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_specification_does() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = Signer::new(&secret).unwrap().sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_raw_secret_is_its_bytes_and_nonsense_is_refused() {
        let encoded = Signer::new(&Secret::new("whsec_c2VjcmV0")).unwrap();
        let raw = Signer::new(&Secret::new("secret")).unwrap();
        assert_eq!(encoded.sign("i", 1, "b"), raw.sign("i", 1, "b"));
        assert!(Signer::new(&Secret::new("whsec_%%%")).is_err());
        assert!(Signer::new(&Secret::new("whsec_")).is_err());
        assert!(Signer::new(&Secret::new("")).is_err());
    }
}
