//! The engine as it is: definition text, plan, worker, fold, writer, file; only the stream is in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use viewd::definition::fingerprint::{Fingerprint, Reading};
use viewd::definition::{Definition, parse};
use viewd::diagnostic::{Source, render};
use viewd::event::chunk::Chunk;
use viewd::event::time::Timestamp;
use viewd::event::{Format, Sequence};
use viewd::expression::{Expression, Scope};
use viewd::lag::Watch;
use viewd::metrics::Metrics;
use viewd::projection::plan::Plan;
use viewd::source::memory::{Recorded, chunks};
use viewd::source::trouble::Trouble;
use viewd::source::{Delivery, head, queue, status};
use viewd::status::{Reason, State};
use viewd::store::layout::{Build, Folder};
use viewd::store::writer::Store;
use viewd::worker::shared::{Numbers, Shared};
use viewd::worker::{self, End, Worker};

use super::model::{Cell, EVENT_BYTES_MAX, Message, OrderKey, Projection};
use super::naive::{Counts, Rows};

const CACHE_BYTES: u64 = 2 << 20;
const NAME: &str = "law";
const HOUR: Duration = Duration::from_secs(3600);

/// How messages come to be applied.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Each message is a batch.
    Single,
    /// One batch of all.
    Whole,
    /// Batches that end after so many messages.
    Split(&'a [usize]),
    /// The same, and the view is closed and opened again after each.
    Reopened(&'a [usize]),
    /// Read in these pieces, applied as one batch.
    Gathered(&'a [usize]),
}

/// A projection, compiled.
pub struct Engine {
    plan: Arc<Plan>,
    order_key: Option<Arc<Expression>>,
    parked_events_max: u64,
    fingerprint: Fingerprint,
}

/// Everything that a view holds.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub tables: Vec<Rows>,
    pub set_aside: Vec<SetAside>,
    pub counts: Counts,
    pub sequence: u64,
    pub messages: u64,
    /// Why the projection stopped.
    pub stopped: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SetAside {
    pub sequence: u64,
    pub state: String,
    pub order_key: Option<String>,
    pub reason: String,
}

impl Engine {
    pub fn new(projection: &Projection) -> Self {
        let text = projection.toml();
        let source = Source::new(format!("{NAME}.toml"), text.clone());
        let (definition, diagnostics) = parse(&source, NAME, &["events"]);
        let definition =
            definition.unwrap_or_else(|| panic!("{text}\n{}", render(&diagnostics, false)));
        let order_key = projection.order_key.map(|order_key| match order_key {
            OrderKey::Token => ".tokens[1]",
            OrderKey::Data => ".data.k",
        });
        let fingerprint = fingerprint(&definition, order_key);
        Self {
            plan: Arc::new(Plan::new(Arc::new(definition))),
            order_key: order_key
                .map(|text| Arc::new(Expression::compile(text, Scope::EVENT).unwrap())),
            parked_events_max: projection.parked_events_max,
            fingerprint,
        }
    }

    /// Applies all messages to a new view.
    pub fn run(&self, messages: &[Message], mode: Mode<'_>) -> View {
        let data_dir = in_memory();
        let recorded: Vec<Recorded> = messages.iter().map(recorded).collect();
        let sizes: Vec<usize> = match mode {
            Mode::Single => vec![1; messages.len()],
            Mode::Whole => Vec::new(),
            Mode::Split(ends) | Mode::Reopened(ends) | Mode::Gathered(ends) => {
                ends.iter().scan(0, |last, &end| Some(end - std::mem::replace(last, end))).collect()
            }
        };
        let chunks = chunks(&recorded, Format::Auto, EVENT_BYTES_MAX, sizes);
        let mut stopped = None;
        if let Mode::Reopened(_) = mode {
            for chunk in chunks {
                stopped = self.apply(data_dir.path(), vec![chunk], 1);
                if stopped.is_some() {
                    break;
                }
            }
        } else {
            let batch_events_max = if matches!(mode, Mode::Gathered(_)) { usize::MAX } else { 1 };
            stopped = self.apply(data_dir.path(), chunks, batch_events_max);
        }
        let mut view = self.view(data_dir.path());
        view.stopped = stopped;
        if stopped.is_some() {
            self.stops_again(data_dir.path(), &recorded, &view);
        }
        view
    }

    /// A projection that has stopped and is started again stops at the same place for the same reason.
    fn stops_again(&self, data_dir: &Path, messages: &[Recorded], view: &View) {
        let after: Vec<Recorded> =
            messages.iter().filter(|message| message.sequence.0 > view.sequence).cloned().collect();
        let stopped = self.apply(data_dir, chunks(&after, Format::Auto, EVENT_BYTES_MAX, []), 1);
        assert_eq!(View { stopped, ..self.view(data_dir) }, *view, "started again");
    }

    /// Opens the view, runs a worker over chunks, closes the view; why it stopped.
    fn apply(
        &self,
        data_dir: &Path,
        chunks: Vec<Arc<Chunk>>,
        batch_events_max: usize,
    ) -> Option<&'static str> {
        let mut store = self.open(data_dir);
        assert!(store.begin_run().unwrap() == 0, "each run ends in order");
        let shared = Arc::new(Shared::new(NAME, "EVENTS", HOUR, HOUR, Numbers::of(&store)));
        let (sender, receiver) = queue::channel(usize::MAX);
        for chunk in chunks {
            sender
                .send(Delivery::Chunk(chunk))
                .now_or_never()
                .expect("the queue has room")
                .unwrap();
        }
        drop(sender);
        let (_, stream) = tokio::sync::watch::channel(None);
        let end = worker::run(Worker {
            plan: Arc::clone(&self.plan),
            order_key: self.order_key.clone(),
            batch_events_max,
            parked_events_max: self.parked_events_max,
            store,
            receiver,
            shared: Arc::clone(&shared),
            watch: Watch {
                head: head::Head { stream, trouble: Arc::new(Trouble::default()) },
                reader: Arc::new(status::Status::default()),
            },
            metrics: Arc::new(Metrics::new()),
            shutdown: tokio_util::sync::CancellationToken::new(),
        });
        assert!(matches!(end, End::Stopped), "{end:?}");
        let numbers = shared.numbers();
        assert_eq!(numbers.state, State::Failed, "the worker saw that its reader has ended");
        let reason = numbers.reason.expect("a failed projection says why");
        // All that was sent has been applied: the end of the reader is the end of the messages.
        (reason != Reason::Stalled).then(|| reason.word())
    }

    fn open(&self, data_dir: &Path) -> Store {
        let definition = self.plan.definition();
        let folder = Folder::new(data_dir, NAME);
        let generation = folder
            .current_or_first(&Build {
                projection: NAME,
                stream: "EVENTS",
                definition: &definition.source.text,
                fingerprint: &self.fingerprint,
                tables: &definition.tables,
            })
            .unwrap();
        Store::open(&folder, generation, &definition.tables, CACHE_BYTES).unwrap()
    }

    /// Reads the file as a stranger would.
    fn view(&self, data_dir: &Path) -> View {
        let path = data_dir.join(NAME).join("current/view.db");
        if !path.exists() {
            drop(self.open(data_dir));
        }
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let checkpoint = numbers(&connection, "SELECT sequence, messages FROM _viewd_checkpoint");
        let tables = self.plan.definition().tables.iter().map(|table| {
            let rows = cells(&connection, &format!("SELECT * FROM {}", table.name));
            rows.into_iter()
                .map(|row| (row[..table.key.len()].to_vec(), row))
                .collect::<BTreeMap<_, _>>()
        });
        View {
            tables: tables.collect(),
            set_aside: set_aside(&connection),
            counts: counts(&connection),
            sequence: checkpoint[0],
            messages: checkpoint[1],
            stopped: None,
        }
    }
}

/// A folder for a view that nobody needs after a loss of power: thousands are made, and syncing them would take longer
/// than everything else.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn fingerprint(definition: &Definition, order_key: Option<&str>) -> Fingerprint {
    let reading = Reading {
        stream: "EVENTS",
        format: "auto",
        order_key,
        transform: None,
        event_bytes_max: EVENT_BYTES_MAX as u64,
    };
    Fingerprint::new(definition, reading)
}

