//! Channels against small servers on loopback that answer as they are told.

mod email;
pub(crate) mod fixture;
mod http;
mod server;
mod slack;
