//! What was sent and what was answered, for `test-notify`; what would be sent, for `render`; and the one place where
//! secrets are taken out of text.

use beaconfire_model::{Secret, Untrusted};
use beaconfire_outbox::Outcome;

/// Longest text of what a receiver said, in bytes: what the outbox keeps.
const SAID_MAX: usize = 480;

/// Longest text of one side of a step, in bytes.
const SHOWN_MAX: usize = 16 * 1024;

/// Longest text of what would be sent, in bytes: no channel takes more.
const WHOLE_MAX: usize = 512 * 1024;

/// What passed between us and a receiver. No secret is in it; what the receiver said is cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Request and answer, in order.
    pub steps: Vec<Step>,
    /// What came of it.
    pub outcome: Outcome,
}

/// One request and its answer, several lines each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What we sent.
    pub sent: String,
    /// What was answered, or what went wrong.
    pub answered: String,
}

/// What would be sent, were it sent. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The request, or the mail with its parts.
    pub sent: String,
    /// Why it is in its built-in form, where it should be in the operator's own.
    pub fault: Option<String>,
}

/// The secrets of one channel, to be taken out of whatever is shown: servers echo what they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scrub(Vec<Secret>);

impl Scrub {
    /// Takes these out. What is shorter than four bytes is too common to be looked for.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        Self(secrets.into_iter().filter(|secret| secret.expose().len() >= 4).cloned().collect())
    }

    /// The text without the secrets.
    pub(crate) fn clean(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "<redacted>"))
    }

    /// What a receiver said, fit for logs and the console.
    pub(crate) fn said(&self, text: &str) -> Box<str> {
        Untrusted::new(self.clean(text).trim(), SAID_MAX).clean().into()
    }
}

/// Writes steps down while a message is sent, where somebody wants to see them.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    scrub: &'a Scrub,
    steps: Option<Vec<Step>>,
    /// Nothing is sent, and what would be is shown whole.
    dry: bool,
}

impl<'a> Trace<'a> {
    /// A trace that writes nothing down.
    pub(crate) fn off(scrub: &'a Scrub) -> Self {
        Self { scrub, steps: None, dry: false }
    }

    /// A trace that writes everything down.
    pub(crate) fn on(scrub: &'a Scrub) -> Self {
        Self { scrub, steps: Some(Vec::new()), dry: false }
    }

    /// A trace of what would be sent, which keeps it from being sent.
    pub(crate) fn dry(scrub: &'a Scrub) -> Self {
        Self { dry: true, ..Self::on(scrub) }
    }

    /// Whether nothing is to be sent.
    pub(crate) fn is_dry(&self) -> bool {
        self.dry
    }

    /// Takes note of what would be sent.
    pub(crate) fn show(&mut self, sent: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            let sent = lines(&self.scrub.clean(&sent()), WHOLE_MAX);
            steps.push(Step { sent, answered: String::new() });
        }
    }

    /// Takes note of a step. The texts are made only where they are wanted.
    pub(crate) fn step(&mut self, sent: impl FnOnce() -> String, answered: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            let shown = |text: String| lines(&self.scrub.clean(&text), SHOWN_MAX);
            steps.push(Step { sent: shown(sent()), answered: shown(answered()) });
        }
    }

    /// What was written down.
    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }
}

/// Cleans each line by itself, so that line ends stay.
fn lines(text: &str, max: usize) -> String {
    let cut = Untrusted::new;
    let mut out = String::with_capacity(text.len().min(max));
    for line in text.trim_end().lines() {
        if out.len() >= max {
            out.push('…');
            break;
        }
        out.push_str(cut(line, max / 4).clean());
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_escapes_do_not_come_through() {
        let secrets = [Secret::new("xoxb-12345"), Secret::new("no")];
        let scrub = Scrub::new(&secrets);
        assert_eq!(&*scrub.said("bad token xoxb-12345\r\n\u{1b}[2J now"), {
            "bad token <redacted>\\u{d}\\u{a}\\u{1b}[2J now"
        });
        let mut trace = Trace::on(&scrub);
        trace.step(|| "a: xoxb-12345\nb".into(), || "\u{1b}ok".into());
        let step = Step { sent: "a: <redacted>\nb".into(), answered: "\\u{1b}ok".into() };
        assert_eq!(trace.into_steps(), [step]);
    }

    #[test]
    fn a_trace_that_is_off_makes_no_text() {
        let scrub = Scrub::default();
        let mut trace = Trace::off(&scrub);
        trace.step(|| panic!("made"), || panic!("made"));
        assert!(trace.into_steps().is_empty());
    }
}
