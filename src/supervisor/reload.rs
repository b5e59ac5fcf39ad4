//! Taking over what has changed on disk, without a restart.
//!
//! | on disk | what a reload does |
//! |---|---|
//! | a new definition | runs it |
//! | a changed one | what it needs of the view: nothing, its words adopted, a build beside it (see `builds`) |
//! | a definition that is not right | nothing: what runs goes on as it is |
//! | a definition that is gone | its worker ends; its generations stay until `viewd gc` |
//! | settings that are not right | nothing at all |
//!
//! What is wrong in one file does not stop the others.

use std::sync::Arc;

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::builds::{Course, Wanted};
use super::daemon::Daemon;
use super::disk::Declared;
use super::open;
use super::refused::Refused;
use super::site::{Found, Site};
use super::tracked::Tracked;
use crate::clock;
use crate::diagnostic::Diagnostic;
use crate::worker::recipe::Recipe;

/// What a reload has done.
#[derive(Clone, Debug, Default)]
pub struct Reloaded {
    /// Of each projection, by name.
    pub projections: Vec<(String, Outcome)>,
    /// What is wrong on disk, or may be.
    pub diagnostics: Vec<Diagnostic>,
    /// Settings that differ and hold from the next start on.
    pub later: Vec<String>,
}

/// What became of one projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Nothing,
    /// It runs from now on.
    Added,
    /// It runs no more.
    Removed,
    /// Other words of it hold now.
    Adopted,
    /// This operation makes the view that it asks for, or has to end before.
    Operation(u64),
    /// It is served as it is until a person says otherwise.
    Waits(Waits),
    /// Its definition is not right: it goes on as it is.
    Kept,
    /// It could not be taken over.
    Failed {
        detail: String,
        next: Option<String>,
    },
}

/// Why a definition on disk is not served, and what that takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    pub detail: String,
    pub next: String,
    /// Its build was refused, or has failed: nobody has decided that it waits.
    pub refused: bool,
}

