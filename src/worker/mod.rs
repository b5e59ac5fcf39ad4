//! One projection's loop: take what has been read, fold it, commit it.
//!
//! Runs on a thread of its own and is the only writer of its view. Batches form by themselves: whatever was read while
//! the last one was being committed, up to `batch_events_max`. The loop ends only between batches, so the checkpoint
//! never runs ahead of the rows.
//!
//! | what happens | what the loop does |
//! |---|---|
//! | an event breaks a rule | the definition's policy: set aside, skip, or halt before it |
//! | a fold or a flush fails on a row | the same chunks again, exactly |
//! | disk full | `degraded`, the same chunks again after a pause that doubles |
//! | damaged file, stale writer | `failed`: the view is served as it stands |
//! | a write or sync of unknown outcome | ends the process (74): a restart finds what is true |
//! | the reader gives a fault | what the policy says: `failed` with its reason, on past a gap, a build (see `mend`) |
//! | `failed`, paused, frozen | the loop stays, with its store, for what sets it going again |
//! | a fence for the full-text indexes is due | what is committed is made durable and handed over (see `fences`) |
//! | a successor asks to meet it | both come to one sequence; then it may go on with the successor (see `meet`) |
//! | cancelled | the batch in hand is committed, the indexes take it, then the loop ends |

mod assemble;
pub mod batch;
pub mod bulk;
pub mod command;
pub mod common;
pub mod fences;
mod gather;
mod histograms;
pub mod meet;
mod mend;
pub mod numbers;
mod rate;
pub mod recipe;
pub mod shared;
mod stand;
pub mod successor;

use std::collections::VecDeque;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use self::batch::{Batcher, Done, Stop};
use self::command::Command;
use self::common::Common;
use self::fences::Fences;
use self::gather::{Gathered, gather, put_back};
use self::histograms::Histograms;
use self::mend::{Failed, Mending};
use self::numbers::Sight;
use self::recipe::Recipe;
use self::shared::{Shared, Stand};
use self::stand::Awaited;
use crate::beat::Stage;
use crate::budget::Ticket;
use crate::clock;
use crate::event::chunk::Chunk;
use crate::event::time::Timestamp;
use crate::lag::Watch;
use crate::source::Delivery;
use crate::source::accept::Look;
use crate::source::feed::Feed;
use crate::source::queue::ReceiveError;
use crate::source::status::Recreate;
use crate::status::{Reason, State};
use crate::store::Error as StoreError;
use crate::store::layout::Folder;
use crate::store::writer::Store;

// How long an idle loop waits before it looks at its state again: fine for a person, nothing for a processor.
const IDLE: Duration = Duration::from_millis(100);
// After a full disk: 100 ms, doubled up to 10 s. Space comes back by hand or by rotation, in seconds at best.
const FULL_PAUSE_MIN: Duration = Duration::from_millis(100);
const FULL_PAUSE_MAX: Duration = Duration::from_secs(10);

/// What a worker needs.
pub struct Worker {
    pub recipe: Arc<Recipe>,
    pub store: Store,
    /// For its full-text indexes.
    pub fences: Fences,
    /// The store's part in the memory budget.
    pub ticket: Ticket,
    /// Where its generations are.
    pub folder: Folder,
    pub feed: Feed,
    pub watch: Watch,
    pub look: Look,
    pub commands: mpsc::Receiver<Command>,
    pub shared: Arc<Shared>,
    pub common: Arc<Common>,
    pub begin: Begin,
}

/// What a worker begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It reads, unless it is paused.
    Read,
    /// Its generation was built by another engine, which gives other rows: it is served and stands still.
    Frozen,
    /// It has failed before it began: nothing of it is run.
    Failed(Stop),
}

/// How a worker ended.
#[derive(Debug)]
pub enum End {
    /// Cancelled.
    Stopped,
    /// The outcome of a write is unknown: the process must end.
    Fatal(StoreError),
}

/// Runs until cancelled.
pub fn run(worker: Worker) -> End {
    let mut running = Loop::new(worker);
    running.begin();
    let end = running.run();
    // Nothing more is written through a handle that has failed: the next start counts this end.
    if matches!(end, End::Stopped) && !running.is_corrupt() {
        running.end_run();
        if let Err(error) = running.end_fences() {
            return End::Fatal(error);
        }
    }
    end
}

