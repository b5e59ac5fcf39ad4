//! The rows as committed, read by their one writer.

use super::Error;
use super::statement;
use super::writer::Store;
use crate::projection::fold::Rows;
use crate::row::{Cell, Key, Row};

impl Store {
    /// The row as committed.
    pub fn get(&self, table: usize, key: &Key) -> Result<Option<Row>, Error> {
        self.execute(|connection| statement::get(connection, self.shapes.select(table), key))
    }

    /// At most `limit` of the rows as committed whose columns hold these cells, in any order.
    pub fn matching(
        &self,
        table: usize,
        columns: &[usize],
        cells: &[Cell],
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        let search = self.shapes.search(table, columns);
        self.execute(|connection| statement::matching(connection, &search, cells, limit))
    }

    /// Every row of a table as committed, in key order.
    pub fn rows(&self, table: usize) -> Result<Vec<Row>, Error> {
        let mut rows = self.matching(table, &[], &[], usize::MAX)?;
        let key = &self.tables[table].key;
        let order = |a: &Row, b: &Row| {
            let cells = key.iter().map(|&column| a[column].partial_cmp(&b[column]));
            cells.flatten().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        };
        rows.sort_unstable_by(order);
        Ok(rows)
    }
}

impl Rows for Store {
    type Error = Error;

    fn row(&mut self, table: usize, key: &Key) -> Result<Option<Row>, Error> {
        self.get(table, key)
    }

    fn matching(
        &mut self,
        table: usize,
        columns: &[usize],
        cells: &[Cell],
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        Store::matching(self, table, columns, cells, limit)
    }
}
