//! Everything that the documentation names and this version lacks is refused by its name.

use super::*;

/// Loads the minimal configuration with one more piece, and wants its name and the sentence in the complaint.
#[track_caller]
fn check(yaml: &str, name: &str) {
    let desk = minimal_and(yaml);
    let complaints = desk.load().expect_err(yaml);
    let said = desk.show(&complaints);
    assert!(said.contains("not in this version"), "{yaml}: {said}");
    assert!(said.contains(&format!("`{name}`")), "{yaml}: {said}");
    assert!(said.contains(" | "), "no line shown: {said}");
    assert_eq!(complaints.len(), 1, "{yaml}: {said}");
}

#[test]
fn sections() {
    for (name, value) in [
        ("findings", "{overrides: [], suppressions: []}"),
        ("images", "{registries: [\"registry.example.com/curated/\"], require_digest: false}"),
    ] {
        check(&format!("{name}: {value}\n"), name);
    }
}

#[test]
fn keys_of_sections() {
    for (section, key, value) in [
        ("throttle", "approval", "false"),
        ("throttle", "outputs", "[]"),
        ("global", "smtp_auth_secret", "x"),
        ("global", "smtp_force_implicit_tls", "true"),
    ] {
        check(&format!("{section}: {{{key}: {value}}}\n"), key);
    }
    for key in ["client_share", "client_floor", "request_share"] {
        check(&format!("throttle: {{budget: {{{key}: 1}}}}\n"), key);
    }
    for key in ["client_auth_type", "client_ca_file", "min_version", "cipher_suites"] {
        check(&format!("http: {{tls_server_config: {{{key}: x}}}}\n"), key);
    }
    check("services: {shop: {rules: {requests-per-client: {window: 5m}}}}\n", "window");
}

/// A configuration whose one receiver has this.
#[track_caller]
fn receiver(keys: &str, name: &str) {
    let desk = load(&format!("receivers: [{{name: r, email_configs: [{{to: a@b.c}}], {keys}}}]\n"));
    let complaints = desk.load().expect_err(keys);
    let said = desk.show(&complaints);
    assert!(said.contains("not in this version") && said.contains(&format!("`{name}`")), "{keys}: {said}");
    assert_eq!(complaints.len(), 1, "{keys}: {said}");
}

#[test]
fn keys_of_receivers_and_integrations_we_lack() {
    for key in [
        "jira_configs",
        "opsgenie_configs",
        "pushover_configs",
        "rocketchat_configs",
        "sns_configs",
        "victorops_configs",
        "webex_configs",
        "wechat_configs",
        "incidentio_configs",
        "mattermost_configs",
    ] {
        receiver(&format!("{key}: [{{api_key: x}}]"), key);
    }
}

#[test]
fn keys_of_integrations() {
    receiver("pagerduty_configs: [{service_key: x}]", "service_key");
    for (key, value) in [
        ("proxy_url", "'http://p:1'"),
        ("proxy_from_environment", "true"),
        ("oauth2", "{client_id: x}"),
        ("tls_config", "{insecure_skip_verify: true}"),
        ("http_headers", "{}"),
    ] {
        check(&format!("global: {{http_config: {{{key}: {value}}}}}\n"), key);
        receiver(&format!("webhook_configs: [{{url: 'https://x', http_config: {{{key}: {value}}}}}]"), key);
    }
    for key in ["insecure_skip_verify", "cert_file", "min_version"] {
        check(&format!("global: {{smtp_tls_config: {{{key}: x}}}}\n"), key);
        let yaml =
            format!("receivers: [{{name: r, email_configs: [{{to: a@b.c, tls_config: {{{key}: x}}}}]}}]\n");
        let said = load(&yaml).said();
        assert!(said.contains("not in this version") && said.contains(&format!("`{key}`")), "{said}");
    }
    for key in ["auth_secret", "force_implicit_tls"] {
        let yaml = format!("receivers: [{{name: r, email_configs: [{{to: a@b.c, {key}: x}}]}}]\n");
        let said = load(&yaml).said();
        assert!(said.contains("not in this version") && said.contains(&format!("`{key}`")), "{said}");
    }
}

#[test]
fn words_of_later_versions() {
    for format in ["k8s-audit", "trivy"] {
        let said = load(
            &MINIMAL.replace("{name: edge-access}", &format!("{{name: edge-access, format: {format}}}")),
        )
        .said();
        assert!(said.contains(&format!("the format `{format}` is not in this version")), "{said}");
    }
    for (yaml, said) in [
        ("pipeline: {exchange: kafka}\n", "`exchange: kafka` is not in this version"),
        ("store: {url: 'postgres://h/d'}\n", "PostgreSQL is not in this version"),
        ("store: {url: 'postgresql://h/d'}\n", "PostgreSQL is not in this version"),
    ] {
        let found = minimal_and(yaml).said();
        assert!(found.contains(said), "{yaml}: {found}");
    }
}

#[test]
fn keys_of_topics() {
    let said = load(&MINIMAL.replace("  brokers:", "  ingest_topic: x\n  brokers:")).said();
    assert!(said.contains("`ingest_topic`: HTTP inputs are not in this version"), "{said}");
}

#[test]
fn go_templates_are_refused_with_their_line() {
    let said =
        load("receivers: [{name: p, pagerduty_configs: [{routing_key: k, url: 'https://x/{{ .X }}'}]}]\n")
            .said();
    assert!(said.contains("Go templates are not in this version"), "{said}");
    assert!(said.contains("beaconfire.yaml:1:"), "{said}");
}

#[test]
fn nothing_that_the_documentation_names_is_called_unknown() {
    let desk = load(include_str!("documented.yaml"));
    let complaints = desk.load().unwrap_err();
    for complaint in &complaints {
        assert!(complaint.what.contains("not in this version"), "{complaint}");
    }
    assert_eq!(complaints.len(), 7, "what is refused is still refused: {}", desk.show(&complaints));
}
