//! One SQL statement per shape of transition.
//!
//! A transition becomes one statement. Its *shape* is what decides the SQL text: the table, whether a row is made if
//! none is there, and what is done to each column of one that is. Shapes are few (a handful a definition), so their
//! statements stay prepared; a row costs a comparison of some bytes, its bindings and a step.
//!
//! | transition | statement |
//! |---|---|
//! | open, absent: nothing | `UPDATE ... SET ... WHERE key` |
//! | open, absent: a row, present: kept | `INSERT ... ON CONFLICT DO NOTHING` |
//! | open, absent: a row, present: changed | `INSERT ... ON CONFLICT DO UPDATE SET ...` |
//! | settled on a row | the same, every column from the new row |
//! | settled on none | `DELETE ... WHERE key` |
//!
//! A change that changes nothing is left out by a WHERE, so it dirties no page. A sum is checked before it is added:
//! SQLite's `+` would turn into a float past 64 bits. What SQL cannot say exactly and cheaply (guards of overwritten
//! columns, sums beyond 64 bits) is [`Step::Known`]: the row is read and the transition applied to it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

use super::schema::{quoted, quoted_list};
use crate::definition::Table;
use crate::projection::transition::{Change, Sum, Transition};
use crate::row::{Cell, Key, Row};

/// Raises an error that names a column by its number; called for a sum that does not fit.
const OUT_OF_RANGE: &str = "_viewd_out_of_range";
/// No column: nothing was out of range.
const NO_COLUMN: usize = usize::MAX;
/// Shapes remembered. A definition has a handful; one with more just prepares them again.
const SHAPES_MAX: usize = 1024;

/// What is to be done for one transition.
enum Step<'a> {
    Nothing,
    /// A statement of the shape in the scratch space, bound with these.
    Statement { row: Option<&'a Row>, changes: &'a [Change], key: bool },
    /// The row must be read first.
    Known,
}

/// First byte of a shape after the table's number.
mod kind {
    pub(super) const UPDATE: u8 = 0;
    /// Make the row if none is there.
    pub(super) const INSERT: u8 = 1;
    /// Make the row, or change the one that is there.
    pub(super) const MERGE: u8 = 2;
    /// The row, whatever was there.
    pub(super) const REPLACE: u8 = 3;
    pub(super) const DELETE: u8 = 4;
}

/// What is done to one column of a row that is there: a byte each, after the kind.
mod code {
    pub(super) const KEEP: u8 = 0;
    pub(super) const SET: u8 = 1;
    /// Set to what the new row has: nothing more to bind.
    pub(super) const SET_AS_NEW: u8 = 2;
    /// Add 0: NULL becomes 0.
    pub(super) const ZERO: u8 = 3;
    /// Add a sum that only rose.
    pub(super) const ADD_UP: u8 = 4;
    pub(super) const ADD: u8 = 5;
    pub(super) const MIN: u8 = 6;
    pub(super) const MAX: u8 = 7;
}

/// The SQL of every shape met so far, kept between commits.
pub(super) struct Shapes {
    tables: Vec<TableSql>,
    by_shape: HashMap<Box<[u8]>, Arc<str>>,
    /// Set by the SQL function when a sum does not fit.
    out_of_range: Arc<AtomicUsize>,
}

/// A table's names as SQL takes them.
struct TableSql {
    name: String,
    columns: Vec<String>,
    key: Vec<usize>,
    /// `"a" = ?{n} AND ...`, with the first number to be added.
    select: String,
}

/// Why a transition was not written.
#[derive(Debug)]
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    /// A sum does not fit: the column's index.
    OutOfRange(usize),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Shapes {
    /// Registers the SQL function that sums need, on the writer's connection.
    pub(super) fn new(connection: &Connection, tables: &[Table]) -> rusqlite::Result<Self> {
        let out_of_range = Arc::new(AtomicUsize::new(NO_COLUMN));
        let column = Arc::clone(&out_of_range);
        // Not deterministic: SQLite would be free to call it ahead of the test that guards it.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
        connection.create_scalar_function(OUT_OF_RANGE, 1, flags, move |context| {
            column.store(context.get::<i64>(0)? as usize, Ordering::Relaxed);
            Err::<i64, _>(rusqlite::Error::UserFunctionError("out of range".into()))
        })?;
        Ok(Self { tables: tables.iter().map(TableSql::new).collect(), by_shape: HashMap::new(), out_of_range })
    }

    /// The statement that reads one row by its key.
    pub(super) fn select(&self, table: usize) -> &str {
        &self.tables[table].select
    }

    fn sql(&mut self, shape: &[u8]) -> Arc<str> {
        if let Some(sql) = self.by_shape.get(shape) {
            return Arc::clone(sql);
        }
        if self.by_shape.len() >= SHAPES_MAX {
            self.by_shape.clear();
        }
        let (table, kind, codes) = split(shape);
        let sql: Arc<str> = self.tables[table].sql(kind, codes).into();
        self.by_shape.insert(shape.into(), Arc::clone(&sql));
        sql
    }
}

