//! What the documentation names and this version does not have. It is refused by name: a key that did nothing would be
//! believed, and found out at the worst moment.

use crate::complain::{Complaint, Origins};
use crate::node::{Entry, Node, Place, Value};

mod pasted;

/// Paths of keys, with what to say of them. `*` stands for any one key or item, `**` for any number of them.
const LATER: &[(&str, &str)] = &[
    ("findings", "overrides and suppressions of findings are not in this version"),
    ("images", "image policies are not in this version"),
    ("kafka.ingest_topic", "HTTP inputs are not in this version"),
    (
        "services.*.rules.*.window",
        "a service may change `enabled`, `threshold` and `critical_above` of a rule; `window` is not in this version",
    ),
    (
        "services.*.rules.*.severity",
        "a service may change `enabled`, `threshold` and `critical_above` of a rule; `severity` is not in this version",
    ),
    (
        "services.*.rules.*.throttle",
        "a service may change `enabled`, `threshold` and `critical_above` of a rule; `throttle` is not in this version",
    ),
    (
        "services.*.rules.*.matchers",
        "a service may change `enabled`, `threshold` and `critical_above` of a rule; `matchers` is not in this version",
    ),
    (
        "services.*.rules.*.except",
        "a service may change `enabled`, `threshold` and `critical_above` of a rule; `except` is not in this version",
    ),
    ("throttle.approval", "approval of decisions is not in this version: use `mode: dry_run` to look first"),
    ("throttle.outputs", "outputs are not in this version: enforcers fetch decisions from `/v1/decisions`"),
    ("throttle.budget.client_share", SHARES),
    ("throttle.budget.client_floor", SHARES),
    ("throttle.budget.request_share", SHARES),
    ("http.tls_server_config.client_auth_type", CLIENT_CERTIFICATES),
    ("http.tls_server_config.client_ca_file", CLIENT_CERTIFICATES),
    ("http.tls_server_config.client_ca", CLIENT_CERTIFICATES),
    ("http.tls_server_config.client_allowed_sans", CLIENT_CERTIFICATES),
    (
        "http.tls_server_config.cert",
        "a certificate in the text of the configuration is not in this version: use `cert_file`",
    ),
    (
        "http.tls_server_config.key",
        "a key in the text of the configuration is not in this version: use `key_file`",
    ),
    ("http.tls_server_config.min_version", SUITES),
    ("http.tls_server_config.max_version", SUITES),
    ("http.tls_server_config.cipher_suites", SUITES),
    ("http.tls_server_config.curve_preferences", SUITES),
    ("http.tls_server_config.prefer_server_cipher_suites", SUITES),
    ("**.http_config.proxy_url", PROXY),
    ("**.http_config.proxy_from_environment", PROXY),
    ("**.http_config.no_proxy", PROXY),
    ("**.http_config.proxy_connect_header", PROXY),
    ("**.http_config.oauth2", HTTP_CONFIG),
    ("**.http_config.http_headers", HTTP_CONFIG),
    (
        "**.http_config.tls_config",
        "`tls_config` of HTTP is not in this version: the machine's authorities are trusted",
    ),
    ("**.http_config.basic_auth.username_file", HTTP_CONFIG),
    ("receivers.*.*.*.tls_config.insecure_skip_verify", INSECURE),
    ("receivers.*.*.*.tls_config.cert_file", CLIENT_TLS),
    ("receivers.*.*.*.tls_config.key_file", CLIENT_TLS),
    ("receivers.*.*.*.tls_config.min_version", SUITES),
    ("receivers.*.*.*.tls_config.max_version", SUITES),
    ("global.smtp_tls_config.insecure_skip_verify", INSECURE),
    ("global.smtp_tls_config.cert_file", CLIENT_TLS),
    ("global.smtp_tls_config.key_file", CLIENT_TLS),
    ("global.smtp_tls_config.min_version", SUITES),
    ("global.smtp_tls_config.max_version", SUITES),
];

const INSECURE: &str =
    "leaving certificates unchecked is not in this version: name the authority in `ca_file`";
const CLIENT_TLS: &str =
    "client certificates for mail are not in this version: use `auth_username` and `auth_password`";
const SHARES: &str =
    "budgets by share are not in this version: `per_minute` and `active` bound what is decided";
const CLIENT_CERTIFICATES: &str =
    "client certificates are not in this version: use `http.tokens` or `http.basic_auth_users`";
const SUITES: &str =
    "choosing TLS versions and suites is not in this version: TLS 1.2 and 1.3 with safe suites are offered";
const HTTP_CONFIG: &str = "this is not in this version: of `http_config` there are `authorization`, `basic_auth`, `bearer_token` and \
     `bearer_token_file`";
