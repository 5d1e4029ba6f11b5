//! Slack: `chat.postMessage`, `chat.update`, and an incoming webhook. Limits after Slack's API documentation and its
//! Python SDK's Block Kit models.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, header};
use axum::routing::post;
use serde_json::{Value, json};

use super::{Mode, Mood, Served, Visit, locked};

/// One message as people would see it now.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackMessage {
    /// Where.
    pub channel: String,
    /// Its timestamp, which is its id.
    pub ts: String,
    /// The parent's, for a reply in a thread.
    pub thread_ts: Option<String>,
    /// The newest text.
    pub text: String,
    /// The newest blocks.
    pub blocks: Value,
    /// How often it was updated in place.
    pub updates: u32,
}

#[derive(Debug, Default)]
struct Seen {
    messages: Vec<SlackMessage>,
    faults: Vec<String>,
    clock: u64,
}

#[derive(Debug, Clone, Default)]
struct Shared {
    seen: Arc<Mutex<Seen>>,
    mood: Mood,
}

/// The stand-in.
#[derive(Debug)]
pub struct Slack {
    served: Served,
    shared: Shared,
}

/// The token that it accepts.
pub const TOKEN: &str = "xoxb-stand-in";

impl Slack {
    /// Starts it on a free loopback port.
    pub async fn start() -> std::io::Result<Self> {
        let shared = Shared::default();
        let router = Router::new()
            .route("/api/{method}", post(api))
            .route("/services/{*rest}", post(webhook))
            .with_state(shared.clone());
        Ok(Self { served: Served::start(router).await?, shared })
    }

    /// What to configure as `app_url`.
    pub fn app_url(&self) -> String {
        format!("http://{}/api/", self.served.address)
    }

    /// What to configure as `api_url` (an incoming webhook).
    pub fn webhook_url(&self) -> String {
        format!("http://{}/services/T0/B0/x", self.served.address)
    }

    /// Tells it how to answer from now on.
    pub fn set(&self, mode: Mode) {
        self.shared.mood.set(mode);
    }

    /// The messages as they stand now.
    pub fn messages(&self) -> Vec<SlackMessage> {
        locked(&self.shared.seen).messages.clone()
    }

    /// Breaches of the contract; a test asks that there are none.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.shared.seen).faults.clone()
    }

    /// All requests, also those that were turned away.
    pub fn visits(&self) -> Vec<Visit> {
        self.shared.mood.visits()
    }

    /// Requests that were turned away.
    pub fn refused(&self) -> u64 {
        self.shared.mood.refused()
    }
}