/// Writes transitions within one transaction, holding the statements it has used.
pub(super) struct Flush<'a> {
    connection: &'a Connection,
    shapes: &'a mut Shapes,
    tables: &'a [Table],
    statements: HashMap<Box<[u8]>, CachedStatement<'a>>,
    /// The statement of the last row: mostly that of the next one too.
    last: Option<(Box<[u8]>, CachedStatement<'a>)>,
    /// The shape of the running row.
    scratch: Vec<u8>,
}

impl<'a> Flush<'a> {
    pub(super) fn new(connection: &'a Connection, shapes: &'a mut Shapes, tables: &'a [Table]) -> Self {
        Self { connection, shapes, tables, statements: HashMap::new(), last: None, scratch: Vec::new() }
    }

    /// Writes one transition; whether it changed the table.
    pub(super) fn write(&mut self, table: usize, key: &Key, transition: &Transition) -> Result<bool, Failure> {
        match shape(&mut self.scratch, table, transition) {
            Step::Nothing => Ok(false),
            Step::Statement { row, changes, key: by_key } => {
                self.execute(row, changes, by_key.then_some(key)).map_err(|error| self.explain(error))
            }
            Step::Known => {
                let stored = get(self.connection, self.shapes.select(table), key)?;
                let declared = &self.tables[table];
                let after = transition.clone().onto(stored, declared).map_err(|failure| {
                    let named = |column: &crate::definition::Column| column.name == failure.column;
                    Failure::OutOfRange(declared.columns.iter().position(named).unwrap_or(0))
                })?;
                self.write(table, key, &Transition::known(after))
            }
        }
    }

    fn execute(&mut self, row: Option<&Row>, changes: &[Change], key: Option<&Key>) -> rusqlite::Result<bool> {
        let codes = split(&self.scratch).2.len();
        debug_assert!(codes >= changes.len() || changes.is_empty());
        self.turn_to_shape()?;
        let (shape, statement) = self.last.as_mut().expect("set by turn_to_shape");
        let mut binding = Binding { statement, next: 1 };
        for cell in row.into_iter().flatten() {
            binding.cell(cell)?;
        }
        for (change, &code) in changes.iter().zip(split(shape).2) {
            binding.change(change, code)?;
        }
        for cell in key.into_iter().flat_map(|key| &key.0) {
            binding.cell(cell)?;
        }
        Ok(statement.raw_execute()? > 0)
    }

    /// Makes `last` the statement of the scratch shape.
    fn turn_to_shape(&mut self) -> rusqlite::Result<()> {
        if self.last.as_ref().is_some_and(|(shape, _)| **shape == *self.scratch) {
            return Ok(());
        }
        if let Some((shape, statement)) = self.last.take() {
            self.statements.insert(shape, statement);
        }
        self.last = Some(match self.statements.remove_entry(self.scratch.as_slice()) {
            Some(held) => held,
            None => {
                let sql = self.shapes.sql(&self.scratch);
                (self.scratch.as_slice().into(), self.connection.prepare_cached(&sql)?)
            }
        });
        Ok(())
    }

    fn explain(&self, error: rusqlite::Error) -> Failure {
        match self.shapes.out_of_range.swap(NO_COLUMN, Ordering::Relaxed) {
            NO_COLUMN => Failure::Sqlite(error),
            column => Failure::OutOfRange(column),
        }
    }
}

/// Reads a row with a statement made by [`Shapes::select`].
pub(super) fn get(connection: &Connection, select: &str, key: &Key) -> rusqlite::Result<Option<Row>> {
    let mut statement = connection.prepare_cached(select)?;
    for (index, cell) in key.0.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, Bound(cell))?;
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let Some(row) = rows.next()? else { return Ok(None) };
    (0..columns).map(|index| Ok(cell_of(row.get_ref(index)?))).collect::<rusqlite::Result<_>>().map(Some)
}

