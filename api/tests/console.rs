//! The console: strangers' text stays text, and a person finds what they need.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use beaconfire_api::Case;
use beaconfire_incident::{Command, Relation, RulePeak, Status};
use beaconfire_model::{Kind, Severity, Subject, SubjectKind, Untrusted};
use beaconfire_outbox::Fate;

use crate::fake::{Fake, SILENCE, flood, now, silenced, small};
use crate::harness::{ask, get, open, secret, surface, with_tokens};

const BROWSER: &str = "accept: text/html,application/xhtml+xml";
const EVIL: &str =
    "\"><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[31m\r\n<!channel>{{7*7}}";

/// The flood, with a stranger's text wherever a stranger's text can get.
fn hostile() -> Case {
    let mut case = flood();
    let dossier = &mut case.dossier;
    dossier.incident.target = Subject::new(SubjectKind::Service, EVIL);
    let peak = dossier.incident.rules.values().next().unwrap().clone();
    let peak = RulePeak { subject: Subject::new(SubjectKind::UserAgent, EVIL), ..peak };
    dossier.incident.rules = [(EVIL.into(), peak)].into();
    dossier.incident.resolved_by = Some(EVIL.into());
    for point in &mut dossier.points {
        point.rule = EVIL.into();
    }
    dossier.participants[0].subject = Subject::new(SubjectKind::Path, EVIL);
    dossier.samples[0].text = Untrusted::new(EVIL, 512);
    dossier.samples[0].by = Untrusted::new(EVIL, 256);
    for entry in &mut dossier.timeline {
        (entry.text, entry.actor, entry.what) = (EVIL.into(), EVIL.into(), EVIL.into());
    }
    case.rows[2].last_error = Some(EVIL.into());
    case.rows[1].key.receiver = EVIL.into();
    case.deliveries[1].said = Some(EVIL.into());
    case.deliveries[0].action = EVIL.into();
    case.runbook = Some("javascript:alert(1)".into());
    case
}

fn with(cases: Vec<Case>) -> Arc<Fake> {
    let desk = Fake::empty();
    *desk.cases.lock().unwrap() = cases;
    desk
}

fn page_of(desk: &Fake) -> String {
    format!("/incidents/{}", desk.cases.lock().unwrap()[0].dossier.incident.id)
}

#[tokio::test]
async fn a_strangers_text_stays_text() {
    let desk = with(vec![hostile()]);
    let router = open(&desk);
    for path in ["/".to_owned(), page_of(&desk), page_of(&desk) + "?note", page_of(&desk) + "?silence"] {
        let said = get(&router, &path, &[BROWSER]).await;
        assert_eq!(said.status, StatusCode::OK);
        for bad in ["<script", "<img", "javascript:", "\u{202e}", "\u{1b}", "<!channel"] {
            assert!(!said.body.contains(bad), "{bad:?} in {path}");
        }
        assert!(said.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{path} shows it");
        assert!(said.body.len() < 60_000, "{path} has {} bytes", said.body.len());
        let policy = said.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("script-src"), "{policy}");
        assert!(!said.body.contains("style=\""), "nothing that the policy stops");
    }
}

#[tokio::test]
async fn the_page_of_an_incident_answers_what_one_asks_at_night() {
    let desk = with(vec![flood()]);
    let page = get(&open(&desk), &page_of(&desk), &[BROWSER]).await.body;
    for fact in [
        "Request flood on shop",
        "critical",
        "Still happening.",
        "7,412",
        "12.4×",
        "threshold 600",
        "<polyline",
        "300 participants",
        "and 280 more",
        "GET /cart?[redacted] 200",
        "would ban",
        "450 mailbox busy",
        "after 3 failed tries",
        "told &quot;open&quot; ",
        "last 7,",
        "Acknowledge",
        "href=\"https://wiki.example.com/shop\"",
        "beaconfire incidents ack",
        "http-equiv=\"refresh\"",
    ] {
        assert!(page.contains(fact), "{fact:?} is missing");
    }
}

