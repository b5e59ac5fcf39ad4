//! From what has been opened to a projection that runs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::daemon::Daemon;
use super::open::{Opened, Served};
use super::site::Site;
use super::tracked::{Tracked, Working};
use super::upkeep::Ended;
use crate::lag::Watch;
use crate::source::accept::Look;
use crate::source::feed::Feed;
use crate::store::layout::Folder;
use crate::worker::batch::Stop;
use crate::worker::fences::Fences;
use crate::worker::numbers::Numbers;
use crate::worker::recipe::Recipe;
use crate::worker::shared::{Following, Shared, Stand};
use crate::worker::successor::Successor;
use crate::worker::{self, Begin, Worker, command};

impl Daemon {
    /// The handles of a projection that does not run yet.
    pub(super) fn handles(
        &self,
        site: &Site,
        folder: Folder,
        on_disk: Arc<Recipe>,
        served: &Served,
    ) -> Arc<Tracked> {
        let name = on_disk.plan.definition().name.clone();
        let (recipe, numbers) = match served {
            Served::Opened(opened) => (&opened.recipe, Numbers::of(&opened.store)),
            Served::Nothing(_) => (&on_disk, Numbers::unknown()),
        };
        let freshness = recipe.plan.definition().policy.freshness;
        self.metrics().add_projection(&name, freshness.as_secs_f64());
        let shared = Shared::new(&name, self.following(site, recipe), numbers);
        let shared = Arc::new(shared);
        Arc::new(Tracked::new(shared, folder, on_disk))
    }

    /// Lets a projection run, or stand there without a worker where there is nothing to serve.
    pub(super) fn launch(&self, site: &Site, tracked: &Tracked, served: Served) {
        let opened = match served {
            Served::Opened(opened) => *opened,
            Served::Nothing(Stop { reason, detail, next }) => {
                tracing::error!(projection = tracked.name(), detail, "projection failed");
                return tracked.shared.fail(reason, detail, next);
            }
        };
        // Its worker says so too, when it has begun: nobody is to see anything else before.
        match &opened.begin {
            Begin::Read => {}
            Begin::Frozen => tracked.shared.stand(Some(Stand::Frozen)),
            Begin::Failed(Stop { reason, detail, next }) => {
                tracked.shared.fail(*reason, detail.clone(), next.clone());
            }
        }
        let reading = self.reading(site, &opened.recipe);
        let (feed, watch) = reading.feed(opened.store.checkpoint().position(), &self.common);
        let definition = opened.recipe.plan.definition();
        // What ends the process time and again may be an index.
        let fences = match opened.begin {
            Begin::Failed(_) => Fences::default(),
            Begin::Read | Begin::Frozen => {
                Fences::begin(&self.common, definition, &tracked.folder, &opened.store)
            }
        };
        tracked.shared.follow(self.following(site, &opened.recipe).through(watch.clone()));
        self.employ(tracked, opened, fences, feed, watch, reading.look);
    }

    /// Lets a projection run with what was built where nothing could be served.
    pub(super) fn succeed(&self, site: &Site, tracked: &Tracked, successor: Successor) {
        let Successor { recipe, store, fences, feed, left, watch, look, ticket, .. } = successor;
        if !left.is_empty() {
            // What was delivered and is not applied is read again.
            feed.restart(store.checkpoint().position());
        }
        tracked.shared.follow(self.following(site, &recipe).through(watch.clone()));
        tracked.shared.rebuilt(&store);
        let opened = Opened { store, ticket, recipe, begin: Begin::Read };
        self.employ(tracked, opened, fences, feed, watch, look);
    }

    /// Gives what is served a worker of its own.
    fn employ(
        &self,
        tracked: &Tracked,
        opened: Opened,
        fences: Fences,
        feed: Feed,
        watch: Watch,
        look: Look,
    ) {
        tracked.shared.search_by(fences.board());
        let Opened { store, ticket, recipe, begin } = opened;
        let (commands, heard) = command::channel();
        let worker = Worker {
            recipe,
            store,
            fences,
            ticket,
            folder: tracked.folder.clone(),
            feed,
            watch,
            look,
            commands: heard,
            shared: Arc::clone(&tracked.shared),
            common: Arc::clone(&self.common),
            begin,
        };
        let ended = CancellationToken::new();
        let ends = ended.clone().drop_guard();
        self.threads.spawn("worker", tracked.name(), move || {
            // However it ends.
            let _ends = ends;
            worker::run(worker)
        });
        let (upkeep, name) = (self.ended.clone(), tracked.name().to_owned());
        let watched = ended.clone();
        let told = async move {
            watched.cancelled().await;
            // Nobody listens any more only when the daemon has ended.
            let _ = upkeep.send(Ended::Worker(name));
        };
        self.common.tasks.spawn_on(told, &self.common.runtime);
        tracked.employ(Working { commands, ended });
    }

    fn following(&self, site: &Site, recipe: &Recipe) -> Following {
        let stream = &recipe.reading.stream;
        let tally = self.streams.tally(stream, &site.config, &self.common);
        let freshness = recipe.plan.definition().policy.freshness;
        Following::new(stream, freshness, site.config.limits.head_poll, tally)
    }
}
