//! `viewd search`: rows that a full-text index finds, as the running daemon answers; without one, on the files.
//!
//! An answer has a page of rows at most, so the command pages by itself: what it prints is one answer all the same.

mod at_rest;
mod shown;

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::RawValue;

use self::at_rest::AtRest;
use super::args;
use super::failure::Failure;
use super::output::Output;
use super::socket::{self, Answer, encoded};
use super::{store_failure, view_folder};
use crate::api::search::asked::LIMIT_MAX;
use crate::api::wait::TIMEOUT_MAX;
use crate::config::Config;
use crate::store;
use crate::store::lock::Lock;

/// What an answer takes beyond the wait and the search.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A daemon listens so soon after it has begun, or has ended so soon after it listens no more.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// One answer, its values as they stand: a decimal keeps its digits.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next: Option<String>,
    sequence: u64,
    view_sequence: u64,
    generation: u64,
    total: Option<u64>,
    facets: Option<Box<RawValue>>,
    /// Of these only the most frequent values.
    #[serde(default)]
    facets_cut: Vec<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

pub(super) fn run(
    config: &Config,
    arguments: &args::Search,
    output: &Output,
) -> Result<(), Failure> {
    let mut asker = Asker { config, arguments, at_rest: None };
    let mut page = asker.first()?;
    while let (Some(cursor), left @ 1..) =
        (page.next.as_deref(), arguments.limit.saturating_sub(page.data.len()))
    {
        let next = asker.next(cursor, left)?;
        page.data.extend(next.data);
        // The index may have moved on meanwhile: what came first is true of all.
        page.next = next.next;
    }
    page.warnings.extend(asker.at_rest.as_ref().and_then(AtRest::behind));
    if output.json {
        output.line(&json(&page));
    } else {
        shown::print(&page, arguments, output)?;
    }
    Ok(())
}

/// Whoever answers: the daemon, or this process.
struct Asker<'a> {
    config: &'a Config,
    arguments: &'a args::Search,
    /// Opened by the first question that no daemon answers.
    at_rest: Option<AtRest>,
}

impl Asker<'_> {
    fn first(&mut self) -> Result<Page, Failure> {
        let begun = Instant::now();
        let args::Search { min_sequence, timeout, .. } = *self.arguments;
        loop {
            let mut query = self.query(self.arguments.limit, self.arguments.cursor.as_deref());
            // One request waits for so long at most; the next goes on where it ended.
            let left = timeout.saturating_sub(begun.elapsed()).min(TIMEOUT_MAX);
            if let Some(sequence) = min_sequence {
                query += &format!("&_min_sequence={sequence}&_wait={}ms", left.as_millis());
            }
            if !self.arguments.facets.is_empty() {
                query += &format!("&_facets={}", encoded(&self.arguments.facets.join(",")));
            }
            if self.arguments.total {
                query += "&_total=true";
            }
            let answer = self.ask(&query, left)?;
            if answer.code != 200 && begun.elapsed() < timeout {
                let problem = answer.problem()?;
                if problem.code == "timed-out" {
                    continue;
                }
            }
            return read(answer);
        }
    }

    fn next(&mut self, cursor: &str, left: usize) -> Result<Page, Failure> {
        let answer = self.ask(&self.query(left, Some(cursor)), Duration::ZERO)?;
        read(answer)
    }

    /// What all questions have in common.
    fn query(&self, rows: usize, cursor: Option<&str>) -> String {
        let args::Search { words, filters, order, highlight, .. } = self.arguments;
        let mut query = format!("_limit={}", rows.min(LIMIT_MAX));
        if !words.is_empty() {
            query += &format!("&_q={}", encoded(&words.join(" ")));
        }
        for (name, condition) in filters {
            query += &format!("&{}={}", encoded(name), encoded(condition));
        }
        if let Some(order) = order {
            query += &format!("&_order={}", encoded(order));
        }
        if *highlight {
            query += "&_highlight=true";
        }
        if let Some(cursor) = cursor {
            query += &format!("&_cursor={}", encoded(cursor));
        }
        query
    }

    fn ask(&mut self, query: &str, wait: Duration) -> Result<Answer, Failure> {
        let args::Search { projection, index, .. } = self.arguments;
        let query_timeout = self.config.limits.query_timeout;
        let begun = Instant::now();
        loop {
            if let Some(at_rest) = &self.at_rest {
                return at_rest.answer(query, query_timeout);
            }
            let what = format!("search/{}?{query}", encoded(index));
            let path = format!("/v1/{}", socket::path(projection, &what));
            let timeout = wait + query_timeout + ANSWER_TIMEOUT;
            if let Some(answer) = socket::request(&self.config.data_dir, "GET", &path, timeout)? {
                return Ok(answer);
            }
            let folder = view_folder(self.config, projection)?;
            match Lock::read(&self.config.data_dir) {
                Ok(lock) => {
                    let opened = AtRest::open(self.config, &folder, projection, index, lock)?;
                    self.at_rest = Some(opened);
                }
                // A daemon that starts, or ends: it answers soon, or is gone.
                Err(store::Error::Locked { .. }) if begun.elapsed() < LOCK_TIMEOUT => {
                    std::thread::sleep(LOCK_AGAIN);
                }
                Err(error) => return Err(store_failure(error)),
            }
        }
    }
}

fn read(answer: Answer) -> Result<Page, Failure> {
    if answer.code == 200 {
        return socket::read(&answer.body);
    }
    let mut problem = answer.problem()?;
    if matches!(problem.code.as_str(), "timed-out" | "projection-stands-still") {
        let at = problem.sequence.map(|sequence| format!("; it is at {sequence}"));
        problem.detail += &at.unwrap_or_default();
    }
    problem.detail = as_options(&problem.detail);
    problem.hint = problem.hint.as_deref().map(as_options);
    Err(problem.failure())
}

/// What is said of a request's parameters, of the options that they come from.
fn as_options(said: &str) -> String {
    [
        ("`_order=", "`--order "),
        ("`_order`", "`--order`"),
        ("`_cursor`", "`--cursor`"),
        ("`_facets`", "`--facets`"),
        ("ask for words with `_q`", "ask for words"),
    ]
    .iter()
    .fold(said.to_owned(), |said, (parameter, option)| said.replace(parameter, option))
}

/// All pages as one answer.
fn json(page: &Page) -> String {
    let data: Vec<&str> = page.data.iter().map(|row| row.get()).collect();
    let mut json = format!(
        "{{\"data\":[{}],\"next\":{},\"sequence\":{},\"view_sequence\":{},\"generation\":{}",
        data.join(","),
        serde_json::Value::from(page.next.as_deref()),
        page.sequence,
        page.view_sequence,
        page.generation
    );
    if let Some(total) = page.total {
        json += &format!(",\"total\":{total}");
    }
    if let Some(facets) = &page.facets {
        json += &format!(",\"facets\":{facets}");
    }
    if !page.facets_cut.is_empty() {
        json += &format!(",\"facets_cut\":{}", serde_json::Value::from(page.facets_cut.as_slice()));
    }
    if !page.warnings.is_empty() {
        json += &format!(",\"warnings\":{}", serde_json::Value::from(page.warnings.as_slice()));
    }
    json + "}"
}