#[tokio::test]
async fn dead_rows_and_silent_hours_are_shown() {
    let mut case =
        small(Kind::Intrusion, Severity::Critical, Subject::new(SubjectKind::Workload, "shop/a"), 9);
    case.rows = flood().rows;
    case.rows[0].fate = Fate::Dead;
    case.dossier.incident.holds_until = case.dossier.incident.started_at;
    let desk = with(vec![case]);
    let page = get(&open(&desk), &page_of(&desk), &[BROWSER]).await.body;
    assert!(page.contains("failed for good") && page.contains("Quiet for 9 min"), "{page}");
    assert!(!page.contains("<svg"), "no chart without points");
}

#[tokio::test]
async fn nothing_wrong_says_that_we_are_alive() {
    let desk = Fake::empty();
    let router = open(&desk);
    let page = get(&router, "/", &[BROWSER]).await.body;
    assert!(page.contains("All quiet") && page.contains("Last record 2 s ago"), "{page}");
    *desk.last_record.lock().unwrap() = None;
    let page = get(&router, "/", &[BROWSER]).await.body;
    assert!(page.contains("No record has arrived yet") && page.contains("no record yet"), "{page}");
}

#[tokio::test]
async fn who_cannot_see_does_not_call_it_quiet() {
    let desk = Fake::empty();
    let router = open(&desk);
    desk.kafka_down.store(true, Ordering::Relaxed);
    let page = get(&router, "/", &[BROWSER]).await.body;
    assert!(page.contains("No open incidents") && page.contains("found when it does"), "{page}");
    assert!(!page.contains("All quiet"), "{page}");
    desk.kafka_down.store(false, Ordering::Relaxed);
    *desk.last_record.lock().unwrap() = Some(now().minus(Duration::from_secs(600)));
    let page = get(&router, "/", &[BROWSER]).await.body;
    assert!(page.contains("Nothing comes in") && !page.contains("All quiet"), "{page}");
}

#[tokio::test]
async fn a_finding_has_no_rate_and_nobody_who_takes_part() {
    let target = Subject::new(SubjectKind::Workload, "shop/a");
    let desk = with(vec![small(Kind::Intrusion, Severity::Critical, target, 1)]);
    let router = open(&desk);
    let page = get(&router, &page_of(&desk), &[BROWSER]).await.body;
    assert!(page.contains("May still be going on.") && page.contains("Last found at most 1 min"), "{page}");
    assert!(!page.contains("Over the limit") && !page.contains("participant"), "{page}");
    let list = get(&router, "/", &[BROWSER]).await.body;
    assert!(list.contains("Intrusion on shop/a") && !list.contains("participant"), "{list}");
}

#[tokio::test]
async fn samples_that_read_alike_are_shown_once() {
    let mut case = flood();
    let samples = &mut case.dossier.samples;
    let first = samples[0].clone();
    samples.extend([first.clone(), first]);
    let desk = with(vec![case]);
    let page = get(&open(&desk), &page_of(&desk), &[BROWSER]).await.body;
    assert_eq!(page.matches("GET /cart?[redacted] 200").count(), 1);
    assert_eq!(page.matches(" alike").count(), 1);
    assert!(page.contains("and 2 alike"), "{page}");
}

#[tokio::test]
async fn a_store_that_is_down_is_said_on_a_page_that_still_loads() {
    let desk = Fake::full();
    desk.store_down.store(true, Ordering::Relaxed);
    let page = get(&open(&desk), "/", &[BROWSER]).await.body;
    assert!(page.contains("down: nothing is lost") && page.contains("the store does not answer"), "{page}");
    assert!(!page.contains("secret.db"));
}

#[tokio::test]
async fn buttons_act_and_lead_back() {
    let desk = Fake::full();
    let path = page_of(&desk);
    let router = open(&desk);
    let form = "content-type: application/x-www-form-urlencoded";
    for (action, body, command) in [
        ("acknowledge", "", Command::Acknowledge),
        ("resolve", "", Command::Resolve),
        ("reopen", "", Command::Reopen),
        ("accept", "", Command::Accept),
        ("notes", "text=a+%3Cb%3E%0D%0Ac", Command::Note("a <b> / c".into())),
        ("assign", "to=mira", Command::Assign("mira".into())),
    ] {
        let said = ask(&router, Method::POST, &format!("{path}/{action}"), &[form], body).await;
        assert_eq!((said.status, said.header("location")), (StatusCode::SEE_OTHER, &*path), "{action}");
        assert_eq!(desk.commands.lock().unwrap().pop().unwrap().2, command);
    }
    let said = ask(&router, Method::POST, &format!("{path}/notes"), &[form, BROWSER], "text=").await;
    assert_eq!(said.status, StatusCode::BAD_REQUEST);
    assert!(said.header("content-type").starts_with("text/html") && said.body.contains("the note is empty"));
}

