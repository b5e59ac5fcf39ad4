//! The same projections, fed from a file: read, decoded once, and handed to each worker's queue as it becomes due.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use viewd::clock;
use viewd::event::chunk::{ChunkBuilder, Message};
use viewd::event::{Format, Sequence};
use viewd::source::{Delivery, queue};
use viewd::store::layout::Folder;
use viewd::store::writer::Store;
use viewd::supervisor::disk::Declared;
use viewd::worker::common::Common;
use viewd::worker::numbers::Numbers;
use viewd::worker::recipe::Recipe;
use viewd::worker::shared::{Following, Shared};
use viewd::worker::{self, Worker};

use super::measure::{cpu, peak};
use super::messages::{Due, STREAM, definitions, payload};
use super::site::{config, declared};
use super::{Fed, Load};

const LOOK: Duration = Duration::from_millis(5);
const TIMEOUT: Duration = Duration::from_secs(60);

struct Fold {
    shared: Arc<Shared>,
    sender: queue::Sender,
    thread: std::thread::JoinHandle<worker::End>,
}

pub fn run(load: Load) -> Result<Fed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("messages");
    record(&file, load)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let shutdown = CancellationToken::new();
    let texts = definitions(load.projections);
    let folds = texts
        .iter()
        .map(|(name, text)| fold(folder.path(), name, text, load, &shutdown))
        .collect::<Result<Vec<_>>>()?;

    let (before, begun) = (cpu(std::process::id())?.0, Instant::now());
    runtime.block_on(feed(&file, load, &folds))?;
    let reached = |fold: &Fold| fold.shared.numbers().sequence.0 >= load.messages;
    while !folds.iter().all(reached) {
        ensure!(begun.elapsed() < TIMEOUT + Duration::from_secs(load.messages / 100), "too slow");
        std::thread::sleep(LOOK);
    }
    let fed = Fed {
        cpu_seconds: cpu(std::process::id())?.0 - before,
        wall_seconds: begun.elapsed().as_secs_f64(),
        peak_rss: peak(std::process::id()).context("its memory")?,
        delivered_each: None,
    };
    shutdown.cancel();
    for fold in folds {
        drop(fold.sender);
        let _ = fold.thread.join();
    }
    Ok(fed)
}

/// A message a line.
fn record(file: &Path, load: Load) -> Result<()> {
    let mut lines = BufWriter::new(File::create(file)?);
    for number in 0..load.messages {
        writeln!(lines, "{}", payload(number))?;
    }
    Ok(lines.flush()?)
}

/// What has become due is one chunk, as what has arrived is for viewd's reader.
async fn feed(file: &Path, load: Load, folds: &[Fold]) -> Result<()> {
    let mut lines = BufReader::new(File::open(file)?).lines();
    let mut builder = ChunkBuilder::new(Format::Auto, usize::MAX);
    let mut due = Due::new(load);
    while let Some(numbers) = due.wait() {
        let (stored_at, end) = (clock::now(), numbers.end);
        for number in numbers {
            let line = lines.next().context("the file ended")??;
            builder.push(Message {
                sequence: Sequence(number + 1),
                stored_at,
                subject: "orders",
                headers: [],
                payload: line.as_bytes(),
            });
        }
        if builder.is_empty() {
            continue;
        }
        let chunk = Arc::new(builder.finish(Sequence(end)));
        for fold in folds {
            fold.sender.send(Delivery::Chunk(Arc::clone(&chunk))).await?;
        }
    }
    Ok(())
}

/// One projection at work, as the daemon would have it.
fn fold(
    folder: &Path,
    name: &str,
    text: &str,
    load: Load,
    shutdown: &CancellationToken,
) -> Result<Fold> {
    let limits = config(folder, "nats://127.0.0.1:4222", STREAM)?;
    let Declared { plan, order_key } = declared(name, text)?;
    let recipe = Arc::new(Recipe::declared(&limits, plan, order_key));
    let place = Folder::new(&folder.join("data"), name);
    let generation = place.current_or_first(&recipe.build())?;
    let count = load.projections as u64;
    let cache_bytes = (limits.limits.memory_bytes_max / 8 * 3 / count).max(2 << 20);
    let tables = &recipe.plan.definition().tables;
    let mut store = Store::open(&place, generation, tables, cache_bytes)?;
    store.begin_run()?;
    let second = Duration::from_secs(1);
    let following = Following::new(STREAM, second, second, Arc::default());
    let shared = Arc::new(Shared::new(name, following, Numbers::of(&store)));
    let queue_bytes_max = usize::try_from(limits.limits.memory_bytes_max / 16 / count)?;
    let (sender, receiver) = queue::channel(queue_bytes_max);
    let common = Common::alone(
        limits.limits.memory_bytes_max / count,
        limits.limits.batch_events_max,
        limits.limits.parked_events_max,
        Handle::current(),
        shutdown.clone(),
    );
    let worker = Worker::alone(recipe, store, place, receiver, Arc::clone(&shared), common);
    let thread = std::thread::spawn(move || worker::run(worker));
    Ok(Fold { shared, sender, thread })
}
