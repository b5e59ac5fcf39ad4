//! How one generation follows another: the next is built beside the one that is served, then the link is moved.
//!
//! | done so far | link | new | old | what the next start does after a crash here |
//! |---|---|---|---|---|
//! | made, filled | old | building | serving | removes the new one |
//! | sealed: complete and synced | old | sealed | serving | keeps both: it goes on |
//! | all of it durable, control included | old | sealed | serving | the same |
//! | link renamed, folder synced: *the cut-over* | new | sealed | serving | marks both |
//! | new marked | new | serving | serving | marks the old one |
//! | old marked | new | serving | retired | nothing |
//!
//! In each line the link alone says which one is served. A rollback begins with the retired one marked `sealed`, and
//! ends in the same way.

use rusqlite::{Connection, TransactionBehavior};

use super::control::Control;
use super::layout::{Build, Folder, Generation};
use super::state::{self, State};
use super::step::Step;
use super::writer::Store;
use super::{Error, bulk};
use crate::clock;

impl Folder {
    /// Makes the generation after all others, empty: nobody is served by it until [`Folder::cut_over`].
    pub fn make_next(&self, build: &Build<'_>) -> Result<Generation, Error> {
        let next = self.next_number()?;
        self.make(next, |folder| self.fill(folder, next, build, State::Building))?;
        Ok(next)
    }

    /// Serves `new` instead of `old`; None: nothing was served. What `new` is told to do from then on, its control, is
    /// the caller's to set before; the order that it was built by ends here.
    ///
    /// After an error `old` is served, unless it is [`Error::Unknown`]: then the next start finds what is true.
    pub fn cut_over(&self, old: Option<&Store>, new: &mut Store) -> Result<(), Error> {
        let generation = new.checkpoint().generation;
        if old.is_some_and(|old| old.checkpoint().has_been_live) {
            new.mark_live()?;
        }
        // Its log exists from here on, and outlives its writer; with this all of it is synced.
        bulk::remove_mark(&self.database(generation))?;
        new.set_control(Control { order: None, ..new.control().clone() })?;
        self.steps().reached(Step::Durable);
        self.link(generation)?;
        // It is done. What is said of it can be said again by the next start.
        if let Err(error) = self.mark_both(old, new) {
            tracing::warn!(%error, "mark the generations");
        }
        Ok(())
    }

    /// Takes a retired generation to be served again: it follows the stream as a sealed one does.
    pub fn revive(&self, generation: Generation) -> Result<(), Error> {
        self.write(generation, |connection| state::mark(connection, State::Sealed))
    }

    /// Removes a generation that was not finished; one that was once served is retired again. Its store is closed.
    pub fn discard(&self, generation: Generation) {
        let discard = || {
            let stored = self.stored(generation);
            if stored.is_ok_and(|stored| stored.retired_at.is_some()) {
                let current = self.current()?;
                return self.write(generation, |connection| {
                    state::retire(connection, current, clock::now())
                });
            }
            self.remove(generation)
        };
        if let Err(error) = discard() {
            tracing::warn!(%error, "discard an unfinished generation");
        }
    }

    fn mark_both(&self, old: Option<&Store>, new: &Store) -> Result<(), Error> {
        let generation = new.checkpoint().generation;
        new.execute(|connection| state::mark(connection, State::Serving))?;
        self.steps().reached(Step::MarkedServing);
        if let Some(old) = old {
            old.execute(|connection| state::retire(connection, Some(generation), clock::now()))?;
            self.steps().reached(Step::MarkedRetired);
        }
        Ok(())
    }

    /// Writes to a generation that no store has open.
    pub(super) fn write(
        &self,
        generation: Generation,
        write: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let (mut connection, path) = self.open_marks(generation)?;
        let written = || {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            write(&transaction)?;
            transaction.commit()
        };
        written().map_err(|error| Error::sqlite(&path, error))
    }
}
