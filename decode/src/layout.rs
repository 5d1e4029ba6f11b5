//! Requests read by heart. Servers write each record of a log with the same keys in the same order, so that all but the
//! values is the same bytes again: a [`Layout`] is those bytes, and what the values between them stand for.
//!
//! A record that has them is taken apart in one pass: the bytes are compared, and each value's end is found. Whatever
//! differs (another key, a blank, a number where there was text, an escape in a value that is wanted) makes it a record
//! for the reader of any JSON, from its beginning. So this is only a short way to what that reader makes of it: what a
//! record means never depends on the records before it.

mod learn;
mod step;

use step::{NOBODY, Step};

use crate::Format;
use crate::json::{NONE_BYTES_MAX, says_none};
use crate::pick::{Entries, Entry};
use crate::requests::slot;
use crate::scan::{self, Look, Task};

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
    offers: Box<[Offer]>,
    /// The first offer for each field, or `NOBODY`.
    first: [u8; slot::COUNT],
    /// The format that was asked for when it was learnt.
    wanted: Format,
    format: Format,
    served: u32,
}

/// A value that may stand for a field. Of several the one with the lowest rank counts, and of equal ones the last.
#[derive(Debug)]
struct Offer {
    rank: u8,
    key: Box<str>,
}

/// A request that was read by a layout.
pub(crate) struct Recited<'k, 't> {
    layout: &'k Layout,
    values: &'k Values<'t>,
    /// How many bytes it took.
    pub(crate) taken: usize,
}

/// What stands for each field; empty where nothing does.
pub(crate) struct Values<'t> {
    texts: [&'t str; slot::COUNT],
    /// Which offer that is.
    offers: [u8; slot::COUNT],
}

impl Values<'_> {
    /// Nothing found yet.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self { texts: [""; slot::COUNT], offers: [NOBODY; slot::COUNT] }
    }
}

impl Layouts {
    /// Reads the first value of `text`, if it is like one that was learnt from under this format.
    #[inline(always)]
    pub(crate) fn recite<'k, 't>(
        &'k mut self,
        text: &'t str,
        wanted: Format,
        values: &'k mut Values<'t>,
    ) -> Option<Recited<'k, 't>> {
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
            if layout.wanted != wanted {
                continue;
            }
            if let Some(taken) = scan::with_best(Reading { layout, text, values }) {
                layout.served = layout.served.saturating_add(1);
                self.last = at;
                self.missed = 0;
                return Some(Recited { layout: &self.known[at], values, taken });
            }
            *values = Values::none();
        }
        None
    }
}

/// A text that is read by a layout.
struct Reading<'k, 't> {
    layout: &'k Layout,
    text: &'t str,
    values: &'k mut Values<'t>,
}

impl Task for Reading<'_, '_> {
    /// Where the record ends, if it is like this.
    type Out = Option<usize>;

    #[inline(always)]
    fn run(self, look: impl Look) -> Option<usize> {
        let Self { layout, text, values } = self;
        let mut at = 0;
        values.offers = layout.first;
        for step in &layout.steps {
            let (value, next) = step.take(look, text, at)?;
            at = next;
            if let Some(place) = values.texts.get_mut(usize::from(step.field))
                && (value.len() > NONE_BYTES_MAX || !says_none(value))
            {
                if step.has_rivals {
                    layout.compare(step, value, values);
                } else {
                    *place = value;
                }
            }
        }
        Some(at)
    }
}

impl Layout {
    /// Takes the value if it is the best so far.
    #[inline(never)]
    fn compare<'t>(&self, step: &Step, value: &'t str, values: &mut Values<'t>) {
        let field = usize::from(step.field);
        let rank = |offer: u8| self.offers.get(usize::from(offer)).map_or(u8::MAX, |offer| offer.rank);
        if values.texts[field].is_empty() || rank(step.offer) <= rank(values.offers[field]) {
            values.texts[field] = value;
            values.offers[field] = step.offer;
        }
    }
}

impl Recited<'_, '_> {
    pub(crate) fn format(&self) -> Format {
        self.layout.format
    }
}

