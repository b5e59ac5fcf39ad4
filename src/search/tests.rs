//! What is held of an index's files and commits: each trap of Tantivy that was measured, and how none is walked into.

mod build;
mod commits;
mod damage;
mod disk;
mod errors;
mod files;
mod foreign;
mod mapping;
mod merges;
mod pages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Committed, Differences, Error, Index, Payload, Searcher, Shape, Writer};
use crate::definition::{Column, Language, Search, SearchField, Table};
use crate::event::Sequence;
use crate::row::{Cell, ColumnType, Key};
use crate::store::layout::Generation;
use crate::store::step::Steps;
use files::Files;

const DEADLINE: Duration = Duration::from_secs(60);
const MEMORY_BYTES: usize = 15_000_000;
/// The columns of [`table`].
const ID: usize = 0;
const NAME: usize = 1;

fn table() -> Table {
    let columns = [
        ("id", ColumnType::Text),
        ("name", ColumnType::Text),
        ("note", ColumnType::Text),
        ("count", ColumnType::Integer),
        ("price", ColumnType::Decimal(2)),
        ("rate", ColumnType::Real),
        ("paid", ColumnType::Boolean),
        ("at", ColumnType::Timestamp),
        ("day", ColumnType::Date),
        ("other", ColumnType::Json),
    ];
    let columns = columns.map(|(name, column_type)| Column {
        name: name.to_owned(),
        column_type,
        required: false,
        default: None,
        span: 0..0,
    });
    Table {
        name: "items".to_owned(),
        columns: columns.into(),
        key: vec![ID],
        indexes: Vec::new(),
        changes: false,
        span: 0..0,
    }
}

fn search() -> Search {
    let field = |column, language| SearchField { column, weight: 1.0, language };
    Search {
        name: "items".to_owned(),
        table: 0,
        fields: vec![field(NAME, None), field(2, Some(Language::English))],
        filters: (NAME..9).filter(|&column| column != 2).collect(),
        span: 0..0,
    }
}

fn shape() -> Arc<Shape> {
    Arc::new(Shape::new(&search(), &table()))
}

fn payload(change: i64) -> Payload {
    Payload::new(&shape(), Generation(1), change, Sequence(change.unsigned_abs() + 100))
}

/// A row that says its id and its value in every column.
fn row(id: &str, value: i64) -> Vec<Cell> {
    let text = |text: String| Cell::Text(text.into());
    let second = value.rem_euclid(60);
    vec![
        text(id.to_owned()),
        text(format!("name{value} of {id}")),
        text(format!("notes are taken {value} times")),
        Cell::Integer(value),
        Cell::Integer(value * 100),
        Cell::Real(value as f64 + 0.5),
        Cell::Integer(value & 1),
        text(format!("2013-01-01T00:00:{second:02}.000000Z")),
        text(format!("2013-01-{:02}", 1 + value.rem_euclid(28))),
        text(format!("{{\"v\":{value}}}")),
    ]
}

fn key(id: &str) -> Key {
    Key([Cell::Text(id.into())].into_iter().collect())
}

/// An index in the memory of a test that outlives its openings, as a disk does.
fn open(files: &Files) -> Result<(Index, Writer), Error> {
    let index = Index::open_in("index".as_ref(), Box::new(files.clone()), shape())?;
    let writer = Writer::open(&index, MEMORY_BYTES, &Steps::default())?;
    Ok((index, writer))
}

/// Such an index with nothing in it, at change 0.
fn created() -> Files {
    let files = Files::default();
    let directory = super::directory::Fenced::new(Box::new(files.clone()));
    let index = super::index::create(directory, &shape()).expect("created");
    let mut writer: tantivy::IndexWriter =
        index.writer_with_num_threads(1, MEMORY_BYTES).expect("a writer");
    super::writer::commit(&mut writer, &payload(0), &Steps::default()).expect("committed");
    files
}

/// What rows there are, and the log of their changes.
#[derive(Clone, Default)]
struct Rows {
    rows: BTreeMap<String, Vec<Cell>>,
    changed: Vec<String>,
}

impl Rows {
    fn put(&mut self, id: &str, value: i64) {
        self.rows.insert(id.to_owned(), row(id, value));
        self.changed.push(id.to_owned());
    }

    fn remove(&mut self, id: &str) {
        self.rows.remove(id);
        self.changed.push(id.to_owned());
    }

    fn last_change(&self) -> i64 {
        self.changed.len() as i64
    }

    /// What an indexer does: the changes past an id, as the rows are now, and a commit.
    fn follow(&self, writer: &mut Writer, after: i64) -> Result<Committed, Error> {
        for id in &self.changed[after as usize..] {
            match self.rows.get(id) {
                Some(row) => writer.put(row)?,
                None => writer.remove(&key(id))?,
            }
        }
        writer.commit(payload(self.last_change()))
    }

    fn compare(&self, searcher: &Searcher) -> Differences {
        let mut comparison = searcher.compare().expect("compared");
        self.rows.values().for_each(|row| comparison.row(row).expect("compared"));
        comparison.finish().expect("compared")
    }

    #[track_caller]
    fn assert_are(&self, searcher: &Searcher) {
        assert_eq!(self.compare(searcher), Differences::default());
        assert_eq!(searcher.documents(), self.rows.len() as u64);
    }
}
