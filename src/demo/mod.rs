//! The demo: a small SaaS with staged attacks.

pub mod traffic;
