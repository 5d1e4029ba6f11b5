//! The one error of this crate that reaches a client: an RFC 9457 problem document, or its page in a browser.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::DeskError;

/// A problem document (`application/problem+json`), type `about:blank`: the status says what sort of problem it is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Problem {
    /// Always `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    pub(crate) title: &'static str,
    /// The status as a number.
    pub(crate) status: u16,
    /// What is wrong with this one request, for a person.
    pub(crate) detail: String,
    /// Whether a browser should ask for a login.
    #[serde(skip)]
    login: bool,
}

impl Problem {
    /// A problem of this status.
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            login: false,
        }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// No login, or a wrong one.
    pub(crate) fn login() -> Self {
        let detail = "log in with a token (Authorization: Bearer) or a user name and password";
        Self { login: true, ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::NotFound => Self::new(StatusCode::NOT_FOUND, "there is no such thing here (any more)"),
            DeskError::Refused(said) => Self::new(StatusCode::CONFLICT, said),
            DeskError::Invalid(said) => Self::bad_request(said),
            DeskError::Unavailable(cause) => {
                // The cause may name files and hosts: it belongs in our log, not in the answer.
                tracing::warn!(cause, "a request could not be answered");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer; try again")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.login {
            let ask = HeaderValue::from_static("Basic realm=\"beaconfire\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, ask);
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        // The edge finds it here, to show a person in a browser a page instead.
        response.extensions_mut().insert(self);
        response
    }
}