struct Loop {
    name: String,
    worker: Worker,
    batcher: Batcher,
    /// What was delivered and is not applied yet: a batch ended before it.
    left: VecDeque<Delivery>,
    /// Why it stands still, while it does, other than by a failure.
    stand: Option<Stand>,
    /// Why it has failed, while it has.
    failed: Option<Failed>,
    /// Who waits for one sequence, at which a batch ends.
    awaited: Option<Awaited>,
    /// Builds in a row that it asked for and that came to nothing.
    given_up: u32,
    cache_bytes: u64,
    histograms: Histograms,
    /// When the stream stored the last message that was scanned, applied or not.
    scanned_at: Option<Timestamp>,
}

/// What one batch led to.
enum Batched {
    Committed,
    Failed(Stop),
    Cancelled,
    Fatal(StoreError),
}

impl Loop {
    fn new(worker: Worker) -> Self {
        let batcher = worker.recipe.batcher(worker.common.parked_events_max);
        let batcher = batcher.watched(Arc::clone(worker.shared.beat()));
        let name = worker.shared.name().to_owned();
        let histograms = Histograms::new(&worker.common.metrics, &name);
        Self {
            name,
            batcher,
            left: VecDeque::new(),
            stand: None,
            failed: None,
            awaited: None,
            given_up: 0,
            cache_bytes: 0,
            histograms,
            scanned_at: None,
            worker,
        }
    }

    fn begin(&mut self) {
        if let Err(error) = self.batcher.begin(&self.worker.store) {
            return self.stop(corrupt(&error));
        }
        match self.worker.begin.clone() {
            Begin::Failed(stop) => return self.stop(stop),
            Begin::Frozen => self.stand_still(Stand::Frozen),
            Begin::Read if self.worker.store.control().paused => self.stand_still(Stand::Paused),
            Begin::Read => {}
        }
        // Before anything is applied: what the indexes are held against is what was there.
        match self.fence() {
            Ok(()) => self.publish(0),
            Err(error) => self.stop(corrupt(&error)),
        }
    }

    fn run(&mut self) -> End {
        loop {
            if self.worker.common.shutdown.is_cancelled() {
                return End::Stopped;
            }
            let batched = match self.worker.commands.try_recv() {
                Ok(Command::Leave) => return End::Stopped,
                Ok(command) => self.obey(command),
                Err(_) => Batched::Committed,
            };
            let batched = match batched {
                Batched::Committed => self.step(),
                batched => batched,
            };
            match batched {
                Batched::Committed => {}
                Batched::Cancelled => return End::Stopped,
                Batched::Failed(stop) => self.stop(stop),
                Batched::Fatal(error) => return End::Fatal(error),
            }
        }
    }

    /// Takes what the stream brings next, or looks around where that is nothing.
    fn step(&mut self) -> Batched {
        self.share_memory();
        self.serve_awaited();
        if let Err(error) = self.fence() {
            return self.broken(error);
        }
        self.beat(if self.failed.is_some() { Stage::Failed } else { Stage::Idle });
        match self.next(self.worker.fences.idle(&self.worker.store, IDLE)) {
            Ok(Delivery::Chunk(chunk)) => {
                // A reader hands on nothing of a stream that it has not verified.
                self.mended();
                self.take(chunk)
            }
            Ok(Delivery::Fault(fault)) => self.fault(&fault),
            Err(ReceiveError::Timeout) if self.failed.is_some() => self.mend(),
            Err(ReceiveError::Timeout) => self.idle(),
            Err(ReceiveError::Closed) => {
                if !self.worker.common.shutdown.is_cancelled() && self.failed.is_none() {
                    self.stop(Stop {
                        reason: Reason::Stalled,
                        detail: "the reader of its stream has ended, which is a bug of viewd"
                            .to_owned(),
                        next: Some("restart viewd, and report it with the log".to_owned()),
                    });
                }
                Batched::Cancelled
            }
        }
    }

    /// Hands what is durable over to the indexes, if that is due.
    fn fence(&mut self) -> Result<(), StoreError> {
        if self.is_corrupt() {
            return Ok(());
        }
        // A disk may hang in that.
        if self.worker.fences.is_due(&self.worker.store) {
            self.beat(Stage::Commit);
        }
        let Worker { fences, store, .. } = &mut self.worker;
        fences.work(store)
    }

