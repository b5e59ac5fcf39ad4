//! What a file says of its projection: for `status` without a daemon, and for whoever is to open it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::Error;
use super::checkpoint::{self, Checkpoint};
use super::connection::open_reader;
use super::dead_letter::{self, Totals};
use super::layout;
use crate::definition::fingerprint::Fingerprint;
use crate::status::Counts;

/// One generation, as of one snapshot.
#[derive(Clone, Debug)]
pub struct Stored {
    pub projection: String,
    pub stream: String,
    /// `serving`, `building` or `retired`.
    pub state: String,
    pub successor: Option<String>,
    pub fingerprint: Fingerprint,
    /// The text of the file that it was built by.
    pub definition: String,
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
    let mut connection = open_reader(path)?;
    let read = |connection: &mut Connection| {
        // One snapshot for all of it.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let fingerprint = fingerprint(&transaction)?;
        let checkpoint = Checkpoint::read(&transaction)?;
        let counts = checkpoint::read_counts(&transaction)?;
        let set_aside = dead_letter::totals(&transaction)?;
        let ends = transaction.query_row("SELECT ends FROM _viewd_run", (), |row| row.get(0))?;
        transaction.query_row(
            "SELECT projection, stream, state, successor, text FROM _viewd_meta, _viewd_definition",
            (),
            |row| {
                Ok(Stored {
                    projection: row.get(0)?,
                    stream: row.get(1)?,
                    state: row.get(2)?,
                    successor: row.get(3)?,
                    definition: row.get(4)?,
                    fingerprint,
                    checkpoint,
                    counts,
                    set_aside,
                    ends,
                })
            },
        )
    };
    read(&mut connection).map_err(|error| Error::sqlite(path, error))
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
