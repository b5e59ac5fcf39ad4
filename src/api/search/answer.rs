//! What a search has found, as JSON.
//!
//! Values are written as text, digit by digit: a decimal would lose its last places in a float.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::asked::Asked;
use super::refused;
use crate::api::problem::Problem;
use crate::definition::{Definition, Search, Table};
use crate::event::Sequence;
use crate::row::Cell;
use crate::search::Searcher;
use crate::search::found::Error;
use crate::search::rows::{self, Hit, Page, Rows};
use crate::store;
use crate::store::contents::shown;

/// What is searched, all of one generation.
pub(crate) struct Found<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) search: &'a Search,
    pub(crate) searcher: &'a Searcher,
    pub(crate) generation: u64,
    /// What the index reflects.
    pub(crate) sequence: Sequence,
    /// What the rows reflect.
    pub(crate) view_sequence: Sequence,
    pub(crate) deadline: Instant,
}

/// The code of a problem of an index that cannot be read.
pub(super) const UNAVAILABLE: &str = "index-unavailable";

/// A page of rows.
pub(crate) struct Answer {
    sequence: Sequence,
    generation: u64,
    pub(crate) body: String,
}

/// Searches, and takes the row of each hit from `rows`.
pub(crate) fn answer(
    asked: &Asked,
    found: &Found<'_>,
    rows: &impl Rows,
) -> Result<Answer, Problem> {
    let Found { definition, search, searcher, generation, sequence, deadline, .. } = *found;
    let table = &definition.tables[search.table];
    let scope = asked.scope(&definition.name, &search.name);
    let request = asked.request(search, table, &scope, deadline)?;
    // Tantivy asserts what it does not check of its files, and they are mapped: bits may rot below it at any time.
    let page = catch_unwind(AssertUnwindSafe(|| rows::page(searcher, table, rows, &request)));
    let page = page.map_err(|_| damaged(definition, search))?.map_err(problem)?;
    let body = body(found, table, &page, request.highlight, &scope);
    Ok(Answer { sequence, generation, body })
}

impl Answer {
    pub(super) fn response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE.as_str(), "application/json".to_owned()),
            ("viewd-sequence", self.sequence.to_string()),
            ("viewd-generation", self.generation.to_string()),
        ];
        (headers, self.body).into_response()
    }
}

/// A view that cannot be read.
pub(crate) fn unreadable(error: &store::Error) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "view-unreadable", error.to_string())
        .hints(error.hint())
}

/// It would take longer than a query may.
pub(crate) fn timed_out() -> Problem {
    let detail = "the search took longer than a query may";
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "query-timeout", detail)
        .hint("ask for rarer words or narrower filters, or raise limits.query_timeout_ms")
}

/// A search has panicked.
fn damaged(definition: &Definition, search: &Search) -> Problem {
    let detail =
        format!("full-text index `{}`: its files are not as they were written", search.name);
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, detail)
        .hint(format!("`viewd verify {}` says what is wrong", definition.name))
        .retry_after(super::RETRY_AFTER_SECONDS)
}

fn problem(error: Error) -> Problem {
    match error {
        Error::Refused(error) => refused("bad-query", error.detail).hints(error.hint),
        Error::TimedOut => timed_out(),
        Error::Index(error) => {
            let detail = error.to_string();
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, detail)
                .hints(error.hint())
                .retry_after(super::RETRY_AFTER_SECONDS)
        }
        Error::Rows(error) => unreadable(&error),
    }
}

/// `{"data":[...],"next":...,"sequence":...,...}`; what was not asked for is not there.
fn body(found: &Found<'_>, table: &Table, page: &Page, highlight: bool, scope: &str) -> String {
    let next = page.next.as_ref();
    let next = next.map(|next| next.text(scope, table, &page.order));
    let data: Vec<String> = page.hits.iter().map(|hit| object(table, hit, highlight)).collect();
    let mut body = format!(
        "{{\"data\":[{}],\"next\":{},\"sequence\":{},\"view_sequence\":{},\"generation\":{}",
        data.join(","),
        serde_json::Value::from(next),
        found.sequence,
        found.view_sequence,
        found.generation
    );
    if let Some(total) = page.total {
        let _ = write!(body, ",\"total\":{total}");
    }
    if !page.facets.is_empty() {
        let facets = page.facets.iter().map(|facet| {
            let column = &table.columns[facet.column];
            let count = |(value, count): &(Cell, u64)| {
                let value = shown(value, Some(column.column_type)).json();
                format!("{{\"value\":{value},\"count\":{count}}}")
            };
            let counts: Vec<String> = facet.values.iter().map(count).collect();
            format!("{}:[{}]", quoted(&column.name), counts.join(","))
        });
        let _ = write!(body, ",\"facets\":{{{}}}", facets.collect::<Vec<_>>().join(","));
        let cut = page.facets.iter().filter(|facet| facet.is_cut);
        let cut: Vec<&str> = cut.map(|facet| table.columns[facet.column].name.as_str()).collect();
        if !cut.is_empty() {
            let _ = write!(body, ",\"facets_cut\":{}", serde_json::Value::from(cut));
        }
    }
    if !page.warnings.is_empty() {
        let _ = write!(body, ",\"warnings\":{}", serde_json::Value::from(page.warnings.as_slice()));
    }
    body.push('}');
    body
}

/// A row by column, with how well it answers and what of it does.
fn object(table: &Table, hit: &Hit, highlight: bool) -> String {
    let columns = table.columns.iter().zip(&hit.row);
    let mut members: Vec<String> = columns
        .map(|(column, cell)| {
            let value = shown(cell, Some(column.column_type)).json();
            format!("{}:{value}", quoted(&column.name))
        })
        .collect();
    members.extend(hit.score.map(|score| format!("\"_score\":{score:?}")));
    if highlight {
        let highlights = hit.highlights.iter().map(|(column, fragments)| {
            let fragments = serde_json::Value::from(fragments.as_slice());
            format!("{}:{fragments}", quoted(&table.columns[*column].name))
        });
        let highlights = highlights.collect::<Vec<_>>().join(",");
        members.push(format!("\"_highlights\":{{{highlights}}}"));
    }
    format!("{{{}}}", members.join(","))
}

fn quoted(name: &str) -> serde_json::Value {
    serde_json::Value::from(name)
}
