//! The bulk phase of a build, and the seal that ends it.
//!
//! While a generation is `building` it has one connection, nobody reads it, and nothing of it is synced: a crash removes
//! it. The seal makes it whole and puts it on the disk before it says so:
//!
//! | step | in the file | after a loss of power |
//! |---|---|---|
//! | indexes, statistics, check | building | removed, whatever of it is on the disk |
//! | closed; file, folder and parent synced | building | removed |
//! | marked, in a log that is synced | sealed | complete: the log's first page is the mark |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::connection::{self, check_format, open_writer};
use super::layout::{Folder, Generation, sync};
use super::state::{self, State};
use super::step::Step;
use super::writer::Store;
use super::{Error, indexes};
use crate::definition::Table;
use crate::projection::fold::Searches;

/// Rows of each index that are looked at: enough to choose between indexes, in no time of note for any size.
const ANALYSIS_LIMIT: u32 = 1000;
/// What SQLite says of a sound file.
const SOUND: &str = "ok";

impl Store {
    /// Opens a generation that is being built for large batches. `searches` are the plan's, one list a table.
    ///
    /// Until it is sealed nobody can read it, and of its secondary indexes it has those that help the searches.
    pub fn open_bulk(
        folder: &Folder,
        generation: Generation,
        tables: &[Table],
        searches: &[Searches],
        cache_bytes: u64,
    ) -> Result<Self, Error> {
        let path = folder.database(generation);
        let connection = connection::open_bulk(&path, cache_bytes)?;
        check_format(&connection, &path)?;
        let mut store = Self::of(path, connection, tables, folder.steps())?;
        store.bulk = true;
        store.execute(|connection| indexes::make_for(connection, tables, searches))?;
        Ok(store)
    }

    /// Makes a generation whole and durable: indexes, statistics, a check, all of it synced, state `sealed`. Then it is
    /// open as any store. `progress` is told what comes next.
    ///
    /// After an error it is as it was, closed: it may be opened for bulk and sealed again, or discarded.
    pub fn seal(
        self,
        cache_bytes: u64,
        progress: &mut dyn FnMut(&'static str),
    ) -> Result<Self, Error> {
        let Self { path, connection, tables, steps, broken, .. } = self;
        broken.map_or(Ok(()), Err)?;
        let failed = |error| Error::sqlite(&path, error);
        progress("indexes");
        indexes::make(&connection, &tables).map_err(failed)?;
        steps.reached(Step::Indexed);
        progress("statistics");
        connection
            .execute_batch(&format!("PRAGMA analysis_limit = {ANALYSIS_LIMIT}; ANALYZE;"))
            .map_err(failed)?;
        steps.reached(Step::Analyzed);
        progress("check");
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0)).map_err(failed)?;
        if found != SOUND {
            return Err(Error::Corrupt { path, detail: found });
        }
        steps.reached(Step::Checked);
        progress("sync");
        // Its journal goes.
        connection.execute_batch("PRAGMA journal_mode = DELETE").map_err(failed)?;
        connection.close().map_err(|(_, error)| failed(error))?;
        // The first to open it after that turns it to a log again: before the sync, so that all but the mark is synced.
        open_writer(&path, cache_bytes)?.close().map_err(|(_, error)| failed(error))?;
        steps.reached(Step::Closed);
        sync_all(&path)?;
        steps.reached(Step::Synced);
        let connection = open_writer(&path, cache_bytes)?;
        let store = Self::of(path, connection, &tables, &steps)?;
        store.durably(|connection| Ok(state::mark(connection, State::Sealed)?))?;
        remove_mark(&store.path)?;
        sync_folders(&store.path)?;
        steps.reached(Step::Sealed);
        Ok(store)
    }
}

/// The file that stands beside a database for as long as it is being built: after a loss of power the database may not
/// be able to say so itself.
pub(super) fn mark_of(database: &Path) -> PathBuf {
    database.with_file_name("building")
}

pub(super) fn remove_mark(database: &Path) -> Result<(), Error> {
    let mark = mark_of(database);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::access("remove file", &mark, error))
        }
        _ => Ok(()),
    }
}

/// Nobody has the file open: closing it here drops nobody's locks.
fn sync_all(database: &Path) -> Result<(), Error> {
    sync(database)?;
    sync_folders(database)
}

fn sync_folders(database: &Path) -> Result<(), Error> {
    database.ancestors().skip(1).take(2).try_for_each(sync)
}
