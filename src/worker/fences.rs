//! What a worker does for the full-text indexes of its generation: it hands over what is durable when that is due, and
//! keeps the change log short.
//!
//! A fence is due when the indexes are through with the last one, something was logged since, and `search_commit_ms` have
//! passed since the last: the first change after a pause is handed over at once. It costs a sync, and nothing where
//! nothing is logged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::common::Common;
use crate::definition::Definition;
use crate::indexer::published::{Board, Published, Trouble};
use crate::indexer::{Fence, Indexer, Means};
use crate::store::Error;
use crate::store::change_log::trim_to;
use crate::store::layout::Folder;
use crate::store::readers::Readers;
use crate::store::writer::Store;

/// While the indexes are at work and something has changed, it is looked so often whether they are through: as fine as
/// nobody would notice.
const LOOK: Duration = Duration::from_millis(10);
/// After a full disk or another program has kept a fence from being made, or the log from being trimmed.
const AGAIN: Duration = Duration::from_secs(1);
/// Fewer are not worth a transaction.
const TRIM_MIN: i64 = 1_000;
/// At the end the indexes take what there is; what takes longer is done by the next start.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Two indexes that go on side by side are never at one sequence by themselves: the one that is searched waits so long
/// for the one that is to follow it, which is time for some commits.
const HOLD: Duration = Duration::from_secs(1);
/// So many changes an index takes in about that time.
const NEAR: i64 = 10_000;
/// As fine as a cut-over has to be.
const MEET_LOOK: Duration = Duration::from_millis(1);

/// Of one generation.
#[derive(Default)]
pub struct Fences {
    /// None: it has no index, or none of it is run.
    indexer: Option<Indexer>,
    every: Duration,
    changes_keep: u64,
    /// The last change that was handed over.
    given: i64,
    /// Before this no other fence is due.
    next: Option<Instant>,
    /// The log was trimmed up to this change.
    trimmed: i64,
    /// Before this it is not tried again.
    trim_at: Option<Instant>,
}

impl Fences {
    /// Of a generation that has been opened.
    pub fn begin(
        common: &Common,
        definition: &Arc<Definition>,
        folder: &Folder,
        store: &Store,
    ) -> Self {
        let generation = store.checkpoint().generation;
        let means = || Means {
            projection: definition.name.clone(),
            generation,
            definition: Arc::clone(definition),
            folder: folder.generation(generation),
            readers: Arc::new(Readers::new(folder, generation, &definition.tables)),
            budget: Arc::clone(&common.budget),
            metrics: Arc::clone(&common.metrics),
            steps: folder.steps().clone(),
            tasks: common.tasks.clone(),
        };
        let is_searched = !definition.searches.is_empty();
        Self {
            indexer: is_searched.then(|| Indexer::begin(means())),
            every: common.search_commit,
            changes_keep: common.changes_keep,
            given: 0,
            next: None,
            trimmed: 0,
            trim_at: None,
        }
    }

    /// Where its indexes are published; None: it has none.
    pub fn board(&self) -> Option<&Arc<Board>> {
        self.indexer.as_ref().map(Indexer::board)
    }

    /// How long nothing is due, at most.
    pub fn idle(&self, store: &Store, idle: Duration) -> Duration {
        self.due_in(store).map_or(idle, |due| due.min(idle))
    }

    /// Whether a fence is due.
    pub fn is_due(&self, store: &Store) -> bool {
        self.due_in(store).is_some_and(|due| due.is_zero())
    }

