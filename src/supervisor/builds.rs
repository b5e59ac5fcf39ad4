//! Builds: which definition asks for one, and how it is begun.
//!
//! | what the definition on disk needs of the view that is served | what is done |
//! |---|---|
//! | nothing | |
//! | other words | the worker takes them over |
//! | other indexes or views, other rows, another engine | a build beside it, if `rebuild.auto`, and unless the projection is pinned to a generation that a rollback brought back |
//!
//! What is begun for a definition by itself is begun once: whether it is refused (I11), fails or is cancelled, a person
//! decides what comes next, or another definition. A build for a definition that is no longer on disk is cancelled.

use std::sync::Arc;

use super::daemon::Daemon;
use super::operations::Entry;
use super::refused::Refused;
use super::reload::Waits;
use super::site::Site;
use super::tracked::{Intent, Stay, Tracked};
use super::upkeep;
use crate::config::Limits;
use crate::definition::fingerprint::{Fingerprint, Need};
use crate::rebuild::operation::{Cause, Kind, Operation, Order};
use crate::rebuild::{self, Begin, Builder};
use crate::source::Position;
use crate::source::convoy::{self, Member};
use crate::store::state::State;
use crate::store::stored::{self, Stored};
use crate::worker::End;
use crate::worker::command::Command;
use crate::worker::recipe::Recipe;

/// A build that is to begin.
pub(super) struct Wanted {
    pub(super) tracked: Arc<Tracked>,
    pub(super) recipe: Arc<Recipe>,
    pub(super) order: Order,
    pub(super) begin: Begin,
}

/// What a definition on disk leads to.
pub(super) enum Course {
    /// The view is what it says.
    Nothing,
    Adopted,
    /// Something is at work that has to end first, or does what is to be done.
    Running(Arc<Operation>),
    /// It is to be begun.
    Build(Wanted),
    /// It is served as it is until a person says otherwise.
    Waits(Waits),
}

impl Daemon {
    /// Lets what is served become what the definitions on disk say, as far as that may be done by itself.
    pub(super) fn follow_definitions(&self, site: &Site, tracked: &[Arc<Tracked>]) {
        let courses = tracked.iter().map(|tracked| self.follow_definition(site, tracked));
        let wanted = courses.filter_map(|course| match course {
            Ok(Course::Build(wanted)) => Some(Ok(wanted)),
            _ => None,
        });
        self.begin(site, wanted.collect());
    }

    /// What the definition on disk asks for; all of it is done but for the build, which several may share a reader for.
    pub(super) fn follow_definition(
        &self,
        site: &Site,
        tracked: &Arc<Tracked>,
    ) -> Result<Course, Refused> {
        let Intent { recipe, tried, stay } = tracked.intent();
        let asked = &recipe.fingerprint;
        // Of what cannot be served there is nothing to compare with: it is built anew by command. One that is leaving
        // is looked at when its worker has ended.
        if tracked.serving().is_none() || stay != Stay::Stays {
            return Ok(Course::Nothing);
        }
        let served = stored::read(tracked.folder.path())?;
        let need = asked.needs_of(&served.fingerprint);
        // What was to be said of another definition, or of one that was not right, is over.
        tracked.shared.notice(pinned(tracked.name(), &served));
        if let Some(running) = self.operations.running(tracked.name()) {
            if is_outdated(&running, asked) {
                let operation = running.operation.id;
                tracing::info!(
                    projection = tracked.name(),
                    operation,
                    "build of a former definition cancelled"
                );
                running.operation.cancel.cancel();
                // It was no person who ended it: asked for once more, it is begun once more.
                tracked.has_tried(None);
            }
            return Ok(Course::Running(running.operation));
        }
        let order = |kind| ordered_before(tracked, kind, asked);
        let (order, begin) = match need {
            Need::Nothing => {
                // Nothing is being built, and nothing has to be.
                tracked.folder.end_attempt();
                return Ok(Course::Nothing);
            }
            Need::Adopt => {
                self.adopt(tracked, &recipe)?;
                return Ok(Course::Adopted);
            }
            Need::Reshape => (order(Kind::Reshape), Begin::Copy),
            Need::Rebuild => (order(Kind::Rebuild), Begin::Fresh),
        };
        if let Some((detail, next)) = waits(site, tracked, &served, asked) {
            tracked.shared.notice(Some((detail.clone(), next.clone())));
            return Ok(Course::Waits(Waits { detail, next, refused: false }));
        }
        if tried.is_some_and(|tried| tried.gives_same_view(asked)) {
            let waits = self.what_became(tracked);
            tracked.shared.notice(Some((waits.detail.clone(), waits.next.clone())));
            return Ok(Course::Waits(waits));
        }
        Ok(Course::Build(Wanted { tracked: Arc::clone(tracked), recipe, order, begin }))
    }

