//! From settings and definitions to running tasks.
//!
//! Everything that can be refused is refused before the first task runs: the lock, and every store.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::daemon::{Daemon, Tracked};
use super::disk::Declared;
use super::waiting::Waiting;
use super::watchdog::Watchdog;
use super::{Error, Running, Tasks, Worked, Workers, signals};
use crate::config::Config;
use crate::definition::fingerprint::Fingerprint;
use crate::metrics::Metrics;
use crate::source::accept::Look;
use crate::source::connection::{Connection, Pace};
use crate::source::head::{Head, Poll};
use crate::source::hub::{self, Key, Source};
use crate::source::status::Tally;
use crate::status::Reason;
use crate::store::layout::Folder;
use crate::store::lock::Lock;
use crate::store::writer::Store;
use crate::worker::batch::Stop;
use crate::worker::budget::{Budget, Ticket};
use crate::worker::common::{Common, Reading};
use crate::worker::numbers::Numbers;
use crate::worker::recipe::Recipe;
use crate::worker::shared::{Following, Shared};
use crate::worker::{self, Begin, Worker, command};

/// So often may the process end at one checkpoint before the projection is left alone.
const ENDS_MAX: u32 = 3;

/// One projection, opened and not yet running.
struct Opened {
    recipe: Arc<Recipe>,
    store: Store,
    ticket: Ticket,
    folder: Folder,
    shared: Arc<Shared>,
    crash_loop: bool,
}

/// Starts everything but the edges.
pub async fn start(
    config: &Config,
    declared: Vec<Declared>,
    metrics: Arc<Metrics>,
) -> Result<Running, Error> {
    // From here on a signal ends the daemon in order, however long the start takes.
    let signals = signals();
    let lock = Lock::take(&config.data_dir)?;
    let count = declared.len().max(1) as u64;
    let budget = Budget::new(config.limits.memory_bytes_max);
    let mut tallies = BTreeMap::new();
    let opened = declared.into_iter().map(|declared| open(config, declared, &budget, &mut tallies));
    let opened = opened.collect::<Result<Vec<_>, Error>>()?;
    let pace = Pace::of(&config.limits);
    let control = Connection::open(&config.nats, "viewd", pace).await?;

    let mut tasks = JoinSet::new();
    let readers = CancellationToken::new();
    let streams = streams(config, &opened, &tallies, &control, &metrics, &readers, &mut tasks);
    let (sender, ended) = mpsc::unbounded_channel();
    let queue_bytes_max = budget.queue_bytes_max(count);
    let (hub, keeper) = hub::hub();
    tasks.spawn(keeper.run(readers.clone()));
    let (asks, _asked) = mpsc::unbounded_channel();
    let common = Arc::new(Common {
        hub,
        budget,
        tasks: TaskTracker::new(),
        runtime: Handle::current(),
        metrics: Arc::clone(&metrics),
        batch_events_max: config.limits.batch_events_max,
        parked_events_max: config.limits.parked_events_max,
        asks,
        shutdown: readers.clone(),
    });
    let keys: Vec<Key> = opened.iter().map(|opened| opened.recipe.key.clone()).collect();
    let (mut threads, mut tracked) = (Vec::new(), Vec::new());
    for (opened, key) in opened.into_iter().zip(&keys) {
        // Alone, a reader of its own is all that a share could be.
        let others = keys.iter().filter(|other| *other == key).count() > 1;
        let key = others.then(|| key.clone());
        let stream = &streams[&opened.recipe.reading.stream];
        let reading = reading(config, &opened, &control, stream, key, queue_bytes_max);
        let (track, worker) = launch(opened, &reading, &common);
        tracked.push(track);
        threads.push(thread(worker, sender.clone()));
    }
    let daemon = Arc::new(Daemon {
        metrics,
        control,
        projections: tracked,
        draining: AtomicBool::new(false),
        waiting: Waiting::default(),
        scrape: Mutex::new(()),
    });
    let edges = CancellationToken::new();
    tasks.spawn(Watchdog::new(&daemon, config.limits.stall_max).run(edges.clone()));
    let tasks =
        Tasks { daemon, workers: Workers { threads, ended }, running: tasks, readers, edges };
    let shutdown_timeout = config.limits.shutdown_timeout;
    Ok(Running { tasks, shutdown_timeout, signals, _lock: lock })
}

