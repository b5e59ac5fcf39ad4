//! From settings and definitions to running tasks.
//!
//! Everything that can be refused is refused before the first task runs: the lock, and every store.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::daemon::{Daemon, Tracked};
use super::disk::Declared;
use super::waiting::Waiting;
use super::watchdog::Watchdog;
use super::{Error, Running, Tasks, Worked, Workers, signals};
use crate::config::Config;
use crate::definition::fingerprint::{ENGINE, Fingerprint};
use crate::lag::Watch;
use crate::metrics::Metrics;
use crate::source::accept::Look;
use crate::source::connection::{Connection, Pace};
use crate::source::head::{Head, Poll};
use crate::source::hub::{self, Hub, Key, Source};
use crate::source::status::Tally;
use crate::source::{feed, reader};
use crate::status::Reason;
use crate::store::layout::{Build, Folder};
use crate::store::lock::Lock;
use crate::store::writer::Store;
use crate::worker::numbers::Numbers;
use crate::worker::shared::Shared;
use crate::worker::{self, Worker, command};

/// So often may the process end at one checkpoint before the projection is left alone.
const ENDS_MAX: u32 = 3;
/// Less memory than this and a store's page cache is of no use.
const CACHE_BYTES_MIN: u64 = 2 << 20;

/// One projection, opened and not yet running.
struct Opened {
    declared: Declared,
    store: Store,
    folder: Folder,
    cache_bytes: u64,
    fingerprint: Fingerprint,
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
    let cache_bytes = (config.limits.memory_bytes_max / 8 * 3 / count).max(CACHE_BYTES_MIN);
    let opened = declared.into_iter().map(|declared| open(config, declared, cache_bytes));
    let opened = opened.collect::<Result<Vec<_>, Error>>()?;
    let pace = Pace::of(&config.limits);
    let control = Connection::open(&config.nats, "viewd", pace).await?;

