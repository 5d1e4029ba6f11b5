//! What the mining engine learned, among the rows that go to the store and come back from it.

use std::sync::Arc;

use beaconfire_model::{EventTime, SubjectKind};

use super::usual::{FORGET_AFTER, Learned};
use crate::engine::mining::Mining;

/// Workloads that are handed out at once: some 2 KB each, in one transaction.
const LEARNED_MAX: usize = 2_000;
/// Where a series has its metric.
const ENGINE: &str = "mining";

/// The workload that a row is of, where the row is the mining engine's. No metric has the engine's name.
fn workload_of(row: &Learned) -> Option<&str> {
    let (kind, rest) = row.series.split_once('/')?;
    let (workload, of) = rest.rsplit_once('/')?;
    (kind == SubjectKind::Workload.name() && of == ENGINE).then_some(workload)
}

/// Services that were asked something lately.
pub(super) fn services(rows: &[&Learned]) -> impl Iterator<Item = Arc<str>> {
    let newest = rows.iter().map(|row| row.closed_through).max().unwrap_or(EventTime::MIN);
    let lately = rows.iter().filter(move |row| row.closed_through >= newest.minus(FORGET_AFTER));
    lately.filter_map(|row| {
        let (kind, rest) = row.series.split_once('/')?;
        let (service, _) = rest.rsplit_once('/')?;
        (kind == SubjectKind::Service.name()).then(|| service.into())
    })
}

pub(super) fn is_mining(row: &Learned) -> bool {
    workload_of(row).is_some()
}

/// Workloads that have changed since they were last handed out.
pub(super) fn learned(mining: &mut Mining, judged: EventTime) -> impl Iterator<Item = Learned> {
    mining.learned(judged, LEARNED_MAX).into_iter().map(|stored| Learned {
        series: format!("{}/{}/{ENGINE}", SubjectKind::Workload.name(), stored.workload),
        closed_through: stored.closed_through,
        state: stored.state,
    })
}

/// Goes on from these rows; how many could not be read, or found no room. Those that were seen last have it first.
pub(super) fn remember(mining: &mut Mining, mut rows: Vec<&Learned>) -> usize {
    rows.sort_by_key(|row| std::cmp::Reverse(row.closed_through));
    let mut lost = 0;
    for row in rows {
        let known = workload_of(row).is_some_and(|name| matches!(mining.restore(name, &row.state), Ok(true)));
        lost += usize::from(!known);
    }
    lost
}
