//! What a worker tells others: its projection's state and numbers, written once a batch, read by status and metrics.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::clock;
use crate::event::Sequence;
use crate::event::time::Timestamp;
use crate::lag::{Head, Lag, left_behind_after};
use crate::status::{Counts, Projection, Reason, State};
use crate::store::writer::Store;

/// One projection as others see it.
pub struct Shared {
    name: String,
    stream: String,
    lag_target: Duration,
    /// How old a reading of the head may be is three of these.
    head_poll: Duration,
    numbers: Mutex<Numbers>,
}

/// The numbers after the last batch; a reader takes them all at once.
#[derive(Clone, Debug)]
pub struct Numbers {
    pub state: State,
    pub reason: Option<Reason>,
    pub detail: Option<String>,
    pub next: Option<String>,
    pub generation: u64,
    pub sequence: Sequence,
    /// When the stream stored the last applied message.
    pub stored_at: Option<Timestamp>,
    /// When the stream stored the last message that was scanned, applied or not, in this run.
    pub scanned_at: Option<Timestamp>,
    /// When the stream stored the next message that is not applied, if it has been read.
    pub oldest_queued: Option<Timestamp>,
    pub counts: Counts,
    pub missed_sequences: u64,
    pub dead_letters: u64,
    pub oldest_dead_letter: Option<Timestamp>,
    pub parked_events: u64,
    pub events_per_second: f64,
    /// Copies of the write-ahead log in this run: full, partial, failed.
    pub log_copies: [u64; 3],
    /// When the checkpoint last moved, or was found at the head.
    pub progress: Timestamp,
    /// Whether it has been live in this generation, before or after a restart.
    pub has_been_live: bool,
}

impl Numbers {
    /// Of a view that has just been opened.
    pub fn of(store: &Store) -> Self {
        let mut numbers = Self {
            state: State::Starting,
            reason: None,
            detail: None,
            next: None,
            generation: 0,
            sequence: Sequence(0),
            stored_at: None,
            scanned_at: None,
            oldest_queued: None,
            counts: Counts::default(),
            missed_sequences: 0,
            dead_letters: 0,
            oldest_dead_letter: None,
            parked_events: 0,
            events_per_second: 0.0,
            log_copies: [0; 3],
            progress: clock::now(),
            has_been_live: false,
        };
        numbers.take(store);
        numbers
    }

    /// Takes what is committed.
    pub(super) fn take(&mut self, store: &Store) {
        let (checkpoint, totals) = (store.checkpoint(), store.totals());
        if checkpoint.sequence != self.sequence {
            self.progress = clock::now();
        }
        self.generation = checkpoint.generation.0;
        self.sequence = checkpoint.sequence;
        self.stored_at = checkpoint.event_time;
        self.counts = *store.counts();
        self.missed_sequences = checkpoint.missed_sequences;
        self.dead_letters = totals.dead;
        self.oldest_dead_letter = totals.oldest_stored_at;
        self.parked_events = totals.parked;
        let wal = store.wal();
        self.log_copies = [wal.complete, wal.partial, wal.failed];
        self.has_been_live |= checkpoint.has_been_live;
    }
}

