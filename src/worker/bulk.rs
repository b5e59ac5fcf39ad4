//! Filling a new store: as many events a fold as memory allows.
//!
//! What makes a rebuild fast is that a row is written once however many events are about it, and that rows are written
//! in the order of their keys. A fold of a new store knows each of its rows: a key that was never written is absent. So
//! nothing is read, and an event that fails does so at once and alone. Once a fold has been written, those keys are
//! looked up that may be among the written ones.
//!
//! | what happens | what becomes of the fold |
//! |---|---|
//! | it is larger than allowed | it is written, up to the last whole message |
//! | an event breaks a rule | the event is undone and set aside |
//! | a policy stops the projection at an event | its message is undone; what came before is written |
//! | the disk is full, or another holds the file | it stays: the same call can be made again |
//! | the store fails otherwise | it is worth nothing, and neither is the store |

use std::sync::Arc;

use super::assemble::{Again, Assembled, Rules, Run, SetAside};
use super::batch::Stop;
use crate::beat::{Beat, Stage};
use crate::event::Sequence;
use crate::event::anchor::{Anchor, Origin};
use crate::event::chunk::Chunk;
use crate::event::time::Timestamp;
use crate::expression::Expression;
use crate::projection::ahead::Ahead;
use crate::projection::plan::Plan;
use crate::status::Counts;
use crate::store::Error;
use crate::store::batch::Batch;
use crate::store::writer::Store;

/// Fills a store by large folds.
pub struct Bulk {
    rules: Rules,
    /// As committed.
    set_aside: SetAside,
    /// What has been folded and not yet written.
    folded: Assembled,
    origin: Option<Origin>,
    /// Of the last chunk that was folded whole.
    anchor: Option<Anchor>,
    ahead: Ahead,
}

/// What became of a chunk.
#[derive(Debug)]
pub enum Taken {
    /// It has joined the fold.
    Folded,
    /// It has joined the fold, or a part of it has, and what was folded before is written.
    Written,
    /// A policy stops the projection before a message: before the one that follows [`Bulk::sequence`]. What came before
    /// is written.
    Stopped(Stop),
}

/// What there was before a message.
struct Before {
    counts: Counts,
    dead_letters: usize,
    letters_bytes: usize,
}

impl Bulk {
    pub fn new(
        plan: Arc<Plan>,
        order_key: Option<Arc<Expression>>,
        parked_events_max: u64,
    ) -> Self {
        let folded = Assembled::new(plan.fold(true), Sequence(0));
        Self {
            rules: Rules { plan, order_key, parked_events_max, beat: Arc::default() },
            set_aside: SetAside::default(),
            folded,
            origin: None,
            anchor: None,
            ahead: Ahead::default(),
        }
    }

    /// Tells its steps to whoever looks at `beat`.
    pub fn watched(mut self, beat: Arc<Beat>) -> Self {
        self.rules.beat = beat;
        self
    }

    /// Begins behind what the store holds; before its first chunk.
    pub fn begin(&mut self, store: &Store) -> Result<(), Error> {
        self.set_aside = SetAside::of(store)?;
        let checkpoint = store.checkpoint();
        // Rows come of messages alone.
        let fold = match checkpoint.messages {
            0 => self.rules.plan.fresh_fold(),
            _ => self.rules.plan.fold(true),
        };
        self.folded = Assembled::new(fold, checkpoint.sequence);
        Ok(())
    }

