//! From a row to a document.
//!
//! Tantivy takes a wrongly typed value without a word and ends its worker by it; the next commit fails, and the one after
//! succeeds without the documents before it. So this is the only place where documents are made: by it each value has
//! its field's type, and a cell that is not of its column's type, as only a damaged file has one, is an error here.

use sha2::{Digest as _, Sha256};
use tantivy::{TantivyDocument, Term};

use super::Error;
use super::shape::{FilterKind, Shape};
use crate::event::time::{Timestamp, day};
use crate::row::{Cell, Key};
use crate::store::change_log::write_key_text;

/// A longer key is a term by its hash. Tantivy drops terms of more than 65,530 bytes in silence, and a document without
/// its key can never be replaced.
pub(super) const KEY_BYTES_MAX: usize = 1_024;
/// A filter keeps this much of a text: Tantivy itself would cut a longer one, in the midst of a character, and have no
/// term for it. No value that a client compares with is as long, so what it is told of the text is true all the same.
pub(super) const FILTER_BYTES_MAX: usize = 65_530;
/// Of a document without its texts.
const DOCUMENT_BYTES: usize = 256;
/// What no key as text begins with: those are JSON arrays.
pub(super) const HASHED: char = '#';

/// The key of a row, as an index has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    term: String,
    /// The whole of a long key.
    long: Option<String>,
}

impl Name {
    /// Of a key as text.
    pub(super) fn new(text: String) -> Self {
        if text.len() <= KEY_BYTES_MAX {
            return Self { term: text, long: None };
        }
        let mut term = String::from(HASHED);
        term.extend(Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")));
        Self { term, long: Some(text) }
    }

    pub(super) fn of(key: &Key) -> Self {
        Self::new(key_text(key.0.iter()))
    }

    pub(super) fn term(&self, shape: &Shape) -> Term {
        Term::from_field_text(shape.key, &self.term)
    }

    /// For people: the key as text.
    pub(super) fn text(&self) -> &str {
        self.long.as_ref().unwrap_or(&self.term)
    }
}

impl Shape {
    /// The document of a row, whose cells are in the order of the table's columns, and the bytes that it takes, nearly.
    pub(super) fn document(&self, row: &[Cell]) -> Result<(Name, TantivyDocument, usize), Error> {
        let name = self.name_of(row);
        let mut document = TantivyDocument::new();
        let mut bytes = DOCUMENT_BYTES + name.text().len();
        document.add_text(self.key, &name.term);
        if let Some(long) = &name.long {
            document.add_bytes(self.long_key, long.as_bytes());
        }
        for text in self.texts() {
            match &row[text.column] {
                Cell::Null => {}
                Cell::Text(value) => {
                    bytes += value.len();
                    document.add_text(text.field, value);
                }
                other => return Err(self.mistyped(text.column, other)),
            }
        }
        for filter in self.filters() {
            let cell = &row[filter.column];
            match (filter.kind, cell) {
                (_, Cell::Null) => {}
                (FilterKind::Text, Cell::Text(value)) => {
                    bytes += value.len();
                    let kept = value.floor_char_boundary(FILTER_BYTES_MAX);
                    document.add_text(filter.field, &value[..kept]);
                }
                (FilterKind::Real, Cell::Real(value)) => document.add_f64(filter.field, *value),
                (FilterKind::Text | FilterKind::Real, other) => {
                    return Err(self.mistyped(filter.column, other));
                }
                (kind, cell) => {
                    let number =
                        number(kind, cell).ok_or_else(|| self.mistyped(filter.column, cell))?;
                    document.add_i64(filter.field, number);
                }
            }
        }
        document.add_u64(self.content, self.content_hash(row));
        Ok((name, document, bytes))
    }

    /// What the document of a row must hash to.
    pub(super) fn content_hash(&self, row: &[Cell]) -> u64 {
        let mut hash = Content::default();
        let columns = self.texts().iter().map(|text| text.column);
        columns
            .chain(self.filters().iter().map(|filter| filter.column))
            .for_each(|column| hash.cell(&row[column]));
        hash.hash()
    }

    pub(super) fn name_of(&self, row: &[Cell]) -> Name {
        Name::new(key_text(self.key_columns.iter().map(|&column| &row[column])))
    }

    fn mistyped(&self, column: usize, cell: &Cell) -> Error {
        let column = &self.columns[column];
        let found = match cell {
            Cell::Null => "NULL",
            Cell::Integer(_) => "an integer",
            Cell::Real(_) => "a real",
            Cell::Text(text) if text.len() <= 40 => &format!("`{text}`"),
            Cell::Text(_) | Cell::Time(_) => "a text",
            Cell::Bytes(_) => "bytes",
        };
        let expected = column.column_type.to_string();
        Error::Cell { column: column.name.clone(), expected, found: found.to_owned() }
    }
}

/// The number by which a filter keeps a cell; None if it is not of its column's type.
pub(super) fn number(kind: FilterKind, cell: &Cell) -> Option<i64> {
    match (kind, cell) {
        (FilterKind::Integer, Cell::Integer(value)) => Some(*value),
        (FilterKind::Timestamp, Cell::Time(time)) => Some(time.0),
        (FilterKind::Timestamp, Cell::Text(text)) => Timestamp::parse(text).map(|time| time.0),
        (FilterKind::Date, Cell::Text(text)) => day(text),
        _ => None,
    }
}

/// What is hashed of a row: each cell with a tag of what it is and, where that varies, its length.
#[derive(Default)]
struct Content(Sha256);

impl Content {
    fn cell(&mut self, cell: &Cell) {
        match cell {
            Cell::Null => self.0.update([0]),
            Cell::Integer(value) => self.tagged(1, &value.to_le_bytes()),
            Cell::Real(value) => self.tagged(2, &value.to_le_bytes()),
            Cell::Text(text) => self.tagged(3, text.as_bytes()),
            Cell::Time(time) => self.tagged(3, time.text().as_bytes()),
            Cell::Bytes(bytes) => self.tagged(4, bytes),
        }
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.0.update([tag]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn hash(self) -> u64 {
        let hash = self.0.finalize();
        u64::from_le_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
    }
}

fn key_text<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let mut text = Vec::new();
    write_key_text(&mut text, cells);
    String::from_utf8(text).expect("JSON is UTF-8")
}
