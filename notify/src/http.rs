//! Requests to receivers: no redirects, 10 s in all, certificates always checked, answers read up to a bound.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::Once;
use std::time::{Duration, SystemTime};

use beaconfire_model::{Secret, is_harmful};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, Url};

use crate::exchange::Trace;

/// How much of an answer is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// One endpoint that is posted to.
#[derive(Clone)]
pub(crate) struct Endpoint {
    client: reqwest::Client,
    url: Url,
    within: Duration,
    /// Whether the address itself is a secret.
    hidden: bool,
}

/// Without the path, which may be a secret.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.origin())
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An answer, or at least its head.
    Reply(Reply),
    /// None that could be read; nobody knows whether the request was taken.
    None {
        /// What went wrong.
        said: String,
        /// The other side's certificate is not trusted: waiting will not mend that.
        certificate: bool,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// `Retry-After`, counted from now.
    pub(crate) retry_after: Option<Duration>,
    /// As much of the body as came, at most 64 KiB.
    pub(crate) body: String,
}

impl Reply {
    /// Status and body, for people.
    pub(crate) fn said(&self) -> String {
        let mut said = format!("HTTP {}", self.status);
        let body = self.body.trim();
        if !body.is_empty() {
            let _ = write!(said, ": {body}");
        }
        said
    }
}

/// How an endpoint's address may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plaintext {
    /// `http` only to this machine: a secret travels with each request.
    LoopbackOnly,
    /// `http` anywhere: what travels is signed and holds no secret.
    Allowed,
}

impl Endpoint {
    /// An endpoint; refused, without showing the address, where it cannot be posted to.
    pub(crate) fn new(url: &str, plaintext: Plaintext, within: Duration) -> Result<Self, String> {
        ensure_crypto_provider();
        let url = Url::parse(url).map_err(|error| format!("the address is no URL: {error}"))?;
        let loopback = is_loopback(&url);
        match url.scheme() {
            "https" => {}
            "http" if loopback || plaintext == Plaintext::Allowed => {}
            "http" => return Err("the address is not https, and a secret travels with each request".into()),
            other => return Err(format!("{other}: is neither https nor http")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the address holds a user name or password".into());
        }
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("Beaconfire/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(within)
            .connect_timeout(CONNECT_MAX.min(within))
            .pool_idle_timeout(Duration::from_secs(30));
        if loopback {
            // What is on this machine is reached directly.
            builder = builder.no_proxy();
        }
        if url.scheme() == "http" {
            // Certificates play no part; a machine without any can still be told.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| format!("cannot speak HTTP: {}", root_cause(&error)))?;
        Ok(Self { client, url, within, hidden: false })
    }

    /// The endpoint, with an address that is not to be shown; and what of it a server might echo.
    pub(crate) fn hidden(mut self) -> (Self, Secret) {
        self.hidden = true;
        let query = self.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = Secret::new(format!("{}{query}", self.url.path()));
        (self, path)
    }

    /// The endpoint beside this one, with the path ending in `name`: `chat.update` beside `chat.postMessage`.
    pub(crate) fn method(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches("chat.postMessage").trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{name}"));
        Self { url, ..self.clone() }
    }

    /// Scheme, host and port: what may be shown of an address that is a secret.
    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The address as it may be shown.
    pub(crate) fn shown(&self) -> String {
        if self.hidden { format!("{}/…", self.origin()) } else { self.url.to_string() }
    }

    /// The same endpoint at another address of it: below its path, or with one more parameter.
    pub(crate) fn at(&self, change: impl FnOnce(&mut Url)) -> Self {
        let mut url = self.url.clone();
        change(&mut url);
        Self { url, ..self.clone() }
    }

    /// The endpoint at `path` below its own.
    pub(crate) fn below(&self, path: &str) -> Self {
        self.at(|url| url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/'))))
    }

    /// Posts JSON and reads the answer. A `content-type` among the headers stands in for the usual one.
    pub(crate) async fn post(
        &self,
        headers: &[(&'static str, String)],
        body: String,
        trace: &mut Trace<'_>,
    ) -> Answer {
        self.send(Method::POST, headers, body, trace).await
    }

    /// Sends JSON by this method and reads the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        headers: &[(&'static str, String)],
        body: String,
        trace: &mut Trace<'_>,
    ) -> Answer {
        if trace.is_dry() {
            trace.show(|| shown_request(self, &method, headers, &indented(&body)));
            return Answer::None { said: "nothing was sent".into(), certificate: false };
        }
        let mut request = self.client.request(method.clone(), self.url.clone()).body(body.clone());
        if headers.iter().all(|(name, _)| *name != "content-type") {
            request = request.header("content-type", "application/json; charset=utf-8");
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = match request.send().await {
            Ok(response) => match self.read(response).await {
                Ok(reply) => Answer::Reply(reply),
                Err(error) => self.failed(&error),
            },
            Err(error) => self.failed(&error),
        };
        trace.step(|| shown_request(self, &method, headers, &body), || shown_answer(&answer));
        answer
    }

    /// Reads an answer. One that says yes counts when it is whole: a side that dies while it answers may have lost
    /// what it was told, and being told twice under one id harms nobody. A no stands as soon as its head is there.
    async fn read(&self, mut response: reqwest::Response) -> reqwest::Result<Reply> {
        let status = response.status();
        let retry_after = retry_after(response.headers(), SystemTime::now());
        let mut body = Vec::new();
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if status.is_success() => return Err(error),
                Err(_) => break,
            };
            let room = ANSWER_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == ANSWER_MAX {
                break;
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Reply { status: status.as_u16(), retry_after, body })
    }

    fn failed(&self, error: &reqwest::Error) -> Answer {
        let certificate = certificate_fault(error);
        let said = match &certificate {
            Some(fault) => format!("the certificate of {} is not trusted: {fault}", self.origin()),
            None if error.is_timeout() => {
                format!("no answer from {} within {} s", self.origin(), self.within.as_secs_f64())
            }
            None if error.is_connect() => format!("cannot reach {}: {}", self.origin(), root_cause(error)),
            None => format!("{} broke off: {}", self.origin(), root_cause(error)),
        };
        Answer::None { said, certificate: certificate.is_some() }
    }
}

fn shown_request(
    endpoint: &Endpoint,
    method: &Method,
    headers: &[(&'static str, String)],
    body: &str,
) -> String {
    let mut sent = format!("{method} {}\n", endpoint.shown());
    for (name, value) in headers {
        let _ = writeln!(sent, "{name}: {value}");
    }
    let _ = write!(sent, "\n{body}");
    sent
}

/// JSON as people read it, and as programs do: what would be made visible in our own way is so in JSON's.
fn indented(body: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(body);
    let text = value.ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    let text = text.unwrap_or_else(|| body.to_owned());
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

fn shown_answer(answer: &Answer) -> String {
    match answer {
        Answer::Reply(reply) => {
            let after = reply.retry_after.map(|after| format!("\nretry-after: {} s", after.as_secs()));
            format!("HTTP {}{}\n\n{}", reply.status, after.unwrap_or_default(), reply.body)
        }
        Answer::None { said, .. } => said.clone(),
    }
}

/// `Retry-After`: seconds (a fraction rounds up), or a date, counted from `now`; one that has passed is zero.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds(text).or_else(|| {
        let at = httpdate::parse_http_date(text).ok()?;
        Some(at.duration_since(now).unwrap_or(Duration::ZERO))
    })
}

/// Seconds as text; nonsense is nothing. A year is more than enough.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0)
        .then(|| Duration::from_secs(seconds.ceil().min(31_536_000.0) as u64))
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

/// One crypto provider for the process: the binary installs it first thing, tests and tools get it here.
pub(crate) fn ensure_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Somebody else may install one at the same moment, which serves as well.
            let _installed = rustls::crypto::ring::default_provider().install_default();
        }
    });
}

/// What is wrong with the other side's certificate, where that is what went wrong.
pub(crate) fn certificate_fault(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error).into_iter().find_map(|cause| match cause.downcast_ref::<rustls::Error>() {
        Some(
            fault @ (rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::UnsupportedNameType),
        ) => Some(fault.to_string()),
        _ => None,
    })
}

