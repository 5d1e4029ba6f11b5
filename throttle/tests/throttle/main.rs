//! Who is throttled and who never is; what enforcers are told.

mod board;
mod decide;
mod guard;
mod support;
