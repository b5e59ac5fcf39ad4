//! One generation after another: a crash at any step leaves exactly one that is served.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use viewd::definition::fingerprint::Fingerprint;
use viewd::event::Sequence;
use viewd::projection::transition::Transition;
use viewd::row::{Cell, Key, Row};
use viewd::store::control::Control;
use viewd::store::layout::{Folder, Generation};
use viewd::store::state::State;
use viewd::store::step::{Step, Steps};
use viewd::store::writer::Store;
use viewd::store::{Error, stored};

use super::{CACHE_BYTES, View, batch, build, fingerprint, text_key};

/// Rows of `orders`, by number.
pub(super) fn orders(view: &View, rows: std::ops::Range<u64>) -> Vec<Vec<(Key, Transition)>> {
    let columns = view.tables[0].columns.len();
    let row = |number: u64| {
        let id = format!("o-{number:06}");
        let mut cells = vec![Cell::Null; columns];
        cells[0] = Cell::Text(id.as_str().into());
        cells[1] = Cell::Integer(i64::try_from(number).expect("small"));
        cells[3] = Cell::Text("open".into());
        cells[7] = Cell::Integer(1);
        (text_key(&id), Transition::known(Some(Row::from(cells))))
    };
    vec![rows.map(row).collect()]
}

