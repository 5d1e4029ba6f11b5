//! Query logs of a VPC's resolver: which machine asked for which name. A look-up that found nothing is an attempt all the
//! same. Names end with a dot.

use beaconfire_model::RuntimeKind;

use super::{Told, domain};
use crate::json::Value;

/// Where the record has its time.
pub(crate) const TIME: &str = "query_timestamp";

/// What the record tells.
pub(crate) fn read(record: Value<'_>) -> Told<'_> {
    let text = |key: &str| {
        let value = record.get(key).filter(|value| !value.is_missing());
        value.and_then(Value::scalar).unwrap_or_default()
    };
    let instance =
        record.get("srcids").and_then(|ids| ids.get("instance")?.text()).filter(|id| !id.is_empty());
    let mut told = Told {
        kind: RuntimeKind::Dns,
        event: text("query_type"),
        domain: domain(text("query_name")),
        host: instance.unwrap_or_else(|| text("srcaddr")),
        ..Told::default()
    };
    let answers = record.get("answers").into_iter().flat_map(Value::items);
    told.answers.extend(answers.filter_map(|answer| answer.get("Rdata")?.text()).map(domain));
    told.tags.extend(Some(text("rcode")).filter(|code| !code.is_empty()));
    told.origins.push(("domain", "query_name"));
    told.origins.push(("host", if instance.is_some() { "srcids.instance" } else { "srcaddr" }));
    told.name_workload();
    told
}
