//! The one writer of a view: commits batches, lends rows to the fold.
//!
//! A batch is one transaction: BEGIN IMMEDIATE; rows in key order; dead letters; counts; checkpoint by compare-and-set;
//! COMMIT (I1). Whatever fails before COMMIT rolls all of it back, and the writer can be used again. Nothing that
//! fails after COMMIT is reported as a failure of the batch: the caller would apply it twice.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::checkpoint::{self, Advance, Checkpoint};
use super::connection::{check_format, open_writer};
use super::dead_letter::{self, Blocked, DeadLetter, State, Totals};
use super::error::Fault;
use super::files::Files;
use super::layout::{Build, Folder, Generation};
use super::statement::{self, Failure, Flush, Shapes};
use super::wal::Wal;
use super::{Error, run, schema, stored};
use crate::definition::Table;
use crate::definition::fingerprint::Fingerprint;
use crate::event::Sequence;
use crate::event::anchor::{Anchor, Origin};
use crate::event::time::Timestamp;
use crate::projection::fold::Rows;
use crate::projection::transition::Transition;
use crate::row::{Cell, Key, Row};
use crate::status::Counts;

/// A new database is small: its cache needs not be the writer's.
const CREATE_CACHE_BYTES: u64 = 1 << 20;

/// What one transaction writes.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The position after it.
    pub sequence: Sequence,
    /// When the stream stored its last message; None: it moves the position alone.
    pub stored_at: Option<Timestamp>,
    pub messages: u64,
    /// One list a table, in the definition's order, each key once.
    pub tables: Vec<Vec<(Key, Transition)>>,
    pub dead_letters: &'a [DeadLetter],
    /// What to add to the stocks (I4).
    pub counts: Counts,
    pub origin: Option<Origin>,
    pub anchor: Option<Anchor>,
    /// Whether it reaches the head of the stream.
    pub live: bool,
    pub committed_at: Timestamp,
}

/// What a commit has done.
#[derive(Clone, Copy, Debug)]
pub struct Committed {
    pub rows_changed: u64,
    /// Rows, dead letters, counts and checkpoint.
    pub write: Duration,
    /// COMMIT, and copying the log if it was due.
    pub commit: Duration,
}

/// The one writer of a generation. Used by one thread.
pub struct Store {
    path: PathBuf,
    connection: Connection,
    tables: Vec<Table>,
    fingerprint: Fingerprint,
    shapes: Shapes,
    /// As committed.
    checkpoint: Checkpoint,
    counts: Counts,
    totals: Totals,
    wal: Wal,
    /// Commits of this run that had an anchor.
    anchored_commits: u64,
    /// This run has left its mark that it is at work.
    working: bool,
    /// Found while copying the log, after a commit: fatal, and reported before anything else is written.
    broken: Option<Error>,
}

impl Store {
    /// Opens a generation. `tables` are those that it was built with.
    pub fn open(
        folder: &Folder,
        generation: Generation,
        tables: &[Table],
        cache_bytes: u64,
    ) -> Result<Self, Error> {
        let path = folder.database(generation);
        let connection = open_writer(&path, cache_bytes)?;
        Self::of(path, connection, tables)
    }

    /// A new view in memory, for tests of definitions: everything but the files.
    pub fn in_memory(build: &Build<'_>) -> Result<Self, Error> {
        let path = PathBuf::from(":memory:");
        let create = || {
            let connection = Connection::open_in_memory()?;
            let transaction =
                Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
            schema::create(&transaction, Generation(1), build, schema::SERVING)?;
            transaction.commit()?;
            Ok(connection)
        };
        let connection = create().map_err(|error| Error::sqlite(&path, error))?;
        Self::of(path, connection, build.tables)
    }

    /// The same view as another process would find it: with nothing but what is committed.
    pub fn reopen(self) -> Result<Self, Error> {
        Self::of(self.path, self.connection, &self.tables)
    }

    fn of(path: PathBuf, connection: Connection, tables: &[Table]) -> Result<Self, Error> {
        check_format(&connection, &path)?;
        let read = || {
            Ok((
                Shapes::new(&connection, tables)?,
                stored::fingerprint(&connection)?,
                Checkpoint::read(&connection)?,
                checkpoint::read_counts(&connection)?,
                dead_letter::totals(&connection)?,
            ))
        };
        let (shapes, fingerprint, checkpoint, counts, totals) =
            read().map_err(|error| Error::sqlite(&path, error))?;
        Ok(Self {
            path,
            connection,
            tables: tables.to_vec(),
            fingerprint,
            shapes,
            checkpoint,
            counts,
            totals,
            wal: Wal::default(),
            anchored_commits: 0,
            working: false,
            broken: None,
        })
    }

