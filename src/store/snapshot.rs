//! One generation as it stood at one sequence: what digests, comparisons and checks read.
//!
//! A snapshot is a read transaction on a connection of its own, begun when it is made, so it shows exactly what was
//! committed then, however long it lives and whatever its writer does meanwhile. It can be sent to another thread. While
//! it lives the log cannot be cut back past it: whoever holds one lets it go when done.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Statement};

use super::Error;
use super::checkpoint::Checkpoint;
use super::connection::open_reader;
use super::layout::{Folder, Generation};
use super::schema::{quoted, quoted_list};
use super::shown;
use super::writer::Store;
use crate::event::Sequence;
use crate::row::ColumnType;

/// Rows are read once, in key order: enough for the pages between two neighbours of a key, whatever the table's size.
const CACHE_KIB: u32 = 8 << 10;
/// Opcodes between two looks at whether to stop: well below a millisecond.
const STOP_OPCODES: i32 = 10_000;
/// How often the link may move while one is opened, before something else must be wrong.
const TRIES: usize = 5;

/// A generation at one sequence.
pub struct Snapshot {
    path: PathBuf,
    connection: Connection,
    generation: Generation,
    sequence: Sequence,
    relations: Vec<Relation>,
}

/// A table of rows that must be the same in every build of the same history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Indices into `columns`, in the key's order; empty for a table of one row.
    pub(super) key: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// As declared: `decimal(2)`.
    pub(super) type_name: String,
}

/// Opens the generation that is served from a projection's folder, whether or not a daemon runs.
pub fn open(folder: &Folder) -> Result<Snapshot, Error> {
    let mut last = None;
    for _ in 0..TRIES {
        let Some(generation) = folder.current()? else {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(Error::access("read link", &folder.path().join("current"), missing));
        };
        match Snapshot::open(&folder.database(generation)) {
            // It may have been replaced and removed since the link was read.
            Err(error) if folder.current()? != Some(generation) => last = Some(error),
            opened => return opened,
        }
    }
    Err(last.expect("each try has left an error"))
}

impl Store {
    /// What is committed now, to be read on any thread.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let snapshot = Snapshot::open(self.path())?;
        let committed = self.checkpoint().sequence;
        if snapshot.sequence != committed {
            return Err(Error::Stale { path: snapshot.path, previous: committed });
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let connection = open_reader(path)?;
        let read = || {
            connection.execute_batch(&format!("PRAGMA cache_size = -{CACHE_KIB}; BEGIN"))?;
            // The first read takes the snapshot. It ends with the connection.
            let Checkpoint { generation, sequence, .. } = Checkpoint::read(&connection)?;
            Ok((generation, sequence, relations(&connection)?))
        };
        let (generation, sequence, relations) =
            read().map_err(|error| Error::sqlite(path, error))?;
        Ok(Self { path: path.to_path_buf(), connection, generation, sequence, relations })
    }

    /// Everything up to here is in it.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Lets whatever reads it end with [`Error::Stopped`] soon after `stop` has said so.
    pub fn stop_when(&mut self, stop: impl FnMut() -> bool + Send + 'static) -> Result<(), Error> {
        let set = self.connection.progress_handler(STOP_OPCODES, Some(stop));
        set.map_err(|error| self.error(error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Declared tables by name, then counts and dead letters.
    pub(super) fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// The rows of one, as they lie on the disk.
    pub(super) fn unordered(&self, relation: &Relation) -> rusqlite::Result<Statement<'_>> {
        self.connection.prepare(&relation.scan())
    }

    /// The rows of one, in key order.
    pub(super) fn statement(&self, relation: &Relation) -> rusqlite::Result<Statement<'_>> {
        self.connection.prepare(&relation.sql())
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        read(&self.connection).map_err(|error| self.error(error))
    }

    pub(super) fn error(&self, error: rusqlite::Error) -> Error {
        Error::sqlite(&self.path, error)
    }
}

impl Relation {
    fn scan(&self) -> String {
        let columns = quoted_list(self.columns.iter().map(|column| column.name.as_str()));
        format!("SELECT {columns} FROM {}", quoted(&self.name))
    }

    fn sql(&self) -> String {
        let scan = self.scan();
        if self.key.is_empty() {
            return scan;
        }
        format!("{scan} ORDER BY {}", quoted_list(self.key_names()))
    }

    pub(super) fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(|&index| self.columns[index].name.as_str())
    }
}

impl Column {
    pub(super) fn column_type(&self) -> Option<ColumnType> {
        shown::column_type(&self.type_name)
    }
}

