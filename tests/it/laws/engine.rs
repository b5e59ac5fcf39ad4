//! The engine as it is: definition text, plan, batches, fold, writer, store; only the stream is in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use viewd::clock;
use viewd::definition::fingerprint::{ENGINE, Fingerprint, Reading};
use viewd::definition::{Definition, parse};
use viewd::diagnostic::{Source, render};
use viewd::event::chunk::Chunk;
use viewd::event::time::Timestamp;
use viewd::event::{Format, Sequence};
use viewd::expression::{Expression, Scope};
use viewd::projection::plan::Plan;
use viewd::row;
use viewd::source::hub::Key;
use viewd::source::memory::{Recorded, chunks, transformed};
use viewd::source::reader;
use viewd::status;
use viewd::store::dead_letter::{DeadLetter, State};
use viewd::store::layout::{Build, Folder};
use viewd::store::writer::Store;
use viewd::worker::batch::Batcher;
use viewd::worker::bulk::{Bulk, Taken};
use viewd::worker::recipe::Recipe;

use super::model::{Cell, EVENT_BYTES_MAX, Message, OrderKey, Projection, TRANSFORM};
use super::naive::{Counts, Rows};

mod running;

const CACHE_BYTES: u64 = 2 << 20;
const NAME: &str = "law";

