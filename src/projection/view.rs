//! The rows as an event's handlers see them: what is stored, with everything that has been folded on top.

use std::cell::RefCell;

use super::fold::{Failed, Fold, Rows};
use super::transition::Operation;
use crate::definition::Table;
use crate::expression::convert::convert;
use crate::expression::{Lookup, Output, Value};
use crate::row::{Cell, Key};

/// Fold and stored rows, lent to the expressions of one event.
pub(super) struct View<'a, R: Rows> {
    tables: &'a [Table],
    inner: RefCell<(&'a mut Fold, &'a mut R)>,
    /// Why a look-up had to stop: no failure of the event, whatever its expression makes of it.
    stopped: RefCell<Option<Failed<R::Error>>>,
}

impl<'a, R: Rows> View<'a, R> {
    pub(super) fn new(tables: &'a [Table], fold: &'a mut Fold, rows: &'a mut R) -> Self {
        Self { tables, inner: RefCell::new((fold, rows)), stopped: RefCell::new(None) }
    }

    /// Why the batch cannot go on, if a look-up has found that.
    pub(super) fn take_stopped(&self) -> Option<Failed<R::Error>> {
        self.stopped.borrow_mut().take()
    }

    /// The row as expressions see it, or null.
    pub(super) fn row(&self, table: usize, key: &Key) -> Result<Value, Failed<R::Error>> {
        let (fold, rows) = &mut *self.inner.borrow_mut();
        let row = fold.row(table, key, self.tables, *rows)?;
        Ok(row.map_or(Value::Null, |row| shown(&self.tables[table], row)))
    }

    /// The keys of the rows whose columns hold these cells, in key order; of more than `limit` not all.
    pub(super) fn matching(
        &self,
        table: usize,
        columns: &[usize],
        cells: &[Cell],
        limit: usize,
    ) -> Result<Vec<Key>, Failed<R::Error>> {
        let (fold, rows) = &mut *self.inner.borrow_mut();
        fold.matching(table, columns, cells, limit, self.tables, *rows)
    }

    pub(super) fn apply(&self, mut operation: Operation) -> Result<(), Failed<R::Error>> {
        let (fold, rows) = &mut *self.inner.borrow_mut();
        let sought = fold.seek(&operation);
        fold.apply_one(&mut operation, sought, self.tables, *rows)
    }
}

impl<R: Rows> Lookup for View<'_, R> {
    fn lookup(&self, table: usize, key: Vec<Value>) -> Result<Value, String> {
        let declared = &self.tables[table];
        let mut cells = Key(Default::default());
        for (&column, value) in declared.key.iter().zip(key) {
            let column = &declared.columns[column];
            match convert(Output::of_value(value), column.column_type) {
                Ok(Cell::Null) => return Ok(Value::Null),
                Ok(cell) => cells.0.push(cell),
                Err(problem) => {
                    return Err(format!(
                        "lookup in `{}`: `{}` {problem}",
                        declared.name, column.name
                    ));
                }
            }
        }
        self.row(table, &cells).or_else(|failed| {
            *self.stopped.borrow_mut() = Some(failed);
            Ok(Value::Null)
        })
    }
}

fn shown(table: &Table, row: &[Cell]) -> Value {
    let columns = table.columns.iter().map(|column| (column.name.as_str(), column.column_type));
    Value::of_row(columns, row)
}
