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
//! Where that leaves two readings that name different clients, times or statuses, none of them is believed.
//!
//! Ordinary lines take a few steps. Where a sender makes the search go astray it is given up after [`STEPS_MAX`], and a
//! [`table`] of what fits from where leads it: that takes time linear in the line, and forgets no reading.

mod kind;
mod table;

use memchr::{memchr_iter, memchr2, memmem};

pub(super) use kind::Kind;
use kind::{TYPED_BYTES_MAX, is_address, is_of_upstream, separator};

use super::{PARTS_MAX, Part};
use crate::requests::slot;
use crate::requests::text::some;
use crate::time::Clock;

/// Ends that are tried at most, and 64ths of the bytes looked at for them, before a table is made.
const STEPS_MAX: usize = 2_000;

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

/// Another reading, of which a part must hold something else than in the first.
#[derive(Debug, Clone, Copy)]
struct Other<'b> {
    place: usize,
    slot: usize,
    known: &'b str,
}

impl<'b> Other<'b> {
    fn is_known(&self, value: &'b str) -> bool {
        // To compare long values at every place would take squared time: of these only the very same is known.
        let is_short = value.len() <= 4 * TYPED_BYTES_MAX;
        value.len() == self.known.len()
            && (std::ptr::eq(value, self.known) || is_short && value == self.known)
    }

    /// Whether it would tell of somebody or something else.
    fn differs(&self, value: &'b str, clock: &mut Clock) -> bool {
        let value = some(value);
        !self.is_known(value)
            && match self.slot {
                slot::TIME => value.len() <= TYPED_BYTES_MAX && clock.text(value).is_some(),
                slot::STATUS => true,
                _ => is_address(last(value)),
            }
    }
}

/// A search for the ends of all values of one line.
pub(super) struct Fit<'f, 'b> {
    parts: &'f [Part],
    line: &'b str,
    clock: &'f mut Clock,
    mood: Mood,
    other: Option<Other<'b>>,
    ends: [usize; PARTS_MAX],
    steps: usize,
    steps_max: usize,
    /// From where the rest fits, once that had to be found out.
    table: Option<table::Table>,
    /// What all searches took, for tests.
    #[cfg(test)]
    pub(super) work: usize,
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
            steps: 0,
            steps_max: STEPS_MAX,
            table: None,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Whether the line fits in this mood; then [`values`](Self::values) has its values.
    pub(super) fn fits(&mut self, mood: Mood) -> bool {
        self.search(mood, None)
    }

