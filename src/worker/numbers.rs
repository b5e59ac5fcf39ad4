//! The numbers that a worker shows to others, and the state that follows from them.
//!
//! The state is derived, never set: from what is known to be wrong, from the head of the stream, and from what has been
//! committed. The worker does so with each batch, and the watchdog every second, so it does not stand still with a
//! worker that does. What stands higher in this table wins:
//!
//! | what is known | state |
//! |---|---|
//! | the worker has stopped | `failed`, with its reason |
//! | the worker's thread no longer moves | `failed`, `stalled` |
//! | it was told to stand still | `paused` |
//! | another engine built what is served | `degraded`, `frozen` |
//! | there is no space to write | `degraded`, `storage_full` |
//! | the stream is not read, or its head is not known any more | `degraded`, `source_unreachable` |
//! | a full-text index is made again, or cannot be written | `degraded`, `search` |
//! | nothing is pending in the stream that was proved to be the right one | `live` |
//! | it was live, and the oldest unapplied message is young, or nothing is known of it | `live` |
//! | else | `catching_up` |
//!
//! Where nothing is wrong there may still be something to say: that the definition on disk is not what is served.

use std::time::{Duration, Instant};

use super::rate::Rate;
use crate::clock;
use crate::event::Sequence;
use crate::event::time::Timestamp;
use crate::indexer::published::Trouble;
use crate::lag::{Head, Lag, Watch, left_behind_after};
use crate::status::{Counts, Reason, Rebuild, State};
use crate::store::writer::Store;

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
    /// When the stream stored the oldest message of the batch at work, and of what is queued behind it.
    pub at_work: Option<Timestamp>,
    pub oldest_queued: Option<Timestamp>,
    /// The time of the last poll of the head at which nothing was pending: what is pending now is younger.
    pub caught_up_at: Option<Timestamp>,
    pub counts: Counts,
    pub missed_sequences: u64,
    pub dead_letters: u64,
    pub oldest_dead_letter: Option<Timestamp>,
    pub parked_events: u64,
    /// The build beside it.
    pub rebuild: Option<Rebuild>,
    /// Copies of the write-ahead log in this run: full, partial, failed.
    pub log_copies: [u64; 3],
    /// When the checkpoint last moved, or was found at the head.
    pub progress: Timestamp,
    /// Whether it has been live in this generation, before or after a restart.
    pub has_been_live: bool,
    rate: Rate,
    /// Whether it was rolled back and stays so.
    pub pinned: bool,
    /// What is wrong, as long as it is: the worker has stopped, hangs, is told to stand still, waits for space.
    failure: Option<Said>,
    stall: Option<Said>,
    stand: Option<Said>,
    storage: Option<Said>,
    /// Of its full-text indexes.
    search: Option<Trouble>,
    /// What there is to say where nothing is wrong, and what mends it.
    notice: Option<(String, String)>,
}

/// A state that is not to be derived from the head, with its words.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) state: State,
    /// None of what stands still by command.
    pub(super) reason: Option<Reason>,
    pub(super) detail: String,
    pub(super) next: Option<String>,
}

