//! Which retired generations go, and when.
//!
//! A reader that has one open keeps it: once its connections are closed the file can leave its log behind, and that it
//! can is the test. A reader that stays longer than the grace keeps what it has open, as a removed file does, and finds
//! nothing when it opens it again: the mark `retired` told it to move on.

use std::fs;
use std::io;
use std::time::Duration;

use super::connection::{close_log, open_writer};
use super::layout::{DAMAGED, Folder, Generation};
use super::state::{self, State};
use super::step::Step;
use super::stored::Stored;
use super::{Error, settle};
use crate::clock;
use crate::event::time::Timestamp;

/// What became of the retired generations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub removed: Vec<Generation>,
    /// A reader has them open: they stay.
    pub held: Vec<Generation>,
}

impl Folder {
    /// Removes retired generations beyond the `keep` that were retired last: those that no reader holds, and those that
    /// were retired longer than `grace` ago.
    ///
    /// One that holds more of the stream than the one that is served stays, whatever its age (I11).
    pub fn remove_retired(
        &self,
        keep: usize,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Vec<Generation>, Error> {
        let Some(served) = self.current()? else { return Ok(Vec::new()) };
        let from_sequence = self.stored(served)?.checkpoint.from_sequence;
        let mut removed = Vec::new();
        for retired in self.retired()?.into_iter().skip(keep) {
            let generation = retired.generation;
            let knows_more = match (retired.checkpoint.from_sequence, from_sequence) {
                (Some(retired), Some(served)) => retired < served,
                (known, None) => known.is_some(),
                (None, Some(_)) => false,
            };
            if knows_more {
                continue;
            }
            let since = retired.retired_at.map_or(i64::MIN, |time| time.0);
            let grace = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
            let over = now.0.saturating_sub(since) >= grace;
            match self.remove_unread(generation, over) {
                Ok(true) => removed.push(generation),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "remove a retired generation"),
            }
        }
        Ok(removed)
    }

    /// Removes every retired generation that no reader holds, whatever of the stream it knows.
    pub fn gc(&self) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        if self.current()?.is_none() {
            return Ok(collected);
        }
        for retired in self.retired()? {
            let generation = retired.generation;
            let removed = self.remove_unread(generation, false)?;
            let list = if removed { &mut collected.removed } else { &mut collected.held };
            list.push(generation);
        }
        Ok(collected)
    }

    /// Marks the generation that is served as retired, with no successor: no definition names the projection any more.
    /// Nobody has it open for writing.
    pub fn retire(&self) -> Result<(), Error> {
        let Some(served) = self.current()? else { return Ok(()) };
        self.write(served, |connection| state::retire(connection, None, clock::now()))
    }

    /// Removes all of a projection that no definition names, unless a reader holds a generation of it.
    pub fn remove_projection(&self) -> Result<(), Error> {
        let generations = self.generations()?;
        for (number, &generation) in generations.iter().enumerate() {
            // What cannot be read is held by nobody.
            if self.is_held(generation).unwrap_or(false) {
                for &unread in &generations[..number] {
                    self.restore_log(unread);
                }
                let folder = self.path().join(generation.to_string());
                return Err(Error::Held { folder });
            }
        }
        // The link goes last: by it the projection is found again after a crash.
        generations.into_iter().try_for_each(|generation| self.remove(generation))?;
        for name in self.names()?.iter().filter(|name| name.starts_with(DAMAGED)) {
            let folder = self.path().join(name);
            fs::remove_dir_all(&folder)
                .map_err(|error| Error::access("remove folder", &folder, error))?;
        }
        self.unlink()?;
        self.end_attempt();
        match fs::remove_dir(self.path()) {
            // What somebody else has put there stays.
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
                Err(Error::access("remove folder", self.path(), error))
            }
            _ => Ok(()),
        }
    }

    /// Those that are retired, the one that was retired last first.
    fn retired(&self) -> Result<Vec<Stored>, Error> {
        let served = self.current()?;
        let mut retired: Vec<Stored> = Vec::new();
        for generation in self.generations()? {
            if served == Some(generation) {
                continue;
            }
            match self.stored(generation) {
                Ok(stored) if stored.state == State::Retired => retired.push(stored),
                Ok(_) | Err(Error::Busy { .. }) => {}
                Err(error) => tracing::debug!(%error, %generation, "look for retired generations"),
            }
        }
        retired.sort_by_key(|stored| (stored.retired_at, stored.generation));
        retired.reverse();
        Ok(retired)
    }

    /// Removes a generation unless a reader holds it and `anyway` is false; whether it did.
    fn remove_unread(&self, generation: Generation, anyway: bool) -> Result<bool, Error> {
        let held = self.is_held(generation);
        match held {
            Ok(true) if !anyway => return Ok(false),
            Ok(_) => {}
            Err(error) if !anyway => return Err(error),
            Err(_) => {}
        }
        self.steps().reached(Step::Unread);
        self.remove(generation).inspect_err(|_| self.restore_log(generation))?;
        Ok(true)
    }

    /// Whether any reader has the file open. If none has, the file has no log from here on: it is removed next, or
    /// given its log again.
    fn is_held(&self, generation: Generation) -> Result<bool, Error> {
        let path = self.database(generation);
        let connection = open_writer(&path, settle::CACHE_BYTES)?;
        close_log(&connection).map_err(|error| Error::sqlite(&path, error)).map(|closed| !closed)
    }

    /// A file without a log cannot be read while it is written; a start gives it its log again as well.
    fn restore_log(&self, generation: Generation) {
        if let Err(error) = self.open_marks(generation) {
            tracing::warn!(%error, "turn a generation back to its log");
        }
    }
}
