//! What the text means: each section's checks, and that what is accepted arrives where it should.

use std::time::Duration;

use beaconfire_ingest::{StartAt, TopicSelect};
use beaconfire_model::{EventTime, Labels};
use beaconfire_throttle::{Action, Mode};

use super::*;
use crate::Level;

/// Wants a refusal that says so.
#[track_caller]
fn refused(desk: &Desk, said: &str) {
    let complaints = desk.load().expect_err(said);
    let found = desk.show(&complaints);
    assert!(
        complaints.iter().any(|complaint| complaint.level == Level::Error
            && desk.show(std::slice::from_ref(complaint)).contains(said)),
        "{said}: {found}"
    );
}

/// Wants it accepted, with a warning that says so.
#[track_caller]
fn doubted(desk: &Desk, said: &str) {
    let config = desk.config();
    let found = desk.show(&config.warnings);
    assert!(found.contains(said), "{said}: {found}");
}

#[test]
fn topics_arrive_as_entries() {
    let config = load(
        "kafka:
  brokers: [a:9092, 'b:9092']
  instance: 7
  properties: {session.timeout.ms: 30000, debug: broker}
  topics:
    - {name: one, format: nginx-json, service: shop, start: earliest, lateness: 2m}
    - {pattern: '^two-.*', start: '2026-01-02T03:04:05Z', client_resolved: true, dedup: request_id}
    - {name: three, format: alb}
    - {name: four, format: cloudflare, lateness: 10s}
  dead_letter_topic: dead
clients: {trusted_proxies: [10.1.2.3/8, 192.0.2.7, '2001:db8::/32']}
",
    )
    .config();
    let kafka = config.kafka.unwrap();
    assert_eq!(kafka.instance.as_deref(), Some("7"));
    assert_eq!(kafka.properties["session.timeout.ms"].expose(), "30000");
    assert_eq!(kafka.topics[0].select, TopicSelect::Name("one".into()));
    assert_eq!(kafka.topics[0].start, StartAt::Earliest);
    assert_eq!(kafka.topics[1].select, TopicSelect::Pattern("^two-.*".into()));
    assert_eq!(kafka.topics[1].start, StartAt::Time(EventTime::from_millis(1_767_323_045_000)));
    assert_eq!(kafka.dead_letter_topic.as_deref(), Some("dead"));
    assert_eq!(config.plan.entries[0].service.as_deref(), Some("shop"));
    assert_eq!(config.plan.entries[0].lateness, Duration::from_secs(120));
    assert_eq!(config.plan.entries[1].lateness, Duration::from_secs(30));
    // What comes in batches is out of order by minutes.
    assert_eq!(config.plan.entries[2].lateness, Duration::from_secs(300));
    assert_eq!(config.plan.entries[3].lateness, Duration::from_secs(10));
    assert!(config.plan.entries[1].once && !config.plan.entries[0].once);
    assert_eq!(config.context.entries, ["one", "^two-.*", "three", "four"]);
    let networks: Vec<String> = config.decode[0].trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
    assert!(config.decode[1].client_resolved && !config.decode[0].client_resolved);
}

#[test]
fn forms_of_ones_own_arrive() {
    use beaconfire_decode::{FieldPaths, LogFormat, Zone};

    let config = load(
        r#"kafka:
  brokers: [a:9092]
  topics:
    - {name: one, format: combined, log_format: '$remote_addr [$time_local] "$request" $status', timezone: Europe/Berlin}
    - {name: two, fields: {path: http.url, status: http.code, duration_ms: took, client: from}}
    - {name: three, fields: {}, timezone: UTC}
    - {name: four, format: otel, fields: {path: http.url}}
"#,
    )
    .config();
    let [one, two, three, four] = config.decode.as_slice() else { panic!("four topics") };
    assert_eq!(one.log_format, LogFormat::parse("$remote_addr [$time_local] \"$request\" $status").ok());
    assert!(one.zone != Zone::default() && three.zone == Zone::default());
    let mut paths = FieldPaths::default();
    for (name, path) in
        [("client", "from"), ("duration_ms", "took"), ("path", "http.url"), ("status", "http.code")]
    {
        paths.add(name, path).unwrap();
    }
    assert_eq!((&two.fields, &three.fields), (&paths, &FieldPaths::default()));
    assert!(four.fields.is_request());
}