/// The innermost cause, which is what a person can act on; it never holds the address.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

/// An error and what it comes from. An `io::Error` hides what it wraps from `source`.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> Vec<&'e (dyn Error + 'static)> {
    let mut causes = vec![error];
    let mut at = error;
    // More than any real chain; a cycle would never end.
    while causes.len() < 16 {
        let inner = at.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let Some(next) = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| at.source()) else {
            break;
        };
        causes.push(next);
        at = next;
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_each_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (text, seconds) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("1.2", Some(2)),
            (" 30 ", Some(30)),
            ("Sun, 09 Sep 2001 01:47:10 GMT", Some(30)),
            ("Sun, 09 Sep 2001 01:46:00 GMT", Some(0)),
            ("1e300", Some(31_536_000)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_secret_does_not_travel_in_the_clear() {
        let new = |url, plaintext| Endpoint::new(url, plaintext, Duration::from_secs(1)).map(|_| ());
        for (url, ok) in [
            ("https://hooks.example.com/x", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]:8080/x", true),
            ("http://localhost/x", true),
            ("http://hooks.example.com/x", false),
            ("http://127.0.0.1.example.com/x", false),
            ("https://user:secret@hooks.example.com/x", false),
            ("ftp://hooks.example.com/x", false),
            ("hooks.example.com", false),
        ] {
            let made = new(url, Plaintext::LoopbackOnly);
            assert_eq!(made.is_ok(), ok, "{url}: {made:?}");
        }
        assert!(new("http://hooks.internal/x", Plaintext::Allowed).is_ok());
        let refused = new("https://user:secret@hooks.example.com/x", Plaintext::Allowed).unwrap_err();
        assert!(!refused.contains("secret"), "{refused}");
    }

    #[test]
    fn methods_stand_beside_each_other() {
        for url in
            ["https://slack.com/api/", "https://slack.com/api", "https://slack.com/api/chat.postMessage"]
        {
            let endpoint = Endpoint::new(url, Plaintext::LoopbackOnly, Duration::from_secs(1)).unwrap();
            assert_eq!(endpoint.method("chat.update").shown(), "https://slack.com/api/chat.update");
        }
    }
}
