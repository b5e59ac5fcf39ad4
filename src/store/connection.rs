//! How a view's file is opened, for its one writer and for readers.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags};

use super::Error;
use super::schema;

// Statements kept prepared: one a shape of transition (a handful a table), and viewd's own.
const STATEMENTS_MAX: usize = 256;
// A WAL that once grew large is cut back to this when it is next reset.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
// Another process may hold the write lock for a moment: recovery after a crash, or a stranger's checkpoint.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens a file that is there for its one writer.
///
/// `synchronous=NORMAL` syncs the log at checkpoints only. That is exact here: the checkpoint row rolls back with the
/// rows after a loss of power, and the stream is replayed from there. The log and its index outlive the connection,
/// since without them another user could not open the file read-only.
pub(super) fn open_writer(path: &Path, cache_bytes: u64) -> Result<Connection, Error> {
    let connection = open(path, "PRAGMA synchronous = NORMAL;", "WAL", cache_bytes)?;
    let persist = || connection.file_control(Some("main"), FileControl::PersistWal(&mut 1));
    persist().map_err(|error| Error::sqlite(path, error))?;
    Ok(connection)
}

/// Opens a file that nobody reads, and that is removed after a crash: nothing is synced.
///
/// A rollback journal writes a page that is new once, a log twice: measured 1.1 (keys in no order) to 1.3 times (keys in
/// order) the rows a second. In a file, since it holds every old page that a flush changes, and reused, as removing it
/// costs more than the pages.
pub(super) fn open_bulk(path: &Path, cache_bytes: u64) -> Result<Connection, Error> {
    let pragmas = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF;";
    open(path, pragmas, "PERSIST", cache_bytes)
}

fn open(path: &Path, pragmas: &str, mode: &str, cache_bytes: u64) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.execute_batch(pragmas)?;
        let sql = format!("PRAGMA journal_mode = {mode}");
        let found: String = connection.query_row(&sql, (), |row| row.get(0))?;
        connection.execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY; \
             PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}; PRAGMA trusted_schema = OFF; {}",
            cache_sql(cache_bytes)
        ))?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok((connection, found))
    };
    let (connection, found) = open().map_err(|error| Error::sqlite(path, error))?;
    if !found.eq_ignore_ascii_case(mode) {
        let detail = format!("its file system allows no journal mode {mode}, only {found}");
        return Err(Error::Foreign { path: path.to_path_buf(), detail });
    }
    Ok(connection)
}

/// Turns a file to one without a log, at once or not at all: it can only be if nobody else has it open.
pub(super) fn close_log(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let sql = "PRAGMA journal_mode = DELETE";
    match connection.query_row(sql, (), |row| row.get::<_, String>(0)) {
        Ok(mode) => Ok(mode.eq_ignore_ascii_case("delete")),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The statement that gives a connection's page cache its size.
pub(super) fn cache_sql(bytes: u64) -> String {
    format!("PRAGMA cache_size = -{};", bytes / 1024)
}

/// Opens a file that is there for reading: works while its writer runs, after it has stopped, and for another user.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    open_reader_within(path, BUSY_TIMEOUT)
}

/// The same with its own patience.
pub(super) fn open_reader_within(path: &Path, busy: Duration) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(busy)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        Ok(connection)
    };
    let connection = open().map_err(|error| Error::sqlite(path, error))?;
    check_format(&connection, path)?;
    Ok(connection)
}

/// Refuses a file that another program, or another version of viewd, has made.
pub(super) fn check_format(connection: &Connection, path: &Path) -> Result<(), Error> {
    let number = |pragma: &str| {
        let value =
            connection.query_row(&format!("PRAGMA {pragma}"), (), |row| row.get::<_, i32>(0));
        value.map_err(|error| Error::sqlite(path, error))
    };
    let foreign = |detail: String| Err(Error::Foreign { path: path.to_path_buf(), detail });
    if number("application_id")? != schema::APPLICATION_ID {
        return foreign("not a view of viewd".into());
    }
    match number("user_version")? {
        schema::FORMAT => Ok(()),
        format => foreign(format!(
            "store format {format}; this version of viewd reads {}",
            schema::FORMAT
        )),
    }
}
