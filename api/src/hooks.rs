//! `POST /hooks/slack`: the buttons of our Slack messages. The signature over the body is the credential.
//!
//! A click is remembered by who clicked and when, so that the same one sent twice changes once. The memory is the
//! process's: a signature is good for 300 s only, and after a restart within them a second acknowledgement by the same
//! person merely renews, and a second resolve is refused. PagerDuty's webhooks are in `pagerduty.rs`.

mod pagerduty;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Form, FromRequest, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beaconfire_incident::{Actor, Command};
use beaconfire_model::{Secret, Untrusted};
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::DeskError;
use crate::body::unread;
use crate::edge::{App, now};
use crate::incidents::incident_id;
use crate::problem::Problem;
use crate::silences::silence_incident;

pub(crate) use pagerduty::pagerduty;

/// How far a request's time may be from ours, in seconds.
const SKEW: u64 = 300;
/// Clicks remembered; more within 300 s than any team makes.
const CLICKS_MAX: usize = 4_096;
/// How long a click silences for; the button says so.
const SILENCED_FOR: Duration = Duration::from_secs(3_600);
/// Clicks of one message that are looked at.
const ACTIONS_MAX: usize = 5;

/// What was clicked lately.
#[derive(Debug, Default)]
pub(crate) struct Clicks(Mutex<VecDeque<[u8; 32]>>);

impl Clicks {
    /// Remembers a click; `None` where it is known.
    fn begin(&self, click: [u8; 32]) -> Option<Claim<'_>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains(&click) {
            return None;
        }
        if held.len() >= CLICKS_MAX {
            held.pop_front();
        }
        held.push_back(click);
        Some(Claim { clicks: self, click, done: false })
    }
}

/// A click that is being done. Where nothing comes of it (the store is away, or who asked hung up and the work was
/// dropped), it is forgotten, so that the same may be sent again.
#[derive(Debug)]
struct Claim<'a> {
    clicks: &'a Clicks,
    click: [u8; 32],
    done: bool,
}

impl Claim<'_> {
    /// It is done, or was refused for good.
    fn keep(mut self) {
        self.done = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.done {
            let mut held = self.clicks.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.retain(|held| *held != self.click);
        }
    }
}

#[derive(Deserialize)]
struct Envelope {
    payload: String,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    actions: Vec<Click>,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    id: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Click {
    #[serde(default)]
    action_id: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    action_ts: String,
}

/// `POST /hooks/slack`.
pub(crate) async fn slack(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let secret = app.knobs.slack_signing_secret.as_ref().ok_or_else(Problem::not_found)?;
    let body = body.map_err(unread)?;
    let seconds = now().millis().div_euclid(1_000);
    if !is_slacks(secret, &headers, &body, seconds) {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "this is not signed by Slack, or is too old"));
    }
    let payload = payload(body).await?;
    if payload.kind != "block_actions" {
        return Ok(StatusCode::OK.into_response());
    }
    let mut said = Vec::new();
    for click in payload.actions.iter().take(ACTIONS_MAX) {
        said.extend(clicked(&app, &payload.user, click).await?);
    }
    if said.is_empty() {
        return Ok(StatusCode::OK.into_response());
    }
    let answer = json!({"response_type": "ephemeral", "replace_original": false, "text": said.join("\n")});
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, answer.to_string()).into_response())
}

/// Does what one click asks for; what to say to who clicked, where it changes nothing.
async fn clicked(app: &App, user: &User, click: &Click) -> Result<Option<String>, Problem> {
    let command = match click.action_id.as_str() {
        "acknowledge" => Command::Acknowledge,
        "resolve" => Command::Resolve,
        "silence" => return silenced(app, user, click).await,
        // A link is a button too, and Slack tells of it.
        _ => return Ok(None),
    };
    let Ok(id) = incident_id(&click.value) else {
        return Ok(Some("This incident is not known here (any more).".to_owned()));
    };
    let Some(claim) = app.clicks.begin(key(user, click)) else { return Ok(None) };
    let said = match app.desk.command(id, actor(user), command).await {
        Ok(_) => None,
        Err(DeskError::NotFound) => Some("This incident is not known here (any more).".to_owned()),
        Err(DeskError::Refused(why)) => Some(format!("Nothing was changed: {why}.")),
        Err(error) => return Err(error.into()),
    };
    claim.keep();
    Ok(said)
}

