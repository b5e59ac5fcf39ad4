//! What a worker tells others: its projection's state and numbers, written once a batch, read by status and metrics.
//!
//! The state is derived, never set: from what is known to be wrong, from the head of the stream, and from what has been
//! committed. The worker does so with each batch, and the watchdog every second, so it does not stand still with a
//! worker that does. What stands higher in this table wins:
//!
//! | what is known | state |
//! |---|---|
//! | the worker has stopped | `failed`, with its reason |
//! | the worker's thread no longer moves | `failed`, `stalled` |
//! | there is no space to write | `degraded`, `storage_full` |
//! | the stream is not read, or its head is not known any more | `degraded`, `source_unreachable` |
//! | nothing is pending in the stream that was proved to be the right one | `live` |
//! | it was live, and the oldest unapplied message is young, or nothing is known of it | `live` |
//! | else | `catching_up` |

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::beat::Beat;
use super::rate::Rate;
use crate::clock;
use crate::event::Sequence;
use crate::event::time::Timestamp;
use crate::lag::{Head, Lag, Watch, left_behind_after};
use crate::status::{Counts, Projection, Reason, State};
use crate::store::writer::Store;

/// One projection as others see it.
pub struct Shared {
    name: String,
    stream: String,
    lag_target: Duration,
    /// How old a reading of the head may be is three of these.
    head_poll: Duration,
    beat: Arc<Beat>,
    numbers: Mutex<Numbers>,
    /// The checkpoint or the state has changed.
    moved: Notify,
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
    /// When the stream was created that the checkpoint is of; None before anything was read of it.
    pub created_ns: Option<i64>,
    /// When the stream stored the last applied message.
    pub stored_at: Option<Timestamp>,
    /// When the stream stored the last message that was scanned, applied or not, in this run.
    pub scanned_at: Option<Timestamp>,
    /// When the stream stored the next message that is not applied, if it has been read: of the batch at work, else of
    /// the queue.
    pub oldest_unapplied: Option<Timestamp>,
    /// The time of the last poll of the head at which nothing was pending: what is pending now is younger.
    pub caught_up_at: Option<Timestamp>,
    pub counts: Counts,
    pub missed_sequences: u64,
    pub dead_letters: u64,
    pub oldest_dead_letter: Option<Timestamp>,
    pub parked_events: u64,
    /// Copies of the write-ahead log in this run: full, partial, failed.
    pub log_copies: [u64; 3],
    /// When the checkpoint last moved, or was found at the head.
    pub progress: Timestamp,
    /// Whether it has been live in this generation, before or after a restart.
    pub has_been_live: bool,
    rate: Rate,
    /// What is wrong, as long as it is: the worker has stopped, stands still, waits for space.
    failure: Option<Said>,
    stall: Option<Said>,
    storage: Option<Said>,
}

/// A state that is not to be derived from the head, with its words.
#[derive(Clone, Debug)]
struct Said {
    state: State,
    reason: Reason,
    detail: String,
    next: Option<String>,
}

/// What can be seen of a projection's stream at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    pub head: Option<Head>,
    /// Whether the stream is proved to be the one that the checkpoint is of, and is being read.
    pub verified: bool,
    /// What has kept the stream from being read for a while.
    pub trouble: Option<String>,
}

// A poll that comes this much too late is not worth a word yet.
const BLIND_AFTER: Duration = Duration::from_secs(2);

impl Sight {
    pub fn of(watch: &Watch) -> Self {
        Self {
            head: watch.head(),
            verified: watch.reader.status().verified(),
            trouble: watch.trouble(),
        }
    }
}

impl Numbers {
    /// Of a view that has just been opened.
    pub fn of(store: &Store) -> Self {
        let mut numbers = Self::unknown();
        numbers.take(store);
        numbers
    }