fn no_progress(_: &'static str) {}

impl View {
    pub(super) fn bulk(&self, folder: &Folder) -> Store {
        let next = folder.make_next(&build(&self.tables, &fingerprint())).expect("a generation");
        // `where status`, which an index helps, and `where lines`, which none does.
        let searches = [vec![vec![3], vec![4]], Vec::new(), Vec::new()];
        Store::open_bulk(folder, next, &self.tables, &searches, CACHE_BYTES).expect("a store")
    }
}

/// Each generation and what it says of itself.
pub(super) fn found(folder: &Folder) -> Vec<(u64, State, Option<u64>)> {
    let each = folder.found().expect("a folder").into_iter().map(|found| {
        let stored = found.stored.unwrap_or_else(|error| panic!("{}: {error}", found.generation));
        assert!(found.bytes > 0);
        (found.generation.0, stored.state, stored.successor.map(|generation| generation.0))
    });
    each.collect()
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_build_is_filled_sealed_and_served() {
    let mut view = View::new();
    let folder = view.folder();
    let mut next = view.bulk(&folder);
    for flush in 0..3 {
        let rows = orders(&view, flush * 500..(flush + 1) * 500);
        next.commit(batch(flush + 1, rows)).expect("committed");
    }
    // Nobody reads it, and nobody waits for it.
    assert!(matches!(folder.stored(Generation(2)), Err(Error::Busy { .. })));
    let by_status = next.matching(0, &[3], &[Cell::Text("open".into())], 2000).expect("rows");
    assert_eq!(by_status.len(), 1500);

    let mut phases = Vec::new();
    let mut next = next.seal(CACHE_BYTES, &mut |phase| phases.push(phase)).expect("sealed");
    assert_eq!(phases, ["indexes", "statistics", "check", "sync"]);
    assert_eq!(
        found(&folder),
        [(1, State::Serving, None), (2, State::Sealed, None)],
        "nothing is served yet but the first"
    );
    next.commit(batch(4, orders(&view, 1500..1501))).expect("it follows the stream");
    let control = Control { paused: true, order: Some("{}".into()), ..Control::default() };
    next.set_control(control.clone()).expect("written");
    let old = view.store.take().expect("it is open");
    folder.cut_over(Some(&old), &mut next).expect("cut over");
    assert_eq!(
        found(&folder),
        [(1, State::Retired, Some(2)), (2, State::Serving, None)],
        "no start is needed"
    );
    assert_eq!(*next.control(), Control { order: None, ..control });
    drop((old, next));
    assert_eq!(names(&folder.path().join("gen-000002")), ["view.db", "view.db-shm", "view.db-wal"]);
    assert_eq!(view.shown("SELECT count(*), max(lines) FROM orders"), [["1501", "1500"]]);
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE '\\_%' ESCAPE '\\' \
                   AND tbl_name = 'orders'";
    assert_eq!(view.shown(indexes), [["2"]], "as declared");
    let stored = stored::read(folder.path()).expect("readable");
    assert!(stored.retired_at.is_none() && stored.control.paused);
    view.store = Some(view.open());
    assert_eq!(view.store().checkpoint().generation, Generation(2));
}

/// The folder as a kill at each step leaves it, in the order of the steps.
pub(super) fn images(data: &Path, images: &Path) -> (Steps, Arc<Mutex<Vec<Step>>>) {
    let reached = Arc::new(Mutex::new(Vec::new()));
    let (data, images, all) = (data.to_path_buf(), images.to_path_buf(), Arc::clone(&reached));
    let steps = Steps::new(move |step| {
        let mut reached = all.lock().expect("no panic");
        // Another program: closing these files here would drop the locks on them.
        let image = images.join(reached.len().to_string());
        let copied = Command::new("cp").arg("-a").arg(&data).arg(&image).status();
        assert!(copied.expect("cp runs").success());
        reached.push(step);
    });
    (steps, reached)
}

#[test]
fn a_crash_at_any_step_leaves_one_serving_generation() {
    let mut view = View::new();
    let first = orders(&view, 0..10);
    view.commit(first).expect("committed");
    let copies = tempfile::tempdir().expect("a temporary folder");
    let (steps, reached) = images(view.data.path(), copies.path());
    let folder = view.folder().with_steps(steps);
    let mut next = view.bulk(&folder);
    next.commit(batch(1, orders(&view, 0..2000))).expect("committed");
    next.commit(batch(2, orders(&view, 1000..3000))).expect("committed");
    let mut next = next.seal(CACHE_BYTES, &mut no_progress).expect("sealed");
    next.commit(batch(3, orders(&view, 3000..3001))).expect("committed");
    let old = view.store.take().expect("it is open");
    folder.cut_over(Some(&old), &mut next).expect("cut over");
    drop((old, next));

    let reached = reached.lock().expect("no panic").clone();
    assert_eq!(
        reached,
        [
            Step::Filled,
            Step::Made,
            Step::Written,
            Step::Committed,
            Step::Written,
            Step::Committed,
            Step::Indexed,
            Step::Analyzed,
            Step::Checked,
            Step::Closed,
            Step::Synced,
            Step::Sealed,
            Step::Written,
            Step::Committed,
            Step::Durable,
            Step::LinkMade,
            Step::Linked,
            Step::LinkSynced,
            Step::MarkedServing,
            Step::MarkedRetired
        ]
    );
    let at = |step: Step| reached.iter().position(|&other| other == step).expect("reached");
    let (sealed, linked) = (at(Step::Sealed), at(Step::Linked));
    for (number, step) in reached.iter().enumerate() {
        for power in [false, true] {
            let image = copies.path().join(number.to_string());
            let copy = copies.path().join("copy");
            let copied = Command::new("cp").arg("-a").arg(&image).arg(&copy).status();
            assert!(copied.expect("cp runs").success());
            let folder = Folder::new(&copy, "shop");
            if power {
                lose_power(&folder, number < sealed);
            }
            let place = format!("after {step}, number {number}, power lost: {power}");
            folder.settle().unwrap_or_else(|error| panic!("{place}: {error}"));
            let expected = if number < sealed {
                vec![(1, State::Serving, None)]
            } else if number < linked {
                vec![(1, State::Serving, None), (2, State::Sealed, None)]
            } else {
                vec![(1, State::Retired, Some(2)), (2, State::Serving, None)]
            };
            assert_eq!(found(&folder), expected, "{place}");
            let served = folder.current().expect("a link").expect("a generation");
            assert_eq!(served.0, if number < linked { 1 } else { 2 }, "{place}");
            let left = names(folder.path());
            assert_eq!(left.len(), 1 + expected.len(), "{place}: {left:?}");
            if number >= sealed {
                let store = Store::open(&folder, Generation(2), &view.tables, CACHE_BYTES);
                let rows = store.expect("a store").rows(0).expect("rows").len();
                assert!(rows == 3000 || rows == 3001 && number > sealed, "{place}: {rows} rows");
            }
            fs::remove_dir_all(&copy).expect("removed");
        }
    }
}

/// What is not synced is lost or torn: the indexes of logs, and everything of a generation that is being built.
fn lose_power(folder: &Folder, building: bool) {
    for name in names(folder.path()).iter().filter(|name| *name != "current") {
        let made = folder.path().join(name);
        let _ = fs::remove_file(made.join("view.db-shm"));
        let database = made.join("view.db");
        if building && name != "gen-000001" {
            let length = fs::metadata(&database).map_or(0, |file| file.len());
            let torn = vec![7; usize::try_from(length).expect("small")];
            fs::write(&database, torn).expect("written");
        }
    }
}

#[test]
fn the_mark_of_a_seal_is_not_in_the_file_before_the_rows_are() {
    let view = View::new();
    let copies = tempfile::tempdir().expect("a temporary folder");
    let (steps, reached) = images(view.data.path(), copies.path());
    let folder = view.folder().with_steps(steps);
    let mut next = view.bulk(&folder);
    next.commit(batch(1, orders(&view, 0..2000))).expect("committed");
    next.seal(CACHE_BYTES, &mut no_progress).expect("sealed");
    let reached = reached.lock().expect("no panic").clone();
    for step in [Step::Closed, Step::Synced, Step::Sealed] {
        let number = reached.iter().position(|&other| other == step).expect("reached");
        let image = copies.path().join(number.to_string());
        let file = image.join("shop/gen-000002/view.db");
        // The file alone, as it is synced.
        let alone = tempfile::tempdir().expect("a temporary folder");
        let made = alone.path().join("shop/gen-000002");
        fs::create_dir_all(&made).expect("a folder");
        fs::copy(&file, made.join("view.db")).expect("copied");
        let folder = Folder::new(alone.path(), "shop");
        assert_eq!(folder.stored(Generation(2)).expect("readable").state, State::Building);
        let store = Store::open(&folder, Generation(2), &view.tables, CACHE_BYTES);
        assert_eq!(store.expect("a store").rows(0).expect("rows").len(), 2000, "after {step}");
    }
}

#[test]
fn a_reshape_has_the_rows_and_other_shapes() {
    let mut view = View::new();
    let rows = orders(&view, 0..100);
    view.commit(rows).expect("committed");
    view.store().set_control(Control { paused: true, ..Control::default() }).expect("written");
    let folder = view.folder();
    let mut tables = view.tables.clone();
    tables[0].indexes = vec![vec![1]];
    let other = Fingerprint { shapes: "other".into(), ..fingerprint() };
    let next = folder.reshape_next(Generation(1), &build(&tables, &other)).expect("copied");
    // The writer of the one that is copied goes on.
    let more = orders(&view, 100..101);
    view.commit(more).expect("committed");
    let store = Store::open_bulk(&folder, next, &tables, &[], CACHE_BYTES).expect("a store");
    let mut store = store.seal(CACHE_BYTES, &mut no_progress).expect("sealed");
    assert_eq!(store.checkpoint().generation, Generation(2));
    assert_eq!(store.checkpoint().sequence, Sequence(1));
    assert_eq!(store.rows(0).expect("rows").len(), 100);
    assert_eq!((store.fingerprint(), store.control().paused), (&other, true));
    store.commit(batch(2, orders(&view, 100..101))).expect("it follows the stream");
    folder.cut_over(view.store.as_ref(), &mut store).expect("cut over");
    let indexes = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'orders' AND sql IS NOT NULL";
    assert_eq!(
        view.shown(indexes),
        [[r#""CREATE INDEX \"_0_0_orders_by_lines\" ON \"orders\" (\"lines\")""#]]
    );
    assert_eq!(view.shown("SELECT count(*) FROM _viewd_columns"), [["13"]]);
    assert_eq!(view.shown("SELECT count(*) FROM orders"), [["101"]]);
}

#[test]
fn a_retired_generation_is_served_again() {
    let mut view = View::new();
    let folder = view.folder();
    let next = |view: &View| {
        let mut next = view.bulk(&folder);
        next.commit(batch(1, orders(view, 0..10))).expect("committed");
        next.seal(CACHE_BYTES, &mut no_progress).expect("sealed")
    };
    let mut second = next(&view);
    let first = view.store.take().expect("it is open");
    folder.cut_over(Some(&first), &mut second).expect("cut over");
    drop(first);

    // Taken up and let go again, by a person or by a crash in between.
    folder.revive(Generation(1)).expect("revived");
    folder.settle().expect("settled");
    assert_eq!(found(&folder), [(1, State::Sealed, Some(2)), (2, State::Serving, None)]);
    folder.discard(Generation(1));
    assert_eq!(found(&folder), [(1, State::Retired, Some(2)), (2, State::Serving, None)]);

    folder.revive(Generation(1)).expect("revived");
    let mut first = Store::open(&folder, Generation(1), &view.tables, CACHE_BYTES).expect("open");
    first.commit(batch(1, orders(&view, 0..3))).expect("it catches up");
    folder.cut_over(Some(&second), &mut first).expect("cut over");
    drop(second);
    assert_eq!(found(&folder), [(1, State::Serving, None), (2, State::Retired, Some(1))]);
    drop(next(&view));
    assert_eq!(found(&folder).last(), Some(&(3, State::Sealed, None)), "a number is used once");
    folder.discard(Generation(3));
    assert_eq!(found(&folder).len(), 2);
    drop(first);
}

#[test]
fn a_damaged_generation_is_moved_aside_and_its_number_is_not_used_again() {
    let mut view = View::new();
    view.store = None;
    let folder = view.folder();
    let aside = folder.move_aside(Generation(1)).expect("moved");
    assert_eq!(aside, folder.path().join("damaged-gen-000001"));
    assert_eq!(folder.current().expect("no link"), None);
    assert_eq!(folder.moved_aside().expect("a folder"), Some(aside));
    view.store = Some(view.open());
    assert_eq!(view.store().checkpoint().generation, Generation(2));

    // A crash between the two: the link names what is no longer there.
    view.store = None;
    fs::rename(folder.path().join("gen-000002"), folder.path().join("damaged-gen-000002"))
        .expect("renamed");
    view.store = Some(view.open());
    assert_eq!(view.store().checkpoint().generation, Generation(3));
}

#[test]
fn what_cannot_be_read_is_left_to_a_person() {
    let mut view = View::new();
    view.store = None;
    let made = view.folder().path().join("gen-000002");
    fs::create_dir(&made).expect("a folder");
    fs::write(made.join("view.db"), [7; 8192]).expect("a file");
    view.store = Some(view.open());
    assert_eq!(view.store().checkpoint().generation, Generation(1));
    assert!(made.join("view.db").exists());
    let found = view.folder().found().expect("a folder");
    assert!(matches!(found[1].stored, Err(Error::Corrupt { .. })), "{:?}", found[1].stored);
    let room = view.folder().room().expect("a device");
    assert!(room.serving_bytes == found[0].bytes && room.free_bytes > 0, "{room:?}");
}
