//! What operators tell the daemon about its projections.
//!
//! What takes its time is begun here and is an operation from then on. All of it may be asked twice: what is so already
//! is said so. Whatever opens files or waits for a worker does so on a thread for that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::builds::Wanted;
use super::daemon::Daemon;
use super::refused::Refused;
use super::tracked::Tracked;
use crate::definition::fingerprint::ENGINE;
use crate::rebuild::Begin;
use crate::rebuild::operation::{Cause, Kind, Operation, Order};
use crate::status::{Reason, State};
use crate::store::state::State as Stage;
use crate::worker::command::{self, Accepted, Command};
use crate::worker::recipe::Recipe;

/// A worker asks the stream about itself and its anchors, each answer within five seconds: more is an outage. What is
/// at work for longer than this is reported by the watchdog.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How a rebuild is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Not served before it is promoted.
    pub hold: bool,
    /// It may forget what the stream no longer holds (I11).
    pub forget: bool,
    /// It is served whatever the checks before the cut-over find.
    pub force: bool,
}

/// How a retired generation is to be served again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rollback {
    /// As it stands; it follows from there.
    pub now: bool,
    /// Though the stream no longer holds what it lacks.
    pub accept_gap: bool,
}

/// What became of `promote`.
#[derive(Clone, Debug)]
pub enum Promoted {
    /// This is served as soon as it can be.
    Served(Arc<Operation>),
    /// The projection was pinned by a rollback, and serves what its definition says already.
    Unpinned,
    /// Nothing waits to be promoted.
    Nothing,
}

/// Of each projection that was named: what was begun for it, or why not.
pub type Each = Vec<(String, Result<Arc<Operation>, Refused>)>;

impl Daemon {
    /// Goes on past a gap, or with a restored stream whose messages are those that were read.
    pub async fn accept(&self, projection: &str) -> Result<Accepted, Refused> {
        let tracked = self.known(projection)?;
        let numbers = tracked.shared.numbers();
        if numbers.state != State::Failed {
            return Ok(Accepted::Nothing);
        }
        // Who stands still hears nothing.
        if numbers.reason == Some(Reason::Stalled) {
            let detail = numbers.detail.unwrap_or_default();
            return Err(Refused::NotPossible { detail, next: numbers.next });
        }
        ask(&tracked, Command::Accept).await
    }

    /// Builds anew, from the definitions as they are on disk; without names all of them.
    pub async fn rebuild(
        self: &Arc<Self>,
        names: &[String],
        options: Options,
    ) -> Result<Each, Refused> {
        let names = names.to_vec();
        self.blocking(move |daemon| daemon.rebuild_now(&names, options)).await
    }

    /// Serves what is held as soon as it can be; takes a rollback's pin away.
    pub async fn promote(self: &Arc<Self>, projection: &str) -> Result<Promoted, Refused> {
        let tracked = self.known(projection)?;
        if let Some(running) = self.operations.running(projection) {
            if running.operation.order.kind == Kind::Verify {
                return Err(Refused::busy_with(&running.operation));
            }
            running.operation.promote();
            return Ok(Promoted::Served(running.operation));
        }
        if !tracked.shared.look(|numbers| numbers.pinned) {
            return Ok(Promoted::Nothing);
        }
        // Its cut-over takes the pin away: where it is refused, what was rolled back to stays.
        let pinned = Arc::clone(&tracked);
        let begun = self.blocking(move |daemon| daemon.build_by_definition(&pinned)).await?;
        if let Some(begun) = begun {
            return Ok(Promoted::Served(begun));
        }
        ask(&tracked, Command::Unpin).await?;
        tracked.shared.notice(None);
        Ok(Promoted::Unpinned)
    }

    /// Ends what runs, with nothing left of it; None if nothing did.
    pub async fn cancel(&self, projection: &str) -> Result<Option<Arc<Operation>>, Refused> {
        self.known(projection)?;
        let Some(running) = self.operations.running(projection) else { return Ok(None) };
        running.operation.cancel.cancel();
        match tokio::time::timeout(ANSWER_TIMEOUT, running.ended.cancelled()).await {
            Ok(()) => Ok(Some(running.operation)),
            Err(_) => Err(Refused::busy_with(&running.operation)),
        }
    }

    /// Serves the generation again that was served before.
    pub async fn rollback(
        self: &Arc<Self>,
        projection: &str,
        rollback: Rollback,
    ) -> Result<Arc<Operation>, Refused> {
        let tracked = self.known(projection)?;
        self.blocking(move |daemon| daemon.rollback_now(&tracked, rollback)).await
    }

    /// Builds beside it what it was built by, compares the rows at one sequence, and removes it again.
    pub async fn verify_deep(
        self: &Arc<Self>,
        projection: &str,
    ) -> Result<Arc<Operation>, Refused> {
        let tracked = self.known(projection)?;
        self.blocking(move |daemon| daemon.verify_now(&tracked)).await
    }

