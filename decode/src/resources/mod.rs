//! Resource samples: whose they are and what was measured, in base units. Each format has a file with the table of its
//! names; what they have in common is here.
//!
//! Nothing is made of one value here that needs another one: counters stay counters, shares stay shares. Values that
//! cannot be (below zero, infinite, not a number) are handed over as they are, to be counted where rates are made. Only
//! what a producer says twice is dropped, since it would count double: a single processor beside the sum of all, a pod
//! beside its containers.

pub(crate) mod beaconfire;
pub(crate) mod cadvisor;
pub(crate) mod influx;
pub(crate) mod metricbeat;
pub(crate) mod otel;
pub(crate) mod prometheus;
pub(crate) mod telegraf;

use std::fmt::Write as _;

use beaconfire_model::{Measured, Metric};

use crate::json::Value;
use crate::kubernetes;

/// A name of a producer's, the metric it stands for, and what to multiply its values by.
pub(crate) type Name = (&'static str, Metric, f64);

/// What a record says of a workload.
#[derive(Debug, Default)]
pub(crate) struct Found<'t> {
    pub(crate) namespace: &'t str,
    /// Who owns the pod, where the record itself says so.
    pub(crate) owner: &'t str,
    /// The function, where it is one that lives as long as a call.
    pub(crate) function: &'t str,
    pub(crate) pod: &'t str,
    pub(crate) container: &'t str,
    pub(crate) image: &'t str,
    /// What stands for the image where there is none: a process, a service.
    pub(crate) program: &'t str,
    pub(crate) node: &'t str,
    pub(crate) instance: &'t str,
    pub(crate) part: &'t str,
    pub(crate) measured: Vec<Measured>,
    /// Where each of them was.
    pub(crate) keys: Vec<&'t str>,
}

impl<'t> Found<'t> {
    /// Adds a value; of several for one metric the first counts.
    pub(crate) fn put(&mut self, metric: Metric, value: f64, key: &'t str) {
        if self.measured.iter().all(|measured| measured.metric != metric) {
            self.measured.push(Measured { metric, value });
            self.keys.push(key);
        }
    }

    /// What the sample is kept under, so that it outlives a rollout; `None` where nothing tells whose it is.
    pub(crate) fn workload(&self) -> Option<(String, &'static str)> {
        let mut into = String::new();
        let from = if !self.function.is_empty() {
            kubernetes::join(&mut into, "lambda", self.function);
            "the function"
        } else if !self.owner.is_empty() {
            kubernetes::join(&mut into, self.namespace, self.owner);
            "the pod's owner"
        } else if !self.pod.is_empty() {
            kubernetes::join(&mut into, self.namespace, kubernetes::owner(self.pod));
            "the owner of the pod by its name"
        } else {
            let names = [repository(self.image), self.program, self.container];
            let name = names.into_iter().find(|name| !name.is_empty());
            if name.is_none() && self.node.is_empty() {
                return None;
            }
            let node = if self.node.is_empty() { "unknown" } else { self.node };
            let _ = write!(into, "{}@{node}", name.unwrap_or("host")); // writing to a String does not fail
            "image@host: it is in no pod"
        };
        Some((into, from))
    }
}

/// An image's name without its runtime's prefix, tag and digest, which a rollout changes, and without the registry and
/// namespace that one runtime spells out and the other leaves away: whatever sees a container names it alike.
pub(crate) fn repository(image: &str) -> &str {
    let image = image.strip_prefix("docker-pullable://").or(image.strip_prefix("docker://")).unwrap_or(image);
    let name = image.split('@').next().unwrap_or_default();
    let name = name.strip_prefix("index.docker.io/").or(name.strip_prefix("docker.io/")).unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    // A colon before a slash parts a registry from its port.
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    }
}

/// A container's id without its runtime's name: `docker://9d87…`.
pub(crate) fn container_id(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, id)| id)
}

/// A number as it came, also one that cannot be.
pub(crate) fn number(value: Value<'_>) -> Option<f64> {
    value.scalar().and_then(parse)
}

/// A number in text, with the words that stand for numbers: `+Inf`, `NaN`.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_lose_what_a_rollout_changes() {
        for (image, meant) in [
            ("registry.example.com:5000/shop/cart:1.2@sha256:ab", "registry.example.com:5000/shop/cart"),
            ("registry.example.com:5000/shop/cart", "registry.example.com:5000/shop/cart"),
            ("docker-pullable://nginx@sha256:ab", "nginx"),
            ("nginx:latest", "nginx"),
            ("docker.io/library/nginx:1.27", "nginx"),
            ("index.docker.io/grafana/loki", "grafana/loki"),
            ("quay.io/library/nginx", "quay.io/library/nginx"),
            ("", ""),
        ] {
            assert_eq!(repository(image), meant, "{image}");
        }
    }

    #[test]
    fn a_workload_is_named_by_what_lasts_longest() {
        let pod =
            Found { namespace: "shop", pod: "cart-7d9f8b6c5d-x2x4z", image: "cart:1", ..Found::default() };
        let named = |found: &Found<'_>| found.workload().map(|(name, _)| name);
        assert_eq!(named(&pod).as_deref(), Some("shop/cart"));
        assert_eq!(named(&Found { owner: "cart-blue", ..pod }).as_deref(), Some("shop/cart-blue"));
        let docker = Found { image: "cart:1", container: "cart_1", node: "edge", ..Found::default() };
        assert_eq!(named(&docker).as_deref(), Some("cart@edge"));
        assert_eq!(named(&Found { function: "bill", ..docker }).as_deref(), Some("lambda/bill"));
        assert_eq!(named(&Found { node: "edge", ..Found::default() }).as_deref(), Some("host@edge"));
        assert_eq!(named(&Found::default()), None);
    }

    #[test]
    fn numbers_that_cannot_be_are_numbers() {
        assert!(parse("NaN").unwrap().is_nan());
        assert_eq!(
            (parse("+Inf"), parse("-1"), parse("1e308")),
            (Some(f64::INFINITY), Some(-1.0), Some(1e308))
        );
        assert_eq!((parse("x"), parse("")), (None, None));
    }
}
