//! The tasks of the daemon, their start and their end.
//!
//! | task | runs on | when it fails | when cancelled |
//! |---|---|---|---|
//! | control connection and head polls, one a stream | tokio | tries again for ever; lag becomes unknown | ends at once |
//! | feed, one a projection and build, with its private reader | tokio; the reader on a thread of its own | the reader tries again for ever, or gives its worker a fault; after a panic another begins | ends at once |
//! | hub, with the readers that live projections share | tokio; each reader on a thread of its own | likewise; whoever shared one goes on by itself | ends at once |
//! | reader of several builds | tokio; on a thread of its own | each build fails | ends at once, or when no build takes from it |
//! | thread of full-text indexes, one a generation that has any | a thread of its own, and others while it makes one | tries again for ever; the projection is `degraded` meanwhile | its worker's end waits for its commit; else ends at once, and the next start does the rest |
//! | worker, one a projection | a thread of its own | the projection fails, and the thread stays for what mends it; a write of unknown outcome (74) or a panic (70) ends the process | commits the batch in hand, marks a clean end |
//! | builder, one a build | a thread of its own | its operation says why, and what it made is removed; a panic ends the process (70) | what is sealed is kept for the next start, else removed |
//! | upkeep | tokio, its work on a thread for that | what cannot be done is logged and done again later | ends after what it is at |
//! | SIGHUP | tokio | a reload that is refused changes nothing, and is logged | ends after the reload that it is at |
//! | watchdog | tokio | pure but for what it reads: it does not fail | ends at once, after the workers |
//! | HTTP on TCP and on the admin socket | tokio | a connection's trouble is its client's | finishes open requests |
//!
//! The end, in order: readiness off and readers cancelled; workers commit and stop; HTTP stops. All of it within
//! `shutdown_timeout_ms`; a second signal cuts it short. Nothing is lost either way: the checkpoint decides.

pub mod at_rest;
mod builds;
pub mod command;
pub mod daemon;
pub mod disk;
pub mod gc;
mod launch;
mod open;
mod operations;
pub mod refused;
pub mod reload;
mod scrape;
pub mod searching;
mod site;
pub mod snapshot;
pub mod start;
mod streams;
mod threads;
mod tracked;
mod upkeep;
pub mod waiting;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::daemon::Daemon;
use self::threads::Worked;
use crate::indexer::published::State as Standing;
use crate::rebuild::operation::{Progress, Shown};
use crate::source::connection;
use crate::status::{Index, Projection, Reason, Report, State};
use crate::store;
use crate::store::lock::Lock;
use crate::worker::End;

/// How a run ended.
pub enum Ended {
    /// By a signal, in order.
    Drained,
    /// Each projection has reached the head read at the start, and its indexes too, or has failed.
    CaughtUp {
        report: Report,
        /// Builds that came to nothing meanwhile.
        unbuilt: Vec<Shown>,
        /// Projections with an index that could not be written meanwhile.
        unsearched: Vec<String>,
    },
    /// The end took longer than `shutdown_timeout_ms`.
    Late,
    /// By a second signal.
    CutShort,
}

/// Why a run could not begin, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Connection(#[from] connection::Error),
    #[error("the head of the stream of projection `{projection}` is not known after {} s{}", HEAD_TIMEOUT.as_secs(), .trouble.as_ref().map_or(String::new(), |trouble| format!(": {trouble}")))]
    Unknown { projection: String, trouble: Option<String> },
    #[error("a thread of projection `{projection}` panicked")]
    Panicked { projection: String },
}

// A run that is to catch up waits so long for NATS: longer than a server takes to start, not for ever.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
// An index that cannot be written is tried again; a run that is to catch up waits so long for that to help.
const INDEX_TIMEOUT: Duration = Duration::from_secs(30);
// How often progress is looked at: a bar that moves ten times a second looks alive.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Everything that runs, and must end in order.
pub struct Running {
    tasks: Tasks,
    shutdown_timeout: Duration,
    signals: mpsc::Receiver<()>,
    /// Of the data directory.
    _lock: Lock,
}

/// What is cancelled and waited for.
struct Tasks {
    daemon: Arc<Daemon>,
    /// What threads tell of their ends.
    ended: mpsc::UnboundedReceiver<Worked>,
    running: JoinSet<()>,
    /// Cancels the edges.
    edges: CancellationToken,
}

impl Running {
    pub fn daemon(&self) -> &Arc<Daemon> {
        &self.tasks.daemon
    }

