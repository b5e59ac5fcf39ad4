//! The shared readers of a daemon: one for all live projections that read the same events.
//!
//! A shared reader begins when the first live projection asks for a seat, at that projection's position, and ends when
//! it has no member any more or meets a fault. Whoever asks while it ends begins another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Position;
use super::connection::{Connection, Pace, backoff};
use super::head::StreamHead;
use super::queue::Gauge;
use super::reader::{Reader, Settings};
use super::share::{Seat, Share};
use super::sink::Sink;
use super::status::{Recreate, Status, Tally};
use crate::config::Nats;
use crate::event::Sequence;

/// Secrets that cannot be read are tried again after this long, doubling up to the connection's longest pause.
const OPEN_MIN: Duration = Duration::from_millis(50);

/// What readers read, and through what.
#[derive(Debug)]
pub struct Source {
    pub nats: Nats,
    /// For requests.
    pub control: Connection,
    pub pace: Pace,
    pub settings: Settings,
    /// Of one projection's queue.
    pub queue_bytes_max: usize,
    pub head: watch::Receiver<Option<StreamHead>>,
}

/// What projections have in common that may share a reader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The name of the source.
    pub source: String,
    /// Sorted.
    pub subjects: Vec<String>,
}

/// Where projections find a shared reader. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    shares: Arc<Mutex<HashMap<Key, Shared>>>,
    starts: mpsc::UnboundedSender<Start>,
}

/// The task that runs the shared readers; [`Task::run`] is to be spawned.
#[derive(Debug)]
pub struct Task {
    starts: mpsc::UnboundedReceiver<Start>,
}

#[derive(Debug)]
struct Shared {
    share: Arc<Share>,
    status: Arc<Status>,
}

#[derive(Debug)]
struct Start {
    source: Arc<Source>,
    position: Position,
    status: Arc<Status>,
    tally: Arc<Tally>,
    ending: Ending,
}

/// Ends a share with its reader, however that ends.
#[derive(Debug)]
struct Ending {
    key: Key,
    share: Arc<Share>,
    hub: Hub,
}

/// A hub without readers.
pub fn hub() -> (Hub, Task) {
    let (sender, starts) = mpsc::unbounded_channel();
    (Hub { shares: Arc::default(), starts: sender }, Task { starts })
}

impl Hub {
    /// Where the shared reader stands, if there is one, and whether it reads at the moment.
    pub(super) fn standing(&self, key: &Key) -> Option<(Sequence, bool)> {
        let shares = self.lock();
        shares.get(key).map(|shared| (shared.share.position(), shared.status.verified()))
    }

    /// Takes a seat, in a share that begins at `position` if there is none yet; with it comes the reader's status.
    pub(super) fn join(
        &self,
        key: &Key,
        source: &Arc<Source>,
        tally: &Arc<Tally>,
        position: Position,
        gauge: &Gauge,
    ) -> (Seat, Arc<Status>) {
        let mut shares = self.lock();
        if let Some(shared) = shares.get(key)
            && let Some(seat) = shared.share.join(gauge)
        {
            return (seat, Arc::clone(&shared.status));
        }
        let share = Share::new(position.clone(), source.queue_bytes_max);
        let seat = share.join(gauge).expect("a share that has just begun has not ended");
        let status = Arc::new(Status::new(Arc::clone(tally)));
        status.set_position(&position);
        let shared = Shared { share: Arc::clone(&share), status: Arc::clone(&status) };
        shares.insert(key.clone(), shared);
        let start = Start {
            source: Arc::clone(source),
            position,
            status: Arc::clone(&status),
            tally: Arc::clone(tally),
            ending: Ending { key: key.clone(), share, hub: self.clone() },
        };
        drop(shares);
        // Without its task the daemon is ending: the start's end tells the seat.
        let _ = self.starts.send(start);
        (seat, status)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Shared>> {
        self.shares.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut shares = self.hub.lock();
        if shares.get(&self.key).is_some_and(|shared| Arc::ptr_eq(&shared.share, &self.share)) {
            shares.remove(&self.key);
        }
        drop(shares);
        self.share.end();
    }
}

impl Task {
    /// Runs readers until cancelled.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(start) = self.starts.recv() => {
                    running.spawn(start.run(cancel.clone()));
                }
                Some(_) = running.join_next(), if !running.is_empty() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }
}

impl Start {
    async fn run(self, cancel: CancellationToken) {
        let Self { source, position, status, tally, ending } = self;
        let stream = source.settings.stream.clone();
        tracing::debug!(stream, position = %position.sequence, "shared reader");
        let sink = Sink::Share(Arc::clone(&ending.share));
        let mut reading = JoinSet::new();
        reading.spawn(read(source, position, sink, status, cancel));
        if let Some(Err(error)) = reading.join_next().await {
            tracing::error!(stream, %error, "shared reader ended, each goes on by itself");
            tally.count_recreate(Recreate::Panicked);
        }
    }
}

/// One reader from its connection to its end, on a thread of its own.
///
/// What the client allocates for a message is freed where it was allocated, and nothing is woken to hand it over: on a
/// runtime of several threads the same messages take up to a third more of the processors' time.
pub(super) async fn read(
    source: Arc<Source>,
    position: Position,
    sink: Sink,
    status: Arc<Status>,
    cancel: CancellationToken,
) {
    let cancel = cancel.child_token();
    // Whoever gives up waiting here ends the thread as well.
    let _ending = cancel.clone().drop_guard();
    let (ended, end) = oneshot::channel();
    let reading = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system has descriptors to give");
        runtime.block_on(read_here(source, position, sink, status, cancel));
        // A transform that does not end must not keep the thread.
        runtime.shutdown_background();
        let _ = ended.send(());
    };
    let thread = std::thread::Builder::new().name("reader".to_owned()).spawn(reading);
    let thread = thread.expect("the system has a thread to give");
    if end.await.is_err()
        && let Err(panic) = thread.join()
    {
        std::panic::resume_unwind(panic);
    }
}

async fn read_here(
    source: Arc<Source>,
    position: Position,
    sink: Sink,
    status: Arc<Status>,
    cancel: CancellationToken,
) {
    let Some(connection) = cancel.run_until_cancelled(connect(&source, &status)).await else {
        return;
    };
    let (settings, head) = (source.settings.clone(), source.head.clone());
    Reader::new(connection, &source.control, settings, position, sink, head, status)
        .run(cancel)
        .await;
}

/// Opens a connection as often as it takes: what was right at the start may be wrong for a while.
async fn connect(source: &Source, status: &Status) -> Connection {
    let mut failures = 0;
    loop {
        match Connection::open(&source.nats, "viewd reader", source.pace).await {
            Ok(connection) => return connection,
            Err(error) => {
                status.trouble.failed(&source.settings.stream, error.sentence());
                tokio::time::sleep(backoff(failures, OPEN_MIN, source.pace.backoff_max)).await;
                failures += 1;
            }
        }
    }
}
