//! What people do to incidents, and which incidents explain one another.

use std::time::Duration;

use beaconfire_api::DeskError;
use beaconfire_incident::{Actor, Command, Incident, IncidentId, Relation, can_accept, link, linkable};
use beaconfire_store::Query;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Office, unavailable};
use crate::keep::Order;

/// Linked incidents are looked for among so many, from so long before, and so many are shown.
const LINKS_AMONG: usize = 200;
const LINKS_BEFORE: Duration = Duration::from_mins(10);
const LINKS_SHOWN: usize = 20;

/// A shard looks for what was accepted at least once a second.
const ACCEPT_WITHIN: Duration = Duration::from_secs(5);

impl Office {
    /// Incidents that bring this one about, or that it brings about, the newest first.
    pub(super) async fn links(
        &self,
        incident: &Incident,
    ) -> Result<Vec<(Incident, Relation, &'static str)>, DeskError> {
        let kinds = linkable(incident.kind);
        if kinds.is_empty() {
            return Ok(Vec::new());
        }
        let since = Some(incident.started_at.minus(LINKS_BEFORE));
        let query = Query { kinds: kinds.to_vec(), since, limit: LINKS_AMONG, ..Query::default() };
        let page = self.store.incidents(&query).await.map_err(unavailable)?;
        let ties = |service: &str, workload: &str| self.plan.ties(service, workload);
        let linked = page.items.into_iter().filter_map(|other| {
            let (relation, why) = link(incident, &other, ties)?;
            Some((other, relation, why))
        });
        Ok(linked.take(LINKS_SHOWN).collect())
    }

    pub(super) async fn order(
        &self,
        id: IncidentId,
        actor: Actor,
        command: Command,
    ) -> Result<Incident, DeskError> {
        if command == Command::Accept {
            self.learn(&id).await?;
        }
        self.ask(id, actor, command).await
    }

    /// Has what an incident is about learned as usual, before it is closed: another process may know of it, and then it would
    /// only open again.
    pub(super) async fn learn(&self, id: &IncidentId) -> Result<(), DeskError> {
        let incident = self.store.incident(id).await.map_err(unavailable)?.ok_or(DeskError::NotFound)?;
        // What cannot be accepted is refused in words when the command is folded.
        if !can_accept(&incident) {
            return Ok(());
        }
        let busy = || DeskError::Unavailable("it cannot be learned just now; try again".to_owned());
        let answered = self.accepts.give(incident.target).ok_or_else(busy)?;
        match timeout(ACCEPT_WITHIN, answered).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(DeskError::Refused(
                "nothing is learned of it in this process: ask the one that reads its records, or resolve it"
                    .to_owned(),
            )),
            _ => Err(busy()),
        }
    }

    async fn ask(&self, id: IncidentId, actor: Actor, command: Command) -> Result<Incident, DeskError> {
        let (answer, answered) = oneshot::channel();
        self.orders
            .try_send(Order { id, actor, command, answer })
            .map_err(|_| DeskError::Unavailable("too many commands wait already; try again".to_owned()))?;
        answered.await.unwrap_or_else(|_| Err(DeskError::Unavailable("the process is stopping".to_owned())))
    }
}
