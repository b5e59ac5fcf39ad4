//! The store from outside: what it writes is the fold of the operations, all or nothing, and nobody can do it harm by
//! reading.

mod changes;
mod files;
mod fold;
mod generations;
mod reading;
mod removal;

use std::time::Duration;

use tempfile::TempDir;
use viewd::definition::fingerprint::Fingerprint;
use viewd::definition::{Action, Column, Table, Verb};
use viewd::event::Sequence;
use viewd::event::anchor::{Anchor, Origin};
use viewd::event::time::Timestamp;
use viewd::projection::transition::{Assigned, By, Operation, Transition};
use viewd::row::{Cell, ColumnType, Key};
use viewd::status::Counts;
use viewd::store::batch::Batch;
use viewd::store::dead_letter::{DeadLetter, State};
use viewd::store::layout::{Build, Folder, Generation};
use viewd::store::query::{self, Limits};
use viewd::store::state::State as Kind;
use viewd::store::writer::Store;
use viewd::store::{Error, stored};

const CACHE_BYTES: u64 = 2 << 20;

fn column(name: &str, column_type: ColumnType, required: bool, default: Option<Cell>) -> Column {
    Column { name: name.into(), column_type, required, default, span: 0..0 }
}

fn table(name: &str, key: &[usize], columns: Vec<Column>) -> Table {
    Table {
        name: name.into(),
        columns,
        key: key.into(),
        indexes: Vec::new(),
        changes: false,
        span: 0..0,
    }
}

/// Three tables with a column of each kind; two have names that are words of SQL.
fn tables() -> Vec<Table> {
    let zero = || Some(Cell::Integer(0));
    let mut all = vec![
        table(
            "orders",
            &[0],
            vec![
                column("id", ColumnType::Text, true, None),
                column("lines", ColumnType::Integer, false, zero()),
                column("total", ColumnType::Decimal(2), false, zero()),
                column("status", ColumnType::Text, false, None),
                column("first", ColumnType::Integer, false, None),
                column("last", ColumnType::Text, false, None),
                column("weight", ColumnType::Real, false, Some(Cell::Real(0.0))),
                column("open", ColumnType::Boolean, true, Some(Cell::Integer(1))),
                column("extra", ColumnType::Json, false, None),
            ],
        ),
        table(
            "excluded",
            &[1, 0],
            vec![
                column("order", ColumnType::Integer, true, None),
                column("select", ColumnType::Text, true, None),
            ],
        ),
        table(
            "group",
            &[0],
            vec![
                column("id", ColumnType::Integer, true, None),
                column("excluded", ColumnType::Integer, true, zero()),
            ],
        ),
    ];
    all[0].indexes = vec![vec![3, 1], vec![2]];
    all
}

struct View {
    data: TempDir,
    tables: Vec<Table>,
    store: Option<Store>,
}

impl View {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut view = Self { data, tables: tables(), store: None };
        view.store = Some(view.open());
        view
    }

    fn folder(&self) -> Folder {
        Folder::new(self.data.path(), "shop")
    }

    fn current_or_first(&self) -> Result<Generation, Error> {
        self.folder().current_or_first(&build(&self.tables, &fingerprint()))
    }

    fn open(&self) -> Store {
        let generation = self.current_or_first().expect("a generation");
        Store::open(&self.folder(), generation, &self.tables, CACHE_BYTES).expect("a store")
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("it is open")
    }

    /// Commits transitions at the next sequence.
    fn commit(&mut self, tables: Vec<Vec<(Key, Transition)>>) -> Result<u64, Error> {
        let batch = batch(self.store().checkpoint().sequence.0 + 1, tables);
        self.store().commit(batch).map(|committed| committed.rows_changed)
    }

    /// `id`, `lines` of each.
    fn fill(&mut self, rows: &[(&str, i64)]) {
        let set = |&(id, lines): &(&str, i64)| {
            let key = text_key(id);
            (
                key.clone(),
                composed(&self.tables[0], &[upsert(&key, 1, Action::Set, Cell::Integer(lines))]),
            )
        };
        let transitions = rows.iter().map(set).collect();
        self.commit(vec![transitions]).expect("committed");
    }

    fn query(&self, sql: &str) -> Result<query::Rows, query::Error> {
        query::run(
            self.folder().path(),
            sql,
            &Limits { rows: 100, timeout: Duration::from_secs(1) },
        )
    }

    /// All rows as text, by cells.
    fn shown(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.rows.iter().map(|row| row.iter().map(query::Shown::json).collect()).collect()
    }
}

