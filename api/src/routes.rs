//! Every route, once: what is not in this table is not served, and each row says who may call it.

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Router, http::Uri};
use tower_http::catch_panic::CatchPanicLayer;

use crate::edge::{App, OnLoopback, edge};
use crate::problem::Problem;
use crate::{Role, alerts, bouncer, console, decisions, hooks, incidents, letters, silences, status};

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody who gets through to us.
    Open,
    /// A login with at least this role.
    AtLeast(Role),
    /// A bouncer's key.
    BouncerKey,
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The method; a GET also answers HEAD.
    pub method: Method,
    /// The path, with `{id}` for what varies.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    handler: fn() -> MethodRouter<App>,
}

const fn route(
    method: Method,
    path: &'static str,
    access: Access,
    handler: fn() -> MethodRouter<App>,
) -> Route {
    Route { method, path, access, handler }
}

const INGEST: Access = Access::AtLeast(Role::Ingest);
const VIEWER: Access = Access::AtLeast(Role::Viewer);
const RESPONDER: Access = Access::AtLeast(Role::Responder);
const ADMIN: Access = Access::AtLeast(Role::Admin);
const KEY: Access = Access::BouncerKey;
const OPEN: Access = Access::Open;

/// All routes. Of `/metrics`, `/healthz` and `/readyz` there is a second copy on `http.metrics_listen`.
pub const ROUTES: &[Route] = &[
    // The console.
    route(Method::GET, "/", VIEWER, || get(console::list)),
    route(Method::GET, "/incidents/{id}", VIEWER, || get(console::incident)),
    route(Method::POST, "/incidents/{id}/acknowledge", RESPONDER, || post(console::acknowledge)),
    route(Method::POST, "/incidents/{id}/resolve", RESPONDER, || post(console::resolve)),
    route(Method::POST, "/incidents/{id}/reopen", RESPONDER, || post(console::reopen)),
    route(Method::POST, "/incidents/{id}/accept", RESPONDER, || post(console::accept)),
    route(Method::POST, "/incidents/{id}/notes", RESPONDER, || post(console::note)),
    route(Method::POST, "/incidents/{id}/silence", RESPONDER, || post(console::silence)),
    route(Method::POST, "/incidents/{id}/assign", RESPONDER, || post(console::assign)),
    route(Method::GET, "/silences", VIEWER, || get(console::silences)),
    route(Method::POST, "/silences/{id}/expire", RESPONDER, || post(console::expire)),
    route(Method::GET, "/assets/{name}", OPEN, || get(console::asset)),
    // The API.
    route(Method::GET, "/api/v1/incidents", VIEWER, || get(incidents::list)),
    route(Method::GET, "/api/v1/incidents/{id}", VIEWER, || get(incidents::one)),
    route(Method::POST, "/api/v1/incidents/{id}/acknowledge", RESPONDER, || post(incidents::acknowledge)),
    route(Method::POST, "/api/v1/incidents/{id}/resolve", RESPONDER, || post(incidents::resolve)),
    route(Method::POST, "/api/v1/incidents/{id}/reopen", RESPONDER, || post(incidents::reopen)),
    route(Method::POST, "/api/v1/incidents/{id}/accept", RESPONDER, || post(incidents::accept)),
    route(Method::POST, "/api/v1/incidents/{id}/notes", RESPONDER, || post(incidents::note)),
    route(Method::POST, "/api/v1/incidents/{id}/assign", RESPONDER, || post(incidents::assign)),
    route(Method::GET, "/api/v1/silences", VIEWER, || get(silences::list)),
    route(Method::POST, "/api/v1/silences", RESPONDER, || post(silences::add)),
    route(Method::DELETE, "/api/v1/silences/{id}", RESPONDER, || delete(silences::expire)),
    route(Method::GET, "/api/v1/decisions", VIEWER, || get(decisions::list)),
    route(Method::POST, "/api/v1/decisions", ADMIN, || post(decisions::add)),
    route(Method::DELETE, "/api/v1/decisions", ADMIN, || delete(decisions::lift)),
    route(Method::GET, "/api/v1/ledger", VIEWER, || get(status::ledger)),
    route(Method::GET, "/api/v1/outbox", VIEWER, || get(letters::outbox)),
    route(Method::POST, "/api/v1/outbox/retry", RESPONDER, || post(letters::retry)),
    route(Method::POST, "/api/v1/outbox/drop", RESPONDER, || post(letters::drop)),
    route(Method::GET, "/api/v1/dead-letters", VIEWER, || get(letters::dead)),
    route(Method::GET, "/api/v1/sources", VIEWER, || get(status::sources)),
    route(Method::GET, "/api/v1/status", VIEWER, || get(status::status)),
    // What people do in Slack and PagerDuty: the signature is the credential.
    route(Method::POST, "/hooks/slack", OPEN, || post(hooks::slack)),
    route(Method::POST, "/hooks/pagerduty", OPEN, || post(hooks::pagerduty)),
    // What Prometheus tells an Alertmanager.
    route(Method::POST, "/api/v2/alerts", INGEST, || post(alerts::post)),
    // CrowdSec's bouncers.
    route(Method::GET, "/v1/decisions", KEY, || get(bouncer::decisions)),
    route(Method::GET, "/v1/decisions/stream", KEY, || get(bouncer::stream)),
    route(Method::POST, "/v1/usage-metrics", KEY, || post(bouncer::usage_metrics)),
    route(Method::GET, "/health", OPEN, || get(bouncer::health)),
    // Prometheus and whoever restarts us.
    route(Method::GET, "/metrics", VIEWER, || get(status::metrics)),
    route(Method::GET, "/healthz", OPEN, || get(status::healthz)),
    route(Method::GET, "/readyz", OPEN, || get(status::readyz)),
    route(Method::POST, "/-/reload", ADMIN, || post(status::reload)),
];

