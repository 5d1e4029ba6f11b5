//! `templates`: what is taken, what is refused with its line and a caret, what is doubted.

use beaconfire_notify::Slot;

use super::*;

#[test]
fn each_channel_has_its_parts() {
    let config = minimal_and(
        "templates:\n  email: {subject: a, text: b, html: c}\n  slack: {title: d, text: e}\n  pagerduty: {summary: f}\n  \
         msteams: {title: g, text: h}\n  discord: {title: i, text: j}\n  telegram: {title: k, text: l}\n",
    )
    .config();
    assert_eq!(config.templates.slots().collect::<Vec<_>>(), Slot::ALL);
    assert_eq!(config.templates_broken, 0, "{:?}", config.warnings);
    assert!(config.redacted().contains("summary: f"), "{}", config.redacted());
    // What has none, and what is pasted from an Alertmanager.
    for yaml in ["templates: {}\n", "templates:\n", "", "templates: ['/etc/alertmanager/*.tmpl']\n"] {
        let config = minimal_and(yaml).config();
        assert_eq!(config.templates.slots().count(), 0, "{yaml}");
    }
    let said = minimal_and("templates: ['/etc/alertmanager/*.tmpl']\n").said();
    assert!(said.contains("`templates` gives way to ours"), "{said}");
}

#[test]
fn a_part_that_there_is_not_is_named() {
    for (yaml, said) in [
        ("{slack: {tittle: x}}", "did you mean `title`?"),
        ("{slak: {title: x}}", "did you mean `slack`?"),
        ("{webhook: {text: x}}", "known here: email, slack, pagerduty, msteams, discord, telegram"),
        ("{pagerduty: {summary: [x]}}", "expected"),
    ] {
        let found = minimal_and(&format!("templates: {yaml}\n")).said();
        assert!(found.contains(said) && found.contains("error: "), "{yaml}: {found}");
    }
}

/// The complaint about this section, without what all share.
#[track_caller]
fn complaint(yaml: &str) -> String {
    let desk = minimal_and(yaml);
    let all = desk.load().map_or_else(|complaints| complaints, |config| config.warnings);
    let ours: Vec<Complaint> = all.into_iter().filter(|held| held.what.contains("templates.")).collect();
    assert_eq!(ours.len(), 1, "{}", desk.show(&ours));
    desk.show(&ours)
}

#[test]
fn a_slip_is_shown_where_it_stands() {
    for (yaml, said) in [
        (
            "templates:\n  slack:\n    text: |\n      *{{ standing }}*\n      {{ title }}\n      {% if news }}\n",
            "error: `templates.slack.text` is no template: line 3: unexpected `}`, expected end of block\n  \
             --> beaconfire.yaml:14:18\n   |\n14 |       {% if news }}\n   |                  ^\n",
        ),
        (
            "templates: {pagerduty: {summary: \"{{ title|uper }}\"}}\n",
            "warning: `templates.pagerduty.summary` fails on an example of every kind: line 1: filter uper is unknown\n \
             --> beaconfire.yaml:9:44\n  |\n9 | templates: {pagerduty: {summary: \"{{ title|uper }}\"}}\n  \
             |                                            ^^^^\n",
        ),
        // Folded, so that the template's lines are not the file's: the place of the whole.
        (
            "templates:\n  slack:\n    text: >-\n      {{ title }}\n      {{ nothing }}\n",
            "warning: `templates.slack.text` fails on an example of every kind: line 1: a name that is not there; \
             `|default(…)` stands in for one\n  --> beaconfire.yaml:12:7\n",
        ),
    ] {
        let found = complaint(yaml);
        assert!(found.starts_with(said), "{found}");
        assert!(found.ends_with("= deploy/beaconfire.example.yaml lists what templates see"), "{found}");
    }
}

#[test]
fn what_fails_for_some_is_doubted_and_does_not_keep_the_service_from_starting() {
    let desk = minimal_and("templates: {slack: {title: '{{ labels.service }}', text: '{{ kind }}'}}\n");
    let config = desk.config();
    assert_eq!(config.templates_broken, 1);
    let said = desk.show(&config.warnings);
    assert!(said.contains("`templates.slack.title` fails on an example of mining, "), "{said}");
    assert!(!said.contains("of flood") && !said.contains("slack.text"), "{said}");
}