/// Silences an incident for an hour; what to say to who clicked.
async fn silenced(app: &App, user: &User, click: &Click) -> Result<Option<String>, Problem> {
    let unknown = || Some("This incident is not known here (any more).".to_owned());
    let Ok(id) = incident_id(&click.value) else { return Ok(unknown()) };
    let Some(claim) = app.clicks.begin(key(user, click)) else { return Ok(None) };
    let said = match silence_incident(app, &id, actor(user), "from Slack".to_owned(), SILENCED_FOR).await {
        Ok(silence) => Some(format!(
            "Silenced until {}. To end it before: {}/silences",
            silence.ends_at,
            app.knobs.base_url()
        )),
        Err(DeskError::NotFound) => unknown(),
        Err(DeskError::Refused(why)) => Some(format!("Nothing was changed: {why}.")),
        Err(error) => return Err(error.into()),
    };
    claim.keep();
    Ok(said)
}

/// What tells one click from another.
fn key(user: &User, click: &Click) -> [u8; 32] {
    crate::sha256(&[&*user.id, &click.action_ts, &click.action_id, &click.value].join("\0"))
}

/// Who clicked, as far as Slack says.
fn actor(user: &User) -> Actor {
    let name = [&user.username, &user.name, &user.id].into_iter().find(|name| !name.trim().is_empty());
    let name = Untrusted::new(name.map_or("somebody", |name| name.trim()), 100).clean().to_owned();
    Actor(format!("slack:{name}"))
}

/// Whether Slack signed this body lately: `v0=` and the hex of HMAC-SHA256 over `v0:time:body`.
fn is_slacks(secret: &Secret, headers: &HeaderMap, body: &[u8], seconds: i64) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let time = text("x-slack-request-timestamp");
    let recent = time.parse::<i64>().is_ok_and(|time| time.abs_diff(seconds) <= SKEW);
    let given = text("x-slack-signature").strip_prefix("v0=").unwrap_or_default();
    signs(secret.expose(), &[b"v0:", time.as_bytes(), b":", body], given) && recent
}

/// Whether `given` is the hex of HMAC-SHA256 over the parts; in constant time.
fn signs(secret: &str, parts: &[&[u8]], given: &str) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    for part in parts {
        mac.update(part);
    }
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.as_bytes().ct_eq(given.as_bytes()).into()
}

async fn payload(body: Bytes) -> Result<Payload, Problem> {
    let unreadable = || Problem::bad_request("the form has no readable `payload`");
    let request = Request::builder()
        .method(Method::POST)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .map_err(|_| unreadable())?;
    let Form(envelope) = Form::<Envelope>::from_request(request, &()).await.map_err(|_| unreadable())?;
    serde_json::from_str(&envelope.payload).map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_signature_holds_for_its_body_and_its_five_minutes() {
        let secret = Secret::new("8f742231b10e8888abcd99yyyzzz85a5");
        let body = b"payload=%7B%22type%22%3A%22block_actions%22%7D";
        let mut headers = HeaderMap::new();
        headers.insert("x-slack-request-timestamp", "1531420618".parse().unwrap());
        let signature = "v0=9dffc25b49a4a7fc2e15c9c9450bf8af09eb501fcef9039eaea3deb58af0c82c";
        headers.insert("x-slack-signature", signature.parse().unwrap());
        let at = |seconds| is_slacks(&secret, &headers, body, seconds);
        assert!(at(1_531_420_618) && at(1_531_420_318) && at(1_531_420_918));
        assert!(!at(1_531_420_317) && !at(1_531_420_919));
        assert!(!is_slacks(&secret, &headers, b"payload=", 1_531_420_618));
        assert!(!is_slacks(&Secret::new("another"), &headers, body, 1_531_420_618));
        assert!(!is_slacks(&secret, &HeaderMap::new(), body, 1_531_420_618));
    }
}