/// How messages come to be applied.
#[derive(Clone, Copy, Debug)]
pub enum Mode<'a> {
    /// Each message is a batch.
    Single,
    /// One batch of all.
    Whole,
    /// Batches that end after so many messages; after each, nothing is known but what has been committed.
    Reopened(&'a [usize]),
    /// Read in these pieces, applied as one batch.
    Gathered(&'a [usize]),
    /// Read twice in these pieces, each with the one before it again, as two readers of one stream would; two a batch.
    Overlapping(&'a [usize]),
    /// The same batches in files, and after each the process is as if killed.
    Killed(&'a [usize]),
    /// The first so many of these pieces by large folds of at most so many bytes each in turn, the rest in batches.
    Bulk(&'a [usize], usize, &'a [usize]),
    /// A worker reads these batches, is cancelled at some moment after so many messages and started again.
    Cancelled(&'a [usize], usize),
}

/// A projection, compiled.
pub struct Engine {
    plan: Arc<Plan>,
    order_key: Option<Arc<Expression>>,
    transform: Option<Expression>,
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
    pub part: u32,
    pub state: &'static str,
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
        let compile = |text, scope| Expression::compile(text, scope).unwrap();
        Self {
            fingerprint: fingerprint(&definition, order_key),
            plan: Arc::new(Plan::new(Arc::new(definition))),
            order_key: order_key.map(|text| Arc::new(compile(text, Scope::EVENT))),
            transform: projection.transform.then(|| compile(TRANSFORM, Scope::TRANSFORM)),
            parked_events_max: projection.parked_events_max,
        }
    }

    /// Applies all messages to a new view.
    pub fn run(&self, messages: &[Message], mode: Mode<'_>) -> View {
        let recorded: Vec<Recorded> = messages.iter().map(recorded).collect();
        match mode {
            Mode::Single => self.in_memory(&recorded, &vec![1; messages.len()], usize::MAX),
            Mode::Whole => self.in_memory(&recorded, &[], usize::MAX),
            Mode::Reopened(ends) => self.in_memory(&recorded, &sizes(ends), 0),
            Mode::Gathered(ends) => self.gathered(&recorded, &sizes(ends)),
            Mode::Overlapping(ends) => self.overlapping(&recorded, &sizes(ends)),
            Mode::Killed(ends) => self.killed(&recorded, &sizes(ends)),
            Mode::Bulk(ends, large, bytes) => self.bulk(&recorded, &sizes(ends), large, bytes),
            Mode::Cancelled(ends, after) => self.cancelled(&recorded, &sizes(ends), after),
        }
    }

    /// `kept`: after so many batches the store is opened again each time.
    fn in_memory(&self, messages: &[Recorded], sizes: &[usize], kept: usize) -> View {
        let mut store = Store::in_memory(&self.build()).unwrap();
        let mut batches = self.batcher(&store);
        let mut set_aside = Vec::new();
        let mut stopped = None;
        for (index, chunk) in self.chunks(messages, sizes).into_iter().enumerate() {
            if index > kept {
                store = store.reopen().unwrap();
                batches = self.batcher(&store);
            }
            stopped = take(&mut batches, &mut store, &[chunk], &mut set_aside);
            if stopped.is_some() {
                break;
            }
        }
        let view = self.view_of(&store, set_aside, stopped);
        if stopped.is_some() {
            self.stops_again(store, messages, &view);
        }
        view
    }

    /// A projection that has stopped and is started again stops at the same place for the same reason.
    fn stops_again(&self, store: Store, messages: &[Recorded], view: &View) {
        let after = messages.iter().filter(|message| message.sequence.0 > view.sequence);
        let after: Vec<Recorded> = after.cloned().collect();
        let mut store = store.reopen().unwrap();
        let mut set_aside = Vec::new();
        let chunks = self.chunks(&after, &[]);
        let stopped = take(&mut self.batcher(&store), &mut store, &chunks, &mut set_aside);
        assert!(set_aside.is_empty(), "started again: {set_aside:?}");
        let again = self.view_of(&store, view.set_aside.clone(), stopped);
        assert_eq!(again, *view, "started again");
    }

    fn gathered(&self, messages: &[Recorded], sizes: &[usize]) -> View {
        let mut store = Store::in_memory(&self.build()).unwrap();
        let chunks = self.chunks(messages, sizes);
        let mut set_aside = Vec::new();
        let stopped = match &chunks[..] {
            [] => None,
            chunks => take(&mut self.batcher(&store), &mut store, chunks, &mut set_aside),
        };
        self.view_of(&store, set_aside, stopped)
    }

    fn overlapping(&self, messages: &[Recorded], sizes: &[usize]) -> View {
        let mut store = Store::in_memory(&self.build()).unwrap();
        let mut batches = self.batcher(&store);
        let (mut before, mut begin) = (0, 0);
        let mut chunks = Vec::new();
        for size in sizes.iter().copied().chain([usize::MAX]) {
            let end = begin + size.min(messages.len() - begin);
            chunks.extend(self.chunks(&messages[before..end], &[]));
            (before, begin) = (begin, end);
        }
        let mut set_aside = Vec::new();
        let mut taken = chunks.chunks(2);
        let stopped =
            taken.find_map(|chunks| take(&mut batches, &mut store, chunks, &mut set_aside));
        self.view_of(&store, set_aside, stopped)
    }

    /// Each batch begins with the files as they were when the one before had been committed, log and all.
    fn killed(&self, messages: &[Recorded], sizes: &[usize]) -> View {
        let mut data_dir = in_memory();
        let mut stopped = None;
        let mut store = self.open(data_dir.path());
        for chunk in self.chunks(messages, sizes) {
            stopped = take(&mut self.batcher(&store), &mut store, &[chunk], &mut Vec::new());
            let next = in_memory();
            copy(data_dir.path(), next.path());
            // Whatever its end would tidy up is in a folder that nobody will look into.
            drop(store);
            data_dir = next;
            store = self.open(data_dir.path());
            if stopped.is_some() {
                break;
            }
        }
        drop(store);
        self.view_in(data_dir.path(), stopped)
    }

    fn bulk(&self, messages: &[Recorded], sizes: &[usize], large: usize, bytes: &[usize]) -> View {
        let data_dir = in_memory();
        let mut store = self.open(data_dir.path());
        let chunks = self.chunks(messages, sizes);
        let (first, rest) = chunks.split_at(large.min(chunks.len()));
        let mut bulk =
            Bulk::new(Arc::clone(&self.plan), self.order_key.clone(), self.parked_events_max);
        bulk.begin(&store).unwrap();
        let bytes = bytes.iter().chain([&usize::MAX]).cycle();
        let mut stopped = first.iter().zip(bytes).find_map(|(chunk, bytes)| {
            match bulk.take(&mut store, chunk, *bytes, clock::now()).unwrap() {
                Taken::Stopped(stop) => Some(stop.reason.word()),
                Taken::Folded | Taken::Written => None,
            }
        });
        bulk.flush(&mut store, clock::now()).unwrap();
        if stopped.is_none() {
            let mut batches = self.batcher(&store);
            let take = |chunk: &Arc<Chunk>| {
                take(&mut batches, &mut store, std::slice::from_ref(chunk), &mut Vec::new())
            };
            stopped = rest.iter().find_map(take);
        }
        drop(store);
        self.view_in(data_dir.path(), stopped)
    }

    fn chunks(&self, messages: &[Recorded], sizes: &[usize]) -> Vec<Arc<Chunk>> {
        let chunks = chunks(messages, Format::Auto, EVENT_BYTES_MAX, sizes.iter().copied());
        match &self.transform {
            Some(transform) => transformed(&chunks, transform),
            None => chunks,
        }
    }

    fn batcher(&self, store: &Store) -> Batcher {
        let plan = Arc::clone(&self.plan);
        let mut batcher = Batcher::new(plan, self.order_key.clone(), self.parked_events_max);
        batcher.begin(store).unwrap();
        batcher
    }

    fn build(&self) -> Build<'_> {
        let definition = self.plan.definition();
        Build {
            projection: NAME,
            stream: "EVENTS",
            definition: &definition.source.text,
            source: "{}",
            engine: ENGINE,
            fingerprint: &self.fingerprint,
            tables: &definition.tables,
            views: &definition.views,
            logged: definition.logged(),
        }
    }

    fn recipe(&self) -> Recipe {
        let subjects = self.plan.definition().subjects.clone();
        Recipe {
            plan: Arc::clone(&self.plan),
            order_key: self.order_key.clone(),
            fingerprint: self.fingerprint.clone(),
            reading: reader::Settings {
                stream: "EVENTS".to_owned(),
                filters: subjects.clone(),
                format: Format::Auto,
                transform: None,
                event_bytes_max: usize::MAX,
                batch_events_max: 1,
                heartbeat: Duration::from_secs(1),
            },
            source: "{}".to_owned(),
            engine: ENGINE.to_owned(),
            key: Key { source: String::new(), subjects },
        }
    }

    fn open(&self, data_dir: &Path) -> Store {
        let folder = Folder::new(data_dir, NAME);
        let generation = folder.current_or_first(&self.build()).unwrap();
        Store::open(&folder, generation, &self.plan.definition().tables, CACHE_BYTES).unwrap()
    }

    fn view_of(
        &self,
        store: &Store,
        set_aside: Vec<SetAside>,
        stopped: Option<&'static str>,
    ) -> View {
        let tables = self.plan.definition().tables.iter().enumerate().map(|(index, table)| {
            let rows = store.rows(index).unwrap().into_iter().map(|row| {
                let row: Vec<Cell> = row.iter().map(cell_of).collect();
                (row[..table.key.len()].to_vec(), row)
            });
            rows.collect()
        });
        let checkpoint = store.checkpoint();
        View {
            tables: tables.collect(),
            set_aside,
            counts: counts_of(store.counts()),
            sequence: checkpoint.sequence.0,
            messages: checkpoint.messages,
            stopped,
        }
    }

    /// Reads the files as a stranger would.
    fn view_in(&self, data_dir: &Path, stopped: Option<&'static str>) -> View {
        let path = data_dir.join(NAME).join("current/view.db");
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let checkpoint = numbers(&connection, "SELECT sequence, messages FROM _viewd_checkpoint");
        let sql = "SELECT applied, ignored, dead_lettered, parked, skipped FROM _viewd_counts";
        let [applied, ignored, dead_lettered, parked, skipped] = numbers(&connection, sql)[..]
        else {
            unreachable!("five columns");
        };
        let tables = self.plan.definition().tables.iter().map(|table| {
            let rows = cells(&connection, &format!("SELECT * FROM {}", table.name));
            rows.into_iter().map(|row| (row[..table.key.len()].to_vec(), row)).collect()
        });
        View {
            tables: tables.collect(),
            set_aside: set_aside(&connection),
            counts: Counts { applied, ignored, dead_lettered, parked, skipped },
            sequence: checkpoint[0],
            messages: checkpoint[1],
            stopped,
        }
    }
}

/// Makes one batch; says why the projection stops after it.
fn take(
    batches: &mut Batcher,
    store: &mut Store,
    chunks: &[Arc<Chunk>],
    set_aside: &mut Vec<SetAside>,
) -> Option<&'static str> {
    let done = batches.take(store, chunks, None, |_| false, clock::now()).unwrap();
    set_aside.extend(done.dead_letters.iter().map(SetAside::of));
    done.stop.map(|stop| stop.reason.word())
}

impl SetAside {
    fn of(letter: &DeadLetter) -> Self {
        Self {
            sequence: letter.sequence.0,
            part: letter.part,
            state: match letter.state {
                State::Dead => "dead",
                State::Parked => "parked",
                State::Skipped => "skipped",
            },
            order_key: letter.order_key.clone(),
            reason: letter.reason.clone(),
        }
    }
}

/// The ends of batches as their lengths.
fn sizes(ends: &[usize]) -> Vec<usize> {
    ends.iter().scan(0, |last, &end| Some(end - std::mem::replace(last, end))).collect()
}

/// A folder for a view that nobody needs after a loss of power: thousands are made, and syncing them would take longer
/// than everything else.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else if !entry.path().to_string_lossy().ends_with("-shm") {
            // The shared memory goes with its process.
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
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
        ..Recorded::default()
    }
}

fn counts_of(counts: &status::Counts) -> Counts {
    let status::Counts { applied, ignored, dead_lettered, parked, skipped, .. } = *counts;
    Counts { applied, ignored, dead_lettered, parked, skipped }
}

fn cell_of(cell: &row::Cell) -> Cell {
    match cell {
        row::Cell::Null => Cell::Null,
        row::Cell::Integer(integer) => Cell::Integer(*integer),
        row::Cell::Real(real) => Cell::Real(real.to_bits()),
        row::Cell::Text(text) => Cell::text(text),
        row::Cell::Time(time) => Cell::text(&time.text()),
        row::Cell::Bytes(bytes) => Cell::Bytes(bytes.to_vec()),
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
    let sql = "SELECT sequence, part, state, order_key, reason FROM _viewd_dead_letters ORDER BY sequence, part";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| {
        let state: String = row.get(2)?;
        let states = ["dead", "parked", "skipped"];
        Ok(SetAside {
            sequence: row.get::<_, i64>(0)?.unsigned_abs(),
            part: row.get(1)?,
            state: states.into_iter().find(|known| *known == state).unwrap(),
            order_key: row.get(3)?,
            reason: row.get(4)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
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