impl Shared {
    pub fn new(
        name: &str,
        stream: &str,
        lag_target: Duration,
        head_poll: Duration,
        numbers: Numbers,
    ) -> Self {
        let numbers = Mutex::new(numbers);
        Self { name: name.to_owned(), stream: stream.to_owned(), lag_target, head_poll, numbers }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    pub fn lag_target(&self) -> Duration {
        self.lag_target
    }

    pub fn numbers(&self) -> Numbers {
        self.lock().clone()
    }

    /// Whether it serves what it promises: it has once been live, or it has failed, which is not for readiness to say.
    pub fn ready(&self) -> bool {
        let numbers = self.lock();
        numbers.has_been_live || numbers.state == State::Failed
    }

    /// Changes the numbers and, unless the projection has failed, derives its state from them, the head of the stream
    /// and what troubles the reader.
    pub fn update(
        &self,
        head: Option<Head>,
        trouble: Option<String>,
        change: impl FnOnce(&mut Numbers),
    ) {
        let mut numbers = self.lock();
        change(&mut numbers);
        if numbers.state == State::Failed {
            return;
        }
        let lag = self.lag(&numbers, head);
        if lag.is_some_and(|lag| lag.pending == 0) {
            numbers.has_been_live = true;
            numbers.progress = clock::now();
        }
        if numbers.reason == Some(Reason::StorageFull) {
            return;
        }
        let before = numbers.state;
        let state = match (trouble, lag) {
            (Some(trouble), _) => {
                numbers.reason = Some(Reason::SourceUnreachable);
                numbers.detail = Some(trouble);
                numbers.state = State::Degraded;
                return;
            }
            (None, Some(Lag { pending: 0, .. })) => State::Live,
            (None, Some(lag)) if before == State::Live => {
                let allowed = left_behind_after(self.lag_target).as_secs_f64();
                let behind = lag.seconds.is_some_and(|seconds| seconds > allowed);
                if behind { State::CatchingUp } else { State::Live }
            }
            // The head is unknown: what was known last stands until it is known again.
            (None, None) if before == State::Live => State::Live,
            (None, _) => State::CatchingUp,
        };
        (numbers.state, numbers.reason, numbers.detail, numbers.next) = (state, None, None, None);
        drop(numbers);
        if before != state {
            tracing::info!(projection = self.name, state = state.word(), "state");
        }
    }

    /// Whether a sequence is at the head, as far as that is known.
    pub(super) fn at_head(&self, sequence: Sequence, head: Option<Head>) -> bool {
        head.filter(|head| head.fresh(self.head_poll)).is_some_and(|head| sequence >= head.last)
    }

    /// Says that the projection has stopped until a person acts.
    pub fn fail(&self, reason: Reason, detail: String, next: Option<String>) {
        let mut numbers = self.lock();
        (numbers.state, numbers.reason, numbers.detail, numbers.next) =
            (State::Failed, Some(reason), Some(detail), next);
        numbers.events_per_second = 0.0;
    }

    /// Says that writing waits, with what is wrong and what mends it; `None` that it goes on.
    pub fn storage_full(&self, trouble: Option<(String, Option<String>)>) {
        let mut numbers = self.lock();
        match trouble {
            Some((detail, next)) => {
                (numbers.state, numbers.reason) = (State::Degraded, Some(Reason::StorageFull));
                (numbers.detail, numbers.next) = (Some(detail), next);
            }
            None if numbers.reason == Some(Reason::StorageFull) => {
                (numbers.state, numbers.reason, numbers.detail, numbers.next) =
                    (State::CatchingUp, None, None, None);
            }
            None => {}
        }
    }

    /// Its part of the report.
    pub fn report(&self, head: Option<Head>) -> Projection {
        let numbers = self.numbers();
        let head = head.filter(|head| head.fresh(self.head_poll));
        let lag = self.lag(&numbers, head);
        Projection {
            name: self.name.clone(),
            state: numbers.state,
            reason: numbers.reason,
            detail: numbers.detail,
            next: numbers.next,
            pinned: false,
            generation: numbers.generation,
            stream: self.stream.clone(),
            position: numbers.sequence.0,
            checkpoint_sequence: numbers.sequence.0,
            stream_first_sequence: head.map(|head| head.first.0),
            stream_last_sequence: head.map(|head| head.last.0),
            pending_messages: lag.map(|lag| lag.pending),
            lag_seconds: lag.and_then(|lag| lag.seconds),
            lag_target_seconds: self.lag_target.as_secs_f64(),
            events_per_second: (numbers.events_per_second * 10.0).round() / 10.0,
            counts: numbers.counts,
            missed_sequences: numbers.missed_sequences,
            dead_letters: numbers.dead_letters,
            parked_events: numbers.parked_events,
            rebuild: None,
            search: Vec::new(),
        }
    }

    fn lag(&self, numbers: &Numbers, head: Option<Head>) -> Option<Lag> {
        // The head of another stream says nothing of this view.
        let same = numbers.reason != Some(Reason::SourceChanged);
        let head = head.filter(|head| same && head.fresh(self.head_poll))?;
        Some(head.lag(
            numbers.sequence,
            numbers.oldest_queued.or(numbers.stored_at.max(numbers.scanned_at)),
        ))
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
