//! The bulk phase, and the seal that ends it: from every message of the stream to a file that is fit to be served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Build;
use super::end::End;
use crate::beat::Stage;
use crate::budget;
use crate::clock;
use crate::event::Sequence;
use crate::source::convoy::Member;
use crate::source::feed::{Current, Feed};
use crate::source::queue::ReceiveError;
use crate::source::{Delivery, Position};
use crate::status::Phase;
use crate::store::Error as StoreError;
use crate::store::checkpoint::Checkpoint;
use crate::store::control::Control;
use crate::store::layout::Generation;
use crate::store::writer::Store;
use crate::worker::bulk::{Bulk, Taken};
use crate::worker::common::Reading;

/// So often it looks whether it is to end, where nothing comes.
const IDLE: Duration = Duration::from_millis(50);
/// With so many messages still to come the bulk phase goes on: they are read faster than in the next one.
const NEAR: u64 = 20_000;
const ROOM_LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// Another program holds the file for a moment.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// What the bulk phase reads from.
struct Messages {
    feed: Feed,
    current: Arc<Current>,
    /// Other builds read the same.
    together: bool,
}

impl Build {
    /// Replays the stream up to a sequence, and seals what comes of it.
    pub(super) fn fill(
        &mut self,
        generation: Generation,
        together: Option<Member>,
        target: Sequence,
    ) -> Result<Store, End> {
        let mut store = self.open_bulk(generation)?;
        self.meter.turns(Phase::Bulk);
        if target > Sequence(0) {
            let mut bulk = Bulk::new(
                Arc::clone(&self.recipe.plan),
                self.recipe.order_key.clone(),
                self.common.parked_events_max,
            )
            .watched(Arc::clone(&self.operation.beat));
            bulk.begin(&store)?;
            self.replay(&mut store, &mut bulk, together, target)?;
        }
        self.seal(store)
    }

    /// Seals a copy of the rows that are served.
    pub(super) fn seal_copy(&mut self, generation: Generation) -> Result<Store, End> {
        let store = self.open_bulk(generation)?;
        self.seal(store)
    }

    /// Opens it to be filled. What goes on after a restart goes on as it was asked for.
    fn open_bulk(&self, generation: Generation) -> Result<Store, End> {
        let tables = &self.recipe.plan.definition().tables;
        let searches = self.recipe.plan.searches();
        let cache_bytes = self.common.budget.cache_bytes();
        let mut store = Store::open_bulk(&self.folder, generation, tables, searches, cache_bytes)?;
        let order = Some(self.order_text());
        store.set_control(Control { order, ..Control::default() })?;
        Ok(store)
    }

    fn seal(&mut self, store: Store) -> Result<Store, End> {
        self.check()?;
        self.meter.turns(Phase::Sealing);
        let cache_bytes = self.common.budget.cache_bytes();
        let Checkpoint { generation, sequence, .. } = *store.checkpoint();
        let beat = Arc::clone(&self.operation.beat);
        let whole = store.complete(cache_bytes, &mut |part| {
            beat.begin(Stage::Commit, sequence);
            tracing::debug!(part, "seal");
        })?;
        self.make_indexes(generation, &whole)?;
        beat.begin(Stage::Commit, sequence);
        Ok(whole.seal(cache_bytes)?)
    }

    fn replay(
        &mut self,
        store: &mut Store,
        bulk: &mut Bulk,
        together: Option<Member>,
        mut target: Sequence,
    ) -> Result<(), End> {
        let mut messages = match together {
            Some(Member { feed, current }) => Messages { feed, current, together: true },
            None => self.messages(Position::default()),
        };
        let mut fold = self.common.budget.fold();
        let mut looked = Instant::now();
        let mut counted = false;
        while bulk.sequence() < target {
            self.check()?;
            if looked.elapsed() > ROOM_LOOKED_AT_EVERY {
                looked = Instant::now();
                self.leaves_room()?;
            }
            match messages.feed.recv_timeout(IDLE) {
                // What is served stands within it: the rest is for the next phase, which ends at any sequence.
                Ok(Delivery::Chunk(chunk))
                    if self.ceiling().is_some_and(|ceiling| chunk.scanned_to() > ceiling) =>
                {
                    break;
                }
                // Something is missing between two readers: it is read again, by one that verifies the stream first.
                Ok(Delivery::Chunk(chunk)) if chunk.after() > bulk.sequence() => {
                    bulk.flush(store, clock::now())?;
                    messages = self.messages(store.checkpoint().position());
                }
                Ok(Delivery::Chunk(chunk)) => {
                    if !counted {
                        counted = true;
                        let first =
                            chunk.origin().map_or(Sequence(1), |origin| origin.first_sequence);
                        self.meter.reads(first, target);
                    }
                    self.take(store, bulk, &mut fold, |bulk, store, fold_bytes_max| {
                        bulk.take(store, &chunk, fold_bytes_max, clock::now())
                    })?;
                    self.meter.is_at(bulk.sequence());
                    if bulk.sequence() >= target {
                        target = self.grown(target, bulk.sequence());
                    }
                }
                Ok(Delivery::Fault(fault)) => return Err(End::failed(fault.detail)),
                Err(ReceiveError::Timeout) => messages.current.status().request_advance(),
                Err(ReceiveError::Closed) if messages.together => {
                    // The reader that others had as well has ended: on with one of its own.
                    self.check()?;
                    bulk.flush(store, clock::now())?;
                    messages = self.messages(store.checkpoint().position());
                }
                Err(ReceiveError::Closed) => {
                    self.check()?;
                    return Err(End::failed(
                        "the reader of its stream has ended, which is a bug of viewd",
                    ));
                }
            }
        }
        self.take(store, bulk, &mut fold, |bulk, store, _| {
            bulk.flush(store, clock::now()).map(|()| Taken::Written)
        })
    }

    /// Folds or writes, again as long as another program holds the file.
    fn take(
        &self,
        store: &mut Store,
        bulk: &mut Bulk,
        fold: &mut budget::Fold,
        mut take: impl FnMut(&mut Bulk, &mut Store, usize) -> Result<Taken, StoreError>,
    ) -> Result<(), End> {
        loop {
            match take(bulk, store, fold.bytes_max(bulk.bytes())) {
                Ok(Taken::Folded | Taken::Written) => {
                    fold.bytes_max(bulk.bytes());
                    return Ok(());
                }
                Ok(Taken::Stopped(stop)) => {
                    return Err(self.stopped(bulk.sequence().next(), stop));
                }
                Err(StoreError::Busy { .. }) => {
                    self.check()?;
                    std::thread::sleep(BUSY_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Where the stream ends now, if that is so far that the bulk phase goes on.
    fn grown(&mut self, target: Sequence, at: Sequence) -> Sequence {
        let last = self.reading.head.stream.borrow().as_ref().map(|head| head.last_sequence);
        let last = last.filter(|last| last.0 > at.0 + NEAR);
        if let Some(last) = last {
            self.meter.aims_at(last);
        }
        last.unwrap_or(target)
    }

    fn messages(&self, position: Position) -> Messages {
        // With nobody else: the shared readers are those of live projections.
        let reading = Reading { share: None, ..self.reading.clone() };
        let (feed, watch) = reading.feed(position, &self.common);
        Messages { feed, current: watch.reader, together: false }
    }
}
