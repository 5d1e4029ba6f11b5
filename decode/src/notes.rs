//! What `explain` wants to know and the hot path does not. Each method takes a closure, so that [`Silent`] costs nothing.

use crate::Decoded;

/// Listens to a decoder at work.
pub(crate) trait Notes {
    /// An envelope came off.
    fn layer(&mut self, name: &'static str, detail: impl FnOnce() -> String);
    /// A field of the event to come was found here.
    fn origin(&mut self, field: &'static str, from: impl FnOnce() -> String);
    /// An event is handed over: the origins since the last one are its own.
    fn event(&mut self, decoded: &Decoded<'_>);
    /// What exactly is wrong, just before the reject.
    fn fault(&mut self, what: impl FnOnce() -> String);
    /// Something worth saying that is no fault.
    fn remark(&mut self, what: impl FnOnce() -> String);
}

/// Nobody listens.
pub(crate) struct Silent;

impl Notes for Silent {
    fn layer(&mut self, _: &'static str, _: impl FnOnce() -> String) {}
    fn origin(&mut self, _: &'static str, _: impl FnOnce() -> String) {}
    fn event(&mut self, _: &Decoded<'_>) {}
    fn fault(&mut self, _: impl FnOnce() -> String) {}
    fn remark(&mut self, _: impl FnOnce() -> String) {}
}
