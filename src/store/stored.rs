//! What a file says of its projection: for `status` without a daemon, and for whoever is to open it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::Error;
use super::checkpoint::{self, Checkpoint};
use super::connection::{open_reader, open_reader_within};
use super::control::Control;
use super::dead_letter::{self, Totals};
use super::layout::{self, Generation};
use super::state::State;
use crate::definition::fingerprint::Fingerprint;
use crate::event::time::Timestamp;
use crate::status::Counts;

/// One generation, as of one snapshot.
#[derive(Clone, Debug)]
pub struct Stored {
    pub projection: String,
    pub stream: String,
    pub generation: Generation,
    pub state: State,
    pub successor: Option<Generation>,
    /// Of one that is retired, or was and is to be served again.
    pub retired_at: Option<Timestamp>,
    pub fingerprint: Fingerprint,
    /// The text of the file that it was built by.
    pub definition: String,
    /// The settings of its source, as JSON.
    pub source: String,
    /// What made its rows of events.
    pub engine: String,
    pub control: Control,
    pub checkpoint: Checkpoint,
    pub counts: Counts,
    pub set_aside: Totals,
    /// How often the process has ended at this checkpoint, as far as the last start knew.
    pub ends: u32,
}

/// Reads the generation that is served from a projection's folder.
pub fn read(folder: &Path) -> Result<Stored, Error> {
    read_database(&layout::served(folder))
}

pub(super) fn read_database(path: &Path) -> Result<Stored, Error> {
    read_from(&mut open_reader(path)?, path)
}

/// The same without waiting: of one that is being built at once that it is.
pub(super) fn read_at_once(path: &Path) -> Result<Stored, Error> {
    read_from(&mut open_reader_within(path, Duration::ZERO)?, path)
}

pub(super) fn read_from(connection: &mut Connection, path: &Path) -> Result<Stored, Error> {
    let read = |connection: &mut Connection| {
        // One snapshot for all of it.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let fingerprint = fingerprint(&transaction)?;
        let checkpoint = Checkpoint::read(&transaction)?;
        let counts = checkpoint::read_counts(&transaction)?;
        let control = Control::read(&transaction)?;
        let set_aside = dead_letter::totals(&transaction)?;
        let ends = transaction.query_row("SELECT ends FROM _viewd_run", (), |row| row.get(0))?;
        transaction.query_row(
            "SELECT projection, stream, generation, state, successor, retired_at, text, source, engine \
             FROM _viewd_meta, _viewd_definition",
            (),
            |row| {
                let text = |column| row.get::<_, Option<String>>(column);
                Ok(Stored {
                    projection: row.get(0)?,
                    stream: row.get(1)?,
                    generation: Generation(checkpoint::restored(row.get(2)?)),
                    state: State::of(&row.get::<_, String>(3)?),
                    successor: text(4)?.as_deref().and_then(Generation::parse),
                    retired_at: text(5)?.as_deref().and_then(Timestamp::parse),
                    definition: row.get(6)?,
                    source: row.get(7)?,
                    engine: row.get(8)?,
                    control,
                    fingerprint,
                    checkpoint,
                    counts,
                    set_aside,
                    ends,
                })
            },
        )
    };
    read(connection).map_err(|error| Error::sqlite(path, error))
}

/// What the generation was built by.
pub(super) fn fingerprint(connection: &Connection) -> rusqlite::Result<Fingerprint> {
    connection.query_row("SELECT events, rows, shapes, words FROM _viewd_definition", (), |row| {
        Ok(Fingerprint {
            events: row.get(0)?,
            rows: row.get(1)?,
            shapes: row.get(2)?,
            words: row.get(3)?,
        })
    })
}
