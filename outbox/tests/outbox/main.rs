//! The outbox as its users see it: who is reached, what a row asks for, what outcomes do, how fast.

mod breaker;
mod by_hand;
mod digests;
mod fallback;
mod groups;
mod history;
mod pace;
mod quiet;
mod routes;
mod rows;
mod support;