    /// Commits a batch, all or nothing.
    pub fn commit(&mut self, mut batch: Batch<'_>) -> Result<Committed, Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let begun = Instant::now();
        for transitions in &mut batch.tables {
            transitions.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        let committed = transact(
            &self.connection,
            &mut self.shapes,
            &self.tables,
            &self.checkpoint,
            &batch,
            self.anchored_commits + 1,
        );
        let (next, rows_changed, written) = committed.map_err(|fault| fault.at(&self.path))?;
        self.checkpoint = next;
        self.anchored_commits += u64::from(batch.anchor.is_some());
        self.counts = checkpoint::sum(self.counts, batch.counts);
        self.totals.add(batch.dead_letters);
        let copied = self.wal.committed(&self.connection);
        self.broken = copied.err().map(|error| Error::sqlite(&self.path, error)).filter(is_lasting);
        let write = written.duration_since(begun);
        Ok(Committed { rows_changed, write, commit: written.elapsed() })
    }

    /// When there is nothing to write: copies the log if that is worthwhile. Costs next to nothing otherwise.
    pub fn idle(&mut self) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        match self.wal.idle(&self.connection).map_err(|error| Error::sqlite(&self.path, error)) {
            Err(error) if is_lasting(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Marks the view as once live, where no batch says so.
    pub fn mark_live(&mut self) -> Result<(), Error> {
        self.execute(|connection| {
            connection.execute("UPDATE _viewd_checkpoint SET has_been_live = 1", ()).map(drop)
        })?;
        self.checkpoint.has_been_live = true;
        Ok(())
    }

    /// Called once after opening, before anything is read from the stream: how often the process has ended at this
    /// checkpoint while at work (see `run`). At three, do not run: the projection has failed, `crash_loop`.
    pub fn begin_run(&mut self) -> Result<u32, Error> {
        let sequence = self.checkpoint.sequence;
        self.execute(|connection| run::begin(connection, sequence))
    }

    /// Called before each batch's first event is looked at; writes only once a run.
    pub fn begin_batch(&mut self) -> Result<(), Error> {
        if !self.working {
            self.execute(run::work)?;
            self.working = true;
        }
        Ok(())
    }

    /// Called after the last batch of a run that ends in order. Not for a projection that was never run because of
    /// `crash_loop`: that would forget why.
    pub fn end_run(&mut self) -> Result<(), Error> {
        self.execute(run::end)?;
        self.working = false;
        Ok(())
    }

    /// Moves the checkpoint without any event, all or nothing, and survives a loss of power from then on.
    pub(super) fn advance(&mut self, advance: &Advance) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let next = self.checkpoint.advanced(advance, self.anchored_commits);
        self.execute(|connection| connection.execute_batch("PRAGMA synchronous = FULL"))?;
        let moved = move_checkpoint(&self.connection, &next, self.checkpoint.sequence);
        self.execute(|connection| connection.execute_batch("PRAGMA synchronous = NORMAL"))?;
        moved.map_err(|fault| fault.at(&self.path))?;
        self.checkpoint = next;
        Ok(())
    }

    /// Brings everything that is committed into the database file, synced: from then on that file alone is enough.
    pub(super) fn seal(&mut self) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.execute(|connection| {
            let mode = rusqlite::wal::CheckpointMode::TRUNCATE;
            connection.wal_checkpoint_v2(Some("main"), mode).map(drop)
        })
    }

    /// The checkpoint, as committed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is set aside, in numbers.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Copies of the log so far, for metrics.
    pub fn wal(&self) -> Wal {
        self.wal
    }

    /// The order keys that dead or parked events hold up.
    pub fn blocked(&self) -> Result<Vec<Blocked>, Error> {
        self.execute(dead_letter::blocked)
    }

    /// The same without numbers.
    pub fn blocked_keys(&self) -> Result<Vec<String>, Error> {
        Ok(self.blocked()?.into_iter().map(|blocked| blocked.order_key).collect())
    }

    /// The row as committed.
    pub fn get(&self, table: usize, key: &Key) -> Result<Option<Row>, Error> {
        self.execute(|connection| statement::get(connection, self.shapes.select(table), key))
    }

    /// At most `limit` of the rows as committed whose columns hold these cells, in any order.
    pub fn matching(
        &self,
        table: usize,
        columns: &[usize],
        cells: &[Cell],
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        let search = self.shapes.search(table, columns);
        self.execute(|connection| statement::matching(connection, &search, cells, limit))
    }

    /// Every row of a table as committed, in key order.
    pub fn rows(&self, table: usize) -> Result<Vec<Row>, Error> {
        let mut rows = self.matching(table, &[], &[], usize::MAX)?;
        let key = &self.tables[table].key;
        let order = |a: &Row, b: &Row| {
            let cells = key.iter().map(|&column| a[column].partial_cmp(&b[column]));
            cells.flatten().find(|order| order.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        };
        rows.sort_unstable_by(order);
        Ok(rows)
    }

    /// The files, to be looked at from other threads.
    pub fn files(&self) -> Files {
        Files::new(&self.path)
    }

    /// Takes a definition that gives the same view for the one that the generation was built by: other words.
    pub fn adopt_definition(&mut self, text: &str, fingerprint: &Fingerprint) -> Result<(), Error> {
        self.execute(|connection| schema::adopt(connection, text, fingerprint))?;
        self.fingerprint = fingerprint.clone();
        Ok(())
    }

    /// What the generation was built by.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn execute<T>(
        &self,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        run(&self.connection).map_err(|error| Error::sqlite(&self.path, error))
    }
}

impl Rows for Store {
    type Error = Error;

