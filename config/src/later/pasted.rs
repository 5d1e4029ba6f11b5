//! What of a pasted `alertmanager.yml` gives way to ours: how messages look, when they are grouped, what integrations
//! need that nobody uses. Nothing is lost by leaving it out, so it is warned of, one line a key, and taken out.

use super::{fits, walk};
use crate::node::{Node, Place, Value};

/// Keys of messages, by integration: how a message looks is ours.
const LOOKS: &[(&str, &[&str])] = &[
    ("email_configs", &["headers", "html", "text"]),
    (
        "slack_configs",
        &[
            "actions",
            "blocks",
            "callback_id",
            "color",
            "fallback",
            "fields",
            "footer",
            "icon_emoji",
            "icon_url",
            "image_url",
            "link_names",
            "message_text",
            "mrkdwn_in",
            "pretext",
            "short_fields",
            "text",
            "thumb_url",
            "title",
            "title_link",
            "username",
        ],
    ),
    (
        "pagerduty_configs",
        &[
            "class",
            "client",
            "client_url",
            "component",
            "custom_details",
            "description",
            "details",
            "group",
            "images",
            "links",
            "severity",
            "source",
        ],
    ),
    ("msteams_configs", &["title", "summary", "text"]),
    ("msteamsv2_configs", &["title", "text"]),
    ("discord_configs", &["title", "message", "content", "username", "avatar_url"]),
    ("telegram_configs", &["message", "parse_mode"]),
];

/// What keys of `global` begin with that belong to integrations we lack.
const GLOBALS: [&str; 10] = [
    "opsgenie_",
    "victorops_",
    "wechat_",
    "webex_",
    "jira_",
    "rocketchat_",
    "mattermost_",
    "pushover_",
    "incidentio_",
    "sns_",
];

/// Other keys, with what holds instead.
const OTHERS: &[(&str, &str)] = &[
    ("global.resolve_timeout", "incidents end as `incidents.resolve_after` says"),
    ("global.smtp_auth_identity", IDENTITY),
    ("receivers.*.email_configs.*.auth_identity", IDENTITY),
    ("receivers.*.email_configs.*.threading", "mails about one incident are always one thread"),
    ("receivers.*.slack_configs.*.update_message", "an app always updates its message in place"),
    ("receivers.*.webhook_configs.*.max_alerts", "each message is about one incident"),
    ("receivers.*.*.*.timeout", "a request may take 10 s"),
    ("**.http_config.follow_redirects", "redirects are never followed"),
    ("**.http_config.enable_http2", "HTTP/2 is spoken where the other side offers it"),
];

const IDENTITY: &str = "the login has the user name's own identity";

/// What is to be warned of and cut: its place, and the line.
pub(super) fn way_given(tree: &Node) -> Vec<(Place, String)> {
    let mut found = Vec::new();
    walk(tree, &mut Vec::new(), &mut |path, entry| {
        let said = instead(path, &entry.node)?;
        found.push((entry.place, format!("`{}` gives way to ours: {said}", entry.key)));
        Some(())
    });
    found
}

fn instead(path: &[&str], node: &Node) -> Option<&'static str> {
    let fitting = |pattern: &str| fits(&pattern.split('.').collect::<Vec<_>>(), path);
    if let Some((_, said)) = OTHERS.iter().find(|(pattern, _)| fitting(pattern)) {
        return Some(said);
    }
    match path {
        ["global", key] if GLOBALS.iter().any(|start| key.starts_with(start)) => {
            Some("it is of an integration that is not in this version")
        }
        // Alertmanager's is a list of files with Go templates; a mapping would be ours.
        ["templates"] if matches!(node.value, Value::List(_)) => {
            Some("Go templates are not read here; ours stand under the same key, by channel")
        }
        ["receivers", _, integration, _, key] => LOOKS
            .iter()
            .find(|(name, keys)| name == integration && keys.contains(key))
            .map(|_| "how messages look, `templates` say by channel"),
        _ => None,
    }
}
