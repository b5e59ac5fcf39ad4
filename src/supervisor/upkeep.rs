//! What follows by itself while the daemon runs: builds that have ended, builds that workers ask for, retired
//! generations that may go. One thing after another.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::builds::Wanted;
use super::daemon::Daemon;
use super::operations::Entry;
use super::tracked::{Intent, Stay, Tracked};
use crate::clock;
use crate::rebuild::Begin;
use crate::rebuild::operation::{Cause, Kind, Order, Progress};
use crate::worker::common::Ask;
use crate::worker::successor::Successor;

/// How often retired generations are looked at: a reader that closes its file frees the disk so soon.
const TICK: Duration = Duration::from_secs(60);

/// A thread that has ended.
pub(super) enum Ended {
    Build(Box<Built>),
    /// The worker of this projection.
    Worker(String),
}

/// A build that has ended; where nothing was served before, with what is served now.
pub(super) struct Built {
    pub(super) entry: Entry,
    pub(super) successor: Option<Box<Successor>>,
}

/// The task; [`Upkeep::run`] is to be spawned.
pub(super) struct Upkeep {
    pub(super) daemon: Arc<Daemon>,
    pub(super) ended: mpsc::UnboundedReceiver<Ended>,
    pub(super) asks: mpsc::UnboundedReceiver<Ask>,
}

impl Upkeep {
    /// Works until cancelled.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                Some(ended) = self.ended.recv() => {
                    self.work(move |daemon| match ended {
                        Ended::Build(built) => daemon.after_build(*built),
                        Ended::Worker(projection) => daemon.after_worker(&projection),
                    })
                    .await;
                }
                Some(Ask::Rebuild { projection }) = self.asks.recv() => {
                    self.work(move |daemon| daemon.build_by_policy(&projection)).await;
                }
                _ = ticks.tick() => self.work(Daemon::remove_retired).await,
            }
        }
    }

    async fn work(&self, run: impl FnOnce(&Daemon) + Send + 'static) {
        let daemon = Arc::clone(&self.daemon);
        let done = tokio::task::spawn_blocking(move || run(&daemon)).await;
        done.expect("upkeep does not panic");
    }
}

impl Daemon {
    fn after_build(&self, built: Built) {
        let Built { entry, successor } = built;
        let site = self.site();
        let operation = &entry.operation;
        let tracked = self.tracked(&operation.projection);
        if let (Some(tracked), Some(successor)) = (&tracked, successor) {
            self.succeed(&site, tracked, *successor);
        }
        let progress = operation.shown().state;
        if operation.order.kind != Kind::Verify {
            self.metrics().built(&operation.projection, progress.outcome());
        }
        entry.ended.cancel();
        let Some(tracked) = tracked else { return };
        if progress == Progress::Done {
            self.remove_retired_of(&site, &tracked);
        }
        // What it was in the way of may be begun now.
        self.follow_definitions(&site, &[tracked]);
    }

    /// A worker that was told to end and stood still has ended after all: it goes, or runs anew where a definition
    /// names it again.
    fn after_worker(&self, projection: &str) {
        let site = self.site();
        let Some(tracked) = self.tracked(projection) else { return };
        if !tracked.has_ended() || self.is_draining() {
            return;
        }
        let Intent { recipe, stay, .. } = tracked.intent();
        if stay == Stay::Stays {
            // What ended it ends the process.
            return;
        }
        let others = self.projections();
        let others = others.iter().filter(|other| other.name() != projection);
        self.track(others.map(Arc::clone).collect());
        if stay == Stay::Leaves {
            return self.retire(&tracked);
        }
        match self.run(&site, recipe) {
            Ok(tracked) => self.follow_definitions(&site, &[tracked]),
            Err(refused) => tracing::error!(projection, error = %refused, "run it again"),
        }
    }

    /// A worker's stream has a gap, or is another: its policy consents to forgetting.
    fn build_by_policy(&self, projection: &str) {
        let site = self.site();
        let Some(tracked) = self.tracked(projection) else { return };
        let pinned = tracked.shared.look(|numbers| numbers.pinned);
        let served = || self.served_recipe(&tracked, &site.config.limits);
        let recipe = if pinned { served() } else { Ok(tracked.intent().recipe) };
        let order = Order { forget: true, ..Order::new(Kind::Rebuild, Cause::Policy) };
        let begun = recipe.and_then(|recipe| {
            let tracked = Arc::clone(&tracked);
            self.begin_one(&site, Wanted { tracked, recipe, order, begin: Begin::Fresh })
        });
        if let Err(refused) = &begun {
            tracing::debug!(projection, %refused, "a build by policy is not begun");
        }
        // Who asked has shown it as about to begin, and asks again when it is not.
        let running = self.operations.running(projection);
        if running.is_none_or(|running| running.operation.is_over()) {
            tracked.shared.rebuilding(None);
        }
    }

    fn remove_retired(&self) {
        let site = self.site();
        for tracked in self.projections().iter() {
            // A build may be at work on one of them.
            if self.operations.running(tracked.name()).is_none() {
                self.remove_retired_of(&site, tracked);
            }
        }
    }

    fn remove_retired_of(&self, site: &super::site::Site, tracked: &Tracked) {
        let rebuild = &site.config.rebuild;
        let removed = tracked.folder.remove_retired(
            rebuild.keep_generations,
            rebuild.retire_grace,
            clock::now(),
        );
        let projection = tracked.name();
        match removed {
            Ok(removed) => removed.iter().for_each(|generation| {
                tracing::info!(projection, %generation, "retired generation removed");
            }),
            Err(error) => tracing::warn!(projection, %error, "remove retired generations"),
        }
    }
}
