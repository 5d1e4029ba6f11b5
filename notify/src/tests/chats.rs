//! Teams, Discord and Telegram: what each answer comes to, what is sent where, and that it keeps to what they publish.

use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{Action, Handle, Outcome};
use serde_json::Value;

use super::fixture::Case;
use super::server::{Act, Got, Server};
use crate::{Channel, DiscordKnobs, Knobs, Message, TeamsKnobs, TelegramKnobs};

const TOKEN: &str = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw";

fn built(knobs: impl Into<Knobs>) -> Channel {
    Channel::build_within(&knobs.into(), Duration::from_millis(400)).unwrap()
}

fn discord(url: &str) -> Channel {
    built(DiscordKnobs { url: Secret::new(format!("{url}api/webhooks/1/topsecret?thread_id=9")) })
}

fn teams(url: &str) -> Channel {
    built(TeamsKnobs { url: Secret::new(format!("{url}workflows/topsecret?sig=topsecret")) })
}

fn telegram(url: &str) -> Channel {
    built(TelegramKnobs {
        api_url: url.to_owned(),
        token: Secret::new(TOKEN),
        chat: "-1001".into(),
        thread: Some(7),
        quiet: false,
    })
}

fn answer(status: u16, headers: &'static str, body: &str) -> Act {
    Act::Answer(status, headers, body.to_owned())
}

fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Limited { after: Some(after) } | Outcome::Deferred { after: Some(after), .. } => {
            format!("{} {}", outcome.name(), after.as_secs())
        }
        _ => outcome.name().to_owned(),
    }
}

/// Sends a message to a server with this script; what came of it, and what was sent.
async fn sent(build: fn(&str) -> Channel, script: Vec<Act>, message: &Message<'_>) -> (Outcome, Vec<Got>) {
    let server = Server::start(script).await;
    let channel = build(&server.url);
    let exchange = channel.exchange(message).await;
    let shown = format!("{exchange:?} {}", channel.endpoint());
    assert!(!shown.contains("topsecret") && !shown.contains(TOKEN), "{shown}");
    (exchange.outcome, server.got())
}

