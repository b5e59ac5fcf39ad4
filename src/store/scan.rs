//! Rows of a snapshot: by key, and all of a table by several threads.
//!
//! A scan gives out parts of some thousand rows to whichever thread is free. Where a part ends is found by walking the
//! rows, so parts are alike however rowids are spread: a table's integer key is its rowid.

use std::sync::{Mutex, PoisonError};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use super::Error;
use super::schema::quoted;
use super::snapshot::Snapshot;
use super::statement::{bind_cell, put_cell};
use crate::definition::{Column, Table};
use crate::row::{Cell, Key, Row};

/// Finding where a part ends costs some 0.1 ms, in which the others wait; reading it, many times that.
const PART_ROWS: u32 = 2_000;

/// The rows of one table that are still to be given out, to threads with snapshots of one state.
#[derive(Debug)]
pub struct Parts {
    /// The rowid at which the next part begins; None: all are given out.
    next: Mutex<Option<i64>>,
}

/// Reads rows of one table by their keys.
pub(super) struct ByKey<'a> {
    statement: CachedStatement<'a>,
    row: Vec<Cell>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { next: Mutex::new(Some(i64::MIN)) }
    }
}

impl Snapshot {
    /// The row of a key. Only the key and these columns are read, the rest is NULL.
    pub fn row(&self, table: &Table, columns: &[usize], key: &Key) -> Result<Option<Row>, Error> {
        let mut rows = self.by_key(table, columns)?;
        let row = rows.get(key).map_err(|error| self.error(error))?;
        Ok(row.map(Row::from))
    }

    /// How many rows a table has.
    pub fn count(&self, table: &Table) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM {}", quoted(&table.name));
        let count = |connection: &Connection| connection.query_row(&sql, (), |row| row.get(0));
        self.read(count).map(i64::unsigned_abs)
    }

    /// Hands over rows of a table until none is left to be given out, to this thread or to any other.
    pub fn scan<E: From<Error>>(
        &self,
        table: &Table,
        columns: &[usize],
        parts: &Parts,
        mut each: impl FnMut(&[Cell]) -> Result<(), E>,
    ) -> Result<(), E> {
        let error = |error| E::from(self.error(error));
        let sql = format!("{} NOT INDEXED WHERE _rowid_ BETWEEN ?1 AND ?2", select(table, columns));
        let mut statement = self.prepared(&sql)?;
        let mut row = vec![Cell::Null; table.columns.len()];
        while let Some((first, last)) = parts.take(self, table)? {
            let mut rows = statement.query([first, last]).map_err(error)?;
            while let Some(found) = rows.next().map_err(error)? {
                for (index, cell) in row.iter_mut().enumerate() {
                    put_cell(cell, found.get_ref(index).map_err(error)?);
                }
                each(&row)?;
            }
        }
        Ok(())
    }

    pub(super) fn by_key(&self, table: &Table, columns: &[usize]) -> Result<ByKey<'_>, Error> {
        let key = table.key.iter().enumerate();
        let key =
            key.map(|(n, &column)| format!("{} = ?{}", quoted(&table.columns[column].name), n + 1));
        let key = key.collect::<Vec<_>>().join(" AND ");
        let statement = self.prepared(&format!("{} WHERE {key}", select(table, columns)))?;
        Ok(ByKey { statement, row: vec![Cell::Null; table.columns.len()] })
    }

    pub(super) fn prepared(&self, sql: &str) -> Result<CachedStatement<'_>, Error> {
        self.connection().prepare_cached(sql).map_err(|error| self.error(error))
    }
}

impl ByKey<'_> {
    pub(super) fn get(&mut self, key: &Key) -> rusqlite::Result<Option<&[Cell]>> {
        for (index, cell) in key.0.iter().enumerate() {
            bind_cell(&mut self.statement, index + 1, cell)?;
        }
        let mut rows = self.statement.raw_query();
        let Some(found) = rows.next()? else { return Ok(None) };
        for (index, cell) in self.row.iter_mut().enumerate() {
            put_cell(cell, found.get_ref(index)?);
        }
        Ok(Some(&self.row))
    }
}

impl Parts {
    /// The first and the last rowid of the next part.
    fn take(&self, snapshot: &Snapshot, table: &Table) -> Result<Option<(i64, i64)>, Error> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = *next else { return Ok(None) };
        let sql = format!(
            "SELECT _rowid_ FROM {} NOT INDEXED WHERE _rowid_ >= ?1 ORDER BY _rowid_ LIMIT 1 OFFSET {PART_ROWS}",
            quoted(&table.name)
        );
        let mut statement = snapshot.prepared(&sql)?;
        let after: Option<i64> = statement
            .query_row([first], |row| row.get(0))
            .optional()
            .map_err(|error| snapshot.error(error))?;
        *next = after;
        Ok(Some((first, after.map_or(i64::MAX, |after| after - 1))))
    }
}

/// Selects rows of the table's width: the key, these columns, and NULL for the rest.
fn select(table: &Table, columns: &[usize]) -> String {
    let column = |(index, column): (usize, &Column)| match table.key.contains(&index)
        || columns.contains(&index)
    {
        true => quoted(&column.name),
        false => "NULL".to_owned(),
    };
    let columns = table.columns.iter().enumerate().map(column).collect::<Vec<_>>().join(", ");
    format!("SELECT {columns} FROM {}", quoted(&table.name))
}
