//! The store, on real files.

mod fallbacks;
mod groups;
mod incidents;
mod opening;
mod sending;
mod storms;
mod support;
mod throttling;
mod upkeep;
