//! What each channel shows, whole, and that no stranger's text gets out of its place.

use beaconfire_model::{SubjectKind, Untrusted};
use beaconfire_outbox::Action;
use beaconfire_view::Privacy;
use lettre::message::Mailbox;
use proptest::prelude::*;
use serde_json::Value;

use super::{Facts, email, pagerduty, slack, webhook};
use crate::tests::fixture::{Case, SITE, wall};
use crate::{Matter, Message};

fn mailed(message: &Message<'_>) -> String {
    let from: Mailbox = "Beaconfire <beaconfire@example.com>".parse().unwrap();
    let to: Mailbox = "oncall@example.com".parse().unwrap();
    String::from_utf8(email::mail(message, &from, &[to]).unwrap().bytes).unwrap()
}
