//! `/api/v1/decisions`: who is throttled, by rule or by hand.

use std::net::IpAddr;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use beaconfire_model::Untrusted;
use beaconfire_throttle::{Action, Mode};
use beaconfire_view::DecisionJson;
use ipnet::IpNet;
use serde::Deserialize;

use crate::auth::Caller;
use crate::body::{Json, Parameters};
use crate::edge::App;
use crate::problem::Problem;
use crate::shapes::{self, Shape};
use crate::{DecisionQuery, Lift, NewDecision};

/// The longest that a decision by hand may run: nothing is for ever.
const SECONDS_MAX: u64 = 30 * 86_400;

/// `GET /api/v1/decisions[?limit=&cursor=]`: active ones, newest first.
pub(crate) async fn list(State(app): State<App>, mut parameters: Parameters) -> Result<Response, Problem> {
    let query = DecisionQuery { limit: parameters.limit()?, cursor: parameters.take("cursor") };
    parameters.done("limit and cursor")?;
    let page = app.desk.decisions(query).await?;
    Ok(shapes::list(page.items.iter().map(DecisionJson::stored), page.next_cursor))
}

/// A decision by hand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    value: String,
    action: String,
    duration_seconds: u64,
    #[serde(default)]
    mode: Option<String>,
    #[serde(default)]
    reason: String,
}

/// `POST /api/v1/decisions` with `{"value":"203.0.113.7","action":"ban","duration_seconds":600}`; `mode` and `reason`
/// may be left out.
pub(crate) async fn add(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Problem> {
    let unknown = |what: &str, said: &str| Problem::bad_request(format!("unknown {what} {said:?}"));
    let mode = |name: &String| Mode::parse(name).ok_or_else(|| unknown("mode", name));
    if !(1..=SECONDS_MAX).contains(&wanted.duration_seconds) {
        return Err(Problem::bad_request(format!("duration_seconds is from 1 to {SECONDS_MAX}")));
    }
    let decision = NewDecision {
        network: network(&wanted.value)?,
        action: Action::parse(&wanted.action).ok_or_else(|| unknown("action", &wanted.action))?,
        mode: wanted.mode.as_ref().map(mode).transpose()?,
        duration: Duration::from_secs(wanted.duration_seconds),
        reason: Untrusted::new(&wanted.reason, 500).clean().to_owned(),
    };
    let decision = app.desk.decide(caller.actor(), decision).await?;
    Ok((StatusCode::CREATED, Shape(DecisionJson::stored(&decision))).into_response())
}

/// `DELETE /api/v1/decisions?id=N`, `?value=203.0.113.7`, or `?all=true`; answers with what was active. Rules leave
/// those networks alone for an hour, unless `allow=false`.
pub(crate) async fn lift(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    mut parameters: Parameters,
) -> Result<Response, Problem> {
    let (id, value, all) = (parameters.take("id"), parameters.take("value"), parameters.take("all"));
    let allow = parameters.take("allow");
    parameters.done("id, value, all and allow")?;
    let allow = match allow.as_deref() {
        None | Some("true") => true,
        Some("false") => false,
        Some(other) => {
            return Err(Problem::bad_request(format!("allow {other:?} is neither true nor false")));
        }
    };
    let which = match (id, value, all.as_deref()) {
        (Some(id), None, None) => {
            Lift::Id(id.parse().map_err(|_| Problem::bad_request(format!("id {id:?} is not a number")))?)
        }
        (None, Some(value), None) => Lift::Network(network(&value)?),
        (None, None, Some("true")) => Lift::All,
        _ => return Err(Problem::bad_request("say which: id=N, value=ADDRESS or all=true")),
    };
    let lifted = app.desk.lift(caller.actor(), which, allow).await?;
    Ok(shapes::list(lifted.iter().map(DecisionJson::stored), None))
}

fn network(text: &str) -> Result<IpNet, Problem> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let network = address.or_else(|_| text.parse::<IpNet>().map(|network| network.trunc()));
    network.map_err(|_| Problem::bad_request(format!("{text:?} is neither an address nor a network")))
}
