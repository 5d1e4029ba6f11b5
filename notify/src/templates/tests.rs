//! What the operator writes is told; what fails costs the looks and not the page.

use beaconfire_model::Kind;
use beaconfire_outbox::{Action, IntegrationKind, Outcome};
use lettre::message::Mailbox;

use super::*;
use crate::render::{Facts, discord, email, pagerduty, slack, teams, telegram};
use crate::tests::fixture::{Case, SITE};
use crate::tests::server::{Act, Server};
use crate::{Example, Message, Site};

pub(super) fn templates(sources: &[(Slot, &str)]) -> Templates {
    let mut held = Templates::default();
    for (slot, source) in sources {
        held.set(*slot, source).unwrap_or_else(|fault| panic!("{source}: {fault}"));
    }
    held
}

pub(super) fn dressed<'a>(message: Message<'a>, templates: &'a Templates) -> Message<'a> {
    Message { site: Site { templates: Some(templates), ..SITE }, ..message }
}

/// What this template makes of the case.
#[track_caller]
pub(super) fn made(slot: Slot, source: &str, case: &Case) -> String {
    tried(slot, source, case).unwrap_or_else(|fault| panic!("{source}: {fault}"))
}

pub(super) fn tried(slot: Slot, source: &str, case: &Case) -> Result<String, TemplateFault> {
    let held = templates(&[(slot, source)]);
    held.try_on(slot, &dressed(case.message(Action::Open), &held))
}

/// Everything that a template has made, in every channel's form.
pub(super) fn everywhere(sources: &[(Slot, &str)], message: Message<'_>) -> [(&'static str, String); 6] {
    let held = templates(sources);
    let message = dressed(message, &held);
    let facts = Facts::of(&message);
    let own = |kind| {
        let own = Own::of(&message, kind);
        assert_eq!(own.fault, None);
        own
    };
    let from: Mailbox = "beaconfire@example.com".parse().unwrap();
    let rendered = slack::message(&facts, &own(IntegrationKind::Slack), None);
    [
        ("email", email::shown(&message, &own(IntegrationKind::Email), &from, std::slice::from_ref(&from))),
        ("slack", format!("{} {}", rendered.text, rendered.blocks)),
        ("pagerduty", pagerduty::event(&message, &own(IntegrationKind::PagerDuty)).to_string()),
        ("msteams", teams::message(&facts, &own(IntegrationKind::Teams)).to_string()),
        ("discord", discord::message(&facts, &own(IntegrationKind::Discord)).to_string()),
        ("telegram", telegram::text(&facts, &own(IntegrationKind::Telegram))),
    ]
}

#[test]
fn each_part_of_each_channel_can_be_replaced() {
    let sources: Vec<(Slot, String)> = Slot::ALL
        .map(|slot| (slot, format!("({}) {{{{ severity }}}} {{{{ target.name }}}}", slot.name())))
        .into();
    let sources: Vec<(Slot, &str)> = sources.iter().map(|(slot, source)| (*slot, source.as_str())).collect();
    let case = Case::open();
    let told = everywhere(&sources, case.message(Action::Open));
    for slot in Slot::ALL {
        let (_, shown) = told.iter().find(|(channel, _)| slot.name().starts_with(channel)).unwrap();
        assert!(shown.contains(&format!("({}) critical shop", slot.name())), "{}: {shown}", slot.name());
        // What was replaced is gone, and what leads on is not.
        assert!(!shown.contains("Since 2026") || slot.name().starts_with("pagerduty"), "{shown}");
    }
    for (channel, shown) in &told {
        let leads_on = *channel == "email" || shown.contains("https://beacon.example.com/incidents/0123");
        assert!(leads_on, "{channel}: {shown}");
    }
}

#[test]
fn a_template_sees_what_the_api_says() {
    let case = Case::open();
    for (source, text) in [
        (
            "{{ kind }} {{ severity }} {{ status }} {{ target.kind }}/{{ target.name }}",
            "flood critical open service/shop",
        ),
        (
            "{{ id }} {{ episode }} {{ action }} {{ installation }}",
            "0123456789abcdef0123456789abcdef 1 open eu-1",
        ),
        ("{{ started_at }} {{ ended_at }}", "2026-01-02T03:04:05Z"),
        ("{{ labels.alertname }} {{ labels.team|default('nobody') }}", "requests-per-client nobody"),
        ("{{ annotations.summary }} {{ runbook_url }}", "The shop. https://wiki.example.com/shop?a=1&b=2"),
        (
            "{{ participants_total }} {{ participants[0].value }} {{ participants|length }}",
            "1234 203.0.113.7 7",
        ),
        (
            "{% for one in signals %}{{ one.rule }}={{ one.observed }}/{{ one.threshold }}{% endfor %}",
            "requests-per-client=4120/600",
        ),
        (
            "{{ standing }}: {{ numbers[0] }}",
            "CRITICAL: requests-per-client: 4,120 in 60 s, limit 600, by 203.0.113.7",
        ),
        (
            "{{ decisions[0].value }} {{ timeline[0].what }} {{ samples[0].text }}",
            "203.0.113.7 opened GET /cart?… 200",
        ),
        ("{{ console_url }}", "https://beacon.example.com/incidents/0123456789abcdef0123456789abcdef"),
        ("{{ techniques|join(', ') }}{% if picture %} seen{% endif %}", "T1499.002"),
        ("{% if acknowledged %}taken{% else %}{{ title|truncate(10) }}{% endif %}", ""),
    ] {
        let case = if text.is_empty() { Case::open().acknowledged("ana") } else { Case::open() };
        let expected = if text.is_empty() { "taken" } else { text };
        assert_eq!(made(Slot::EmailText, source, &case), expected, "{source}");
    }
    assert_eq!(made(Slot::EmailText, "{{ title }}", &case), Facts::of(&case.message(Action::Open)).title);
}