fn reply(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

async fn api(
    State(shared): State<Shared>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    if let Some(bad) = shared.mood.misbehave().await {
        return bad;
    }
    let mut seen = locked(&shared.seen);
    let authorised =
        headers.get(header::AUTHORIZATION).is_some_and(|value| value == format!("Bearer {TOKEN}").as_str());
    if !authorised {
        return reply(&json!({"ok": false, "error": "invalid_auth"}));
    }
    if !headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
    {
        seen.faults.push(format!("{method}: not sent as application/json"));
    }
    let Ok(message) = serde_json::from_str::<Value>(&body) else {
        seen.faults.push(format!("{method}: the body is not JSON"));
        return reply(&json!({"ok": false, "error": "invalid_json"}));
    };
    for fault in faults(&message) {
        seen.faults.push(format!("{method}: {fault}"));
    }
    let text = message["text"].as_str().unwrap_or_default().to_owned();
    let channel = message["channel"].as_str().unwrap_or_default().to_owned();
    match method.as_str() {
        "chat.postMessage" => {
            if channel.is_empty() {
                return reply(&json!({"ok": false, "error": "channel_not_found"}));
            }
            // A name becomes an id; an id stays one.
            let id = match channel.strip_prefix('#') {
                Some(name) => format!("C{}", name.to_uppercase()),
                None => channel.to_owned(),
            };
            seen.clock += 1;
            let ts = format!("{:010}.{:06}", 1_700_000_000 + seen.clock / 1_000_000, seen.clock % 1_000_000);
            let thread_ts = message["thread_ts"].as_str().map(str::to_owned);
            if let Some(parent) = &thread_ts
                && !seen.messages.iter().any(|held| held.ts == *parent && held.channel == id)
            {
                seen.faults.push(format!("{method}: a reply to {parent}, which was never posted"));
            }
            let blocks = message["blocks"].clone();
            seen.messages.push(SlackMessage {
                channel: id.clone(),
                ts: ts.clone(),
                thread_ts,
                text,
                blocks,
                updates: 0,
            });
            reply(&json!({"ok": true, "channel": id, "ts": ts}))
        }
        "chat.update" => {
            if text.len() > 4000 {
                return reply(&json!({"ok": false, "error": "msg_too_long"}));
            }
            let ts = message["ts"].as_str().unwrap_or_default().to_owned();
            match seen.messages.iter_mut().find(|held| held.ts == ts && held.channel == channel) {
                Some(held) => {
                    held.text = text;
                    held.blocks = message["blocks"].clone();
                    held.updates += 1;
                    reply(&json!({"ok": true, "channel": channel, "ts": ts}))
                }
                None => reply(&json!({"ok": false, "error": "message_not_found"})),
            }
        }
        "auth.test" => reply(&json!({"ok": true, "team": "stand-in", "user": "beaconfire"})),
        _ => reply(&json!({"ok": false, "error": "unknown_method"})),
    }
}

async fn webhook(State(shared): State<Shared>, body: String) -> Response<Body> {
    if let Some(bad) = shared.mood.misbehave().await {
        return bad;
    }
    let mut seen = locked(&shared.seen);
    let message: Value = serde_json::from_str(&body).unwrap_or_default();
    for fault in faults(&message) {
        seen.faults.push(format!("webhook: {fault}"));
    }
    seen.clock += 1;
    let ts = format!("hook.{}", seen.clock);
    let text = message["text"].as_str().unwrap_or_default().to_owned();
    seen.messages.push(SlackMessage {
        channel: "hook".into(),
        ts,
        thread_ts: None,
        text,
        blocks: message["blocks"].clone(),
        updates: 0,
    });
    Response::new(Body::from("ok"))
}

/// What Slack would refuse, and what must never reach it.
fn faults(message: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    if message["text"].as_str().is_none_or(str::is_empty) {
        faults.push("no text".to_owned());
    }
    if message["text"].as_str().is_some_and(|text| text.len() > 40_000) {
        faults.push("text over 40,000".to_owned());
    }
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    if blocks.len() > 50 {
        faults.push(format!("{} blocks", blocks.len()));
    }
    for block in &blocks {
        let kind = block["type"].as_str().unwrap_or_default();
        let length = block["text"]["text"].as_str().map_or(0, |text| text.chars().count());
        match kind {
            "header" if length > 150 || block["text"]["type"] != "plain_text" => {
                faults.push("bad header".to_owned())
            }
            "section" if length > 3000 => faults.push(format!("a section of {length}")),
            "section" if block["fields"].as_array().is_some_and(|fields| fields.len() > 10) => {
                faults.push("more than 10 fields".to_owned());
            }
            "context" if block["elements"].as_array().is_some_and(|elements| elements.len() > 10) => {
                faults.push("more than 10 elements".to_owned());
            }
            "header" | "section" | "context" | "divider" | "actions" | "image" => {}
            other => faults.push(format!("unknown block type {other:?}")),
        }
    }
    let whole = message.to_string();
    if whole.len() > 16_000 {
        faults.push(format!("{} bytes", whole.len()));
    }
    for mention in ["<!channel", "<!here", "<!everyone", "<@"] {
        if whole.contains(mention) {
            faults.push(format!("a mention: {mention}"));
        }
    }
    faults
}