    fn row(&mut self, table: usize, key: &Key) -> Result<Option<Row>, Error> {
        self.get(table, key)
    }

    fn matching(
        &mut self,
        table: usize,
        columns: &[usize],
        cells: &[Cell],
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        Store::matching(self, table, columns, cells, limit)
    }
}

impl Totals {
    fn add(&mut self, letters: &[DeadLetter]) {
        for letter in letters {
            match letter.state {
                State::Dead => {
                    self.dead += 1;
                    let oldest = self
                        .oldest_stored_at
                        .map_or(letter.stored_at, |oldest| oldest.min(letter.stored_at));
                    self.oldest_stored_at = Some(oldest);
                }
                State::Parked => self.parked += 1,
                State::Skipped => self.skipped += 1,
            }
        }
    }
}

/// Fills the empty file of a new generation and closes it with everything in the database file.
pub(super) fn create(
    path: &Path,
    generation: Generation,
    build: &Build<'_>,
    state: &str,
) -> Result<(), Error> {
    let mut connection = open_writer(path, CREATE_CACHE_BYTES)?;
    let fill = |connection: &mut Connection| {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema::create(&transaction, generation, build, state)?;
        transaction.commit()?;
        connection.wal_checkpoint_v2(Some("main"), rusqlite::wal::CheckpointMode::TRUNCATE)
    };
    fill(&mut connection).map_err(|error| Error::sqlite(path, error))?;
    connection.close().map_err(|(_, error)| Error::sqlite(path, error))
}

/// Moves the checkpoint in a transaction of its own.
fn move_checkpoint(
    connection: &Connection,
    next: &Checkpoint,
    previous: Sequence,
) -> Result<(), Fault> {
    // Dropped without a commit, it rolls back.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    if !next.compare_and_set(previous, connection)? {
        let path = PathBuf::from(connection.path().unwrap_or_default());
        return Err(Error::Stale { path, previous }.into());
    }
    Ok(transaction.commit()?)
}

/// Writes a batch: the checkpoint after it, rows changed, and when COMMIT began.
fn transact(
    connection: &Connection,
    shapes: &mut Shapes,
    tables: &[Table],
    checkpoint: &Checkpoint,
    batch: &Batch<'_>,
    commits: u64,
) -> Result<(Checkpoint, u64, Instant), Fault> {
    // Dropped without a commit, it rolls back.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let rows_changed = write_rows(connection, shapes, tables, &batch.tables)?;
    dead_letter::insert(connection, batch.dead_letters)?;
    checkpoint::add_counts(connection, &batch.counts)?;
    let advance = Advance {
        sequence: batch.sequence,
        event_time: batch.stored_at,
        committed_at: batch.committed_at,
        messages: batch.messages,
        missed_sequences: 0,
        live: batch.live,
        origin: batch.origin,
        anchor: batch.anchor,
        rows_changed: rows_changed > 0,
    };
    let next = checkpoint.advanced(&advance, commits);
    let previous = checkpoint.sequence;
    if !next.compare_and_set(previous, connection)? {
        let path = PathBuf::from(connection.path().unwrap_or_default());
        return Err(Error::Stale { path, previous }.into());
    }
    let written = Instant::now();
    transaction.commit()?;
    Ok((next, rows_changed, written))
}

/// Writes the sorted transitions of all tables; how many rows changed.
fn write_rows(
    connection: &Connection,
    shapes: &mut Shapes,
    tables: &[Table],
    transitions: &[Vec<(Key, Transition)>],
) -> Result<u64, Fault> {
    let mut changed = 0;
    let mut flush = Flush::new(connection, shapes, tables);
    for (table, transitions) in transitions.iter().enumerate() {
        for (key, transition) in transitions {
            changed +=
                u64::from(flush.write(table, key, transition).map_err(
                    |failure| match failure {
                        Failure::Sqlite(error) => Fault::Sqlite(error),
                        Failure::OutOfRange(column) => {
                            Fault::Store(on_row(&tables[table], table, key, column))
                        }
                    },
                )?);
        }
    }
    Ok(changed)
}

