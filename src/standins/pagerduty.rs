//! PagerDuty Events v2: `/v2/enqueue`, with the field rules and the alert semantics of its documentation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};

use super::{Mode, Mood, Served, Visit, locked};

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// Somebody is being paged.
    Triggered,
    /// Somebody is on it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// One alert, by its dedup key.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Where it stands.
    pub state: AlertState,
    /// How many alerts this key has opened: a trigger after a resolve opens another.
    pub opened: u32,
    /// Triggers, also those merged into an open alert.
    pub triggers: u32,
    /// Resolves.
    pub resolves: u32,
    /// The newest summary.
    pub summary: String,
    /// The newest severity.
    pub severity: String,
    /// The newest `custom_details`.
    pub details: Value,
}

#[derive(Debug, Default)]
struct Seen {
    alerts: BTreeMap<String, Alert>,
    turned_away: Vec<String>,
    faults: Vec<String>,
    accepted: u64,
}

#[derive(Debug, Clone, Default)]
struct Shared {
    seen: Arc<Mutex<Seen>>,
    mood: Mood,
}

/// The stand-in.
#[derive(Debug)]
pub struct PagerDuty {
    served: Served,
    shared: Shared,
}

/// A routing key that it accepts: any of 32 characters.
pub const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

impl PagerDuty {
    /// Starts it on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        let shared = Shared::default();
        let router = Router::new().route("/v2/enqueue", post(enqueue)).with_state(shared.clone());
        Ok(Self { served: Served::start(router).await?, shared })
    }

    /// What to configure as `pagerduty_url`.
    pub fn url(&self) -> String {
        format!("http://{}/v2/enqueue", self.served.address)
    }

    /// Tells it how to answer from now on.
    pub fn set(&self, mode: Mode) {
        self.shared.mood.set(mode);
    }

    /// All alerts, by dedup key.
    pub fn alerts(&self) -> BTreeMap<String, Alert> {
        locked(&self.shared.seen).alerts.clone()
    }

    /// Events accepted.
    pub fn accepted(&self) -> u64 {
        locked(&self.shared.seen).accepted
    }

    /// Breaches of the contract.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.shared.seen).faults.clone()
    }

    /// All requests, also those that were turned away.
    pub fn visits(&self) -> Vec<Visit> {
        self.shared.mood.visits()
    }

    /// The dedup keys of events that were turned away, in order.
    pub fn turned_away(&self) -> Vec<String> {
        locked(&self.shared.seen).turned_away.clone()
    }
}

async fn enqueue(State(shared): State<Shared>, body: String) -> Response<Body> {
    let event: Value = serde_json::from_str(&body).unwrap_or_default();
    let mode = shared.mood.visit();
    if mode != Mode::Well {
        let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
        locked(&shared.seen).turned_away.push(key);
    }
    if let Some(bad) = mode.misbehave().await {
        return bad;
    }
    let mut seen = locked(&shared.seen);
    let faults = faults(&event, body.len());
    if !faults.is_empty() {
        let answer =
            json!({"status": "invalid event", "message": "Event object is invalid", "errors": faults});
        seen.faults.extend(faults);
        return respond(StatusCode::BAD_REQUEST, &answer);
    }
    let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
    seen.accepted += 1;
    match event["event_action"].as_str() {
        Some("trigger") => {
            let alert = seen.alerts.entry(key.clone()).or_insert(Alert {
                state: AlertState::Resolved,
                opened: 0,
                triggers: 0,
                resolves: 0,
                summary: String::new(),
                severity: String::new(),
                details: Value::Null,
            });
            if alert.state == AlertState::Resolved {
                alert.state = AlertState::Triggered;
                alert.opened += 1;
            }
            alert.triggers += 1;
            alert.summary = event["payload"]["summary"].as_str().unwrap_or_default().to_owned();
            alert.severity = event["payload"]["severity"].as_str().unwrap_or_default().to_owned();
            alert.details = event["payload"]["custom_details"].clone();
        }
        // Without an open alert these two are dropped silently, as PagerDuty does.
        Some("acknowledge") => {
            if let Some(alert) =
                seen.alerts.get_mut(&key).filter(|alert| alert.state == AlertState::Triggered)
            {
                alert.state = AlertState::Acknowledged;
            }
        }
        _ => {
            if let Some(alert) = seen.alerts.get_mut(&key) {
                alert.state = AlertState::Resolved;
                alert.resolves += 1;
            }
        }
    }
    respond(
        StatusCode::ACCEPTED,
        &json!({"status": "success", "message": "Event processed", "dedup_key": key}),
    )
}

fn respond(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response
}

fn faults(event: &Value, bytes: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let mut need = |ok: bool, said: &str| {
        if !ok {
            faults.push(said.to_owned());
        }
    };
    need(bytes <= 512 * 1024, "body over 512 KB");
    need(
        event["routing_key"].as_str().is_some_and(|key| key.len() == 32),
        "routing_key is not 32 characters",
    );
    let key = event["dedup_key"].as_str().unwrap_or_default();
    need(!key.is_empty() && key.len() <= 255, "dedup_key is not 1 to 255 characters");
    match event["event_action"].as_str() {
        Some("trigger") => {
            let payload = &event["payload"];
            let summary = payload["summary"].as_str().unwrap_or_default();
            need(
                !summary.is_empty() && summary.chars().count() <= 1024,
                "summary is not 1 to 1,024 characters",
            );
            need(payload["source"].as_str().is_some_and(|source| !source.is_empty()), "source is missing");
            let severity = payload["severity"].as_str().unwrap_or_default();
            need(
                matches!(severity, "critical" | "error" | "warning" | "info"),
                "severity is none of the four",
            );
            let links = event["links"].as_array().cloned().unwrap_or_default();
            need(links.iter().all(|link| link["href"].is_string()), "a link without href");
        }
        Some("acknowledge" | "resolve") => {}
        _ => need(false, "event_action is none of the three"),
    }
    faults
}
