//! Requests read by heart. Servers write each record of a log with the same keys in the same order, so that all but the
//! values is the same bytes again: a [`Layout`] is those bytes, and what the values between them stand for.
//!
//! A record that has them is taken apart in one pass: the bytes are compared, and each value's end is found. Whatever
//! differs (another key, a blank, a number where there was text, an escape in a value that is wanted) makes it a record
//! for the reader of any JSON, from its beginning. So this is only a short way to what that reader makes of it: what a
//! record means never depends on the records before it.

mod learn;
mod step;

use step::{Span, Step};

use crate::Format;
use crate::json::{NONE_BYTES_MAX, says_none};
use crate::pick::{Entries, Entry};
use crate::requests::slot;

/// Layouts that are known at a time.
const LAYOUTS_MAX: usize = 4;
/// A layout that served so often was worth to be learnt.
const WORTH: u32 = 64;
/// After so many records in a row that were like none, only one in so many is looked at.
const MISSED_MAX: u32 = 32;
/// Records that are not learnt from at most, where hardly any is like another.
const WAIT_MAX: u32 = 4096;

/// The layouts of the records that one decoder reads. `Default` knows none.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    known: Vec<Layout>,
    /// The one that served last.
    last: usize,
    /// So many records are not learnt from.
    wait: u32,
    /// And so many after the next that was in vain.
    patience: u32,
    /// Records in a row that were like none of these.
    missed: u32,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Layout {
    steps: Box<[Step]>,
    fields: [Field; slot::COUNT],
    offers: Box<[Offer]>,
    /// The format that was asked for when it was learnt.
    wanted: Format,
    format: Format,
    served: u32,
}

/// What stands for a field.
#[derive(Debug, Clone, Copy, Default)]
enum Field {
    /// Nothing.
    #[default]
    Absent,
    /// The value of this step, which is that of the offer behind it.
    Alone(u8, u8),
    /// The best of these `offers`.
    Among(u8, u8),
}

/// A value that may stand for a field. Of several the one with the lowest rank counts, and of equal ones the last.
#[derive(Debug)]
struct Offer {
    step: u8,
    rank: u8,
    key: Box<str>,
}

/// A request that was read by a layout.
pub(crate) struct Recited<'t> {
    layout: &'t Layout,
    text: &'t str,
    /// How many bytes it took.
    pub(crate) taken: usize,
}

impl Layouts {
    /// Reads the first value of `text`, if it is like one that was learnt from under this format.
    #[inline]
    pub(crate) fn recite<'t>(&'t mut self, text: &'t str, wanted: Format) -> Option<Recited<'t>> {
        self.missed = self.missed.wrapping_add(1);
        if self.missed > MISSED_MAX && !self.missed.is_multiple_of(MISSED_MAX) {
            return None;
        }
        let last = self.last;
        let count = self.known.len();
        for turn in 0..count {
            let at = match turn {
                0 => last,
                turn if turn <= last => turn - 1,
                turn => turn,
            };
            let layout = &mut self.known[at];
            if layout.wanted == wanted
                && let Some(taken) = layout.recite(text)
            {
                self.last = at;
                self.missed = 0;
                return Some(Recited { layout: &self.known[at], text, taken });
            }
        }
        None
    }
}

impl Layout {
    /// Where the record ends, if it is like this.
    #[inline]
    fn recite(&mut self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut at = 0;
        for step in &mut self.steps {
            at = step.take(bytes, at)?;
        }
        self.served = self.served.saturating_add(1);
        Some(at)
    }
}

impl<'t> Recited<'t> {
    pub(crate) fn format(&self) -> Format {
        self.layout.format
    }

    #[inline(always)]
    fn value(&self, step: u8) -> Option<&'t str> {
        let Span { start, end } = self.layout.steps.get(usize::from(step))?.span;
        // No value begins where the object does: that is null.
        let text = self.text.get(start as usize..end as usize).filter(|_| start > 0)?;
        (text.len() > NONE_BYTES_MAX || !says_none(text)).then_some(text)
    }

    /// The best of several.
    #[inline(never)]
    fn best(&self, from: u8, to: u8) -> Option<Entry<'t>> {
        let mut best: Option<(u8, Entry<'t>)> = None;
        for offer in &self.layout.offers[usize::from(from)..usize::from(to)] {
            if best.is_none_or(|(rank, _)| offer.rank <= rank)
                && let Some(text) = self.value(offer.step)
            {
                best = Some((offer.rank, Entry { key: &offer.key, scalar: Some(text) }));
            }
        }
        best.map(|(_, entry)| entry)
    }
}

