//! Slack: what each answer comes to, and which calls an incident makes.

use std::time::Duration;

use beaconfire_model::Secret;
use beaconfire_outbox::{Action, Handle, Outcome};
use serde_json::json;

use super::fixture::Case;
use super::server::{Act, Server};
use crate::{Channel, Knobs, SlackKnobs};

const WITHIN: Duration = Duration::from_millis(400);
const TOKEN: &str = "xoxb-stand-in-token";

fn app(url: &str) -> Channel {
    let knobs = SlackKnobs::app(format!("{url}api/"), Secret::new(TOKEN), "#oncall".into());
    Channel::build_within(&Knobs::Slack(knobs), WITHIN).unwrap()
}

fn hook(url: &str) -> Channel {
    let knobs = SlackKnobs::webhook(Secret::new(format!("{url}services/T/B/hooksecret")));
    Channel::build_within(&Knobs::Slack(knobs), WITHIN).unwrap()
}

fn ok() -> Act {
    Act::Answer(200, "", json!({"ok": true, "channel": "C1", "ts": "1503435956.000247"}).to_string())
}

fn error(name: &str) -> Act {
    Act::Answer(200, "", json!({"ok": false, "error": name}).to_string())
}

fn answer(status: u16, headers: &'static str, body: &str) -> Act {
    Act::Answer(status, headers, body.to_owned())
}

fn short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Limited { after: Some(after) } => format!("limited {}", after.as_secs()),
        _ => outcome.name().to_owned(),
    }
}

