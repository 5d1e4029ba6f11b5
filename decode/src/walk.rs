//! One record's way through its coats: envelopes come off in whatever order they were put on, and what is left is read
//! by its format. Every turn is bounded: so many coats, so many records in one value.

mod exports;
mod lines;
mod requests;
mod sensors;

use beaconfire_model::{Event, EventTime, Offset, Source};

use crate::auto;
use crate::decoder::Buffers;
use crate::envelope::{Held, otel, wrapper};
use crate::json::Value;
use crate::notes::Notes;
use crate::pick::Entry;
use crate::time::{Clock, is_none};
use crate::{DecodeKnobs, Decoded, Format, Reject, scan};
use requests::merged;

/// Coats taken off at most.
const COATS_MAX: u8 = 8;
/// Records in one value at most.
const RECORDS_MAX: u32 = 10_000;

/// What may stand around text without being part of it.
fn blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\0'
}

/// Text without blanks before it, which it nearly never has: a look at a byte tells.
fn trim_start(text: &str) -> &str {
    match text.as_bytes().first() {
        Some(b'!'..) => text,
        _ => text.trim_start_matches(blank),
    }
}

/// Text without blanks behind it.
fn trim_end(text: &str) -> &str {
    match text.as_bytes().last() {
        Some(b'!'..) => text,
        _ => text.trim_end_matches(blank),
    }
}

/// What the coats so far say of what is inside.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// A time to fall back on.
    pub(crate) time: Option<EventTime>,
    /// The service that the metadata name.
    pub(crate) service: &'a str,
    /// The node or host.
    pub(crate) node: &'a str,
    /// The pod.
    pub(crate) pod: &'a str,
    /// Coats taken off so far.
    pub(crate) coats: u8,
}

/// See the file's head.
pub(crate) struct Walk<'w, N, F> {
    knobs: &'w DecodeKnobs,
    clock: &'w mut Clock,
    held: &'w mut Held,
    buffers: &'w mut Buffers,
    source: Source,
    offset: Offset,
    stamped: Option<EventTime>,
    notes: &'w mut N,
    each: F,
    records: u32,
    reject: Option<Reject>,
    /// The format that is asked for; what is in an export of OpenTelemetry's may be any.
    wanted: Format,
}

