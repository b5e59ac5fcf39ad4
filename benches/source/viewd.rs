//! viewd's own reads: its reader into nothing, and its daemon with a projection that wants no event.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use tokio_util::sync::CancellationToken;
use viewd::config::Config;
use viewd::source::connection::{Connection, Pace};
use viewd::source::feed::{self, Feed};
use viewd::source::head::Poll;
use viewd::source::hub::{self, Source};
use viewd::source::reader::Settings;
use viewd::source::{Delivery, Position};
use viewd::status::State;

use crate::measure::runtime;
use crate::role::{Arguments, Read};
use crate::site::{self, SOURCE};

/// No message of a benchmark comes so late.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How exactly the end of the daemon's catch-up is seen.
const LOOK: Duration = Duration::from_millis(2);

/// A table, a handler, and no event for them.
const IGNORES: &str = r#"
source = "bench"
[tables.nothing]
key        = ["id"]
columns.id = "text"
[[on]]
event  = "ThatNeverComes"
upsert = "nothing"
key.id = ".id"
"#;

/// Through the reader's checks, decode and queue to a thread that drops what it takes.
pub fn reader(arguments: &Arguments) -> Result<Read> {
    let config = site::config(Path::new(&arguments.folder), &arguments.server, &arguments.stream)?;
    let runtime = runtime()?;
    let begun = Instant::now();
    let cancel = CancellationToken::new();
    let feed = runtime.block_on(read(&config, &arguments.stream, &cancel))?;
    let wanted = arguments.messages;
    let taking = std::thread::spawn(move || take(&feed, wanted));
    taking.join().map_err(|_| anyhow!("the thread that takes panicked"))??;
    let seconds = begun.elapsed().as_secs_f64();
    cancel.cancel();
    Ok(Read { seconds, messages: wanted })
}

/// Starts what the daemon starts for its only projection.
async fn read(config: &Config, stream: &str, cancel: &CancellationToken) -> Result<Feed> {
    let pace = Pace::of(&config.limits);
    let control = Connection::open(&config.nats, "viewd", pace).await?;
    let (poll, head) = Poll::new(&control, stream, config.limits.head_poll);
    tokio::spawn(poll.run(cancel.clone()));
    let settings = Settings {
        stream: stream.to_owned(),
        filters: Vec::new(),
        format: config.sources[SOURCE].format,
        transform: None,
        event_bytes_max: usize::try_from(config.limits.event_bytes_max)?,
        batch_events_max: config.limits.batch_events_max,
        heartbeat: config.limits.heartbeat,
    };
    let queue_bytes_max = usize::try_from(config.limits.memory_bytes_max / 16)?;
    let nats = config.nats.clone();
    let source = Source { nats, control, pace, settings, queue_bytes_max, head: head.stream };
    // Nobody to share with.
    let (hub, _) = hub::hub();
    let (feed, task) = feed::feed(Arc::new(source), hub, None, Arc::default(), Position::default());
    tokio::spawn(task.run(cancel.clone()));
    Ok(feed)
}

fn take(feed: &Feed, wanted: u64) -> Result<()> {
    let mut messages = 0;
    while messages < wanted {
        match feed.recv_timeout(TIMEOUT)? {
            Delivery::Chunk(chunk) => messages += chunk.messages(),
            Delivery::Fault(fault) => bail!("{}", fault.detail),
        }
    }
    ensure!(messages == wanted, "{messages} messages came instead of {wanted}");
    Ok(())
}

/// Through the daemon to the checkpoint of a view that takes none of the events.
pub fn worker(arguments: &Arguments) -> Result<Read> {
    let config = site::config(Path::new(&arguments.folder), &arguments.server, &arguments.stream)?;
    let declared = vec![site::declared("ignores", IGNORES)?];
    runtime()?.block_on(async {
        let begun = Instant::now();
        let running = site::start(&config, declared).await?;
        let wanted = arguments.messages;
        let seconds = loop {
            let report = running.daemon().report();
            let projection = &report.projections[0];
            ensure!(projection.state != State::Failed, "failed: {:?}", projection.detail);
            if projection.checkpoint_sequence >= wanted {
                let ignored = projection.counts.ignored;
                ensure!(ignored == wanted, "{ignored} events of {wanted} were decoded and ignored");
                break begun.elapsed().as_secs_f64();
            }
            tokio::time::sleep(LOOK).await;
        };
        running.stop().await;
        Ok(Read { seconds, messages: wanted })
    })
}
