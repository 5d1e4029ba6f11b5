//! One way to ask, and one way to read an answer.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use beaconfire_api::{Desk, HttpKnobs, Role, Token, router};
use beaconfire_model::Secret;
use tower::ServiceExt;

use crate::fake::Fake;

/// What came back.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Said {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The detail of a problem document that is one in every respect.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        let document = self.json();
        assert_eq!(document["status"], self.status.as_u16());
        assert_eq!(document["type"], "about:blank");
        assert_eq!(document["title"], self.status.canonical_reason().unwrap());
        document["detail"].as_str().unwrap().to_owned()
    }
}

/// The surface with these knobs.
pub(crate) fn surface(desk: &Arc<Fake>, knobs: HttpKnobs) -> Router {
    let desk: Arc<dyn Desk> = desk.clone();
    router(knobs, desk).unwrap()
}

/// The surface that asks for no login.
pub(crate) fn open(desk: &Arc<Fake>) -> Router {
    surface(desk, HttpKnobs::default())
}

/// The secret of the token of this role.
pub(crate) fn secret(role: Role) -> String {
    format!("{}-secret-0123456789", role.name())
}

/// Knobs with one token of each role.
pub(crate) fn with_tokens() -> HttpKnobs {
    let token =
        |role: Role| Token { name: format!("the-{}", role.name()), role, secret: Secret::new(secret(role)) };
    HttpKnobs { tokens: Role::ALL.into_iter().map(token).collect(), ..HttpKnobs::default() }
}

/// Asks, with headers as `name: value`.
pub(crate) async fn ask(router: &Router, method: Method, path: &str, headers: &[&str], body: &str) -> Said {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
        request = request.header("host", "127.0.0.1:8480");
    }
    for header in headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    Said { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

/// Asks with GET.
pub(crate) async fn get(router: &Router, path: &str, headers: &[&str]) -> Said {
    ask(router, Method::GET, path, headers, "").await
}
