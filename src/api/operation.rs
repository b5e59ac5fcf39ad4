//! What is carried out in the background: begun, looked at, and waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::task::JoinSet;

use super::admin::done;
use super::parameter::{Parameters, bad};
use super::problem::Problem;
use crate::rebuild::operation::{Operation, Progress, Shown};
use crate::status::Phase;
use crate::supervisor::command::{Options, Promoted, Rollback};
use crate::supervisor::daemon::Daemon;

/// A request holds a connection, which lives ten minutes. Who wants to wait for longer asks again.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The stream is asked before a build begins: milliseconds as a rule.
const BEGIN_MAX: Duration = Duration::from_secs(2);
const BEGIN_LOOK: Duration = Duration::from_millis(10);

type Given = Query<BTreeMap<String, String>>;

/// All that the daemon knows of; with `_wait` as soon as one of them ends, and at the latest then.
pub(super) async fn operations(
    State(daemon): State<Arc<Daemon>>,
    Query(query): Given,
) -> Result<Response, Problem> {
    let wait = Parameters::new(query, &["_wait"])?.duration("_wait", Duration::ZERO, WAIT_MAX)?;
    let operations = daemon.operations();
    until_one_ends(&operations, wait).await;
    Ok(shown(&operations))
}

/// One of them; with `_wait` as soon as it ends, and at the latest then.
pub(super) async fn operation(
    State(daemon): State<Arc<Daemon>>,
    Path(number): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    let wait = Parameters::new(query, &["_wait"])?.duration("_wait", Duration::ZERO, WAIT_MAX)?;
    let found = number.parse().ok().and_then(|number| daemon.operation(number));
    let operations = [found.ok_or_else(|| {
        let detail = format!("there is no operation {number}");
        Problem::new(StatusCode::NOT_FOUND, "unknown-operation", detail)
            .hint("GET /v1/admin/operations lists them; their numbers begin anew with each start")
    })?];
    until_one_ends(&operations, wait).await;
    Ok(shown(&operations))
}

pub(super) async fn rebuild(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    let options = options(&Parameters::new(query, &["_hold", "_forget", "_force"])?)?;
    let refused = |refused| Problem::refused(&daemon, refused);
    let begun = daemon.rebuild(&[name], options).await.map_err(refused)?;
    let begun: Result<Vec<_>, _> = begun.into_iter().map(|(_, begun)| begun).collect();
    Ok(accepted(&begun.map_err(refused)?).await)
}

/// Of those that are named, else of all: each answers for itself.
pub(super) async fn rebuild_several(
    State(daemon): State<Arc<Daemon>>,
    Query(query): Given,
) -> Result<Response, Problem> {
    let known = ["_projections", "_hold", "_forget", "_force"];
    let parameters = Parameters::new(query, &known)?;
    let names: Vec<_> = match parameters.get("_projections") {
        None => Vec::new(),
        Some("") => {
            return Err(bad("`_projections` names none".to_owned())
                .hint("write names with commas between them, or leave it out for all"));
        }
        Some(names) => names.split(',').map(str::to_owned).collect(),
    };
    let begun = daemon.rebuild(&names, options(&parameters)?).await;
    let begun = begun.map_err(|refused| Problem::refused(&daemon, refused))?;
    let (mut operations, mut refused) = (Vec::new(), Vec::new());
    for (name, begun) in begun {
        match begun {
            Ok(operation) => operations.push(operation),
            Err(why) => refused.push(Problem::refused(&daemon, why).projection(name)),
        }
    }
    until_begun(&operations).await;
    // That nothing at all was begun is a refusal, whoever reads no further than the code.
    let code = if operations.is_empty() && !refused.is_empty() {
        StatusCode::CONFLICT
    } else {
        StatusCode::ACCEPTED
    };
    let data: Vec<_> = operations.iter().map(|operation| operation.shown()).collect();
    Ok((code, Json(json!({ "data": data, "refused": refused }))).into_response())
}

