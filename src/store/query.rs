//! Read-only SQL by strangers, within limits.
//!
//! A file opened for reading is not enough: ATTACH would make other files, PRAGMA would undo settings, one opcode can
//! fill the memory. So, on a connection of its own for each query: an authorizer that knows what may be done rather
//! than what may not, limits on every size that SQL can name, a deadline that the virtual machine checks, a cap on
//! rows and on bytes, and one snapshot for the rows and the sequence that they reflect.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, Statement};

use super::checkpoint::Checkpoint;
use super::connection::open_reader;
use super::{layout, select_list, shown, sql_token};
use crate::diagnostic;
use crate::event::Sequence;
use crate::row::ColumnType;

pub use super::shown::Shown;

/// A value, a row or the statement's working text: what is above is refused. The largest value of a view is an event's.
const VALUE_BYTES_MAX: i32 = 16 << 20;
/// All rows of a result together: they are in memory before anything is shown.
pub(super) const RESULT_BYTES_MAX: usize = 32 << 20;
/// Opcodes between two looks at the clock: some microseconds.
const DEADLINE_OPCODES: i32 = 1000;

/// Sizes that SQL can name. Ample for what people write, small for what programs attack with.
pub(super) const LIMITS: [(Limit, i32); 10] = [
    (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_COLUMN, 1000),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100),
    (Limit::SQLITE_LIMIT_VDBE_OP, 1_000_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// Functions that reach outside the database, or hand out pointers.
const DENIED_FUNCTIONS: [&str; 2] = ["load_extension", "fts3_tokenizer"];

/// How SQLite says so, with the function's name after it and no error code of its own.
const DENIED_FUNCTION: &str = "not authorized to use function: ";

/// What a query may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub rows: usize,
    pub timeout: Duration,
}

/// The rows of one query, all of one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub columns: Vec<ColumnInfo>,
    pub rows: Vec<Vec<Shown>>,
    /// There are more rows than allowed.
    pub truncated: bool,
    /// The sequence that the rows reflect.
    pub sequence: Sequence,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: String,
    /// Of the declared column that its values come from, if they do from one.
    pub column_type: Option<ColumnType>,
}

/// Why a query gave no rows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement is wrong.
    #[error("{message}")]
    Sql {
        message: String,
        /// The byte of the statement where it goes wrong, if SQLite says.
        offset: Option<usize>,
        hint: Option<String>,
    },
    #[error("{what} is not allowed here: only SELECT is")]
    Denied { what: String },
    #[error("the query took longer than {} ms", timeout.as_millis())]
    TimedOut { timeout: Duration },
    #[error("the query or its result is too large: {detail}")]
    TooLarge { detail: String },
    #[error(transparent)]
    Store(#[from] super::Error),
}

impl Error {
    /// The next thing to do, when there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Sql { hint, .. } => hint.clone(),
            Self::TimedOut { .. } => Some(
                "narrow it by a key or an indexed column, or raise limits.query_timeout_ms".into(),
            ),
            Self::Store(error) => error.hint(),
            Self::Denied { .. } | Self::TooLarge { .. } => None,
        }
    }
}

/// Runs one SELECT on the generation that is served from a projection's folder.
pub fn run(folder: &Path, sql: &str, limits: &Limits) -> Result<Rows, Error> {
    let path = layout::served(folder);
    let mut connection = open_reader(&path)?;
    let asked = Query { path, sql, limits };
    asked.run(&mut connection)
}

struct Query<'a> {
    path: PathBuf,
    sql: &'a str,
    limits: &'a Limits,
}

impl Query<'_> {
    fn run(&self, connection: &mut Connection) -> Result<Rows, Error> {
        let store = |error| Error::Store(super::Error::sqlite(&self.path, error));
        // The first read takes the snapshot. It ends with the connection.
        connection.execute_batch("BEGIN").map_err(store)?;
        let sequence = Checkpoint::read(connection).map_err(store)?.sequence;
        let declared = declared(connection).map_err(store)?;
        confine(connection, self.limits.timeout).map_err(store)?;
        let result = self.rows(connection, &declared, sequence);
        // Names for hints are read without the confines.
        release(connection).map_err(store)?;
        result.map_err(|error| self.explain(error, connection))
    }

    fn rows(
        &self,
        connection: &Connection,
        declared: &Declared,
        sequence: Sequence,
    ) -> rusqlite::Result<Rows> {
        let mut statement = connection.prepare(self.sql)?;
        if statement.column_count() == 0 {
            // VACUUM asks no authorizer; an empty statement has no columns either.
            let empty = statement.readonly();
            return Err(if empty {
                rusqlite::Error::InvalidQuery
            } else {
                rusqlite::Error::ExecuteReturnedResults
            });
        }
        let columns = columns(&statement, self.sql, declared);
        let mut rows = Vec::new();
        let (mut bytes, mut truncated) = (0, false);
        if statement.parameter_count() > 0 {
            return Err(rusqlite::Error::InvalidParameterCount(0, statement.parameter_count()));
        }
        let mut found = statement.raw_query();
        while let Some(row) = found.next()? {
            if rows.len() >= self.limits.rows || bytes > RESULT_BYTES_MAX {
                truncated = true;
                break;
            }
            let cells = columns.iter().enumerate();
            let cells = cells
                .map(|(index, column)| Ok(Shown::new(row.get_ref(index)?, column.column_type)));
            let cells = cells.collect::<rusqlite::Result<Vec<_>>>()?;
            bytes += cells.iter().map(Shown::bytes).sum::<usize>();
            rows.push(cells);
        }
        Ok(Rows { columns, rows, truncated, sequence })
    }

    /// An error for the one who wrote the statement.
    fn explain(&self, error: rusqlite::Error, connection: &Connection) -> Error {
        let sql =
            |message: &str| Error::Sql { message: message.to_owned(), offset: None, hint: None };
        let failure = match &error {
            rusqlite::Error::MultipleStatement => return sql("one statement at a time"),
            rusqlite::Error::InvalidParameterCount(..) => {
                return sql("the statement has parameters: write the values in it");
            }
            rusqlite::Error::ExecuteReturnedResults => return denied("", self.sql),
            rusqlite::Error::InvalidQuery => return sql("no statement: write a SELECT"),
            rusqlite::Error::SqlInputError { error, msg, offset, .. } => {
                if error.code == ErrorCode::AuthorizationForStatementDenied
                    || msg.starts_with(DENIED_FUNCTION)
                {
                    return denied(msg, self.sql);
                }
                return Error::Sql {
                    message: msg.clone(),
                    offset: usize::try_from(*offset).ok(),
                    hint: hint(msg, connection),
                };
            }
            other => other.sqlite_error(),
        };
        let message = match &error {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
            other => other.to_string(),
        };
        match failure.map(|failure| failure.code) {
            Some(ErrorCode::OperationInterrupted) => {
                Error::TimedOut { timeout: self.limits.timeout }
            }
            Some(ErrorCode::AuthorizationForStatementDenied) => denied(&message, self.sql),
            Some(ErrorCode::TooBig | ErrorCode::OutOfMemory) => Error::TooLarge { detail: message },
            Some(ErrorCode::ReadOnly) => denied(&message, self.sql),
            Some(ErrorCode::Unknown | ErrorCode::TypeMismatch | ErrorCode::ParameterOutOfRange) => {
                let hint = hint(&message, connection);
                Error::Sql { message, offset: None, hint }
            }
            _ => Error::Store(super::Error::sqlite(&self.path, error)),
        }
    }
}