#[cold]
fn on_row(declared: &Table, table: usize, key: &Key, column: usize) -> Error {
    let place = format!("{}.{}", declared.name, declared.columns[column].name);
    Error::OnRow { table, key: key.clone(), column, place }
}

/// Whether a failure to copy the log means more than that it can be tried again.
fn is_lasting(error: &Error) -> bool {
    !matches!(error, Error::Full { .. } | Error::Busy { .. })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::definition::Column;
    use crate::row::ColumnType;

    /// The store of whichever generation is served, with one table of an integer key and a text.
    pub(in crate::store) fn store(data: &Path) -> Store {
        with_build(data, |folder, build| {
            let generation = folder.current_or_first(build).expect("a generation");
            Store::open(folder, generation, build.tables, 1 << 20).expect("a store")
        })
    }

    /// What that store is built by.
    pub(in crate::store) fn with_build<T>(
        data: &Path,
        run: impl FnOnce(&Folder, &Build<'_>) -> T,
    ) -> T {
        let column = |name: &str, column_type| Column {
            name: name.into(),
            column_type,
            required: false,
            default: None,
            span: 0..0,
        };
        let columns = vec![column("id", ColumnType::Integer), column("text", ColumnType::Text)];
        let tables =
            [Table { name: "t".into(), columns, key: vec![0], indexes: Vec::new(), span: 0..0 }];
        let fingerprint = Fingerprint {
            events: String::new(),
            rows: String::new(),
            shapes: String::new(),
            words: String::new(),
        };
        let build = Build {
            projection: "p",
            stream: "S",
            definition: "",
            fingerprint: &fingerprint,
            tables: &tables,
            views: &[],
        };
        run(&Folder::new(data, "p"), &build)
    }

    pub(in crate::store) fn batch(sequence: u64, rows: std::ops::Range<i64>) -> Batch<'static> {
        let row = |id| {
            let row = vec![Cell::Integer(id), Cell::Text("x".repeat(1000).into())];
            (Key([Cell::Integer(id)].into_iter().collect()), Transition::known(Some(row.into())))
        };
        Batch {
            sequence: Sequence(sequence),
            stored_at: None,
            messages: 1,
            tables: vec![rows.map(row).collect()],
            dead_letters: &[],
            counts: Counts::default(),
            origin: None,
            anchor: None,
            live: false,
            committed_at: Timestamp(0),
        }
    }

    #[test]
    fn a_full_disk_rolls_back_and_goes_on_when_there_is_space() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(1, 0..10)).expect("committed");
        let pages: i64 = store
            .connection
            .query_row("PRAGMA page_count", (), |row| row.get(0))
            .expect("a number");
        store.connection.pragma_update(None, "max_page_count", pages + 5).expect("a limit");
        for _ in 0..2 {
            assert!(matches!(store.commit(batch(2, 10..1000)), Err(Error::Full { .. })));
            assert_eq!(store.checkpoint().sequence, Sequence(1));
        }
        store.connection.pragma_update(None, "max_page_count", 1_000_000).expect("a limit");
        assert_eq!(store.commit(batch(2, 10..1000)).expect("committed").rows_changed, 990);
        let rows: i64 = store
            .connection
            .query_row("SELECT count(*) FROM t", (), |row| row.get(0))
            .expect("a number");
        assert_eq!(rows, 1000);
    }

    #[test]
    fn the_log_is_copied_when_large_and_a_reader_holds_back_only_that() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(1, 0..20_000)).expect("committed");
        assert_eq!((store.wal().complete, store.wal().partial), (1, 0));
        assert!(
            store.files().database_bytes() > 20_000_000 && store.files().wal_bytes() > 20_000_000
        );
        store.idle().expect("nothing to do");
        assert_eq!(store.wal().complete, 1);

        let reader = Connection::open(&store.path).expect("a reader");
        let begin = "BEGIN; SELECT count(*) FROM t";
        reader.execute_batch(begin).expect("a snapshot");
        store.commit(batch(2, 20_000..40_000)).expect("committed");
        store.commit(batch(3, 40_000..40_001)).expect("committed");
        assert_eq!((store.wal().complete, store.wal().partial), (1, 1), "tried once, then put off");
        reader.execute_batch("COMMIT").expect("done");
        store.commit(batch(4, 50_000..70_000)).expect("committed");
        assert_eq!(store.wal().complete, 2);
    }
}
