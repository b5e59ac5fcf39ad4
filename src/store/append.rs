//! Appending to the change log, within the transaction that changes the rows.

use std::ops::Range;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::change_log::write_key_text;
use crate::definition::Table;
use crate::row::Cell;

/// So many changes are appended by one statement.
const TOGETHER: usize = 32;

/// What has become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Put,
    Delete,
}

/// The changes of one transaction on their way into the log.
pub(super) struct Append<'a> {
    connection: &'a Connection,
    tables: &'a [Table],
    /// By table.
    logged: &'a [bool],
    sequence: i64,
    /// The table of what waits.
    table: usize,
    /// What waits: the texts of keys one behind the other, where each ends, and what became of the rows.
    texts: Vec<u8>,
    waiting: Vec<(usize, Op)>,
    /// For [`TOGETHER`] changes.
    statement: Option<CachedStatement<'a>>,
    /// The id that was given last.
    last: Option<i64>,
}

impl<'a> Append<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        tables: &'a [Table],
        logged: &'a [bool],
        sequence: i64,
    ) -> Self {
        Self {
            connection,
            tables,
            logged,
            sequence,
            table: 0,
            texts: Vec::new(),
            waiting: Vec::new(),
            statement: None,
            last: None,
        }
    }

    /// Takes a row that has changed, by the cells of its key.
    #[inline]
    pub(super) fn add<'k>(
        &mut self,
        table: usize,
        key: impl IntoIterator<Item = &'k Cell>,
        op: Op,
    ) -> rusqlite::Result<()> {
        if !self.logged[table] {
            return Ok(());
        }
        if table != self.table {
            self.write_rest()?;
            self.table = table;
        }
        write_key_text(&mut self.texts, key);
        self.waiting.push((self.texts.len(), op));
        if self.waiting.len() == TOGETHER {
            self.write_together()?;
        }
        Ok(())
    }

    /// Appends what waits; the id that was given last, if any was.
    pub(super) fn finish(mut self) -> rusqlite::Result<Option<i64>> {
        self.write_rest()?;
        Ok(self.last)
    }

    fn write_together(&mut self) -> rusqlite::Result<()> {
        let mut statement = match self.statement.take() {
            Some(statement) => statement,
            None => self.connection.prepare_cached(&sql(TOGETHER))?,
        };
        self.write(&mut statement, 0..TOGETHER)?;
        self.statement = Some(statement);
        self.forget();
        Ok(())
    }

    fn write_rest(&mut self) -> rusqlite::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached(&sql(1))?;
        for index in 0..self.waiting.len() {
            self.write(&mut statement, index..index + 1)?;
        }
        self.forget();
        Ok(())
    }

    fn write(
        &mut self,
        statement: &mut CachedStatement<'_>,
        waiting: Range<usize>,
    ) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(1, self.sequence)?;
        statement.raw_bind_parameter(2, &self.tables[self.table].name)?;
        let mut begin = waiting.start.checked_sub(1).map_or(0, |before| self.waiting[before].0);
        let mut parameter = 3;
        for &(end, op) in &self.waiting[waiting] {
            let text = ToSqlOutput::Borrowed(ValueRef::Text(&self.texts[begin..end]));
            statement.raw_bind_parameter(parameter, text)?;
            statement.raw_bind_parameter(parameter + 1, op.word())?;
            parameter += 2;
            begin = end;
        }
        statement.raw_execute()?;
        self.last = Some(self.connection.last_insert_rowid());
        Ok(())
    }

    fn forget(&mut self) {
        self.texts.clear();
        self.waiting.clear();
    }
}

impl Op {
    fn word(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

fn sql(rows: usize) -> String {
    let row = |row: usize| format!("(?1, ?2, ?{}, ?{})", 2 * row + 3, 2 * row + 4);
    let rows = (0..rows).map(row).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO _viewd_changes (sequence, \"table\", key, op) VALUES {rows}")
}
