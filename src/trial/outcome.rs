//! What a trial has come to: rows, events set aside, counts.

use crate::definition::{Table, View};
use crate::row::{Cell, ColumnType, Row};
use crate::status::Counts;
use crate::store::Error;
use crate::store::contents::{Contents, shown};
use crate::store::dead_letter::{DeadLetter, State};
use crate::store::shown::Shown;
use crate::store::view::Columns;
use crate::store::writer::Store;

/// All of it: two ways to apply the same events must come to equal outcomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub tables: Vec<Relation>,
    pub views: Vec<Relation>,
    /// In the order in which they were set aside.
    pub set_aside: Vec<SetAside>,
    pub counts: Counts,
    /// Everything up to here has been applied.
    pub sequence: u64,
    /// Why the projection stopped.
    pub stopped: Option<String>,
}

/// A table or a view with its rows. Two are equal whatever the order of their rows: a view without ORDER BY promises
/// none.
#[derive(Clone, Debug)]
pub struct Relation {
    pub name: String,
    pub columns: Vec<(String, ColumnType)>,
    /// Indices into `columns`; empty if it has no key.
    pub key: Vec<usize>,
    /// A table's in key order, a view's in its own.
    pub rows: Vec<Row>,
    /// There are more rows than were asked for.
    pub truncated: bool,
    /// Why a view has no rows: SQL can fail on some rows and not on others.
    pub problem: Option<String>,
}

/// An event that was set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct SetAside {
    pub sequence: u64,
    pub part: u32,
    /// None: the message could not be decoded.
    pub type_name: Option<String>,
    pub state: State,
    pub reason: String,
}

impl PartialEq for Relation {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |relation: &Self| {
            let mut rows = relation.rows.clone();
            // Cells of one column are of one kind, and no number that SQLite gives is without an order.
            rows.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
            rows
        };
        self.name == other.name
            && self.columns == other.columns
            && self.problem == other.problem
            && sorted(self) == sorted(other)
    }
}

impl Outcome {
    /// A table or view by its name.
    pub fn relation(&self, name: &str) -> Option<&Relation> {
        self.tables.iter().chain(&self.views).find(|relation| relation.name == name)
    }
}

impl Relation {
    pub(super) fn of_table(
        store: &Store,
        table: &Table,
        rows_max: Option<usize>,
    ) -> Result<Self, Error> {
        let key: Vec<_> = table.key.iter().map(|&key| table.columns[key].name.as_str()).collect();
        let contents = store.contents(&table.name, &key, rows_max)?;
        let columns = table.columns.iter();
        let columns = columns.map(|column| (column.name.clone(), column.column_type));
        Ok(Self {
            name: table.name.clone(),
            columns: columns.collect(),
            key: table.key.clone(),
            rows: contents.rows,
            truncated: contents.truncated,
            problem: None,
        })
    }

    pub(super) fn of_view(
        store: &Store,
        view: &View,
        columns: &Columns,
        rows_max: Option<usize>,
    ) -> Self {
        let columns: Vec<_> = columns.iter().map(|(name, known)| (name.clone(), *known)).collect();
        let place = |name: &str| columns.iter().position(|(column, _)| column == name);
        let key = view.key.iter().filter_map(|name| place(&name.value)).collect();
        let (contents, problem) = match store.contents(&view.name, &[], rows_max) {
            Ok(contents) => (contents, None),
            Err(error) => {
                let problem = error.to_string();
                let problem = problem.strip_prefix(":memory:: ").unwrap_or(&problem).to_owned();
                (Contents::default(), Some(problem))
            }
        };
        let Contents { rows, truncated } = contents;
        Self { name: view.name.clone(), columns, key, rows, truncated, problem }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(column, _)| column == name)
    }

    /// A cell as JSON.
    pub fn json(&self, column: usize, cell: &Cell) -> String {
        shown(cell, Some(self.columns[column].1)).json()
    }

    /// A cell as text in a table.
    pub fn shown(&self, column: usize, cell: &Cell) -> Shown {
        shown(cell, Some(self.columns[column].1))
    }

    /// Some columns of a row, each with its value as JSON.
    pub fn members(&self, row: &Row, columns: impl IntoIterator<Item = usize>) -> Members {
        let member =
            |column: usize| (self.columns[column].0.clone(), self.json(column, &row[column]));
        Members(columns.into_iter().map(member).collect())
    }

    /// All of a row.
    pub fn object(&self, row: &Row) -> Members {
        self.members(row, 0..self.columns.len())
    }
}

impl SetAside {
    pub(super) fn new(letter: &DeadLetter) -> Self {
        Self {
            sequence: letter.sequence.0,
            part: letter.part,
            type_name: letter.type_name.clone(),
            state: letter.state,
            reason: letter.reason.clone(),
        }
    }
}

/// Members of a JSON object: names, and values as JSON text, which keeps every digit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(pub Vec<(String, String)>);

impl std::fmt::Display for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}:{value}", serde_json::Value::from(name.as_str()))?;
        }
        f.write_str("}")
    }
}
