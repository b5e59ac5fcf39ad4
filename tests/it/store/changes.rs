//! The change log: every key that has changed, and no other, from wherever one goes on; and the rows that go with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use proptest::prelude::*;
use viewd::definition::{Action, Table};
use viewd::event::Sequence;
use viewd::projection::transition::Transition;
use viewd::row::{Cell, ColumnType, Key, Row};
use viewd::store::Error;
use viewd::store::change_log::{key_of, key_text};
use viewd::store::layout::{Build, Generation};
use viewd::store::scan::Parts;
use viewd::store::snapshot::Snapshot;
use viewd::store::writer::Store;

use super::generations::orders;
use super::{
    CACHE_BYTES, View, batch, build, column, composed, fingerprint, table, text_key, upsert,
};

/// What is seen of one table's changes: rows as they stand, by key text.
pub(super) type Seen = BTreeMap<String, Option<Row>>;

/// The changes of a table after one id and up to another, with all columns.
pub(super) fn changes(
    view: &View,
    snapshot: &Snapshot,
    table: usize,
    after: i64,
    upto: i64,
) -> Seen {
    let table = &view.tables[table];
    let columns: Vec<_> = (0..table.columns.len()).collect();
    let mut seen = Seen::new();
    let mut last: Option<Key> = None;
    let each = |key: &Key, row: Option<&[Cell]>| {
        let text = key_text(&key.0);
        assert!(last.as_ref().is_none_or(|last| key_text(&last.0) < text), "in order, each once");
        last = Some(key.clone());
        seen.insert(text, row.map(Row::from));
        Ok::<_, Error>(())
    };
    snapshot.changes(table, &columns, after, upto, each).expect("readable");
    seen
}

/// The rows that one scan finds of a table.
fn scanned(table: &Table, snapshot: &Snapshot, parts: &Parts) -> Vec<Row> {
    let columns: Vec<_> = (0..table.columns.len()).collect();
    let mut rows = Vec::new();
    let each = |row: &[Cell]| {
        rows.push(Row::from(row));
        Ok::<_, Error>(())
    };
    snapshot.scan(table, &columns, parts, each).expect("readable");
    rows
}

fn integer_key(id: i64) -> Key {
    Key([Cell::Integer(id)].into_iter().collect())
}

fn ids(view: &View, numbers: std::ops::Range<u64>) -> BTreeSet<String> {
    orders(view, numbers)[0].iter().map(|(key, _)| key_text(&key.0)).collect()
}

#[test]
fn what_is_not_logged_and_what_is_in_bulk_leaves_no_trace() {
    let mut view = View::new();
    let tables = view.tables.clone();
    let fingerprint = fingerprint();
    let some = Build { logged: vec![1], ..build(&tables, &fingerprint) };
    let folder = view.folder();
    let next = folder.make_next(&some).expect("a generation");
    let mut bulk = Store::open_bulk(&folder, next, &tables, &[], CACHE_BYTES).expect("a store");
    let pair = |number| {
        let cells = vec![Cell::Integer(number), Cell::Text("a".into())];
        let key = Key([Cell::Text("a".into()), Cell::Integer(number)].into_iter().collect());
        (key, Transition::known(Some(cells.into())))
    };
    bulk.commit(batch(1, vec![vec![], vec![pair(1)], vec![]])).expect("committed");
    assert_eq!(bulk.last_change(), 0);
    let mut store = bulk.seal(CACHE_BYTES, &mut |_| ()).expect("sealed");
    assert_eq!(store.last_change(), 0);
    let order = orders(&view, 0..1).remove(0);
    store.commit(batch(2, vec![order, vec![pair(1), pair(2)], vec![]])).expect("committed");
    let snapshot = store.fence().expect("a snapshot");
    assert_eq!((store.last_change(), snapshot.last_change().expect("a number")), (1, 1));
    assert_eq!(changes(&view, &snapshot, 0, 0, 1).len(), 0, "it is not logged");
    let seen = changes(&view, &snapshot, 1, 0, 1);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["[\"a\",2]"], "the other one was there before");
    view.store = None;
}

#[test]
fn a_reshape_begins_the_log_anew() {
    let mut view = View::new();
    let rows = orders(&view, 0..100);
    view.commit(rows).expect("committed");
    assert_eq!(view.store().last_change(), 100);
    let folder = view.folder();
    let next = folder.reshape_next(Generation(1), &build(&view.tables, &fingerprint()));
    let next = next.expect("copied");
    let store = Store::open_bulk(&folder, next, &view.tables, &[], CACHE_BYTES).expect("a store");
    let mut store = store.seal(CACHE_BYTES, &mut |_| ()).expect("sealed");
    let snapshot = store.fence().expect("a snapshot");
    assert_eq!((store.last_change(), snapshot.first_change().expect("a number")), (0, None));
    assert!(snapshot.goes_on_from(0, Sequence(1)).expect("a number"));
    store.commit(batch(2, orders(&view, 99..101))).expect("it follows the stream");
    assert_eq!(store.last_change(), 1);
}

