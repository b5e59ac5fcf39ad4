//! The thread that keeps a generation's full-text indexes at its rows (I5).
//!
//! It reads no rows but those of a *fence*: a snapshot that the worker opens right after a commit that is durable. So an
//! index never holds what SQLite could lose, not even with the power: it trails, it never leads.
//!
//! | step | by | a crash here |
//! |---|---|---|
//! | rows and their changes are committed | worker | the changes are in the log |
//! | a fence: all of that is durable, and a snapshot of it is opened | worker | likewise |
//! | documents of changed keys are made anew from the rows of the snapshot | this thread | the index is as its last commit left it |
//! | commit, with how far it is: the payload; the folder is synced | this thread | either commit: the rest is done again |
//! | searcher and sequence are published, in one step | this thread | |
//! | changes that every index has taken are removed from the log | worker | they are done again at most |
//!
//! What is found when an index is opened, by [`keeper`]:
//!
//! | found | what is done |
//! |---|---|
//! | it has taken changes that are in the log, or all | it goes on from there |
//! | none, and no rows either | it is made, empty |
//! | none; damaged; of another shape or generation; ahead of the view; behind the log | it is made again from the rows of a fence, beside what is served |
//!
//! After any error the index is opened again and goes on from the payload that is on the disk, after a pause that
//! doubles. A full disk or an I/O error lasts until it is over; any other error that comes three times at one payload
//! means that the index is of no use: it is made again. A panic, of files that are not as they were written, is an error.

mod keeper;
pub mod making;
pub mod published;
mod thread;
pub mod verify;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::task::TaskTracker;

use self::published::{Board, Trouble};
use self::thread::Event;
use crate::budget::Budget;
use crate::definition::Definition;
use crate::metrics::Metrics;
use crate::search::{self, Shape};
use crate::store;
use crate::store::layout::Generation;
use crate::store::readers::Readers;
use crate::store::snapshot::Snapshot;
use crate::store::step::Steps;

/// What the thread of the indexes is given.
pub struct Means {
    pub projection: String,
    pub generation: Generation,
    pub definition: Arc<Definition>,
    /// The generation's.
    pub folder: PathBuf,
    /// Of its rows.
    pub readers: Arc<Readers>,
    pub budget: Arc<Budget>,
    pub metrics: Arc<Metrics>,
    pub steps: Steps,
    /// It is waited for by whoever waits for these.
    pub tasks: TaskTracker,
}

/// The handle of the thread: it ends when this is dropped, soon, and what it has not committed is done again.
pub struct Indexer {
    board: Arc<Board>,
    desk: Arc<Desk>,
    events: mpsc::Sender<Event>,
    /// Closed when the thread has ended.
    ended: mpsc::Receiver<()>,
}

/// What is durable, to be indexed.
pub struct Fence {
    pub snapshot: Snapshot,
    /// More of the same state, as many as were wanted.
    pub more: Vec<Snapshot>,
}

/// What the indexes want of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// They are at work on the last fence.
    pub busy: bool,
    /// A fence at this moment, even if nothing was changed since the last one.
    pub fence_at: Option<Instant>,
    /// So many snapshots of it beside the first.
    pub snapshots: usize,
}

/// What the thread and the worker tell each other.
struct Desk {
    wants: Mutex<Wants>,
    /// Every index has taken the changes up to this one, for ever.
    durable: AtomicI64,
    /// Long work is to be given up.
    stop: AtomicBool,
}

/// Why an index does not follow.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Search(#[from] search::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the index is not as it was written: {0}")]
    Panicked(String),
}

