//! A receiver of signed webhooks: Standard Webhooks, checked as its specification asks.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::{Mode, Mood, Served, locked};

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookCall {
    /// `webhook-id`: the same on every try of one message.
    pub id: String,
    /// When it came.
    pub at: SystemTime,
    /// The body.
    pub body: Value,
}

#[derive(Debug, Default)]
struct Seen {
    calls: Vec<WebhookCall>,
    turned_away: Vec<String>,
    faults: Vec<String>,
}

#[derive(Debug, Clone, Default)]
struct Shared {
    seen: Arc<Mutex<Seen>>,
    mood: Mood,
}

/// The stand-in.
#[derive(Debug)]
pub struct Webhook {
    served: Served,
    shared: Shared,
}

/// The secret to sign with.
pub const SECRET: &str = "whsec_c3RhbmQtaW4gc2VjcmV0IG9mIHRoaXJ0eSBieXRlcyE=";

impl Webhook {
    /// Starts it on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        let shared = Shared::default();
        let router = Router::new().route("/hook", post(hook)).with_state(shared.clone());
        Ok(Self { served: Served::start(router).await?, shared })
    }

    /// What to configure as `url`.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.served.address)
    }

    /// Tells it how to answer from now on.
    pub fn set(&self, mode: Mode) {
        self.shared.mood.set(mode);
    }

    /// What was accepted, in order.
    pub fn calls(&self) -> Vec<WebhookCall> {
        locked(&self.shared.seen).calls.clone()
    }

    /// The ids of calls that were turned away, in order.
    pub fn turned_away(&self) -> Vec<String> {
        locked(&self.shared.seen).turned_away.clone()
    }

    /// Breaches of the contract.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.shared.seen).faults.clone()
    }
}

async fn hook(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response<Body> {
    let header =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (id, timestamp, signature) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let at = SystemTime::now();
    let mode = shared.mood.visit();
    if mode != Mode::Well {
        locked(&shared.seen).turned_away.push(id.clone());
    }
    if let Some(bad) = mode.misbehave().await {
        return bad;
    }
    let mut seen = locked(&shared.seen);
    let fault = if id.is_empty() || id.contains('.') {
        Some("webhook-id is missing or holds a dot")
    } else if timestamp.parse::<i64>().is_err() {
        Some("webhook-timestamp is no number")
    } else if !verifies(&id, &timestamp, &signature, &body) {
        Some("the signature does not verify")
    } else if serde_json::from_str::<Value>(&body).is_err() {
        Some("the body is not JSON")
    } else {
        None
    };
    if let Some(fault) = fault {
        seen.faults.push(fault.to_owned());
        let mut response = Response::new(Body::from(fault));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return response;
    }
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    for field in ["type", "timestamp", "data"] {
        if body.get(field).is_none() {
            seen.faults.push(format!("no {field} in the body"));
        }
    }
    seen.calls.push(WebhookCall { id, at, body });
    Response::new(Body::empty())
}

fn verifies(id: &str, timestamp: &str, signatures: &str, body: &str) -> bool {
    let Some(key) = SECRET.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
        return false;
    };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    signatures.split(' ').any(|signature| signature == expected)
}
