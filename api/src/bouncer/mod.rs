//! CrowdSec's bouncer contract, so that its bouncers enforce our decisions unchanged.
//!
//! What is odd here is theirs and load-bearing: `null` and not `[]` when nothing matches (the Lua bouncers compare the
//! text), whole seconds above zero (a zero never expires in nftables and in nginx's cache), all six fields in `new` and
//! in `deleted` (a missing one makes the firewall bouncer panic), a changed expiry as deleted *and* new (it skips
//! addresses that it has). Dry-run decisions never leave here.

mod filter;
mod readers;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use beaconfire_model::{Untrusted, Wall};
use beaconfire_throttle::{Change, Decision, Mode};
use subtle::ConstantTimeEq;

use self::filter::Filter;
pub(crate) use self::readers::Readers;
use self::readers::{OnceRead, Reader};
use crate::auth::sha256;
use crate::body::Parameters;
use crate::edge::{App, now};
use crate::{DeskError, Pull};

/// Whose key was shown, and from where.
#[derive(Debug, Clone)]
pub(crate) struct Bouncer {
    key: Arc<str>,
    client: IpAddr,
    agent: String,
}

/// Lets in who shows a key that we gave out.
pub(crate) async fn admit(app: &App, mut request: Request, next: Next) -> Response {
    let Some(given) = request.headers().get("x-api-key") else { return forbidden() };
    let hash = sha256(&String::from_utf8_lossy(given.as_bytes()));
    let key = match app.desk.bouncer_key(hash).await {
        Ok(key) => key.filter(|key| bool::from(key.sha256.ct_eq(&hash))),
        Err(error) => return failed(error),
    };
    let Some(key) = key else { return forbidden() };
    // Without a socket (a test that calls the router directly) every caller is one client.
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let agent = request.headers().get(header::USER_AGENT).map(|agent| agent.as_bytes()).unwrap_or_default();
    let bouncer = Bouncer {
        key: key.name,
        client: peer.unwrap_or(IpAddr::from([0, 0, 0, 0])),
        agent: Untrusted::new(&String::from_utf8_lossy(agent), 120).clean().to_owned(),
    };
    request.extensions_mut().insert(bouncer);
    next.run(request).await
}

/// `GET /v1/decisions`: is there anything against this address?
pub(crate) async fn decisions(
    State(app): State<App>,
    Extension(bouncer): Extension<Bouncer>,
    method: Method,
    Parameters(parameters): Parameters,
) -> Response {
    let started = now();
    if method == Method::HEAD {
        return json(Body::empty());
    }
    let filter = match Filter::parse(&parameters, false) {
        Ok(filter) => filter,
        Err(said) => return message(StatusCode::BAD_REQUEST, &said),
    };
    let found = sendable(filter.of(app.desk.board(), started), &filter, started);
    note_pull(&app, &bouncer, started).await;
    json(Body::from(if found.is_empty() { "null".to_owned() } else { wire::array(&found, started) }))
}

/// `GET /v1/decisions/stream`: everything with `startup=true`, else what changed since this bouncer asked last.
pub(crate) async fn stream(
    State(app): State<App>,
    Extension(bouncer): Extension<Bouncer>,
    method: Method,
    Parameters(parameters): Parameters,
) -> Response {
    let started = now();
    if method == Method::HEAD {
        return json(Body::empty());
    }
    let filter = match Filter::parse(&parameters, true) {
        Ok(filter) => filter,
        Err(said) => return message(StatusCode::BAD_REQUEST, &said),
    };
    let startup =
        parameters.iter().any(|(name, value)| name == "startup" && value.eq_ignore_ascii_case("true"));
    let reader = Reader { key: bouncer.key.clone(), client: bouncer.client };
    let since = if startup { None } else { app.readers.since(&reader) };
    let mut change = app.desk.board().changes(since.unwrap_or(Wall::from_millis(i64::MIN)), started);
    if since.is_none() {
        // It begins with nothing: there is no old expiry to take away first.
        change.deleted.retain(|decision| !decision.active(started));
    }
    let text = answer(change, &filter, started);
    note_pull(&app, &bouncer, started).await;
    // Only when the answer has been taken does the next one begin here: a lost answer is told again.
    let readers = app.clone();
    json(Body::new(OnceRead::new(text, move || readers.readers.pulled(reader, started))))
}

/// `POST /v1/usage-metrics`: JSON is taken and let go; the bouncer wants its 201.
pub(crate) async fn usage_metrics(body: Result<Bytes, BytesRejection>) -> Response {
    match body {
        Ok(body) => match serde_json::from_slice::<serde::de::IgnoredAny>(&body) {
            Ok(_) => StatusCode::CREATED.into_response(),
            Err(error) => message(StatusCode::BAD_REQUEST, &format!("the body is no JSON: {error}")),
        },
        Err(rejection) => message(rejection.status(), "the body could not be read"),
    }
}

/// `GET /health`.
pub(crate) async fn health() -> Response {
    json(Body::from(r#"{"status":"up"}"#))
}

/// What a stream's answer says, deletes and news.
fn answer(change: Change, filter: &Filter, now: Wall) -> String {
    let new = sendable(change.new, filter, now);
    // Of what is deleted, dry runs were never told; the expiry does not matter.
    let mut deleted = change.deleted;
    deleted.retain(|decision| decision.key.mode == Mode::Enforce && filter.passes(decision));
    deleted.sort_by_key(|decision| (decision.id, decision.key.network));
    wire::stream(&deleted, &new, now)
}

/// What may be told as active: enforced, passing the filter, at least a second to run, the longest only of each
/// (scope, type, value).
fn sendable(mut decisions: Vec<Decision>, filter: &Filter, now: Wall) -> Vec<Decision> {
    decisions.retain(|decision| {
        decision.key.mode == Mode::Enforce
            && decision.active(now)
            && wire::seconds_left(decision, now) > 0
            && filter.passes(decision)
    });
    let what = |decision: &Decision| (decision.scope(), decision.key.action, decision.key.network);
    decisions.sort_by(|a, b| (what(a), b.expires, b.id).cmp(&(what(b), a.expires, a.id)));
    decisions.dedup_by(|later, first| what(later) == what(first));
    decisions.sort_by_key(|decision| std::cmp::Reverse(decision.id));
    decisions
}

async fn note_pull(app: &App, bouncer: &Bouncer, at: Wall) {
    app.metrics.last_pull.with_label_values(&[&*bouncer.key]).set(at.millis() as f64 / 1000.0);
    let pull = Pull { key: bouncer.key.clone(), client: bouncer.client, agent: bouncer.agent.clone(), at };
    if let Err(error) = app.desk.bouncer_pulled(pull).await {
        // The answer matters more than its bookkeeping.
        tracing::warn!(%error, bouncer = &*bouncer.key, "a bouncer's pull could not be written down");
    }
}

/// 403 as CrowdSec says it.
fn forbidden() -> Response {
    message(StatusCode::FORBIDDEN, "access forbidden")
}

fn failed(error: DeskError) -> Response {
    tracing::warn!(%error, "a bouncer's key could not be looked up");
    message(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")
}

fn message(status: StatusCode, said: &str) -> Response {
    let mut response = json(Body::from(serde_json::json!({ "message": said }).to_string()));
    *response.status_mut() = status;
    response
}

fn json(body: Body) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    (headers, body).into_response()
}
