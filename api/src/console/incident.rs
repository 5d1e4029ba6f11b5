//! One incident on one page, in the order in which somebody who was just woken asks: how bad, is it still going on,
//! what can I do, why did it fire, who is it, what has been done already.

use std::time::Duration;

use beaconfire_incident::{Incident, RatePoint, Relation, RulePeak, SampleRow, Status, can_accept, title};
use beaconfire_model::Wall;
use beaconfire_outbox::{Fate, Row};
use beaconfire_throttle::{Decision, Mode};
use maud::{Markup, html};

use super::chart::{axis, chart};
use super::forms::Form;
use super::list::{severity, status, who};
use super::words::{ago, amount, clean, count, moment, moment_ago, plural, span};
use crate::auth::Caller;
use crate::{Case, DeliveryFacts, Role};

/// Participants on the page; the API has all of them.
const PARTICIPANTS_MAX: usize = 20;
/// Charts on the page: the rules with the highest peaks against their thresholds.
const CHARTS_MAX: usize = 3;
/// Attempts on the page.
const ATTEMPTS_MAX: usize = 20;
/// Samples on the page, those that read alike counted once.
const SAMPLES_MAX: usize = 10;
/// Decisions on the page.
const DECISIONS_MAX: usize = 20;
/// A fact this recent means that it goes on.
const STILL: Duration = Duration::from_secs(120);

/// All that the page shows.
pub(super) struct View<'a> {
    pub(super) case: &'a Case,
    pub(super) caller: &'a Caller,
    pub(super) base: &'a str,
    pub(super) form: Option<Form>,
    pub(super) now: Wall,
}

