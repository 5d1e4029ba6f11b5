//! The integrations of a receiver: what reaches them, completed from `global`.

use beaconfire_notify::{EmailKnobs, Knobs, PagerDutyKnobs, SlackKnobs, WebhookKnobs};
use beaconfire_outbox::IntegrationKind;

use crate::complain::Complaint;
use crate::de::At;
use crate::judge::Judge;
use crate::node::Place;
use crate::raw::{self, Raw};

/// The channels of a receiver, each with whether it hears of resolves; in the order email, slack, pagerduty, webhook.
pub(crate) fn channels(judge: &mut Judge<'_>, raw: &Raw, receiver: &raw::Receiver) -> Vec<(Knobs, bool)> {
    let mut made: Vec<(Option<Knobs>, Option<bool>)> = Vec::new();
    for email in &receiver.email_configs {
        made.push((self::email(judge, raw, email).map(Knobs::from), email.send_resolved));
    }
    for slack in &receiver.slack_configs {
        made.push((self::slack(judge, raw, slack).map(Knobs::from), slack.send_resolved));
    }
    for pager in &receiver.pagerduty_configs {
        made.push((pagerduty(judge, raw, pager).map(Knobs::from), pager.send_resolved));
    }
    for hook in &receiver.webhook_configs {
        made.push((webhook(judge, hook).map(Knobs::from), hook.send_resolved));
    }
    made.into_iter().filter_map(|(knobs, resolved)| Some((knobs?, resolved.unwrap_or(true)))).collect()
}

/// What the outbox calls them.
pub(crate) const fn kind(knobs: &Knobs) -> IntegrationKind {
    match knobs {
        Knobs::Email(_) => IntegrationKind::Email,
        Knobs::Slack(_) => IntegrationKind::Slack,
        Knobs::PagerDuty(_) => IntegrationKind::PagerDuty,
        Knobs::Webhook(_) => IntegrationKind::Webhook,
    }
}

fn email(judge: &mut Judge<'_>, raw: &Raw, email: &At<raw::Email>) -> Option<EmailKnobs> {
    let global = &raw.global;
    let to: Vec<String> =
        email.to.split(',').map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect();
    if to.is_empty() {
        judge.error(email.to.place, "`to` names nobody", "for example `to: oncall@example.com`");
    }
    for address in &to {
        self::address(judge, "to", address, email.to.place);
    }
    let from = email.from.as_ref().unwrap_or(&global.smtp_from);
    self::address(judge, "from", from, from.place);
    let smarthost = email.smarthost.as_ref().unwrap_or(&global.smtp_smarthost);
    let port = smarthost
        .rsplit_once(':')
        .filter(|(host, _)| !host.is_empty())
        .and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none() {
        judge.error(
            smarthost.place,
            format!("`{}` is not HOST:PORT", smarthost.value),
            "for example smtp.example.com:587, or port 465 for TLS from the first byte",
        );
    }
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
    let require_tls = email.require_tls.unwrap_or(global.smtp_require_tls);
    if !require_tls && port != Some(465) && login.is_some() {
        judge.error(
            email.place,
            "with `require_tls: false` the password would go over the network in the clear",
            "leave `require_tls` true, or log in with nothing",
        );
    }
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

/// A mail address is told by the relay to be good or not; here only what cannot be one is refused.
fn address(judge: &mut Judge<'_>, key: &str, address: &str, place: Place) {
    // `Name <user@host>` is fine.
    let bare = address.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>')).unwrap_or(address);
    let ok = bare
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'));
    if !ok || bare.contains(char::is_whitespace) || address.contains(char::is_control) {
        judge.error(
            place,
            format!("`{key}`: `{}` is not a mail address", address.escape_debug()),
            "for example oncall@example.com",
        );
    }
}

fn slack(judge: &mut Judge<'_>, raw: &Raw, slack: &At<raw::Slack>) -> Option<SlackKnobs> {
    let global = &raw.global;
    let own_token = judge.secret("app_token", slack.app_token.as_ref(), slack.app_token_file.as_ref());
    let own_hook = judge.secret("api_url", slack.api_url.as_ref(), slack.api_url_file.as_ref());
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
            web_url(judge, "app_url", app_url, app_url.place, false)?;
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
            web_url(judge, "api_url", hook.value.expose(), hook.place, true)?;
            if let Some(channel) = &slack.channel {
                let said = "an incoming webhook posts to its own channel: `channel` does nothing here";
                judge.error(channel.place, said, "take it out, or use `app_token` in place of `api_url`");
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

/// Whether the integration names a secret of its own, which then could not be read.
fn mentions(slack: &raw::Slack) -> bool {
    slack.app_token.is_some()
        || slack.app_token_file.is_some()
        || slack.api_url.is_some()
        || slack.api_url_file.is_some()
}

fn pagerduty(judge: &mut Judge<'_>, raw: &Raw, pager: &At<raw::PagerDuty>) -> Option<PagerDutyKnobs> {
    let url = pager.url.as_ref().unwrap_or(&raw.global.pagerduty_url);
    let key = judge.secret("routing_key", pager.routing_key.as_ref(), pager.routing_key_file.as_ref());
    if pager.routing_key.is_none() && pager.routing_key_file.is_none() {
        judge.error(pager.place, "this PagerDuty integration has no `routing_key`", "set `routing_key_file`");
    }
    web_url(judge, "url", url, url.place, false)?;
    Some(PagerDutyKnobs { url: url.value.clone(), routing_key: key?.value })
}

fn webhook(judge: &mut Judge<'_>, hook: &At<raw::Webhook>) -> Option<WebhookKnobs> {
    let url = judge.secret("url", hook.url.as_ref(), hook.url_file.as_ref());
    if hook.url.is_none() && hook.url_file.is_none() {
        judge.error(
            hook.place,
            "this webhook has no `url`",
            "for example `url: https://hooks.example.com/x`",
        );
    }
    let signed =
        judge.secret("signing_secret", hook.signing_secret.as_ref(), hook.signing_secret_file.as_ref());
    let payload = hook.payload.as_ref().map_or("beaconfire", |payload| payload.as_str());
    if payload != "beaconfire"
        && let Some(written) = &hook.payload
    {
        judge.unknown("payload", written, ["beaconfire"]);
    }
    let url = url?;
    web_url(judge, "url", url.value.expose(), url.place, true)?;
    Some(WebhookKnobs { url: url.value, signing_secret: signed.map(|signed| signed.value) })
}

/// Refuses what is no web address, and doubts what goes over the network in the clear. `secret` ones are not shown.
fn web_url(judge: &mut Judge<'_>, key: &str, url: &str, place: Place, secret: bool) -> Option<()> {
    let shown = |complaint: Complaint| if secret { complaint.hidden() } else { complaint };
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let bad = if !matches!(scheme, "http" | "https") || authority.is_empty() {
        Some("is not a web address")
    } else if authority.contains('@') {
        Some("must not hold a user name or password")
    } else if url.contains(char::is_whitespace) || url.contains(char::is_control) {
        Some("holds white space")
    } else {
        None
    };
    if let Some(bad) = bad {
        let complaint = Complaint::error(format!("`{key}` {bad}")).at(judge.origins, place);
        judge.complaints.push(shown(complaint).mend("for example https://hooks.example.com/x"));
        return None;
    }
    let host = authority
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .map_or(authority, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let local =
        bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if scheme == "http" && !local {
        let complaint =
            Complaint::warning(format!("`{key}` is not https: what is sent can be read on its way"));
        let complaint = shown(complaint.at(judge.origins, place));
        judge.complaints.push(complaint.mend("use https where the other side offers it"));
    }
    Some(())
}
