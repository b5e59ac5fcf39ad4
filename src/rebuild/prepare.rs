//! What is looked at before a generation is made: that nothing is forgotten (I11), and that there is room.

use std::time::{Duration, Instant};

use super::Build;
use super::end::End;
use super::operation::{Cause, Kind};
use crate::event::Sequence;
use crate::source::accept::{Found, Seen};
use crate::source::{Position, Reason};
use crate::store::Error as StoreError;
use crate::store::checkpoint::Checkpoint;
use crate::store::found::ROOM_LEFT_BYTES;
use crate::store::layout::{self, Generation};
use crate::store::stored;
use crate::store::writer::Store;
use crate::{clock, source};

/// Whoever waits for an answer hears after this long that the stream cannot be asked; who does not waits on.
const ASKED_FOR_MAX: Duration = Duration::from_secs(30);
const ASKED_EVERY: Duration = Duration::from_millis(500);

impl Build {
    /// Whether every message may be replayed, and up to which sequence there are any.
    pub(super) fn may_replay(&mut self) -> Result<Sequence, End> {
        let served = self.served_checkpoint()?;
        let position = served.as_ref().map(Checkpoint::position).unwrap_or_default();
        let seen = self.look(&position)?;
        let fault = match &seen.found {
            Found::Refused(fault) => Some(fault),
            _ => None,
        };
        if let Some(fault) = fault.filter(|fault| fault.reason == Reason::Retention) {
            return Err(End::failed(&fault.detail));
        }
        self.has_room()?;
        let position = position.sequence;
        self.of_one_stream = self.reads_what_is_served()
            && seen.first <= position.next()
            && matches!(seen.found, Found::Sound | Found::Gap { .. });
        let from = served.and_then(|served| served.from_sequence);
        if let Some(from) = from.filter(|_| !self.may_forget()) {
            if fault.is_some_and(|fault| fault.reason == Reason::SourceChanged) {
                let stream = &self.recipe.reading.stream;
                return Err(self.would_forget(format!(
                    "would forget: stream {stream} is another than the one that the serving generation was built from"
                )));
            }
            if seen.first > from {
                return Err(self.would_forget(format!(
                    "would forget: the stream now begins at {}, the serving generation began at {from}",
                    seen.first
                )));
            }
        }
        Ok(seen.last)
    }

    /// Whether the stream that it reads has the name of the one that is served from.
    pub(super) fn reads_what_is_served(&self) -> bool {
        let served = self.serving.as_ref().map(|serving| serving.shared.following());
        served.is_some_and(|served| served.stream() == self.recipe.reading.stream)
    }

    /// A policy and an operator may consent.
    pub(super) fn may_forget(&self) -> bool {
        self.order().forget || self.order().cause == Cause::Policy
    }

    pub(super) fn would_forget(&self, detail: String) -> End {
        if self.order().kind == Kind::Verify {
            return End::NotComparable { detail };
        }
        let next = Some(format!("viewd rebuild {} --forget", self.operation.projection));
        End::WouldForget { detail, next }
    }

    /// Of the generation that is served; None if there is none, or a damaged one.
    pub(super) fn served_checkpoint(&self) -> Result<Option<Checkpoint>, End> {
        if self.folder.current()?.is_none() {
            return Ok(None);
        }
        match stored::read(self.folder.path()) {
            Ok(stored) => Ok(Some(stored.checkpoint)),
            Err(StoreError::Corrupt { .. }) => Ok(None),
            // What the view knows must not be forgotten because it could not be asked.
            Err(error) => Err(error.into()),
        }
    }

    fn has_room(&self) -> Result<(), End> {
        let room = self.folder.room()?;
        let needed = room.serving_bytes + ROOM_LEFT_BYTES;
        if room.free_bytes >= needed {
            return Ok(());
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        Err(End::Failed {
            detail: format!(
                "a build needs as much room as the view it replaces: {} MiB, and {} MiB are free",
                mib(needed),
                mib(room.free_bytes)
            ),
            next: Some("make room on the device of data_dir, or `viewd gc`".to_owned()),
        })
    }

    /// A build that grows the disk full would stop the generation that is served: it ends before.
    pub(super) fn leaves_room(&self) -> Result<(), End> {
        if self.folder.room()?.free_bytes >= ROOM_LEFT_BYTES {
            return Ok(());
        }
        Err(End::Failed {
            detail: format!(
                "less than {} MiB are free: the rest is left to the generation that is served",
                ROOM_LEFT_BYTES >> 20
            ),
            next: Some("make room on the device of data_dir".to_owned()),
        })
    }

    /// Makes a generation that is nobody's yet.
    pub(super) fn make(
        &mut self,
        make: impl FnOnce(&layout::Folder, &layout::Build<'_>) -> Result<Generation, StoreError>,
    ) -> Result<Generation, End> {
        self.check()?;
        let generation = make(&self.folder, &self.recipe.build())?;
        self.generation = Some(generation);
        self.meter.is_of(generation.0);
        Ok(generation)
    }

    /// Copies the rows that are served.
    pub(super) fn copy(&mut self) -> Result<Generation, End> {
        self.has_room()?;
        let served = self.folder.current()?;
        let served = served.ok_or_else(|| End::failed("nothing is served that could be copied"))?;
        self.make(|folder, build| folder.reshape_next(served, build))
    }

    /// Opens a generation that was built before a restart.
    pub(super) fn open(&mut self, generation: Generation) -> Result<Store, End> {
        self.generation = Some(generation);
        self.meter.is_of(generation.0);
        self.keeps = true;
        let tables = &self.recipe.plan.definition().tables;
        Ok(Store::open(&self.folder, generation, tables, self.common.budget.cache_bytes())?)
    }

    /// Opens a generation that was served before, if the stream still holds what it lacks.
    pub(super) fn open_retired(&mut self, generation: Generation) -> Result<Store, End> {
        self.generation = Some(generation);
        self.folder.revive(generation)?;
        let mut store = self.open(generation)?;
        let name = &self.operation.projection;
        match self.look(&store.checkpoint().position())?.found {
            Found::Sound => {}
            Found::Gap { first, last } if self.order().now && self.order().accept_gap => {
                let missed = store.pass_gap(last, clock::now())?;
                tracing::warn!(projection = name, %first, %last, missed, "rolled back over a gap");
            }
            Found::Gap { first, last } => {
                return Err(End::Refused {
                    detail: format!(
                        "gap: the stream no longer holds {first} to {last}, which {generation} has not read"
                    ),
                    next: Some(format!("viewd rollback {name} --now --accept-gap")),
                });
            }
            Found::Restored(_) => {
                let detail = "the stream was restored since: the generation cannot follow it";
                return Err(End::Refused { detail: detail.to_owned(), next: None });
            }
            Found::Refused(source::Fault { detail, .. }) => {
                return Err(End::Refused { detail, next: None });
            }
        }
        Ok(store)
    }

    /// Looks at the stream, as long as somebody may wait for that.
    fn look(&self, position: &Position) -> Result<Seen, End> {
        let begun = Instant::now();
        loop {
            self.check()?;
            match self.reading.look.take(position, &self.operation.cancel) {
                Ok(seen) => return Ok(seen),
                Err(error) => {
                    let waits = self.order().cause != Cause::Command;
                    if !waits && begun.elapsed() > ASKED_FOR_MAX {
                        return Err(End::failed(format!("the stream cannot be asked: {error}")));
                    }
                    std::thread::sleep(ASKED_EVERY);
                }
            }
        }
    }
}