fn open(
    config: &Config,
    declared: Declared,
    budget: &Arc<Budget>,
    tallies: &mut BTreeMap<String, Arc<Tally>>,
) -> Result<Opened, Error> {
    let Declared { plan, order_key } = declared;
    let recipe = Arc::new(Recipe::declared(config, plan, order_key));
    let definition = Arc::clone(recipe.plan.definition());
    let folder = Folder::new(&config.data_dir, &definition.name);
    let generation = folder.current_or_first(&recipe.build())?;
    let ticket = budget.store();
    let mut store = Store::open(&folder, generation, &definition.tables, budget.cache_bytes())?;
    if let Some(part) = changed(store.fingerprint(), &recipe.fingerprint) {
        return Err(Error::Changed {
            projection: definition.name.clone(),
            part,
            generation: generation.0,
            folder: config.data_dir.join(&definition.name),
        });
    }
    if store.fingerprint().words != recipe.fingerprint.words {
        tracing::info!(projection = definition.name, "words of the definition adopted");
        store.adopt_definition(&definition.source.text, &recipe.fingerprint)?;
    }
    let crash_loop = store.begin_run()? >= ENDS_MAX;
    let stream = &recipe.reading.stream;
    let tally = Arc::clone(tallies.entry(stream.clone()).or_default());
    let following =
        Following::new(stream, definition.policy.freshness, config.limits.head_poll, tally);
    let shared = Arc::new(Shared::new(&definition.name, following, Numbers::of(&store)));
    Ok(Opened { recipe, store, ticket, folder, shared, crash_loop })
}

/// The part of a definition that a view would have to be built anew for; words are adopted.
fn changed(built_by: &Fingerprint, now: &Fingerprint) -> Option<&'static str> {
    let parts = [
        (
            "events: stream, subjects, format, order_key, transform, on_error",
            &built_by.events,
            &now.events,
        ),
        ("rows: tables and handlers", &built_by.rows, &now.rows),
        ("shapes: indexes and views", &built_by.shapes, &now.shapes),
    ];
    parts.into_iter().find(|(_, before, now)| before != now).map(|(part, ..)| part)
}

/// What the projections of one stream have in common.
struct Stream {
    head: Head,
    tally: Arc<Tally>,
    look: Look,
}

/// One poll a stream.
fn streams(
    config: &Config,
    opened: &[Opened],
    tallies: &BTreeMap<String, Arc<Tally>>,
    control: &Connection,
    metrics: &Metrics,
    cancel: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> BTreeMap<String, Stream> {
    let mut streams = BTreeMap::new();
    for opened in opened {
        let stream = opened.recipe.reading.stream.as_str();
        if !streams.contains_key(stream) {
            let (poll, head) = Poll::new(control, stream, config.limits.head_poll);
            tasks.spawn(poll.run(cancel.clone()));
            metrics.add_stream(stream);
            let look = Look::new(control, stream);
            let tally = Arc::clone(&tallies[stream]);
            streams.insert(stream.to_owned(), Stream { head, tally, look });
        }
    }
    streams
}

fn reading(
    config: &Config,
    opened: &Opened,
    control: &Connection,
    stream: &Stream,
    share: Option<Key>,
    queue_bytes_max: usize,
) -> Reading {
    let source = Source {
        nats: config.nats.clone(),
        control: control.clone(),
        pace: Pace::of(&config.limits),
        settings: opened.recipe.reading.clone(),
        queue_bytes_max,
        head: stream.head.stream.clone(),
    };
    Reading {
        source: Arc::new(source),
        share,
        head: stream.head.clone(),
        tally: Arc::clone(&stream.tally),
        look: stream.look.clone(),
    }
}

fn launch(opened: Opened, reading: &Reading, common: &Arc<Common>) -> (Tracked, Worker) {
    let Opened { recipe, store, ticket, folder, shared, crash_loop } = opened;
    let definition = recipe.plan.definition();
    let metrics = &common.metrics;
    metrics.add_projection(&definition.name, definition.policy.freshness.as_secs_f64());
    let (feed, watch) = reading.feed(store.checkpoint().position(), common);
    shared.follow(shared.following().through(watch.clone()));
    let (sender, commands) = command::channel();
    let tracked = Tracked {
        shared: Arc::clone(&shared),
        files: folder.files(),
        folder: folder.path().to_owned(),
        commands: sender,
    };
    let begin = match crash_loop {
        false => Begin::Read,
        true => Begin::Failed(Stop {
            reason: Reason::CrashLoop,
            detail: format!(
                "the process ended {ENDS_MAX} times at checkpoint {}: the next event may be what ends it",
                store.checkpoint().sequence
            ),
            next: Some(
                "report it with the log; moving the view away builds it again, up to the same event"
                    .to_owned(),
            ),
        }),
    };
    let worker = Worker {
        recipe,
        store,
        ticket,
        folder,
        feed,
        watch,
        look: reading.look.clone(),
        commands,
        shared,
        common: Arc::clone(common),
        begin,
    };
    (tracked, worker)
}

fn thread(worker: Worker, ended: mpsc::UnboundedSender<Worked>) -> std::thread::JoinHandle<()> {
    let name = worker.shared.name().to_owned();
    let run = move || {
        // Nothing of the worker is used after a panic but its name.
        let worked = match std::panic::catch_unwind(AssertUnwindSafe(|| worker::run(worker))) {
            Ok(end) => Worked::Ended(end),
            Err(_) => Worked::Panicked(name),
        };
        // Nobody listens any more only when the daemon has ended.
        let _ = ended.send(worked);
    };
    std::thread::Builder::new()
        .name("worker".to_owned())
        .spawn(run)
        .expect("the system has a thread to give")
}
