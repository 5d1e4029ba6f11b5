//! What all benchmarks share: traffic, CPU time, the shipped rules, and how figures are put together and printed.

pub(crate) mod cpu;
pub(crate) mod figures;
pub(crate) mod memory;
pub(crate) mod rules;
pub(crate) mod traffic;
