//! The console: what is wrong now, and one incident on one page for somebody who was asleep a minute ago. Rendered
//! here and now, works without script, in a terminal browser, on a phone, in the dark.

mod chart;
mod forms;
mod incident;
mod list;
mod silences;
mod strip;
mod words;

use std::sync::LazyLock;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use beaconfire_incident::{Command, Status};
use beaconfire_model::Wall;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use forms::Form;

use crate::auth::{Caller, sha256};
use crate::body::{Fields, Parameters, Segment};
use crate::edge::{App, now};
use crate::incidents::{assignee, incident_id, note_text, obeyed};
use crate::problem::Problem;
use crate::silences::{comment, silence_incident};
use crate::{DeskError, IncidentQuery, StatusFacts};

const STYLE: &str = include_str!("style.css");

/// The style's path holds its hash: it may be cached for ever, and a new version is another path.
static STYLE_NAME: LazyLock<String> = LazyLock::new(|| {
    let hash = sha256(STYLE)[..6].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("style-{hash}.css")
});

/// A small fire, in the page itself.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath \
                    d='M8 1c1 3 4 4.500 4 8a4 4 0 0 1-8 0c0-1.500.700-2.500 1.500-3.300C6 7 7 7 7 5.500 7 4 7 2.500 8 1z' \
                    fill='%23e8590c'/%3E%3C/svg%3E";

/// How often a page that shows something live reloads itself, in seconds.
const REFRESH_SECONDS: u32 = 10;
/// Open incidents on the first page; beyond, it says how to see the rest.
const OPEN_MAX: usize = 200;
/// Resolved incidents on the first page.
const RESOLVED_MAX: usize = 20;

/// `GET /`.
pub(crate) async fn list(State(app): State<App>, Extension(caller): Extension<Caller>) -> Response {
    let query = |statuses: &[Status], limit, worst_first| IncidentQuery {
        statuses: statuses.to_vec(),
        limit,
        worst_first,
        ..IncidentQuery::default()
    };
    let open = app.desk.incidents(query(&[Status::Open, Status::Acknowledged], OPEN_MAX, true));
    let resolved = app.desk.incidents(query(&[Status::Resolved], RESOLVED_MAX, false));
    let (open, resolved, status) = tokio::join!(open, resolved, app.desk.status());
    let now = now();
    let body = match (open, resolved) {
        (Ok(open), Ok(resolved)) => list::page(&open, &resolved, status.as_ref().ok(), now),
        // The strip still tells how we are: that matters most when the store does not answer.
        (Err(error), _) | (_, Err(error)) => unavailable(error),
    };
    Page { title: "Incidents", refresh: true, caller: Some(&caller), status: Some(&status), now }.show(body)
}

/// `GET /silences`.
pub(crate) async fn silences(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let (silences, status) = tokio::join!(app.desk.silences(), app.desk.status());
    let (silences, now) = (silences?, now());
    let body = silences::page(&silences, &caller, now);
    let page = Page { title: "Silences", refresh: true, caller: Some(&caller), status: Some(&status), now };
    Ok(page.show(body))
}

/// `POST /silences/{id}/expire`.
pub(crate) async fn expire(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
) -> Answered {
    app.desk.expire_silence(caller.actor(), id).await?;
    Ok(Redirect::to("/silences"))
}

/// `GET /incidents/{id}`; with `?note`, `?silence` or `?assign`, the form for that, and then without reloading under the writer's hands.
pub(crate) async fn incident(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let id = incident_id(&id)?;
    let form = Form::ALL.into_iter().find(|form| parameters.take(form.name()).is_some());
    let (case, status) = tokio::join!(app.desk.case(id), app.desk.status());
    let case = case?;
    let now = now();
    let title = words::clean(&beaconfire_incident::title(&case.dossier.incident), 400);
    let view = incident::View { case: &case, caller: &caller, base: app.knobs.base_url(), form, now };
    let refresh = form.is_none() && case.dossier.incident.status != Status::Resolved;
    let page = Page { title: &title, refresh, caller: Some(&caller), status: Some(&status), now };
    Ok(page.show(view.render(&title)))
}

/// `POST /incidents/{id}/acknowledge`.
pub(crate) async fn acknowledge(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Acknowledge).await
}

/// `POST /incidents/{id}/resolve`.
pub(crate) async fn resolve(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Resolve).await
}

