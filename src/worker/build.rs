//! A build beside the generation that is served, for policies that consent to forgetting: `rebuild`.
//!
//! The projection has failed and its view is served as it stands. The same worker fills a new generation from the first
//! message that the stream holds; when that has come to where the stream ended at the build's start, it is served
//! instead, and read on with. Until then nothing of the old generation changes, and a build that does not come to its
//! end is removed: by the worker where it gives up, by the next start where the process ended.
//!
//! A process that ends during a build counts as one that ended at work: an event that kills it leads to `crash_loop`,
//! not to builds for ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Batcher, Stop};
use super::beat::Stage;
use super::mend::Mending;
use super::{Batched, FULL_PAUSE_MAX, FULL_PAUSE_MIN, Loop};
use crate::clock;
use crate::event::Sequence;
use crate::event::chunk::Chunk;
use crate::source::Position;
use crate::source::accept::Seen;
use crate::status::{Phase, Rebuild};
use crate::store::Error as StoreError;
use crate::store::layout::Build;
use crate::store::stored;
use crate::store::writer::Store;

/// After a build that came to nothing: a second, doubled up to a minute, as each begins at the first message.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// A generation that is not served yet.
pub(super) struct Building {
    pub(super) store: Store,
    batcher: Batcher,
    /// Where the stream began and ended when the build began.
    first: Sequence,
    target: Sequence,
    begun: Instant,
}

impl Loop {
    /// Shows that a build is about to begin.
    pub(super) fn show_preparing(&self) {
        self.worker.shared.rebuilding(Some(Rebuild {
            generation: self.worker.store.checkpoint().generation.0 + 1,
            phase: Phase::Preparing,
            applied: 0,
            total: 0,
            messages_per_second: 0.0,
            seconds_left: None,
        }));
    }

    /// Begins to fill a new generation from the stream as it was seen.
    pub(super) fn begin_build(&mut self, seen: &Seen) -> Batched {
        match self.make(seen) {
            Ok(building) => {
                let generation = building.store.checkpoint().generation;
                tracing::info!(projection = self.name, %generation, target = %seen.last, "rebuild begins");
                self.build = Some(building);
                self.worker.feed.restart(Position::default());
                self.show_build();
                Batched::Committed
            }
            Err(error @ StoreError::Unknown { .. }) => Batched::Fatal(error),
            Err(error) => self.again(&error.to_string()),
        }
    }

    /// Applies chunks to the new generation, waiting for space if there is none.
    pub(super) fn build_batch(&mut self, chunks: &[Arc<Chunk>]) -> Batched {
        let mut pause = FULL_PAUSE_MIN;
        loop {
            let Some(build) = &mut self.build else { return Batched::Committed };
            // It is live when it is served.
            match build.batcher.take(&mut build.store, chunks, |_| false, clock::now()) {
                Ok(done) => match done.stop {
                    Some(stop) => return self.stopped(stop),
                    None => {
                        self.show_build();
                        return self.cut_over_if_there();
                    }
                },
                Err(error @ (StoreError::Full { .. } | StoreError::Busy { .. })) => {
                    self.count_error(&error);
                    if !self.wait(pause) {
                        return Batched::Cancelled;
                    }
                    pause = (pause * 2).min(FULL_PAUSE_MAX);
                }
                Err(error @ StoreError::Unknown { .. }) => return Batched::Fatal(error),
                Err(error) => return self.give_up(&error.to_string()),
            }
        }
    }

    /// Serves the new generation once it is as far as the stream was when the build began.
    pub(super) fn cut_over_if_there(&mut self) -> Batched {
        let there = |build: &Building| build.store.checkpoint().sequence >= build.target;
        // Of an empty stream nothing comes: that it is the one that was seen is known when it is verified.
        if !self.build.as_ref().is_some_and(there) || self.worker.watch.verified_head().is_none() {
            return Batched::Committed;
        }
        let Some(mut build) = self.build.take() else { return Batched::Committed };
        self.beat(Stage::Commit);
        match self.worker.folder.cut_over(&self.worker.store, &mut build.store) {
            Ok(()) => self.serve(build),
            Err(error @ StoreError::Unknown { .. }) => return Batched::Fatal(error),
            Err(error @ (StoreError::Full { .. } | StoreError::Busy { .. })) => {
                self.count_error(&error);
                // Tried again when the next messages come, or none for a moment.
                self.build = Some(build);
            }
            Err(error) => {
                self.build = Some(build);
                return self.give_up(&error.to_string());
            }
        }
        Batched::Committed
    }