    fn unknown() -> Self {
        Self {
            state: State::Starting,
            reason: None,
            detail: None,
            next: None,
            generation: 0,
            sequence: Sequence(0),
            created_ns: None,
            stored_at: None,
            scanned_at: None,
            oldest_unapplied: None,
            caught_up_at: None,
            counts: Counts::default(),
            missed_sequences: 0,
            dead_letters: 0,
            oldest_dead_letter: None,
            parked_events: 0,
            log_copies: [0; 3],
            progress: clock::now(),
            has_been_live: false,
            rate: Rate::new(Instant::now()),
            failure: None,
            stall: None,
            storage: None,
        }
    }

    /// Takes what is committed.
    pub(super) fn take(&mut self, store: &Store) {
        let (checkpoint, totals) = (store.checkpoint(), store.totals());
        if checkpoint.sequence != self.sequence {
            self.progress = clock::now();
        }
        self.generation = checkpoint.generation.0;
        self.sequence = checkpoint.sequence;
        self.created_ns = checkpoint.stream_created_ns;
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

    /// Counts events for the rate.
    pub(super) fn count(&mut self, events: u64) {
        self.rate.add(events, Instant::now());
    }

    /// Takes the worst of what is wrong as the state; false if nothing is.
    fn tell(&mut self) -> bool {
        let said = [&self.failure, &self.stall, &self.storage].into_iter().flatten().next();
        said.cloned().map(|said| self.say(said)).is_some()
    }

    /// Is in no state that was said; the next look at the stream derives the right one.
    fn recover(&mut self) {
        if !self.tell() {
            (self.state, self.reason, self.detail, self.next) =
                (State::CatchingUp, None, None, None);
        }
    }

    fn say(&mut self, said: Said) {
        (self.state, self.reason, self.detail, self.next) =
            (said.state, Some(said.reason), Some(said.detail), said.next);
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
        Self {
            name: name.to_owned(),
            stream: stream.to_owned(),
            lag_target,
            head_poll,
            beat: Arc::default(),
            numbers: Mutex::new(numbers),
            moved: Notify::new(),
        }
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

    /// What the worker's thread is at.
    pub fn beat(&self) -> &Arc<Beat> {
        &self.beat
    }

    pub fn numbers(&self) -> Numbers {
        self.lock().clone()
    }

    /// Whether it serves what it promises: it has once been live, or it has failed, which is not for readiness to say.
    pub fn ready(&self) -> bool {
        let numbers = self.lock();
        numbers.has_been_live || numbers.state == State::Failed
    }

    /// Changes the numbers and derives the state anew.
    pub fn update(&self, sight: &Sight, change: impl FnOnce(&mut Numbers)) {
        self.change(|numbers| {
            change(numbers);
            self.derive(numbers, sight);
        });
    }

    /// A batch is at work, whose oldest message the stream stored then.
    pub(super) fn at_work(&self, oldest: Option<Timestamp>) {
        self.lock().oldest_unapplied = oldest;
    }

    /// Whether a sequence is at the head, as far as that is known.
    pub(super) fn at_head(&self, sequence: Sequence, head: Option<Head>) -> bool {
        head.filter(|head| head.fresh(self.head_poll)).is_some_and(|head| sequence >= head.last)
    }

    /// Says that the projection has stopped until a person acts.
    pub fn fail(&self, reason: Reason, detail: String, next: Option<String>) {
        let said = Said { state: State::Failed, reason, detail, next };
        self.change(|numbers| {
            numbers.failure = Some(said);
            numbers.rate = Rate::new(Instant::now());
            numbers.tell();
        });
    }

    /// Takes a failure back: a person has acted, and the projection goes on.
    pub fn resume(&self) {
        self.change(|numbers| {
            numbers.failure = None;
            numbers.recover();
        });
    }

    /// Says that writing waits, with what is wrong and what mends it; `None` that it goes on.
    pub fn storage_full(&self, trouble: Option<(String, Option<String>)>) {
        let said = trouble.map(|(detail, next)| Said {
            state: State::Degraded,
            reason: Reason::StorageFull,
            detail,
            next,
        });
        self.change(|numbers| {
            let waited = std::mem::replace(&mut numbers.storage, said).is_some();
            if !numbers.tell() && waited {
                numbers.recover();
            }
        });
    }

    /// Says that the worker's thread stands still, with what mends it; `None` that it moves again.
    pub fn stalled(&self, stall: Option<(String, String)>) {
        let said = stall.map(|(detail, next)| Said {
            state: State::Failed,
            reason: Reason::Stalled,
            detail,
            next: Some(next),
        });
        self.change(|numbers| {
            let stood = std::mem::replace(&mut numbers.stall, said).is_some();
            if !numbers.tell() && stood {
                numbers.recover();
            }
        });
    }

    /// Waits until there is something to say of the numbers: looked at now, and whenever the checkpoint or the state
    /// has changed.
    pub async fn until<T>(&self, mut look: impl FnMut(&Numbers) -> Option<T>) -> T {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            // Counted as waiting before it looks, so what happens in between wakes it.
            moved.as_mut().enable();
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            moved.await;
        }
    }

    /// Lets whoever waits look again: something else than the numbers has changed.
    pub fn wake(&self) {
        self.moved.notify_waiters();
    }

    /// Its part of the report.
    pub fn report(&self, head: Option<Head>) -> Projection {
        let numbers = self.numbers();
        let head = head.filter(|head| head.fresh(self.head_poll));
        let lag = self.lag(&numbers, head);
        let rate = numbers.rate.at(Instant::now());
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
            events_per_second: (rate * 10.0).round() / 10.0,
            counts: numbers.counts,
            missed_sequences: numbers.missed_sequences,
            dead_letters: numbers.dead_letters,
            parked_events: numbers.parked_events,
            rebuild: None,
            search: Vec::new(),
        }
    }