    /// Hands over what is durable, if that is due, and trims the log, if that is worthwhile.
    ///
    /// What a full disk keeps from being done is tried again, and told with the indexes.
    pub fn work(&mut self, store: &mut Store) -> Result<(), Error> {
        self.committed(store);
        let mut done = Ok(());
        if self.is_due(store) {
            done = self.fence(store);
        }
        match done {
            Err(error @ (Error::Full { .. } | Error::Busy { .. })) => {
                self.next = Some(Instant::now() + AGAIN);
                self.unfenced(Some(Trouble { detail: error.to_string(), next: error.hint() }));
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => self.trim(store),
        }
    }

    /// Tells the indexes where the view stands: where nothing is logged since, they stand there too.
    pub fn committed(&self, store: &Store) {
        if let Some(indexer) = &self.indexer {
            indexer.board().committed(store.last_change(), store.checkpoint().sequence);
        }
    }

    /// Goes on by a definition of the same shapes.
    pub fn adopt(&self, definition: &Arc<Definition>) {
        if let Some(indexer) = &self.indexer {
            indexer.adopt(definition);
        }
    }

    /// Lets the indexes take what there is, and ends them.
    pub fn end(mut self, store: &mut Store) -> Result<(), Error> {
        let has_more = store.last_change() > self.given;
        let fenced = if has_more { self.fence(store) } else { Ok(()) };
        if let Some(indexer) = self.indexer.take()
            && !indexer.end(END_WITHIN)
        {
            tracing::warn!(
                "the indexes did not end in time: what they lack is done by the next start"
            );
        }
        fenced
    }

    /// Which of its indexes cannot take the place of another, and why: one that cannot be searched, or shows less than
    /// the one of its name. None: they all can.
    fn lacks(&self, served: Option<&Published>) -> Option<String> {
        let published = self.board()?.published();
        published.indexes.iter().find_map(|index| {
            let sequence = index.sequence(&published);
            let before = served.and_then(|served| served.index(&index.name)?.sequence(served));
            if sequence.is_some() && sequence >= before {
                return None;
            }
            let (name, trouble) = (&index.name, index.trouble().or_else(|| published.trouble()));
            let why = trouble.map(|trouble| trouble.detail);
            let why = why.or_else(|| {
                let (sequence, before) = (sequence?, before?);
                Some(format!(
                    "its full-text index `{name}` is at sequence {sequence}, and the one that is searched at {before}"
                ))
            });
            Some(why.unwrap_or_else(|| format!("its full-text index `{name}` is being opened")))
        })
    }

    /// What its indexes have still to come to before they can meet those that are searched; None: they are open, and not
    /// far behind their rows.
    pub fn waits_for(&self, store: &Store) -> Option<String> {
        let published = self.board()?.published();
        let behind = published
            .indexes
            .iter()
            .find(|index| index.taken().is_none_or(|taken| store.last_change() - taken >= NEAR))?;
        let name = &behind.name;
        let trouble = behind.trouble().or_else(|| published.trouble());
        let is_open = behind.taken().is_some();
        let what = if is_open { "is behind its rows" } else { "is being opened" };
        Some(trouble.map_or_else(
            || format!("its full-text index `{name}` {what}"),
            |trouble| trouble.detail,
        ))
    }

    /// Hands nothing over for a moment: what is to follow it comes to where it stands.
    pub fn hold(&mut self) {
        self.next = Some(Instant::now() + HOLD);
    }

    /// Waits until its indexes can take the place of others; what is missing still at a deadline.
    pub fn come_to(
        &mut self,
        store: &mut Store,
        served: Option<&Published>,
        deadline: Instant,
    ) -> Result<Option<String>, Error> {
        loop {
            self.committed(store);
            let lacks = self.lacks(served);
            if lacks.is_none() || Instant::now() >= deadline {
                return Ok(lacks);
            }
            let is_busy = self.indexer.as_ref().is_some_and(|indexer| indexer.wants().busy);
            if !is_busy && store.last_change() > self.given {
                self.fence(store)?;
            }
            std::thread::sleep(MEET_LOOK);
        }
    }

    /// When the next fence is due; None: nothing is to be fenced.
    fn due_in(&self, store: &Store) -> Option<Duration> {
        let wants = self.indexer.as_ref()?.wants();
        let has_more = store.last_change() > self.given;
        let now = Instant::now();
        if wants.busy {
            return has_more.then_some(LOOK);
        }
        let due = match (has_more, wants.fence_at) {
            (false, None) => return None,
            (true, None) => self.next.unwrap_or(now),
            (false, Some(at)) => self.next.map_or(at, |next| next.max(at)),
            (true, Some(at)) => self.next.map_or(now, |next| next.max(at)),
        };
        Some(due.saturating_duration_since(now))
    }

    fn fence(&mut self, store: &mut Store) -> Result<(), Error> {
        let Some(indexer) = &self.indexer else { return Ok(()) };
        let wants = indexer.wants();
        let snapshot = store.fence()?;
        // Nobody else writes: they show the same.
        let more = (0..wants.snapshots).map(|_| store.snapshot()).collect::<Result<_, _>>()?;
        indexer.take(Fence { snapshot, more });
        self.given = store.last_change();
        self.next = Some(Instant::now() + self.every);
        self.unfenced(None);
        Ok(())
    }

    fn trim(&mut self, store: &mut Store) -> Result<(), Error> {
        let durable = self.indexer.as_ref().map(Indexer::durable);
        let upto = trim_to(store.last_change(), durable, self.changes_keep);
        if upto < self.trimmed + TRIM_MIN || self.trim_at.is_some_and(|at| at > Instant::now()) {
            return Ok(());
        }
        self.trim_at = None;
        match store.trim_changes(upto) {
            Ok(true) => {}
            Ok(false) => self.trimmed = upto,
            // What keeps it from being trimmed keeps batches from being written: they say so.
            Err(error @ (Error::Full { .. } | Error::Busy { .. })) => {
                tracing::debug!(%error, "trim the change log");
                self.trim_at = Some(Instant::now() + AGAIN);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn unfenced(&self, trouble: Option<Trouble>) {
        if let Some(board) = self.board() {
            board.unfenced(trouble);
        }
    }
}
