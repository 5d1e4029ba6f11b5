//! Who gets in: every route with every login, and what a stranger's page can make a browser do.

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use beaconfire_api::{Access, HttpKnobs, ROUTES, Role};
use beaconfire_model::Secret;

use crate::fake::{BOUNCER_KEY, Fake};
use crate::harness::{ask, get, open, secret, surface, with_tokens};

/// A path that the route serves, with an incident that exists.
fn concrete(path: &str, desk: &Fake) -> String {
    let id = desk.cases.lock().unwrap()[0].dossier.incident.id.to_string();
    path.replace("{id}", &id).replace("{name}", "no-such-style.css")
}

fn basic(user: &str, password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("authorization: Basic {pair}")
}

#[tokio::test]
async fn every_route_lets_in_exactly_whom_it_should() {
    let desk = Fake::full();
    let router = surface(&desk, with_tokens());
    let bearer = |secret: &str| format!("authorization: Bearer {secret}");
    let mut logins = vec![
        ("nobody".to_owned(), None, String::from("x-nothing: 1")),
        ("a wrong token".to_owned(), None, bearer("wrong-secret-0123456789")),
        ("an empty token".to_owned(), None, bearer("")),
        ("an unknown user".to_owned(), None, basic("eve", &secret(Role::Admin))),
        ("a bouncer".to_owned(), None, format!("x-api-key: {BOUNCER_KEY}")),
        ("a wrong key".to_owned(), None, "x-api-key: wrong".to_owned()),
        ("a token as a key".to_owned(), None, format!("x-api-key: {}", secret(Role::Admin))),
    ];
    for role in Role::ALL {
        logins.push((format!("{} by token", role.name()), Some(role), bearer(&secret(role))));
        let name = format!("the-{}", role.name());
        logins.push((format!("{} in a browser", role.name()), Some(role), basic(&name, &secret(role))));
    }

    let mut walked = 0;
    for route in ROUTES {
        for (who, role, header) in &logins {
            let path = concrete(route.path, &desk);
            let said = ask(&router, route.method.clone(), &path, &[header], "").await;
            let refused = match route.access {
                Access::Open => None,
                Access::BouncerKey => (who != "a bouncer").then_some(StatusCode::FORBIDDEN),
                Access::AtLeast(needed) => match role {
                    None => Some(StatusCode::UNAUTHORIZED),
                    Some(role) => (*role < needed).then_some(StatusCode::FORBIDDEN),
                },
            };
            let what = format!("{} {path} by {who}", route.method);
            match refused {
                Some(status) => assert_eq!(said.status, status, "{what}"),
                None => assert!(
                    !matches!(said.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                        && !said.status.is_server_error(),
                    "{what}: {}",
                    said.status
                ),
            }
            if said.status == StatusCode::UNAUTHORIZED {
                assert!(said.header("www-authenticate").starts_with("Basic "), "{what}");
            }
            walked += 1;
        }
    }
    assert_eq!(walked, ROUTES.len() * logins.len());
    assert!(desk.commands.lock().unwrap().iter().all(|(_, actor, _)| actor.0 != "the-viewer"));
}

#[tokio::test]
async fn the_table_asks_for_what_each_route_needs() {
    for route in ROUTES {
        let open = ["/assets/{name}", "/health", "/healthz", "/readyz"].contains(&route.path)
            || route.path.starts_with("/hooks/");
        let expected = if open {
            Access::Open
        } else if route.path.starts_with("/v1/") {
            Access::BouncerKey
        } else if route.method == Method::GET {
            Access::AtLeast(Role::Viewer)
        } else if route.path == "/api/v2/alerts" {
            Access::AtLeast(Role::Ingest)
        } else if ["/incidents/", "/silences", "/outbox/"].iter().any(|part| route.path.contains(part)) {
            Access::AtLeast(Role::Responder)
        } else {
            Access::AtLeast(Role::Admin)
        };
        assert_eq!(route.access, expected, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn a_user_logs_in_by_password_and_only_by_that() {
    let hash = bcrypt::hash("correct horse", 4).unwrap();
    let users = [("mira".to_owned(), Secret::new(hash))].into();
    let router = surface(&Fake::full(), HttpKnobs { basic_auth_users: users, ..HttpKnobs::default() });
    for (user, password, status) in [
        ("mira", "correct horse", StatusCode::OK),
        // Once more, from memory.
        ("mira", "correct horse", StatusCode::OK),
        ("mira", "wrong horse", StatusCode::UNAUTHORIZED),
        ("eve", "correct horse", StatusCode::UNAUTHORIZED),
        ("mira", "", StatusCode::UNAUTHORIZED),
        ("", "", StatusCode::UNAUTHORIZED),
    ] {
        let said = get(&router, "/api/v1/ledger", &[&basic(user, password)]).await;
        assert_eq!(said.status, status, "{user}:{password}");
    }
    let long = "x".repeat(100_000);
    for header in
        ["authorization: Basic !!!", "authorization: Basic", "authorization: Digest a", &basic("mira", &long)]
    {
        assert_eq!(get(&router, "/api/v1/ledger", &[header]).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn guessing_passwords_cannot_take_all_processors() {
    let hash = bcrypt::hash("correct horse", 9).unwrap();
    let users = [("mira".to_owned(), Secret::new(hash))].into();
    let router = surface(&Fake::full(), HttpKnobs { basic_auth_users: users, ..HttpKnobs::default() });
    let guesses = (0..60).map(|at| {
        let router = router.clone();
        tokio::spawn(async move { get(&router, "/", &[&basic("mira", &format!("guess {at}"))]).await.status })
    });
    let mut turned_away = 0;
    for guess in guesses.collect::<Vec<_>>() {
        match guess.await.unwrap() {
            StatusCode::SERVICE_UNAVAILABLE => turned_away += 1,
            status => assert_eq!(status, StatusCode::UNAUTHORIZED),
        }
    }
    assert!(turned_away >= 30, "only {turned_away} of 60 were turned away");
}

#[tokio::test]
async fn another_sites_page_cannot_act() {
    let desk = Fake::full();
    let router = open(&desk);
    let path = concrete("/incidents/{id}/acknowledge", &desk);
    for (headers, passes) in [
        (&[][..], true),
        (&["sec-fetch-site: same-origin", "origin: http://127.0.0.1:8480"][..], true),
        (&["origin: http://127.0.0.1:8480"][..], true),
        (&["sec-fetch-site: cross-site"][..], false),
        (&["sec-fetch-site: same-site"][..], false),
        (&["sec-fetch-site: cross-site", "origin: http://127.0.0.1:8480"][..], false),
        (&["origin: https://evil.example"][..], false),
        (&["origin: http://127.0.0.1:9999"][..], false),
        (&["origin: null"][..], false),
    ] {
        let said = ask(&router, Method::POST, &path, headers, "").await;
        let expected = if passes { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        assert_eq!(said.status, expected, "{headers:?}");
        assert_eq!(get(&router, "/", headers).await.status, StatusCode::OK, "reading with {headers:?}");
    }
}

#[tokio::test]
async fn a_name_that_was_pointed_at_loopback_is_not_ours() {
    let desk = Fake::full();
    let knobs = HttpKnobs { external_url: "http://localhost:8480".into(), ..HttpKnobs::default() };
    let router = surface(&desk, knobs);
    for (host, status) in [
        ("127.0.0.1:8480", StatusCode::OK),
        ("localhost", StatusCode::OK),
        ("LOCALHOST:8480", StatusCode::OK),
        ("[::1]:8480", StatusCode::OK),
        ("evil.example:8480", StatusCode::MISDIRECTED_REQUEST),
        ("localhost.evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("127.0.0.1.evil.example", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let said = get(&router, "/healthz", &[&format!("host: {host}")]).await;
        assert_eq!(said.status, status, "{host}");
    }
}
