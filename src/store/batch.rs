//! One transaction: what it writes, and how.
//!
//! BEGIN IMMEDIATE; rows in key order; dead letters; counts; checkpoint by compare-and-set; COMMIT (I1).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::Error;
use super::append::Append;
use super::checkpoint::{self, Advance, Checkpoint};
use super::dead_letter::{self, DeadLetter};
use super::error::Fault;
use super::statement::{Failure, Flush, Shapes};
use super::step::{Step, Steps};
use crate::definition::Table;
use crate::event::Sequence;
use crate::event::anchor::{Anchor, Origin};
use crate::event::time::Timestamp;
use crate::projection::known::Known;
use crate::projection::transition::Transition;
use crate::row::Key;
use crate::status::Counts;

/// What one transaction writes.
pub struct Batch<'a> {
    /// The position after it.
    pub sequence: Sequence,
    /// When the stream stored its last message; None: it moves the position alone.
    pub stored_at: Option<Timestamp>,
    pub messages: u64,
    /// Transitions of rows that are not known: one list a table, in the definition's order, each key once.
    pub tables: Vec<Vec<(Key, Transition)>>,
    /// Rows that are known, by table; none of them is among `tables`.
    pub known: &'a [Known],
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

/// What batches are written with.
pub(super) struct Means<'a> {
    pub(super) connection: &'a Connection,
    pub(super) shapes: &'a mut Shapes,
    pub(super) tables: &'a [Table],
    /// By table: whether its changes are kept.
    pub(super) logged: &'a [bool],
    pub(super) steps: &'a Steps,
}

/// What came of a transaction.
pub(super) struct Written {
    pub(super) checkpoint: Checkpoint,
    pub(super) rows_changed: u64,
    /// The id of the last change that it has added to the log.
    pub(super) last_change: Option<i64>,
    /// When COMMIT began.
    pub(super) written: Instant,
}

/// Writes a batch.
pub(super) fn transact(
    means: Means<'_>,
    checkpoint: &Checkpoint,
    batch: &Batch<'_>,
    commits: u64,
) -> Result<Written, Fault> {
    let Means { connection, steps, .. } = means;
    // Dropped without a commit, it rolls back.
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let (rows_changed, last_change) = write_rows(means, batch)?;
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
    steps.reached(Step::Written);
    let written = Instant::now();
    transaction.commit()?;
    Ok(Written { checkpoint: next, rows_changed, last_change, written })
}

/// Writes known rows and sorted transitions of all tables; how many rows changed, and the last id of these changes.
fn write_rows(means: Means<'_>, batch: &Batch<'_>) -> Result<(u64, Option<i64>), Fault> {
    let Means { connection, shapes, tables, logged, .. } = means;
    let mut changed = 0;
    let sequence = checkpoint::stored(batch.sequence.0);
    let append = Append::new(connection, tables, logged, sequence);
    let mut flush = Flush::new(connection, shapes, tables, append);
    for (table, known) in batch.known.iter().enumerate() {
        changed += flush.write_all_known(table, known)?;
    }
    for (table, transitions) in batch.tables.iter().enumerate() {
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
    Ok((changed, flush.finish()?))
}

#[cold]
fn on_row(declared: &Table, table: usize, key: &Key, column: usize) -> Error {
    let place = format!("{}.{}", declared.name, declared.columns[column].name);
    Error::OnRow { table, key: key.clone(), column, place }
}
