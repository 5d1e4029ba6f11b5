//! `privacy.query`: query strings hold tokens, addresses and searches of people, and need not leave the process for
//! an incident to be understood.

mod record;

use std::borrow::Cow;

use beaconfire_incident::{Dossier, TimelineEntry};
use beaconfire_model::{Subject, Untrusted};
pub use record::{Queries, Shown};

/// What of a request may leave the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Privacy {
    /// Query strings are cut out.
    #[default]
    Redact,
    /// Everything is shown.
    Keep,
}

impl Privacy {
    /// The text as it may be shown.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Redact => redact_query(text),
            Self::Keep => Cow::Borrowed(text),
        }
    }

    /// Everything that senders wrote of an incident, as it may be shown: raw records, names, the timeline but for notes,
    /// which are people's own words.
    pub fn apply_to_dossier(self, dossier: &mut Dossier) {
        if self == Self::Keep {
            return;
        }
        for sample in &mut dossier.samples {
            sample.text = Untrusted::new(&self.apply(sample.text.clean()), 512);
            sample.by = Untrusted::new(&self.apply(sample.by.clean()), 256);
        }
        let participants = dossier.participants.iter_mut().map(|row| &mut row.subject);
        let signals = dossier.signals.iter_mut().map(|row| &mut row.subject);
        for subject in participants.chain(signals).chain([&mut dossier.incident.target]) {
            if let Cow::Owned(shown) = self.apply(&subject.value) {
                *subject = Subject::new(subject.kind, shown);
            }
        }
        self.apply_to_timeline(&mut dossier.timeline);
    }

    /// A timeline as it may be shown.
    pub fn apply_to_timeline(self, timeline: &mut [TimelineEntry]) {
        for line in timeline.iter_mut().filter(|line| line.what != "noted") {
            line.text = self.apply(&line.text).into_owned();
        }
    }

    /// A whole record as it came, which may be broken, as it may be shown.
    pub fn apply_to_record<'t>(self, record: &'t [u8], queries: &Queries) -> Shown<'t> {
        match self {
            Self::Redact => record::redact(record, queries),
            Self::Keep => Shown::Record(Cow::Borrowed(record)),
        }
    }
}

/// Cuts query strings (and what follows them within a word): `GET /path?a=b 404` becomes `GET /path?… 404`. A
/// question mark that ends a word is a question mark. Quotes and brackets that close around an address stay.
pub fn redact_query(text: &str) -> Cow<'_, str> {
    if !text.contains('?') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end_matches(char::is_whitespace);
        let closed = bare.trim_end_matches(['"', '\'', ')', ']', '>', '`']);
        match closed.split_once('?') {
            Some((before, query)) if !query.is_empty() && query != "…" => {
                out.push_str(before);
                out.push_str("?…");
                out.push_str(&word[closed.len()..]);
            }
            _ => out.push_str(word),
        }
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_cut_and_the_rest_stays() {
        for (text, redacted) in [
            ("GET /path?a=b 404", "GET /path?… 404"),
            ("GET /path?a=b?c=d&e HTTP/1.1", "GET /path?… HTTP/1.1"),
            ("\"GET /a?token=x\" 200", "\"GET /a?…\" 200"),
            ("curl 'http://h/p?k=v#f' -o x", "curl 'http://h/p?…' -o x"),
            ("login?user=a\tnext?b=c", "login?…\tnext?…"),
            ("(+http://bot.example/?id=1)", "(+http://bot.example/?…)"),
            ("who was it? nobody", "who was it? nobody"),
            ("/path?", "/path?"),
            ("/path?…", "/path?…"),
            ("no question", "no question"),
        ] {
            assert_eq!(redact_query(text), redacted, "{text}");
            assert_eq!(redact_query(redacted), redacted, "again: {redacted}");
            assert_eq!(Privacy::Keep.apply(text), text);
        }
    }
}