/// A channel, and what to make of each answer.
type Table = (fn(&str) -> Channel, Vec<(Act, &'static str)>);

#[tokio::test]
async fn answers() {
    let case = Case::open();
    let message = case.message(Action::Open);
    let tables: [Table; 3] = [
        (
            discord,
            vec![
                (answer(200, "", r#"{"id":"1300"}"#), "accepted"),
                (
                    answer(
                        429,
                        "retry-after: 2\r\n",
                        r#"{"message":"x","retry_after":64.57,"global":false}"#,
                    ),
                    "limited 65",
                ),
                (answer(429, "retry-after: 2\r\n", "cloudflare"), "limited 2"),
                (answer(404, "", r#"{"message":"Unknown Webhook","code":10015}"#), "misconfigured"),
                (answer(401, "", ""), "misconfigured"),
                (answer(400, "", r#"{"code":50035}"#), "rejected"),
                (answer(502, "", ""), "deferred"),
                (Act::Hang, "deferred"),
            ],
        ),
        (
            teams,
            vec![
                (answer(202, "", ""), "accepted"),
                (answer(200, "", "1"), "accepted"),
                (answer(429, "retry-after: 11\r\n", ""), "limited 11"),
                (answer(401, "", ""), "misconfigured"),
                (answer(404, "", ""), "misconfigured"),
                (answer(400, "", "bad card"), "rejected"),
                (answer(503, "retry-after: 3\r\n", ""), "deferred 3"),
                (Act::Raw("HTTP/1."), "deferred"),
            ],
        ),
        (
            telegram,
            vec![
                (answer(200, "", r#"{"ok":true,"result":{"message_id":41}}"#), "accepted"),
                (
                    answer(429, "", r#"{"ok":false,"error_code":429,"parameters":{"retry_after":17}}"#),
                    "limited 17",
                ),
                (answer(401, "", r#"{"ok":false,"description":"Unauthorized"}"#), "misconfigured"),
                (answer(404, "", r#"{"ok":false,"description":"Not Found"}"#), "misconfigured"),
                (
                    answer(400, "", r#"{"ok":false,"description":"Bad Request: chat not found"}"#),
                    "misconfigured",
                ),
                (
                    answer(403, "", r#"{"ok":false,"description":"Forbidden: bot was kicked"}"#),
                    "misconfigured",
                ),
                (
                    answer(400, "", r#"{"ok":false,"description":"Bad Request: can't parse entities"}"#),
                    "rejected",
                ),
                (answer(500, "", ""), "deferred"),
                (answer(200, "", "<html>"), "deferred"),
            ],
        ),
    ];
    for (build, table) in tables {
        for (act, expected) in table {
            let (outcome, _) = sent(build, vec![act.clone()], &message).await;
            assert_eq!(short(&outcome), expected, "{act:?} came to {outcome:?}");
        }
    }
}

#[tokio::test]
async fn discord_is_posted_to_once_and_patched_after() {
    let case = Case::open();
    let done = vec![answer(200, "", r#"{"id":"1300"}"#)];
    let (outcome, got) = sent(discord, done.clone(), &case.message(Action::Open)).await;
    assert_eq!(outcome, Outcome::accepted(Some(Handle("1300".into()))));
    assert_eq!(got[0].line, "POST /api/webhooks/1/topsecret?thread_id=9&wait=true");

    let over = Case::open().resolved().told("1300");
    let (outcome, got) = sent(discord, done.clone(), &over.message(Action::Resolve)).await;
    assert_eq!((outcome, got.len()), (Outcome::accepted(None), 1));
    assert_eq!(got[0].line, "PATCH /api/webhooks/1/topsecret/messages/1300?thread_id=9");
    assert!(got[0].json()["embeds"][0]["title"].as_str().unwrap().starts_with("RESOLVED"));

    // Nobody is notified of an update: worse news is a line of its own.
    let worse = Case::open().told("1300");
    let (_, got) = sent(discord, done, &worse.message(Action::Open)).await;
    assert_eq!(got.len(), 2);
    assert!(got[1].line.starts_with("POST"));

    let gone = vec![answer(404, "", r#"{"message":"Unknown Message","code":10008}"#)];
    let (outcome, _) = sent(discord, gone, &worse.message(Action::Open)).await;
    assert_eq!(outcome, Outcome::Gone);
    // A handle of another channel's goes into no address.
    let strange = Case::open().told("../../x");
    let (_, got) = sent(discord, vec![answer(200, "", "{}")], &strange.message(Action::Open)).await;
    assert!(got[0].line.starts_with("POST /api/webhooks/1/topsecret?"));
}

#[tokio::test]
async fn telegram_is_edited_and_answered() {
    let done = vec![answer(200, "", r#"{"ok":true,"result":{"message_id":41}}"#)];
    let case = Case::open();
    let (outcome, got) = sent(telegram, done.clone(), &case.message(Action::Open)).await;
    assert_eq!(outcome, Outcome::accepted(Some(Handle("41".into()))));
    assert_eq!(got[0].line, format!("POST /bot{TOKEN}/sendMessage"));
    let body = got[0].json();
    assert_eq!((body["chat_id"].as_i64(), body["message_thread_id"].as_i64()), (Some(-1001), Some(7)));
    assert_eq!(
        (body["parse_mode"].as_str(), body["disable_notification"].as_bool()),
        (Some("HTML"), Some(false))
    );

    let over = Case::open().resolved().told("41");
    let (_, got) = sent(telegram, done, &over.message(Action::Resolve)).await;
    assert_eq!(got[0].line, format!("POST /bot{TOKEN}/editMessageText"));
    assert_eq!(got[0].json()["message_id"], 41);
    assert_eq!(got[1].json()["reply_parameters"]["message_id"], 41);
    assert_eq!(got[1].json()["disable_notification"], true);

    // An edit whose answer was lost came through; a message that is gone is posted afresh.
    for (said, expected) in [
        ("message is not modified: x", "accepted"),
        ("message to edit not found", "gone"),
        ("message can't be edited", "gone"),
    ] {
        let body = format!(r#"{{"ok":false,"description":"Bad Request: {said}"}}"#);
        let taken = Case::open().acknowledged("ana").told("41");
        let (outcome, _) =
            sent(telegram, vec![answer(400, "", &body)], &taken.message(Action::Acknowledge)).await;
        assert_eq!(outcome.name(), expected, "{said}");
    }
}

#[tokio::test]
async fn what_is_refused_for_its_form_goes_out_plain() {
    let case = Case::open();
    let message = case.message(Action::Open);
    for (build, taken) in [
        (discord as fn(&str) -> Channel, r#"{"id":"1300"}"#),
        (teams, ""),
        (telegram, r#"{"ok":true,"result":{"message_id":41}}"#),
    ] {
        let (outcome, got) = sent(build, vec![answer(400, "", "{}"), answer(200, "", taken)], &message).await;
        assert_eq!((outcome.name(), got.len()), ("accepted", 2));
        let (full, plain) = (&got[0].body, &got[1].body);
        assert!(plain.len() < full.len() && plain.contains("CRITICAL"), "{plain}");
        assert!(!plain.contains("parse_mode"), "{plain}");
    }
}

fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(entries) => entries.values().for_each(|entry| texts(entry, out)),
        _ => {}
    }
}

/// The published limits, and that nothing of a stranger's becomes a mention, a link or markup.
#[tokio::test]
async fn hostile_and_huge_text_stays_text_within_the_limits() {
    let evil = "@everyone <@1> [x](https://evil.example) </pre><b> **_`~ <at>all</at>";
    for text in [evil.to_owned(), format!("{evil} {}", "\\*&<\u{1F525}".repeat(2_000))] {
        let case = Case::with(&text, &text, &text, &text);
        let message = case.message(Action::Open);
        let ok = vec![answer(200, "", r#"{"ok":true,"id":"1","result":{"message_id":41}}"#)];
        let (_, got) = sent(discord, ok.clone(), &message).await;
        let body = got[0].json();
        assert_eq!(body["allowed_mentions"]["parse"].as_array().map(Vec::len), Some(0));
        let count = |value: &Value| value.as_str().unwrap_or_default().chars().count();
        assert!(count(&body["content"]) <= 2_000);
        let embed = &body["embeds"][0];
        assert!(count(&embed["title"]) <= 256 && count(&embed["description"]) <= 4_096);
        assert!(count(&embed["footer"]["text"]) <= 2_048);
        let mut all = count(&embed["title"]) + count(&embed["description"]) + count(&embed["footer"]["text"]);
        let fields = embed["fields"].as_array().unwrap();
        assert!(!fields.is_empty() && fields.len() <= 25);
        for field in fields {
            assert!(
                (1..=256).contains(&count(&field["name"])) && (1..=1_024).contains(&count(&field["value"]))
            );
            all += count(&field["name"]) + count(&field["value"]);
        }
        assert!(all <= 6_000, "{all}");
        let mut shown = Vec::new();
        texts(&body, &mut shown);
        for text in shown {
            // In a code block nothing is read but what ends it.
            if let Some(code) = text.strip_prefix("```\n") {
                assert_eq!(code.matches('`').count(), 3, "{code}");
                continue;
            }
            assert!(!text.contains("@everyone") && !text.contains("https://evil"), "{text}");
            assert!(!text.contains(" <@") && !text.contains(" [x]"), "{text}");
        }

        let (_, got) = sent(telegram, ok.clone(), &message).await;
        let text = got[0].json()["text"].as_str().unwrap().to_owned();
        assert!(text.chars().count() <= 4_096, "{}", text.chars().count());
        assert_eq!(text.matches("<pre>").count(), text.matches("</pre>").count());
        assert_eq!(text.matches("<b>").count(), text.matches("</b>").count());
        let mut outside = String::new();
        for part in text.split("<pre>") {
            outside.push_str(part.rsplit("</pre>").next().unwrap());
        }
        assert!(!outside.contains("@everyone") && !outside.contains("https://evil"), "{outside}");
        assert!(!text.contains("<at>"), "{text}");

        let (_, got) = sent(teams, ok, &message).await;
        assert!(got[0].body.len() <= 28 * 1_024, "{}", got[0].body.len());
        let card = &got[0].json()["attachments"][0];
        assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
        assert_eq!(card["content"]["type"], "AdaptiveCard");
        // A text block would read Markdown.
        for block in card["content"]["body"].as_array().unwrap() {
            assert_eq!(block["type"], "RichTextBlock");
        }
    }
}

#[test]
fn knobs_that_cannot_work_are_refused() {
    let telegram = |token: &str, chat: &str| {
        let knobs = TelegramKnobs {
            api_url: "https://api.telegram.org".into(),
            token: Secret::new(token),
            chat: chat.into(),
            thread: None,
            quiet: true,
        };
        Channel::build(&knobs.into()).map(|_| ())
    };
    assert_eq!(telegram(TOKEN, "-1001"), Ok(()));
    assert_eq!(telegram(TOKEN, "@alerts"), Ok(()));
    for (token, chat) in [("", "1"), ("1:x/../y", "1"), (TOKEN, ""), (TOKEN, "@"), (TOKEN, "alerts")] {
        let refused = telegram(token, chat).unwrap_err();
        assert!(!refused.contains(TOKEN), "{refused}");
    }
}
