//! How often the process has ended at one checkpoint.
//!
//! An event that kills the process would kill it again after each restart. So a run leaves a mark, and the next one
//! reads it: when the process has ended three times at one checkpoint, the projection starts as failed, `crash_loop`.
//!
//! Only ends during work count: a process that is killed while it waits for messages says nothing against the next
//! one. The mark is `begun` when a run opens the store, `working` from its first batch on, `clean` when it ends in
//! order, and it remembers the checkpoint at which it was set.
//!
//! | mark found | checkpoint since | ends at this checkpoint |
//! |---|---|---|
//! | clean | | 0 |
//! | begun | same | as before: it never got to work |
//! | begun | moved | 0 |
//! | working | same | one more: it ended during its first batch |
//! | working | moved | 1: it committed, then ended, maybe at work on what comes next |
//!
//! The mark is written at the start of a run, before its first batch and at its end, never in between, so the last
//! line cannot tell an idle end from one at work. It counts only once: a next run that is idle leaves `begun`.
//! Other projections of the process that were in their own first batch count an end too; they are unlikely to be so
//! three times. The marks survive a kill of the process, not a loss of power, which is no fault of an event.

use rusqlite::{Connection, params};

use super::Error;
use super::checkpoint::{restored, stored};
use super::writer::Store;
use crate::event::Sequence;

impl Store {
    /// Called once after opening, before anything is read from the stream: how often the process has ended at this
    /// checkpoint while at work (see `run`). At three, do not run: the projection has failed, `crash_loop`.
    pub fn begin_run(&mut self) -> Result<u32, Error> {
        let sequence = self.checkpoint.sequence;
        self.execute(|connection| begin(connection, sequence))
    }

    /// Called before each batch's first event is looked at; writes only once a run.
    pub fn begin_batch(&mut self) -> Result<(), Error> {
        if !self.working {
            self.execute(work)?;
            self.working = true;
        }
        Ok(())
    }

    /// Called after the last batch of a run that ends in order. Not for a projection that was never run because of
    /// `crash_loop`: that would forget why.
    pub fn end_run(&mut self) -> Result<(), Error> {
        self.execute(end)?;
        self.working = false;
        Ok(())
    }
}

/// Reads the mark of the last run and leaves that of this one: how often the process has ended here.
fn begin(connection: &Connection, checkpoint: Sequence) -> rusqlite::Result<u32> {
    let (sequence, ends, state) =
        connection.query_row("SELECT sequence, ends, state FROM _viewd_run", (), |row| {
            Ok((Sequence(restored(row.get(0)?)), row.get::<_, u32>(1)?, row.get::<_, String>(2)?))
        })?;
    let ends = ends_at(&state, sequence == checkpoint, ends);
    mark(connection, "begun", checkpoint, ends)?;
    Ok(ends)
}

/// Before the first batch of a run.
fn work(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE _viewd_run SET state = 'working'", ())?;
    Ok(())
}

/// After the last batch of a run that ended in order.
fn end(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE _viewd_run SET state = 'clean', ends = 0", ())?;
    Ok(())
}

fn ends_at(state: &str, same_checkpoint: bool, ends: u32) -> u32 {
    match (state, same_checkpoint) {
        ("begun", true) => ends,
        ("working", true) => ends.saturating_add(1),
        ("working", false) => 1,
        _ => 0,
    }
}

fn mark(
    connection: &Connection,
    state: &str,
    sequence: Sequence,
    ends: u32,
) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE _viewd_run SET state = ?1, sequence = ?2, ends = ?3",
        params![state, stored(sequence.0), ends],
    )?;
    Ok(())
}
