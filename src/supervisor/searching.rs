//! Who searches a projection: with what, and at which sequence.
//!
//! | what is found | what who asks hears |
//! |---|---|
//! | the index is searched, and reflects the sequence that was asked for | with what to search it, of one generation |
//! | the projection stands still before that sequence | that, with the reason, at once |
//! | the stream, asked after the wait began, ends before it | beyond the head, at once |
//! | the index is being made, or made again | that, at once |
//! | the definition on disk declares the index, and none is being made | that it is not served, at once |
//! | none of it in time | timed out, with the current sequence |
//!
//! The thread of the indexes wakes who waits, and so does the worker.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::refused::Refused;
use super::tracked::Tracked;
use crate::definition::Definition;
use crate::event::Sequence;
use crate::indexer::published::{Board, Published, State as Standing};
use crate::indexer::verify::{self, Compared};
use crate::rebuild::operation::{Progress, Shown};
use crate::search::Searcher;
use crate::status::{Reason, State};
use crate::store;
use crate::store::readers::Readers;
use crate::worker::numbers::Numbers;

/// How often either may move on while a view and its indexes are compared, before something else must be wrong.
const TRIES: usize = 5;

/// An index at one moment, and where its rows are read.
pub struct Searchable {
    pub generation: u64,
    /// What the index reflects.
    pub sequence: Sequence,
    /// What the view reflects, at least.
    pub view_sequence: Sequence,
    pub searcher: Searcher,
    pub definition: Arc<Definition>,
    /// Index into the definition's searches.
    pub search: usize,
    /// Of the same generation.
    pub readers: Arc<Readers>,
    /// Told of what a search meets that no index holds.
    pub board: Arc<Board>,
}

/// Why an index cannot be searched, or not at the sequence that was asked for.
#[derive(Debug)]
pub enum Unsearched {
    UnknownProjection,
    UnknownIndex {
        known: Vec<String>,
    },
    /// More wait than may.
    TooMany,
    /// Failed or paused: no waiting helps.
    Standing(Box<Numbers>),
    /// It is made, or made again from the rows.
    Rebuilding {
        detail: String,
    },
    /// It is not open, and says why if that is known.
    Unavailable {
        detail: String,
        next: Option<String>,
    },
    /// The stream ends before the sequence.
    BeyondHead {
        last: Sequence,
        current: Sequence,
    },
    TimedOut {
        current: Sequence,
        /// What keeps the index from going on, if that is known.
        detail: Option<String>,
    },
    /// The daemon is shutting down.
    Draining,
}

impl Daemon {
    /// An index of a projection as it is, once it reflects a sequence, if one is asked for.
    pub async fn search_at(
        &self,
        projection: &str,
        index: &str,
        min_sequence: Option<Sequence>,
        timeout: Duration,
    ) -> Result<Searchable, Unsearched> {
        let tracked = self.tracked(projection).ok_or(Unsearched::UnknownProjection)?;
        let numbers = tracked.shared.numbers();
        if let Some(found) = self.searched_now(&tracked, &numbers, index, min_sequence) {
            return found;
        }
        let _one = self.waiting.0.try_acquire().map_err(|_| Unsearched::TooMany)?;
        let begun = Instant::now();
        let searched = self.searched(&tracked, index, min_sequence);
        let waited = tokio::time::timeout(timeout, searched).await;
        let metrics = self.metrics();
        let waits = metrics.sequence_wait_duration_seconds.with_label_values(&[projection]);
        waits.observe(begun.elapsed().as_secs_f64());
        waited.unwrap_or_else(|_| {
            metrics.sequence_wait_timeouts_total.with_label_values(&[projection]).inc();
            Err(late(&tracked, index))
        })
    }

    /// Whether the indexes of a projection are its rows.
    pub async fn verify_search(
        self: &Arc<Self>,
        projection: &str,
    ) -> Result<Vec<Compared>, Refused> {
        let tracked = self.tracked(projection).ok_or_else(|| Refused::unknown(projection))?;
        let found = tokio::task::spawn_blocking(move || verified(&tracked)).await;
        found.expect("a comparison does not panic")
    }

