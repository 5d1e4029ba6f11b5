//! `templates`: read here, so that a slip in one has its line and a caret, and tried on an incident of each kind, so that
//! one that would fail at night is known by day.

use std::collections::BTreeMap;
use std::sync::Arc;

use beaconfire_model::Kind;
use beaconfire_notify::{Example, Site, Slot, TemplateFault, Templates};
use beaconfire_view::Privacy;

use crate::complain::Complaint;
use crate::de::At;
use crate::judge::Judge;
use crate::raw::{self, Raw};

/// The templates, and how many of them fail on an example. Those are only warned of: their messages are told in their
/// built-in form.
pub(crate) fn templates(judge: &mut Judge<'_>, raw: &Raw) -> (Arc<Templates>, usize) {
    let mut held = Templates::default();
    let mut broken = 0;
    for (slot, source) in written(&raw.templates) {
        if let Err(fault) = held.set(slot, source) {
            let said = format!("`templates.{}` is no template: {fault}", slot.name());
            complain(judge, Complaint::error(said), source, &fault);
        } else if let Some((kinds, fault)) = tried(&held, slot) {
            broken += 1;
            let said = format!("`templates.{}` fails on an example of {kinds}: {fault}", slot.name());
            complain(judge, Complaint::warning(said), source, &fault);
        }
    }
    (Arc::new(held), broken)
}

/// What stands there, by its place in messages.
fn written(raw: &raw::Templates) -> Vec<(Slot, &At<String>)> {
    let mut all = Vec::new();
    if let Some(mail) = &raw.email {
        all.extend([
            (Slot::EmailSubject, &mail.subject),
            (Slot::EmailText, &mail.text),
            (Slot::EmailHtml, &mail.html),
        ]);
    }
    if let Some(pager) = &raw.pagerduty {
        all.push((Slot::PagerDutySummary, &pager.summary));
    }
    for (chat, title, text) in [
        (&raw.slack, Slot::SlackTitle, Slot::SlackText),
        (&raw.msteams, Slot::TeamsTitle, Slot::TeamsText),
        (&raw.discord, Slot::DiscordTitle, Slot::DiscordText),
        (&raw.telegram, Slot::TelegramTitle, Slot::TelegramText),
    ] {
        if let Some(chat) = chat {
            all.extend([(title, &chat.title), (text, &chat.text)]);
        }
    }
    all.into_iter().filter_map(|(slot, source)| Some((slot, source.as_ref()?))).collect()
}

/// The kinds on whose examples a template fails in the way that most of them do, and that way.
fn tried(held: &Templates, slot: Slot) -> Option<(String, TemplateFault)> {
    let site = Site {
        installation: "example",
        external_url: "https://beaconfire.example.com",
        privacy: Privacy::Redact,
        templates: Some(held),
    };
    let mut failed: BTreeMap<String, (Vec<&str>, TemplateFault)> = BTreeMap::new();
    for kind in Kind::ALL {
        for example in [Example::of(kind), Example::of(kind).resolved()] {
            if let Err(fault) = held.try_on(slot, &example.message(site)) {
                let (kinds, _) = failed.entry(fault.to_string()).or_insert((Vec::new(), fault));
                if !kinds.contains(&kind.name()) {
                    kinds.push(kind.name());
                }
            }
        }
    }
    let (kinds, fault) = failed.into_values().max_by_key(|(kinds, _)| kinds.len())?;
    let kinds = if kinds.len() == Kind::ALL.len() { "every kind".to_owned() } else { kinds.join(", ") };
    Some((kinds, fault))
}

/// Complains at the very place in a template that is to blame.
fn complain(judge: &mut Judge<'_>, complaint: Complaint, source: &At<String>, fault: &TemplateFault) {
    let place = match &fault.range {
        Some(range) => judge.origins.within(source.place, source, range.clone()),
        None => source.place,
    };
    judge.push(complaint, place, "deploy/beaconfire.example.yaml lists what templates see");
}
