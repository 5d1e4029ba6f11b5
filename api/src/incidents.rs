//! `/api/v1/incidents`: lists, one with its evidence, and what people do to it.

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, response::IntoResponse};
use beaconfire_incident::{Command, Incident, IncidentId, Status};
use beaconfire_model::{EventTime, Kind, Untrusted};
use beaconfire_view::IncidentItemJson;
use serde::Deserialize;

use crate::IncidentQuery;
use crate::auth::Caller;
use crate::body::{Json, Parameters, Segment};
use crate::edge::App;
use crate::problem::Problem;
use crate::shapes::{self, Shape};

/// The longest name of somebody, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The longest note, in bytes.
const NOTE_BYTES_MAX: usize = 2000;

/// `GET /api/v1/incidents[?status=&kind=&service=&since=&limit=&cursor=]`; `status` and `kind` take lists with commas.
pub(crate) async fn list(State(app): State<App>, mut parameters: Parameters) -> Result<Response, Problem> {
    let query = IncidentQuery {
        statuses: each(parameters.take("status"), "status", Status::parse)?,
        kinds: each(parameters.take("kind"), "kind", Kind::parse)?,
        service: parameters.take("service"),
        since: parameters.take("since").map(|text| moment(&text)).transpose()?,
        limit: parameters.limit()?,
        cursor: parameters.take("cursor"),
        worst_first: false,
    };
    parameters.done("status, kind, service, since, limit and cursor")?;
    let page = app.desk.incidents(query).await?;
    Ok(shapes::list(page.items.iter().map(IncidentItemJson::of), page.next_cursor))
}

/// `GET /api/v1/incidents/{id}`.
pub(crate) async fn one(State(app): State<App>, Segment(id): Segment) -> Result<Response, Problem> {
    let case = app.desk.case(incident_id(&id)?).await?;
    Ok(Shape(shapes::case(&case)).into_response())
}

/// `POST /api/v1/incidents/{id}/acknowledge`.
pub(crate) async fn acknowledge(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Acknowledge).await
}

/// `POST /api/v1/incidents/{id}/resolve`.
pub(crate) async fn resolve(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Resolve).await
}

/// `POST /api/v1/incidents/{id}/reopen`.
pub(crate) async fn reopen(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Reopen).await
}

/// `POST /api/v1/incidents/{id}/accept`.
pub(crate) async fn accept(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Accept).await
}

/// Whom to give it to: `{"to":"…"}`; nobody where that is empty.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Assignment {
    to: String,
}

/// `POST /api/v1/incidents/{id}/assign`.
pub(crate) async fn assign(
    app: State<App>,
    caller: Extension<Caller>,
    id: Segment,
    Json(wanted): Json<Assignment>,
) -> Answered {
    command(app, caller, id, Command::Assign(assignee(&wanted.to)?)).await
}

/// A note: `{"text":"…"}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Note {
    text: String,
}

/// `POST /api/v1/incidents/{id}/notes`.
pub(crate) async fn note(
    app: State<App>,
    caller: Extension<Caller>,
    id: Segment,
    Json(note): Json<Note>,
) -> Answered {
    command(app, caller, id, Command::Note(note_text(&note.text)?)).await
}

/// The incident as it then stands.
type Answered = Result<Response, Problem>;

async fn command(app: State<App>, caller: Extension<Caller>, id: Segment, command: Command) -> Answered {
    Ok(Shape(IncidentItemJson::of(&obeyed(app, caller, id, command).await?)).into_response())
}

/// Has what the caller asks for done; the incident as it then stands.
pub(crate) async fn obeyed(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
    command: Command,
) -> Result<Incident, Problem> {
    Ok(app.desk.command(incident_id(&id)?, caller.actor(), command).await?)
}

/// The id of an incident: 32 hex digits, or there is none of that name.
pub(crate) fn incident_id(text: &str) -> Result<IncidentId, Problem> {
    if text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(IncidentId::from_text(text))
    } else {
        Err(Problem::from(crate::DeskError::NotFound))
    }
}

/// Somebody's name: not endless. The fold cleans it.
pub(crate) fn assignee(text: &str) -> Result<String, Problem> {
    if text.len() > NAME_BYTES_MAX {
        return Err(Problem::bad_request(format!("a name has at most {NAME_BYTES_MAX} bytes")));
    }
    Ok(text.to_owned())
}

/// A note as it is kept: one line, cleaned, not empty, not endless.
pub(crate) fn note_text(text: &str) -> Result<String, Problem> {
    if text.len() > NOTE_BYTES_MAX {
        return Err(Problem::bad_request(format!("a note has at most {NOTE_BYTES_MAX} bytes")));
    }
    let line = text.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
    let line = line.collect::<Vec<_>>().join(" / ");
    if line.is_empty() {
        return Err(Problem::bad_request("the note is empty"));
    }
    Ok(Untrusted::new(&line, 2 * NOTE_BYTES_MAX).clean().to_owned())
}

fn each<T>(list: Option<String>, what: &str, parse: fn(&str) -> Option<T>) -> Result<Vec<T>, Problem> {
    let list = list.unwrap_or_default();
    let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| parse(item).ok_or_else(|| Problem::bad_request(format!("unknown {what} {item:?}"))))
        .collect()
}

fn moment(text: &str) -> Result<EventTime, Problem> {
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        Problem::bad_request(format!("since {text:?} is no RFC 3339 time (2026-01-02T03:04:05Z)"))
    })?;
    Ok(EventTime::from_millis(at.as_millisecond()))
}
