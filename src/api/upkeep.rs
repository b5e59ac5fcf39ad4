//! `POST /v1/admin/reload` and `/gc`: what is on disk is taken over, and what nobody needs is removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::operation::until_begun;
use super::parameter::Parameters;
use super::problem::Problem;
use crate::rebuild::operation::{Operation, Progress, Shown};
use crate::supervisor::daemon::Daemon;
use crate::supervisor::gc::Collected;
use crate::supervisor::reload::{Outcome, Waits};

pub(super) async fn reload(
    State(daemon): State<Arc<Daemon>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    Parameters::new(query, &[])?;
    let reloaded = daemon.reload().await.map_err(|refused| Problem::refused(&daemon, refused))?;
    let begun: Vec<_> = reloaded
        .projections
        .iter()
        .filter_map(|(_, outcome)| operation(&daemon, outcome))
        .collect();
    until_begun(&begun).await;
    let projections = reloaded.projections.iter();
    let data: Vec<_> = projections.map(|(name, outcome)| became(&daemon, name, outcome)).collect();
    let body = json!({
        "data": data,
        "whole": reloaded.is_whole(),
        "diagnostics": reloaded.diagnostics,
        "with_next_start": reloaded.later,
    });
    Ok(Json(body).into_response())
}

pub(super) async fn gc(
    State(daemon): State<Arc<Daemon>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let parameters = Parameters::new(query, &["_projection"])?;
    let collected = daemon.gc(parameters.get("_projection")).await;
    let collected = collected.map_err(|refused| Problem::refused(&daemon, refused))?;
    Ok(Json(removed(&collected)).into_response())
}

/// What became of generations, as the API and `viewd gc` show it.
pub fn removed(collected: &[Collected]) -> Value {
    let one = |collected: &Collected| {
        let removed: Vec<_> = collected.removed.iter().map(ToString::to_string).collect();
        json!({
            "projection": collected.projection,
            "removed": removed,
            "whole_view": collected.whole,
            "kept": collected.kept,
            "detail": sentence(collected, &removed),
        })
    };
    json!({ "data": collected.iter().map(one).collect::<Vec<_>>() })
}

fn sentence(collected: &Collected, removed: &[String]) -> String {
    let done = match (collected.whole, removed) {
        (true, _) => "its view is removed, since no definition names it".to_owned(),
        (false, []) if collected.kept.is_some() => {
            return collected.kept.clone().unwrap_or_default();
        }
        (false, []) => "nothing to remove".to_owned(),
        (false, removed) => format!("removed {}", removed.join(", ")),
    };
    collected.kept.as_ref().map_or(done.clone(), |kept| format!("{done}; {kept}"))
}

/// What was begun for a projection.
fn operation(daemon: &Daemon, outcome: &Outcome) -> Option<Arc<Operation>> {
    match outcome {
        Outcome::Operation(number) => daemon.operation(*number),
        _ => None,
    }
}

/// The word for a definition that is not served.
fn waits(refused: bool) -> &'static str {
    if refused { "refused" } else { "waits" }
}

fn became(daemon: &Daemon, name: &str, outcome: &Outcome) -> Value {
    let (word, detail, next) = match outcome {
        Outcome::Nothing => ("nothing", "as it was".to_owned(), None),
        Outcome::Added => ("added", "runs from now on".to_owned(), None),
        Outcome::Removed => (
            "removed",
            "no definition names it any more: it runs no more, and its view is kept".to_owned(),
            Some(format!("`viewd gc {name}` removes the view")),
        ),
        Outcome::Adopted => ("adopted", "its other words hold from now on".to_owned(), None),
        Outcome::Operation(number) => match operation(daemon, outcome).map(|begun| begun.shown()) {
            // Of what was refused at once nothing goes on.
            Some(Shown { detail: Some(detail), next, state, .. }) if state.is_over() => {
                (waits(state.is_unwell()), detail, next)
            }
            shown => {
                let kind = shown.as_ref().map_or("build", |shown| shown.kind.word());
                let detail = format!("{kind} beside the view that is served, operation {number}");
                let held = shown.is_some_and(|shown| shown.state == Progress::Held);
                let (detail, next) = match held {
                    true => (
                        format!("{detail}, which is held"),
                        format!("`viewd promote {name}` serves it, `viewd cancel {name}` ends it"),
                    ),
                    false => (detail, "`viewd status --watch` shows how far it is".to_owned()),
                };
                ("operation", detail, Some(next))
            }
        },
        Outcome::Waits(Waits { detail, next, refused }) => {
            (waits(*refused), detail.clone(), Some(next.clone()))
        }
        Outcome::Kept => ("kept", "its file is not right: it goes on as it was".to_owned(), None),
        Outcome::Failed { detail, next } => ("failed", detail.clone(), next.clone()),
    };
    json!({
        "projection": name,
        "outcome": word,
        "operation": operation(daemon, outcome).map(|begun| begun.id),
        "detail": detail,
        "next": next,
    })
}
