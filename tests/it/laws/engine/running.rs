//! A worker that is cancelled at any moment and started again.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use viewd::event::chunk::Chunk;
use viewd::source::memory::Recorded;
use viewd::source::{Delivery, queue};
use viewd::status::{Reason, State};
use viewd::store::layout::Folder;
use viewd::worker::common::Common;
use viewd::worker::numbers::Numbers;
use viewd::worker::shared::{Following, Shared};
use viewd::worker::{self, End, Worker};

use super::{Engine, NAME, View, in_memory};

/// Nothing runs on it: the events come from memory.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
const HOUR: Duration = Duration::from_secs(3600);

impl Engine {
    /// Stops at the latest with the last message.
    pub(super) fn cancelled(&self, messages: &[Recorded], sizes: &[usize], after: usize) -> View {
        let data_dir = in_memory();
        let until = messages.get(after).map_or(0, |message| message.sequence.0);
        let first = self.work(data_dir.path(), self.chunks(messages, sizes), Some(until));
        let reached = self.open(data_dir.path()).checkpoint().sequence;
        let left = messages.iter().filter(|message| message.sequence > reached);
        let left: Vec<Recorded> = left.cloned().collect();
        // What has failed fails again for the same reason.
        let second = self.work(data_dir.path(), self.chunks(&left, sizes), None);
        if first.is_some() {
            assert_eq!(first, second, "started again");
        }
        self.view_in(data_dir.path(), second)
    }

    /// Opens the view and runs a worker over chunks, one a batch, to their end or until it is cancelled, which is when
    /// a sequence has been committed. Says why it stopped, if it did by itself.
    fn work(
        &self,
        data_dir: &Path,
        chunks: Vec<Arc<Chunk>>,
        until: Option<u64>,
    ) -> Option<&'static str> {
        let mut store = self.open(data_dir);
        assert!(store.begin_run().unwrap() == 0, "each run ends in order");
        let following = Following::new("EVENTS", HOUR, HOUR, Arc::default());
        let shared = Arc::new(Shared::new(NAME, following, Numbers::of(&store)));
        let (sender, receiver) = queue::channel(usize::MAX);
        for chunk in chunks {
            let sent = sender.send(Delivery::Chunk(chunk)).now_or_never();
            sent.expect("the queue has room").unwrap();
        }
        drop(sender);
        let shutdown = CancellationToken::new();
        let runtime = RUNTIME.handle().clone();
        let common = Common::alone(1 << 20, 1, self.parked_events_max, runtime, shutdown.clone());
        let recipe = Arc::new(self.recipe());
        let folder = Folder::new(data_dir, NAME);
        let worker = Worker::alone(recipe, store, folder, receiver, Arc::clone(&shared), common);
        let end = std::thread::scope(|threads| {
            let running = threads.spawn(|| worker::run(worker));
            while let Some(until) = until
                && !running.is_finished()
            {
                if shared.numbers().sequence.0 >= until {
                    shutdown.cancel();
                    break;
                }
                std::thread::yield_now();
            }
            running.join().unwrap()
        });
        assert!(matches!(end, End::Stopped), "{end:?}");
        let numbers = shared.numbers();
        if numbers.state != State::Failed {
            assert!(until.is_some(), "the worker saw that its reader has ended");
            return None;
        }
        // All that was sent has been applied: the end of the reader is the end of the messages.
        let reason = numbers.reason.expect("a failed projection says why");
        (reason != Reason::Stalled).then(|| reason.word())
    }
}
