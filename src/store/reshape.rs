//! The same rows with other indexes and views: copied, not replayed.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior, params};

use super::bulk::mark_of;
use super::connection::{self, open_reader};
use super::layout::{Build, DATABASE, Folder, Generation, make_file};
use super::schema::quoted;
use super::step::Step;
use super::{Error, checkpoint, indexes, schema};

/// The copy is read and written once, in order.
const CACHE_BYTES: u64 = 8 << 20;

impl Folder {
    /// Makes the generation after all others from the rows of another, for a definition that differs in its shapes. It
    /// is `building`, at the checkpoint of the copied one, and has no secondary index: [`Store::seal`] makes them.
    ///
    /// Reads through a connection of its own: the copied one's writer goes on meanwhile, and its log grows.
    ///
    /// [`Store::seal`]: super::writer::Store::seal
    pub fn reshape_next(&self, from: Generation, build: &Build<'_>) -> Result<Generation, Error> {
        let next = self.next_number()?;
        self.make(next, |folder| {
            let database = folder.join(DATABASE);
            copy(&self.database(from), &database)?;
            self.steps().reached(Step::Copied);
            reshape(&database, next, build)?;
            self.steps().reached(Step::Reshaped);
            Ok(())
        })?;
        Ok(next)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    make_file(to)?;
    make_file(&mark_of(to))?;
    let name = to.to_str().ok_or_else(|| Error::Foreign {
        path: to.to_path_buf(),
        detail: "SQLite takes only paths of UTF-8".to_owned(),
    })?;
    let reader = open_reader(from)?;
    let copy = || {
        // It would refuse to write the other file too; this one was opened read-only.
        reader.execute_batch("PRAGMA query_only = OFF")?;
        reader.execute("VACUUM INTO ?1", [name])
    };
    copy().map(drop).map_err(|error| Error::sqlite(to, error))
}

fn reshape(database: &Path, generation: Generation, build: &Build<'_>) -> Result<(), Error> {
    let mut connection = connection::open_bulk(database, CACHE_BYTES)?;
    let mut write = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        indexes::make_for(&transaction, build.tables, &[])?;
        drop_views(&transaction)?;
        schema::create_views(&transaction, build)?;
        schema::define(&transaction, build)?;
        let number = checkpoint::stored(generation.0);
        transaction.execute("UPDATE _viewd_checkpoint SET generation = ?1", [number])?;
        transaction.execute(
            "UPDATE _viewd_meta SET generation = ?1, state = 'building', successor = NULL, retired_at = NULL, \
             stream = ?2",
            params![number, build.stream],
        )?;
        // Whoever follows the changes begins with all of its rows.
        transaction.execute_batch(
            "DELETE FROM _viewd_changes; DELETE FROM sqlite_sequence WHERE name = '_viewd_changes'; \
             UPDATE _viewd_run SET sequence = 0, ends = 0, state = 'clean'; \
             UPDATE _viewd_control SET build_order = NULL;",
        )?;
        transaction.commit()
    };
    write().map_err(|error| Error::sqlite(database, error))?;
    connection.close().map_err(|(_, error)| Error::sqlite(database, error))
}

fn drop_views(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'view'")?;
    let views = statement.query_map((), |row| row.get(0))?;
    let views: Vec<String> = views.collect::<rusqlite::Result<_>>()?;
    for view in views {
        connection.execute_batch(&format!("DROP VIEW {}", quoted(&view)))?;
        connection.execute("DELETE FROM _viewd_columns WHERE \"table\" = ?1", [view])?;
    }
    Ok(())
}
