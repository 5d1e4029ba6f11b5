//! From a transition to the rows it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use beaconfire_incident::{Incident, Status, Transition};
use beaconfire_model::{Severity, Wall};

use crate::{
    Fate, Grouping, Hushed, Integration, IntegrationKind, Lane, Quiet, Route, Row, RowKey, Suppressed, Told,
};

/// How long the end of what ended by itself waits before it is told.
const FLAP_HOLD: Duration = Duration::from_secs(30);
const FLAP_MARGIN: Duration = Duration::from_secs(5);

/// The integrations of each receiver, by its name.
pub type Receivers = BTreeMap<Arc<str>, Vec<Integration>>;

/// The rows that `transitions` of `incident` ask for: new ones where routes reach receivers that have none yet,
/// changed ones where the desired state moved. Receivers that saw the open stay, wherever the labels route now, so
/// that they hear of the resolve. `rows` are all rows of this incident.
///
/// - Growth tells nobody. An acknowledgement or a resolve goes to those who have a row; only what disturbs (opened,
///   reopened, escalated, another rule, nobody on it any more) makes new ones, and gives those that were suppressed
///   or had become dead letters another try: it is another message, and may be worse news.
/// - What was found too late to tell is suppressed, and counted, until there is fresh news of it.
/// - What resolved before its opening was accepted is told all the same, opening first.
/// - An end that nobody made is told after half a minute, and not at all where it opens again until then: who flaps a
///   hundred times sends two messages.
/// - What is `quiet` toward a receiver is suppressed, and counted; [`review`](crate::review) tells it when that ends. Who
///   has seen the open still hears of the acknowledgement and the resolve, and of the rest when it ends.
/// - Rows of integrations that are gone are settled as [`orphaned`] says.
pub fn desire(
    route: &Route,
    receivers: &Receivers,
    incident: &Incident,
    transitions: &[Transition],
    rows: &[Row],
    quiet: &Quiet,
    now: Wall,
) -> Vec<Row> {
    if !transitions.iter().any(Transition::tells) {
        return Vec::new();
    }
    let disturbs = transitions.iter().any(Transition::disturbs);
    let desired = now_of(incident);
    let mut wanted = orphaned(rows.iter().cloned(), receivers);
    for row in rows {
        let Some(integration) = integration(receivers, &row.key) else { continue };
        let hushed = quiet.toward(&row.key.receiver);
        let silenced = shows_silence(integration, hushed) && incident.status != Status::Resolved;
        let desired = Told { silenced, ..desired };
        let knows = matches!(row.fate, Fate::Delivered | Fate::InDigest(_));
        let moved = match row.told {
            // Its news is kept back, and what it was to hear before that is news no more.
            Some(told) if hushed.is_some() && knows && incident.status == Status::Open => {
                set(row.clone(), row.fate.clone(), Told { silenced, ..told }, true, now)
            }
            _ => {
                let moved = moved(row.clone(), desired, incident.stale, hushed, disturbs, now);
                steady(row, moved, transitions, now)
            }
        };
        if moved != *row {
            wanted.push(moved);
        }
    }
    if disturbs {
        for routed in route.resolve(&incident.labels) {
            // What is for showing only is told to whoever asks for it, and to all once it is worse.
            if incident.severity == Severity::Info && !routed.by_severity {
                continue;
            }
            for integration in receivers.get(&routed.receiver).into_iter().flatten() {
                let key = RowKey {
                    incident: incident.id.clone(),
                    receiver: routed.receiver.clone(),
                    integration: integration.name.clone(),
                };
                if !rows.iter().any(|row| row.key == key) {
                    let hushed = quiet.toward(&routed.receiver);
                    let row = made(key, integration.send_resolved, desired, incident.stale, hushed, now);
                    wanted.push(grouped(row, integration.kind, &routed.grouping, incident));
                }
            }
        }
    }
    wanted
}

/// The rows among `rows` whose integration is no longer configured, as they are to be written: what was never told is
/// suppressed, and of the rest nothing more is told. For a changed configuration, at start and at reload.
pub fn orphaned(rows: impl IntoIterator<Item = Row>, receivers: &Receivers) -> Vec<Row> {
    let waits = |row: &Row| row.next_action().is_some() || matches!(row.fate, Fate::Held(_));
    let gone = |row: &Row| integration(receivers, &row.key).is_none() && waits(row);
    let settle = |mut row: Row| {
        match row.fate {
            Fate::Pending | Fate::Held(_) => row.fate = Fate::Suppressed(Suppressed::Unrouted),
            Fate::Delivered | Fate::InDigest(_) | Fate::Suppressed(_) | Fate::Dead => {
                row.told = Some(row.desired)
            }
        }
        row.last_error = Some("the receiver or integration is no longer configured".into());
        row
    };
    rows.into_iter().filter(gone).map(settle).collect()
}

/// The state of an incident that receivers hear of.
pub(crate) fn now_of(incident: &Incident) -> Told {
    let Incident { revision, status, severity, .. } = *incident;
    Told { revision, status, severity, silenced: false }
}

pub(crate) fn integration<'a>(receivers: &'a Receivers, key: &RowKey) -> Option<&'a Integration> {
    receivers.get(&key.receiver)?.iter().find(|integration| integration.name == key.integration)
}

