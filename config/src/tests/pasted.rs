//! What people paste from an `alertmanager.yml`: it is taken, refused by name, or gives way with a warning a line.

use beaconfire_notify::{Knobs, Login, Payload, SlackKnobs};

use super::*;

/// Everything that an Alertmanager of some years has, with the integrations that we have.
const ALERTMANAGER: &str = r##"
global:
  resolve_timeout: 5m
  smtp_smarthost: 'smtp.example.com:587'
  smtp_from: 'alertmanager@example.com'
  smtp_hello: am.example.com
  smtp_auth_username: alertmanager
  smtp_auth_password: secret
  smtp_auth_identity: alertmanager
  smtp_require_tls: true
  slack_api_url: https://hooks.slack.com/services/T/B/X
  pagerduty_url: https://events.eu.pagerduty.com/v2/enqueue
  telegram_api_url: https://telegram.example.com
  opsgenie_api_key: k
  http_config: {follow_redirects: true, enable_http2: true}
templates: ['/etc/alertmanager/templates/*.tmpl']
route:
  receiver: team-X-mails
  group_by: ['alertname', 'cluster']
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 3h
  routes:
    - matchers: ['service=~"^(foo1|foo2|baz)$"']
      receiver: team-X-mails
      routes:
        - match: {severity: critical}
          receiver: team-X-pager
          continue: true
        - match_re: {severity: 'critical|error'}
          group_by: ['...']
          receiver: chats
receivers:
  - name: team-X-mails
    email_configs:
      - to: 'team-X+alerts@example.org, team-Y+alerts@example.org'
        send_resolved: true
        headers: {Subject: '{{ template "subject" . }}'}
        html: '{{ template "mail" . }}'
        text: ''
    slack_configs:
      - send_resolved: true
        channel: '#alerts'
        username: am
        icon_emoji: ':fire:'
        color: '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}'
        title: '{{ .CommonLabels.alertname }}'
        title_link: '{{ .ExternalURL }}'
        text: >-
          {{ range .Alerts }}{{ .Annotations.description }}{{ end }}
        fields: [{title: x, value: '{{ .Status }}', short: true}]
        actions: [{type: button, text: Runbook, url: '{{ .CommonAnnotations.runbook_url }}'}]
  - name: team-X-pager
    pagerduty_configs:
      - routing_key: k
        severity: '{{ .CommonLabels.severity }}'
        description: '{{ .CommonAnnotations.summary }}'
        details: {firing: '{{ .Alerts.Firing | len }}'}
  - name: chats
    slack_configs:
      - api_url: https://slack.com/api/chat.postMessage
        channel: C0123
        http_config: {authorization: {credentials: xoxb-1}}
    webhook_configs:
      - url: https://hooks.example.com/x
        max_alerts: 10
        http_config: {basic_auth: {username: u, password: p}}
      - {url: 'https://hooks.example.com/y', http_config: {bearer_token: t}}
    msteams_configs: [{webhook_url: 'https://prod.example.com/w/1', title: '{{ .Status }}', summary: s}]
    msteamsv2_configs: [{webhook_url: 'https://prod.example.com/w/2', text: '{{ .Status }}'}]
    discord_configs: [{webhook_url: 'https://discord.com/api/webhooks/1/x', message: '{{ .Status }}'}]
    telegram_configs: [{bot_token: '1:x', chat_id: -1001, message_thread_id: 7, message: '{{ .Status }}', parse_mode: HTML}]
"##;