#[tokio::test]
async fn a_preview_sends_nothing() {
    let server = Server::start(vec![Act::Answer(200, "", "ok".into())]).await;
    let hook = beaconfire_model::Secret::new(format!("{}T/B/secret", server.url));
    let channel = crate::Channel::build(&crate::Knobs::Slack(crate::SlackKnobs::webhook(hook))).unwrap();
    let held = templates(&[(Slot::SlackText, "own words")]);
    let preview = channel.preview(&dressed(Case::open().message(Action::Open), &held)).await;
    assert!(preview.sent.starts_with("POST http://127.0.0.1:") && preview.sent.contains("own words"));
    assert!(!preview.sent.contains("secret"), "{}", preview.sent);
    assert_eq!((server.got().len(), preview.fault), (0, None));
}

#[test]
fn the_slip_is_shown_where_it_stands() {
    let mut held = Templates::default();
    let fault = held.set(Slot::SlackText, "a\n{% if severity %}\nb {{ kind }").unwrap_err();
    assert_eq!(fault.line, Some(3), "{fault:?}");
    assert!(fault.range.is_some() && !fault.said.is_empty(), "{fault:?}");
    let fault = tried(Slot::SlackText, "a\nb {{ svrity }}", &Case::open()).unwrap_err();
    assert_eq!((fault.line, fault.range.clone()), (Some(2), Some(7..13)), "{}", fault.said);
    assert!(fault.said.contains("not there"), "{fault}");
    let fault = held.set(Slot::SlackText, &"x".repeat(SOURCE_MAX + 1)).unwrap_err();
    assert!(fault.said.contains("64 KiB"), "{fault}");
}

/// The names that `deploy/beaconfire.example.yaml` promises, each in place and with a value of the kind that it says.
#[test]
fn what_is_documented_is_there() {
    let example = include_str!("../../../deploy/beaconfire.example.yaml");
    let (_, listed) = example.split_once("Templates see of the API's JSON:\n").unwrap();
    let (listed, _) = listed.split_once("and as built-in messages say it").unwrap();
    let listed = listed.replace("(50 at most)", "");
    let (mut names, mut held) = (Vec::new(), String::new());
    for word in listed.split_whitespace().filter(|word| *word != "#") {
        // `.at` goes on where the name before it began.
        match word.strip_prefix('.') {
            Some(rest) => names.push(format!("{held}{rest}")),
            None => {
                held = word.rsplit_once('.').map(|(start, _)| format!("{start}.")).unwrap_or_default();
                names.push(word.to_owned());
            }
        }
    }
    let more = [
        "standing",
        "stem",
        "course",
        "news",
        "numbers[]",
        "who",
        "via",
        "action",
        "installation",
        "picture",
    ];
    names.extend(more.map(str::to_owned));
    assert!(names.len() > 50, "only {names:?}");
    let case = Case::open().acknowledged("ana");
    for name in names {
        let name = name.replace("[]", "[0]");
        let source = format!("({{{{ {name} }}}})");
        let text = made(Slot::EmailText, &source, &case);
        let empty = ["ended_at", "resolved_at", "resolved_by", "news", "via", "picture"];
        assert_eq!(text == "()", empty.contains(&name.as_str()), "{name}: {text}");
    }
}

/// Each in its way takes no end, or all there is.
#[test]
fn a_template_is_bounded() {
    for (source, said) in [
        ("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", "steps"),
        ("{{ 'x' * 99999999 }}", "bytes came out"),
        ("{{ 'x' * 999999999999 }}", "too large"),
        ("{% for a in range(999999999) %}{% endfor %}", "range"),
        ("{{ kind.nothing.there }}", "not there"),
        ("{{ nothing }}", "not there"),
        ("{{ kind|nothing }}", "unknown"),
        ("{% if not kind %}x{% endif %} \n", "nothing came out"),
    ] {
        let fault = tried(Slot::EmailText, source, &Case::open()).unwrap_err();
        assert!(fault.said.contains(said), "{source}: {fault}");
    }
}

