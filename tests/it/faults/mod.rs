//! The daemon against one server, and everything that can happen to it, to its store and to a stream.
//!
//! One projection counts how often each message was applied, so that an event applied twice shows as well as one that
//! was skipped. Every test ends with one of two checks: [`Rig::live`] (exactly these messages, nothing pending, no
//! restart of viewd) or [`Rig::failed`] (exactly these, and the reason). The same faults at the reader alone, in more
//! detail, are in `source.rs`.

mod identity;
mod link;
mod restart;
mod size;
mod traffic;
mod trimmed;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::{self, stream};
use rusqlite::Connection;
use viewd::status::{Projection, Reason, State};

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, delete_stream, publish};
use crate::wait;

const SOURCES: &str = "[sources.s]\nstream = \"S\"";

const DEFINITION: &str = r#"
source = "s"

# Applied twice shows as `times` 2, skipped as a row that is not there.
[tables.log]
key = ["sequence"]
columns.sequence = "integer"
columns.n        = "integer"
columns.times    = "integer"

[tables.total]
key = ["all"]
columns.all    = "boolean"
columns.events = "integer"

[[on]]
event        = "*"
upsert       = "log"
key.sequence = ".sequence"
set.n        = ".data.n"
add.times    = 1

[[on]]
event      = "*"
upsert     = "total"
key.all    = "true"
add.events = 1
"#;

/// Two of these in silence are an outage.
const HEARTBEAT_MS: u64 = 1_000;

/// Outages are noticed soon, and the queue is as small as it may be.
const SETTINGS: &[&str] = &[
    "limits.heartbeat_ms=1000",
    "limits.head_poll_ms=100",
    "limits.memory_bytes_max=67108864",
    "limits.event_bytes_max=4194304",
];

/// Transactions so small that a backlog takes its time.
const SMALL_BATCHES: &str = "limits.batch_events_max=20";

/// A padding with which [`BACKLOG`] messages are several times what the queue holds.
const PADDING: usize = 4_000;
const BACKLOG: u64 = 5_000;

/// How a stream differs from an ordinary one.
type Change = fn(&mut stream::Config);

/// A server with the stream `S`, and the folder of a daemon with the projection `log` of it.
struct Rig {
    server: Server,
    client: Client,
    site: Arc<Site>,
}

impl Rig {
    async fn new() -> Self {
        Self::with("", |_| {}).await
    }

