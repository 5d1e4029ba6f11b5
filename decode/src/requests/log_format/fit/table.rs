//! From where in a line the rest of a format fits, for every part: made from the last part to the first, each in one pass
//! over the line. It says the same as the search by trial, in time that no sender can make more than linear.

use super::{Fit, Kind, Mood, Other, TYPED_BYTES_MAX, is_address, is_of_upstream, separator};
use crate::requests::log_format::Part;
use crate::requests::slot;
use crate::requests::text::some;

/// Places of a line, its end among them.
#[derive(Debug, Clone)]
struct Places(Vec<u64>);

impl Places {
    fn new(bytes: usize) -> Self {
        Self(vec![0; bytes / 64 + 1])
    }

    fn set(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// The first one from `from` to `to`.
    fn first(&self, from: usize, to: usize) -> Option<usize> {
        let mut at = from;
        while at <= to {
            let word = self.0.get(at / 64)? >> (at % 64);
            if word != 0 {
                return Some(at + word.trailing_zeros() as usize).filter(|found| *found <= to);
            }
            at = (at / 64 + 1) * 64;
        }
        None
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.first(from, usize::MAX - 64)?;
            from = found + 1;
            Some(found)
        })
    }

    /// For every place, the first one that is not before it; `usize::MAX` where there is none.
    fn nearest(&self, bytes: usize) -> Vec<usize> {
        let mut nearest = vec![usize::MAX; bytes + 2];
        for at in (0..=bytes).rev() {
            nearest[at] = if self.has(at) { at } else { nearest[at + 1] };
        }
        nearest
    }
}

#[derive(Debug)]
pub(super) struct Table {
    places: Vec<Places>,
    /// What making it took, for tests.
    #[cfg(test)]
    pub(super) work: usize,
}

impl Table {
    /// Whether the line from `at` on fits the parts from `place` on.
    pub(super) fn fits(&self, place: usize, at: usize) -> bool {
        self.places.get(place).is_some_and(|places| places.has(at))
    }
}