fn relations(connection: &Connection) -> rusqlite::Result<Vec<Relation>> {
    let mut statement = connection.prepare(
        "SELECT s.name, c.\"column\", c.type, c.key FROM sqlite_schema AS s, pragma_table_info(s.name) AS p \
         JOIN _viewd_columns AS c ON c.\"table\" = s.name AND c.\"column\" = p.name \
         WHERE s.type = 'table' ORDER BY s.name, p.cid",
    )?;
    let mut relations: Vec<Relation> = Vec::new();
    let mut keys: Vec<(i64, usize)> = Vec::new();
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        if relations.last().is_none_or(|relation| relation.name != table) {
            relations.push(Relation { name: table, columns: Vec::new(), key: Vec::new() });
            keys.clear();
        }
        let relation = relations.last_mut().expect("one was pushed");
        if let Some(place) = row.get(3)? {
            keys.push((place, relation.columns.len()));
            keys.sort_unstable();
            relation.key = keys.iter().map(|&(_, index)| index).collect();
        }
        relation.columns.push(Column { name: row.get(1)?, type_name: row.get(2)? });
    }
    relations.extend([counts(), dead_letters()]);
    Ok(relations)
}

fn counts() -> Relation {
    let column = |name: &str| Column { name: name.to_owned(), type_name: "integer".to_owned() };
    Relation {
        name: "_viewd_counts".to_owned(),
        columns: ["applied", "ignored", "dead_lettered", "parked", "skipped"].map(column).into(),
        key: Vec::new(),
    }
}

/// What became of which event. Their numbers, and copies of what the stream holds, are left out.
fn dead_letters() -> Relation {
    let column = |(name, column_type): (&str, &str)| Column {
        name: name.to_owned(),
        type_name: column_type.to_owned(),
    };
    let columns =
        [("sequence", "integer"), ("part", "integer"), ("state", "text"), ("reason", "text")];
    Relation {
        name: "_viewd_dead_letters".to_owned(),
        columns: columns.map(column).into(),
        key: vec![0, 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::writer::tests::{batch, store};

    #[test]
    fn a_snapshot_stands_still_on_any_thread() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(3, 0..5)).expect("committed");
        let before = store.snapshot().expect("a snapshot");
        store.commit(batch(4, 5..9)).expect("committed");
        let rows = |snapshot: &Snapshot| snapshot.digest().expect("readable")[0].rows;
        let counted = std::thread::spawn(move || (before.sequence(), rows(&before)));
        assert_eq!(counted.join().expect("no panic"), (Sequence(3), 5));
        let folder = Folder::new(data.path(), "p");
        let beside = open(&folder).expect("beside its writer");
        assert_eq!(
            (beside.sequence(), beside.generation(), rows(&beside)),
            (Sequence(4), Generation(1), 9)
        );
        drop(store);
        let at_rest = open(&folder).expect("at rest");
        assert_eq!(at_rest.differences(&beside, 10).expect("readable"), []);
    }

    #[test]
    fn a_writer_that_was_overtaken_has_none() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let stale = store(data.path());
        store(data.path()).commit(batch(3, 0..5)).expect("committed");
        assert!(matches!(stale.snapshot(), Err(Error::Stale { previous: Sequence(0), .. })));
    }

    #[test]
    fn reading_one_can_be_stopped() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(3, 0..5000)).expect("committed");
        let mut snapshot = store.snapshot().expect("a snapshot");
        snapshot.stop_when(|| true).expect("a handler");
        assert!(matches!(snapshot.digest(), Err(Error::Stopped { .. })));
    }

    #[test]
    fn rows_come_in_key_order_without_sorting_them() {
        let connection = Connection::open_in_memory().expect("memory");
        let table = "CREATE TABLE t (b TEXT NOT NULL, a INTEGER NOT NULL, n BLOB, PRIMARY KEY (a, b)) STRICT; ANALYZE";
        connection.execute_batch(table).expect("a table");
        let column = |name: &str| Column { name: name.into(), type_name: String::new() };
        let columns = ["b", "a", "n"].map(column).into();
        let relation = Relation { name: "t".into(), columns, key: vec![1, 0] };
        let plan = format!("EXPLAIN QUERY PLAN {}", relation.sql());
        let plan: String =
            connection.query_row(&plan, (), |row| row.get(3)).expect("a plan of one step");
        assert_eq!(plan, "SCAN t USING INDEX sqlite_autoindex_t_1");
    }
}