    /// Whether there is a reading of the line in which this part, which stands for this field, holds another address than
    /// `value`, or one behind the last comma; or another time, or another status.
    pub(super) fn is_doubtful(&mut self, place: usize, slot: usize, value: &'b str, mood: Mood) -> bool {
        // Blanks in other fields do not make a reading truer.
        let mood = if mood == Mood::Tidy { Mood::Escaped } else { mood };
        !self.is_fixed(place, mood) && self.search(mood, Some(Other { place, slot, known: value }))
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

    fn search(&mut self, mood: Mood, other: Option<Other<'b>>) -> bool {
        (self.mood, self.other, self.steps, self.table) = (mood, other, 0, None);
        let mut found = self.rest(0, 0);
        #[cfg(test)]
        (self.work += self.steps);
        if self.steps >= self.steps_max {
            let table = self.tabulate();
            found = table.fits(0, 0);
            #[cfg(test)]
            (self.work += table.work);
            // Of a doubt nobody asks where its values end.
            if found && other.is_none() {
                self.table = Some(table);
                found = self.rest(0, 0);
            }
        }
        found
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
        if self.table.as_ref().is_some_and(|table| !table.fits(place, at)) {
            return false;
        }
        match self.parts.get(place) {
            None => at == self.line.len(),
            Some(Part::Text(text)) => {
                self.line.as_bytes()[at..].starts_with(text.as_bytes())
                    && self.rest(place + 1, at + text.len())
            }
            Some(Part::Variable { kind: Kind::Upstreams, .. }) => self.upstreams(place, at),
            Some(Part::Variable { kind, .. }) => self.value(place, at, *kind),
        }
    }

    /// Whether it was given up: a table leads to the end without detours.
    fn is_astray(&mut self, steps: usize) -> bool {
        self.steps += steps;
        self.steps >= self.steps_max && self.table.is_none()
    }

    fn value(&mut self, place: usize, at: usize, kind: Kind) -> bool {
        let farthest = self.farthest(at, kind);
        if self.is_astray((farthest - at) / 64) {
            return false;
        }
        let Some(Part::Text(text)) = self.parts.get(place + 1) else {
            return farthest == self.line.len() && self.ends_at(place, at, farthest, kind);
        };
        let bytes = self.line.as_bytes();
        let window = &bytes[..bytes.len().min(farthest.saturating_add(text.len()))];
        let mut from = at;
        while let Some(found) = window.get(from..).and_then(|rest| memmem::find(rest, text.as_bytes())) {
            let end = from + found;
            if self.is_astray(1) {
                return false;
            }
            // A quote before the farthest end is one that the server escaped.
            let escaped = self.mood != Mood::Raw && text.starts_with('"') && end < farthest;
            if !escaped && self.ends_at(place, at, end, kind) {
                return true;
            }
            from = end + 1;
        }
        false
    }

    fn ends_at(&mut self, place: usize, at: usize, end: usize, kind: Kind) -> bool {
        let line = self.line;
        let Some(value) = line.get(at..end) else { return false };
        let may_end = self.table.as_ref().is_none_or(|table| table.fits(place + 1, end));
        let other = self.other.filter(|other| other.place == place);
        let fits = may_end
            && kind.holds(value, self.mood, self.clock)
            && other.is_none_or(|other| other.differs(value, self.clock))
            && self.rest(place + 1, end);
        if fits {
            self.ends[place] = end;
        }
        fits
    }

    /// What upstreams said is taken element by element: behind the first blank that no separator explains, no end will do.
    fn upstreams(&mut self, place: usize, at: usize) -> bool {
        let bytes = self.line.as_bytes();
        let (mut end, mut may_end) = (at, true);
        loop {
            if self.is_astray(1) {
                return false;
            }
            if may_end && self.rest(place + 1, end) {
                self.ends[place] = end;
                return true;
            }
            (end, may_end) = match bytes.get(end) {
                Some(byte) if is_of_upstream(*byte) => (end + 1, true),
                _ if !may_end || end == at => return false,
                _ => match separator(&bytes[end..]) {
                    0 => return false,
                    width => (end + width, false),
                },
            };
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::requests::log_format::LogFormat;

    /// The values of a line, and for each which fields would be doubtful if it stood for them.
    type Said<'b> = Vec<(&'b str, Vec<bool>)>;

    /// All that a search says of a line in every mood: its values, and which of them are doubtful.
    fn said<'b>(format: &LogFormat, line: &'b str, steps_max: usize) -> Vec<Option<Said<'b>>> {
        let mut clock = Clock::default();
        let mut fit = Fit { steps_max, ..Fit::new(&format.0, line, &mut clock) };
        Mood::ALL
            .map(|mood| {
                let found = fit.fits(mood).then(|| fit.values().collect::<Vec<_>>())?;
                let slots = [slot::PEER, slot::TIME, slot::STATUS];
                let doubts = found.into_iter().map(|(place, value)| {
                    // Nobody asks after a status that is not the server's, nor after any of these of upstreams.
                    let doubtful = |slot| match &format.0[place] {
                        Part::Variable { kind: Kind::Upstreams, .. } => false,
                        Part::Variable { kind, .. } if slot == slot::STATUS && !kind.is_typed() => false,
                        _ => fit.is_doubtful(place, slot, value, mood),
                    };
                    (value, slots.map(doubtful).to_vec())
                });
                Some(doubts.collect())
            })
            .to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn a_table_says_what_a_search_says(
            names in prop::collection::vec((0usize..10, 0usize..8), 1..6),
            pieces in prop::collection::vec(0usize..18, 0..24),
            fits: bool,
        ) {
            const NAMES: [&str; 10] = [
                "remote_addr", "msec", "time_local", "body_bytes_sent", "upstream_addr", "host", "http_x_forwarded_for",
                "http_user_agent", "timestamp", "client_ip",
            ];
            const TEXTS: [&str; 8] = [" ", " - ", "\"", "\" ", " \"", ",", " [", "] "];
            const PIECES: [&str; 18] = [
                " ", " - ", "\"", "\\", ",", ", ", " : ", "6.6.6.6", "7.7.7.7", "200", "404", "x", " [", "] ",
                "02/Jan/2020:03:04:05 +0000", "1577934245.000", "é", "  ",
            ];
            let mut format: String =
                names.iter().map(|(name, text)| format!("${{{}}}{}", NAMES[*name], TEXTS[*text])).collect();
            format.push_str("$status");
            let said_of: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
            // Chance alone seldom makes a line that fits.
            let mut line = said_of.clone();
            if fits {
                line = format.replace('$', "").replace("{http_user_agent}", &said_of).replace("status", "403");
                for (name, value) in [
                    ("{remote_addr}", "203.0.113.7"), ("{msec}", "1577934245.000"),
                    ("{time_local}", "02/Jan/2026:03:04:05 +0000"), ("{body_bytes_sent}", "5"),
                    ("{upstream_addr}", "a, b : c"), ("{host}", &said_of), ("{http_x_forwarded_for}", &said_of),
                    ("{timestamp}", "1577934245"), ("{client_ip}", "1.1.1.1"),
                ] {
                    line = line.replace(name, value);
                }
            }
            let format = LogFormat::parse(&format).unwrap();
            prop_assert_eq!(said(&format, &line, usize::MAX), said(&format, &line, 1), "{}", line);
        }
    }

