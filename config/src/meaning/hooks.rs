//! The integrations that are an address and little more: webhooks, Teams, Discord, Telegram and an Alertmanager; and
//! `http_config`, which says how to log in there.

use beaconfire_notify::{
    AlertmanagerKnobs, DiscordKnobs, Login, Payload, TeamsKnobs, TelegramKnobs, WebhookKnobs,
};

use crate::complain::Complaint;
use crate::de::At;
use crate::judge::Judge;
use crate::raw::{self, HttpConfig, Raw};

pub(crate) fn webhook(
    judge: &mut Judge<'_>,
    raw: &Raw,
    hook: &At<raw::Webhook>,
    receiver: &str,
) -> Option<WebhookKnobs> {
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
    let payload = match &hook.payload {
        None => Payload::Beaconfire,
        Some(payload) => {
            let parse = |name: &str| match name {
                "beaconfire" => Some(Payload::Beaconfire),
                "alertmanager" => Some(Payload::Alertmanager { receiver: receiver.to_owned() }),
                "cloudevents" => Some(Payload::CloudEvents),
                _ => None,
            };
            judge.word("payload", payload, parse, &["beaconfire", "alertmanager", "cloudevents"])?
        }
    };
    let login = login(judge, hook.http_config.as_ref().or(raw.global.http_config.as_ref()));
    let url = url?;
    if url.value.expose().starts_with("http://") && signed.is_none() {
        let said = "this webhook is neither https nor signed: anybody on the way can read what is sent, and change it";
        judge.push(Complaint::warning(said), hook.place, "use https, or set `signing_secret_file`");
    }
    Some(WebhookKnobs { url: url.value, signing_secret: signed.map(|signed| signed.value), payload, login })
}

pub(crate) fn teams(judge: &mut Judge<'_>, hooked: &At<raw::Hooked>) -> Option<TeamsKnobs> {
    let url = address(judge, hooked, "this Teams integration")?;
    Some(TeamsKnobs { url })
}

pub(crate) fn discord(judge: &mut Judge<'_>, hooked: &At<raw::Hooked>) -> Option<DiscordKnobs> {
    let url = address(judge, hooked, "this Discord integration")?;
    Some(DiscordKnobs { url })
}

fn address(judge: &mut Judge<'_>, hooked: &At<raw::Hooked>, what: &str) -> Option<beaconfire_model::Secret> {
    no_login(judge, hooked.http_config.as_ref(), "the address itself is the secret");
    let url = judge.secret("webhook_url", hooked.webhook_url.as_ref(), hooked.webhook_url_file.as_ref());
    if hooked.webhook_url.is_none() && hooked.webhook_url_file.is_none() {
        judge.error(hooked.place, format!("{what} has no `webhook_url`"), "set `webhook_url_file`");
    }
    Some(url?.value)
}

pub(crate) fn telegram(judge: &mut Judge<'_>, raw: &Raw, bot: &At<raw::Telegram>) -> Option<TelegramKnobs> {
    no_login(judge, bot.http_config.as_ref(), "the bot's token is what Telegram knows us by");
    let global = &raw.global;
    let token = if bot.bot_token.is_some() || bot.bot_token_file.is_some() {
        judge.secret("bot_token", bot.bot_token.as_ref(), bot.bot_token_file.as_ref())
    } else if global.telegram_bot_token.is_some() || global.telegram_bot_token_file.is_some() {
        let (text, file) = (global.telegram_bot_token.as_ref(), global.telegram_bot_token_file.as_ref());
        judge.secret("telegram_bot_token", text, file)
    } else {
        judge.error(
            bot.place,
            "this Telegram integration has no `bot_token`, and `global` has none either",
            "set `bot_token_file`",
        );
        None
    };
    let chat = match (&bot.chat_id, &bot.chat_id_file) {
        (Some(_), Some(file)) => {
            judge.error(file.place, "`chat_id` and `chat_id_file` are both set", "take one of them out");
            None
        }
        (Some(chat), None) => Some(chat.value.clone()),
        (None, Some(file)) => match judge.slurp(file, 1_024) {
            Ok(text) => Some(text.trim().to_owned()),
            Err(said) => {
                judge.error(file.place, said, "");
                None
            }
        },
        (None, None) => {
            judge.error(bot.place, "this Telegram integration has no `chat_id`", "it is a number");
            None
        }
    };
    Some(TelegramKnobs {
        api_url: bot.api_url.as_ref().unwrap_or(&global.telegram_api_url).value.clone(),
        token: token?.value,
        chat: chat?,
        thread: bot.message_thread_id.as_ref().map(|thread| thread.value),
        quiet: bot.disable_notifications.unwrap_or(false),
    })
}

pub(crate) fn alertmanager(
    judge: &mut Judge<'_>,
    raw: &Raw,
    manager: &At<raw::Alertmanager>,
) -> Option<AlertmanagerKnobs> {
    let login = login(judge, manager.http_config.as_ref().or(raw.global.http_config.as_ref()));
    Some(AlertmanagerKnobs { url: manager.url.value.clone(), login })
}

/// The login of an `http_config`, where it has one.
pub(crate) fn login(judge: &mut Judge<'_>, config: Option<&At<HttpConfig>>) -> Option<Login> {
    let config = config?;
    let bearer = config.bearer_token.is_some() || config.bearer_token_file.is_some();
    let ways = [config.authorization.is_some(), config.basic_auth.is_some(), bearer];
    if ways.into_iter().filter(|way| *way).count() > 1 {
        let said = "`authorization`, `basic_auth` and `bearer_token` say the same thing in different ways";
        judge.error(config.place, said, "leave one of them");
        return None;
    }
    if let Some(said) = &config.authorization {
        let text = said.credentials.as_ref();
        let Some(secret) = judge.secret("credentials", text, said.credentials_file.as_ref()) else {
            if text.is_none() && said.credentials_file.is_none() {
                judge.error(said.place, "`authorization` has no `credentials`", "set `credentials_file`");
            }
            return None;
        };
        let scheme = said.scheme.as_ref().map_or("Bearer", |scheme| scheme.as_str());
        return Some(Login::Scheme(scheme.to_owned(), secret.value));
    }
    if let Some(basic) = &config.basic_auth {
        let password = judge.secret("password", basic.password.as_ref(), basic.password_file.as_ref());
        let Some(user) = &basic.username else {
            judge.error(basic.place, "`basic_auth` has no `username`", "");
            return None;
        };
        // Some services take a token as the user's name, and nothing as the password.
        let password = password.map(|password| password.value).unwrap_or_default();
        return Some(Login::Basic(user.value.clone(), password));
    }
    let token =
        judge.secret("bearer_token", config.bearer_token.as_ref(), config.bearer_token_file.as_ref())?;
    Some(Login::Scheme("Bearer".to_owned(), token.value))
}

/// Refuses a login for an integration that sends none: it would be believed to be sent.
pub(crate) fn no_login(judge: &mut Judge<'_>, config: Option<&At<HttpConfig>>, instead: &str) {
    let Some(config) = config else { return };
    if **config != HttpConfig::default() {
        judge.error(config.place, "this integration sends no credentials of `http_config`", instead);
    }
}
