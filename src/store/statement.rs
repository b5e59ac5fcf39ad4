//! Writing transitions: one statement each, prepared once a shape.
//!
//! Shapes are few (a handful a definition), so their statements stay prepared: between commits in the connection's
//! cache, within one in hand, so that a row costs a comparison of some bytes, its bindings and a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Statement, ToSql};
use smallvec::SmallVec;

use super::append::{Append, Op};
use super::shape::{
    NEW_TOGETHER, OUT_OF_RANGE, Step, TableSql, code, shape, shape_of_known, shape_of_new_rows,
    split,
};
use crate::definition::Table;
use crate::projection::known::{Changed, Known};
use crate::projection::transition::{Change, Transition};
use crate::row::{Cell, Key, Row};

/// No column: nothing was out of range.
const NO_COLUMN: usize = usize::MAX;
/// Statements in hand at once, some 10 KB each.
const HELD_MAX: usize = 128;
/// Shapes remembered. A definition has a handful; one with more just prepares them again.
const SHAPES_MAX: usize = 1024;

/// The SQL of every shape met so far, kept between commits.
pub(super) struct Shapes {
    tables: Vec<TableSql>,
    by_shape: HashMap<Box<[u8]>, Arc<str>>,
    /// Set by the SQL function when a sum does not fit.
    out_of_range: Arc<AtomicUsize>,
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
        Ok(Self {
            tables: tables.iter().map(TableSql::new).collect(),
            by_shape: HashMap::new(),
            out_of_range,
        })
    }

    /// The statement that reads one row by its key.
    pub(super) fn select(&self, table: usize) -> &str {
        &self.tables[table].select
    }

    /// The statement that reads the rows whose columns hold what is bound.
    pub(super) fn search(&self, table: usize, columns: &[usize]) -> String {
        self.tables[table].search(columns)
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
    changes: Append<'a>,
}

