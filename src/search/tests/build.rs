//! Fact 28 and the rest of a build: of all rows, adds only, whole or not there.

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::search::{Build, Folder, Part};
use crate::store::step::Step;

const ROWS: i64 = 5_000;

struct Site {
    generation: tempfile::TempDir,
    folder: Folder,
    rows: Rows,
}

impl Site {
    fn new() -> Self {
        let generation = tempfile::tempdir().unwrap();
        let folder = Folder::new(generation.path(), "items");
        let mut rows = Rows::default();
        (0..ROWS).for_each(|value| rows.put(&value.to_string(), value));
        Self { generation, folder, rows }
    }

    fn parts(&self, count: usize) -> Vec<Part<'_, Error>> {
        let part = |number: usize| -> Part<'_, Error> {
            Box::new(move |sink| {
                self.rows.rows.values().skip(number).step_by(count).try_for_each(|row| sink(row))
            })
        };
        (0..count).map(part).collect()
    }

    fn names(&self) -> Vec<String> {
        let Ok(found) = std::fs::read_dir(self.generation.path().join("search")) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn build<'a>(
    shape: &'a Shape,
    payload: &'a Payload,
    progress: &'a (dyn Fn(u64) -> bool + Sync),
    steps: &'a Steps,
) -> Build<'a> {
    Build { shape, payload, workers: 2, memory_bytes: 2 * MEMORY_BYTES, progress, steps }
}

#[test]
fn an_index_is_built_of_all_rows_adds_only() {
    let site = Site::new();
    let (told, reached) = (AtomicU64::new(0), Arc::new(Mutex::new(Vec::new())));
    let progress = |documents| told.fetch_max(documents, Ordering::Relaxed) < u64::MAX;
    let noted = reached.clone();
    let steps = Steps::new(move |step| noted.lock().unwrap().push(step));
    let (shape_, payload_) = (shape(), payload(7));
    let built =
        build(&shape_, &payload_, &progress, &steps).run(&site.folder, site.parts(3)).unwrap();
    assert_eq!(built.documents, ROWS as u64);
    assert!(built.segments <= 4, "{built:?}");
    assert_eq!(told.load(Ordering::Relaxed), ROWS as u64);
    let last = &reached.lock().unwrap()[..];
    assert_eq!(last[last.len() - 2..], [Step::IndexBuilt, Step::IndexNamed]);
    assert_eq!(site.names(), ["items"]);
    let index = Index::open(&site.folder.path(), shape()).unwrap();
    assert_eq!(*index.payload(), payload_);
    assert_eq!(index.damage().unwrap(), None);
    site.rows.assert_are(index.searcher());
    // Each add and each removal takes a number.
    let numbers = index.inner().load_metas().unwrap().opstamp;
    assert!((ROWS as u64..ROWS as u64 + 100).contains(&numbers), "{numbers}");
}

#[test]
fn what_was_there_is_kept_aside_once() {
    let site = Site::new();
    let (shape_, payload_, steps) = (shape(), payload(7), Steps::default());
    let again = || build(&shape_, &payload_, &|_| true, &steps).run(&site.folder, site.parts(1));
    again().unwrap();
    site.folder.set_aside().unwrap();
    assert_eq!(site.names(), ["items.damaged"]);
    assert!(matches!(Index::open(&site.folder.path(), shape()), Err(Error::Missing { .. })));
    again().unwrap();
    again().unwrap();
    assert_eq!(site.names(), ["items", "items.damaged"]);
    site.folder.set_aside().unwrap();
    site.folder.set_aside().unwrap();
    assert_eq!(site.names(), ["items.damaged"]);
}

