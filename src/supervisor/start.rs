//! From settings and definitions to running tasks.
//!
//! Everything that can be refused is refused before the first task runs: the lock, and every store.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::daemon::Daemon;
use super::disk::{Declared, Disk};
use super::open::{self, Served};
use super::site::Site;
use super::threads::Threads;
use super::upkeep::Upkeep;
use super::watchdog::Watchdog;
use super::{Error, Running, Tasks, reload, signals};
use crate::budget::Budget;
use crate::clock;
use crate::config::Loaded;
use crate::metrics::Metrics;
use crate::source::connection::{Connection, Pace};
use crate::source::hub;
use crate::store;
use crate::store::layout::Folder;
use crate::store::lock::Lock;
use crate::store::step::Steps;
use crate::worker::common::Common;
use crate::worker::recipe::Recipe;

/// A search opens an index in that time, whatever its size.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Finer than one search follows another.
const LOCK_AGAIN: Duration = Duration::from_millis(5);

/// What a daemon is made of.
pub struct Setup {
    pub disk: Disk,
    pub loaded: Loaded,
    pub declared: Vec<Declared>,
    pub metrics: Arc<Metrics>,
    /// What is done at the steps of a generation's life.
    pub steps: Steps,
}

/// One projection, opened and not yet running.
struct Opened {
    folder: Folder,
    on_disk: Arc<Recipe>,
    served: Served,
}

/// Starts everything but the edges.
pub async fn start(setup: Setup) -> Result<Running, Error> {
    let Setup { disk, loaded, declared, metrics, steps } = setup;
    let site = Site::new(disk, loaded, steps);
    let config = &site.config;
    // From here on a signal ends the daemon in order, however long the start takes.
    let signals = signals();
    let hangup = signal(SignalKind::hangup()).expect("the runtime has its signal driver");
    let lock = lock(&config.data_dir).await?;
    let budget = Budget::new(config.limits.memory_bytes_max);
    let opened = declared.iter().map(|declared| open(&site, declared, &budget));
    let opened = opened.collect::<Result<Vec<_>, store::Error>>()?;
    let pace = Pace::of(&config.limits);
    let control = Connection::open(&config.nats, "viewd", pace).await?;

    let (hub, keeper) = hub::hub();
    let (asks, asked) = mpsc::unbounded_channel();
    let common = Arc::new(Common {
        hub,
        budget,
        tasks: TaskTracker::new(),
        runtime: Handle::current(),
        metrics,
        batch_events_max: config.limits.batch_events_max,
        parked_events_max: config.limits.parked_events_max,
        search_commit: config.limits.search_commit,
        changes_keep: config.limits.changes_keep,
        asks,
        shutdown: CancellationToken::new(),
    });
    common.tasks.spawn(keeper.run(common.shutdown.clone()));
    let (threads, ended) = Threads::new();
    let (over, overs) = mpsc::unbounded_channel();
    let (stall_max, shutdown_timeout) = (config.limits.stall_max, config.limits.shutdown_timeout);
    let daemon = Arc::new(Daemon::new(Arc::clone(&common), control, threads, over, site));
    let edges = CancellationToken::new();
    let mut running = JoinSet::new();
    begin(&daemon, opened).await;
    running.spawn(Watchdog::new(&daemon, stall_max).run(edges.clone()));
    let upkeep = Upkeep { daemon: Arc::clone(&daemon), ended: overs, asks: asked };
    running.spawn(upkeep.run(common.shutdown.clone()));
    running.spawn(reload::on_hangup(Arc::clone(&daemon), hangup, common.shutdown.clone()));
    let tasks = Tasks { daemon, ended, running, edges };
    Ok(Running { tasks, shutdown_timeout, signals, _lock: lock })
}

/// Takes the data directory. Commands that read the files are through in a moment; another daemon is not.
async fn lock(data_dir: &Path) -> Result<Lock, store::Error> {
    let begun = Instant::now();
    loop {
        match Lock::take(data_dir) {
            Err(store::Error::Locked { pid: None, .. }) if begun.elapsed() < LOCK_TIMEOUT => {
                tokio::time::sleep(LOCK_AGAIN).await;
            }
            taken => return taken,
        }
    }
}

fn open(site: &Site, declared: &Declared, budget: &Arc<Budget>) -> Result<Opened, store::Error> {
    let on_disk = Arc::new(declared.recipe(&site.config));
    let folder = site.folder(declared.name());
    let served = open::open(&folder, &on_disk, budget, &site.config.limits)?;
    Ok(Opened { folder, on_disk, served })
}

/// Lets all of them run, and what their definitions ask for begin.
async fn begin(daemon: &Arc<Daemon>, opened: Vec<Opened>) {
    let begun = daemon.blocking(move |daemon| {
        let site = daemon.site();
        let opened = opened.into_iter().map(|Opened { folder, on_disk, served }| {
            (daemon.handles(&site, folder, on_disk, &served), served)
        });
        let opened: Vec<_> = opened.collect();
        // Who shares a reader with whom is known when all are.
        daemon.track(opened.iter().map(|(tracked, _)| Arc::clone(tracked)).collect());
        for (tracked, served) in opened {
            daemon.launch(&site, &tracked, served);
        }
        daemon.resume_builds(&site);
        daemon.follow_definitions(&site, &daemon.projections());
        let metrics = daemon.metrics();
        metrics.config_last_reload_successful.set(1);
        let now = clock::unix_seconds(clock::now());
        metrics.config_last_reload_success_timestamp_seconds.set(now);
        Ok(())
    });
    begun.await.expect("nothing has been told to end yet");
}
