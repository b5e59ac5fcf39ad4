//! What the workers and builders of one daemon have in common, and how each comes to its events.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fences::Fences;
use super::recipe::Recipe;
use super::shared::Shared;
use super::{Begin, Worker, command};
use crate::budget::Budget;
use crate::lag::Watch;
use crate::metrics::Metrics;
use crate::source::Position;
use crate::source::accept::Look;
use crate::source::feed::{self, Feed};
use crate::source::hub::{self, Hub, Key, Source};
use crate::source::status::Tally;
use crate::source::{head, queue};
use crate::store::layout::Folder;
use crate::store::writer::Store;

/// Of one daemon.
pub struct Common {
    pub hub: Hub,
    pub budget: Arc<Budget>,
    /// Where feeds run; it is waited for at the end.
    pub tasks: TaskTracker,
    pub runtime: Handle,
    pub metrics: Arc<Metrics>,
    pub batch_events_max: usize,
    pub parked_events_max: u64,
    /// Between two commits of full-text indexes.
    pub search_commit: Duration,
    /// Of each generation's change log.
    pub changes_keep: u64,
    /// What workers ask of the supervisor.
    pub asks: mpsc::UnboundedSender<Ask>,
    pub shutdown: CancellationToken,
}

/// What a worker cannot do by itself.
#[derive(Debug)]
pub enum Ask {
    /// A build that its policy asks for: its stream has a gap, or is another.
    Rebuild { projection: String },
}

/// Where the events of one projection come from.
#[derive(Clone)]
pub struct Reading {
    pub source: Arc<Source>,
    /// None: no other projection reads the same.
    pub share: Option<Key>,
    /// The poll of its stream.
    pub head: head::Head,
    /// Of its stream.
    pub tally: Arc<Tally>,
    pub look: Look,
}

impl Common {
    /// Of a worker beside which there is none, and whose events come from memory.
    pub fn alone(
        memory_bytes_max: u64,
        batch_events_max: usize,
        parked_events_max: u64,
        runtime: Handle,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            hub: hub::hub().0,
            budget: Budget::new(memory_bytes_max),
            tasks: TaskTracker::new(),
            runtime,
            metrics: Arc::new(Metrics::new()),
            batch_events_max,
            parked_events_max,
            search_commit: Duration::from_millis(500),
            changes_keep: 100_000,
            asks: mpsc::unbounded_channel().0,
            shutdown,
        })
    }
}

impl Worker {
    /// One whose events come from a queue, and which nobody commands.
    pub fn alone(
        recipe: Arc<Recipe>,
        store: Store,
        folder: Folder,
        queue: queue::Receiver,
        shared: Arc<Shared>,
        common: Arc<Common>,
    ) -> Self {
        let stream = watch::channel(None).1;
        let head = head::Head { stream, trouble: Arc::default(), connection: None };
        let fences = Fences::begin(&common, recipe.plan.definition(), &folder, &store);
        shared.search_by(fences.board());
        Self {
            recipe,
            ticket: common.budget.store(),
            fences,
            folder,
            store,
            feed: Feed::of(queue),
            look: Look::nowhere(),
            commands: command::channel().1,
            shared,
            watch: Watch { head, reader: Arc::default() },
            common,
            begin: Begin::Read,
        }
    }
}

impl Reading {
    /// Begins to read after a position. It ends with the feed, or with the daemon.
    pub fn feed(&self, position: Position, common: &Common) -> (Feed, Watch) {
        let source = Arc::clone(&self.source);
        let tally = Arc::clone(&self.tally);
        let (feed, task) =
            feed::feed(source, common.hub.clone(), self.share.clone(), tally, position);
        let watch = Watch { head: self.head.clone(), reader: Arc::clone(task.current()) };
        common.tasks.spawn_on(task.run(common.shutdown.clone()), &common.runtime);
        (feed, watch)
    }
}
