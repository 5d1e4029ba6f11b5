//! What was not told in full, and what people do about it; what was not read.

use std::cmp::Reverse;

use beaconfire_api::{DeskError, LetterFacts, LetterQuery, OutboxFacts, OutboxQuery, Page, RowPick};
use beaconfire_incident::Actor;
use beaconfire_ingest::Sample;
use beaconfire_model::Untrusted;
use beaconfire_outbox::{ByHand, Row};
use beaconfire_store::{Handled, Unfinished, UnfinishedQuery};

use super::{Office, unavailable};
use crate::threads::now;

/// Bytes shown of a dead letter: all that is kept of it, where nothing of that needs cleaning.
const LETTER_SHOWN: usize = 4_096;

impl Office {
    /// A page of the rows that are not told in full.
    pub(super) async fn unfinished(&self, query: OutboxQuery) -> Result<Page<OutboxFacts>, DeskError> {
        let OutboxQuery { receiver, fate, limit, cursor } = query;
        let query = UnfinishedQuery { receiver, fate, limit, cursor };
        let (items, next_cursor) = self.store.unfinished(&query, now()).await.map_err(unavailable)?;
        let facts = |item: Unfinished| {
            let Unfinished { row, incident, fell_back, in_flight } = item;
            OutboxFacts { row, incident, fell_back, in_flight }
        };
        Ok(Page { items: items.into_iter().map(facts).collect(), next_cursor })
    }

    /// Tries or drops rows, and wakes their senders.
    pub(super) async fn handle(
        &self,
        actor: Actor,
        pick: RowPick,
        what: ByHand,
    ) -> Result<Vec<Row>, DeskError> {
        let RowPick { incident, receiver, integration } = pick;
        let handled =
            self.store.by_hand(&incident, &receiver, integration.as_deref(), what, &actor.0, now()).await;
        match handled.map_err(unavailable)? {
            Handled::NotFound => Err(DeskError::NotFound),
            Handled::Refused(why) => Err(DeskError::Refused(why)),
            Handled::Done(rows) => {
                tracing::info!(actor = %actor.0, %incident, rows = rows.len(), "notifications were {}", what.done());
                rows.iter().for_each(|row| self.bells.ring(&row.key));
                Ok(rows)
            }
        }
    }

    /// The samples of rejected records that are kept, the latest first.
    pub(super) fn letters(&self, query: &LetterQuery) -> Result<Page<LetterFacts>, DeskError> {
        page_of(self.letters.samples(), query)
    }
}

