//! What a start makes of the generations that it finds, when nobody has any of the files open.
//!
//! | link | state | becomes |
//! |---|---|---|
//! | names it | any | serving |
//! | | has the mark of a build, or is building | is removed: its rows may not be on disk |
//! | | sealed | stays: its build goes on |
//! | names another | serving | retired, since the cut-over was done |
//! | is not there | serving, empty | is removed: it was being made |
//! | is not there | serving, with data | refused: somebody has removed the link |
//! | | cannot be read | stays, and is told |

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::Error;
use super::bulk::mark_of;
use super::connection::{check_format, open_writer};
use super::layout::{DAMAGED, Folder, Generation, sync};
use super::state::{self, State};
use super::stored::{self, Stored};
use crate::clock;

/// For a row or two: no more than SQLite itself needs.
pub(super) const CACHE_BYTES: u64 = 1 << 20;

impl Folder {
    /// Finishes what a crash left undone: called at the start.
    pub fn settle(&self) -> Result<(), Error> {
        if !self.path().exists() {
            return Ok(());
        }
        if let Err(error) = self.remove_rest() {
            tracing::warn!(%error, "settle generations");
        }
        let served = self.settle_link()?;
        for generation in self.generations()? {
            match self.settle_one(generation, served) {
                Err(error @ Error::Unlinked { .. }) => return Err(error),
                // One that cannot be read is told again where it is opened, and otherwise left to a person.
                Err(error) => tracing::warn!(%error, %generation, "settle generations"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Takes a damaged generation out of service and out of the way; where it is then. If it was served, nothing is.
    pub fn move_aside(&self, generation: Generation) -> Result<PathBuf, Error> {
        let folder = self.path().join(generation.to_string());
        let aside = self.aside(generation);
        fs::rename(&folder, &aside)
            .map_err(|error| Error::access("move folder", &folder, error))?;
        self.settle_link()?;
        sync(self.path())?;
        Ok(aside)
    }

    /// Where the generation is that was moved aside last.
    pub fn moved_aside(&self) -> Result<Option<PathBuf>, Error> {
        let names = self.names()?;
        let newest =
            names.iter().filter_map(|name| Generation::parse(name.strip_prefix(DAMAGED)?)).max();
        Ok(newest.map(|generation| self.aside(generation)))
    }

    /// What a generation says of itself, whatever a crash has left of its log.
    pub fn stored(&self, generation: Generation) -> Result<Stored, Error> {
        let path = self.database(generation);
        // A build keeps its lock to its end; of the one that is served readers hold it for a moment, after a crash.
        let is_served = self.current()? == Some(generation);
        let read = if is_served { stored::read_database } else { stored::read_at_once };
        match read(&path) {
            // Without its index the log is of no use to a reader.
            Err(Error::Access { .. }) if path.exists() => {
                let (mut connection, path) = self.open_marks(generation)?;
                stored::read_from(&mut connection, &path)
            }
            read => read,
        }
    }

    /// Opens a generation for a row or two that are not its writer's.
    pub(super) fn open_marks(
        &self,
        generation: Generation,
    ) -> Result<(Connection, PathBuf), Error> {
        let path = self.database(generation);
        let connection = open_writer(&path, CACHE_BYTES)?;
        check_format(&connection, &path)?;
        Ok((connection, path))
    }

    /// The generation that the link names, unless that was moved aside.
    fn settle_link(&self) -> Result<Option<Generation>, Error> {
        let Some(served) = self.current()? else { return Ok(None) };
        if self.aside(served).exists() && !self.path().join(served.to_string()).exists() {
            self.unlink()?;
            return Ok(None);
        }
        Ok(Some(served))
    }

    fn settle_one(&self, generation: Generation, served: Option<Generation>) -> Result<(), Error> {
        let database = self.database(generation);
        let is_empty = || fs::metadata(&database).map_or(0, |file| file.len()) == 0;
        if served != Some(generation) && (mark_of(&database).exists() || is_empty()) {
            return self.remove(generation);
        }
        // The one that is served is only looked at if it can be: it is opened for writing soon enough.
        let stored = if served == Some(generation) {
            self.stored(generation)
        } else {
            self.open_marks(generation)
                .and_then(|(mut connection, path)| stored::read_from(&mut connection, &path))
        };
        let stored = stored?;
        let empty = stored.checkpoint.messages == 0 && stored.checkpoint.sequence.0 == 0;
        match (stored.state, served) {
            (State::Serving, Some(named)) if named == generation => Ok(()),
            (_, Some(named)) if named == generation => {
                self.write(generation, |connection| state::mark(connection, State::Serving))
            }
            (State::Building, _) => self.remove(generation),
            (State::Serving, Some(_)) => {
                self.write(generation, |connection| state::retire(connection, served, clock::now()))
            }
            (State::Serving, None) if empty => self.remove(generation),
            (State::Serving, None) => Err(Error::Unlinked {
                folder: self.path().to_path_buf(),
                generation: generation.to_string(),
            }),
            (State::Sealed | State::Retired, _) => Ok(()),
        }
    }

    fn aside(&self, generation: Generation) -> PathBuf {
        self.path().join(format!("{DAMAGED}{generation}"))
    }
}
