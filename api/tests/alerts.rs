//! What Prometheus posts, and what Alertmanager would refuse.

use axum::http::{Method, StatusCode};
use beaconfire_api::Role;

use crate::fake::Fake;
use crate::harness::{ask, open, secret, surface, with_tokens};

const JSON: &str = "content-type: application/json";

#[tokio::test]
async fn alerts_are_taken_as_prometheus_posts_them() {
    let desk = Fake::empty();
    let body = r#"[{"labels":{"alertname":"DoS","service":"api","severity":"critical","empty":""},
        "annotations":{"summary":"SYN flood"},"startsAt":"2026-01-02T03:04:05.123Z","endsAt":"2026-01-02T03:08:05Z",
        "generatorURL":"http://prometheus/graph"},
        {"labels":{"alertname":"Zero"},"endsAt":"0001-01-01T00:00:00Z"}]"#;
    let said = ask(&open(&desk), Method::POST, "/api/v2/alerts", &[JSON], body).await;
    assert_eq!((said.status, said.body.as_str()), (StatusCode::OK, ""));
    let alerts = desk.alerts.lock().unwrap();
    let names: Vec<_> = alerts[0].labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["alertname", "service", "severity"]);
    assert_eq!(alerts[0].annotations.get("summary"), "SYN flood");
    assert_eq!(alerts[0].generator_url, "http://prometheus/graph");
    assert_eq!(alerts[0].starts_at.unwrap().millis(), 1_767_323_045_123);
    assert_eq!(alerts[0].ends_at.unwrap().millis(), 1_767_323_285_000);
    assert_eq!((alerts[1].starts_at, alerts[1].ends_at), (None, None));
}

#[tokio::test]
async fn what_is_not_in_order_is_refused_and_the_rest_is_taken() {
    let many = (0..65).map(|n| format!(r#""l{n}":"x""#)).collect::<Vec<_>>().join(",");
    for (body, status, detail, taken) in [
        ("{", 400, "these are no alerts", 0),
        (r#"{"labels":{}}"#, 400, "these are no alerts", 0),
        ("[]", 200, "", 0),
        (r#"[{"labels":{"alertname":"A"}},{}]"#, 422, "1.labels in body is required", 1),
        (r#"[{"labels":{"alertname":""}},{"labels":{"alertname":"B"}}]"#, 400, "at least one label pair", 1),
        (
            r#"[{"labels":{"a":"b"},"startsAt":"2026-01-02T00:00:01Z","endsAt":"2026-01-02T00:00:00Z"}]"#,
            400,
            "start time must be before end time",
            0,
        ),
        (r#"[{"labels":{"a":"b"},"startsAt":"yesterday"}]"#, 400, "is no RFC 3339 time", 0),
        (&format!(r#"[{{"labels":{{{many}}}}}]"#), 400, "at most 64 labels", 0),
    ] {
        let desk = Fake::empty();
        let said = ask(&open(&desk), Method::POST, "/api/v2/alerts", &[JSON], body).await;
        assert_eq!(said.status.as_u16(), status, "{body}: {}", said.body);
        if status != 200 {
            assert!(said.problem().contains(detail), "{body}: {}", said.body);
        }
        assert_eq!(desk.alerts.lock().unwrap().len(), taken, "{body}");
    }
    let desk = Fake::empty();
    let said = ask(&open(&desk), Method::POST, "/api/v2/alerts", &["content-type: text/plain"], "[]").await;
    assert_eq!(said.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn hostile_labels_are_cleaned_and_cut() {
    let desk = Fake::empty();
    let long = "x".repeat(5_000);
    let body = format!(r#"[{{"labels":{{"alertname":"\u001b[2J<script>","long":"{long}"}}}}]"#);
    let router = open(&desk);
    let said = ask(&router, Method::POST, "/api/v2/alerts", &[JSON], &body).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.body);
    let taken = desk.alerts.lock().unwrap().remove(0);
    assert_eq!(taken.labels.get("alertname"), "\\u{1b}[2J<script>");
    assert!(taken.labels.get("long").len() <= 1_030);
    let bad = r#"[{"labels":{"a\nb":"c"}}]"#;
    let said = ask(&router, Method::POST, "/api/v2/alerts", &[JSON], bad).await;
    assert!(said.problem().contains("bad label name"), "{}", said.body);
}

#[tokio::test]
async fn a_token_that_may_only_send_may_send_alerts() {
    let desk = Fake::empty();
    let router = surface(&desk, with_tokens());
    let login = format!("authorization: Bearer {}", secret(Role::Ingest));
    let said = ask(&router, Method::POST, "/api/v2/alerts", &[JSON, &login], "[]").await;
    assert_eq!(said.status, StatusCode::OK);
    let said = ask(&router, Method::POST, "/api/v2/alerts", &[JSON], "[]").await;
    assert_eq!(said.status, StatusCode::UNAUTHORIZED);
}