impl<'t> Entries<'t> for Recited<'t> {
    #[inline(always)]
    fn entry(&self, field: usize) -> Option<Entry<'t>> {
        match self.layout.fields[field] {
            Field::Absent => None,
            Field::Alone(step, offer) => self.value(step).map(|text| {
                let key = &self.layout.offers[usize::from(offer)].key;
                Entry { key, scalar: Some(text) }
            }),
            Field::Among(from, to) => self.best(from, to),
        }
    }

    #[inline(always)]
    fn scalar(&self, field: usize) -> Option<&'t str> {
        match self.layout.fields[field] {
            Field::Absent => None,
            Field::Alone(step, _) => self.value(step),
            Field::Among(from, to) => self.best(from, to).and_then(|entry| entry.scalar),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    const SAMPLE: &str = r#"{"time":"2026-01-02T03:04:05Z", "uri":"/a","path":"-","status":200,"n":null,"remote_addr":"203.0.113.7","tags":["x",{"a":1}]}"#;

    fn learnt() -> Layouts {
        let mut layouts = Layouts::default();
        let mut tape = Tape::default();
        let (object, taken) = tape.parse(SAMPLE).unwrap();
        assert!(layouts.is_due());
        layouts.learn(object, &SAMPLE[..taken], (Format::Auto, Format::NginxJson), false);
        layouts
    }

    fn path(layouts: &mut Layouts, text: &str) -> Option<String> {
        let recited = layouts.recite(text, Format::Auto)?;
        assert_eq!(recited.taken, text.rfind('}').unwrap() + 1);
        let Entry { key, scalar } = recited.entry(slot::PATH)?;
        Some(format!("{key}={}", scalar.unwrap()))
    }

    #[test]
    fn values_may_differ_and_nothing_else() {
        let mut layouts = learnt();
        let is = |found: &str| Some(found.to_owned());
        for (was, becomes, meant) in [
            ("", "", is("uri=/a")),
            ("\"/a\"", "\"/b?c=é\"", is("uri=/b?c=é")),
            ("\"-\"", "\"/better\"", is("path=/better")),
            ("\"x\"", "\"an \\\"escape\\\" that nobody reads\"", is("uri=/a")),
            ("200", "404", is("uri=/a")),
            ("null", "true", is("uri=/a")),
            ("null", "-1.5e3", is("uri=/a")),
            ("]}", "]} {", is("uri=/a")),
            // And now what is not by heart.
            ("/a", "/\\u0061", None),
            ("200", "\"200\"", None),
            ("\"/a\"", "7", None),
            ("null", "[]", None),
            ("null", "nul", None),
            ("null", "1.", None),
            ("null", "-", None),
            (", \"uri\"", ",\"uri\"", None),
            ("\"n\"", "\"m\"", None),
            ("]}", "]", None),
            ("]}", "],\"m\":1}", None),
        ] {
            let text = SAMPLE.replacen(was, becomes, 1);
            assert_eq!(path(&mut layouts, &text), meant, "{text}");
        }
        assert!(layouts.recite(SAMPLE, Format::Envoy).is_none(), "it was learnt under another format");
        for end in 0..SAMPLE.len() {
            assert!(layouts.recite(&SAMPLE[..end], Format::Auto).is_none());
        }
    }

    #[test]
    fn who_never_serves_is_learnt_from_ever_less() {
        let (mut layouts, mut learnt) = (Layouts::default(), 0);
        for round in 0..20_000 {
            let text = format!(r#"{{"k{round}":1,"status":200,"uri":"/a"}}"#);
            if layouts.recite(&text, Format::Auto).is_none() && layouts.is_due() {
                let mut tape = Tape::default();
                let (object, _) = tape.parse(&text).unwrap();
                layouts.learn(object, &text, (Format::Auto, Format::NginxJson), false);
                learnt += 1;
            }
        }
        assert!(layouts.known.len() == LAYOUTS_MAX && learnt < 32, "{learnt}");
    }
}
