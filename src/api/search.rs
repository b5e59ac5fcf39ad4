//! `GET /v1/projections/{p}/search/{index}`: the rows that a full-text index finds, each as SQLite has it.
//!
//! What is asked (`asked`) and what it comes to (`answer`) know nothing of HTTP's connections, so that a command
//! without a daemon answers itself alike.

pub(crate) mod answer;
pub(crate) mod asked;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use self::answer::{Found, answer};
use self::asked::Asked;
use super::problem::Problem;
use super::wait::{RETRY_AFTER_SECONDS, standing};
use crate::diagnostic::did_you_mean;
use crate::event::Sequence;
use crate::row::{Key, Row};
use crate::search::rows::Rows;
use crate::store;
use crate::store::readers::View;
use crate::supervisor::daemon::Daemon;
use crate::supervisor::searching::{Searchable, Unsearched};

/// An index that is being made takes a while: asking every second helps nobody.
const REBUILDING_RETRY_AFTER_SECONDS: u64 = 5;

pub(super) async fn search(
    State(daemon): State<Arc<Daemon>>,
    path: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let Path((projection, index)) = path
        .map_err(|rejection| refused("bad-path", format!("the path: {}", rejection.body_text())))?;
    let asked = Asked::read(query.as_deref().unwrap_or_default())?;
    let searchable = daemon.search_at(&projection, &index, asked.min_sequence, asked.wait).await;
    let searchable = searchable.map_err(|unsearched| {
        let at = At { projection: &projection, index: &index, sequence: asked.min_sequence };
        problem(&daemon.names(), at, unsearched)
    })?;
    let deadline = Instant::now() + daemon.query_timeout();
    // It reads files: not on the threads that answer everybody.
    let answered = tokio::task::spawn_blocking(move || searched(&searchable, &asked, deadline));
    let answered = answered.await.expect("a search does not panic")?;
    Ok(answered.response())
}

fn searched(
    searchable: &Searchable,
    asked: &Asked,
    deadline: Instant,
) -> Result<answer::Answer, Problem> {
    let Searchable { generation, sequence, searcher, definition, search, readers, .. } = searchable;
    let view = readers.view(deadline).map_err(|error| answer::unreadable(&error))?;
    // All who read now read for too long.
    let view = view.ok_or_else(answer::timed_out)?;
    let found = Found {
        definition,
        search: &definition.searches[*search],
        searcher,
        generation: *generation,
        sequence: *sequence,
        view_sequence: view.sequence(),
        deadline,
    };
    let answered = answer(asked, &found, &Table(&view, found.search.table));
    if answered.as_ref().is_err_and(|problem| problem.code() == answer::UNAVAILABLE) {
        searchable.board.suspect(*search);
    }
    answered
}

/// One table's rows in a view.
struct Table<'a>(&'a View<'a>, usize);

impl Rows for Table<'_> {
    fn row(&self, key: &Key) -> Result<Option<Row>, store::Error> {
        self.0.row(self.1, key)
    }
}

/// Of what it was asked.
struct At<'a> {
    projection: &'a str,
    index: &'a str,
    sequence: Option<Sequence>,
}

