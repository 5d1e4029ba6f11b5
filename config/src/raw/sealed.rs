//! A secret as text has it: read like any text, written back as `<redacted>`.

use beaconfire_model::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sealed(pub(crate) Secret);

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<redacted>")
    }
}
