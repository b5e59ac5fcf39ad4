//! The one writer of a view: commits batches, lends rows to the fold.
//!
//! A batch is one transaction: BEGIN IMMEDIATE; rows in key order; dead letters; counts; checkpoint by compare-and-set;
//! COMMIT (I1). Whatever fails before COMMIT rolls all of it back, and the writer can be used again. Nothing that
//! fails after COMMIT is reported as a failure of the batch: the caller would apply it twice.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::batch::{self, Batch, Committed, Means, Written};
use super::change_log;
use super::checkpoint::{self, Advance, Checkpoint};
use super::connection::{self, check_format, open_writer};
use super::control::Control;
use super::dead_letter::{self, Blocked, Totals};
use super::error::Fault;
use super::files::Files;
use super::layout::{Build, Folder, Generation};
use super::state::State;
use super::statement::Shapes;
use super::step::{Step, Steps};
use super::wal::{Log, Wal};
use super::{Error, schema, stored};
use crate::definition::Table;
use crate::definition::fingerprint::Fingerprint;
use crate::event::Sequence;
use crate::status::Counts;

/// A new database is small: its cache needs not be the writer's.
const CREATE_CACHE_BYTES: u64 = 1 << 20;

/// The one writer of a generation. Used by one thread.
pub struct Store {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) tables: Vec<Table>,
    pub(super) steps: Steps,
    /// Nobody reads it, and a crash of anything loses it.
    pub(super) bulk: bool,
    fingerprint: Fingerprint,
    pub(super) shapes: Shapes,
    /// By table: whether its changes are kept. In bulk they are not.
    pub(super) logged: Vec<bool>,
    /// As committed.
    pub(super) checkpoint: Checkpoint,
    pub(super) last_change: i64,
    counts: Counts,
    totals: Totals,
    pub(super) control: Control,
    log: Log,
    /// Commits of this run that had an anchor.
    anchored_commits: u64,
    /// This run has left its mark that it is at work.
    pub(super) working: bool,
    /// Found while copying the log, after a commit: fatal, and reported before anything else is written.
    pub(super) broken: Option<Error>,
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
        Self::of(path, connection, tables, folder.steps())
    }

    /// A new view in memory, for tests of definitions: everything but the files.
    pub fn in_memory(build: &Build<'_>) -> Result<Self, Error> {
        let path = PathBuf::from(":memory:");
        let create = || {
            let connection = Connection::open_in_memory()?;
            let transaction =
                Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
            schema::create(&transaction, Generation(1), build, State::Serving)?;
            transaction.commit()?;
            Ok(connection)
        };
        let connection = create().map_err(|error| Error::sqlite(&path, error))?;
        Self::of(path, connection, build.tables, &Steps::default())
    }

    /// The same view as another process would find it: with nothing but what is committed.
    pub fn reopen(self) -> Result<Self, Error> {
        Self::of(self.path, self.connection, &self.tables, &self.steps)
    }

    pub(super) fn of(
        path: PathBuf,
        connection: Connection,
        tables: &[Table],
        steps: &Steps,
    ) -> Result<Self, Error> {
        check_format(&connection, &path)?;
        let read = || {
            Ok((
                Shapes::new(&connection, tables)?,
                schema::logged(&connection, tables)?,
                change_log::last_change(&connection)?,
                stored::fingerprint(&connection)?,
                Checkpoint::read(&connection)?,
                checkpoint::read_counts(&connection)?,
                dead_letter::totals(&connection)?,
                Control::read(&connection)?,
            ))
        };
        let (shapes, logged, last_change, fingerprint, checkpoint, counts, totals, control) =
            read().map_err(|error| Error::sqlite(&path, error))?;
        let log = Log::new(&path);
        Ok(Self {
            path,
            connection,
            tables: tables.to_vec(),
            steps: steps.clone(),
            bulk: false,
            fingerprint,
            shapes,
            logged,
            last_change,
            checkpoint,
            counts,
            totals,
            control,
            log,
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
        let means = Means {
            connection: &self.connection,
            shapes: &mut self.shapes,
            tables: &self.tables,
            logged: &self.logged,
            steps: &self.steps,
        };
        let commits = self.anchored_commits + 1;
        let committed = batch::transact(means, &self.checkpoint, &batch, commits);
        let Written { checkpoint, rows_changed, last_change, written } =
            committed.map_err(|fault| fault.at(&self.path))?;
        self.steps.reached(Step::Committed);
        self.checkpoint = checkpoint;
        self.last_change = last_change.unwrap_or(self.last_change);
        self.anchored_commits += u64::from(batch.anchor.is_some());
        self.counts = checkpoint::sum(self.counts, batch.counts);
        self.totals.add(batch.dead_letters);
        let copied = match self.bulk {
            true => Ok(()),
            false => self.log.committed(&self.connection, batch.live),
        };
        self.broken = copied.err().filter(is_lasting);
        let write = written.duration_since(begun);
        Ok(Committed { rows_changed, write, commit: written.elapsed() })
    }

    /// When there is nothing to write: copies the log if that is worthwhile. Costs next to nothing otherwise.
    pub fn idle(&mut self) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if self.bulk {
            return Ok(());
        }
        match self.log.idle(&self.connection) {
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

    /// Moves the checkpoint without any event, all or nothing, and survives a loss of power from then on.
    pub(super) fn advance(&mut self, advance: &Advance) -> Result<(), Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let next = self.checkpoint.advanced(advance, self.anchored_commits);
        let previous = self.checkpoint.sequence;
        self.durably(|connection| move_checkpoint(connection, &next, previous))?;
        self.checkpoint = next;
        Ok(())
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
        self.log.numbers()
    }

    /// The order keys that dead or parked events hold up.
    pub fn blocked(&self) -> Result<Vec<Blocked>, Error> {
        self.execute(dead_letter::blocked)
    }

    /// The same without numbers.
    pub fn blocked_keys(&self) -> Result<Vec<String>, Error> {
        Ok(self.blocked()?.into_iter().map(|blocked| blocked.order_key).collect())
    }

    /// Gives the page cache another size: what a store may take changes with the number of stores.
    pub fn set_cache(&mut self, bytes: u64) -> Result<(), Error> {
        self.execute(|connection| connection.execute_batch(&connection::cache_sql(bytes)))
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

    /// Writes what survives a loss of power from then on, with all that was committed before.
    pub(super) fn durably(
        &self,
        write: impl FnOnce(&Connection) -> Result<(), Fault>,
    ) -> Result<(), Error> {
        if self.bulk {
            return write(&self.connection).map_err(|fault| fault.at(&self.path));
        }
        self.execute(|connection| connection.execute_batch("PRAGMA synchronous = FULL"))?;
        let written = write(&self.connection);
        self.execute(|connection| connection.execute_batch("PRAGMA synchronous = NORMAL"))?;
        written.map_err(|fault| fault.at(&self.path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn execute<T>(
        &self,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        run(&self.connection).map_err(|error| Error::sqlite(&self.path, error))
    }
}

/// Fills the empty file of a new generation and closes it with everything in the database file.
pub(super) fn create(
    path: &Path,
    generation: Generation,
    build: &Build<'_>,
    state: State,
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

/// Whether a failure to copy the log means more than that it can be tried again.
fn is_lasting(error: &Error) -> bool {
    !matches!(error, Error::Full { .. } | Error::Busy { .. })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::definition::Column;
    use crate::event::time::Timestamp;
    use crate::projection::transition::Transition;
    use crate::row::{Cell, ColumnType, Key};

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
        let tables = [Table {
            name: "t".into(),
            columns,
            key: vec![0],
            indexes: Vec::new(),
            changes: false,
            span: 0..0,
        }];
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
            source: "{}",
            engine: "e",
            fingerprint: &fingerprint,
            tables: &tables,
            views: &[],
            logged: vec![0],
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
            known: &[],
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
            assert_eq!((store.checkpoint().sequence, store.last_change()), (Sequence(1), 10));
        }
        store.connection.pragma_update(None, "max_page_count", 1_000_000).expect("a limit");
        assert_eq!(store.commit(batch(2, 10..1000)).expect("committed").rows_changed, 990);
        let number = |sql: &str| -> i64 {
            store.connection.query_row(sql, (), |row| row.get(0)).expect("a number")
        };
        assert_eq!(number("SELECT count(*) FROM t"), 1000);
        // The log knows nothing of what was rolled back: no id twice, none left out.
        assert_eq!(number("SELECT count(*) FROM _viewd_changes"), 1000);
        assert_eq!(
            (number("SELECT max(id) FROM _viewd_changes"), store.last_change()),
            (1000, 1000)
        );
    }

    #[test]
    fn a_change_that_cannot_be_kept_takes_its_rows_back() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(1, 0..1000)).expect("committed");
        let key = |id| Key([Cell::Integer(id)].into_iter().collect());
        let gone = || (0..1000).map(|id| (key(id), Transition::known(None))).collect();
        let removed = || Batch { tables: vec![gone()], ..batch(2, 0..0) };
        let trigger = "CREATE TRIGGER refused BEFORE INSERT ON _viewd_changes WHEN new.key = '[999]' \
                       BEGIN SELECT raise(ABORT, 'refused'); END";
        store.connection.execute_batch(trigger).expect("a trigger");
        let refused = store.commit(removed()).expect_err("its last change is refused");
        assert!(refused.to_string().contains("refused"), "{refused}");
        assert_eq!((store.rows(0).expect("rows").len(), store.last_change()), (1000, 1000));
        store.connection.execute_batch("DROP TRIGGER refused").expect("dropped");
        assert_eq!(store.commit(removed()).expect("committed").rows_changed, 1000);
        assert_eq!((store.rows(0).expect("rows").len(), store.last_change()), (0, 2000));
    }

    #[test]
    fn the_log_is_copied_when_large_and_a_reader_holds_back_only_that() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(1, 0..20_000)).expect("committed");
        store.log.done();
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
        store.log.done();
        store.commit(batch(3, 40_000..40_001)).expect("committed");
        store.log.done();
        assert_eq!((store.wal().complete, store.wal().partial), (1, 1), "tried once, then put off");
        reader.execute_batch("COMMIT").expect("done");
        store.commit(batch(4, 50_000..70_000)).expect("committed");
        store.log.done();
        assert_eq!(store.wal().complete, 2);
    }

    #[test]
    fn a_log_that_is_written_while_it_is_copied_begins_anew() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        let large = || Batch { live: true, ..batch(1, 0..60_000) };
        store.commit(large()).expect("committed");
        let (mut frames, mut sequence) = (0, 1);
        // Whether or not the thread has seen the commits that came meanwhile.
        while frames < store.log.done() {
            frames = store.log.done();
            assert!(frames > 10_000 && sequence < 20, "it never begins anew");
            for _ in 0..3 {
                sequence += 1;
                store.commit(Batch { live: true, ..batch(sequence, 0..1) }).expect("committed");
            }
        }
        assert!(store.log.done() < 1000);
    }
}