#[tokio::test]
async fn an_incident_is_silenced_from_its_page_and_says_so() {
    let desk = Fake::full();
    let (path, router) = (page_of(&desk), open(&desk));
    let page = get(&router, &format!("{path}?silence"), &[BROWSER]).await.body;
    assert!(page.contains("<code>kind=&quot;flood&quot;</code>") && page.contains("<select"), "{page}");
    assert!(!page.contains("http-equiv=\"refresh\""));
    let form = "content-type: application/x-www-form-urlencoded";
    let silence = format!("{path}/silence");
    let said = ask(&router, Method::POST, &silence, &[form], "hours=4&comment=load++test").await;
    assert_eq!((said.status, said.header("location")), (StatusCode::SEE_OTHER, &*path));
    let (actor, made, _) = desk.silenced.lock().unwrap().pop().unwrap();
    assert_eq!(
        (actor.0.as_str(), made.author.as_str(), made.comment.as_str()),
        ("local", "local", "load test")
    );
    assert_eq!(made.ends_at.since(made.starts_at), Duration::from_secs(4 * 3_600));
    let endless = ask(&router, Method::POST, &silence, &[form], "hours=9999&comment=").await;
    assert_eq!(endless.status, StatusCode::BAD_REQUEST);

    silenced(&mut desk.cases.lock().unwrap()[0]);
    desk.cases.lock().unwrap()[0].dossier.incident.assignee = Some(EVIL.into());
    let page = get(&router, &path, &[BROWSER]).await.body;
    for fact in ["<b>Silenced.</b> silenced by mira &lt;b&gt;", "Given to ", ">silenced</span>"] {
        assert!(page.contains(fact), "{fact:?} is missing in {page}");
    }
    assert!(!page.contains("<script"), "{page}");
}

#[tokio::test]
async fn the_page_of_silences_shows_what_each_matches_and_ends_them() {
    let desk = Fake::full();
    let router = open(&desk);
    assert!(get(&router, "/silences", &[BROWSER]).await.body.contains("Nothing is silenced"));
    let body = serde_json::json!({
        "matchers": ["kind=~.+", format!("service!=\"{}\"", EVIL.replace('"', "\\\""))], "comment": EVIL, "author": EVIL, "duration_seconds": 7_300,
    });
    let json = "content-type: application/json";
    let made = ask(&router, Method::POST, "/api/v1/silences", &[json], &body.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let page = get(&router, "/silences", &[BROWSER]).await.body;
    for fact in ["service!=", "Request flood on shop", "2 h", "End it now", "&lt;script&gt;"] {
        assert!(page.contains(fact), "{fact:?} is missing in {page}");
    }
    for bad in ["<script", "<img", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(bad), "{bad:?} in {page}");
    }
    let said = ask(&router, Method::POST, &format!("/silences/{SILENCE}/expire"), &[], "").await;
    assert_eq!((said.status, said.header("location")), (StatusCode::SEE_OTHER, "/silences"));
    let page = get(&router, "/silences", &[BROWSER]).await.body;
    assert!(page.contains("Nothing is silenced") && page.contains("ended "), "{page}");
    assert!(get(&router, "/", &[BROWSER]).await.body.contains("href=\"/silences\""));
}

#[tokio::test]
async fn a_note_is_not_lost_to_a_reload_and_a_viewer_has_no_buttons() {
    let desk = Fake::full();
    let page = get(&open(&desk), &(page_of(&desk) + "?note"), &[BROWSER]).await.body;
    assert!(page.contains("<textarea") && !page.contains("http-equiv=\"refresh\""));
    let router = surface(&Fake::full(), with_tokens());
    let login = format!("authorization: Bearer {}", secret(beaconfire_api::Role::Viewer));
    let page = get(&router, &page_of(&desk), &[BROWSER, &login]).await.body;
    assert!(!page.contains("<form") && page.contains("acting needs responder"));
}