impl<'w, N: Notes, F: FnMut(Decoded<'_>)> Walk<'w, N, F> {
    pub(crate) fn new(
        knobs: &'w DecodeKnobs,
        clock: &'w mut Clock,
        held: &'w mut Held,
        buffers: &'w mut Buffers,
        (source, offset, stamped): (Source, Offset, Option<EventTime>),
        notes: &'w mut N,
        each: F,
    ) -> Self {
        Self {
            knobs,
            clock,
            held,
            buffers,
            source,
            offset,
            stamped,
            notes,
            each,
            records: 0,
            reject: None,
            wanted: knobs.format,
        }
    }

    /// Notes a reason; the first one counts.
    pub(crate) fn refuse(&mut self, reason: Reject) {
        self.reject.get_or_insert(reason);
    }

    /// Says what exactly is wrong, to whoever listens.
    pub(crate) fn fault(&mut self, what: impl FnOnce() -> String) {
        self.notes.fault(what);
    }

    /// What came of it all.
    pub(crate) fn end(self) -> Result<(), Reject> {
        self.reject.map_or(Ok(()), Err)
    }

    /// A record's bytes: text, or an export of OpenTelemetry's in protobuf.
    pub(crate) fn bytes(&mut self, payload: &[u8]) {
        scan::hint_next(payload);
        if let Some(json) = otel::protobuf::to_json(payload) {
            self.notes.layer("protobuf", || format!("{} bytes", payload.len()));
            return self.json(&json, &Around::default());
        }
        match scan::text(payload) {
            Ok((text, is_line)) => self.lines(text, is_line, &Around::default()),
            Err(broken) => self.lossy(payload, broken.valid_up_to()),
        }
    }

    /// Bytes that are not UTF-8: read with the broken ones replaced, so that a sender cannot hide behind one.
    fn lossy(&mut self, payload: &[u8], valid: usize) {
        self.notes
            .remark(|| format!("the bytes are not UTF-8 from byte {valid} on; broken ones were replaced"));
        let before = self.reject.take();
        self.text(&String::from_utf8_lossy(payload), &Around::default());
        if self.reject.is_some() {
            self.reject = Some(Reject::Encoding);
        }
        self.reject = before.or(self.reject);
    }

    /// Reads text: JSON, a line, or several lines.
    pub(crate) fn text(&mut self, text: &str, around: &Around<'_>) {
        self.lines(text, false, around);
    }

    /// The same, of which may be known already that it `is_line`: that there is no newline.
    fn lines(&mut self, text: &str, is_line: bool, around: &Around<'_>) {
        let text = match text.as_bytes().first() {
            Some(..0x80) => text,
            _ => text.trim_start_matches('\u{feff}'),
        };
        let begun = trim_start(text);
        let bare = trim_end(begun);
        // A line of the operator's own format may begin with what a sender wrote, and that with a blank.
        let text = match self.knobs.log_format {
            Some(_) => text.trim_start_matches(['\r', '\n', '\0']),
            None => begun,
        };
        match bare.as_bytes() {
            // What is JSON by both its ends, and nothing of the operator's own, is not looked at further.
            [b'{', .., b'}'] if self.knobs.log_format.is_none() => self.json(bare, around),
            [] => self.refuse(Reject::Empty),
            [b'{' | b'[', ..]
                if !crate::requests::text::only_begins_like_json(bare) && !self.is_own_line(text) =>
            {
                self.json(bare, around);
            }
            _ if !is_line && scan::has_newline(bare.as_bytes()) => {
                for line in text.lines() {
                    if !self.room() {
                        return;
                    }
                    if !line.trim_matches(blank).is_empty() {
                        self.line(line, around);
                    }
                }
            }
            _ => self.line(text, around),
        }
    }

    /// Whether text that begins like JSON, and is none, is of the operator's format, which may begin like that.
    fn is_own_line(&mut self, text: &str) -> bool {
        let Some(format) = &self.knobs.log_format else { return false };
        let first = text.lines().next().unwrap_or_default().trim_end_matches(['\r', '\0']);
        let bare = first.trim_matches(blank);
        if format.scan(first, self.clock).is_none() && format.scan(bare, self.clock).is_none() {
            return false;
        }
        let mut tape = self.buffers.tapes.pop().unwrap_or_default();
        let mut rest = bare;
        while let Ok((_, taken @ 1..)) = tape.parse(rest) {
            rest = rest[taken..].trim_ascii_start();
        }
        self.buffers.tapes.push(tape);
        !rest.is_empty()
    }

    /// Counts a record of this value; says no beyond the bound.
    fn room(&mut self) -> bool {
        self.records += 1;
        if self.records > RECORDS_MAX {
            self.refuse(Reject::TooMany);
        }
        self.records <= RECORDS_MAX
    }

    fn deeper<'a>(&mut self, around: &Around<'a>) -> Option<Around<'a>> {
        if around.coats >= COATS_MAX {
            self.fault(|| format!("more than {COATS_MAX} envelopes"));
            self.refuse(Reject::Depth);
            return None;
        }
        Some(Around { coats: around.coats + 1, ..*around })
    }

    /// One JSON value after the other.
    fn json(&mut self, text: &str, around: &Around<'_>) {
        let mut rest = text;
        while !rest.is_empty() && self.room() {
            let taken = match self.recite(rest, around) {
                Some(taken) => taken,
                None => match self.parse(rest, around) {
                    Some(taken) => taken,
                    None => break,
                },
            };
            rest = rest[taken..].trim_ascii_start();
        }
    }

    /// The first value of a text, whatever it is; how many bytes it took, unless it is broken.
    #[inline(never)]
    fn parse(&mut self, text: &str, around: &Around<'_>) -> Option<usize> {
        let mut tape = self.buffers.tapes.pop().unwrap_or_default();
        let taken = match tape.parse(text) {
            Ok((value, taken)) => {
                self.value(value, around);
                self.learn(value, &text[..taken]);
                Some(taken)
            }
            Err(broken) => {
                self.fault(|| format!("{} at byte {}", broken.why, broken.at));
                self.refuse(if broken.deep { Reject::Depth } else { Reject::Syntax });
                None
            }
        };
        self.buffers.tapes.push(tape);
        taken
    }

    fn value(&mut self, value: Value<'_>, around: &Around<'_>) {
        if value.is_array() {
            return self.array(value, around);
        }
        if !value.is_object() {
            return self.refuse(Reject::UnknownFormat);
        }
        if let Some(fields) = self.knobs.fields.of(value) {
            let format = if self.wanted == Format::Auto { Format::Beaconfire } else { self.wanted };
            let unit = self.knobs.fields.unit_micros();
            let merged = if around.service.is_empty() { merged(value) } else { String::new() };
            let service = if around.service.is_empty() { &merged } else { around.service };
            if let Err(reason) = self.request_at(&fields, format, unit, &Around { service, ..*around }) {
                self.refuse(reason);
            }
            return;
        }
        let shape = auto::shape(value);
        if shape == Some(Format::Otel) {
            return self.otel(value, around);
        }
        if let Some(format) = self.agreed(shape) {
            return self.object(value, format, around);
        }
        let outer = wrapper::read(value);
        if let Some((key, inner)) = outer.inner {
            let Some(below) = self.deeper(around) else { return };
            self.notes.layer(outer.name, || format!("in `{key}`"));
            let mut service = String::new();
            outer.service(&mut service);
            let time = outer.time.and_then(|time| self.clock.value(time)).or(below.time);
            let below = Around {
                time,
                service: if !service.is_empty() { &service } else { below.service },
                node: if !outer.node.is_empty() { outer.node } else { below.node },
                pod: if !outer.pod.is_empty() { outer.pod } else { below.pod },
                ..below
            };
            return match inner.text() {
                Some(text) => self.text(text, &below),
                None => self.value(inner, &below),
            };
        }
        match self.wanted {
            Format::Auto => {
                self.fault(|| "it has the keys of no format of this version".to_owned());
                self.refuse(Reject::UnknownFormat);
            }
            named => self.object(value, named, around),
        }
    }

    /// Fluent Bit's `[time, {…}]`, or many records.
    fn array(&mut self, value: Value<'_>, around: &Around<'_>) {
        let Some(below) = self.deeper(around) else { return };
        let mut items = value.items();
        if let (Some(first), Some(second), None) = (items.next(), items.next(), items.next())
            && first.is_number()
            && second.is_object()
        {
            self.notes.layer("Fluent Bit", || "[time, record]".to_owned());
            let time = self.clock.value(first).or(below.time);
            return self.value(second, &Around { time, ..below });
        }
        self.notes.layer("JSON array", String::new);
        for item in value.items() {
            if !self.room() {
                return;
            }
            self.value(item, &below);
        }
    }

    /// The same of a record whose values were not sorted into fields.
    fn when(&mut self, own: Option<(&str, Value<'_>)>, around: &Around<'_>) -> Result<EventTime, Reject> {
        let own = own.filter(|(_, value)| !value.is_missing());
        if let Some((key, value)) = own.filter(|(_, value)| value.scalar().is_none()) {
            // Some write a time as an object.
            let time = self.clock.value(value);
            return self.read_at(key, time);
        }
        self.time(own.map(|(key, value)| Entry { key, scalar: value.scalar() }), around)
    }

    /// The record's own time, else its envelope's, else the log's.
    #[inline]
    fn time(&mut self, own: Option<Entry<'_>>, around: &Around<'_>) -> Result<EventTime, Reject> {
        if let Some(Entry { key, scalar: Some(text) }) = own
            && !text.starts_with('-')
        {
            let time = self.clock.text(text);
            // Asked only now, as what stands for "none" is none that we read.
            if time.is_some() || !is_none(text) {
                return self.read_at(key, time);
            }
        }
        let (time, from) = match (around.time, self.stamped) {
            (Some(time), _) => (time, "the envelope"),
            (None, Some(time)) => (time, "the log's own timestamp"),
            (None, None) => {
                self.notes.fault(|| "neither it nor its envelope nor the log has a time".to_owned());
                return Err(Reject::MissingTime);
            }
        };
        self.notes.origin("time", || from.to_owned());
        Ok(time)
    }

    /// A time that stands under `key`, where it could be read.
    fn read_at(&mut self, key: &str, time: Option<EventTime>) -> Result<EventTime, Reject> {
        match time {
            Some(time) => {
                self.notes.origin("time", || key.to_owned());
                Ok(time)
            }
            None => {
                self.notes.fault(|| format!("`{key}` is written in no way that we read"));
                Err(Reject::Timestamp)
            }
        }
    }

    fn object(&mut self, object: Value<'_>, format: Format, around: &Around<'_>) {
        let done = match format {
            Format::Telegraf => self.telegraf(object, around),
            Format::Metricbeat => self.metricbeat(object, around),
            Format::Cadvisor => self.cadvisor(object, around),
            Format::Prometheus => self.prometheus(object, around),
            Format::Tracee => self.tracee(object, around),
            Format::Falco => self.falco(object, around),
            Format::Guardduty => self.guardduty(object, around),
            Format::VpcDns => self.vpc_dns(object, around),
            Format::Beaconfire => match object.get("kind").and_then(Value::text) {
                Some("request") => self.request(object, format, around),
                Some("resource") => self.resource(object, around),
                Some("runtime") => self.runtime(object, around),
                _ => {
                    self.fault(|| "`kind` is none of request, resource and runtime".to_owned());
                    Err(Reject::BadValue)
                }
            },
            Format::Envoy
            | Format::NginxJson
            | Format::Traefik
            | Format::Caddy
            | Format::Cloudflare
            | Format::Ecs => self.request(object, format, around),
            Format::Otel => {
                self.fault(|| "it has no `resourceLogs` and no `resourceMetrics`".to_owned());
                Err(Reject::UnknownFormat)
            }
            Format::Auto
            | Format::Combined
            | Format::IngressNginx
            | Format::Haproxy
            | Format::Alb
            | Format::Cloudfront => {
                self.fault(|| "it is JSON, not an access log's text".to_owned());
                Err(Reject::UnknownFormat)
            }
        };
        if let Err(reason) = done {
            self.refuse(reason);
        }
    }

    #[inline(always)]
    fn hand(&mut self, event: Event<'_>, format: Format) {
        let decoded = Decoded { event, format };
        self.notes.event(&decoded);
        (self.each)(decoded);
    }
}