fn fingerprint() -> Fingerprint {
    Fingerprint { events: "e".into(), rows: "r".into(), shapes: "s".into(), words: "w".into() }
}

fn build<'a>(tables: &'a [Table], fingerprint: &'a Fingerprint) -> Build<'a> {
    Build {
        projection: "shop",
        stream: "SHOP",
        definition: "source = \"shop\"",
        source: "{\"stream\":\"SHOP\"}",
        engine: "e",
        fingerprint,
        tables,
        views: &[],
        logged: (0..tables.len()).collect(),
    }
}

fn batch(sequence: u64, tables: Vec<Vec<(Key, Transition)>>) -> Batch<'static> {
    Batch {
        sequence: Sequence(sequence),
        stored_at: Some(Timestamp(1_000_000)),
        messages: 1,
        tables,
        known: &[],
        dead_letters: &[],
        counts: Counts { applied: 1, ..Counts::default() },
        origin: None,
        anchor: None,
        live: false,
        committed_at: Timestamp(2_000_000),
    }
}

fn text_key(id: &str) -> Key {
    Key([Cell::Text(id.into())].into_iter().collect())
}

fn upsert(key: &Key, column: usize, action: Action, cell: Cell) -> Operation {
    Operation {
        by: By::default(),
        table: 0,
        key: key.clone(),
        verb: Verb::Upsert,
        assignments: vec![Assigned { column, action, cell }],
    }
}

fn composed(table: &Table, operations: &[Operation]) -> Transition {
    let mut transition = Transition::identity(table);
    for operation in operations {
        transition.apply(operation, table).expect("within range");
    }
    transition
}

#[test]
fn what_fails_leaves_no_trace_and_the_store_goes_on() {
    let mut view = View::new();
    view.fill(&[("a", 1), ("z", i64::MAX)]);
    let before = view.store().checkpoint().clone();
    let add = |id: &str, table: &Table| {
        let key = text_key(id);
        (key.clone(), composed(table, &[upsert(&key, 1, Action::Add, Cell::Integer(1))]))
    };
    let transitions = vec![add("a", &view.tables[0]), add("z", &view.tables[0])];
    assert!(matches!(view.commit(vec![transitions]), Err(Error::OnRow { .. })));
    assert_eq!(*view.store().checkpoint(), before);
    assert_eq!(view.shown("SELECT id, lines FROM orders ORDER BY id")[0], ["\"a\"", "1"]);
    let transitions = vec![add("a", &view.tables[0])];
    assert_eq!(view.commit(vec![transitions]).expect("committed"), 1);
    assert_eq!(view.shown("SELECT lines FROM orders WHERE id = 'a'"), [["2"]]);
    assert_eq!(view.store().checkpoint().revision, before.revision + 1);
}

#[test]
fn a_stale_writer_overwrites_nothing() {
    let mut view = View::new();
    let mut stale = view.open();
    view.fill(&[("a", 1)]);
    let transition =
        composed(&view.tables[0], &[upsert(&text_key("a"), 1, Action::Set, Cell::Integer(99))]);
    let failed = stale.commit(batch(1, vec![vec![(text_key("a"), transition)]]));
    assert!(matches!(failed, Err(Error::Stale { previous: Sequence(0), .. })), "{failed:?}");
    assert_eq!(view.shown("SELECT lines FROM orders"), [["1"]]);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut view = View::new();
    view.fill(&[("a", 1)]);
    let revision = view.store().checkpoint().revision;
    view.fill(&[("a", 1)]);
    assert_eq!(view.store().checkpoint().revision, revision);
    assert_eq!(view.store().checkpoint().sequence, Sequence(2));
    // A position alone moves the checkpoint too (I8).
    let idle =
        Batch { stored_at: None, messages: 0, counts: Counts::default(), ..batch(50, Vec::new()) };
    view.store().commit(idle).expect("committed");
    let checkpoint = view.store().checkpoint().clone();
    assert_eq!(
        (checkpoint.sequence, checkpoint.messages, checkpoint.revision),
        (Sequence(50), 2, revision)
    );
    assert_eq!(checkpoint.event_time, Some(Timestamp(1_000_000)));
}

