//! A running instance, as the commands reach it: over HTTP, with a token where it asks for a login.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use beaconfire_api::HttpKnobs;
use beaconfire_config::Sources;
use beaconfire_model::Secret;
use clap::Args;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::output::{Output, cell};
use super::{Fault, load, pinned, sources};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// How long an answer may take; the other side gives itself 10 s.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Which instance.
#[derive(Debug, Args)]
pub(super) struct Reach {
    /// The running instance, http://HOST:PORT; else where the configuration says that it listens.
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,
    /// A file with the secret of one of `http.tokens`, where the instance asks for a login.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
}

/// What every command that talks to an instance is told: which, and how to print what it answers.
#[derive(Debug, Args)]
pub(super) struct Talk {
    #[command(flatten)]
    reach: Reach,
    /// How to print it; a table on a terminal, ndjson elsewhere.
    #[arg(long, global = true)]
    output: Option<Output>,
}

impl Talk {
    /// Both, settled.
    pub(super) fn settle(self, config: Option<PathBuf>) -> Result<(Instance, Output), Fault> {
        Ok((Instance::of(&self.reach, config)?, Output::or_default(self.output)))
    }
}

/// A running instance.
pub(super) struct Instance {
    client: Client,
    base: Url,
    /// Where the address is from, for those who have to mend it.
    source: String,
    token: Option<(PathBuf, Secret)>,
}

