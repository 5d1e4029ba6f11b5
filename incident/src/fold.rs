//! One fingerprint's episodes, new facts, and what comes of them. Pure: the store decides whether it may be written.
//!
//! Where a fact belongs is a function of event time alone. Write `gap` for `resolve_after + flap_window`, and look at
//! the stored episodes from the newest to the oldest: a fact belongs to the first whose span
//! `[detected_at, holds_until]`, widened by `gap` on both sides, it touches, unless it ends within the episode before
//! that one. Spans never overlap (a fact that reaches into the episode before is cut there), so folding the same
//! facts again finds the same places, however far the spans have grown meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use beaconfire_model::{EventTime, Signal, Wall};

use crate::work::{OURSELVES, Span, Work};
use crate::{
    Context, Incident, Knobs, ParticipantRow, RatePoint, SampleRow, SignalRow, Status, TimelineEntry,
    Transition,
};

/// What came of a fold: a row to write under the version it was read with, and what hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Folded {
    /// The new state; its `version` is still the one that was read. `participants_total` is a lower bound: at least
    /// what was known and at least the participants below; the store puts its count of rows in its place.
    pub incident: Incident,
    /// What happened, in order; empty where only rows below were joined.
    pub transitions: Vec<Transition>,
    /// (rule, subject) rows to upsert by join.
    pub signals: Vec<SignalRow>,
    /// Participants to upsert by join.
    pub participants: Vec<ParticipantRow>,
    /// Chart points to upsert by maximum.
    pub points: Vec<RatePoint>,
    /// Raw records to keep, while there are fewer than ten.
    pub samples: Vec<SampleRow>,
    /// Lines for the timeline.
    pub timeline: Vec<TimelineEntry>,
}

/// Folds facts of one fingerprint into its stored episodes.
///
/// `episodes` are the latest episodes of the fingerprint, oldest first; `last_episode` the highest number it ever
/// had (kept beyond retention). Facts that would begin a new episode while `clear_through` (the clearance of the
/// entries that feed the newest episode) has not passed its end are named in the second set, by their places in
/// `signals`: hold on to them, and fold them again later, at last with [`EventTime::MAX`].
///
/// - A fact of an open episode joins it; worse severity and new rules tell everybody again, and take back an
///   acknowledgement. What one that is older than `max_age` brings is recorded, and told by the first fresh fact that
///   says the same.
/// - A fact that ends at or before a resolved episode's `holds_until` raises its numbers and tells nobody. One that
///   goes further takes the newest episode up again ([`Transition::Reopened`]), unless it is older than `max_age`.
/// - A fact beyond the newest episode's `gap` begins the next one, and resolves the one before it where clearance
///   has not yet done so.
/// - What a person closed stays closed: facts up to `closed_through + flap_window` only raise its numbers, and a fact
///   that goes on beyond counts from there, as the beginning of the next episode.
/// - A fact that lies before the oldest stored episode or between two, too far from either (an input that lags by
///   hours, a replay of what retention has deleted), cannot have an episode of its own: the numbers are given, and
///   what was told cannot be told in another order. Its rows go to the closest episode, where a rule that the
///   episode has may rise to a higher peak; nothing else changes, and nobody is told.
pub fn fold_signals(
    episodes: &[Incident],
    last_episode: u32,
    signals: &[Signal],
    clear_through: EventTime,
    now: Wall,
    context: &Context,
    knobs: &Knobs,
) -> (Vec<Folded>, BTreeSet<usize>) {
    let mut ordered: Vec<(usize, &Signal)> = signals.iter().enumerate().collect();
    ordered.sort_by(|(_, a), (_, b)| (a.first, &a.rule, &a.subject).cmp(&(b.first, &b.rule, &b.subject)));
    let stored = episodes.iter().map(|incident| incident.episode).max().unwrap_or(0);
    let work = episodes.iter().cloned().map(Work::on).collect();
    let mut desk = Desk { work, last_episode: stored.max(last_episode), now, context, knobs };
    ordered.retain(|(_, signal)| !desk.take(signal, clear_through));
    let waiting = ordered.into_iter().map(|(place, _)| place).collect();
    let touched = desk.work.into_iter().filter(Work::is_touched);
    (touched.map(|work| work.finish(now, context)).collect(), waiting)
}

