//! Channels against small servers on loopback that answer as they are told.

mod chats;
mod email;
pub(crate) mod fixture;
mod http;
mod managers;
pub(crate) mod server;
mod slack;
