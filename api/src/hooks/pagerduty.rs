//! `POST /hooks/pagerduty`: what people do to our incidents in PagerDuty (webhooks v3). The signature over the body is
//! the credential.
//!
//! The scheme signs no time, and PagerDuty tries again for 48 hours: repeats are known by the webhook's id and by the
//! event's, which is under the signature. The memory is the process's: after a restart a repeated acknowledgement merely
//! renews, and a repeated resolve is refused. Only what a person did is taken: what we told PagerDuty ourselves comes
//! back with a service or nobody as its agent, and would take the incident from who has it.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use beaconfire_incident::{Actor, Command, IncidentId};
use beaconfire_model::{Secret, Untrusted};
use serde::Deserialize;

use super::signs;
use crate::DeskError;
use crate::body::unread;
use crate::edge::App;
use crate::incidents::incident_id;
use crate::problem::Problem;

/// Signatures of one request that are looked at, and secrets: two of each while one is replaced.
const SIGNATURES_MAX: usize = 8;

#[derive(Deserialize)]
struct Envelope {
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    id: String,
    #[serde(default)]
    event_type: String,
    #[serde(default)]
    agent: Option<Agent>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Agent {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    summary: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    incident_key: Option<String>,
}

/// `POST /hooks/pagerduty`. What cannot be done is answered with 202 all the same: another status would have it sent
/// again, or the subscription switched off.
pub(crate) async fn pagerduty(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let secrets = app.knobs.pagerduty_webhook_secret.as_ref().ok_or_else(Problem::not_found)?;
    let body = body.map_err(unread)?;
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_pagerdutys(secrets, text("x-pagerduty-signature"), &body) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "this is not signed by PagerDuty"));
    }
    let Envelope { event } = serde_json::from_slice(&body)
        .map_err(|_| Problem::bad_request("the body is no webhook of PagerDuty's version 3"))?;
    let taken = || Ok(StatusCode::ACCEPTED.into_response());
    let Some((id, actor, command)) = asked(&event, app.desk.installation()) else { return taken() };
    let mut claims = Vec::new();
    for key in [("webhook", text("x-webhook-id")), ("event", &event.id)] {
        if key.1.is_empty() {
            continue;
        }
        let Some(claim) = app.deliveries.begin(crate::sha256(&format!("{}\0{}", key.0, key.1))) else {
            return taken();
        };
        claims.push(claim);
    }
    match app.desk.command(id, actor, command).await {
        Ok(_) => {}
        Err(DeskError::NotFound | DeskError::Refused(_) | DeskError::Invalid(_)) => {
            tracing::debug!(event = %Untrusted::new(&event.event_type, 100).clean(), "a webhook changed nothing");
        }
        Err(error) => return Err(error.into()),
    }
    claims.into_iter().for_each(super::Claim::keep);
    taken()
}

/// What an event asks for; `None` where it is none of ours or no person did it.
fn asked(event: &Event, installation: &str) -> Option<(IncidentId, Actor, Command)> {
    let command = match event.event_type.as_str() {
        "incident.acknowledged" => Command::Acknowledge,
        "incident.unacknowledged" | "incident.reopened" => Command::Reopen,
        "incident.resolved" => Command::Resolve,
        // `pagey.ping`, and what we have no word for.
        _ => return None,
    };
    let agent = event.agent.as_ref().filter(|agent| matches!(&*agent.kind, "user_reference" | "user"))?;
    // As our events name it: the installation, a dot, the incident.
    let (whose, id) = event.data.as_ref()?.incident_key.as_deref()?.rsplit_once('.')?;
    if whose != installation {
        return None;
    }
    let name = Untrusted::new(agent.summary.as_deref().unwrap_or_default().trim(), 100).clean().to_owned();
    let name = if name.is_empty() { "somebody".to_owned() } else { name };
    Some((incident_id(id).ok()?, Actor(format!("pagerduty:{name}")), command))
}

/// Whether any `v1` of the list is the hex of HMAC-SHA256 over the body with any of the secrets, which stand one a line.
fn is_pagerdutys(secrets: &Secret, list: &str, body: &[u8]) -> bool {
    let secrets = || secrets.expose().lines().map(str::trim).filter(|secret| !secret.is_empty());
    list.split(',')
        .filter_map(|signature| signature.trim().strip_prefix("v1="))
        .take(SIGNATURES_MAX)
        .any(|given| secrets().take(SIGNATURES_MAX).any(|secret| signs(secret, &[body], given)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_signature_holds_among_others_and_for_its_body_alone() {
        let known = "v1=94f023c94ce45b778788668c4ad4e8ff4854e26452516511fc3d5659a8ac7323";
        let body = br#"{"event":{"id":"01"}}"#;
        let secret = Secret::new("pdsecret");
        assert!(is_pagerdutys(&secret, known, body));
        assert!(is_pagerdutys(&secret, &format!("v1=00,v2=ff, {known}"), body));
        assert!(is_pagerdutys(&Secret::new("older\npdsecret\n"), known, body));
        assert!(!is_pagerdutys(&secret, known, br#"{"event":{"id":"02"}}"#));
        assert!(!is_pagerdutys(&secret, &known.replace("v1", "v2"), body));
        assert!(!is_pagerdutys(&secret, "", body) && !is_pagerdutys(&secret, "v1=", body));
        assert!(!is_pagerdutys(&Secret::new("another"), known, body));
    }
}
