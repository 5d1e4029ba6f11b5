//! The store, on real files.

mod fallbacks;
mod incidents;
mod opening;
mod sending;
mod storms;
mod support;
mod throttling;
mod upkeep;