impl Reloaded {
    /// Whether all that is on disk is taken over.
    pub fn is_whole(&self) -> bool {
        let whole = |outcome: &Outcome| !matches!(outcome, Outcome::Kept | Outcome::Failed { .. });
        self.projections.iter().all(|(_, outcome)| whole(outcome))
            && !self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

impl Daemon {
    /// Takes over what has changed on disk.
    pub async fn reload(self: &Arc<Self>) -> Result<Reloaded, Refused> {
        let reloaded = self.blocking(Self::reload_now).await;
        match &reloaded {
            Ok(reloaded) => reloaded.log(),
            Err(refused) => {
                if let Refused::Invalid { diagnostics } = refused {
                    log(diagnostics);
                }
                tracing::error!(error = %refused, "reload refused, nothing was changed");
            }
        }
        let metrics = self.metrics();
        let whole = reloaded.as_ref().is_ok_and(Reloaded::is_whole);
        metrics.config_last_reload_successful.set(i64::from(whole));
        if whole {
            let now = clock::unix_seconds(clock::now());
            metrics.config_last_reload_success_timestamp_seconds.set(now);
        }
        reloaded
    }

    fn reload_now(&self) -> Result<Reloaded, Refused> {
        let mut site = self.site();
        let found = site.read()?;
        let mut reloaded = Reloaded {
            projections: Vec::new(),
            diagnostics: found.definitions.diagnostics.clone(),
            later: found.later.clone(),
        };
        self.drop_undeclared(&found, &mut reloaded);
        let mut kept = self.projections().to_vec();
        let mut added = Vec::new();
        for declared in &found.definitions.declared {
            match kept.iter().find(|tracked| tracked.name() == declared.name()) {
                Some(tracked) => {
                    tracked.intend(Arc::new(declared.recipe(&site.config)));
                }
                None => added.push(declared),
            }
        }
        for declared in added {
            let outcome = match self.add(&site, declared) {
                Ok(tracked) => {
                    kept.push(tracked);
                    Outcome::Added
                }
                Err(refused) => failed(&refused),
            };
            reloaded.projections.push((declared.name().to_owned(), outcome));
        }
        // A build may read what nothing else does.
        if self.operations.all_running().is_empty() {
            self.streams.keep(|stream| self.reads(stream), &self.common);
        }
        self.follow_all(&site, &found, &mut reloaded);
        reloaded.projections.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(reloaded)
    }

    /// Ends the workers of projections that no definition names any more.
    fn drop_undeclared(&self, found: &Found, reloaded: &mut Reloaded) {
        let names = &found.definitions.names;
        let (kept, gone): (Vec<_>, Vec<_>) = (self.projections().iter().map(Arc::clone))
            .partition(|tracked| names.iter().any(|name| name == tracked.name()));
        let mut stay = kept;
        for tracked in gone {
            let name = tracked.name().to_owned();
            if let Some(running) = self.operations.running(&name) {
                running.operation.cancel.cancel();
            }
            let outcome = if tracked.leave() {
                self.retire(&tracked);
                Outcome::Removed
            } else {
                stay.push(tracked);
                let detail = "its worker stands still and does not end".to_owned();
                Outcome::Failed {
                    detail,
                    next: Some("it ends as soon as it moves again".to_owned()),
                }
            };
            reloaded.projections.push((name, outcome));
        }
        self.track(stay);
    }

    /// Runs one that is new.
    fn add(&self, site: &Site, declared: &Declared) -> Result<Arc<Tracked>, Refused> {
        if let Some(running) = self.operations.running(declared.name()) {
            // Of the same name, until a moment ago.
            return Err(Refused::busy_with(&running.operation));
        }
        self.run(site, Arc::new(declared.recipe(&site.config)))
    }

    /// Opens what is served of a projection that does not run, and runs it.
    pub(super) fn run(&self, site: &Site, on_disk: Arc<Recipe>) -> Result<Arc<Tracked>, Refused> {
        let folder = site.folder(&on_disk.plan.definition().name);
        let budget = &self.common.budget;
        let served = open::open(&folder, &on_disk, budget, &site.config.limits)?;
        let tracked = self.handles(site, folder, on_disk, &served);
        let mut projections = self.projections().to_vec();
        projections.push(Arc::clone(&tracked));
        self.track(projections);
        self.launch(site, &tracked, served);
        tracing::info!(projection = tracked.name(), "runs from now on");
        Ok(tracked)
    }

    /// Its worker has ended, and no definition names it.
    pub(super) fn retire(&self, tracked: &Tracked) {
        let projection = tracked.name();
        tracing::info!(projection, "no definition names it any more, it runs no more");
        self.metrics().remove_projection(projection);
        if let Err(error) = tracked.folder.retire() {
            tracing::warn!(projection, %error, "mark it as retired");
        }
    }

    fn follow_all(&self, site: &Site, found: &Found, reloaded: &mut Reloaded) {
        let (mut wanted, mut names) = (Vec::<Result<Wanted, Refused>>::new(), Vec::new());
        for tracked in self.projections().iter() {
            let name = tracked.name().to_owned();
            let outcome = if found.is_wrong(&name) {
                let wrong = Refused::Invalid { diagnostics: found.errors(&name) };
                let detail = format!("the definition on disk is not served: {wrong}");
                tracked.shared.notice(Some((detail, "viewd check".to_owned())));
                Outcome::Kept
            } else {
                match self.follow_definition(site, tracked) {
                    Ok(Course::Nothing) => Outcome::Nothing,
                    Ok(Course::Adopted) => Outcome::Adopted,
                    Ok(Course::Running(operation)) => Outcome::Operation(operation.id),
                    Ok(Course::Waits(waits)) => Outcome::Waits(waits),
                    Ok(Course::Build(build)) => {
                        wanted.push(Ok(build));
                        names.push(name);
                        continue;
                    }
                    Err(refused) => failed(&refused),
                }
            };
            reloaded.say(name, outcome);
        }
        for (name, begun) in names.into_iter().zip(self.begin(site, wanted)) {
            let outcome = match begun {
                Ok(operation) => Outcome::Operation(operation.id),
                Err(refused) => failed(&refused),
            };
            reloaded.say(name, outcome);
        }
    }

    /// Whether anything that runs reads a stream.
    fn reads(&self, stream: &str) -> bool {
        let projections = self.projections();
        projections.iter().any(|tracked| {
            tracked.shared.following().stream() == stream
                || tracked.intent().recipe.reading.stream == stream
        })
    }
}

impl Reloaded {
    fn log(&self) {
        log(&self.diagnostics);
        for setting in &self.later {
            tracing::warn!(setting, "setting differs, and holds from the next start on");
        }
        for (projection, outcome) in &self.projections {
            match outcome {
                Outcome::Kept => {
                    tracing::error!(projection, "its definition is not right, it goes on as it is");
                }
                Outcome::Failed { detail, .. } => {
                    tracing::error!(projection, detail, "not taken over");
                }
                Outcome::Waits(Waits { detail, next, .. }) => {
                    tracing::warn!(projection, next, "{detail}");
                }
                _ => {}
            }
        }
        tracing::info!(whole = self.is_whole(), "reloaded");
    }

    /// The first word on a projection stands, unless it was that nothing had to be done.
    fn say(&mut self, projection: String, outcome: Outcome) {
        match self.projections.iter_mut().find(|(name, _)| *name == projection) {
            Some(said) if outcome != Outcome::Nothing && said.1 == Outcome::Nothing => {
                said.1 = outcome;
            }
            Some(_) => {}
            None => self.projections.push((projection, outcome)),
        }
    }
}

fn log(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
        let place = diagnostic.place.describe();
        tracing::error!(place, "{}", diagnostic.message);
    }
}

/// Reloads at each SIGHUP until cancelled.
pub(super) async fn on_hangup(daemon: Arc<Daemon>, mut hangup: Signal, cancel: CancellationToken) {
    while let Some(Some(())) = cancel.run_until_cancelled(hangup.recv()).await {
        // What it came to is in the log.
        let _ = daemon.reload().await;
    }
}

fn failed(refused: &Refused) -> Outcome {
    Outcome::Failed { detail: refused.to_string(), next: refused.hint() }
}
