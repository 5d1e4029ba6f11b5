//! The whole binary on the real parts. Each scenario is data and one check; `world` starts what it needs. A scenario
//! whose parts are missing is skipped and says so; under CI it fails.

mod alertmanager;
mod alerts;
mod attacks;
mod broker;
mod clients;
pub mod history;
mod hostile;
mod kills;
pub mod log;
mod log_moves;
mod members;
mod old;
mod parts;
mod receivers;
mod reload;
mod silences;
mod store;
mod storms;
mod twoway;
mod world;
