//! How far each bouncer has read. Lost on a restart: then it is told everything that is active, which it skips.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use beaconfire_model::Wall;
use http_body::{Body, Frame, SizeHint};

/// Bouncers that are remembered; of more, the one that has been silent the longest is forgotten.
const READERS_MAX: usize = 4096;
/// Polls overlap by this much, for decisions that were made while the one before was answered.
const OVERLAP: Duration = Duration::from_secs(2);

/// One bouncer: several machines may share a key, and each has its own place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    pub(crate) key: Arc<str>,
    pub(crate) client: IpAddr,
}

/// When each bouncer's last answered poll began.
#[derive(Debug, Default)]
pub(crate) struct Readers(Mutex<HashMap<Reader, Wall>>);

impl Readers {
    /// From when on this bouncer must be told; `None` where it must be told everything.
    pub(super) fn since(&self, reader: &Reader) -> Option<Wall> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(reader).map(|last| last.minus(OVERLAP))
    }

    /// Its poll that began `at` has been answered.
    pub(super) fn pulled(&self, reader: Reader, at: Wall) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= READERS_MAX && !held.contains_key(&reader) {
            // Ties do not matter: whoever is forgotten hears everything once more.
            let silent = held.iter().min_by_key(|(_, last)| **last).map(|(reader, _)| reader.clone());
            if let Some(silent) = silent {
                tracing::warn!(
                    bouncer = &*silent.key,
                    "more than {READERS_MAX} bouncers poll; forgetting one"
                );
                held.remove(&silent);
            }
        }
        held.insert(reader, at);
    }
}

/// A body that says when it has been taken by the connection.
pub(super) struct OnceRead<F: FnOnce()> {
    text: Option<Bytes>,
    taken: Option<F>,
}

impl<F: FnOnce()> OnceRead<F> {
    pub(super) fn new(text: String, taken: F) -> Self {
        Self { text: Some(text.into()), taken: Some(taken) }
    }
}

impl<F: FnOnce() + Unpin> Body for OnceRead<F> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let text = self.text.take();
        if text.is_some()
            && let Some(taken) = self.taken.take()
        {
            taken();
        }
        Poll::Ready(text.map(|text| Ok(Frame::data(text))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.text.as_ref().map_or(0, |text| text.len() as u64))
    }
}
