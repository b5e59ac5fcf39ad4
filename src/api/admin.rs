//! What operators tell the daemon: on the admin socket, which belongs to the daemon's own user.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use axum::{Json, Router};
use serde_json::json;

use super::digest::digest;
use super::problem::Problem;
use crate::supervisor::daemon::Daemon;
use crate::supervisor::refused::Refused;
use crate::worker::command::Accepted;

/// The routes of the admin socket.
pub(super) fn routes() -> Router<Arc<Daemon>> {
    Router::new()
        .route("/v1/admin/projections/{projection}/accept", post(accept))
        .route("/v1/admin/projections/{projection}/digest", post(digest))
}

/// What stands in their place on TCP.
pub(super) fn elsewhere() -> Router<Arc<Daemon>> {
    Router::new().route("/v1/admin/{*command}", any(only_on_the_socket))
}

async fn accept(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let accepted =
        daemon.accept(&name).await.map_err(|refused| problem(&daemon, &name, &refused))?;
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
    let accepted = json!({
        "projection": name,
        "accepted": word,
        "first_sequence": gap.map(|gap| gap.0),
        "last_sequence": gap.map(|gap| gap.1),
        "missed_sequences": gap.map_or(0, |gap| gap.2),
        "detail": detail,
    });
    Ok(Json(json!({ "data": [accepted] })).into_response())
}

pub(super) fn problem(daemon: &Daemon, name: &str, refused: &Refused) -> Problem {
    let (status, code) = match refused {
        Refused::Unknown { .. } => return Problem::unknown_projection(name, &daemon.names()),
        Refused::NotPossible { .. } => (StatusCode::CONFLICT, "not-acceptable"),
        Refused::Busy { .. } => (StatusCode::CONFLICT, "busy"),
        Refused::NoRetired => (StatusCode::CONFLICT, "no-retired-generation"),
        Refused::Passed { .. } => (StatusCode::CONFLICT, "passed"),
        Refused::Invalid { .. } => (StatusCode::CONFLICT, "invalid"),
        Refused::Unreachable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "source-unreachable"),
        Refused::Draining => (StatusCode::SERVICE_UNAVAILABLE, "shutting-down"),
        Refused::Unreadable { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "unreadable"),
        Refused::Storage { .. } => (StatusCode::INSUFFICIENT_STORAGE, "storage"),
    };
    Problem::new(status, code, refused.to_string()).hints(refused.hint())
}

async fn only_on_the_socket() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "admin-socket-only",
        "commands are taken on the admin socket of the data directory only",
    )
    .hint("run `viewd` as the daemon's own user, on its machine")
}
