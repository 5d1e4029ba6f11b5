//! Beaconfire: one binary that finds attacks in streams and tells the people on call once.
//!
//! This crate puts the others together. `app` builds and runs the service and is the one file that knows everyone;
//! `threads` are the hot path's threads; `keep` writes what the keeper folds; `sender` delivers; `desk` answers the API;
//! `cli` has one file a command; `demo` is the service on an embedded broker with generated traffic; `standins` are local
//! receivers that speak the real protocols.

pub mod app;
pub mod cli;
pub mod demo;
mod desk;
mod keep;
pub mod metrics;
mod sender;
pub mod standins;
pub mod threads;
