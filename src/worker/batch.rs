//! From chunks to one committed batch, as often as it takes.
//!
//! Chunks are folded in the open way first. If that, or the flush, meets what depends on stored rows, the same chunks
//! are folded again exactly; if a policy ends the batch before one of its messages, once more up to there. The outcome
//! depends on the messages and the stored rows alone, so whoever cannot write now may try again later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assemble::{Again, Assembled, Rules, SetAside, assemble};
use crate::beat::{Beat, Stage};
use crate::event::Sequence;
use crate::event::chunk::Chunk;
use crate::event::time::Timestamp;
use crate::expression::Expression;
use crate::projection::plan::Plan;
use crate::status::{Counts, Reason};
use crate::store::Error;
use crate::store::batch::{Batch, Committed};
use crate::store::dead_letter::DeadLetter;
use crate::store::writer::Store;

/// Makes batches of one projection.
pub struct Batcher {
    rules: Rules,
    /// As committed.
    set_aside: SetAside,
}

/// A batch that was committed.
#[derive(Debug)]
pub struct Done {
    pub counts: Counts,
    /// Dead, parked and skipped events.
    pub dead_letters: Vec<DeadLetter>,
    /// When the stream stored its last message; None if it holds none.
    pub stored_at: Option<Timestamp>,
    /// When the stream stored the last message that was scanned, applied or not.
    pub scanned_at: Option<Timestamp>,
    /// Folding, every attempt.
    pub apply: Duration,
    pub committed: Committed,
    /// Why the projection stops after it.
    pub stop: Option<Stop>,
}

/// Why a projection stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub reason: Reason,
    pub detail: String,
    /// What mends it.
    pub next: Option<String>,
}

impl Batcher {
    pub fn new(
        plan: Arc<Plan>,
        order_key: Option<Arc<Expression>>,
        parked_events_max: u64,
    ) -> Self {
        let rules = Rules { plan, order_key, parked_events_max, beat: Arc::default() };
        Self { rules, set_aside: SetAside::default() }
    }

    /// Tells its steps to whoever looks at `beat`.
    pub fn watched(mut self, beat: Arc<Beat>) -> Self {
        self.rules.beat = beat;
        self
    }

    /// Learns what the store has set aside; before its first batch.
    pub fn begin(&mut self, store: &Store) -> Result<(), Error> {
        self.set_aside = SetAside::of(store)?;
        Ok(())
    }

    /// Folds and commits chunks, or only what of them lies at or below `upto`. `live` says whether a sequence is at the
    /// head of the stream.
    ///
    /// After an error nothing of them has been written.
    pub fn take(
        &mut self,
        store: &mut Store,
        chunks: &[Arc<Chunk>],
        upto: Option<Sequence>,
        live: impl Fn(Sequence) -> bool,
        committed_at: Timestamp,
    ) -> Result<Done, Error> {
        let (mut until, mut exact, mut stop) = (upto.map(Sequence::next), false, None);
        let mut apply = Duration::ZERO;
        loop {
            self.rules.beat.begin(Stage::Commit, store.checkpoint().sequence);
            store.begin_batch()?;
            let begun = Instant::now();
            let after = store.checkpoint().sequence;
            self.rules.beat.begin(Stage::Apply, after);
            let (rules, set_aside) = (&self.rules, &self.set_aside);
            let assembled = assemble(rules, set_aside, chunks, after, until, exact, store);
            apply += begun.elapsed();
            let written = match assembled {
                Ok(assembled) => self.write(store, chunks, assembled, &live, committed_at),
                Err(Again::Exact) => {
                    exact = true;
                    continue;
                }
                Err(Again::Until(sequence, found)) => {
                    until = Some(sequence);
                    stop = Some(found);
                    continue;
                }
                Err(Again::Store(error)) => Err(error),
            };
            match written {
                Ok(done) => return Ok(Done { apply, stop, ..done }),
                Err(Error::OnRow { .. }) if !exact => exact = true,
                Err(error) => return Err(error),
            }
        }
    }

    fn write(
        &mut self,
        store: &mut Store,
        chunks: &[Arc<Chunk>],
        mut assembled: Assembled,
        live: impl Fn(Sequence) -> bool,
        committed_at: Timestamp,
    ) -> Result<Done, Error> {
        self.rules.beat.begin(Stage::Commit, assembled.sequence);
        // Of chunks that overlap, not always the last one.
        let done = chunks.iter().filter(|chunk| chunk.scanned_to() <= assembled.sequence);
        let last = done.max_by_key(|chunk| chunk.scanned_to());
        let anchor = last.and_then(|chunk| chunk.anchor());
        let committed = store.commit(Batch {
            sequence: assembled.sequence,
            stored_at: assembled.stored_at,
            messages: assembled.messages,
            tables: assembled.fold.take_open(),
            known: assembled.fold.known(),
            dead_letters: &assembled.dead_letters,
            counts: assembled.counts,
            // Even of a batch that ends within its first chunk the stream is known.
            origin: chunks.iter().find_map(|chunk| chunk.origin()),
            anchor,
            live: live(assembled.sequence),
            committed_at,
        })?;
        self.set_aside.blocked.extend(assembled.blocked);
        self.set_aside.count(store);
        Ok(Done {
            counts: assembled.counts,
            dead_letters: assembled.dead_letters,
            stored_at: assembled.stored_at,
            scanned_at: anchor.map(|anchor| Timestamp::from_nanoseconds(anchor.stored_at_ns)),
            apply: Duration::ZERO,
            committed,
            stop: None,
        })
    }
}
