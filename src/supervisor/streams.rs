//! The streams that are read: of each one poll of its head, whatever many projections and builds have in common.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::source::accept::Look;
use crate::source::connection::{Connection, Pace};
use crate::source::head::{Head, Poll};
use crate::source::hub::Source;
use crate::source::status::Tally;
use crate::worker::common::{Common, Reading};
use crate::worker::recipe::Recipe;

/// Begun when something first reads a stream, ended when nothing does any more.
pub(super) struct Streams {
    control: Connection,
    known: Mutex<BTreeMap<String, Stream>>,
}

/// What all that read one stream have in common.
#[derive(Clone)]
struct Stream {
    head: Head,
    tally: Arc<Tally>,
    look: Look,
    /// Ends the poll.
    cancel: CancellationToken,
}

impl Streams {
    pub(super) fn new(control: &Connection) -> Self {
        Self { control: control.clone(), known: Mutex::default() }
    }

    /// How the stream of a recipe is read. `queues` are those that share the memory; `shares` says whether another
    /// projection reads the same.
    pub(super) fn reading(
        &self,
        recipe: &Recipe,
        config: &Config,
        common: &Common,
        queues: u64,
        shares: bool,
    ) -> Reading {
        let Stream { head, tally, look, .. } = self.stream(&recipe.reading.stream, config, common);
        let source = Source {
            nats: config.nats.clone(),
            control: self.control.clone(),
            pace: Pace::of(&config.limits),
            settings: recipe.reading.clone(),
            queue_bytes_max: common.budget.queue_bytes_max(queues),
            head: head.stream.clone(),
        };
        let share = shares.then(|| recipe.key.clone());
        Reading { source: Arc::new(source), share, head, tally, look }
    }

    /// What the readers of a stream have met.
    pub(super) fn tally(&self, stream: &str, config: &Config, common: &Common) -> Arc<Tally> {
        self.stream(stream, config, common).tally
    }

    /// Ends the polls of streams that nothing reads any more.
    pub(super) fn keep(&self, read: impl Fn(&str) -> bool, common: &Common) {
        self.lock().retain(|stream, known| {
            let kept = read(stream);
            if !kept {
                known.cancel.cancel();
                common.metrics.remove_stream(stream);
            }
            kept
        });
    }

    fn stream(&self, stream: &str, config: &Config, common: &Common) -> Stream {
        let mut known = self.lock();
        if let Some(known) = known.get(stream) {
            return known.clone();
        }
        let (poll, head) = Poll::new(&self.control, stream, config.limits.head_poll);
        let cancel = common.shutdown.child_token();
        common.tasks.spawn_on(poll.run(cancel.clone()), &common.runtime);
        common.metrics.add_stream(stream);
        let look = Look::new(&self.control, stream);
        let begun = Stream { head, tally: Arc::default(), look, cancel };
        known.insert(stream.to_owned(), begun.clone());
        begun
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Stream>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
