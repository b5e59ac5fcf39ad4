//! What a worker tells others: its projection's state and numbers, written once a batch, read by status and metrics.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;

use super::numbers::{Numbers, Said, Sight, Terms};
use crate::beat::Beat;
use crate::event::Sequence;
use crate::event::time::Timestamp;
use crate::indexer::published::Board;
use crate::lag::{Head, Watch};
use crate::source::status::Tally;
use crate::status::{Phase, Projection, Reason, Rebuild, State};
use crate::store::writer::Store;

/// One projection as others see it.
pub struct Shared {
    name: String,
    /// What it reads, which changes with its definition.
    following: Mutex<Following>,
    beat: Arc<Beat>,
    numbers: Mutex<Numbers>,
    /// Where the indexes of the generation that is served are published; None: it has none, or nothing of it is run.
    board: Mutex<Option<Arc<Board>>>,
    /// The checkpoint or the state has changed.
    moved: Notify,
}

/// What a projection reads, and through what.
#[derive(Clone)]
pub struct Following {
    pub(super) terms: Terms,
    /// None before anything is read.
    pub watch: Option<Watch>,
    /// Of its stream.
    pub tally: Arc<Tally>,
}

/// Why a projection stands still without having failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// By command, kept over restarts.
    Paused,
    /// Another engine built its generation: until its rebuild cuts over.
    Frozen,
}

impl Following {
    pub fn new(stream: &str, lag_target: Duration, head_poll: Duration, tally: Arc<Tally>) -> Self {
        let terms = Terms { stream: stream.to_owned(), lag_target, head_poll };
        Self { terms, watch: None, tally }
    }

