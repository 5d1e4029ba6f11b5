//! The operator's own words for messages about an incident: `templates` of the configuration, in the language of
//! Jinja, by channel and part ([`Slot`]).
//!
//! Four things hold for each of them. What a value says stays text: it is escaped for the place where it stands, and no
//! filter or block switches that off. A name that is not there is an error, not an empty text. Time and output are
//! bounded. And whatever goes wrong, the message is told in its built-in form: that is said where its delivery is
//! written down, and counted.

mod context;
#[cfg(test)]
mod hostile_tests;
mod own;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use beaconfire_outbox::IntegrationKind;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};

pub(crate) use context::context;
pub(crate) use own::Own;
pub use slot::Slot;

use context::Link;

/// Longest source of one template, in bytes.
const SOURCE_MAX: usize = 64 * 1024;

/// Steps that one template may take: a page of lists needs some thousands.
const FUEL: u64 = 50_000;

/// Longest text of what is wrong with a template, in characters.
const SAID_MAX: usize = 240;

/// All templates of a configuration, ready to be used.
pub struct Templates {
    machine: Environment<'static>,
    held: BTreeMap<Slot, String>,
    /// Messages that fell back to their built-in form and were not counted yet, by channel.
    faults: BTreeMap<IntegrationKind, AtomicU64>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// In words, one line.
    pub said: String,
    /// The line of the template, from 1, where one is to blame.
    pub line: Option<usize>,
    /// The bytes of the template that are to blame.
    pub range: Option<Range<usize>>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.held).finish()
    }
}

impl Default for Templates {
    fn default() -> Self {
        let mut machine = Environment::new();
        machine.set_undefined_behavior(UndefinedBehavior::Strict);
        machine.set_fuel(Some(FUEL));
        // Errors say which part of a template they are about.
        machine.set_debug(true);
        // It would let a stranger's text through as it is.
        machine.remove_filter("safe");
        machine.set_auto_escape_callback(|name| match slot_of(name) {
            Some(slot) => AutoEscape::Custom(slot.name()),
            None => AutoEscape::Html,
        });
        machine.set_formatter(write);
        let faults = Slot::ALL.map(|slot| (slot.kind(), AtomicU64::new(0)));
        Self { machine, held: BTreeMap::new(), faults: faults.into() }
    }
}

impl Templates {
    /// Takes a template in; refused where it cannot be read.
    pub fn set(&mut self, slot: Slot, source: &str) -> Result<(), TemplateFault> {
        if source.len() > SOURCE_MAX {
            let said = format!("a template has at most {} KiB", SOURCE_MAX >> 10);
            return Err(TemplateFault { said, line: None, range: None });
        }
        self.machine
            .add_template_owned(slot.name(), source.to_owned())
            .map_err(|error| TemplateFault::of(&error))?;
        self.held.insert(slot, source.to_owned());
        Ok(())
    }

    /// The parts that have a template.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.held.keys().copied()
    }

    /// How many messages of this kind of channel fell back to their built-in form since this was asked last.
    pub fn take_faults(&self, kind: IntegrationKind) -> u64 {
        self.faults.get(&kind).map_or(0, |count| count.swap(0, Ordering::Relaxed))
    }

    pub(crate) fn count_fault(&self, kind: IntegrationKind) {
        if let Some(count) = self.faults.get(&kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tries a template on a message, which is about an incident.
    pub fn try_on(&self, slot: Slot, message: &crate::Message<'_>) -> Result<String, TemplateFault> {
        match message.matter {
            crate::Matter::Incident(about) => self.render(slot, &context(message, &about)),
            _ => Ok(String::new()),
        }
    }

    /// What a template makes of an incident.
    fn render(&self, slot: Slot, context: &Value) -> Result<String, TemplateFault> {
        let mut out = Bounded { text: Vec::new(), max: slot.max() };
        // The engine has never been seen to panic; should it, one message loses its looks and not the page.
        let rendered = catch_unwind(AssertUnwindSafe(|| {
            let template = self.machine.get_template(slot.name())?;
            template.render_captured_to(context, &mut out).map(drop)
        }));
        let fault = |said: &str| TemplateFault { said: said.to_owned(), line: None, range: None };
        match rendered {
            Err(_) => return Err(fault("it panicked")),
            Ok(Err(error)) if error.kind() == ErrorKind::WriteFailure => {
                return Err(fault(&format!("more than {} bytes came out", slot.max())));
            }
            Ok(Err(error)) => return Err(TemplateFault::of(&error)),
            Ok(Ok(())) => {}
        }
        let text = slot.settle(&String::from_utf8_lossy(&out.text));
        if text.is_empty() { Err(fault("nothing came out")) } else { Ok(text) }
    }
}

impl TemplateFault {
    fn of(error: &Error) -> Self {
        let said = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let said = match error.kind() {
            ErrorKind::OutOfFuel => format!("it takes more than {FUEL} steps"),
            ErrorKind::UndefinedError => {
                "a name that is not there; `|default(…)` stands in for one".to_owned()
            }
            _ => said,
        };
        let said = crate::render::words::clean(&said, SAID_MAX);
        Self { said, line: error.line(), range: error.range() }
    }
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.said),
            None => f.write_str(&self.said),
        }
    }
}

fn slot_of(name: &str) -> Option<Slot> {
    Slot::ALL.into_iter().find(|slot| slot.name() == name)
}

/// Writes a value as it may stand in the template that is being made, whatever that says of escaping. What a template
/// itself has put together is escaped already.
fn write(out: &mut Output<'_>, state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let Some(slot) = slot_of(state.name()) else { return Ok(()) };
    if value.is_none() || value.is_undefined() {
        return Ok(());
    }
    let text = match value.downcast_object_ref::<Link>() {
        Some(link) => slot.escape_link(&link.0),
        None if value.is_safe() => value.to_string(),
        None => slot.escape(&value.to_string()),
    };
    out.write_str(&text).map_err(Error::from)
}

/// Takes text up to a bound.
struct Bounded {
    text: Vec<u8>,
    max: usize,
}

impl Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.text.len() + part.len() > self.max {
            return Err(io::Error::other("too long"));
        }
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