    /// Folds a chunk, of which what lies at or below [`Bulk::sequence`] is dropped. Whenever the fold has become larger
    /// than `fold_bytes_max` it is written.
    ///
    /// After [`Error::Full`] and [`Error::Busy`] the same chunk can be taken again; after any other error nothing can.
    pub fn take(
        &mut self,
        store: &mut Store,
        chunk: &Arc<Chunk>,
        fold_bytes_max: usize,
        now: Timestamp,
    ) -> Result<Taken, Error> {
        let mut taken = Taken::Folded;
        store.begin_batch()?;
        self.rules.beat.begin(Stage::Apply, self.sequence());
        self.origin = self.origin.or(chunk.origin());
        let mut after = self.sequence();
        let mut before = self.before();
        self.ahead.begin();
        let mut next = chunk.first_above(after);
        while let Some(event) = &mut next {
            let sequence = event.sequence();
            if event.part() == 0 {
                if self.is_full(fold_bytes_max) {
                    self.folded.scanned(chunk, after, Some(sequence));
                    after = self.sequence();
                    self.flush(store, now)?;
                    self.rules.beat.begin(Stage::Apply, after);
                    taken = Taken::Written;
                }
                self.folded.fold.begin_message(event.is_continued());
                before = self.before();
            }
            self.rules.beat.at(sequence);
            match self.run().event(event, store) {
                Ok(()) => {}
                Err(Again::Until(_, stop)) => {
                    self.undo(&before);
                    self.folded.scanned(chunk, after, Some(sequence));
                    self.flush(store, now)?;
                    return Ok(Taken::Stopped(stop));
                }
                Err(Again::Store(error)) => return Err(error),
                Err(Again::Exact) => unreachable!("this fold is exact"),
            }
            if !event.turn_to_next() {
                break;
            }
        }
        self.folded.scanned(chunk, after, None);
        self.anchor = chunk.anchor().or(self.anchor);
        if self.is_full(fold_bytes_max) {
            self.flush(store, now)?;
            taken = Taken::Written;
        }
        Ok(taken)
    }

    /// Writes what has been folded; nothing if that is no message and no move.
    pub fn flush(&mut self, store: &mut Store, now: Timestamp) -> Result<(), Error> {
        if self.sequence() == store.checkpoint().sequence {
            return Ok(());
        }
        self.rules.beat.begin(Stage::Commit, self.sequence());
        store.begin_batch()?;
        store.commit(Batch {
            sequence: self.folded.sequence,
            stored_at: self.folded.stored_at,
            messages: self.folded.messages,
            tables: Vec::new(),
            known: self.folded.fold.known(),
            dead_letters: &self.folded.dead_letters,
            counts: self.folded.counts,
            origin: self.origin,
            anchor: self.anchor,
            live: false,
            committed_at: now,
        })?;
        self.anchor = None;
        self.set_aside.blocked.extend(self.folded.blocked.drain());
        self.set_aside.count(store);
        let folded = &mut self.folded;
        folded.fold.written();
        folded.dead_letters = Vec::new();
        folded.letters_bytes = 0;
        folded.counts = Counts::default();
        folded.messages = 0;
        folded.stored_at = None;
        Ok(())
    }

    /// Everything up to here has been folded.
    pub fn sequence(&self) -> Sequence {
        self.folded.sequence
    }

    /// The memory that the fold holds.
    pub fn bytes(&self) -> usize {
        self.folded.fold.bytes() + self.folded.letters_bytes
    }

    /// How many messages have been folded and not yet written.
    pub fn messages(&self) -> u64 {
        self.folded.messages
    }

    fn is_full(&self, fold_bytes_max: usize) -> bool {
        // What has been written takes some memory for ever: a fold of nothing else is not worth a write.
        self.folded.counts.sum() > 0 && self.bytes() > fold_bytes_max
    }

    fn run(&mut self) -> Run<'_> {
        Run {
            rules: &self.rules,
            set_aside: &self.set_aside,
            ahead: &mut self.ahead,
            done: &mut self.folded,
        }
    }

    fn before(&self) -> Before {
        Before {
            counts: self.folded.counts,
            dead_letters: self.folded.dead_letters.len(),
            letters_bytes: self.folded.letters_bytes,
        }
    }

    /// Leaves no trace of the running message.
    #[cold]
    fn undo(&mut self, before: &Before) {
        self.folded.fold.roll_back_message();
        self.folded.counts = before.counts;
        self.folded.dead_letters.truncate(before.dead_letters);
        self.folded.letters_bytes = before.letters_bytes;
        // Keys that were blocked are those of letters.
        let letters = self.folded.dead_letters.iter();
        self.folded.blocked = letters.filter_map(|letter| letter.order_key.clone()).collect();
    }
}