    let mut tasks = JoinSet::new();
    let readers = CancellationToken::new();
    let streams = streams(config, &opened, &control, &metrics, &readers, &mut tasks);
    let (sender, ended) = mpsc::unbounded_channel();
    // The readers' eighth; half of it is for what their clients hold and for the batch at work.
    let queue_bytes_max =
        usize::try_from(config.limits.memory_bytes_max / 16 / count).unwrap_or(usize::MAX);
    let (hub, keeper) = hub::hub();
    tasks.spawn(keeper.run(readers.clone()));
    let keys: Vec<Key> = opened.iter().map(|opened| key(&opened.declared)).collect();
    let (mut threads, mut tracked) = (Vec::new(), Vec::new());
    for (opened, key) in opened.into_iter().zip(&keys) {
        // Alone, a reader of its own is all that a share could be.
        let others = keys.iter().filter(|other| *other == key).count() > 1;
        let key = others.then(|| key.clone());
        let stream = &streams[opened.shared.stream()];
        let reading = Reading { control: &control, stream, hub: &hub, key, queue_bytes_max };
        let (track, worker) = launch(config, opened, reading, &metrics, &readers, &mut tasks);
        tracked.push(track);
        if let Some(worker) = worker {
            threads.push(thread(worker, sender.clone()));
        }
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

fn open(config: &Config, declared: Declared, cache_bytes: u64) -> Result<Opened, Error> {
    let definition = Arc::clone(declared.plan.definition());
    let source = &config.sources[&definition.stream_source];
    let reading = source.reading(config.limits.event_bytes_max);
    let fingerprint = Fingerprint::new(&definition, reading);
    let folder = Folder::new(&config.data_dir, &definition.name);
    let generation = folder.current_or_first(&Build {
        projection: &definition.name,
        stream: &source.stream,
        definition: &definition.source.text,
        source: &reading.json(),
        engine: ENGINE,
        fingerprint: &fingerprint,
        tables: &definition.tables,
        views: &definition.views,
    })?;
    let mut store = Store::open(&folder, generation, &definition.tables, cache_bytes)?;
    if let Some(part) = changed(store.fingerprint(), &fingerprint) {
        return Err(Error::Changed {
            projection: definition.name.clone(),
            part,
            generation: generation.0,
            folder: config.data_dir.join(&definition.name),
        });
    }
    if store.fingerprint().words != fingerprint.words {
        tracing::info!(projection = definition.name, "words of the definition adopted");
        store.adopt_definition(&definition.source.text, &fingerprint)?;
    }
    let crash_loop = store.begin_run()? >= ENDS_MAX;
    let shared = Shared::new(
        &definition.name,
        &source.stream,
        definition.policy.freshness,
        config.limits.head_poll,
        Numbers::of(&store),
    );
    let shared = Arc::new(shared);
    Ok(Opened { declared, store, folder, cache_bytes, fingerprint, shared, crash_loop })
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

/// What a projection reads through.
struct Reading<'a> {
    control: &'a Connection,
    stream: &'a Stream,
    hub: &'a Hub,
    /// None: no other projection reads the same.
    key: Option<Key>,
    queue_bytes_max: usize,
}

/// One poll a stream.
fn streams(
    config: &Config,
    opened: &[Opened],
    control: &Connection,
    metrics: &Metrics,
    cancel: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> BTreeMap<String, Stream> {
    let mut streams = BTreeMap::new();
    for opened in opened {
        let stream = opened.shared.stream();
        if !streams.contains_key(stream) {
            let (poll, head) = Poll::new(control, stream, config.limits.head_poll);
            tasks.spawn(poll.run(cancel.clone()));
            metrics.add_stream(stream);
            let look = Look::new(control, stream);
            streams.insert(stream.to_owned(), Stream { head, tally: Arc::default(), look });
        }
    }
    streams
}

/// What decides whether projections may share a reader: what it reads, and what it makes of it.
fn key(declared: &Declared) -> Key {
    let definition = declared.plan.definition();
    let mut subjects = definition.subjects.clone();
    subjects.sort_unstable();
    Key { source: definition.stream_source.clone(), subjects }
}

fn launch(
    config: &Config,
    opened: Opened,
    reading: Reading<'_>,
    metrics: &Arc<Metrics>,
    cancel: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> (Tracked, Option<Worker>) {
    let Opened { declared, store, folder, cache_bytes, fingerprint, shared, crash_loop } = opened;
    let definition = Arc::clone(declared.plan.definition());
    metrics.add_projection(&definition.name, definition.policy.freshness.as_secs_f64());
    let source = &config.sources[&definition.stream_source];
    let position = store.checkpoint().position();
    let Reading { control, stream, hub, key, queue_bytes_max } = reading;
    let settings = reader::Settings {
        stream: source.stream.clone(),
        filters: definition.subjects.clone(),
        format: source.format,
        transform: source.transform.clone(),
        event_bytes_max: usize::try_from(config.limits.event_bytes_max).unwrap_or(usize::MAX),
        batch_events_max: config.limits.batch_events_max,
        heartbeat: config.limits.heartbeat,
    };
    let (nats, control) = (config.nats.clone(), control.clone());
    let head = stream.head.stream.clone();
    let pace = Pace::of(&config.limits);
    let source = Arc::new(Source { nats, control, pace, settings, queue_bytes_max, head });
    let tally = Arc::clone(&stream.tally);
    let (feed, task) = feed::feed(source, hub.clone(), key, Arc::clone(&tally), position);
    let watch = Watch { head: stream.head.clone(), reader: Arc::clone(task.current()) };
    let (sender, commands) = command::channel();
    let tracked = Tracked {
        shared: Arc::clone(&shared),
        watch: watch.clone(),
        tally,
        files: folder.files(),
        folder: folder.path().to_owned(),
        commands: sender,
    };
    if crash_loop {
        let detail = format!(
            "the process ended {ENDS_MAX} times at checkpoint {}: the next event may be what ends it",
            store.checkpoint().sequence
        );
        tracing::error!(projection = definition.name, detail, "projection failed");
        let next =
            "report it with the log; moving the view away builds it again, up to the same event";
        shared.fail(Reason::CrashLoop, detail, Some(next.to_owned()));
        return (tracked, None);
    }
    tasks.spawn(task.run(cancel.clone()));
    let worker = Worker {
        plan: declared.plan,
        order_key: declared.order_key,
        batch_events_max: config.limits.batch_events_max,
        parked_events_max: config.limits.parked_events_max,
        store,
        folder,
        cache_bytes,
        fingerprint,
        feed,
        look: stream.look.clone(),
        commands,
        shared,
        watch,
        metrics: Arc::clone(metrics),
        shutdown: cancel.clone(),
    };
    (tracked, Some(worker))
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