    /// Begins what the definition needs, though the projection was pinned: None if that is nothing.
    pub(super) fn build_by_definition(
        &self,
        tracked: &Arc<Tracked>,
    ) -> Result<Option<Arc<Operation>>, Refused> {
        let site = self.site();
        let recipe = tracked.intent().recipe;
        let served = stored::read(tracked.folder.path())?;
        let (kind, begin) = match recipe.fingerprint.needs_of(&served.fingerprint) {
            Need::Nothing | Need::Adopt => return Ok(None),
            Need::Reshape => (Kind::Reshape, Begin::Copy),
            Need::Rebuild => (Kind::Rebuild, Begin::Fresh),
        };
        let order = Order::new(kind, Cause::Command);
        let tracked = Arc::clone(tracked);
        self.begin_one(&site, Wanted { tracked, recipe, order, begin }).map(Some)
    }

    /// Goes on with builds that were sealed when the process ended; those that nobody asks for any more are removed.
    pub(super) fn resume_builds(&self, site: &Site) {
        for tracked in self.projections().iter() {
            let found = match tracked.folder.found() {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(projection = tracked.name(), %error, "look for builds");
                    continue;
                }
            };
            let recipe = tracked.intent().recipe;
            let sealed = found.into_iter().filter_map(|found| found.stored.ok());
            for stored in sealed.filter(|stored| stored.state == State::Sealed) {
                match ordered(&stored, &recipe) {
                    Some(order) => self.resume_build(site, tracked, &stored, order),
                    None => tracked.folder.discard(stored.generation),
                }
            }
        }
    }

    fn resume_build(&self, site: &Site, tracked: &Arc<Tracked>, stored: &Stored, order: Order) {
        let recipe = tracked.intent().recipe;
        let begin = Begin::Sealed(stored.generation);
        let tracked = Arc::clone(tracked);
        let begun = self.begin_one(site, Wanted { tracked, recipe, order, begin });
        if let Err(refused) = begun {
            tracing::warn!(projection = stored.projection, %refused, "go on with a build");
        }
    }

    /// Begins one build, or finds that it runs already.
    pub(super) fn begin_one(&self, site: &Site, wanted: Wanted) -> Result<Arc<Operation>, Refused> {
        let mut begun = self.begin(site, vec![Ok(wanted)]);
        begun.pop().unwrap_or(Err(Refused::Draining))
    }

    /// Begins builds. Those that replay the same messages have one reader.
    pub(super) fn begin(
        &self,
        site: &Site,
        wanted: Vec<Result<Wanted, Refused>>,
    ) -> Vec<Result<Arc<Operation>, Refused>> {
        let mut begun = Vec::new();
        let mut entered = Vec::new();
        for wanted in wanted {
            let entry = wanted.and_then(|wanted| self.enter(wanted));
            begun.push(entry.map(|(operation, build)| {
                entered.extend(build);
                operation
            }));
        }
        let mut together = self.convoys(site, &entered);
        for (index, (entry, wanted)) in entered.into_iter().enumerate() {
            self.spawn(site, entry, wanted, together[index].take());
        }
        begun
    }

    /// What a view was built by.
    pub(super) fn served_recipe(
        &self,
        tracked: &Tracked,
        limits: &Limits,
    ) -> Result<Arc<Recipe>, Refused> {
        let served = stored::read(tracked.folder.path())?;
        let recipe = Recipe::stored(&served, limits).map_err(|error| Refused::NotPossible {
            detail: format!("what the view was built by cannot be read by this version: {error}"),
            next: Some(format!("viewd rebuild {}", tracked.name())),
        })?;
        Ok(Arc::new(recipe))
    }

    /// What the last build came to, and what may be done then.
    fn what_became(&self, tracked: &Tracked) -> Waits {
        let last = self.operations.last_build(tracked.name()).map(|operation| operation.shown());
        let refused = last.as_ref().is_some_and(|shown| shown.state.is_unwell());
        let (detail, next) = last.map_or((None, None), |shown| (shown.detail, shown.next));
        let detail = detail.unwrap_or_else(|| "its build was cancelled".to_owned());
        let detail = format!("the definition on disk is not served: {detail}");
        let next = next.unwrap_or_else(|| format!("viewd rebuild {}", tracked.name()));
        Waits { detail, next, refused }
    }

    fn adopt(&self, tracked: &Tracked, recipe: &Arc<Recipe>) -> Result<(), Refused> {
        let (reply, adopted) = tokio::sync::oneshot::channel();
        tracked.tell(Command::Adopt(Arc::clone(recipe), reply))?;
        match self.answer(adopted)? {
            Ok(()) => Ok(()),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Enters an operation in the table; one that runs already is joined by whoever asks for the same.
    #[expect(clippy::type_complexity, reason = "read once, right where it is called")]
    fn enter(&self, wanted: Wanted) -> Result<(Arc<Operation>, Option<(Entry, Wanted)>), Refused> {
        let Wanted { tracked, recipe, order, .. } = &wanted;
        let shutdown = &self.common.shutdown;
        match self.operations.begin(tracked.name(), *order, &recipe.fingerprint, shutdown) {
            Ok(entry) => {
                if order.kind.is_build() {
                    // What comes to nothing by command is not begun again by itself.
                    tracked.has_tried(Some(&recipe.fingerprint));
                }
                Ok((Arc::clone(&entry.operation), Some((entry, wanted))))
            }
            Err(running) => {
                let asks_the_same = running.operation.order.asks_the_same(*order)
                    && running.fingerprint.gives_same_view(&recipe.fingerprint)
                    && !running.operation.cancel.is_cancelled();
                if asks_the_same {
                    Ok((running.operation, None))
                } else {
                    Err(Refused::busy_with(&running.operation))
                }
            }
        }
    }

    /// One reader for all replays of the same messages, where there is more than one.
    fn convoys(&self, site: &Site, entered: &[(Entry, Wanted)]) -> Vec<Option<Member>> {
        let mut together: Vec<_> = entered.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..entered.len()).collect();
        while let Some(&first) = left.first() {
            let recipe = &entered[first].1.recipe;
            let joins = |&index: &usize| {
                let wanted = &entered[index].1;
                wanted.begin == Begin::Fresh && wanted.recipe.key == recipe.key
            };
            let (group, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|index| {
                *index == first || joins(index) && entered[first].1.begin == Begin::Fresh
            });
            left = rest;
            if group.len() < 2 {
                continue;
            }
            let reading = self.reading(site, recipe);
            let (members, task) =
                convoy::convoy(reading.source, reading.tally, Position::default(), group.len());
            let cancel = self.common.shutdown.clone();
            self.common.tasks.spawn_on(task.run(cancel), &self.common.runtime);
            for (index, member) in group.into_iter().zip(members) {
                together[index] = Some(member);
            }
        }
        together
    }

    fn spawn(&self, site: &Site, entry: Entry, wanted: Wanted, together: Option<Member>) {
        let Wanted { tracked, recipe, begin, .. } = wanted;
        let builder = Builder {
            operation: Arc::clone(&entry.operation),
            reading: self.reading(site, &recipe),
            recipe,
            begin,
            folder: tracked.folder.clone(),
            serving: tracked.serving(),
            together,
            common: Arc::clone(&self.common),
        };
        let ended = self.ended.clone();
        self.threads.spawn("builder", tracked.name(), move || {
            let successor = rebuild::run(builder);
            // Nobody listens any more only when the daemon has ended.
            let _ = ended.send(upkeep::Ended::Build(Box::new(upkeep::Built { entry, successor })));
            End::Stopped
        });
    }
}