/// Declared types by table and column.
pub(super) type Declared = HashMap<(String, String), ColumnType>;

pub(super) fn declared(connection: &Connection) -> rusqlite::Result<Declared> {
    let mut statement =
        connection.prepare("SELECT \"table\", \"column\", type FROM _viewd_columns")?;
    let rows = statement.query_map((), |row| {
        let name: String = row.get(2)?;
        Ok(((row.get(0)?, row.get(1)?), shown::column_type(&name)))
    })?;
    rows.filter_map(|row| row.map(|(place, known)| Some((place, known?))).transpose()).collect()
}

/// By name where the query renames nothing, since SQLite tells nothing of what a view computes, and of a compound only
/// where its first arm's columns come from; else by where they come from, unless the query is a compound itself.
pub(super) fn columns(
    statement: &Statement<'_>,
    sql: &str,
    declared: &Declared,
) -> Vec<ColumnInfo> {
    let relations = select_list::plain(sql);
    let compound = sql_token::tokens(sql)
        .iter()
        .any(|token| token.is("union") || token.is("intersect") || token.is("except"));
    let by_name = |name: &str| {
        let relations = relations.iter().flatten();
        let mut types = relations
            .filter_map(|relation| declared.get(&(relation.clone(), name.to_owned())).copied());
        let first = types.next()?;
        types.all(|other| other == first).then_some(first)
    };
    let info = |column: rusqlite::ColumnMetadata<'_>| {
        let place = column.table_name().zip(column.origin_name()).filter(|_| !compound);
        let from = |(table, origin): (&str, &str)| {
            declared.get(&(table.to_owned(), origin.to_owned())).copied()
        };
        let column_type = by_name(column.name()).or_else(|| place.and_then(from));
        ColumnInfo { name: column.name().to_owned(), column_type }
    };
    statement.columns_with_metadata().map(info).collect()
}

/// From here on the connection can do nothing but read, and not for long.
fn confine(connection: &mut Connection, timeout: Duration) -> rusqlite::Result<()> {
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
    }
    let begun = Instant::now();
    connection.progress_handler(DEADLINE_OPCODES, Some(move || begun.elapsed() > timeout))?;
    connection.authorizer(Some(authorize))
}

fn release(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.progress_handler(0, None::<fn() -> bool>)?;
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
}

fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if !DENIED_FUNCTIONS.contains(&function_name) => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn denied(message: &str, sql: &str) -> Error {
    let function = message.strip_prefix(DENIED_FUNCTION);
    let first = sql.split_whitespace().next().unwrap_or_default().to_uppercase();
    let what = match function {
        Some(function) => format!("the function `{function}`"),
        None if first == "SELECT" || first == "WITH" => "this statement".to_owned(),
        None => first,
    };
    Error::Denied { what }
}

/// The nearest name to one that is not there; of tables, else all there are.
fn hint(message: &str, connection: &Connection) -> Option<String> {
    let names = |sql: &str| -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(sql)?;
        let names = statement.query_map((), |row| row.get(0))?;
        names.collect()
    };
    if let Some(name) = message.strip_prefix("no such column: ") {
        let columns = names(
            "SELECT DISTINCT c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
             WHERE t.type IN ('table', 'view')",
        );
        let nearest = diagnostic::nearest(bare(name), columns.ok()?.iter().map(String::as_str))
            .map(str::to_owned);
        return nearest.map(|name| format!("did you mean `{name}`?"));
    }
    let name = message.strip_prefix("no such table: ")?;
    let tables = names(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') \
         AND name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    );
    diagnostic::did_you_mean(bare(name), tables.ok()?.iter().map(String::as_str))
}

/// A name without the table, quotes or advice that SQLite puts around it.
fn bare(name: &str) -> &str {
    let name = name.split(' ').next().unwrap_or(name);
    name.rsplit('.').next().unwrap_or(name).trim_matches('"')
}