    fn derive(&self, numbers: &mut Numbers, sight: &Sight) {
        let lag = self.lag(numbers, sight.head);
        let caught_up = sight.verified && lag.is_some_and(|lag| lag.pending == 0);
        if caught_up && numbers.failure.is_none() {
            numbers.has_been_live = true;
            numbers.progress = clock::now();
            numbers.caught_up_at = sight.head.map(|head| head.at);
        }
        if numbers.tell() {
            return;
        }
        if let Some(detail) = sight.trouble.clone().or_else(|| self.blind(sight.head)) {
            let (state, reason) = (State::Degraded, Reason::SourceUnreachable);
            return numbers.say(Said { state, reason, detail, next: None });
        }
        let state = if caught_up {
            State::Live
        } else if numbers.state == State::Live {
            // Nothing known of the lag: what was known last stands until it is known again.
            let allowed = left_behind_after(self.lag_target).as_secs_f64();
            let behind = lag.and_then(|lag| lag.seconds).is_some_and(|seconds| seconds > allowed);
            if behind { State::CatchingUp } else { State::Live }
        } else {
            State::CatchingUp
        };
        (numbers.state, numbers.reason, numbers.detail, numbers.next) = (state, None, None, None);
    }

    /// What there is to say of a head that was once read and is not any more, without anybody having met an error.
    fn blind(&self, head: Option<Head>) -> Option<String> {
        let head = head.filter(|head| {
            !head.fresh(self.head_poll)
                && !Head { age: head.age.saturating_sub(BLIND_AFTER), ..*head }
                    .fresh(self.head_poll)
        })?;
        let (stream, seconds) = (&self.stream, head.age.as_secs());
        Some(format!("the head of stream {stream} was last read {seconds} s ago"))
    }