/// The surface on `http.listen`.
pub(crate) fn router(app: App, here: OnLoopback) -> Router {
    serving(ROUTES.iter(), app, here)
}

/// The surface on `http.metrics_listen`: three routes, with the same logins.
pub(crate) fn metrics_router(app: App, here: OnLoopback) -> Router {
    let paths = ["/metrics", "/healthz", "/readyz"];
    serving(ROUTES.iter().filter(|route| paths.contains(&route.path)), app, here)
}

fn serving<'a>(routes: impl Iterator<Item = &'a Route>, app: App, here: OnLoopback) -> Router {
    let mut router = Router::new();
    for route in routes {
        let guard = from_fn_with_state((app.clone(), route.access), admit);
        router = router.route(route.path, (route.handler)().route_layer(guard));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state((app.clone(), here), edge))
        .with_state(app)
}

/// Lets in who may call the route, and tells the handler who it is.
async fn admit(State((app, access)): State<(App, Access)>, mut request: Request, next: Next) -> Response {
    match access {
        Access::Open => next.run(request).await,
        Access::BouncerKey => bouncer::admit(&app, request, next).await,
        Access::AtLeast(role) => match app.gate.caller(request.headers()).await {
            Ok(caller) if caller.role >= role => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Ok(caller) => {
                let (has, needs) = (caller.role.name(), role.name());
                Problem::forbidden(format!("this needs the role {needs}; {:?} has {has}", caller.name))
                    .into_response()
            }
            Err(problem) => problem.into_response(),
        },
    }
}

async fn unknown_path(uri: Uri) -> Response {
    if is_crowdsecs(uri.path()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    Problem::not_found().into_response()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    if is_crowdsecs(uri.path()) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let detail = format!("{method} is not for this path; see the Allow header");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}

/// Paths where bouncers expect CrowdSec's bare answers.
fn is_crowdsecs(path: &str) -> bool {
    path.starts_with("/v1/") || path == "/health"
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    // The panic hook has logged it, with its place.
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a fault of ours; it is in the log").into_response()
}
