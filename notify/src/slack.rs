//! Slack. An app posts one message an incident, updates it in place, and answers in its thread where people should
//! look again; an incoming webhook can only post.
//!
//! Slack has no idempotency key for posts: where an answer is lost on its way, a message may stand twice. Updates are
//! idempotent by nature.

use std::time::Duration;

use beaconfire_model::Severity;
use beaconfire_outbox::{Action, Handle, Outcome};
use serde_json::{Value, json};

use crate::exchange::{Scrub, Trace};
use crate::http::{Answer, Endpoint, Plaintext, Reply, seconds};
use crate::knobs::SlackKnobs;
use crate::message::{Matter, Message};
use crate::render::Facts;
use crate::render::slack::{Rendered, message as render};
use crate::templates::Own;
use crate::webhook::unreachable;

/// Slack.
#[derive(Debug, Clone)]
pub struct Slack {
    endpoint: Endpoint,
    knobs: SlackKnobs,
    scrub: Scrub,
}

/// What Slack made of one call.
#[derive(Debug)]
enum Said {
    /// It did it; the answer.
    Done(Value),
    /// It refuses what was sent: something plainer may pass.
    Unfit(Box<str>),
    /// Anything else.
    Other(Outcome),
}

impl Slack {
    pub(crate) fn build(knobs: &SlackKnobs, within: Duration) -> Result<Self, String> {
        let (endpoint, scrub) = match knobs {
            SlackKnobs::App { url, token, channel, .. } => {
                if token.is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err("the app token is empty or holds what a header cannot".into());
                }
                if channel.is_empty() {
                    return Err("no channel is named".into());
                }
                (Endpoint::new(url, Plaintext::LoopbackOnly, within)?, Scrub::new([token]))
            }
            SlackKnobs::Webhook { url } => {
                let (endpoint, path) = Endpoint::new(url.expose(), Plaintext::LoopbackOnly, within)?.hidden();
                (endpoint, Scrub::new([url, &path]))
            }
        };
        Ok(Self { endpoint, knobs: knobs.clone(), scrub })
    }

    pub(crate) fn name(&self) -> String {
        self.endpoint.origin()
    }

    /// Limits are of the app in its workspace, or of the webhook.
    pub(crate) fn credential(&self) -> &beaconfire_model::Secret {
        match &self.knobs {
            SlackKnobs::App { token, .. } => token,
            SlackKnobs::Webhook { url } => url,
        }
    }

    pub(crate) fn scrub(&self) -> &Scrub {
        &self.scrub
    }

    pub(crate) async fn send(&self, message: &Message<'_>, own: &Own, trace: &mut Trace<'_>) -> Outcome {
        let facts = Facts::of(message);
        let SlackKnobs::App { channel, buttons, .. } = &self.knobs else {
            return self.hook(&render(&facts, own, None), trace).await;
        };
        let about = match message.matter {
            Matter::Incident(about) if *buttons => Some(about.dossier.incident.id.as_str()),
            Matter::Incident(_) | Matter::Storm(_) | Matter::Test | Matter::StoreDown { .. } => None,
        };
        let rendered = render(&facts, own, about);
        match message.handle.and_then(|handle| handle.0.split_once(':')) {
            Some((channel, ts)) => self.update(message, &rendered, channel, ts, trace).await,
            None => self.post(message, &rendered, channel, trace).await,
        }
    }

    async fn hook(&self, rendered: &Rendered, trace: &mut Trace<'_>) -> Outcome {
        let body = |blocks: Option<&Value>| {
            let mut body = json!({"text": rendered.text, "unfurl_links": false, "unfurl_media": false});
            if let Some(blocks) = blocks {
                body["blocks"] = blocks.clone();
            }
            body
        };
        let mut said = self.call(&self.endpoint, body(Some(&rendered.blocks)), trace).await;
        if let Said::Unfit(_) = said {
            said = self.call(&self.endpoint, body(None), trace).await;
        }
        match said {
            Said::Done(_) => Outcome::accepted(None),
            Said::Unfit(said) => Outcome::Rejected { said },
            Said::Other(outcome) => outcome,
        }
    }

    async fn post(
        &self,
        message: &Message<'_>,
        rendered: &Rendered,
        channel: &str,
        trace: &mut Trace<'_>,
    ) -> Outcome {
        let mut body = body(channel, &rendered.text, Some(&rendered.blocks));
        body["metadata"] = json!({
            "event_type": "beaconfire_notification",
            "event_payload": {"id": message.notification_id, "topic": &*message.topic()},
        });
        match self.method("chat.postMessage", body, trace).await {
            Said::Done(answer) => Outcome::accepted(handle(&answer)),
            Said::Unfit(said) => Outcome::Rejected { said },
            Said::Other(outcome) => outcome,
        }
    }

    /// Brings the message up to date, then answers in its thread where that is called for. Should the answer have to
    /// wait, the whole is tried again: the update changes nothing the second time.
    async fn update(
        &self,
        message: &Message<'_>,
        rendered: &Rendered,
        channel: &str,
        ts: &str,
        trace: &mut Trace<'_>,
    ) -> Outcome {
        let mut update = body(channel, &rendered.text, Some(&rendered.blocks));
        update["ts"] = json!(ts);
        match self.method("chat.update", update, trace).await {
            Said::Done(_) => {}
            Said::Unfit(said) => return Outcome::Rejected { said },
            Said::Other(outcome) => return outcome,
        }
        if matches!(message.action, Action::Open | Action::Resolve) {
            let mut reply = body(channel, &rendered.reply, None);
            reply["thread_ts"] = json!(ts);
            // Nobody is notified of an update: what pages must be seen in the channel again.
            reply["reply_broadcast"] = json!(message.action == Action::Open && is_critical(message));
            match self.method("chat.postMessage", reply, trace).await {
                Said::Done(_) => {}
                // The message itself is right; a thread that takes no answer does not make it wrong.
                Said::Unfit(said) => tracing::warn!(%said, "Slack refused a reply in a thread"),
                Said::Other(Outcome::Gone) => return Outcome::Gone,
                Said::Other(outcome) => return outcome,
            }
        }
        Outcome::accepted(None)
    }

    /// Calls a method; where Slack finds the blocks unfit, once more with the text alone.
    async fn method(&self, name: &str, mut body: Value, trace: &mut Trace<'_>) -> Said {
        let endpoint = self.endpoint.method(name);
        let said = self.call(&endpoint, body.clone(), trace).await;
        match said {
            Said::Unfit(said) if body.get("blocks").is_some() => {
                tracing::warn!(%said, "Slack refused a message's blocks; it goes out as bare text");
                // An update keeps the blocks that it does not name.
                body["blocks"] = json!([]);
                body["text"] = json!(plainer(body["text"].as_str().unwrap_or_default()));
                self.call(&endpoint, body, trace).await
            }
            said => said,
        }
    }

    async fn call(&self, endpoint: &Endpoint, body: Value, trace: &mut Trace<'_>) -> Said {
        let headers = match &self.knobs {
            SlackKnobs::App { token, .. } => vec![("authorization", format!("Bearer {}", token.expose()))],
            SlackKnobs::Webhook { .. } => Vec::new(),
        };
        match endpoint.post(&headers, body.to_string(), trace).await {
            Answer::Reply(reply) => self.judge(&reply),
            Answer::None { said, certificate } => {
                Said::Other(unreachable(self.scrub.said(&said), certificate))
            }
        }
    }

    /// What an answer means. The API answers errors with 200 and names them in JSON; a webhook answers with a status
    /// and the name as bare text.
    fn judge(&self, reply: &Reply) -> Said {
        let answer: Option<Value> = serde_json::from_str(&reply.body).ok();
        if reply.status == 429 {
            let told = answer.as_ref().and_then(|answer| answer.get("retry_after"));
            let after = reply.retry_after.or_else(|| seconds(&told?.to_string()));
            return Said::Other(Outcome::Limited { after });
        }
        let ok = answer.as_ref().and_then(|answer| answer.get("ok")).and_then(Value::as_bool);
        let named = answer.as_ref().and_then(|answer| answer.get("error")).and_then(Value::as_str);
        match (reply.status, ok) {
            (200..=299, Some(true)) => return Said::Done(answer.unwrap_or_default()),
            (200..=299, None) if self.is_hook() && reply.body.trim() == "ok" => {
                return Said::Done(Value::Null);
            }
            _ => {}
        }
        let error = named.unwrap_or(reply.body.trim());
        self.error(error, reply)
    }

    /// Errors by Slack's names for them, then by status.
    fn error(&self, error: &str, reply: &Reply) -> Said {
        let said = self.scrub.said(&reply.said());
        let after = reply.retry_after;
        Said::Other(match error {
            "rate_limited" | "ratelimited" => Outcome::Limited { after },
            "message_not_found" | "cant_update_message" | "edit_window_closed" if !self.is_hook() => {
                Outcome::Gone
            }
            "msg_too_long"
            | "msg_blocks_too_long"
            | "invalid_blocks"
            | "invalid_blocks_format"
            | "too_many_attachments"
            | "no_text"
            | "invalid_payload" => return Said::Unfit(said),
            "channel_not_found"
            | "not_in_channel"
            | "is_archived"
            | "channel_is_archived"
            | "restricted_action"
            | "not_authed"
            | "invalid_auth"
            | "account_inactive"
            | "token_revoked"
            | "token_expired"
            | "missing_scope"
            | "no_permission"
            | "no_service"
            | "no_team"
            | "invalid_token"
            | "action_prohibited"
            | "user_not_found"
            | "unknown_method" => Outcome::Misconfigured { said },
            _ => match reply.status {
                300..=399 | 401 | 403 | 404 | 405 | 407 | 410 => Outcome::Misconfigured { said },
                400..=499 if !matches!(reply.status, 408 | 425) => return Said::Unfit(said),
                // Also a 200 that says what we do not know, or breaks off: trying again loses nothing.
                _ => Outcome::Deferred { after, said },
            },
        })
    }

    fn is_hook(&self) -> bool {
        matches!(self.knobs, SlackKnobs::Webhook { .. })
    }
}

