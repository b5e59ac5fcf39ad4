//! The rows of a view, read as a stranger reads them, and what a scan of them answers to a query.
//!
//! Nothing of the engine's is used: conditions are SQLite's own, words are the naive matcher's.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use rusqlite::Connection;
use rusqlite::types::Value as Cell;
use viewd::definition::{Definition, parse};
use viewd::diagnostic::Source;
use viewd::row::ColumnType;

use super::query::Query;
use crate::corpora::Corpus;
use crate::search::naive::{self, Text};

/// A table as it stands, and what of it is indexed.
pub struct Rows {
    pub corpus: Corpus,
    pub definition: Definition,
    /// Columns of the table, in its order.
    pub columns: Vec<(String, ColumnType)>,
    /// By key as text, which is the order of those that are equal in everything else.
    pub rows: Vec<Row>,
    view: Connection,
}

pub struct Row {
    /// As an index has it.
    pub key: String,
    pub cells: Vec<Cell>,
    words: naive::Row,
}

/// What a query must answer.
pub struct Expected<'a> {
    /// In the order that was asked for; by key where it is one of scores.
    pub rows: Vec<&'a Row>,
    /// Of each facet, how many rows have each value.
    pub facets: Vec<BTreeMap<String, u64>>,
}

impl Rows {
    pub fn read(corpus: Corpus, view: Connection) -> Self {
        let source = Source::new("corpus.toml".to_owned(), corpus.definition());
        let (definition, _) = parse(&source, corpus.name(), &["corpus"]);
        let definition = definition.unwrap();
        let search = &definition.searches[0];
        let table = &definition.tables[search.table];
        let columns: Vec<_> =
            table.columns.iter().map(|c| (c.name.clone(), c.column_type)).collect();
        let sql = format!("SELECT * FROM {}", table.name);
        let mut statement = view.prepare(&sql).unwrap();
        let rows = statement.query_map((), |row| {
            (0..columns.len()).map(|at| row.get(at)).collect::<Result<Vec<Cell>, _>>()
        });
        let rows = rows.unwrap().map(|cells| {
            let cells = cells.unwrap();
            let texts = search.fields.iter().map(|field| Text {
                field: &columns[field.column].0,
                language: field.language,
                text: text(&cells[field.column]),
            });
            let words = naive::Row::new(&texts.collect::<Vec<_>>());
            let key = table.key.iter().map(|&column| text(&cells[column]));
            let key = serde_json::to_string(&key.collect::<Vec<_>>()).unwrap();
            Row { key, words, cells }
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        drop(statement);
        Self { corpus, columns, rows, view, definition }
    }

    pub fn column(&self, name: &str) -> usize {
        self.columns.iter().position(|(known, _)| known == name).unwrap()
    }

    /// Columns that words are searched in.
    pub fn fields(&self) -> impl Iterator<Item = usize> {
        self.definition.searches[0].fields.iter().map(|field| field.column)
    }

    pub fn filters(&self) -> &[usize] {
        &self.definition.searches[0].filters
    }

    pub fn answer(&self, query: &Query) -> Expected<'_> {
        let let_through = self.let_through(query);
        let found = self.rows.iter().filter(|row| {
            let words = query.words.as_ref().is_none_or(|words| words.matches(&row.words));
            words && let_through.contains(text(&row.cells[self.key()]))
        });
        let mut found: Vec<&Row> = found.collect();
        if let Some((column, descending)) = query.order {
            found.sort_by(|a, b| {
                let order = order(&a.cells[column], &b.cells[column]);
                // Of equal rows the one with the smaller key comes first in any case.
                if descending { order.reverse() } else { order }
            });
        }
        let facets = query.facets.iter().map(|&column| {
            let mut counts = BTreeMap::new();
            for row in &found {
                *counts.entry(alike(&row.cells[column], self.columns[column].1)).or_insert(0) += 1;
            }
            counts
        });
        Expected { facets: facets.collect(), rows: found }
    }

    /// Keys of the rows that the conditions let through.
    fn let_through(&self, query: &Query) -> HashSet<String> {
        let mut values = Vec::new();
        let conditions = query.conditions.iter().map(|condition| condition.sql(self, &mut values));
        let conditions = conditions.collect::<Vec<_>>().join(" AND ");
        let conditions = if conditions.is_empty() { "true" } else { &conditions };
        let key = &self.columns[self.key()].0;
        let sql = format!("SELECT {key} FROM {} WHERE {conditions}", self.corpus.table());
        let mut statement =
            self.view.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let keys = statement.query_map(rusqlite::params_from_iter(values), |row| row.get(0));
        keys.unwrap().map(Result::unwrap).collect()
    }

    /// Both corpora have one, a text.
    fn key(&self) -> usize {
        self.definition.tables[self.definition.searches[0].table].key[0]
    }
}

pub fn text(cell: &Cell) -> &str {
    match cell {
        Cell::Text(text) => text,
        _ => "",
    }
}

/// A cell as JSON has it.
pub fn shown(cell: &Cell, column_type: ColumnType) -> String {
    match (cell, column_type) {
        (Cell::Null, _) => "null".to_owned(),
        (Cell::Integer(number), ColumnType::Boolean) => (*number == 1).to_string(),
        (Cell::Integer(number), ColumnType::Decimal(digits)) => {
            (*number as f64 / 10_f64.powi(digits.into())).to_string()
        }
        (Cell::Integer(number), _) => number.to_string(),
        (Cell::Real(number), _) => number.to_string(),
        (Cell::Text(text), _) => text.clone(),
        (Cell::Blob(_), _) => unreachable!("no corpus has bytes"),
    }
}

/// The same, to be compared: the reader of JSON here misses the last digit of a real number now and then.
pub fn alike(cell: &Cell, column_type: ColumnType) -> String {
    match (cell, column_type) {
        (Cell::Real(number), _) => digits(*number),
        (Cell::Integer(number), ColumnType::Decimal(places)) => {
            digits(*number as f64 / 10_f64.powi(places.into()))
        }
        _ => shown(cell, column_type),
    }
}

/// So many that all of them are right.
pub fn digits(number: f64) -> String {
    // A whole number may be written as one.
    if number.fract() == 0.0 { number.to_string() } else { format!("{number:.12e}") }
}

/// SQLite's own.
fn order(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Less,
        (_, Cell::Null) => Ordering::Greater,
        (Cell::Integer(a), Cell::Integer(b)) => a.cmp(b),
        (Cell::Real(a), Cell::Real(b)) => a.total_cmp(b),
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (a, b) => unreachable!("{a:?} and {b:?} in one column"),
    }
}