/// Whether what was told there is to say that it is silenced.
pub(crate) fn shows_silence(integration: &Integration, hushed: Option<&Hushed>) -> bool {
    integration.kind.edits() && hushed.is_some_and(|hushed| hushed.why == Suppressed::Silenced)
}

/// A new row.
pub(crate) fn made(
    key: RowKey,
    send_resolved: bool,
    desired: Told,
    stale: bool,
    hushed: Option<&Hushed>,
    now: Wall,
) -> Row {
    let row = Row {
        key,
        version: 0,
        desired,
        told: None,
        handle: None,
        fate: untold(stale, hushed),
        lane: Lane::Info,
        send_resolved,
        attempts: 0,
        due: now,
        waiting_since: now,
        messages: 0,
        last_error: None,
        created_at: now,
        via: None,
        group: None,
        repeat: None,
        again: false,
        hushed: hushed.is_some(),
    };
    Row { lane: row.lane(), ..row }
}

/// A new row with what its route says of groups and repeats.
fn grouped(row: Row, kind: IntegrationKind, grouping: &Grouping, incident: &Incident) -> Row {
    let group = if kind.is_read() { grouping.group(&incident.labels) } else { None };
    // An Alertmanager is told again every minute anyway.
    let repeat = (kind != IntegrationKind::Alertmanager).then_some(grouping.repeat);
    Row { group, repeat, ..row }
}

/// A row whose desired state has moved.
fn moved(row: Row, desired: Told, stale: bool, hushed: Option<&Hushed>, disturbs: bool, now: Wall) -> Row {
    if row.desired.revision >= desired.revision {
        return row;
    }
    // What has become a page meanwhile does not wait for a digest.
    let is_worse =
        desired.severity == Severity::Critical && row.desired.severity != Severity::Critical && disturbs;
    let fate = match &row.fate {
        Fate::Held(_) if is_worse => untold(stale, hushed),
        Fate::Pending => untold(stale, hushed),
        Fate::Suppressed(_) | Fate::Dead if disturbs => untold(stale, hushed),
        stays => stays.clone(),
    };
    set(row, fate, desired, hushed.is_some(), now)
}

/// A row that flaps says little: an end that nobody made waits for a moment, and where it is taken back meanwhile, who
/// knows of the opening knows all there is. Not in the last seconds of that moment, as the end may be on its way then.
fn steady(before: &Row, mut moved: Row, transitions: &[Transition], now: Wall) -> Row {
    let Some(told) = before.told.filter(|_| before.fate == Fate::Delivered) else { return moved };
    let by_itself = |transition: &Transition| matches!(transition, Transition::Resolved { by: None });
    let is_over = moved.desired.status == Status::Resolved && moved.desired != before.desired;
    if is_over && told.status != Status::Resolved && transitions.iter().any(by_itself) {
        moved.due = now.plus(FLAP_HOLD);
        return moved;
    }
    let is_back = before.desired.status == Status::Resolved && moved.desired.status == Status::Open;
    let nothing_else = transitions
        .iter()
        .filter(|transition| transition.tells())
        .all(|transition| matches!(transition, Transition::Reopened));
    let same = told.status == Status::Open && told.severity == moved.desired.severity;
    // An end that was tried may have arrived, whatever it waits for now.
    let untried = before.attempts == 0 && before.due > now.plus(FLAP_MARGIN);
    if is_back && same && nothing_else && untried {
        moved.told = Some(Told { silenced: told.silenced, ..moved.desired });
        moved.lane = moved.lane();
    }
    moved
}

/// A row with another fate and state to tell.
pub(crate) fn set(mut row: Row, fate: Fate, desired: Told, hushed: bool, now: Wall) -> Row {
    let waited = row.next_action().is_some();
    row.desired = desired;
    row.fate = fate;
    row.hushed = hushed;
    row.again &= !hushed;
    if row.next_action().is_some() {
        row.due = now;
        row.waiting_since = if waited { row.waiting_since } else { now };
    }
    row.lane = row.lane();
    row
}

/// The fate of a row whose opening has not been accepted.
fn untold(stale: bool, hushed: Option<&Hushed>) -> Fate {
    match hushed {
        _ if stale => Fate::Suppressed(Suppressed::TooOld),
        Some(hushed) => Fate::Suppressed(hushed.why),
        None => Fate::Pending,
    }
}

impl Row {
    fn only_silence_differs(&self) -> bool {
        let differs =
            |told: Told| told.revision >= self.desired.revision && told.silenced != self.desired.silenced;
        !self.again && self.told.is_some_and(differs)
    }

    /// The lane that its next delivery belongs in. Whoever was paged hears of the end as fast as of the beginning.
    pub(crate) fn lane(&self) -> Lane {
        let paged = self.told.is_some_and(|told| told.severity == Severity::Critical);
        let tells_anew = self.told.is_none() || self.desired.status == Status::Open;
        match self.desired.severity {
            _ if self.only_silence_differs() => Lane::Update,
            Severity::Critical => Lane::Page,
            _ if paged => Lane::Page,
            Severity::Info => Lane::Info,
            Severity::Warning | Severity::Error if tells_anew => Lane::Ticket,
            Severity::Warning | Severity::Error => Lane::Update,
        }
    }
}
