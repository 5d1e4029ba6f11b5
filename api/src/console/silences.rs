//! What is silenced, by whom, until when, and what that matches now.

use beaconfire_incident::title;
use beaconfire_model::Wall;
use beaconfire_outbox::{Silence, SilenceState};
use maud::{Markup, html};

use super::words::{ago, clean, count, moment, span};
use crate::auth::Caller;
use crate::{Role, SilenceFacts};

/// Silences on the page that are over; the API has more.
const OVER_MAX: usize = 20;

pub(super) fn page(silences: &[SilenceFacts], caller: &Caller, now: Wall) -> Markup {
    let is_over = |facts: &&SilenceFacts| facts.silence.state(now) == SilenceState::Expired;
    let may_end = caller.role >= Role::Responder;
    html! {
        h1 { "Silences" }
        @if silences.iter().all(|facts| is_over(&facts)) {
            section.card.quiet { p.large { "Nothing is silenced" } }
        }
        @for facts in silences.iter().filter(|facts| !is_over(facts)) { (card(facts, may_end, now)) }
        p.dim { "Make one on the page of an incident, or: " code { "beaconfire silences add service=shop --for 2h --dry-run" } }
        @if silences.iter().any(|facts| is_over(&facts)) {
            h2 { "Over" }
            ul.plain {
                @for facts in silences.iter().filter(is_over).take(OVER_MAX) {
                    li {
                        (matchers(&facts.silence)) " "
                        span.dim { "by " (clean(&facts.silence.author, 300)) ", ended " (ago(facts.silence.ends_at.millis(), now)) }
                    }
                }
            }
        }
    }
}

fn card(facts: &SilenceFacts, may_end: bool, now: Wall) -> Markup {
    let silence = &facts.silence;
    let state = silence.state(now);
    html! {
        section.card {
            h2 { (matchers(silence)) }
            p {
                span.badge.wait { (state.name()) } " "
                "by " b { (clean(&silence.author, 300)) }
                @if state == SilenceState::Pending { ", from " (moment(silence.starts_at.millis())) }
                ", until " (moment(silence.ends_at.millis()))
                @if state == SilenceState::Active { span.dim { " (" (span(silence.ends_at.since(now))) " more)" } }
            }
            @if !silence.comment.is_empty() { p { (clean(&silence.comment, 1_000)) } }
            @if facts.incidents.is_empty() { p.dim { "No open incident matches." } } @else {
                ul.plain {
                    @for incident in &facts.incidents {
                        li {
                            a href={ "/incidents/" (incident.id) } { (clean(&title(incident), 300)) }
                            span.dim { " · " (incident.severity.name()) " · " (incident.status.name()) }
                        }
                    }
                }
                @let beyond = facts.incidents_total.saturating_sub(facts.incidents.len() as u64);
                @if beyond > 0 { p.dim { "and " (count(beyond)) " more" } }
            }
            @if may_end {
                div.actions {
                    form method="post" action={ "/silences/" (silence.id) "/expire" } { button type="submit" { "End it now" } }
                }
            }
            p.dim { "Silence " code { (silence.id) } }
        }
    }
}

fn matchers(silence: &Silence) -> Markup {
    html! {
        @for matcher in &silence.matchers.0 { code { (clean(&matcher.to_string(), 300)) } " " }
    }
}