    /// Runs an edge: it is cancelled when the workers have stopped, and waited for.
    pub fn edge<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        edge: impl FnOnce(CancellationToken) -> F,
    ) {
        self.tasks.running.spawn(edge(self.tasks.edges.clone()));
    }

    /// Ends what runs: for an edge that cannot start.
    pub async fn stop(self) {
        // Past the timeout the tasks end with the process.
        let _ = tokio::time::timeout(self.shutdown_timeout, self.tasks.finish()).await;
    }

    /// Runs until a signal or, with `progress`, until every projection has caught up; it is shown reports meanwhile.
    pub async fn until_ended(
        self,
        mut progress: Option<impl FnMut(&Report)>,
    ) -> Result<Ended, Error> {
        let Self { mut tasks, shutdown_timeout, mut signals, _lock } = self;
        let daemon = Arc::clone(&tasks.daemon);
        let mut look = tokio::time::interval(PROGRESS_EVERY);
        let mut targets = Targets::default();
        let begun = Instant::now();
        let end = loop {
            tokio::select! {
                biased;
                _ = signals.recv() => {
                    tracing::info!("shutting down");
                    break Ok(None);
                }
                Some(ended) = tasks.ended.recv() => match ended {
                    Worked::Ended(End::Stopped) => {}
                    Worked::Ended(End::Fatal(error)) => break Err(Error::Store(error)),
                    Worked::Panicked(projection) => break Err(Error::Panicked { projection }),
                },
                _ = look.tick(), if progress.is_some() => {
                    let report = daemon.report();
                    progress.iter_mut().for_each(|progress| progress(&report));
                    if begun.elapsed() > HEAD_TIMEOUT
                        && let Some(projection) = targets.unknown()
                    {
                        let trouble = daemon.trouble(&projection);
                        break Err(Error::Unknown { projection, trouble });
                    }
                    if targets.reached(&daemon, &report) {
                        break Ok(Some(targets.unsearched()));
                    }
                }
            }
        };
        let cut = tokio::select! {
            biased;
            _ = signals.recv() => Some(Ended::CutShort),
            finished = tokio::time::timeout(shutdown_timeout, tasks.finish()) => finished.err().map(|_| Ended::Late),
        };
        let caught_up = end?;
        Ok(cut.unwrap_or_else(|| {
            let Some(unsearched) = caught_up else { return Ended::Drained };
            let operations = daemon.operations();
            let shown = operations.iter().map(|operation| operation.shown());
            let unbuilt = shown.filter(|shown| {
                matches!(shown.state, Progress::Refused | Progress::WouldForget | Progress::Failed)
            });
            Ended::CaughtUp { unbuilt: unbuilt.collect(), unsearched, report: daemon.report() }
        }))
    }
}

impl Tasks {
    async fn finish(mut self) {
        self.daemon.drain();
        let common = Arc::clone(&self.daemon.common);
        // Readers, polls, workers and builders.
        common.shutdown.cancel();
        let daemon = Arc::clone(&self.daemon);
        let _ = tokio::task::spawn_blocking(move || daemon.threads.join()).await;
        self.edges.cancel();
        while self.running.join_next().await.is_some() {}
        common.tasks.close();
        common.tasks.wait().await;
    }
}

/// SIGTERM and SIGINT, as often as they come.
fn signals() -> mpsc::Receiver<()> {
    // The first begins the shutdown, the second cuts it short; more say nothing new.
    let (sender, receiver) = mpsc::channel(2);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let sender = sender.clone();
        let mut signal = signal(kind).expect("the runtime has its signal driver");
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                let _ = sender.try_send(());
            }
        });
    }
    receiver
}

/// What a run waits for, of each projection.
#[derive(Default)]
struct Targets(BTreeMap<String, Target>);

#[derive(Default)]
struct Target {
    /// Of its stream, as first read.
    head: Option<u64>,
    /// Since then its indexes do not follow, though none is being made.
    troubled: Option<Instant>,
}

impl Targets {
    /// A projection whose stream's head has not been read yet.
    fn unknown(&self) -> Option<String> {
        self.0.iter().find(|(_, target)| target.head.is_none()).map(|(name, _)| name.clone())
    }

    /// The projections whose indexes were waited for in vain.
    fn unsearched(&self) -> Vec<String> {
        let given_up = self.0.iter().filter(|(_, target)| target.is_given_up());
        given_up.map(|(name, _)| name.clone()).collect()
    }

    /// Whether all are there, or failed, and nothing is being built that would be served by itself.
    fn reached(&mut self, daemon: &Daemon, report: &Report) -> bool {
        let there = report.projections.iter().fold(true, |all, projection| {
            let verified = daemon.tracked(&projection.name).is_some_and(|tracked| {
                let watch = tracked.shared.following().watch;
                watch.is_some_and(|watch| watch.reader.status().verified())
            });
            let target = self.0.entry(projection.name.clone()).or_default();
            target.head = target.head.or(projection.stream_last_sequence);
            let there = verified
                && target.head.is_some_and(|head| projection.checkpoint_sequence >= head)
                && target.is_searched(projection);
            // One that is being rebuilt has failed, and is still to come.
            let failed = projection.state == State::Failed && projection.rebuild.is_none();
            // Neither of these comes any further.
            let stands =
                projection.state == State::Paused || projection.reason == Some(Reason::Frozen);
            all & (there || failed || stands)
        });
        there && daemon.operations.all_running().iter().all(|entry| entry.operation.is_held())
    }
}

impl Target {
    /// Whether the indexes are there, too; or do not come any further, which the report says.
    fn is_searched(&mut self, projection: &Projection) -> bool {
        let is_made = |index: &Index| index.state == Standing::REBUILDING;
        let is_troubled =
            projection.reason == Some(Reason::Search) && !projection.search.iter().any(is_made);
        self.troubled = is_troubled.then(|| self.troubled.unwrap_or_else(Instant::now));
        self.is_given_up() || projection.search.iter().all(|index| index.sequence >= self.head)
    }

    fn is_given_up(&self) -> bool {
        self.troubled.is_some_and(|since| since.elapsed() > INDEX_TIMEOUT)
    }
}
