//! The HTTP surface over a desk in memory, called as clients call it.

mod alerts;
mod bouncer;
mod console;
mod fake;
mod harness;
mod hooks;
mod json;
mod letters;
mod logins;
mod pagerduty;
mod silences;
mod sockets;
