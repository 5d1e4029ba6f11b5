//! `incidents`, `http`, `store`, `limits`, `pipeline`, and what labels are made of.

use std::collections::BTreeMap;

use beaconfire_api::{HttpKnobs, Role, TlsKnobs, Token, check_exposure};
use beaconfire_incident::{Context, Knobs, ServiceFacts};
use beaconfire_model::{Labels, Secret};
use beaconfire_store::StoreKnobs;

use crate::complain::Complaint;
use crate::config::{Limits, Pipeline};
use crate::de::At;
use crate::judge::Judge;
use crate::raw::{self, Raw, Sealed};

/// Times of incidents.
pub(crate) fn incidents(judge: &mut Judge<'_>, raw: &Raw) -> Knobs {
    let incidents = &raw.incidents;
    Knobs {
        resolve_after: judge.span("incidents.resolve_after", &incidents.resolve_after, "10s"..="1d"),
        finding_resolve_after: judge.span(
            "incidents.finding_resolve_after",
            &incidents.finding_resolve_after,
            "10s"..="7d",
        ),
        flap_window: judge.span("incidents.flap_window", &incidents.flap_window, "0s"..="1d"),
        ack_expiry: judge.span("incidents.ack_expiry", &incidents.ack_expiry, "1m"..="7d"),
        max_age: judge.span("incidents.max_age", &incidents.max_age, "1m"..="7d"),
    }
}

/// What labels are made of.
pub(crate) fn context(judge: &mut Judge<'_>, raw: &Raw, entries: Vec<String>) -> Context {
    let labels =
        |pairs: &BTreeMap<String, String>| pairs.iter().collect::<BTreeMap<_, _>>().into_iter().collect();
    for name in ["alertname", "kind", "service", "severity"] {
        let ours = |labels: &BTreeMap<String, String>| labels.contains_key(name);
        let owner = if ours(&raw.external_labels) {
            Some("external_labels".to_owned())
        } else {
            raw.services
                .iter()
                .find(|(_, service)| ours(&service.labels))
                .map(|(name, _)| format!("services.{name}.labels"))
        };
        if let Some(owner) = owner {
            judge.complaints.push(Complaint::error(format!(
                "the label `{name}` is ours to set: take it out of `{owner}`"
            )));
        }
    }
    Context {
        external: labels(&raw.external_labels),
        services: raw
            .services
            .iter()
            .map(|(name, service)| {
                let facts = ServiceFacts {
                    labels: labels(&service.labels),
                    annotations: labels(&service.annotations),
                };
                (name.clone(), facts)
            })
            .collect(),
        rules: raw
            .rules
            .iter()
            .filter(|rule| rule.enabled && !rule.labels.is_empty())
            .map(|rule| (rule.name.value.clone(), labels(&rule.labels) as Labels))
            .collect(),
        entries,
    }
}

/// Where to listen, and whom to let in. An open console is refused here as well as at the start.
pub(crate) fn http(judge: &mut Judge<'_>, raw: &Raw) -> HttpKnobs {
    let http = &raw.http;
    let before = judge.complaints.len();
    let tls = match (&http.tls_server_config.cert_file, &http.tls_server_config.key_file) {
        (Some(cert), Some(key)) => {
            Some(TlsKnobs { cert_file: judge.readable(cert), key_file: judge.readable(key) })
        }
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            judge.error(one.place, "`tls_server_config` needs both `cert_file` and `key_file`", "");
            None
        }
    };
    let tokens = http.tokens.iter().filter_map(|token| self::token(judge, token)).collect();
    let ours = &raw.interactions;
    let mut secret = |name: &str, text: &Option<At<Sealed>>, file: &Option<At<String>>| {
        let secret = judge.secret(name, text.as_ref(), file.as_ref())?;
        if secret.value.expose().trim().is_empty() {
            judge.error(secret.place, format!("`{name}` is blank"), "");
        }
        Some(secret.value)
    };
    let slack_signing_secret =
        secret("slack_signing_secret", &ours.slack_signing_secret, &ours.slack_signing_secret_file);
    let pagerduty_webhook_secret = secret(
        "pagerduty_webhook_secret",
        &ours.pagerduty_webhook_secret,
        &ours.pagerduty_webhook_secret_file,
    );
    let users = http.basic_auth_users.iter().map(|(name, hash)| (name.clone(), hash.value.0.clone()));
    let knobs = HttpKnobs {
        listen: http.listen.value.clone(),
        external_url: http.external_url.value.clone(),
        metrics_listen: http.metrics_listen.as_ref().map(|listen| listen.value.clone()),
        tokens,
        basic_auth_users: users.collect(),
        tls,
        slack_signing_secret,
        pagerduty_webhook_secret,
    };
    // A token whose file could not be read must not make the console look open.
    if judge.complaints.len() == before
        && let Err(said) = check_exposure(&knobs)
    {
        // The sentence begins with the key that it is about.
        let place = match said.split('`').nth(1) {
            Some("http.external_url") => http.external_url.place,
            Some("http.metrics_listen") => http.metrics_listen.as_ref().unwrap_or(&http.listen).place,
            Some("http.tokens") => http.tokens.first().map_or(http.listen.place, |token| token.place),
            Some("http.basic_auth_users") => {
                http.basic_auth_users.values().next().map_or(http.listen.place, |at| at.place)
            }
            _ => http.listen.place,
        };
        let secret = said.contains("http.basic_auth_users`") || said.contains("http.tokens`:");
        let complaint = Complaint::error(said).at(judge.origins, place);
        judge.complaints.push(if secret { complaint.hidden() } else { complaint });
    }
    knobs
}