fn recorded(message: &Message) -> Recorded {
    Recorded {
        sequence: Sequence(message.sequence),
        stored_at: Timestamp(message.stored_at().0),
        subject: message.subject(),
        headers: Vec::new(),
        payload: message.payload(),
    }
}

fn cells(connection: &Connection, sql: &str) -> Vec<Vec<Cell>> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement
        .query_map((), |row| (0..columns).map(|column| Ok(cell(row.get_ref(column)?))).collect());
    rows.unwrap().map(Result::unwrap).collect()
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(integer) => Cell::Integer(integer),
        ValueRef::Real(real) => Cell::Real(real.to_bits()),
        ValueRef::Text(text) => Cell::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
    }
}

fn set_aside(connection: &Connection) -> Vec<SetAside> {
    let sql = "SELECT sequence, state, order_key, reason FROM _viewd_dead_letters ORDER BY sequence, part";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| {
        let sequence = row.get::<_, i64>(0)?.unsigned_abs();
        Ok(SetAside { sequence, state: row.get(1)?, order_key: row.get(2)?, reason: row.get(3)? })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn counts(connection: &Connection) -> Counts {
    let sql = "SELECT applied, ignored, dead_lettered, parked, skipped FROM _viewd_counts";
    let [applied, ignored, dead_lettered, parked, skipped] = numbers(connection, sql)[..] else {
        unreachable!("five columns");
    };
    Counts { applied, ignored, dead_lettered, parked, skipped }
}

/// The one row that a query gives, of counts.
fn numbers(connection: &Connection, sql: &str) -> Vec<u64> {
    let [row] = &cells(connection, sql)[..] else { panic!("{sql}: one row") };
    let number = |cell: &Cell| match cell {
        Cell::Integer(number) => number.unsigned_abs(),
        other => panic!("{sql}: {other:?}"),
    };
    row.iter().map(number).collect()
}