    /// With more settings of the server, and another configuration of the stream.
    async fn with(settings: &str, change: impl FnOnce(&mut stream::Config)) -> Self {
        let server = Server::configured(settings);
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], change).await;
        let site = Site::new(&server, SOURCES, &[("log", DEFINITION)]);
        Self { server, client, site }
    }

    fn start(&self) -> Daemon {
        self.site.start(SETTINGS)
    }

    /// A daemon that takes its time over a backlog.
    fn start_slowly(&self) -> Daemon {
        self.site.start(&[SETTINGS, &[SMALL_BATCHES]].concat())
    }

    /// Messages that say their number; where it is not the sequence, [`Rig::live`] finds another message.
    async fn publish(&self, numbers: RangeInclusive<u64>) -> u64 {
        self.publish_padded(numbers, 0).await
    }

    async fn publish_padded(&self, numbers: RangeInclusive<u64>, padding: usize) -> u64 {
        let padding = "x".repeat(padding);
        let messages = numbers.map(|n| ("s.a".to_owned(), body(n, &padding)));
        publish(&self.client, messages).await
    }

    async fn stream(&self) -> stream::Stream {
        jetstream::new(self.client.clone()).get_stream("S").await.unwrap()
    }

    async fn messages(&self) -> u64 {
        self.stream().await.cached_info().state.messages
    }

    async fn recreate_stream(&self) {
        delete_stream(&self.client, "S").await;
        create_stream(&self.client, "S", &["s.>"], |_| {}).await;
    }

    /// A daemon in the middle of a backlog behind what the stream holds, and the backlog's end.
    async fn catching_up(&self) -> (Daemon, u64) {
        let mut begin = self.stream().await.cached_info().state.last_sequence;
        let mut last = self.publish_padded(begin + 1..=begin + BACKLOG, PADDING).await;
        let daemon = self.start_slowly();
        loop {
            daemon.reaches("log", begin + 200);
            if self.site.checkpoint("log").unwrap().sequence < last {
                return (daemon, last);
            }
            // On a busy machine the daemon may be faster than who looks at it.
            assert!(last < 20 * BACKLOG, "the backlog is too small");
            begin = last;
            last = self.publish_padded(begin + 1..=begin + BACKLOG, PADDING).await;
        }
    }

    /// Waits until nothing is pending: these sequences, and no others, have been applied once.
    #[track_caller]
    fn live(&self, daemon: &Daemon, sequences: impl IntoIterator<Item = u64>) {
        let sequences: Vec<u64> = sequences.into_iter().collect();
        let last = sequences.last().copied().unwrap_or_default();
        let report = until(daemon, "live", |report| {
            assert_ne!(report.state, State::Failed, "{report:?}");
            report.state == State::Live
                && report.pending_messages == Some(0)
                && report.checkpoint_sequence >= last
        });
        assert_eq!((report.reason, report.detail, report.next), (None, None, None));
        assert_eq!((report.lag_seconds, report.missed_sequences), (Some(0.0), 0));
        self.applied(&sequences);
    }

    /// Waits until the projection has failed: these sequences, and no others, have been applied once.
    #[track_caller]
    fn failed(
        &self,
        daemon: &Daemon,
        reason: Reason,
        sequences: impl IntoIterator<Item = u64>,
    ) -> Projection {
        let report = until(daemon, "failed", |report| report.state == State::Failed);
        assert_eq!(report.reason, Some(reason), "{report:?}");
        assert!(report.detail.is_some() && report.next.is_some(), "{report:?}");
        self.applied(&sequences.into_iter().collect::<Vec<_>>());
        report
    }

    /// What the view holds is what these messages give, each applied once.
    #[track_caller]
    fn applied(&self, sequences: &[u64]) {
        let view = self.site.view("log");
        // One snapshot of all that is compared.
        let view = view.unchecked_transaction().unwrap();
        let mut rows =
            view.prepare("SELECT sequence, n, times FROM log ORDER BY sequence").unwrap();
        let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let mut expected = sequences.iter();
        for row in rows {
            let row: (i64, Option<i64>, i64) = row.unwrap();
            let sequence = expected.next().map(|sequence| *sequence as i64);
            assert_eq!(
                Some(row),
                sequence.map(|sequence| (sequence, Some(sequence), 1)),
                "{}",
                self.site.log()
            );
        }
        assert_eq!(expected.next(), None, "skipped\n{}", self.site.log());
        let events = view.query_row("SELECT events FROM total", (), |row| row.get::<_, i64>(0));
        let count = sequences.len() as u64;
        assert_eq!(events.unwrap_or_default(), count as i64);
        let counts = self.site.counts("log");
        assert_eq!((counts.applied, counts.sum()), (count, count));
        assert_eq!(self.site.checkpoint("log").unwrap().messages, count);
    }
}

/// Waits for a report that says this.
#[track_caller]
fn until(daemon: &Daemon, what: &str, says: impl Fn(&Projection) -> bool) -> Projection {
    let begun = Instant::now();
    loop {
        let report = daemon.projection("log");
        if says(&report) {
            return report;
        }
        assert!(begun.elapsed() < DEADLINE, "not {what}: {report:?}\n{}", daemon.log());
        // A person looks less often.
        wait::pass(Duration::from_millis(20));
    }
}

/// Holds up the view's writer until it is dropped, as a slow disk would; nothing is changed.
fn hold(site: &Site) -> Connection {
    let view = Connection::open(site.path("data/log/current/view.db")).unwrap();
    view.busy_timeout(DEADLINE).unwrap();
    view.execute_batch("BEGIN IMMEDIATE").unwrap();
    view
}

/// The sum of a metric's series whose labels hold `label`.
fn metric(daemon: &Daemon, name: &str, label: &str) -> f64 {
    let (_, text) = daemon.get("/metrics");
    let series = text.lines().filter(|line| {
        line.starts_with(&format!("{name}{{")) && line.contains(label)
            || line.starts_with(&format!("{name} "))
    });
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// How often a consumer was made again.
fn recreates(daemon: &Daemon, reason: &str) -> f64 {
    metric(daemon, "viewd_source_recreates_total", reason)
}

fn body(n: u64, padding: &str) -> Vec<u8> {
    format!(r#"{{"n":{n},"padding":"{padding}"}}"#).into_bytes()
}

/// A copy of a folder, in a temporary one.
fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(folder, copy.path());
    copy
}

fn replace(folder: &Path, with: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
    copy_into(with, folder);
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
