//! `/api/v1/silences`: what is not told for a while, as Alertmanager has it. Its names of keys are understood too, so
//! that what posts silences there can post them here.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use beaconfire_incident::{Actor, IncidentId, Status};
use beaconfire_model::{Matcher, Matchers, Op, Untrusted, Wall};
use beaconfire_outbox::{Silence, SilenceState, alike, asks_for_something};
use beaconfire_view::SilenceJson;
use serde::Deserialize;

use crate::auth::Caller;
use crate::body::{Json, Parameters, Segment};
use crate::edge::{App, now};
use crate::problem::Problem;
use crate::shapes::{self, Shape};
use crate::{DeskError, NewSilence, SilenceFacts};

/// The longest that a silence may last: nothing is for ever.
const LASTS_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Matchers of one silence, and bytes of one of them.
const MATCHERS_MAX: usize = 32;
const MATCHER_BYTES_MAX: usize = 1_024;

/// Bytes of an author's name, and of a comment.
const AUTHOR_BYTES_MAX: usize = 128;
const COMMENT_BYTES_MAX: usize = 1_000;

/// `GET /api/v1/silences[?status=]`: those that hold or will, first to end first, then the latest that are over;
/// `status` takes a list with commas.
pub(crate) async fn list(State(app): State<App>, mut parameters: Parameters) -> Result<Response, Problem> {
    let wanted = parameters.take("status");
    parameters.done("status")?;
    let known = [SilenceState::Pending, SilenceState::Active, SilenceState::Expired];
    let wanted: Vec<&str> =
        wanted.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty()).collect();
    if let Some(other) = wanted.iter().find(|name| !known.iter().any(|state| state.name() == **name)) {
        return Err(Problem::bad_request(format!("unknown status {other:?}")));
    }
    let (silences, now) = (app.desk.silences().await?, now());
    let is_wanted =
        |facts: &&SilenceFacts| wanted.is_empty() || wanted.contains(&facts.silence.state(now).name());
    Ok(shapes::list(silences.iter().filter(is_wanted).map(|facts| shape(facts, now)), None))
}

/// A silence as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    matchers: Vec<Written>,
    #[serde(default, alias = "createdBy")]
    author: String,
    #[serde(default)]
    comment: String,
    #[serde(default, alias = "startsAt")]
    starts_at: Option<String>,
    #[serde(default, alias = "endsAt")]
    ends_at: Option<String>,
    #[serde(default)]
    duration_seconds: Option<u64>,
}

/// A matcher: `service="shop"`, or in Alertmanager's parts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    #[serde(rename_all = "camelCase")]
    Parts {
        name: String,
        value: String,
        #[serde(default)]
        is_regex: bool,
        #[serde(default = "yes")]
        is_equal: bool,
    },
}

const fn yes() -> bool {
    true
}

/// `POST /api/v1/silences[?dry_run=true]` with `{"matchers":["service=\"shop\""],"duration_seconds":3600}`, or with
/// `ends_at`; `starts_at`, `author` and `comment` may be left out. Answers with the silence and the incidents that it
/// matches; of a dry run nothing is kept.
pub(crate) async fn add(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    mut parameters: Parameters,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    let dry_run = match parameters.take("dry_run").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            return Err(Problem::bad_request(format!("dry_run {other:?} is neither true nor false")));
        }
    };
    parameters.done("dry_run")?;
    let now = now();
    let (starts_at, ends_at) = times(&wanted, now)?;
    let matchers = matchers(&wanted.matchers)?;
    let silence = NewSilence {
        matchers,
        author: author(&wanted.author, &caller, app.knobs.asks_login()),
        comment: comment(&wanted.comment)?,
        starts_at,
        ends_at,
    };
    let made = app.desk.silence(caller.actor(), silence, dry_run).await?;
    let status = if dry_run { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Shape(shape(&made, now))).into_response())
}

/// `DELETE /api/v1/silences/{id}`: it ends now. Answers with it as it then stands.
pub(crate) async fn expire(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
) -> Result<Response, Problem> {
    let silence = app.desk.expire_silence(caller.actor(), id).await?;
    Ok(Shape(SilenceJson::of(&silence, &[], 0, now())).into_response())
}

fn shape(facts: &SilenceFacts, now: Wall) -> SilenceJson {
    SilenceJson::of(&facts.silence, &facts.incidents, facts.incidents_total, now)
}

