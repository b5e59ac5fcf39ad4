//! What operators tell the daemon: on the admin socket, which belongs to the daemon's own user.
//!
//! What is done when it is answered gets 200, what goes on in the background 202 with the operation ([`operation`]).
//! All of it may be asked twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::digest::digest;
use super::parameter::Parameters;
use super::problem::Problem;
use super::{operation, search, upkeep};
use crate::supervisor::daemon::Daemon;
use crate::supervisor::refused::Refused;
use crate::worker::command::Accepted;

/// The routes of the admin socket.
pub(super) fn routes() -> Router<Arc<Daemon>> {
    let of_projection = |what: &str| format!("/v1/admin/projections/{{projection}}/{what}");
    Router::new()
        // Not of the admin, but answered here alone until clients can say who they are.
        .route("/v1/projections/{projection}/search/{index}", get(search::search))
        .route(&of_projection("accept"), post(accept))
        .route(&of_projection("pause"), post(pause))
        .route(&of_projection("resume"), post(resume))
        .route(&of_projection("cancel"), post(cancel))
        .route(&of_projection("rebuild"), post(operation::rebuild))
        .route(&of_projection("promote"), post(operation::promote))
        .route(&of_projection("rollback"), post(operation::rollback))
        .route(&of_projection("verify"), post(operation::verify))
        .route(&of_projection("digest"), post(digest))
        .route(&of_projection("verify-search"), post(verify_search))
        .route("/v1/admin/reload", post(upkeep::reload))
        .route("/v1/admin/gc", post(upkeep::gc))
        .route("/v1/admin/rebuild", post(operation::rebuild_several))
        .route("/v1/admin/operations", get(operation::operations))
        .route("/v1/admin/operations/{operation}", get(operation::operation))
}

/// Whether the full-text indexes are the rows.
async fn verify_search(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let compared = daemon.verify_search(&name).await;
    let compared = compared.map_err(|refused| Problem::refused(&daemon, refused))?;
    Ok(Json(json!({ "data": compared })).into_response())
}

/// What stands in their place on TCP.
pub(super) fn elsewhere() -> Router<Arc<Daemon>> {
    Router::new().route("/v1/admin/{*command}", any(only_on_the_socket))
}

type Given = Query<BTreeMap<String, String>>;

async fn accept(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let accepted =
        daemon.accept(&name).await.map_err(|refused| Problem::refused(&daemon, refused))?;
    let (word, detail) = match accepted {
        Accepted::Gap { first, last, missed } => (
            "gap",
            format!("goes on past sequences {first} to {last}: {missed} are counted as missed"),
        ),
        Accepted::Restored => {
            ("restored", "goes on with the restored stream: its messages are the same".to_owned())
        }
        Accepted::Sound => (
            "sound",
            "goes on: the stream is the one that was read, and nothing is missing".to_owned(),
        ),
        Accepted::Nothing => ("nothing", "nothing to accept".to_owned()),
    };
    let gap = match accepted {
        Accepted::Gap { first, last, missed } => Some((first.0, last.0, missed)),
        _ => None,
    };
    Ok(done(json!({
        "projection": name,
        "accepted": word,
        "first_sequence": gap.map(|gap| gap.0),
        "last_sequence": gap.map(|gap| gap.1),
        "missed_sequences": gap.map_or(0, |gap| gap.2),
        "detail": detail,
    })))
}

async fn pause(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    daemon.pause(&name).await.map_err(|refused| Problem::refused(&daemon, refused))?;
    let detail = "paused: its view is served as it stands, over restarts too, until `viewd resume`";
    Ok(done(json!({ "projection": name, "paused": true, "detail": detail })))
}

async fn resume(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    daemon.resume(&name).await.map_err(|refused| Problem::refused(&daemon, refused))?;
    Ok(done(json!({ "projection": name, "paused": false, "detail": "is not paused any more" })))
}

async fn cancel(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Given,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let cancelled = daemon.cancel(&name).await.map_err(|refused| {
        // It has been told to end: saying so again helps nobody.
        let waits = matches!(refused, Refused::Busy { operation: Some(_), .. });
        let hint =
            waits.then(|| format!("it is told to end, and has not yet: see `viewd status {name}`"));
        Problem::refused(&daemon, refused).hints(hint)
    })?;
    let shown = cancelled.map(|operation| operation.shown());
    let detail = shown.as_ref().map_or("nothing to cancel".to_owned(), operation::ended);
    let operation = shown.map(|shown| shown.operation);
    Ok(done(json!({ "projection": name, "operation": operation, "detail": detail })))
}

/// What is so by now, of one projection.
pub(super) fn done(what: Value) -> Response {
    Json(json!({ "data": [what] })).into_response()
}

async fn only_on_the_socket() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "admin-socket-only",
        "commands are taken on the admin socket of the data directory only",
    )
    .hint("run `viewd` as the daemon's own user, on its machine")
}
