//! The first page: what is wrong now, worst first; then what was.

use beaconfire_incident::{Incident, Status, title};
use beaconfire_model::Wall;
use maud::{Markup, html};

use super::strip::QUIET_INPUT;
use super::words::{ago, clean, plural, span};
use crate::{Page, StatusFacts};

pub(super) fn page(
    open: &Page<Incident>,
    resolved: &Page<Incident>,
    status: Option<&StatusFacts>,
    now: Wall,
) -> Markup {
    html! {
        h1 {
            @if open.items.is_empty() { "Incidents" } @else { (plural(open.items.len() as u64, "open incident")) }
            @if open.next_cursor.is_some() { " and more" }
        }
        @if open.items.is_empty() { (all_quiet(status, now)) } @else { (table(&open.items, now)) }
        @if open.next_cursor.is_some() {
            p.dim { "The worst of them; the rest: " code { "beaconfire incidents list" } }
        }
        @if !resolved.items.is_empty() {
            h2 { "Recently resolved" }
            (table(&resolved.items, now))
        }
    }
}

/// "All quiet" is said only where we would hear of something: who cannot see has found nothing either.
fn all_quiet(status: Option<&StatusFacts>, now: Wall) -> Markup {
    let last = status.and_then(|status| status.last_record);
    let blind = match (status, last) {
        (None, _) => Some("Our own status does not answer: nothing can be said of what is not listed."),
        (Some(status), _) if status.kafka_up == Some(false) => {
            Some("Kafka does not answer: what happens now is found when it does.")
        }
        (Some(status), _) if !status.store_up => {
            Some("The store takes nothing: what happens now is kept in Kafka, and told when it works again.")
        }
        (_, None) => Some("Check the brokers, the topics and the group's rights."),
        (_, Some(at)) if now.since(at) > QUIET_INPUT => Some("Nothing comes in. Do the topics get records?"),
        _ => None,
    };
    html! {
        section.card.quiet {
            p.large { @if blind.is_some() { "No open incidents" } @else { "All quiet" } }
            p.dim {
                @match last {
                    Some(at) => { "Last record " (ago(at.millis(), now)) "." }
                    None => { "No record has arrived yet." }
                }
            }
            @if let Some(blind) = blind { p { (blind) } }
        }
    }
}

fn table(incidents: &[Incident], now: Wall) -> Markup {
    html! {
        table.incidents {
            thead { tr { th { "Severity" } th { "What" } th { "Target" } th { "Who" } th { "When" } th { "Status" } } }
            tbody { @for incident in incidents { (row(incident, now)) } }
        }
    }
}

fn row(incident: &Incident, now: Wall) -> Markup {
    let resolved = incident.status == Status::Resolved;
    html! {
        tr class=(incident.severity.name()) {
            td { (severity(incident)) }
            td.what { a href={ "/incidents/" (incident.id) } { (clean(&title(incident), 400)) } }
            td.target { span.dim { (incident.target.kind.name()) " " } (clean(&incident.target.value, 80)) }
            td { @if incident.participants_total > 0 { (who(incident)) } }
            td.age {
                @if resolved {
                    (ago(incident.holds_until.millis(), now))
                    span.dim { ", for " (span(incident.holds_until.since(incident.started_at))) }
                }
                @else { (ago(incident.started_at.millis(), now)) }
            }
            td { (status(incident)) }
        }
    }
}

/// How many took part.
pub(super) fn who(incident: &Incident) -> Markup {
    let about = if incident.participants_estimated { "about " } else { "" };
    html! { (about) (plural(incident.participants_total, "participant")) }
}

/// The severity as a badge.
pub(super) fn severity(incident: &Incident) -> Markup {
    let name = incident.severity.name();
    html! { span class={ "badge " (name) } { (name) } }
}

/// The status as a badge, with who is on it.
pub(super) fn status(incident: &Incident) -> Markup {
    let by = match incident.status {
        Status::Open => None,
        Status::Acknowledged => incident.acknowledged.as_ref().map(|held| held.by.as_str()),
        Status::Resolved => incident.resolved_by.as_deref(),
    };
    html! {
        span class={ "badge status-" (incident.status.name()) } { (incident.status.name()) }
        @if let Some(by) = by { span.dim { " by " (clean(by, 40)) } }
        @if incident.stale { span.dim { " · found late, told to nobody" } }
    }
}