#[test]
fn forms_of_ones_own_are_refused_where_they_could_not_work() {
    for (topic, said) in [
        ("log_format: '$remote_addr'", "none of `$request`"),
        ("log_format: '$status$request'", "nothing between them"),
        ("log_format: '{\"status\":\"$status\"}'", "name them under `fields`"),
        ("log_format: $status, format: caddy", "no meaning beside `format: caddy`"),
        ("fields: {statsu: a}", "did you mean `status`?"),
        ("fields: {status: ''}", "is no path"),
        ("fields: {client: a}", "none of path, request and status"),
        ("fields: {status: a, duration_ms: b, duration_ns: c}", "a second time"),
        ("fields: {status: a}, format: haproxy", "no meaning beside `format: haproxy`"),
        ("timezone: Europe/Berlin, format: cloudfront", "its times are UTC"),
        ("timezone: Europe/Berlin, format: cloudflare", "its times are UTC"),
        ("timezone: Europe/Berlin, format: alb", "its times are UTC"),
        ("timezone: Europe/Bremen", "no time zone `Europe/Bremen`"),
    ] {
        refused(&load(&format!("kafka: {{brokers: [a:1], topics: [{{name: a, {topic}}}]}}\n")), said);
    }
}

#[test]
fn a_format_in_which_senders_could_feign_is_doubted() {
    let topic = |format: &str| {
        load(&format!("kafka: {{brokers: [a:1], topics: [{{name: a, log_format: '{format}'}}]}}\n"))
    };
    let feigned = topic("$remote_addr $remote_user $msec $request_method $request_uri $status");
    doubted(&feigned, "`$remote_user` stands before `$msec` without quotes");
    let quoted = topic("$remote_addr \"$remote_user\" $msec \"$request\" $status");
    assert!(!quoted.config().warnings.iter().any(|warning| warning.what.contains("without quotes")));
}

#[test]
fn kafka_is_refused_where_it_could_not_work() {
    for (kafka, said) in [
        ("{topics: [{name: a}]}", "no `kafka.brokers`"),
        ("{brokers: [a:1]}", "no `kafka.topics`"),
        ("{brokers: [a], topics: [{name: a}]}", "`a` is not HOST:PORT"),
        ("{brokers: ['kafka://a:1'], topics: [{name: a}]}", "not HOST:PORT"),
        ("{brokers: ['a:99999'], topics: [{name: a}]}", "not HOST:PORT"),
        ("{brokers: [a:1], topics: [{}]}", "needs `name` or `pattern`"),
        ("{brokers: [a:1], topics: [{name: a, pattern: ^a}]}", "both set"),
        ("{brokers: [a:1], topics: [{name: a b}]}", "not a topic's name"),
        ("{brokers: [a:1], topics: [{pattern: a.*}]}", "must begin with ^"),
        ("{brokers: [a:1], topics: [{pattern: ^(}]}", "bad pattern"),
        ("{brokers: [a:1], topics: [{name: a}, {name: a}]}", "stands twice"),
        ("{brokers: [a:1], topics: [{name: a, start: tomorrow}]}", "`tomorrow` is no place to start"),
        ("{brokers: [a:1], topics: [{name: a, format: combnied}]}", "did you mean `combined`?"),
        ("{brokers: [a:1], topics: [{name: a, lateness: 2h}]}", "`lateness` is out of range"),
        ("{brokers: [a:1], topics: [{name: a}], dead_letter_topic: a}", "go round for ever"),
        ("{brokers: [a:1], topics: [{name: a}], group: ''}", "`kafka.group` is empty"),
        (
            "{brokers: [a:1], topics: [{name: a}], properties: {group.id: x}}",
            "`kafka.properties.group.id` is ours",
        ),
        ("{brokers: [a:1], topics: [{name: a}], properties: {enable.auto.commit: true}}", "is ours to set"),
        ("{brokers: [a:1], topics: [{name: a}], properties: {isolation.level_file: x}}", "is ours to set"),
        ("{properties: {sasl.username: x}}", "no `kafka.brokers`"),
    ] {
        refused(&load(&format!("kafka: {kafka}\n")), said);
    }
    refused(&load("clients: {trusted_proxies: [proxy.example.com]}\n"), "neither a network nor an address");
    refused(&load("clients: {trusted_proxies: [0.0.0.0/0]}\n"), "everybody is a trusted proxy");
}

