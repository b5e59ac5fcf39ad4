//! How one generation follows another: the next is built beside the one that is served, then the link is moved.
//!
//! | done so far | link | new | old | what the next start does after a crash here |
//! |---|---|---|---|---|
//! | made, filled | old | building | serving | removes the new one |
//! | sealed: all of it synced in one file | old | building | serving | removes the new one |
//! | link renamed, folder synced: *the cut-over* | new | building | serving | marks both |
//! | marked | new | serving | retired | nothing |
//!
//! In each line the link alone says which one is served. A retired generation stays.

use rusqlite::Connection;

use super::connection::{check_format, open_writer};
use super::layout::{Build, Folder, Generation};
use super::state::{self, State};
use super::writer::Store;
use super::{Error, stored};
use crate::clock;

/// For one row: no more than SQLite itself needs.
const CACHE_BYTES: u64 = 1 << 20;

impl Folder {
    /// Makes the generation after all others, empty: nobody is served by it until [`Folder::cut_over`].
    pub fn make_next(&self, build: &Build<'_>) -> Result<Generation, Error> {
        let newest = self.generations()?.into_iter().max();
        let next = Generation(newest.map_or(1, |newest| newest.0 + 1));
        self.make_beside(next, build, State::Building)?;
        Ok(next)
    }

    /// Serves `new` instead of `old`.
    ///
    /// After an error `old` is served, unless it is [`Error::Unknown`]: then the next start finds what is true.
    pub fn cut_over(&self, old: &Store, new: &mut Store) -> Result<(), Error> {
        let generation = new.checkpoint().generation;
        new.seal()?;
        self.link(generation)?;
        // It is done. What is said of it can be said again by the next start.
        let marked =
            new.execute(|connection| state::mark(connection, State::Serving)).and_then(|()| {
                old.execute(|connection| state::retire(connection, Some(generation), clock::now()))
            });
        if let Err(error) = marked {
            tracing::warn!(%error, "mark the generations");
        }
        Ok(())
    }

    /// Removes a generation that was not finished. Its store is closed.
    pub fn discard(&self, generation: Generation) {
        if let Err(error) = self.remove(generation) {
            tracing::warn!(%error, "remove an unfinished generation");
        }
    }

    /// Finishes what a crash left undone: called at the start, when nobody has any of the files open.
    pub(super) fn settle(&self, served: Generation) -> Result<(), Error> {
        if let Err(error) = self.remove_rest() {
            tracing::warn!(%error, "settle generations");
        }
        for generation in self.generations()? {
            // One that cannot be read is told where it is opened, and otherwise left to a person.
            let is_served = generation == served;
            let state = if is_served { self.shown_state(served) } else { self.state(generation) };
            let settled = match (state, is_served) {
                (Ok(State::Building), true) => {
                    self.mark(generation, |connection| state::mark(connection, State::Serving))
                }
                (Ok(State::Building), false) => self.remove(generation),
                (Ok(State::Serving), false) => self.mark(generation, |connection| {
                    state::retire(connection, Some(served), clock::now())
                }),
                _ => Ok(()),
            };
            if let Err(error) = settled {
                tracing::warn!(%error, "settle generations");
            }
        }
        Ok(())
    }

    /// As any reader sees it: the file is opened for writing soon enough.
    fn shown_state(&self, served: Generation) -> Result<State, Error> {
        Ok(stored::read_database(&self.database(served))?.state)
    }

    /// Opened for writing: a file that was left by a crash may be of no use to readers before that.
    fn state(&self, generation: Generation) -> Result<State, Error> {
        let path = self.database(generation);
        let connection = open_writer(&path, CACHE_BYTES)?;
        check_format(&connection, &path)?;
        let state = connection.query_row("SELECT state FROM _viewd_meta", (), |row| {
            Ok(State::of(&row.get::<_, String>(0)?))
        });
        state.map_err(|error| Error::sqlite(&path, error))
    }

