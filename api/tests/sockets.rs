//! Real sockets: TLS, the listener for metrics, the end.

use std::sync::Arc;
use std::time::Duration;

use beaconfire_api::{Desk, HttpKnobs, Role, ServeError, Server, TlsKnobs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::fake::Fake;
use crate::harness::{secret, with_tokens};

fn desk() -> Arc<dyn Desk> {
    Fake::full()
}

async fn request(address: std::net::SocketAddr, path: &str) -> String {
    send(address, &address.to_string(), path, "x-nothing: 1").await
}

async fn send(address: std::net::SocketAddr, host: &str, path: &str, header: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{header}\r\nconnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn serves_until_told_to_stop() {
    let knobs = HttpKnobs {
        listen: "127.0.0.1:0".into(),
        metrics_listen: Some("127.0.0.1:0".into()),
        ..with_tokens()
    };
    let server = Server::bind(knobs, desk()).unwrap();
    let (main, metrics) = (server.local_addr().unwrap(), server.metrics_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async { stopped.await.unwrap_or(()) }));

    assert!(request(main, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(request(main, "/metrics").await.starts_with("HTTP/1.1 401"));
    assert!(request(metrics, "/metrics").await.starts_with("HTTP/1.1 401"));
    let login = format!("authorization: Bearer {}", secret(Role::Viewer));
    assert!(send(metrics, "prometheus.example", "/metrics", &login).await.starts_with("HTTP/1.1 421"));
    assert!(send(metrics, "127.0.0.1", "/metrics", &login).await.starts_with("HTTP/1.1 200"));
    assert!(request(metrics, "/readyz").await.starts_with("HTTP/1.1 200"));
    for path in ["/", "/api/v1/incidents", "/v1/decisions", "/api/v1/ledger"] {
        assert!(request(metrics, path).await.starts_with("HTTP/1.1 404"), "{path}");
    }

    // A connection that says nothing does not hold up the end for longer than the deadline.
    let _idle = TcpStream::connect(main).await.unwrap();
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(8), serving).await.expect("it stops").unwrap().unwrap();
    assert!(TcpStream::connect(main).await.is_err());
}

/// The console stays on loopback, and Prometheus comes from elsewhere by whatever name it has for us.
#[tokio::test]
async fn each_listener_knows_its_own_hosts() {
    let knobs =
        HttpKnobs { listen: "127.0.0.1:0".into(), metrics_listen: Some("0.0.0.0:0".into()), ..with_tokens() };
    let server = Server::bind(knobs, desk()).unwrap();
    let (main, metrics) = (server.local_addr().unwrap(), server.metrics_addr().unwrap());
    let metrics = std::net::SocketAddr::from(([127, 0, 0, 1], metrics.port()));
    tokio::spawn(server.serve(std::future::pending()));
    let login = format!("authorization: Bearer {}", secret(Role::Viewer));
    for (address, status) in [(main, "421"), (metrics, "200")] {
        let said = send(address, "beaconfire.monitoring.svc:9100", "/metrics", &login).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
    }
}

#[tokio::test]
async fn what_must_not_run_does_not() {
    let exposed = HttpKnobs { listen: "0.0.0.0:0".into(), ..HttpKnobs::default() };
    assert!(matches!(Server::bind(exposed, desk()), Err(ServeError::Exposed(_))));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let busy = HttpKnobs { listen, ..HttpKnobs::default() };
    assert!(matches!(Server::bind(busy, desk()), Err(ServeError::Bind { .. })));
    let tls = TlsKnobs { cert_file: "/nonexistent/cert.pem".into(), key_file: "/nonexistent/key.pem".into() };
    let broken = HttpKnobs { listen: "127.0.0.1:0".into(), tls: Some(tls), ..HttpKnobs::default() };
    let Err(error) = Server::bind(broken, desk()) else { panic!("served without a certificate") };
    assert!(error.to_string().contains("/nonexistent/cert.pem"), "{error}");
}

/// A certificate for `localhost`, signed by itself; `None` where there is no `openssl` to make one.
fn certificate(folder: &std::path::Path) -> Option<TlsKnobs> {
    let knobs = TlsKnobs { cert_file: folder.join("cert.pem"), key_file: folder.join("key.pem") };
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&knobs.key_file)
        .arg("-out")
        .arg(&knobs.cert_file)
        .output()
        .ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(knobs)
}

#[tokio::test]
async fn speaks_tls_and_nothing_else_where_it_is_set() {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use std::io::{Read, Write};

    let folder = tempfile::tempdir().unwrap();
    let Some(tls) = certificate(folder.path()) else {
        eprintln!("skipped: no openssl here to make a certificate");
        return;
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&tls.cert_file).unwrap()).unwrap();
    let knobs = HttpKnobs { listen: "127.0.0.1:0".into(), tls: Some(tls), ..HttpKnobs::default() };
    let server = Server::bind(knobs, desk()).unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.serve(std::future::pending()));

    let answer = tokio::task::spawn_blocking(move || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = std::net::TcpStream::connect(address).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, socket);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // Whether the peer says goodbye properly is not what is asked here.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "plain text was answered");
}