fn cell_of(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.into()),
    }
}

/// Writes the shape of a transition and says how to carry it out.
fn shape<'t>(shape: &mut Vec<u8>, table: usize, transition: &'t Transition) -> Step<'t> {
    shape.clear();
    shape.extend(u16::try_from(table).expect("a definition has a handful of tables").to_le_bytes());
    match transition {
        Transition::Settled { guards, .. } | Transition::Open { guards, .. } if !guards.is_empty() => Step::Known,
        Transition::Settled { row: Some(row), .. } => {
            shape.push(kind::REPLACE);
            Step::Statement { row: Some(row), changes: &[], key: false }
        }
        Transition::Settled { row: None, .. } => {
            shape.push(kind::DELETE);
            Step::Statement { row: None, changes: &[], key: true }
        }
        Transition::Open { absent, present, .. } => {
            shape.push(kind::MERGE);
            let mut changed = false;
            for (column, change) in present.iter().enumerate() {
                let Some(code) = code_of(change, absent.as_ref().map(|row| &row[column])) else {
                    return Step::Known;
                };
                changed |= code != code::KEEP;
                shape.push(code);
            }
            match (absent, changed) {
                (None, false) => Step::Nothing,
                (Some(row), false) => {
                    shape.truncate(3);
                    shape[2] = kind::INSERT;
                    Step::Statement { row: Some(row), changes: &[], key: false }
                }
                (Some(row), true) => Step::Statement { row: Some(row), changes: present, key: false },
                (None, true) => {
                    shape[2] = kind::UPDATE;
                    Step::Statement { row: None, changes: present, key: true }
                }
            }
        }
    }
}

/// The table's number, the kind and the codes of a shape.
fn split(shape: &[u8]) -> (usize, u8, &[u8]) {
    (usize::from(u16::from_le_bytes([shape[0], shape[1]])), shape[2], &shape[3..])
}

/// None: SQL cannot say it.
fn code_of(change: &Change, new: Option<&Cell>) -> Option<u8> {
    Some(match change {
        Change::Keep => code::KEEP,
        Change::Set(cell) if new == Some(cell) => code::SET_AS_NEW,
        Change::Set(_) => code::SET,
        Change::Min(_) => code::MIN,
        Change::Max(_) => code::MAX,
        Change::Add(Sum { total: 0, lowest: 0, highest: 0 }) => code::ZERO,
        // The WHERE that leaves out no-ops would leave out the check too.
        Change::Add(Sum { total: 0, .. }) => return None,
        Change::Add(sum) => {
            let fits = |value| i64::try_from(value).is_ok();
            match (fits(sum.total) && fits(sum.lowest) && fits(sum.highest), sum.lowest) {
                (false, _) => return None,
                (true, 0) => code::ADD_UP,
                (true, _) => code::ADD,
            }
        }
    })
}

/// Binds one parameter after the other, in the order in which the SQL numbers them.
struct Binding<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    next: usize,
}

impl Binding<'_, '_> {
    fn cell(&mut self, cell: &Cell) -> rusqlite::Result<()> {
        self.bind(Bound(cell))
    }

    fn change(&mut self, change: &Change, code: u8) -> rusqlite::Result<()> {
        match (change, code) {
            (Change::Set(cell), code::SET) | (Change::Min(cell) | Change::Max(cell), _) => self.cell(cell),
            (Change::Add(sum), code::ADD_UP | code::ADD) => {
                let fits = |value: i128| i64::try_from(value).expect("checked when the shape was made");
                // Sums of 64 bits that start at 0: these differences are within 64 bits.
                if code == code::ADD {
                    self.bind(i64::MIN - fits(sum.lowest))?;
                }
                self.bind(i64::MAX - fits(sum.highest))?;
                self.bind(fits(sum.total))
            }
            _ => Ok(()),
        }
    }

    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.next += 1;
        self.statement.raw_bind_parameter(self.next - 1, value)
    }
}

