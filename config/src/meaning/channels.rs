//! The integrations of a receiver: what reaches them, completed from `global`. Mail, Slack and PagerDuty are here, the
//! others in `hooks.rs`.

use beaconfire_model::Secret;
use beaconfire_notify::{Channel, EmailKnobs, Knobs, Login, PagerDutyKnobs, SlackKnobs};
use beaconfire_outbox::IntegrationKind;

use crate::complain::Complaint;
use crate::de::At;
use crate::judge::{Judge, is_loopback};
use crate::meaning::hooks::{alertmanager, discord, login, no_login, teams, telegram, webhook};
use crate::node::Place;
use crate::raw::{self, Raw};

/// The channels of a receiver, each with whether it hears of resolves; in the order email, slack,
/// pagerduty, webhook, msteams, discord, telegram, alertmanager.
pub(crate) fn channels(judge: &mut Judge<'_>, raw: &Raw, receiver: &raw::Receiver) -> Vec<(Knobs, bool)> {
    let ours = &raw.interactions;
    let clicks = ours.slack_signing_secret.is_some() || ours.slack_signing_secret_file.is_some();
    let mut made = Vec::new();
    for email in &receiver.email_configs {
        let knobs = self::email(judge, raw, email).map(Knobs::from);
        made.push((works(judge, knobs, email.place), email.send_resolved));
    }
    for slack in &receiver.slack_configs {
        let knobs = self::slack(judge, raw, slack).map(|knobs| knobs.with_buttons(clicks)).map(Knobs::from);
        made.push((works(judge, knobs, slack.place), slack.send_resolved));
    }
    for pager in &receiver.pagerduty_configs {
        let knobs = pagerduty(judge, raw, pager).map(Knobs::from);
        made.push((works(judge, knobs, pager.place), pager.send_resolved));
    }
    for hook in &receiver.webhook_configs {
        let knobs = webhook(judge, raw, hook, &receiver.name).map(Knobs::from);
        made.push((works(judge, knobs, hook.place), hook.send_resolved));
    }
    for hooked in receiver.msteamsv2_configs.iter().chain(&receiver.msteams_configs) {
        let knobs = teams(judge, hooked).map(Knobs::from);
        made.push((works(judge, knobs, hooked.place), hooked.send_resolved));
    }
    for hooked in &receiver.discord_configs {
        let knobs = discord(judge, hooked).map(Knobs::from);
        made.push((works(judge, knobs, hooked.place), hooked.send_resolved));
    }
    for bot in &receiver.telegram_configs {
        let knobs = telegram(judge, raw, bot).map(Knobs::from);
        made.push((works(judge, knobs, bot.place), bot.send_resolved));
    }
    for manager in &receiver.alertmanager_configs {
        let knobs = alertmanager(judge, raw, manager).map(Knobs::from);
        made.push((works(judge, knobs, manager.place), manager.send_resolved));
    }
    made.into_iter().filter_map(|(knobs, resolved)| Some((knobs?, resolved.unwrap_or(true)))).collect()
}

/// What only the channel itself knows, it is asked by building it: so nothing is accepted here that `run` refuses.
fn works(judge: &mut Judge<'_>, knobs: Option<Knobs>, place: Place) -> Option<Knobs> {
    let knobs = knobs?;
    if let Err(said) = Channel::build(&knobs) {
        judge.error(place, format!("this {} integration cannot work: {said}", kind(&knobs).name()), "");
        return None;
    }
    Some(knobs)
}

/// What the outbox calls them.
pub(crate) const fn kind(knobs: &Knobs) -> IntegrationKind {
    match knobs {
        Knobs::Email(_) => IntegrationKind::Email,
        Knobs::Slack(_) => IntegrationKind::Slack,
        Knobs::PagerDuty(_) => IntegrationKind::PagerDuty,
        Knobs::Webhook(_) => IntegrationKind::Webhook,
        Knobs::Teams(_) => IntegrationKind::Teams,
        Knobs::Discord(_) => IntegrationKind::Discord,
        Knobs::Telegram(_) => IntegrationKind::Telegram,
        Knobs::Alertmanager(_) => IntegrationKind::Alertmanager,
    }
}

fn email(judge: &mut Judge<'_>, raw: &Raw, email: &At<raw::Email>) -> Option<EmailKnobs> {
    let global = &raw.global;
    let to: Vec<String> =
        email.to.split(',').map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect();
    let from = email.from.as_ref().unwrap_or(&global.smtp_from);
    let smarthost = email.smarthost.as_ref().unwrap_or(&global.smtp_smarthost);
    // A receiver that names a user has a password of its own; else both come from `global`.
    let (user, password) = if email.auth_username.is_some()
        || email.auth_password.is_some()
        || email.auth_password_file.is_some()
    {
        let password =
            judge.secret("auth_password", email.auth_password.as_ref(), email.auth_password_file.as_ref());
        (email.auth_username.as_ref(), password)
    } else {
        let (text, file) = (global.smtp_auth_password.as_ref(), global.smtp_auth_password_file.as_ref());
        (global.smtp_auth_username.as_ref(), judge.secret("smtp_auth_password", text, file))
    };
    let user = user.or(global.smtp_auth_username.as_ref());
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user.value.clone(), password.value)),
        (Some(user), None) => {
            judge.error(user.place, "there is a user name, but no password", "set `auth_password_file`");
            None
        }
        (None, Some(password)) => {
            judge.error(password.place, "there is a password, but no user name", "set `auth_username`");
            None
        }
        (None, None) => None,
    };
    // A relay on this machine has seldom a certificate, and nobody is on the way to it.
    let host = smarthost.rsplit_once(':').map_or("", |(host, _)| host);
    let needs_tls = login.is_some() || !is_loopback(host);
    let require_tls = email.require_tls.or(global.smtp_require_tls).unwrap_or(needs_tls);
    let tls = email.tls_config.as_ref().or(global.smtp_tls_config.as_ref());
    let ca_file = tls.and_then(|tls| tls.ca_file.as_ref()).map(|path| judge.readable(path));
    let server_name = tls.and_then(|tls| tls.server_name.as_ref()).map(|name| name.value.clone());
    Some(EmailKnobs {
        smarthost: smarthost.value.clone(),
        from: from.value.clone(),
        to,
        hello: email.hello.as_ref().or(global.smtp_hello.as_ref()).map(|hello| hello.value.clone()),
        login,
        require_tls,
        ca_file,
        server_name,
    })
}