    fn lag(&self, numbers: &Numbers, head: Option<Head>) -> Option<Lag> {
        let head = head.filter(|head| head.fresh(self.head_poll))?;
        // The head of another stream says nothing of this view.
        let same = numbers.created_ns.is_none_or(|created| created == head.created_ns)
            && numbers.failure.as_ref().is_none_or(|said| said.reason != Reason::SourceChanged);
        let oldest = numbers.oldest_unapplied.or(numbers
            .stored_at
            .max(numbers.scanned_at)
            // Whatever came later is younger than the poll that found nothing pending.
            .max(numbers.caught_up_at));
        same.then(|| head.lag(numbers.sequence, oldest))
    }

    /// Changes the numbers; logs a state that is another one then, and wakes who waits.
    fn change(&self, change: impl FnOnce(&mut Numbers)) {
        let mut numbers = self.lock();
        let before = (numbers.state, numbers.sequence);
        change(&mut numbers);
        let (state, reason) = (numbers.state, numbers.reason);
        let moved = before != (state, numbers.sequence);
        drop(numbers);
        // Who fails it says so with the reason.
        if before.0 != state && state != State::Failed {
            let reason = reason.map(Reason::word);
            tracing::info!(projection = self.name, state = state.word(), reason, "state");
        }
        if moved {
            self.moved.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// By the server's clock.
    const NOW: Timestamp = Timestamp(1_000_000_000);

    /// Ends at 10; read so many seconds ago.
    fn head(age: Duration) -> Head {
        Head { created_ns: 1, first: Sequence(1), last: Sequence(10), at: NOW, age }
    }

    fn shared() -> Shared {
        Shared::new("p", "S", 5 * SECOND, 2 * SECOND, Numbers::unknown())
    }

    fn sight(age_seconds: f64, verified: bool) -> Sight {
        let head = Some(head(Duration::from_secs_f64(age_seconds)));
        Sight { head, verified, trouble: None }
    }

    fn at(sequence: u64, oldest: Option<i64>) -> impl FnOnce(&mut Numbers) {
        move |numbers| {
            numbers.sequence = Sequence(sequence);
            numbers.oldest_unapplied = oldest.map(|seconds| Timestamp(NOW.0 - seconds * 1_000_000));
        }
    }

    #[track_caller]
    fn check(shared: &Shared, expected: &str) {
        let numbers = shared.numbers();
        let reason = numbers.reason.map_or(String::new(), |reason| format!(" {}", reason.word()));
        assert_eq!(format!("{}{reason}", numbers.state.word()), expected);
        assert_eq!(numbers.detail.is_some(), numbers.reason.is_some());
    }

    #[test]
    fn live_rests_on_a_fresh_head_of_the_proved_stream() {
        let shared = shared();
        check(&shared, "starting");
        for (sight, sequence, expected) in [
            (Sight::default(), 10, "catching_up"),
            (sight(0.0, false), 10, "catching_up"),
            (sight(6.1, true), 10, "catching_up"),
            (sight(0.0, true), 9, "catching_up"),
            (sight(0.0, true), 10, "live"),
            // Pending, and young; then nothing known; then the reader being made again.
            (sight(0.0, true), 9, "live"),
            (sight(6.1, true), 9, "live"),
            (sight(0.0, false), 9, "live"),
            (sight(8.1, true), 9, "degraded source_unreachable"),
            (sight(0.0, true), 9, "catching_up"),
            (sight(0.0, true), 10, "live"),
        ] {
            shared.update(&sight, at(sequence, None));
            check(&shared, expected);
        }
        // Left behind, which needs no proof of the reader.
        shared.update(&sight(0.0, true), at(9, Some(60)));
        check(&shared, "live");
        shared.update(&sight(0.0, false), at(9, Some(61)));
        check(&shared, "catching_up");
        let trouble = Sight { trouble: Some("no answer".to_owned()), ..sight(0.0, true) };
        shared.update(&trouble, |_| ());
        check(&shared, "degraded source_unreachable");
    }

    #[test]
    fn the_worst_of_what_is_wrong_is_told_until_it_is_over() {
        let shared = shared();
        let look = || shared.update(&sight(0.0, true), at(10, None));
        let said = || Some(("said".to_owned(), "do".to_owned()));
        look();
        shared.storage_full(Some(("full".to_owned(), None)));
        look();
        check(&shared, "degraded storage_full");
        shared.stalled(said());
        look();
        check(&shared, "failed stalled");
        shared.stalled(None);
        look();
        check(&shared, "degraded storage_full");
        shared.storage_full(None);
        check(&shared, "catching_up");
        look();
        check(&shared, "live");
        shared.stalled(said());
        shared.stalled(None);
        check(&shared, "catching_up");
        // A failure stays until a person has acted, whatever else comes and goes.
        shared.fail(Reason::Gap, "gap".to_owned(), None);
        shared.stalled(said());
        shared.stalled(None);
        shared.storage_full(None);
        look();
        check(&shared, "failed gap");
        shared.resume();
        check(&shared, "catching_up");
        look();
        check(&shared, "live");
    }

    #[test]
    fn a_report_shows_no_lag_that_is_not_known() {
        let shared = shared();
        shared.update(&sight(0.0, true), at(7, Some(9)));
        let pending = |age| {
            let report = shared.report(Some(head(age)));
            (report.pending_messages, report.lag_seconds, report.stream_last_sequence)
        };
        assert_eq!(pending(Duration::ZERO), (Some(3), Some(9.0), Some(10)));
        assert_eq!(pending(6 * SECOND), (Some(3), Some(9.0), Some(10)));
        assert_eq!(pending(7 * SECOND), (None, None, None));
        // Another stream of the same name, shorter than the checkpoint: no lag at all is not what that is.
        shared.update(&sight(0.0, true), |numbers| numbers.created_ns = Some(2));
        assert_eq!(pending(Duration::ZERO), (None, None, Some(10)));
        shared.update(&sight(0.0, true), |numbers| numbers.created_ns = Some(1));
        assert_eq!(pending(Duration::ZERO), (Some(3), Some(9.0), Some(10)));
        shared.fail(Reason::SourceChanged, "another".to_owned(), None);
        assert_eq!(pending(Duration::ZERO), (None, None, Some(10)));
    }

    #[test]
    fn what_is_not_read_yet_is_as_old_as_the_last_poll_that_found_nothing() {
        let shared = shared();
        // The last message came an hour ago, and nothing since.
        let hour = Timestamp(NOW.0 - 3_600_000_000);
        shared.update(&sight(0.0, true), |numbers| {
            numbers.sequence = Sequence(10);
            numbers.stored_at = Some(hour);
        });
        check(&shared, "live");
        let later = Head { last: Sequence(11), at: Timestamp(NOW.0 + 2_000_000), ..head(SECOND) };
        assert_eq!(shared.report(Some(later)).lag_seconds, Some(2.0));
        shared.update(&Sight { head: Some(later), verified: true, trouble: None }, |_| ());
        check(&shared, "live");
        // Read, it is as old as it is.
        shared.at_work(Some(Timestamp(NOW.0 + 500_000)));
        assert_eq!(shared.report(Some(later)).lag_seconds, Some(1.5));
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_by_the_checkpoint_and_by_the_state() {
        let shared = Arc::new(shared());
        let wait = |what: fn(&Numbers) -> Option<u64>| {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move { shared.until(what).await })
        };
        let sequence = wait(|numbers| (numbers.sequence.0 >= 7).then_some(numbers.sequence.0));
        let failed = wait(|numbers| (numbers.state == State::Failed).then_some(0));
        for sequence in [3, 8] {
            tokio::task::yield_now().await;
            shared.update(&sight(0.0, true), at(sequence, None));
        }
        assert_eq!(sequence.await.unwrap(), 8);
        shared.fail(Reason::Halted, "halt".to_owned(), None);
        assert_eq!(failed.await.unwrap(), 0);
    }
}