    fn mark(
        &self,
        generation: Generation,
        mark: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let path = self.database(generation);
        let connection = open_writer(&path, CACHE_BYTES)?;
        mark(&connection).map_err(|error| Error::sqlite(&path, error))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::writer::tests::{batch, store, with_build};

    /// Makes the next generation and commits to it.
    fn next(data: &Path) -> Store {
        with_build(data, |folder, build| {
            let generation = folder.make_next(build).expect("a next generation");
            let mut store =
                Store::open(folder, generation, build.tables, 1 << 20).expect("a store");
            store.commit(batch(7, 0..2)).expect("committed");
            store
        })
    }

    /// Folders, the one that is served, and what each says of itself.
    fn found(data: &Path) -> (Generation, Vec<(u64, State, Option<Generation>)>) {
        let folder = Folder::new(data, "p");
        let served = folder.current().expect("a link").expect("a generation");
        let mut generations = folder.generations().expect("a folder");
        generations.sort();
        let each = generations.into_iter().map(|generation| {
            let stored = stored::read_database(&folder.database(generation)).expect("readable");
            (generation.0, stored.state, stored.successor)
        });
        (served, each.collect())
    }

    fn retired_and_serving() -> Vec<(u64, State, Option<Generation>)> {
        vec![(1, State::Retired, Some(Generation(2))), (2, State::Serving, None)]
    }

    #[test]
    fn one_generation_follows_another() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut old = store(data.path());
        old.commit(batch(3, 0..1)).expect("committed");
        let mut new = next(data.path());
        let folder = Folder::new(data.path(), "p");
        assert_eq!(folder.current().expect("a link"), Some(Generation(1)));
        folder.cut_over(&old, &mut new).expect("cut over");
        drop((old, new));
        assert_eq!(found(data.path()), (Generation(2), retired_and_serving()));
        // The next start finds nothing to do.
        assert_eq!(store(data.path()).checkpoint().sequence.0, 7);
        assert_eq!(found(data.path()), (Generation(2), retired_and_serving()));
        drop(next(data.path()));
        assert_eq!(found(data.path()).1.len(), 3, "a number is used once");
    }

    #[test]
    fn a_crash_at_any_step_leaves_one_serving_generation() {
        let serving_first = vec![(1, State::Serving, None)];
        for step in ["folder", "file", "made", "being removed", "sealed", "linked", "marked one"] {
            let data = tempfile::tempdir().expect("a temporary folder");
            let old = store(data.path());
            let folder = Folder::new(data.path(), "p");
            if step == "folder" || step == "file" {
                let made = folder.path().join(".unnamed-gen-000002");
                std::fs::create_dir(&made).expect("a folder");
                if step == "file" {
                    std::fs::write(made.join("view.db"), "").expect("an empty file");
                }
            } else {
                let mut new = next(data.path());
                if step == "made" {
                    // As a loss of power may leave it.
                    let index = folder.database(Generation(2)).with_extension("db-shm");
                    drop(new);
                    std::fs::remove_file(index).expect("removed");
                    drop(old);
                    assert_eq!(store(data.path()).checkpoint().generation, Generation(1));
                    assert_eq!(found(data.path()).1, serving_first);
                    continue;
                }
                if step == "being removed" {
                    let name = |name: &str| folder.path().join(name);
                    let renamed = std::fs::rename(name("gen-000002"), name(".unnamed-gen-000002"));
                    renamed.expect("renamed");
                } else {
                    new.seal().expect("sealed");
                }
                if step == "linked" || step == "marked one" {
                    folder.link(Generation(2)).expect("linked");
                }
                if step == "marked one" {
                    new.execute(|connection| state::mark(connection, State::Serving))
                        .expect("marked");
                }
            }
            drop(old);
            let served = store(data.path()).checkpoint().generation;
            let expected = match step {
                "linked" | "marked one" => (Generation(2), retired_and_serving()),
                _ => (Generation(1), serving_first.clone()),
            };
            assert_eq!((served, found(data.path())), (expected.0, expected), "after {step}");
            assert!(!folder.path().join(".unnamed-gen-000002").exists(), "after {step}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_to_a_person() {
        let data = tempfile::tempdir().expect("a temporary folder");
        drop(store(data.path()));
        let made = Folder::new(data.path(), "p").path().join("gen-000002");
        std::fs::create_dir(&made).expect("a folder");
        std::fs::write(made.join("view.db"), [7; 8192]).expect("a file");
        assert_eq!(store(data.path()).checkpoint().generation, Generation(1));
        assert!(made.join("view.db").exists());
    }
}
