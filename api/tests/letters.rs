//! The outbox and the dead letters over HTTP.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use beaconfire_api::{LetterQuery, OutboxQuery, RowPick};
use beaconfire_outbox::{ByHand, DigestId, Fate};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::harness::{ask, get, open};

#[tokio::test]
async fn what_is_not_told_in_full_has_its_shape_and_filters() {
    let desk = Fake::full();
    *desk.next_cursor.lock().unwrap() = Some("1/2/3/ü".into());
    let router = open(&desk);
    let path = "/api/v1/outbox?receiver=mail&fate=pending&limit=7&cursor=1/2/3/%C3%BC";
    let document = get(&router, path, &[]).await.json();
    assert_eq!(document["next_cursor"], "1/2/3/ü");
    let item = &document["items"][0];
    let id = desk.cases.lock().unwrap()[0].dossier.incident.id.to_string();
    for (name, value) in [
        ("incident", json!(id)),
        ("severity", json!("critical")),
        ("status", json!("open")),
        ("lane", json!("page")),
        ("receiver", json!("mail")),
        ("integration", json!("email-0")),
        ("fate", json!("pending")),
        ("still_to_tell", json!("open")),
        ("attempts", json!(3)),
        ("last_error", json!("450 mailbox busy")),
        ("fell_back", json!(true)),
        ("in_flight", json!(false)),
    ] {
        assert_eq!(item[name], value, "{name} in {item}");
    }
    assert!(item["title"].as_str().unwrap().starts_with("Request flood on shop"));
    assert!(item["waiting_since"].as_str().unwrap().ends_with('Z'));
    let query = desk.outbox_queries.lock().unwrap().pop().unwrap();
    let (receiver, fate) = (Some("mail".into()), Some("pending".into()));
    assert_eq!(query, OutboxQuery { receiver, fate, limit: 7, cursor: Some("1/2/3/ü".into()) });

    desk.cases.lock().unwrap()[0].rows[2].fate = Fate::Held(DigestId(7));
    let item = &get(&router, "/api/v1/outbox", &[]).await.json()["items"][0];
    assert_eq!((&item["fate"], &item["still_to_tell"]), (&json!("held"), &Value::Null));
    for (query, said) in [("fate=delviered", "delviered"), ("status=open", "receiver, fate")] {
        let answer = get(&router, &format!("/api/v1/outbox?{query}"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.problem().contains(said), "{}", answer.body);
    }
}

#[tokio::test]
async fn rows_are_tried_and_dropped_under_the_callers_name() {
    let desk = Fake::full();
    let id = desk.cases.lock().unwrap()[0].dossier.incident.id.clone();
    let router = open(&desk);
    let kind = ["content-type: application/json"];
    for (verb, what, integration) in [("retry", ByHand::Retry, None), ("drop", ByHand::Drop, Some("email-0"))]
    {
        let mut body = json!({"incident": id.as_str(), "receiver": "mail"});
        if let Some(integration) = integration {
            body["integration"] = json!(integration);
        }
        let path = format!("/api/v1/outbox/{verb}");
        let said = ask(&router, Method::POST, &path, &kind, &body.to_string()).await;
        assert_eq!(said.status, StatusCode::OK, "{}", said.body);
        assert_eq!(said.json()["items"][0]["receiver"], "mail");
        let (actor, pick, done) = desk.handled.lock().unwrap().pop().unwrap();
        let integration = integration.map(str::to_owned);
        assert_eq!(pick, RowPick { incident: id.clone(), receiver: "mail".into(), integration });
        assert_eq!((&*actor.0, done), ("local", what));
    }
    for (incident, receiver, status, detail) in [
        (id.as_str(), "chat", 409, "nothing left"),
        (id.as_str(), "nobody", 404, "no such thing"),
        ("xyz", "mail", 404, "no such thing"),
    ] {
        let body = json!({"incident": incident, "receiver": receiver}).to_string();
        let said = ask(&router, Method::POST, "/api/v1/outbox/retry", &kind, &body).await;
        assert_eq!(said.status.as_u16(), status, "{body}");
        assert!(said.problem().contains(detail), "{}", said.body);
    }
    let said =
        ask(&router, Method::POST, "/api/v1/outbox/drop", &kind, r#"{"incident":"x","all":true}"#).await;
    assert_eq!(said.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(desk.handled.lock().unwrap().iter().all(|(_, pick, _)| pick.incident == id), "not even asked");
    desk.store_down.store(true, Ordering::Relaxed);
    assert_eq!(get(&router, "/api/v1/outbox", &[]).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn dead_letters_have_their_shape_and_filters() {
    let desk = Fake::full();
    let router = open(&desk);
    let path = "/api/v1/dead-letters?topic=edge-access&partition=2&offset=17&reason=syntax&limit=1&cursor=9";
    let document = get(&router, path, &[]).await.json();
    let letter = &document["items"][0];
    assert_eq!(
        (&letter["topic"], &letter["partition"], &letter["offset"], &letter["reason"]),
        (&json!("edge-access"), &json!(2), &json!(17), &json!("syntax"))
    );
    assert_eq!(letter["payload"], "{\"uri\":\"/s?…\"");
    assert!(letter["at"].as_str().unwrap().ends_with('Z'));
    let query = LetterQuery {
        topic: Some("edge-access".into()),
        partition: Some(2),
        offset: Some(17),
        reason: Some("syntax".into()),
        limit: 1,
        cursor: Some("9".into()),
    };
    assert_eq!(desk.letter_queries.lock().unwrap().pop(), Some(query));
    for (query, said) in
        [("partition=x", "partition"), ("offset=1.5", "offset"), ("from=1", "topic, partition")]
    {
        let answer = get(&router, &format!("/api/v1/dead-letters?{query}"), &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.problem().contains(said), "{}", answer.body);
    }
}