    /// Lets the indexes take what there is. What they could not is done by the next start.
    fn end_fences(&mut self) -> Result<(), StoreError> {
        let fences = std::mem::take(&mut self.worker.fences);
        match fences.end(&mut self.worker.store) {
            Err(error @ StoreError::Unknown { .. }) => Err(error),
            Err(error) => {
                tracing::warn!(projection = self.name, %error, "a last fence for the indexes");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What is left of the last delivery, or the next.
    fn next(&mut self, timeout: Duration) -> Result<Delivery, ReceiveError> {
        match self.left.pop_front() {
            Some(delivery) => Ok(delivery),
            None => self.worker.feed.recv_timeout(timeout),
        }
    }

    /// Forgets what has been read, and reads on from the checkpoint.
    fn restart(&mut self) {
        if self.stand.is_some() {
            return self.halt();
        }
        self.left.clear();
        self.worker.feed.restart(self.worker.store.checkpoint().position());
    }

    /// Forgets what has been read, and reads nothing.
    fn halt(&mut self) {
        self.left.clear();
        self.worker.feed.halt();
    }

    /// Keeps to its share of the memory, which is smaller while others are built.
    fn share_memory(&mut self) {
        let bytes = self.worker.common.budget.cache_bytes();
        if bytes != self.cache_bytes {
            self.cache_bytes = bytes;
            if let Err(error) = self.worker.store.set_cache(bytes) {
                tracing::warn!(projection = self.name, %error, "set the size of the page cache");
            }
        }
    }

    /// Marks that the process does not end at work. Why a projection was not run at all is not forgotten.
    fn end_run(&mut self) {
        if matches!(self.worker.begin, Begin::Failed(_)) {
            return;
        }
        if let Err(error) = self.worker.store.end_run() {
            tracing::warn!(projection = self.name, %error, "mark the clean end");
        }
    }

    fn is_corrupt(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.stop.reason == Reason::Corrupt)
    }

    /// Stands still until a person acts: nothing more is read.
    fn stop(&mut self, stop: Stop) {
        self.halt();
        self.fail(stop, Mending::Person);
    }

    /// Makes a batch of a chunk and what has been read since.
    fn take(&mut self, first: Arc<Chunk>) -> Batched {
        let checkpoint = self.worker.store.checkpoint();
        let batch_events_max = self.worker.common.batch_events_max;
        let chunks =
            match gather(first, &mut self.left, &self.worker.feed, checkpoint, batch_events_max) {
                Gathered::Chunks(chunks) => chunks,
                // Read by one reader after another had: it has been applied.
                Gathered::Old => return Batched::Committed,
                Gathered::Hole => return self.read_again(),
            };
        let batched = self.batch(&chunks);
        if matches!(batched, Batched::Committed) {
            // Somebody may wait for the sequence at which it ended.
            put_back(chunks, &mut self.left, self.worker.store.checkpoint().sequence);
        }
        batched
    }

    /// A chunk does not continue what has been committed: nothing of it is applied, and all that is missing is read,
    /// by a reader that verifies the stream first.
    #[cold]
    fn read_again(&mut self) -> Batched {
        let committed = self.worker.store.checkpoint().sequence;
        tracing::error!(projection = self.name, %committed, "what was read does not continue the view, reading again");
        self.worker.watch.reader.status().tally().count_recreate(Recreate::Hole);
        self.restart();
        Batched::Committed
    }

    /// Commits chunks, waiting for space if there is none.
    fn batch(&mut self, chunks: &[Arc<Chunk>]) -> Batched {
        let decoding = chunks.iter().map(|chunk| chunk.decoding()).sum::<Duration>();
        self.histograms.decode.observe(decoding.as_secs_f64());
        self.worker.shared.at_work(chunks.iter().find_map(|chunk| chunk.oldest()));
        let upto = self.awaited.as_ref().map(|awaited| awaited.sequence);
        let mut pause = FULL_PAUSE_MIN;
        loop {
            let head = self.worker.watch.verified_head();
            let shared = &self.worker.shared;
            let live = |sequence| shared.at_head(sequence, head);
            match self.batcher.take(&mut self.worker.store, chunks, upto, live, clock::now()) {
                Ok(done) => {
                    self.committed(&done);
                    let at = self.worker.store.checkpoint().sequence.next();
                    // A batch ends right before the message that stops the projection.
                    let stop = |stop: Stop| Stop {
                        detail: format!("message {at}: {}", stop.detail),
                        ..stop
                    };
                    return done.stop.map(stop).map_or(Batched::Committed, Batched::Failed);
                }
                Err(error @ (StoreError::Full { .. } | StoreError::Busy { .. })) => {
                    self.count_error(&error);
                    self.worker.shared.storage_full(Some((error.to_string(), error.hint())));
                    if !self.wait(pause) {
                        return Batched::Cancelled;
                    }
                    pause = (pause * 2).min(FULL_PAUSE_MAX);
                }
                Err(error) => return self.broken(error),
            }
        }
    }

    /// Updates everything that others see of a batch, together, after its commit.
    fn committed(&mut self, done: &Done) {
        self.histograms.apply.observe(done.apply.as_secs_f64());
        self.histograms.write.observe(done.committed.write.as_secs_f64());
        self.histograms.commit.observe(done.committed.commit.as_secs_f64());
        self.scanned_at = done.scanned_at;
        let counts = done.counts;
        let results =
            [counts.applied, counts.ignored, counts.dead_lettered, counts.parked, counts.skipped];
        for (counter, count) in self.histograms.results.iter().zip(results) {
            counter.inc_by(count);
        }
        if let Some(first) = done.dead_letters.first() {
            tracing::warn!(
                projection = self.name,
                dead_lettered = counts.dead_lettered,
                parked = counts.parked,
                skipped = counts.skipped,
                sequence = %first.sequence,
                reason = first.reason,
                "events set aside"
            );
        }
        if counts.sum() > 0 {
            self.histograms.batch.observe(counts.sum() as f64);
        }
        self.worker.shared.storage_full(None);
        let was_live = self.worker.shared.look(|numbers| numbers.state == State::Live);
        if let (Some(stored_at), true) = (done.stored_at, was_live) {
            let micros = clock::now().0.saturating_sub(stored_at.0).max(0);
            self.histograms.latency.observe(micros as f64 / 1e6);
        }
        self.publish(counts.sum());
    }

    fn idle(&mut self) -> Batched {
        // It may copy the log, and a disk may hang in that.
        self.beat(Stage::Commit);
        if let Err(error) = self.worker.store.idle() {
            return self.broken(error);
        }
        self.publish(0);
        let durable = self.worker.store.checkpoint().has_been_live;
        if !durable && self.worker.shared.look(|numbers| numbers.has_been_live) {
            // It was at the head before the head was known: no batch said so.
            return match self.worker.store.mark_live() {
                Ok(()) | Err(StoreError::Full { .. } | StoreError::Busy { .. }) => {
                    Batched::Committed
                }
                Err(error) => self.broken(error),
            };
        }
        Batched::Committed
    }

    fn broken(&self, error: StoreError) -> Batched {
        self.count_error(&error);
        match error {
            StoreError::Unknown { .. } => Batched::Fatal(error),
            error => Batched::Failed(corrupt(&error)),
        }
    }

    fn count_error(&self, error: &StoreError) {
        let kind = match error {
            StoreError::Full { .. } => "full",
            StoreError::Busy { .. } => "busy",
            StoreError::Unknown { .. } => "io",
            _ => "corrupt",
        };
        self.worker.common.metrics.storage_errors_total.with_label_values(&["sqlite", kind]).inc();
    }

    /// Shows what has been committed, and `events` for the rate.
    fn publish(&mut self, events: u64) {
        let store = &self.worker.store;
        let left = self.left.iter().find_map(|delivery| match delivery {
            Delivery::Chunk(chunk) => chunk.oldest(),
            Delivery::Fault(_) => None,
        });
        let oldest = left.or_else(|| self.worker.feed.oldest());
        let scanned_at = self.scanned_at;
        self.worker.fences.committed(store);
        self.worker.shared.update(&Sight::of(&self.worker.watch), |numbers| {
            numbers.take(store);
            numbers.oldest_queued = oldest;
            numbers.scanned_at = numbers.scanned_at.max(scanned_at);
            numbers.count(events);
        });
    }

    /// Tells the watchdog what comes next.
    fn beat(&self, stage: Stage) {
        self.worker.shared.beat().begin(stage, self.worker.store.checkpoint().sequence);
    }

    /// Waits; false if cancelled meanwhile.
    fn wait(&mut self, pause: Duration) -> bool {
        self.beat(Stage::Space);
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.worker.common.shutdown.is_cancelled() {
                return false;
            }
            match self.worker.commands.try_recv() {
                Ok(Command::Leave) => return false,
                Ok(command) => command.not_now(),
                Err(_) => std::thread::sleep(IDLE.min(pause)),
            }
        }
        true
    }
}

fn corrupt(error: &StoreError) -> Stop {
    Stop { reason: Reason::Corrupt, next: error.hint(), detail: error.to_string() }
}