fn problem(names: &[String], at: At<'_>, unsearched: Unsearched) -> Problem {
    let At { projection, index, sequence } = at;
    let late = |code, detail: String, current: Sequence| {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, code, detail)
            .sequence(current)
            .retry_after(RETRY_AFTER_SECONDS)
    };
    let unavailable = |code, detail: String| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER_SECONDS)
    };
    let wanted = sequence.unwrap_or_default();
    match unsearched {
        Unsearched::UnknownProjection => Problem::unknown_projection(projection, names),
        Unsearched::UnknownIndex { known } => unknown_index(projection, index, &known),
        Unsearched::Standing(numbers) => standing(projection, *numbers),
        Unsearched::Rebuilding { detail } => {
            let detail = format!("full-text index `{index}` is being made: {detail}");
            unavailable("index-rebuilding", detail)
                .retry_after(REBUILDING_RETRY_AFTER_SECONDS)
                .hint(
                    "its rows can be queried meanwhile; `viewd status --watch` says how far it is",
                )
        }
        Unsearched::Unavailable { detail, next } => {
            let detail = format!("full-text index `{index}` cannot be searched: {detail}");
            unavailable("index-unavailable", detail).hints(next)
        }
        Unsearched::BeyondHead { last, current } => {
            let detail = format!("the stream ends at sequence {last}, before {wanted}");
            late("beyond-head", detail, current)
                .hint("a sequence is of one stream: is it that of this projection?")
        }
        Unsearched::TimedOut { current, detail } => {
            let because = detail.map_or(String::new(), |detail| format!(": {detail}"));
            let detail = format!(
                "full-text index `{index}` has not reached sequence {wanted} in time{because}"
            );
            late("timed-out", detail, current)
        }
        Unsearched::TooMany => {
            unavailable("too-many-waits", "more requests wait than may".to_owned())
        }
        Unsearched::Draining => {
            unavailable("shutting-down", "the daemon is shutting down".to_owned())
        }
    }
}

/// A name that no full-text index of the projection has.
pub(crate) fn unknown_index(projection: &str, index: &str, known: &[String]) -> Problem {
    let detail = format!("projection `{projection}` has no full-text index `{index}`");
    let hint = did_you_mean(index, known.iter().map(String::as_str));
    let none = || "a definition declares one: [search.NAME]".to_owned();
    Problem::new(StatusCode::NOT_FOUND, "unknown-index", detail).hint(hint.unwrap_or_else(none))
}

/// What was asked cannot be meant.
fn refused(code: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, code, detail)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    /// The status, the stable code and what is said, of an index `board` of `flights` asked for sequence 7.
    #[track_caller]
    fn check(unsearched: Unsearched, status: u16, code: &str, said: &[&str]) {
        let at = At { projection: "flights", index: "board", sequence: Some(Sequence(7)) };
        let problem = problem(&["flights".to_owned()], at, unsearched);
        let body = problem.json();
        assert_eq!(problem.status(), status, "{body}");
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{body}");
        said.iter().for_each(|said| assert!(body.contains(said), "{said}: {body}"));
        let retried = problem.into_response().headers().contains_key("retry-after");
        assert_eq!(retried, matches!(status, 503 | 504), "{body}");
    }

    #[test]
    fn who_cannot_search_hears_why_and_whether_to_ask_again() {
        let known = vec!["boards".to_owned(), "planes".to_owned()];
        check(
            Unsearched::UnknownIndex { known },
            404,
            "unknown-index",
            &["`board`", "did you mean `boards`?"],
        );
        check(
            Unsearched::UnknownIndex { known: Vec::new() },
            404,
            "unknown-index",
            &["a definition declares one"],
        );
        let detail = "half of its rows are in it".to_owned();
        check(Unsearched::Rebuilding { detail }, 503, "index-rebuilding", &["half of its rows"]);
        let (detail, next) = ("no space left".to_owned(), Some("free some".to_owned()));
        check(
            Unsearched::Unavailable { detail, next },
            503,
            "index-unavailable",
            &["no space left", "free some"],
        );
        check(Unsearched::TooMany, 503, "too-many-waits", &[]);
        check(Unsearched::Draining, 503, "shutting-down", &[]);
        let current = Sequence(5);
        check(
            Unsearched::BeyondHead { last: Sequence(6), current },
            504,
            "beyond-head",
            &["ends at sequence 6, before 7", "\"sequence\":5"],
        );
        let detail = Some("the disk is full".to_owned());
        check(
            Unsearched::TimedOut { current, detail },
            504,
            "timed-out",
            &["has not reached sequence 7 in time: the disk is full", "\"sequence\":5"],
        );
    }
}
