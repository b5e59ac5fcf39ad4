//! From hits to rows.
//!
//! An index trails its rows, so a hit's row may be gone, or no longer fulfil the filter: such hits are dropped, and more
//! are sought behind the last one until the page is full or there are none. A cursor is always the place in the index of
//! the last hit that was looked at, dropped or not: the next page begins right behind it. A page may have fewer rows than
//! were asked for, and a next one all the same: where its rows are large, or the time is over.

use std::time::Instant;

use tantivy::Score;

use super::facets::Facet;
use super::found::{Error, Request};
use super::highlight::Highlighter;
use super::{Searcher, Text};
use crate::definition::Table;
use crate::query::cursor::Cursor;
use crate::query::order::Order;
use crate::row::{Cell, Key, Row};
use crate::store;
use crate::store::change_log::key_of;

/// Of the rows of a page: it is in memory whole, once more as JSON, and others are beside it. One row may be larger.
const PAGE_BYTES_MAX: usize = 8 << 20;

/// The rows of one table, as they stood at one sequence.
pub trait Rows {
    fn row(&self, key: &Key) -> Result<Option<Row>, store::Error>;
}

/// Part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub hits: Vec<Hit>,
    /// Where the next page begins; None: there is none.
    pub next: Option<Cursor>,
    /// The order that the hits are in.
    pub order: Order,
    /// Of the index.
    pub total: Option<u64>,
    /// Of the index.
    pub facets: Vec<Facet>,
    pub warnings: Vec<String>,
}

/// A row that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub key: Key,
    pub row: Row,
    /// Where words were searched for.
    pub score: Option<Score>,
    /// By column: parts of the text with the words marked.
    pub highlights: Vec<(usize, Vec<String>)>,
}

/// Searches, and reads the rows of what is found.
pub fn page(
    searcher: &Searcher,
    table: &Table,
    rows: &impl Rows,
    request: &Request,
) -> Result<Page, Error> {
    let mut asked = Request { limit: enough(request.limit), ..request.clone() };
    let found = searcher.search(&asked)?;
    let mut page = Page {
        hits: Vec::new(),
        next: None,
        order: request.order(),
        total: found.total,
        facets: found.facets,
        warnings: found.warnings,
    };
    // These are of all hits, wherever a page begins.
    (asked.total, asked.facets) = (false, Vec::new());
    let words = if request.highlight { searcher.words(request)? } else { None };
    let texts = searcher.shape().texts();
    let mut highlighter = words.map(|words| Highlighter::new(&words, texts));
    let (mut found, mut bytes) = (found.hits, 0);
    loop {
        let is_end = found.len() < asked.limit;
        for hit in found {
            // The time is looked at here as well: reading and marking long texts takes longer than finding them.
            let is_late = Instant::now() >= request.deadline;
            if is_late && page.hits.is_empty() {
                return Err(Error::TimedOut);
            }
            if is_late || page.hits.len() == request.limit || bytes >= PAGE_BYTES_MAX {
                page.next = asked.after;
                return Ok(page);
            }
            let key = searcher.hit_key(&hit)?;
            if let Some(key) = key_of(&key, table)
                && let Some(row) = rows.row(&key)?
                && request.filter.as_ref().is_none_or(|filter| filter.matches(&row) == Some(true))
            {
                let highlights =
                    highlighter.as_mut().map(|it| highlights(it, texts, &row)).unwrap_or_default();
                bytes += row.iter().map(cell_bytes).sum::<usize>();
                page.hits.push(Hit { key, row, score: hit.score, highlights });
            }
            asked.after = Some(hit.place);
        }
        if is_end {
            return Ok(page);
        }
        asked.limit = enough(request.limit - page.hits.len());
        found = match searcher.search(&asked) {
            Ok(found) => found.hits,
            // What is there goes out: the next page goes on behind it.
            Err(Error::TimedOut) if !page.hits.is_empty() => {
                page.next = asked.after;
                return Ok(page);
            }
            Err(error) => return Err(error),
        };
    }
}

/// Of the fields that words were found in.
fn highlights(
    highlighter: &mut Highlighter,
    texts: &[Text],
    row: &[Cell],
) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (field, text) in texts.iter().enumerate() {
        if let Cell::Text(content) = &row[text.column] {
            let fragments = highlighter.fragments(field, content);
            if !fragments.is_empty() {
                found.push((text.column, fragments));
            }
        }
    }
    found
}

fn cell_bytes(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        Cell::Null | Cell::Integer(_) | Cell::Real(_) | Cell::Time(_) => 0,
    }
}

/// How many hits are sought where so many rows are wanted: some may have to be dropped, and one more tells whether there
/// is a next page.
fn enough(rows: usize) -> usize {
    rows + rows / 2 + 1
}