    async fn searched(
        &self,
        tracked: &Tracked,
        index: &str,
        min_sequence: Option<Sequence>,
    ) -> Result<Searchable, Unsearched> {
        let until = self.until_searched(tracked, index, min_sequence);
        let Some(sequence) = min_sequence else { return until.await };
        tokio::select! {
            biased; // What is known already needs no server.
            found = until => found,
            last = self.ends_before(tracked, sequence) => {
                Err(Unsearched::BeyondHead { last, current: tracked.shared.numbers().sequence })
            }
        }
    }

    /// Looks whenever the index or the view has moved.
    async fn until_searched(
        &self,
        tracked: &Tracked,
        index: &str,
        min_sequence: Option<Sequence>,
    ) -> Result<Searchable, Unsearched> {
        loop {
            let board = tracked.shared.board();
            let nothing = tokio::sync::Notify::new();
            let moved = board.as_ref().map_or_else(|| nothing.notified(), |board| board.moved());
            let mut moved = std::pin::pin!(moved);
            // Counted as waiting before it looks, so what happens in between wakes it.
            moved.as_mut().enable();
            let look = |numbers: &Numbers| self.searched_now(tracked, numbers, index, min_sequence);
            tokio::select! {
                biased;
                found = tracked.shared.until(look) => return found,
                () = moved => {}
            }
        }
    }

    /// What there is to say at once; None: it is waited for.
    fn searched_now(
        &self,
        tracked: &Tracked,
        numbers: &Numbers,
        index: &str,
        min_sequence: Option<Sequence>,
    ) -> Option<Result<Searchable, Unsearched>> {
        let shared = &tracked.shared;
        let standing = || Some(Err(Unsearched::Standing(Box::new(numbers.clone()))));
        // None: nothing of it is run, or it has no index.
        let board = shared.board();
        let published = board.as_ref().map(|board| board.published());
        let place = published.as_ref().and_then(|published| published.place(index));
        let (Some(board), Some(published), Some(search)) = (&board, &published, place) else {
            let failed = numbers.state == State::Failed;
            return match self.unserved(tracked, published.as_deref(), index) {
                Unsearched::Unavailable { .. } if failed => standing(),
                unserved => Some(Err(unserved)),
            };
        };
        let Some(found) = searchable(board, published, search, numbers) else {
            return not_searchable(published, search);
        };
        let Some(sequence) = min_sequence else { return Some(Ok(found)) };
        // Its sequences are of the stream that was read, and the caller's may be of another.
        if numbers.reason == Some(Reason::SourceChanged) {
            return standing();
        }
        if found.sequence >= sequence {
            return Some(Ok(found));
        }
        let stands = matches!(numbers.state, State::Failed | State::Paused);
        if stands && numbers.sequence < sequence {
            return standing();
        }
        self.is_draining().then_some(Err(Unsearched::Draining))
    }

    /// What becomes of an index that what is served does not have.
    fn unserved(
        &self,
        tracked: &Tracked,
        published: Option<&Published>,
        index: &str,
    ) -> Unsearched {
        let recipe = tracked.intent().recipe;
        let declared = &recipe.plan.definition().searches;
        if !declared.iter().any(|search| search.name == index) {
            let served = published.map_or(&[][..], |published| &published.indexes[..]);
            let served = served.iter().map(|index| &index.name);
            let known = declared.iter().map(|search| &search.name).chain(served);
            // What is declared is served, as a rule.
            let known: BTreeSet<_> = known.cloned().collect();
            return Unsearched::UnknownIndex { known: known.into_iter().collect() };
        }
        let running = self.operations.running(tracked.name()).filter(|entry| {
            let is_build = entry.operation.order.kind.is_build();
            is_build && entry.fingerprint.gives_same_view(&recipe.fingerprint)
        });
        not_served(running.map(|entry| entry.operation.shown()))
    }
}

