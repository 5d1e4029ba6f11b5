//! What each channel shows, whole, and that no stranger's text gets out of its place.

use std::collections::BTreeMap;

use beaconfire_model::{Subject, SubjectKind, Untrusted};
use beaconfire_outbox::Action;
use beaconfire_view::Privacy;
use lettre::message::Mailbox;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Facts, email, pagerduty, slack, webhook};
use crate::templates::Own;
use crate::tests::fixture::{Case, SITE, wall};
use crate::{Message, Site};

fn mailed(message: &Message<'_>) -> String {
    let from: Mailbox = "Beaconfire <beaconfire@example.com>".parse().unwrap();
    let to: Mailbox = "oncall@example.com".parse().unwrap();
    String::from_utf8(email::mail(message, &Own::default(), &from, &[to]).unwrap()).unwrap()
}

/// A mail with its random boundary named and its encodings undone.
fn readable(mail: &str) -> String {
    let boundary = mail.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("none");
    let mut bytes = Vec::new();
    let joined = mail.replace("=\r\n", "").replace("\r\n", "\n").replace(boundary, "BOUNDARY");
    let mut rest = joined.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'=' => {
                let ahead: String = rest.clone().take(2).map(char::from).collect();
                match u8::from_str_radix(&ahead, 16) {
                    Ok(decoded) if ahead.bytes().all(|digit| !digit.is_ascii_lowercase()) => {
                        bytes.push(decoded);
                        rest.by_ref().nth(1);
                    }
                    _ => bytes.push(b'='),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap().replace(" \n", "␠\n")
}

/// Slack's blocks as people read them.
fn spoken(rendered: &slack::Rendered) -> String {
    let mut out = format!("text: {}\nreply: {}\n", rendered.text, rendered.reply);
    for block in rendered.blocks.as_array().unwrap() {
        let text = block["text"]["text"].as_str().or_else(|| block["elements"][0]["text"].as_str());
        out.push_str(&format!("--- {}\n{}\n", block["type"].as_str().unwrap(), text.unwrap()));
    }
    out
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn an_opening() {
    let case = Case::open();
    let message = case.message(Action::Open);
    let facts = Facts::of(&message);
    insta::assert_snapshot!("open_line", facts.line());
    insta::assert_snapshot!("open_email", readable(&mailed(&message)));
    insta::assert_snapshot!("open_slack", spoken(&slack::message(&facts, &Own::default(), None)));
    insta::assert_snapshot!("open_pagerduty", pretty(&pagerduty::event(&message, &Own::default())));
    insta::assert_snapshot!("open_webhook", pretty(&serde_json::from_str(&webhook::body(&message)).unwrap()));
}

#[test]
fn worse_news_says_what_is_new() {
    let case = Case::open().told("C1:1.2");
    let message = case.message(Action::Open);
    insta::assert_snapshot!(
        "worse_slack",
        spoken(&slack::message(&Facts::of(&message), &Own::default(), None))
    );
    let text = readable(&mailed(&message));
    assert!(text.contains("Now: severity rose from warning to critical"), "{text}");
    assert!(webhook::body(&message).contains(r#""type":"incident.updated""#));
}

#[test]
fn a_resolve() {
    let case = Case::open().resolved().told("<root@example.com>");
    let message = case.message(Action::Resolve);
    insta::assert_snapshot!("resolve_email", readable(&mailed(&message)));
    insta::assert_snapshot!(
        "resolve_slack",
        spoken(&slack::message(&Facts::of(&message), &Own::default(), None))
    );
    insta::assert_snapshot!("resolve_pagerduty", pretty(&pagerduty::event(&message, &Own::default())));
    assert!(webhook::body(&message).contains(r#""type":"incident.resolved""#));
}

#[test]
fn an_acknowledgement_names_who_is_on_it() {
    let case = Case::open().acknowledged("ana <root>").told("C1:1.2");
    let message = case.message(Action::Acknowledge);
    assert_eq!(
        Facts::of(&message).line().split(':').next().unwrap(),
        "[ACKNOWLEDGED by ana <root>] Request flood on shop"
    );
    let rendered = slack::message(&Facts::of(&message), &Own::default(), None);
    assert!(rendered.text.starts_with("[ACKNOWLEDGED by ana &lt;root&gt;]"), "{}", rendered.text);
    assert!(webhook::body(&message).contains(r#""type":"incident.acknowledged""#));
}

#[test]
fn buttons_ask_for_what_may_still_be_done() {
    let offered = |case: &Case, action, with: bool| {
        let message = case.message(action);
        let id = case.dossier.incident.id.as_str();
        let rendered = slack::message(&Facts::of(&message), &Own::default(), with.then_some(id));
        let blocks = rendered.blocks.as_array().unwrap().clone();
        let buttons = blocks.iter().filter(|block| block["type"] == "actions");
        let buttons: Vec<Value> =
            buttons.flat_map(|block| block["elements"].as_array().unwrap().clone()).collect();
        assert!(buttons.iter().all(|button| button["type"] == "button" && button["value"] == id));
        buttons.iter().map(|button| button["action_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let open = Case::open();
    assert_eq!(offered(&open, Action::Open, true), ["acknowledge", "resolve", "silence"]);
    assert!(offered(&open, Action::Open, false).is_empty());
    assert_eq!(offered(&Case::open().acknowledged("ana"), Action::Acknowledge, true), ["resolve", "silence"]);
    let silenced = Case { silenced: Some("by ann".into()), ..Case::open() };
    assert_eq!(offered(&silenced, Action::Update, true), ["acknowledge", "resolve"]);
    assert!(offered(&Case::open().resolved(), Action::Resolve, true).is_empty());
}

#[test]
fn a_message_says_who_silenced_it_until_when_and_whose_it_is() {
    let mut case = Case { silenced: Some("by ann <x> until 2026-01-02T03:04:05Z".into()), ..Case::open() };
    case.dossier.incident.assignee = Some("zoe & co".into());
    let rendered =
        slack::message(&Facts::of(&case.message(Action::Update)), &Own::default(), None).blocks.to_string();
    assert!(rendered.contains("Silenced by ann &lt;x&gt; until 2026-01-02T03:04:05Z."), "{rendered}");
    assert!(rendered.contains("Given to zoe &amp; co."), "{rendered}");
    let plain = slack::message(&Facts::of(&Case::open().message(Action::Open)), &Own::default(), None)
        .blocks
        .to_string();
    assert!(!plain.contains("Silenced") && !plain.contains("Given to"), "{plain}");
}

#[test]
fn a_test_and_the_store() {
    let test = Message::test(SITE, "t-1", wall(0));
    insta::assert_snapshot!("test_email", readable(&mailed(&test)));
    insta::assert_snapshot!("test_slack", spoken(&slack::message(&Facts::of(&test), &Own::default(), None)));
    insta::assert_snapshot!("test_webhook", webhook::body(&test));
    let down = Message::store_down(SITE, Action::Open, "s-1", wall(0), "database is locked", wall(90));
    insta::assert_snapshot!("store_email", readable(&mailed(&down)));
    insta::assert_snapshot!("store_pagerduty", pretty(&pagerduty::event(&down, &Own::default())));
    assert!(webhook::body(&down).starts_with(r#"{"type":"store.down""#));
}

#[test]
fn the_store_going_down_twice_is_two_threads() {
    let id = |action, since| {
        let mail = mailed(&Message::store_down(SITE, action, "s", wall(since), "x", wall(since + 60)));
        let header = |name: &str| {
            mail.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned).unwrap_or_default()
        };
        (header("Message-ID: "), header("In-Reply-To: "))
    };
    let (first, second) = (id(Action::Open, 0), id(Action::Open, 600));
    let over = id(Action::Resolve, 600);
    assert_ne!(first.0, second.0);
    assert_ne!(over.0, second.0);
    assert_eq!(over.1, second.0);
}

#[test]
fn a_stored_handle_that_is_no_message_id_does_not_get_into_a_header() {
    let case = Case::open().told("<a@b>\r\nBcc: x@example.com");
    let mail = mailed(&case.message(Action::Update));
    assert!(!mail.contains("Bcc"), "{mail}");
    assert!(mail.contains("In-Reply-To: <eu-1."), "{mail}");
}

#[test]
fn queries_leave_only_where_they_may() {
    let mut case = Case::open();
    case.dossier.participants[0].subject =
        Subject::new(SubjectKind::UserAgent, "bot (https://bot.example/?key=hidden)");
    let shown = |privacy| {
        let message = Message { site: Site { privacy, ..SITE }, ..case.message(Action::Open) };
        let facts = Facts::of(&message);
        let told =
            [pagerduty::event(&message, &Own::default()).to_string(), webhook::body(&message)].concat();
        format!("{}{told}{:?}", readable(&mailed(&message)), slack::message(&facts, &Own::default(), None))
    };
    let redacted = shown(Privacy::Redact);
    assert!(!redacted.contains("token=abc") && !redacted.contains("key=hidden"), "{redacted}");
    let kept = shown(Privacy::Keep).matches("key=hidden").count();
    assert!(kept >= 5, "text, HTML, PagerDuty, Slack, webhook: {kept}");
    assert_eq!(shown(Privacy::Keep).matches("token=abc").count(), 4, "text, HTML, PagerDuty, Slack");
}

#[test]
fn nothing_is_too_large_for_where_it_goes() {
    let mut case = Case::with(&"s&".repeat(256), &"<".repeat(512), &"&".repeat(512), &"&".repeat(256));
    let peak = case.dossier.incident.rules.values().next().unwrap().clone();
    case.dossier.incident.rules =
        (0..100).map(|n| (format!("{n}{}", "&".repeat(300)).into(), peak.clone())).collect();
    case.dossier.samples = vec![case.dossier.samples[0].clone(); 10];
    case.decisions = vec![case.decisions[0].clone(); 100];
    case.annotations.set("description", &"&".repeat(10_000));
    let message = case.message(Action::Open);
    let rendered = slack::message(&Facts::of(&message), &Own::default(), Some(&"a".repeat(32)));
    check_slack(&rendered);
    assert!(rendered.blocks.to_string().contains(r#""action_id":"resolve""#));
    let event = pagerduty::event(&message, &Own::default());
    assert!(event["payload"]["summary"].as_str().unwrap().chars().count() <= 1_024);
    assert!(event.to_string().len() <= 512 * 1024);
    assert!(mailed(&message).len() < 64 * 1024);
}

/// 200 of everything: what is left out is counted, and each channel's limit holds.
#[test]
fn oversize_group_is_truncated_with_count() {
    let mut case = Case::open();
    let peak = case.dossier.incident.rules.values().next().unwrap().clone();
    case.dossier.incident.rules = (0..200).map(|n| (format!("rule-{n:03}").into(), peak.clone())).collect();
    case.dossier.participants = (0..200).map(|_| case.dossier.participants[0].clone()).collect();
    case.dossier.incident.participants_total = 200;
    case.dossier.samples = vec![case.dossier.samples[0].clone(); 200];
    case.decisions = vec![case.decisions[0].clone(); 200];
    let message = case.message(Action::Open);
    let facts = Facts::of(&message);
    let rendered = slack::message(&facts, &Own::default(), Some(case.dossier.incident.id.as_str()));
    check_slack(&rendered);
    let event = pagerduty::event(&message, &Own::default());
    assert!(event.to_string().len() < 16 * 1024, "of 512 KB");
    for shown in [rendered.blocks.to_string(), event.to_string(), readable(&mailed(&message))] {
        for counted in ["and 195 more rules", "200 clients", "and 195 more"] {
            assert!(shown.contains(counted), "{counted} is not in {shown}");
        }
    }
    // The details alone are left out where a label's text makes them too large, and that is said.
    case.dossier.incident.labels.set("team", &"x".repeat(600 * 1024));
    let event = pagerduty::event(&case.message(Action::Open), &Own::default());
    assert!(event.to_string().len() < 512 * 1024);
    assert!(event["payload"]["custom_details"]["note"].as_str().unwrap().contains("too large"), "said");
}

#[test]
fn rules_and_participants_beyond_the_list_are_counted() {
    let mut case = Case::open();
    let peak = case.dossier.incident.rules.values().next().unwrap().clone();
    let rules = (0..9).map(|n| (format!("rule-{n}").into(), peak.clone()));
    case.dossier.incident.rules = rules.collect::<BTreeMap<_, _>>();
    let facts = Facts::of(&case.message(Action::Open));
    assert_eq!(facts.rules.last().unwrap(), "and 4 more rules");
    assert_eq!((facts.crowd.as_str(), facts.participants.len()), ("1,234 clients", 5));
}

/// What Slack refuses, and what must never reach it.
fn check_slack(rendered: &slack::Rendered) {
    assert!(rendered.text.len() <= 3_800 && !rendered.text.is_empty());
    let blocks = rendered.blocks.as_array().unwrap();
    assert!(blocks.len() <= 40 && rendered.blocks.to_string().len() <= 12_000);
    for block in blocks {
        let text = block["text"]["text"].as_str().unwrap_or_default().chars().count();
        let most = if block["type"] == "header" { 150 } else { 3_000 };
        assert!(text <= most, "{text} in {block}");
        let element = block["elements"][0]["text"].as_str().unwrap_or_default().chars().count();
        assert!(element <= 3_000, "{element} in {block}");
    }
    let whole = format!("{}{}{}", rendered.text, rendered.reply, json!(rendered.blocks));
    for mention in ["<!", "<@", "<#"] {
        assert!(!whole.contains(mention), "{mention} in {whole}");
    }
}

/// A stranger's text: bits that build something somewhere, among anything else.
fn hostile() -> impl Strategy<Value = String> {
    let bits = [
        "<!channel>",
        "<@U123>",
        "<#C1>",
        "<https://evil.example|click>",
        "&lt;!here&gt;",
        "`",
        "```",
        "*",
        "_",
        "\"",
        "'",
        "</pre>",
        "<script>alert(1)</script>",
        "\"><img src=x onerror=y>",
        "javascript:x",
        "\r\n",
        "\r\nBcc: evil@example.com\r\n\r\n",
        "\n.\n",
        "\u{202e}",
        "\u{0}",
        "\u{1b}[2J",
        "{{7*7}}",
        "${x}",
        "%0d%0a",
        "=?utf-8?q?x?=",
        "\\",
        "a?b=secret",
        "🔥",
        "é",
        " ",
    ];
    let bit = prop_oneof![4 => prop::sample::select(bits.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}"];
    prop::collection::vec(bit, 0..12).prop_map(|bits| bits.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_text_gets_out_of_its_place(
        target in hostile(), client in hostile(), request in hostile(), agent in hostile(), said in hostile(),
        handle in prop::option::of(hostile()),
    ) {
        let mut case = Case::with(&target, &client, &request, &agent).acknowledged(&said);
        case.dossier.incident.status = beaconfire_incident::Status::Open;
        case.dossier.timeline[1].text.clone_from(&said);
        case.dossier.samples[0].text = Untrusted::new(&request, 512);
        case.annotations.set("summary", &said);
        case.annotations.set("runbook_url", &said);
        case.decisions[0].value.clone_from(&client);
        if let Some(handle) = &handle {
            case = case.told(handle);
        }
        let quiet = Case::open().told("<a@b>");
        for action in [Action::Open, Action::Update, Action::Acknowledge, Action::Resolve] {
            let message = case.message(action);
            let facts = Facts::of(&message);
            let breaks = facts.line().contains(['\n', '\r', '\u{1b}', '\u{202e}', '\0']);
            prop_assert!(!breaks);
            check_slack(&slack::message(&facts, &Own::default(), Some(case.dossier.incident.id.as_str())));

            let mail = mailed(&message);
            let (head, body) = mail.split_once("\r\n\r\n").unwrap();
            // Folded lines begin with a space; every other line of the head is a header of ours.
            let names = |head: &str| {
                let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
                lines.map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
            };
            let expected = mailed(&quiet.message(action));
            let mut allowed = names(expected.split_once("\r\n\r\n").unwrap().0);
            if case.handle.is_none() {
                allowed.retain(|name| name != "In-Reply-To" && name != "References");
            }
            prop_assert_eq!(names(head), allowed);
            prop_assert!(mail.is_ascii() && mail.lines().all(|line| line.len() <= 998));
            let html = readable(body);
            let html = &html[html.find("<!DOCTYPE html>").unwrap()..];
            for tag in ["<script", "<img", "</pre></pre>", "<a href=\"javascript"] {
                prop_assert!(!html.contains(tag), "{} in {}", tag, html);
            }
            prop_assert_eq!(html.matches("<pre").count(), html.matches("</pre>").count());

            let event = pagerduty::event(&message, &Own::default());
            prop_assert!(event["dedup_key"].as_str().unwrap().len() <= 255);
            if event["event_action"] == "trigger" {
                prop_assert!(!event["payload"]["source"].as_str().unwrap().is_empty());
                prop_assert!(!event["payload"]["summary"].as_str().unwrap().is_empty());
            }
            let hook: Value = serde_json::from_str(&webhook::body(&message)).unwrap();
            prop_assert_eq!(&hook["data"]["id"], case.dossier.incident.id.as_str());
        }
    }
}