#[test]
fn rules_are_refused_where_they_could_not_work() {
    let base = [
        ("name", "mine"),
        ("kind", "flood"),
        ("by", "[client]"),
        ("count", "requests"),
        ("window", "60s"),
        ("threshold", "5"),
        ("severity", "warning"),
    ];
    let rule = |changes: &[(&str, &str)]| {
        let mut keys: BTreeMap<&str, &str> = base.into_iter().collect();
        keys.extend(changes.iter().copied());
        let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        load(&format!("rules:\n  - {{{}}}\n", keys.join(", ")))
    };
    rule(&[]).config();
    rule(&[("threshold", "0")]).config();
    rule(&[
        ("count", "'share(status=~\"5..\", path!=\"/a,b\")'"),
        ("min_requests", "5"),
        ("threshold", "0.5"),
    ])
    .config();
    for (changes, said) in [
        (&[("name", "'my rule'")][..], "cannot be the name of a rule"),
        (&[("kind", "fload")], "did you mean `flood`?"),
        (&[("kind", "intrusion")], "is no kind of a rate rule"),
        (&[("by", "[clinet]")], "did you mean `client`?"),
        (&[("by", "[query]")], "is no field to count by"),
        (&[("by", "[]")], "one or two fields"),
        (&[("by", "[client, path, host]")], "one or two fields"),
        (&[("by", "[client, prefix]")], "stands alone"),
        (&[("count", "request")], "did you mean `requests`?"),
        (&[("count", "'share()'"), ("min_requests", "5"), ("threshold", "0.5")], "a share of what"),
        (&[("count", "'share(status=500)'"), ("threshold", "0.5")], "needs `min_requests`"),
        (
            &[("count", "'share(status=500)'"), ("min_requests", "5")],
            "can never fire on this: a share is at most 1",
        ),
        (&[("min_requests", "5")], "belongs to `count: share"),
        (&[("window", "10ms")], "`window` is out of range"),
        (&[("window", "2d")], "`window` is out of range"),
        (&[("threshold", "-1")], "must be a number of at least 0"),
        (&[("threshold", ".nan")], "non-finite"),
        (&[("threshold", "many")], "expected a number"),
        (&[("severity", "page")], "is no severity"),
        (&[("critical_above", "5")], "must lie above `threshold`"),
        (&[("matchers", "['pfad=\"/x\"']")], "`pfad` is no field of a request"),
        (&[("matchers", "['user-agent=\"x\"']")], "did you mean `user_agent`?"),
        (&[("matchers", "['path']")], "bad matcher"),
        (&[("matchers", "['path=~\"@bots\"']")], "there is no list `bots`"),
        (&[("matchers", "['status=~\"9999\"']")], "nothing satisfies"),
        (&[("matchers", "['static=\"yes\"']")], "nothing satisfies"),
        (&[("matchers", "['path=\"/a\"', 'path=\"/b\"']")], "nothing is both"),
        (&[("matchers", "['path=\"/a\"']"), ("except", "['path=\"/a\"']")], "both asked for and excepted"),
        (&[("labels", "{severity: x}")], "is ours to set"),
        (&[("throttle", "{action: kill, for: 1m}")], "is no action"),
        (&[("throttle", "{action: ban, for: 2d}")], "`throttle.for` is out of range"),
        (&[("throttle", "{action: ban}")], "`for` is missing"),
        (&[("throttle", "{action: ban, for: 1m}"), ("by", "[service]")], "no address to throttle"),
        (&[("throttle", "{action: ban, for: 1m}"), ("by", "[host, client]")], "write `by: [client, host]`"),
    ] {
        refused(&rule(changes), said);
    }
    refused(&load("rules:\n  - {name: a}\n  - {name: a}\n"), "stands twice in one file");
    refused(&load("rules: {a: {threshold: 1}}\n"), "`rules` is a list");
}