struct Bound<'a>(&'a Cell);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Cell::Null => ValueRef::Null,
            Cell::Integer(value) => ValueRef::Integer(*value),
            Cell::Real(value) => ValueRef::Real(*value),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl TableSql {
    fn new(table: &Table) -> Self {
        let name = quoted(&table.name);
        let columns: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let all = quoted_list(table.columns.iter().map(|column| column.name.as_str()));
        let mut sql = Self { name, columns, key: table.key.clone(), select: String::new() };
        sql.select = format!("SELECT {all} FROM {} WHERE {}", sql.name, sql.key_is(1));
        sql
    }

    fn sql(&self, kind: u8, codes: &[u8]) -> String {
        match kind {
            kind::UPDATE => {
                let (set, unless_same, parameters) = self.changes(codes, 1);
                let key = self.key_is(parameters);
                format!("UPDATE {} SET {set} WHERE {key}{}", self.name, and(unless_same))
            }
            kind::DELETE => format!("DELETE FROM {} WHERE {}", self.name, self.key_is(1)),
            kind::INSERT => format!("{} DO NOTHING", self.insert()),
            kind::MERGE => self.upsert(codes),
            _ => {
                let code = |column| if self.key.contains(&column) { code::KEEP } else { code::SET_AS_NEW };
                let codes: Vec<u8> = (0..self.columns.len()).map(code).collect();
                self.upsert(&codes)
            }
        }
    }

    fn upsert(&self, codes: &[u8]) -> String {
        let (set, unless_same, _) = self.changes(codes, self.columns.len() + 1);
        if set.is_empty() {
            return format!("{} DO NOTHING", self.insert());
        }
        let unless_same = unless_same.map_or(String::new(), |condition| format!(" WHERE {condition}"));
        format!("{} DO UPDATE SET {set}{unless_same}", self.insert())
    }

    /// The alias keeps a table named `excluded` apart from what SQLite calls the new row.
    fn insert(&self) -> String {
        let columns = self.columns.join(", ");
        let values = (1..=self.columns.len()).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ");
        let key = self.key.iter().map(|&column| self.columns[column].as_str()).collect::<Vec<_>>().join(", ");
        format!("INSERT INTO {} AS _row ({columns}) VALUES ({values}) ON CONFLICT ({key})", self.name)
    }

    fn key_is(&self, first: usize) -> String {
        let equals = |(index, &column): (usize, &usize)| format!("{} = ?{}", self.columns[column], first + index);
        self.key.iter().enumerate().map(equals).collect::<Vec<_>>().join(" AND ")
    }

    /// The assignments of the codes, the condition under which they change anything (None: always), and the number
    /// of the next parameter.
    fn changes(&self, codes: &[u8], first: usize) -> (String, Option<String>, usize) {
        let (mut set, mut differs, mut always, mut next) = (String::new(), Vec::new(), false, first);
        for (column, &code) in self.columns.iter().zip(codes) {
            let (value, difference, parameters) = match code {
                code::SET => (format!("?{next}"), format!("{column} IS NOT ?{next}"), 1),
                code::SET_AS_NEW => {
                    (format!("excluded.{column}"), format!("{column} IS NOT excluded.{column}"), 0)
                }
                code::ZERO => (format!("coalesce({column}, 0)"), format!("{column} IS NULL"), 0),
                code::ADD_UP | code::ADD => {
                    always = true;
                    let (sum, parameters) = self.sum(column, code, next);
                    (sum, String::new(), parameters)
                }
                code::MIN | code::MAX => {
                    let less = if code == code::MIN { '<' } else { '>' };
                    let wins = format!("{column} IS NULL OR ?{next} {less} {column}");
                    (format!("CASE WHEN {wins} THEN ?{next} ELSE {column} END"), wins, 1)
                }
                _ => continue,
            };
            next += parameters;
            differs.push(difference);
            let comma = if set.is_empty() { "" } else { ", " };
            write!(set, "{comma}{column} = {value}").expect("writing to a string cannot fail");
        }
        let unless_same = (!always && !differs.is_empty()).then(|| differs.join(" OR "));
        (set, unless_same, next)
    }

    /// A sum, if the column is within the bounds that keep it and its prefixes in range. NULL counts as 0.
    fn sum(&self, column: &str, code: u8, next: usize) -> (String, usize) {
        let number = self.columns.iter().position(|name| name == column).expect("it is one of them");
        let (within, total, parameters) = match code {
            code::ADD_UP => (format!("coalesce({column}, 0) <= ?{next}"), next + 1, 2),
            _ => (format!("coalesce({column}, 0) BETWEEN ?{next} AND ?{}", next + 1), next + 2, 3),
        };
        let sum = format!(
            "CASE WHEN {within} THEN coalesce({column}, 0) + ?{total} ELSE {OUT_OF_RANGE}({number}) END"
        );
        (sum, parameters)
    }
}

fn and(condition: Option<String>) -> String {
    condition.map_or(String::new(), |condition| format!(" AND ({condition})"))
}
