//! The HTTP surface: JSON API, CrowdSec's bouncer contract, Prometheus metrics, and a console that needs no script.
//!
//! Everything is listed once, in [`ROUTES`]: method, path, who may call it, and the handler. A request meets, in this
//! order: the edge (security headers, limits, deadline, Host and Origin checks), its route's login, its handler. What
//! a handler knows and does goes through one port, [`Desk`], which the binary implements over the store, the keeper
//! and the board; nothing here holds state but verified passwords and how far each bouncer has read.

mod alerts;
mod auth;
mod body;
mod bouncer;
mod console;
mod decisions;
mod desk;
mod edge;
mod exposure;
mod hooks;
mod incidents;
mod knobs;
mod letters;
mod metrics;
mod problem;
mod routes;
mod server;
mod shapes;
mod silences;
mod status;

pub use auth::sha256;
pub use desk::{
    Answer, BouncerKey, Case, DecisionQuery, DeliveryFacts, Desk, DeskError, IncidentQuery, LetterFacts,
    LetterQuery, Lift, NewDecision, NewSilence, OutboxFacts, OutboxQuery, Page, PostedAlert, Pull,
    ReceiverFacts, RejectedFacts, RowPick, SILENCED_SHOWN, SilenceFacts, SourceFacts, StatusFacts,
};
pub use exposure::check_exposure;
pub use knobs::{HttpKnobs, Role, TlsKnobs, Token};
pub use routes::{Access, ROUTES, Route};
pub use server::{ServeError, Server, router};