#[test]
fn rules_and_services_that_are_switched_off_or_changed() {
    let config = minimal_and(
        "rules:\n  - {name: server-errors, enabled: false}\nservices:\n  shop:\n    logins: [/in]\n    rules: {requests-per-client: {threshold: 3000}, request-burst: {enabled: false}}\n    labels: {team: edge}\n    annotations: {runbook_url: 'https://w'}\n",
    )
    .config();
    assert!(!config.plan.rules.iter().any(|rule| &*rule.name == "server-errors"));
    let shop = &config.plan.services["shop"];
    assert_eq!(shop.logins, ["/in"]);
    assert_eq!(shop.overrides["requests-per-client"].threshold, Some(3000.0));
    assert_eq!(shop.overrides["request-burst"].enabled, Some(false));
    assert_eq!(config.context.services["shop"].annotations.get("runbook_url"), "https://w");
    for (services, said) in [
        ("{shop: {rules: {requests-per-clint: {threshold: 1}}}}", "did you mean `requests-per-client`?"),
        ("{shop: {rules: {requests-per-client: {threshold: 7000}}}}", "must lie above its `threshold`"),
        ("{shop: {rules: {server-errors: {threshold: 2}}}}", "can never fire for `shop`"),
        ("{shop: {logins: [login]}}", "is no path"),
        ("{shop: {labels: {kind: x}}}", "the label `kind` is ours"),
    ] {
        refused(&minimal_and(&format!("services: {services}\n")), said);
    }
}

#[test]
fn lists_come_from_the_file_too() {
    let desk = minimal_and("lists: {bots: {patterns: [a], file: bots.txt}}\n")
        .with("bots.txt", "# known\nBot/.*\n\n");
    assert_eq!(desk.config().plan.lists["bots"], ["a", "Bot/.*"]);
    refused(&minimal_and("lists: {bots: {file: bots.txt}}\n"), "cannot read bots.txt");
    refused(&minimal_and("lists: {bots: {patterns: ['(']}}\n"), "bad pattern `(`");
    refused(&minimal_and("lists: {bots: {file: b}}\n").with("b", "x\n(\n"), "bad pattern in line 2");
    doubted(&minimal_and("lists: {bots: {}}\n"), "it matches nothing");
}

#[test]
fn throttle_arrives_and_is_doubted() {
    let config = minimal_and(
        "throttle: {mode: enforce, never: [198.51.100.0/24], budget: {per_minute: 6, active: 100}}\nrules: [{name: request-burst, throttle: {mode: dry_run, for: 5m}}]\n",
    )
    .config();
    assert_eq!(config.throttle_mode, Mode::Enforce);
    assert_eq!(config.throttle_rules["requests-per-client"].mode, Mode::Enforce);
    let burst = &config.throttle_rules["request-burst"];
    assert_eq!(
        (burst.mode, burst.action, burst.duration),
        (Mode::DryRun, Action::Ban, Duration::from_secs(300))
    );
    assert_eq!((config.guard.per_minute, config.guard.active), (6, 100));
    assert!(config.guard.never.covers("198.51.100.7/32".parse().unwrap()));
    assert!(config.guard.never.covers("10.1.1.1/32".parse().unwrap()), "a trusted proxy");
    doubted(&load("throttle: {mode: enforce}\n"), "without `clients.trusted_proxies`");
    doubted(&load("throttle: {mode: enforce}\n"), "without `throttle.never`");
    doubted(&load("rules: [{name: request-burst, throttle: {mode: enforce}}]\n"), "enforces although");
    doubted(&load("throttle: {max_prefix: {ipv6: 128}}\n"), "no IPv6 client is ever throttled");
    refused(&load("throttle: {max_prefix: {ipv4: 33}}\n"), "out of range");
    refused(&load("throttle: {max_prefix: {ipv4: 0}}\n"), "out of range");
    refused(&load("throttle: {never: [example.com]}\n"), "neither a network nor an address");
}

/// Three receivers, then a route.
fn routes(route: &str) -> Desk {
    load(&format!(
        "receivers:\n  - {{name: a, email_configs: [{{to: a@b.c}}]}}\n  - {{name: b, email_configs: [{{to: a@b.c}}, {{to: d@b.c}}]}}\n  - {{name: c, email_configs: [{{to: a@b.c}}]}}\nroute: {route}\n"
    ))
}

