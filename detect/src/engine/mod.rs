//! Engines that judge what rules cannot: whether a workload mines coins, whether a service gets more than it was built
//! for.
//!
//! Both are pure. They are given closed slices of event time and what sensors saw, each in its own input type, and
//! answer with findings that name every number that counted. They know neither records nor incidents: whoever feeds
//! them ties a workload to its service and turns findings into signals.

pub mod mining;
pub mod surge;
