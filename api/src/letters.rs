//! `/api/v1/outbox` and `/api/v1/dead-letters`: what was not told in full, what to do about it, and what was not read.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use beaconfire_outbox::ByHand;
use beaconfire_view::{DeadLetterJson, OutboxItemJson, OutboxRowJson};
use serde::Deserialize;

use crate::auth::Caller;
use crate::body::{Json, Parameters};
use crate::edge::App;
use crate::incidents::incident_id;
use crate::problem::Problem;
use crate::{LetterFacts, LetterQuery, OutboxFacts, OutboxQuery, RowPick, shapes};

/// The fates of rows that may have something left to tell.
const FATES: [&str; 5] = ["pending", "held", "delivered", "in_digest", "dead"];

/// `GET /api/v1/outbox[?receiver=&fate=&limit=&cursor=]`: rows that are not told in full, the oldest first.
pub(crate) async fn outbox(State(app): State<App>, mut parameters: Parameters) -> Result<Response, Problem> {
    let query = OutboxQuery {
        receiver: parameters.take("receiver"),
        fate: parameters.take("fate").map(fate).transpose()?,
        limit: parameters.limit()?,
        cursor: parameters.take("cursor"),
    };
    parameters.done("receiver, fate, limit and cursor")?;
    let page = app.desk.outbox(query).await?;
    let shape = |OutboxFacts { row, incident, fell_back, in_flight }: &OutboxFacts| {
        OutboxItemJson::of(row, incident, *fell_back, *in_flight)
    };
    Ok(shapes::list(page.items.iter().map(shape), page.next_cursor))
}

fn fate(name: String) -> Result<String, Problem> {
    if FATES.contains(&&*name) {
        return Ok(name);
    }
    Err(Problem::bad_request(format!("unknown fate {name:?}; known are {}", FATES.join(", "))))
}

/// Which rows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    incident: String,
    receiver: String,
    #[serde(default)]
    integration: Option<String>,
}

/// `POST /api/v1/outbox/retry` with `{"incident":"…","receiver":"chat"}`; `integration` may be left out. Answers with
/// the rows that are tried.
pub(crate) async fn retry(app: State<App>, caller: Extension<Caller>, which: Json<Which>) -> Answered {
    by_hand(app, caller, which, ByHand::Retry).await
}

/// `POST /api/v1/outbox/drop`, likewise: the rows that are told no more.
pub(crate) async fn drop(app: State<App>, caller: Extension<Caller>, which: Json<Which>) -> Answered {
    by_hand(app, caller, which, ByHand::Drop).await
}

/// The rows as they then stand.
type Answered = Result<Response, Problem>;

async fn by_hand(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(Which { incident, receiver, integration }): Json<Which>,
    what: ByHand,
) -> Answered {
    let pick = RowPick { incident: incident_id(&incident)?, receiver, integration };
    let rows = app.desk.by_hand(caller.actor(), pick, what).await?;
    Ok(shapes::list(rows.iter().map(OutboxRowJson::of), None))
}

/// `GET /api/v1/dead-letters[?topic=&partition=&offset=&reason=&limit=&cursor=]`: records that were rejected lately, as
/// far as this process keeps them; the latest first.
pub(crate) async fn dead(State(app): State<App>, mut parameters: Parameters) -> Result<Response, Problem> {
    let query = LetterQuery {
        topic: parameters.take("topic"),
        partition: parameters.take("partition").map(|text| number("partition", &text)).transpose()?,
        offset: parameters.take("offset").map(|text| number("offset", &text)).transpose()?,
        reason: parameters.take("reason"),
        limit: parameters.limit()?,
        cursor: parameters.take("cursor"),
    };
    parameters.done("topic, partition, offset, reason, limit and cursor")?;
    let page = app.desk.dead_letters(query).await?;
    let shape = |letter: &LetterFacts| DeadLetterJson {
        topic: letter.topic.clone(),
        partition: letter.partition,
        offset: letter.offset,
        reason: letter.reason.clone(),
        at: letter.at.to_string(),
        payload: letter.payload.clone(),
    };
    Ok(shapes::list(page.items.iter().map(shape), page.next_cursor))
}

fn number<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::bad_request(format!("{what} {text:?} is not a number")))
}