#[test]
fn the_log_is_trimmed_in_portions_and_its_ids_go_on() {
    const ROWS: u64 = 25_000;
    let mut view = View::new();
    let rows = orders(&view, 0..ROWS);
    view.commit(rows).expect("committed");
    let last = ROWS as i64;
    let (mut calls, mut firsts) = (0, Vec::new());
    while view.store().trim_changes(last - 1).expect("trimmed") {
        calls += 1;
        firsts.push(view.store().snapshot().expect("one").first_change().expect("a number"));
    }
    assert_eq!((calls, firsts), (2, vec![Some(10_001), Some(20_001)]));
    let goes_on = |view: &mut View, change, sequence| {
        let snapshot = view.store().snapshot().expect("one");
        snapshot.goes_on_from(change, Sequence(sequence)).expect("a number")
    };
    for change in [0, last - 2, last - 1] {
        assert!(!goes_on(&mut view, change, 1), "{change} is trimmed");
    }
    assert!(goes_on(&mut view, last, 1) && goes_on(&mut view, last, 7));
    assert!(!goes_on(&mut view, last, 0), "another change had its id when the rows were those");
    assert!(!goes_on(&mut view, last + 1, 1), "it is of a log that was lost");

    // No more than there is, whatever is asked for; and then the ids go on, after a restart too.
    assert!(!view.store().trim_changes(i64::MAX).expect("trimmed"));
    assert!(!view.store().trim_changes(i64::MAX).expect("nothing is left"));
    let empty = view.store().snapshot().expect("one");
    assert_eq!(empty.first_change().expect("a number"), None);
    assert_eq!(empty.last_change().expect("a number"), last);
    drop(empty);
    assert!(
        goes_on(&mut view, last, 1) && !goes_on(&mut view, 0, 1),
        "all are trimmed, and nothing came after"
    );
    view.store = None;
    view.store = Some(view.open());
    assert_eq!(view.store().last_change(), last);
    let rows = orders(&view, ROWS..ROWS + 1);
    view.commit(rows).expect("committed");
    assert_eq!(view.store().last_change(), last + 1);
    assert!(goes_on(&mut view, last + 1, 2) && !goes_on(&mut view, 0, 2));
}

#[test]
fn a_long_log_is_taken_in_portions_that_end_with_a_batch() {
    let mut view = View::new();
    for batch in 0..5 {
        let rows = orders(&view, batch * 10..batch * 10 + 10);
        view.commit(rows).expect("committed");
    }
    let snapshot = view.store().fence().expect("a snapshot");
    let portion = |after, most| {
        let portion = snapshot.portion(after, most).expect("readable");
        (portion.upto, portion.sequence.0)
    };
    assert_eq!([portion(0, 1), portion(0, 10), portion(0, 11)], [(10, 1), (10, 1), (20, 2)]);
    assert_eq!([portion(10, 15), portion(39, 1)], [(30, 3), (40, 4)]);
    assert_eq!([portion(0, 45), portion(0, 1000), portion(50, 10)], [(50, 5); 3]);
    let seen = changes(&view, &snapshot, 0, 10, 30);
    assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), ids(&view, 10..30));
    // What has happened since is not seen: neither its changes nor its rows.
    let gone = (text_key("o-000007"), Transition::known(None));
    view.commit(vec![vec![gone]]).expect("committed");
    assert_eq!(portion(0, 1000), (50, 5));
    assert_eq!(changes(&view, &snapshot, 0, 0, i64::MAX).values().flatten().count(), 50);
    let now = view.store().fence().expect("a snapshot");
    let seen = changes(&view, &now, 0, 50, 51);
    assert_eq!(seen, BTreeMap::from([("[\"o-000007\"]".to_owned(), None)]));
}

#[test]
fn changes_commit_with_their_rows() {
    let mut view = View::new();
    let rows = orders(&view, 0..3);
    view.commit(rows).expect("committed");
    // The second batch fails on its last row: nothing of it is there.
    let mut rows = orders(&view, 3..9);
    let key = text_key("o-000002");
    let sum = upsert(&key, 1, Action::Add, Cell::Integer(i64::MAX));
    let sum = composed(&view.tables[0], &[sum]);
    rows[0].push((key, sum));
    assert!(matches!(view.commit(rows), Err(Error::OnRow { .. })));
    assert_eq!(view.store().last_change(), 3);
    let rows = orders(&view, 3..5);
    view.commit(rows).expect("committed");
    let snapshot = view.store().fence().expect("a snapshot");
    assert_eq!(
        changes(&view, &snapshot, 0, 0, i64::MAX).into_keys().collect::<BTreeSet<_>>(),
        ids(&view, 0..5)
    );
    assert_eq!(snapshot.last_change().expect("a number"), 5, "no id is left out");
}

