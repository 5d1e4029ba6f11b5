//! What shippers put around a record. Each file knows one sort of coat; `walk` takes them off in whatever order they
//! were put on, and keeps the two things worth keeping: a time to fall back on, and the workload in Kubernetes.

pub(crate) mod cri;
pub(crate) mod otel;
pub(crate) mod syslog;
pub(crate) mod wrapper;

pub use cri::Fragments;
pub(crate) use cri::Held;