#[test]
fn a_build_that_does_not_end_leaves_nothing() {
    let site = Site::new();
    let (shape_, payload_, steps) = (shape(), payload(7), Steps::default());
    let nothing = |_| -> bool { true };
    // It is told to end.
    let stopped = build(&shape_, &payload_, &|documents| documents < 2_000, &steps)
        .run(&site.folder, site.parts(2));
    assert!(matches!(stopped, Err(Error::Stopped { .. })), "{stopped:?}");
    assert_eq!(site.names(), [""; 0]);
    // A part ends with an error of its own: it is that one that is told, not what it made of the others.
    let mut parts = site.parts(2);
    parts.push(Box::new(|sink| {
        sink(&row("x", 1))?;
        Err(Error::Internal { path: PathBuf::new(), detail: "mine".to_owned() })
    }));
    let failed = build(&shape_, &payload_, &nothing, &steps).run(&site.folder, parts);
    assert!(
        matches!(&failed, Err(Error::Internal { detail, .. }) if detail == "mine"),
        "{failed:?}"
    );
    assert_eq!(site.names(), [""; 0]);
    // A row of a damaged file.
    let bad: Vec<Part<'_, Error>> = vec![Box::new(|sink| {
        let mut row = row("x", 1);
        row[3] = Cell::Text("three".into());
        sink(&row)
    })];
    let failed = build(&shape_, &payload_, &nothing, &steps).run(&site.folder, bad);
    assert!(matches!(failed, Err(Error::Cell { .. })), "{failed:?}");
    assert_eq!(site.names(), [""; 0]);
    // What a crash has left is no hindrance.
    let left = site.generation.path().join("search/items.building");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("meta.json"), "half").unwrap();
    build(&shape_, &payload_, &nothing, &steps).run(&site.folder, site.parts(2)).unwrap();
    assert_eq!(site.names(), ["items"]);
}

/// Whatever fails, the build says so, says why, and ends: also while its threads wait for room.
#[test]
fn a_build_ends_with_what_has_ended_its_workers() {
    let long = "word ".repeat(60_000);
    let (shape_, payload_, steps) = (shape(), payload(7), Steps::default());
    for doing in ["create", "write", "sync", "replace meta.json"] {
        let files = Files::default();
        let armed = files.clone();
        let progress = |_| true;
        let failing = build(&shape_, &payload_, &progress, &steps);
        let part = || -> Part<'_, Error> {
            Box::new(|sink| {
                // The index is made by now, and its writer is at work.
                armed.before(move |now| match now.starts_with(doing) {
                    true => Err(io::ErrorKind::StorageFull.into()),
                    false => Ok(()),
                });
                for value in 0..20 {
                    let mut row = row(&value.to_string(), value);
                    row[2] = Cell::Text(long.as_str().into());
                    sink(&row)?;
                }
                Ok(())
            })
        };
        let parts = vec![part(), part()];
        let built = failing.fill("index".as_ref(), Box::new(files.clone()), parts);
        assert!(matches!(built, Err(Error::Full { .. })), "{doing}: {built:?}");
        files.heal();
        let opened = open(&files).map(drop);
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{doing}: {opened:?}");
    }
}

#[test]
fn many_segments_become_few() {
    let files = Files::default();
    let mut search = search();
    (search.fields, search.filters) = (vec![search.fields.remove(1)], vec![NAME]);
    let shape_ = Arc::new(Shape::new(&search, &table()));
    let payload_ = Payload::new(&shape_, Generation(1), 7, Sequence(8));
    let (progress, steps) = (|_| true, Steps::default());
    let mut small = build(&shape_, &payload_, &progress, &steps);
    (small.workers, small.memory_bytes) = (1, MEMORY_BYTES);
    // Values of which some hundred fill a worker.
    let part: Part<'_, Error> = Box::new(|sink| {
        (0..1_000).try_for_each(|value| {
            let mut row = row(&value.to_string(), value);
            row[NAME] = Cell::Text(format!("{value:060000}").into());
            sink(&row)
        })
    });
    let built = small.fill("index".as_ref(), Box::new(files.clone()), vec![part]).unwrap();
    let made = files.done().iter().filter(|done| is_made(done)).count();
    // Five at least, of which two at least became one.
    assert!(made > 5, "{made} segments: nothing to merge");
    assert_eq!((built.documents, built.segments), (1_000, 4));
    let index = Index::open_in("index".as_ref(), Box::new(files), shape_).unwrap();
    assert_eq!((index.payload().change, index.searcher().documents()), (7, 1_000));
}

fn is_made(done: &str) -> bool {
    done.starts_with("create") && done.ends_with(".term")
}