#[test]
fn a_scan_finds_each_row_once_on_any_number_of_threads() {
    const ROWS: u64 = 9_001;
    let mut view = View::new();
    let mut rows = orders(&view, 0..ROWS);
    // Rowids as far apart as they can be, with many in one place.
    let ends = [i64::MIN, i64::MIN + 1, -5, i64::MAX - 1, i64::MAX];
    let group = |id: i64| {
        let row = Row::from(vec![Cell::Integer(id), Cell::Integer(id)]);
        (integer_key(id), Transition::known(Some(row)))
    };
    rows.extend([Vec::new(), ends.into_iter().chain(0..5_000).map(group).collect()]);
    view.commit(rows).expect("committed");
    for table in 0..3 {
        let mut stored = view.store().rows(table).expect("rows");
        let one = |_| view.store().snapshot().expect("between two batches");
        let snapshots: Vec<Snapshot> = (0..3).map(one).collect();
        // All of them show one state, whatever comes after.
        let number = ROWS + table as u64;
        let more = orders(&view, number..number + 1);
        view.commit(more).expect("committed");
        let (view, parts) = (&view, Parts::default());
        let mut found: Vec<Row> = std::thread::scope(|threads| {
            let scan = |snapshot| {
                let parts = &parts;
                let tables = &view.tables;
                threads.spawn(move || scanned(&tables[table], &snapshot, parts))
            };
            let scans: Vec<_> = snapshots.into_iter().map(scan).collect();
            scans.into_iter().flat_map(|scan| scan.join().expect("no panic")).collect()
        });
        let declared = &view.tables[table];
        let key = |row: &Row| key_text(declared.key.iter().map(|&column| &row[column]));
        found.sort_by_key(key);
        stored.sort_by_key(key);
        assert_eq!(found.len(), stored.len(), "{}", declared.name);
        assert!(found == stored, "{}", declared.name);
    }
}

/// Only what is asked for is read, and the key.
#[test]
fn columns_that_nobody_asks_for_are_left_out() {
    let mut view = View::new();
    let rows = orders(&view, 0..1);
    view.commit(rows).expect("committed");
    let snapshot = view.store().fence().expect("a snapshot");
    let key = text_key("o-000000");
    let row = snapshot.row(&view.tables[0], &[3], &key).expect("readable").expect("a row");
    let mut expected = vec![Cell::Null; row.len()];
    expected[0] = Cell::Text("o-000000".into());
    expected[3] = Cell::Text("open".into());
    assert_eq!(*row, expected);
    let mut seen = Vec::new();
    let each = |row: &[Cell]| {
        seen.push(Row::from(row));
        Ok::<_, Error>(())
    };
    snapshot.scan(&view.tables[0], &[3], &Parts::default(), each).expect("readable");
    assert_eq!(*seen[0], expected);
    assert_eq!(snapshot.row(&view.tables[0], &[3], &text_key("o")).expect("readable"), None);
}

/// Whoever is given rows may end it.
#[test]
fn reading_ends_where_its_reader_fails() {
    let mut view = View::new();
    let rows = orders(&view, 0..10);
    view.commit(rows).expect("committed");
    let snapshot = view.store().fence().expect("a snapshot");
    let ended = || Error::Stopped { path: PathBuf::new() };
    let mut met = 0;
    let found = snapshot.scan(&view.tables[0], &[], &Parts::default(), |_| {
        met += 1;
        Err(ended())
    });
    assert!(matches!(found, Err(Error::Stopped { .. })));
    let found = snapshot.changes(&view.tables[0], &[], 0, 10, |_, _| {
        met += 1;
        Err(ended())
    });
    assert!(matches!(found, Err(Error::Stopped { .. })));
    assert_eq!(met, 2);
}

proptest! {
    #[test]
    fn a_key_is_made_again_of_its_text(text in any::<String>(), number in any::<i64>(), bytes in any::<Vec<u8>>()) {
        let cells = [Cell::Text(text.as_str().into()), Cell::Integer(number), Cell::Bytes(bytes.into())];
        let types = [ColumnType::Text, ColumnType::Integer, ColumnType::Bytes];
        let columns = types.map(|column_type| column("c", column_type, true, None));
        let declared = table("t", &[0, 1, 2], columns.into());
        let key = Key(cells.into_iter().collect());
        let text = key_text(&key.0);
        prop_assert_eq!(key_of(&text, &declared), Some(key));
        // JSON, so that others can read it.
        prop_assert!(serde_json::from_str::<Vec<serde_json::Value>>(&text).is_ok());
    }
}

#[test]
fn what_is_no_key_of_a_table_is_none() {
    let declared = &View::new().tables[1];
    assert!(key_of("[\"a\",3]", declared).is_some());
    for text in
        ["", "[", "[]", "[\"a\"]", "[3,\"a\"]", "[\"a\",3,4]", "[\"a\",3.5]", "[\"a\",null]", "{}"]
    {
        assert_eq!(key_of(text, declared), None, "{text}");
    }
}