/// What becomes of an index that the definition on disk alone has; `build`: what makes it.
fn not_served(build: Option<Shown>) -> Unsearched {
    let (detail, next) = match build {
        Some(Shown { operation, state: Progress::Held, projection, .. }) => (
            format!("operation {operation}, which makes it, is held"),
            format!("viewd promote {projection}"),
        ),
        Some(Shown { operation, kind, .. }) => {
            let detail = format!("operation {operation} ({}) is at it", kind.word());
            return Unsearched::Rebuilding { detail };
        }
        None => (
            "it is declared on disk, and not served".to_owned(),
            "`viewd plan` says what it needs".to_owned(),
        ),
    };
    Unsearched::Unavailable { detail, next: Some(next) }
}

fn searchable(
    board: &Arc<Board>,
    published: &Published,
    search: usize,
    numbers: &Numbers,
) -> Option<Searchable> {
    let indexed = &published.indexes[search];
    let sequence = indexed.sequence(published)?;
    Some(Searchable {
        generation: published.generation.0,
        sequence,
        view_sequence: sequence.max(numbers.sequence),
        searcher: indexed.searcher.clone()?,
        definition: Arc::clone(&published.definition),
        search,
        readers: Arc::clone(&published.readers),
        board: Arc::clone(board),
    })
}

/// Why an index cannot be searched; None: it is being opened.
fn not_searchable(published: &Published, search: usize) -> Option<Result<Searchable, Unsearched>> {
    let indexed = &published.indexes[search];
    let trouble = indexed.trouble().or_else(|| published.trouble())?;
    Some(Err(match &indexed.state {
        Standing::Rebuilding { .. } => Unsearched::Rebuilding { detail: trouble.detail },
        _ => Unsearched::Unavailable { detail: trouble.detail, next: trouble.next },
    }))
}

/// Why none of it came in time.
fn late(tracked: &Tracked, index: &str) -> Unsearched {
    let published = tracked.shared.board().map(|board| board.published());
    let indexed =
        published.as_ref().and_then(|published| Some((published, published.index(index)?)));
    let current = indexed.and_then(|(published, indexed)| indexed.sequence(published));
    let trouble = published.as_ref().and_then(|published| published.trouble());
    let numbers = tracked.shared.numbers();
    match current {
        Some(current) => Unsearched::TimedOut {
            current,
            detail: trouble.map(|trouble| trouble.detail).or(numbers.detail),
        },
        None => Unsearched::Unavailable {
            detail: format!("index `{index}` is still being opened"),
            next: None,
        },
    }
}

fn verified(tracked: &Tracked) -> Result<Vec<Compared>, Refused> {
    for _ in 0..TRIES {
        let Some(board) = tracked.shared.board() else { return Ok(Vec::new()) };
        let published = board.published();
        let snapshot = store::snapshot::open(&tracked.folder)?;
        if snapshot.generation() != published.generation {
            continue;
        }
        let compared = verify::published(&board, &published, &snapshot);
        let compared = compared
            .map_err(|error| Refused::Storage { next: error.hint(), detail: error.to_string() });
        if let Some(compared) = compared? {
            return Ok(compared);
        }
    }
    Err(Refused::busy("its generations or indexes follow each other too fast"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rebuild::operation::{Cause, Kind, Operation, Order};
    use crate::status::{Phase, Rebuild};

    #[test]
    fn who_asks_for_an_index_that_is_not_served_hears_what_becomes_of_it() {
        let order = Order { hold: true, ..Order::new(Kind::Reshape, Cause::Definition) };
        let operation = Operation::new(11, "books", order, Default::default());
        let said = |build| match not_served(build) {
            Unsearched::Rebuilding { detail } => (detail, None),
            Unsearched::Unavailable { detail, next } => (detail, next),
            other => panic!("{other:?}"),
        };
        let (detail, next) = said(Some(operation.shown()));
        assert_eq!((detail.as_str(), next), ("operation 11 (reshape) is at it", None));
        operation.show(Progress::Held, Rebuild { phase: Phase::Held, ..Rebuild::preparing(2) });
        let (detail, next) = said(Some(operation.shown()));
        assert!(detail.contains("operation 11") && detail.contains("held"), "{detail}");
        assert_eq!(next.as_deref(), Some("viewd promote books"));
        let (detail, next) = said(None);
        assert!(detail.contains("not served"), "{detail}");
        assert!(next.is_some_and(|next| next.contains("viewd plan")));
    }
}
