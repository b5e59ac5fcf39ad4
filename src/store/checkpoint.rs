//! The durable position, and what stands beside it in the same row.
//!
//! The row is moved by compare-and-set inside the batch's transaction, so it is exactly as durable as the rows:
//!
//! | after | rows | checkpoint |
//! |---|---|---|
//! | a commit | of the batch | of the batch |
//! | a rollback, a crash before COMMIT | of the batch before | of the batch before |
//! | a loss of power | of the last synced commit | of the same commit |
//!
//! In each line the stream is read on from checkpoint + 1, and nothing is applied twice or skipped.

use rusqlite::{Connection, params};

use super::anchors;
use super::layout::Generation;
use crate::event::Sequence;
use crate::event::anchor::{Anchor, Origin};
use crate::event::time::Timestamp;
use crate::source::Position;
use crate::status::Counts;

/// How far a generation has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub generation: Generation,
    /// Every message of the stream up to here has been scanned.
    pub sequence: Sequence,
    /// When the stream stored the last message that was applied.
    pub event_time: Option<Timestamp>,
    /// By viewd's clock; None before the first commit.
    pub committed_at: Option<Timestamp>,
    /// The first sequence of the stream when the build began (I11).
    pub from_sequence: Option<Sequence>,
    /// Messages read since.
    pub messages: u64,
    /// Raised by each commit that changed a row.
    pub revision: u64,
    /// Lost to a gap: an upper bound.
    pub missed_sequences: u64,
    pub has_been_live: bool,
    /// The stream's identity, as far as that goes.
    pub stream_created_ns: Option<i64>,
    /// Messages to find again in the stream before anything more of it is applied; in no order.
    pub anchors: Vec<Anchor>,
}

/// What a commit moves the checkpoint by.
pub(super) struct Advance {
    pub(super) sequence: Sequence,
    pub(super) event_time: Option<Timestamp>,
    pub(super) committed_at: Timestamp,
    pub(super) messages: u64,
    pub(super) missed_sequences: u64,
    pub(super) live: bool,
    pub(super) origin: Option<Origin>,
    pub(super) anchor: Option<Anchor>,
    pub(super) rows_changed: bool,
}

impl Checkpoint {
    /// Where reading goes on from.
    pub fn position(&self) -> Position {
        Position {
            sequence: self.sequence,
            created_ns: self.stream_created_ns,
            anchors: self.anchors.clone(),
        }
    }

    /// The checkpoint after `advance`; `commits` counts those of this run.
    pub(super) fn advanced(&self, advance: &Advance, commits: u64) -> Self {
        let mut next = self.clone();
        next.sequence = advance.sequence;
        next.event_time = advance.event_time.or(self.event_time);
        next.committed_at = Some(advance.committed_at);
        next.messages += advance.messages;
        next.revision += u64::from(advance.rows_changed);
        next.missed_sequences += advance.missed_sequences;
        next.has_been_live |= advance.live;
        if let Some(origin) = advance.origin {
            next.stream_created_ns = Some(origin.created_ns);
            // A stream that never held a message says that it begins at 0; its first message is 1.
            let first = origin.first_sequence.max(Sequence(1));
            next.from_sequence = self.from_sequence.or(Some(first));
        }
        if let Some(anchor) = advance.anchor {
            anchors::keep(&mut next.anchors, anchor, commits);
        }
        next
    }

    /// Reads the one row.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection.query_row(
            "SELECT generation, sequence, event_time, committed_at, from_sequence, messages, revision, \
             missed_sequences, has_been_live, stream_created_ns, anchors FROM _viewd_checkpoint",
            (),
            |row| {
                let time = |column| {
                    let text: Option<String> = row.get(column)?;
                    Ok::<_, rusqlite::Error>(text.as_deref().and_then(Timestamp::parse))
                };
                let number = |column| row.get(column).map(restored);
                Ok(Self {
                    generation: Generation(number(0)?),
                    sequence: Sequence(number(1)?),
                    event_time: time(2)?,
                    committed_at: time(3)?,
                    from_sequence: row
                        .get::<_, Option<i64>>(4)?
                        .map(|value| Sequence(restored(value).max(1))),
                    messages: number(5)?,
                    revision: number(6)?,
                    missed_sequences: number(7)?,
                    has_been_live: row.get(8)?,
                    stream_created_ns: row.get(9)?,
                    anchors: anchors::parse(&row.get::<_, String>(10)?),
                })
            },
        )
    }

    /// Moves the row from `previous` to this; false if it does not stand there.
    pub(super) fn compare_and_set(
        &self,
        previous: Sequence,
        connection: &Connection,
    ) -> rusqlite::Result<bool> {
        let mut statement = connection.prepare_cached(
            "UPDATE _viewd_checkpoint SET sequence = ?3, event_time = ?4, committed_at = ?5, from_sequence = ?6, \
             messages = ?7, revision = ?8, missed_sequences = ?9, has_been_live = ?10, stream_created_ns = ?11, \
             anchors = ?12 WHERE generation = ?1 AND sequence = ?2",
        )?;
        let changed = statement.execute(params![
            stored(self.generation.0),
            stored(previous.0),
            stored(self.sequence.0),
            self.event_time.map(|time| time.to_string()),
            self.committed_at.map(|time| time.to_string()),
            self.from_sequence.map(|sequence| stored(sequence.0)),
            stored(self.messages),
            stored(self.revision),
            stored(self.missed_sequences),
            self.has_been_live,
            self.stream_created_ns,
            anchors::text(&self.anchors),
        ])?;
        Ok(changed == 1)
    }
}

/// A number as SQLite has it. JetStream's sequences and our counts stay far below 2^63.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn restored(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn read_counts(connection: &Connection) -> rusqlite::Result<Counts> {
    connection.query_row(
        "SELECT applied, ignored, dead_lettered, parked, skipped FROM _viewd_counts",
        (),
        |row| {
            let number = |column| row.get(column).map(restored);
            Ok(Counts {
                applied: number(0)?,
                ignored: number(1)?,
                dead_lettered: number(2)?,
                parked: number(3)?,
                skipped: number(4)?,
            })
        },
    )
}

pub(super) fn sum(a: Counts, b: Counts) -> Counts {
    Counts {
        applied: a.applied + b.applied,
        ignored: a.ignored + b.ignored,
        dead_lettered: a.dead_lettered + b.dead_lettered,
        parked: a.parked + b.parked,
        skipped: a.skipped + b.skipped,
    }
}

pub(super) fn add_counts(connection: &Connection, delta: &Counts) -> rusqlite::Result<()> {
    if delta.sum() == 0 {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "UPDATE _viewd_counts SET applied = applied + ?1, ignored = ignored + ?2, \
         dead_lettered = dead_lettered + ?3, parked = parked + ?4, skipped = skipped + ?5",
    )?;
    let numbers = [delta.applied, delta.ignored, delta.dead_lettered, delta.parked, delta.skipped];
    statement.execute(numbers.map(stored))?;
    Ok(())
}