/// The episodes of one fingerprint while facts are folded into them, oldest first.
struct Desk<'a> {
    work: Vec<Work>,
    last_episode: u32,
    now: Wall,
    context: &'a Context,
    knobs: &'a Knobs,
}

/// Where a fact belongs.
enum Place {
    /// To this episode.
    In(usize),
    /// To none; this one is closest.
    Beside(usize),
    /// It begins a new one.
    New,
    /// It would begin a new one, but the newest may not be over.
    Wait,
}

impl Desk<'_> {
    /// Folds one fact; `false` where it has to wait.
    fn take(&mut self, signal: &Signal, clear_through: EventTime) -> bool {
        let (place, span) = self.place(signal, clear_through);
        match place {
            Place::Wait => return false,
            Place::Beside(at) => self.work[at].note(signal, Span::of(signal)),
            Place::In(at) => {
                let newest = at + 1 == self.work.len();
                self.work[at].fold(signal, span, newest, self.now, self.context, self.knobs);
            }
            Place::New => {
                if let Some(newest) = self.work.last_mut() {
                    newest.end(self.now);
                }
                self.last_episode += 1;
                let mut work = Work::open(signal, span, self.last_episode, self.now, self.knobs);
                work.fold(signal, span, true, self.now, self.context, self.knobs);
                self.work.push(work);
            }
        }
        true
    }

    /// Where a fact belongs, and what of its span counts there.
    fn place(&self, signal: &Signal, clear_through: EventTime) -> (Place, Span) {
        let gap = self.knobs.resolve_after(signal.kind) + self.knobs.flap_window;
        let mut span = Span::of(signal);
        let closed = self
            .work
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, work)| work.incident().closed_through.map(|through| (at, through)));
        let mut from = 0;
        if let Some((at, through)) = closed {
            let floor = through.plus(self.knobs.flap_window);
            if span.until <= floor {
                return self.among(0..at + 1, span.up_to(through), gap);
            }
            span = span.after(floor, through);
            from = at + 1;
        }
        match self.work[from..].last().map(|newest| newest.incident().holds_until.plus(gap)) {
            None => (Place::New, span),
            Some(end) if span.first <= end => self.among(from..self.work.len(), span, gap),
            Some(end) if end <= clear_through => (Place::New, span),
            Some(_) => (Place::Wait, span),
        }
    }

    /// Where among these episodes, of which there is at least one, a fact belongs.
    fn among(&self, range: Range<usize>, span: Span, gap: Duration) -> (Place, Span) {
        for at in range.clone().rev() {
            let held = self.work[at].incident();
            let touches =
                span.first <= held.holds_until.plus(gap) && held.detected_at <= span.until.plus(gap);
            if !touches {
                continue;
            }
            let before = (at > range.start).then(|| self.work[at - 1].incident().holds_until);
            match before {
                None => return (Place::In(at), span),
                Some(end) if end < span.until => return (Place::In(at), span.after(end, end)),
                Some(_) => {}
            }
        }
        let distance = |at: &usize| {
            let held = self.work[*at].incident();
            held.detected_at.since(span.until).max(span.first.since(held.holds_until))
        };
        let closest = range.clone().min_by_key(distance).unwrap_or(range.start);
        (Place::Beside(closest), span)
    }
}

/// Folds the passing of time: resolves where `clear_through` is at least `holds_until + resolve_after`, ends an
/// acknowledgement that has run out. `None` where nothing changes.
pub fn fold_time(current: &Incident, clear_through: EventTime, now: Wall, knobs: &Knobs) -> Option<Folded> {
    if current.status == Status::Resolved {
        return None;
    }
    let mut work = Work::on(current.clone());
    let ran_out = current.acknowledged.as_ref().is_some_and(|held| held.until <= now);
    if clear_through >= current.holds_until.plus(knobs.resolve_after(current.kind)) {
        work.end(now);
    } else if current.status == Status::Acknowledged && ran_out {
        work.tell(Transition::Unacknowledged);
    } else {
        return None;
    }
    Some(work.close(now, OURSELVES))
}