pub(super) async fn promote(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let promoted = daemon.promote(&name).await;
    let (word, detail) = match promoted.map_err(|refused| Problem::refused(&daemon, refused))? {
        Promoted::Served(operation) => return Ok(accepted(&[operation]).await),
        Promoted::Unpinned => {
            ("unpinned", "no longer pinned: it serves what its definition says already")
        }
        Promoted::Nothing => ("nothing", "nothing waits to be promoted"),
    };
    Ok(done(json!({ "projection": name, "promoted": word, "detail": detail })))
}

pub(super) async fn rollback(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["_now", "_accept_gap"])?;
    let rollback =
        Rollback { now: parameters.flag("_now")?, accept_gap: parameters.flag("_accept_gap")? };
    if rollback.accept_gap && !rollback.now {
        return Err(bad("`_accept_gap` is for `_now` alone".to_owned()));
    }
    let begun = daemon.rollback(&name, rollback).await;
    Ok(accepted(&[begun.map_err(|refused| Problem::refused(&daemon, refused))?]).await)
}

/// Builds it again and compares: what is built is never served.
pub(super) async fn verify(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let begun = daemon.verify_deep(&name).await;
    Ok(accepted(&[begun.map_err(|refused| Problem::refused(&daemon, refused))?]).await)
}

/// What became of an operation that was cancelled: it may have come to its end just before.
pub(super) fn ended(shown: &Shown) -> String {
    let (work, number) = (shown.kind.word(), shown.operation);
    let detail = shown.detail.as_ref().map_or(String::new(), |detail| format!(": {detail}"));
    match shown.state {
        Progress::Cancelled => {
            format!("{work} cancelled, nothing of it is left (operation {number})")
        }
        Progress::Done => format!("{work} was done before (operation {number}){detail}"),
        state => format!(
            "{work} had {} before (operation {number}){detail}",
            match state {
                Progress::Refused | Progress::WouldForget => "been refused",
                _ => "failed",
            }
        ),
    }
}

fn options(parameters: &Parameters) -> Result<Options, Problem> {
    Ok(Options {
        hold: parameters.flag("_hold")?,
        forget: parameters.flag("_forget")?,
        force: parameters.flag("_force")?,
    })
}

/// What has been begun, with where to look for the end of it.
async fn accepted(operations: &[Arc<Operation>]) -> Response {
    until_begun(operations).await;
    let location = match operations {
        [operation] => format!("/v1/admin/operations/{}", operation.id),
        _ => "/v1/admin/operations".to_owned(),
    };
    (StatusCode::ACCEPTED, [("location", location)], shown(operations)).into_response()
}

fn shown(operations: &[Arc<Operation>]) -> Response {
    let data: Vec<_> = operations.iter().map(|operation| operation.shown()).collect();
    Json(json!({ "data": data })).into_response()
}

/// Waits until each is at work or over, a little: who asks and goes is to hear of what is refused at once.
pub(super) async fn until_begun(operations: &[Arc<Operation>]) {
    let has_begun = |operation: &Arc<Operation>| {
        let build = operation.shown().rebuild;
        operation.is_over() || build.is_some_and(|build| build.phase != Phase::Preparing)
    };
    let all = async {
        while !operations.iter().all(has_begun) {
            tokio::time::sleep(BEGIN_LOOK).await;
        }
    };
    // A copy of the rows is being prepared for as long as it takes.
    let _ = tokio::time::timeout(BEGIN_MAX, all).await;
}

async fn until_one_ends(operations: &[Arc<Operation>], wait: Duration) {
    // They are aborted with the set: nobody waits on when the request has been answered, or its client has gone.
    let mut ends = JoinSet::new();
    for operation in operations.iter().filter(|operation| !operation.is_over()) {
        let operation = Arc::clone(operation);
        ends.spawn(async move { drop(operation.over().await) });
    }
    // Where all are over there is nothing to wait for.
    let _ = tokio::time::timeout(wait, ends.join_next()).await;
}
