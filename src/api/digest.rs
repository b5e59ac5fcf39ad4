//! `POST /v1/admin/projections/{p}/digest`: the hashes of a view's tables at exactly one sequence.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::wait::{RETRY_AFTER_SECONDS, asked, standing};
use crate::event::Sequence;
use crate::store::Error as StoreError;
use crate::store::digest::Digest;
use crate::supervisor::daemon::Daemon;
use crate::supervisor::refused::Refused;
use crate::supervisor::snapshot::Unseen;

pub(super) async fn digest(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let (at, timeout) = asked(query, "_at")?;
    let snapshot = daemon.snapshot_at(&name, at, timeout).await;
    let mut snapshot = snapshot.map_err(|unseen| problem(&daemon, &name, at, unseen))?;
    // A large view takes its time, and the daemon's end does not wait for it.
    let ending = Arc::clone(&daemon);
    snapshot.stop_when(move || ending.is_draining()).map_err(|error| unreadable(&error))?;
    let digest = tokio::task::spawn_blocking(move || Digest::of(&snapshot)).await;
    let digest = digest.expect("a digest does not panic").map_err(|error| unreadable(&error))?;
    Ok(Json(digest).into_response())
}

fn problem(daemon: &Daemon, name: &str, at: Sequence, unseen: Unseen) -> Problem {
    match unseen {
        Unseen::Refused(Refused::Passed { current }) => {
            let detail = format!("projection `{name}` is at sequence {current} already, past {at}");
            Problem::new(StatusCode::CONFLICT, "passed", detail)
                .sequence(current)
                .hint("a view never goes back: ask for a later sequence")
        }
        Unseen::Refused(refused) => Problem::refused(daemon, refused),
        Unseen::Standing(numbers) => standing(name, *numbers),
        Unseen::TimedOut { current, detail } => {
            let because = detail.map_or(String::new(), |detail| format!(": {detail}"));
            let detail = format!(
                "projection `{name}` is at sequence {current}, and has not reached {at} in time{because}"
            );
            Problem::new(StatusCode::GATEWAY_TIMEOUT, "timed-out", detail)
                .sequence(current)
                .retry_after(RETRY_AFTER_SECONDS)
        }
        Unseen::Draining => shutting_down(),
    }
}

fn unreadable(error: &StoreError) -> Problem {
    if let StoreError::Stopped { .. } = error {
        return shutting_down();
    }
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "view-unreadable", error.to_string())
        .hints(error.hint())
}

fn shutting_down() -> Problem {
    let detail = "the daemon is shutting down";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "shutting-down", detail)
}
