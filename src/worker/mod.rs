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
//! | the reader gives a fault | what the policy says: `failed` with its reason, on past a gap, a build (see `mend`, `build`) |
//! | `failed` | the loop stays, with its store, for what mends it |
//! | cancelled | the batch in hand is committed, then the loop ends |

mod assemble;
pub mod batch;
pub mod beat;
mod build;
pub mod bulk;
pub mod command;
mod mend;
pub mod numbers;
mod rate;
pub mod shared;

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter};
use tokio_util::sync::CancellationToken;

use self::batch::{Batcher, Done, Stop};
use self::beat::Stage;
use self::build::Building;
use self::command::Command;
use self::mend::{Failed, Mending};
use self::numbers::Sight;
use self::shared::Shared;
use crate::clock;
use crate::definition::fingerprint::Fingerprint;
use crate::event::chunk::Chunk;
use crate::event::time::Timestamp;
use crate::expression::Expression;
use crate::lag::Watch;
use crate::metrics::Metrics;
use crate::projection::plan::Plan;
use crate::source::accept::Look;
use crate::source::feed::Feed;
use crate::source::queue::ReceiveError;
use crate::source::status::Recreate;
use crate::source::{CHUNK_MESSAGES_MAX, Delivery, Position};
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
    pub plan: Arc<Plan>,
    pub order_key: Option<Arc<Expression>>,
    pub batch_events_max: usize,
    pub parked_events_max: u64,
    pub store: Store,
    /// Where its generations are.
    pub folder: Folder,
    /// Of a store.
    pub cache_bytes: u64,
    /// What a new generation is built by.
    pub fingerprint: Fingerprint,
    pub feed: Feed,
    pub look: Look,
    pub commands: mpsc::Receiver<Command>,
    pub shared: Arc<Shared>,
    pub watch: Watch,
    pub metrics: Arc<Metrics>,
    pub shutdown: CancellationToken,
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
    match running.batcher.begin(&running.worker.store) {
        Ok(()) => running.publish(0),
        Err(error) => running.stop(corrupt(&error)),
    }
    let end = running.run();
    // Nothing more is written through a handle that has failed: the next start counts this end.
    if matches!(end, End::Stopped) && !running.is_corrupt() {
        running.end_run();
    }
    end
}

struct Loop {
    name: String,
    worker: Worker,
    batcher: Batcher,
    /// Why it stands still, while it does.
    failed: Option<Failed>,
    /// What is being filled instead of the store, while it has failed.
    build: Option<Building>,
    /// Builds in a row that came to nothing.
    given_up: u32,
    histograms: Histograms,
    /// When the stream stored the last message that was scanned, applied or not.
    scanned_at: Option<Timestamp>,
}

