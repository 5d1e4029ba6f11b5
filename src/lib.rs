//! Beaconfire: one binary that finds attacks in streams and tells the people on call once.
//!
//! This crate puts the others together. `threads` are the hot path's threads, `metrics` what they count; `cli` has the
//! commands; `demo` generates a small SaaS's traffic; `standins` are local receivers that speak the real protocols.

pub mod cli;
pub mod demo;
pub mod metrics;
pub mod standins;
pub mod threads;
