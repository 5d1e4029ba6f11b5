//! What values look like, by the variable they are of: how far a server's own word goes, and what a sender may write.

use super::Mood;
use crate::client;
use crate::requests::slot;
use crate::requests::text;
use crate::time::Clock;

/// Bytes at most of an address with its dress, a time or a number.
pub(super) const TYPED_BYTES_MAX: usize = 64;

/// What a variable's values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One address, or `unix:`.
    Address,
    /// A time whose byte at this place is this one, which tells how it is written.
    Time(usize, u8),
    Status,
    /// Digits, which may have a point among them.
    Number,
    /// What one or several upstreams said, with commas and colons between.
    Upstreams,
    /// A sender's word, which has no blanks in requests that servers take.
    Word,
    /// X-Forwarded-For: a sender's words, with what proxies added behind.
    Forwarded,
    /// A sender's words, or nobody knows whose.
    Free,
}

impl Kind {
    /// What nginx writes for a variable of this name that stands for this field.
    pub(crate) fn of(name: &str, slot: Option<usize>) -> Self {
        let of_sender = ["upstream_http_", "upstream_trailer_", "upstream_cookie_"];
        match name {
            "remote_addr" | "realip_remote_addr" | "server_addr" => Self::Address,
            "time_local" => Self::Time(2, b'/'),
            "time_iso8601" => Self::Time(4, b'-'),
            "msec" => Self::Time(10, b'.'),
            "remote_port"
            | "server_port"
            | "connection"
            | "connection_requests"
            | "connection_time"
            | "pid"
            | "request_length"
            | "request_time"
            | "bytes_sent"
            | "body_bytes_sent" => Self::Number,
            "remote_user" => Self::Word,
            _ if of_sender.iter().any(|start| name.starts_with(start)) => Self::Free,
            _ if name.starts_with("upstream_") => Self::Upstreams,
            _ => match slot {
                Some(slot::STATUS) => Self::Status,
                Some(slot::FORWARDED) => Self::Forwarded,
                Some(
                    slot::METHOD
                    | slot::HOST
                    | slot::PATH
                    | slot::QUERY
                    | slot::VERSION
                    | slot::ID
                    | slot::SERVICE
                    | slot::NAMESPACE,
                ) => Self::Word,
                _ => Self::Free,
            },
        }
    }

    /// Whether the server wrote it, so that its end is beyond doubt.
    pub(crate) fn is_typed(self) -> bool {
        matches!(self, Self::Address | Self::Time(..) | Self::Status | Self::Number | Self::Upstreams)
    }

    /// Bytes at most.
    pub(super) fn bytes_max(self) -> usize {
        match self {
            Self::Upstreams | Self::Word | Self::Forwarded | Self::Free => usize::MAX,
            _ => TYPED_BYTES_MAX,
        }
    }

    /// Whether no value has a blank in it.
    pub(super) fn has_no_blanks(self) -> bool {
        matches!(self, Self::Address | Self::Status | Self::Number)
    }

    pub(super) fn holds(self, value: &str, mood: Mood, clock: &mut Clock) -> bool {
        match self {
            Self::Address => value == "unix:" || is_address(value),
            Self::Time(place, byte) => {
                value.as_bytes().get(place) == Some(&byte) && clock.text(value).is_some()
            }
            Self::Status => text::status(value).is_some(),
            Self::Number => {
                let (whole, parts) = value.split_once('.').unwrap_or((value, "0"));
                let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                value == "-" || digits(whole) && digits(parts)
            }
            // Whoever adds to it adds an address.
            Self::Forwarded => mood != Mood::Tidy || !value.ends_with(','),
            // A list is taken element by element, see `upstreams`.
            Self::Upstreams | Self::Word | Self::Free => true,
        }
    }
}

/// An address and nothing else.
pub(super) fn is_address(value: &str) -> bool {
    !value.contains([' ', '\t', '"']) && client::address(value).is_some()
}

/// Whether it may be part of what one upstream said.
pub(super) fn is_of_upstream(byte: u8) -> bool {
    !matches!(byte, b' ' | b',' | b'"' | b'\\')
}

/// How wide what parts two upstreams is, if this begins with it.
pub(super) fn separator(bytes: &[u8]) -> usize {
    match bytes {
        [b',', b' ', ..] => 2,
        [b' ', b':', b' ', ..] => 3,
        _ => 0,
    }
}
