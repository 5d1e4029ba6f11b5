//! `POST /api/v2/alerts`: the door at which Prometheus knocks, with Alertmanager's words and refusals. An alert that is not
//! in order is refused, and those beside it are taken all the same, as Alertmanager does.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use beaconfire_model::{Labels, Untrusted, Wall};
use serde::Deserialize;

use crate::PostedAlert;
use crate::body::unread;
use crate::edge::App;
use crate::problem::Problem;

/// Labels or annotations of one alert at most.
const PAIRS_MAX: usize = 64;

/// The longest name of one, and the longest value, in bytes; what is longer is cut.
const NAME_MAX: usize = 128;
const VALUE_MAX: usize = 1_024;

/// An alert as it is sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

/// Takes alerts; 200 and an empty body when all are durable.
pub(crate) async fn post(
    State(app): State<App>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let detail = "send the body as application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let sent: Vec<Sent> = serde_json::from_slice(&body.map_err(unread)?)
        .map_err(|error| Problem::bad_request(format!("these are no alerts: {error}")))?;
    let (mut taken, mut refused) = (Vec::with_capacity(sent.len()), None);
    for (number, alert) in sent.into_iter().enumerate() {
        match read(alert, number) {
            Ok(alert) => taken.push(alert),
            Err(problem) => {
                refused.get_or_insert(problem);
            }
        }
    }
    if !taken.is_empty() {
        app.desk.alerts(taken).await?;
    }
    refused.map_or(Ok(StatusCode::OK), Err)
}

fn read(sent: Sent, number: usize) -> Result<PostedAlert, Problem> {
    let Some(labels) = sent.labels else {
        let detail = format!("{number}.labels in body is required");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    };
    let labels = pairs(labels, number)?;
    if labels.0.is_empty() {
        return Err(Problem::bad_request(format!("alert {number}: at least one label pair required")));
    }
    let (starts_at, ends_at) = (moment(sent.starts_at, number)?, moment(sent.ends_at, number)?);
    if starts_at.zip(ends_at).is_some_and(|(starts, ends)| starts > ends) {
        return Err(Problem::bad_request(format!("alert {number}: start time must be before end time")));
    }
    Ok(PostedAlert {
        labels,
        annotations: pairs(sent.annotations, number)?,
        starts_at,
        ends_at,
        generator_url: Untrusted::new(&sent.generator_url, VALUE_MAX).clean().to_owned(),
    })
}

/// A time; Go's zero time, in the year 1, is how its programs say that there is none.
fn moment(text: Option<String>, number: usize) -> Result<Option<Wall>, Problem> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        let shown = Untrusted::new(&text, 64);
        Problem::bad_request(format!("alert {number}: {:?} is no RFC 3339 time", shown.clean()))
    })?;
    Ok(Some(Wall::from_millis(at.as_millisecond())).filter(|at| at.millis() > 0))
}

/// Labels or annotations, cleaned; an empty value is none.
fn pairs(sent: BTreeMap<String, String>, number: usize) -> Result<Labels, Problem> {
    if sent.len() > PAIRS_MAX {
        return Err(Problem::bad_request(format!(
            "alert {number}: at most {PAIRS_MAX} labels, and as many annotations"
        )));
    }
    let mut labels = Labels::default();
    for (name, value) in sent {
        if name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
            let shown = Untrusted::new(&name, NAME_MAX);
            return Err(Problem::bad_request(format!("alert {number}: bad label name {:?}", shown.clean())));
        }
        labels.set(&name, Untrusted::new(&value, VALUE_MAX).clean());
    }
    Ok(labels)
}
