//! Bytes in, events out.
//!
//! A value from the log may wear several coats: a CRI prefix around a Fluent Bit object around a line of nginx.
//! [`Decoder`] takes them off (`envelope`), sees by the record's own shape what is left (`auto`), reads it
//! (`requests`, `resources`, `runtime`) and settles who sent it (`client`). [`explain`] does the same and takes notes.
//!
//! Everything here is a pure function of the record, its log's stamp and the fragments of CRI lines that are still
//! open; those hold back what may be committed ([`Decoder::pending`]), so that a restart decodes alike.
//!
//! Senders write much of these bytes. So a reader is lenient where strictness would let a sender hide (broken
//! UTF-8, escapes that are not JSON, quotes nobody escaped), every loop and buffer has a bound, and what is not
//! understood comes back as a [`Reject`], never as a guess.

mod auto;
mod client;
mod decoder;
mod envelope;
mod explain;
mod format;
mod json;
mod keys;
mod kubernetes;
mod layout;
mod notes;
mod number;
mod path;
mod pick;
mod reject;
mod requests;
mod resources;
mod runtime;
mod scan;
mod time;
mod walk;
mod zone;

pub use decoder::{DecodeKnobs, Decoded, Decoder};
pub use envelope::Fragments;
pub use explain::{ExplainedEvent, ExplainedField, Explanation, Layer, explain};
pub use format::{Format, describe};
pub use reject::Reject;
pub use requests::QUERY_KEYS;
pub use requests::log_format::{BadLogFormat, LogFormat};
pub use requests::paths::{BadFieldPath, FieldPaths};
pub use zone::Zone;