/// `POST /incidents/{id}/reopen`.
pub(crate) async fn reopen(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Reopen).await
}

/// `POST /incidents/{id}/accept`.
pub(crate) async fn accept(app: State<App>, caller: Extension<Caller>, id: Segment) -> Answered {
    command(app, caller, id, Command::Accept).await
}

/// The form of a note.
#[derive(Deserialize)]
pub(crate) struct NoteForm {
    text: String,
}

/// `POST /incidents/{id}/notes`.
pub(crate) async fn note(
    app: State<App>,
    caller: Extension<Caller>,
    id: Segment,
    Fields(form): Fields<NoteForm>,
) -> Answered {
    command(app, caller, id, Command::Note(note_text(&form.text)?)).await
}

/// The form of a silence.
#[derive(Deserialize)]
pub(crate) struct SilenceForm {
    hours: u64,
    #[serde(default)]
    comment: String,
}

/// `POST /incidents/{id}/silence`: it and later ones of its kind and target are not told for a while.
pub(crate) async fn silence(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
    Fields(form): Fields<SilenceForm>,
) -> Answered {
    if !forms::HOURS.contains(&form.hours) {
        return Err(Problem::bad_request("it can be silenced for 1, 4, 12 or 24 hours"));
    }
    let lasts = Duration::from_secs(form.hours * 3_600);
    let id = incident_id(&id)?;
    silence_incident(&app, &id, caller.actor(), comment(&form.comment)?, lasts).await?;
    Ok(Redirect::to(&format!("/incidents/{id}")))
}

/// The form of whose it is.
#[derive(Deserialize)]
pub(crate) struct AssignForm {
    to: String,
}

/// `POST /incidents/{id}/assign`.
pub(crate) async fn assign(
    app: State<App>,
    caller: Extension<Caller>,
    id: Segment,
    Fields(form): Fields<AssignForm>,
) -> Answered {
    command(app, caller, id, Command::Assign(assignee(&form.to)?)).await
}

/// Back to the incident's page, so that a reload does not do it again.
type Answered = Result<Redirect, Problem>;

async fn command(app: State<App>, caller: Extension<Caller>, id: Segment, command: Command) -> Answered {
    let incident = obeyed(app, caller, id, command).await?;
    Ok(Redirect::to(&format!("/incidents/{}", incident.id)))
}

/// `GET /assets/{name}`.
pub(crate) async fn asset(Segment(name): Segment) -> Result<Response, Problem> {
    if name != *STYLE_NAME {
        return Err(Problem::not_found());
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, STYLE).into_response())
}

/// A problem document as a page, for a person in a browser; other responses pass.
pub(crate) fn as_page(mut response: Response) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let body = html! {
        section.card {
            h1 { (problem.title) }
            p.problem { (problem.detail) "." }
            p { a href="/" { "To the list of incidents" } }
        }
    };
    let page = Page { title: problem.title, refresh: false, caller: None, status: None, now: now() };
    let markup = page.markup(body).into_string();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(markup);
    response
}

fn unavailable(error: DeskError) -> Markup {
    let problem = Problem::from(error);
    html! { section.card { h1 { (problem.title) } p.problem { (problem.detail) "." } } }
}

/// What stands around every page.
struct Page<'a> {
    title: &'a str,
    refresh: bool,
    caller: Option<&'a Caller>,
    status: Option<&'a Result<StatusFacts, DeskError>>,
    now: Wall,
}

impl Page<'_> {
    fn show(self, body: Markup) -> Response {
        (StatusCode::OK, Html(self.markup(body).into_string())).into_response()
    }

    fn markup(&self, body: Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    @if self.refresh { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
                    title { (self.title) " · Beaconfire" }
                    link rel="icon" href=(PreEscaped(ICON));
                    link rel="stylesheet" href={ "/assets/" (*STYLE_NAME) };
                }
                body {
                    header {
                        div.top {
                            a.brand href="/" { "Beaconfire" }
                            @if self.caller.is_some() { a href="/silences" { "Silences" } }
                            @if let Some(caller) = self.caller {
                                span.dim { (words::clean(&caller.name, 64)) " · " (caller.role.name()) }
                            }
                        }
                        @if let Some(status) = self.status { (strip::strip(status, self.now)) }
                    }
                    main { (body) }
                }
            }
        }
    }
}
