//! All tests of the whole binary: one test binary, so that the workspace is linked once.

mod cli;
mod docs;
#[allow(dead_code, unreachable_pub, reason = "parts of scenarios; each uses some")]
mod harness;
mod interleavings;
mod nab;
mod rules;
mod saas_day;
#[allow(dead_code, unreachable_pub, reason = "parts of scenarios; each uses some")]
mod scenarios;
#[allow(unreachable_pub, reason = "parts of a simulation")]
mod sim;
mod tidy;
