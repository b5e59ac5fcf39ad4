//! Rows for queries, on connections that are used again.
//!
//! The readers of a generation are held by whatever names the generation that is served. A connection is out for one
//! query at most, so when that is replaced, the last query to end closes the last of them: nothing of viewd's own keeps
//! the files of a retired generation.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;

use super::Error;
use super::checkpoint::Checkpoint;
use super::connection::open_reader;
use super::layout::{Folder, Generation};
use super::shape::TableSql;
use super::statement;
use crate::definition::Table;
use crate::event::Sequence;
use crate::row::{Key, Row};

/// Rows of hits are read by key, in microseconds: more would not read faster on the machines that this is for.
const CONNECTIONS_MAX: usize = 8;
/// Each reads few pages, and the system caches the file.
const CACHE_KIB: u32 = 512;

/// The readers of one generation.
pub struct Readers {
    path: PathBuf,
    tables: Vec<TableSql>,
    connections: Mutex<Connections>,
    returned: Condvar,
}

/// One snapshot of a generation.
pub struct View<'a> {
    readers: &'a Readers,
    /// None: it is on its way back.
    connection: Option<Connection>,
    sequence: Sequence,
}

#[derive(Default)]
struct Connections {
    idle: Vec<Connection>,
    /// With those that are out.
    open: usize,
}

impl Readers {
    /// `tables` are those that the generation was built with. Opens nothing yet.
    pub fn new(folder: &Folder, generation: Generation, tables: &[Table]) -> Self {
        Self {
            path: folder.database(generation),
            tables: tables.iter().map(TableSql::new).collect(),
            connections: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// What is committed now; None: all connections were in use until the deadline.
    pub fn view(&self, deadline: Instant) -> Result<Option<View<'_>>, Error> {
        let connection = match self.take(deadline) {
            None => return Ok(None),
            Some(Some(idle)) => idle,
            Some(None) => self.open().inspect_err(|_| self.put_back(None))?,
        };
        let mut view = View { readers: self, connection: Some(connection), sequence: Sequence(0) };
        let begin = |connection: &Connection| {
            connection.execute_batch("BEGIN")?;
            // The first read takes the snapshot.
            Checkpoint::read(connection)
        };
        view.sequence = view.read(begin)?.sequence;
        Ok(Some(view))
    }

    /// An idle connection, or none if one may be opened; None: neither until the deadline.
    fn take(&self, deadline: Instant) -> Option<Option<Connection>> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(idle) = connections.idle.pop() {
                return Some(Some(idle));
            }
            if connections.open < CONNECTIONS_MAX {
                connections.open += 1;
                return Some(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.returned.wait_timeout(connections, left);
            connections = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn open(&self) -> Result<Connection, Error> {
        let connection = open_reader(&self.path)?;
        connection
            .execute_batch(&format!("PRAGMA cache_size = -{CACHE_KIB}"))
            .map_err(|error| Error::sqlite(&self.path, error))?;
        Ok(connection)
    }

    fn put_back(&self, connection: Option<Connection>) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        match connection {
            Some(connection) => connections.idle.push(connection),
            None => connections.open -= 1,
        }
        drop(connections);
        self.returned.notify_one();
    }
}

impl View<'_> {
    /// Everything up to here is in it.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub fn row(&self, table: usize, key: &Key) -> Result<Option<Row>, Error> {
        let select = &self.readers.tables[table].select;
        self.read(|connection| statement::get(connection, select, key))
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let connection = self.connection.as_ref().expect("it is there until the view ends");
        read(connection).map_err(|error| Error::sqlite(&self.readers.path, error))
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        // One that cannot end its transaction would pin what it has seen: it is closed.
        let connection = self.connection.take();
        let ended = connection.filter(|connection| {
            connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok()
        });
        self.readers.put_back(ended);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::row::Cell;
    use crate::store::connection::{close_log, open_writer};
    use crate::store::writer::Store;
    use crate::store::writer::tests::{batch, store, with_build};

    fn readers(data: &std::path::Path) -> Readers {
        with_build(data, |folder, build| Readers::new(folder, Generation(1), build.tables))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn key(id: i64) -> Key {
        Key([Cell::Integer(id)].into_iter().collect())
    }

    /// Whether nobody has the file open.
    fn is_free(path: &std::path::Path) -> bool {
        close_log(&open_writer(path, 1 << 20).expect("a connection")).expect("a mode")
    }

    #[test]
    fn a_view_stands_still_and_the_next_one_has_moved_on() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(3, 0..5)).expect("committed");
        let readers = readers(data.path());
        let view = readers.view(soon()).expect("readable").expect("a connection");
        store.commit(batch(4, 5..9)).expect("committed");
        let is_there = |view: &View<'_>, id| view.row(0, &key(id)).expect("readable").is_some();
        assert_eq!(
            (view.sequence(), is_there(&view, 4), is_there(&view, 5)),
            (Sequence(3), true, false)
        );
        drop(view);
        let view = readers.view(soon()).expect("readable").expect("a connection");
        assert_eq!((view.sequence(), is_there(&view, 5)), (Sequence(4), true));
        let row = view.row(0, &key(8)).expect("readable").expect("a row");
        assert_eq!(row[0], Cell::Integer(8));
        drop(view);
        assert_eq!(readers.connections.lock().expect("no panic").open, 1, "it is used again");
    }

    #[test]
    fn connections_are_bounded_and_waited_for() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let _store: Store = store(data.path());
        let readers = readers(data.path());
        let one = || readers.view(soon()).expect("readable").expect("a connection");
        let mut views: Vec<_> = (0..CONNECTIONS_MAX).map(|_| one()).collect();
        assert!(readers.view(Instant::now()).expect("readable").is_none(), "all are in use");
        std::thread::scope(|threads| {
            let waiting = threads.spawn(|| one().sequence());
            views.pop();
            assert_eq!(waiting.join().expect("no panic"), Sequence(0));
        });
        drop(views);
        assert_eq!(readers.connections.lock().expect("no panic").idle.len(), CONNECTIONS_MAX);
    }

    #[test]
    fn who_lets_the_readers_go_lets_the_file_go() {
        let data = tempfile::tempdir().expect("a temporary folder");
        drop(store(data.path()));
        let readers = readers(data.path());
        drop(readers.view(soon()).expect("readable"));
        assert!(!is_free(&readers.path), "a connection is kept for the next query");
        let path = readers.path.clone();
        drop(readers);
        assert!(is_free(&path));
        // A file that is gone leaves no connection counted that is not there.
        let readers = self::readers(data.path());
        std::fs::remove_dir_all(path.parent().expect("a folder")).expect("removed");
        for _ in 0..2 * CONNECTIONS_MAX {
            assert!(readers.view(Instant::now()).is_err());
        }
    }
}
