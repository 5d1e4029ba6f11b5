//! Fallbacks: which pages go to somebody else, and when.

use beaconfire_incident::{Status, Transition};
use beaconfire_model::Severity;
use beaconfire_outbox::{DigestId, Fallback, Fate, IntegrationKind, Lane, Row, Suppressed, Told};

use crate::support::{Desk, receivers, wall};

fn fallback() -> Fallback {
    let held =
        receivers(&[("mail", IntegrationKind::Email, true), ("mail", IntegrationKind::Webhook, false)]);
    Fallback { receiver: "mail".into(), integrations: held["mail"].clone() }
}

/// A page that has waited since second 0.
fn page() -> Row {
    let mut desk = Desk::new();
    desk.incident.severity = Severity::Critical;
    desk.happens(Transition::Opened, wall(0));
    desk.rows.remove(0)
}

#[test]
fn a_page_that_is_late_or_cannot_be_told_falls_back_and_nothing_else_does() {
    let fallback = fallback();
    let (early, late, very_late) = (wall(29_999), wall(30_000), wall(60_000));
    let due = |row: &Row| {
        [(false, early), (false, late), (false, very_late), (true, early)]
            .map(|(broken, now)| fallback.is_due(row, broken, now))
    };
    assert_eq!(due(&page()), [false, true, true, true]);
    assert_eq!(due(&Row { fate: Fate::Held(DigestId(7)), ..page() }), [false, false, true, true]);
    assert_eq!(due(&Row { fate: Fate::Dead, ..page() }), [true; 4]);
    for not in [
        Row { told: Some(page().desired), fate: Fate::Delivered, ..page() },
        Row { fate: Fate::Suppressed(Suppressed::TooOld), ..page() },
        Row { fate: Fate::InDigest(DigestId(7)), ..page() },
        Row { lane: Lane::Ticket, ..page() },
        Row { desired: Told { status: Status::Acknowledged, ..page().desired }, ..page() },
        Row { desired: Told { status: Status::Resolved, ..page().desired }, ..page() },
    ] {
        assert_eq!(due(&not), [false; 4], "{not:?}");
    }
}

#[test]
fn the_rows_of_the_fallback_say_in_whose_place_they_are_and_hear_of_the_end() {
    let now = wall(30_000);
    let rows = fallback().rows(&page(), now);
    let [mail, hook] = &rows[..] else { panic!("one an integration") };
    assert_eq!((&*mail.key.receiver, &*mail.key.integration), ("mail", "email-0"));
    assert_eq!((mail.via.as_deref(), mail.lane, &mail.fate), (Some("chat"), Lane::Page, &Fate::Pending));
    assert_eq!((mail.due, mail.created_at, mail.version), (now, now, 0));
    assert_eq!((mail.send_resolved, hook.send_resolved), (true, false));

    let mut desk = Desk::new();
    desk.receivers.extend(receivers(&[("mail", IntegrationKind::Email, true)]));
    desk.incident.severity = Severity::Critical;
    desk.happens(Transition::Opened, wall(0));
    desk.rows.push(Row { told: Some(mail.desired), fate: Fate::Delivered, messages: 1, ..mail.clone() });
    desk.happens(Transition::Resolved { by: None }, wall(40_000));
    assert_eq!(desk.rows[1].desired.status, Status::Resolved);
    assert!(desk.rows[1].next_action().is_some(), "though no route leads there");
}