#[tokio::test]
async fn app_answers() {
    for (act, expected) in [
        (ok(), "accepted"),
        (error("channel_not_found"), "misconfigured"),
        (error("not_in_channel"), "misconfigured"),
        (error("is_archived"), "misconfigured"),
        (error("invalid_auth"), "misconfigured"),
        (error("token_revoked"), "misconfigured"),
        (error("missing_scope"), "misconfigured"),
        (error("msg_too_long"), "rejected"),
        (error("invalid_blocks"), "rejected"),
        (error("ratelimited"), "limited"),
        (error("internal_error"), "deferred"),
        (error("fatal_error"), "deferred"),
        (error("something_new"), "deferred"),
        (answer(429, "retry-after: 5\r\n", ""), "limited 5"),
        (answer(429, "", r#"{"retry_after":1,"ok":false,"error":"rate_limited"}"#), "limited 1"),
        (answer(429, "", ""), "limited"),
        (answer(500, "", ""), "deferred"),
        (answer(404, "", "<html>"), "misconfigured"),
        (answer(200, "", "<html>"), "deferred"),
        (Act::Raw("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"ok\":tr"), "deferred"),
        (Act::Raw("HTTP/1.1 2"), "deferred"),
        (Act::Hang, "deferred"),
    ] {
        let server = Server::start(vec![act.clone()]).await;
        let case = Case::open();
        let outcome = app(&server.url).send(&case.message(Action::Open)).await;
        assert_eq!(short(&outcome), expected, "{act:?} came to {outcome:?}");
    }
}

#[tokio::test]
async fn hook_answers() {
    for (act, expected) in [
        (answer(200, "", "ok"), "accepted"),
        (answer(200, "", "no_text"), "rejected"),
        (answer(200, "", "<html>"), "deferred"),
        (answer(400, "", "invalid_payload"), "rejected"),
        (answer(403, "", "invalid_token"), "misconfigured"),
        (answer(404, "", "no_service"), "misconfigured"),
        (answer(410, "", "channel_is_archived"), "misconfigured"),
        (answer(429, "retry-after: 9\r\n", ""), "limited 9"),
        (answer(500, "", "rollup_error"), "deferred"),
        (Act::Hang, "deferred"),
    ] {
        let server = Server::start(vec![act.clone()]).await;
        let case = Case::open();
        let outcome = hook(&server.url).send(&case.message(Action::Open)).await;
        assert_eq!(short(&outcome), expected, "{act:?} came to {outcome:?}");
    }
}

#[tokio::test]
async fn an_incident_is_one_message_updated_in_place() {
    let server = Server::start(vec![ok()]).await;
    let channel = app(&server.url);
    let outcome = channel.send(&Case::open().message(Action::Open)).await;
    let handle = Handle("C1:1503435956.000247".into());
    assert_eq!(outcome, Outcome::accepted(Some(handle.clone())));

    let keeps = Outcome::accepted(None);
    let taken = Case::open().acknowledged("ana").told(&handle.0);
    assert_eq!(channel.send(&taken.message(Action::Acknowledge)).await, keeps);
    let worse = Case::open().told(&handle.0);
    assert_eq!(channel.send(&worse.message(Action::Open)).await, keeps);
    let over = Case::open().resolved().told(&handle.0);
    assert_eq!(channel.send(&over.message(Action::Resolve)).await, keeps);

    let got = server.got();
    let calls: Vec<_> = got.iter().map(|got| got.line.trim_start_matches("POST /api/")).collect();
    let (post, update) = ("chat.postMessage", "chat.update");
    assert_eq!(calls, [post, update, update, post, update, post]);
    assert!(got.iter().all(|got| got.header("authorization") == format!("Bearer {TOKEN}")));
    let bodies: Vec<_> = got.iter().map(super::server::Got::json).collect();
    assert_eq!(bodies[0]["channel"], "#oncall");
    assert_eq!(bodies[0]["metadata"]["event_payload"]["id"], "n-1");
    assert!(bodies[1..].iter().all(|body| body["channel"] == "C1"), "updates take the id");
    assert!([1, 2, 4].iter().all(|&at| bodies[at]["ts"] == "1503435956.000247"));
    assert!([3, 5].iter().all(|&at| bodies[at]["thread_ts"] == "1503435956.000247"));
    assert_eq!(bodies[3]["reply_broadcast"], true, "worse news is seen in the channel");
    assert_eq!(bodies[5]["reply_broadcast"], false);
    assert!(bodies[3]["text"].as_str().unwrap().contains("severity rose from warning to critical"));
    assert!(bodies[5]["text"].as_str().unwrap().contains("RESOLVED"));
    assert!(bodies.iter().all(|body| body["parse"] == "none" && body["unfurl_links"] == false));
}

#[tokio::test]
async fn a_message_that_is_gone_is_told_afresh() {
    for name in ["message_not_found", "cant_update_message", "edit_window_closed"] {
        let server = Server::start(vec![error(name)]).await;
        let case = Case::open().told("C1:1.2");
        assert_eq!(app(&server.url).send(&case.message(Action::Open)).await, Outcome::Gone);
        assert_eq!(server.got().len(), 1);
    }
}

#[tokio::test]
async fn what_is_refused_for_its_form_goes_out_plainer() {
    let server = Server::start(vec![error("msg_blocks_too_long"), ok()]).await;
    let outcome = app(&server.url).send(&Case::open().message(Action::Open)).await;
    assert_eq!(outcome.name(), "accepted");
    let plainer = server.got()[1].json();
    assert_eq!(plainer["blocks"], json!([]));
    assert!(plainer["text"].as_str().unwrap().contains("Request flood on shop"));

    let server = Server::start(vec![answer(400, "", "invalid_blocks"), answer(200, "", "ok")]).await;
    let outcome = hook(&server.url).send(&Case::open().message(Action::Open)).await;
    assert_eq!(outcome, Outcome::accepted(None));
    assert!(server.got()[1].json().get("blocks").is_none());
}

#[tokio::test]
async fn a_reply_that_must_wait_is_not_lost() {
    let server = Server::start(vec![ok(), answer(429, "retry-after: 2\r\n", "")]).await;
    let over = Case::open().resolved().told("C1:1.2");
    let outcome = app(&server.url).send(&over.message(Action::Resolve)).await;
    assert_eq!(short(&outcome), "limited 2");
}

#[tokio::test]
async fn neither_token_nor_address_is_shown() {
    let server = Server::start(vec![answer(403, "", "invalid_token")]).await;
    let case = Case::open();
    for channel in [app(&server.url), hook(&server.url)] {
        let exchange = channel.exchange(&case.message(Action::Open)).await;
        let shown = format!("{exchange:?}{channel:?}{}", channel.endpoint());
        assert!(!shown.contains(TOKEN) && !shown.contains("hooksecret"), "{shown}");
        assert!(exchange.steps[0].answered.contains("invalid_token"));
    }
}

#[tokio::test]
async fn buttons_are_an_apps_and_only_where_clicks_reach_us() {
    for (with, wanted) in [(true, true), (false, false)] {
        let server = Server::start(vec![ok()]).await;
        let app = SlackKnobs::app(format!("{}api/", server.url), Secret::new(TOKEN), "#oncall".into());
        let channel = Channel::build_within(&Knobs::Slack(app.with_buttons(with)), WITHIN).unwrap();
        channel.send(&Case::open().message(Action::Open)).await;
        assert_eq!(server.got()[0].json().to_string().contains(r#""action_id":"acknowledge""#), wanted);
    }
    let server = Server::start(vec![answer(200, "", "ok")]).await;
    let hook = SlackKnobs::webhook(Secret::new(format!("{}services/T/B/x", server.url))).with_buttons(true);
    let channel = Channel::build_within(&Knobs::Slack(hook), WITHIN).unwrap();
    channel.send(&Case::open().message(Action::Open)).await;
    assert!(!server.got()[0].json().to_string().contains("action_id"));
}
