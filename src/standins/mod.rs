//! Stand-ins for the services that people are told through: they speak the real protocols on loopback, check every
//! request against the published contract, remember what arrived, and can be told to misbehave. The demo prints what
//! they received; the tests count it.

mod mail;
mod pagerduty;
mod slack;
mod webhook;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use mail::{Mail, MailSink};
pub use pagerduty::{Alert, AlertState, PagerDuty, ROUTING_KEY};
pub use slack::{Slack, SlackMessage, TOKEN as SLACK_TOKEN};
pub use webhook::{SECRET as WEBHOOK_SECRET, Webhook, WebhookCall};

/// How a stand-in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As the contract says.
    #[default]
    Well,
    /// 429, with `Retry-After` in seconds.
    Limited(u64),
    /// One request a second, as the contract says; the others 429, with `Retry-After: 1`.
    OneASecond,
    /// This status, and nothing useful.
    Broken(u16),
    /// It takes the request and never answers.
    Silent,
    /// It promises a body and closes half-way through.
    Half,
}

/// One request, whatever was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// When it came.
    pub at: SystemTime,
    /// How it was answered.
    pub mode: Mode,
}

/// How a stand-in answers now, and how it has answered so far; shared with its handlers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mood(Arc<Mutex<Manners>>);

#[derive(Debug, Default)]
struct Manners {
    mode: Mode,
    visits: Vec<Visit>,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Mood {
    pub(crate) fn set(&self, mode: Mode) {
        locked(&self.0).mode = mode;
    }

    /// All requests, oldest first.
    pub(crate) fn visits(&self) -> Vec<Visit> {
        locked(&self.0).visits.clone()
    }

    /// How many requests were turned away.
    pub(crate) fn refused(&self) -> u64 {
        locked(&self.0).visits.iter().filter(|visit| visit.mode != Mode::Well).count() as u64
    }

    /// Takes note of a request; how it is to be answered.
    pub(crate) fn visit(&self) -> Mode {
        let mut manners = locked(&self.0);
        let at = SystemTime::now();
        let mode = match manners.mode {
            Mode::OneASecond => {
                let last = manners.visits.iter().rev().find(|visit| visit.mode == Mode::Well);
                let since = last.and_then(|visit| at.duration_since(visit.at).ok());
                if since.is_some_and(|since| since < Duration::from_secs(1)) {
                    Mode::Limited(1)
                } else {
                    Mode::Well
                }
            }
            mode => mode,
        };
        manners.visits.push(Visit { at, mode });
        mode
    }

    /// Takes note of a request; the bad answer to give instead of the good one, if any.
    pub(crate) async fn misbehave(&self) -> Option<Response<Body>> {
        self.visit().misbehave().await
    }
}

impl Mode {
    /// The bad answer to give instead of the good one, if any. A request answered so was not accepted.
    pub(crate) async fn misbehave(self) -> Option<Response<Body>> {
        let answer = match self {
            Self::Well | Self::OneASecond => return None,
            Self::Limited(after) => {
                answer(StatusCode::TOO_MANY_REQUESTS, r#"{"ok":false,"error":"ratelimited"}"#, Some(after))
            }
            Self::Broken(status) => answer(
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                "broken",
                None,
            ),
            Self::Silent => {
                tokio::time::sleep(Duration::from_secs(120)).await;
                answer(StatusCode::GATEWAY_TIMEOUT, "", None)
            }
            Self::Half => Response::builder()
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_LENGTH, "4096")
                .body(Body::new(HalfBody(true)))
                .unwrap_or_default(),
        };
        Some(answer)
    }
}

fn answer(status: StatusCode, text: &'static str, retry_after: Option<u64>) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    if let Some(after) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, after.into());
    }
    response
}

/// A body that breaks off after its first bytes.
struct HalfBody(bool);

impl http_body::Body for HalfBody {
    type Data = axum::body::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let first = std::mem::replace(&mut self.0, false);
        std::task::Poll::Ready(Some(if first {
            Ok(http_body::Frame::data(axum::body::Bytes::from_static(b"{\"ok\":tr")))
        } else {
            Err(std::io::Error::other("broken off"))
        }))
    }
}

/// A served router: its address, and the task that ends with it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: std::net::SocketAddr,
    task: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn start(router: Router) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "a stand-in stopped");
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}