/// What every call says: no links are built or fetched, nobody is mentioned.
fn body(channel: &str, text: &str, blocks: Option<&Value>) -> Value {
    let mut body = json!({
        "channel": channel, "text": text, "parse": "none", "link_names": false,
        "unfurl_links": false, "unfurl_media": false,
    });
    if let Some(blocks) = blocks {
        body["blocks"] = blocks.clone();
    }
    body
}

/// `channel:ts` of a posted message; the channel's id, since updates take no name.
fn handle(answer: &Value) -> Option<Handle> {
    let (channel, ts) = (answer.get("channel")?.as_str()?, answer.get("ts")?.as_str()?);
    let fits = |text: &str| (1..=64).contains(&text.len()) && !text.contains(':');
    (fits(channel) && fits(ts)).then(|| Handle(format!("{channel}:{ts}")))
}

/// Text that surely is short enough.
fn plainer(text: &str) -> String {
    text.chars().take(500).collect()
}

fn is_critical(message: &Message<'_>) -> bool {
    match message.matter {
        Matter::Incident(about) => about.dossier.incident.severity == Severity::Critical,
        Matter::Storm(storm) => storm.tally.worst == Some(Severity::Critical),
        Matter::StoreDown { .. } => true,
        Matter::Test => false,
    }
}
