//! What a stranger writes stays text, whatever a template does with it.

use beaconfire_outbox::{Action, IntegrationKind};
use lettre::message::Mailbox;
use proptest::prelude::*;
use serde_json::Value;

use super::tests::{dressed, everywhere, made, templates, tried};
use super::*;
use crate::render::email;
use crate::tests::fixture::Case;

/// Whoever writes a label or an annotation adds no line to a message, and no query leaves with one.
#[test]
fn values_have_one_line_and_no_query() {
    let mut case = Case::open();
    case.dossier.incident.labels.set("page", "/x?token=abc\nSince: never\u{1b}[2J");
    case.annotations.set("summary", "one\r\ntwo /y?token=abc");
    let text = made(Slot::EmailText, "{{ labels.page }} {{ annotations.summary }}", &case);
    assert!(!text.contains(['\n', '\r', '\u{1b}']) && text.contains("one\\u{d}\\u{a}two"), "{text}");
    assert!(!text.contains("token"), "{text}");
}

#[test]
fn nothing_switches_escaping_off() {
    let case = Case::with("<!channel>", "203.0.113.7", "GET / 200", "curl");
    for source in [
        "{{ target.name }}",
        "{% autoescape false %}{{ target.name }}{% endautoescape %}",
        "{% autoescape 'none' %}{{ target.name }}{% endautoescape %}",
        "{% set x %}{{ target.name }}{% endset %}{{ x }}",
        "{% autoescape false %}{% set x %}{{ target.name }}{% endset %}{{ x }}{% endautoescape %}",
        "{% set x = target.name %}{{ x|e }}",
        "{{ [target.name]|join('') }}",
        "{{ target.name|replace('!', '!') }}",
        "{% filter upper %}{{ target.name }}{% endfilter %}",
        "{{ target.name|upper|lower }}",
        "{{ ('' ~ target.name)|trim }}",
    ] {
        for (slot, bad) in [(Slot::SlackText, "<!"), (Slot::EmailHtml, "<!"), (Slot::TelegramText, "<!")] {
            // Where a block is refused outright, nothing gets through either.
            let text = tried(slot, source, &case).unwrap_or_default();
            assert!(!text.to_lowercase().contains(bad), "{source}: {text}");
        }
    }
    assert!(tried(Slot::SlackText, "{{ target.name|safe }}", &case).is_err());
    // Once, not twice.
    for source in
        ["{{ target.name }}", "{% set x %}{{ target.name }}{% endset %}{{ x }}", "{{ target.name|e }}"]
    {
        assert_eq!(made(Slot::EmailHtml, source, &case), "&lt;!channel&gt;", "{source}");
    }
}

#[test]
fn label_injection_cannot_ping_channel() {
    let mut case = Case::with("<!channel>", "<@U1>", "GET /<!here> 200", "@everyone");
    case.dossier.incident.labels.set("team", "<!subteam^S1> @here");
    let ping = "{{ target.name }} {{ labels.team }} {{ participants[0].value }} {{ samples[0].text }} {{ samples[0].by }}";
    let all: Vec<(Slot, &str)> = Slot::ALL.iter().map(|slot| (*slot, ping)).collect();
    // In words of one's own, and in the built-in form.
    let own = everywhere(&all, case.message(Action::Open));
    for (channel, shown) in own.into_iter().chain(everywhere(&[], case.message(Action::Open))) {
        let pings = match channel {
            "slack" => ["<!", "<@"].iter().any(|mark| shown.contains(mark)),
            // Within a block of code nothing is read; and `allowed_mentions` is empty as well.
            "discord" => {
                let read: String = shown.split("```").step_by(2).collect();
                read.contains("@everyone") || read.contains("@here") || !shown.contains(r#"{"parse":[]}"#)
            }
            "telegram" => shown.contains("@here") || shown.contains("<!") || shown.contains("<@"),
            _ => false,
        };
        assert!(!pings, "{channel}: {shown}");
    }
    // What the operator writes is the operator's to write.
    assert!(made(Slot::SlackText, "<!channel> {{ kind }}", &case).starts_with("<!channel> flood"));
}

#[test]
fn no_header_injection_crlf() {
    let mut case = Case::with("shop\r\nBcc: evil@example.com", "203.0.113.7", "GET / 200", "curl");
    case.annotations.set("summary", "x\r\n\r\nbody");
    let subject = "{{ target.name }}\n{{ annotations.summary }}\r\nX-Own: 1";
    let held = templates(&[(Slot::EmailSubject, subject)]);
    let message = dressed(case.message(Action::Open), &held);
    let own = Own::of(&message, IntegrationKind::Email);
    let from: Mailbox = "beaconfire@example.com".parse().unwrap();
    let mail =
        String::from_utf8(email::mail(&message, &own, &from, std::slice::from_ref(&from)).unwrap()).unwrap();
    let (head, _) = mail.split_once("\r\n\r\n").unwrap();
    let begins = |name: &str| head.split("\r\n").any(|line| line.starts_with(name));
    assert!(begins("Subject: shop") && !begins("Bcc:") && !begins("X-Own:"), "{head}");
    let usual = email::mail(&message, &Own::default(), &from, std::slice::from_ref(&from)).unwrap();
    let usual = String::from_utf8(usual).unwrap();
    assert!(!usual.split("\r\n").any(|line| line.starts_with("Bcc:")), "{usual}");
    let title = own.title.unwrap();
    assert!(!title.contains(['\r', '\n']) && title.ends_with("X-Own: 1"), "{title:?}");
}

#[test]
fn html_escaped() {
    let case = Case::with("\"><script>alert(1)</script>", "203.0.113.7", "GET /'onload='x 200", "curl");
    let html = made(Slot::EmailHtml, "<p title=\"{{ target.name }}\">{{ samples[0].text }}</p>", &case);
    assert_eq!(
        html,
        "<p title=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\">GET /&#39;onload=&#39;x 200</p>"
    );
    let (_, mail) = &everywhere(&[], case.message(Action::Open))[0];
    assert!(mail.contains("&quot;&gt;&lt;script&gt;") && !mail.contains("<h1><script"), "{mail}");
    let (_, page) = mail.split_once("--- text/html").unwrap();
    assert!(!page.contains("<script"), "{page}");
    let text = made(Slot::TelegramText, "<b>{{ target.name }}</b>", &case);
    assert_eq!(text, "<b>&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;</b>");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_value_gets_out_of_its_place(text in "[<>&\"'`*_@!\\[\\]()\r\n{}%a-c:/ ]{0,40}") {
        let mut case = Case::open();
        case.dossier.incident.labels.set("team", &text);
        let mark = |slot| tried(slot, "start {{ labels.team|default('') }} end", &case);
        let html = mark(Slot::EmailHtml).unwrap();
        prop_assert!(!html.contains(['<', '>', '"', '\'', '\n']), "{}", html);
        let mrkdwn = mark(Slot::SlackText).unwrap();
        prop_assert!(!mrkdwn.contains(['<', '>', '`', '\n']), "{}", mrkdwn);
        let subject = mark(Slot::EmailSubject).unwrap();
        prop_assert!(!subject.contains(['\r', '\n']), "{}", subject);
        let telegram = mark(Slot::TelegramText).unwrap();
        prop_assert!(!telegram.contains(['<', '>', '\n']), "{}", telegram);
        let body: Value = Value::String(mark(Slot::DiscordText).unwrap());
        prop_assert!(!body.to_string().contains("@a"), "{}", body);
    }
}
