//! Beaconfire: one binary that finds attacks in streams and tells the people on call once.
//!
//! This crate puts the others together. `app` builds and runs the service: `threads` are the hot path's threads, `keep`
//! the one task in which incidents change, `round` one of its rounds over the store, `sender` tells one receiver
//! integration, `refresh` repeats what one forgets, `outage` pages past the outbox when the store is away, `rounds` looks after gauges and retention, `desk`
//! answers the HTTP surface. `metrics` lists what is counted, `cli` has the commands; `demo` generates a small SaaS's
//! traffic; `standins` are local receivers that speak the real protocols.

pub mod alerts;
pub mod app;
pub mod bells;
pub mod cli;
pub mod demo;
pub mod desk;
pub mod health;
pub mod heartbeat;
pub mod keep;
pub mod letters;
pub mod metrics;
pub mod outage;
pub mod reached;
pub mod refresh;
pub mod round;
pub mod rounds;
pub mod sender;
pub mod senses;
pub mod standins;
pub mod threads;
