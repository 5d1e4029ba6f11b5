//! A template that fails, from the sender's side: the message is told, the delivery says why it looks as it does, and
//! the metric counts it.

use beaconfire_notify::{Knobs, PagerDutyKnobs, Slot};

use super::tests::{RATE, flood, sender, with_pages};
use super::*;
use crate::standins::{PagerDuty, ROUTING_KEY};

#[tokio::test]
async fn a_page_is_told_in_the_built_in_form_and_counted_where_its_template_fails() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_pages(&directory, &["shop"]).await;
    let standin = PagerDuty::start().await.unwrap();
    let routing_key = beaconfire_model::Secret::new(ROUTING_KEY);
    let knobs = Knobs::PagerDuty(PagerDutyKnobs { url: standin.url(), routing_key });
    let mut sender = sender(&store, &knobs, "pager", "pagerduty-0", RATE);
    let mut templates = Templates::default();
    templates.set(Slot::PagerDutySummary, "{{ labels.team }} is paged").unwrap();
    Arc::get_mut(&mut sender.house).unwrap().templates = Arc::new(templates);

    let pace = Mutex::new(Pace::new(RATE, now()));
    assert!(matches!(sender.turn(&pace).await.unwrap(), Turn::Sent));
    let alerts = standin.alerts();
    assert_eq!(alerts.len(), 1);
    assert!(alerts.values().all(|alert| alert.summary.contains("Request flood on shop")), "{alerts:?}");
    let incident = flood("shop", now()).incident.id;
    let told = store.deliveries(&incident).await.unwrap();
    assert_eq!(told[0].outcome, "accepted");
    let said = told[0].said.as_deref().unwrap();
    assert!(said.starts_with("template failed: pagerduty.summary, line 1"), "{said}");
    assert_eq!(sender.metrics.template_errors.with_label_values(&["pagerduty"]).get(), 1);
    assert_eq!(sender.condition.failing(), None, "the receiver is well");
    store.close().await;
}
