//! The store, on real files.

mod by_hand;
mod fallbacks;
mod groups;
mod incidents;
mod opening;
mod sending;
mod silences;
mod storms;
mod support;
mod throttling;
mod upkeep;