#[test]
fn an_alertmanager_yml_is_taken_as_it_is() {
    let desk = load(ALERTMANAGER);
    let config = desk.config();
    let ours = ["trusted_proxies", "http.external_url", "does nothing here"];
    for complaint in &config.warnings {
        let expected = complaint.what.contains("gives way to ours")
            || ours.iter().any(|text| complaint.what.contains(text));
        assert!(expected, "{complaint}");
    }
    let ways = config.warnings.iter().filter(|complaint| complaint.what.contains("gives way")).count();
    assert_eq!(ways, 27, "{}", desk.show(&config.warnings));

    let [Knobs::Email(mail), Knobs::Slack(hook)] = config.channels["team-X-mails"].as_slice() else {
        panic!()
    };
    assert_eq!(mail.to.len(), 2);
    assert_eq!(mail.smarthost, "smtp.example.com:587");
    assert_eq!(mail.login.as_ref().unwrap().0, "alertmanager");
    assert!(matches!(hook, SlackKnobs::Webhook { url } if url.expose().ends_with("/T/B/X")));
    let [Knobs::PagerDuty(pager)] = config.channels["team-X-pager"].as_slice() else { panic!() };
    assert!(pager.url.contains(".eu."));
    let chats = config.channels["chats"].as_slice();
    let [
        Knobs::Slack(SlackKnobs::App { channel, token, .. }),
        Knobs::Webhook(basic),
        Knobs::Webhook(bearer),
        Knobs::Teams(_),
        Knobs::Teams(_),
        Knobs::Discord(_),
        Knobs::Telegram(bot),
    ] = chats
    else {
        panic!("{chats:?}")
    };
    assert_eq!((channel.as_str(), token.expose()), ("C0123", "xoxb-1"));
    assert!(
        matches!(&basic.login, Some(Login::Basic(user, password)) if user == "u" && password.expose() == "p")
    );
    assert!(
        matches!(&bearer.login, Some(Login::Scheme(way, token)) if way == "Bearer" && token.expose() == "t")
    );
    assert_eq!((bot.chat.as_str(), bot.thread), ("-1001", Some(7)));
    assert_eq!(bot.api_url, "https://telegram.example.com");
    let names: Vec<&str> = config.receivers["chats"].iter().map(|held| &*held.name).collect();
    let all = ["slack-0", "webhook-0", "webhook-1", "msteams-0", "msteams-1", "discord-0", "telegram-0"];
    assert_eq!(names, all);
    // No secret of it is shown.
    for secret in ["xoxb-1", "/T/B/X", "password: p", "'1:x'", "/w/1", "webhooks/1"] {
        assert!(!config.redacted().contains(secret), "{secret}");
    }
}

#[test]
fn what_is_ours_is_taken_too() {
    let config = load(
        "receivers: [{name: a, webhook_configs: [{url: 'https://x/a', payload: alertmanager}, \
         {url: 'https://x/b', payload: cloudevents}], \
         alertmanager_configs: [{url: 'http://am:9093/base', http_config: {}}]}]\n",
    )
    .config();
    let [Knobs::Webhook(first), Knobs::Webhook(second), Knobs::Alertmanager(fed)] =
        config.channels["a"].as_slice()
    else {
        panic!()
    };
    assert_eq!(first.payload, Payload::Alertmanager { receiver: "a".into() });
    assert_eq!(second.payload, Payload::CloudEvents);
    assert_eq!(fed.url, "http://am:9093/base");
    let shared = "global: {http_config: {authorization: {type: Token, credentials: c}}}\n\
                  receivers: [{name: a, webhook_configs: [{url: 'https://x/a'}]}]\n";
    let config = load(shared).config();
    let Knobs::Webhook(hook) = &config.channels["a"][0] else { panic!() };
    assert!(matches!(&hook.login, Some(Login::Scheme(way, said)) if way == "Token" && said.expose() == "c"));
}

#[test]
fn what_would_be_believed_and_is_not_so_is_refused() {
    for (receiver, said) in [
        ("discord_configs: [{}]", "has no `webhook_url`"),
        ("msteamsv2_configs: [{webhook_url: 'http://example.com/x'}]", "is not https"),
        ("telegram_configs: [{chat_id: 1}]", "has no `bot_token`"),
        ("telegram_configs: [{bot_token: '1:x'}]", "has no `chat_id`"),
        ("telegram_configs: [{bot_token: '1:x', chat_id: somebody}]", "neither a number nor @channel"),
        ("alertmanager_configs: [{url: 'ftp://x'}]", "neither https nor http"),
        ("alertmanager_configs: [{url: 'http://am', http_config: {bearer_token: x}}]", "is not https"),
        ("webhook_configs: [{url: 'https://x', payload: alertmanger}]", "did you mean `alertmanager`?"),
        ("webhook_configs: [{url: 'https://x', http_config: {authorization: {}}}]", "has no `credentials`"),
        (
            "webhook_configs: [{url: 'https://x', http_config: {basic_auth: {password: p}}}]",
            "has no `username`",
        ),
        (
            "webhook_configs: [{url: 'https://x', http_config: {bearer_token: t, basic_auth: {username: u}}}]",
            "in different ways",
        ),
        (
            "discord_configs: [{webhook_url: 'https://x', http_config: {bearer_token: t}}]",
            "sends no credentials of `http_config`",
        ),
        ("telegram_configs: [{bot_token: '1:{{ .X }}', chat_id: 1}]", "Go templates are not in this version"),
    ] {
        let desk = load(&format!("receivers: [{{name: r, {receiver}}}]\n"));
        let complaints = desk.load().expect_err(receiver);
        let found = desk.show(&complaints);
        assert!(found.contains(said), "{receiver}: {found}");
        assert!(!found.contains("bot_token: '1:x'"), "{found}");
    }
}
