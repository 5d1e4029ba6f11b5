//! The decoder of one entry of `kafka.topics`, as one worker holds it.

use beaconfire_model::{Event, Offset, Record, Source};
use ipnet::IpNet;

use crate::envelope::{Fragments, Held};
use crate::json::Tape;
use crate::layout::Layouts;
use crate::notes::{Notes, Silent};
use crate::time::Clock;
use crate::walk::{Around, Walk};
use crate::{FieldPaths, Format, LogFormat, Reject, Zone};

/// Values larger than this are not looked at. Kafka's own default limit is smaller.
pub(crate) const VALUE_BYTES_MAX: usize = 1 << 20;

/// How to understand the records of one entry of `kafka.topics`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecodeKnobs {
    /// How records are written, once their envelopes are off.
    pub format: Format,
    /// Peers in these networks are proxies of ours: X-Forwarded-For is believed as far as they wrote it.
    pub trusted_proxies: Vec<IpNet>,
    /// The address in the record is already the client's (nginx's realip, Envoy's use_remote_address): take it as it is.
    pub client_resolved: bool,
    /// How lines are put together that are in no format of ours.
    pub log_format: Option<LogFormat>,
    /// Where the fields are in JSON that is in no format of ours.
    pub fields: FieldPaths,
    /// Where the clock stood that wrote times without an offset.
    pub zone: Zone,
}

/// One event, borrowed from its record or from the decoder: gone when the call ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoded<'a> {
    /// What happened.
    pub event: Event<'a>,
    /// The format it was written in; never [`Format::Auto`].
    pub format: Format,
}

/// Turns records into events. One for each entry and worker: it keeps the fragments of CRI lines by source, and
/// buffers that make the steady state free of allocation.
#[derive(Debug)]
pub struct Decoder {
    knobs: DecodeKnobs,
    clock: Clock,
    held: Held,
    buffers: Buffers,
}

/// What is used again for the next record, and what was learnt from those before.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) tapes: Vec<Tape>,
    pub(crate) layouts: Layouts,
}

impl Decoder {
    /// A decoder with these knobs and nothing held.
    pub fn new(knobs: DecodeKnobs) -> Self {
        Self {
            clock: Clock::of(knobs.zone.clone()),
            knobs,
            held: Held::default(),
            buffers: Buffers::default(),
        }
    }

    /// Hands each event of `record` to `each`, in order.
    ///
    /// A record may hold several (lines, a JSON array) or none yet: part of a CRI line is kept until its end comes,
    /// and the answer is `Ok` without an event.
    ///
    /// # Errors
    ///
    /// The first reason why the record or a part of it was not understood. Events that were handed over before, and
    /// those of the parts behind it, count nevertheless.
    pub fn decode<'b>(&mut self, record: &Record<'b>, each: impl FnMut(Decoded<'_>)) -> Result<(), Reject> {
        self.decode_noting(record, &mut Silent, each)
    }

    pub(crate) fn decode_noting<N: Notes>(
        &mut self,
        record: &Record<'_>,
        notes: &mut N,
        each: impl FnMut(Decoded<'_>),
    ) -> Result<(), Reject> {
        let overdue =
            if self.held.is_empty() { None } else { self.held.overdue(record.source, record.offset) };
        let mut walk = Walk::new(
            &self.knobs,
            &mut self.clock,
            &mut self.held,
            &mut self.buffers,
            (record.source, record.offset, record.stamped),
            notes,
            each,
        );
        if let Some(line) = overdue {
            walk.text(&line.text, &Around { time: line.time, ..Around::default() });
        }
        match record.payload {
            None => walk.refuse(Reject::Tombstone),
            Some(payload) if payload.len() > VALUE_BYTES_MAX => {
                walk.fault(|| format!("{} bytes, of at most {VALUE_BYTES_MAX}", payload.len()));
                walk.refuse(Reject::TooLarge);
            }
            Some(payload) => walk.bytes(payload),
        }
        walk.end()
    }

    /// The lowest offset of this source that a fragment of a CRI line still needs: nothing at or after it may be
    /// committed, or a restart would lose the line.
    pub fn pending(&self, source: Source) -> Option<Offset> {
        self.held.lowest(source)
    }

    /// Hands over what is held of this source: it is no longer ours. Whoever goes on behind what we read
    /// [takes it over](Self::take_over); whoever does not reads from [`pending`](Self::pending) and can drop it.
    pub fn give_up(&mut self, source: Source) -> Fragments {
        self.held.give_up(source)
    }

    /// Goes on where another decoder of the same entry left off.
    pub fn take_over(&mut self, source: Source, fragments: Fragments) {
        self.held.take_over(source, fragments);
    }
}
