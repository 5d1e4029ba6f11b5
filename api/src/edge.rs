//! What every request meets before its route: limits, a deadline, the Host and Origin checks, security headers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use beaconfire_model::Wall;
use tokio::sync::Semaphore;

use crate::auth::Gate;
use crate::bouncer::Readers;
use crate::exposure::{external, is_loopback, split_listen};
use crate::hooks::Clicks;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::{Desk, HttpKnobs, ServeError, console};

/// Requests that are worked on at once; more wait for their turn, within their deadline.
const REQUESTS_MAX: usize = 512;
/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// No script at all, styles and images from here only, never in a frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// What handlers share.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) desk: Arc<dyn Desk>,
    pub(crate) knobs: HttpKnobs,
    pub(crate) gate: Gate,
    pub(crate) readers: Readers,
    pub(crate) clicks: Clicks,
    pub(crate) deliveries: Clicks,
    pub(crate) metrics: Metrics,
    external: Uri,
    requests: Semaphore,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Refuses knobs that must not run, see [`check_exposure`](crate::check_exposure).
    pub(crate) fn new(desk: Arc<dyn Desk>, knobs: HttpKnobs) -> Result<Self, ServeError> {
        crate::check_exposure(&knobs).map_err(ServeError::Exposed)?;
        let external = external(&knobs).map_err(ServeError::Exposed)?;
        let metrics = Metrics::register(desk.registry()).map_err(ServeError::Metrics)?;
        Ok(Self(Arc::new(Shared {
            gate: Gate::new(&knobs),
            desk,
            knobs,
            readers: Readers::default(),
            clicks: Clicks::default(),
            deliveries: Clicks::default(),
            metrics,
            external,
            requests: Semaphore::new(REQUESTS_MAX),
        })))
    }
}

/// The one place of this crate that asks for the time.
pub(crate) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Whether a listener is for this machine only: who gets through to it then names us as we are called here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OnLoopback(bool);

impl OnLoopback {
    /// Of a listen address.
    pub(crate) fn of(listen: &str) -> Result<Self, ServeError> {
        Ok(Self(is_loopback(split_listen(listen).map_err(ServeError::Exposed)?.0)))
    }
}

/// The outermost layer.
pub(crate) async fn edge(
    State((app, here)): State<(App, OnLoopback)>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let for_machines = path.starts_with("/api/") || path.starts_with("/v1/");
    let in_browser = !for_machines && accepts_html(request.headers());
    let may_cache = path.starts_with("/assets/");

    let response = match admit(&app, here, &request) {
        Ok(()) => within_limits(&app, request, next).await,
        Err(problem) => problem.into_response(),
    };
    let mut response = if in_browser { console::as_page(response) } else { response };

    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: browsers then send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    let may_cache = may_cache && response.status().is_success();
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    if !may_cache {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if app.knobs.tls.is_some() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    response
}

async fn within_limits(app: &App, request: Request, next: Next) -> Response {
    let work = async {
        // The semaphore is never closed; without a permit the deadline below ends the wait.
        let _permit = app.requests.acquire().await;
        next.run(request).await
    };
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(response) => response,
        Err(_) => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no answer within 10 s; try again").into_response()
        }
    }
}

fn admit(app: &App, OnLoopback(on_loopback): OnLoopback, request: &Request) -> Result<(), Problem> {
    let host = host(request);
    if on_loopback && host.is_some_and(|host| !is_ours(app, host)) {
        // A stranger's page whose name was pointed at 127.0.0.1 (DNS rebinding) would speak to us as its own server.
        let detail = "this Host is not one of ours; `http.external_url` names the one people use";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    if is_cross_site(app, request.headers(), host) {
        return Err(Problem::forbidden("this request comes from another site"));
    }
    Ok(())
}

/// The Host a request is for: HTTP/2 has it in the URI.
fn host(request: &Request) -> Option<&str> {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// Addresses cannot be rebound, names can: only ours are.
fn is_ours(app: &App, host: &str) -> bool {
    let name = without_port(host);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || app.external.host().is_some_and(|ours| ours.eq_ignore_ascii_case(name))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Browsers say where a request comes from; tools like curl say nothing, and cannot be tricked into sending one.
fn is_cross_site(app: &App, headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    if let Some(site) = headers.get("sec-fetch-site").map(text) {
        return !matches!(site.as_str(), "same-origin" | "none");
    }
    let Some(origin) = headers.get(header::ORIGIN).map(text) else { return false };
    let Some((_, authority)) = origin.split_once("://") else { return true };
    let ours = [host, app.external.authority().map(|authority| authority.as_str())];
    !ours.into_iter().flatten().any(|ours| ours.eq_ignore_ascii_case(authority))
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