    /// The same with where to look for its head and its reader.
    pub fn through(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    pub fn stream(&self) -> &str {
        &self.terms.stream
    }

    pub fn lag_target(&self) -> Duration {
        self.terms.lag_target
    }

    /// The last reading of its stream's head.
    pub fn head(&self) -> Option<Head> {
        self.watch.as_ref().and_then(Watch::head)
    }
}

impl Shared {
    pub fn new(name: &str, following: Following, numbers: Numbers) -> Self {
        Self {
            name: name.to_owned(),
            following: Mutex::new(following),
            beat: Arc::default(),
            numbers: Mutex::new(numbers),
            board: Mutex::default(),
            moved: Notify::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it reads at the moment.
    pub fn following(&self) -> Following {
        self.following_lock().clone()
    }

    /// Reads something else from now on.
    pub fn follow(&self, following: Following) {
        *self.following_lock() = following;
    }

    /// Is wanted fresher, or less so.
    pub(super) fn adopt(&self, lag_target: Duration) {
        self.following_lock().terms.lag_target = lag_target;
    }

    /// Where its indexes are published, if it has any.
    pub fn board(&self) -> Option<Arc<Board>> {
        self.board_lock().clone()
    }

    /// Searches these indexes from now on: those of the generation that is served.
    pub fn search_by(&self, board: Option<&Arc<Board>>) {
        let before = std::mem::replace(&mut *self.board_lock(), board.map(Arc::clone));
        // Whoever waits for the one before looks at the new one.
        before.inspect(|before| before.wake());
        self.wake();
    }

    /// What the worker's thread is at.
    pub fn beat(&self) -> &Arc<Beat> {
        &self.beat
    }

    pub fn numbers(&self) -> Numbers {
        self.lock().clone()
    }

    /// Something of the numbers, without a copy of all.
    pub fn look<T>(&self, look: impl FnOnce(&Numbers) -> T) -> T {
        look(&self.lock())
    }

    /// Whether it serves what it promises: it has once been live, or it has failed, which is not for readiness to say.
    pub fn ready(&self) -> bool {
        self.look(|numbers| numbers.has_been_live || numbers.state == State::Failed)
    }

    /// Changes the numbers and derives the state anew.
    pub fn update(&self, sight: &Sight, change: impl FnOnce(&mut Numbers)) {
        let terms = self.following_lock().terms.clone();
        let trouble = self.board().and_then(|board| board.published().trouble());
        self.change(|numbers| {
            change(numbers);
            numbers.set_search(trouble);
            numbers.derive(sight, &terms);
        });
    }

    /// A batch is at work, whose oldest message the stream stored then.
    pub(super) fn at_work(&self, oldest: Option<Timestamp>) {
        self.lock().at_work = oldest;
    }

    /// Whether a sequence is at the head, as far as that is known.
    pub(super) fn at_head(&self, sequence: Sequence, head: Option<Head>) -> bool {
        let head_poll = self.following_lock().terms.head_poll;
        head.filter(|head| head.fresh(head_poll)).is_some_and(|head| sequence >= head.last)
    }

    /// Says that the projection has stopped until a person acts.
    pub fn fail(&self, reason: Reason, detail: String, next: Option<String>) {
        let said = Said { state: State::Failed, reason: Some(reason), detail, next };
        self.change(|numbers| numbers.fail(said));
    }

    /// Takes a failure back: a person has acted, and the projection goes on.
    pub fn resume(&self) {
        self.change(Numbers::resume);
    }

    /// Whether a build is at work beside it, or is about to begin.
    pub(super) fn is_rebuilding(&self) -> bool {
        self.look(|numbers| numbers.rebuild.is_some())
    }

    /// Shows the build beside it.
    pub fn rebuilding(&self, rebuild: Option<Rebuild>) {
        self.lock().rebuild = rebuild;
    }

    /// Says that a new generation is served, and what the old one failed by is over.
    pub fn rebuilt(&self, store: &Store) {
        self.change(|numbers| numbers.rebuilt(store));
    }

    /// Says that writing waits, with what is wrong and what mends it; `None` that it goes on.
    pub fn storage_full(&self, trouble: Option<(String, Option<String>)>) {
        let said = trouble.map(|(detail, next)| Said {
            state: State::Degraded,
            reason: Some(Reason::StorageFull),
            detail,
            next,
        });
        self.change(|numbers| numbers.set_storage(said));
    }

    /// Says that the worker's thread stands still, with what mends it; `None` that it moves again.
    pub fn stalled(&self, stall: Option<(String, String)>) {
        let said = stall.map(|(detail, next)| Said {
            state: State::Failed,
            reason: Some(Reason::Stalled),
            detail,
            next: Some(next),
        });
        self.change(|numbers| numbers.set_stall(said));
    }

    /// Says that it stands still, with what sets it going; `None` that it goes on.
    pub fn stand(&self, stand: Option<Stand>) {
        let name = &self.name;
        let said = stand.map(|stand| match stand {
            Stand::Paused => Said {
                state: State::Paused,
                reason: None,
                detail: "paused by command: nothing is applied until it is resumed".to_owned(),
                next: Some(format!("viewd resume {name}")),
            },
            Stand::Frozen => Said {
                state: State::Degraded,
                reason: Some(Reason::Frozen),
                detail: "another version of viewd built it, whose rows may differ: it stands still until it is rebuilt"
                    .to_owned(),
                next: Some(format!("viewd rebuild {name}")),
            },
        });
        self.change(|numbers| numbers.set_stand(said));
    }

    /// What there is to say where nothing is wrong, and what mends it: that the definition on disk is not served.
    pub fn notice(&self, notice: Option<(String, String)>) {
        self.change(|numbers| numbers.set_notice(notice));
    }

    pub fn set_pinned(&self, pinned: bool) {
        self.lock().pinned = pinned;
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
    pub fn report(&self) -> Projection {
        let following = self.following();
        self.report_at(following.head(), &following.terms)
    }

    fn report_at(&self, head: Option<Head>, terms: &Terms) -> Projection {
        let numbers = self.numbers();
        let head = head.filter(|head| head.fresh(terms.head_poll));
        let lag = numbers.lag(head, terms);
        let rate = numbers.events_per_second();
        let next = next(&self.name, &numbers);
        Projection {
            name: self.name.clone(),
            state: numbers.state,
            reason: numbers.reason,
            detail: numbers.detail,
            next,
            pinned: numbers.pinned,
            generation: numbers.generation,
            stream: terms.stream.clone(),
            position: numbers.sequence.0,
            checkpoint_sequence: numbers.sequence.0,
            stream_first_sequence: head.map(|head| head.first.0),
            stream_last_sequence: head.map(|head| head.last.0),
            pending_messages: lag.map(|lag| lag.pending),
            lag_seconds: lag.and_then(|lag| lag.seconds),
            lag_target_seconds: terms.lag_target.as_secs_f64(),
            events_per_second: (rate * 10.0).round() / 10.0,
            counts: numbers.counts,
            missed_sequences: numbers.missed_sequences,
            dead_letters: numbers.dead_letters,
            parked_events: numbers.parked_events,
            rebuild: numbers.rebuild,
            search: self.board().map_or_else(Vec::new, |board| board.published().report()),
        }
    }

    /// Changes the numbers; logs a state that is another one then, and wakes who waits.
    fn change(&self, change: impl FnOnce(&mut Numbers)) {
        let mut numbers = self.lock();
        let before = (numbers.state, numbers.sequence);
        change(&mut numbers);
        let (state, reason, detail) = (numbers.state, numbers.reason, numbers.detail.clone());
        let moved = before != (state, numbers.sequence);
        drop(numbers);
        // Who fails it says so with the reason.
        if before.0 != state && state != State::Failed {
            let reason = reason.map(Reason::word);
            match state {
                State::Degraded => tracing::warn!(
                    projection = self.name,
                    state = state.word(),
                    reason,
                    detail,
                    "state"
                ),
                state => tracing::info!(projection = self.name, state = state.word(), "state"),
            }
        }
        if moved {
            self.moved.notify_waiters();
        }
    }

    fn board_lock(&self) -> MutexGuard<'_, Option<Arc<Board>>> {
        self.board.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn following_lock(&self) -> MutexGuard<'_, Following> {
        self.following.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What mends a projection: what a build would, the one that waits to be served does.
fn next(name: &str, numbers: &Numbers) -> Option<String> {
    let is_held = numbers.rebuild.as_ref().is_some_and(|rebuild| rebuild.phase == Phase::Held);
    let build = format!("viewd rebuild {name}");
    match &numbers.next {
        Some(next) if is_held && *next == build => Some(format!("viewd promote {name}")),
        next => next.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::indexer::published::{State as Standing, Trouble};
    use crate::store::layout::{Folder, Generation};
    use crate::store::readers::Readers;

    const SEARCHED: &str = r#"
source = "s"

[tables.t]
key = ["id"]
columns.id   = "integer"
columns.text = "text"

[[on]]
event    = "*"
upsert   = "t"
key.id   = ".data.id"
set.text = ".data.text"

[search.t]
table = "t"
fields.text = {}
"#;
    const SECOND: Duration = Duration::from_secs(1);
    /// By the server's clock.
    const NOW: Timestamp = Timestamp(1_000_000_000);

    /// Ends at 10; read so many seconds ago.
    fn head(age: Duration) -> Head {
        Head { created_ns: 1, first: Sequence(1), last: Sequence(10), at: NOW, age }
    }

    fn shared() -> Shared {
        Shared::new(
            "p",
            Following::new("S", 5 * SECOND, 2 * SECOND, Arc::default()),
            Numbers::unknown(),
        )
    }

    fn sight(age_seconds: f64, verified: bool) -> Sight {
        let head = Some(head(Duration::from_secs_f64(age_seconds)));
        Sight { head, verified, trouble: None }
    }

    fn at(sequence: u64, oldest: Option<i64>) -> impl FnOnce(&mut Numbers) {
        move |numbers| {
            numbers.sequence = Sequence(sequence);
            numbers.oldest_queued = oldest.map(|seconds| Timestamp(NOW.0 - seconds * 1_000_000));
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
    fn an_index_that_does_not_follow_degrades_and_fails_nothing() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let shared = shared();
        let look = || shared.update(&sight(0.0, true), at(10, None));
        let definition = crate::definition::parse(
            &crate::diagnostic::Source::new("p.toml", SEARCHED),
            "p",
            &["s"],
        );
        let definition = Arc::new(definition.0.expect("a definition"));
        let folder = Folder::new(data.path(), "p");
        let readers = Readers::new(&folder, Generation(1), &definition.tables);
        let board = Arc::new(Board::alone(definition, Arc::new(readers)));
        shared.search_by(Some(&board));
        look();
        check(&shared, "live");
        assert_eq!(shared.report().search[0].sequence, None);
        let trouble = |detail: &str| Trouble { detail: detail.to_owned(), next: None };
        board.set(0, Standing::Troubled(trouble("no space")));
        look();
        check(&shared, "degraded search");
        assert!(
            shared.report().search[0].detail.as_ref().is_some_and(|said| said.contains("no space"))
        );
        // What keeps the view itself is worse.
        shared.storage_full(Some(("full".to_owned(), None)));
        look();
        check(&shared, "degraded storage_full");
        shared.storage_full(None);
        board.set(0, Standing::Following);
        look();
        check(&shared, "live");
        board.stalled(Some(trouble("stands still")));
        look();
        check(&shared, "degraded search");
        board.stalled(None);
        board.rebuilds(0, "it was damaged".to_owned());
        look();
        check(&shared, "degraded search");
        // A failure of the view is told first.
        shared.fail(Reason::Gap, "gap".to_owned(), None);
        look();
        check(&shared, "failed gap");
        shared.resume();
        shared.search_by(None);
        look();
        check(&shared, "live");
    }

    #[test]
    fn a_report_shows_no_lag_that_is_not_known() {
        let shared = shared();
        shared.update(&sight(0.0, true), at(7, Some(9)));
        let pending = |age| {
            let report = shared.report_at(Some(head(age)), &shared.following().terms);
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
        assert_eq!(shared.report_at(Some(later), &shared.following().terms).lag_seconds, Some(2.0));
        shared.update(&Sight { head: Some(later), verified: true, trouble: None }, |_| ());
        check(&shared, "live");
        // Read, it is as old as it is.
        shared.at_work(Some(Timestamp(NOW.0 + 500_000)));
        assert_eq!(shared.report_at(Some(later), &shared.following().terms).lag_seconds, Some(1.5));
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