struct Histograms {
    batch: Histogram,
    decode: Histogram,
    apply: Histogram,
    write: Histogram,
    commit: Histogram,
    latency: Histogram,
    results: [IntCounter; 5],
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
        let name = worker.plan.definition().name.clone();
        let plan = Arc::clone(&worker.plan);
        let batcher = Batcher::new(plan, worker.order_key.clone(), worker.parked_events_max)
            .watched(Arc::clone(worker.shared.beat()));
        let histograms = Histograms::new(&worker.metrics, &name);
        Self {
            name,
            batcher,
            failed: None,
            build: None,
            given_up: 0,
            histograms,
            scanned_at: None,
            worker,
        }
    }

    fn run(&mut self) -> End {
        loop {
            if self.worker.shutdown.is_cancelled() {
                return End::Stopped;
            }
            let command = self.worker.commands.try_recv();
            let batched = command.map_or(Batched::Committed, |command| self.obey(command));
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
        self.beat(if self.failed.is_some() { Stage::Failed } else { Stage::Idle });
        match self.worker.feed.recv_timeout(IDLE) {
            Ok(Delivery::Chunk(chunk)) => {
                if self.build.is_none() {
                    // A reader hands on nothing of a stream that it has not verified.
                    self.mended();
                }
                self.take(chunk)
            }
            Ok(Delivery::Fault(fault)) => self.fault(&fault),
            Err(ReceiveError::Timeout) if self.failed.is_some() => self.mend(),
            Err(ReceiveError::Timeout) => self.idle(),
            Err(ReceiveError::Closed) => {
                if !self.worker.shutdown.is_cancelled() && self.failed.is_none() {
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

    /// Marks that the process does not end at work.
    fn end_run(&mut self) {
        if let Err(error) = self.worker.store.end_run() {
            tracing::warn!(projection = self.name, %error, "mark the clean end");
        }
    }

    fn is_corrupt(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.stop.reason == Reason::Corrupt)
    }

    /// Stands still until a person acts: nothing more is read.
    fn stop(&mut self, stop: Stop) {
        self.worker.feed.halt();
        self.fail(stop, Mending::Person);
    }

    /// Makes a batch of a chunk and what has been read since.
    fn take(&mut self, first: Arc<Chunk>) -> Batched {
        // Messages that a `transform` dropped count as well: a batch of nothing else has to end too.
        let size = |chunk: &Chunk| chunk.len().max(chunk.messages() as usize);
        let committed = self.filled().checkpoint().sequence;
        if first.after() > committed || self.is_foreign(&first) {
            return self.read_again(&first);
        }
        if first.scanned_to() <= committed {
            // Read by one reader after another had: it has been applied.
            return Batched::Committed;
        }
        let mut events = size(&first);
        let mut position = first.scanned_to();
        let mut chunks = vec![first];
        let (mut fault, mut hole) = (None, None);
        // As long as the largest chunk still fits.
        let chunk_events_max = CHUNK_MESSAGES_MAX.min(self.worker.batch_events_max);
        while events + chunk_events_max <= self.worker.batch_events_max {
            match self.worker.feed.try_recv() {
                Ok(Delivery::Chunk(chunk))
                    if chunk.after() > position || self.is_foreign(&chunk) =>
                {
                    hole = Some(chunk);
                    break;
                }
                Ok(Delivery::Chunk(chunk)) if chunk.scanned_to() <= position => {}
                Ok(Delivery::Chunk(chunk)) => {
                    events += size(&chunk);
                    position = position.max(chunk.scanned_to());
                    chunks.push(chunk);
                }
                Ok(Delivery::Fault(found)) => {
                    fault = Some(found);
                    break;
                }
                Err(_) => break,
            }
        }
        match (self.batch(&chunks), fault, hole) {
            (Batched::Committed, Some(fault), _) => self.fault(&fault),
            (Batched::Committed, None, Some(chunk)) => self.read_again(&chunk),
            (batched, ..) => batched,
        }
    }

    /// Whether a chunk is of another stream than what has been committed.
    fn is_foreign(&self, chunk: &Chunk) -> bool {
        let known = self.filled().checkpoint().stream_created_ns;
        let other =
            |created_ns| chunk.origin().is_some_and(|origin| origin.created_ns != created_ns);
        known.is_some_and(other)
    }

    /// A chunk does not continue what has been committed: nothing of it is applied, and all that is missing is read,
    /// by a reader that verifies the stream first.
    #[cold]
    fn read_again(&mut self, chunk: &Chunk) -> Batched {
        let position = self.position();
        let (committed, after) = (position.sequence, chunk.after());
        tracing::error!(projection = self.name, %committed, %after, "what was read does not continue the view, reading again");
        self.worker.watch.reader.status().tally().count_recreate(Recreate::Hole);
        self.worker.feed.restart(position);
        Batched::Committed
    }

    /// The store that what is read goes to.
    fn filled(&self) -> &Store {
        self.build.as_ref().map_or(&self.worker.store, |build| &build.store)
    }

    /// Where reading goes on from.
    fn position(&self) -> Position {
        self.filled().checkpoint().position()
    }

    /// Commits chunks, waiting for space if there is none.
    fn batch(&mut self, chunks: &[Arc<Chunk>]) -> Batched {
        if self.build.is_some() {
            return self.build_batch(chunks);
        }
        let decoding = chunks.iter().map(|chunk| chunk.decoding()).sum::<Duration>();
        self.histograms.decode.observe(decoding.as_secs_f64());
        self.worker.shared.at_work(chunks.iter().find_map(|chunk| chunk.oldest()));
        let mut pause = FULL_PAUSE_MIN;
        loop {
            let head = self.worker.watch.verified_head();
            let shared = &self.worker.shared;
            let live = |sequence| shared.at_head(sequence, head);
            match self.batcher.take(&mut self.worker.store, chunks, live, clock::now()) {
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
        let was_live = self.worker.shared.numbers().state == State::Live;
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
        if !durable && self.worker.shared.numbers().has_been_live {
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
        self.worker.metrics.storage_errors_total.with_label_values(&["sqlite", kind]).inc();
    }

    /// Shows what has been committed, and `events` for the rate.
    fn publish(&mut self, events: u64) {
        let store = &self.worker.store;
        // What a build reads says nothing of how far behind the served generation is.
        let oldest = if self.build.is_some() { None } else { self.worker.feed.oldest() };
        let scanned_at = self.scanned_at;
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
    fn wait(&self, pause: Duration) -> bool {
        self.beat(Stage::Space);
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.worker.shutdown.is_cancelled() {
                return false;
            }
            std::thread::sleep(IDLE.min(pause));
        }
        true
    }
}

fn corrupt(error: &StoreError) -> Stop {
    Stop { reason: Reason::Corrupt, next: error.hint(), detail: error.to_string() }
}

impl Histograms {
    fn new(metrics: &Metrics, projection: &str) -> Self {
        let result = |index: usize| {
            let result = crate::metrics::RESULTS[index];
            metrics.projection_events_total.with_label_values(&[projection, result])
        };
        Self {
            batch: metrics.projection_batch_events.with_label_values(&[projection]),
            decode: metrics.stage(projection, "decode"),
            apply: metrics.stage(projection, "apply"),
            write: metrics.stage(projection, "write"),
            commit: metrics.stage(projection, "commit"),
            latency: metrics.projection_end_to_end_latency_seconds.with_label_values(&[projection]),
            results: std::array::from_fn(result),
        }
    }
}