#[tokio::test]
async fn problems_are_pages_in_browsers_only() {
    let router = surface(&Fake::full(), with_tokens());
    let said = get(&router, "/", &[BROWSER]).await;
    assert_eq!(said.status, StatusCode::UNAUTHORIZED);
    assert!(said.header("www-authenticate").starts_with("Basic ") && said.body.contains("<h1>Unauthorized"));
    get(&router, "/", &[]).await.problem();
    get(&router, "/api/v1/incidents", &[BROWSER]).await.problem();
    assert!(get(&router, "/nosuch", &[BROWSER]).await.body.contains("<h1>Not Found"));
}

#[tokio::test]
async fn the_style_may_be_kept_and_nothing_else() {
    let router = open(&Fake::full());
    let page = get(&router, "/", &[BROWSER]).await;
    assert_eq!(page.header("cache-control"), "no-store");
    let at = page.body.find("/assets/style-").unwrap();
    let path = page.body[at..].split('"').next().unwrap();
    let style = get(&router, path, &[]).await;
    assert_eq!((style.status, style.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    assert!(style.header("cache-control").contains("immutable"));
    let missing = get(&router, "/assets/style-000000000000.css", &[]).await;
    assert_eq!((missing.status, missing.header("cache-control")), (StatusCode::NOT_FOUND, "no-store"));
    for name in ["x-content-type-options", "referrer-policy", "cross-origin-opener-policy"] {
        assert!(!page.header(name).is_empty(), "{name}");
    }
}

/// What stopped by itself opens by itself; taking it up by hand would be refused.
#[tokio::test]
async fn only_what_somebody_closed_can_be_reopened() {
    for (by, offered) in [(None, false), (Some("ann"), true)] {
        let desk = Fake::full();
        let id = {
            let mut cases = desk.cases.lock().unwrap();
            let incident = &mut cases[0].dossier.incident;
            incident.status = Status::Resolved;
            incident.resolved_by = by.map(str::to_owned);
            incident.id.clone()
        };
        let page = get(&open(&desk), &format!("/incidents/{id}"), &[BROWSER]).await.body;
        assert_eq!(page.contains(&format!("/incidents/{id}/reopen")), offered, "closed by {by:?}");
    }
}

/// What rules count is not learned; what engines hold against what is usual can be accepted.
#[tokio::test]
async fn only_what_is_learned_can_be_accepted() {
    for (kind, target, offered) in [
        (Kind::Mining, SubjectKind::Workload, true),
        (Kind::Surge, SubjectKind::Service, true),
        (Kind::Flood, SubjectKind::Service, false),
        (Kind::Intrusion, SubjectKind::Workload, false),
    ] {
        let desk = Fake::full();
        let id = {
            let mut cases = desk.cases.lock().unwrap();
            let incident = &mut cases[0].dossier.incident;
            (incident.kind, incident.target.kind) = (kind, target);
            incident.id.clone()
        };
        let page = get(&open(&desk), &format!("/incidents/{id}"), &[BROWSER]).await.body;
        assert_eq!(page.contains(&format!("/incidents/{id}/accept")), offered, "{kind:?}");
    }
}

#[tokio::test]
async fn linked_incidents_are_named_with_how_they_stand() {
    let desk = Fake::full();
    let (id, other) = {
        let mut cases = desk.cases.lock().unwrap();
        let mut other = cases[1].dossier.incident.clone();
        other.target.value = "<script>".into();
        cases[0].links = vec![(other.clone(), Relation::Effect, "because it is so")];
        (cases[0].dossier.incident.id.clone(), other)
    };
    let router = open(&desk);
    let page = get(&router, &format!("/incidents/{id}"), &[BROWSER]).await.body;
    assert!(page.contains(&format!("Brings about <a href=\"/incidents/{}\">", other.id)), "{page}");
    assert!(page.contains("because it is so") && !page.contains("<script>"));
    let json = get(&router, &format!("/api/v1/incidents/{id}"), &[]).await.json();
    let link = &json["links"][0];
    assert_eq!((&link["id"], &link["relation"]), (&other.id.as_str().into(), &"effect".into()));
    assert_eq!(link["reason"], "because it is so");
}