impl<'k: 't, 't> Entries<'t> for Recited<'k, 't> {
    #[inline(always)]
    fn entry(&self, field: usize) -> Option<Entry<'t>> {
        let text = self.values.texts[field];
        if text.is_empty() {
            return None;
        }
        let offer = self.layout.offers.get(usize::from(self.values.offers[field]));
        Some(Entry { key: offer.map_or("", |offer| &offer.key), scalar: Some(text) })
    }

    #[inline(always)]
    fn scalar(&self, field: usize) -> Option<&'t str> {
        Some(self.values.texts[field]).filter(|text| !text.is_empty())
    }

    #[inline(always)]
    fn text(&self, field: usize) -> &'t str {
        self.values.texts[field]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    const SAMPLE: &str = r#"{"time":"2026-01-02T03:04:05Z", "uri":"/a","path":"-","status":200,"n":null,"remote_addr":"203.0.113.7","tags":["x",{"a":1}]}"#;

    fn learnt() -> Layouts {
        learnt_from(SAMPLE)
    }

    fn learnt_from(sample: &str) -> Layouts {
        let mut layouts = Layouts::default();
        let mut tape = Tape::default();
        let (object, taken) = tape.parse(sample).unwrap();
        assert!(layouts.is_due());
        layouts.learn(object, &sample[..taken], (Format::Auto, Format::NginxJson), false);
        layouts
    }

    fn path(layouts: &mut Layouts, text: &str) -> Option<String> {
        let mut values = Values::none();
        let recited = layouts.recite(text, Format::Auto, &mut values)?;
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
        assert!(
            layouts.recite(SAMPLE, Format::Envoy, &mut Values::none()).is_none(),
            "it was learnt under another format"
        );
        for end in 0..SAMPLE.len() {
            assert!(layouts.recite(&SAMPLE[..end], Format::Auto, &mut Values::none()).is_none());
        }
    }

    /// What kind of record it is may depend on more than on what its values are.
    #[test]
    fn texts_that_tell_of_the_record_have_to_be_the_same() {
        for (was, becomes) in [
            ("\"x\"", "\"GuardDuty Finding\""),
            ("\"access\"", "\"Recon:EC2/Portscan\""),
            ("HTTP/1.1", "FTP"),
        ] {
            let sample = r#"{"request":"GET / HTTP/1.1","detail-type":"x","type":"access","service":{},"resource":{},"status":200}"#;
            let mut layouts = learnt_from(sample);
            assert!(layouts.recite(sample, Format::Auto, &mut Values::none()).is_some());
            let other = sample.replacen(was, becomes, 1);
            assert!(layouts.recite(&other, Format::Auto, &mut Values::none()).is_none(), "{other}");
        }
        let null = r#"{"request":"GET / HTTP/1.1","kubernetes":null,"container_name":"shop"}"#;
        assert!(learnt_from(null).known.is_empty(), "what may stand there tells of the service");
    }

    #[test]
    fn of_values_for_one_field_the_best_counts_and_of_equal_ones_the_last() {
        let sample =
            r#"{"uri":"/a","path":"/b","uri":"/c","request_uri":"/d","request_uri":"/e","status":200}"#;
        for (was, becomes, meant) in [
            ("", "", "request_uri=/e"),
            ("\"/e\"", "\"-\"", "request_uri=/d"),
            ("\"/d\"", "\"\"", "request_uri=/e"),
            ("\"/d\",\"request_uri\":\"/e\"", "\"-\",\"request_uri\":\"null\"", "path=/b"),
        ] {
            let text = sample.replacen(was, becomes, 1);
            assert_eq!(path(&mut learnt_from(sample), &text).as_deref(), Some(meant), "{text}");
        }
        let text = sample.replace("\"/b\"", "\"-\"").replace("\"/d\"", "\"-\"").replace("\"/e\"", "\"-\"");
        assert_eq!(path(&mut learnt_from(sample), &text).as_deref(), Some("uri=/c"), "{text}");
    }

    #[test]
    fn pieces_may_be_longer_than_a_step_and_records_end_anywhere() {
        let long = "k".repeat(70);
        for length in 0..100 {
            let text = |value: &str| {
                format!(r#"{{"status":200,"{long}":[[["{value}"]]],"uri":"/a","m":"{value}"}}"#)
            };
            let mut layouts = learnt_from(&text("x"));
            let value = "é".repeat(length);
            assert_eq!(path(&mut layouts, &text(&value)).as_deref(), Some("uri=/a"));
            assert_eq!(path(&mut layouts, &text(&format!("{value}\\\""))).as_deref(), Some("uri=/a"));
            assert_eq!(path(&mut layouts, &text(&value).replacen(&long, &long[1..], 1)), None);
        }
    }

    #[test]
    fn who_never_serves_is_learnt_from_ever_less() {
        let (mut layouts, mut learnt) = (Layouts::default(), 0);
        for round in 0..20_000 {
            let text = format!(r#"{{"k{round}":1,"status":200,"uri":"/a"}}"#);
            if layouts.recite(&text, Format::Auto, &mut Values::none()).is_none() && layouts.is_due() {
                let mut tape = Tape::default();
                let (object, _) = tape.parse(&text).unwrap();
                layouts.learn(object, &text, (Format::Auto, Format::NginxJson), false);
                learnt += 1;
            }
        }
        assert!(layouts.known.len() == LAYOUTS_MAX && learnt < 32, "{learnt}");
    }
}