const PROXY: &str =
    "proxies of single integrations are not in this version: set HTTPS_PROXY and NO_PROXY for the process";

/// Integrations of Alertmanager that we lack.
const INTEGRATIONS: [&str; 10] = [
    "incidentio_configs",
    "jira_configs",
    "mattermost_configs",
    "opsgenie_configs",
    "pushover_configs",
    "rocketchat_configs",
    "sns_configs",
    "victorops_configs",
    "webex_configs",
    "wechat_configs",
];

/// Formats of records that the documentation names and this version does not read.
pub const FORMATS: [&str; 2] = ["k8s-audit", "trivy"];

/// Complains of every key that this version does not have, and of what of an Alertmanager's gives way to ours; and takes
/// it out, so that it is not called unknown as well.
pub(crate) fn refuse(tree: &mut Node, origins: &Origins, out: &mut Vec<Complaint>) {
    for (place, said) in pasted::way_given(tree) {
        out.push(Complaint::warning(said).at(origins, place));
        tree.cut(place);
    }
    let mut found = Vec::new();
    walk(tree, &mut Vec::new(), &mut |path, entry| {
        let said = said_of(path)?;
        found.push((entry.place, entry.key.clone(), said));
        Some(())
    });
    for (place, key, said) in found {
        out.push(Complaint::error(format!("`{key}`: {said}")).mend("take the key out").at(origins, place));
        tree.cut(place);
    }
    let mut templates = Vec::new();
    for section in ["global", "route", "receivers"] {
        if let Some(node) = tree.get(section) {
            go_templates(node, &mut templates);
        }
    }
    for place in templates {
        out.push(
            Complaint::error("Go templates are not in this version: here a plain text must stand")
                .mend("take the `{{ … }}` out")
                .at(origins, place),
        );
    }
}

/// Visits every key with its path, parents first; what is below one that `visit` takes is left out.
fn walk<'t>(
    node: &'t Node,
    path: &mut Vec<&'t str>,
    visit: &mut impl FnMut(&[&'t str], &'t Entry) -> Option<()>,
) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                path.push(&entry.key);
                if visit(path, entry).is_none() {
                    walk(&entry.node, path, visit);
                }
                path.pop();
            }
        }
        Value::List(items) => {
            for item in items {
                path.push("*");
                walk(item, path, visit);
                path.pop();
            }
        }
        _ => {}
    }
}

fn said_of(path: &[&str]) -> Option<String> {
    if let Some((_, said)) = LATER.iter().find(|(pattern, _)| {
        let pattern: Vec<&str> = pattern.split('.').collect();
        fits(&pattern, path)
    }) {
        return Some((*said).to_owned());
    }
    match path {
        ["receivers", _, key] if INTEGRATIONS.contains(key) => Some(
            "this integration is not in this version; there are email_configs, slack_configs, pagerduty_configs, \
             webhook_configs, msteamsv2_configs, discord_configs, telegram_configs and alertmanager_configs"
                .to_owned(),
        ),
        ["global", key @ ("smtp_auth_secret" | "smtp_auth_secret_file" | "smtp_force_implicit_tls")] => {
            Some(format!("`{key}` is not in this version: log in with `smtp_auth_username` and `smtp_auth_password`"))
        }
        ["receivers", _, "pagerduty_configs", _, "service_key" | "service_key_file"] => Some(
            "PagerDuty's Events API v1 is not in this version: use `routing_key` of an Events v2 integration".to_owned(),
        ),
        ["receivers", _, "email_configs", _, "auth_secret" | "auth_secret_file"] => Some(
            "CRAM-MD5 is not in this version: use `auth_username` and `auth_password`".to_owned(),
        ),
        ["receivers", _, "email_configs", _, "force_implicit_tls"] => {
            Some("choosing TLS from the first byte is not in this version: port 465 has it, others use STARTTLS".to_owned())
        }
        _ => None,
    }
}

/// Whether a path fits a pattern.
fn fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**", rest @ ..], _) => fits(rest, path) || (!path.is_empty() && fits(pattern, &path[1..])),
        (["*", rest @ ..], [_, path @ ..]) => fits(rest, path),
        ([name, rest @ ..], [key, path @ ..]) => name == key && fits(rest, path),
        _ => false,
    }
}

/// Places of texts that hold a Go template.
fn go_templates(node: &Node, out: &mut Vec<Place>) {
    match &node.value {
        Value::Text(text) | Value::Loose(text) if text.contains("{{") => out.push(node.place),
        Value::List(items) => items.iter().for_each(|item| go_templates(item, out)),
        Value::Map(entries) => entries.iter().for_each(|entry| go_templates(&entry.node, out)),
        _ => {}
    }
}
