//! `GET /v1/projections/{p}/wait`: answers when the view has a sequence, and says what became of its message.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::parameter::{Parameters, bad};
use super::problem::Problem;
use crate::event::Sequence;
use crate::store::dead_letter::{SetAside, State as Aside};
use crate::supervisor::daemon::Daemon;
use crate::supervisor::waiting::{Reached, Unreached};
use crate::worker::numbers::Numbers;

/// Unless it is said: an event that was just published is there long before.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A request holds a connection, which lives ten minutes. Who wants to wait for longer asks again.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(300);
/// After this a client that was too early may ask again.
pub(super) const RETRY_AFTER_SECONDS: u64 = 1;

pub(super) async fn wait(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let (sequence, timeout) = asked(query, "_sequence")?;
    match daemon.wait(&name, sequence, timeout).await {
        Ok(reached) => Ok(answer(sequence, &reached)),
        Err(unreached) => Err(problem(&daemon, &name, sequence, unreached)),
    }
}

/// A sequence, in the parameter of this name, and how long to wait for it.
pub(super) fn asked(
    query: BTreeMap<String, String>,
    name: &str,
) -> Result<(Sequence, Duration), Problem> {
    let parameters = Parameters::new(query, &[name, "_timeout"])?;
    let sequence = parameters.get(name).ok_or_else(|| {
        bad(format!("`{name}` is missing"))
            .hint(format!("it is the sequence that the publish acknowledgement says: ?{name}=1234"))
    })?;
    let sequence = sequence
        .parse()
        .map_err(|_| bad(format!("`{name}` is `{sequence}`, which is no sequence")))?;
    Ok((Sequence(sequence), parameters.duration("_timeout", TIMEOUT, TIMEOUT_MAX)?))
}

fn answer(sequence: Sequence, reached: &Reached) -> Response {
    // Of the parts of one message the worst speaks: dead before parked before skipped.
    let rank = |aside: &&SetAside| match aside.state {
        Aside::Dead => 0,
        Aside::Parked => 1,
        Aside::Skipped => 2,
    };
    let aside = reached.set_aside.iter().min_by_key(rank);
    let outcome = match aside.map(|aside| aside.state) {
        None => "passed",
        Some(Aside::Dead) => "dead_lettered",
        Some(Aside::Parked) => "parked",
        Some(Aside::Skipped) => "skipped",
    };
    let reason = aside.map(|aside| &aside.reason);
    let headers = [
        ("viewd-sequence", reached.sequence.to_string()),
        ("viewd-generation", reached.generation.to_string()),
    ];
    let body = json!({
        "data": [{ "sequence": sequence.0, "outcome": outcome, "reason": reason }],
        "sequence": reached.sequence.0,
        "generation": reached.generation,
    });
    (headers, Json(body)).into_response()
}

fn problem(daemon: &Daemon, name: &str, sequence: Sequence, unreached: Unreached) -> Problem {
    let late = |code, detail: String, current: Sequence| {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, code, detail)
            .sequence(current)
            .retry_after(RETRY_AFTER_SECONDS)
    };
    let unavailable = |code, detail: &str| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECONDS)
    };
    match unreached {
        Unreached::UnknownProjection => Problem::unknown_projection(name, &daemon.names()),
        Unreached::Standing(numbers) => standing(name, *numbers),
        Unreached::BeyondHead { last, current } => {
            let detail = format!("the stream ends at sequence {last}, before {sequence}");
            late("beyond-head", detail, current)
                .hint("a sequence is of one stream: is it that of this projection?")
        }
        Unreached::TimedOut { current, detail } => {
            let because = detail.map_or(String::new(), |detail| format!(": {detail}"));
            let detail =
                format!("projection `{name}` has not reached sequence {sequence} in time{because}");
            late("timed-out", detail, current)
        }
        Unreached::TooMany => unavailable("too-many-waits", "more requests wait than may"),
        Unreached::Draining => unavailable("shutting-down", "the daemon is shutting down"),
        Unreached::Store(error) => Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "view-unreadable",
            format!(
                "the sequence is reached, and its view does not say what became of it: {error}"
            ),
        )
        .hints(error.hint()),
    }
}

pub(super) fn standing(name: &str, numbers: Numbers) -> Problem {
    let state = numbers.state.word();
    let reason = numbers.reason.map_or(String::new(), |reason| format!(" ({})", reason.word()));
    let detail = numbers.detail.map_or(String::new(), |detail| format!(": {detail}"));
    Problem::new(
        StatusCode::CONFLICT,
        "projection-stands-still",
        format!("projection `{name}` is {state}{reason}{detail}"),
    )
    .sequence(numbers.sequence)
    .hints(numbers.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked() {
        for (query, expected) in [
            ("_sequence=7", Ok((7, 10_000))),
            ("_sequence=0&_timeout=0s", Ok((0, 0))),
            ("_sequence=7&_timeout=250ms", Ok((7, 250))),
            ("_sequence=7&_timeout=5m", Ok((7, 300_000))),
            ("", Err("`_sequence` is missing")),
            ("_timeout=1s", Err("`_sequence` is missing")),
            ("_sequence=-1", Err("`_sequence` is `-1`, which is no sequence")),
            ("_sequence=7.0", Err("`_sequence` is `7.0`, which is no sequence")),
            ("_sequence=7&_timeout=301s", Err("`_timeout` is `301s`")),
            ("_sequence=7&_timeout=10", Err("`_timeout` is `10`")),
            ("_sequence=7&timeout=1s", Err("there is no parameter `timeout`")),
        ] {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let pairs = pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect::<BTreeMap<_, _>>();
            let found = asked(pairs, "_sequence")
                .map(|(sequence, timeout)| (sequence.0, timeout.as_millis()))
                .map_err(|problem| problem.detail().to_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{query}");
        }
    }
}
