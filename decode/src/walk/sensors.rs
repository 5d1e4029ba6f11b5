//! What sensors and collectors of metrics write, record by record.
//!
//! Collectors send much that nothing here looks at (disks, page faults, the number of goroutines). Such a record is
//! understood and gives no event: refusing it would fill the dead letters with what is no fault.

use beaconfire_model::{Event, EventTime, ResourceSample};

use super::{Around, Walk};
use crate::envelope::otel;
use crate::json::Value;
use crate::notes::Notes;
use crate::resources::{self, Found};
use crate::runtime::{self, Told};
use crate::{Decoded, Format, Reject};

/// Points of one export's resource that are read.
const POINTS_MAX: usize = 10_000;

impl<N: Notes, F: FnMut(Decoded<'_>)> Walk<'_, N, F> {
    pub(super) fn telegraf(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let Some(batch) = object.get("metrics").filter(|batch| batch.is_array()) else {
            let found = resources::telegraf::of_object(object);
            let own = object.get("timestamp").map(|time| ("timestamp", time));
            return self.found(found, own, Format::Telegraf, around);
        };
        let mut refused = Ok(());
        for metric in batch.items() {
            if !self.room() {
                break;
            }
            refused = refused.and(self.telegraf_one(metric, around));
        }
        refused
    }

    fn telegraf_one(&mut self, metric: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let own = metric.get("timestamp").map(|time| ("timestamp", time));
        self.found(resources::telegraf::of_object(metric), own, Format::Telegraf, around)
    }

    /// A line of InfluxDB's; false where it is none.
    pub(super) fn influx(&mut self, text: &str, around: &Around<'_>) -> bool {
        let Some(line) = resources::influx::read(text) else { return false };
        let time = if line.time.is_empty() { None } else { self.clock.text(line.time) };
        let time = match (time, around.time.or(self.stamped)) {
            (Some(time), _) => Ok(time),
            (None, _) if !line.time.is_empty() => Err(Reject::Timestamp),
            (None, Some(time)) => Ok(time),
            (None, None) => Err(Reject::MissingTime),
        };
        self.notes
            .origin("time", || if line.time.is_empty() { "the envelope" } else { "the line's end" }.into());
        let done = time.and_then(|time| {
            let found = resources::telegraf::of_line(&line);
            self.sample(&found, time, Format::Telegraf)
        });
        if let Err(reason) = done {
            self.refuse(reason);
        }
        true
    }

    pub(super) fn metricbeat(&mut self, event: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let own = event.get("@timestamp").map(|time| ("@timestamp", time));
        self.found(resources::metricbeat::read(event), own, Format::Metricbeat, around)
    }

    pub(super) fn cadvisor(&mut self, message: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let (found, time) = resources::cadvisor::read(message);
        self.found(found, time.map(|time| ("container_stats.timestamp", time)), Format::Cadvisor, around)
    }

    pub(super) fn prometheus(&mut self, sample: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let own = sample.get("timestamp").map(|time| ("timestamp", time));
        self.found(resources::prometheus::read(sample), own, Format::Prometheus, around)
    }

    pub(super) fn resource(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let (found, workload, from) = resources::beaconfire::read(object, self.notes)?;
        let time = self.when(object.get("time").map(|time| ("time", time)), around)?;
        self.named_sample(&found, (workload, from), time, Format::Beaconfire);
        Ok(())
    }

    /// Metrics of an export of OpenTelemetry's: points of one resource, part and moment make one sample.
    pub(super) fn metrics(&mut self, export: Value<'_>, around: &Around<'_>) {
        for metrics in otel::list(export, "resourceMetrics") {
            let mut points = Vec::new();
            let mut all = 0;
            for scope in otel::list(metrics, "scopeMetrics") {
                all += resources::otel::points(scope, POINTS_MAX, &mut points);
            }
            self.records = self.records.saturating_add(u32::try_from(all).unwrap_or(u32::MAX).max(1));
            if self.records > super::RECORDS_MAX {
                return self.refuse(Reject::TooMany);
            }
            let mut timed = Vec::with_capacity(points.len());
            for point in points {
                // Nanoseconds whatever their size; zero is none.
                let nanos = point.time.and_then(Value::integer).filter(|nanos| *nanos > 0);
                let time = match nanos.and_then(|nanos| i64::try_from(nanos / 1_000_000).ok()) {
                    Some(millis) => Ok(EventTime::from_millis(millis)),
                    None => self.when(None, around),
                };
                match time {
                    Ok(time) => timed.push((time, point)),
                    Err(reason) => self.refuse(reason),
                }
            }
            // Stable, so that of one metric told twice the first counts, as everywhere here.
            timed.sort_by(|(time, point), (other, than)| (time, point.part).cmp(&(other, than.part)));
            if all > 0 && timed.is_empty() {
                self.notes.remark(|| "nothing in it is looked at".to_owned());
            }
            for group in
                timed.chunk_by(|(time, point), (other, than)| time == other && point.part == than.part)
            {
                let mut found = resources::otel::identity(metrics.get("resource"));
                for (_, point) in group {
                    found.part = point.part;
                    found.put(point.metric, point.value, point.name);
                }
                self.notes.origin("time", || "timeUnixNano, else the envelope or the log".to_owned());
                if let Some((time, _)) = group.first()
                    && let Err(reason) = self.sample(&found, *time, Format::Otel)
                {
                    self.refuse(reason);
                }
            }
        }
    }

    fn found(
        &mut self,
        found: Found<'_>,
        own: Option<(&str, Value<'_>)>,
        format: Format,
        around: &Around<'_>,
    ) -> Result<(), Reject> {
        if found.measured.is_empty() {
            self.notes.remark(|| "nothing in it is looked at".to_owned());
            return Ok(());
        }
        let time = self.when(own, around)?;
        let node = if found.node.is_empty() { around.node } else { found.node };
        self.sample(&Found { node, ..found }, time, format)
    }

    fn sample(&mut self, found: &Found<'_>, time: EventTime, format: Format) -> Result<(), Reject> {
        if found.measured.is_empty() {
            self.notes.remark(|| "nothing in it is looked at".to_owned());
            return Ok(());
        }
        let Some((workload, from)) = found.workload() else {
            self.notes
                .fault(|| "nothing tells whose it is: no pod, container, image, function or host".to_owned());
            return Err(Reject::MissingField);
        };
        self.named_sample(found, (&workload, from), time, format);
        Ok(())
    }

    fn named_sample(
        &mut self,
        found: &Found<'_>,
        (workload, from): (&str, &'static str),
        time: EventTime,
        format: Format,
    ) {
        self.notes.origin("workload", || from.to_owned());
        for (one, key) in found.measured.iter().zip(&found.keys) {
            self.notes.origin(one.metric.name(), || (*key).to_owned());
        }
        let text = |text| runtime::clip(text, runtime::TEXT_BYTES_MAX);
        let sample = ResourceSample {
            time,
            workload: text(workload),
            pod: text(found.pod),
            container: text(found.container),
            image: text(found.image),
            node: text(found.node),
            instance: text(found.instance),
            part: text(found.part),
            measured: &found.measured,
        };
        self.hand(Event::Resource(sample), format);
    }

    pub(super) fn falco(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let alert = runtime::falco::Alert::of(object, around.node);
        let time = self.time(alert.time(), around)?;
        let told = alert.told(self.notes)?;
        self.told(&told, time, Format::Falco);
        Ok(())
    }

    pub(super) fn runtime(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let own = runtime::beaconfire::Record::of(object);
        let time = self.time(own.time(), around)?;
        let told = own.told(self.notes)?;
        self.told(&told, time, Format::Beaconfire);
        Ok(())
    }

    pub(super) fn tracee(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let record = runtime::tracee::read(object, around.node);
        if record.told.event.is_empty() && record.told.rule.is_empty() {
            self.notes.fault(|| "the event has no name".to_owned());
            return Err(Reject::MissingField);
        }
        let time = self.when(record.time, around)?;
        self.told(&record.told, time, Format::Tracee);
        Ok(())
    }

    pub(super) fn guardduty(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let finding = runtime::guardduty::finding(object);
        let told = runtime::guardduty::read(finding);
        if told.rule.is_empty() {
            self.notes.fault(|| "`type` is missing".to_owned());
            return Err(Reject::MissingField);
        }
        let time = self.when(runtime::guardduty::time(finding), around)?;
        self.told(&told, time, Format::Guardduty);
        Ok(())
    }

    pub(super) fn vpc_dns(&mut self, object: Value<'_>, around: &Around<'_>) -> Result<(), Reject> {
        let told = runtime::vpc_dns::read(object);
        if told.domain.is_empty() {
            self.notes.fault(|| "`query_name` is missing".to_owned());
            return Err(Reject::MissingField);
        }
        let key = runtime::vpc_dns::TIME;
        let time = self.when(object.get(key).map(|time| (key, time)), around)?;
        self.told(&told, time, Format::VpcDns);
        Ok(())
    }

    fn told(&mut self, told: &Told<'_>, time: EventTime, format: Format) {
        for (field, from) in &told.origins {
            self.notes.origin(field, || (*from).to_owned());
        }
        told.hand(time, |event| self.hand(Event::Runtime(event), format));
    }
}