fn token(judge: &mut Judge<'_>, token: &At<raw::Token>) -> Option<Token> {
    let role = judge.word("role", &token.role, Role::parse, &Role::ALL.map(Role::name));
    let secret: Option<At<Secret>> = judge.secret("token", token.token.as_ref(), token.token_file.as_ref());
    if token.token.is_none() && token.token_file.is_none() {
        judge.error(
            token.place,
            format!("the token `{}` has no secret", token.name),
            "set `token_file` (or `token`)",
        );
    }
    Some(Token { name: token.name.clone(), role: role?, secret: secret?.value })
}

/// Where incidents are kept.
pub(crate) fn store(judge: &mut Judge<'_>, raw: &Raw) -> StoreKnobs {
    let url = &raw.store.url;
    let example = "for example `url: sqlite:/var/lib/beaconfire/beaconfire.db`";
    if url.starts_with("postgres") {
        // The whole line may hold a password.
        let said = "PostgreSQL is not in this version: `store.url` is `sqlite:PATH`";
        let complaint = Complaint::error(said).at(judge.origins, url.place).hidden();
        judge.complaints.push(complaint.mend(example));
    } else {
        let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path {
            None | Some("") => judge.error(url.place, "`store.url` is not `sqlite:PATH`", example),
            Some(path) if path.contains(":memory:") => {
                judge.error(
                    url.place,
                    "`store.url` names no file: an incident must survive a restart",
                    example,
                );
            }
            Some(path) if path.contains('?') => {
                judge.error(
                    url.place,
                    "parameters after `?` in `store.url` are not in this version",
                    example,
                );
            }
            Some(_) => {}
        }
    }
    let retention = judge.span("store.retention", &raw.store.retention, "1h"..="3650d");
    let incidents = &raw.incidents;
    let least = incidents.resolve_after.duration + incidents.flap_window.duration;
    if retention < least {
        judge.error(
            raw.store.retention.place,
            "`store.retention` is shorter than `incidents.resolve_after` and `incidents.flap_window` together",
            "an incident must outlive its own reopening",
        );
    }
    StoreKnobs { url: url.value.clone(), retention }
}

/// Bounds of memory and time.
pub(crate) fn limits(judge: &mut Judge<'_>, raw: &Raw) -> Limits {
    let memory = &raw.limits.detect_memory;
    if !((8 << 20)..=(1 << 40)).contains(&memory.bytes) {
        judge.error(
            memory.place,
            "`limits.detect_memory` is out of range",
            "write something from 8MiB to 1024GiB",
        );
    }
    Limits {
        detect_memory: usize::try_from(memory.bytes).unwrap_or(usize::MAX),
        event_skew: judge.span("limits.event_skew", &raw.limits.event_skew, "0s"..="1h"),
        lateness: judge.span("limits.lateness", &raw.limits.lateness, "0s"..="1h"),
    }
}

/// Threads.
pub(crate) fn pipeline(judge: &mut Judge<'_>, raw: &Raw) -> Pipeline {
    let exchange = &raw.pipeline.exchange;
    match exchange.as_str() {
        "local" => {}
        "kafka" => judge.error(
            exchange.place,
            "`exchange: kafka` is not in this version",
            "key the topics by the client's prefix, so that each process sees whole clients",
        ),
        _ => judge.unknown("exchange", exchange, ["local"]),
    }
    let mut threads = |name: &str, text: &At<String>, max: usize| match text.as_str() {
        "auto" => None,
        number => match number.parse::<usize>() {
            Ok(count) if (1..=max).contains(&count) => Some(count),
            _ => {
                let said = format!("`pipeline.{name}` is neither `auto` nor a number from 1 to {max}");
                judge.error(text.place, said, "");
                None
            }
        },
    };
    Pipeline {
        workers: threads("workers", &raw.pipeline.workers, 64),
        shards: threads("shards", &raw.pipeline.shards, 64),
    }
}