/// Whether what is being built is not what the definition on disk says any more.
fn is_outdated(running: &Entry, asked: &Fingerprint) -> bool {
    let Order { kind, cause, .. } = running.operation.order;
    kind.is_build() && cause != Cause::Policy && !running.fingerprint.gives_same_view(asked)
}

/// What a definition leads to; a build that a crash or a shutdown has cut off is begun again as it was ordered.
fn ordered_before(tracked: &Tracked, kind: Kind, asked: &Fingerprint) -> Order {
    let kept = tracked.folder.attempt().filter(|attempt| {
        let of = attempt.fingerprint.parse::<Fingerprint>();
        of.is_ok_and(|fingerprint| fingerprint.gives_same_view(asked))
    });
    let kept = kept.and_then(|attempt| serde_json::from_str::<Order>(&attempt.order).ok());
    let kept = kept.filter(|order| order.kind == kind);
    Order { cause: Cause::Definition, ..kept.unwrap_or(Order::new(kind, Cause::Definition)) }
}

/// What a sealed build was ordered by, if its definition is still the one on disk.
fn ordered(stored: &Stored, on_disk: &Recipe) -> Option<Order> {
    if !stored.fingerprint.gives_same_view(&on_disk.fingerprint) {
        return None;
    }
    let kept = stored.control.order.as_deref();
    kept.and_then(|order| serde_json::from_str(order).ok())
}

/// What there is to say of a view that a rollback brought back.
fn pinned(name: &str, served: &Stored) -> Option<(String, String)> {
    served.control.pinned.as_ref()?;
    let detail = format!("pinned to generation {} by a rollback", served.generation.0);
    Some((detail, format!("viewd promote {name}")))
}

/// Why a definition that asks for a build has to wait for a person, and what that is told to do.
fn waits(
    site: &Site,
    tracked: &Tracked,
    served: &Stored,
    asked: &Fingerprint,
) -> Option<(String, String)> {
    let name = tracked.name();
    let generation = served.generation.0;
    let is_left = served.control.pinned.as_ref().is_some_and(|left| left.gives_same_view(asked));
    if let Some((detail, next)) = pinned(name, served).filter(|_| is_left) {
        return Some((format!("{detail}: the definition on disk is not served"), next));
    }
    (!site.config.rebuild.auto).then(|| {
        let detail = format!("the definition on disk is not served: generation {generation} was built by another, and `rebuild.auto` is off");
        (detail, format!("viewd rebuild {name}"))
    })
}
