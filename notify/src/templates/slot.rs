//! What of a message a template may replace, and how text is made fit for that place.

use beaconfire_model::escape_slack;
use beaconfire_outbox::IntegrationKind;

use crate::render::{discord, telegram, words};

/// One replaceable part of a channel's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// A mail's subject.
    EmailSubject,
    /// A mail's plain text.
    EmailText,
    /// A mail's HTML.
    EmailHtml,
    /// The header of a Slack message.
    SlackTitle,
    /// What stands below it, in mrkdwn.
    SlackText,
    /// The one line that PagerDuty reads out.
    PagerDutySummary,
    /// The first line of a card.
    TeamsTitle,
    /// The lines below it.
    TeamsText,
    /// The title of an embed.
    DiscordTitle,
    /// Its description, in Markdown.
    DiscordText,
    /// The first line of a Telegram message, in its HTML.
    TelegramTitle,
    /// What stands below it.
    TelegramText,
}

/// How values are escaped where they stand, and how the whole is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One line, in which nothing is read but text.
    Line,
    /// Lines, in which nothing is read but text.
    Plain,
    /// HTML of a mail.
    Html,
    /// Slack's.
    Mrkdwn,
    /// Discord's.
    Markdown,
    /// HTML as Telegram's Bot API reads it.
    Telegram,
}

impl Slot {
    /// All of them, by channel.
    pub const ALL: [Self; 12] = [
        Self::EmailSubject,
        Self::EmailText,
        Self::EmailHtml,
        Self::SlackTitle,
        Self::SlackText,
        Self::PagerDutySummary,
        Self::TeamsTitle,
        Self::TeamsText,
        Self::DiscordTitle,
        Self::DiscordText,
        Self::TelegramTitle,
        Self::TelegramText,
    ];

    /// Its name in the configuration, below `templates`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmailSubject => "email.subject",
            Self::EmailText => "email.text",
            Self::EmailHtml => "email.html",
            Self::SlackTitle => "slack.title",
            Self::SlackText => "slack.text",
            Self::PagerDutySummary => "pagerduty.summary",
            Self::TeamsTitle => "msteams.title",
            Self::TeamsText => "msteams.text",
            Self::DiscordTitle => "discord.title",
            Self::DiscordText => "discord.text",
            Self::TelegramTitle => "telegram.title",
            Self::TelegramText => "telegram.text",
        }
    }

    /// Whose messages it is part of.
    pub const fn kind(self) -> IntegrationKind {
        match self {
            Self::EmailSubject | Self::EmailText | Self::EmailHtml => IntegrationKind::Email,
            Self::SlackTitle | Self::SlackText => IntegrationKind::Slack,
            Self::PagerDutySummary => IntegrationKind::PagerDuty,
            Self::TeamsTitle | Self::TeamsText => IntegrationKind::Teams,
            Self::DiscordTitle | Self::DiscordText => IntegrationKind::Discord,
            Self::TelegramTitle | Self::TelegramText => IntegrationKind::Telegram,
        }
    }

    const fn form(self) -> Form {
        match self {
            Self::EmailSubject | Self::PagerDutySummary | Self::TeamsTitle | Self::SlackTitle => Form::Line,
            Self::EmailText | Self::TeamsText => Form::Plain,
            Self::EmailHtml => Form::Html,
            Self::SlackText => Form::Mrkdwn,
            Self::DiscordTitle | Self::DiscordText => Form::Markdown,
            Self::TelegramTitle | Self::TelegramText => Form::Telegram,
        }
    }

    /// Most bytes that may come out. What is longer and may be cut is cut further where the message is made; HTML may
    /// not, since half an element would be left.
    pub(super) const fn max(self) -> usize {
        match self {
            Self::TelegramTitle => 1_000,
            // Telegram takes 4,096 characters; links and the foot need some.
            Self::TelegramText => 3_000,
            _ => 128 * 1024,
        }
    }

    /// A value as it may stand here: text, whatever it holds.
    pub(super) fn escape(self, value: &str) -> String {
        match self.form() {
            Form::Line | Form::Plain => value.to_owned(),
            Form::Html => html(value),
            Form::Mrkdwn => escape_slack(value),
            Form::Markdown => discord::escape(value),
            Form::Telegram => telegram::escape(&words::unlinked(value)),
        }
    }

    /// An address of ours or the operator's, which is to stay a link.
    pub(super) fn escape_link(self, href: &str) -> String {
        match self.form() {
            Form::Line | Form::Plain => href.to_owned(),
            Form::Html => html(href),
            Form::Mrkdwn => href.replace('&', "&amp;"),
            Form::Markdown => href.replace('(', "%28").replace(')', "%29"),
            Form::Telegram => telegram::escape(href),
        }
    }

    /// What came out, without what no place takes: line ends of one line, control characters of all.
    pub(super) fn settle(self, text: &str) -> String {
        let one = self.form() == Form::Line || matches!(self, Self::DiscordTitle | Self::TelegramTitle);
        let kept = |c: char| match c {
            '\n' | '\t' if one => Some(' '),
            '\n' | '\t' => Some(c),
            c => Some(c).filter(|c| !c.is_control()),
        };
        text.trim().chars().filter_map(kept).collect()
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