    /// Lets it stand still, over restarts too.
    pub async fn pause(&self, projection: &str) -> Result<(), Refused> {
        let tracked = self.known(projection)?;
        ask(&tracked, Command::Pause).await
    }

    /// Lets it go on.
    pub async fn resume(&self, projection: &str) -> Result<(), Refused> {
        let tracked = self.known(projection)?;
        ask(&tracked, Command::Resume).await
    }

    /// What runs and what has become of the rest, as far as it is remembered.
    pub fn operations(&self) -> Vec<Arc<Operation>> {
        self.operations.all()
    }

    pub fn operation(&self, id: u64) -> Option<Arc<Operation>> {
        self.operations.find(id)
    }

    fn rebuild_now(&self, names: &[String], options: Options) -> Result<Each, Refused> {
        let mut site = self.site();
        let found = site.read()?;
        let tracked: Vec<_> = match names {
            [] => self.projections().to_vec(),
            names => names.iter().map(|name| self.known(name)).collect::<Result<_, _>>()?,
        };
        let Options { hold, forget, force } = options;
        let order = Order { hold, forget, force, ..Order::new(Kind::Rebuild, Cause::Command) };
        let wanted = tracked.iter().map(|tracked| {
            let recipe = found.recipe(tracked.name(), &site.config)?;
            tracked.intend(Arc::clone(&recipe));
            Ok(Wanted { tracked: Arc::clone(tracked), recipe, order, begin: Begin::Fresh })
        });
        let begun = self.begin(&site, wanted.collect());
        Ok(tracked.iter().map(|tracked| tracked.name().to_owned()).zip(begun).collect())
    }

    fn rollback_now(
        &self,
        tracked: &Arc<Tracked>,
        rollback: Rollback,
    ) -> Result<Arc<Operation>, Refused> {
        let site = self.site();
        // A build may be at work on what would be looked at.
        if let Some(running) = self.operations.running(tracked.name())
            && running.operation.order.kind != Kind::Rollback
        {
            return Err(Refused::busy_with(&running.operation));
        }
        let found = tracked.folder.found()?;
        let retired = found.iter().filter_map(|found| found.stored.as_ref().ok());
        let retired = retired.filter(|stored| stored.state == Stage::Retired);
        let newest = retired.max_by_key(|stored| (stored.retired_at, stored.generation));
        let newest = newest.ok_or(Refused::NoRetired)?;
        let generation = newest.generation;
        if newest.engine != ENGINE {
            let detail = format!(
                "{generation} was built by another engine ({}), and what this one adds to its rows would not fit",
                newest.engine
            );
            return Err(Refused::NotPossible { detail, next: None });
        }
        let recipe = Recipe::stored(newest, &site.config.limits).map_err(|error| {
            let detail = format!("what {generation} was built by cannot be read: {error}");
            Refused::NotPossible { detail, next: None }
        })?;
        let Rollback { now, accept_gap } = rollback;
        let order = Order { now, accept_gap, ..Order::new(Kind::Rollback, Cause::Command) };
        let begin = Begin::Retired(generation);
        let tracked = Arc::clone(tracked);
        self.begin_one(&site, Wanted { tracked, recipe: Arc::new(recipe), order, begin })
    }

    fn verify_now(&self, tracked: &Arc<Tracked>) -> Result<Arc<Operation>, Refused> {
        let site = self.site();
        let recipe = self.served_recipe(tracked, &site.config.limits)?;
        let order = Order::new(Kind::Verify, Cause::Command);
        let tracked = Arc::clone(tracked);
        self.begin_one(&site, Wanted { tracked, recipe, order, begin: Begin::Fresh })
    }

    /// Runs what opens files or waits for threads.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let daemon = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            if daemon.is_draining() { Err(Refused::Draining) } else { run(&daemon) }
        });
        done.await.expect("a command does not panic")
    }

    pub(super) fn known(&self, projection: &str) -> Result<Arc<Tracked>, Refused> {
        self.tracked(projection).ok_or_else(|| Refused::unknown(projection))
    }
}

/// Asks a worker, and waits for its answer.
async fn ask<T>(
    tracked: &Tracked,
    command: impl FnOnce(oneshot::Sender<Result<T, command::Refused>>) -> Command,
) -> Result<T, Refused> {
    let (reply, answer) = oneshot::channel();
    tracked.tell(command(reply))?;
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(answer)) => Ok(answer?),
        Ok(Err(_)) => Err(Refused::Draining),
        Err(_) => {
            let seconds = ANSWER_TIMEOUT.as_secs();
            Err(Refused::Unreachable { detail: format!("no answer within {seconds} s") })
        }
    }
}