#[test]
fn routes_lead_where_they_say() {
    let desk = routes(
        "{receiver: a, routes: [{matchers: ['severity=\"critical\"'], receiver: b, continue: true}, {match: {kind: flood}, match_re: {service: 's.*'}, receiver: c}]}",
    );
    let config = desk.config();
    let reached = |labels: &[(&str, &str)]| {
        let labels: Labels = labels.iter().copied().collect();
        config
            .route
            .resolve(&labels)
            .iter()
            .map(|routed| routed.receiver.to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(reached(&[("severity", "critical"), ("kind", "flood"), ("service", "shop")]), "b c");
    assert_eq!(reached(&[("severity", "critical")]), "b");
    assert_eq!(reached(&[("kind", "flood"), ("service", "x")]), "a");
    assert_eq!(reached(&[("kind", "flood"), ("service", "shop")]), "c");
    assert_eq!(&*config.receivers["b"][1].name, "email-1");
}

#[test]
fn a_receiver_may_be_told_slower_and_digested_sooner() {
    let receiver =
        |keys: &str| load(&format!("receivers: [{{name: a, email_configs: [{{to: a@b.c}}], {keys}}}]\n"));
    let mail = beaconfire_outbox::IntegrationKind::Email;
    let (rate, digest) = receiver("rate: 6, burst: 2, digest_after: 3").config().paces["a"].of(mail);
    assert_eq!((rate.per_minute, rate.burst, digest.after, digest.pages), (6, 2, 3, 4));
    let (rate, digest) = receiver("rate: 6").config().paces["a"].of(mail);
    assert_eq!((rate.per_minute, rate.burst, digest.after, digest.pages), (6, 10, 10, 20), "else as usual");
    for key in ["rate", "burst", "digest_after"] {
        refused(&receiver(&format!("{key}: 0")), &format!("`{key}` is a number from 1 to"));
    }
}

#[test]
fn an_alertmanager_hears_of_each_incident_however_many_there_are() {
    let desk = load(
        "receivers: [{name: a, alertmanager_configs: [{url: 'http://127.0.0.1:9093'}], digest_after: 1}]\n",
    );
    let (_, digest) = desk.config().paces["a"].of(beaconfire_outbox::IntegrationKind::Alertmanager);
    assert_eq!(digest, beaconfire_outbox::DigestKnobs::never());
}

#[test]
fn a_fallback_is_another_receiver_and_makes_up_for_a_lonely_pager() {
    let with = |fallback: &str| {
        load(&format!(
            "route: {{receiver: mail, routes: [{{matchers: ['severity=\"critical\"'], receiver: pager}}]}}\n\
             receivers: [{{name: mail, email_configs: [{{to: a@b.c}}]}}, {{name: spare, email_configs: [{{to: d@b.c}}]}}, \
             {{name: nobody}}, {{name: pager, pagerduty_configs: [{{routing_key: k}}]{fallback}}}]\n"
        ))
    };
    let doubts = |fallback: &str| {
        let desk = with(fallback);
        let loaded = desk.load().expect(fallback);
        desk.show(&loaded.warnings)
    };
    let alone = doubts("");
    assert!(
        alone.contains("reach nobody but `pager`")
            && alone.contains("no route leads to the receiver `spare`"),
        "{alone}"
    );
    let helped = doubts(", fallback: spare");
    assert!(!helped.contains("reach nobody") && !helped.contains("`spare`"), "{helped}");
    assert_eq!(&*with(", fallback: spare").config().fallbacks["pager"], "spare");
    refused(&with(", fallback: pager"), "a receiver cannot stand in for itself");
    refused(&with(", fallback: spar"), "`spar` is no receiver");
    assert!(doubts(", fallback: nobody").contains("can stand in for nobody"));
}

#[test]
fn routes_group_and_repeat_as_they_say_or_as_the_route_above() {
    let desk = routes(
        "{receiver: a, group_by: [service, kind], group_wait: 30s, routes: [\
         {matchers: [x=y], group_by: ['...'], repeat_interval: 1d}, {matchers: [x=z], group_interval: 1m}]}",
    );
    let route = desk.config().route;
    let second = std::time::Duration::from_secs(1);
    let spans = |route: &beaconfire_outbox::Route| {
        let held = &route.grouping;
        [held.wait, held.interval, held.repeat].map(|span| span.as_secs())
    };
    assert_eq!(spans(&route), [30, 300, 4 * 3_600]);
    let by = |route: &beaconfire_outbox::Route| {
        route.grouping.by.as_ref().map(|by| by.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(by(&route).as_deref(), Some("kind service"));
    let [all, more] = &route.routes[..] else { panic!("two children") };
    assert_eq!((by(all), spans(all)), (None, [30, 300, 86_400]));
    assert_eq!((by(more).as_deref(), spans(more)), (Some("kind service"), [30, 60, 4 * 3_600]));
    assert_eq!(beaconfire_outbox::Grouping::default().wait, 10 * second);
    refused(&routes("{receiver: a, group_by: ['...', service]}"), "`...` stands alone");
    refused(&routes("{receiver: a, group_by: ['']}"), "a label to group by has a name");
    refused(&routes("{receiver: a, group_interval: 0s}"), "`group_interval` is out of range");
    refused(&routes("{receiver: a, repeat_interval: 1s}"), "`repeat_interval` is out of range");
}

#[test]
fn routes_that_cannot_work_are_refused_or_doubted() {
    refused(&routes("{receiver: aa}"), "`aa` is no receiver");
    refused(&routes("{}"), "`route.receiver` does not say");
    refused(&routes("{receiver: a, matchers: [x=y]}"), "the root of `route` takes everything");
    refused(&routes("{receiver: a, routes: [{matchers: ['x=~\"(\"']}]}"), "unclosed group");
    refused(&routes("{receiver: a, routes: [{match_re: {x: '('}}]}"), "unclosed group");
    for route in [
        "{receiver: b}, {matchers: [x=y], receiver: c}",
        "{matchers: [x=y], receiver: b}, {matchers: [x=y, z=w], receiver: c}",
    ] {
        doubted(&routes(&format!("{{receiver: a, routes: [{route}]}}")), "never reached: an earlier one");
    }
    let nobody = load("receivers: [{name: nobody}]\nroute: {receiver: nobody}\n");
    doubted(&nobody, "has no integration: nobody hears");
    doubted(
        &routes("{receiver: a, routes: [{matchers: [severity=page], receiver: b}]}"),
        "no incident has such a `severity`",
    );
    doubted(
        &routes("{receiver: a, routes: [{matchers: [kind=floods], receiver: b}]}"),
        "did you mean `flood`?",
    );
    doubted(
        &routes("{receiver: a, routes: [{matchers: [x=y], receiver: b}]}"),
        "no route leads to the receiver `c`",
    );
    doubted(
        &routes("{receiver: b, routes: [{matchers: [severity=critical], receiver: c}]}"),
        "critical incidents reach nobody but `c`",
    );
    let fine = routes(
        "{receiver: a, routes: [{matchers: [x=y], receiver: b, continue: true}, {matchers: [x=y], receiver: c}]}",
    );
    assert!(fine.config().warnings.iter().all(|warning| warning.what.contains("external_url")));
}

#[test]
fn receivers_that_cannot_work_are_refused() {
    for (receivers, said) in [
        (
            "[{name: a, email_configs: [{to: x@y.z}]}, {name: a, email_configs: [{to: x@y.z}]}]",
            "stands twice",
        ),
        ("[{name: a, email_configs: [{}]}]", "`to` is missing"),
        ("[{name: a, email_configs: [{to: nobody}]}]", "is no mail address"),
        ("[{name: a, email_configs: [{to: 'a@b c'}]}]", "is no mail address"),
        ("[{name: a, email_configs: [{to: a@b.c, smarthost: mail}]}]", "mail is not HOST:PORT"),
        ("[{name: a, email_configs: [{to: a@b.c, auth_username: u}]}]", "no password"),
        ("[{name: a, email_configs: [{to: a@b.c, auth_password: u}]}]", "no user name"),
        (
            "[{name: a, email_configs: [{to: a@b.c, auth_username: u, auth_password: p, require_tls: false}]}]",
            "in the clear",
        ),
        (
            "[{name: a, email_configs: [{to: a@b.c, tls_config: {ca_file: nowhere.pem}}]}]",
            "cannot read nowhere.pem",
        ),
        ("[{name: a, slack_configs: [{channel: c}]}]", "neither `app_token` nor `api_url`"),
        ("[{name: a, slack_configs: [{app_token: t}]}]", "needs `channel`"),
        ("[{name: a, slack_configs: [{app_token: t, api_url: 'https://x'}]}]", "are both set"),
        ("[{name: a, slack_configs: [{api_url: x}]}]", "the address is no URL"),
        ("[{name: a, webhook_configs: [{}]}]", "has no `url`"),
        ("[{name: a, webhook_configs: [{url: 'https://x', payload: xml}]}]", "is no payload"),
    ] {
        refused(&load(&format!("receivers: {receivers}\n")), said);
    }
    doubted(
        &load("receivers: [{name: a, slack_configs: [{api_url: 'https://x', channel: c}]}]\n"),
        "`channel` does nothing here",
    );
    doubted(
        &load("receivers: [{name: a, webhook_configs: [{url: 'http://hooks.example.com'}]}]\n"),
        "is neither https nor signed",
    );
    doubted(&load("receivers: [{name: a, pagerduty_configs: [{routing_key: k}]}]\n"), "nobody is paged");
    let quiet = load("receivers: [{name: a, email_configs: [{to: a@b.c, send_resolved: false}]}]\n").config();
    assert!(!quiet.receivers["a"][0].send_resolved);
}

#[test]
fn http_is_safe_or_refused() {
    for (http, said) in [
        ("{listen: '0.0.0.0:80'}", "is not a loopback address"),
        ("{external_url: 'https://x.example.com'}", "is not loopback"),
        ("{listen: nowhere}", "is not ADDRESS:PORT"),
        ("{basic_auth_users: {eve: plain}}", "no bcrypt hash"),
        ("{tokens: [{name: a, role: viewer}]}", "has no secret"),
        ("{tokens: [{name: a, role: veiwer, token: 0123456789abcdef}]}", "did you mean `viewer`?"),
        ("{tokens: [{name: a, role: viewer, token: short}]}", "less than 16"),
        ("{tls_server_config: {cert_file: x}}", "needs both"),
        ("{tls_server_config: {cert_file: x, key_file: y}}", "cannot read"),
    ] {
        refused(&load(&format!("http: {http}\n")), said);
    }
    let desk = load(
        "http: {listen: '0.0.0.0:1', external_url: 'https://x.example.com', tokens: [{name: a, role: admin, token_file: t}], tls_server_config: {cert_file: c.pem, key_file: k.pem}}\n",
    );
    let desk = desk.with("t", "0123456789abcdef\n").with("c.pem", "").with("k.pem", "");
    let config = desk.config();
    assert_eq!(config.http.tokens[0].secret.expose(), "0123456789abcdef");
    assert_eq!(config.http.tls.unwrap().cert_file, desk.folder.path().join("c.pem"));
}

#[test]
fn mining_knows_whom_to_allow_and_what_to_look_for() {
    let yaml = "mining: {allow: ['ci/*'], indicators_file: pools.txt}\nservices: {shop: {workloads: ['shop/*', 'pay/api']}}\n";
    let listed = "# ours\ndomain pool.example.org\nport 14433\n";
    let config = load(yaml).with("pools.txt", listed).config();
    let mining = config.plan.mining.unwrap();
    assert_eq!(mining.allow, ["ci/*".into()]);
    assert_eq!(mining.lists, beaconfire_detect::MiningLists::with_file(listed).unwrap());
    assert_eq!(config.plan.services["shop"].workloads, ["shop/*", "pay/api"]);
    refused(&load("mining: {indicators_file: none.txt}\n"), "none.txt");
    refused(&load(yaml).with("pools.txt", "port 443\n"), "line 1: port 443 is used by too much else");
    refused(&load("mining: {allow: ['']}\n"), "is no pattern of workloads");
    refused(&load("services: {shop: {workloads: ['a b']}}\n"), "is no pattern of workloads");
}

#[test]
fn a_service_says_what_it_was_sized_for() {
    let config =
        load("services: {shop: {capacity: {requests_per_second: 500, latency: 400ms}}, pay: {}}\n").config();
    let of = |service: &str| config.plan.services[service].capacity;
    assert_eq!(of("shop").requests_per_second, Some(500.0));
    assert_eq!(of("shop").latency, Some(std::time::Duration::from_millis(400)));
    assert_eq!(of("pay"), beaconfire_detect::CapacitySpec::default());
    assert!(config.plan.surge && config.plan.tell_services);
    let off = load("baselines: {enabled: false}\n").config().plan;
    assert!(!off.surge && !off.tell_services);
    for (capacity, said) in [
        ("{requests_per_second: 0}", "`services.shop.capacity.requests_per_second` is out of range: 0"),
        ("{requests_per_second: -3}", "out of range: -3"),
        ("{latency: 0s}", "`services.shop.capacity.latency`"),
        ("{rps: 500}", "unknown key `rps`"),
    ] {
        refused(&load(&format!("services: {{shop: {{capacity: {capacity}}}}}\n")), said);
    }
}

#[test]
fn the_rest_is_bounded() {
    for (yaml, said) in [
        ("incidents: {resolve_after: 1s}\n", "`incidents.resolve_after` is out of range"),
        ("limits: {detect_memory: 1KiB}\n", "`limits.detect_memory` is out of range"),
        ("limits: {event_skew: 2h}\n", "out of range"),
        ("pipeline: {workers: 0}\n", "neither `auto` nor a number"),
        ("pipeline: {shards: 65}\n", "neither `auto` nor a number"),
        ("pipeline: {exchange: redis}\n", "`redis` is no exchange"),
        ("store: {url: 'mysql:x'}\n", "is not `sqlite:PATH`"),
        ("store: {url: 'sqlite:'}\n", "is not `sqlite:PATH`"),
        ("store: {url: 'sqlite::memory:'}\n", "must survive a restart"),
        ("store: {url: 'sqlite:a.db?mode=ro'}\n", "after `?` in `store.url` are not in this version"),
        ("store: {retention: 1s}\n", "`store.retention` is out of range"),
        ("store: {retention: 1h}\nincidents: {resolve_after: 2h}\n", "shorter than"),
    ] {
        refused(&load(yaml), said);
    }
    let config = load(
        "pipeline: {workers: 2, shards: auto}\nlimits: {detect_memory: 64MiB}\nprivacy: {query: keep}\n",
    )
    .config();
    assert_eq!((config.pipeline.workers, config.pipeline.shards), (Some(2), None));
    assert_eq!(config.limits.detect_memory, 64 << 20);
    assert!(!config.privacy.redact_query);
    doubted(&load("incidents: {max_age: 1m}\n"), "`incidents.max_age` (1m) is not above");
    doubted(&load(&MINIMAL.replace("[10.0.0.0/8]", "[]")), "`clients.trusted_proxies` is empty");
}

#[test]
fn mail_is_encrypted_unless_the_relay_is_this_machine() {
    for (keys, require_tls) in [
        ("", false),
        ("smarthost: '127.0.0.1:2525'", false),
        ("smarthost: '[::1]:25'", false),
        ("smarthost: 'smtp.example.com:587'", true),
        ("auth_username: u, auth_password: p", true),
        ("require_tls: true", true),
        ("smarthost: 'smtp.example.com:587', require_tls: false", false),
    ] {
        let config =
            load(&format!("receivers: [{{name: a, email_configs: [{{to: a@b.c, {keys}}}]}}]\n")).config();
        let beaconfire_notify::Knobs::Email(email) = &config.channels["a"][0] else { panic!("no mail") };
        assert_eq!(email.require_tls, require_tls, "{keys}");
    }
}

#[test]
fn clicks_are_believed_by_their_secrets() {
    let http = load(MINIMAL).config().http;
    assert!(http.slack_signing_secret.is_none() && http.pagerduty_webhook_secret.is_none());
    let yaml = "interactions: {slack_signing_secret: click, pagerduty_webhook_secret_file: pd}\n";
    let chat = "slack_configs: [{app_token: t, channel: c}]";
    let buttons = |yaml: &str| {
        let mail = "email_configs: [{to: oncall@example.com}]";
        let desk = load(&format!("{}{yaml}", MINIMAL.replace(mail, chat))).with("pd", "x");
        let config = desk.config();
        let beaconfire_notify::Knobs::Slack(beaconfire_notify::SlackKnobs::App { buttons, .. }) =
            config.channels["mail"][0]
        else {
            panic!("no app")
        };
        buttons
    };
    assert!(buttons(yaml) && !buttons(""));
    let http = minimal_and(yaml).with("pd", "old\nnew\n").config().http;
    assert_eq!(http.slack_signing_secret.unwrap().expose(), "click");
    assert_eq!(http.pagerduty_webhook_secret.unwrap().expose(), "old\nnew");
    for (keys, said) in [
        ("slack_signing_secret: ''", "`slack_signing_secret` is empty"),
        ("pagerduty_webhook_secret: ' '", "`pagerduty_webhook_secret` is blank"),
        ("slack_signing_secret: a, slack_signing_secret_file: b", "are both set"),
        ("slack_signing_secret_file: nowhere", "nowhere"),
    ] {
        refused(&minimal_and(&format!("interactions: {{{keys}}}\n")), said);
    }
}