impl View<'_> {
    pub(super) fn render(&self, title: &str) -> Markup {
        html! {
            (self.head(title))
            (self.actions())
            div.columns {
                div {
                    section.card { h2 { "Why it fired" } (self.why()) (self.charts()) }
                    section.card.late { h2 { "Timeline" } (self.timeline()) }
                }
                div {
                    section.card { h2 { "What was done" } (self.decisions()) (self.notifications()) }
                    (self.links())
                    (self.who())
                    (self.samples())
                }
            }
            (self.terminal())
        }
    }

    fn incident(&self) -> &Incident {
        &self.case.dossier.incident
    }

    fn head(&self, title: &str) -> Markup {
        let incident = self.incident();
        html! {
            section class={ "head " (incident.severity.name()) } {
                p.badges {
                    (severity(incident)) " " (status(incident)) " "
                    span.dim { "· " (incident.kind.name()) " · " (incident.target.kind.name()) " " (clean(&incident.target.value, 200)) }
                }
                h1 { (title) }
                p.still { (self.still()) }
                @if let Some(hushed) = self.case.quiet.silenced() { p.still { b { "Silenced." } " " (clean(&hushed.said(), 500)) } }
                @if let Some(who) = &incident.assignee { p.still { "Given to " b { (clean(who, 128)) } "." } }
                dl.facts {
                    div { dt { "Started" } dd { (moment_ago(incident.started_at.millis(), self.now)) } }
                    div { dt { (self.until()) } dd { (moment_ago(incident.holds_until.millis(), self.now)) } }
                    div { dt { (self.lasts()) } dd { (span(incident.holds_until.since(incident.started_at))) } }
                    div { dt { "Detected" } dd { (moment(incident.detected_at.millis())) } }
                }
                @if let Some(runbook) = self.case.runbook.as_deref().filter(|url| is_web(url)) {
                    p { a.runbook href=(runbook) rel="noreferrer" { "Runbook" } }
                }
            }
        }
    }

    /// Whether a single record makes it: a finding has no rate that could fall.
    fn is_finding(&self) -> bool {
        let rules = &self.incident().rules;
        !rules.is_empty() && rules.values().all(|peak| peak.threshold <= 0.0)
    }

    fn until(&self) -> &'static str {
        if self.is_finding() { "In the window until" } else { "Over the limit until" }
    }

    fn lasts(&self) -> &'static str {
        if self.incident().status == Status::Resolved { "Lasted" } else { "Lasted so far" }
    }

    /// The longest window of its rules: what has stopped can look alive for so long.
    fn window(&self) -> Duration {
        self.incident().rules.values().map(|peak| peak.window).max().unwrap_or_default()
    }

    /// Is it still happening? The first question, in words.
    fn still(&self) -> Markup {
        let incident = self.incident();
        let last = incident.holds_until.millis();
        let quiet = self.now.as_event_time().since(incident.holds_until);
        html! {
            @if incident.status == Status::Resolved {
                span class="dot good" aria-hidden="true" {} b { "Over." } " " (self.until()) " " (ago(last, self.now))
                @match (&incident.resolved_by, incident.resolved_at) {
                    (Some(by), Some(at)) => { "; closed by " (clean(by, 64)) " " (ago(at.millis(), self.now)) "." }
                    (None, Some(at)) => { "; resolved by itself " (ago(at.millis(), self.now)) "." }
                    _ => { "." }
                }
            } @else if quiet <= STILL {
                span class="dot bad" aria-hidden="true" {}
                @if self.is_finding() {
                    b { "May still be going on." } " Last found at most " (span(quiet + self.window())) " ago."
                } @else {
                    b { "Still happening." } " Over the limit " (ago(last, self.now))
                    span.dim { ", counted over " (span(self.window())) } "."
                }
            } @else {
                span class="dot warn" aria-hidden="true" {} b { "Quiet for " (span(quiet)) "." }
                " It resolves by itself when it stays so."
            }
        }
    }

    fn actions(&self) -> Markup {
        let incident = self.incident();
        if self.caller.role < Role::Responder {
            return html! { p.dim { "Your role is " (self.caller.role.name()) ": acting needs responder." } };
        }
        let post = |action: &str| format!("/incidents/{}/{action}", incident.id);
        let button = |action: &str, class: &str, says: &str| {
            html! { form method="post" action=(post(action)) { button class=(class) type="submit" { (says) } } }
        };
        html! {
            div.actions {
                @match incident.status {
                    Status::Open => { (button("acknowledge", "primary", "Acknowledge")) (button("resolve", "", "Resolve")) }
                    Status::Acknowledged => { (button("resolve", "primary", "Resolve")) (button("reopen", "", "Take back acknowledgement")) }
                    // What stopped by itself opens by itself: only what somebody closed can be taken up by hand.
                    Status::Resolved => { @if incident.resolved_by.is_some() { (button("reopen", "", "Reopen")) } }
                }
                @if incident.status != Status::Resolved && can_accept(incident) {
                    (button("accept", "", "Accept as usual"))
                }
                @for form in Form::ALL {
                    @if self.form != Some(form) && (form != Form::Silence || incident.status != Status::Resolved) {
                        a.button href={ "?" (form.name()) "#" (form.name()) } { (form.says()) }
                    }
                }
            }
            @if let Some(form) = self.form { (form.render(incident)) }
        }
    }

    fn why(&self) -> Markup {
        let incident = self.incident();
        if incident.rules.is_empty() {
            return html! { p.dim { "No rule's numbers are stored." } };
        }
        html! {
            table.numbers.why {
                thead { tr { th { "Rule" } th { "Observed" } th { "Threshold" } th { "Window" } th { "Highest by" } } }
                tbody {
                    @for (rule, peak) in self.rules() {
                        tr {
                            td { b { (clean(rule, 120)) } }
                            td.n data-label="observed" { b { (amount(peak.observed, peak.threshold)) } (times(peak)) }
                            td.n data-label="threshold" { (amount(peak.threshold, peak.threshold)) }
                            td.n data-label="window" { (span(peak.window)) }
                            td.wrap data-label="highest by" { (clean(&peak.subject.value, 120)) }
                        }
                    }
                }
            }
            @if incident.rules_beyond > 0 { p.dim { "and " (plural(incident.rules_beyond.into(), "more rule")) } }
        }
    }

    /// Rules by how far they went beyond their thresholds.
    fn rules(&self) -> Vec<(&str, &RulePeak)> {
        let mut rules: Vec<_> = self.incident().rules.iter().map(|(name, peak)| (&**name, peak)).collect();
        let beyond = |peak: &RulePeak| peak.observed / peak.threshold.max(1e-9);
        rules.sort_by(|a, b| beyond(b.1).total_cmp(&beyond(a.1)).then_with(|| a.0.cmp(b.0)));
        rules
    }

    fn charts(&self) -> Markup {
        let points = &self.case.dossier.points;
        let Some(axis) = axis(points) else { return html! {} };
        let charts: Vec<Markup> = self
            .rules()
            .into_iter()
            .filter_map(|(rule, peak)| {
                let own: Vec<RatePoint> =
                    points.iter().filter(|point| &*point.rule == rule).cloned().collect();
                (!own.is_empty()).then(|| chart(&clean(rule, 120), peak, &own, axis))
            })
            .take(CHARTS_MAX)
            .collect();
        html! { @for chart in charts { (chart) } }
    }

    /// What brings it about, and what it brings about.
    fn links(&self) -> Markup {
        html! {
            @if !self.case.links.is_empty() {
                section.card {
                    h2 { "Linked" }
                    ul.links {
                        @for (other, relation, why) in &self.case.links {
                            li {
                                (match relation { Relation::Cause => "Because of ", Relation::Effect => "Brings about " })
                                a href={ "/incidents/" (other.id) } { (title(other)) }
                                span.dim { " · " (other.status.name()) " · " (why) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn who(&self) -> Markup {
        let shown =
            &self.case.dossier.participants[..self.case.dossier.participants.len().min(PARTICIPANTS_MAX)];
        let beyond = self.incident().participants_total.saturating_sub(shown.len() as u64);
        html! {
            // A finding in a workload, or the errors of a service, have nobody who takes part.
            @if !shown.is_empty() {
                section.card {
                    h2 { "Who" }
                    p { (who(self.incident())) }
                    table.numbers.who {
                        thead { tr { th { "Who" } th { "Peak" } th { "First seen" } th { "Last seen" } } }
                        tbody {
                            @for one in shown {
                                tr {
                                    td.wrap { (clean(&one.subject.value, 120)) }
                                    td.n { (amount(one.events.0, 0.0)) }
                                    td { (ago(one.first_seen.0.millis(), self.now)) }
                                    td { (ago(one.last_seen.0.millis(), self.now)) }
                                }
                            }
                        }
                    }
                    @if beyond > 0 { p.dim { "and " (count(beyond)) " more" } }
                }
            }
        }
    }

    fn decisions(&self) -> Markup {
        let decisions = &self.case.decisions;
        html! {
            h3 { "Throttling" }
            @if decisions.is_empty() { p.dim { "Nobody was throttled." } } @else {
                ul.plain { @for decision in decisions.iter().rev().take(DECISIONS_MAX) { (self.decision(decision)) } }
                @if decisions.len() > DECISIONS_MAX { p.dim { "and " (count((decisions.len() - DECISIONS_MAX) as u64)) " more" } }
                @if decisions.iter().all(|decision| decision.key.mode == Mode::DryRun) {
                    p.dim { "A dry run stops nobody. Bouncers are told with " code { "throttle.mode: enforce" } "." }
                }
            }
        }
    }

    fn decision(&self, decision: &Decision) -> Markup {
        let dry = decision.key.mode == Mode::DryRun;
        html! {
            li {
                @if dry { span.badge.dry { "dry run" } " would " } @else { span.badge.live { "enforced" } " " }
                (decision.key.action.name()) " " b { (decision.value()) } " "
                span.dim {
                    @match decision.deleted {
                        Some(at) => { "taken back " (ago(at.millis(), self.now)) }
                        None if decision.active(self.now) => { "for " (span(decision.expires.since(self.now))) " more" }
                        None => { "ended " (ago(decision.expires.millis(), self.now)) }
                    }
                }
            }
        }
    }

    fn notifications(&self) -> Markup {
        let attempts = &self.case.deliveries;
        html! {
            h3 { "Notifications" }
            @if self.case.rows.is_empty() { p.dim { "No receiver hears of it." } } @else {
                ul.plain { @for row in &self.case.rows { (self.row(row)) } }
            }
            @if !attempts.is_empty() {
                details {
                    summary { (plural(attempts.len() as u64, "attempt")) }
                    ul.plain { @for attempt in attempts.iter().rev().take(ATTEMPTS_MAX) { (self.attempt(attempt)) } }
                }
            }
        }
    }

    fn row(&self, row: &Row) -> Markup {
        let (class, fate) = match &row.fate {
            Fate::Delivered => ("live", "delivered"),
            Fate::InDigest(_) => ("live", "told in a digest"),
            Fate::Pending => ("wait", "waiting"),
            Fate::Held(_) => ("wait", "waiting for a digest"),
            Fate::Dead => ("failed", "failed for good"),
            Fate::Suppressed(why) => ("dry", why.name()),
        };
        html! {
            li {
                span class={ "badge " (class) } { (fate.replace('_', " ")) } " "
                b { (clean(&row.key.receiver, 80)) } span.dim { " " (clean(&row.key.integration, 80)) }
                @if let Some(hushed) = self.case.quiet.toward(&row.key.receiver) {
                    span.dim { ": " (clean(&hushed.said(), 500)) }
                }
                @if let Some(last) = self.last_told(row) {
                    span.dim { ", told \"" (clean(&last.action, 40)) "\" " (ago(last.at.millis(), self.now)) }
                }
                @if let Some(action) = row.next_action() {
                    "; still to tell: " (action.name())
                    @if row.attempts > 0 { ", after " (plural(row.attempts.into(), "failed try").replace("trys", "tries")) }
                    ", next " (ago(row.due.millis(), self.now))
                }
                @if let Some(error) = &row.last_error { br; span.dim { "last error: " (clean(error, 300)) } }
            }
        }
    }

    /// What its receiver accepted last.
    fn last_told(&self, row: &Row) -> Option<&DeliveryFacts> {
        let own = |attempt: &&DeliveryFacts| {
            attempt.receiver == row.key.receiver && attempt.integration == row.key.integration
        };
        self.case.deliveries.iter().rev().filter(own).find(|attempt| attempt.outcome == "accepted")
    }

    fn attempt(&self, attempt: &DeliveryFacts) -> Markup {
        html! {
            li {
                (moment(attempt.at.millis())) " " (clean(&attempt.receiver, 80)) " " (clean(&attempt.integration, 80))
                ": " (clean(&attempt.action, 40)) " " b { (clean(&attempt.outcome, 40)) }
                @if let Some(said) = &attempt.said { span.dim { " " (clean(said, 300)) } }
            }
        }
    }

    fn timeline(&self) -> Markup {
        html! {
            ol.timeline {
                @for entry in self.case.dossier.timeline.iter().rev() {
                    li {
                        (moment(entry.at.millis())) " " b { (clean(&entry.what, 60)) }
                        span.dim { " " (clean(&entry.actor, 64)) }
                        @if !entry.text.is_empty() { div.said { (clean(&entry.text, 2000)) } }
                    }
                }
            }
        }
    }

    fn samples(&self) -> Markup {
        let samples = distinct(&self.case.dossier.samples);
        html! {
            @if !samples.is_empty() {
                section.card.late {
                    h2 { "Samples" }
                    ul.samples {
                        @for (sample, alike) in samples.iter().take(SAMPLES_MAX) {
                            li {
                                span.dim { (moment(sample.time.millis())) }
                                @if let Some(client) = sample.client { " " b { (client) } }
                                code { (sample.text.clean()) }
                                @if !sample.by.clean().is_empty() { code.dim { (sample.by.clean()) } }
                                @if *alike > 0 { span.dim { "and " (alike) " alike" } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn terminal(&self) -> Markup {
        let (id, base) = (&self.incident().id, self.base);
        let commands = format!(
            "beaconfire incidents show {id} --url {base}\nbeaconfire incidents ack {id} --url {base}\n\
             beaconfire incidents resolve {id} --url {base}\n\
             curl -X POST -H \"Authorization: Bearer $TOKEN\" {base}/api/v1/incidents/{id}/acknowledge"
        );
        html! { section.card { h2 { "From a terminal" } pre { (commands) } p.dim { "Incident " code { (id) } } } }
    }
}

/// Samples that do not read alike, each with how many more there are of it: a flood's ten lines are often one.
fn distinct(samples: &[SampleRow]) -> Vec<(&SampleRow, usize)> {
    let mut distinct: Vec<(&SampleRow, usize)> = Vec::new();
    for sample in samples {
        let same = |(held, _): &&mut (&SampleRow, usize)| {
            held.client == sample.client && held.text == sample.text && held.by == sample.by
        };
        match distinct.iter_mut().find(same) {
            Some((_, alike)) => *alike += 1,
            None => distinct.push((sample, 0)),
        }
    }
    distinct
}

/// `(1.4×)`: how far beyond the line, where that means anything.
fn times(peak: &RulePeak) -> Markup {
    let times = peak.observed / peak.threshold;
    html! { @if times.is_finite() && times >= 1.05 { span.dim { " " (format!("{times:.1}×")) } } }
}

/// Only these are links: nothing that runs when it is clicked.
fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