/// From when until when.
fn times(wanted: &Wanted, now: Wall) -> Result<(Wall, Wall), Problem> {
    let starts_at = wanted.starts_at.as_deref().map(|text| moment("starts_at", text)).transpose()?;
    // What was to begin in the past begins now.
    let starts_at = starts_at.unwrap_or(now).max(now);
    let ends_at = match (&wanted.ends_at, wanted.duration_seconds) {
        (Some(text), None) => moment("ends_at", text)?,
        (None, Some(seconds)) => starts_at.plus(Duration::from_secs(seconds.min(LASTS_MAX.as_secs() + 1))),
        _ => return Err(Problem::bad_request("say until when: either ends_at or duration_seconds")),
    };
    if ends_at <= starts_at {
        return Err(Problem::bad_request("it would end before it begins, or has ended already"));
    }
    if now.plus(LASTS_MAX) < ends_at {
        return Err(Problem::bad_request("it would end more than 366 days from now"));
    }
    Ok((starts_at, ends_at))
}

fn moment(name: &str, text: &str) -> Result<Wall, Problem> {
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        Problem::bad_request(format!("{name} {text:?} is no RFC 3339 time (2026-01-02T03:04:05Z)"))
    })?;
    Ok(Wall::from_millis(at.as_millisecond()))
}

fn matchers(written: &[Written]) -> Result<Matchers, Problem> {
    if written.len() > MATCHERS_MAX {
        return Err(Problem::bad_request(format!("at most {MATCHERS_MAX} matchers")));
    }
    let read = |one: &Written| {
        let length = match one {
            Written::Text(text) => text.len(),
            Written::Parts { name, value, .. } => name.len() + value.len(),
        };
        if length > MATCHER_BYTES_MAX {
            return Err(Problem::bad_request(format!("a matcher has at most {MATCHER_BYTES_MAX} bytes")));
        }
        let matcher = match one {
            Written::Text(text) => Matcher::parse(text),
            Written::Parts { name, value, is_regex, is_equal } => Matcher::new(
                name,
                match (is_regex, is_equal) {
                    (false, true) => Op::Equal,
                    (false, false) => Op::NotEqual,
                    (true, true) => Op::Matches,
                    (true, false) => Op::NotMatches,
                },
                value,
            ),
        };
        // Written down, it must read back as the same.
        let matcher = matcher.map_err(|error| Problem::bad_request(error.to_string()))?;
        match Matcher::parse(&matcher.to_string()) {
            Ok(again) if again == matcher => Ok(matcher),
            _ => {
                Err(Problem::bad_request(format!("`{matcher}` cannot be kept: name a label, and what it is")))
            }
        }
    };
    let matchers = Matchers(written.iter().map(read).collect::<Result<_, _>>()?);
    if !asks_for_something(&matchers) {
        return Err(Problem::bad_request(
            "at least one matcher has to ask for something: this would silence all",
        ));
    }
    Ok(matchers)
}

/// The name that is given, with the one that is proven where there was a login.
fn author(given: &str, caller: &Caller, proven: bool) -> String {
    let line = given.split_whitespace().collect::<Vec<_>>().join(" ");
    let given = Untrusted::new(&line, AUTHOR_BYTES_MAX).clean().to_owned();
    if given.is_empty() || given == caller.name {
        caller.name.clone()
    } else if proven {
        format!("{given}, by {}", caller.name)
    } else {
        given
    }
}

/// Silences an incident that is known, and later ones of its kind and target, for a while.
pub(crate) async fn silence_incident(
    app: &App,
    id: &IncidentId,
    actor: Actor,
    comment: String,
    lasts: Duration,
) -> Result<Silence, DeskError> {
    let case = app.desk.case(id.clone()).await?;
    let incident = &case.dossier.incident;
    if incident.status == Status::Resolved {
        return Err(DeskError::Refused("it is over already".to_owned()));
    }
    let (matchers, starts_at) = (alike(incident), now());
    if !asks_for_something(&matchers) {
        return Err(DeskError::Refused("it has no label to silence it by".to_owned()));
    }
    let author = actor.0.clone();
    let wanted = NewSilence { matchers, author, comment, starts_at, ends_at: starts_at.plus(lasts) };
    Ok(app.desk.silence(actor, wanted, false).await?.silence)
}

/// A comment as it is kept: one line, cleaned.
pub(crate) fn comment(text: &str) -> Result<String, Problem> {
    if text.len() > COMMENT_BYTES_MAX {
        return Err(Problem::bad_request(format!("a comment has at most {COMMENT_BYTES_MAX} bytes")));
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Untrusted::new(&line, 2 * COMMENT_BYTES_MAX).clean().to_owned())
}
