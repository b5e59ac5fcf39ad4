//! From declared tables to SQL, and the `_viewd_*` tables.
//!
//! Clients read `_viewd_meta`, `_viewd_checkpoint`, `_viewd_columns`, `_viewd_dead_letters` and `_viewd_counts`: the
//! columns that the interfaces promise keep their names and meaning. The rest is viewd's own.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::layout::{Build, Generation};
use super::state::State;
use super::{indexes, view};
use crate::definition::fingerprint::Fingerprint;
use crate::definition::{Table, View};

/// `view`, in a file's header.
pub(super) const APPLICATION_ID: i32 = 0x7669_6577;
/// The version of the `_viewd_*` tables and of how cells are stored.
pub(super) const FORMAT: i32 = 3;

/// `_viewd_meta`, `_viewd_checkpoint`, `_viewd_counts`, `_viewd_definition`, `_viewd_control` and `_viewd_run` hold one
/// row each.
const INTERNAL: &str = "
CREATE TABLE _viewd_meta (
    projection  TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    stream      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('building', 'sealed', 'serving', 'retired')),
    successor   TEXT,
    retired_at  TEXT
) STRICT;
CREATE TABLE _viewd_checkpoint (
    sequence          INTEGER NOT NULL,
    event_time        TEXT,
    committed_at      TEXT,
    generation        INTEGER NOT NULL,
    from_sequence     INTEGER,
    messages          INTEGER NOT NULL DEFAULT 0,
    revision          INTEGER NOT NULL DEFAULT 0,
    missed_sequences  INTEGER NOT NULL DEFAULT 0,
    has_been_live     INTEGER NOT NULL DEFAULT 0,
    stream_created_ns INTEGER,
    anchors           TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE TABLE _viewd_columns (
    \"table\"  TEXT NOT NULL,
    \"column\" TEXT NOT NULL,
    type     TEXT NOT NULL,
    required INTEGER NOT NULL,
    key      INTEGER,
    PRIMARY KEY (\"table\", \"column\")
) STRICT;
CREATE TABLE _viewd_dead_letters (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence  INTEGER NOT NULL,
    part      INTEGER NOT NULL,
    type      TEXT,
    subject   TEXT NOT NULL,
    order_key TEXT,
    state     TEXT NOT NULL CHECK (state IN ('dead', 'parked', 'skipped')),
    reason    TEXT NOT NULL,
    payload   BLOB NOT NULL,
    headers   TEXT NOT NULL,
    stored_at TEXT NOT NULL,
    UNIQUE (sequence, part)
) STRICT;
CREATE INDEX _viewd_dead_letters_order_key ON _viewd_dead_letters (order_key, sequence, part)
    WHERE order_key IS NOT NULL;
CREATE TABLE _viewd_counts (
    applied       INTEGER NOT NULL DEFAULT 0,
    ignored       INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    parked        INTEGER NOT NULL DEFAULT 0,
    skipped       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE _viewd_definition (
    text   TEXT NOT NULL DEFAULT '',
    source TEXT NOT NULL DEFAULT '',
    engine TEXT NOT NULL DEFAULT '',
    events TEXT NOT NULL DEFAULT '',
    rows   TEXT NOT NULL DEFAULT '',
    shapes TEXT NOT NULL DEFAULT '',
    words  TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE _viewd_control (
    paused INTEGER NOT NULL DEFAULT 0,
    pinned TEXT,
    build_order TEXT,
    writes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE _viewd_run (
    sequence INTEGER NOT NULL DEFAULT 0,
    ends     INTEGER NOT NULL DEFAULT 0,
    state    TEXT NOT NULL DEFAULT 'clean' CHECK (state IN ('clean', 'begun', 'working'))
) STRICT;
CREATE TABLE _viewd_changes (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER NOT NULL,
    \"table\"  TEXT NOT NULL,
    key      TEXT NOT NULL,
    op       TEXT NOT NULL CHECK (op IN ('put', 'delete'))
) STRICT;
CREATE TABLE _viewd_logged (
    \"table\" TEXT PRIMARY KEY
) STRICT;
INSERT INTO _viewd_counts DEFAULT VALUES;
INSERT INTO _viewd_control DEFAULT VALUES;
INSERT INTO _viewd_run DEFAULT VALUES;
";

/// A name as SQL takes it, whatever it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names, quoted, with commas between.
pub(super) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

/// Fills an empty database, in the caller's transaction.
pub(super) fn create(
    connection: &Connection,
    generation: Generation,
    build: &Build<'_>,
    state: State,
) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.execute_batch(INTERNAL)?;
    let number = super::checkpoint::stored(generation.0);
    connection.execute(
        "INSERT INTO _viewd_meta (projection, generation, fingerprint, stream, state) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![build.projection, number, build.fingerprint.to_string(), build.stream, state.word()],
    )?;
    connection
        .execute("INSERT INTO _viewd_checkpoint (sequence, generation) VALUES (0, ?1)", [number])?;
    connection.execute_batch("INSERT INTO _viewd_definition DEFAULT VALUES")?;
    define(connection, build)?;
    for table in build.tables {
        connection.execute_batch(&table_sql(table))?;
        describe(connection, table)?;
    }
    indexes::make(connection, build.tables)?;
    create_views(connection, build)
}

/// Makes the views, and describes their columns.
pub(super) fn create_views(connection: &Connection, build: &Build<'_>) -> rusqlite::Result<()> {
    let columns = view::columns(build.tables, build.views);
    for (view, columns) in build.views.iter().zip(&columns) {
        connection.execute_batch(&view::view_sql(view))?;
        describe_view(connection, view, columns)?;
    }
    Ok(())
}

/// Says what a generation is built by.
pub(super) fn define(connection: &Connection, build: &Build<'_>) -> rusqlite::Result<()> {
    let fingerprint = build.fingerprint;
    connection.execute(
        "UPDATE _viewd_definition SET text = ?1, source = ?2, engine = ?3, events = ?4, rows = ?5, shapes = ?6, \
         words = ?7",
        params![
            build.definition,
            build.source,
            build.engine,
            fingerprint.events,
            fingerprint.rows,
            fingerprint.shapes,
            fingerprint.words
        ],
    )?;
    connection.execute("UPDATE _viewd_meta SET fingerprint = ?1", [fingerprint.to_string()])?;
    connection.execute_batch("DELETE FROM _viewd_logged")?;
    for &table in &build.logged {
        let name = &build.tables[table].name;
        connection.execute("INSERT INTO _viewd_logged (\"table\") VALUES (?1)", [name])?;
    }
    Ok(())
}

/// Which of the tables the generation keeps the changes of.
pub(super) fn logged(connection: &Connection, tables: &[Table]) -> rusqlite::Result<Vec<bool>> {
    let mut statement = connection.prepare("SELECT \"table\" FROM _viewd_logged")?;
    let names = statement.query_map((), |row| row.get::<_, String>(0))?;
    let names = names.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(tables.iter().map(|table| names.contains(&table.name)).collect())
}

/// Says what a generation is built by from now on.
pub(super) fn adopt(
    connection: &Connection,
    text: &str,
    fingerprint: &Fingerprint,
) -> rusqlite::Result<()> {
    // Dropped without a commit, it rolls back.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    connection.execute(
        "UPDATE _viewd_definition SET text = ?1, words = ?2",
        params![text, fingerprint.words],
    )?;
    connection
        .execute("UPDATE _viewd_meta SET fingerprint = ?1", params![fingerprint.to_string()])?;
    transaction.commit()
}

/// Tells clients the declared types: SQLite's own say nothing of decimals, booleans and times.
fn describe(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO _viewd_columns (\"table\", \"column\", type, required, key) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for (index, column) in table.columns.iter().enumerate() {
        let key = table.key.iter().position(|&key| key == index);
        let required = column.required || key.is_some();
        let column_type = column.column_type.to_string();
        statement.execute(params![
            table.name,
            column.name,
            column_type,
            required,
            key.map(|place| place as i64 + 1)
        ])?;
    }
    Ok(())
}

/// The same of a view, none of whose columns is required.
fn describe_view(
    connection: &Connection,
    view: &View,
    columns: &view::Columns,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO _viewd_columns (\"table\", \"column\", type, required, key) VALUES (?1, ?2, ?3, 0, ?4)",
    )?;
    for (name, column_type) in columns {
        let key = view.key.iter().position(|key| key.value == *name);
        let key = key.map(|place| place as i64 + 1);
        statement.execute(params![view.name, name, column_type.to_string(), key])?;
    }
    Ok(())
}

/// A rowid table: with a text key these write faster than tables without one. A single integer key is the rowid.
pub(super) fn table_sql(table: &Table) -> String {
    let mut sql = format!("CREATE TABLE {} (", quoted(&table.name));
    for (index, column) in table.columns.iter().enumerate() {
        let not_null = if column.required || table.key.contains(&index) { " NOT NULL" } else { "" };
        sql += &format!("{} {}{not_null}, ", quoted(&column.name), column.column_type.sql());
    }
    let key = table.key.iter().map(|&index| table.columns[index].name.as_str());
    sql + &format!("PRIMARY KEY ({})) STRICT", quoted_list(key))
}
