//! OpenTelemetry's exports, record by record.

use super::{Around, Walk};
use crate::auto;
use crate::envelope::otel;
use crate::json::Value;
use crate::notes::Notes;
use crate::requests::{self, Family};
use crate::{Decoded, Format, Reject};

impl<N: Notes, F: FnMut(Decoded<'_>)> Walk<'_, N, F> {
    /// An export of OpenTelemetry's: metrics, or logs, of which each record is a request by its attributes or holds a
    /// record in its body.
    pub(super) fn otel(&mut self, export: Value<'_>, around: &Around<'_>) {
        let Some(below) = self.deeper(around) else { return };
        let has_metrics = export.get("resourceMetrics").is_some();
        let key = if has_metrics { "resourceMetrics" } else { "resourceLogs" };
        self.notes.layer("OpenTelemetry", || format!("in `{key}`"));
        let outer = self.wanted;
        if outer == Format::Otel {
            self.wanted = Format::Auto;
        }
        let before = self.records;
        if matches!(outer, Format::Auto | Format::Otel) {
            self.metrics(export, &below);
        }
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
            if let Some(fields) = self.knobs.fields.of_attributes(list) {
                let format = if self.wanted == Format::Auto { Format::Otel } else { self.wanted };
                return self.request_at(&fields, format, self.knobs.fields.unit_micros(), around);
            }
            let fields = requests::semantic::of_pairs(otel::pairs(list), self.knobs.client_resolved);
            if requests::semantic::is_request(&fields) && matches!(self.wanted, Format::Auto | Format::Otel) {
                let unit_micros = requests::unit_micros(Format::Otel, &fields);
                return self.request_at(&fields, Format::Otel, unit_micros, around);
            }
            if let Some(format @ (Format::NginxJson | Format::Envoy | Format::Traefik | Format::Cloudflare)) =
                auto::of_pairs(otel::pairs(list))
                && matches!(self.wanted, Format::Auto) | (self.wanted == format)
            {
                let fields =
                    requests::flat(Family::of(format, self.knobs.client_resolved), otel::pairs(list));
                let unit_micros = requests::unit_micros(format, &fields);
                return self.request_at(&fields, format, unit_micros, around);
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
}
