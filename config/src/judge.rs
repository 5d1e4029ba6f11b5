//! What every conversion needs: somewhere to complain, with places, and the readers for texts that several sections
//! have in common.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use beaconfire_model::{Matcher, Matchers, Secret};
use ipnet::IpNet;

use crate::complain::{Complaint, Origins};
use crate::de::At;
use crate::node::Place;
use crate::raw::Sealed;
use crate::units::Span;

/// Collects what is wrong.
pub(crate) struct Judge<'a> {
    pub(crate) origins: &'a Origins,
    pub(crate) complaints: Vec<Complaint>,
}

/// Whether a host, with or without brackets, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The sentence of a regular expression's error, which draws a picture around it.
pub(crate) fn sentence(said: &str) -> &str {
    said.lines().next_back().unwrap_or_default().trim_start_matches("error: ")
}

/// A file with a secret is this long at most.
const SECRET_MAX: u64 = 64 << 10;

impl Judge<'_> {
    /// Refuses.
    pub(crate) fn error(&mut self, place: Place, what: impl Into<String>, mend: &str) {
        self.push(Complaint::error(what), place, mend);
    }

    /// Doubts.
    pub(crate) fn warn(&mut self, place: Place, what: impl Into<String>, mend: &str) {
        self.push(Complaint::warning(what), place, mend);
    }

    /// Adds a complaint; an empty `mend` says nothing.
    pub(crate) fn push(&mut self, complaint: Complaint, place: Place, mend: &str) {
        let complaint = complaint.at(self.origins, place);
        self.complaints.push(if mend.is_empty() { complaint } else { complaint.mend(mend) });
    }

    /// Refuses a name that is none of those that are known.
    pub(crate) fn unknown<'a>(
        &mut self,
        what: &str,
        name: &At<String>,
        known: impl IntoIterator<Item = &'a str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let complaint =
            Complaint::error(format!("`{}` is no {what}", name.value)).near(name, known.iter().copied());
        let mend = if known.is_empty() { String::new() } else { format!("known here: {}", known.join(", ")) };
        self.push(complaint, name.place, &mend);
    }

    /// A name out of a closed set.
    pub(crate) fn word<T>(
        &mut self,
        what: &str,
        name: &At<String>,
        parse: impl Fn(&str) -> Option<T>,
        known: &[&str],
    ) -> Option<T> {
        let found = parse(name);
        if found.is_none() {
            self.unknown(what, name, known.iter().copied());
        }
        found
    }

    /// A duration within bounds; out of them the bound stands in, after a complaint.
    pub(crate) fn span(&mut self, name: &str, span: &At<Span>, bounds: RangeInclusive<&str>) -> Duration {
        // Bounds are written in this crate as people write durations; a test reads every one.
        let bound = |text: &str| Span::parse(text).map(|span| span.duration).unwrap_or_default();
        let (low, high) = (bound(bounds.start()), bound(bounds.end()));
        if span.duration < low || span.duration > high {
            let mend = format!("write something from {} to {}", bounds.start(), bounds.end());
            self.error(span.place, format!("`{name}` is out of range: {}", span.value), &mend);
        }
        span.duration.clamp(low, high)
    }

    /// A network, or a single address.
    pub(crate) fn networks(&mut self, texts: &[At<String>]) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for text in texts {
            let parsed = text
                .trim()
                .parse::<IpNet>()
                .ok()
                .or_else(|| text.trim().parse::<std::net::IpAddr>().ok().map(IpNet::from));
            match parsed {
                Some(network) => networks.push(network.trunc()),
                None => self.error(
                    text.place,
                    format!("`{}` is neither a network nor an address", text.value),
                    "write it as 10.0.0.0/8, 2001:db8::/32 or 203.0.113.7",
                ),
            }
        }
        networks
    }

    /// Matchers in Alertmanager's words.
    pub(crate) fn matchers(&mut self, texts: &[At<String>]) -> Matchers {
        let mut matchers = Vec::new();
        for text in texts {
            match Matcher::parse(text) {
                Ok(matcher) => matchers.push(matcher),
                Err(error) => {
                    let said = format!("bad matcher `{}`: {}", error.input, sentence(&error.said));
                    self.error(text.place, said, r#"write it as 'name="value"' or 'name=~"pattern"'"#);
                }
            }
        }
        Matchers(matchers)
    }

    /// A secret that stands under `name` or in the file under `name_file`. The file is read here, at each load; one line
    /// end after it does not belong to it.
    pub(crate) fn secret(
        &mut self,
        name: &str,
        text: Option<&At<Sealed>>,
        file: Option<&At<String>>,
    ) -> Option<At<Secret>> {
        match (text, file) {
            (Some(_), Some(file)) => {
                self.error(
                    file.place,
                    format!("`{name}` and `{name}_file` are both set"),
                    "take one of them out",
                );
                None
            }
            (Some(text), None) => self.filled(name, text.value.0.clone(), text.place),
            (None, Some(file)) => match self.slurp(file, SECRET_MAX) {
                Ok(text) => {
                    let text = text
                        .strip_suffix('\n')
                        .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
                    self.filled(name, Secret::new(text), file.place)
                }
                Err(said) => {
                    self.error(file.place, said, "secrets are read from their files at each load");
                    None
                }
            },
            (None, None) => None,
        }
    }

    fn filled(&mut self, name: &str, secret: Secret, place: Place) -> Option<At<Secret>> {
        if secret.is_empty() {
            self.error(place, format!("`{name}` is empty"), "");
            return None;
        }
        Some(At { value: secret, place })
    }

    /// A path as written, from the folder of the file that it is written in.
    pub(crate) fn path(&self, path: &At<String>) -> PathBuf {
        self.origins.folder(path.place).join(&path.value)
    }

    /// A small text file that the configuration names.
    pub(crate) fn slurp(&self, path: &At<String>, max: u64) -> Result<String, String> {
        let full = self.path(path);
        let shown = full.display();
        let size = std::fs::metadata(&full).map_err(|error| format!("cannot read {shown}: {error}"))?.len();
        if size > max {
            return Err(format!("cannot read {shown}: it is larger than {max} bytes"));
        }
        std::fs::read_to_string(&full).map_err(|error| format!("cannot read {shown}: {error}"))
    }

    /// Complains where a file that the configuration names cannot be opened.
    pub(crate) fn readable(&mut self, path: &At<String>) -> PathBuf {
        let full = self.path(path);
        if let Err(error) = std::fs::File::open(&full) {
            self.error(path.place, format!("cannot read {}: {error}", full.display()), "");
        }
        full
    }
}