impl Instance {
    /// Reads the address, and the token where one is named; asks nobody yet.
    pub(super) fn of(reach: &Reach, config: Option<PathBuf>) -> Result<Self, Fault> {
        let mut builder = Client::builder()
            .user_agent(concat!("beaconfire/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX);
        let (base, source) = match &reach.url {
            Some(url) => (address(url)?, "given with --url".to_owned()),
            None => {
                let sources = sources(config);
                let source = match &sources.file {
                    Some(file) => format!("`http.listen` of {}", cell(&file.display().to_string())),
                    None => "the default".to_owned(),
                };
                let http = configured(&sources)?;
                let base = listening(&http)?;
                if let Some(tls) = &http.tls {
                    builder = builder.tls_backend_preconfigured(pinned::config(&tls.cert_file)?);
                }
                (base, source)
            }
        };
        if is_loopback(&base) {
            // What is on this machine is reached directly.
            builder = builder.no_proxy();
        }
        if base.scheme() == "http" {
            // Certificates play no part; a machine without any can still ask.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| anyhow!("cannot speak HTTP: {}", root_cause(&error)))?;
        let token = reach.token_file.as_ref().map(|file| Ok::<_, Fault>((file.clone(), token(file)?)));
        let token = token.transpose()?;
        if token.is_some() && base.scheme() == "http" && !is_loopback(&base) {
            eprintln!("warning: the token travels to {} in the clear: use https", cell(base.as_str()));
        }
        Ok(Self { client, base, source, token })
    }

    /// Asks for a document.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Fault> {
        self.document(self.request(Method::GET, path, query)).await
    }

    /// Has something done.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Fault> {
        self.post_with(path, &[], body).await
    }

    /// The same, with parameters.
    pub(super) async fn post_with(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &Value,
    ) -> Result<Value, Fault> {
        self.document(self.request(Method::POST, path, query).json(body)).await
    }

    /// Has something taken back.
    pub(super) async fn delete(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Fault> {
        self.document(self.request(Method::DELETE, path, query)).await
    }

    /// Asks without a login: whether the answer was a success, and its first line.
    pub(super) async fn probe(&self, path: &str) -> Result<(bool, String), Fault> {
        let response = self.sent(self.client.get(self.at(path))).await?;
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        let said = cell(body.lines().next().unwrap_or_default());
        Ok((status.is_success(), if said.is_empty() { status.to_string() } else { said }))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    fn request(&self, method: Method, path: &str, query: &[(&str, String)]) -> RequestBuilder {
        let mut url = self.at(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url);
        match &self.token {
            Some((_, token)) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, Fault> {
        request.send().await.map_err(|error| Fault::Failed(self.unreached(&error)))
    }

    async fn document(&self, request: RequestBuilder) -> Result<Value, Fault> {
        let response = self.sent(request).await?;
        let status = response.status();
        let elsewhere = response.headers().get("location").and_then(|to| to.to_str().ok()).map(cell);
        let body = response.bytes().await.map_err(|error| self.unreached(&error))?;
        let document: Option<Value> = serde_json::from_slice(&body).ok();
        if status.is_success()
            && let Some(document) = document
        {
            return Ok(document);
        }
        let detail = document.as_ref().and_then(|problem| problem["detail"].as_str()).map(cell);
        Err(Fault::Failed(self.refused(status, detail, elsewhere)))
    }

    /// No answer: who was asked, why there is none, and what to try.
    fn unreached(&self, error: &reqwest::Error) -> anyhow::Error {
        let (base, source, said) = (self.shown(), &self.source, root_cause(error));
        if error.is_timeout() {
            return anyhow!(
                "no answer from {base} ({source}) in time; is it overloaded, or another service?"
            );
        }
        if said.contains("certificate") {
            return anyhow!(
                "the certificate of {base} ({source}) is not trusted: {said}\n  \
                 = name its authority's file in $SSL_CERT_FILE, or the name that is in the certificate in --url"
            );
        }
        anyhow!(
            "cannot reach {base} ({source}): {said}\n  \
             = is `beaconfire run` up? --url names another instance, --config another configuration"
        )
    }

    /// An answer that is not what was asked for.
    fn refused(
        &self,
        status: StatusCode,
        detail: Option<String>,
        elsewhere: Option<String>,
    ) -> anyhow::Error {
        let base = self.shown();
        match (status, &self.token, detail) {
            (StatusCode::UNAUTHORIZED, None, _) => anyhow!(
                "{base} asks for a login\n  = --token-file names a file with the secret of one of its `http.tokens`"
            ),
            (StatusCode::UNAUTHORIZED, Some((file, _)), _) => anyhow!(
                "{base} does not know the token in {}\n  = --token-file names a file with the secret of one of its `http.tokens`",
                cell(&file.display().to_string())
            ),
            (StatusCode::FORBIDDEN, _, Some(detail)) => {
                anyhow!("{base} refuses: {detail}\n  = --token-file names the file of another token")
            }
            (_, _, Some(detail)) => anyhow!("{base} refuses: {detail} ({})", status.as_u16()),
            (_, _, None) => match elsewhere {
                Some(elsewhere) => anyhow!("{base} sends on to {elsewhere}\n  = name that in --url"),
                None => anyhow!("{base} is no Beaconfire: it answered {status} without a document of ours"),
            },
        }
    }

    /// The address as it is shown.
    pub(super) fn shown(&self) -> String {
        cell(self.base.as_str().trim_end_matches('/'))
    }
}

fn usage(said: String) -> Fault {
    Fault::Usage(format!("error: {said}"))
}

/// An address that somebody typed.
fn address(text: &str) -> Result<Url, Fault> {
    let refuse = |said: &str| usage(format!("--url {}: {said}", cell(text)));
    let url = Url::parse(text).map_err(|error| refuse(&format!("{error}; write http://HOST:PORT")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("write http://HOST:PORT or https://HOST:PORT"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not shown: there is a secret in it.
        return Err(usage("--url holds a user name or password: use --token-file".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("write it without what follows `?` or `#`"));
    }
    Ok(url)
}

/// `http` of the configuration.
fn configured(sources: &Sources) -> Result<HttpKnobs, Fault> {
    match load(sources) {
        Ok(config) => Ok(config.http),
        Err(Fault::Usage(said)) => {
            Err(Fault::Usage(format!("{said}\n  = with --url no configuration is needed")))
        }
        Err(other) => Err(other),
    }
}

/// `http.listen` as this machine reaches it.
fn listening(http: &HttpKnobs) -> Result<Url, Fault> {
    let (host, port) = http.listen.rsplit_once(':').unwrap_or((&http.listen, ""));
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    if port == "0" {
        return Err(usage("`http.listen` takes any free port: name the instance with --url".to_owned()));
    }
    let scheme = if http.tls.is_some() { "https" } else { "http" };
    Url::parse(&format!("{scheme}://{host}:{port}"))
        .map_err(|error| usage(format!("`http.listen` ({}) cannot be reached: {error}", http.listen)))
}

fn token(file: &PathBuf) -> Result<Secret, Fault> {
    let refuse = |said: &str| usage(format!("--token-file {}: {said}", cell(&file.display().to_string())));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(&error.to_string()))?;
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse("it does not hold one token"));
    }
    Ok(Secret::new(text))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The innermost cause, which is what a person can act on.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cell(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_where_the_configuration_listens() {
        for (listen, url) in [
            ("127.0.0.1:8480", "http://127.0.0.1:8480/"),
            (":8480", "http://127.0.0.1:8480/"),
            ("0.0.0.0:80", "http://127.0.0.1/"),
            ("[::]:8480", "http://[::1]:8480/"),
            ("[2001:db8::1]:8480", "http://[2001:db8::1]:8480/"),
            ("beacon.internal:8480", "http://beacon.internal:8480/"),
        ] {
            let http = HttpKnobs { listen: listen.to_owned(), ..HttpKnobs::default() };
            assert_eq!(listening(&http).ok().map(String::from).as_deref(), Some(url), "{listen}");
        }
        let any = HttpKnobs { listen: "127.0.0.1:0".to_owned(), ..HttpKnobs::default() };
        assert!(matches!(listening(&any), Err(Fault::Usage(said)) if said.contains("--url")));
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_a_fault_of_usage() {
        for (text, said) in [
            ("127.0.0.1:8480", "http://HOST:PORT"),
            ("ftp://x", "http://HOST:PORT"),
            ("http://u:hunter2@x", "--token-file"),
            ("http://x/?a=b", "without"),
        ] {
            let Err(Fault::Usage(refusal)) = address(text) else { panic!("{text} is taken") };
            assert!(refusal.contains(said) && !refusal.contains("hunter2"), "{refusal}");
        }
    }
}
