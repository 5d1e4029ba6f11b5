//! The real HTTP surface over a desk in memory, for commands that talk to a running instance.

use std::sync::Arc;

use beaconfire_api::{Desk, HttpKnobs, Role, Server, Token};
use beaconfire_model::Secret;
use tokio::runtime::Runtime;

use super::fake::Fake;

/// A served desk; it ends with this value.
pub(crate) struct Surface {
    pub(crate) url: String,
    pub(crate) desk: Arc<Fake>,
    runtime: Option<Runtime>,
}

impl Surface {
    /// Serves a desk with an attack or two, with these knobs, on a free loopback port.
    pub(crate) fn start(knobs: HttpKnobs) -> Self {
        Self::over(Fake::full(), knobs)
    }

    /// Serves this desk.
    pub(crate) fn over(desk: Arc<Fake>, knobs: HttpKnobs) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let scheme = if knobs.tls.is_some() { "https" } else { "http" };
        let knobs = HttpKnobs { listen: "127.0.0.1:0".to_owned(), ..knobs };
        let port: Arc<dyn Desk> = desk.clone();
        let runtime = Runtime::new().unwrap();
        let server = Server::bind(knobs, port).unwrap();
        let url = format!("{scheme}://{}", server.local_addr().unwrap());
        runtime.spawn(server.serve(std::future::pending()));
        Self { url, desk, runtime: Some(runtime) }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
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