impl Indexer {
    /// Begins the thread; it waits for its first fence.
    pub fn begin(means: Means) -> Self {
        let (events, heard) = mpsc::channel();
        let board = Arc::new(Board::new(
            means.generation,
            means.folder.clone(),
            Arc::clone(&means.definition),
            Arc::clone(&means.readers),
            events.clone(),
        ));
        let desk = Arc::new(Desk::new());
        let (ends, ended) = mpsc::sync_channel(0);
        let token = means.tasks.token();
        let thread = thread::Thread::new(&means, &board, &desk, events.clone());
        let (at, projection) = (Arc::clone(&board), means.projection);
        let run = move || {
            let (_token, _ends) = (token, ends);
            if catch_unwind(AssertUnwindSafe(|| thread.run(&heard))).is_err() {
                tracing::error!(projection, "the thread of its indexes panicked");
                at.unfenced(Some(Trouble {
                    detail:
                        "the thread of the full-text indexes has ended, which is a bug of viewd"
                            .to_owned(),
                    next: Some("restart viewd, and report it with the log".to_owned()),
                }));
            }
        };
        let spawned = std::thread::Builder::new().name("indexer".to_owned()).spawn(run);
        spawned.expect("the system has a thread to give");
        Self { board, desk, events, ended }
    }

    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    pub fn wants(&self) -> Wants {
        *self.desk.wants()
    }

    /// Every index has taken the changes up to this one, and keeps them whatever happens.
    pub fn durable(&self) -> i64 {
        self.desk.durable.load(Ordering::Acquire)
    }

    /// Hands over what is durable.
    pub fn take(&self, fence: Fence) {
        let none = Wants { busy: true, fence_at: None, snapshots: 0 };
        *self.desk.wants() = none;
        self.send(Event::Fence(Box::new(fence)));
    }

    /// Goes on by a definition of the same shapes.
    pub fn adopt(&self, definition: &Arc<Definition>) {
        self.send(Event::Adopt(Arc::clone(definition)));
    }

    /// Ends the thread when it is through with what it was handed; false if that takes longer. Long work is given up.
    pub fn end(self, within: Duration) -> bool {
        self.send(Event::End);
        self.desk.stop.store(true, Ordering::Relaxed);
        matches!(self.ended.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }

    fn send(&self, event: Event) {
        // A thread that has ended by a panic has said so.
        let _ = self.events.send(event);
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        self.desk.stop.store(true, Ordering::Relaxed);
        self.send(Event::End);
    }
}

impl Desk {
    fn new() -> Self {
        // What is there is looked at with the first fence.
        let wants = Wants { busy: false, fence_at: Some(Instant::now()), snapshots: 0 };
        Self { wants: Mutex::new(wants), durable: AtomicI64::new(0), stop: AtomicBool::new(false) }
    }

    fn wants(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Error {
    /// The next thing to do, when there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Search(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Panicked(_) => None,
        }
    }

    /// Whether it does not pass by itself, as a full disk does, or a row that no index can take.
    fn is_lasting(&self) -> bool {
        use search::Error::{Cell, Full, Held, Io};
        match self {
            Self::Search(Full { .. } | Io { .. } | Held { .. } | Cell { .. }) | Self::Store(_) => {
                false
            }
            Self::Search(_) | Self::Panicked(_) => true,
        }
    }

    /// The label `kind` of `storage_errors_total`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Search(search::Error::Full { .. }) | Self::Store(store::Error::Full { .. }) => {
                "full"
            }
            Self::Search(search::Error::Held { .. }) | Self::Store(store::Error::Busy { .. }) => {
                "busy"
            }
            Self::Search(search::Error::Io { .. }) | Self::Store(store::Error::Unknown { .. }) => {
                "io"
            }
            _ => "corrupt",
        }
    }
}

/// The shapes of a definition's indexes, in its order.
pub fn shapes(definition: &Definition) -> Vec<Arc<Shape>> {
    let searches = definition.searches.iter();
    searches.map(|search| Arc::new(Shape::new(search, &definition.tables[search.table]))).collect()
}

/// Files that are not as they were written make Tantivy panic: that is an error like any other.
fn guarded<T>(follow: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(follow)).unwrap_or_else(|panic| {
        let detail = panic.downcast_ref::<String>().cloned();
        let detail = detail.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Error::Panicked(detail.unwrap_or_default()))
    })
}
