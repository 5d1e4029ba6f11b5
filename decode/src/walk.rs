//! One record's way through its coats: envelopes come off in whatever order they were put on, and what is left is read
//! by its format. Every turn is bounded: so many coats, so many records in one value.

use std::borrow::Cow;

use beaconfire_model::{Event, EventTime, Offset, Request, Source};

use crate::auto;
use crate::client;
use crate::envelope::cri::{self, Full, Stream};
use crate::envelope::{Held, otel, syslog, wrapper};
use crate::json::{Tape, Value};
use crate::kubernetes;
use crate::notes::Notes;
use crate::pick::Pick;
use crate::requests::log_format::Texts;
use crate::requests::text::Access;
use crate::requests::{self, Fields, Made, slot};
use crate::time::{Clock, is_none};
use crate::{DecodeKnobs, Decoded, Format, Reject, resources, runtime};

/// Coats taken off at most.
const COATS_MAX: u8 = 8;
/// Records in one value at most.
const RECORDS_MAX: u32 = 10_000;

/// What may stand around text without being part of it.
fn blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\0'
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
    tapes: &'w mut Vec<Tape>,
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
        tapes: &'w mut Vec<Tape>,
        (source, offset, stamped): (Source, Offset, Option<EventTime>),
        notes: &'w mut N,
        each: F,
    ) -> Self {
        Self {
            knobs,
            clock,
            held,
            tapes,
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
        if let Some(json) = otel::protobuf::to_json(payload) {
            self.notes.layer("protobuf", || format!("{} bytes", payload.len()));
            return self.json(&json, &Around::default());
        }
        match std::str::from_utf8(payload) {
            Ok(text) => self.text(text, &Around::default()),
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
        let text = text.trim_start_matches('\u{feff}').trim_start_matches(blank);
        let bare = text.trim_end_matches(blank);
        match bare.as_bytes() {
            [] => self.refuse(Reject::Empty),
            [b'{' | b'[', ..] if !requests::text::only_begins_like_json(bare) => self.json(bare, around),
            _ if memchr::memchr(b'\n', bare.as_bytes()).is_some() => {
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

    fn line(&mut self, line: &str, around: &Around<'_>) {
        // Blanks at the end stay until it is clear that the line does not go on: a part may have been cut behind one.
        let line = line.trim_end_matches(['\r', '\n', '\0']);
        if let Some(part) = cri::strip(line) {
            return self.cri(part, around);
        }
        let line = line.trim_end_matches(blank);
        // Before the access log: that one would take the header's words for its vhost and client.
        if let Some(message) = syslog::strip(line) {
            let Some(inner) = self.deeper(around) else { return };
            let time = self.clock.text(message.time).or(inner.time);
            self.notes.layer("syslog", || {
                format!("from {}", if message.host.is_empty() { "nobody named" } else { message.host })
            });
            let node = if inner.node.is_empty() { message.host } else { inner.node };
            return self.text(message.text, &Around { time, node, ..inner });
        }
        if let Some(format) = &self.knobs.log_format {
            match format.scan(line) {
                Some(texts) => return self.own_line(&texts, around),
                None => self.notes.remark(|| "it does not fit `log_format`".to_owned()),
            }
        }
        if requests::cloudfront::is_heading(line) && matches!(self.wanted, Format::Auto | Format::Cloudfront)
        {
            return self.notes.remark(|| "a heading of CloudFront's, which is no request".to_owned());
        }
        if let Some(access) = requests::text::read(line, self.wanted, self.clock) {
            return self.access(&access, around);
        }
        if requests::text::resembles(line) {
            self.fault(|| "it begins like an access log and goes wrong".to_owned());
            self.refuse(Reject::Syntax);
        } else {
            self.fault(|| "it has the shape of no format".to_owned());
            self.refuse(Reject::UnknownFormat);
        }
    }

    /// A container runtime's line, or a part of one.
    fn cri(&mut self, part: cri::Cri<'_>, around: &Around<'_>) {
        let Some(inner) = self.deeper(around) else { return };
        let time = self.clock.text(part.time).or(inner.time);
        let key = (self.source, part.stream, around.pod);
        if part.partial {
            match self.held.keep(key, self.offset, time, part.text) {
                Ok(()) => self.notes.remark(|| "a part of a line, kept until its end comes".to_owned()),
                Err(Full::Line) => self.refuse(Reject::TooLarge),
                Err(Full::Table) => self.refuse(Reject::TooMany),
            }
            return;
        }
        let stream = if part.stream == Stream::Stdout { "stdout" } else { "stderr" };
        self.notes.layer("CRI", || stream.to_owned());
        match self.held.finish(key, part.text) {
            None => self.text(part.text, &Around { time, ..inner }),
            Some(Err(_)) => self.refuse(Reject::TooLarge),
            // It was refused when it became too long; once is enough.
            Some(Ok(line)) if line.was_refused() => {}
            Some(Ok(line)) => self.text(&line.text, &Around { time: line.time.or(time), ..inner }),
        }
    }

    /// A line in the operator's own format, taken apart.
    fn own_line(&mut self, texts: &Texts<'_>, around: &Around<'_>) {
        let time = match texts[slot::TIME] {
            "" => around.time.or(self.stamped).ok_or(Reject::MissingTime),
            text => self.clock.text(text).ok_or(Reject::Timestamp),
        };
        let time = match time {
            Ok(time) => time,
            Err(reason) => {
                self.fault(|| "`log_format` fits, but there is no time that we read".to_owned());
                return self.refuse(reason);
            }
        };
        let version = texts[slot::VERSION];
        let request = match texts[slot::LINE] {
            "" => requests::Line {
                method: texts[slot::METHOD],
                target: texts[slot::PATH],
                version: version.strip_prefix("HTTP/").unwrap_or(version),
            },
            line => requests::Line::of(line),
        };
        let access = Access {
            format: if self.wanted == Format::Auto { Format::Combined } else { self.wanted },
            time,
            peer: texts[slot::PEER],
            forwarded: texts[slot::FORWARDED],
            request,
            host: texts[slot::HOST],
            query: texts[slot::QUERY],
            status: requests::text::status(texts[slot::STATUS]).unwrap_or(0),
            bytes: requests::text::count(texts[slot::BYTES]).unwrap_or(0),
            duration_micros: requests::text::seconds(texts[slot::DURATION]),
            user_agent: texts[slot::AGENT],
            request_id: texts[slot::ID],
            namespace: texts[slot::NAMESPACE],
            service: texts[slot::SERVICE],
            places: &requests::log_format::PLACES,
        };
        self.access(&access, around);
    }

    /// An access log's line, taken apart.
    fn access(&mut self, access: &Access<'_>, around: &Around<'_>) {
        let target = requests::Target::of(access.request.target);
        let user_agent = match access.format {
            Format::Cloudfront => requests::cloudfront::decoded(access.user_agent),
            _ => Cow::Borrowed(access.user_agent),
        };
        let (client, found) = client::client(self.knobs, false, access.peer, access.forwarded);
        let mut joined = String::new();
        let service = match (access.namespace, access.service) {
            (_, "") => around.service,
            ("", service) => service,
            (namespace, service) => {
                kubernetes::join(&mut joined, namespace, service);
                &joined
            }
        };
        let request = Request {
            time: access.time,
            client,
            service,
            method: access.request.method,
            host: if target.host.is_empty() { access.host } else { target.host },
            path: target.path,
            query: if target.query.is_empty() { access.query } else { target.query },
            http_version: access.request.version,
            status: access.status,
            bytes_sent: access.bytes,
            duration_micros: access.duration_micros,
            user_agent: &user_agent,
            request_id: access.request_id,
        };
        let places = access.places;
        self.notes.origin("client", || requests::trust(found, places.peer, places.forwarded));
        for (field, found, place) in [
            ("time", true, places.time),
            ("method", !request.method.is_empty(), places.request),
            ("host", !target.host.is_empty(), places.request),
            ("host", target.host.is_empty() && !request.host.is_empty(), places.host),
            ("path", !request.path.is_empty(), places.request),
            ("query", !target.query.is_empty(), places.request),
            ("query", target.query.is_empty() && !request.query.is_empty(), places.query),
            ("http_version", !request.http_version.is_empty(), places.request),
            ("status", true, places.status),
            ("bytes_sent", true, places.bytes),
            ("duration", request.duration_micros.is_some(), places.duration),
            ("user_agent", !request.user_agent.is_empty(), places.user_agent),
            ("request_id", !request.request_id.is_empty(), places.request_id),
            ("service", !access.service.is_empty(), places.service),
            ("service", access.service.is_empty() && !service.is_empty(), "the envelope"),
        ] {
            if found {
                self.notes.origin(field, || place.to_owned());
            }
        }
        self.hand(Event::Request(request), access.format);
    }

    /// One JSON value after the other.
    fn json(&mut self, text: &str, around: &Around<'_>) {
        let mut tape = self.tapes.pop().unwrap_or_default();
        let mut rest = text;
        while !rest.is_empty() && self.room() {
            match tape.parse(rest) {
                Ok((value, taken)) => {
                    self.value(value, around);
                    rest = rest[taken..].trim_ascii_start();
                }
                Err(broken) => {
                    self.fault(|| format!("{} at byte {}", broken.why, broken.at));
                    self.refuse(if broken.deep { Reject::Depth } else { Reject::Syntax });
                    break;
                }
            }
        }
        self.tapes.push(tape);
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
            if let Err(reason) = self.request_of(&fields, format, unit, &Around { service, ..*around }) {
                self.refuse(reason);
            }
            return;
        }
        let shape = auto::shape(value);
        if shape == Some(Format::Otel) {
            return self.otel(value, around);
        }
        let format = match self.wanted {
            Format::Auto => shape,
            named => (shape == Some(named)).then_some(named),
        };
        if let Some(format) = format {
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

    /// The record's own time, else its envelope's, else the log's.
    fn time(&mut self, own: Option<Pick<'_>>, around: &Around<'_>) -> Result<EventTime, Reject> {
        if let Some(pick) = own.filter(|pick| !is_none(pick.value)) {
            return match self.clock.value(pick.value) {
                Some(time) => {
                    self.notes.origin("time", || pick.key.to_owned());
                    Ok(time)
                }
                None => {
                    self.notes.fault(|| format!("`{}` is written in no way that we read", pick.key));
                    Err(Reject::Timestamp)
                }
            };
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

    fn object(&mut self, object: Value<'_>, format: Format, around: &Around<'_>) {
        let done = match format {
            Format::Falco => self.falco(object, around),
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
                self.fault(|| "it has no `resourceLogs`".to_owned());
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

    fn request(&mut self, object: Value<'_>, format: Format, around: &Around<'_>) -> Result<(), Reject> {
        let resolved = self.knobs.client_resolved;
        let fields = match format {
            Format::Caddy => requests::caddy::fields(object),
            Format::Ecs => requests::semantic::of_object(object, resolved),
            _ => requests::flat(format, object.entries(), resolved),
        };
        let unit_micros = requests::unit_micros(format, &fields);
        let may_be_merged = format == Format::Ecs || fields.get(slot::KUBERNETES).is_some();
        let merged = if may_be_merged { merged(object) } else { String::new() };
        let service = if around.service.is_empty() { &merged } else { around.service };
        self.request_of(&fields, format, unit_micros, &Around { service, ..*around })
    }

    fn request_of(
        &mut self,
        fields: &Fields<'_>,
        format: Format,
        unit_micros: f64,
        around: &Around<'_>,
    ) -> Result<(), Reject> {
        let time = self.time(fields.get(slot::TIME), around)?;
        let mut joined = String::new();
        let (namespace, name) = requests::service(format, fields);
        let service = match (namespace, name) {
            (_, "") => around.service,
            ("", name) => name,
            (namespace, name) => {
                kubernetes::join(&mut joined, namespace, name);
                &joined
            }
        };
        let from = if name.is_empty() { "the envelope" } else { fields.key(slot::SERVICE) };
        self.notes.origin("service", || if service.is_empty() { String::new() } else { from.to_owned() });
        let mut buffer = String::new();
        let made = Made {
            time,
            service,
            forwarded: requests::forwarded(fields, &mut buffer),
            unit_micros,
            resolved: requests::is_resolved(format, fields),
        };
        let request = requests::read(fields, self.knobs, &made, self.notes)?;
        self.hand(Event::Request(request), format);
        Ok(())
    }

    /// An export of OpenTelemetry's: each log record is a request by its attributes, or holds a record in its body.
    fn otel(&mut self, export: Value<'_>, around: &Around<'_>) {
        let Some(below) = self.deeper(around) else { return };
        self.notes.layer("OpenTelemetry", || "in `resourceLogs`".to_owned());
        let outer = self.wanted;
        if outer == Format::Otel {
            self.wanted = Format::Auto;
        }
        let before = self.records;
        for logs in otel::list(export, "resourceLogs") {
            let known = otel::Resource::of(logs.get("resource"));
            let mut service = String::new();
            known.service(&mut service);
            let around = Around {
                service: if service.is_empty() { below.service } else { &service },
                node: if known.node.is_empty() { below.node } else { known.node },
                pod: if known.pod.is_empty() { below.pod } else { known.pod },
                ..below
            };
            for record in otel::list(logs, "scopeLogs").flat_map(|scope| otel::list(scope, "logRecords")) {
                if !self.room() {
                    break;
                }
                let time = otel::TIMES.iter().find_map(|key| {
                    let time = record.get(key)?.scalar().filter(|time| *time != "0")?;
                    self.clock.text(time)
                });
                let done = self.log_record(record, &Around { time: time.or(around.time), ..around });
                if let Err(reason) = done {
                    self.refuse(reason);
                }
            }
        }
        self.wanted = outer;
        if self.records == before {
            self.refuse(Reject::Empty);
        }
    }

    fn log_record(&mut self, record: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let body = record.get("body").map(otel::bare);
        let map = body.and_then(|body| body.get("values"));
        for list in record.get("attributes").into_iter().chain(map) {
            let fields = requests::semantic::of_pairs(otel::pairs(list), self.knobs.client_resolved);
            if requests::semantic::is_request(&fields) && matches!(self.wanted, Format::Auto | Format::Otel) {
                let unit_micros = requests::unit_micros(Format::Otel, &fields);
                return self.request_of(&fields, Format::Otel, unit_micros, around);
            }
            if let Some(format @ (Format::NginxJson | Format::Envoy | Format::Traefik | Format::Cloudflare)) =
                auto::of_pairs(otel::pairs(list))
                && matches!(self.wanted, Format::Auto) | (self.wanted == format)
            {
                let fields = requests::flat(format, otel::pairs(list), self.knobs.client_resolved);
                let unit_micros = requests::unit_micros(format, &fields);
                return self.request_of(&fields, format, unit_micros, around);
            }
        }
        match body.and_then(Value::text) {
            Some(text) => {
                self.text(text, around);
                Ok(())
            }
            None => {
                self.fault(|| "a log record without HTTP attributes or a text in its body".to_owned());
                Err(Reject::UnknownFormat)
            }
        }
    }

    fn falco(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let alert = runtime::falco::Alert::of(object, around.node);
        let time = self.time(alert.time(), around)?;
        let event = alert.event(time, self.notes)?;
        self.hand(Event::Runtime(event), Format::Falco);
        Ok(())
    }

    fn resource(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let sample = resources::beaconfire::Record::of(object);
        let time = self.time(sample.time(), around)?;
        let sample = sample.sample(time, self.notes)?;
        self.hand(Event::Resource(sample), Format::Beaconfire);
        Ok(())
    }

    fn runtime(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let own = runtime::beaconfire::Record::of(object);
        let time = self.time(own.time(), around)?;
        let event = own.event(time, self.notes)?;
        self.hand(Event::Runtime(event), Format::Beaconfire);
        Ok(())
    }

    fn hand(&mut self, event: Event<'_>, format: Format) {
        let decoded = Decoded { event, format };
        self.notes.event(&decoded);
        (self.each)(decoded);
    }
}

/// The service that a shipper's metadata name among a record's own keys.
fn merged(object: Value<'_>) -> String {
    let mut service = String::new();
    wrapper::read(object).service(&mut service);
    service
}