    /// Removes a build that cannot go on. The fault that it was for comes back, if it still stands.
    pub(super) fn give_up(&mut self, why: &str) -> Batched {
        // What its reader brings is for the new generation alone.
        self.worker.feed.halt();
        self.discard();
        self.again(why)
    }

    fn again(&mut self, why: &str) -> Batched {
        let pause = AGAIN_MIN.saturating_mul(1 << self.given_up.min(6)).min(AGAIN_MAX);
        self.given_up += 1;
        tracing::warn!(projection = self.name, why, "rebuild given up, to be tried again");
        self.worker.shared.rebuilding(None);
        if let Some(failed) = &mut self.failed {
            failed.mending = Mending::Again(Instant::now() + pause);
        }
        Batched::Committed
    }

    /// An event has broken a rule by which the projection stops: another build would stop there too.
    fn stopped(&mut self, stop: Stop) -> Batched {
        self.discard();
        self.worker.feed.halt();
        self.worker.shared.rebuilding(None);
        let detail = format!("its rebuild stopped: {}", stop.detail);
        self.fail(Stop { detail, ..stop }, Mending::Person);
        Batched::Committed
    }

    fn discard(&mut self) {
        if let Some(build) = self.build.take() {
            let generation = build.store.checkpoint().generation;
            drop(build);
            self.worker.folder.discard(generation);
        }
    }

    fn make(&mut self, seen: &Seen) -> Result<Building, StoreError> {
        self.worker.store.begin_batch()?;
        let plan = &self.worker.plan;
        let definition = plan.definition();
        let folder = &self.worker.folder;
        let served = stored::read(folder.path())?;
        let generation = folder.make_next(&Build {
            projection: &definition.name,
            stream: self.worker.shared.stream(),
            definition: &definition.source.text,
            source: &served.source,
            engine: &served.engine,
            fingerprint: &self.worker.fingerprint,
            tables: &definition.tables,
            views: &definition.views,
        })?;
        let fill = || {
            let cache_bytes = self.worker.cache_bytes;
            let mut store = Store::open(folder, generation, &definition.tables, cache_bytes)?;
            store.begin_run()?;
            let order_key = self.worker.order_key.clone();
            let beat = Arc::clone(self.worker.shared.beat());
            let mut batcher =
                Batcher::new(Arc::clone(plan), order_key, self.worker.parked_events_max)
                    .watched(beat);
            batcher.begin(&store)?;
            Ok(Building {
                store,
                batcher,
                first: seen.first,
                target: seen.last,
                begun: Instant::now(),
            })
        };
        fill().inspect_err(|_| folder.discard(generation))
    }

    fn serve(&mut self, build: Building) {
        let Building { store, batcher, .. } = build;
        let generation = store.checkpoint().generation;
        self.worker.store = store;
        self.batcher = batcher;
        self.scanned_at = None;
        self.given_up = 0;
        tracing::info!(projection = self.name, %generation, "rebuild is served");
        self.failed = None;
        self.worker.shared.rebuilt(&self.worker.store);
        self.publish(0);
    }

    fn show_build(&self) {
        self.worker.shared.rebuilding(self.build.as_ref().map(Building::shown));
    }
}

impl Building {
    fn shown(&self) -> Rebuild {
        let checkpoint = self.store.checkpoint();
        let before = self.first.0.saturating_sub(1);
        let total = self.target.0.saturating_sub(before);
        let applied = checkpoint.sequence.0.saturating_sub(before).min(total);
        let seconds = self.begun.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 { applied as f64 / seconds } else { 0.0 };
        Rebuild {
            generation: checkpoint.generation.0,
            phase: Phase::Reading,
            applied,
            total,
            messages_per_second: rate,
            seconds_left: (rate > 0.0).then(|| (total - applied) as f64 / rate),
        }
    }
}
