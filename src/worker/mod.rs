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
//! | the reader gives a fault | `failed` with the fault's reason |
//! | cancelled | the batch in hand is committed, then the loop ends |

mod assemble;
pub mod batch;
pub mod beat;
pub mod numbers;
mod rate;
pub mod shared;

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounter};
use tokio_util::sync::CancellationToken;

use self::batch::{Batcher, Done, Stop};
use self::beat::Stage;
use self::numbers::Sight;
use self::shared::Shared;
use crate::clock;
use crate::event::chunk::Chunk;
use crate::event::time::Timestamp;
use crate::expression::Expression;
use crate::lag::Watch;
use crate::metrics::Metrics;
use crate::projection::plan::Plan;
use crate::source::feed::Feed;
use crate::source::queue::ReceiveError;
use crate::source::status::Recreate;
use crate::source::{CHUNK_MESSAGES_MAX, Delivery, Fault, Position, Reason as FaultReason};
use crate::status::{Reason, State};
use crate::store::Error as StoreError;
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
    pub feed: Feed,
    pub shared: Arc<Shared>,
    pub watch: Watch,
    pub metrics: Arc<Metrics>,
    pub shutdown: CancellationToken,
}

/// How a worker ended.
#[derive(Debug)]
pub enum End {
    /// Cancelled, or failed in a way that leaves the daemon running: the shared state says which.
    Stopped,
    /// The outcome of a write is unknown: the process must end.
    Fatal(StoreError),
}

/// Runs until cancelled or failed.
pub fn run(worker: Worker) -> End {
    let mut running = Loop::new(worker);
    if let Err(error) = running.batcher.begin(&running.worker.store) {
        return running.failed(Stop {
            reason: Reason::Corrupt,
            next: error.hint(),
            detail: error.to_string(),
        });
    }
    running.publish(0);
    let end = running.run();
    // Nothing more is written through a handle that has failed: the next start counts this end.
    if matches!(end, End::Stopped)
        && let Err(error) = running.worker.store.end_run()
    {
        tracing::warn!(projection = running.name, %error, "mark the clean end");
    }
    end
}

struct Loop {
    name: String,
    worker: Worker,
    batcher: Batcher,
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
        Self { name, batcher, histograms, scanned_at: None, worker }
    }

    fn run(&mut self) -> End {
        loop {
            if self.worker.shutdown.is_cancelled() {
                return End::Stopped;
            }
            self.beat(Stage::Idle);
            let batched = match self.worker.feed.recv_timeout(IDLE) {
                Ok(Delivery::Chunk(chunk)) => self.take(chunk),
                Ok(Delivery::Fault(fault)) => self.fault(&fault),
                Err(ReceiveError::Timeout) => self.idle(),
                Err(ReceiveError::Closed) if self.worker.shutdown.is_cancelled() => {
                    return End::Stopped;
                }
                Err(ReceiveError::Closed) => Batched::Failed(Stop {
                    reason: Reason::Stalled,
                    detail: "the reader of its stream has ended, which is a bug of viewd"
                        .to_owned(),
                    next: Some("restart viewd, and report it with the log".to_owned()),
                }),
            };
            match batched {
                Batched::Committed => {}
                Batched::Cancelled => return End::Stopped,
                Batched::Failed(stop) => return self.failed(stop),
                Batched::Fatal(error) => return End::Fatal(error),
            }
        }
    }

    /// Makes a batch of a chunk and what has been read since.
    fn take(&mut self, first: Arc<Chunk>) -> Batched {
        // Messages that a `transform` dropped count as well: a batch of nothing else has to end too.
        let size = |chunk: &Chunk| chunk.len().max(chunk.messages() as usize);
        let committed = self.worker.store.checkpoint().sequence;
        if first.after() > committed {
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
                Ok(Delivery::Chunk(chunk)) if chunk.after() > position => {
                    hole = Some(chunk);
                    break;
                }
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

    /// Something between the checkpoint and a chunk never came: nothing of it is applied, and all of it read again.
    #[cold]
    fn read_again(&mut self, chunk: &Chunk) -> Batched {
        let position = self.position();
        let (committed, after) = (position.sequence, chunk.after());
        tracing::error!(projection = self.name, %committed, %after, "a hole between readers, reading again");
        self.worker.watch.reader.status().tally().count_recreate(Recreate::Hole);
        self.worker.feed.restart(position);
        Batched::Committed
    }

    /// Where reading goes on from.
    fn position(&self) -> Position {
        let checkpoint = self.worker.store.checkpoint();
        Position {
            sequence: checkpoint.sequence,
            created_ns: checkpoint.stream_created_ns,
            anchors: checkpoint.anchors.clone(),
        }
    }

    /// Commits chunks, waiting for space if there is none.
    fn batch(&mut self, chunks: &[Arc<Chunk>]) -> Batched {
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
                    return done.stop.map_or(Batched::Committed, Batched::Failed);
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

    fn fault(&self, fault: &Fault) -> Batched {
        if fault.reason == FaultReason::SourceChanged {
            self.worker
                .metrics
                .stream_identity_changes_total
                .with_label_values(&[self.worker.shared.stream()])
                .inc();
        }
        Batched::Failed(stop_of(fault, &self.name))
    }

    fn broken(&self, error: StoreError) -> Batched {
        self.count_error(&error);
        match error {
            StoreError::Unknown { .. } => Batched::Fatal(error),
            error => Batched::Failed(Stop {
                reason: Reason::Corrupt,
                next: error.hint(),
                detail: error.to_string(),
            }),
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

    fn failed(&mut self, stop: Stop) -> End {
        self.beat(Stage::Failed);
        tracing::error!(
            projection = self.name,
            reason = stop.reason.word(),
            detail = stop.detail,
            "projection failed"
        );
        self.worker.shared.fail(stop.reason, stop.detail, stop.next);
        self.publish(0);
        End::Stopped
    }

    /// Shows what has been committed, and `events` for the rate.
    fn publish(&mut self, events: u64) {
        let store = &self.worker.store;
        let oldest = self.worker.feed.oldest();
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

fn stop_of(fault: &Fault, projection: &str) -> Stop {
    let reason = match fault.reason {
        FaultReason::Gap { .. } => Reason::Gap,
        FaultReason::SourceChanged => Reason::SourceChanged,
        FaultReason::Retention => Reason::Retention,
        // No word of its own: what it reads from cannot be read.
        FaultReason::Unsupported => Reason::SourceUnreachable,
    };
    Stop {
        reason,
        detail: fault.detail.clone(),
        next: fault.next.map(|next| next.replace("{projection}", projection)),
    }
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