/// What a projection's state and lag are measured by.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) stream: String,
    pub(super) lag_target: Duration,
    /// How old a reading of the head may be is three of these.
    pub(super) head_poll: Duration,
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

    /// Of what cannot be opened.
    pub fn unknown() -> Self {
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
            at_work: None,
            oldest_queued: None,
            caught_up_at: None,
            counts: Counts::default(),
            missed_sequences: 0,
            dead_letters: 0,
            oldest_dead_letter: None,
            parked_events: 0,
            rebuild: None,
            log_copies: [0; 3],
            progress: clock::now(),
            has_been_live: false,
            rate: Rate::new(Instant::now()),
            pinned: false,
            failure: None,
            stall: None,
            stand: None,
            storage: None,
            search: None,
            notice: None,
        }
    }

    /// Takes what is committed.
    pub(super) fn take(&mut self, store: &Store) {
        let (checkpoint, totals) = (store.checkpoint(), store.totals());
        if checkpoint.sequence != self.sequence {
            self.progress = clock::now();
        }
        // What stopped the worker in its midst is not applied.
        if self.failure.is_none() {
            self.at_work = None;
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
        self.pinned = store.control().pinned.is_some();
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
        let said = [&self.failure, &self.stall, &self.stand, &self.storage];
        let said = said.into_iter().flatten().next();
        said.cloned().map(|said| self.say(said)).is_some()
    }

    /// Is in no state that was said; the next look at the stream derives the right one.
    fn recover(&mut self) {
        if !self.tell() {
            self.turn(State::CatchingUp);
        }
    }

    fn say(&mut self, said: Said) {
        (self.state, self.reason, self.detail, self.next) =
            (said.state, said.reason, Some(said.detail), said.next);
    }

    /// Is in a state in which nothing is wrong.
    fn turn(&mut self, state: State) {
        (self.state, self.reason) = (state, None);
        (self.detail, self.next) = self.notice.clone().unzip();
    }

    /// Derives the state anew.
    pub(super) fn derive(&mut self, sight: &Sight, terms: &Terms) {
        let lag = self.lag(sight.head, terms);
        let caught_up = sight.verified && lag.is_some_and(|lag| lag.pending == 0);
        if caught_up && self.failure.is_none() {
            self.has_been_live = true;
            self.progress = clock::now();
            self.caught_up_at = sight.head.map(|head| head.at);
        }
        if self.tell() {
            return;
        }
        if let Some(detail) = sight.trouble.clone().or_else(|| terms.blind(sight.head)) {
            let (state, reason) = (State::Degraded, Some(Reason::SourceUnreachable));
            return self.say(Said { state, reason, detail, next: None });
        }
        if let Some(Trouble { detail, next }) = self.search.clone() {
            let (state, reason) = (State::Degraded, Some(Reason::Search));
            return self.say(Said { state, reason, detail, next });
        }
        let state = if caught_up {
            State::Live
        } else if self.state == State::Live {
            // Nothing known of the lag: what was known last stands until it is known again.
            let allowed = left_behind_after(terms.lag_target).as_secs_f64();
            let behind = lag.and_then(|lag| lag.seconds).is_some_and(|seconds| seconds > allowed);
            if behind { State::CatchingUp } else { State::Live }
        } else {
            State::CatchingUp
        };
        self.turn(state);
    }

    /// The distance from a head that is fresh and of the stream that the checkpoint is of.
    pub(super) fn lag(&self, head: Option<Head>, terms: &Terms) -> Option<Lag> {
        let head = head.filter(|head| head.fresh(terms.head_poll))?;
        let same = self.created_ns.is_none_or(|created| created == head.created_ns)
            && self.failure.as_ref().is_none_or(|said| said.reason != Some(Reason::SourceChanged));
        same.then(|| head.lag(self.sequence, self.oldest()))
    }

    /// When the stream stored the oldest message that is not applied, or some moment before that.
    fn oldest(&self) -> Option<Timestamp> {
        let queued = self.at_work.or(self.oldest_queued);
        // Whatever came later is younger than the poll that found nothing pending.
        let applied = self.stored_at.max(self.scanned_at).max(self.caught_up_at);
        // A worker that has stopped takes nothing any more: what it left is older than what is queued, if anything is.
        if self.failure.is_some() { applied.or(queued) } else { queued.or(applied) }
    }

    pub(super) fn fail(&mut self, said: Said) {
        self.failure = Some(said);
        self.rate = Rate::new(Instant::now());
        self.tell();
    }

    /// Takes a failure back.
    pub(super) fn resume(&mut self) {
        self.failure = None;
        self.at_work = None;
        self.recover();
    }

    /// Goes on with another generation; who was live stays so, since that one has come to the same sequence.
    pub(super) fn rebuilt(&mut self, store: &Store) {
        // Of another stream, or of what is not missed any more.
        (self.scanned_at, self.oldest_queued, self.caught_up_at) = (None, None, None);
        (self.failure, self.notice, self.rebuild) = (None, None, None);
        if !store.control().paused {
            self.stand = None;
        }
        self.at_work = None;
        // Who goes back to what stood before has to catch up.
        match self.state {
            State::Live if store.checkpoint().sequence >= self.sequence => self.turn(State::Live),
            _ => self.recover(),
        }
        self.take(store);
    }

    pub(super) fn set_notice(&mut self, notice: Option<(String, String)>) {
        self.notice = notice;
        if self.reason.is_none() && !matches!(self.state, State::Paused) {
            self.turn(self.state);
        }
    }

    pub(super) fn set_stand(&mut self, said: Option<Said>) {
        if std::mem::replace(&mut self.stand, said).is_some() || self.stand.is_some() {
            self.recover();
        }
    }

    pub(super) fn set_storage(&mut self, said: Option<Said>) {
        if std::mem::replace(&mut self.storage, said).is_some() || self.storage.is_some() {
            self.recover();
        }
    }

    pub(super) fn set_search(&mut self, trouble: Option<Trouble>) {
        self.search = trouble;
    }

    pub(super) fn set_stall(&mut self, said: Option<Said>) {
        if std::mem::replace(&mut self.stall, said).is_some() || self.stall.is_some() {
            self.recover();
        }
    }

    pub(super) fn events_per_second(&self) -> f64 {
        self.rate.at(Instant::now())
    }
}