#[test]
fn all_that_a_batch_says_is_there_after_a_restart() {
    let mut view = View::new();
    let letter = |sequence, part, state, order_key: Option<&str>| DeadLetter {
        sequence: Sequence(sequence),
        part,
        type_name: Some("OrderPlaced".into()),
        subject: "shop.1.placed".into(),
        order_key: order_key.map(str::to_owned),
        state,
        reason: "type: no".into(),
        payload: b"\xff{}".to_vec().into(),
        headers: vec![("A".into(), "\"1\"".into())],
        stored_at: Timestamp(i64::try_from(sequence).expect("small")),
    };
    let letters = [
        letter(7, 0, State::Dead, Some("k")),
        letter(7, 1, State::Parked, Some("k")),
        letter(8, 0, State::Skipped, Some("s")),
        letter(9, 0, State::Dead, None),
    ];
    let counts = Counts { applied: 1, ignored: 2, dead_lettered: 2, parked: 1, skipped: 1 };
    let anchor = Anchor { sequence: Sequence(9), stored_at_ns: 5, payload_hash: u64::MAX };
    let full = Batch {
        dead_letters: &letters,
        counts,
        origin: Some(Origin { created_ns: 11, first_sequence: Sequence(4) }),
        anchor: Some(anchor),
        live: true,
        ..batch(9, Vec::new())
    };
    view.store().commit(full).expect("committed");
    let before = view.store.take().expect("it is open");
    let after = view.open();
    assert_eq!(after.checkpoint(), before.checkpoint());
    assert_eq!((after.counts(), after.counts().sum()), (&counts, 7));
    assert_eq!(after.totals(), before.totals());
    assert_eq!(after.totals().oldest_stored_at, Some(Timestamp(7)));
    assert_eq!((after.totals().dead, after.totals().parked, after.totals().skipped), (2, 1, 1));
    let blocked = after.blocked().expect("blocked keys");
    assert_eq!(
        blocked
            .iter()
            .map(|key| (key.order_key.as_str(), key.dead, key.parked))
            .collect::<Vec<_>>(),
        [("k", 1, 1)]
    );
    let checkpoint = after.checkpoint();
    assert_eq!(
        (checkpoint.from_sequence, checkpoint.stream_created_ns),
        (Some(Sequence(4)), Some(11))
    );
    assert!(checkpoint.has_been_live && checkpoint.anchors == [anchor]);

    let stored = stored::read(view.folder().path()).expect("status without a daemon");
    assert_eq!(
        (&stored.checkpoint, stored.counts, &stored.set_aside),
        (checkpoint, counts, after.totals())
    );
    assert_eq!(
        (stored.projection.as_str(), stored.stream.as_str(), stored.state),
        ("shop", "SHOP", Kind::Serving)
    );
    assert_eq!(stored.definition, "source = \"shop\"");
    assert_eq!((stored.source.as_str(), stored.engine.as_str()), ("{\"stream\":\"SHOP\"}", "e"));
    assert_eq!(&stored.fingerprint, after.fingerprint());
    let shown = view.shown(
        "SELECT sequence, part, type, headers, payload FROM _viewd_dead_letters WHERE part = 1",
    );
    assert_eq!(shown, [["7", "1", "\"OrderPlaced\"", r#""{\"A\":\"\\\"1\\\"\"}""#, "\"/3t9\""]]);
}

#[test]
fn only_ends_at_work_count_towards_a_crash_loop() {
    let mut view = View::new();
    // Dropping a store without a word is what a kill leaves behind.
    let run = |work: bool, commit: bool, clean: bool| {
        let mut store = view.open();
        let ends = store.begin_run().expect("begun");
        if work {
            store.begin_batch().expect("marked");
        }
        if commit {
            let next = store.checkpoint().sequence.0 + 1;
            store.commit(batch(next, Vec::new())).expect("committed");
            store.begin_batch().expect("marked");
        }
        if clean {
            store.end_run().expect("ended");
        }
        ends
    };
    let (idle, poisoned) = ((false, false, false), (true, false, false));
    let cases = [
        (idle, 0),
        (idle, 0),
        (idle, 0),
        (poisoned, 0),
        (poisoned, 1),
        (idle, 2),
        (poisoned, 2),
        (idle, 3),
        (idle, 3),
        // It got over it.
        ((true, true, false), 3),
        // That it ended then may have been idle or at work: it counts once.
        (idle, 1),
        (idle, 1),
        (poisoned, 1),
        (idle, 2),
        ((true, false, true), 2),
        (idle, 0),
    ];
    for (number, ((work, commit, clean), ends)) in cases.into_iter().enumerate() {
        assert_eq!(run(work, commit, clean), ends, "run {number}");
    }
    view.store = None;
}
