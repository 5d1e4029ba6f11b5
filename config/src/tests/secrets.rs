//! Secrets are read from where they stand, and never shown.

use super::*;

const CANARY: &str = "S3CRET-xyz";

/// A secret in every place that takes one.
fn with_canaries(yaml: &str) -> Desk {
    let hash = "$2b$10$FVMeqXkP6fPlu0VkueW36uED5CpYkwFf1FCw.XfKI0LsDm/SnDv6e";
    load(&format!(
        "kafka:
  brokers: [a:9092]
  topics: [{{name: t}}]
  properties: {{sasl.password: {CANARY}, ssl.key.pem: {CANARY}, sasl.username: {CANARY}, security.protocol: sasl_ssl}}
clients: {{trusted_proxies: [10.0.0.0/8]}}
global: {{smtp_auth_username: u, smtp_auth_password: {CANARY}, slack_app_token: {CANARY}}}
route: {{receiver: a}}
receivers:
  - name: a
    email_configs: [{{to: a@b.c}}, {{to: a@b.c, auth_username: u, auth_password: {CANARY}}}]
    slack_configs: [{{channel: c}}, {{channel: c, app_token: {CANARY}}}, {{api_url: 'https://hooks.slack.com/{CANARY}'}}]
    pagerduty_configs: [{{routing_key: {CANARY}}}]
    webhook_configs: [{{url: 'https://x.example.com/{CANARY}', signing_secret: whsec_UzNDUkVULXh5eiBTM0NSRVQteHl6IFMzQ1JFVC14eXo=}}]
interactions: {{slack_signing_secret: {CANARY}, pagerduty_webhook_secret: {CANARY}}}
http:
  tokens: [{{name: t, role: viewer, token: {CANARY}-0123456789}}]
  basic_auth_users: {{admin: '{hash}'}}
{yaml}"
    ))
}

#[track_caller]
fn holds_no_canary(text: &str) {
    for secret in [CANARY, "FVMeqXkP6fPlu0", "UzNDUkVU"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn neither_debug_nor_print_shows_one() {
    let desk = with_canaries("");
    let config = desk.config();
    holds_no_canary(&format!("{config:?}"));
    holds_no_canary(config.redacted());
    holds_no_canary(&desk.said());
    assert!(config.redacted().contains("<redacted>"));
    // What cannot be secret is shown.
    assert!(config.redacted().contains("sasl_ssl"), "{}", config.redacted());
    let kafka = config.kafka.unwrap();
    assert_eq!(kafka.properties["sasl.password"].expose(), CANARY);
}

#[test]
fn complaints_about_their_lines_do_not_show_them() {
    for (from, to) in [
        ("auth_password: S3CRET-xyz}]", "auth_pasword: S3CRET-xyz}]"),
        ("routing_key: S3CRET-xyz", "routing_kye: S3CRET-xyz"),
        ("routing_key: S3CRET-xyz", "routing_key: [S3CRET-xyz]"),
        ("app_token: S3CRET-xyz}, ", "app_token: {S3CRET-xyz: 1}}, "),
        ("'https://hooks.slack.com/S3CRET-xyz'", "'ftp://hooks.slack.com/S3CRET-xyz'"),
        ("'https://x.example.com/S3CRET-xyz'", "'S3CRET-xyz'"),
        ("'https://x.example.com/S3CRET-xyz'", "'https://u:S3CRET-xyz@x.example.com/'"),
        ("sasl.password: S3CRET-xyz", "group.id: S3CRET-xyz"),
        ("$2b$10$FVMeqXkP6fPlu0VkueW36uED5CpYkwFf1FCw.XfKI0LsDm/SnDv6e", "S3CRET-xyz"),
        ("token: S3CRET-xyz-0123456789", "token: S3CRET-xyz"),
        ("slack_signing_secret: S3CRET-xyz", "slack_sining_secret: S3CRET-xyz"),
        ("slack_app_token: S3CRET-xyz", "slack_apptoken: S3CRET-xyz"),
        ("whsec_UzNDUkVULXh5eiBTM0NSRVQteHl6IFMzQ1JFVC14eXo=", "whsec_S3CRET-xyz"),
    ] {
        let desk = with_canaries("");
        let path = desk.sources.file.clone().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let complaints = desk.load().expect_err(to);
        holds_no_canary(&desk.show(&complaints));
        holds_no_canary(&format!("{complaints:?}"));
    }
}

#[test]
fn a_store_url_with_a_password_is_not_shown() {
    let desk = with_canaries(&format!("store: {{url: 'postgres://u:{CANARY}@h/d'}}\n"));
    let said = desk.said();
    assert!(said.contains("PostgreSQL is not in this version"), "{said}");
    holds_no_canary(&said);
}

#[test]
fn a_file_holds_one_secret_and_one_line_end() {
    for (text, secret) in [("k\n", "k"), ("k", "k"), ("k\r\n", "k"), ("k\n\n", "k\n"), (" k \n", " k ")] {
        let yaml = "receivers: [{name: p, pagerduty_configs: [{routing_key_file: secrets/pd}]}]\n";
        let config = load(yaml).with("secrets/pd", text).config();
        let beaconfire_notify::Knobs::PagerDuty(knobs) = &config.channels["p"][0] else { panic!() };
        assert_eq!(knobs.routing_key.expose(), secret, "{text:?}");
    }
}

#[test]
fn files_are_read_again_at_each_load() {
    let desk = load("kafka: {brokers: ['a:1'], topics: [{name: t}], properties: {sasl.password_file: p}}\n")
        .with("p", "one\n");
    let read = |desk: &Desk| desk.config().kafka.unwrap().properties["sasl.password"].expose().to_owned();
    assert_eq!(read(&desk), "one");
    let desk = desk.with("p", "two\n");
    assert_eq!(read(&desk), "two");
}

#[test]
fn what_cannot_be_read_is_said() {
    for (keys, said) in [
        ("routing_key_file: nowhere", "nowhere"),
        ("routing_key_file: empty", "`routing_key` is empty"),
        ("routing_key: ''", "`routing_key` is empty"),
        ("routing_key: a, routing_key_file: empty", "both set"),
        ("send_resolved: true", "has no `routing_key`"),
    ] {
        let found = load(&format!("receivers: [{{name: p, pagerduty_configs: [{{{keys}}}]}}]\n"))
            .with("empty", "\n")
            .said();
        assert!(found.contains(said), "{keys}: {found}");
    }
}