impl Terms {
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000;

    /// A stream with messages at these times, all seen at `now` by a poll, of which a worker has applied some, holds
    /// some, and has some queued. Its last poll that found nothing pending was at `caught_up` messages.
    #[derive(Debug)]
    struct World {
        stored_at: Vec<i64>,
        now: i64,
        applied: usize,
        at_work: usize,
        queued: usize,
        caught_up: Option<usize>,
        failed: bool,
    }

    fn worlds() -> impl Strategy<Value = World> {
        let gaps = prop::collection::vec(0..100 * SECOND, 0..12);
        (gaps, 0..100 * SECOND, any::<[prop::sample::Index; 4]>(), any::<[bool; 2]>()).prop_map(
            |(gaps, wait, [applied, at_work, queued, caught_up], [was_caught_up, failed])| {
                let stored_at: Vec<i64> = gaps
                    .iter()
                    .scan(1_000 * SECOND, |at, gap| {
                        *at += gap;
                        Some(*at)
                    })
                    .collect();
                let count = stored_at.len();
                let applied = applied.index(count + 1);
                let at_work = at_work.index(count - applied + 1);
                let queued = queued.index(count - applied - at_work + 1);
                let caught_up = was_caught_up.then(|| caught_up.index(applied + 1));
                let now = stored_at.last().map_or(1_000 * SECOND, |last| last + wait);
                World { stored_at, now, applied, at_work, queued, caught_up, failed }
            },
        )
    }

    impl World {
        fn numbers(&self) -> Numbers {
            let at = |index: usize| self.stored_at.get(index).copied().map(Timestamp);
            let last = self.applied.checked_sub(1).and_then(at);
            let mut numbers = Numbers {
                sequence: Sequence(self.applied as u64),
                stored_at: last,
                at_work: (self.at_work > 0).then(|| at(self.applied)).flatten(),
                oldest_queued: (self.queued > 0).then(|| at(self.applied + self.at_work)).flatten(),
                // The poll came at some time between two messages: here just before the second.
                caught_up_at: self.caught_up.map(|index| at(index).unwrap_or(Timestamp(self.now))),
                ..Numbers::unknown()
            };
            if self.failed {
                numbers.fail(Said {
                    state: State::Failed,
                    reason: Some(Reason::Halted),
                    detail: String::new(),
                    next: None,
                });
            }
            numbers
        }

        fn head(&self, age: Duration) -> Head {
            let last = Sequence(self.stored_at.len() as u64);
            Head { created_ns: 1, first: Sequence(1), last, at: Timestamp(self.now), age }
        }
    }

    fn terms() -> Terms {
        let (lag_target, head_poll) = (Duration::from_secs(5), Duration::from_secs(2));
        Terms { stream: "S".to_owned(), lag_target, head_poll }
    }

    proptest! {
        /// The lag is never less than the age of the oldest message that is not applied; it is that age where the
        /// message has been read, 0 if nothing is pending and only then, and never a guess.
        #[test]
        fn the_lag_is_never_less_than_it_is(world in worlds()) {
            let numbers = world.numbers();
            let lag = numbers.lag(Some(world.head(Duration::ZERO)), &terms()).expect("known");
            let pending = &world.stored_at[world.applied..];
            prop_assert_eq!(lag.pending, pending.len() as u64);
            match (pending.first(), lag.seconds) {
                (None, seconds) => prop_assert_eq!(seconds, Some(0.0)),
                (Some(_), None) => {
                    // Nothing was ever read: no bound is known.
                    prop_assert_eq!(world.applied + world.at_work + world.queued, 0);
                    prop_assert_eq!(world.caught_up, None);
                }
                (Some(oldest), Some(seconds)) => {
                    let age = (world.now - oldest) as f64 / SECOND as f64;
                    prop_assert!(seconds >= age, "{seconds} for {age}");
                    if world.at_work > 0 && !world.failed {
                        prop_assert_eq!(seconds, age);
                    }
                }
            }
            let stale = world.head(Duration::from_millis(6_001));
            prop_assert_eq!(numbers.lag(Some(stale), &terms()), None);
            prop_assert_eq!(numbers.lag(None, &terms()), None);
        }
    }
}