impl<'b> Fit<'_, 'b> {
    pub(super) fn tabulate(&mut self) -> Table {
        let (parts, bytes) = (self.parts, self.line.as_bytes());
        let mut next = Places::new(bytes.len());
        next.set(bytes.len());
        let mut places = Vec::with_capacity(parts.len() + 1);
        let mut work = 0;
        for (place, part) in parts.iter().enumerate().rev() {
            let other = self.other.filter(|other| other.place == place);
            let (here, took) = match part {
                Part::Text(text) => {
                    let begins = next.all().filter_map(|end| end.checked_sub(text.len()));
                    let mut here = Places::new(bytes.len());
                    begins.filter(|at| bytes[*at..].starts_with(text.as_bytes())).for_each(|at| here.set(at));
                    (here, bytes.len() / 64)
                }
                Part::Variable { kind: Kind::Upstreams, .. } => (upstreams(bytes, &next), bytes.len()),
                Part::Variable { kind, .. } => match other {
                    _ if kind.is_typed() => self.short(place, *kind, other, &next),
                    Some(Other { slot: slot::TIME, .. }) => self.short(place, *kind, other, &next),
                    Some(other) => (self.listed(place, *kind, other, &next), bytes.len()),
                    None => (self.any(place, *kind, &next), bytes.len()),
                },
            };
            work += took;
            places.push(std::mem::replace(&mut next, here));
        }
        places.push(next);
        places.reverse();
        let _ = work;
        Table {
            places,
            #[cfg(test)]
            work,
        }
    }

    /// Whether only the very last end that quotes leave will do.
    fn is_quoted(&self, place: usize) -> bool {
        let Some(Part::Text(text)) = self.parts.get(place + 1) else { return false };
        self.mood != Mood::Raw && text.starts_with('"')
    }

    /// For every place, the last one where a value that begins there can end; see `farthest`.
    fn farthest_of_all(&self, kind: Kind) -> Vec<usize> {
        let bytes = self.line.as_bytes();
        let mut farthest = vec![bytes.len(); bytes.len() + 3];
        if self.mood != Mood::Raw {
            for at in (0..bytes.len()).rev() {
                farthest[at] = match bytes[at] {
                    b'"' => at,
                    b'\\' => farthest[at + 2],
                    _ => farthest[at + 1],
                };
            }
        }
        if self.mood == Mood::Tidy && matches!(kind, Kind::Word | Kind::Forwarded) {
            let mut blank = bytes.len();
            for at in (0..bytes.len()).rev() {
                let is_blank = bytes[at] == b' ';
                farthest[at] = farthest[at].min(if is_blank { at } else { blank });
                if is_blank && !(kind == Kind::Forwarded && at > 0 && bytes[at - 1] == b',') {
                    blank = at;
                }
            }
        }
        farthest
    }

    /// Where a value of a sender's can begin.
    fn any(&self, place: usize, kind: Kind, next: &Places) -> Places {
        let bytes = self.line.as_bytes();
        let (farthest, is_quoted) = (self.farthest_of_all(kind), self.is_quoted(place));
        let is_comma = |end: usize| {
            kind == Kind::Forwarded && self.mood == Mood::Tidy && end > 0 && bytes[end - 1] == b','
        };
        let mut here = Places::new(bytes.len());
        let mut nearest = usize::MAX;
        for at in (0..=bytes.len()).rev() {
            let last = farthest[at];
            let fits = match is_quoted {
                true => next.has(last) && (last == at || !is_comma(last)),
                false => next.has(at) || nearest <= last,
            };
            if fits {
                here.set(at);
            }
            if next.has(at) && !is_comma(at) {
                nearest = at;
            }
        }
        here
    }

    /// Where a value of a few bytes can begin: all its ends are tried.
    fn short(
        &mut self,
        place: usize,
        kind: Kind,
        other: Option<Other<'b>>,
        next: &Places,
    ) -> (Places, usize) {
        let (line, bytes) = (self.line, self.line.as_bytes());
        // What the server wrote has no quotes in it.
        let farthest = if kind.is_typed() { Vec::new() } else { self.farthest_of_all(kind) };
        let is_quoted = !farthest.is_empty() && self.is_quoted(place);
        let mut here = Places::new(bytes.len());
        let mut work = bytes.len();
        for at in 0..=bytes.len() {
            let is_reached = match place.checked_sub(1).and_then(|before| self.parts.get(before)) {
                Some(Part::Text(text)) => bytes[..at].ends_with(text.as_bytes()),
                _ => at == 0,
            };
            if !is_reached {
                continue;
            }
            let mut last = bytes.len().min(at + TYPED_BYTES_MAX);
            if kind.has_no_blanks() {
                last = memchr::memchr(b' ', &bytes[at..last]).map_or(last, |blank| at + blank);
            }
            let quote = farthest.get(at).copied().unwrap_or(usize::MAX);
            let (mut from, last) = (if is_quoted { quote } else { at }, last.min(quote));
            while let Some(end) = next.first(from, last) {
                work += 1;
                if let Some(value) = line.get(at..end)
                    && kind.holds(value, self.mood, self.clock)
                    && other.is_none_or(|other| other.differs(value, self.clock))
                {
                    here.set(at);
                    break;
                }
                from = end + 1;
            }
        }
        (here, work)
    }

    /// Where a value of a sender's can begin that has another address behind its last comma, or is one.
    fn listed(&self, place: usize, kind: Kind, other: Other<'b>, next: &Places) -> Places {
        let (line, bytes) = (self.line, self.line.as_bytes());
        let (farthest, is_quoted) = (self.farthest_of_all(kind), self.is_quoted(place));
        let is_blank = |at: usize| bytes[at].is_ascii_whitespace();
        let is_other =
            |at: usize, end: usize| !line.get(at..end).is_some_and(|value| other.is_known(some(value)));
        let is_address = |from: usize, to: usize| {
            from < to && to - from <= TYPED_BYTES_MAX && line.get(from..to).is_some_and(is_address)
        };
        // The ends whose last element is an address, wherever before its comma the value begins; and for every end, where
        // what is no blank ends before it.
        let mut behind_comma = Places::new(bytes.len());
        let mut solid = vec![0; bytes.len() + 1];
        let (mut comma, mut begin) = (None, usize::MAX);
        for end in 0..=bytes.len() {
            if let Some(byte) = end.checked_sub(1) {
                solid[end] = if is_blank(byte) { solid[byte] } else { end };
                match bytes[byte] {
                    b',' => (comma, begin) = (Some(byte), usize::MAX),
                    _ if !is_blank(byte) && begin == usize::MAX => begin = byte,
                    _ => {}
                }
            }
            if comma.is_some() && next.has(end) && is_address(begin, solid[end]) {
                behind_comma.set(end);
            }
        }
        let (ends, listed) = (next.nearest(bytes.len()), behind_comma.nearest(bytes.len()));
        let nearest = |nearest: &[usize], at: usize, from: usize, last: usize| {
            let end = nearest.get(from).copied().filter(|end| *end <= last);
            match end {
                // No other end makes a value of the same length.
                Some(end) if !is_other(at, end) => nearest.get(end + 1).is_some_and(|end| *end <= last),
                end => end.is_some(),
            }
        };
        let mut here = Places::new(bytes.len());
        let (mut comma, mut begin) = (bytes.len(), bytes.len());
        for at in (0..=bytes.len()).rev() {
            if at < bytes.len() && !is_blank(at) {
                begin = at;
                if bytes[at] == b',' {
                    comma = at;
                }
            }
            let last = farthest[at];
            let fits = if is_quoted {
                next.has(last)
                    && is_other(at, last)
                    && if last > comma { behind_comma.has(last) } else { is_address(begin, solid[last]) }
            } else {
                let to = comma.min(begin.saturating_add(TYPED_BYTES_MAX));
                nearest(&listed, at, comma + 1, last)
                    || (begin + 1..=to).any(|stop| {
                        // Blanks behind it change nothing.
                        let blanks = (stop..bytes.len()).take_while(|at| is_blank(*at));
                        !is_blank(stop - 1)
                            && ends[stop] != usize::MAX
                            && ends[stop] <= last
                            && solid[ends[stop]] == stop
                            && is_address(begin, stop)
                            && nearest(&ends, at, stop, last.min(stop + blanks.count()))
                    })
            };
            if fits {
                here.set(at);
            }
        }
        here
    }
}

/// Where what upstreams said can begin: an element of a list, or nothing.
fn upstreams(bytes: &[u8], next: &Places) -> Places {
    let mut here = Places::new(bytes.len());
    // By place, whether a list can go on there with an element, and behind a byte of one.
    let mut begins = vec![false; bytes.len() + 4];
    let mut goes_on = next.has(bytes.len());
    if goes_on {
        here.set(bytes.len());
    }
    for at in (0..bytes.len()).rev() {
        let is_element = is_of_upstream(bytes[at]);
        begins[at] = is_element && goes_on;
        if begins[at] || next.has(at) {
            here.set(at);
        }
        let width = separator(&bytes[at..]);
        goes_on = next.has(at) || begins[at] || width > 0 && begins[at + width];
    }
    here
}
