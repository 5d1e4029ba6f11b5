//! Sockets: bind first, so that a taken port is known before anything else starts; serve until told to stop.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::edge::{App, OnLoopback};
use crate::exposure::split_listen;
use crate::{Desk, HttpKnobs, TlsKnobs, routes};

/// How long a client may take to send its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// How long answers under way may take once we are told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The knobs must not run, see [`check_exposure`](crate::check_exposure).
    #[error("refusing to listen: {0}")]
    Exposed(String),
    /// The address cannot be had.
    #[error("cannot listen on {listen}")]
    Bind {
        /// Which.
        listen: String,
        /// Why.
        source: io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("cannot use the certificate {cert} with the key {key}: {said}")]
    Tls {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
        /// What is wrong.
        said: String,
    },
    /// The registry has our figures already.
    #[error("cannot register metrics")]
    Metrics(#[source] prometheus::Error),
    /// Accepting connections failed.
    #[error("the HTTP server failed")]
    Serve(#[source] io::Error),
}

/// A server that has its sockets, and does not answer yet.
pub struct Server {
    main: Listening,
    metrics: Option<Listening>,
}

struct Listening {
    socket: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
}

/// The whole surface of `http.listen` without a socket: for tests, and for who brings a server of his own (bouncers are
/// then told apart by [`ConnectInfo`](axum::extract::ConnectInfo), where that server gives it).
pub fn router(knobs: HttpKnobs, desk: Arc<dyn Desk>) -> Result<Router, ServeError> {
    let here = OnLoopback::of(&knobs.listen)?;
    Ok(routes::router(App::new(desk, knobs)?, here))
}

impl Server {
    /// Checks the knobs, reads the certificate, takes the sockets. From here on connections queue.
    pub fn bind(knobs: HttpKnobs, desk: Arc<dyn Desk>) -> Result<Self, ServeError> {
        let app = App::new(desk, knobs.clone())?;
        let tls = knobs.tls.as_ref().map(tls_config).transpose()?;
        let router = routes::router(app.clone(), OnLoopback::of(&knobs.listen)?);
        let main = Listening { socket: bind(&knobs.listen)?, router, tls: tls.clone() };
        let metrics = match &knobs.metrics_listen {
            Some(listen) => {
                let router = routes::metrics_router(app, OnLoopback::of(listen)?);
                Some(Listening { socket: bind(listen)?, router, tls })
            }
            None => None,
        };
        Ok(Self { main, metrics })
    }

    /// Where it listens, with the port that was taken where port 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.main.socket.local_addr()
    }

    /// Where only `/metrics`, `/healthz` and `/readyz` are served, if anywhere.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|metrics| metrics.socket.local_addr().ok())
    }

    /// Serves until `shutdown` is done and answers under way are given, or 5 s later.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
        let handle = Handle::new();
        let main = serve(self.main, handle.clone());
        let metrics = async {
            match self.metrics {
                Some(metrics) => serve(metrics, handle.clone()).await,
                None => Ok(()),
            }
        };
        let both = async { tokio::try_join!(main, metrics).map(|_| ()) };
        tokio::pin!(both);
        tokio::select! {
            ended = &mut both => return ended.map_err(ServeError::Serve),
            () = shutdown => handle.graceful_shutdown(Some(STOP_WITHIN)),
        }
        both.await.map_err(ServeError::Serve)
    }
}

async fn serve(listening: Listening, handle: Handle<SocketAddr>) -> io::Result<()> {
    let service = listening.router.into_make_service_with_connect_info::<SocketAddr>();
    match listening.tls {
        Some(tls) => {
            let mut server = axum_server::from_tcp_rustls(listening.socket, tls)?.handle(handle);
            harden(server.http_builder());
            server.serve(service).await
        }
        None => {
            let mut server = axum_server::from_tcp(listening.socket)?.handle(handle);
            harden(server.http_builder());
            server.serve(service).await
        }
    }
}

/// Bounds on what a connection may hold: slow headers, many headers, many streams.
fn harden<E>(builder: &mut hyper_util::server::conn::auto::Builder<E>) {
    let timer = hyper_util::rt::TokioTimer::new();
    builder.http1().timer(timer.clone()).header_read_timeout(HEADERS_WITHIN).max_headers(64);
    builder.http2().timer(timer).max_concurrent_streams(100).max_header_list_size(32 << 10);
}

fn bind(listen: &str) -> Result<TcpListener, ServeError> {
    let fault = |source| ServeError::Bind { listen: listen.to_owned(), source };
    let (host, port) = split_listen(listen).map_err(ServeError::Exposed)?;
    let addresses: Vec<SocketAddr> = if host.is_empty() {
        vec![
            SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)),
            SocketAddr::from(([0, 0, 0, 0], port)),
        ]
    } else if let Ok(address) = host.parse::<IpAddr>() {
        vec![SocketAddr::from((address, port))]
    } else {
        let is_localhost = host.eq_ignore_ascii_case("localhost");
        let found = (host, port).to_socket_addrs().map_err(fault)?;
        // Whatever a hosts file says: `localhost` was let through without a login as this machine only.
        found.filter(|address| !is_localhost || address.ip().is_loopback()).collect()
    };
    let socket = TcpListener::bind(&addresses[..]).map_err(fault)?;
    socket.set_nonblocking(true).map_err(fault)?;
    Ok(socket)
}

fn tls_config(knobs: &TlsKnobs) -> Result<RustlsConfig, ServeError> {
    let fault = |said: String| ServeError::Tls {
        cert: knobs.cert_file.display().to_string(),
        key: knobs.key_file.display().to_string(),
        said,
    };
    let chain = CertificateDer::pem_file_iter(&knobs.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault(format!("{}: {error}", knobs.cert_file.display())))?;
    let key = PrivateKeyDer::from_pem_file(&knobs.key_file)
        .map_err(|error| fault(format!("{}: {error}", knobs.key_file.display())))?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| fault(error.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