#[test]
fn a_link_stays_one() {
    let case = Case::open();
    for (slot, source, text) in [
        (
            Slot::EmailHtml,
            "<a href=\"{{ runbook_url }}\">",
            "<a href=\"https://wiki.example.com/shop?a=1&amp;b=2\">",
        ),
        (
            Slot::SlackText,
            "<{{ runbook_url }}|Runbook>",
            "<https://wiki.example.com/shop?a=1&amp;b=2|Runbook>",
        ),
        (
            Slot::DiscordText,
            "[Runbook]({{ runbook_url }})",
            "[Runbook](https://wiki.example.com/shop?a=1&b=2)",
        ),
        (
            Slot::TelegramText,
            "<a href=\"{{ runbook_url }}\">x</a>",
            "<a href=\"https://wiki.example.com/shop?a=1&amp;b=2\">x</a>",
        ),
    ] {
        assert_eq!(made(slot, source, &case), text);
    }
}

/// The engine itself failing is staged by a function of ours that panics.
#[tokio::test]
async fn template_panic_falls_back_to_builtin_and_counts() {
    let mut held = templates(&[(Slot::SlackTitle, "own title"), (Slot::SlackText, "{{ boom() }}")]);
    held.machine.add_function("boom", || -> String { panic!("out of order") });
    let case = Case::open();
    let message = dressed(case.message(Action::Open), &held);
    let own = Own::of(&message, IntegrationKind::Slack);
    assert_eq!(own.fault.as_deref(), Some("template failed: slack.text, it panicked"));
    assert_eq!((&own.title, &own.text), (&None, &None), "half of it would be told as if it were all");

    let server = Server::start(vec![Act::Answer(200, "", "ok".into())]).await;
    let knobs =
        crate::Knobs::Slack(crate::SlackKnobs::webhook(beaconfire_model::Secret::new(server.url.as_str())));
    let channel = crate::Channel::build(&knobs).unwrap();
    let outcome = channel.send(&message).await;
    let Outcome::Accepted { said: Some(said), .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!(&**said, "template failed: slack.text, it panicked");
    assert!(server.got()[0].body.contains("Since 2026-01-02"), "{}", server.got()[0].body);
    assert_eq!(held.take_faults(IntegrationKind::Slack), 1);
    assert_eq!(held.take_faults(IntegrationKind::Slack), 0, "each is counted once");
}

#[test]
fn what_is_too_long_is_cut_or_told_in_the_built_in_form() {
    let case = Case::open();
    let long = "{% for n in range(300) %}{{ title }}\n{% endfor %}";
    let all: Vec<(Slot, &str)> = Slot::ALL
        .iter()
        .filter(|slot| slot.kind() != IntegrationKind::Telegram)
        .map(|slot| (*slot, long))
        .collect();
    let told = everywhere(&all, case.message(Action::Open));
    let size = |channel: &str| told.iter().find(|(name, _)| *name == channel).unwrap().1.len();
    assert!(size("slack") < 12_000 + 3_800, "{}", size("slack"));
    assert!(size("msteams") < 24 * 1024 && size("discord") < 8_000 && size("pagerduty") < 8_000);
    let fault = tried(Slot::TelegramText, long, &case).unwrap_err();
    assert!(fault.said.contains("more than 3000 bytes"), "half an element would be left: {fault}");
}

#[test]
fn an_acknowledgement_of_pagerduty_needs_no_words() {
    let held = templates(&[(Slot::PagerDutySummary, "{{ nothing }}")]);
    let case = Case::open().acknowledged("ana").told("key");
    let message = dressed(case.message(Action::Acknowledge), &held);
    assert_eq!(Own::of(&message, IntegrationKind::PagerDuty).fault, None);
    let message = dressed(case.message(Action::Open), &held);
    assert!(Own::of(&message, IntegrationKind::PagerDuty).fault.is_some());
}

#[test]
fn only_incidents_are_told_in_ones_own_words() {
    let held = templates(&[(Slot::PagerDutySummary, "own")]);
    let message = dressed(Message::test(SITE, "t-1", crate::tests::fixture::wall(0)), &held);
    let own = Own::of(&message, IntegrationKind::PagerDuty);
    assert_eq!(own, Own::default());
}

#[test]
fn there_is_an_example_of_each_kind_and_it_is_always_the_same() {
    for kind in Kind::ALL {
        let example = Example::of(kind);
        let message = example.message(SITE);
        let facts = Facts::of(&message);
        assert!(!facts.title.is_empty() && facts.severity.is_some(), "{facts:?}");
        assert_eq!(facts, Facts::of(&Example::of(kind).message(SITE)));
        let over = Example::of(kind).resolved();
        assert_eq!(Facts::of(&over.message(SITE)).standing, "RESOLVED");
    }
}
