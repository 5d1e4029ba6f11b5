//! `outbox` and `dead-letters`.

use beaconfire_api::{HttpKnobs, RowPick};
use beaconfire_model::is_harmful;
use beaconfire_outbox::ByHand;
use serde_json::Value;

use super::fake::Fake;
use super::instance::{ask, flood, well};
use super::surface::Surface;

#[test]
fn the_outbox_is_listed_and_its_rows_are_tried_and_dropped() {
    let surface = Surface::start(HttpKnobs::default());
    let id = flood(&surface);
    surface.desk.cases.lock().unwrap()[0].rows[2].via = Some("pa\u{1b}[2Jger".into());
    let table = well(&surface, "outbox --output table");
    for part in
        [&*id, "mail email-0", "pending, failed 3 times, fell back, in place of pa", "450 mailbox busy"]
    {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    assert!(!table.contains(|c| c != '\n' && is_harmful(c)), "{table:?}");
    let listed = well(&surface, "outbox list --receiver mail --fate pending --limit 7");
    let listed: Value = serde_json::from_str(&listed).expect("one a line where nobody watches");
    assert_eq!((&listed["incident"], &listed["lane"]), (&id.as_str().into(), &"page".into()));
    let query = surface.desk.outbox_queries.lock().unwrap().pop().unwrap();
    assert_eq!(
        (query.receiver.as_deref(), query.fate.as_deref(), query.limit),
        (Some("mail"), Some("pending"), 7)
    );

    let tried = well(&surface, &format!("outbox retry {id} mail --output table"));
    assert!(tried.contains("email-0") && tried.contains("open"), "{tried}");
    let dropped: Value =
        serde_json::from_str(&well(&surface, &format!("outbox drop {id} mail email-0"))).unwrap();
    assert_eq!(dropped["integration"], "email-0");
    let done = std::mem::take(&mut *surface.desk.handled.lock().unwrap());
    let [(_, all, ByHand::Retry), (actor, one, ByHand::Drop)] = &done[..] else { panic!("{done:?}") };
    assert_eq!((&*actor.0, all.integration.as_deref()), ("local", None));
    let RowPick { incident, receiver, integration } = one;
    assert_eq!((incident.as_str(), &**receiver, integration.as_deref()), (&*id, "mail", Some("email-0")));

    let (code, _, err) = ask(&surface, &format!("outbox retry {id} chat"));
    assert_eq!(code, 1);
    assert!(err.contains("nothing left to tell"), "{err}");
    assert_eq!(ask(&surface, "outbox drop 17 chat").0, 2, "no id");
    assert_eq!(ask(&surface, &format!("outbox drop {id}")).0, 2, "of which receiver");
    let empty = Surface::over(Fake::empty(), HttpKnobs::default());
    assert_eq!(well(&empty, "outbox --output table"), "everything is told\n");
}

#[test]
fn dead_letters_are_listed_and_shown() {
    let surface = Surface::start(HttpKnobs::default());
    let table = well(&surface, "dead-letters --output table");
    let row = table.lines().nth(1).unwrap_or_default();
    assert!(row.starts_with("edge-access") && row.contains("syntax") && row.ends_with("/s?…\""), "{table}");
    well(&surface, "dead-letters list --topic edge-access --reason syntax");
    let query = surface.desk.letter_queries.lock().unwrap().pop().unwrap();
    assert_eq!((query.topic.as_deref(), query.reason.as_deref()), (Some("edge-access"), Some("syntax")));

    let shown = well(&surface, "dead-letters show edge-access 2 17 --output table");
    assert!(
        shown.starts_with("edge-access 2 17\nsyntax, ") && shown.ends_with("{\"uri\":\"/s?…\"\n"),
        "{shown}"
    );
    let document: Value =
        serde_json::from_str(&well(&surface, "dead-letters show edge-access 2 17")).unwrap();
    assert_eq!(document["offset"], 17);
    let (code, out, err) = ask(&surface, "dead-letters show edge-access 2 18");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("edge-access 2 18"), "{err}");
    assert_eq!(ask(&surface, "dead-letters show edge-access two 18").0, 2);
}