fn slack(judge: &mut Judge<'_>, raw: &Raw, slack: &At<raw::Slack>) -> Option<SlackKnobs> {
    let global = &raw.global;
    let own_token = judge.secret("app_token", slack.app_token.as_ref(), slack.app_token_file.as_ref());
    let own_hook = judge.secret("api_url", slack.api_url.as_ref(), slack.api_url_file.as_ref());
    let bearer = login(judge, slack.http_config.as_ref().or(global.http_config.as_ref()));
    if let Some(knobs) = posts_as_app(judge, raw, slack, own_hook.as_ref(), bearer.as_ref()) {
        return Some(knobs);
    }
    no_login(judge, slack.http_config.as_ref(), "use `app_token_file`");
    let (token, hook) = match (own_token, own_hook) {
        (Some(_), Some(hook)) => {
            let said = "`app_token` and `api_url` are both set: one posts as an app, the other to a webhook";
            judge.push(Complaint::error(said), hook.place, "take one of them out");
            return None;
        }
        (None, None) if mentions(slack) => return None,
        (None, None) => {
            let token = judge.secret(
                "slack_app_token",
                global.slack_app_token.as_ref(),
                global.slack_app_token_file.as_ref(),
            );
            let hook = judge.secret(
                "slack_api_url",
                global.slack_api_url.as_ref(),
                global.slack_api_url_file.as_ref(),
            );
            // An app can update its messages in place, a webhook cannot.
            if token.is_some() { (token, None) } else { (None, hook) }
        }
        own => own,
    };
    match (token, hook) {
        (Some(token), _) => {
            let app_url = slack.app_url.as_ref().unwrap_or(&global.slack_app_url);
            let Some(channel) = &slack.channel else {
                judge.error(
                    slack.place,
                    "a Slack app needs `channel`",
                    r##"for example `channel: "#oncall"`"##,
                );
                return None;
            };
            Some(SlackKnobs::app(app_url.value.clone(), token.value, channel.value.clone()))
        }
        (None, Some(hook)) => {
            if let Some(channel) = &slack.channel {
                let said = "an incoming webhook posts to its own channel: `channel` does nothing here";
                judge.warn(channel.place, said, "take it out, or use `app_token` in place of `api_url`");
            }
            Some(SlackKnobs::webhook(hook.value))
        }
        (None, None) => {
            judge.error(
                slack.place,
                "this Slack integration has neither `app_token` nor `api_url`, and `global` has none either",
                "set `app_token_file` (messages are updated in place) or `api_url_file` (an incoming webhook)",
            );
            None
        }
    }
}

/// Alertmanager's older way to post as an app: the method's address as `api_url`, the token in `http_config`.
fn posts_as_app(
    judge: &mut Judge<'_>,
    raw: &Raw,
    slack: &At<raw::Slack>,
    own_hook: Option<&At<Secret>>,
    login: Option<&Login>,
) -> Option<SlackKnobs> {
    let global = || raw.global.slack_api_url.as_ref().map(|url| url.value.0.clone());
    let url = own_hook.map(|url| url.value.clone()).or_else(global)?;
    let is_method = url.expose().trim_end_matches('/').ends_with("/chat.postMessage");
    let (true, Some(Login::Scheme(_, token))) = (is_method, login) else { return None };
    let Some(channel) = &slack.channel else {
        judge.error(slack.place, "a Slack app needs `channel`", r##"for example `channel: "#oncall"`"##);
        return None;
    };
    Some(SlackKnobs::app(url.expose().to_owned(), token.clone(), channel.value.clone()))
}

/// Whether the integration names a secret of its own, which then could not be read.
fn mentions(slack: &raw::Slack) -> bool {
    slack.app_token.is_some()
        || slack.app_token_file.is_some()
        || slack.api_url.is_some()
        || slack.api_url_file.is_some()
}

fn pagerduty(judge: &mut Judge<'_>, raw: &Raw, pager: &At<raw::PagerDuty>) -> Option<PagerDutyKnobs> {
    let url = pager.url.as_ref().unwrap_or(&raw.global.pagerduty_url);
    no_login(judge, pager.http_config.as_ref(), "PagerDuty knows us by the `routing_key`");
    let key = judge.secret("routing_key", pager.routing_key.as_ref(), pager.routing_key_file.as_ref());
    if pager.routing_key.is_none() && pager.routing_key_file.is_none() {
        judge.error(pager.place, "this PagerDuty integration has no `routing_key`", "set `routing_key_file`");
    }
    Some(PagerDutyKnobs { url: url.value.clone(), routing_key: key?.value })
}
