//! Labels of incidents, as Alertmanager has them: a sorted map from name to value.

use std::collections::BTreeMap;

/// A sorted set of labels. An absent label reads as the empty string, as in Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(pub BTreeMap<String, String>);

impl Labels {
    /// The label's value; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Sets a label; an empty value takes it away.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }

    /// Name and value, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What Prometheus and Alertmanager know a set of labels by: FNV-1a of 64 bits over names and values in their order,
    /// a byte 255 after each.
    pub fn fingerprint(&self) -> u64 {
        let texts = self.iter().flat_map(|(name, value)| [name, value]);
        let bytes = texts.flat_map(|text| text.bytes().chain([255]));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_prometheus_and_alertmanagers() {
        // From Prometheus's own tests, and as Alertmanager 0.25 answered.
        let labels: Labels =
            [("name", "garland, briggs"), ("fear", "love is not enough")].into_iter().collect();
        assert_eq!(labels.fingerprint(), 5_799_056_148_416_392_346);
        let labels: Labels = [
            ("alertname", "requests-per-client"),
            ("kind", "flood"),
            ("severity", "critical"),
            ("service", "shop"),
            ("incident", "0123456789abcdef0123456789abcdef"),
        ]
        .into_iter()
        .collect();
        assert_eq!(format!("{:016x}", labels.fingerprint()), "6909852ccca4fa33");
    }
}