fn page_of(mut samples: Vec<Sample>, query: &LetterQuery) -> Result<Page<LetterFacts>, DeskError> {
    let foreign = |_| DeskError::Invalid("the cursor is not one that a page gave out".to_owned());
    let before = query.cursor.as_deref().map(str::parse::<u64>).transpose().map_err(foreign)?;
    samples.retain(|sample| {
        before.is_none_or(|before| sample.number < before)
            && query.topic.as_ref().is_none_or(|topic| *topic == sample.topic)
            && query.partition.is_none_or(|partition| partition == sample.partition)
            && query.offset.is_none_or(|offset| offset == sample.offset)
            && query.reason.as_ref().is_none_or(|reason| reason == sample.reason)
    });
    samples.sort_by_key(|sample| Reverse(sample.number));
    let more = samples.len() > query.limit;
    samples.truncate(query.limit);
    let next_cursor = samples.last().filter(|_| more).map(|last| last.number.to_string());
    let facts = |sample: &Sample| LetterFacts {
        topic: sample.topic.clone(),
        partition: sample.partition,
        offset: sample.offset,
        reason: sample.reason.to_owned(),
        at: sample.at,
        payload: sample.payload.as_deref().map(|payload| {
            Untrusted::new(&String::from_utf8_lossy(payload), LETTER_SHOWN).clean().to_owned()
        }),
    };
    Ok(Page { items: samples.iter().map(facts).collect(), next_cursor })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use beaconfire_api::Desk as _;
    use beaconfire_incident::Transition;
    use beaconfire_model::{Kind, Subject, Wall};
    use beaconfire_outbox::{Fate, Integration, IntegrationKind, Quiet, Receivers, Route, desire};
    use beaconfire_store::Write;
    use tokio::time::timeout;

    use super::*;
    use crate::bells::Bells;
    use crate::desk::tests::knowing;

    fn sample(number: u64, reason: &'static str, payload: Option<&[u8]>) -> Sample {
        Sample {
            number,
            at: Wall::from_millis(0),
            topic: format!("edge-{}", number % 2),
            partition: 0,
            offset: 100 + i64::try_from(number).unwrap(),
            reason,
            error: reason.to_owned(),
            payload: payload.map(<[u8]>::to_vec),
        }
    }

    fn all() -> Vec<Sample> {
        // By reason, as they are kept.
        vec![
            sample(2, "depth", Some(b"{")),
            sample(4, "depth", Some(b"a\x1b[2J\xff")),
            sample(1, "syntax", None),
            sample(3, "syntax", Some(&[b'x'; 4_096])),
        ]
    }

    fn offsets(page: &Page<LetterFacts>) -> Vec<i64> {
        page.items.iter().map(|letter| letter.offset).collect()
    }

    #[test]
    fn the_latest_letter_comes_first_and_pages_follow_one_another() {
        let mut query = LetterQuery { limit: 3, ..LetterQuery::default() };
        let first = page_of(all(), &query).unwrap();
        assert_eq!((offsets(&first), first.next_cursor.as_deref()), (vec![104, 103, 102], Some("2")));
        assert_eq!(first.items[0].payload.as_deref(), Some("a\\u{1b}[2J\u{fffd}"), "cleaned");
        assert_eq!(first.items[1].payload.as_ref().map(String::len), Some(4_096), "whole");
        query.cursor = first.next_cursor;
        let last = page_of(all(), &query).unwrap();
        assert_eq!((offsets(&last), &last.next_cursor, &last.items[0].payload), (vec![101], &None, &None));
        query.cursor = Some("x".into());
        assert!(matches!(page_of(all(), &query), Err(DeskError::Invalid(_))));
    }

    #[test]
    fn letters_are_picked_by_what_they_are() {
        let limit = 100;
        for (query, found) in [
            (LetterQuery { topic: Some("edge-1".into()), limit, ..LetterQuery::default() }, vec![103, 101]),
            (LetterQuery { reason: Some("depth".into()), limit, ..LetterQuery::default() }, vec![104, 102]),
            (LetterQuery { offset: Some(103), limit, ..LetterQuery::default() }, vec![103]),
            (LetterQuery { partition: Some(1), limit, ..LetterQuery::default() }, vec![]),
        ] {
            assert_eq!(offsets(&page_of(all(), &query).unwrap()), found, "{query:?}");
        }
    }

    #[tokio::test]
    async fn what_is_tried_by_hand_wakes_its_sender_and_what_is_dropped_stays_in_the_ledger() {
        let directory = tempfile::tempdir().unwrap();
        let (mut office, ids) = knowing(directory.path(), &[(Kind::Flood, Subject::service("shop"))]).await;
        let slack = Integration { name: "slack-0".into(), kind: IntegrationKind::Slack, send_resolved: true };
        let receivers: Receivers = [("chat".into(), vec![slack])].into();
        office.bells = Bells::of(&receivers);
        let bell = office.bells.bell(&"chat".into(), &"slack-0".into());
        let incident = office.store.incident(&ids[0]).await.unwrap().unwrap();
        let route = Route { receiver: Some("chat".into()), ..Route::default() };
        let mut rows =
            desire(&route, &receivers, &incident, &[Transition::Opened], &[], &Quiet::default(), now());
        rows[0].fate = Fate::Dead;
        office.store.save(Write { rows: &rows, ..Write::default() }).await.unwrap();

        let pick = |receiver: &str| RowPick {
            incident: ids[0].clone(),
            receiver: receiver.into(),
            integration: None,
        };
        let hand = async |receiver, what| office.by_hand(Actor("ann".into()), pick(receiver), what).await;
        assert_eq!(hand("mail", ByHand::Retry).await, Err(DeskError::NotFound));
        assert!(timeout(Duration::ZERO, bell.notified()).await.is_err(), "nothing to wake it for");
        assert_eq!(hand("chat", ByHand::Retry).await.unwrap()[0].fate, Fate::Pending);
        timeout(Duration::from_secs(60), bell.notified()).await.expect("it rang");
        let query = OutboxQuery { limit: 10, ..OutboxQuery::default() };
        let page = office.outbox(query.clone()).await.unwrap();
        assert_eq!((page.items.len(), &page.items[0].incident, page.next_cursor), (1, &incident, None));

        hand("chat", ByHand::Drop).await.unwrap();
        assert_eq!(office.outbox(query).await.unwrap().items, []);
        let line = office.ledger().await.unwrap().remove(0);
        assert!(line.adds_up() && line.suppressed["dropped"] == 1, "{line:?}");
        assert!(matches!(hand("chat", ByHand::Drop).await, Err(DeskError::Refused(_))));
        let case = office.case(ids[0].clone()).await.unwrap();
        let lines: Vec<_> = case.dossier.timeline.iter().rev().take(2).map(|line| &*line.what).collect();
        assert_eq!(lines, ["dropped", "retried"]);
    }
}
