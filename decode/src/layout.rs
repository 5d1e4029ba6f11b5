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
use crate::json::says_none;
use crate::pick::{Entries, Entry};
use crate::requests::slot;

/// Layouts that are known at a time.
const LAYOUTS_MAX: usize = 4;
/// A layout that served so often was worth to be learnt.
const WORTH: u32 = 64;
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
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Layout {
    steps: Box<[Step]>,
    /// Where the values of the record at hand are, by their steps.
    spans: Box<[Span]>,
    /// What stands for each field: a range of `offers`.
    fields: [(u8, u8); slot::COUNT],
    offers: Box<[Offer]>,
    /// The format that was asked for when it was learnt.
    wanted: Format,
    format: Format,
    served: u32,
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
        for (step, span) in self.steps.iter().zip(&mut self.spans) {
            at = step.take(bytes, at, span)?;
        }
        self.served = self.served.saturating_add(1);
        Some(at)
    }
}

impl<'t> Recited<'t> {
    pub(crate) fn format(&self) -> Format {
        self.layout.format
    }

    fn value(&self, offer: &Offer) -> Option<&'t str> {
        let Span { start, end } = self.layout.spans[usize::from(offer.step)];
        // No value begins where the object does: that is null.
        let text = self.text.get(start as usize..end as usize).filter(|_| start > 0)?;
        (!says_none(text)).then_some(text)
    }
}

impl<'t> Entries<'t> for Recited<'t> {
    #[inline]
    fn entry(&self, field: usize) -> Option<Entry<'t>> {
        let (from, to) = self.layout.fields[field];
        let offers = &self.layout.offers[usize::from(from)..usize::from(to)];
        if let [offer] = offers {
            return self.value(offer).map(|text| Entry { key: &offer.key, scalar: Some(text) });
        }
        best(offers, |offer| self.value(offer))
    }
}

/// The best of several.
fn best<'t>(offers: &'t [Offer], value: impl Fn(&Offer) -> Option<&'t str>) -> Option<Entry<'t>> {
    let mut best: Option<(u8, Entry<'t>)> = None;
    for offer in offers {
        if best.is_none_or(|(rank, _)| offer.rank <= rank)
            && let Some(text) = value(offer)
        {
            best = Some((offer.rank, Entry { key: &offer.key, scalar: Some(text) }));
        }
    }
    best.map(|(_, entry)| entry)
}