    /// What senders write once made the search give up, which hid the request, after seconds.
    #[test]
    fn no_header_makes_a_search_long() {
        let main = r#"$remote_addr - $remote_user [$time_local] "$request" $status "$http_user_agent" $http_x_forwarded_for $upstream_addr $upstream_status rt=$request_time"#;
        let before = r#"203.0.113.7 - - [02/Jan/2026:03:04:05 +0000] "GET /a" 200 "curl" "#;
        let behind = " 10.0.0.1:80, 10.0.0.2:80 502, 200 rt=0.1";
        let bare = "$remote_addr $http_host $request_uri $upstream_addr $status $upstream_status";
        let columns = format!("$remote_addr {}$status", "$http_a $request_time ".repeat(20));
        for (format, line) in [
            (main, format!("{before}{}{behind}", "a ".repeat(4000))),
            (main, format!("{before}{}b{behind}", "a : ".repeat(2000))),
            (main, format!("{before}{}b{behind}", "6.6.6.6, ".repeat(900))),
            (main, format!("{before}{}{behind}", "1 ".repeat(4000))),
            (main, format!("{before}{}{behind}", " ".repeat(8000))),
            (bare, format!("203.0.113.7 {}b /a 10.0.0.1:80 200 200", "a, ".repeat(2600))),
            (bare, format!("203.0.113.7 {}b /a 10.0.0.1:80 200 200", "200 ".repeat(2000))),
            (columns.as_str(), format!("203.0.113.7 {}x 1 {}200", "1 ".repeat(4000), "x 1 ".repeat(19))),
        ] {
            let format = LogFormat::parse(format).unwrap();
            let mut clock = Clock::default();
            let mut fit = Fit::new(&format.0, &line, &mut clock);
            let mood = Mood::ALL.into_iter().find(|mood| fit.fits(*mood)).expect("it fits");
            assert_eq!(fit.values().next().unwrap().1, "203.0.113.7");
            let (place, status) = fit.values().find(|(_, value)| *value == "200").expect("a status");
            fit.is_doubtful(place, slot::STATUS, status, mood);
            fit.is_doubtful(0, slot::TIME, "", Mood::Raw);
            let bound = 8 * line.len() * format.0.len();
            assert!(fit.work < bound, "{} of {bound} for {}", fit.work, &line[..100]);
        }
        // Twice as long takes twice as long, also where nothing fits.
        let format = LogFormat::parse(main).unwrap();
        let work = |words: usize| {
            let line = format!("{before}{}{behind} and more", "a, a : a ".repeat(words));
            let mut clock = Clock::default();
            let mut fit = Fit::new(&format.0, &line, &mut clock);
            assert!(!Mood::ALL.into_iter().any(|mood| fit.fits(mood)));
            fit.work
        };
        assert!(work(8000) < 5 * work(2000) / 2 * 2, "{} {}", work(8000), work(2000));
    }
}
