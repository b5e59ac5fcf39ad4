//! The bulk phase of a build, and the seal that ends it.
//!
//! While a generation is `building` it has one connection, nobody reads it, and nothing of it is synced: a crash removes
//! it. The seal makes it whole and puts it on the disk before it says so:
//!
//! | step | in the file | after a loss of power |
//! |---|---|---|
//! | indexes, statistics, check | building | removed, whatever of it is on the disk |
//! | closed; file, folder and parent synced | building | removed |
//! | its full-text indexes, made and synced by whoever made them | building | removed |
//! | the mark of a build is gone | building | removed |
//! | marked as sealed, in a log that is synced | sealed | complete: all but that is in the file |

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use rusqlite::Connection;

use super::connection::{self, check_format, open_writer};
use super::layout::{Folder, Generation, sync};
use super::snapshot::Snapshot;
use super::state::{self, State};
use super::step::{Step, Steps};
use super::writer::Store;
use super::{Error, indexes};
use crate::definition::Table;
use crate::projection::fold::Searches;

/// Rows of each index that are looked at: enough to choose between indexes, in no time of note for any size.
const ANALYSIS_LIMIT: u32 = 1000;
/// What SQLite says of a sound file.
const SOUND: &str = "ok";

/// A generation that is whole and on the disk, and has not said so: nobody has it open, and a crash removes it.
pub struct Whole {
    path: PathBuf,
    tables: Vec<Table>,
    steps: Steps,
}

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
        store.logged.fill(false);
        store.execute(|connection| indexes::make_for(connection, tables, searches))?;
        Ok(store)
    }

    /// Makes a generation whole and durable, and says so: it is sealed, and open as any store. `progress` is told what
    /// comes next.
    ///
    /// After an error it is as it was, closed: it may be opened for bulk and sealed again, or discarded.
    pub fn seal(
        self,
        cache_bytes: u64,
        progress: &mut dyn FnMut(&'static str),
    ) -> Result<Self, Error> {
        self.complete(cache_bytes, progress)?.seal(cache_bytes)
    }

    /// The same up to where it says so: indexes, statistics, a check, all of it synced.
    pub fn complete(
        self,
        cache_bytes: u64,
        progress: &mut dyn FnMut(&'static str),
    ) -> Result<Whole, Error> {
        let Self { path, connection, tables, steps, broken, .. } = self;
        broken.map_or(Ok(()), Err)?;
        let failed = |error| Error::sqlite(&path, error);
        // Most of it goes to the disk while the rest is made. Kept until SQLite has closed the file: closing any handle
        // drops its locks.
        let file = File::open(&path).map_err(|error| Error::access("open file", &path, error))?;
        thread::scope(|threads| {
            let syncing = threads.spawn(|| file.sync_data());
            let completed = complete(&connection, &tables, &steps, progress).map_err(failed)?;
            progress("sync");
            let synced = syncing.join().expect("a call of the system does not panic");
            synced.map_err(|error| Error::Unknown {
                path: path.clone(),
                detail: error.to_string(),
            })?;
            match completed {
                Some(detail) => Err(Error::Corrupt { path: path.clone(), detail }),
                None => Ok(()),
            }
        })?;
        // Its journal goes.
        connection.execute_batch("PRAGMA journal_mode = DELETE").map_err(failed)?;
        connection.close().map_err(|(_, error)| failed(error))?;
        drop(file);
        // The first to open it after that turns it to a log again: before the sync, so that all but the mark is synced.
        open_writer(&path, cache_bytes)?.close().map_err(|(_, error)| failed(error))?;
        steps.reached(Step::Closed);
        sync_all(&path)?;
        steps.reached(Step::Synced);
        Ok(Whole { path, tables, steps })
    }
}

impl Whole {
    /// What it holds, for what is made of its rows.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::open(&self.path)
    }

    /// Says that it is sealed, and opens it. Whatever was made beside it is synced.
    pub fn seal(self, cache_bytes: u64) -> Result<Store, Error> {
        let Self { path, tables, steps } = self;
        remove_mark(&path)?;
        let connection = open_writer(&path, cache_bytes)?;
        let store = Store::of(path, connection, &tables, &steps)?;
        store.durably(|connection| Ok(state::mark(connection, State::Sealed)?))?;
        // The log's own entry.
        sync_folders(&store.path)?;
        steps.reached(Step::Sealed);
        Ok(store)
    }
}

/// Makes the indexes and the statistics, and checks the file: what is wrong with it, if anything is.
fn complete(
    connection: &Connection,
    tables: &[Table],
    steps: &Steps,
    progress: &mut dyn FnMut(&'static str),
) -> rusqlite::Result<Option<String>> {
    progress("indexes");
    indexes::make(connection, tables)?;
    steps.reached(Step::Indexed);
    progress("statistics");
    connection.execute_batch(&format!("PRAGMA analysis_limit = {ANALYSIS_LIMIT}; ANALYZE;"))?;
    steps.reached(Step::Analyzed);
    progress("check");
    let found: String = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get(0))?;
    if found != SOUND {
        return Ok(Some(found));
    }
    steps.reached(Step::Checked);
    Ok(None)
}

/// The file that stands beside a database for as long as that is not synced: after a loss of power the database may not
/// be able to say what it is.
pub(super) fn mark_of(database: &Path) -> PathBuf {
    database.with_file_name("building")
}

pub(super) fn remove_mark(database: &Path) -> Result<(), Error> {
    let mark = mark_of(database);
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::access("remove file", &mark, error))
        }
        Err(_) => Ok(()),
        Ok(()) => sync_folders(database),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sequence;
    use crate::store::writer::tests::{batch, with_build};

    #[test]
    fn a_full_disk_rolls_a_flush_back_and_a_seal_can_be_tried_again() {
        let data = tempfile::tempdir().expect("a temporary folder");
        with_build(data.path(), |folder, build| {
            let mut tables = build.tables.to_vec();
            tables[0].indexes = vec![vec![1]];
            let next = folder.make_next(build).expect("a generation");
            let open = || Store::open_bulk(folder, next, &tables, &[], 1 << 20).expect("a store");
            let limit = |store: &Store, pages: u32| {
                let limited = store.connection.pragma_update(None, "max_page_count", pages);
                limited.expect("a limit");
            };
            let mut store = open();
            store.commit(batch(1, 0..1000)).expect("committed");
            let pages = |store: &Store| {
                let count: rusqlite::Result<u32> =
                    store.connection.query_row("PRAGMA page_count", (), |row| row.get(0));
                count.expect("a number")
            };
            let full = pages(&store) + 5;
            limit(&store, full);
            for _ in 0..2 {
                // It changes old pages as well, some of them long written when there is no more space.
                let refused = store.commit(batch(2, 500..9000));
                assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
                assert_eq!(store.checkpoint().sequence, Sequence(1));
            }
            let refused = store.seal(1 << 20, &mut |_| ()).map(drop);
            assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");

            let mut store = open();
            assert_eq!(store.rows(0).expect("rows").len(), 1000);
            store.commit(batch(2, 500..9000)).expect("committed");
            let store = store.seal(1 << 20, &mut |_| ()).expect("sealed");
            assert_eq!(store.rows(0).expect("rows").len(), 9000);
            let indexes: i64 = store
                .connection
                .query_row(
                    "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 't'",
                    (),
                    |row| row.get(0),
                )
                .expect("a number");
            assert_eq!(indexes, 1);
        });
    }
}
