//! The running daemon as its edges see it: reports and readiness. It holds handles, not work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::operations::Operations;
use super::refused::Refused;
use super::site::Site;
use super::streams::Streams;
use super::threads::Threads;
use super::tracked::Tracked;
use super::upkeep::Ended;
use super::waiting::Waiting;
use crate::metrics::Metrics;
use crate::source::connection::Connection;
use crate::status::{Nats, Report};
use crate::worker::common::{Common, Reading};
use crate::worker::recipe::Recipe;

/// A worker answers between two batches. Whoever waits keeps other commands waiting, so not for one that stands still:
/// it does what it was told when it moves again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What the API and the commands ask.
pub struct Daemon {
    pub(super) common: Arc<Common>,
    pub(super) control: Connection,
    /// By name.
    projections: RwLock<Arc<[Arc<Tracked>]>>,
    pub(super) streams: Streams,
    pub(super) operations: Operations,
    pub(super) threads: Threads,
    /// To the upkeep.
    pub(super) ended: mpsc::UnboundedSender<Ended>,
    site: Mutex<Site>,
    /// What a query may take.
    query_timeout: Duration,
    draining: AtomicBool,
    pub(super) waiting: Waiting,
    /// One scrape at a time: each sets the series that follow from reports.
    pub(super) scrape: Mutex<()>,
}

impl Daemon {
    pub(super) fn new(
        common: Arc<Common>,
        control: Connection,
        threads: Threads,
        ended: mpsc::UnboundedSender<Ended>,
        site: Site,
    ) -> Self {
        Self {
            streams: Streams::new(&control),
            common,
            control,
            projections: RwLock::new(Arc::default()),
            operations: Operations::default(),
            threads,
            ended,
            query_timeout: site.config.limits.query_timeout,
            site: Mutex::new(site),
            draining: AtomicBool::new(false),
            waiting: Waiting::default(),
            scrape: Mutex::new(()),
        }
    }

    pub fn query_timeout(&self) -> Duration {
        self.query_timeout
    }

    pub fn metrics(&self) -> &Metrics {
        &self.common.metrics
    }

    /// The projections' names.
    pub fn names(&self) -> Vec<String> {
        self.projections().iter().map(|tracked| tracked.name().to_owned()).collect()
    }

    pub fn report(&self) -> Report {
        let connected = self.control.link().borrow().connected;
        let projections = self.projections();
        let projections = projections.iter().map(|tracked| tracked.shared.report()).collect();
        Report { nats: Nats { connected }, projections }
    }

    /// Why the daemon, or one projection, is not ready; empty if it is.
    pub fn not_ready(&self, projection: Option<&str>) -> Vec<String> {
        if self.is_draining() {
            return vec!["the daemon is shutting down".to_owned()];
        }
        let asked = |tracked: &&Arc<Tracked>| projection.is_none_or(|name| name == tracked.name());
        let projections = self.projections();
        let waiting = projections.iter().filter(asked).filter(|tracked| !tracked.shared.ready());
        waiting
            .map(|tracked| format!("projection `{}` has not been live yet", tracked.name()))
            .collect()
    }

    /// What keeps a projection's stream from being read.
    pub fn trouble(&self, projection: &str) -> Option<String> {
        self.tracked(projection)?.shared.following().watch?.trouble()
    }

    /// The shutdown has begun: nobody waits here for long any more.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.projections().iter().for_each(|tracked| tracked.shared.wake());
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Those that it runs at the moment.
    pub(super) fn projections(&self) -> Arc<[Arc<Tracked>]> {
        Arc::clone(&self.projections.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn tracked(&self, projection: &str) -> Option<Arc<Tracked>> {
        self.projections().iter().find(|tracked| tracked.name() == projection).map(Arc::clone)
    }

    /// Runs these from now on.
    pub(super) fn track(&self, mut projections: Vec<Arc<Tracked>>) {
        projections.sort_by(|one, other| one.name().cmp(other.name()));
        *self.projections.write().unwrap_or_else(PoisonError::into_inner) = projections.into();
    }

    /// The settings; whoever has them changes what runs.
    pub(super) fn site(&self) -> MutexGuard<'_, Site> {
        self.site.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the stream of a recipe is read.
    pub(super) fn reading(&self, site: &Site, recipe: &Recipe) -> Reading {
        let projections = self.projections();
        let queues = projections.len() + self.operations.all_running().len();
        // Alone, a reader of its own is all that a share could be.
        let name = &recipe.plan.definition().name;
        let shares = projections
            .iter()
            .any(|tracked| tracked.name() != name && tracked.intent().recipe.key == recipe.key);
        self.streams.reading(recipe, &site.config, &self.common, queues as u64, shares)
    }

    /// Waits for a worker's answer; blocks.
    pub(super) fn answer<T>(&self, answer: oneshot::Receiver<T>) -> Result<T, Refused> {
        let waiting = async move { tokio::time::timeout(ANSWER_TIMEOUT, answer).await };
        match self.common.runtime.block_on(waiting) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Refused::Draining),
            Err(_) => Err(Refused::busy("its worker is at work, and hears of it after that")),
        }
    }
}
