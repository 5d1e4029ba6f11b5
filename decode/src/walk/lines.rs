//! Lines of text: coats that are lines themselves, and access logs.

use std::borrow::Cow;

use beaconfire_model::{Event, Request, TargetForm};

use super::{Around, Walk, blank, trim_end, trim_start};
use crate::client;
use crate::envelope::cri::{self, Full, Stream};
use crate::envelope::syslog;
use crate::kubernetes;
use crate::notes::Notes;
use crate::requests::log_format::Scanned;
use crate::requests::text::Access;
use crate::requests::{self, slot};
use crate::{Decoded, Format, Reject, resources};

impl<N: Notes, F: FnMut(Decoded<'_>)> Walk<'_, N, F> {
    pub(super) fn line(&mut self, line: &str, around: &Around<'_>) {
        // Blanks at the end stay until it is clear that the line does not go on: a part may have been cut behind one.
        let whole = match line.as_bytes().last() {
            Some(b' '..) => line,
            _ => line.trim_end_matches(['\r', '\n', '\0']),
        };
        let line = trim_start(whole);
        if let Some(part) = cri::strip(line)
            && !self.is_no_coat(whole, if part.partial { None } else { Some(part.text) }, around)
        {
            return self.cri(part, around);
        }
        let line = trim_end(line);
        // Before the access log: that one would take the header's words for its vhost and client.
        if let Some(message) = syslog::strip(line)
            && !self.is_no_coat(whole, Some(message.text), around)
        {
            let Some(inner) = self.deeper(around) else { return };
            let time = self.clock.text(message.time).or(inner.time);
            self.notes.layer("syslog", || {
                format!("from {}", if message.host.is_empty() { "nobody named" } else { message.host })
            });
            let node = if inner.node.is_empty() { message.host } else { inner.node };
            return self.text(message.text, &Around { time, node, ..inner });
        }
        if let Some(format) = &self.knobs.log_format {
            // Blanks at its ends may be a shipper's, or a sender's.
            let scanned = format.scan(whole, self.clock).or_else(|| format.scan(line, self.clock));
            match scanned {
                Some(scanned) => return self.own_line(&scanned, around),
                None => self.notes.remark(|| "it does not fit `log_format`".to_owned()),
            }
        }
        if let Some(access) = requests::text::read(line, self.wanted, self.clock) {
            return self.access(&access, around);
        }
        if requests::cloudfront::is_heading(line) && matches!(self.wanted, Format::Auto | Format::Cloudfront)
        {
            return self.notes.remark(|| "a heading of CloudFront's, which is no request".to_owned());
        }
        if matches!(self.wanted, Format::Auto | Format::Telegraf)
            && resources::influx::begins(line)
            && self.influx(line, around)
        {
            return;
        }
        if requests::text::resembles(line) {
            self.fault(|| "it begins like an access log and goes wrong".to_owned());
            self.refuse(Reject::Syntax);
        } else {
            self.fault(|| "it has the shape of no format".to_owned());
            self.refuse(Reject::UnknownFormat);
        }
    }

    /// Whether what seems to be a coat around this line is a sender's word that the operator's format begins with: the line
    /// fits as it is, and what is inside does not, or tells of another client, or is only a part. Where there is a
    /// coat already, whose time is nobody's word but the shipper's, another one is not worth a sender's choice of time.
    fn is_no_coat(&mut self, line: &str, inside: Option<&str>, around: &Around<'_>) -> bool {
        let Some(format) = self.knobs.log_format.as_ref().filter(|format| format.begins_with_sender()) else {
            return false;
        };
        let mut client = |line: &str| {
            let scanned =
                format.scan(line, self.clock).or_else(|| format.scan(line.trim_matches(blank), self.clock));
            scanned.map(|scanned| scanned.texts[slot::PEER].to_owned())
        };
        client(line).is_some_and(|whole| {
            around.time.is_some() || inside.and_then(&mut client).is_none_or(|inner| inner != whole)
        })
    }

    /// Whether a part is a whole access log's line that begins with a sender's word: where a server writes the Host header
    /// first, that may say "the line goes on", and whoever waits for its end hides the request.
    ///
    /// A runtime may have cut a line just there. Then its request is read here, without the fields behind the cut
    /// (X-Forwarded-For among them, if the server logs it), and the rest by itself is no line and refused: no request is
    /// lost. While a line of the source is in parts, what comes is a runtime's; and where no sender's word begins the
    /// operator's own format, it always is.
    fn is_whole(&mut self, part: &str) -> bool {
        matches!(self.wanted, Format::Auto | Format::Combined | Format::IngressNginx | Format::Traefik)
            && self.knobs.log_format.as_ref().is_none_or(|format| format.begins_with_sender())
            && self.held.lowest(self.source).is_none()
            && requests::combined::is_whole_line(trim_end(part), self.clock)
    }

    /// A container runtime's line, or a part of one.
    fn cri(&mut self, part: cri::Cri<'_>, around: &Around<'_>) {
        let Some(inner) = self.deeper(around) else { return };
        let time = self.clock.text(part.time).or(inner.time);
        let key = (self.source, part.stream, around.pod);
        if part.partial && !self.is_whole(part.text) {
            match self.held.keep(key, self.offset, time, part.text) {
                Ok(()) => self.notes.remark(|| "a part of a line, kept until its end comes".to_owned()),
                Err(Full::Line) => self.refuse(Reject::TooLarge),
                Err(Full::Table) => self.refuse(Reject::TooMany),
            }
            return;
        }
        let stream = if part.stream == Stream::Stdout { "stdout" } else { "stderr" };
        self.notes.layer("CRI", || stream.to_owned());
        // A part that is no part ends nothing that others have begun.
        let begun = if part.partial { None } else { self.held.finish(key, part.text) };
        match begun {
            None => self.text(part.text, &Around { time, ..inner }),
            Some(Err(_)) => self.refuse(Reject::TooLarge),
            // It was refused when it became too long; once is enough.
            Some(Ok(line)) if line.was_refused() => {}
            Some(Ok(line)) => self.text(&line.text, &Around { time: line.time.or(time), ..inner }),
        }
    }

    /// A line in the operator's own format, taken apart.
    fn own_line(&mut self, scanned: &Scanned<'_>, around: &Around<'_>) {
        let Scanned { texts, doubtful_time, .. } = scanned;
        for name in scanned.doubts() {
            self.notes.remark(|| format!("`log_format` fits in two ways, with another {name} in each: it is not believed; quotes around what senders write would tell them apart"));
        }
        let time = match texts[slot::TIME] {
            "" => around
                .time
                .or(self.stamped)
                .or_else(|| self.clock.text(doubtful_time))
                .ok_or(Reject::MissingTime),
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
            peer_appended: false,
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
        let (client, found) = match access.peer_appended {
            false => client::client(self.knobs, false, access.peer, access.forwarded),
            true => client::appended(self.knobs, access.forwarded),
        };
        let mut joined = String::new();
        let service = match (access.namespace, access.service) {
            (_, "") => around.service,
            ("", service) => service,
            (namespace, service) => {
                kubernetes::join(&mut joined, namespace, service);
                &joined
            }
        };
        // In the event from the beginning: it is large to move.
        let event = Event::Request(Request {
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
            target: match (target.host, access.format) {
                // ALB writes whole URLs of its own making.
                ("", _) | (_, Format::Alb) => TargetForm::Path,
                (named, _) => requests::form(access.request.version, named, access.host),
            },
        });
        let Event::Request(request) = &event else { return };
        let places = access.places;
        if access.peer_appended && !self.knobs.client_resolved {
            self.notes.remark(|| "the log has no peer, and X-Forwarded-For is the sender's word unless the server adds to it: say `client_resolved: true` where it does (Envoy's `use_remote_address`)".to_owned());
        }
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
        self.hand(event, access.format);
    }
}
