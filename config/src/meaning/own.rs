//! Records in a form of the operator's own: `log_format`, `fields` and `timezone` of a topic.

use beaconfire_decode::{BadFieldPath, FieldPaths, Format, LogFormat, Zone};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::de::At;
use crate::judge::Judge;
use crate::raw::Topic;

/// Changes of a zone's offset at most: two a year, from 1970 on.
const CHANGES_MAX: usize = 400;
/// The first second of 2100: later changes are of no use to anybody yet.
const CHANGES_UNTIL: i64 = 4_102_444_800;

/// How this topic's lines are put together.
pub(crate) fn log_format(judge: &mut Judge<'_>, topic: &Topic, format: Format) -> Option<LogFormat> {
    let written = topic.log_format.as_ref()?;
    if !matches!(format, Format::Auto | Format::Combined | Format::IngressNginx) {
        let said = format!("`log_format` has no meaning beside `format: {}`", format.name());
        judge.error(written.place, said, "write `format: combined`, or take `log_format` out");
    }
    match LogFormat::parse(written) {
        Ok(parsed) => {
            if let Some((sender, feigned)) = parsed.feigned() {
                let said = format!(
                    "`${sender}` stands before `${feigned}` without quotes: what a sender writes there may pass for it, and then it is not believed"
                );
                judge.warn(
                    written.place,
                    said,
                    "put quotes around it, or write it behind all that servers say",
                );
            }
            Some(parsed)
        }
        Err(bad) => {
            let mend =
                "write it as nginx has it, for example '$remote_addr [$time_local] \"$request\" $status'";
            judge.error(written.place, format!("bad `log_format`: {bad}"), mend);
            None
        }
    }
}

/// Where this topic's JSON has its fields.
pub(crate) fn fields(judge: &mut Judge<'_>, topic: &Topic, format: Format) -> FieldPaths {
    let mut paths = FieldPaths::default();
    let Some(first) = topic.fields.values().next() else { return paths };
    if !matches!(format, Format::Auto | Format::NginxJson | Format::Otel | Format::Beaconfire) {
        let said = format!("`fields` has no meaning beside `format: {}`", format.name());
        judge.error(first.place, said, "write `format: auto`, or take `fields` out");
    }
    for (name, path) in &topic.fields {
        match paths.add(name, path) {
            Ok(()) => {}
            Err(BadFieldPath::Name) => {
                let name = At { value: name.clone(), place: path.place };
                judge.unknown("field of a request", &name, FieldPaths::NAMES);
            }
            Err(BadFieldPath::Path) => {
                let said = format!("`{}` is no path", path.value);
                judge.error(path.place, said, "write keys with dots between them, for example http.status");
            }
            Err(BadFieldPath::Twice) => {
                judge.error(path.place, format!("`{name}` gives the duration a second time"), "take one out");
            }
        }
    }
    if !paths.is_request() {
        let said = "`fields` names none of path, request and status: then no record would be a request";
        judge.error(first.place, said, "add one of them");
    }
    paths
}

/// Where the clock stood that wrote this topic's times.
pub(crate) fn zone(judge: &mut Judge<'_>, topic: &Topic, format: Format) -> Zone {
    let Some(name) = &topic.timezone else { return Zone::default() };
    if matches!(format, Format::Alb | Format::Cloudfront | Format::Cloudflare) {
        let said = format!("`timezone` has no meaning beside `format: {}`: its times are UTC", format.name());
        judge.error(name.place, said, "take `timezone` out");
    }
    match TimeZone::get(name) {
        Ok(zone) => offsets(&zone),
        Err(_) => {
            let said = format!("there is no time zone `{}`", name.escape_debug());
            judge.error(name.place, said, "write a name such as Europe/Berlin, America/New_York or UTC");
            Zone::default()
        }
    }
}

/// Decoding looks offsets up, and knows no calendar of zones.
fn offsets(zone: &TimeZone) -> Zone {
    let start = Timestamp::UNIX_EPOCH;
    let millis = |offset: jiff::tz::Offset| i64::from(offset.seconds()) * 1000;
    let changes = zone
        .following(start)
        .take(CHANGES_MAX)
        .take_while(|change| change.timestamp().as_second() < CHANGES_UNTIL)
        .map(|change| (change.timestamp().as_millisecond(), millis(change.offset())));
    Zone::new(millis(zone.to_offset(start)), changes)
}
