//! How a line fits a format: which of its blanks and brackets are the format's, and which a sender wrote.
//!
//! A user name may hold ` - ` and `[`, as may most of what senders say, so the first place where a text of the format
//! occurs proves nothing. What servers write does: an address, a time, a status, a number is nothing else. So all ends
//! of a value are tried, the nearest first, until every such variable holds what it must. Values are looked for in
//! three moods, of which the first that succeeds counts:
//!
//! 1. quotes are the server's (nginx escapes those of its senders), and words of senders have no blanks in them;
//! 2. the same, with blanks anywhere: what a server refused may have them;
//! 3. anything may have quotes: nginx does not escape where it is told so (`escape=none`).
//!
//! Where that leaves two readings that name different clients, none of them is believed.
//!
//! The search is linear in the line for formats people write, as a place from which the rest did not fit is remembered;
//! it ends after [`STEPS_MAX`] in any case.

use memchr::{memchr_iter, memchr2, memmem};

use super::{PARTS_MAX, Part};
use crate::client;
use crate::requests::slot;
use crate::requests::text::{self, some};
use crate::time::Clock;

/// Ends that are tried at most, for one mood.
const STEPS_MAX: usize = 300_000;
/// Bytes at most of an address with its dress, a time or a number.
const TYPED_BYTES_MAX: usize = 64;
/// Bytes at most of what several upstreams said.
const UPSTREAMS_BYTES_MAX: usize = 4096;

/// What a variable's values look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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
    pub(super) fn of(name: &str, slot: Option<usize>) -> Self {
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
    pub(super) fn is_typed(self) -> bool {
        matches!(self, Self::Address | Self::Time(..) | Self::Status | Self::Number | Self::Upstreams)
    }

    /// Bytes at most.
    fn bytes_max(self) -> usize {
        match self {
            Self::Upstreams => UPSTREAMS_BYTES_MAX,
            Self::Word | Self::Forwarded | Self::Free => usize::MAX,
            _ => TYPED_BYTES_MAX,
        }
    }

    fn holds(self, value: &str, mood: Mood, clock: &mut Clock) -> bool {
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
            Self::Upstreams => {
                let is_one = |one: &str| !one.is_empty() && !one.contains([' ', ',', '"']);
                value.is_empty() || value.split(", ").flat_map(|group| group.split(" : ")).all(is_one)
            }
            // Whoever adds to it adds an address.
            Self::Forwarded => mood != Mood::Tidy || !value.ends_with(','),
            Self::Word | Self::Free => true,
        }
    }
}

/// An address and nothing else.
fn is_address(value: &str) -> bool {
    !value.contains([' ', '\t', '"']) && client::address(value).is_some()
}

/// What is taken for granted of senders' words; see the file's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Tidy,
    Escaped,
    Raw,
}

impl Mood {
    pub(super) const ALL: [Self; 3] = [Self::Tidy, Self::Escaped, Self::Raw];
}

/// A search for the ends of all values of one line.
pub(super) struct Fit<'f, 'b> {
    parts: &'f [Part],
    line: &'b str,
    clock: &'f mut Clock,
    mood: Mood,
    /// A part that must hold an address of another reading than this one.
    other: Option<(usize, &'b str)>,
    ends: [usize; PARTS_MAX],
    /// By part, from where to where a value cannot begin: whatever its end, the rest did not fit.
    dead: [(usize, usize); PARTS_MAX],
    steps: usize,
}

impl<'f, 'b> Fit<'f, 'b> {
    pub(super) fn new(parts: &'f [Part], line: &'b str, clock: &'f mut Clock) -> Self {
        Self {
            parts,
            line,
            clock,
            mood: Mood::Tidy,
            other: None,
            ends: [0; PARTS_MAX],
            dead: [(usize::MAX, 0); PARTS_MAX],
            steps: 0,
        }
    }

    /// Whether the line fits in this mood; then [`values`](Self::values) has its values.
    pub(super) fn fits(&mut self, mood: Mood) -> bool {
        self.search(mood, None)
    }

    /// Whether there is a reading of the line in which this part holds another address than `value`, or one behind the
    /// last comma. In doubt there is.
    pub(super) fn is_doubtful(&mut self, place: usize, value: &'b str, mood: Mood) -> bool {
        // Blanks in other fields do not make an address truer.
        let mood = if mood == Mood::Tidy { Mood::Escaped } else { mood };
        if self.is_fixed(place, mood) {
            return false;
        }
        let found = self.search(mood, Some((place, value)));
        found || self.steps >= STEPS_MAX
    }

    /// The values of the variables, by their places.
    pub(super) fn values(&self) -> impl Iterator<Item = (usize, &'b str)> {
        let mut at = 0;
        self.parts.iter().enumerate().filter_map(move |(place, part)| match part {
            Part::Text(text) => {
                at += text.len();
                None
            }
            Part::Variable { .. } => {
                let from = std::mem::replace(&mut at, self.ends[place]);
                Some((place, some(self.line.get(from..at).unwrap_or_default())))
            }
        })
    }

