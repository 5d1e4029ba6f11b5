//! Messages as each channel shows them. [`Facts`] says what there is to tell, once, in plain words; a file a channel
//! puts it into that channel's form, escapes it for there and keeps within its limits. Rendering cannot fail.

pub(crate) mod alert;
pub(crate) mod discord;
pub(crate) mod email;
pub(crate) mod facts;
mod glyphs;
pub(crate) mod pagerduty;
pub(crate) mod picture;
pub(crate) mod slack;
mod storm;
pub(crate) mod teams;
pub(crate) mod telegram;
pub(crate) mod webhook;
pub(crate) mod words;

#[cfg(test)]
mod picture_tests;
#[cfg(test)]
mod tests;

pub(crate) use facts::Facts;
