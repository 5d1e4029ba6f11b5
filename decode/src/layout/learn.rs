//! From a record that was understood to its layout.

use super::step::{Holds, NOBODY, Step};
use super::{LAYOUTS_MAX, Layout, Layouts, Offer, WAIT_MAX, WORTH};
use crate::Format;
use crate::auto::{self, Word};
use crate::json::Value;
use crate::pick::{Offers, offer_request};
use crate::requests::{self, Family, slot};

/// Longer records are not learnt from.
const BYTES_MAX: usize = 16 << 10;
/// Steps of a layout, so that a byte counts them.
const STEPS_MAX: usize = 255;

impl Layouts {
    /// Whether the record that no layout fits is to be learnt from.
    #[inline]
    pub(crate) fn is_due(&mut self) -> bool {
        let is_due = self.wait == 0;
        self.wait = self.wait.saturating_sub(1);
        is_due
    }

    /// Learns from a request of `format`, which was read under `wanted` and took `text`. A layout takes long to learn: where
    /// it hardly ever served, the next is waited for the longer.
    pub(crate) fn learn(
        &mut self,
        object: Value<'_>,
        text: &str,
        (wanted, format): (Format, Format),
        resolved: bool,
    ) {
        let layout = Layout::of(object, text, (wanted, format), resolved);
        let Some(at) = self.place(layout.is_some()) else { return };
        if let Some(layout) = layout {
            self.last = at;
            self.missed = 0;
            if at < self.known.len() {
                self.known[at] = layout;
            } else {
                self.known.push(layout);
            }
        }
    }

    /// Where the next layout goes.
    fn place(&mut self, is_learnt: bool) -> Option<usize> {
        let full = self.known.len() == LAYOUTS_MAX;
        let (at, served) = self
            .known
            .iter()
            .map(|layout| layout.served)
            .enumerate()
            .min_by_key(|(_, served)| *served)
            .filter(|_| full)
            .unwrap_or((self.known.len(), WORTH));
        self.patience = match is_learnt && served >= WORTH {
            true => 0,
            false => (self.patience * 2).clamp(1, WAIT_MAX),
        };
        self.wait = self.patience;
        for layout in &mut self.known {
            layout.served /= 2;
        }
        is_learnt.then_some(at)
    }
}

impl Layout {
    /// `None` where something in it cannot be told by its bytes alone.
    fn of(object: Value<'_>, text: &str, (wanted, format): (Format, Format), resolved: bool) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let mut values = Vec::new();
        for (key, value) in object.pairs() {
            let holds = match (auto::word(key.text()), value.text()) {
                (Word::Other, _) => Holds::Any,
                // It says what kind of record it is, so it has to be the same.
                (word, _) if auto::counts_by_text(word) => continue,
                (Word::Request, Some(line)) => auto::is_request_line(line).then_some(Holds::Line)?,
                _ => Holds::Nothing,
            };
            gather(value, holds, &mut values)?;
        }
        let mut steps = Vec::new();
        let mut numbers = Vec::new();
        let mut at = 0;
        for (value, holds) in &values {
            let place = value.place()?;
            let is_quoted = value.is_text();
            let begins = place.start + usize::from(is_quoted);
            cut(text.as_bytes().get(at..begins)?, is_quoted, *holds, &mut steps);
            numbers.push((steps.len() - 1, *value));
            at = place.end;
        }
        cut(text.as_bytes().get(at..)?, false, Holds::Nothing, &mut steps);
        if steps.len() > STEPS_MAX {
            return None;
        }
        let mut found = Found::default();
        match format {
            Format::Caddy => requests::caddy::offer(object, &mut found),
            Format::Beaconfire if object.get("kind").and_then(Value::text) != Some("request") => return None,
            Format::NginxJson | Format::Envoy | Format::Traefik | Format::Cloudflare | Format::Beaconfire => {
                offer_request(object, Family::of(format, resolved), &mut found);
            }
            _ => return None,
        }
        let mut offers = Vec::new();
        let mut first = [NOBODY; slot::COUNT];
        let (mut counts, mut latest) = ([0u8; slot::COUNT], [0; slot::COUNT]);
        for (field, rank, key, value) in found.0 {
            // What is in there tells of the service, not by its text.
            if field == slot::KUBERNETES {
                return None;
            }
            let Some((step, _)) = numbers.iter().find(|(_, known)| known.is_same(value)) else {
                match value.is_null() {
                    // It is so each time.
                    true => continue,
                    false => return None,
                }
            };
            // One value for two fields would need two offers.
            // And of equal ones the last in the record is to be the one that was offered last.
            let at = Some(*step).filter(|at| *at >= latest[field])?;
            let step = Some(&mut steps[at]).filter(|step| step.offer == NOBODY)?;
            // Fewer than `NOBODY`, as the steps are.
            (step.offer, step.field) = (offers.len() as u8, field as u8);
            // Where a guess would mostly fail, failing costs more than waiting.
            if matches!(
                field,
                slot::TIME
                    | slot::METHOD
                    | slot::HOST
                    | slot::VERSION
                    | slot::STATUS
                    | slot::BYTES
                    | slot::DURATION
            ) {
                step.expect(value.text().map_or(0, str::len));
            }
            if counts[field] == 0 {
                first[field] = step.offer;
            }
            counts[field] += 1;
            latest[field] = at;
            offers.push(Offer { rank, key: key.into() });
        }
        for step in &mut steps {
            step.has_rivals = counts.get(usize::from(step.field)).is_some_and(|count| *count > 1);
        }
        Some(Self { steps: steps.into(), offers: offers.into(), first, wanted, format, served: 0 })
    }
}

/// All values in this one that hold no others, and what may stand in their place. What kind of record it is depends on
/// what its values are, so most have to be of the same kind again.
fn gather<'t>(value: Value<'t>, holds: Holds, to: &mut Vec<(Value<'t>, Holds)>) -> Option<()> {
    // Of what is nested nobody knows here who looks at it.
    for (_, inner) in value.pairs() {
        gather(inner, Holds::Nothing, to)?;
    }
    for inner in value.items() {
        gather(inner, Holds::Nothing, to)?;
    }
    if value.is_array() || value.is_object() {
        return Some(());
    }
    let holds = match holds {
        Holds::Nothing if value.is_text() => Holds::Text,
        Holds::Nothing if value.is_number() => Holds::Number,
        holds => holds,
    };
    if value.is_text() && value.place().is_none() {
        return None;
    }
    if holds != Holds::Nothing && value.place().is_some() {
        to.push((value, holds));
    }
    Some(())
}

/// Steps that have these bytes, the last of them with the value behind them.
fn cut(bytes: &[u8], is_quoted: bool, holds: Holds, steps: &mut Vec<Step>) {
    let mut pieces = bytes.chunks(Step::BYTES_MAX).peekable();
    while let Some(piece) = pieces.next() {
        steps.push(match pieces.peek() {
            Some(_) => Step::new(piece, false, Holds::Nothing),
            None => Step::new(piece, is_quoted, holds),
        });
    }
}

/// What an object offers, all of it.
#[derive(Default)]
struct Found<'t>(Vec<(usize, u8, &'t str, Value<'t>)>);

impl<'t> Offers<'t> for Found<'t> {
    fn offer(&mut self, field: usize, rank: u8, key: &'t str, value: Value<'t>) {
        self.0.push((field, rank, key, value));
    }
}