    fn search(&mut self, mood: Mood, other: Option<(usize, &'b str)>) -> bool {
        (self.mood, self.other, self.steps) = (mood, other, 0);
        self.dead[..self.parts.len()].fill((usize::MAX, 0));
        self.rest(0, 0)
    }

    /// Whether the value at `place` begins and ends where it does in any reading: from the line's beginning, or from a
    /// quote that only the server writes, only the server wrote; and either it is an address, or a quote ends it.
    fn is_fixed(&self, place: usize, mood: Mood) -> bool {
        let is_quoted = |part: Option<&Part>, at: fn(&str) -> bool| match part {
            Some(Part::Text(text)) => mood != Mood::Raw && at(text),
            _ => false,
        };
        let ends = match self.parts.get(place) {
            Some(Part::Variable { kind, .. }) if kind.is_typed() => true,
            _ => {
                place + 1 == self.parts.len()
                    || is_quoted(self.parts.get(place + 1), |text| text.starts_with('"'))
            }
        };
        let before = self.parts[..place].iter().rev();
        let mut known = before.take_while(|part| match part {
            Part::Text(_) => !is_quoted(Some(part), |text| text.contains('"')),
            Part::Variable { kind, .. } => kind.is_typed(),
        });
        let counted = known.by_ref().count();
        let begins =
            counted == place || is_quoted(self.parts.get(place - counted - 1), |text| text.contains('"'));
        begins && ends
    }

    /// Whether the line from `at` on fits the parts from `place` on.
    fn rest(&mut self, place: usize, at: usize) -> bool {
        match self.parts.get(place) {
            None => at == self.line.len(),
            Some(Part::Text(text)) => {
                self.line.as_bytes()[at..].starts_with(text.as_bytes())
                    && self.rest(place + 1, at + text.len())
            }
            Some(Part::Variable { kind, .. }) => self.value(place, at, *kind),
        }
    }

    fn value(&mut self, place: usize, at: usize, kind: Kind) -> bool {
        let is_other = self.other.is_some_and(|(other, _)| other == place);
        // Whether an end will do depends on where the value begins only for these.
        let remembers = !kind.is_typed() && !is_other;
        if remembers && (self.dead[place].0..=self.dead[place].1).contains(&at) {
            return false;
        }
        let farthest = self.farthest(at, kind);
        let Some(Part::Text(text)) = self.parts.get(place + 1) else {
            return farthest == self.line.len() && self.ends_at(place, at, farthest, kind);
        };
        let bytes = self.line.as_bytes();
        let window = &bytes[..bytes.len().min(farthest.saturating_add(text.len()))];
        let mut from = at;
        while let Some(found) = window.get(from..).and_then(|rest| memmem::find(rest, text.as_bytes())) {
            let end = from + found;
            self.steps += 1;
            if self.steps >= STEPS_MAX {
                return false;
            }
            // A quote before the farthest end is one that the server escaped.
            let escaped = self.mood != Mood::Raw && text.starts_with('"') && end < farthest;
            if !escaped && self.ends_at(place, at, end, kind) {
                return true;
            }
            from = end + 1;
        }
        if remembers {
            self.dead[place] = (at, farthest);
        }
        false
    }

    fn ends_at(&mut self, place: usize, at: usize, end: usize, kind: Kind) -> bool {
        let line = self.line;
        let Some(value) = line.get(at..end) else { return false };
        let is_other = self
            .other
            .is_none_or(|(other, known)| other != place || some(value) != known && is_address(last(value)));
        let fits = is_other && kind.holds(value, self.mood, self.clock) && self.rest(place + 1, end);
        if fits {
            self.ends[place] = end;
        }
        fits
    }

    /// The last place where a value that begins here can end.
    fn farthest(&self, at: usize, kind: Kind) -> usize {
        let bytes = self.line.as_bytes();
        let mut farthest = bytes.len().min(at.saturating_add(kind.bytes_max()));
        // Words have no blanks, and in X-Forwarded-For they stand behind commas.
        let may_have = |blank: usize| kind == Kind::Forwarded && blank > at && bytes[blank - 1] == b',';
        if self.mood == Mood::Tidy && matches!(kind, Kind::Word | Kind::Forwarded) {
            let mut blanks = memchr_iter(b' ', &bytes[at..farthest]).map(|blank| at + blank);
            farthest = blanks.find(|blank| !may_have(*blank)).unwrap_or(farthest);
        }
        if self.mood == Mood::Raw {
            return farthest;
        }
        let mut from = at;
        while let Some(found) = memchr2(b'"', b'\\', &bytes[from.min(farthest)..farthest]) {
            let place = from + found;
            if bytes[place] == b'"' {
                return place;
            }
            from = place + 2;
        }
        farthest
    }
}

/// What stands behind the last comma.
fn last(forwarded: &str) -> &str {
    forwarded.rsplit(',').next().unwrap_or_default().trim_ascii()
}
