//! What somebody can write on the page of an incident: a note, a silence, whose it is. One form at a time, so that the
//! page stays short for somebody who only wants to take it.

use beaconfire_incident::Incident;
use beaconfire_outbox::alike;
use maud::{Markup, html};

use super::words::clean;

/// Which form is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Note,
    Silence,
    Assign,
}

impl Form {
    pub(super) const ALL: [Self; 3] = [Self::Note, Self::Silence, Self::Assign];

    /// The parameter that opens it, and its place on the page.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Silence => "silence",
            Self::Assign => "assign",
        }
    }

    /// What the button says that opens it.
    pub(super) const fn says(self) -> &'static str {
        match self {
            Self::Note => "Add a note",
            Self::Silence => "Silence",
            Self::Assign => "Assign",
        }
    }

    pub(super) fn render(self, incident: &Incident) -> Markup {
        let post = |action: &str| format!("/incidents/{}/{action}", incident.id);
        let buttons = |says: &str| {
            html! {
                div.actions {
                    button.primary type="submit" { (says) }
                    a.button href={ "/incidents/" (incident.id) } { "Cancel" }
                }
            }
        };
        match self {
            Self::Note => html! {
                form.note #note method="post" action=(post("notes")) {
                    label for="text" { "Note" }
                    textarea #text name="text" rows="3" maxlength="2000" required autofocus {}
                    (buttons("Add the note"))
                }
            },
            Self::Silence => html! {
                form.note #silence method="post" action=(post("silence")) {
                    p {
                        "Nobody is told of what has "
                        @for (at, matcher) in alike(incident).0.iter().enumerate() {
                            @if at > 0 { " and " }
                            code { (clean(&matcher.to_string(), 300)) }
                        }
                        ", whoever it is about. Who was told already hears when it is over."
                    }
                    label for="hours" { "For" }
                    select #hours name="hours" {
                        @for hours in HOURS { option value=(hours) { (hours) " h" } }
                    }
                    label for="comment" { "Why" }
                    input #comment name="comment" maxlength="1000" autofocus;
                    (buttons("Silence it"))
                }
            },
            Self::Assign => html! {
                form.note #assign method="post" action=(post("assign")) {
                    label for="to" { "Whose it is; empty for nobody's" }
                    input #to name="to" maxlength="128" value=(clean(incident.assignee.as_deref().unwrap_or(""), 128)) autofocus;
                    (buttons("Assign it"))
                }
            },
        }
    }
}

/// For how long an incident can be silenced from its page; the API takes any time.
pub(super) const HOURS: [u64; 4] = [1, 4, 12, 24];