impl<'a> Flush<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        shapes: &'a mut Shapes,
        tables: &'a [Table],
        changes: Append<'a>,
    ) -> Self {
        Self {
            connection,
            shapes,
            tables,
            statements: HashMap::new(),
            last: None,
            scratch: Vec::new(),
            changes,
        }
    }

    /// The id of the last change that was appended to the log.
    pub(super) fn finish(self) -> rusqlite::Result<Option<i64>> {
        self.changes.finish()
    }

    /// Writes one transition; whether it changed the table.
    pub(super) fn write(
        &mut self,
        table: usize,
        key: &Key,
        transition: &Transition,
    ) -> Result<bool, Failure> {
        match shape(&mut self.scratch, table, transition) {
            Step::Nothing => Ok(false),
            Step::Statement { row, changes, key: by_key } => {
                let gone = matches!(transition, Transition::Settled { row: None, .. });
                let changed = self
                    .execute(row, changes, by_key.then_some(key))
                    .map_err(|error| self.explain(error))?;
                if changed {
                    self.changes.add(table, &key.0, op(!gone))?;
                }
                Ok(changed)
            }
            Step::Known => {
                let stored = get(self.connection, self.shapes.select(table), key)?;
                let declared = &self.tables[table];
                let after = transition.clone().onto(stored, declared);
                let after = after.map_err(|failure| Failure::OutOfRange(failure.column))?;
                self.write(table, key, &Transition::known(after))
            }
        }
    }

    /// Writes the rows of a table that are known and to be written; how many changed the table.
    pub(super) fn write_all_known(&mut self, table: usize, known: &Known) -> rusqlite::Result<u64> {
        let mut changed = 0;
        let mut new = SmallVec::<[Changed<'_>; NEW_TOGETHER]>::new();
        for row in known.changed() {
            if !row.is_there || row.is_stored {
                changed += u64::from(self.write_known(table, &row)?);
                continue;
            }
            new.push(row);
            if new.len() == NEW_TOGETHER {
                changed += self.insert(table, &new)?;
                new.clear();
            }
        }
        for row in &new {
            changed += u64::from(self.write_known(table, row)?);
        }
        Ok(changed)
    }

    /// Makes [`NEW_TOGETHER`] rows.
    fn insert(&mut self, table: usize, rows: &[Changed<'_>]) -> rusqlite::Result<u64> {
        shape_of_new_rows(&mut self.scratch, table);
        self.turn_to_shape()?;
        let (_, statement) = self.last.as_mut().expect("set by turn_to_shape");
        let mut binding = Binding { statement, next: 1 };
        for cell in rows.iter().flat_map(|row| row.cells) {
            binding.cell(cell)?;
        }
        let made = statement.raw_execute()? as u64;
        for row in rows {
            let key = self.tables[table].key.iter().map(|&column| &row.cells[column]);
            self.changes.add(table, key, Op::Put)?;
        }
        Ok(made)
    }

    /// Writes a row that is known; whether it changed the table.
    fn write_known(&mut self, table: usize, changed: &Changed<'_>) -> rusqlite::Result<bool> {
        shape_of_known(&mut self.scratch, table, changed);
        self.turn_to_shape()?;
        let (_, statement) = self.last.as_mut().expect("set by turn_to_shape");
        let mut binding = Binding { statement, next: 1 };
        let key = self.tables[table].key.iter().map(|&column| &changed.cells[column]);
        if changed.is_there {
            for cell in changed.cells {
                binding.cell(cell)?;
            }
        } else {
            for cell in key.clone() {
                binding.cell(cell)?;
            }
        }
        let has_changed = statement.raw_execute()? > 0;
        if has_changed {
            self.changes.add(table, key, op(changed.is_there))?;
        }
        Ok(has_changed)
    }

    fn execute(
        &mut self,
        row: Option<&Row>,
        changes: &[Change],
        key: Option<&Key>,
    ) -> rusqlite::Result<bool> {
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
            if self.statements.len() >= HELD_MAX {
                // Back to the connection's cache, which forgets those not used for longest.
                self.statements.clear();
            }
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

fn op(is_there: bool) -> Op {
    if is_there { Op::Put } else { Op::Delete }
}

/// Reads a row with a statement made by [`Shapes::select`].
pub(super) fn get(
    connection: &Connection,
    select: &str,
    key: &Key,
) -> rusqlite::Result<Option<Row>> {
    let mut statement = connection.prepare_cached(select)?;
    for (index, cell) in key.0.iter().enumerate() {
        bind_cell(&mut statement, index + 1, cell)?;
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let Some(row) = rows.next()? else { return Ok(None) };
    (0..columns)
        .map(|index| Ok(cell_of(row.get_ref(index)?)))
        .collect::<rusqlite::Result<_>>()
        .map(Some)
}

/// Reads the rows whose columns hold these cells, with a statement made by [`Shapes::search`].
pub(super) fn matching(
    connection: &Connection,
    search: &str,
    cells: &[Cell],
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(search)?;
    for (index, cell) in cells.iter().enumerate() {
        bind_cell(&mut statement, index + 1, cell)?;
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let cells = (0..columns).map(|index| Ok(cell_of(row.get_ref(index)?)));
        found.push(cells.collect::<rusqlite::Result<Row>>()?);
    }
    Ok(found)
}

pub(super) fn cell_of(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.into()),
    }
}

/// Puts a value into a cell; a text takes the room of the one before it.
pub(super) fn put_cell(cell: &mut Cell, value: ValueRef<'_>) {
    match (cell, value) {
        (Cell::Text(text), ValueRef::Text(value)) => {
            text.clear();
            text.push_str(&String::from_utf8_lossy(value));
        }
        (cell, value) => *cell = cell_of(value),
    }
}

/// Binds one parameter after the other, in the order in which the SQL numbers them.
struct Binding<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    next: usize,
}

impl Binding<'_, '_> {
    #[inline]
    fn cell(&mut self, cell: &Cell) -> rusqlite::Result<()> {
        self.next += 1;
        bind_cell(self.statement, self.next - 1, cell)
    }

    fn change(&mut self, change: &Change, code: u8) -> rusqlite::Result<()> {
        match (change, code) {
            (Change::Set(cell), code::SET) | (Change::Min(cell) | Change::Max(cell), _) => {
                self.cell(cell)
            }
            (Change::Add(sum), code::ADD_UP | code::ADD) => {
                let fits =
                    |value: i128| i64::try_from(value).expect("checked when the shape was made");
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

/// Binds a parameter, counted from 1.
#[inline]
pub(super) fn bind_cell(
    statement: &mut Statement<'_>,
    parameter: usize,
    cell: &Cell,
) -> rusqlite::Result<()> {
    with_value(cell, |value| statement.raw_bind_parameter(parameter, ToSqlOutput::Borrowed(value)))
}

/// Shows a cell as SQLite has it.
#[inline]
pub(super) fn with_value<T>(cell: &Cell, show: impl FnOnce(ValueRef<'_>) -> T) -> T {
    match cell {
        Cell::Null => show(ValueRef::Null),
        Cell::Integer(value) => show(ValueRef::Integer(*value)),
        Cell::Real(value) => show(ValueRef::Real(*value)),
        Cell::Text(text) => show(ValueRef::Text(text.as_bytes())),
        Cell::Time(time) => show(ValueRef::Text(time.text().as_bytes())),
        Cell::Bytes(bytes) => show(ValueRef::Blob(bytes)),
    }
}
