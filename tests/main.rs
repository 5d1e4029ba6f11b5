//! All tests of the whole binary: one test binary, so that the workspace is linked once.

mod cli;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the parts of scenarios on the real broker, which come with the service"
)]
mod harness;
mod tidy;
