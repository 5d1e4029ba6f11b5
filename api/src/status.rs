//! How we are: ledger, sources, status, metrics, liveness, readiness.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beaconfire_view::LedgerJson;
use prometheus::TextEncoder;

use crate::edge::{App, now};
use crate::problem::Problem;
use crate::shapes::{self, Shape};

/// `GET /api/v1/ledger`: what became of every notification, one item a receiver.
pub(crate) async fn ledger(State(app): State<App>) -> Result<Response, Problem> {
    let lines = app.desk.ledger().await?;
    Ok(shapes::list(lines.iter().map(LedgerJson::of), None))
}

/// `GET /api/v1/sources`: what feeds us.
pub(crate) async fn sources(State(app): State<App>) -> Result<Response, Problem> {
    let sources = app.desk.sources().await?;
    Ok(shapes::list(sources.iter().map(shapes::source), None))
}

/// `GET /api/v1/status`: version, input, store, receivers.
pub(crate) async fn status(State(app): State<App>) -> Result<Response, Problem> {
    let status = app.desk.status().await?;
    Ok(Shape(shapes::status(&status, now())).into_response())
}

/// `GET /metrics`, in Prometheus's text format.
pub(crate) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let text = TextEncoder::new().encode_to_string(&app.desk.registry().gather()).map_err(|error| {
        tracing::error!(%error, "metrics cannot be printed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be printed; see the log")
    })?;
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// `POST /-/reload`: the configuration is read anew; 400 and the reason where it is not good.
pub(crate) async fn reload(State(app): State<App>) -> Result<Response, Problem> {
    app.desk.reload().await?;
    Ok(StatusCode::OK.into_response())
}

/// `GET /healthz`: the process works.
pub(crate) async fn healthz(State(app): State<App>) -> Response {
    said(app.desk.live())
}

/// `GET /readyz`: the group was joined once, and the store can be read.
pub(crate) async fn readyz(State(app): State<App>) -> Response {
    match app.desk.ready().await {
        Ok(ready) => said(ready),
        Err(error) => said(Err(error.to_string())),
    }
}

/// `ok`, or 503 and one line that says why not: nobody is asked for a login here, so it names no host and no client.
fn said(state: Result<(), String>) -> Response {
    match state {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
