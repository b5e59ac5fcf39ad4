//! What a view holds, as its one writer reads it: for views in memory, which nobody else can open.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ErrorCode};

use super::Error;
use super::query::{LIMITS, RESULT_BYTES_MAX};
use super::schema::{quoted, quoted_list};
use super::shown::Shown;
use super::statement::{cell_of, with_value};
use super::writer::Store;
use crate::row::{Cell, ColumnType, Row};

/// What SQLite may do for one view: a second's work or so, the same on every machine.
const VIEW_OPCODES_MAX: i32 = 100_000_000;

/// The rows of a table or view, each in the order of its columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    pub rows: Vec<Row>,
    /// There are more rows than asked for.
    pub truncated: bool,
}

impl Store {
    /// At most `limit` rows of a table or view, in the order of these columns; without any, in its own order.
    pub fn contents(
        &self,
        relation: &str,
        order: &[&str],
        limit: Option<usize>,
    ) -> Result<Contents, Error> {
        let order = match order {
            [] => String::new(),
            columns => format!(" ORDER BY {}", quoted_list(columns.iter().copied())),
        };
        let sql = format!("SELECT * FROM {}{order}", quoted(relation));
        self.execute(|connection| {
            if !is_view(connection, relation)? {
                return read(connection, &sql, limit, usize::MAX);
            }
            let copy = confined_copy(connection)?;
            read(&copy, &sql, limit, RESULT_BYTES_MAX).map_err(explain)
        })
    }
}

/// A cell as people and the HTTP API see it.
pub fn shown(cell: &Cell, column_type: Option<ColumnType>) -> Shown {
    with_value(cell, |value| Shown::new(value, column_type))
}

fn is_view(connection: &Connection, relation: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND name = ?1";
    let views: i64 = connection.query_row(sql, [relation], |row| row.get(0))?;
    Ok(views > 0)
}

/// A view is anybody's SQL: it has the limits of a query, and steps instead of time, so that a test always ends alike.
/// On a connection of its own: the writer's has neither.
fn confined_copy(connection: &Connection) -> rusqlite::Result<Connection> {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let name = format!("file:/viewd-contents-{number}?vfs=memdb");
    // Memory of this name lives as long as a connection to it.
    let mut copy = Connection::open(&name)?;
    connection.execute("VACUUM INTO ?1", [&name])?;
    for (limit, value) in LIMITS {
        copy.set_limit(limit, value)?;
    }
    copy.progress_handler(VIEW_OPCODES_MAX, Some(|| true))?;
    Ok(copy)
}

fn read(
    connection: &Connection,
    sql: &str,
    limit: Option<usize>,
    bytes_max: usize,
) -> rusqlite::Result<Contents> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut found = statement.raw_query();
    let (mut rows, mut bytes, mut truncated) = (Vec::new(), 0_usize, false);
    while let Some(row) = found.next()? {
        if limit.is_some_and(|limit| rows.len() >= limit) {
            truncated = true;
            break;
        }
        let cells = (0..columns).map(|index| Ok(cell_of(row.get_ref(index)?)));
        let cells = cells.collect::<rusqlite::Result<Row>>()?;
        bytes += cells.iter().map(cell_bytes).sum::<usize>();
        if bytes > bytes_max {
            return Err(problem(format!("its rows have more than {bytes_max} bytes")));
        }
        rows.push(cells);
    }
    Ok(Contents { rows, truncated })
}

fn cell_bytes(cell: &Cell) -> usize {
    match cell {
        Cell::Text(text) => text.len(),
        Cell::Bytes(bytes) => bytes.len(),
        _ => 8,
    }
}

/// SQLite's word for it is "interrupted".
fn explain(error: rusqlite::Error) -> rusqlite::Error {
    if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
        return problem(format!("it takes more than {VIEW_OPCODES_MAX} steps of SQLite"));
    }
    error
}

fn problem(text: String) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR);
    rusqlite::Error::SqliteFailure(code, Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_end_and_fit() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE t (n); INSERT INTO t VALUES (1), (2);
                 CREATE VIEW right AS SELECT n + 1 AS n FROM t;
                 CREATE VIEW endless AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(x) FROM c;
                 CREATE VIEW large AS SELECT zeroblob(900000000) FROM t;
                 CREATE VIEW many AS SELECT zeroblob(15000000) FROM t a, t b;",
            )
            .unwrap();
        assert!(is_view(&connection, "right").unwrap() && !is_view(&connection, "t").unwrap());
        for (view, expected) in [
            ("right", "2 rows"),
            ("endless", "it takes more than 100000000 steps of SQLite"),
            ("large", "string or blob too big"),
            ("many", "its rows have more than 33554432 bytes"),
        ] {
            let copy = confined_copy(&connection).unwrap();
            let sql = format!("SELECT * FROM {view}");
            let found = match read(&copy, &sql, None, RESULT_BYTES_MAX).map_err(explain) {
                Ok(contents) => format!("{} rows", contents.rows.len()),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{view}");
        }
    }
}
